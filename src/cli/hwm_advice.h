/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which high-water marks fit what a gate has seen, for `weir suggest hwm`. Pure.
 *
 * libzmq counts a mark in messages, for each connection. What follows from that depends on the type of the socket:
 *
 *   mark     sockets                        beyond it                          proposed
 *   receive  REP ROUTER DEALER REQ PULL     senders wait, by TCP; nothing is   the rate x the delay that is put up
 * with, PAIR                           lost                               shared by all connections; at least
 *                                                                              HWM_LEAST, at most libzmq's default
 *   receive  SUB XSUB                       the publisher's send mark fills,   room for two of the busiest seconds; at
 *                                           and it drops                       least libzmq's default
 *   send     PUB XPUB ROUTER REP            messages to this client are        the same, of each connection
 *                                           dropped
 *   send     DEALER REQ PUSH PAIR           zmq_send() waits                   as in the first row, of each connection
 *   send of SUB and XSUB, receive of PUB and XPUB                              none: they count subscriptions
 *
 * All are lowered to what fits into the memory for the socket when every connection is full; half of it for each mark
 * of a socket that has two. Numbers above 99 are rounded to two digits, which are what the estimate is worth.
 */
#ifndef WEIR_CLI_HWM_ADVICE_H
#define WEIR_CLI_HWM_ADVICE_H

#include "zmtp/socket_type.h"

#include <stddef.h>
#include <stdint.h>

#define HWM_DEFAULT        1000u /* libzmq's */
#define HWM_LEAST          10u   /* with fewer, sender and application wait for one another */
#define HWM_MOST           1000000u
#define HWM_SEEN_MESSAGES  1000u /* with fewer, or in fewer seconds, there is no advice */
#define HWM_SEEN_SECONDS   10u
#define HWM_MESSAGE_RECORD 64u /* libzmq's own memory for each frame */
#define HWM_TEXT_MAX       400u

/* One direction, of the gate as a whole. */
struct hwm_flow {
    uint64_t messages, seconds; /* in all; seconds in which there were some */
    uint64_t busiest;           /* messages in a second */
    uint64_t bytes;             /* of a message in libzmq's queues */
};

struct hwm_seen {
    enum socket_type socket;
    uint64_t connections; /* at a time */
    struct hwm_flow in, out;
    uint64_t taken;   /* by the application in its busiest second; 0: it has no counter */
    uint64_t untaken; /* the most that lay there; 0 without a counter */
    uint64_t each;    /* messages out in a second, for each connection in the mean */
};

struct hwm_wish {
    uint64_t delay_ns;
    uint64_t memory_bytes; /* for the queues of one socket */
};

enum hwm_basis {
    HWM_UNKNOWN,       /* no mark: the type of the socket is not known */
    HWM_UNUSED,        /* no mark: no messages go that way */
    HWM_SUBSCRIPTIONS, /* no mark: it counts subscriptions */
    HWM_LITTLE_SEEN,   /* no mark */
    HWM_DELAY,
    HWM_FEWEST, /* the delay asks for fewer than HWM_LEAST */
    HWM_BURST,
    HWM_ENOUGH, /* libzmq's default is */
    HWM_MEMORY,
    HWM_BASES
};

enum hwm_beyond { HWM_SENDERS_WAIT, HWM_SENDERS_DROP, HWM_DROPS, HWM_BLOCKS };

struct hwm_advice {
    uint64_t mark; /* 0: none */
    enum hwm_basis basis;
    enum hwm_beyond beyond;
    uint64_t rate;            /* that it rests on: of all connections (receive), or of each (send) */
    uint64_t messages, bytes; /* held when every connection is full */
    uint64_t lasts_ns;        /* so long the last of them waits; or so long nothing is lost at that rate */
};

/* Of ZMQ_RCVHWM and ZMQ_SNDHWM. */
void hwm_advise_receive(struct hwm_advice *ret, const struct hwm_seen *s, const struct hwm_wish *w);
void hwm_advise_send(struct hwm_advice *ret, const struct hwm_seen *s, const struct hwm_wish *w);

/* What a message takes in libzmq: `heaviest_bytes` is the mean of the second with the largest. */
uint64_t hwm_message_bytes(uint64_t heaviest_bytes, uint64_t all_bytes, uint64_t messages, uint64_t frames);

/* "delay", "memory", ... */
const char *hwm_basis_word(enum hwm_basis b);

/* Why, and what is held or lost at that value: a sentence each; the second is "" where there is no mark. Return `dst`.
 */
char *hwm_reason(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a, const struct hwm_flow *f,
                 const struct hwm_seen *s, const struct hwm_wish *w);
char *hwm_trade_off(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a, const struct hwm_seen *s);

#endif
