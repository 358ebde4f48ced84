/* SPDX-License-Identifier: MPL-2.0 */
#include "base/clock.h"
#include "lib/common.h"
#include "lib/pool_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_MAX  (1u << 20)
#define FRAMES_MAX 65536u

void weir_pool_options_init(struct weir_pool_options *ret)
{
    *ret = (struct weir_pool_options){
        .size = sizeof(*ret),
        .sources = 4096,
        .queue = 1000,
        .frames = 64,
        .queue_bytes = UINT64_C(64) << 20,
        .shed_interval_ns = 100 * NS_PER_MS,
    };
}

/* Replaces zeros that mean a default. */
static void pool_defaults(struct weir_pool_options *o)
{
    if (!o->workers_min)
        o->workers_min = sizing_cores();
    if (!o->workers_max)
        o->workers_max = o->workers_min;
}

static bool pool_is_valid(const struct weir_pool_options *o)
{
    return o->handler && o->workers_max >= o->workers_min && o->workers_max <= WEIR_POOL_WORKERS_MAX &&
           o->sources >= 1 && o->sources <= QUEUE_MAX && o->queue >= 1 && o->queue <= QUEUE_MAX && o->frames >= 3 &&
           o->frames <= FRAMES_MAX && o->full <= WEIR_POOL_SHED && o->shed_order <= WEIR_POOL_NEWEST_FIRST &&
           o->envelope <= WEIR_POOL_ENVELOPE_ALL && o->peer_property <= WEIR_POOL_PEER_NEVER && o->queue_bytes >= 1 &&
           o->deadline_ns < UINT64_MAX / 4 && o->shed_target_ns < UINT64_MAX / 4 &&
           o->shed_interval_ns < UINT64_MAX / 4;
}

static int pool_busy(struct weir_pool *p)
{
    const struct weir_pool_options *o = &p->options;
    if (!o->busy)
        return 0;
    p->busy = malloc(o->busy_size ? o->busy_size : 1);
    if (!p->busy)
        return -ENOMEM;
    memcpy(p->busy, o->busy, o->busy_size);
    p->socket.busy = p->busy;
    p->socket.busy_size = o->busy_size;
    return 0;
}

static int pool_queue(struct weir_pool *p)
{
    const struct weir_pool_options *o = &p->options;
    struct task_queue_params params = {
        .messages = o->queue,
        .bytes = o->queue_bytes,
        .sources = o->sources,
        .source_running = o->source_workers,
        .codel = {.target_ns = o->shed_target_ns, .interval_ns = o->shed_interval_ns},
        .newest_first = o->shed_order == WEIR_POOL_NEWEST_FIRST,
    };
    return task_queue_init(&p->queue, &params);
}

static void pool_locks(struct weir_pool *p)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&p->age);
    list_init(&p->ended);
}

static void stage_has_more(struct stage_watcher *w)
{
    pool_wake(LIST_ENTRY(w, struct weir_pool, watcher));
}

static int pool_start(struct weir_pool *p)
{
    const struct weir_pool_options *o = &p->options;
    int error = 0;
    p->sizing = (struct sizing){.min = o->workers_min, .max = o->workers_max, .cores = sizing_cores()};
    p->watcher.more = stage_has_more;
    list_init(&p->watcher.node);
    if (o->stage)
        stage_watch(o->stage, &p->watcher);
    pthread_mutex_lock(&p->lock);
    while (!error && p->worker_count < o->workers_min)
        error = pool_worker_start(p);
    pthread_mutex_unlock(&p->lock);
    return error;
}

/* Without its threads. */
static void pool_release(struct weir_pool *p)
{
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p->busy);
    free(p);
}

static struct weir_pool *pool_fail(struct weir_pool *p, int error)
{
    pool_release(p);
    errno = -error;
    return NULL;
}

struct weir_pool *weir_pool_new(void *socket, const struct weir_pool_options *options)
{
    struct weir_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->wake_fd = -1;
    pool_locks(p);
    weir_pool_options_init(&p->options);
    if (!common_options(&p->options, options, sizeof(p->options), sizeof(p->options)))
        return pool_fail(p, -EINVAL);
    pool_defaults(&p->options);
    if (!pool_is_valid(&p->options))
        return pool_fail(p, -EINVAL);
    int error = pool_socket_init(&p->socket, socket);
    if (!error)
        error = pool_busy(p);
    p->socket.frames_most = p->options.frames;
    p->socket.peer_property = (enum weir_pool_peer)p->options.peer_property;
    p->socket.all_before_empty = p->options.envelope == WEIR_POOL_ENVELOPE_ALL;
    p->workers = calloc(p->options.workers_max, sizeof(*p->workers));
    if (!error && !p->workers)
        error = -ENOMEM;
    if (!error && (p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
        error = -errno;
    if (!error)
        error = pool_queue(p);
    if (error)
        return pool_fail(p, error);
    error = pool_start(p);
    if (error) {
        weir_pool_free(p);
        errno = -error;
        return NULL;
    }
    return p;
}

static void pool_join(struct weir_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pool_shed_all(p, clock_now_ns());
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->options.workers_max; i++)
        if (p->workers[i].started)
            pthread_join(p->workers[i].thread, NULL);
}

void weir_pool_free(struct weir_pool *p)
{
    if (!p)
        return;
    pool_join(p);
    if (p->options.stage)
        stage_unwatch(p->options.stage, &p->watcher);
    for (struct list *node; (node = list_pop(&p->ended));)
        task_free(LIST_ENTRY(node, struct weir_task, node));
    task_queue_fini(&p->queue);
    pool_release(p);
}

void weir_pool_stop(struct weir_pool *p, uint64_t within_ns)
{
    uint64_t now_ns = clock_now_ns();
    atomic_store(&p->stop_ns, within_ns < UINT64_MAX - now_ns ? now_ns + within_ns : UINT64_MAX);
    pool_wake(p);
}

int weir_pool_read(struct weir_pool *p, struct weir_pool_stats *ret)
{
    pthread_mutex_lock(&p->lock);
    struct weir_pool_stats s = p->stats;
    s.workers = p->worker_count;
    s.running = p->queue.running;
    s.waiting = p->queue.waiting;
    s.waiting_bytes = p->queue.waiting_bytes;
    s.sources = p->queue.source_count;
    pthread_mutex_unlock(&p->lock);
    return common_stats(ret, &s, sizeof(s));
}
