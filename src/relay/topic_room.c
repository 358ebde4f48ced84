/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/topic_room.h"

#include "relay/record.h"
#include "relay/source_conns.h"

/* How many times faster than subscriptions.removal_rate a subscriber leaves that makes room for others. */
#define HURRY_FOR_ROOM 4u

void topic_room_give_back(struct worker_gate *wg, struct source *source, struct topics *t)
{
    struct traffic_gate *g = &wg->gate->traffic;
    cell_sub(wg->cells, CELL_SUBSCRIPTIONS, t->count);
    topic_tree_release_all(&g->topics, t->slots, t->capacity);
    traffic_topics_give_back(g, source, topics_cost(t));
    topics_clear(t, g->account);
}

/* ---- giving way ---- */

void topic_room_crowd(struct worker_gate *wg)
{
    struct worker *w = wg->worker;
    for (unsigned i = 0; i < w->all_count; i++)
        loop_signal(&w->all[i]->loop, &w->all[i]->signals.crowded);
}

static struct session *with_most_topics(const struct source_conns *p)
{
    struct session *most = NULL;
    LIST_FOREACH(n, &p->sessions)
    {
        struct session *s = LIST_ENTRY(n, struct session, in.conns);
        if (s->topics.count && (!most || topics_cost(&s->topics) >= topics_cost(&most->topics)))
            most = s;
    }
    return most;
}

/* A subscriber that holds less than a share waits for room. Those that have left go first; then one that holds more
 * than a share, here or at another worker. */
bool topic_room_must_make_room(struct worker_gate *wg, struct session **ret)
{
    struct gate *g = wg->gate;
    const struct limits *l = &wg->policy->limits;
    struct source_conns *p = source_conns_with_most_topics(wg, traffic_topics_share(&g->traffic, l));
    uint64_t walk = topic_tree_cost(&g->traffic.topics) / HURRY_FOR_ROOM;
    if ((!p && list_empty(&wg->linger.line)) ||
        gcra_admit_saved(&g->removals, &l->subscriptions.removal_rate, walk, wg->worker->loop.now_ns))
        return false;
    *ret = list_empty(&wg->linger.line) ? with_most_topics(p) : NULL;
    return true;
}
