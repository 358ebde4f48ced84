/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Counts the offences of a source in a leaky bucket, and says when it is full. Then relay/strike_scoring.c bans the
 * source or puts it on probation.
 *
 * The score is one 32-bit word of the source's entry. `strikes` within `within_ns` fill the bucket, and it leaks one
 * strike each within_ns / strikes. As in gcra.h the word is the time at which the bucket will be empty, in ticks of
 * 2^24 ns (16.8 ms) since boot; 0: empty.
 *
 *   State          strikes_add()                                           With time
 *   empty          filling; or full at once: empty, STRIKES_FULL           -
 *   filling        filling; or full: empty, STRIKES_FULL                   leaks until it is empty
 *   on probation   the word stays as it is, STRIKES_FULL                   ends: a full bucket, which leaks
 *
 * strikes_begin_probation() leads to probation from any state. The word then stands above what any score can be.
 *
 * When full: the bucket is emptied and the caller told so, exactly once however many threads add to it. An offence
 * during probation is one too many each time.
 *
 * Ticks wrap after 834 days and are compared by difference. A difference that no score can have is a word from the
 * past, and so an empty bucket. Only a word that nobody has touched for 826 to 834 days could be taken for a full one.
 *
 * Lock-free (compare-and-swap); any thread. Pure.
 */
#ifndef WEIR_LIMITS_STRIKES_H
#define WEIR_LIMITS_STRIKES_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STRIKES_TICK_LOG2_NS 24u

/* The longest `within_ns`: one day. */
#define STRIKES_WITHIN_MAX_NS (UINT64_C(86400) * 1000000000)

/* The longest probation: seven days. */
#define STRIKES_PROBATION_MAX_NS (7 * STRIKES_WITHIN_MAX_NS)

typedef _Atomic uint32_t strikes_word;

struct strike_rules {
    uint32_t strikes;   /* that fill the bucket; 0: nothing is ever counted */
    uint64_t within_ns; /* up to STRIKES_WITHIN_MAX_NS; a strike leaks in at least one tick */
};

enum strikes_tier {
    STRIKES_QUIET,
    STRIKES_WARN, /* this offence has filled half of the bucket */
    STRIKES_FULL, /* this offence has filled it; it is empty now */
};

/* Adds `n` strikes. */
MUST_USE enum strikes_tier strikes_add(strikes_word *w, const struct strike_rules *r, unsigned n, uint64_t now_ns);

/* Puts a source on probation for `for_ns` from now, at most STRIKES_PROBATION_MAX_NS. */
void strikes_begin_probation(strikes_word *w, const struct strike_rules *r, uint64_t for_ns, uint64_t now_ns);
bool strikes_on_probation(const strikes_word *w, const struct strike_rules *r, uint64_t now_ns);

/* Strikes in the bucket now, begun ones counted whole; at most r->strikes. */
unsigned strikes_score(const strikes_word *w, const struct strike_rules *r, uint64_t now_ns);

/* Whether the bucket is empty, so that forgetting the word loses nothing. */
bool strikes_are_drained(const strikes_word *w, uint64_t now_ns);

#endif
