/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The circuit breaker of one application: when the application fails again and again, Weir sends it no newcomers for a
 * while.
 *
 *   state            event                                                     next
 *   CLOSED           `failures` failures of one cause in a row, or a stall     OPEN for `for_ns`
 *   CLOSED           the same, while the slow start lasts                      OPEN, the open time doubled
 *   OPEN             a failure or a stall                                      OPEN, unchanged
 *   OPEN             the open time is over; the next breaker_enter() notes it  HALF_OPEN
 *   OPEN             a greeting or handshake that refutes the cause            HALF_OPEN: the open time ends early
 *   HALF_OPEN        one failure of any cause, or a stall                      OPEN, the open time doubled
 *   HALF_OPEN        a handshake that refutes the cause                        CLOSED, with a slow start
 *   OPEN, HALF_OPEN  bytes taken, if the cause was a stall                     CLOSED, with a slow start
 *
 * What passes:
 *
 *   CLOSED      every newcomer
 *   slow start  CLOSED, for `slow_start_ns` after OPEN: a growing share of the newcomers, and `trials` more at a time
 *   OPEN        no newcomer
 *   HALF_OPEN   `trials` newcomers at a time
 *
 * The open time doubles up to `max_ns`. A random part of it, up to a quarter, is taken off.
 *
 * A sign of life counts as a success only if it refutes the cause. A handshake does not refute a stall: libzmq's own
 * thread shakes hands while the application's thread stands still. Bytes taken after a stall close the breaker at once,
 * because the connections that had to wait were the trial.
 *
 * Locks: none; any thread. State, cause, back-off, trials and time are one atomic word, changed by compare-and-swap. So
 * a transition happens once, and one caller learns of it. `opened` and `failures` are atomics of their own.
 * Units: monotonic nanoseconds, kept in milliseconds. Time and the randomness of the open time are arguments.
 * Memory: 32 bytes a gate; nothing in it grows. A zeroed breaker is closed. The parameters come with each call and may
 * change between calls.
 * Source: the circuit breaker of Nygard, "Release It!", 2007.
 */
#ifndef WEIR_FLOW_BREAKER_H
#define WEIR_FLOW_BREAKER_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The maximum of breaker_params.trials. */
#define BREAKER_TRIALS_MAX 1000u

/* A newcomer that finds no place among the trials asks again after this time, or earlier when the state changes. */
#define BREAKER_ASK_AGAIN_NS (200 * NS_PER_MS)

/* The values of the metric weir_breaker_state. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

enum breaker_cause {
    BREAKER_CONNECT,   /* the application could not be reached, or did not show its greeting */
    BREAKER_HANDSHAKE, /* it showed its greeting, and then broke off or violated the protocol */
    BREAKER_STALL,     /* it took no bytes for too long */
    BREAKER_CAUSES
};

/* What a call changed. Each change is reported to one caller only. */
enum breaker_change { BREAKER_UNCHANGED, BREAKER_NOW_OPEN, BREAKER_NOW_HALF_OPEN, BREAKER_NOW_CLOSED };

struct breaker_params {
    uint32_t failures; /* of one cause in a row that open the breaker; 0: failures never open it */
    uint32_t trials;   /* 1 to BREAKER_TRIALS_MAX */
    uint64_t for_ns;   /* the first open time; max_ns: the longest */
    uint64_t max_ns;
    uint64_t slow_start_ns; /* from closing until every newcomer passes again; 0: at once */
};

struct breaker {
    _Atomic uint64_t word;                     /* see breaker.c */
    _Atomic uint64_t opened;                   /* how often it opened */
    _Atomic uint32_t failures[BREAKER_CAUSES]; /* in a row, while closed */
};

/* The answer to a newcomer. */
struct breaker_answer {
    bool go;
    uint64_t place;   /* go: a place among the trials, to be returned by breaker_leave(); 0: none was needed */
    uint64_t wait_ns; /* !go: ask again after this, or when the state has changed */
    enum breaker_change change;
};

/* Decides whether a newcomer may pass. `ticket` sets its turn in a slow start: it is random among newcomers, and the
 * same each time that this newcomer asks. */
MUST_USE struct breaker_answer breaker_enter(struct breaker *b, const struct breaker_params *p, uint32_t ticket,
                                             uint64_t now_ns);

/* Gives back a place, however the trial ended; the outcome is reported separately, by the functions below. A place of
 * an earlier state is void; 0 is no place. */
void breaker_leave(struct breaker *b, uint64_t place);

/* ---- events of the application; `random` (64 bits) spreads the open times of many gates ---- */

/* A connect failed, or the application failed its side of a handshake. */
enum breaker_change breaker_on_failure(struct breaker *b, const struct breaker_params *p, enum breaker_cause cause,
                                       uint64_t now_ns, uint64_t random);

/* The application has taken no bytes for too long. One stall opens the breaker. */
enum breaker_change breaker_on_stall(struct breaker *b, const struct breaker_params *p, uint64_t now_ns,
                                     uint64_t random);

/* The application has shown its greeting. This ends an open time of cause BREAKER_CONNECT; it never closes. */
enum breaker_change breaker_on_greeting(struct breaker *b, uint64_t now_ns);

/* A handshake with the application is done (refutes BREAKER_CONNECT and BREAKER_HANDSHAKE); it has taken bytes
 * (refutes BREAKER_STALL). */
enum breaker_change breaker_on_handshake(struct breaker *b, uint64_t now_ns);
enum breaker_change breaker_on_taken(struct breaker *b, uint64_t now_ns);

/* ---- queries ---- */

/* An open time that is over counts as half-open, even before the first newcomer has asked. */
enum breaker_state breaker_state(const struct breaker *b, uint64_t now_ns);

/* Why the breaker opened last (while it is not closed), and until when it is open (0: it is not open). */
enum breaker_cause breaker_cause(const struct breaker *b);
uint64_t breaker_open_until_ns(const struct breaker *b, uint64_t now_ns);

#endif
