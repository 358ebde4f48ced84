/* SPDX-License-Identifier: MPL-2.0 */
/* For tests: many clients of one gate on a fixture, and an application that greets every client. Not part of the
 * program. */
#ifndef WEIR_RELAY_TESTING_FIXTURE_CLIENTS_H
#define WEIR_RELAY_TESTING_FIXTURE_CLIENTS_H

#include "relay/testing/fixture.h"

#define HOST(n)             (0x7f000000u + (n)) /* 127.0.0.n */
#define FIXTURE_CLIENTS_MAX 1024u

/* Clients in the order in which they came. Large: static. */
struct fixture_clients {
    struct fixture fixture;
    struct end clients[FIXTURE_CLIENTS_MAX], apps[FIXTURE_CLIENTS_MAX];
    unsigned client_count, app_count;
};

/* A client that connects from there and stays silent; and one that sends all that the handshake wants of it. */
struct end *come_silently(struct fixture_clients *c, uint32_t host);
struct end *come(struct fixture_clients *c, uint32_t host);

/* The application greets the clients that have come, and closes the connections of those that have left. */
void serve(struct fixture_clients *c);

/* Time passes, the application serves as in serve(), and all clients read. */
void settle(struct fixture_clients *c);

/* All clients leave, and then the application closes its ends: a paused connection would not end before its bytes have
 * gone. */
void fixture_clients_leave(struct fixture_clients *c);

/* All clients leave, nothing may be left of them, and the fixture ends. */
void fixture_clients_free(struct fixture_clients *c);

#endif
