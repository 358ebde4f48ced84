/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/taken_rules.h"

#include <arpa/inet.h>
#include <string.h>

#define TCP "tcp://"
#define IPC "ipc://"

static bool begins_with(const char *text, size_t bytes, const char *prefix)
{
    size_t n = strlen(prefix);
    return bytes >= n && memcmp(text, prefix, n) == 0;
}

const char *taken_rule_read(struct taken_rule *ret, const char *text, size_t bytes)
{
    *ret = (struct taken_rule){.path = ""};
    if (memchr(text, '\n', bytes))
        return "a line end is not allowed in it";
    const char *equals = NULL;
    if (begins_with(text, bytes, TCP) || begins_with(text, bytes, IPC)) {
        equals = memchr(text, '=', bytes);
        if (!equals)
            return "the path of the counter is missing: ENDPOINT=PATH";
        if ((size_t)(equals - text) >= sizeof(ret->endpoint))
            return "the endpoint is too long";
        memcpy(ret->endpoint, text, (size_t)(equals - text));
    } else if (memmem(text, bytes, "://", 3)) {
        return "only endpoints of tcp:// and ipc:// can be behind a gate";
    }
    const char *path = equals ? equals + 1 : text;
    size_t length = bytes - (size_t)(path - text);
    if (!length)
        return "the path of the counter is missing";
    if (length >= sizeof(ret->path))
        return "the path is too long: 107 bytes at most";
    memcpy(ret->path, path, length);
    return NULL;
}

const char *taken_rules_add(struct taken_rules *r, const struct taken_rule *rule)
{
    if (r->count == TAKEN_RULES_MOST)
        return "16 counters at most";
    for (size_t i = 0; i < r->count; i++) {
        if (!rule->endpoint[0] && !r->at[i].endpoint[0])
            return "a second counter without ENDPOINT: nobody could tell which socket counts for which";
        if (!strcmp(rule->path, r->at[i].path))
            return "the same path twice: one socket, one counter";
    }
    r->at[r->count++] = *rule;
    return NULL;
}

void taken_rules_read(struct taken_rules *ret, const char *text)
{
    *ret = (struct taken_rules){.count = 0};
    while (text && *text) {
        struct taken_rule rule;
        size_t bytes = strcspn(text, "\n");
        if (!taken_rule_read(&rule, text, bytes))
            (void)taken_rules_add(ret, &rule);
        text += bytes + (text[bytes] == '\n');
    }
}

bool taken_endpoint_counts(const char *endpoint)
{
    return begins_with(endpoint, strlen(endpoint), TCP) || begins_with(endpoint, strlen(endpoint), IPC);
}

/* ---- tcp ---- */

struct place {
    char host[TAKEN_ENDPOINT_BYTES];
    const char *port;
};

/* False: it has no port. libzmq allows a source address before the host ("tcp://SOURCE;HOST:PORT"), for clients. */
static bool split_tcp(struct place *ret, const char *endpoint)
{
    const char *host = endpoint + sizeof(TCP) - 1, *colon = strrchr(host, ':');
    size_t bytes = colon ? (size_t)(colon - host) : 0;
    if (!colon || bytes >= sizeof(ret->host))
        return false;
    if (bytes >= 2 && host[0] == '[' && host[bytes - 1] == ']') {
        host++;
        bytes -= 2;
    }
    memcpy(ret->host, host, bytes);
    ret->host[bytes] = '\0';
    ret->port = colon + 1;
    return true;
}

static bool is_any(const char *host)
{
    return !strcmp(host, "*") || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
}

static bool is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool is_same_host(const char *a, const char *b)
{
    return !strcmp(a, b) || is_any(a) || is_any(b) || !is_address(a) || !is_address(b);
}

bool taken_endpoint_matches(const char *named, const char *bound)
{
    struct place a, b;
    if (!strcmp(named, bound))
        return true;
    if (!begins_with(named, strlen(named), TCP) || !begins_with(bound, strlen(bound), TCP))
        return false;
    return split_tcp(&a, named) && split_tcp(&b, bound) && !strcmp(a.port, b.port) && is_same_host(a.host, b.host);
}
