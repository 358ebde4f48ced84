/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/taken_counter.h"

#include "flow/decay.h"

#define LOST_MOST 8u  /* contradictions that one loss counts for at most */
#define GAP_FADES 64u /* about so many takes until half of a gap is forgotten */

static void taken_counter_begin(struct taken_counter *c, const struct taken_view *v, const struct taken_facts *f,
                                uint64_t now_ns)
{
    *c = (struct taken_counter){
        .state = TAKEN_BELIEVED,
        .generation = v->generation,
        .ahead = (int64_t)(f->passed - v->taken),
        .taken = v->taken,
        .empty_polls = v->empty_polls,
        .answered_most = f->passed > v->taken ? f->passed - v->taken : 0,
        .taken_at_ns = now_ns,
        .settle_ns = TAKEN_SETTLE_NS,
    };
}

static void taken_counter_progress(struct taken_counter *c, const struct taken_view *v, const struct taken_facts *f,
                                   uint64_t now_ns)
{
    uint64_t gap_ns = c->untaken ? elapsed_since(c->taken_at_ns, now_ns) : 0;
    c->gap_ns -= c->gap_ns / GAP_FADES;
    if (gap_ns > c->gap_ns)
        c->gap_ns = gap_ns;
    c->taken = v->taken;
    c->taken_at_ns = now_ns;
    c->allowance = 0;
    c->settle_ns = TAKEN_SETTLE_NS;
    c->state = TAKEN_BELIEVED;
}

/* Nothing was taken although messages are there: the allowance grows. */
static void taken_counter_wait(struct taken_counter *c, uint64_t now_ns)
{
    if (!c->untaken || c->idle) {
        c->taken_at_ns = now_ns;
        return;
    }
    uint64_t patience_ns = 8 * c->gap_ns > TAKEN_SLOW_NS ? 8 * c->gap_ns : TAKEN_SLOW_NS;
    uint64_t late_ns = elapsed_since(c->taken_at_ns, now_ns);
    if (late_ns < patience_ns)
        return;
    uint64_t steps = (late_ns - patience_ns) / TAKEN_SLOW_STEP_NS;
    c->state = TAKEN_SLOW;
    c->allowance = 1ull << (steps < 30 ? steps : 30);
}

/* More were taken than passed. If these had been assumed to be taken while it waited, they were only on their way: no
 * contradiction. */
static void taken_counter_exceeds(struct taken_counter *c, uint64_t excess)
{
    uint64_t assumed = excess < c->assumed ? excess : c->assumed;
    c->assumed -= assumed;
    c->answered_most -= c->answered_most < excess ? c->answered_most : excess;
    c->contradictions += excess > assumed && c->was_idle;
    c->ahead = (int64_t)((uint64_t)c->ahead - excess);
}

/* It waits, and no message is on its way any more: what seems to lie there is taken. */
static void taken_counter_assume(struct taken_counter *c, uint64_t untaken)
{
    c->settle_ns = c->settle_ns < TAKEN_SETTLE_MOST_NS ? 2 * c->settle_ns : TAKEN_SETTLE_MOST_NS;
    c->assumed += untaken;
    c->answered_most += untaken;
    c->ahead = (int64_t)((uint64_t)c->ahead + untaken);
}

static void taken_counter_contradict(struct taken_counter *c, const struct taken_facts *f, uint64_t now_ns)
{
    uint64_t passed_at_ns = f->passed_at_ns > c->idle_since_ns ? f->passed_at_ns : c->idle_since_ns;
    uint64_t quiet_ns = c->idle ? elapsed_since(passed_at_ns, now_ns) : 0, before_ns = c->settle_ns;
    int64_t untaken = (int64_t)(f->passed - (uint64_t)c->ahead - c->taken);
    if (untaken < 0)
        taken_counter_exceeds(c, 0 - (uint64_t)untaken);
    else if (untaken > 0 && quiet_ns > c->settle_ns)
        taken_counter_assume(c, (uint64_t)untaken);
    if (untaken < 0 || quiet_ns > before_ns)
        untaken = 0;
    if (quiet_ns > TAKEN_LOST_NS) {
        c->contradictions += c->assumed < LOST_MOST ? c->assumed : LOST_MOST;
        c->assumed = 0;
    }
    c->untaken = (uint64_t)untaken;
    if (f->frames)
        return;
    if (c->contradictions > TAKEN_CONTRADICTIONS + c->taken / 64)
        c->state = TAKEN_DOUBTED;
    if (f->plain && f->answered > c->answered_most + c->taken + TAKEN_ANSWERS_MOST) {
        c->state = TAKEN_DOUBTED;
        c->contradictions++;
    }
}

void taken_counter_read(struct taken_counter *c, const struct taken_page *page, const struct taken_facts *facts,
                        uint64_t now_ns)
{
    struct taken_view v;
    struct taken_facts f = *facts;
    bool there = taken_page_read(page, now_ns, &v);
    /* After the page, or a message that passed and was taken in between would seem to be taken before it passed. */
    if (f.passing)
        f.passed = atomic_load(f.passing);
    if (!there) {
        c->state = TAKEN_ABSENT;
        c->idle = false;
        c->untaken = 0;
        return;
    }
    if (c->state == TAKEN_ABSENT || v.generation != c->generation || v.taken < c->taken)
        taken_counter_begin(c, &v, &f, now_ns);
    if (c->state == TAKEN_DOUBTED)
        return;
    bool empty = v.empty_polls != c->empty_polls, took = v.taken != c->taken;
    c->idle = v.idle_since_ns != 0 || (empty && !took);
    c->was_idle |= c->idle;
    c->short_batch = empty && took;
    c->idle_since_ns = v.idle_since_ns;
    c->empty_polls = v.empty_polls;
    if (took)
        taken_counter_progress(c, &v, &f, now_ns);
    else
        taken_counter_wait(c, now_ns);
    taken_counter_contradict(c, &f, now_ns);
}
