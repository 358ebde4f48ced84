/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The report of the request limiter: what it does at the moment, for the metrics of a gate and the row of a connection.
 *
 * It has no state of its own. Each hold rests on a proof (enum hold_proof). Where there is no proof, nothing is held.
 *
 * Locks: the limiter lock, for reqlimit_report() and reqlimit_hold_of(). The other functions are pure.
 * Units: messages, connections, nanoseconds.
 * Memory: copies into the caller's structures, a few hundred nanoseconds each.
 */
#ifndef WEIR_FLOW_REQLIMIT_REPORT_H
#define WEIR_FLOW_REQLIMIT_REPORT_H

#include "flow/request_limiter.h"

struct reqlimit_report {
    enum limit_state state;
    enum hold_proof proof; /* of the present holds, or of the next one; PROOF_NONE: nothing can be held */
    enum taken_state counter;
    enum plain_state plain;
    uint32_t connections, established, over; /* strangers: connections - established */
    uint32_t in_line;                        /* connections */
    uint64_t waiting;                        /* messages of these, as far as they are read */
    uint64_t since_ns;                       /* a connection has been in line since then, without a break; 0: none is */
    uint64_t untaken;                        /* by the counter; 0 without one */
    uint64_t untaken_most;                   /* so far */
    uint64_t in_hand;                        /* passed and not answered, of connections that get answers */
    uint64_t untaken_window;                 /* messages that may lie untaken; 0 without a counter */
    uint64_t most;                           /* the operator's limit on messages in hand; 0: none */
    uint64_t in_hand_window;                 /* messages that may be in hand; 0: not limited */
    uint64_t held[PROOF_COUNT], passed_held[PROOF_COUNT]; /* messages in all, by the proof of the hold */
    uint64_t without_progress;                            /* holds in all that kept an idle application from working */
};

void reqlimit_report(const struct reqlimit *l, struct reqlimit_report *ret);

/* Why the next message of a connection waits. */
struct reqlimit_hold {
    enum hold_proof proof; /* PROOF_NONE: it does not wait */
    uint64_t waited_ns;
    uint32_t messages;
    bool established; /* the connection has a claim, and is far above it */
};

void reqlimit_hold_of(const struct reqlimit_conn *c, uint64_t now_ns, struct reqlimit_hold *ret);

/* "none", "probing", "active"; "none", "counter", "latency", "max". */
const char *limit_state_word(enum limit_state s);
const char *hold_proof_word(enum hold_proof p);

/* Why nothing can be held now, as the end of a sentence (a constant string); NULL: something can. */
const char *reqlimit_report_why_not(const struct reqlimit_report *r);

#endif
