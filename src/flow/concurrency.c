/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/concurrency.h"

#include <string.h>

/* What one more request in hand adds to the latency, as a share of what it would add if it only queued: above the first
 * the window shrinks, below the second it grows. */
#define MOSTLY_QUEUES 0.6
#define MOSTLY_WORKED 0.3

/* Nearly all of it queues: the window is far too large. */
#define ALL_QUEUES 0.85

static void set(struct concurrency *w, double low)
{
    uint32_t value = low < 1 ? 1 : low > w->most ? w->most : (uint32_t)low;
    w->low = value;
    w->high = value + (value / 3 > 1 ? value / 3 : 1);
    if (w->high > w->most)
        w->high = w->most > w->low ? w->most : w->low;
}

void concurrency_init(struct concurrency *w, uint32_t most)
{
    memset(w, 0, sizeof(*w));
    w->most = most;
    set(w, CONCURRENCY_FIRST);
}

uint32_t concurrency_limit(const struct concurrency *w)
{
    return w->round % 2 ? w->high : w->low;
}

uint32_t concurrency_round(const struct concurrency *w)
{
    return w->round;
}

/* Both values were tried: moves the pair. */
static void adapt(struct concurrency *w, uint64_t low_ns, uint64_t high_ns)
{
    double more = (double)w->high / w->low - 1;
    double queued = more > 0 ? ((double)high_ns / (double)low_ns - 1) / more : 1;
    if (high_ns <= CONCURRENCY_HARMLESS_NS)
        set(w, w->high);
    else if (queued > ALL_QUEUES)
        set(w, w->low * 0.6);
    else if (queued > MOSTLY_QUEUES)
        set(w, w->low * 0.8);
    else if (queued < MOSTLY_WORKED)
        set(w, w->high);
}

static void end_round(struct concurrency *w)
{
    uint64_t mean_ns = w->sum_ns / w->samples;
    mean_ns = mean_ns ? mean_ns : 1;
    if (w->round % 2 == 0)
        w->low_ns = mean_ns;
    else if (w->low_ns && w->contended)
        adapt(w, w->low_ns, mean_ns);
    w->round++;
    w->samples = 0;
    w->sum_ns = 0;
    if (w->round % 2 == 0)
        w->contended = false;
}

void concurrency_sample(struct concurrency *w, uint32_t round, uint64_t latency_ns, bool contended)
{
    w->smooth_ns = w->smooth_ns ? w->smooth_ns - w->smooth_ns / 8 + latency_ns / 8 : latency_ns;
    w->contended |= contended;
    /* Admitted under the other limit. */
    if (round != w->round)
        return;
    w->sum_ns += latency_ns;
    w->samples++;
    if (w->samples >= CONCURRENCY_SAMPLES && w->samples >= concurrency_limit(w) / 2)
        end_round(w);
}
