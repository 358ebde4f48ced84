/* SPDX-License-Identifier: MPL-2.0 */
/* What becomes of a message or command that is over a limit: traffic_inner.h. */
#include "inspect/traffic_inner.h"

enum ruling traffic_rule(struct judgement *j, enum verdict v, enum action over)
{
    if (over != ACTION_DROP || j->t->curve || j->t->mode == TRAFFIC_STREAM) {
        j->r->verdict = v;
        return RULING_CLOSE;
    }
    j->r->drop_reason = v;
    j->r->drops++;
    return RULING_DROP;
}

void traffic_pause_for(struct judgement *j, enum verdict reason, uint64_t wait_ns)
{
    if (wait_ns <= j->r->wait_ns)
        return;
    j->r->wait_ns = wait_ns;
    j->r->wait_reason = reason;
}

void traffic_pause_after(struct judgement *j, gcra_word *limiter, const struct rate *rate, uint64_t quantity,
                         uint64_t least_ns, enum verdict v)
{
    if (rate_is_unlimited(rate))
        return;
    uint64_t wait_ns = gcra_charge(limiter, rate, quantity, j->c->now_ns);
    if (wait_ns)
        traffic_pause_for(j, v, wait_ns > least_ns ? wait_ns : least_ns);
}

enum ruling traffic_withhold(struct judgement *j, enum verdict reason, uint64_t wait_ns)
{
    j->t->withheld = WITHHELD_TOPIC;
    traffic_pause_for(j, reason, wait_ns);
    return RULING_WAIT;
}

enum ruling traffic_charge_unit(struct judgement *j, gcra_word *word, const struct rate_limit *l, enum verdict v)
{
    if (rate_is_unlimited(&l->rate)) {
        if (UNLIKELY(j->c->shadow != NULL))
            traffic_shadow_unit(j, word, v);
        return RULING_PASS;
    }
    /* A command between the frames of a message cannot be left out alone. */
    bool stuck = zmtp_is_command(&j->t->dec) && j->t->dec.in_message;
    if (l->over == ACTION_PAUSE || (l->over == ACTION_DROP && stuck)) {
        traffic_pause_for(j, v, gcra_charge(word, &l->rate, 1, j->c->now_ns));
        return RULING_PASS;
    }
    return gcra_admit(word, &l->rate, 1, j->c->now_ns) == 0 ? RULING_PASS : traffic_rule(j, v, l->over);
}
