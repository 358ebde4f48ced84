/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Counts what rules in shadow would do to a session (a dry run; limits/enforce.h), in weir_shadow_verdicts_total and in
 * a log line now and then.
 *
 * Nothing here changes what happens to a session. Where no rule is in shadow for its source, limits.shadow is NULL, and
 * the data path checks nothing else.
 *
 * Where the ban is in shadow, offences against rules in force and in shadow count alike, with one difference. A
 * connection that would have been closed goes on offending at once, so offences against rules in shadow count at most
 * once a second and connection. A source that would be banned stands in a table of the gate (gate.shadow_bans) for as
 * long as the ban would last. It is counted once, and its newcomers as `banned`.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_SHADOW_H
#define WEIR_RELAY_SHADOW_H

#include "relay/record.h"

#include <string.h>

/* Counts `n` verdicts of a rule in shadow, and what they would cost the source. */
void shadow_note(struct session *s, enum verdict v, unsigned n);

/* Around a call of traffic_judge(). */
static inline struct traffic_shadow *shadow_begin(struct traffic_shadow *t)
{
    memset(t, 0, sizeof(*t));
    return t;
}
void shadow_end(struct session *s, const struct traffic_shadow *t);

/* A newcomer that the rules in force let in; and one whose handshake begins, before it is counted as half-open. */
void shadow_newcomer(struct session *s);
void shadow_half_open(struct session *s);

/* A newcomer, before it has a session: whether a ban in shadow would have kept it out. */
void shadow_banned(struct worker_gate *wg, const struct addr *addr);

/* An offence, where the ban may be in shadow. */
void shadow_score(struct session *s, enum verdict v);

/* The limits in force for an address, whichever entry it has. */
const struct limits *shadow_limits_of(const struct worker_gate *wg, const struct addr *addr);

/* Whether a ban was made by the rules of bans, and not by a person. */
static inline bool shadow_may_pardon(const struct ban *b)
{
    return b->reason == BAN_REASON_PROTOCOL || b->reason == BAN_REASON_EXCESS;
}

static inline bool shadow_refuses_duplicates(const struct session *s)
{
    const struct limits *l = session_limits(s);
    return l->shadow && l->shadow->duplicate_ids == DUPLICATE_IDS_REFUSE;
}

/* The limits that say when a message is late: those in force or those in shadow, whichever have the rule. Times are
 * measured either way. */
static inline const struct limits *shadow_complete_within(const struct session *s)
{
    const struct limits *l = session_limits(s);
    return l->shadow && limits_hold(l->shadow, RULE_MESSAGE) ? l->shadow : l;
}

#endif
