/* SPDX-License-Identifier: MPL-2.0 */
/* The socket types of RFC 28, and which of them may talk to each other. Pure. */
#ifndef WEIR_ZMTP_SOCKET_TYPE_H
#define WEIR_ZMTP_SOCKET_TYPE_H

#include "base/cursor.h"
#include "preload/socket_options.h"

#include <stdbool.h>

/* AUTO: not known, or not known yet. */
enum socket_type {
    SOCKET_AUTO,
    SOCKET_REP,
    SOCKET_ROUTER,
    SOCKET_DEALER,
    SOCKET_REQ,
    SOCKET_PULL,
    SOCKET_PUSH,
    SOCKET_PUB,
    SOCKET_XPUB,
    SOCKET_SUB,
    SOCKET_XSUB,
    SOCKET_PAIR,
};

/* "rep", "router", ...; "auto". */
const char *socket_type_name(enum socket_type t);

/* From the value of a Socket-Type property ("REP"). AUTO: none of RFC 28's types. */
enum socket_type socket_type_parse(struct bytes name);

/* From the byte of a ZMTP 2.0 greeting (RFC 15). AUTO: unknown. */
enum socket_type socket_type_from_zmtp2(uint8_t code);

/* As libzmq has told of a socket (NULL: nothing). AUTO: it was not told, or is none of RFC 28's. */
enum socket_type socket_type_told(const struct socket_options *o);

/* Whether it may answer the messages that it receives. AUTO may. */
bool socket_type_answers(enum socket_type app);

/* Whether RFC 28 lets the two talk to each other. AUTO fits every type. */
bool socket_types_fit(enum socket_type a, enum socket_type b);

#endif
