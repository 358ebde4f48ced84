/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/run_queues.h"

#include "relay/connect_pacer.h"
#include "relay/session.h"

/* Time for sessions that move much, before the others are looked at again. */
#define BOUNDED_ROUND_NS (300 * NS_PER_US)

/* Time for sessions that move little. It is enough for hundreds of them, and still bounded, so that new events are
 * seen, and handshakes and floods get their part. */
#define LIGHT_ROUND_NS (5 * NS_PER_MS)

/* The rate of such rounds of handshakes while an application is busy. The handshake of a single newcomer takes about
 * five. */
static const struct rate new_rounds = {.count = 1, .period_ns = NS_PER_MS, .burst = 7};

void run_queues_init(struct run_queues *r)
{
    *r = (struct run_queues){.fresh_at_ns = 0};
    list_init(&r->light);
    list_init(&r->heavy);
    list_init(&r->fresh);
}

/* Gives each session now in the queue one turn, as long as there is time. A session that still has work goes to the
 * end. */
static void serve_queue(struct worker *w, struct list *queue, uint64_t until_ns)
{
    struct list round;
    list_init(&round);
    list_splice(&round, queue);
    while (!list_empty(&round) && w->loop.now_ns < until_ns) {
        session_run(LIST_ENTRY(list_pop(&round), struct session, in.run));
        loop_tick(&w->loop);
    }
    list_splice(&round, queue);
    list_splice(queue, &round);
}

static bool an_application_is_busy(const struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        if (connect_pacer_is_on(&w->gates[i]))
            return true;
    return false;
}

static void run_new(struct worker *w)
{
    if (list_empty(&w->run.fresh) || w->loop.now_ns < w->run.fresh_at_ns)
        return;
    serve_queue(w, &w->run.fresh, w->loop.now_ns + BOUNDED_ROUND_NS);
    bool busy = an_application_is_busy(w);
    w->run.fresh_at_ns = busy ? w->loop.now_ns + gcra_charge(&w->run.rounds, &new_rounds, 1, w->loop.now_ns) : 0;
}

void run_queues_serve(struct worker *w)
{
    serve_queue(w, &w->run.light, w->loop.now_ns + LIGHT_ROUND_NS);
    run_new(w);
    serve_queue(w, &w->run.heavy, w->loop.now_ns + BOUNDED_ROUND_NS);
}
