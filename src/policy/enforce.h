/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which rules hold for which source: in force, in shadow (only counted), or off. A rule is a group of keys of the
 * configuration that has an `enforce` of its own. What is not a rule is always in force: what protects Weir's parser,
 * memory and descriptors, and what sums over all clients.
 *
 * Each source draws one lot of ENFORCE_LOTS, by a keyed hash, and a rule that is rolled out to 25 % is in force for the
 * lots 0 to 24: so the sources of a smaller share are among those of a larger one, and the same for all rules. The key
 * is made of a text of the configuration, so that a lot stays the same over reloads and restarts, and at every gate.
 *
 * A snapshot holds the limits twice for each distinct share (enforce_split()): once with what is in force and the rest
 * lifted, once with what is in shadow and the rest lifted. Whoever applies limits to a source takes those of its lot,
 * and need not know of shadows; whoever predicts what a rule in shadow would have done looks at limits.shadow, which is
 * NULL when there is nothing to predict. Pure; any thread.
 */
#ifndef WEIR_POLICY_ENFORCE_H
#define WEIR_POLICY_ENFORCE_H

#include "base/attr.h"
#include "base/hash.h"
#include "policy/source.h"
#include "policy/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct limits;

/* RULE(NAME, section): the section of the configuration whose keys it has */
#define RULES(RULE)                                                                                                    \
    RULE(MESSAGE, "message")                                                                                           \
    RULE(CONNECTIONS, "source.connections")                                                                            \
    RULE(MESSAGES, "source.messages")                                                                                  \
    RULE(BYTES, "source.bytes")                                                                                        \
    RULE(COMMANDS, "source.commands")                                                                                  \
    RULE(SUBSCRIPTIONS, "subscriptions")                                                                               \
    RULE(SUBSCRIBER_MESSAGES, "subscriptions.messages")                                                                \
    RULE(SLOW_READER, "slow_reader")                                                                                   \
    RULE(ROUTING_IDS, "routing_ids")                                                                                   \
    RULE(BAN, "ban")

enum rule {
#define RULE_ENUM(NAME, section) RULE_##NAME,
    RULES(RULE_ENUM)
#undef RULE_ENUM
        RULE_COUNT /* also: of a verdict that belongs to none */
};

#define ENFORCE_LOTS 100u

/* How a rule is enforced: so many of 100 lots are in shadow, the last ones; or the rule is off for all. */
#define ENFORCE_ON     0u
#define ENFORCE_SHADOW ENFORCE_LOTS
#define ENFORCE_OFF    (ENFORCE_LOTS + 1)

/* A time that does not come: a year, far from wrapping. What a deadline is lifted to. */
#define ENFORCE_NEVER_NS UINT64_C(32000000000000000)

enum enforcement { ENFORCEMENT_ON, ENFORCEMENT_SHADOW, ENFORCEMENT_OFF };

/* What `enforce` (0 to ENFORCE_OFF) means for the sources of a lot. */
enum enforcement enforcement_of(uint32_t enforce, unsigned lot);

/* The section of a rule, and the rule that a verdict comes from; RULE_COUNT: from none, it is always in force. */
const char *rule_section(enum rule r);
enum rule rule_of_verdict(enum verdict v);

/* The key of the lots, of a text. */
void enforce_key(struct hash_key *ret, const char *text);

/* The lot of a source, 0 to ENFORCE_LOTS - 1. */
unsigned enforce_lot(const struct hash_key *key, struct source_key k);

/* Whether any rule is not simply on. */
bool enforce_matters(const struct limits *configured);

/* The limits in force for a lot, and in shadow. ret_shadow is of use only when the result is true; then
 * ret_force->shadow is `ret_shadow`, otherwise NULL. */
bool enforce_split(const struct limits *configured, unsigned lot, struct limits *ret_force, struct limits *ret_shadow);

/* Whether an offence of this verdict counts against a peer: its kind does, and the peer is not exempt. */
bool limits_count_offence(const struct limits *l, enum verdict v, const struct addr *a);

/* The first lot after `lot` for which another split holds; ENFORCE_LOTS: none. At most RULE_COUNT of them. */
unsigned enforce_next_share(const struct limits *configured, unsigned lot);

#endif
