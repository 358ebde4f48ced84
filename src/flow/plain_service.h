/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Is the application a plain request/reply service? Then an answer on a connection means that a message of that
 * connection is done, and what is in hand can be counted by answers. A broker, a publisher or a chat is not: there a
 * message makes answers go to *other* connections. The test, in calm time only: answers to others in the 200 us after a
 * message, less those in the 200 us before it. Their mean is 0 for independent clients, whatever the load.
 *
 *   state    proof (mean of at least PLAIN_SAMPLES, with its standard error)              next
 *   UNKNOWN  mean + error < 0.25, and at least half of what came is answered              YES
 *   UNKNOWN  mean - error > 0.25, or half as much again is answered as came               NO
 *   YES, NO  the opposite proof                                                           NO, YES
 *
 * Samples fade. A window in which more answers came than are remembered is no sample, so a gate that is too fast to be
 * measured stays UNKNOWN, and nothing is held. YES needs calm time: it is never found out under a flood.
 *
 * Memory: 600 bytes. One owner at a time; relay/ calls it under the limiter's lock or drops the sample.
 */
#ifndef WEIR_FLOW_PLAIN_SERVICE_H
#define WEIR_FLOW_PLAIN_SERVICE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAIN_WINDOW_NS (200 * NS_PER_US)
#define PLAIN_SPACE_NS  (400 * NS_PER_US) /* from one sample to the next */
#define PLAIN_SAMPLES   40u
#define PLAIN_ANSWERS   32u

enum plain_state { PLAIN_UNKNOWN, PLAIN_YES, PLAIN_NO };

struct plain_answer {
    uint64_t at_ns;
    const void *to;
};

struct plain_service {
    enum plain_state state;
    bool sampling;
    const void *of; /* the sampled message's connection */
    uint64_t at_ns;
    double before;
    uint32_t overrun; /* windows in a row in which more answers came than are remembered */
    double samples, sum, squares;
    double messages, answers;
    uint64_t answer_count;
    struct plain_answer last[PLAIN_ANSWERS];
};

#define PLAIN_OVERRUN 64u

void plain_service_init(struct plain_service *p);

/* The gate is too fast to be measured: trying again and again costs and tells nothing. */
static inline bool plain_service_is_overrun(const struct plain_service *p)
{
    return p->overrun >= PLAIN_OVERRUN;
}

/* The answer is known beforehand (a REP socket). */
void plain_service_is(struct plain_service *p, bool plain);

/* Messages of a connection went on. `calm`: nobody waits, and nothing is suspicious. */
void plain_service_passed(struct plain_service *p, const void *connection, bool calm, uint64_t now_ns);

/* `n` messages came back to a connection. */
void plain_service_answered(struct plain_service *p, const void *connection, uint32_t n, bool calm, uint64_t now_ns);

/* So many messages went on and came back, in all, while it was calm. */
void plain_service_count(struct plain_service *p, uint64_t messages, uint64_t answers);

/* The connection ends: its address may be used anew. */
void plain_service_forget(struct plain_service *p, const void *connection);

#endif
