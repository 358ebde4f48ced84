/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/hwm_rules.h"

#include <stdbool.h>
#include <string.h>

/* Digits alone, up to `most`. */
static bool take_number(uint32_t *ret, const char *text, size_t bytes, uint32_t most)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = 10 * n + (uint64_t)(text[i] - '0');
        if (n > most)
            return false;
    }
    *ret = (uint32_t)n;
    return bytes > 0;
}

/* Nothing stands for the program's own value. */
static const char *take_mark(int32_t *ret, const char *text, size_t bytes)
{
    uint32_t n = 0;
    *ret = 0;
    if (!bytes)
        return NULL;
    if (!take_number(&n, text, bytes, INT32_MAX))
        return "no number of messages, allowed N or RECEIVE/SEND, each 1 to 2147483647, with PORT= before it or not";
    if (n == 0)
        return "0 means no limit, and a flood could fill the memory: allowed 1 to 2147483647";
    *ret = (int32_t)n;
    return NULL;
}

static const char *take_marks(struct hwm_rule *ret, const char *text, size_t bytes)
{
    const char *slash = memchr(text, '/', bytes);
    size_t first = slash ? (size_t)(slash - text) : bytes;
    const char *wrong = take_mark(&ret->receive, text, first);
    ret->send = ret->receive;
    if (!wrong && slash)
        wrong = take_mark(&ret->send, slash + 1, bytes - first - 1);
    if (!wrong && !ret->receive && !ret->send)
        return "the number of messages is missing: N or RECEIVE/SEND";
    return wrong;
}

const char *hwm_rule_read(struct hwm_rule *ret, const char *text, size_t bytes)
{
    const char *equals = memchr(text, '=', bytes);
    size_t before = equals ? (size_t)(equals - text) : 0;
    uint32_t port = 0;
    bool ipc = equals && before == 3 && memcmp(text, "ipc", 3) == 0;
    *ret = (struct hwm_rule){.port = 0};
    if (bytes >= HWM_RULE_BYTES)
        return "too long: [PORT=]N or [PORT=]RECEIVE/SEND";
    if (equals && !ipc && (!take_number(&port, text, before, UINT16_MAX) || port == 0))
        return "what stands before \"=\" is no port, allowed 1 to 65535, or ipc";
    ret->port = ipc ? HWM_RULE_IPC : (int32_t)port;
    return equals ? take_marks(ret, equals + 1, bytes - before - 1) : take_marks(ret, text, bytes);
}

const char *hwm_rules_add(struct hwm_rules *r, const struct hwm_rule *rule)
{
    if (r->count == HWM_RULES_MOST)
        return "too many: 16 at most";
    for (unsigned i = 0; i < r->count; i++)
        if (r->at[i].port == rule->port)
            return rule->port > 0 ? "the port has marks already"
                   : rule->port   ? "marks for Unix sockets were given already"
                                  : "marks for every port were given already";
    r->at[r->count++] = *rule;
    return NULL;
}

const char *hwm_rules_read(struct hwm_rules *ret, const char *text)
{
    const char *wrong = NULL;
    *ret = (struct hwm_rules){.count = 0};
    while (*text && !wrong) {
        struct hwm_rule rule;
        size_t bytes = strcspn(text, ",");
        wrong = hwm_rule_read(&rule, text, bytes);
        if (!wrong)
            wrong = hwm_rules_add(ret, &rule);
        text += bytes + (text[bytes] == ',');
    }
    return wrong;
}

const struct hwm_rule *hwm_rules_find(const struct hwm_rules *r, int32_t port)
{
    const struct hwm_rule *any = NULL;
    for (unsigned i = 0; i < r->count; i++) {
        if (r->at[i].port && r->at[i].port == port)
            return &r->at[i];
        if (!r->at[i].port)
            any = &r->at[i];
    }
    return any;
}
