/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/backpressure.h"

#include "base/clock.h"
#include "lib/common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define DECREASE  0.7
#define LIMIT_MAX 1000000u

struct weir_backpressure {
    struct weir_backpressure_options options;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct list watchers;
    double limit;
    uint64_t decreased_ns;
    uint64_t marked_until_ns; /* 0: it is not marked */
    struct weir_backpressure_stats stats;
};

void weir_backpressure_options_init(struct weir_backpressure_options *ret)
{
    *ret = (struct weir_backpressure_options){.size = sizeof(*ret), .limit_min = 1, .limit_max = 64};
}

static bool stage_is_valid(const struct weir_backpressure_options *o)
{
    return o->limit_min >= 1 && o->limit_max >= o->limit_min && o->limit_max <= LIMIT_MAX;
}

struct weir_backpressure *weir_backpressure_new(const struct weir_backpressure_options *options)
{
    struct weir_backpressure_options o;
    pthread_condattr_t monotonic;
    weir_backpressure_options_init(&o);
    if (!common_options(&o, options, sizeof(o), sizeof(o)) || !stage_is_valid(&o)) {
        errno = EINVAL;
        return NULL;
    }
    struct weir_backpressure *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->options = o;
    b->limit = o.limit_max;
    list_init(&b->watchers);
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return b;
}

void weir_backpressure_free(struct weir_backpressure *b)
{
    if (!b)
        return;
    pthread_cond_destroy(&b->more);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* ---- under the lock ---- */

static uint32_t limit_now(struct weir_backpressure *b, uint64_t now_ns)
{
    if (b->marked_until_ns && now_ns < b->marked_until_ns)
        return 0;
    b->marked_until_ns = 0;
    return (uint32_t)b->limit;
}

static void tell_watchers(struct weir_backpressure *b)
{
    pthread_cond_broadcast(&b->more);
    LIST_FOREACH(node, &b->watchers)
    {
        struct stage_watcher *w = LIST_ENTRY(node, struct stage_watcher, node);
        w->more(w);
    }
}

static void stage_judge(struct weir_backpressure *b, uint64_t began_ns, uint64_t now_ns, bool failed)
{
    bool slow = now_ns - began_ns > b->options.target_ns;
    b->stats.slow += slow;
    b->stats.failed += failed;
    if (!slow && !failed) {
        b->limit += 1 / b->limit;
        if (b->limit > b->options.limit_max)
            b->limit = b->options.limit_max;
    } else if (began_ns >= b->decreased_ns) {
        b->limit *= DECREASE;
        if (b->limit < b->options.limit_min)
            b->limit = b->options.limit_min;
        b->decreased_ns = now_ns;
        b->stats.decreases++;
    }
}

/* ---- the stage ---- */

void weir_backpressure_mark(struct weir_backpressure *b, uint64_t for_ns)
{
    pthread_mutex_lock(&b->lock);
    uint64_t now_ns = common_now_ns(&b->options.clock);
    b->marked_until_ns = for_ns < UINT64_MAX - now_ns ? now_ns + for_ns : UINT64_MAX;
    b->stats.marks++;
    tell_watchers(b); /* the end of the mark is theirs to watch */
    pthread_mutex_unlock(&b->lock);
}

void weir_backpressure_clear(struct weir_backpressure *b)
{
    pthread_mutex_lock(&b->lock);
    b->marked_until_ns = 0;
    tell_watchers(b);
    pthread_mutex_unlock(&b->lock);
}

uint64_t weir_backpressure_begin(struct weir_backpressure *b)
{
    pthread_mutex_lock(&b->lock);
    uint64_t now_ns = common_now_ns(&b->options.clock);
    b->stats.running++;
    pthread_mutex_unlock(&b->lock);
    return now_ns;
}

void weir_backpressure_end(struct weir_backpressure *b, uint64_t began_ns, enum weir_outcome outcome)
{
    pthread_mutex_lock(&b->lock);
    uint32_t before = (uint32_t)b->limit;
    b->stats.running--;
    b->stats.calls++;
    if (outcome != WEIR_IGNORED && b->options.target_ns)
        stage_judge(b, began_ns, common_now_ns(&b->options.clock), outcome == WEIR_FAILED);
    if ((uint32_t)b->limit > before)
        tell_watchers(b);
    pthread_cond_signal(&b->more);
    pthread_mutex_unlock(&b->lock);
}

uint32_t weir_backpressure_limit(struct weir_backpressure *b)
{
    uint64_t until_ns;
    return stage_limit(b, &until_ns);
}

/* Waits for a signal, until `until_ns` at most. 0 or -ETIMEDOUT. */
static int stage_sleep(struct weir_backpressure *b, uint64_t until_ns)
{
    if (until_ns == UINT64_MAX)
        return -pthread_cond_wait(&b->more, &b->lock);
    struct timespec t = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    return -pthread_cond_timedwait(&b->more, &b->lock, &t);
}

int weir_backpressure_wait(struct weir_backpressure *b, uint64_t for_ns)
{
    uint64_t real_ns = clock_now_ns();
    uint64_t end_ns = for_ns < UINT64_MAX - real_ns ? real_ns + for_ns : UINT64_MAX;
    int error = 0;
    pthread_mutex_lock(&b->lock);
    while (limit_now(b, common_now_ns(&b->options.clock)) <= b->stats.running) {
        if (clock_now_ns() >= end_ns) {
            error = -ETIMEDOUT;
            break;
        }
        (void)stage_sleep(b, b->marked_until_ns && b->marked_until_ns < end_ns ? b->marked_until_ns : end_ns);
    }
    pthread_mutex_unlock(&b->lock);
    return error;
}

int weir_backpressure_read(struct weir_backpressure *b, struct weir_backpressure_stats *ret)
{
    pthread_mutex_lock(&b->lock);
    struct weir_backpressure_stats s = b->stats;
    s.limit = limit_now(b, common_now_ns(&b->options.clock));
    pthread_mutex_unlock(&b->lock);
    return common_stats(ret, &s, sizeof(s));
}

/* ---- watchers ---- */

void stage_watch(struct weir_backpressure *b, struct stage_watcher *w)
{
    pthread_mutex_lock(&b->lock);
    list_push(&b->watchers, &w->node);
    pthread_mutex_unlock(&b->lock);
}

void stage_unwatch(struct weir_backpressure *b, struct stage_watcher *w)
{
    pthread_mutex_lock(&b->lock);
    list_del(&w->node);
    pthread_mutex_unlock(&b->lock);
}

uint32_t stage_limit(struct weir_backpressure *b, uint64_t *ret_until_ns)
{
    pthread_mutex_lock(&b->lock);
    uint32_t limit = limit_now(b, common_now_ns(&b->options.clock));
    *ret_until_ns = b->marked_until_ns ? b->marked_until_ns : UINT64_MAX;
    pthread_mutex_unlock(&b->lock);
    return limit;
}
