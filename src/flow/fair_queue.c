/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/fair_queue.h"

#include "flow/decay.h"

#define STRANGERS_FIRST (-2)
#define EQUAL           2 /* times its share: up to there the established are equals, and take turns */

void fair_queue_init(struct fair_queue *q)
{
    *q = (struct fair_queue){.used = 0};
    for (unsigned i = 0; i < FAIR_LEVELS; i++)
        list_init(&q->levels[i]);
    list_init(&q->review);
}

void fair_waiter_init(struct fair_waiter *w)
{
    *w = (struct fair_waiter){.messages = 0};
    list_init(&w->node);
    list_init(&w->review);
}

int fair_level(double attained, double expected, double share, bool established)
{
    if (share <= 0)
        return FAIR_LAST;
    if (!established)
        return floor_log2((attained + expected) / share, STRANGERS_FIRST, FAIR_LAST);
    if (attained < EQUAL * share)
        return FAIR_EQUAL;
    return floor_log2(attained / share, 0, FAIR_LAST) + STRANGERS_FIRST;
}

int fair_level_after(int level, uint64_t waited_ns, uint64_t patience_ns)
{
    uint64_t steps = patience_ns ? waited_ns / patience_ns : 0;
    return steps >= (uint64_t)(level - FAIR_FIRST) ? FAIR_FIRST : level - (int)steps;
}

static void fair_queue_enter(struct fair_queue *q, struct fair_waiter *w, int level)
{
    w->level = (int8_t)(level < FAIR_FIRST ? FAIR_FIRST : level > FAIR_LAST ? FAIR_LAST : level);
    unsigned at = (unsigned)(w->level - FAIR_FIRST);
    list_push(&q->levels[at], &w->node);
    q->used |= 1u << at;
}

static void fair_queue_quit(struct fair_queue *q, struct fair_waiter *w)
{
    unsigned at = (unsigned)(w->level - FAIR_FIRST);
    list_del(&w->node);
    if (list_empty(&q->levels[at]))
        q->used &= ~(1u << at);
}

void fair_queue_push(struct fair_queue *q, struct fair_waiter *w, uint32_t messages, int level, uint64_t now_ns)
{
    if (!messages)
        return;
    if (!w->messages) {
        w->since_ns = now_ns;
        fair_queue_enter(q, w, level);
        list_push(&q->review, &w->review);
        q->count++;
    }
    w->messages = messages;
}

void fair_queue_move(struct fair_queue *q, struct fair_waiter *w, int level)
{
    if (!w->messages || level == w->level)
        return;
    fair_queue_quit(q, w);
    fair_queue_enter(q, w, level);
}

void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w)
{
    if (!w->messages)
        return;
    w->messages = 0;
    fair_queue_quit(q, w);
    list_del(&w->review);
    q->count--;
}

struct fair_waiter *fair_queue_first(const struct fair_queue *q)
{
    if (!q->used)
        return NULL;
    return LIST_ENTRY(q->levels[__builtin_ctz(q->used)].next, struct fair_waiter, node);
}

struct fair_waiter *fair_queue_review(struct fair_queue *q)
{
    struct list *node = list_pop(&q->review);
    if (!node)
        return NULL;
    list_push(&q->review, node);
    return LIST_ENTRY(node, struct fair_waiter, review);
}
