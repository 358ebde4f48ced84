/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/stream_budget.h"

#include <string.h>

/* The clocks of two workers may differ a little. */
static uint64_t time_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

static bool is_waiting(const struct stream_budget_turn *t, uint64_t now_ns)
{
    return t->since_ns != 0 && time_since(t->asked_ns, now_ns) <= STREAM_BUDGET_PATIENCE_NS;
}

static uint64_t stream_budget_time_of(uint64_t bytes, uint64_t pace)
{
    double ns = pace ? (double)bytes / (double)pace * (double)NS_PER_S : 0;
    return ns < (double)STREAM_BUDGET_SLOWEST_NS ? (uint64_t)ns : STREAM_BUDGET_SLOWEST_NS;
}

/* The place of the client's source in the line, taken now if it had none. It keeps the best pace and time that any of
 * the source's connections asks with. NULL: the line is full. */
static struct stream_budget_turn *stream_budget_line_up(struct stream_budget *u, struct stream_budget_client client,
                                                        uint64_t bytes, uint64_t now_ns)
{
    struct stream_budget_turn *empty = NULL;
    uint64_t pace = client.pace ? client.pace : UINT64_MAX, takes_ns = stream_budget_time_of(bytes, client.pace);
    for (unsigned i = 0; i < STREAM_BUDGET_TURNS; i++) {
        struct stream_budget_turn *t = &u->turns[i];
        if (!is_waiting(t, now_ns)) {
            empty = t;
        } else if (t->owner == client.owner) {
            t->asked_ns = now_ns;
            t->pace = pace > t->pace ? pace : t->pace;
            t->takes_ns = takes_ns < t->takes_ns ? takes_ns : t->takes_ns;
            return t;
        }
    }
    if (empty)
        *empty = (struct stream_budget_turn){client.owner, now_ns, now_ns, takes_ns, pace};
    return empty;
}

static bool is_first(const struct stream_budget *u, const struct stream_budget_turn *mine, uint64_t now_ns)
{
    for (unsigned i = 0; i < STREAM_BUDGET_TURNS; i++) {
        const struct stream_budget_turn *t = &u->turns[i];
        if (is_waiting(t, now_ns) && t->since_ns + t->takes_ns < mine->since_ns + mine->takes_ns)
            return false;
    }
    return true;
}

static bool take_pass(struct stream_budget *u, struct stream_budget_client client, uint64_t bytes, uint64_t now_ns)
{
    uint64_t nobody = 0;
    bool taken = false;
    pthread_mutex_lock(&u->lock);
    struct stream_budget_turn *mine = stream_budget_line_up(u, client, bytes, now_ns);
    if (mine && is_first(u, mine, now_ns))
        taken = atomic_compare_exchange_strong(&u->pass, &nobody, client.id);
    if (taken) {
        u->pass_ns = now_ns;
        mine->since_ns = 0;
    } else {
        atomic_store_explicit(&u->wanted_ns, now_ns, memory_order_relaxed);
    }
    pthread_mutex_unlock(&u->lock);
    return taken;
}

void stream_budget_init(struct stream_budget *u)
{
    memset(u, 0, sizeof(*u));
    pthread_mutex_init(&u->lock, NULL);
}

void stream_budget_fini(struct stream_budget *u)
{
    pthread_mutex_destroy(&u->lock);
}

bool stream_budget_take(struct stream_budget *u, uint64_t limit_bytes, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&u->bytes, memory_order_relaxed);
    do {
        if (held >= limit_bytes || bytes > limit_bytes - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&u->bytes, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool stream_budget_reserve(struct stream_budget *u, uint64_t limit_bytes, struct stream_budget_client client,
                           uint64_t bytes, uint64_t now_ns)
{
    bool has_pass = atomic_load(&u->pass) == client.id;
    if (!has_pass && stream_budget_take(u, limit_bytes, bytes))
        return true;
    if (!has_pass && !take_pass(u, client, bytes, now_ns))
        return false;
    atomic_fetch_add(&u->beyond, bytes);
    return true;
}

/* Only its holder gives the pass back, and no other connection adds to the bytes that go by it. */
void stream_budget_release(struct stream_budget *u, uint64_t id, uint64_t bytes)
{
    uint64_t beyond = 0;
    if (atomic_load(&u->pass) == id) {
        beyond = atomic_exchange(&u->beyond, 0);
        atomic_store(&u->pass, 0);
    }
    atomic_fetch_sub_explicit(&u->bytes, bytes - beyond, memory_order_relaxed);
}

void stream_budget_end_waits(struct stream_budget *u, uint64_t id, uint64_t bytes)
{
    atomic_fetch_add_explicit(&u->ends, bytes, memory_order_relaxed);
    stream_budget_release(u, id, bytes);
}

void stream_budget_end_goes(struct stream_budget *u, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&u->ends, bytes, memory_order_relaxed);
}

uint64_t stream_budget_least(struct stream_budget *u, uint64_t id, uint64_t least, uint64_t now_ns)
{
    uint64_t fastest = 0, longest_ns = 0;
    if (!stream_budget_wanted(u, now_ns, STREAM_BUDGET_PATIENCE_NS))
        return 0;
    pthread_mutex_lock(&u->lock);
    for (unsigned i = 0; i < STREAM_BUDGET_TURNS; i++) {
        const struct stream_budget_turn *t = &u->turns[i];
        if (!is_waiting(t, now_ns))
            continue;
        fastest = t->pace > fastest ? t->pace : fastest;
        uint64_t waits_ns = time_since(t->since_ns, now_ns);
        longest_ns = waits_ns > longest_ns ? waits_ns : longest_ns;
    }
    uint64_t held_ns = atomic_load(&u->pass) == id ? time_since(u->pass_ns, now_ns) : UINT64_MAX;
    pthread_mutex_unlock(&u->lock);
    uint64_t most = fastest / 4 > least ? fastest / 4 : least;
    for (uint64_t ns = held_ns < longest_ns ? held_ns : longest_ns; ns >= STREAM_BUDGET_STEP_NS && least < most;
         ns -= STREAM_BUDGET_STEP_NS)
        least = least < most / 4 ? 4 * least : most;
    return fastest == 0 ? 0 : least < most ? least : most;
}

bool stream_budget_wanted(const struct stream_budget *u, uint64_t now_ns, uint64_t within_ns)
{
    uint64_t at_ns = atomic_load_explicit(&u->wanted_ns, memory_order_relaxed);
    return at_ns != 0 && time_since(at_ns, now_ns) < within_ns;
}

uint64_t stream_budget_held(const struct stream_budget *u)
{
    return atomic_load_explicit(&u->bytes, memory_order_relaxed) +
           atomic_load_explicit(&u->beyond, memory_order_relaxed) + stream_budget_ends(u);
}
