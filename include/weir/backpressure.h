/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_backpressure: a stage behind the application (a database, a disk, another service) that can be overloaded. While
 * it is, what stands in front of it slows down. A weir_pool that has the stage gives it no more tasks than its limit,
 * and what is held back fills the pool's queue; then the pool stops receiving, libzmq's queues fill up to their
 * high-water marks, and TCP holds the clients. With a counter (counter.h) a gate knows it sooner, and holds back those
 * who ask for too much.
 *
 *     uint64_t began_ns = weir_backpressure_begin(database);
 *     int error = query();
 *     weir_backpressure_end(database, began_ns, error ? WEIR_FAILED : WEIR_OK);
 *
 * The stage is overloaded in two ways:
 *
 *   explicitly   weir_backpressure_mark(): nothing begins until it is cleared, or the time is over
 *   by latency   its limit, which is how many tasks may be in it at a time, follows its latency
 *
 *   event                                                                  the limit
 *   a call took longer than `target_ns`, or failed, and had begun after    0.7 times, `limit_min` at least
 *   the last decrease
 *   a call within `target_ns`                                              plus 1 / limit, `limit_max` at most
 *
 * So one slow moment lowers it once, and as many good calls as the limit raise it by one.
 *
 * Threads: any, at any time. A mutex is held for less than a microsecond. Only weir_backpressure_wait() blocks.
 * Memory: 300 bytes, and 32 for each pool that has it. It has to outlive those pools.
 * Source: additive increase, multiplicative decrease: Chiu and Jain, 1989; for concurrency limits by latency, Netflix
 * "concurrency-limits", 2018.
 */
#ifndef WEIR_BACKPRESSURE_H
#define WEIR_BACKPRESSURE_H

#include <weir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_backpressure;

struct weir_backpressure_options {
    size_t size;
    uint64_t target_ns; /* a latency that is acceptable; 0, the default: latency is not looked at */
    uint32_t limit_min; /* at least 1; default 1 */
    uint32_t limit_max; /* at least limit_min; the limit at first; default 64 */
    struct weir_clock clock;
};

struct weir_backpressure_stats {
    size_t size;
    uint32_t limit;               /* tasks that may be in it now; 0: it is marked */
    uint32_t running;             /* calls between begin and end now */
    uint64_t calls, slow, failed; /* since it was made */
    uint64_t decreases, marks;
};

void weir_backpressure_options_init(struct weir_backpressure_options *ret);

/* NULL: EINVAL (an option is out of its range), ENOMEM. `options` may be NULL: the defaults. */
WEIR_MUST_USE struct weir_backpressure *weir_backpressure_new(const struct weir_backpressure_options *options);
void weir_backpressure_free(struct weir_backpressure *b);

/* The stage is overloaded for `for_ns` from now; UINT64_MAX: until it is cleared. A later call replaces an earlier. */
void weir_backpressure_mark(struct weir_backpressure *b, uint64_t for_ns);
void weir_backpressure_clear(struct weir_backpressure *b);

/* Around each call of the stage. begin() refuses nothing: it returns the time, for end(). */
WEIR_MUST_USE uint64_t weir_backpressure_begin(struct weir_backpressure *b);
void weir_backpressure_end(struct weir_backpressure *b, uint64_t began_ns, enum weir_outcome outcome);

/* How many tasks may be in the stage now; 0: none may begin. For a queue of the application's own. */
WEIR_MUST_USE uint32_t weir_backpressure_limit(struct weir_backpressure *b);

/* Blocks until fewer calls than the limit are in the stage. For a thread that produces work without a pool. 0;
 * -ETIMEDOUT after `for_ns` (UINT64_MAX: never), which is measured by CLOCK_MONOTONIC. */
WEIR_MUST_USE int weir_backpressure_wait(struct weir_backpressure *b, uint64_t for_ns);

/* 0; -EINVAL: ret->size is not known. */
int weir_backpressure_read(struct weir_backpressure *b, struct weir_backpressure_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
