/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The order of handshake commands in each mechanism: NULL (RFC 37), PLAIN (RFC 24), CURVE (RFC 25, RFC 26; passing
 * through, so only its outer form is seen). Called by the handshake machine alone; moves h->step, h->client_ready and
 * h->app_ready.
 */
#ifndef WEIR_SECURITY_MECHANISM_H
#define WEIR_SECURITY_MECHANISM_H

#include "security/handshake.h"

struct mechanism_command {
    enum verdict verdict; /* PASS: in order and well-formed, and the state has moved on */
    bool has_metadata;
    struct bytes metadata; /* the end of the body */
};

/* Whether a command of this side is awaited now. */
bool mechanism_client_turn(const struct handshake *h);
bool mechanism_app_turn(const struct handshake *h);

/* Whether one side's command has to wait for the other's: this is a WELCOME, and nobody has said HELLO yet. */
bool mechanism_is_early(const struct handshake *h, struct bytes body);

/* Judges the body of a handshake command. */
struct mechanism_command mechanism_client_command(struct handshake *h, struct bytes body);
struct mechanism_command mechanism_app_command(struct handshake *h, struct bytes body);

#endif
