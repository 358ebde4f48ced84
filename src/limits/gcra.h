/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The rate limiter: the Generic Cell Rate Algorithm (GCRA, ITU-T I.371; the virtual scheduling form), which is a token
 * bucket in one 64-bit word. The word is the "theoretical arrival time" (TAT) in monotonic nanoseconds. A word of 0, or
 * any word not after `now`, is a drained limiter.
 *
 *   T = period / count, tau = T * (burst + 1)     tat' = max(tat, now) + q * T     refuse when now < tat' - tau
 *
 * With q = 1 a drained limiter passes burst + 1 times at one instant. A refusal leaves the state unchanged.
 *
 * Lock-free (compare-and-swap): any thread may charge any word. The parameters come with each call, so a reload of the
 * configuration migrates nothing.
 */
#ifndef WEIR_LIMITS_GCRA_H
#define WEIR_LIMITS_GCRA_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* `count` per `period_ns`, and `burst` more at once. count == 0: unlimited. All below 2^63; arithmetic saturates. */
struct rate {
    uint64_t count;
    uint64_t period_ns;
    uint64_t burst;
};

typedef _Atomic uint64_t gcra_word;

static inline bool rate_is_unlimited(const struct rate *r)
{
    return r->count == 0;
}

/* Charges `quantity`, or refuses and changes nothing. Returns 0 when admitted, else the nanoseconds (>= 1) after which
 * the same call would pass; UINT64_MAX when it never can (quantity > burst + 1). */
MUST_USE uint64_t gcra_admit(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns);

/* Charges as much of `quantity` as passes now, and returns that (0 to quantity). *ret_wait_ns is the time until one
 * more would pass when less than all passed; else 0. */
MUST_USE uint64_t gcra_admit_some(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns,
                                  uint64_t *ret_wait_ns);

/* As gcra_admit(), for quantities that may be larger than the burst. The limiter saves up for the excess first, so
 * nothing is owed after 0 was returned. Never returns UINT64_MAX for good: the wait ends. */
MUST_USE uint64_t gcra_admit_saved(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns);

/* Charges `quantity` in any state, which may leave a debt. Returns the nanoseconds until the limiter conforms again (0:
 * it does now). For bytes of a message that is already on its way; a debt is at most what the caller read at once. */
uint64_t gcra_charge(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns);

/* Takes back a charge of gcra_admit(), when another limit refused the same message. */
void gcra_refund(gcra_word *tat, const struct rate *r, uint64_t quantity);

/* Limits debts when a rate comes into force. A charge at the old rate is owed for at most as long as the whole burst of
 * the new one takes, so that a debt of an hour at a tiny rate does not outlive it. A state that the new rate could have
 * brought about stays as it is, but for debts, which are forgiven. */
void gcra_forgive(gcra_word *tat, const struct rate *r, uint64_t now_ns);

/* Nanoseconds until `quantity` would pass, charging nothing; 0: it would pass now; UINT64_MAX: it never can. */
uint64_t gcra_wait_ns(const gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns);

#endif
