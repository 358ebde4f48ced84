/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/admission.h"

#include "relay/session.h"
#include "relay/shedding.h"

_Static_assert(CLASS_COUNT_MAX <= sizeof(struct source), "addresses of entries leave room for the class");
_Static_assert(CLASS_PRIORITIES <= TURNS_PRIORITIES, "each priority has a line");

/* What has been with the application for so long, and so many times its mean latency, is taken for answered when the
 * client takes no answers. */
#define EXCUSED_NS    (1 * NS_PER_MS)
#define EXCUSED_MEANS 2u

/* A source that the valve hears of for the first time is given the idle time that its connection may have saved. One
 * whose connections are of several classes (an IPv6 /64 with two networks in it, an entry that stands for many) stands
 * in line once for each. */
static struct turns_client client_of(const struct session *s)
{
    static const struct class_info nobody = {.weight = 1, .priority = CLASS_PRIORITY_DEFAULT};
    const struct classes *classes = s->wg->gate->config->class_table;
    const struct class_info *class = classes ? &classes->at[s->class] : &nobody;
    return (struct turns_client){
        .owner = (uintptr_t)s->source + s->class,
        .age_ns = s->wg->worker->now_ns - s->opened_ns,
        .weight = (uint16_t)(class->weight * TURNS_WEIGHT_ONE),
        .priority = (uint8_t)(class->priority - 1),
    };
}

static struct session *session_of(struct valve_client *c)
{
    return (struct session *)(void *)((char *)c - offsetof(struct session, admission));
}

void admission_wake(struct valve_client *c)
{
    struct worker_gate *wg = session_of(c)->wg;
    list_push(&wg->woken, &c->turn.node);
    /* A worker that is awake looks before it sleeps. */
    if (!atomic_exchange(&wg->worker->turns, true) && atomic_load(&wg->worker->asleep))
        worker_signal(wg->worker, &wg->worker->turns);
}

void admission_wake_all(struct worker *w)
{
    if (!atomic_exchange(&w->turns, false))
        return;
    for (size_t i = 0; i < w->gate_count; i++)
        for (struct valve_client *c; (c = valve_pop(&w->gates[i].gate->valve, &w->gates[i].woken));)
            session_wake(session_of(c));
}

void admission_begin(struct session *s)
{
    valve_client_init(&s->admission);
}

void admission_end(struct session *s)
{
    tenure_leave(s);
    if (s->takes_turns || s->one_way)
        valve_leave(&s->wg->gate->valve, &s->admission, s->wg->worker->now_ns);
}

bool admission_waits(const struct session *s)
{
    return atomic_load_explicit(&s->admission.waits, memory_order_relaxed);
}

bool admission_holds_back(const struct session *s)
{
    return admission_waits(s) || s->tenure.until_ns != 0;
}

bool admission_may_read(struct session *s)
{
    return !admission_waits(s) && (!s->one_way || tenure_allows(s));
}

void admission_wrote(struct session *s, uint64_t bytes, bool blocked)
{
    if (s->one_way)
        tenure_passed(s, bytes, blocked);
}

void admission_line_up(struct session *s)
{
    uint64_t now = s->wg->worker->now_ns;
    struct turns_client who = client_of(s);
    valve_wait(&s->wg->gate->valve, &s->admission, &who, now);
    s->up.held_back = true;
    session_hold(s);
    shedding_look(s);
}

uint32_t admission_allows(struct session *s)
{
    if (s->one_way)
        return tenure_messages(s);
    return s->takes_turns ? valve_allows(&s->wg->gate->valve, &s->admission) : VALVE_UNLIMITED;
}

static void watch(struct session *s)
{
    uint64_t at_ns = valve_look_at(&s->wg->gate->valve, &s->admission, s->wg->worker->now_ns);
    if (at_ns)
        session_arm(s, at_ns);
}

bool admission_passed(struct session *s, const struct traffic_result *r)
{
    struct valve *v = &s->wg->gate->valve;
    uint64_t now = s->wg->worker->now_ns;
    if (r->turns && s->takes_turns) {
        valve_passed(v, &s->admission, r->turns, now);
        watch(s);
        if (s->down.blocked)
            admission_blocked(s);
    }
    if (!r->awaits_turn)
        return true;
    admission_line_up(s);
    return false;
}

void admission_rest(struct session *s)
{
    if (s->one_way)
        tenure_rest(s);
    else if (s->takes_turns)
        valve_rest(&s->wg->gate->valve, &s->admission, s->wg->worker->now_ns);
}

void admission_answered(struct session *s, uint32_t n)
{
    if (s->takes_turns && n)
        valve_answered(&s->wg->gate->valve, &s->admission, n, s->wg->worker->now_ns);
}

/* Its client does not take its answers, so that Weir does not see them: what it has in hand counts for as long as the
 * application needs for it, as with everybody else, and no longer. */
void admission_blocked(struct session *s)
{
    struct valve *v = &s->wg->gate->valve;
    uint64_t now = s->wg->worker->now_ns, asked_ns = s->admission.asked.at_ns;
    if (!s->takes_turns || s->admission.asked.in_hand == 0)
        return;
    uint64_t needed_ns = EXCUSED_MEANS * atomic_load_explicit(&v->answers.mean_ns, memory_order_relaxed);
    uint64_t since_ns = asked_ns > s->laggard.since_ns ? asked_ns : s->laggard.since_ns;
    uint64_t until_ns = since_ns + (needed_ns > EXCUSED_NS ? needed_ns : EXCUSED_NS);
    if (now >= until_ns)
        valve_excuse(v, &s->admission, now);
    else
        session_arm(s, until_ns);
}

void admission_on_alarm(struct session *s)
{
    struct valve *v = &s->wg->gate->valve;
    if (s->down.blocked)
        admission_blocked(s);
    if (s->one_way)
        tenure_on_alarm(s);
    uint64_t at_ns = s->takes_turns ? valve_look(v, &s->admission, s->wg->worker->now_ns) : 0;
    if (at_ns)
        session_arm(s, at_ns);
}
