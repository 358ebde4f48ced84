/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A timer sits on the level of the highest 6-bit digit in which its tick differs from the wheel's. So everything on a
 * level comes before everything on the levels above, the slot is always after the wheel's own, and slot 0 of a level is
 * free: that of the last level holds what lies beyond the horizon, and is looked at when the horizon moves.
 */
#include "base/timers.h"

#include "base/attr.h"

#define SLOT_BITS 6
#define SLOT_MASK (TIMERS_SLOTS - 1u)

_Static_assert(TIMERS_SLOTS == 1 << SLOT_BITS, "a slot is a digit, and a bit of a 64-bit word");

/* Where a slot lies, and the tick at which it is to be run. */
struct position {
    unsigned level, slot;
    uint64_t tick;
};

void timers_init(struct timers *w, uint64_t now_ns)
{
    for (unsigned level = 0; level < TIMERS_LEVELS; level++) {
        for (unsigned slot = 0; slot < TIMERS_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
        w->occupied[level] = 0;
    }
    list_init(&w->due);
    w->tick = now_ns / NS_PER_MS;
}

void timer_init(struct timer *t)
{
    list_init(&t->node);
    t->expires_ns = 0;
}

/* The first tick that does not come before the deadline: rounding up is what keeps a timer from firing early. */
static uint64_t timers_tick_of(uint64_t expires_ns)
{
    return expires_ns / NS_PER_MS + (expires_ns % NS_PER_MS != 0);
}

static void place(struct timers *w, struct timer *t)
{
    uint64_t tick = timers_tick_of(t->expires_ns);
    if (tick <= w->tick) {
        list_push(&w->due, &t->node);
        return;
    }
    unsigned level = (63u - (unsigned)__builtin_clzll(tick ^ w->tick)) / SLOT_BITS;
    unsigned slot = 0;
    if (level < TIMERS_LEVELS)
        slot = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
    else
        level = TIMERS_LEVELS - 1;
    list_push(&w->slots[level][slot], &t->node);
    w->occupied[level] |= 1ull << slot;
}

void timer_arm(struct timers *w, struct timer *t, uint64_t expires_ns)
{
    list_del(&t->node);
    t->expires_ns = expires_ns;
    place(w, t);
}

void timer_disarm(struct timer *t)
{
    list_del(&t->node);
    t->expires_ns = 0;
}

/* The tick at which `slot` of `level` begins; slot 0 stands for the next turn of its level. */
static uint64_t slot_tick(const struct timers *w, unsigned level, unsigned slot)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t turn = (w->tick >> shift) & ~(uint64_t)SLOT_MASK;
    return (turn + (slot ? slot : TIMERS_SLOTS)) << shift;
}

/* Disarming leaves bits of empty slots behind. Each bit dropped here was set by an arming, so this costs O(1) in the
 * mean. */
static void drop_empty(struct timers *w)
{
    for (unsigned level = 0; level < TIMERS_LEVELS; level++) {
        uint64_t *bits = &w->occupied[level];
        while (*bits && list_empty(&w->slots[level][__builtin_ctzll(*bits)]))
            *bits &= *bits - 1;
    }
}

/* The first slot that holds a timer. */
static bool find_first(const struct timers *w, struct position *ret)
{
    for (unsigned level = 0; level < TIMERS_LEVELS; level++) {
        /* Slot 0 is the last to come, so its bit goes to the end. */
        for (uint64_t bits = w->occupied[level] & ~1ull; bits; bits &= bits - 1) {
            unsigned slot = (unsigned)__builtin_ctzll(bits);
            if (list_empty(&w->slots[level][slot]))
                continue;
            *ret = (struct position){level, slot, slot_tick(w, level, slot)};
            return true;
        }
    }
    unsigned last = TIMERS_LEVELS - 1;
    if (list_empty(&w->slots[last][0]))
        return false;
    *ret = (struct position){last, 0, slot_tick(w, last, 0)};
    return true;
}

/* Clears the bits of slots that the wheel has passed, which hold nothing any more, up to and including `p`. */
static void forget_passed(struct timers *w, const struct position *p)
{
    for (unsigned level = 0; level < p->level; level++)
        w->occupied[level] = 0;
    w->occupied[p->level] &= p->slot ? ~1ull << p->slot : 0;
}

/* Moves to the first occupied slot and spreads it out over the levels below; false when it lies after `now_tick`. */
static bool timers_advance(struct timers *w, uint64_t now_tick)
{
    struct position p;
    drop_empty(w);
    if (!find_first(w, &p) || p.tick > now_tick) {
        if (now_tick > w->tick)
            w->tick = now_tick;
        return false;
    }
    struct list *from = &w->slots[p.level][p.slot], all;
    list_init(&all);
    list_push(from, &all); /* takes the place of the head ... */
    list_del(from);        /* ... so that what is beyond the horizon again may be put back into the slot */
    forget_passed(w, &p);
    w->tick = p.tick;
    for (struct list *node; (node = list_pop(&all));)
        place(w, LIST_ENTRY(node, struct timer, node));
    return true;
}

struct timer *timers_pop(struct timers *w, uint64_t now_ns)
{
    while (list_empty(&w->due) && timers_advance(w, now_ns / NS_PER_MS))
        ;
    struct list *node = list_pop(&w->due);
    if (!node)
        return NULL;
    struct timer *t = LIST_ENTRY(node, struct timer, node);
    t->expires_ns = 0;
    return t;
}

uint64_t timers_next_ns(const struct timers *w)
{
    struct position p;
    if (!list_empty(&w->due))
        return 0;
    return find_first(w, &p) ? p.tick * NS_PER_MS : UINT64_MAX;
}
