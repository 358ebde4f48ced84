/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_breaker: a circuit breaker around a call that may fail or become slow (a database, another service). While the
 * other side fails, calls are refused at once instead of each waiting for its time-out.
 *
 *     struct weir_breaker_call call;
 *     if (weir_breaker_enter(breaker, &call) < 0)
 *         return answer_busy();
 *     int error = query_database();
 *     weir_breaker_leave(breaker, &call, error ? WEIR_FAILED : WEIR_OK);
 *
 *   state      event                                                             next
 *   CLOSED     `failures` failures in a row                                      OPEN for `open_ns`
 *   CLOSED     `failure_percent` of the calls of the last `window_ns` failed,    OPEN for `open_ns`
 *              and there were `calls_min` of them
 *   CLOSED     `slow_percent` of them took longer than `slow_ns`, the same       OPEN for `open_ns`
 *   CLOSED     any of these within `slow_start_ns` of closing                    OPEN, the open time doubled
 *   OPEN       the open time is over, and a call comes                           HALF_OPEN
 *   HALF_OPEN  a trial fails or is slow                                          OPEN, the open time doubled
 *   HALF_OPEN  `trials` trials have succeeded                                    CLOSED
 *
 * CLOSED lets all calls through; for `slow_start_ns` after it closed only a growing share of them. HALF_OPEN lets
 * `trials` calls through at a time. OPEN lets none through. The open time doubles up to `open_max_ns`, less a random
 * part of up to a quarter. A call that began before the breaker opened counts no more.
 *
 * Threads: any, at any time. No function blocks, except for a mutex that is held for less than a microsecond.
 * Memory: some 500 bytes; nothing grows.
 * Source: the circuit breaker of Nygard, "Release It!", 2007. Its state machine is the one that the gate has.
 */
#ifndef WEIR_BREAKER_H
#define WEIR_BREAKER_H

#include <weir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_BREAKER_TRIALS_MAX 1000u

struct weir_breaker;

enum weir_breaker_state { WEIR_BREAKER_CLOSED = 0, WEIR_BREAKER_HALF_OPEN = 1, WEIR_BREAKER_OPEN = 2 };

/* Called when the state has changed, by the thread whose call changed it, outside of the mutex. It may call the
 * breaker. Two changes that follow quickly may be reported by two threads at once. */
typedef void weir_breaker_changed(enum weir_breaker_state to, void *arg);

struct weir_breaker_options {
    size_t size;
    uint32_t failures;        /* in a row; 0: they are not looked at; default 5 */
    uint32_t failure_percent; /* 1 to 100; 0: not looked at; default 50 */
    uint32_t slow_percent;    /* 1 to 100; 0: not looked at; default 80 */
    uint32_t calls_min;       /* calls in the window before its percentages count, at least 1; default 20 */
    uint32_t trials;          /* 1 to WEIR_BREAKER_TRIALS_MAX; default 1 */
    uint32_t reserved;
    uint64_t window_ns;     /* at least 10 ns; default 10 s; it moves in steps of a tenth */
    uint64_t slow_ns;       /* a call that takes longer is slow; 0, the default: none is */
    uint64_t open_ns;       /* default 5 s */
    uint64_t open_max_ns;   /* at least open_ns; default 60 s */
    uint64_t slow_start_ns; /* default 0: all calls pass when it has closed */
    weir_breaker_changed *changed;
    void *changed_arg;
    struct weir_clock clock;
};

/* One call. The caller keeps it from weir_breaker_enter() to weir_breaker_leave(), and reads `wait_ns` alone. */
struct weir_breaker_call {
    uint64_t wait_ns; /* after -EAGAIN: to try earlier than this is of no use */
    uint64_t began_ns, place, opened;
};

struct weir_breaker_stats {
    size_t size;
    uint32_t state;                         /* enum weir_breaker_state */
    uint32_t failures_in_row;               /* now */
    uint64_t calls, failures, slow;         /* within the window */
    uint64_t opened, refused, calls_in_all; /* since it was made */
    uint64_t open_until_ns;                 /* 0: it is not open */
};

void weir_breaker_options_init(struct weir_breaker_options *ret);

/* NULL: EINVAL (an option is out of its range), ENOMEM. `options` may be NULL: the defaults. */
WEIR_MUST_USE struct weir_breaker *weir_breaker_new(const struct weir_breaker_options *options);
void weir_breaker_free(struct weir_breaker *b);

/* Asks whether a call may begin. 0: it may, and weir_breaker_leave() has to follow. -EAGAIN: it may not. */
WEIR_MUST_USE int weir_breaker_enter(struct weir_breaker *b, struct weir_breaker_call *ret_call);

/* The call has ended; its time is measured here. Once for each call that was let through. */
void weir_breaker_leave(struct weir_breaker *b, const struct weir_breaker_call *call, enum weir_outcome outcome);

enum weir_breaker_state weir_breaker_state(const struct weir_breaker *b);

/* 0; -EINVAL: ret->size is not known. */
int weir_breaker_read(struct weir_breaker *b, struct weir_breaker_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
