/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/taken_page.h"

bool taken_page_read(const struct taken_page *p, uint64_t now_ns, struct taken_view *ret)
{
    if (!p || atomic_load_explicit(&p->magic, memory_order_acquire) != TAKEN_MAGIC ||
        atomic_load_explicit(&p->size, memory_order_relaxed) != sizeof(*p))
        return false;
    struct taken_view v = {.generation = atomic_load(&p->generation)};
    uint64_t beat_ns = atomic_load_explicit(&p->heartbeat_ns, memory_order_relaxed);
    if (!v.generation || (now_ns > beat_ns && now_ns - beat_ns > TAKEN_STALE_NS))
        return false;
    v.taken = atomic_load(&p->taken);
    v.idle_since_ns = atomic_load(&p->idle_since_ns);
    v.empty_polls = atomic_load_explicit(&p->empty_polls, memory_order_relaxed);
    *ret = v;
    return true;
}

bool taken_page_entry(const struct taken_page *p, uint64_t index, uint64_t *ret_at_ns, uint64_t *ret_asked_ns)
{
    if (!p)
        return false;
    const struct taken_entry *e = &p->takes[index % TAKEN_RING];
    if (index >= atomic_load_explicit(&p->taken, memory_order_acquire))
        return false;
    uint64_t at_ns = atomic_load_explicit(&e->at_ns, memory_order_relaxed);
    uint64_t asked_ns = atomic_load_explicit(&e->asked_ns, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&p->taken, memory_order_relaxed) - index >= TAKEN_RING)
        return false;
    *ret_at_ns = at_ns;
    *ret_asked_ns = asked_ns;
    return at_ns != 0;
}

void taken_page_wish(struct taken_page *p, uint64_t wake_taken, bool wake_idle)
{
    atomic_store(&p->wake_taken, wake_taken);
    atomic_store(&p->wake_idle, wake_idle);
}
