/* SPDX-License-Identifier: MPL-2.0 */
/* For tests: many clients of one gate on a stage, and an application that greets whoever comes. Not part of the
 * program. */
#ifndef WEIR_RELAY_CROWD_H
#define WEIR_RELAY_CROWD_H

#include "relay/stage.h"

#define HOST(n)   (0x7f000000u + (n)) /* 127.0.0.n */
#define CROWD_MAX 1024u

/* Clients in the order of their coming. Large: static. */
struct crowd {
    struct stage stage;
    struct end clients[CROWD_MAX], apps[CROWD_MAX];
    unsigned client_count, app_count;
};

/* A client that connects from there; one that says all that the handshake wants of it. */
struct end *come_silently(struct crowd *c, uint32_t host);
struct end *come(struct crowd *c, uint32_t host);

/* The application greets who has come and lets go who has left. */
void serve(struct crowd *c);

/* Time goes by, the application greets who comes and lets go who leaves, and everybody reads. */
void settle(struct crowd *c);

/* Everybody leaves, nothing may be left of them, and the stage ends. */
void crowd_free(struct crowd *c);

#endif
