/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/entry.h"

#include "relay/opening.h"
#include "relay/shadow.h"

/* Unfinished handshakes, oldest first, among which one is chosen to make room. */
#define OLDEST_LOOKED_AT 16u

/* ---- half-open ---- */

/* Of the oldest unfinished handshakes of the gate, the one whose source has the most: a newcomer of many sources' flood
 * would otherwise push out an honest one that is slower than they turn over. */
static struct session *who_makes_room(const struct list *half_open)
{
    struct session *most = NULL;
    unsigned looked_at = 0;
    LIST_FOREACH(n, half_open)
    {
        struct session *s = LIST_ENTRY(n, struct session, in_half_open);
        if (!most || atomic_load(&s->source->half_open) > atomic_load(&most->source->half_open))
            most = s;
        if (++looked_at == OLDEST_LOOKED_AT)
            break;
    }
    return most;
}

static void make_room(struct session *s)
{
    const struct limits *l = session_limits(s);
    const struct list *of_source = &s->peer->half_open, *of_gate = &s->wg->half_open;
    if (atomic_load(&s->source->half_open) >= l->source.half_open && !list_empty(of_source))
        session_close(LIST_ENTRY(of_source->next, struct session, in_peer_entry), VERDICT_TOO_MANY_HALF_OPEN);
    if (atomic_load(&s->wg->gate->half_open) >= l->connections.half_open && !list_empty(of_gate))
        session_close(who_makes_room(of_gate), VERDICT_HALF_OPEN_GIVE_WAY);
}

static void let_in(struct session *s)
{
    make_room(s);
    shadow_half_open(s);
    s->half_open = true;
    list_push(&s->wg->half_open, &s->in_half_open);
    list_push(&s->peer->half_open, &s->in_peer_entry);
    atomic_fetch_add(&s->source->half_open, 1);
    atomic_fetch_add(&s->wg->gate->half_open, 1);
    cell_add(session_cells(s), CELL_HALF_OPEN, 1);
    opening_start(s);
}

static void end_half_open(struct session *s)
{
    s->half_open = false;
    list_del(&s->in_half_open);
    list_del(&s->in_peer_entry);
    atomic_fetch_sub(&s->source->half_open, 1);
    atomic_fetch_sub(&s->wg->gate->half_open, 1);
    cell_sub(session_cells(s), CELL_HALF_OPEN, 1);
}

/* ---- the line ---- */

bool entry_is_full(struct worker_gate *wg, const struct source *source)
{
    const struct peer *p = peer_find(wg, source);
    return p && p->waiting >= wg->policy->for_lot[gate_lot(wg->gate, source)]->source.half_open;
}

/* Nanoseconds until the rate lets one more of this source in; 0: now, and it is counted. */
static uint64_t ask_rate(struct session *s)
{
    const struct rate *r = &session_limits(s)->source.connection_rate;
    return rate_is_unlimited(r) ? 0 : gcra_admit(&s->source->limiters[SOURCE_CONNECTIONS], r, 1, s->wg->worker->now_ns);
}

static struct session *first_in_line(const struct peer *p)
{
    return list_empty(&p->line) ? NULL : LIST_ENTRY(p->line.next, struct session, in_peer_entry);
}

static void leave_line(struct session *s)
{
    list_del(&s->in_peer_entry);
    s->peer->waiting--;
    cell_sub(session_cells(s), CELL_WAITING, 1);
}

static void wait_in_line(struct session *s)
{
    s->state = SESSION_WAITING;
    list_push(&s->peer->line, &s->in_peer_entry);
    s->peer->waiting++;
    cell_add(session_cells(s), CELL_WAITING, 1);
    session_notice(s, VERDICT_OVER_CONNECTION_RATE, 1);
}

void entry_begin(struct session *s)
{
    uint64_t wait_ns = s->peer->waiting ? UINT64_MAX : ask_rate(s);
    if (wait_ns == 0) {
        shadow_newcomer(s);
        let_in(s);
        return;
    }
    wait_in_line(s);
    if (wait_ns != UINT64_MAX)
        session_arm(s, s->wg->worker->now_ns + wait_ns);
}

void entry_on_alarm(struct session *s)
{
    struct peer *p = s->peer;
    for (struct session *first; (first = first_in_line(p));) {
        uint64_t wait_ns = ask_rate(first);
        if (wait_ns) {
            session_arm(first, first->wg->worker->now_ns + wait_ns);
            return;
        }
        leave_line(first);
        let_in(first);
    }
}

void entry_end(struct session *s)
{
    if (s->half_open)
        end_half_open(s);
    if (s->state != SESSION_WAITING)
        return;
    struct peer *p = s->peer;
    leave_line(s);
    struct session *first = first_in_line(p);
    if (first)
        session_arm(first, s->wg->worker->now_ns);
}
