/* SPDX-License-Identifier: MPL-2.0 */
/* The rates of a source's messages and bytes: traffic_inner.h. */
#include "inspect/traffic_inner.h"

/* How many messages are charged to a limiter at once. Unused ones go back. */
#define CREDIT_MESSAGES 64u

/* Takes one message from the source's allowance, which is charged some messages ahead. Returns the wait when there is
 * none. */
static uint64_t take_credit(struct judgement *j)
{
    const struct rate *rate = &j->c->limits->source.messages.rate;
    uint64_t wait_ns = 0;
    if (rate_is_unlimited(rate))
        return 0;
    if (j->credit == 0)
        j->credit =
            gcra_admit_some(&j->c->source->limiters[SOURCE_MESSAGES], rate, CREDIT_MESSAGES, j->c->now_ns, &wait_ns);
    if (j->credit == 0)
        return wait_ns;
    j->credit--;
    return 0;
}

/* A message over a rate at its start waits, is dropped, or ends the connection, as a whole. */
static bool over_rate(struct judgement *j, const struct rate_limit *l, enum verdict v, uint64_t wait_ns)
{
    if (l->over == ACTION_PAUSE || (j->t->curve && l->over == ACTION_DROP)) {
        traffic_pause_for(j, v, wait_ns);
        return false;
    }
    if (traffic_rule(j, v, l->over) == RULING_CLOSE)
        return false;
    j->t->mode = TRAFFIC_SKIP;
    return true;
}

/* Nothing is charged unless all limits pass. Bytes are looked at first (a source in debt waits), then a message is
 * taken. */
static bool begin_message(struct judgement *j)
{
    const struct limits *l = j->c->limits;
    j->t->mode = TRAFFIC_HOLD;
    if (j->t->grace) {
        j->t->grace = false;
        return true;
    }
    uint64_t wait_ns = gcra_wait_ns(&j->c->source->limiters[SOURCE_BYTES], &l->source.bytes.rate, 1, j->c->now_ns);
    if (wait_ns)
        return over_rate(j, &l->source.bytes, VERDICT_OVER_BYTES, wait_ns);
    wait_ns = take_credit(j);
    return wait_ns == 0 || over_rate(j, &l->source.messages, VERDICT_OVER_MESSAGES, wait_ns);
}

bool traffic_rates_begin(struct judgement *j)
{
    if (j->limited && !begin_message(j))
        return false;
    if (j->c->shadow)
        traffic_shadow_begin(j);
    return true;
}

bool traffic_rates_apply(const struct limits *l)
{
    return !rate_is_unlimited(&l->source.bytes.rate) || !rate_is_unlimited(&l->source.messages.rate);
}

void traffic_rates_frame(struct judgement *j, uint64_t charged)
{
    const struct rate *rate = &j->c->limits->source.bytes.rate;
    if (UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_frame(j, charged);
    gcra_charge(&j->c->source->limiters[SOURCE_BYTES], rate, charged, j->c->now_ns);
}

/* A message that came alone keeps a whole receive buffer of the application as long as it is queued. */
void traffic_rates_pinned(struct judgement *j)
{
    const struct rate *rate = &j->c->limits->source.bytes.rate;
    if (j->r->messages != 1 || j->at != j->end || j->last_charge >= TRAFFIC_PINNED_BYTES)
        return;
    if (UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_pinned(j, TRAFFIC_PINNED_BYTES - j->last_charge);
    gcra_charge(&j->c->source->limiters[SOURCE_BYTES], rate, TRAFFIC_PINNED_BYTES - j->last_charge, j->c->now_ns);
}

void traffic_rates_end(struct judgement *j)
{
    if (j->credit)
        gcra_refund(&j->c->source->limiters[SOURCE_MESSAGES], &j->c->limits->source.messages.rate, j->credit);
}
