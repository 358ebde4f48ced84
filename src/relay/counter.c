/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/counter.h"

#include "base/clock.h"
#include "flow/taken_counter.h"
#include "relay/event_log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct rate wakes = {
    .count = COUNTER_WAKES, .period_ns = NS_PER_S, .burst = COUNTER_WAKES * COUNTER_PAUSE_NS / NS_PER_S};

/* ---- the gate's limiter ---- */

static void counter_look(struct counter *c)
{
    gate_limiter_look(c->wg);
}

/* The previous page is not read any more. */
static void attach(struct counter *c, struct taken_page *page)
{
    gate_limiter_attach(&c->wg->gate->limiter, page);
    counter_look(c);
}

static enum taken_state belief(const struct counter *c)
{
    struct gate_limiter *l = &c->wg->gate->limiter;
    pthread_mutex_lock(&l->lock);
    enum taken_state state = l->limit.counter.state;
    pthread_mutex_unlock(&l->lock);
    return state;
}

/* ---- log and events ---- */

static const char *const sentences[] = {
    [COUNTER_CAME] = "the application's counter is here",
    [COUNTER_WENT] = "the application's counter is gone: until it is back, messages pass as without one",
    [COUNTER_DOUBTED] = "the application's counter contradicts what passes here: it is not believed until the "
                        "application opens it again",
    [COUNTER_REFUSED] = "a second application wants to count, and is refused: the heart of the first one's counter "
                        "beats",
};

void counter_note(struct counter *c, enum counter_notice n, const struct addr *who)
{
    char text[ADDR_TEXT_MAX] = "";
    enum log_level level = n == COUNTER_CAME ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
    if (n != COUNTER_REFUSED)
        event_log_counter(c->wg, sentences[n]);
    if (c->quiet && (n == COUNTER_CAME || n == COUNTER_WENT))
        return;
    if (who)
        addr_format(text, sizeof(text), who);
    LOG_LIMITED(&c->notices[n], c->wg->worker->loop.now_ns, level, "gate %s: %s%s%s", c->wg->gate->config->name,
                sentences[n], who ? " from " : "", text);
}

/* Transitions from nobody to SLOW, and between BELIEVED and SLOW, are not reported. */
static void tell_state(struct counter *c, enum taken_state now)
{
    enum taken_state was = (enum taken_state)c->state;
    c->state = now;
    atomic_store_explicit(&c->wg->gate->counter_state, now, memory_order_relaxed);
    if (now == was)
        return;
    if (now == TAKEN_DOUBTED)
        counter_note(c, COUNTER_DOUBTED, NULL);
    else if (now == TAKEN_ABSENT)
        counter_note(c, COUNTER_WENT, NULL);
    else if (was == TAKEN_ABSENT || was == TAKEN_DOUBTED)
        counter_note(c, COUNTER_CAME, NULL);
}

/* A page cannot make the sum go back or jump. */
static void count_taken(struct counter *c)
{
    struct taken_view v;
    if (!taken_page_read(c->page, c->wg->worker->loop.now_ns, &v))
        return;
    if (v.taken > c->taken && v.taken - c->taken <= UINT32_MAX)
        cell_add(c->wg->cells, CELL_COUNTER_TAKEN, v.taken - c->taken);
    c->taken = v.taken;
}

static void take_stock(struct counter *c)
{
    counter_look(c);
    count_taken(c);
    tell_state(c, belief(c));
}

static void on_look(struct alarm *a)
{
    struct counter *c = COUNTER_OF(look, a);
    take_stock(c);
    timer_arm(&c->wg->worker->loop.timers, &c->look.timer, c->wg->worker->loop.now_ns + COUNTER_LOOK_NS);
}

/* ---- wake-ups ---- */

static void on_wake_again(struct alarm *a)
{
    struct counter *c = COUNTER_OF(wake_again, a);
    loop_watch_again(&c->wg->worker->loop, &c->wake, EPOLLIN);
    counter_look(c);
}

void counter_on_wake(struct counter *c)
{
    struct worker *w = c->wg->worker;
    counter_look(c);
    if (gcra_charge(&c->wakes, &wakes, 1, w->loop.now_ns) == 0)
        return;
    loop_watch_again(&w->loop, &c->wake, 0);
    timer_arm(&w->loop.timers, &c->wake_again.timer, w->loop.now_ns + COUNTER_PAUSE_NS);
}

/* ---- beginning and end ---- */

void counter_init(struct counter *c, struct worker_gate *wg)
{
    *c = (struct counter){.wg = wg};
    c->wake = (struct watch){.kind = WATCH_COUNTER_WAKE, .fd = -1};
    timer_init(&c->look.timer);
    timer_init(&c->wake_again.timer);
    c->look.ring = on_look;
    c->wake_again.ring = on_wake_again;
}

int counter_begin(struct counter *c, struct taken_page *page, int wake_fd)
{
    struct worker *w = c->wg->worker;
    c->wake.fd = wake_fd;
    int error = loop_watch(&w->loop, &c->wake, EPOLLIN);
    if (error < 0) {
        c->wake.fd = -1;
        return error;
    }
    c->page = page;
    c->taken = 0;
    attach(c, page);
    timer_arm(&w->loop.timers, &c->look.timer, w->loop.now_ns);
    return 0;
}

void counter_end(struct counter *c)
{
    if (!c->page)
        return;
    count_taken(c);
    attach(c, NULL);
    munmap(c->page, sizeof(*c->page));
    c->page = NULL;
    timer_disarm(&c->look.timer);
    timer_disarm(&c->wake_again.timer);
    loop_unwatch(&c->wg->worker->loop, &c->wake);
    close(c->wake.fd);
    c->wake.fd = -1;
    take_stock(c);
}

bool counter_lives(const struct counter *c)
{
    struct taken_view v;
    return c->page && (!atomic_load_explicit(&c->page->magic, memory_order_relaxed) ||
                       taken_page_read(c->page, c->wg->worker->loop.now_ns, &v));
}
