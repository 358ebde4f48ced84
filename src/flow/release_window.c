/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/release_window.h"

#include "flow/decay.h"

#define LOST_PART         100u /* 1 / so much of the time may be lost */
#define LOST_PART_PATIENT 20u
#define COST_MOST_NS      1e12

void release_window_init(struct release_window *w, uint64_t now_ns)
{
    *w = (struct release_window){
        .messages = RELEASE_FIRST,
        .cost_ns = 100.0 * NS_PER_US,
        .least = UINT64_MAX,
        .least_cost_ns = COST_MOST_NS,
        .since_ns = now_ns,
        .shrink_at_ns = now_ns + RELEASE_SHRINK_NS,
    };
}

bool release_window_allows(struct release_window *w, uint64_t untaken, bool idle, double untaken_cost_ns,
                           double cost_ns)
{
    w->by_cost = false;
    if (!w->messages)
        return !untaken && idle;
    if (!untaken)
        return true;
    if (untaken >= w->messages)
        return false;
    w->by_cost = untaken_cost_ns + cost_ns > w->cost_ns;
    return !w->by_cost;
}

void release_window_calm(struct release_window *w, double cost_ns)
{
    w->calm_cost_ns = cost_ns;
    if (w->cost_ns < cost_ns)
        w->cost_ns = cost_ns;
}

void release_window_grow(struct release_window *w)
{
    w->grew = true;
    if (w->by_cost && w->messages) {
        w->cost_ns = 2 * w->cost_ns < COST_MOST_NS ? 2 * w->cost_ns : COST_MOST_NS;
        return;
    }
    w->messages = !w->messages ? 1 : w->messages < RELEASE_MOST / 2 ? 2 * w->messages : RELEASE_MOST;
}

/* Grows by what could have been worked on in the lost time, at most to twice the size. A wait in which the released
 * messages were only late (a busy machine) says nothing of what an application can use. */
static void release_window_widen(struct release_window *w)
{
    double lost_ns = (double)w->lost_ns, n = w->calm_cost_ns > 0 ? lost_ns / w->calm_cost_ns : w->messages;
    if (w->by_cost && w->messages && lost_ns < w->cost_ns) {
        w->grew = true;
        w->cost_ns += lost_ns;
    } else if (w->by_cost || n + 1 >= w->messages) {
        release_window_grow(w);
    } else {
        w->grew = true; /* by less than double, or the branch above would have been taken */
        w->messages = w->messages + 1 + n < RELEASE_MOST ? w->messages + 1 + (uint32_t)n : RELEASE_MOST;
    }
}

static void release_window_lose(struct release_window *w, uint64_t until_ns, uint64_t now_ns)
{
    uint64_t span_ns = elapsed_since(w->since_ns, now_ns);
    w->lost_ns += elapsed_since(w->idle_from_ns, until_ns);
    w->idle_from_ns = now_ns;
    if (w->lost_ns <=
        (span_ns > 10 * NS_PER_MS ? span_ns : 10 * NS_PER_MS) / (w->patient ? LOST_PART_PATIENT : LOST_PART))
        return;
    release_window_widen(w);
    w->lost_ns = 0;
    w->since_ns = now_ns;
}

void release_window_look(struct release_window *w, bool starves, uint64_t taken_ns, uint64_t now_ns)
{
    uint64_t until_ns = taken_ns && taken_ns < now_ns ? taken_ns : now_ns;
    if (w->idle && (!starves || taken_ns || elapsed_since(w->idle_from_ns, now_ns) > RELEASE_WAIT_NS))
        release_window_lose(w, until_ns, now_ns);
    if (starves && !w->idle)
        w->idle_from_ns = now_ns;
    w->idle = starves;
}

static void release_window_shrink_cost(struct release_window *w)
{
    double cost_ns = w->cost_ns - w->least_cost_ns / 2;
    w->cost_ns = cost_ns > w->calm_cost_ns ? cost_ns : w->calm_cost_ns;
}

void release_window_shrink(struct release_window *w, uint64_t untaken, double untaken_cost_ns, bool held,
                           uint64_t now_ns)
{
    if (held && untaken < w->least)
        w->least = untaken;
    if (held && untaken_cost_ns < w->least_cost_ns)
        w->least_cost_ns = untaken_cost_ns;
    if (now_ns < w->shrink_at_ns)
        return;
    if (!w->grew && w->least != UINT64_MAX && w->least >= 1) {
        uint64_t by = w->least > 3 ? w->least / 2 : 1;
        w->messages = w->messages > by ? w->messages - (uint32_t)by : 0;
        release_window_shrink_cost(w);
    }
    w->grew = false;
    w->least = UINT64_MAX;
    w->least_cost_ns = COST_MOST_NS;
    w->lost_ns = 0;
    w->since_ns = now_ns;
    w->shrink_at_ns = now_ns + RELEASE_SHRINK_NS;
}
