/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/laps.h"

/* A client that was not answered yet has 0. */
void laps_init(struct laps *l)
{
    atomic_store(&l->number, 1);
    l->began_ns = 0;
}

void laps_answer(struct laps *l, struct lap_mark *m, uint64_t asked_ns, uint64_t now_ns)
{
    uint8_t number = atomic_load_explicit(&l->number, memory_order_relaxed);
    if (m->answered == number && asked_ns > l->began_ns) {
        l->began_ns = now_ns;
        atomic_store_explicit(&l->number, ++number, memory_order_relaxed);
    }
    m->answered = number;
}
