/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Judges the greetings of a handshake, and says Weir's own: which version and mechanism both ends speak, and who of
 * them initiates it.
 *
 *   the client's greeting     answered with
 *   its first 10 bytes        the signature, at once (handshake_init())
 *   the version               the application's version, once that is known
 *   the rest                  the application's mechanism and role; then the greeting goes on to the application
 *
 * A part of the machine in handshake.h; no state of its own.
 */
#ifndef WEIR_INSPECT_HANDSHAKE_GREETINGS_H
#define WEIR_INSPECT_HANDSHAKE_GREETINGS_H

#include "inspect/handshake.h"

/* The bytes of a greeting up to its version. */
#define HANDSHAKE_VERSION_BYTES (ZMTP_SIGNATURE_BYTES + 1)

/* Whether the client's type fits the one that is believed of the application, and the one that it has said itself. */
bool handshake_types_fit(const struct handshake *h);

/* True when the client's greeting is complete and judged. */
MUST_USE bool handshake_greetings_take_client(struct handshake *h);

/* The same for the application's. */
MUST_USE bool handshake_greetings_take_app(struct handshake *h);

/* `old`: it is the client that speaks no more than 2.0. Such a client has to be told nothing, so that its greeting may
 * be whole before the application is known. */
void handshake_greetings_accept_zmtp2(struct handshake *h, bool old);

/* Writes the client's greeting for the application, with the client's own version and role, so that both ends choose
 * the same encodings. Returns its length. */
size_t handshake_greetings_put_client(const struct handshake *h, uint8_t dst[static ZMTP_GREETING_BYTES]);

#endif
