/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/connect_pacer.h"

#include "relay/record.h"

void connect_init(struct connect *c, struct session *who)
{
    *c = (struct connect){.who = who};
    list_init(&c->node);
}

static void connect_pacer_look_at(struct worker_gate *wg, uint64_t at_ns)
{
    struct timer *t = &wg->connect_pacer.next.timer;
    if (t->expires_ns == 0 || at_ns < t->expires_ns)
        timer_arm(&wg->worker->loop.timers, t, at_ns);
}

static void connect_pacer_begin(struct worker_gate *wg, struct connect *c)
{
    struct worker *w = wg->worker;
    c->turn = CONNECT_HAS_TURN;
    c->counts_ns = w->loop.now_ns + CONNECT_NS;
    wg->connect_pacer.again_ns = w->loop.now_ns + CONNECT_PACE_NS;
    list_push(&wg->connect_pacer.connecting, &c->node);
    wg->connect_pacer.connecting_count++;
    connect_pacer_look_at(wg, c->counts_ns);
}

static void stop_counting(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_HAS_TURN && !list_empty(&c->node))
        wg->connect_pacer.connecting_count--;
    list_del(&c->node);
}

bool connect_pacer_is_on(const struct worker_gate *wg)
{
    return gate_limiter_holds(&wg->gate->limiter);
}

/* The line that is served next; NULL: nobody waits. Good sources go first and useless ones last. Now and then it is the
 * other way round, so that nobody waits for ever. */
static struct list *line_of_turn(struct worker_gate *wg)
{
    bool reversed = wg->connect_pacer.turns % CONNECT_REVERSED == CONNECT_REVERSED - 1;
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        struct list *line = &wg->connect_pacer.line[reversed ? i : STANDING_COUNT - 1 - i];
        if (!list_empty(line))
            return line;
    }
    return NULL;
}

static struct list *connect_pacer_pick(struct worker_gate *wg, struct list *line, bool in_turn)
{
    wg->connect_pacer.turns++;
    if (!in_turn)
        return list_pop(line);
    struct list *node = wg->connect_pacer.oldest ? line->next : line->prev;
    wg->connect_pacer.oldest = !wg->connect_pacer.oldest;
    list_del(node);
    return node;
}

static void next(struct worker_gate *wg)
{
    for (struct list *line; wg->connect_pacer.connecting_count < CONNECT_PACER_AT_ONCE && (line = line_of_turn(wg));) {
        bool paced = connect_pacer_is_on(wg);
        if (paced && wg->worker->loop.now_ns < wg->connect_pacer.again_ns) {
            connect_pacer_look_at(wg, wg->connect_pacer.again_ns);
            return;
        }
        struct connect *c = LIST_ENTRY(connect_pacer_pick(wg, line, paced), struct connect, node);
        connect_pacer_begin(wg, c);
        session_wake(c->who);
    }
}

bool connect_pacer_take(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_NONE) {
        c->turn = CONNECT_WAITS;
        list_push(&wg->connect_pacer.line[c->who->flags.standing], &c->node);
        next(wg);
    }
    return c->turn == CONNECT_HAS_TURN;
}

void connect_pacer_give_back(struct worker_gate *wg, struct connect *c)
{
    stop_counting(wg, c);
    c->turn = CONNECT_NONE;
    next(wg);
}

static void connect_pacer_on_alarm(struct alarm *a)
{
    struct worker_gate *wg =
        (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, connect_pacer.next));
    uint64_t now = wg->worker->loop.now_ns;
    while (!list_empty(&wg->connect_pacer.connecting)) {
        struct connect *oldest = LIST_ENTRY(wg->connect_pacer.connecting.next, struct connect, node);
        if (oldest->counts_ns > now) {
            connect_pacer_look_at(wg, oldest->counts_ns);
            break;
        }
        stop_counting(wg, oldest);
    }
    next(wg);
}

void connect_pacer_init(struct connect_pacer_worker *c)
{
    *c = (struct connect_pacer_worker){.next.ring = connect_pacer_on_alarm};
    for (unsigned i = 0; i < STANDING_COUNT; i++)
        list_init(&c->line[i]);
    list_init(&c->connecting);
    timer_init(&c->next.timer);
}
