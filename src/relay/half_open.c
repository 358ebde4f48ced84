/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/half_open.h"

#include "relay/give_way.h"
#include "relay/handshaking.h"
#include "relay/probation.h"
#include "relay/shadow.h"

void half_open_init(struct half_open_worker *e)
{
    *e = (struct half_open_worker){.count = 0};
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        list_init(&e->half_open[i][false]);
        list_init(&e->half_open[i][true]);
    }
}

/* Ends an unfinished handshake for another session, which gets its place at once. */
static void end_for_another(struct session *s, enum verdict v)
{
    session_end(s, v);
    half_open_end(s);
}

/* False: there is no room for the session. */
static bool half_open_make_room(struct session *s)
{
    if (give_way_source_is_full(s))
        end_for_another(give_way_of_source(s->conns), VERDICT_TOO_MANY_HALF_OPEN);
    if (!give_way_is_full(s->wg))
        return true;
    struct session *other = give_way_choose(s->wg, (enum standing)s->flags.standing);
    if (other)
        end_for_another(other, VERDICT_HALF_OPEN_GIVE_WAY);
    return other || s->flags.standing != STANDING_USELESS;
}

/* Lets newcomers in that wait in the kernel. */
static void half_open_go_on(struct worker_gate *wg)
{
    if (!wg->half_open.crowded_out)
        return;
    wg->half_open.crowded_out = false;
    timer_arm(&wg->worker->loop.timers, &wg->accept_again.timer, wg->worker->loop.now_ns);
}

static void wake_each(struct list *half_open)
{
    LIST_FOREACH(n, half_open)
    {
        session_wake(handshaking_session_of(n));
    }
}

void half_open_wake_all(struct worker_gate *wg)
{
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        wake_each(&wg->half_open.half_open[i][false]);
        wake_each(&wg->half_open.half_open[i][true]);
    }
}

/* False: there is no room, and the session has ended. */
static bool let_in(struct session *s)
{
    if (!half_open_make_room(s)) {
        session_end(s, VERDICT_HALF_OPEN_GIVE_WAY);
        return false;
    }
    shadow_half_open(s);
    s->flags.half_open = true;
    list_push(&s->wg->half_open.half_open[s->flags.standing][false], &s->handshaking->in_half_open);
    s->wg->half_open.count++;
    s->times.opened_ns = s->handshaking->moved_ns = session_now_ns(s);
    list_push(&s->conns->half_open, &s->in.waiting);
    atomic_fetch_add(&s->source->half_open, 1);
    atomic_fetch_add(&s->wg->gate->counts.half_open, 1);
    cell_add(session_cells(s), CELL_HALF_OPEN, 1);
    return true;
}

/* Gives the rate's token back: this connection does not count as one that comes to nothing. */
static void give_token_back(struct session *s)
{
    const struct limits *l = session_limits(s);
    gcra_word *word = &s->source->limiters[SOURCE_CONNECTIONS];
    gcra_refund(word, &l->source.connection_rate, 1);
    if (l->shadow)
        gcra_refund(word, &l->shadow->source.connection_rate, 1);
}

static void end_half_open(struct session *s)
{
    if (!s->handshaking->asked && !s->handshaking->token_back)
        give_token_back(s);
    s->wg->half_open.count--;
    s->flags.half_open = false;
    list_del(&s->handshaking->in_half_open);
    list_del(&s->in.waiting);
    atomic_fetch_sub(&s->source->half_open, 1);
    atomic_fetch_sub(&s->wg->gate->counts.half_open, 1);
    cell_sub(session_cells(s), CELL_HALF_OPEN, 1);
    half_open_go_on(s->wg);
}

/* ---- the line ---- */

enum verdict half_open_refuses(struct worker_gate *wg, const struct source *source)
{
    const struct source_conns *p = source_conns_find(wg, source);
    const struct limits *l = wg->policy->for_cohort[gate_cohort(wg->gate, source)];
    uint32_t unproven = p ? p->waiting + atomic_load(&source->half_open) : 0;
    if (!p || p->waiting == 0 ||
        (p->waiting < l->source.half_open && unproven < atomic_load(&wg->gate->counts.max) / 2))
        return VERDICT_PASS;
    return probation_holds(source, l, wg->worker->loop.now_ns) ? VERDICT_PROBATION : VERDICT_OVER_CONNECTION_RATE;
}

/* Gives back the tokens of handshakes that have stood still for HALF_OPEN_OWN_NS before the application was asked. */
static void take_tokens_back(struct source_conns *p)
{
    LIST_FOREACH(n, &p->half_open)
    {
        struct session *s = session_of_waiting(n);
        struct handshaking *o = s->handshaking;
        if (session_now_ns(s) - o->moved_ns < HALF_OPEN_OWN_NS)
            break;
        if (o->asked || o->token_back || !give_way_awaits_client(s))
            continue;
        give_token_back(s);
        o->token_back = true;
    }
}

void half_open_note_asked(struct session *s)
{
    const struct rate *r = &session_limits(s)->source.connection_rate;
    if (s->handshaking->token_back && !rate_is_unlimited(r))
        (void)gcra_charge(&s->source->limiters[SOURCE_CONNECTIONS], r, 1, session_now_ns(s));
    s->handshaking->token_back = false;
    s->handshaking->asked = true;
}

/* Nanoseconds until the rate lets one more of this source in; 0: now, and the token is charged. */
static uint64_t ask_rate(struct session *s)
{
    const struct rate *r = &session_limits(s)->source.connection_rate;
    gcra_word *word = &s->source->limiters[SOURCE_CONNECTIONS];
    uint64_t now_ns = session_now_ns(s);
    uint64_t wait_ns = rate_is_unlimited(r) ? 0 : gcra_admit(word, r, 1, now_ns);
    if (wait_ns == 0)
        return 0;
    take_tokens_back(s->conns);
    return gcra_admit(word, r, 1, now_ns);
}

/* The same for a place among the handshakes of a source on probation. *ret_instead has to end for it. */
static uint64_t ask_place(struct session *s, struct session **ret_instead)
{
    uint64_t now_ns = session_now_ns(s);
    unsigned awaiting;
    *ret_instead = NULL;
    if (!probation_holds(s->source, session_limits(s), now_ns))
        return 0;
    struct session *first = give_way_on_probation(s->conns, &awaiting);
    if (awaiting < HALF_OPEN_PROBATION_PLACES)
        return 0;
    uint64_t until_ns = first->handshaking->moved_ns + HALF_OPEN_TURN_NS;
    if (until_ns > now_ns)
        return until_ns - now_ns;
    *ret_instead = first;
    return 0;
}

/* A process that opens hundreds of sockets at once shakes hands with all of them on one thread. A handshake therefore
 * gives way to a newcomer of its own source only when its client has not moved for HALF_OPEN_OWN_NS. */
static uint64_t ask_own(const struct session *s)
{
    const struct session *own = give_way_own(s);
    uint64_t now_ns = session_now_ns(s);
    if (!own)
        return 0;
    if (!give_way_awaits_client(own))
        return HALF_OPEN_CROWDED_NS;
    return own->handshaking->moved_ns + HALF_OPEN_OWN_NS > now_ns
               ? own->handshaking->moved_ns + HALF_OPEN_OWN_NS - now_ns
               : 0;
}

/* Nanoseconds until this newcomer may come in; 0: now. */
static uint64_t ask(struct session *s)
{
    struct session *instead;
    uint64_t wait_ns = ask_place(s, &instead);
    if (wait_ns == 0)
        wait_ns = ask_own(s);
    if (wait_ns == 0)
        wait_ns = ask_rate(s);
    if (wait_ns == 0 && instead)
        end_for_another(instead, VERDICT_PROBATION);
    return wait_ns;
}

/* The first session of the line that has sent something, else the first. */
static struct session *first_in_line(const struct source_conns *p)
{
    LIST_FOREACH(n, &p->line)
    {
        struct session *s = session_of_waiting(n);
        if (s->front.readable)
            return s;
    }
    return list_empty(&p->line) ? NULL : session_of_waiting(p->line.next);
}

static void leave_line(struct session *s)
{
    s->state = SESSION_NEW;
    list_del(&s->in.waiting);
    s->conns->waiting--;
    cell_sub(session_cells(s), CELL_WAITING, 1);
}

static void wait_in_line(struct session *s)
{
    s->state = SESSION_WAITING;
    list_push(&s->conns->line, &s->in.waiting);
    s->conns->waiting++;
    cell_add(session_cells(s), CELL_WAITING, 1);
    if (!probation_holds(s->source, session_limits(s), session_now_ns(s)))
        session_notice(s, VERDICT_OVER_CONNECTION_RATE, 1);
}

bool half_open_begin(struct session *s)
{
    uint64_t wait_ns = s->conns->waiting ? UINT64_MAX : ask(s);
    if (wait_ns == 0) {
        shadow_newcomer(s);
        return let_in(s);
    }
    wait_in_line(s);
    if (wait_ns != UINT64_MAX)
        session_arm(s, session_now_ns(s) + wait_ns);
    return false;
}

struct session *half_open_next(struct source_conns *p)
{
    for (struct session *first; (first = first_in_line(p));) {
        uint64_t wait_ns = give_way_is_crowded(p->wg) ? HALF_OPEN_CROWDED_NS : ask(first);
        if (wait_ns) {
            session_arm(first, session_now_ns(first) + wait_ns);
            return NULL;
        }
        leave_line(first);
        if (let_in(first))
            return first;
    }
    return NULL;
}

static void look_at_line(struct source_conns *p)
{
    struct session *first = first_in_line(p);
    if (first)
        session_arm(first, p->wg->worker->loop.now_ns);
}

/* A handshake waits for nothing but the application, or it is over: another of the same source may have its place. */
static void give_place(struct session *s)
{
    if (s->conns->waiting)
        look_at_line(s->conns);
}

void half_open_note_turn(struct session *s, bool awaits_app)
{
    if (!s->flags.half_open || s->handshaking->awaits_app == awaits_app)
        return;
    s->handshaking->awaits_app = awaits_app;
    list_del(&s->handshaking->in_half_open);
    list_push(&s->wg->half_open.half_open[s->flags.standing][awaits_app], &s->handshaking->in_half_open);
    if (awaits_app)
        give_place(s);
    else
        half_open_go_on(s->wg);
}

void half_open_note_move(struct session *s)
{
    if (!s->flags.half_open)
        return;
    s->handshaking->moved_ns = session_now_ns(s);
    list_del(&s->in.waiting);
    list_push(&s->conns->half_open, &s->in.waiting);
}

void half_open_done(struct session *s)
{
    give_token_back(s);
}

void half_open_came_to_nothing(struct session *s)
{
    const struct limits *l = session_limits(s);
    uint64_t now_ns = session_now_ns(s);
    if (now_ns - s->times.opened_ns < HALF_OPEN_USED_NS && !rate_is_unlimited(&l->source.connection_rate))
        (void)gcra_charge(&s->source->limiters[SOURCE_CONNECTIONS], &l->source.connection_rate, 1, now_ns);
}

void half_open_end(struct session *s)
{
    if (s->flags.half_open) {
        end_half_open(s);
        give_place(s);
    }
    if (s->state == SESSION_WAITING) {
        leave_line(s);
        look_at_line(s->conns);
    }
}
