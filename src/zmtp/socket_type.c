/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/socket_type.h"

#include "base/attr.h"

#include <string.h>
#include <strings.h>

#define BIT(t) (1u << (t))

/* RFC 28, "valid socket combinations", both directions. */
static const struct {
    const char *name;
    unsigned fits;
    int zmtp2; /* RFC 15: the socket-type byte */
} types[] = {
    [SOCKET_AUTO] = {"auto", ~0u, -1},
    [SOCKET_REP] = {"rep", BIT(SOCKET_REQ) | BIT(SOCKET_DEALER), 4},
    [SOCKET_ROUTER] = {"router", BIT(SOCKET_REQ) | BIT(SOCKET_DEALER) | BIT(SOCKET_ROUTER), 6},
    [SOCKET_DEALER] = {"dealer", BIT(SOCKET_REP) | BIT(SOCKET_DEALER) | BIT(SOCKET_ROUTER), 5},
    [SOCKET_REQ] = {"req", BIT(SOCKET_REP) | BIT(SOCKET_ROUTER), 3},
    [SOCKET_PULL] = {"pull", BIT(SOCKET_PUSH), 7},
    [SOCKET_PUSH] = {"push", BIT(SOCKET_PULL), 8},
    [SOCKET_PUB] = {"pub", BIT(SOCKET_SUB) | BIT(SOCKET_XSUB), 1},
    [SOCKET_XPUB] = {"xpub", BIT(SOCKET_SUB) | BIT(SOCKET_XSUB), 9},
    [SOCKET_SUB] = {"sub", BIT(SOCKET_PUB) | BIT(SOCKET_XPUB), 2},
    [SOCKET_XSUB] = {"xsub", BIT(SOCKET_PUB) | BIT(SOCKET_XPUB), 10},
    [SOCKET_PAIR] = {"pair", BIT(SOCKET_PAIR), 0},
};

const char *socket_type_name(enum socket_type t)
{
    return types[t].name;
}

enum socket_type socket_type_parse(struct bytes name)
{
    for (unsigned t = SOCKET_AUTO + 1; t < ARRAY_LEN(types); t++)
        if (strlen(types[t].name) == name.len && strncasecmp(types[t].name, (const char *)name.at, name.len) == 0)
            return (enum socket_type)t;
    return SOCKET_AUTO;
}

enum socket_type socket_type_from_zmtp2(uint8_t code)
{
    for (unsigned t = SOCKET_AUTO + 1; t < ARRAY_LEN(types); t++)
        if (types[t].zmtp2 == code)
            return (enum socket_type)t;
    return SOCKET_AUTO;
}

enum socket_type socket_type_told(const struct socket_options *o)
{
    int64_t type = -1;
    bool known = o && socket_options_get(o, SOCKET_OPTION_TYPE, &type) && type >= 0 && type <= UINT8_MAX;
    return known ? socket_type_from_zmtp2((uint8_t)type) : SOCKET_AUTO; /* RFC 15 has libzmq's numbers */
}

bool socket_type_answers(enum socket_type app)
{
    return app != SOCKET_PULL && app != SOCKET_PUB && app != SOCKET_XPUB && app != SOCKET_SUB && app != SOCKET_XSUB;
}

bool socket_types_fit(enum socket_type a, enum socket_type b)
{
    return a == SOCKET_AUTO || b == SOCKET_AUTO || (types[a].fits & BIT(b)) != 0;
}
