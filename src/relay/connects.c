/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/connects.h"

#include "relay/record.h"

void connect_init(struct connect *c, struct session *who)
{
    *c = (struct connect){.who = who};
    list_init(&c->node);
}

static void connects_look_at(struct worker_gate *wg, uint64_t at_ns)
{
    struct timer *t = &wg->connects.next.timer;
    if (t->expires_ns == 0 || at_ns < t->expires_ns)
        timer_arm(&wg->worker->loop.timers, t, at_ns);
}

static void connects_begin(struct worker_gate *wg, struct connect *c)
{
    struct worker *w = wg->worker;
    c->turn = CONNECT_HAS_TURN;
    c->counts_ns = w->loop.now_ns + CONNECT_NS;
    wg->connects.again_ns = w->loop.now_ns + CONNECT_PACE_NS;
    list_push(&wg->connects.connecting, &c->node);
    wg->connects.connecting_count++;
    connects_look_at(wg, c->counts_ns);
}

static void stop_counting(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_HAS_TURN && !list_empty(&c->node))
        wg->connects.connecting_count--;
    list_del(&c->node);
}

bool connects_are_paced(const struct worker_gate *wg)
{
    return gate_limiter_holds(&wg->gate->limiter);
}

/* The line that is served next; NULL: nobody waits. Good sources go first and useless ones last. Now and then it is the
 * other way round, so that nobody waits for ever. */
static struct list *line_of_turn(struct worker_gate *wg)
{
    bool reversed = wg->connects.turns % CONNECT_REVERSED == CONNECT_REVERSED - 1;
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        struct list *line = &wg->connects.line[reversed ? i : STANDING_COUNT - 1 - i];
        if (!list_empty(line))
            return line;
    }
    return NULL;
}

static struct list *connects_pick(struct worker_gate *wg, struct list *line, bool in_turn)
{
    wg->connects.turns++;
    if (!in_turn)
        return list_pop(line);
    struct list *node = wg->connects.oldest ? line->next : line->prev;
    wg->connects.oldest = !wg->connects.oldest;
    list_del(node);
    return node;
}

static void next(struct worker_gate *wg)
{
    for (struct list *line; wg->connects.connecting_count < CONNECTS_AT_ONCE && (line = line_of_turn(wg));) {
        bool paced = connects_are_paced(wg);
        if (paced && wg->worker->loop.now_ns < wg->connects.again_ns) {
            connects_look_at(wg, wg->connects.again_ns);
            return;
        }
        struct connect *c = LIST_ENTRY(connects_pick(wg, line, paced), struct connect, node);
        connects_begin(wg, c);
        session_wake(c->who);
    }
}

bool connects_take(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_NONE) {
        c->turn = CONNECT_WAITS;
        list_push(&wg->connects.line[c->who->flags.standing], &c->node);
        next(wg);
    }
    return c->turn == CONNECT_HAS_TURN;
}

void connects_give_back(struct worker_gate *wg, struct connect *c)
{
    stop_counting(wg, c);
    c->turn = CONNECT_NONE;
    next(wg);
}

static void connects_on_alarm(struct alarm *a)
{
    struct worker_gate *wg = (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, connects.next));
    uint64_t now = wg->worker->loop.now_ns;
    while (!list_empty(&wg->connects.connecting)) {
        struct connect *oldest = LIST_ENTRY(wg->connects.connecting.next, struct connect, node);
        if (oldest->counts_ns > now) {
            connects_look_at(wg, oldest->counts_ns);
            break;
        }
        stop_counting(wg, oldest);
    }
    next(wg);
}

void connects_init(struct connects_worker *c)
{
    *c = (struct connects_worker){.next.ring = connects_on_alarm};
    for (unsigned i = 0; i < STANDING_COUNT; i++)
        list_init(&c->line[i]);
    list_init(&c->connecting);
    timer_init(&c->next.timer);
}
