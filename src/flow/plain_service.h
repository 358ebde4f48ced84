/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether the application is a plain request/reply service: a service whose answer to a message comes on the connection
 * of that message.
 *
 * Then an answer means that a message of its connection is done, and answers tell how many messages are in hand. A
 * broker, a publisher or a chat is no plain service: there a message causes answers on *other* connections.
 *
 * The test runs in calm time only. A sample is the number of answers to other connections in the 200 us after a
 * message, less those in the 200 us before it. For independent clients its mean is 0, whatever the load.
 *
 *   state    event                                                                         next
 *   any      plain_service_init(): there is another application                            UNKNOWN
 *   any      plain_service_is(): the state is known, for a REP socket                      YES or NO
 *   UNKNOWN  proof: mean + error < 0.25, and more than half of the messages are answered,  YES
 *            with more than 10 answers
 *   UNKNOWN  proof: mean - error > 0.25, or more than 1.5 x the messages + 10 answers      NO
 *   YES, NO  the opposite proof                                                            NO, YES
 *
 * A proof needs PLAIN_SAMPLES samples; the error is the standard error of their mean. Samples fade: their sums are
 * halved above 4000 samples, the numbers of messages and answers above 1000 messages.
 *
 * A window in which more answers came than are remembered is no sample. So a gate that is too fast to be measured stays
 * UNKNOWN, and nothing is held there. YES needs calm time: it is never found out under a flood.
 *
 * Locks: the limiter lock, for all fields and transitions.
 * Units: monotonic nanoseconds; answers a message.
 * Memory: 600 bytes; the last PLAIN_ANSWERS answers are remembered.
 */
#ifndef WEIR_FLOW_PLAIN_SERVICE_H
#define WEIR_FLOW_PLAIN_SERVICE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAIN_WINDOW_NS (200 * NS_PER_US)
#define PLAIN_SPACE_NS  (400 * NS_PER_US) /* least time between two samples */
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
    const void *of; /* the connection of the sampled message */
    uint64_t at_ns;
    double before;
    uint32_t overrun; /* windows in a row with more answers than are remembered */
    double samples, sum, squares;
    double messages, answers;
    uint64_t answer_count;
    struct plain_answer last[PLAIN_ANSWERS];
};

#define PLAIN_OVERRUN 64u

void plain_service_init(struct plain_service *p);

/* Whether the gate is too fast to be measured: further attempts cost time and tell nothing. */
static inline bool plain_service_is_overrun(const struct plain_service *p)
{
    return p->overrun >= PLAIN_OVERRUN;
}

/* The state is known beforehand (a REP socket). */
void plain_service_is(struct plain_service *p, bool plain);

/* A connection passed messages. `calm`: no message waits, and latency is not high. */
void plain_service_passed(struct plain_service *p, const void *connection, bool calm, uint64_t now_ns);

/* A connection got `n` answers. */
void plain_service_answered(struct plain_service *p, const void *connection, uint32_t n, bool calm, uint64_t now_ns);

/* Counts messages and answers of the whole gate in calm time. */
void plain_service_count(struct plain_service *p, uint64_t messages, uint64_t answers);

/* The connection ends; its address may be used for another. */
void plain_service_forget(struct plain_service *p, const void *connection);

#endif
