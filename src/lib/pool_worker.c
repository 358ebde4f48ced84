/* SPDX-License-Identifier: MPL-2.0 */
#include "base/clock.h"
#include "lib/pool_inner.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void pool_wake(const struct weir_pool *p)
{
    uint64_t one = 1;
    int before = errno;
    ssize_t ignored = write(p->wake_fd, &one, sizeof(one));
    (void)ignored;
    errno = before;
}

bool pool_has_room(const struct weir_pool *p)
{
    if (p->options.full == WEIR_POOL_WAIT)
        return !task_queue_is_full(&p->queue);
    return p->queue.waiting <= p->options.queue / 2 && p->queue.waiting_bytes <= p->options.queue_bytes / 2;
}

/* The owner sleeps, and there is something to do for it. */
static void wake_owner(struct weir_pool *p)
{
    bool has_work = !list_empty(&p->ended) || (p->owner_wants_room && pool_has_room(p)) ||
                    atomic_load_explicit(&p->stop_ns, memory_order_relaxed);
    if (!p->owner_sleeps || !has_work)
        return;
    p->owner_sleeps = false; /* once */
    pool_wake(p);
}

bool pool_stage_allows(struct weir_pool *p, uint64_t *ret_until_ns)
{
    *ret_until_ns = UINT64_MAX;
    return !p->options.stage || p->queue.running < stage_limit(p->options.stage, ret_until_ns);
}

void pool_worker_call(struct weir_pool *p)
{
    if (p->idle)
        pthread_cond_signal(&p->work);
}

/* ---- what was shed ---- */

static void count_shed(struct weir_pool *p, const struct weir_task *t, uint64_t now_ns)
{
    uint64_t *const counts[TASK_ENDS] = {[TASK_SHED_DELAY] = &p->stats.shed_delay,
                                         [TASK_SHED_FULL] = &p->stats.shed_full,
                                         [TASK_SHED_DEADLINE] = &p->stats.shed_deadline,
                                         [TASK_SHED_DRAIN] = &p->stats.shed_drain};
    if (counts[t->end])
        ++*counts[t->end];
    if (p->options.meter) {
        weir_meter_queue(p->options.meter, -1);
        weir_meter_shed(p->options.meter, now_ns - t->received_ns);
    }
    weir_counter_asked(p->options.counter);
    weir_counter_took(p->options.counter);
}

void pool_take_shed(struct weir_pool *p, uint64_t now_ns)
{
    for (struct weir_task *t; (t = task_queue_shed(&p->queue));) {
        count_shed(p, t, now_ns);
        list_del(&t->age);
        list_push(&p->ended, &t->node);
    }
    wake_owner(p);
}

void pool_shed_all(struct weir_pool *p, uint64_t now_ns)
{
    LIST_FOREACH_SAFE(node, &p->queue.active)
    {
        struct task_source *s = LIST_ENTRY(node, struct task_source, active);
        while (s->waiting)
            task_queue_drop(&p->queue, LIST_ENTRY(s->tasks.next, struct weir_task, node), TASK_SHED_DRAIN);
    }
    pool_take_shed(p, now_ns);
}

/* ---- a worker ---- */

static struct weir_task *begin_task(struct weir_pool *p)
{
    uint64_t now_ns = clock_now_ns(), until_ns;
    if (!pool_stage_allows(p, &until_ns))
        return NULL;
    struct weir_task *t = task_queue_pop(&p->queue, now_ns);
    pool_take_shed(p, now_ns);
    if (!t)
        return NULL;
    t->running = true;
    t->began_ns = now_ns;
    p->stats.begun++;
    if (p->options.meter)
        weir_meter_queue(p->options.meter, -1);
    weir_counter_asked(p->options.counter);
    weir_counter_took(p->options.counter);
    if (p->idle && !p->queue.waiting) { /* the others still wait */
        weir_counter_asked(p->options.counter);
        weir_counter_found_nothing(p->options.counter, 1);
    }
    if (p->queue.heap_count) /* one more worker may find something */
        pool_worker_call(p);
    return t;
}

/* Waits for a call. False: there was none for a long time. */
static bool worker_sleep(struct weir_pool *p)
{
    uint64_t until_ns = clock_now_ns() + SIZING_IDLE_NS;
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    int error = 0;
    if (!p->queue.waiting)
        weir_counter_found_nothing(p->options.counter, 1);
    p->idle++;
    if (p->worker_count > p->sizing.min)
        error = pthread_cond_timedwait(&p->work, &p->lock, &until);
    else
        pthread_cond_wait(&p->work, &p->lock);
    p->idle--;
    return error != ETIMEDOUT;
}

/* The next task; NULL: the worker ends. */
static struct weir_task *next_task(struct weir_pool *p)
{
    bool is_needed = true;
    weir_counter_asked(p->options.counter);
    for (;;) {
        struct weir_task *t = begin_task(p);
        if (t)
            return t;
        if (p->ending && !p->queue.waiting)
            return NULL;
        if (!is_needed && p->worker_count > p->sizing.min)
            return NULL;
        is_needed = worker_sleep(p);
    }
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0 ? (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec : 0;
}

static void run_task(const struct weir_pool *p, struct weir_task *t)
{
    bool adapts = p->sizing.max > p->sizing.min;
    uint64_t before_ns = adapts ? thread_cpu_ns() : 0;
    t->outcome = p->options.handler(t, p->options.handler_arg);
    t->ended_ns = clock_now_ns();
    t->cpu_ns = adapts ? thread_cpu_ns() - before_ns : 0;
    if (p->options.meter)
        weir_meter_note(p->options.meter, t->outcome, weir_task_waited_ns(t), t->ended_ns - t->began_ns);
}

static void end_task(struct weir_pool *p, struct weir_task *t)
{
    uint64_t took_ns = t->ended_ns - t->began_ns;
    if (p->sizing.max > p->sizing.min)
        sizing_note(&p->sizing, took_ns, t->cpu_ns);
    task_queue_end(&p->queue, t, took_ns);
    p->stats.ok += t->outcome == WEIR_OK;
    p->stats.ignored += t->outcome == WEIR_IGNORED;
    p->stats.failed += t->outcome != WEIR_OK && t->outcome != WEIR_IGNORED;
    t->running = false;
    list_del(&t->age);
    list_push(&p->ended, &t->node);
    wake_owner(p);
}

static void *pool_worker_main(void *arg)
{
    struct pool_worker *w = arg;
    struct weir_pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (struct weir_task *t; (t = next_task(p));) {
        pthread_mutex_unlock(&p->lock);
        run_task(p, t);
        pthread_mutex_lock(&p->lock);
        end_task(p, t);
    }
    w->ended = true;
    p->worker_count--;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_worker_start(struct weir_pool *p)
{
    sigset_t all, before;
    struct pool_worker *w = p->workers;
    while (w->started && !w->ended)
        w++;
    if (w->started)
        pthread_join(w->thread, NULL); /* it has left the lock, and is about to return */
    *w = (struct pool_worker){.pool = p};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, pool_worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return -error;
    w->started = true;
    p->worker_count++;
    return 0;
}
