/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Limits the connections of the admin address, so that a newcomer always finds a place.
 *
 * A limit for each address would not work: on the loopback interface the scraper and a flooding client have one
 * address. The connection that has asked for nothing for longest is shut down, and its owner sees it close.
 *
 * Fixed memory. Threads: one (that of the HTTP server).
 */
#ifndef WEIR_ADMIN_CONN_SLOTS_H
#define WEIR_ADMIN_CONN_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#define CONN_SLOTS 32

/* Kept free: this many newcomers may come before connections that were shut down are gone. */
#define CONN_SLOTS_LOW 12

struct conn_slot {
    int fd;
    bool taken;
    bool leaving;  /* shut down; its owner will leave */
    uint64_t used; /* when it last sent a request, in ticks */
};

struct conn_slots {
    struct conn_slot place[CONN_SLOTS];
    uint64_t tick;
};

void conn_slots_init(struct conn_slots *p);

/* A place for this connection; another is shut down when few are left. NULL when there is none. */
struct conn_slot *conn_slots_enter(struct conn_slots *p, int fd);

/* It has sent a request. Accepts NULL. */
void conn_slots_use(struct conn_slots *p, struct conn_slot *at);

/* Its descriptor is about to be closed. Accepts NULL. */
void conn_slots_leave(struct conn_slot *at);

#endif
