/* SPDX-License-Identifier: MPL-2.0 */
/* Room for large messages that stream: traffic_inner.h. */
#include "inspect/traffic_inner.h"

/* A message of many frames does not say how much of it is still to come. While others wait for its room, a stranger's
 * message ends before it is the largest that there may be. */
static bool traffic_gives_way(const struct judgement *j)
{
    const struct traffic_context *c = j->c;
    uint64_t limit = c->limits->message.unfinished_bytes, has = j->t->reserved;
    bool long_enough =
        has / TRAFFIC_STRANGERS_PART >= limit || (j->t->frames > TRAFFIC_MANY_FRAMES && has >= limit / 4);
    return long_enough && stream_budget_wanted(&c->gate->unfinished, c->now_ns, NS_PER_S) && traffic_is_strangers(j);
}

/* While many bytes lie in the application whose ends wait for their turns, no further message begins that would have to
 * wait. A message that has begun goes on: it holds room that others want. */
static bool may_begin(const struct judgement *j)
{
    const struct traffic_context *c = j->c;
    return j->r->turns < c->turns || j->t->reserved ||
           stream_budget_ends(&c->gate->unfinished) < c->limits->message.unfinished_bytes;
}

/* Reserves the bytes that the message is about to put into the application; while that is refused, they wait. */
bool traffic_room_reserve(struct judgement *j)
{
    struct traffic *t = j->t;
    const struct traffic_context *c = j->c;
    struct stream_budget_client client = {
        .id = c->id, .owner = (uintptr_t)c->source, .pace = t->pace_log2 ? UINT64_C(1) << t->pace_log2 : 0};
    if (t->want == 0)
        return true;
    if (traffic_gives_way(j))
        return traffic_refuse(j, VERDICT_MESSAGE_GIVES_WAY);
    if (!may_begin(j) ||
        !stream_budget_reserve(&c->gate->unfinished, c->limits->message.unfinished_bytes, client, t->want, c->now_ns)) {
        traffic_pause_for(j, VERDICT_PASS, TRAFFIC_UNFINISHED_RETRY_NS);
        return false;
    }
    t->reserved += t->want;
    t->want = 0;
    return true;
}

/* Small frames cost the application more than their bytes. */
static uint64_t still_to_reserve(const struct traffic *t)
{
    return t->size > t->reserved ? t->size - t->reserved : 0;
}

/* Many small frames would come to the application all at once afterwards, and it works on each of them. */
static bool may_gather(const struct judgement *j)
{
    return j->t->frames <= TRAFFIC_MANY_FRAMES && (uint64_t)(j->end - j->item) < j->c->gather_bytes;
}

/* A held message has grown beyond message.hold. It streams as soon as it fits into the pool. Until then its beginning
 * is gathered here: a small message then needs no room in the application before it is whole, and of a larger one the
 * pace is known. */
bool traffic_room_begin(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t want = still_to_reserve(t);
    t->gathers = false;
    if (may_begin(j) && stream_budget_take(&j->c->gate->unfinished, j->c->limits->message.unfinished_bytes, want)) {
        t->mode = TRAFFIC_STREAM;
        t->reserved += want;
        return true;
    }
    if (may_gather(j)) {
        t->gathers = true;
        return true;
    }
    t->pace_log2 = j->c->pace ? (uint8_t)(63 - __builtin_clzll(j->c->pace)) : 0;
    t->mode = TRAFFIC_STREAM;
    t->want = want;
    return traffic_room_reserve(j);
}

void traffic_room_give_back(struct traffic *t, const struct traffic_context *c)
{
    if (t->reserved == 0)
        return;
    if (traffic_end_waits(t))
        stream_budget_end_goes(&c->gate->unfinished, t->reserved);
    else
        stream_budget_release(&c->gate->unfinished, c->id, t->reserved);
    t->reserved = 0;
}

/* A message that streams already, and has grown. */
bool traffic_room_grow(struct judgement *j)
{
    j->t->want = still_to_reserve(j->t);
    return traffic_room_reserve(j);
}
