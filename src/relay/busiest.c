/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/busiest.h"

static uint64_t busiest_sum(const struct gate *g, unsigned workers, enum metric_cell m)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < workers; w++)
        sum += atomic_load_explicit(&g->cells[w].metric[m], memory_order_relaxed);
    return sum;
}

/* What `n` of so much time are in a second. */
static uint64_t in_a_second(uint64_t n, uint64_t elapsed_ns)
{
    return (uint64_t)((double)n * (double)NS_PER_S / (double)elapsed_ns + 0.5);
}

static void raise_to(uint64_t *most, uint64_t n)
{
    if (n > *most)
        *most = n;
}

/* Returns the messages in a second. */
static uint64_t busiest_compare(struct busiest_way *w, uint64_t messages, uint64_t bytes, uint64_t elapsed_ns)
{
    uint64_t passed = messages - w->messages, moved = bytes - w->bytes;
    w->messages = messages;
    w->bytes = bytes;
    if (!elapsed_ns || !passed)
        return 0;
    w->seconds++;
    raise_to(&w->most, in_a_second(passed, elapsed_ns));
    if (passed >= BUSIEST_SIZED)
        raise_to(&w->heaviest, moved / passed);
    return in_a_second(passed, elapsed_ns);
}

void busiest_look(struct busiest *b, const struct gate *g, unsigned workers, uint64_t now_ns)
{
    uint64_t elapsed_ns = b->looked_ns ? now_ns - b->looked_ns : 0;
    if (b->looked_ns && elapsed_ns < BUSIEST_SHORTEST_NS)
        return;
    b->looked_ns = now_ns;
    uint64_t established = atomic_load_explicit(&g->counts.established, memory_order_relaxed);
    uint64_t taken = busiest_sum(g, workers, CELL_COUNTER_TAKEN);
    (void)busiest_compare(&b->in, busiest_sum(g, workers, CELL_MESSAGES_IN), busiest_sum(g, workers, CELL_SENT_IN),
                          elapsed_ns);
    uint64_t out = busiest_compare(&b->out, busiest_sum(g, workers, CELL_MESSAGES_OUT),
                                   busiest_sum(g, workers, CELL_SENT_OUT), elapsed_ns);
    raise_to(&b->connections_most, established);
    if (elapsed_ns)
        raise_to(&b->taken_most, in_a_second(taken - b->taken, elapsed_ns));
    if (established)
        raise_to(&b->each_most, (out + established - 1) / established);
    b->taken = taken;
}

void busiest_report(const struct busiest *b, uint64_t cells[static CELL_COUNT])
{
    cells[CELL_BUSIEST_IN] = b->in.most;
    cells[CELL_BUSIEST_OUT] = b->out.most;
    cells[CELL_BUSIEST_TAKEN] = b->taken_most;
    cells[CELL_BUSIEST_EACH] = b->each_most;
    cells[CELL_HEAVIEST_IN] = b->in.heaviest;
    cells[CELL_HEAVIEST_OUT] = b->out.heaviest;
    cells[CELL_ACTIVE_IN] = b->in.seconds;
    cells[CELL_ACTIVE_OUT] = b->out.seconds;
    cells[CELL_CONNECTIONS_PEAK] = b->connections_most;
}
