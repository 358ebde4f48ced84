/* SPDX-License-Identifier: MPL-2.0 */
/* For tests: many clients of one gate on a stage, and an application that greets every client. Not part of the
 * program. */
#ifndef WEIR_RELAY_CROWD_H
#define WEIR_RELAY_CROWD_H

#include "relay/stage.h"

#define HOST(n)   (0x7f000000u + (n)) /* 127.0.0.n */
#define CROWD_MAX 1024u

/* Clients in the order in which they came. Large: static. */
struct crowd {
    struct stage stage;
    struct end clients[CROWD_MAX], apps[CROWD_MAX];
    unsigned client_count, app_count;
};

/* A client that connects from there and stays silent; and one that sends all that the handshake wants of it. */
struct end *come_silently(struct crowd *c, uint32_t host);
struct end *come(struct crowd *c, uint32_t host);

/* The application greets the clients that have come, and closes the connections of those that have left. */
void serve(struct crowd *c);

/* Time passes, the application serves as in serve(), and all clients read. */
void settle(struct crowd *c);

/* All clients leave, nothing may be left of them, and the stage ends. */
void crowd_free(struct crowd *c);

#endif
