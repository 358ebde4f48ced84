/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/strangers.h"

#include "relay/session.h"

#include <stdlib.h>
#include <string.h>

/* How long after its handshake a session has had its chance to say something. */
#define SPARED_NS (200 * NS_PER_MS)

/* A GOOD source may keep so many connections in reserve, idle ones too. */
#define FEW_CONNECTIONS 8u

/* How long it is remembered that a connection was of no use. */
#define USELESS_NS (60 * NS_PER_S)

/* A connection of a source that holds most of the gate may go when nothing has moved on it for so long. */
#define IDLE_NS NS_PER_S

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

/* ---- what is remembered ---- */

enum standing strangers_judge(const struct worker_gate *wg, const struct source *source)
{
    uint64_t now = wg->worker->now_ns;
    if (source_is_shared(source))
        return STANDING_STRANGER;
    if (source_in_good_standing(source, wg->policy->limits.ban.standing_ns, now))
        return STANDING_GOOD;
    return visits_has(&wg->gate->useless, hash_of(wg->gate, key_of(source)), USELESS_NS, now) ? STANDING_USELESS
                                                                                              : STANDING_STRANGER;
}

void strangers_note_useless(const struct session *s)
{
    if (!source_is_shared(s->source))
        visits_note(&s->wg->gate->useless, hash_of(s->wg->gate, key_of(s->source)), s->wg->worker->now_ns);
}

static bool is_only_one(const struct session *s)
{
    return s->peer->count == 1;
}

/* Roughly: a source whose entry is evicted meanwhile stays counted, and one with connections to several workers counts
 * at each. */
void strangers_note_return(const struct session *s)
{
    _Atomic uint32_t *away = &s->wg->gate->regulars_away;
    uint32_t n = atomic_load(away);
    if (s->standing != STANDING_GOOD || !is_only_one(s))
        return;
    while (n && !atomic_compare_exchange_weak(away, &n, n - 1))
        ;
}

void strangers_note_leave(const struct session *s)
{
    if ((s->served || s->standing == STANDING_GOOD) && is_only_one(s))
        atomic_fetch_add(&s->wg->gate->regulars_away, 1);
}

/* ---- candidates ---- */

/* How many there are in its prefix. */
static _Atomic uint32_t *in_prefix(const struct session *s)
{
    struct source_key k = key_of(s->source);
    if (!source_is_shared(s->source))
        k = source_key_coarser(k);
    return &s->wg->gate->prefixes[hash_of(s->wg->gate, k) % GATE_PREFIX_SLOTS];
}

static bool has_room(struct worker_gate *wg)
{
    struct strangers *x = &wg->strangers;
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

static void free_array(struct worker_gate *wg)
{
    struct strangers *x = &wg->strangers;
    account_release(wg->worker->account, x->capacity * sizeof(*x->at));
    free(x->at);
    x->at = NULL;
    x->capacity = 0;
}

void strangers_enter(struct session *s)
{
    struct worker_gate *wg = s->wg;
    struct strangers *x = &wg->strangers;
    if (s->stranger_at || !has_room(wg))
        return;
    x->at[x->count] = s;
    s->stranger_at = ++x->count;
    atomic_store_explicit(&wg->stranger_count, x->count, memory_order_relaxed);
    atomic_fetch_add_explicit(in_prefix(s), 1, memory_order_relaxed);
}

void strangers_leave(struct session *s)
{
    struct strangers *x = &s->wg->strangers;
    if (!s->stranger_at)
        return;
    struct session *last = x->at[--x->count];
    x->at[s->stranger_at - 1] = last;
    last->stranger_at = s->stranger_at;
    s->stranger_at = 0;
    atomic_store_explicit(&s->wg->stranger_count, x->count, memory_order_relaxed);
    atomic_fetch_sub_explicit(in_prefix(s), 1, memory_order_relaxed);
    if (x->count == 0)
        free_array(s->wg);
}

static bool is_protected(const struct session *s)
{
    return strangers_judge(s->wg, s->source) == STANDING_GOOD && atomic_load(&s->source->refs) <= FEW_CONNECTIONS;
}

/* Higher goes first: who has said nothing at all, then who has had its chance, then the larger prefix. */
static uint64_t rank_of(const struct session *s)
{
    return atomic_load_explicit(in_prefix(s), memory_order_relaxed) +
           (s->wg->worker->now_ns - s->opened_ns >= SPARED_NS ? UINT64_C(1) << 32 : 0) +
           (s->up.last_read == 0 ? UINT64_C(1) << 33 : 0);
}

/* SplitMix64 (Steele, Lea and Flood, 2014), seeded by the gate's secret. */
static uint64_t draw(struct worker_gate *wg)
{
    uint64_t z = wg->strangers.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct session *strangers_pick(struct worker_gate *wg)
{
    struct strangers *x = &wg->strangers;
    struct session *first = NULL;
    if (x->random == 0)
        x->random = hash_bytes(&wg->gate->traffic.key, &wg->worker->index, sizeof(wg->worker->index)) | 1;
    for (unsigned i = 0; i < STRANGERS_LOOKED_AT && x->count; i++) {
        struct session *s = x->at[draw(wg) % x->count];
        if (!is_protected(s) && (!first || rank_of(s) > rank_of(first)))
            first = s;
    }
    return first;
}

/* ---- a source that holds most of the gate ---- */

static bool dominates(const struct worker_gate *wg, const struct source *s)
{
    return atomic_load(&s->refs) > atomic_load(&wg->gate->max_connections) / 2;
}

void strangers_note_dominant(struct worker_gate *wg, struct peer *p)
{
    if (dominates(wg, p->source))
        wg->dominant = p;
}

struct session *strangers_pick_of_dominant(struct worker_gate *wg, const struct source *newcomer)
{
    struct peer *p = wg->dominant;
    struct session *longest = NULL;
    if (!p || p->source == newcomer || !dominates(wg, p->source) || atomic_load(&newcomer->refs) > FEW_CONNECTIONS)
        return NULL;
    /* Who was looked at stands at the end. */
    for (unsigned i = 0; i < STRANGERS_LOOKED_AT && i < p->count; i++) {
        struct list *n = list_pop(&p->sessions);
        struct session *s = LIST_ENTRY(n, struct session, in_peer);
        list_push(&p->sessions, n);
        if (!longest || s->active_ns < longest->active_ns)
            longest = s;
    }
    return longest && wg->worker->now_ns - longest->active_ns >= IDLE_NS ? longest : NULL;
}
