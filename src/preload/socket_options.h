/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What libzmq says of a socket that binds: the options that matter to the gate in front of it, one row for each. Part
 * of protocol.h, and what weir_bind() reads too. Nothing here depends on a libzmq.
 *
 * Options that are changed after zmq_bind() do not matter: libzmq copies them when it begins to listen. The exception
 * is ZMQ_ROUTER_HANDOVER, which cannot be read either: it is seen when it is set (preload/noted.h).
 *
 * Threads: the one that has the socket.
 */
#ifndef WEIR_PRELOAD_SOCKET_OPTIONS_H
#define WEIR_PRELOAD_SOCKET_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name without ZMQ_, number in zmq.h, type of the value */
#define SOCKET_OPTIONS(OPTION)                                                                                         \
    OPTION(TYPE, 16, int32_t)                                                                                          \
    OPTION(MAXMSGSIZE, 22, int64_t)                                                                                    \
    OPTION(HANDSHAKE_IVL, 66, int32_t)                                                                                 \
    OPTION(ROUTER_HANDOVER, 56, int32_t)                                                                               \
    OPTION(MECHANISM, 43, int32_t)                                                                                     \
    OPTION(PLAIN_SERVER, 44, int32_t)                                                                                  \
    OPTION(CURVE_SERVER, 47, int32_t)                                                                                  \
    OPTION(RCVHWM, 24, int32_t)                                                                                        \
    OPTION(SNDHWM, 23, int32_t)                                                                                        \
    OPTION(HEARTBEAT_IVL, 75, int32_t)                                                                                 \
    OPTION(HEARTBEAT_TTL, 76, int32_t)                                                                                 \
    OPTION(HEARTBEAT_TIMEOUT, 77, int32_t)

enum socket_option {
#define SOCKET_OPTION_ENUM(NAME, number, type) SOCKET_OPTION_##NAME,
    SOCKET_OPTIONS(SOCKET_OPTION_ENUM)
#undef SOCKET_OPTION_ENUM
        SOCKET_OPTION_COUNT
};

/* All zero: nothing is known. */
struct socket_options {
    uint32_t known;   /* bits by enum socket_option */
    uint32_t version; /* of libzmq: 40304 for 4.3.4; 0: not known */
    int64_t at[SOCKET_OPTION_COUNT];
};

/* As zmq_getsockopt(). */
typedef int socket_options_getter(void *socket, int option, void *value, size_t *bytes);

/* What libzmq tells; an option that it does not tell is not known. Changes errno. */
void socket_options_read(struct socket_options *ret, socket_options_getter *get, void *socket);

static inline void socket_options_set(struct socket_options *o, enum socket_option which, int64_t value)
{
    o->known |= UINT32_C(1) << which;
    o->at[which] = value;
}

/* False: not known; *ret stays. */
static inline bool socket_options_get(const struct socket_options *o, enum socket_option which, int64_t *ret)
{
    bool known = o->known >> which & 1;
    if (known)
        *ret = o->at[which];
    return known;
}

/* As struct socket_options has it. */
static inline uint32_t socket_options_version(int major, int minor, int patch)
{
    return (uint32_t)(major * 10000 + minor * 100 + patch);
}

/* "ZMQ_MAXMSGSIZE" */
const char *socket_option_name(enum socket_option which);

#endif
