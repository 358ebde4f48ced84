/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/linger.h"

#include "relay/record.h"
#include "relay/source_conns.h"
#include "relay/topic_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A source with more than this share of the places waiting for the application's end has to wait while the gate is half
 * full. */
#define SHARE_OF_ONE 16u

/* Places are short when at most this share of them is free. */
#define FREE_SHARE 16u

/* Subscribers that wait to leave should take at most about this share of the places. */
#define LEAVING_SHARE 4u

/* The longest that newcomers of a source wait for that. */
#define PATIENCE_NS NS_PER_S

/* Walking past a byte of topics takes a publisher about as long as sending this many bytes. */
#define KEPT_COSTS 8u

/* How many times faster than subscriptions.removal_rate subscribers leave: while places are short; by its seconds of
 * waiting squared, divided by this. The last is the time after which the first one leaves in any case. */
#define HURRY_FOR_PLACES 64u
#define HURRY_SQUARES    2u
#define LEAVES_WITHIN_NS (30 * NS_PER_S)

/* The longest time between two looks at the pace of leaving, which rises with the time that the first one has
 * waited. */
#define LEAVE_LOOK_NS (100 * NS_PER_MS)

struct lingering {
    struct watch watch;
    struct worker_gate *wg;
    struct source_conns *conns;
    struct source *source;
    struct list in_worker;
    struct list in_gate,
        in_conns; /* in worker_gate.linger_waiting.line and conns.linger_waiting: not reported to the application */
    struct topics topics; /* until it is reported */
    uint64_t left_ns;     /* when its client left */
    uint64_t thrown_away; /* bytes from the application that were discarded */
};

/* ---- the pace of leaving ---- */

static bool is_short(uint32_t taken, uint32_t max)
{
    return taken + max / FREE_SHARE >= max;
}

/* Whether places for connections to the application are short. */
static bool is_crowded(const struct gate *g)
{
    return is_short(atomic_load_explicit(&g->counts.upstream, memory_order_relaxed), atomic_load(&g->counts.max));
}

/* The first subscriber waits to leave: saving for a walk that costs more than the burst starts now. */
static void begin_to_save(struct worker_gate *wg)
{
    gcra_word *word = &wg->gate->removals;
    uint64_t was = atomic_load(word), now = wg->worker->loop.now_ns;
    while (was < now && !atomic_compare_exchange_weak(word, &was, now))
        ;
}

static uint64_t hurry(const struct worker_gate *wg, uint64_t waited_ns)
{
    uint64_t seconds = waited_ns / NS_PER_S, by_time = 1 + seconds * seconds / HURRY_SQUARES;
    return is_crowded(wg->gate) && by_time < HURRY_FOR_PLACES ? HURRY_FOR_PLACES : by_time;
}

/* Whether the application may be told now of the end of a subscriber whose client left at `left_ns`; if so, that is
 * charged. Otherwise *ret_wait_ns says when to ask again, unless the pace rises before. */
static bool may_leave(struct worker_gate *wg, uint64_t left_ns, uint64_t *ret_wait_ns)
{
    struct gate *g = wg->gate;
    uint64_t waited_ns = wg->worker->loop.now_ns - left_ns;
    *ret_wait_ns = 0;
    if (waited_ns >= LEAVES_WITHIN_NS)
        return true;
    uint64_t walk = topic_tree_cost(&g->traffic.topics) / hurry(wg, waited_ns);
    *ret_wait_ns =
        gcra_admit_saved(&g->removals, &wg->policy->limits.subscriptions.removal_rate, walk, wg->worker->loop.now_ns);
    return *ret_wait_ns == 0;
}

/* Whether a subscriber that has left and was sent `sent` bytes since then has cost the publisher more than its end
 * would. */
static bool must_leave(const struct worker_gate *wg, uint64_t sent)
{
    return sent / KEPT_COSTS > topic_tree_cost(&wg->gate->traffic.topics) / TOPIC_NODE_BYTES;
}

/* ---- subscribers leave one after the other ---- */

/* Tells the application. */
static void leave(struct lingering *f)
{
    if (list_empty(&f->in_gate))
        return;
    shutdown(f->watch.fd, SHUT_WR);
    list_del(&f->in_gate);
    list_del(&f->in_conns);
    f->conns->linger_told++;
    atomic_fetch_sub(&f->wg->gate->counts.linger_waiting, 1);
    cell_sub(f->wg->cells, CELL_LEAVING, 1);
    topic_room_give_back(f->wg, f->source, &f->topics);
}

static struct lingering *first_to_leave(const struct worker_gate *wg)
{
    return list_empty(&wg->linger.line) ? NULL : LIST_ENTRY(wg->linger.line.next, struct lingering, in_gate);
}

static void leave_in_turn(struct worker_gate *wg)
{
    uint64_t wait_ns = 0;
    for (struct lingering *f; (f = first_to_leave(wg)) && may_leave(wg, f->left_ns, &wait_ns);)
        leave(f);
    if (wait_ns)
        timer_arm(&wg->worker->loop.timers, &wg->linger.next.timer,
                  wg->worker->loop.now_ns + (wait_ns < LEAVE_LOOK_NS ? wait_ns : LEAVE_LOOK_NS));
}

static void linger_on_alarm(struct alarm *a)
{
    leave_in_turn((struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, linger.next)));
}

void linger_init(struct linger_worker *l)
{
    *l = (struct linger_worker){.next.ring = linger_on_alarm};
    list_init(&l->line);
    timer_init(&l->next.timer);
}

void linger_reconsider(struct worker_gate *wg)
{
    if (!list_empty(&wg->linger.line))
        timer_arm(&wg->worker->loop.timers, &wg->linger.next.timer, wg->worker->loop.now_ns);
}

void linger_hasten(struct worker_gate *wg)
{
    struct lingering *f = first_to_leave(wg);
    if (f)
        leave(f);
}

/* It waits behind those that left before. */
static void wait_to_leave(struct lingering *f, struct session *s)
{
    f->topics = s->topics;
    memset(&s->topics, 0, sizeof(s->topics));
    list_push(&f->wg->linger.line, &f->in_gate);
    list_push(&f->conns->linger_waiting, &f->in_conns);
    f->left_ns = f->wg->worker->loop.now_ns;
    cell_add(f->wg->cells, CELL_LEAVING, 1);
    if (atomic_fetch_add(&f->wg->gate->counts.linger_waiting, 1) == 0)
        begin_to_save(f->wg);
    if (f->wg->linger.next.timer.expires_ns == 0)
        leave_in_turn(f->wg);
}

/* ---- life ---- */

static void linger_end(struct lingering *f)
{
    struct worker *w = f->wg->worker;
    leave(f);
    close(f->watch.fd);
    list_del(&f->in_worker);
    cell_sub(f->wg->cells, CELL_LINGERING, 1);
    f->conns->linger_told--;
    source_conns_discard_if_empty(f->conns);
    source_release(f->source);
    linger_give_back(f->wg);
    account_release(w->account, sizeof(*f));
    free(f);
}

static struct lingering *make(struct session *s)
{
    struct worker *w = s->wg->worker;
    if (!account_charge(w->account, sizeof(struct lingering)))
        return NULL;
    struct lingering *f = calloc(1, sizeof(*f));
    if (!f) {
        account_release(w->account, sizeof(*f));
        return NULL;
    }
    list_init(&f->in_gate);
    list_init(&f->in_conns);
    return f;
}

/* True: the connection is watched on behalf of `f` from now on. */
static bool take_over(struct lingering *f, struct session *s)
{
    /* Level-triggered: reported again while there is something to read. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = f};
    f->watch = (struct watch){.kind = WATCH_LINGERING, .fd = s->back.watch.fd};
    return epoll_ctl(s->wg->worker->loop.epoll_fd, EPOLL_CTL_MOD, f->watch.fd, &e) == 0;
}

void linger_begin(struct session *s)
{
    struct lingering *f = make(s);
    if (!f || !take_over(f, s)) {
        if (f)
            account_release(s->wg->worker->account, sizeof(*f));
        free(f);
        close(s->back.watch.fd);
        linger_give_back(s->wg);
    } else {
        f->wg = s->wg;
        f->conns = s->conns;
        f->source = s->source;
        atomic_fetch_add(&s->source->refs, 1);
        list_push(&s->wg->worker->lingering, &f->in_worker);
        cell_add(s->wg->cells, CELL_LINGERING, 1);
        if (s->up.traffic.subscriber) {
            wait_to_leave(f, s);
        } else {
            s->conns->linger_told++;
            shutdown(f->watch.fd, SHUT_WR);
        }
    }
    s->back.watch.fd = -1;
}

/* One read in each round: an application with much to send to nobody must not hold up others. */
void linger_on_event(struct watch *watch)
{
    struct lingering *f = (struct lingering *)(void *)watch;
    ssize_t n = recv(watch->fd, f->wg->worker->loop.scratch, SCRATCH_READ_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        gate_forget_connection(f->wg->gate, watch->fd);
        linger_end(f);
        return;
    }
    if (n > 0 && !list_empty(&f->in_gate) && must_leave(f->wg, f->thrown_away += (uint64_t)n))
        leave(f);
}

void linger_end_all(struct worker *w)
{
    while (!list_empty(&w->lingering))
        linger_end(LIST_ENTRY(w->lingering.next, struct lingering, in_worker));
}

/* A subscriber that waits to leave keeps no newcomer out. A source whose own subscribers wait gets a place at the pace
 * at which they leave: connecting and leaving again and again gains nothing. */
static void make_place(struct session *s)
{
    struct lingering *f = first_to_leave(s->wg);
    if (f && list_empty(&s->conns->linger_waiting))
        leave(f);
    else
        leave_in_turn(s->wg);
}

/* The more subscribers wait to leave, the fewer may be of one source (Choudhury and Hahne's dynamic threshold, 1998). A
 * source with more connects and leaves again and again, or has just lost many. So it is slowed down, and not kept
 * out. */
static bool should_wait(const struct session *s, uint32_t max)
{
    uint32_t leaving = atomic_load_explicit(&s->wg->gate->counts.linger_waiting, memory_order_relaxed), own = 0;
    uint32_t most = max / LEAVING_SHARE, room = leaving < most ? (most - leaving) / 2 : 0;
    if (leaving == 0 || session_now_ns(s) - s->times.accepted_ns >= PATIENCE_NS)
        return false;
    LIST_FOREACH(n, &s->conns->linger_waiting)
    if (++own > room)
        return true;
    return false;
}

bool linger_take_place(struct session *s)
{
    struct gate *g = s->wg->gate;
    uint32_t max = atomic_load(&g->counts.max);
    if (should_wait(s, max))
        return false;
    uint32_t taken = atomic_fetch_add(&g->counts.upstream, 1);
    if (is_short(taken, max))
        make_place(s);
    if (taken < max / 2 || (taken < max && s->conns->linger_told < max / SHARE_OF_ONE + 1))
        return true;
    atomic_fetch_sub(&g->counts.upstream, 1);
    return false;
}

void linger_give_back(struct worker_gate *wg)
{
    atomic_fetch_sub(&wg->gate->counts.upstream, 1);
}
