/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/proxy_protocol.h"

#include <arpa/inet.h>
#include <string.h>

/* Section 2.2: twelve octets that no other protocol begins with, and four more before the addresses. */
static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
#define V2_BYTES 16u

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { UNSPEC = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };

static void name_client(struct proxy_protocol *ret, int family, const void *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (family == AF_INET)
        memcpy(&v4.sin_addr, address, sizeof(v4.sin_addr));
    else
        memcpy(&v6.sin6_addr, address, sizeof(v6.sin6_addr));
    /* A balancer that listens on [::] names IPv4 clients in IPv6 form. They become IPv4 here, so that bans find
     * them. */
    addr_from_sockaddr(&ret->client, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6);
}

/* ---- version 2 ---- */

/* Bytes of source and destination; SIZE_MAX: no family of a stream. */
static size_t addresses_of(uint8_t family)
{
    switch (family) {
    case UNSPEC:
        return 0;
    case TCP4:
        return 12;
    case TCP6:
        return 36;
    case UNIX_STREAM:
        return 216;
    default:
        return SIZE_MAX;
    }
}

static enum proxy_protocol_result is_bad(struct proxy_protocol *ret, const char *wrong)
{
    ret->wrong = wrong;
    return PROXY_PROTOCOL_BAD;
}

/* What is wrong with the fixed part, as far as it is there: it is checked octet by octet. NULL: nothing. */
static const char *fault_of_v2(struct bytes b, size_t *ret_total)
{
    uint8_t family = b.len > 13 ? b.at[13] : UNSPEC;
    bool local = b.len > 12 && b.at[12] == COMMAND_LOCAL;
    if (b.len > 12 && !local && b.at[12] != COMMAND_PROXY)
        return "its 13th octet is neither 0x20 (LOCAL) nor 0x21 (PROXY)";
    /* "The receiver must ... discard the protocol block including the family which is ignored" (LOCAL). */
    size_t least = local ? 0 : addresses_of(family);
    if (least == SIZE_MAX)
        return "its 14th octet is no family of a stream";
    if (b.len < V2_BYTES)
        return NULL;
    size_t len = (size_t)(b.at[14] << 8 | b.at[15]);
    *ret_total = V2_BYTES + len;
    if (len < least)
        return "its length is too small for the addresses of its family";
    return *ret_total <= PROXY_PROTOCOL_MAX ? NULL : "it is longer than 4096 octets";
}

static enum proxy_protocol_result proxy_protocol_parse_v2(struct bytes b, struct proxy_protocol *ret)
{
    size_t total = SIZE_MAX;
    const char *wrong = fault_of_v2(b, &total);
    if (wrong)
        return is_bad(ret, wrong);
    if (b.len < total)
        return PROXY_PROTOCOL_NEED;
    *ret = (struct proxy_protocol){.bytes = total};
    if (b.at[12] == COMMAND_LOCAL)
        return PROXY_PROTOCOL_DONE;
    const uint8_t *at = b.at + V2_BYTES; /* source, destination, source's port, destination's */
    if (b.at[13] == TCP4)
        name_client(ret, AF_INET, at, (uint16_t)(at[8] << 8 | at[9]));
    if (b.at[13] == TCP6)
        name_client(ret, AF_INET6, at, (uint16_t)(at[32] << 8 | at[33]));
    return PROXY_PROTOCOL_DONE;
}

/* ---- version 1 ---- */

#define V1_PREFIX "PROXY "
#define V1_WORDS  5

/* Splits a line at "exactly one space"; 0: there are more than V1_WORDS words. */
static size_t split(char *line, char *words[V1_WORDS])
{
    size_t n = 0;
    for (char *rest = line, *word; (word = strsep(&rest, " ")); n++) {
        if (n == V1_WORDS)
            return 0;
        words[n] = word;
    }
    return n;
}

/* Decimal, up to 65535, without leading zeros. */
static bool read_port(const char *text, uint16_t *ret)
{
    size_t len = strspn(text, "0123456789");
    unsigned long value = 0;
    if (len == 0 || len > 5 || text[len] || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (unsigned long)(text[i] - '0');
    *ret = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool proxy_protocol_read_line(char *line, struct proxy_protocol *ret)
{
    char *words[V1_WORDS];
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
    /* "... any data presented before the CRLF" is ignored. */
    if (!strcmp(line, "UNKNOWN") || !strncmp(line, "UNKNOWN ", 8))
        return true;
    if (split(line, words) != V1_WORDS)
        return false;
    bool v4 = !strcmp(words[0], "TCP4");
    int family = v4 ? AF_INET : AF_INET6;
    if (!v4 && strcmp(words[0], "TCP6") != 0)
        return false;
    if (inet_pton(family, words[1], from) != 1 || inet_pton(family, words[2], to) != 1 ||
        !read_port(words[3], &from_port) || !read_port(words[4], &to_port))
        return false;
    name_client(ret, family, from, from_port);
    return true;
}

static enum proxy_protocol_result proxy_protocol_parse_v1(struct bytes b, struct proxy_protocol *ret)
{
    const size_t prefix = sizeof(V1_PREFIX) - 1;
    size_t most = b.len < PROXY_PROTOCOL_V1_MAX ? b.len : PROXY_PROTOCOL_V1_MAX;
    char line[PROXY_PROTOCOL_V1_MAX + 1];
    const uint8_t *crlf = memmem(b.at, most, "\r\n", 2);
    if (!crlf && b.len < PROXY_PROTOCOL_V1_MAX)
        return PROXY_PROTOCOL_NEED;
    if (!crlf)
        return is_bad(ret, "its line has no end within 107 octets");
    size_t len = (size_t)(crlf - b.at);
    if (len < prefix || memchr(b.at, '\0', len))
        return is_bad(ret, "its line holds a NUL");
    memcpy(line, b.at + prefix, len - prefix);
    line[len - prefix] = '\0';
    *ret = (struct proxy_protocol){.bytes = len + 2};
    return proxy_protocol_read_line(line, ret)
               ? PROXY_PROTOCOL_DONE
               : is_bad(ret, "behind PROXY there is not TCP4 or TCP6, two such addresses and two ports, or UNKNOWN");
}

/* ---- both ---- */

static enum proxy_protocol_result proxy_protocol_compare(struct bytes b, const void *text, size_t len)
{
    if (b.len && memcmp(b.at, text, b.len < len ? b.len : len) != 0)
        return PROXY_PROTOCOL_BAD;
    return b.len < len ? PROXY_PROTOCOL_NEED : PROXY_PROTOCOL_DONE;
}

enum proxy_protocol_result proxy_protocol_begins(struct bytes so_far)
{
    enum proxy_protocol_result v2 = proxy_protocol_compare(so_far, signature, sizeof(signature));
    return v2 != PROXY_PROTOCOL_BAD ? v2 : proxy_protocol_compare(so_far, V1_PREFIX, sizeof(V1_PREFIX) - 1);
}

enum proxy_protocol_result proxy_protocol_parse(struct bytes so_far, struct proxy_protocol *ret)
{
    enum proxy_protocol_result r = proxy_protocol_begins(so_far);
    if (r == PROXY_PROTOCOL_BAD)
        return is_bad(ret, "it does not begin with one");
    if (r == PROXY_PROTOCOL_NEED)
        return r;
    return so_far.at[0] == signature[0] ? proxy_protocol_parse_v2(so_far, ret) : proxy_protocol_parse_v1(so_far, ret);
}
