/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/unfinished.h"

#include <string.h>

/* The clocks of two workers may differ a little. */
static uint64_t time_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

static bool is_waiting(const struct unfinished_turn *t, uint64_t now_ns)
{
    return t->since_ns != 0 && time_since(t->asked_ns, now_ns) <= UNFINISHED_PATIENCE_NS;
}

static uint64_t unfinished_time_of(uint64_t bytes, uint64_t pace)
{
    double ns = pace ? (double)bytes / (double)pace * (double)NS_PER_S : 0;
    return ns < (double)UNFINISHED_SLOWEST_NS ? (uint64_t)ns : UNFINISHED_SLOWEST_NS;
}

/* The place of the client's source in the line, taken now if it had none. It keeps the best pace and time that any of
 * the source's connections asks with. NULL: the line is full. */
static struct unfinished_turn *unfinished_line_up(struct unfinished *u, struct unfinished_client client, uint64_t bytes,
                                                  uint64_t now_ns)
{
    struct unfinished_turn *empty = NULL;
    uint64_t pace = client.pace ? client.pace : UINT64_MAX, takes_ns = unfinished_time_of(bytes, client.pace);
    for (unsigned i = 0; i < UNFINISHED_TURNS; i++) {
        struct unfinished_turn *t = &u->turns[i];
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
        *empty = (struct unfinished_turn){client.owner, now_ns, now_ns, takes_ns, pace};
    return empty;
}

static bool is_first(const struct unfinished *u, const struct unfinished_turn *mine, uint64_t now_ns)
{
    for (unsigned i = 0; i < UNFINISHED_TURNS; i++) {
        const struct unfinished_turn *t = &u->turns[i];
        if (is_waiting(t, now_ns) && t->since_ns + t->takes_ns < mine->since_ns + mine->takes_ns)
            return false;
    }
    return true;
}

static bool take_pass(struct unfinished *u, struct unfinished_client client, uint64_t bytes, uint64_t now_ns)
{
    uint64_t nobody = 0;
    bool taken = false;
    pthread_mutex_lock(&u->lock);
    struct unfinished_turn *mine = unfinished_line_up(u, client, bytes, now_ns);
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

void unfinished_init(struct unfinished *u)
{
    memset(u, 0, sizeof(*u));
    pthread_mutex_init(&u->lock, NULL);
}

void unfinished_fini(struct unfinished *u)
{
    pthread_mutex_destroy(&u->lock);
}

bool unfinished_take(struct unfinished *u, uint64_t limit_bytes, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&u->bytes, memory_order_relaxed);
    do {
        if (held >= limit_bytes || bytes > limit_bytes - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&u->bytes, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, struct unfinished_client client, uint64_t bytes,
                        uint64_t now_ns)
{
    bool has_pass = atomic_load(&u->pass) == client.id;
    if (!has_pass && unfinished_take(u, limit_bytes, bytes))
        return true;
    if (!has_pass && !take_pass(u, client, bytes, now_ns))
        return false;
    atomic_fetch_add(&u->beyond, bytes);
    return true;
}

/* Only its holder gives the pass back, and no other connection adds to the bytes that go by it. */
void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes)
{
    uint64_t beyond = 0;
    if (atomic_load(&u->pass) == id) {
        beyond = atomic_exchange(&u->beyond, 0);
        atomic_store(&u->pass, 0);
    }
    atomic_fetch_sub_explicit(&u->bytes, bytes - beyond, memory_order_relaxed);
}

void unfinished_end_waits(struct unfinished *u, uint64_t id, uint64_t bytes)
{
    atomic_fetch_add_explicit(&u->ends, bytes, memory_order_relaxed);
    unfinished_release(u, id, bytes);
}

void unfinished_end_goes(struct unfinished *u, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&u->ends, bytes, memory_order_relaxed);
}

uint64_t unfinished_least(struct unfinished *u, uint64_t id, uint64_t least, uint64_t now_ns)
{
    uint64_t fastest = 0, longest_ns = 0;
    if (!unfinished_wanted(u, now_ns, UNFINISHED_PATIENCE_NS))
        return 0;
    pthread_mutex_lock(&u->lock);
    for (unsigned i = 0; i < UNFINISHED_TURNS; i++) {
        const struct unfinished_turn *t = &u->turns[i];
        if (!is_waiting(t, now_ns))
            continue;
        fastest = t->pace > fastest ? t->pace : fastest;
        uint64_t waits_ns = time_since(t->since_ns, now_ns);
        longest_ns = waits_ns > longest_ns ? waits_ns : longest_ns;
    }
    uint64_t held_ns = atomic_load(&u->pass) == id ? time_since(u->pass_ns, now_ns) : UINT64_MAX;
    pthread_mutex_unlock(&u->lock);
    uint64_t most = fastest / 4 > least ? fastest / 4 : least;
    for (uint64_t ns = held_ns < longest_ns ? held_ns : longest_ns; ns >= UNFINISHED_STEP_NS && least < most;
         ns -= UNFINISHED_STEP_NS)
        least = least < most / 4 ? 4 * least : most;
    return fastest == 0 ? 0 : least < most ? least : most;
}

bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns)
{
    uint64_t at_ns = atomic_load_explicit(&u->wanted_ns, memory_order_relaxed);
    return at_ns != 0 && time_since(at_ns, now_ns) < within_ns;
}

uint64_t unfinished_held(const struct unfinished *u)
{
    return atomic_load_explicit(&u->bytes, memory_order_relaxed) +
           atomic_load_explicit(&u->beyond, memory_order_relaxed) + unfinished_ends(u);
}
