/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/places.h"

#include <stddef.h>
#include <sys/socket.h>

void places_init(struct places *p)
{
    *p = (struct places){0};
}

static bool places_are_crowded(const struct places *p)
{
    unsigned staying = 0;

    for (size_t i = 0; i < PLACES; i++)
        staying += p->place[i].taken && !p->place[i].leaving;
    return staying >= PLACES - PLACES_LOW;
}

static void evict_idlest(struct places *p)
{
    struct place *idlest = NULL;

    for (size_t i = 0; i < PLACES; i++) {
        struct place *at = &p->place[i];
        if (at->taken && !at->leaving && (!idlest || at->used < idlest->used))
            idlest = at;
    }
    if (!idlest)
        return;
    /* The server owns the descriptor: it sees the end of the stream, and closes it. */
    (void)shutdown(idlest->fd, SHUT_RDWR);
    idlest->leaving = true;
}

struct place *places_enter(struct places *p, int fd)
{
    if (places_are_crowded(p))
        evict_idlest(p);
    for (size_t i = 0; i < PLACES; i++) {
        struct place *at = &p->place[i];
        if (at->taken)
            continue;
        *at = (struct place){.fd = fd, .taken = true, .used = ++p->tick};
        return at;
    }
    return NULL;
}

void places_use(struct places *p, struct place *at)
{
    if (at)
        at->used = ++p->tick;
}

void places_leave(struct place *at)
{
    if (at)
        at->taken = false;
}
