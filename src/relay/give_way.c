/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/give_way.h"

#include "relay/handshaking.h"

/* The oldest unfinished handshakes, among which one is chosen to make room. */
#define OLDEST_LOOKED_AT 16u

/* A handshake younger than this does not make room: it may not have been looked at yet. */
#define CHANCE_NS (10 * NS_PER_MS)

bool give_way_is_full(const struct worker_gate *wg)
{
    uint32_t share = wg->policy->limits.connections.half_open / (wg->worker->all_count ? wg->worker->all_count : 1);
    return wg->half_open.count >= (share ? share : 1);
}

/* Of the longest unfinished handshakes in a list, the one whose source has the most. Otherwise a newcomer of a flood
 * from many sources would push out an honest one that is slower than they turn over. NULL: none has had its chance. */
static struct session *longest(const struct list *half_open)
{
    struct session *most = NULL;
    unsigned looked_at = 0;
    LIST_FOREACH(n, half_open)
    {
        struct session *s = handshaking_session_of(n);
        if (session_now_ns(s) - s->times.accepted_ns < CHANCE_NS)
            break;
        if (!most || atomic_load(&s->source->half_open) > atomic_load(&most->source->half_open))
            most = s;
        if (++looked_at == OLDEST_LOOKED_AT)
            break;
    }
    return most;
}

struct session *give_way_choose(const struct worker_gate *wg, enum standing newcomer)
{
    for (unsigned i = 0; i < STANDING_COUNT && (i == 0 || newcomer != STANDING_USELESS); i++) {
        const struct list *idle = &wg->half_open.half_open[i][false], *waiting = &wg->half_open.half_open[i][true];
        struct session *s = longest(idle);
        if (s)
            return s;
        if (i < newcomer && !list_empty(waiting))
            return handshaking_session_of(waiting->prev);
    }
    return NULL;
}

bool give_way_is_crowded(const struct worker_gate *wg)
{
    return give_way_is_full(wg) && !give_way_choose(wg, STANDING_STRANGER);
}

struct session *give_way_for_gate(const struct worker_gate *wg)
{
    const struct list *useless = &wg->half_open.half_open[STANDING_USELESS][false];
    const struct list *strangers = &wg->half_open.half_open[STANDING_STRANGER][false];
    if (!list_empty(useless))
        return handshaking_session_of(useless->next);
    if (list_empty(strangers))
        return NULL;
    struct session *s = handshaking_session_of(strangers->next);
    return wg->worker->loop.now_ns - s->times.accepted_ns >= GIVE_WAY_SPARED_NS ? s : NULL;
}

bool give_way_awaits_client(const struct session *s)
{
    return s->state == SESSION_HANDSHAKING && handshake_is_clients_turn(&s->handshaking->handshake) &&
           !s->front.readable;
}

struct session *give_way_on_probation(const struct source_conns *p, unsigned *ret_awaiting)
{
    struct session *first = NULL, *silent = NULL;
    *ret_awaiting = 0;
    LIST_FOREACH(n, &p->half_open)
    {
        struct session *s = session_of_waiting(n);
        if (!give_way_awaits_client(s))
            continue;
        ++*ret_awaiting;
        if (!first)
            first = s;
        if (!silent && handshake_is_silent(&s->handshaking->handshake) &&
            session_now_ns(s) - s->handshaking->moved_ns >= HALF_OPEN_TURN_NS)
            silent = s;
    }
    return silent ? silent : first;
}

struct session *give_way_of_source(const struct source_conns *p)
{
    LIST_FOREACH(n, &p->half_open)
    {
        if (give_way_awaits_client(session_of_waiting(n)))
            return session_of_waiting(n);
    }
    return session_of_waiting(p->half_open.next);
}

bool give_way_source_is_full(const struct session *s)
{
    return atomic_load(&s->source->half_open) >= session_limits(s)->source.half_open &&
           !list_empty(&s->conns->half_open);
}

struct session *give_way_own(const struct session *s)
{
    if (give_way_source_is_full(s))
        return give_way_of_source(s->conns);
    struct session *other = give_way_is_full(s->wg) ? give_way_choose(s->wg, (enum standing)s->flags.standing) : NULL;
    return other && other->source == s->source ? other : NULL;
}
