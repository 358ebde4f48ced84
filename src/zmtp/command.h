/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The body of a command frame: a name (1 length byte) and data (RFC 37). Pure.
 */
#ifndef WEIR_ZMTP_COMMAND_H
#define WEIR_ZMTP_COMMAND_H

#include "base/attr.h"
#include "base/cursor.h"

#include <stdbool.h>

enum zmtp_command_kind {
    COMMAND_UNKNOWN,
    COMMAND_READY,
    COMMAND_ERROR,
    COMMAND_HELLO,
    COMMAND_WELCOME,
    COMMAND_INITIATE,
    COMMAND_MESSAGE,
    COMMAND_SUBSCRIBE,
    COMMAND_CANCEL,
    COMMAND_PING,
    COMMAND_PONG,
};

struct zmtp_command {
    enum zmtp_command_kind kind;
    struct bytes data;
};

/* False: the name is not valid (length 0, past the end, or other than RFC 37's name characters). */
MUST_USE bool zmtp_command_parse(struct bytes body, struct zmtp_command *ret);

/* RFC 37: "ping = command-size %d4 'PING' ping-ttl ping-context", "ping-context = 0*16OCTET". */
bool zmtp_ping_ok(const struct zmtp_command *c);

/* RFC 37: "pong = command-size %d4 'PONG' ping-context". */
bool zmtp_pong_ok(const struct zmtp_command *c);

#define ZMTP_PONG_MAX 23u /* header 2, name 5, context 16 */

/* Writes a whole PONG frame with this context (at most 16 bytes). Returns its length. */
size_t zmtp_put_pong(uint8_t dst[static ZMTP_PONG_MAX], struct bytes context);

#endif
