/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/noted.h"

#include <stdatomic.h>
#include <stddef.h>

static struct noted_sockets {
    void *_Atomic at[NOTED_MOST]; /* NULL: free */
    _Atomic unsigned end;         /* nothing is noted from here on, so that most programs look at nothing */
} tables[NOTED_COUNT];

bool noted_is_on(enum noted what, const void *socket)
{
    struct noted_sockets *t = &tables[what];
    for (unsigned i = 0; i < atomic_load(&t->end); i++)
        if (atomic_load(&t->at[i]) == socket)
            return true;
    return false;
}

static void take_away(struct noted_sockets *t, void *socket)
{
    for (unsigned i = 0; i < atomic_load(&t->end); i++) {
        void *its = socket;
        if (atomic_compare_exchange_strong(&t->at[i], &its, NULL))
            return;
    }
}

static void reach_to(struct noted_sockets *t, unsigned end)
{
    unsigned now = atomic_load(&t->end);
    while (now < end && !atomic_compare_exchange_weak(&t->end, &now, end))
        ;
}

static void put(struct noted_sockets *t, void *socket)
{
    for (unsigned i = 0; i < NOTED_MOST; i++) {
        void *none = NULL;
        reach_to(t, i + 1);
        if (atomic_compare_exchange_strong(&t->at[i], &none, socket))
            return;
    }
}

void noted_set(enum noted what, void *socket, bool on)
{
    if (!socket)
        return;
    if (!on)
        take_away(&tables[what], socket);
    else if (!noted_is_on(what, socket))
        put(&tables[what], socket);
}

void noted_forget(void *socket)
{
    for (unsigned what = 0; what < NOTED_COUNT; what++)
        noted_set((enum noted)what, socket, false);
}
