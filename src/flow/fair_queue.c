/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/fair_queue.h"

#include "flow/decay.h"

#define STRANGERS_FIRST (-2)
#define EQUAL           2 /* times its share: below that the established are equals and take turns */

void fair_queue_init(struct fair_queue *q)
{
    *q = (struct fair_queue){.count = 0};
    for (unsigned p = 0; p < FAIR_PRIORITIES; p++)
        for (unsigned i = 0; i < FAIR_LEVELS; i++)
            list_init(&q->ranks[p].levels[i]);
    list_init(&q->review);
}

void fair_waiter_init(struct fair_waiter *w)
{
    *w = (struct fair_waiter){.priority = FAIR_PRIORITY, .weight = 1};
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
    struct fair_rank *r = &q->ranks[w->priority];
    w->level = (int8_t)(level < FAIR_FIRST ? FAIR_FIRST : level > FAIR_LAST ? FAIR_LAST : level);
    unsigned at = (unsigned)(w->level - FAIR_FIRST);
    list_push(w->turn ? r->levels[at].next : &r->levels[at], &w->node);
    r->used |= 1u << at;
}

static void fair_queue_quit(struct fair_queue *q, struct fair_waiter *w)
{
    struct fair_rank *r = &q->ranks[w->priority];
    unsigned at = (unsigned)(w->level - FAIR_FIRST);
    list_del(&w->node);
    if (list_empty(&r->levels[at]))
        r->used &= ~(1u << at);
}

void fair_queue_push(struct fair_queue *q, struct fair_waiter *w, uint32_t messages, int level, uint64_t now_ns)
{
    if (!messages)
        return;
    if (!w->messages) {
        w->since = coarse_clock(now_ns);
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
    w->turn = 0;
    fair_queue_quit(q, w);
    fair_queue_enter(q, w, level);
}

static void fair_queue_take_out(struct fair_queue *q, struct fair_waiter *w)
{
    w->messages = 0;
    fair_queue_quit(q, w);
    list_del(&w->review);
    q->count--;
}

void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w)
{
    w->turn = 0;
    if (w->messages)
        fair_queue_take_out(q, w);
}

void fair_queue_class(struct fair_queue *q, struct fair_waiter *w, uint8_t weight, uint8_t priority)
{
    w->turn = 0;
    if (w->messages)
        fair_queue_quit(q, w);
    w->weight = weight;
    w->priority = priority;
    if (w->messages)
        fair_queue_enter(q, w, w->level);
}

/* The first priority from `p` on in which a connection waits; FAIR_PRIORITIES: none. */
static unsigned fair_queue_waited(const struct fair_queue *q, unsigned p)
{
    while (p < FAIR_PRIORITIES && !q->ranks[p].used)
        p++;
    return p;
}

struct fair_waiter *fair_queue_first(const struct fair_queue *q)
{
    unsigned p = fair_queue_waited(q, 0), behind;
    if (p == FAIR_PRIORITIES)
        return NULL;
    while (q->ranks[p].ahead >= FAIR_BEHIND && (behind = fair_queue_waited(q, p + 1)) < FAIR_PRIORITIES)
        p = behind;
    return LIST_ENTRY(q->ranks[p].levels[__builtin_ctz(q->ranks[p].used)].next, struct fair_waiter, node);
}

void fair_queue_serve(struct fair_queue *q, struct fair_waiter *w, uint32_t n)
{
    for (unsigned p = 0; p < w->priority; p++)
        q->ranks[p].ahead = q->ranks[p].used ? 0 : q->ranks[p].ahead;
    if (fair_queue_waited(q, w->priority + 1u) < FAIR_PRIORITIES)
        q->ranks[w->priority].ahead += n;
    w->turn = w->turn ? w->turn : w->weight;
    w->turn -= n < w->turn ? (uint8_t)n : w->turn;
    fair_queue_take_out(q, w);
}

bool fair_queue_stands_back(const struct fair_queue *q, const struct fair_waiter *w)
{
    return fair_queue_waited(q, 0) < w->priority;
}

unsigned fair_queue_below(const struct fair_queue *q, const struct fair_waiter *w)
{
    for (unsigned lowest = FAIR_PRIORITIES - 1; lowest > w->priority; lowest--)
        if (q->ranks[lowest].used)
            return lowest - w->priority;
    return 0;
}

struct fair_waiter *fair_queue_review(struct fair_queue *q)
{
    struct list *node = list_pop(&q->review);
    if (!node)
        return NULL;
    list_push(&q->review, node);
    return LIST_ENTRY(node, struct fair_waiter, review);
}
