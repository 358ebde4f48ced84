/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/lag.h"

#include <stddef.h>

/* How long a laggard has to lag before its speed is known. */
#define KNOWN_NS 200000000u

/* More bytes than any memory has. */
#define MOST 1e15

void lag_begin(struct lag *g, struct laggard *l, uint64_t passed, uint64_t now_ns)
{
    l->told = atomic_load_explicit(&g->told, memory_order_relaxed);
    l->passed = passed;
    l->since_ns = now_ns;
}

void lag_tell(struct lag *g, uint64_t bytes, uint32_t subscribers)
{
    uint32_t lagging = atomic_load_explicit(&g->lagging, memory_order_relaxed);
    uint32_t others = subscribers > lagging ? subscribers - lagging : 1;
    atomic_fetch_add_explicit(&g->told, bytes * LAG_UNIT / others, memory_order_relaxed);
}

/* ---- one laggard ---- */

static uint64_t times(uint64_t bytes, double factor)
{
    double product = (double)bytes * factor;
    return product < MOST ? (uint64_t)product : (uint64_t)MOST;
}

/* What a client would have been sent since it began to lag, at the rate before that. `unknown` if it has lagged from
 * the beginning. */
static uint64_t as_before(const struct laggard *l, const struct lag_sent *sent, uint64_t now_ns, uint64_t unknown)
{
    if (l->since_ns <= sent->opened_ns)
        return unknown;
    return times(l->passed, (double)(now_ns - l->since_ns) / (double)(l->since_ns - sent->opened_ns));
}

/* What was published since a client began to lag: what the others were sent, or, where they do not show it, as much as
 * before. */
static uint64_t published(const struct lag *g, const struct laggard *l, const struct lag_sent *sent,
                          uint32_t subscribers, uint64_t now_ns)
{
    uint64_t told = (atomic_load_explicit(&g->told, memory_order_relaxed) - l->told) / LAG_UNIT;
    if (atomic_load_explicit(&g->lagging, memory_order_relaxed) >= subscribers)
        return told + as_before(l, sent, now_ns, 0);
    if (!l->stalled || !atomic_load_explicit(&g->crowded, memory_order_relaxed))
        return told;
    uint64_t alone = as_before(l, sent, now_ns, (uint64_t)MOST);
    return told > alone ? told : alone;
}

void lag_stall(struct lag *g, struct laggard *l, bool stalled)
{
    if (l->stalled == stalled)
        return;
    uint32_t before = atomic_fetch_add_explicit(&g->stalled, stalled ? 1u : UINT32_MAX, memory_order_relaxed);
    if (stalled ? before == LAG_FEW : before == 1)
        atomic_store_explicit(&g->crowded, stalled, memory_order_relaxed);
    l->stalled = stalled;
}

uint64_t lag_published(const struct lag *g, const struct laggard *l, const struct lag_sent *sent, uint32_t subscribers,
                       uint64_t now_ns, bool *ret_full)
{
    uint64_t told = published(g, l, sent, subscribers, now_ns);
    uint64_t taken = sent->bytes - l->passed, behind = told > taken ? told - taken : 0;
    *ret_full = false;
    /* The size of its messages is not known before the first one is complete, only that they are large. */
    if (sent->messages == 0)
        return behind;
    uint64_t most = times(sent->bytes / sent->messages + 1, LAG_QUEUE);
    *ret_full = behind >= most;
    return behind < most ? behind : most;
}

uint64_t lag_answers(const struct lag_sent *sent, uint64_t asked, uint64_t left, uint64_t size, bool *ret_single)
{
    /* The message on its way is counted by what is left of it. */
    uint64_t waiting = asked > sent->messages ? asked - sent->messages : 0;
    if (waiting && left)
        waiting--;
    waiting = waiting < LAG_QUEUE ? waiting : LAG_QUEUE;
    *ret_single = waiting == 0;
    uint64_t mean = sent->messages ? sent->bytes / sent->messages : size;
    return times(mean, (double)waiting) + left;
}

bool lag_is_known(const struct laggard *l, uint64_t now_ns)
{
    return now_ns - l->since_ns >= KNOWN_NS;
}

bool lag_is_long(const struct laggard *l, uint64_t passed, uint64_t waiting, uint64_t now_ns)
{
    double for_ns = (double)(now_ns - l->since_ns);
    return lag_is_known(l, now_ns) && (double)(passed - l->passed) * LAG_DRAIN_S * 1e9 < (double)waiting * for_ns;
}

/* ---- all laggards ---- */

static void lag_sum_change(struct lag_sum *s, uint64_t from, uint64_t to)
{
    if (from != to)
        atomic_fetch_add_explicit(&s->bytes, to - from, memory_order_relaxed);
    if (!from != !to)
        atomic_fetch_add_explicit(&s->count, to ? 1u : UINT32_MAX, memory_order_relaxed);
}

void lag_count(struct lag *g, struct laggard *l, uint64_t bytes, bool first)
{
    bytes = bytes < (uint64_t)MOST ? bytes : (uint64_t)MOST;
    if (l->first)
        lag_sum_change(&g->first, l->held, first ? bytes : 0);
    else if (first)
        lag_sum_change(&g->first, 0, bytes);
    lag_sum_change(&g->all, l->held, bytes);
    l->held = bytes & (UINT64_MAX >> 3); /* always less, which compilers do not see */
    l->first = first;
}

bool lag_gives_way(const struct lag *g, const struct laggard *l, uint64_t waiting, uint64_t most)
{
    const struct lag_sum *s = l->first ? &g->first : &g->all;
    uint64_t all = atomic_load_explicit(&g->all.bytes, memory_order_relaxed);
    uint64_t mine = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&s->count, memory_order_relaxed);
    if (l->single && atomic_load_explicit(&g->all.count, memory_order_relaxed) <= 1)
        return false;
    if (l->first)
        most /= 2;
    else if (atomic_load_explicit(&g->first.count, memory_order_relaxed) != 0)
        return false;
    if (waiting > most)
        return true;
    return all > most && l->held != 0 && (double)l->held * count >= (double)mine;
}
