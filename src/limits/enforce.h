/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides which rules hold for which source: in force, in shadow (dry run: only counted), or off.
 *
 * A rule is a group of keys of the configuration that has an `enforce` of its own. Everything else is always in force:
 * what protects Weir's parser, memory and descriptors, and what sums over all clients.
 *
 * A keyed hash gives each source one cohort of ENFORCE_COHORTS. A rule that is rolled out to 25 % is in force for the
 * cohorts 0 to 24. So the sources of a smaller share are among those of a larger one, and the same for all rules. The
 * key is made of a text of the configuration, so that a cohort stays the same over reloads and restarts, and at every
 * gate.
 *
 * A snapshot holds the limits twice for each distinct share (enforce_split()): once those in force with the rest
 * lifted, and once those in shadow with the rest lifted. Code that applies limits to a source takes those of its
 * cohort, and need not know of shadows. Code that predicts what a rule in shadow would have done looks at
 * limits.shadow. That is NULL when there is nothing to predict. Pure; any thread.
 */
#ifndef WEIR_LIMITS_ENFORCE_H
#define WEIR_LIMITS_ENFORCE_H

#include "base/attr.h"
#include "base/hash.h"
#include "limits/rule.h"
#include "limits/source.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct limits;

#define ENFORCE_COHORTS 100u

/* How a rule is enforced: the number of cohorts, of 100, that are in shadow (the last ones); or ENFORCE_OFF, off for
 * all. */
#define ENFORCE_ON     0u
#define ENFORCE_SHADOW ENFORCE_COHORTS
#define ENFORCE_OFF    (ENFORCE_COHORTS + 1)

/* A time that does not come: a year, far from wrapping. A lifted deadline has this value. */
#define ENFORCE_NEVER_NS UINT64_C(32000000000000000)

enum enforcement { ENFORCEMENT_ON, ENFORCEMENT_SHADOW, ENFORCEMENT_OFF };

/* The meaning of `enforce` (0 to ENFORCE_OFF) for the sources of a cohort. */
enum enforcement enforcement_of(uint32_t enforce, unsigned cohort);

/* Makes the key of the cohorts from a text. */
void enforce_key(struct hash_key *ret, const char *text);

/* The cohort of a source, 0 to ENFORCE_COHORTS - 1. */
unsigned enforce_cohort(const struct hash_key *key, struct source_key k);

/* Whether any rule is anything but ENFORCE_ON. */
bool enforce_matters(const struct limits *configured);

/* Splits the limits for a cohort into those in force and those in shadow. Returns whether a rule is in shadow. Then
 * ret_force->shadow is `ret_shadow`; otherwise it is NULL, and *ret_shadow is of no use. */
bool enforce_split(const struct limits *configured, unsigned cohort, struct limits *ret_force,
                   struct limits *ret_shadow);

/* Whether an offence of this verdict counts against a peer: its kind does, and the peer is not exempt. */
bool limits_count_offence(const struct limits *l, enum verdict v, const struct addr *a);

/* The first cohort after `cohort` that has another split; ENFORCE_COHORTS: none. There are at most RULE_COUNT of them.
 */
unsigned enforce_next_share(const struct limits *configured, unsigned cohort);

#endif
