/* SPDX-License-Identifier: MPL-2.0 */
/* The owner: the thread that has the socket. */
#include "base/clock.h"
#include "lib/pool_inner.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define BATCH 64u /* messages that are received before anything else is looked at */

/* A full pool that sheds receives BATCH messages in this time. libzmq gives one of each connection in turn, so it sees
 * soon who else has sent something; and a flood that is faster is held by TCP, and costs no processor time. */
#define PACE_NS NS_PER_MS

static bool is_stopped(const struct weir_pool *p)
{
    return atomic_load(&p->stop_ns) != 0;
}

static bool is_out_of_time(const struct weir_pool *p, uint64_t now_ns)
{
    uint64_t stop_ns = atomic_load(&p->stop_ns);
    return stop_ns && now_ns >= stop_ns;
}

/* ---- replies ---- */

static struct weir_task *next_ended(struct weir_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct list *node = list_pop(&p->ended);
    pthread_mutex_unlock(&p->lock);
    return node ? LIST_ENTRY(node, struct weir_task, node) : NULL;
}

/* It is the first again: its reply has to wait. */
static void answer_later(struct weir_pool *p, struct weir_task *t)
{
    pthread_mutex_lock(&p->lock);
    list_push(p->ended.next, &t->node);
    pthread_mutex_unlock(&p->lock);
    p->is_stuck = true;
}

static void count_reply(struct weir_pool *p, const struct weir_task *t, int result)
{
    pthread_mutex_lock(&p->lock);
    p->stats.late += t->answered;
    p->stats.replies += result == 1;
    p->stats.replies_lost += result < 0;
    pthread_mutex_unlock(&p->lock);
}

/* Sends all replies that are ready, and frees their tasks. */
static void answer_all(struct weir_pool *p, uint64_t now_ns)
{
    p->is_stuck = false;
    for (struct weir_task *t; (t = next_ended(p));) {
        int result = t->answered ? 0 : pool_socket_answer(&p->socket, t);
        if (result == -EAGAIN && !is_out_of_time(p, now_ns)) {
            answer_later(p, t);
            return;
        }
        if (result || t->answered)
            count_reply(p, t, result);
        if (!t->answered && p->owed)
            p->owed--;
        task_free(t);
    }
}

/* ---- deadlines ---- */

/* The oldest task whose deadline is over, unless it waits, when it is shed. NULL: there is none. */
static struct weir_task *next_overdue(struct weir_pool *p, uint64_t now_ns)
{
    while (!list_empty(&p->age)) {
        struct weir_task *t = LIST_ENTRY(p->age.next, struct weir_task, age);
        if (t->deadline_ns > now_ns)
            return NULL;
        list_del(&t->age);
        if (t->running && p->options.busy && pool_socket_replies(&p->socket))
            return t;
        if (!t->running)
            task_queue_drop(&p->queue, t, TASK_SHED_DEADLINE);
    }
    return NULL;
}

/* Clients of tasks that run are told that they are late. The tasks cannot go away meanwhile: only the owner frees them.
 */
static void look_at_deadlines(struct weir_pool *p, uint64_t now_ns)
{
    for (struct weir_task *t; (t = next_overdue(p, now_ns));) {
        t->answered = true;
        pthread_mutex_unlock(&p->lock);
        int result = pool_socket_say_busy(&p->socket, t);
        if (p->owed)
            p->owed--;
        pthread_mutex_lock(&p->lock);
        p->stats.replies += result == 1;
        p->stats.replies_lost += result < 0;
    }
}

/* ---- looking after the pool ---- */

static void no_later(uint64_t *alarm_ns, uint64_t at_ns)
{
    if (at_ns < *alarm_ns)
        *alarm_ns = at_ns;
}

static void look_at_workers(struct weir_pool *p, uint64_t now_ns, uint64_t *alarm_ns)
{
    uint64_t until_ns;
    if (!p->queue.waiting)
        return;
    if (!pool_stage_allows(p, &until_ns)) {
        no_later(alarm_ns, until_ns);
        return;
    }
    pool_worker_call(p);
    if (p->idle || p->worker_count >= p->options.workers_max)
        return;
    if (sizing_grows(&p->sizing, p->worker_count, now_ns))
        p->stats.no_thread += pool_worker_start(p) < 0;
    no_later(alarm_ns, now_ns + SIZING_STEP_NS);
}

/* Everything that time brings about. Returns when to look again. */
static uint64_t look(struct weir_pool *p, uint64_t now_ns)
{
    uint64_t alarm_ns = UINT64_MAX, again_ns;
    pthread_mutex_lock(&p->lock);
    look_at_deadlines(p, now_ns);
    task_queue_look(&p->queue, now_ns, &again_ns);
    no_later(&alarm_ns, again_ns);
    pool_take_shed(p, now_ns);
    if (is_out_of_time(p, now_ns))
        pool_shed_all(p, now_ns);
    else if (is_stopped(p))
        no_later(&alarm_ns, atomic_load(&p->stop_ns));
    look_at_workers(p, now_ns, &alarm_ns);
    if (!list_empty(&p->age))
        no_later(&alarm_ns, LIST_ENTRY(p->age.next, struct weir_task, age)->deadline_ns);
    pthread_mutex_unlock(&p->lock);
    return alarm_ns;
}

static bool is_drained(struct weir_pool *p)
{
    if (!is_stopped(p))
        return false;
    pthread_mutex_lock(&p->lock);
    bool drained = !p->queue.waiting && !p->queue.running && list_empty(&p->ended);
    pthread_mutex_unlock(&p->lock);
    return drained;
}

/* ---- receiving ---- */

struct batch {
    struct weir_task *tasks[BATCH];
    char keys[BATCH][WEIR_POOL_KEY_MAX];
    size_t key_sizes[BATCH];
    uint32_t count, most; /* messages */
    uint64_t bytes, bytes_most;
    uint32_t refused;
};

/* Whether a full pool that sheds may receive now. */
static bool is_its_turn(struct weir_pool *p, uint64_t now_ns)
{
    if (p->was_full && now_ns < p->paced_ns && !pool_has_room(p))
        return false;
    p->paced_ns = now_ns + PACE_NS;
    return true;
}

/* How much may be received now. */
static void batch_room(struct weir_pool *p, struct batch *b, uint64_t now_ns)
{
    pthread_mutex_lock(&p->lock);
    bool full = task_queue_is_full(&p->queue), waits = p->options.full == WEIR_POOL_WAIT;
    b->most = BATCH;
    b->bytes_most = UINT64_MAX;
    if (full)
        b->most = !waits && is_its_turn(p, now_ns) ? BATCH : 0;
    else if (waits) {
        b->most = p->options.queue - p->queue.waiting;
        b->bytes_most = p->options.queue_bytes - p->queue.waiting_bytes;
    }
    p->stats.full += waits && full && !p->was_full;
    p->was_full = full;
    pthread_mutex_unlock(&p->lock);
    if (b->most > BATCH)
        b->most = BATCH;
    if (p->is_stuck) /* replies that find no room must not pile up */
        b->most = 0;
    if (p->socket.type == ZMQ_REP)
        b->most = p->owed ? 0 : b->most ? 1 : 0;
}

static void batch_add(struct weir_pool *p, struct batch *b, struct weir_task *t, uint64_t now_ns)
{
    uint32_t i = b->count++;
    b->tasks[i] = t;
    b->bytes += t->bytes;
    b->key_sizes[i] = 0;
    if (p->options.deadline_ns)
        t->deadline_ns = now_ns + p->options.deadline_ns;
    if (p->options.key)
        b->key_sizes[i] = p->options.key(t, b->keys[i], WEIR_POOL_KEY_MAX, p->options.key_arg);
    if (b->key_sizes[i] == 0 || b->key_sizes[i] > WEIR_POOL_KEY_MAX)
        b->key_sizes[i] = pool_socket_key(&p->socket, t, b->keys[i]);
}

static int batch_receive(struct weir_pool *p, struct batch *b, uint64_t now_ns)
{
    while (b->count < b->most && b->bytes < b->bytes_most) {
        struct weir_task *t;
        int error = pool_socket_receive(&p->socket, now_ns, &t);
        if (!error)
            batch_add(p, b, t, now_ns);
        else if (error == -E2BIG || error == -ENOMEM)
            b->refused++;
        else
            return error == -EAGAIN ? 0 : error;
        if (b->refused >= BATCH)
            return 0;
    }
    return 0;
}

/* Under the lock. */
static void batch_push(struct weir_pool *p, struct batch *b, uint64_t now_ns)
{
    p->stats.refused += b->refused;
    for (uint32_t i = 0; i < b->refused; i++) {
        weir_counter_asked(p->options.counter);
        weir_counter_took(p->options.counter);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        struct weir_task *t = b->tasks[i];
        p->stats.received++;
        t->source = task_queue_source(&p->queue, b->keys[i], b->key_sizes[i]);
        if (p->options.meter)
            weir_meter_queue(p->options.meter, 1);
        if (!t->source) { /* no memory */
            t->end = TASK_SHED_FULL;
            list_push(&p->queue.shed, &t->node);
            continue;
        }
        if (t->deadline_ns != UINT64_MAX)
            list_push(&p->age, &t->age);
        task_queue_push(&p->queue, t, p->options.full == WEIR_POOL_SHED, now_ns);
    }
    pool_take_shed(p, now_ns);
    if (b->count)
        pool_worker_call(p);
}

/* Returns how many messages it got. */
static uint32_t owner_receive(struct weir_pool *p, uint64_t now_ns)
{
    struct batch b;
    b.count = b.refused = 0;
    b.bytes = 0;
    if (is_stopped(p))
        return 0;
    batch_room(p, &b, now_ns);
    int error = batch_receive(p, &b, now_ns);
    if (b.count || b.refused) {
        p->owed += b.count;
        pthread_mutex_lock(&p->lock);
        batch_push(p, &b, now_ns);
        pthread_mutex_unlock(&p->lock);
    }
    if (error) {
        p->error = error;
        atomic_store(&p->stop_ns, now_ns);
        return 1; /* go on at once */
    }
    return b.count + b.refused;
}

/* ---- sleeping ---- */

static int timeout_ms(uint64_t now_ns, uint64_t until_ns)
{
    if (until_ns == UINT64_MAX)
        return -1;
    if (until_ns <= now_ns)
        return 0;
    uint64_t ms = (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* False: there is something to do already. */
static bool goes_to_sleep(struct weir_pool *p, bool receives)
{
    pthread_mutex_lock(&p->lock);
    p->owner_wants_room = receives && p->was_full && !p->is_stuck;
    p->owner_sleeps = (list_empty(&p->ended) || p->is_stuck) && !(p->owner_wants_room && pool_has_room(p));
    bool sleeps = p->owner_sleeps;
    pthread_mutex_unlock(&p->lock);
    return sleeps;
}

static void poll_all(struct weir_pool *p, bool receives, int ms)
{
    bool wants = receives && !p->was_full && !p->is_stuck && !(p->socket.type == ZMQ_REP && p->owed);
    short events = (short)((wants ? ZMQ_POLLIN : 0) | (p->is_stuck ? ZMQ_POLLOUT : 0));
    zmq_pollitem_t items[] = {{.fd = p->wake_fd, .events = ZMQ_POLLIN}, {.socket = p->socket.socket, .events = events}};
    struct pollfd wake = {.fd = p->wake_fd, .events = POLLIN};
    if (p->error)
        (void)poll(&wake, 1, ms);
    else if (zmq_poll(items, events ? 2 : 1, ms) < 0 && zmq_errno() != EINTR) {
        p->error = -zmq_errno();
        atomic_store(&p->stop_ns, clock_now_ns());
    }
}

static void owner_sleep(struct weir_pool *p, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t count;
    bool receives = !is_stopped(p);
    if (!goes_to_sleep(p, receives))
        return;
    poll_all(p, receives, timeout_ms(now_ns, until_ns));
    pthread_mutex_lock(&p->lock);
    p->owner_sleeps = false;
    pthread_mutex_unlock(&p->lock);
    ssize_t ignored = read(p->wake_fd, &count, sizeof(count));
    (void)ignored;
}

int weir_pool_run(struct weir_pool *p, uint64_t for_ns)
{
    uint64_t now_ns = clock_now_ns(), end_ns = for_ns < UINT64_MAX - now_ns ? now_ns + for_ns : UINT64_MAX;
    for (;; now_ns = clock_now_ns()) {
        answer_all(p, now_ns);
        uint64_t alarm_ns = look(p, now_ns);
        if (is_drained(p))
            return p->error;
        uint32_t received = owner_receive(p, now_ns);
        if (now_ns >= end_ns)
            return -EAGAIN;
        no_later(&alarm_ns, end_ns);
        if (p->was_full && p->options.full == WEIR_POOL_SHED)
            no_later(&alarm_ns, p->paced_ns);
        if (!received)
            owner_sleep(p, now_ns, alarm_ns);
    }
}
