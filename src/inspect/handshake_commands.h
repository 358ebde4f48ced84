/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Judges the commands of a handshake, one after the other, and passes them on: the client's with Weir's own properties
 * in place of the reserved ones (X-Weir-Peer, X-Weir-Class), the application's as they are.
 *
 * Which command is allowed when is the mechanism's subject (mechanism.h). In ZMTP 2.0 the only "command" is one frame
 * with the identity. A part of the machine in handshake.h; no state of its own.
 */
#ifndef WEIR_INSPECT_HANDSHAKE_COMMANDS_H
#define WEIR_INSPECT_HANDSHAKE_COMMANDS_H

#include "inspect/handshake.h"

/* Takes the greeting or one command of the client, if it is its turn and the bytes are there. True: a command was
 * taken. */
MUST_USE bool handshake_commands_client_step(struct handshake *h);

/* The same for the application; true after its greeting, too. */
MUST_USE bool handshake_commands_app_step(struct handshake *h);

#endif
