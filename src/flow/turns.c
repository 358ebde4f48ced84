/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/turns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8u

/* What a unit moves the tag of a source of weight one. Shares of weights up to 64 times that come out to a thousandth,
 * and tags last for nine years at a million units a second. */
#define UNIT (1ull << 16)

/* Units that the sparse get for one that the greedy do, as long as both wait; and those of a priority for one of those
 * behind them. */
#define GREEDY_PART 7u
#define BEHIND_PART 7u

/* Idle time that a unit costs, in times that the application takes for one: PRICE_LEAST / PRICE_ONE, and more while the
 * sparse together ask for more than their part. Then those who take most of it turn greedy, until the rest fits. */
#define PRICE_ONE   1024u
#define PRICE_LEAST (4u * PRICE_ONE)
#define PRICE_MOST  (1024u * PRICE_ONE)
#define PRICE_STEPS 64u

/* A source that is sparse no longer waits for at most this many of the quanta that are granted now, whatever it was
 * served before. */
#define LEAD_QUANTA 4u

static bool init_heap(struct turns_heap *h, size_t sources)
{
    h->at = calloc(sources + 1, sizeof(*h->at));
    return h->at != NULL;
}

int turns_init(struct turns *t, size_t capacity)
{
    size_t n = 64;
    while (n < capacity)
        n *= 2;
    memset(t, 0, sizeof(*t));
    t->sets = n / WAYS;
    t->table = calloc(n, sizeof(*t->table));
    bool whole = t->table != NULL;
    for (unsigned i = 0; i < TURNS_PRIORITIES; i++)
        whole &= init_heap(&t->ranks[i].sparse, n) && init_heap(&t->ranks[i].greedy, n);
    if (whole)
        return 0;
    turns_fini(t);
    return -ENOMEM;
}

void turns_fini(struct turns *t)
{
    free(t->table);
    for (unsigned i = 0; i < TURNS_PRIORITIES; i++) {
        free(t->ranks[i].sparse.at);
        free(t->ranks[i].greedy.at);
    }
    memset(t, 0, sizeof(*t));
}

/* ---- the heaps: the next source on top ---- */

static struct turns_rank *rank_of(struct turns *t, const struct turns_source *s)
{
    return &t->ranks[s->priority];
}

static struct turns_heap *heap_of(struct turns *t, const struct turns_source *s)
{
    return s->level == TURNS_GREEDY ? &rank_of(t, s)->greedy : &rank_of(t, s)->sparse;
}

static bool before(const struct turns_source *a, const struct turns_source *b)
{
    if (a->level != b->level)
        return a->level < b->level;
    if (a->tag != b->tag)
        return a->tag < b->tag;
    /* All newcomers begin at the same tag: first come, first served. */
    return (int32_t)(a->order - b->order) < 0;
}

static void put(struct turns_heap *h, uint32_t place, struct turns_source *s)
{
    h->at[place] = s;
    s->place = place;
}

static void sift_up(struct turns_heap *h, struct turns_source *s)
{
    uint32_t at = s->place;
    for (; at > 1 && before(s, h->at[at / 2]); at /= 2)
        put(h, at, h->at[at / 2]);
    put(h, at, s);
}

static void sift_down(struct turns_heap *h, struct turns_source *s)
{
    uint32_t at = s->place;
    for (uint32_t child; (child = 2 * at) <= h->count; at = child) {
        if (child < h->count && before(h->at[child + 1], h->at[child]))
            child++;
        if (!before(h->at[child], s))
            break;
        put(h, at, h->at[child]);
    }
    put(h, at, s);
}

static void enter_heap(struct turns *t, struct turns_source *s)
{
    struct turns_heap *h = heap_of(t, s);
    s->place = ++h->count;
    sift_up(h, s);
}

static void leave_heap(struct turns *t, struct turns_source *s)
{
    struct turns_heap *h = heap_of(t, s);
    struct turns_source *last = h->at[h->count--];
    uint32_t place = s->place;
    s->place = 0;
    if (last == s)
        return;
    last->place = place;
    sift_up(h, last);
    sift_down(h, last);
}

static void reorder(struct turns *t, struct turns_source *s)
{
    sift_up(heap_of(t, s), s);
    sift_down(heap_of(t, s), s);
}

/* ---- idle time ---- */

static bool is_busy(const struct turns_source *s)
{
    return s->waiting != 0 || s->under_way != 0;
}

static int64_t idle_at(const struct turns_source *s, uint64_t now_ns)
{
    /* Another worker's clock may be a little behind. */
    uint64_t passed = now_ns > s->since_ns ? now_ns - s->since_ns : 0;
    int64_t bounded = (int64_t)(passed < TURNS_IDLE_MOST_NS ? passed : TURNS_IDLE_MOST_NS);
    int64_t idle = s->idle_ns + (is_busy(s) ? -bounded * ((int64_t)s->waiting + s->under_way) : bounded);
    return idle < 0 ? 0 : idle > (int64_t)TURNS_IDLE_MOST_NS ? (int64_t)TURNS_IDLE_MOST_NS : idle;
}

/* Brings the saved idle time up to date, before anything changes. */
static void settle(struct turns_source *s, uint64_t now_ns)
{
    s->idle_ns = idle_at(s, now_ns);
    if (now_ns > s->since_ns)
        s->since_ns = now_ns;
}

static uint8_t level_of(const struct turns_source *s)
{
    static const uint64_t least[TURNS_GREEDY] = {
        4 * NS_PER_S, 2 * NS_PER_S, 1 * NS_PER_S, 500 * NS_PER_MS, 200 * NS_PER_MS, 50 * NS_PER_MS, 1,
    };
    uint8_t level = 0;
    while (level < TURNS_GREEDY && (uint64_t)s->idle_ns < least[level])
        level++;
    return level;
}

/* ---- tags ---- */

static uint64_t charge_of(const struct turns_source *s, uint32_t units)
{
    uint64_t charge = (uint64_t)units * UNIT * TURNS_WEIGHT_ONE / s->weight;
    return charge ? charge : 1;
}

/* Forgives what it was served before the others' time. */
static void limit_lead(struct turns *t, struct turns_source *s)
{
    uint64_t most = rank_of(t, s)->clock + charge_of(s, LEAD_QUANTA * t->quantum);
    if (s->tag > most)
        s->tag = most;
}

/* A sparse source may take more than the equal share for hours, and is not to starve for as long when it wants more one
 * day. */
static void set_level(struct turns *t, struct turns_source *s, uint8_t level)
{
    if (level == TURNS_GREEDY && s->level < TURNS_GREEDY)
        limit_lead(t, s);
    s->level = level;
}

/* The times of two priorities have nothing to do with each other. */
static void set_class(struct turns *t, struct turns_source *s, const struct turns_client *who)
{
    if (s->priority != who->priority)
        s->tag = 0;
    s->priority = who->priority;
    s->weight = who->weight;
}

/* ---- sources ---- */

static bool is_as_new(const struct turns *t, const struct turns_source *s)
{
    return s->owner == 0 || (!is_busy(s) && s->tag <= t->ranks[s->priority].clock);
}

static void make(struct turns_source *s, const struct turns_client *who, uint64_t now_ns)
{
    uint64_t idle_ns = who->age_ns < TURNS_IDLE_FIRST_NS ? TURNS_IDLE_FIRST_NS : who->age_ns;
    *s = (struct turns_source){
        .owner = who->owner, .since_ns = now_ns, .weight = who->weight, .priority = who->priority};
    s->idle_ns = (int64_t)(idle_ns < TURNS_IDLE_MOST_NS ? idle_ns : TURNS_IDLE_MOST_NS);
    list_init(&s->line);
}

/* The source's entry; else the one that has rested longest; else, when all are busy, one that it has to share. */
static struct turns_source *find(struct turns *t, const struct turns_client *who, uint64_t now_ns)
{
    size_t set = (size_t)(who->owner * 0x9e3779b97f4a7c15u >> 20) & (t->sets - 1);
    struct turns_source *ways = t->table + set * WAYS, *rested = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct turns_source *s = &ways[i];
        if (s->owner == who->owner)
            return s;
        if (is_as_new(t, s) && (!rested || s->since_ns < rested->since_ns))
            rested = s;
    }
    if (!rested)
        return &ways[who->owner / 64 % WAYS];
    make(rested, who, now_ns);
    return rested;
}

struct turns_source *turns_join(struct turns *t, struct turn *turn, const struct turns_client *who, uint64_t now_ns)
{
    struct turns_source *s = find(t, who, now_ns);
    settle(s, now_ns);
    if (!is_busy(s))
        set_class(t, s, who);
    turn->source = s;
    list_push(&s->line, &turn->node);
    s->waiting++;
    t->waiting++;
    if (s->place != 0)
        return s;
    set_level(t, s, level_of(s));
    if (s->tag < rank_of(t, s)->clock)
        s->tag = rank_of(t, s)->clock;
    s->order = t->joins++;
    enter_heap(t, s);
    return s;
}

static void take_out(struct turns *t, struct turn *turn)
{
    struct turns_source *s = turn->source;
    list_del(&turn->node);
    turn->source = NULL;
    s->waiting--;
    t->waiting--;
    if (s->waiting == 0)
        leave_heap(t, s);
}

void turns_leave(struct turns *t, struct turn *turn, uint64_t now_ns)
{
    if (!turn->source)
        return;
    settle(turn->source, now_ns);
    take_out(t, turn);
}

/* Who has spent its idle time while it waited stands behind those who have more from now on. */
static struct turns_source *first_sparse(struct turns *t, struct turns_rank *r, uint64_t now_ns)
{
    while (r->sparse.count) {
        struct turns_source *s = r->sparse.at[1];
        settle(s, now_ns);
        uint8_t level = level_of(s);
        if (s->level == level)
            return s;
        leave_heap(t, s);
        set_level(t, s, level);
        enter_heap(t, s);
    }
    return NULL;
}

/* The sparse go first, but when there are many of them, something is left to the others: otherwise a crowd that asks
 * for a little more than all would starve whoever has turned greedy, though each of the crowd is served more. */
static struct turns_source *first_of(struct turns *t, struct turns_rank *r, uint32_t cost, uint64_t now_ns)
{
    struct turns_source *sparse = first_sparse(t, r, now_ns), *greedy = r->greedy.count ? r->greedy.at[1] : NULL;
    if (!sparse) {
        r->owed = 0;
        r->surcharge -= (r->surcharge + PRICE_STEPS - 1) / PRICE_STEPS;
        return greedy;
    }
    if (!greedy)
        return sparse;
    if (r->owed >= GREEDY_PART * cost) {
        r->owed = 0;
        r->surcharge += r->surcharge < PRICE_MOST ? (PRICE_LEAST + r->surcharge) / PRICE_STEPS : 0;
        return greedy;
    }
    r->owed += cost;
    return sparse;
}

static bool is_waited_in(const struct turns_rank *r)
{
    return r->sparse.count || r->greedy.count;
}

/* The next priority behind `r` that is waited in, or NULL. */
static struct turns_rank *behind(struct turns *t, struct turns_rank *r)
{
    while (++r < t->ranks + TURNS_PRIORITIES)
        if (is_waited_in(r))
            return r;
    return NULL;
}

static struct turns_source *first(struct turns *t, uint32_t cost, uint64_t now_ns)
{
    struct turns_rank *r = is_waited_in(t->ranks) ? t->ranks : behind(t, t->ranks);
    if (!r)
        return NULL;
    for (struct turns_rank *next; (next = behind(t, r)); r = next) {
        if (r->ahead < BEHIND_PART * cost) {
            r->ahead += cost;
            break;
        }
        r->ahead = 0;
    }
    return first_of(t, r, cost, now_ns);
}

unsigned turns_below(const struct turns *t, const struct turns_source *s)
{
    for (unsigned lowest = TURNS_PRIORITIES - 1; lowest > s->priority; lowest--)
        if (is_waited_in(&t->ranks[lowest]))
            return lowest - s->priority;
    return 0;
}

/* How long the application takes for a unit, as long as somebody waits. */
static void follow_pace(struct turns *t, uint32_t cost, uint64_t now_ns)
{
    if (!t->standing || now_ns < t->granted_ns)
        return;
    uint64_t passed = now_ns - t->granted_ns, sample = (passed < NS_PER_S ? passed : NS_PER_S) / cost;
    t->pace_ns = (31 * t->pace_ns + sample) / 32;
}

static uint64_t price_of(const struct turns *t, const struct turns_source *s, uint32_t units)
{
    return (PRICE_LEAST + t->ranks[s->priority].surcharge) * t->pace_ns / PRICE_ONE * units;
}

/* Whatever a sparse source is served is at the others' cost, and so it can live on its idle time only as long as it
 * takes a small part of the application: a client that works half of the time would have a quarter of a single server
 * to itself. */
static void spend(const struct turns *t, struct turns_source *s, uint32_t cost)
{
    uint64_t price = price_of(t, s, cost);
    s->idle_ns = price < (uint64_t)s->idle_ns ? s->idle_ns - (int64_t)price : 0;
}

/* Fast applications give whole batches, of which a client with little to say uses a few. Who was greedy has paid
 * nothing and gets nothing back. */
static void pay_back(const struct turns *t, struct turns_source *s, uint32_t units)
{
    if (s->level == TURNS_GREEDY || s->idle_ns == 0)
        return;
    uint64_t idle_ns = (uint64_t)s->idle_ns + price_of(t, s, units);
    s->idle_ns = (int64_t)(idle_ns < TURNS_IDLE_MOST_NS ? idle_ns : TURNS_IDLE_MOST_NS);
}

struct turn *turns_next(struct turns *t, uint32_t cost, uint64_t now_ns, struct turns_source **ret_source)
{
    struct turns_source *s = first(t, cost, now_ns);
    if (!s)
        return NULL;
    settle(s, now_ns);
    struct turn *turn = LIST_ENTRY(s->line.next, struct turn, node);
    /* The clock follows the greedy while any wait: what a sparse source takes beyond the equal share stays on its tag.
     */
    if (s->tag > rank_of(t, s)->clock && (s->level == TURNS_GREEDY || rank_of(t, s)->greedy.count == 0))
        rank_of(t, s)->clock = s->tag;
    follow_pace(t, cost, now_ns);
    spend(t, s, cost);
    t->quantum = cost;
    t->granted_ns = now_ns;
    s->tag += charge_of(s, cost);
    take_out(t, turn);
    t->standing = t->waiting > 0;
    s->under_way += cost;
    if (s->place != 0)
        reorder(t, s);
    *ret_source = s;
    return turn;
}

void turns_end(struct turns *t, struct turns_source *s, uint32_t units, uint64_t now_ns)
{
    settle(s, now_ns);
    s->under_way -= units;
}

void turns_refund(struct turns *t, struct turns_source *s, uint32_t units, uint64_t now_ns)
{
    uint64_t charged = charge_of(s, units), clock = rank_of(t, s)->clock;
    turns_end(t, s, units, now_ns);
    pay_back(t, s, units);
    /* What was forgiven meanwhile is not given back. */
    s->tag = s->tag > clock + charged ? s->tag - charged : s->tag < clock ? s->tag : clock;
    if (s->place == 0)
        return;
    /* It may have more idle time now than where it stands. */
    leave_heap(t, s);
    set_level(t, s, level_of(s));
    enter_heap(t, s);
}
