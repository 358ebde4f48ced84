/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Counts what rules in shadow (dry run) would have done with a client's traffic, as far as that can be told while it
 * passes.
 *
 * A rule is either in force for a source or in shadow, so the words of its limiters are free for this. Where a limit
 * would pause, each message that would have waited counts once, when it comes: it comes all the same. An entry that
 * many sources share is left alone: for some of them the rule may be in force.
 */
#include "inspect/traffic_inner.h"

static void would(struct judgement *j, enum verdict v)
{
    j->c->shadow->verdicts[v]++;
}

/* A message that is left out is charged to nobody, and offends once. */
static void would_refuse(struct judgement *j, enum verdict v)
{
    j->t->shadowed = true;
    would(j, v);
}

void traffic_shadow_begin(struct judgement *j)
{
    const struct limits *l = j->c->limits->shadow;
    struct source *s = j->c->source;
    /* A message that a rule in force leaves out counts as one that has never come. */
    j->t->shadowed = j->t->mode == TRAFFIC_SKIP;
    if (j->t->shadowed || source_is_shared(s))
        return;
    if (gcra_wait_ns(&s->limiters[SOURCE_BYTES], &l->source.bytes.rate, 1, j->c->now_ns))
        would_refuse(j, VERDICT_OVER_BYTES);
    else if (gcra_admit(&s->limiters[SOURCE_MESSAGES], &l->source.messages.rate, 1, j->c->now_ns))
        would_refuse(j, VERDICT_OVER_MESSAGES);
}

void traffic_shadow_frame(struct judgement *j, uint64_t charged)
{
    const struct limits *l = j->c->limits->shadow;
    if (j->t->shadowed)
        return;
    enum verdict v = traffic_size_verdict(l, j->t->dec.size, j->t->frames - 1, j->t->size - charged, charged);
    if (v != VERDICT_PASS)
        would_refuse(j, v);
    else if (!rate_is_unlimited(&l->source.bytes.rate) && !source_is_shared(j->c->source))
        gcra_charge(&j->c->source->limiters[SOURCE_BYTES], &l->source.bytes.rate, charged, j->c->now_ns);
}

void traffic_shadow_pinned(struct judgement *j, uint64_t bytes)
{
    const struct rate *rate = &j->c->limits->shadow->source.bytes.rate;
    if (!j->t->shadowed && !rate_is_unlimited(rate) && !source_is_shared(j->c->source))
        gcra_charge(&j->c->source->limiters[SOURCE_BYTES], rate, bytes, j->c->now_ns);
}

void traffic_shadow_unit(struct judgement *j, gcra_word *word, enum verdict v)
{
    const struct limits *l = j->c->limits->shadow;
    bool of_source = v == VERDICT_OVER_COMMANDS;
    const struct rate *rate = of_source ? &l->source.commands.rate : &l->subscriptions.messages.rate;
    if (of_source && source_is_shared(j->c->source))
        return;
    if (gcra_admit(word, rate, 1, j->c->now_ns))
        would(j, v);
}

/* In the order in which a rule in force would check. */
static enum verdict topic_verdict(const struct judgement *j, bool added, struct bytes topic)
{
    const struct limits *l = j->c->limits->shadow;
    const struct source *s = j->c->source;
    if (topic.len > traffic_topic_most(j->t, l))
        return VERDICT_TOPIC_TOO_LONG;
    if (added && j->c->topics->count > l->subscriptions.max)
        return VERDICT_SUBSCRIPTIONS_TOO_MANY;
    if (added && atomic_load_explicit(&s->topic_bytes, memory_order_relaxed) > l->subscriptions.source_bytes)
        return VERDICT_TOPICS_TOO_LARGE;
    return VERDICT_PASS;
}

void traffic_shadow_subscription(struct judgement *j, bool added, struct bytes topic, uint64_t work)
{
    const struct rate *rate = &j->c->limits->shadow->subscriptions.rate;
    enum verdict v = topic_verdict(j, added, topic);
    if (v != VERDICT_PASS)
        would(j, v);
    else if (!source_is_shared(j->c->source) &&
             gcra_admit(&j->c->source->limiters[SOURCE_SUBSCRIPTIONS], rate, work, j->c->now_ns))
        would(j, VERDICT_OVER_SUBSCRIPTIONS);
}
