/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/request_flow.h"

#include "relay/record.h"
#include "zmtp/decoder.h"

#include <stdlib.h>

_Static_assert(CLASS_PRIORITIES <= FAIR_PRIORITIES, "each priority has a line");
_Static_assert(sizeof(struct request_flow) <= REQUEST_FLOW_BYTES, "it is charged to the memory account");

/* Most messages to ask for at once, if the session holds as many. */
#define OFFERED_MOST 256u

static struct session *request_flow_session_of(struct reqlimit_conn *c)
{
    return LIST_ENTRY(c, struct request_flow, conn)->session;
}

static void wake_those_of(struct worker_gate *wg)
{
    struct gate_limiter *g = &wg->gate->limiter;
    gate_limiter_lock(g);
    for (struct list *node; (node = list_pop(&wg->limiter.woken));) {
        struct reqlimit_conn *c = LIST_ENTRY(node, struct reqlimit_conn, woken);
        struct session *s = request_flow_session_of(c);
        s->request_flow->granted += reqlimit_take(c);
        s->flags.in_queue = c->waiter.messages != 0;
        s->flags.in_line = false;
        session_wake(s);
    }
    gate_limiter_unlock(g, wg);
}

void request_flow_wake_all(struct worker *w)
{
    if (!atomic_exchange(&w->signals.turns, false))
        return;
    for (size_t i = 0; i < w->gate_count; i++)
        wake_those_of(&w->gates[i]);
}

/* ---- a session ---- */

static uint64_t source_key(const struct session *s)
{
    const struct source *source = s->source;
    uint64_t words[2] = {source->bits, source->kind};
    return hash_bytes(&s->wg->gate->limiter.key, words, sizeof(words));
}

/* Whether its messages are counted and may be held. Messages to a publisher are subscriptions. */
static bool is_limited(const struct session *s)
{
    return session_limits(s)->concurrency.limit == CONCURRENCY_LIMIT_AUTO && !s->flags.broadcast;
}

static bool has_claims(const struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    bool has = reqlimit_knows(gate_limiter_lock(g), source_key(s));
    pthread_mutex_unlock(&g->lock);
    return has;
}

/* Without memory for it, the session is under no limit. */
static void join(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    const struct classes *classes = s->wg->gate->config->class_table;
    const struct class_info *class = classes ? &classes->at[s->flags.class] : NULL;
    s->request_flow = malloc(sizeof(*s->request_flow));
    s->flags.takes_turns = s->request_flow != NULL;
    if (!s->flags.takes_turns)
        return;
    *s->request_flow = (struct request_flow){.session = s};
    struct reqlimit *l = gate_limiter_lock(g);
    reqlimit_join(l, &s->request_flow->conn, source_key(s), session_now_ns(s));
    if (class)
        reqlimit_class(l, &s->request_flow->conn, class->weight, class->priority);
    if (s->up.traffic.curve)
        reqlimit_count_frames(l);
    gate_limiter_unlock(g, s->wg);
    if (s->down.blocked)
        request_flow_unread(s, true);
}

void request_flow_begin(struct session *s)
{
    s->flags.takes_turns = is_limited(s);
    if (s->flags.takes_turns && has_claims(s))
        join(s);
}

void request_flow_end(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    struct request_flow *a = s->request_flow;
    if (!a)
        return;
    struct reqlimit *l = gate_limiter_lock(g);
    reqlimit_give_back(l, &a->conn, a->granted, session_now_ns(s));
    reqlimit_leave(l, &a->conn, session_now_ns(s));
    gate_limiter_unlock(g, s->wg);
    free(a);
    s->request_flow = NULL;
}

void request_flow_reconsider(struct session *s)
{
    if (s->flags.takes_turns == is_limited(s))
        return;
    request_flow_end(s);
    s->flags.in_line = s->flags.in_queue = s->flags.shed_due = false;
    request_flow_begin(s);
}

uint32_t request_flow_allows(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    if (s->flags.takes_turns && !s->request_flow)
        join(s);
    if (!s->flags.takes_turns)
        return REQUEST_FLOW_UNLIMITED;
    struct request_flow *a = s->request_flow;
    if (a->granted)
        return a->granted;
    if (reqlimit_is_due(&a->conn, session_now_ns(s))) {
        reqlimit_arrive(gate_limiter_lock(g), &a->conn, session_now_ns(s));
        gate_limiter_unlock(g, s->wg);
    }
    return reqlimit_is_free(&g->limit) ? REQUEST_FLOW_UNLIMITED : a->conn.lease;
}

/* The message that waits, and the complete ones behind it. */
static uint32_t messages_there(const struct session *s)
{
    const struct lane *l = &s->up;
    struct bytes ahead = {l->buf + l->scanned, l->end - l->scanned};
    return 1 + zmtp_whole_messages(ahead.at, ahead.len, OFFERED_MOST - 1);
}

static bool line_up(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    struct request_flow *a = s->request_flow;
    struct reqlimit *l = gate_limiter_lock(g);
    a->granted += reqlimit_offer(l, &a->conn, messages_there(s), session_now_ns(s));
    s->flags.in_queue = a->conn.waiter.messages != 0;
    gate_limiter_unlock(g, s->wg);
    s->flags.in_line = a->granted == 0;
    if (!s->flags.in_line)
        return true;
    s->up.held_back = true;
    session_hold(s);
    return false;
}

bool request_flow_passed(struct session *s, const struct traffic_result *r)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    struct request_flow *a = s->request_flow;
    if (!a)
        return true;
    uint32_t of_granted = r->turns < a->granted ? r->turns : a->granted, others = r->turns - of_granted;
    a->granted -= of_granted;
    if (others && !reqlimit_quick(&g->limit, &a->conn, others, session_now_ns(s))) {
        reqlimit_passed(gate_limiter_lock(g), &a->conn, others, session_now_ns(s));
        gate_limiter_unlock(g, s->wg);
    }
    return !r->awaits_turn || line_up(s);
}

/* Whether an application that sends PINGs would drop its client: nobody can answer them in the client's name. Inside
 * CURVE they are not seen. */
static bool is_mute(const struct session *s)
{
    return s->up.traffic.curve || (s->flags.app_listens && traffic_end_waits(&s->up.traffic));
}

/* One message passes regardless of the limiter, and is charged like any other. */
static void pass_one(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    struct request_flow *a = s->request_flow;
    struct reqlimit *l = gate_limiter_lock(g);
    reqlimit_rest(l, &a->conn, session_now_ns(s));
    a->granted += reqlimit_take(&a->conn);
    if (a->granted == 0) {
        reqlimit_passed(l, &a->conn, 1, session_now_ns(s));
        a->granted = 1;
    }
    gate_limiter_unlock(g, s->wg);
    s->flags.in_queue = s->flags.in_line = false;
    session_wake(s);
}

void request_flow_on_alarm(struct session *s)
{
    if (!s->flags.in_line || !is_mute(s))
        return;
    struct reqlimit_hold hold;
    request_flow_hold_of(s, &hold);
    uint64_t most_ns = told_max_pause(s);
    if (hold.waited_ns >= most_ns)
        pass_one(s);
    else
        session_arm(s, session_now_ns(s) + most_ns - hold.waited_ns);
}

void request_flow_rest(struct session *s)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    struct request_flow *a = s->request_flow;
    if (!a || (!s->flags.in_queue && !a->granted))
        return;
    struct reqlimit *l = gate_limiter_lock(g);
    reqlimit_rest(l, &a->conn, session_now_ns(s));
    reqlimit_give_back(l, &a->conn, a->granted + reqlimit_take(&a->conn), session_now_ns(s));
    gate_limiter_unlock(g, s->wg);
    a->granted = 0;
    s->flags.in_queue = s->flags.in_line = false;
}

void request_flow_unread(struct session *s, bool unread)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    if (!s->request_flow)
        return;
    struct reqlimit_conn *c = &s->request_flow->conn;
    reqlimit_unread(c, unread, session_now_ns(s));
    if (!unread || !reqlimit_unread_needs_lock(c, session_now_ns(s)))
        return;
    reqlimit_activate(gate_limiter_lock(g), c, session_now_ns(s));
    gate_limiter_unlock(g, s->wg);
}

bool request_flow_owes(const struct session *s)
{
    const struct request_flow *a = s->request_flow;
    return a && (atomic_load_explicit(&a->conn.in_hand, memory_order_relaxed) != 0 ||
                 atomic_load_explicit(&a->conn.silent, memory_order_relaxed));
}

void request_flow_hold_of(const struct session *s, struct reqlimit_hold *ret)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    *ret = (struct reqlimit_hold){.proof = PROOF_NONE};
    if (!s->request_flow)
        return;
    gate_limiter_lock(g);
    reqlimit_hold_of(&s->request_flow->conn, session_now_ns(s), ret);
    pthread_mutex_unlock(&g->lock);
}

bool request_flow_sheds(struct session *s, uint64_t *ret_again_ns)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    bool sheds = reqlimit_sheds(gate_limiter_lock(g), &s->request_flow->conn, session_now_ns(s), ret_again_ns);
    gate_limiter_unlock(g, s->wg);
    if (sheds)
        s->flags.in_queue = s->flags.in_line = false;
    return sheds;
}

void request_flow_answered(struct session *s, uint32_t n)
{
    struct gate_limiter *g = &s->wg->gate->limiter;
    if (!s->request_flow || !n)
        return;
    struct reqlimit_conn *c = &s->request_flow->conn;
    if (!reqlimit_answer_needs_lock(&g->limit, c, n)) {
        reqlimit_answered(&g->limit, c, n, false, session_now_ns(s));
        return;
    }
    reqlimit_answered(gate_limiter_lock(g), c, n, true, session_now_ns(s));
    gate_limiter_unlock(g, s->wg);
}
