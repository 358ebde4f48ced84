/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/conn_slots.h"

#include <stddef.h>
#include <sys/socket.h>

void conn_slots_init(struct conn_slots *p)
{
    *p = (struct conn_slots){0};
}

static bool conn_slots_are_crowded(const struct conn_slots *p)
{
    unsigned staying = 0;

    for (size_t i = 0; i < CONN_SLOTS; i++)
        staying += p->place[i].taken && !p->place[i].leaving;
    return staying >= CONN_SLOTS - CONN_SLOTS_LOW;
}

static void evict_idlest(struct conn_slots *p)
{
    struct conn_slot *idlest = NULL;

    for (size_t i = 0; i < CONN_SLOTS; i++) {
        struct conn_slot *at = &p->place[i];
        if (at->taken && !at->leaving && (!idlest || at->used < idlest->used))
            idlest = at;
    }
    if (!idlest)
        return;
    /* The server owns the descriptor: it sees the end of the stream, and closes it. */
    (void)shutdown(idlest->fd, SHUT_RDWR);
    idlest->leaving = true;
}

struct conn_slot *conn_slots_enter(struct conn_slots *p, int fd)
{
    if (conn_slots_are_crowded(p))
        evict_idlest(p);
    for (size_t i = 0; i < CONN_SLOTS; i++) {
        struct conn_slot *at = &p->place[i];
        if (at->taken)
            continue;
        *at = (struct conn_slot){.fd = fd, .taken = true, .used = ++p->tick};
        return at;
    }
    return NULL;
}

void conn_slots_use(struct conn_slots *p, struct conn_slot *at)
{
    if (at)
        at->used = ++p->tick;
}

void conn_slots_leave(struct conn_slot *at)
{
    if (at)
        at->taken = false;
}
