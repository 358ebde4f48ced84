/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The circuit breaker in front of one application (Nygard, "Release It!", 2007): when it fails again and again it is
 * left alone for a while, instead of being sent everybody who comes.
 *
 *   closed     everybody goes through; after it has been open, a share that grows (slow start)
 *   open       nobody does, for `for_ns` the first time, twice as long each time that a trial fails, at most `max_ns`
 *   half-open  `trials` newcomers at a time go through and try
 *
 * What opens it (enum breaker_cause): failures in a row, or a stall. Only a sign of life that speaks against the cause
 * counts as a success: libzmq's own thread shakes hands while the application's stands still, so a handshake says
 * nothing of a stall. Such a sign ends the open time early, and closes a half-open breaker. Bytes taken after a stall
 * close it at once: the connections that had to wait were the trial.
 *
 * Pure: time (monotonic nanoseconds, kept in milliseconds) and the randomness of the jitter are arguments. Shared by
 * all workers and lock-free: state, cause, back-off, trials and time are one word, changed by compare-and-swap, so a
 * transition happens once, whoever sees it first. 32 bytes a gate; nothing in it grows. A zeroed breaker is closed. The
 * parameters come with each call and may change between calls.
 */
#ifndef WEIR_FLOW_BREAKER_H
#define WEIR_FLOW_BREAKER_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Most of breaker_params.trials. */
#define BREAKER_TRIALS_MAX 1000u

/* Who finds no place among the trials may ask again after this; earlier when the state changes. */
#define BREAKER_ASK_AGAIN_NS (200 * NS_PER_MS)

/* In the order of the metric. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

enum breaker_cause {
    BREAKER_CONNECT,   /* it could not be reached, or did not show its greeting */
    BREAKER_HANDSHAKE, /* it did, and then broke off or broke the protocol */
    BREAKER_TIMEOUT,   /* it did not answer a request in time */
    BREAKER_STALL,     /* it took nothing for too long */
    BREAKER_CAUSES
};

/* A call that changed the state says so, to one caller only. */
enum breaker_change { BREAKER_UNCHANGED, BREAKER_NOW_OPEN, BREAKER_NOW_HALF_OPEN, BREAKER_NOW_CLOSED };

struct breaker_params {
    uint32_t failures; /* of one cause in a row that open it; 0: they never do */
    uint32_t trials;   /* 1 to BREAKER_TRIALS_MAX */
    uint64_t for_ns;   /* open time: the first, and the longest */
    uint64_t max_ns;
    uint64_t slow_start_ns; /* from closing until everybody goes through again; 0: at once */
};

struct breaker {
    _Atomic uint64_t word;                     /* see breaker.c */
    _Atomic uint64_t opened;                   /* times that it opened */
    _Atomic uint32_t failures[BREAKER_CAUSES]; /* in a row, while closed */
};

/* The answer to a newcomer. */
struct breaker_answer {
    bool go;
    uint64_t place;   /* go: a place among the trials, to be given back by breaker_leave(); 0: none was needed */
    uint64_t wait_ns; /* !go: ask again after this, or when the state has changed */
    enum breaker_change change;
};

/* May a newcomer go through? `ticket`, random over the newcomers and the same whenever this one asks again, is its turn
 * in a slow start. */
MUST_USE struct breaker_answer breaker_enter(struct breaker *b, const struct breaker_params *p, uint32_t ticket,
                                             uint64_t now_ns);

/* Gives back a place, whatever became of the trial; outcomes are told apart from it, below. A place of an earlier state
 * is void, and 0 is none. */
void breaker_leave(struct breaker *b, uint64_t place);

/* ---- what happened to the application; `random` (64 bits) spreads the open times of many gates ---- */

/* A failure to connect, or of its side of a handshake. */
enum breaker_change breaker_on_failure(struct breaker *b, const struct breaker_params *p, enum breaker_cause cause,
                                       uint64_t now_ns, uint64_t random);

/* A request has waited too long for its reply. */
enum breaker_change breaker_on_timeout(struct breaker *b, const struct breaker_params *p, uint64_t now_ns,
                                       uint64_t random);

/* It has taken nothing for too long: one is enough. */
enum breaker_change breaker_on_stall(struct breaker *b, const struct breaker_params *p, uint64_t now_ns,
                                     uint64_t random);

/* It has shown its greeting: that ends an open time for want of a connection, and closes nothing. */
enum breaker_change breaker_on_greeting(struct breaker *b, uint64_t now_ns);

/* A handshake with it is done; it has taken bytes; it has replied. */
enum breaker_change breaker_on_handshake(struct breaker *b, uint64_t now_ns);
enum breaker_change breaker_on_taken(struct breaker *b, uint64_t now_ns);
enum breaker_change breaker_on_reply(struct breaker *b, uint64_t now_ns);

/* ---- looking ---- */

/* An open time that is over counts as half-open, also before the first newcomer has asked. */
enum breaker_state breaker_state(const struct breaker *b, uint64_t now_ns);

/* Why it opened last, while it is not closed; and until when it is open (0: it is not). */
enum breaker_cause breaker_cause(const struct breaker *b);
uint64_t breaker_open_until_ns(const struct breaker *b, uint64_t now_ns);

#endif
