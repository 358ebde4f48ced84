/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Who holds the connections of the admin address, so that a newcomer always finds a place. A limit per address would
 * not do: on the loopback interface the scraper and whoever floods it are one address. So the connection that has asked
 * for nothing for longest is shut down, and its owner sees it close.
 *
 * Fixed memory. One thread (that of the HTTP server).
 */
#ifndef WEIR_ADMIN_PLACES_H
#define WEIR_ADMIN_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define PLACES     32
#define PLACES_LOW 12 /* kept free: as many newcomers may come before those told to leave are gone */

struct place {
    int fd;
    bool taken;
    bool leaving;  /* shut down; its owner will leave */
    uint64_t used; /* when it last asked, in ticks */
};

struct places {
    struct place place[PLACES];
    uint64_t tick;
};

void places_init(struct places *p);

/* A place for this connection; another is shut down when few are left. NULL when there is none. */
struct place *places_enter(struct places *p, int fd);

/* It has asked for something. Accepts NULL. */
void places_use(struct places *p, struct place *at);

/* Its descriptor is about to be closed. Accepts NULL. */
void places_leave(struct place *at);

#endif
