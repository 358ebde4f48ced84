/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/enforce.h"

#include "limits/limits.h"

#include <string.h>

/* A lifted limit ends where the format of the configuration does. So bytes that have to be held whole, and counts in a
 * word of a source, stay bounded. */
#define TOPIC_BYTES_MOST   65536u
#define SUBSCRIPTIONS_MOST 16777216u
#define TOPICS_BYTES_MOST  (UINT64_C(1) << 30)
#define HALF_OPEN_MOST     65535u

enum enforcement enforcement_of(uint32_t enforce, unsigned cohort)
{
    if (enforce == ENFORCE_OFF)
        return ENFORCEMENT_OFF;
    return cohort < ENFORCE_COHORTS - enforce ? ENFORCEMENT_ON : ENFORCEMENT_SHADOW;
}

void enforce_key(struct hash_key *ret, const char *text)
{
    /* Any constants do: they only keep these hashes apart from others of the same text. */
    static const struct hash_key halves[2] = {{"weir lots, left "}, {"weir lots, right"}};
    uint64_t left = hash_bytes(&halves[0], text, strlen(text)), right = hash_bytes(&halves[1], text, strlen(text));
    memcpy(ret->bytes, &left, sizeof(left));
    memcpy(ret->bytes + sizeof(left), &right, sizeof(right));
}

unsigned enforce_cohort(const struct hash_key *key, struct source_key k)
{
    uint64_t words[2] = {k.bits, (uint64_t)k.kind};
    return (unsigned)(hash_bytes(key, words, sizeof(words)) % ENFORCE_COHORTS);
}

bool enforce_matters(const struct limits *configured)
{
    for (unsigned r = 0; r < RULE_COUNT; r++)
        if (configured->enforce[r] != ENFORCE_ON)
            return true;
    return false;
}

static void lift_rate(struct rate *r)
{
    *r = (struct rate){0};
}

static void lift_message(struct limits *l)
{
    l->message.frame_bytes = l->message.size_bytes = UINT64_MAX;
    l->message.frames = UINT32_MAX;
    l->message.complete_within_ns = ENFORCE_NEVER_NS;
}

static void lift_connections(struct limits *l)
{
    l->source.connections = 0;
    l->source.half_open = HALF_OPEN_MOST;
    lift_rate(&l->source.connection_rate);
}

static void lift_subscriptions(struct limits *l)
{
    l->subscriptions.max = SUBSCRIPTIONS_MOST;
    l->subscriptions.topic_bytes = TOPIC_BYTES_MOST;
    l->subscriptions.source_bytes = TOPICS_BYTES_MOST;
    lift_rate(&l->subscriptions.rate);
}

static void enforce_lift_ban(struct limits *l)
{
    l->ban.strikes.strikes = 0;
    l->ban.paused_ns = 0;
}

static void lift(struct limits *l, enum rule r)
{
    l->lifted |= 1u << r;
    switch (r) {
    case RULE_MESSAGE:
        lift_message(l);
        break;
    case RULE_CONNECTIONS:
        lift_connections(l);
        break;
    case RULE_MESSAGES:
        lift_rate(&l->source.messages.rate);
        break;
    case RULE_BYTES:
        lift_rate(&l->source.bytes.rate);
        break;
    case RULE_COMMANDS:
        lift_rate(&l->source.commands.rate);
        break;
    case RULE_SUBSCRIPTIONS:
        lift_subscriptions(l);
        break;
    case RULE_SUBSCRIBER_MESSAGES:
        lift_rate(&l->subscriptions.messages.rate);
        break;
    case RULE_SLOW_READER:
        l->slow_reader.behind = 0;
        break;
    case RULE_ROUTING_IDS:
        l->duplicate_ids = DUPLICATE_IDS_PASS;
        break;
    case RULE_BAN:
        enforce_lift_ban(l);
        break;
    case RULE_COUNT:
        break;
    }
}

bool enforce_split(const struct limits *configured, unsigned cohort, struct limits *ret_force,
                   struct limits *ret_shadow)
{
    bool shadows = false;
    *ret_force = *ret_shadow = *configured;
    for (unsigned r = 0; r < RULE_COUNT; r++) {
        enum enforcement e = enforcement_of(configured->enforce[r], cohort);
        shadows |= e == ENFORCEMENT_SHADOW;
        if (e != ENFORCEMENT_ON)
            lift(ret_force, (enum rule)r);
        if (e != ENFORCEMENT_SHADOW)
            lift(ret_shadow, (enum rule)r);
    }
    ret_force->shadow = shadows ? ret_shadow : NULL;
    ret_shadow->shadow = NULL;
    return shadows;
}

bool limits_count_offence(const struct limits *l, enum verdict v, const struct addr *a)
{
    enum offence kind = verdict_offence(v);
    bool wanted = (kind == OFFENCE_PROTOCOL && l->ban.for_protocol) || (kind == OFFENCE_EXCESS && l->ban.for_excess);
    return wanted && !networks_contain(&l->ban.exempt, a);
}

unsigned enforce_next_share(const struct limits *configured, unsigned cohort)
{
    unsigned next = ENFORCE_COHORTS;
    for (unsigned r = 0; r < RULE_COUNT; r++) {
        uint32_t enforce = configured->enforce[r];
        unsigned from = enforce == ENFORCE_OFF ? ENFORCE_COHORTS : ENFORCE_COHORTS - enforce;
        if (from > cohort && from < next)
            next = from;
    }
    return next;
}
