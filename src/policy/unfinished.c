/* SPDX-License-Identifier: MPL-2.0 */
#include "policy/unfinished.h"

#include <string.h>

static bool reserve_within(struct unfinished *u, uint64_t limit_bytes, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&u->bytes, memory_order_relaxed);
    do {
        if (held >= limit_bytes || bytes > limit_bytes - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&u->bytes, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* The clocks of two workers may differ a little: nobody gives up in the future. */
static bool is_waiting(const struct unfinished_turn *t, uint64_t now_ns)
{
    return t->since_ns != 0 && (now_ns <= t->asked_ns || now_ns - t->asked_ns <= UNFINISHED_PATIENCE_NS);
}

/* The place of `owner` in the line, taken now if it had none. NULL: the line is full. */
static struct unfinished_turn *line_up(struct unfinished *u, uint64_t owner, uint64_t now_ns)
{
    struct unfinished_turn *empty = NULL;
    for (unsigned i = 0; i < UNFINISHED_TURNS; i++) {
        struct unfinished_turn *t = &u->turns[i];
        if (!is_waiting(t, now_ns)) {
            empty = t;
        } else if (t->owner == owner) {
            t->asked_ns = now_ns;
            return t;
        }
    }
    if (empty)
        *empty = (struct unfinished_turn){owner, now_ns, now_ns};
    return empty;
}

static bool is_first(const struct unfinished *u, const struct unfinished_turn *mine, uint64_t now_ns)
{
    for (unsigned i = 0; i < UNFINISHED_TURNS; i++)
        if (is_waiting(&u->turns[i], now_ns) && u->turns[i].since_ns < mine->since_ns)
            return false;
    return true;
}

static bool take_pass(struct unfinished *u, struct unfinished_client client, uint64_t now_ns)
{
    uint64_t nobody = 0;
    bool taken = false;
    pthread_mutex_lock(&u->lock);
    struct unfinished_turn *mine = line_up(u, client.owner, now_ns);
    if (mine && is_first(u, mine, now_ns))
        taken = atomic_compare_exchange_strong_explicit(&u->pass, &nobody, client.id, memory_order_relaxed,
                                                        memory_order_relaxed);
    if (taken)
        mine->since_ns = 0;
    pthread_mutex_unlock(&u->lock);
    return taken;
}

void unfinished_init(struct unfinished *u)
{
    memset(u, 0, sizeof(*u));
    pthread_mutex_init(&u->lock, NULL);
}

void unfinished_fini(struct unfinished *u)
{
    pthread_mutex_destroy(&u->lock);
}

bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, struct unfinished_client client, uint64_t bytes,
                        uint64_t now_ns)
{
    if (reserve_within(u, limit_bytes, bytes))
        return true;
    if (atomic_load_explicit(&u->pass, memory_order_relaxed) == client.id || take_pass(u, client, now_ns)) {
        atomic_fetch_add_explicit(&u->bytes, bytes, memory_order_relaxed);
        return true;
    }
    atomic_store_explicit(&u->wanted_ns, now_ns, memory_order_relaxed);
    return false;
}

void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes)
{
    uint64_t mine = id;
    atomic_fetch_sub_explicit(&u->bytes, bytes, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&u->pass, &mine, 0, memory_order_relaxed, memory_order_relaxed);
}

bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns)
{
    uint64_t at = atomic_load_explicit(&u->wanted_ns, memory_order_relaxed);
    return at != 0 && now_ns - at < within_ns;
}
