/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/handover.h"

#include <stdatomic.h>
#include <stddef.h>

static void *_Atomic noted[HANDOVER_MOST]; /* NULL: free */
static _Atomic unsigned end_of_noted;      /* nothing is noted from here on, so that most programs look at nothing */

bool handover_is_on(const void *socket)
{
    for (unsigned i = 0; i < atomic_load(&end_of_noted); i++)
        if (atomic_load(&noted[i]) == socket)
            return true;
    return false;
}

static void take_away(void *socket)
{
    for (unsigned i = 0; i < atomic_load(&end_of_noted); i++) {
        void *its = socket;
        if (atomic_compare_exchange_strong(&noted[i], &its, NULL))
            return;
    }
}

static void reach_to(unsigned end)
{
    unsigned now = atomic_load(&end_of_noted);
    while (now < end && !atomic_compare_exchange_weak(&end_of_noted, &now, end))
        ;
}

static void put(void *socket)
{
    for (unsigned i = 0; i < HANDOVER_MOST; i++) {
        void *none = NULL;
        reach_to(i + 1);
        if (atomic_compare_exchange_strong(&noted[i], &none, socket))
            return;
    }
}

void handover_note(void *socket, bool on)
{
    if (!socket)
        return;
    if (!on)
        take_away(socket);
    else if (!handover_is_on(socket))
        put(socket);
}
