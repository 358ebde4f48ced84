/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/connects.h"

#include "relay/session.h"

void connect_init(struct connect *c, struct session *who)
{
    *c = (struct connect){.who = who};
    list_init(&c->node);
}

static void begin(struct worker_gate *wg, struct connect *c)
{
    struct worker *w = wg->worker;
    c->turn = CONNECT_HAS_TURN;
    c->counts_ns = w->now_ns + CONNECT_NS;
    list_push(&wg->connecting, &c->node);
    wg->connecting_count++;
    if (wg->connect_next.timer.expires_ns == 0)
        timer_arm(&w->timers, &wg->connect_next.timer, c->counts_ns);
}

static void stop_counting(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_HAS_TURN && !list_empty(&c->node))
        wg->connecting_count--;
    list_del(&c->node);
}

static void next(struct worker_gate *wg)
{
    while (wg->connecting_count < CONNECTS_AT_ONCE && !list_empty(&wg->connect_line)) {
        struct connect *c = LIST_ENTRY(list_pop(&wg->connect_line), struct connect, node);
        begin(wg, c);
        session_wake(c->who);
    }
}

bool connects_take(struct worker_gate *wg, struct connect *c)
{
    if (c->turn == CONNECT_NONE) {
        c->turn = CONNECT_WAITS;
        list_push(&wg->connect_line, &c->node);
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

void connects_on_alarm(struct alarm *a)
{
    struct worker_gate *wg = (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, connect_next));
    uint64_t now = wg->worker->now_ns;
    while (!list_empty(&wg->connecting)) {
        struct connect *oldest = LIST_ENTRY(wg->connecting.next, struct connect, node);
        if (oldest->counts_ns > now) {
            timer_arm(&wg->worker->timers, &wg->connect_next.timer, oldest->counts_ns);
            break;
        }
        stop_counting(wg, oldest);
    }
    next(wg);
}
