/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Greetings of ZMTP 3.x (RFC 23, RFC 37) and 2.0 (RFC 15). Pure.
 *
 *   3.x: FF, 8 padding, 7F | major | minor, mechanism[20], as-server, 31 zero      64 bytes
 *   2.0: FF, 8 padding, 7F | revision 1 | socket type                              12 bytes; an identity frame follows
 *   1.0: an identity: length with flags, flags 0, at most 253 bytes of it          recognised, not spoken (RFC 13)
 */
#ifndef WEIR_ZMTP_GREETING_H
#define WEIR_ZMTP_GREETING_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZMTP_SIGNATURE_BYTES 10u
#define ZMTP_GREETING_BYTES  64u
#define ZMTP2_GREETING_BYTES 12u

enum zmtp_mechanism { MECHANISM_OTHER, MECHANISM_NULL, MECHANISM_PLAIN, MECHANISM_CURVE };

struct zmtp_greeting {
    uint8_t major;       /* 3 (3 and above), or 2 for ZMTP 2.0 */
    uint8_t minor;       /* 3.x only */
    uint8_t socket_code; /* 2.0 only: RFC 15's socket-type byte */
    bool as_server;
    enum zmtp_mechanism mechanism;
};

enum greeting_result {
    GREETING_NEED, /* more bytes; nothing wrong so far */
    GREETING_DONE,
    GREETING_OLD, /* ZMTP 1.0 */
    GREETING_BAD, /* not ZMTP */
};

/*
 * Parses the first `len` bytes of a connection, from its very first byte each time. Returns BAD as early as the bytes
 * allow, so that Weir does not wait for more garbage: after one byte if it cannot begin a frame of ZMTP 1.0, after
 * three at most. DONE: *ret is filled, and *ret_used is the length of the greeting in bytes.
 */
enum greeting_result zmtp_greeting_parse(const uint8_t *bytes, size_t len, struct zmtp_greeting *ret, size_t *ret_used);

/* Whether the peer's version is known to be 3 or later, so that it may be sent the rest of a greeting. */
bool zmtp_greeting_is_v3(const uint8_t *bytes, size_t len);

/* As zmtp_greeting_parse(), for a peer that was told that it speaks with a 2.0 peer. It goes on in 2.0, whatever its
 * own version is. */
enum greeting_result zmtp_greeting_parse_as_v2(const uint8_t *bytes, size_t len, struct zmtp_greeting *ret,
                                               size_t *ret_used);

/* Writes the 64 bytes of a 3.x greeting. */
void zmtp_greeting_put(uint8_t dst[static ZMTP_GREETING_BYTES], const struct zmtp_greeting *g);

/* Writes the 12 bytes of a 2.0 greeting. */
void zmtp_greeting_put_v2(uint8_t dst[static ZMTP2_GREETING_BYTES], uint8_t socket_code);

/* "NULL", "PLAIN", "CURVE"; "" for OTHER. */
const char *zmtp_mechanism_name(enum zmtp_mechanism m);

#endif
