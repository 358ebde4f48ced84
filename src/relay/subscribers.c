/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/session.h"
#include "relay/subscribers.h"

#include "relay/farewell.h"
#include "relay/peer.h"
#include "relay/record.h"

/* Walking past a byte of topics takes a publisher about as long as sending this many bytes. */
#define KEPT_COSTS 8u

/* How many times faster than subscriptions.removal_rate subscribers leave: while places are short; for a subscriber
 * that makes room for others; by its seconds of waiting squared, divided by this. The last is the time after which the
 * first one leaves in any case. */
#define HURRY_FOR_PLACES 64u
#define HURRY_FOR_ROOM   4u
#define HURRY_SQUARES    2u
#define LEAVES_WITHIN_NS (30 * NS_PER_S)

void subscribers_give_back(struct worker_gate *wg, struct source *source, struct topics *t)
{
    struct traffic_gate *g = &wg->gate->traffic;
    cell_sub(wg->cells, CELL_SUBSCRIPTIONS, t->count);
    topic_tree_release_all(&g->topics, t->slots, t->capacity);
    traffic_topics_give_back(g, source, topics_cost(t));
    topics_clear(t, g->account);
}

/* ---- giving way ---- */

void subscribers_crowd(struct worker_gate *wg)
{
    struct worker *w = wg->worker;
    for (unsigned i = 0; i < w->all_count; i++)
        loop_signal(&w->all[i]->loop, &w->all[i]->crowded);
}

static struct session *with_most_topics(const struct peer *p)
{
    struct session *most = NULL;
    LIST_FOREACH(n, &p->sessions)
    {
        struct session *s = LIST_ENTRY(n, struct session, in_peer);
        if (s->topics.count && (!most || topics_cost(&s->topics) >= topics_cost(&most->topics)))
            most = s;
    }
    return most;
}

/* A subscriber that holds less than a share waits for room. Those that have left go first; then one that holds more
 * than a share, here or at another worker. One at a time, since the publisher walks through all topics for each: a
 * waiting subscriber asks again. */
static void make_room(struct worker_gate *wg)
{
    struct gate *g = wg->gate;
    const struct limits *l = &wg->policy->limits;
    struct peer *p = peer_with_most_topics(wg, traffic_topics_share(&g->traffic, l));
    uint64_t walk = topic_tree_cost(&g->traffic.topics) / HURRY_FOR_ROOM;
    if ((!p && list_empty(&wg->leaving)) ||
        gcra_admit_saved(&g->removals, &l->subscriptions.removal_rate, walk, wg->worker->loop.now_ns))
        return;
    if (farewell_hasten(wg))
        return;
    session_close(with_most_topics(p), VERDICT_TOPICS_GIVE_WAY);
    (void)farewell_hasten(wg);
}

void subscribers_make_room(struct worker *w)
{
    if (!atomic_exchange(&w->crowded, false))
        return;
    for (size_t i = 0; i < w->gate_count; i++)
        make_room(&w->gates[i]);
}

/* ---- leaving ---- */

void subscribers_begin_to_leave(struct worker_gate *wg)
{
    gcra_word *word = &wg->gate->removals;
    uint64_t was = atomic_load(word), now = wg->worker->loop.now_ns;
    while (was < now && !atomic_compare_exchange_weak(word, &was, now))
        ;
}

static uint64_t hurry(const struct worker_gate *wg, uint64_t waited_ns)
{
    uint64_t seconds = waited_ns / NS_PER_S, by_time = 1 + seconds * seconds / HURRY_SQUARES;
    return farewell_is_crowded(wg->gate) && by_time < HURRY_FOR_PLACES ? HURRY_FOR_PLACES : by_time;
}

bool subscribers_may_leave(struct worker_gate *wg, uint64_t left_ns, uint64_t *ret_wait_ns)
{
    struct gate *g = wg->gate;
    uint64_t waited_ns = wg->worker->loop.now_ns - left_ns;
    *ret_wait_ns = 0;
    if (waited_ns >= LEAVES_WITHIN_NS)
        return true;
    uint64_t walk = topic_tree_cost(&g->traffic.topics) / hurry(wg, waited_ns);
    *ret_wait_ns =
        gcra_admit_saved(&g->removals, &wg->policy->limits.subscriptions.removal_rate, walk, wg->worker->loop.now_ns);
    return *ret_wait_ns == 0;
}

bool subscribers_must_leave(const struct worker_gate *wg, uint64_t sent)
{
    return sent / KEPT_COSTS > topic_tree_cost(&wg->gate->traffic.topics) / TOPIC_NODE_BYTES;
}
