/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Limits the connections of the admin address, so that a newcomer always finds a place.
 *
 * A limit for each address would not work: on the loopback interface the scraper and a flooding client have one
 * address. The connection that has asked for nothing for longest is shut down, and its owner sees it close.
 *
 * Fixed memory. Threads: one (that of the HTTP server).
 */
#ifndef WEIR_ADMIN_PLACES_H
#define WEIR_ADMIN_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define PLACES     32
#define PLACES_LOW 12 /* kept free: this many newcomers may come before connections that were shut down are gone */

struct place {
    int fd;
    bool taken;
    bool leaving;  /* shut down; its owner will leave */
    uint64_t used; /* when it last sent a request, in ticks */
};

struct places {
    struct place place[PLACES];
    uint64_t tick;
};

void places_init(struct places *p);

/* A place for this connection; another is shut down when few are left. NULL when there is none. */
struct place *places_enter(struct places *p, int fd);

/* It has sent a request. Accepts NULL. */
void places_use(struct places *p, struct place *at);

/* Its descriptor is about to be closed. Accepts NULL. */
void places_leave(struct place *at);

#endif
