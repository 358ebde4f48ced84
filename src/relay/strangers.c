/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/strangers.h"

#include "relay/record.h"

#include <stdlib.h>
#include <string.h>

/* A GOOD source may hold this many connections in reserve, including idle ones. */
#define FEW_CONNECTIONS 8u

/* How long it is remembered that a connection was of no use. */
#define USELESS_NS (60 * NS_PER_S)

/* How long a connection may be idle for each message that has passed on it, and the most messages that count. */
#define IDLE_A_MESSAGE_NS (10 * NS_PER_S)
#define MESSAGES_MOST     60u

/* ... and how long, if its source holds most of the gate. */
#define IDLE_OF_DOMINANT_NS NS_PER_S

/* Recent arrivals of a prefix are halved each 2^33 ns (8.6 s): after a minute a hundredth is left. Stored as ticks, in
 * the high half, and a count. */
#define ARRIVALS_TICK_LOG2_NS 33u
#define ARRIVALS_MOST         0xffffu

#define FIRST_CAPACITY 64u

static struct source_key key_of(const struct source *s)
{
    return (struct source_key){.bits = s->bits, .kind = (enum source_kind)s->kind};
}

static uint64_t hash_of(const struct gate *g, struct source_key k)
{
    uint64_t words[] = {k.bits, k.kind};
    return hash_bytes(&g->traffic.key, words, sizeof(words));
}

/* ---- the standing of sources ---- */

enum standing strangers_judge(const struct worker_gate *wg, const struct source *source)
{
    uint64_t now = wg->worker->loop.now_ns;
    if (source_is_shared(source))
        return STANDING_STRANGER;
    if (source_in_good_standing(source, wg->policy->limits.ban.standing_ns, now))
        return STANDING_GOOD;
    return visits_has(&wg->gate->visits.useless, hash_of(wg->gate, key_of(source)), USELESS_NS, now)
               ? STANDING_USELESS
               : STANDING_STRANGER;
}

void strangers_note_useless(const struct session *s)
{
    if (!source_is_shared(s->source))
        visits_note(&s->wg->gate->visits.useless, hash_of(s->wg->gate, key_of(s->source)), session_now_ns(s));
}

/* Approximate: a source that was in good standing, and is again after ban.standing, counts twice. */
void strangers_note_served(const struct session *s)
{
    if (!source_is_shared(s->source) && !source_in_good_standing(s->source, SOURCE_STANDING_MAX_NS, session_now_ns(s)))
        atomic_fetch_add(&s->wg->gate->visits.regulars, 1);
}

/* ---- sessions ---- */

static _Atomic uint32_t *arrivals_of(const struct session *s)
{
    struct source_key k = key_of(s->source);
    if (!source_is_shared(s->source))
        k = source_key_coarser(k);
    return &s->wg->gate->visits.prefixes[hash_of(s->wg->gate, k) % GATE_PREFIX_SLOTS];
}

static uint32_t arrivals_tick(const struct session *s)
{
    return (uint32_t)(session_now_ns(s) >> ARRIVALS_TICK_LOG2_NS) & 0xffff;
}

/* The clocks of two workers may differ by a tick. */
static uint32_t arrivals_left(uint32_t word, uint32_t tick)
{
    uint32_t age = (tick - (word >> 16)) & 0xffff;
    return age == 0xffff ? word & 0xffff : age > 15 ? 0 : (word & 0xffff) >> age;
}

static uint32_t recent_arrivals(const struct session *s)
{
    return arrivals_left(atomic_load_explicit(arrivals_of(s), memory_order_relaxed), arrivals_tick(s));
}

static void note_arrival(const struct session *s)
{
    _Atomic uint32_t *at = arrivals_of(s);
    uint32_t word = atomic_load_explicit(at, memory_order_relaxed), tick = arrivals_tick(s), n;
    do {
        n = arrivals_left(word, tick);
        n += n < ARRIVALS_MOST;
    } while (
        !atomic_compare_exchange_weak_explicit(at, &word, tick << 16 | n, memory_order_relaxed, memory_order_relaxed));
}

static bool strangers_have_room(struct worker_gate *wg, struct strangers *x)
{
    if (x->count < x->capacity)
        return true;
    uint32_t capacity = x->capacity ? 2 * x->capacity : FIRST_CAPACITY;
    size_t more = (capacity - x->capacity) * sizeof(*x->at);
    if (!account_charge(wg->worker->account, more))
        return false;
    struct session **at = malloc(capacity * sizeof(*at));
    if (!at) {
        account_release(wg->worker->account, more);
        return false;
    }
    if (x->count)
        memcpy(at, x->at, x->count * sizeof(*at));
    free(x->at);
    x->at = at;
    x->capacity = capacity;
    return true;
}

static void free_array(struct worker_gate *wg, struct strangers *x)
{
    account_release(wg->worker->account, x->capacity * sizeof(*x->at));
    free(x->at);
    x->at = NULL;
    x->capacity = 0;
}

static struct strangers *array_of(const struct session *s)
{
    return s->flags.proven ? &s->wg->strangers.proven : &s->wg->strangers.unproven;
}

static void publish(struct worker_gate *wg)
{
    atomic_store_explicit(&wg->strangers.count, wg->strangers.unproven.count, memory_order_relaxed);
}

static void add(struct session *s)
{
    struct strangers *x = array_of(s);
    if (s->in.stranger_at || !strangers_have_room(s->wg, x))
        return;
    x->at[x->count] = s;
    s->in.stranger_at = ++x->count;
    publish(s->wg);
}

void strangers_enter(struct session *s)
{
    if (!s->in.stranger_at)
        note_arrival(s);
    add(s);
}

void strangers_leave(struct session *s)
{
    struct strangers *x = array_of(s);
    if (!s->in.stranger_at)
        return;
    struct session *last = x->at[--x->count];
    x->at[s->in.stranger_at - 1] = last;
    last->in.stranger_at = s->in.stranger_at;
    s->in.stranger_at = 0;
    publish(s->wg);
    if (x->count == 0)
        free_array(s->wg, x);
}

void strangers_prove(struct session *s)
{
    if (s->flags.proven)
        return;
    strangers_leave(s);
    s->flags.proven = true;
    add(s);
}

/* SplitMix64 (Steele, Lea and Flood, 2014), seeded by the gate's secret. */
static uint64_t draw(struct worker_gate *wg)
{
    if (wg->strangers.unproven.random == 0)
        wg->strangers.unproven.random =
            hash_bytes(&wg->gate->traffic.key, &wg->worker->index, sizeof(wg->worker->index)) | 1;
    uint64_t z = wg->strangers.unproven.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The `i`-th session to look at, of `count`; if there are only a few, all of them are looked at. */
static uint32_t strangers_look_at(struct worker_gate *wg, uint32_t i, uint32_t count)
{
    return count <= STRANGERS_LOOKED_AT ? i : (uint32_t)(draw(wg) % count);
}

/* ---- strangers ---- */

bool strangers_holds_few(const struct source *source)
{
    return atomic_load(&source->refs) <= FEW_CONNECTIONS;
}

static bool is_protected(const struct session *s)
{
    return strangers_judge(s->wg, s->source) == STANDING_GOOD && strangers_holds_few(s->source);
}

/* 63 - log2 of its age in seconds: younger is higher. */
static uint64_t youth_of(const struct session *s)
{
    uint64_t age_s = (session_now_ns(s) - s->times.opened_ns) / NS_PER_S;
    return (uint64_t)__builtin_clzll(age_s | 1) - (age_s != 0);
}

static bool strangers_spare(const struct session *s)
{
    return session_now_ns(s) - s->times.opened_ns < STRANGERS_SPARED_NS;
}

/* Higher goes first. */
static uint64_t rank_of(const struct session *s)
{
    return recent_arrivals(s) + (s->up.last_read == 0 ? UINT64_C(1) << 16 : 0) + (youth_of(s) << 17) +
           (strangers_spare(s) ? 0 : UINT64_C(1) << 32);
}

struct session *strangers_pick(struct worker_gate *wg, bool spared_too)
{
    struct strangers *x = &wg->strangers.unproven;
    struct session *first = NULL;
    for (uint32_t i = 0; i < STRANGERS_LOOKED_AT && i < x->count; i++) {
        struct session *s = x->at[strangers_look_at(wg, i, x->count)];
        if (!is_protected(s) && (spared_too || !strangers_spare(s)) && (!first || rank_of(s) > rank_of(first)))
            first = s;
    }
    return first;
}

/* ---- idle sessions ---- */

static bool dominates(const struct session *s)
{
    return !source_is_shared(s->source) && atomic_load(&s->source->refs) > atomic_load(&s->wg->gate->counts.max) / 2;
}

static uint64_t idle_ns(const struct session *s)
{
    return session_now_ns(s) - s->times.active_ns;
}

static bool is_overdue(const struct session *s)
{
    /* A request and its reply are one exchange. */
    uint64_t messages = s->up.messages > s->down.messages ? s->up.messages : s->down.messages;
    messages = messages > MESSAGES_MOST ? MESSAGES_MOST : messages ? messages : 1;
    return idle_ns(s) >= (dominates(s) ? IDLE_OF_DOMINANT_NS : messages * IDLE_A_MESSAGE_NS);
}

/* How many connections its source holds, if these are more than a few and more than the newcomer's source holds; else
 * 0. */
static uint32_t excess_of(const struct session *s, const struct source *newcomer)
{
    uint32_t held = source_is_shared(s->source) ? 0 : atomic_load(&s->source->refs);
    bool many = held > FEW_CONNECTIONS || dominates(s);
    return many && held > (newcomer ? atomic_load(&newcomer->refs) : 1) ? held : 0;
}

static bool goes_before(const struct session *s, const struct session *other, const struct source *newcomer)
{
    uint32_t n = excess_of(s, newcomer), m = excess_of(other, newcomer);
    if (n != m)
        return n > m;
    return n ? idle_ns(s) > idle_ns(other) : s->times.opened_ns > other->times.opened_ns;
}

struct session *strangers_pick_idle(struct worker_gate *wg, const struct source *newcomer, enum standing standing)
{
    struct session *first = NULL;
    uint32_t strangers = wg->strangers.unproven.count, count = strangers + wg->strangers.proven.count;
    bool regular = newcomer && standing == STANDING_GOOD && strangers_holds_few(newcomer);
    for (uint32_t i = 0; i < STRANGERS_LOOKED_AT && i < count; i++) {
        uint32_t k = strangers_look_at(wg, i, count);
        struct session *s = k < strangers ? wg->strangers.unproven.at[k] : wg->strangers.proven.at[k - strangers];
        if (s->source == newcomer || !is_overdue(s) || !(regular || excess_of(s, newcomer)))
            continue;
        if (!first || goes_before(s, first, newcomer))
            first = s;
    }
    return first;
}
