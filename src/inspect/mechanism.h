/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Checks the order and form of handshake commands in each mechanism: NULL (RFC 37), PLAIN (RFC 24), CURVE (RFC 25, RFC
 * 26). CURVE passes through, so only its outer form is seen.
 *
 *   Mechanism      Command     From        Then
 *   PLAIN, CURVE   HELLO       initiator   WELCOME
 *                  WELCOME     other       INITIATE
 *                  INITIATE    initiator   READY
 *                  READY       other       h->client_ready and h->app_ready
 *   NULL           READY       each        h->client_ready, then h->app_ready; the application's waits for the client's
 *
 * Any other command gives a verdict. While h->initiator is not known, the first HELLO settles it.
 *
 * Called by the handshake machine alone; moves h->step, h->initiator, h->client_ready and h->app_ready.
 */
#ifndef WEIR_INSPECT_MECHANISM_H
#define WEIR_INSPECT_MECHANISM_H

#include "inspect/handshake.h"

struct mechanism_command {
    enum verdict verdict; /* PASS: in order and well-formed, and the state has moved on */
    bool has_metadata;
    struct bytes metadata; /* the end of the body */
};

/* Whether a command of this side is awaited now. */
bool mechanism_client_turn(const struct handshake *h);
bool mechanism_app_turn(const struct handshake *h);

/* Whether one side's command has to wait for the other's: it is a WELCOME, and neither side has said HELLO yet. */
bool mechanism_is_early(const struct handshake *h, struct bytes body);

/* Judges the body of a handshake command. */
struct mechanism_command mechanism_client_command(struct handshake *h, struct bytes body);
struct mechanism_command mechanism_app_command(struct handshake *h, struct bytes body);

#endif
