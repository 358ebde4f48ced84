/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/valve.h"

#include <string.h>

/* Samples before it is decided that requests are answered, and in a row before it is decided that they are not. */
#define ENOUGH_KEPT   4u
#define ENOUGH_BROKEN 32u

/* What a client may pass in one turn. */
#define GRANT_MOST 256u

int valve_init(struct valve *v, uint32_t most, size_t sources, valve_wake wake)
{
    memset(v, 0, sizeof(*v));
    v->wake = wake;
    pthread_mutex_init(&v->lock, NULL);
    concurrency_init(&v->concurrency, most);
    atomic_store(&v->limit, concurrency_limit(&v->concurrency));
    return turns_init(&v->turns, sources);
}

void valve_fini(struct valve *v)
{
    turns_fini(&v->turns);
    pthread_mutex_destroy(&v->lock);
}

void valve_be_strict(struct valve *v)
{
    pthread_mutex_lock(&v->lock);
    v->strict = true;
    atomic_store(&v->mode, VALVE_LIMITED);
    pthread_mutex_unlock(&v->lock);
}

void valve_be_fixed(struct valve *v, uint32_t limit)
{
    pthread_mutex_lock(&v->lock);
    v->strict = true;
    v->fixed = limit;
    atomic_store(&v->limit, limit);
    atomic_store(&v->mode, VALVE_LIMITED);
    pthread_mutex_unlock(&v->lock);
}

void valve_shed_by(struct valve *v, const struct codel_params *p)
{
    pthread_mutex_lock(&v->lock);
    v->shed = *p;
    pthread_mutex_unlock(&v->lock);
}

static uint32_t limit_of(const struct valve *v)
{
    return v->fixed ? v->fixed : concurrency_limit(&v->concurrency);
}

void valve_client_init(struct valve_client *c)
{
    memset(c, 0, sizeof(*c));
    list_init(&c->turn.node);
}

static bool is_limited(const struct valve *v)
{
    return atomic_load_explicit(&v->mode, memory_order_relaxed) == VALVE_LIMITED;
}

static bool is_undecided(const struct valve *v)
{
    return atomic_load_explicit(&v->mode, memory_order_relaxed) == VALVE_UNDECIDED_YET;
}

uint32_t valve_allows(struct valve *v, struct valve_client *c)
{
    uint32_t granted = atomic_load_explicit(&c->granted, memory_order_relaxed);
    if (is_undecided(v))
        return c->in_hand < VALVE_UNDECIDED ? VALVE_UNDECIDED - c->in_hand : 0;
    if (!is_limited(v))
        return VALVE_UNLIMITED;
    if (granted || atomic_load_explicit(&v->busy, memory_order_relaxed))
        return granted;
    /* Two workers may both take what is left: as many more are in hand for a moment. */
    uint32_t in_hand = atomic_load_explicit(&v->in_hand, memory_order_relaxed);
    uint32_t limit = atomic_load_explicit(&v->limit, memory_order_relaxed);
    return in_hand < limit ? limit - in_hand : 0;
}

/* ---- turns; all under the lock ---- */

static uint32_t places(const struct valve *v)
{
    uint32_t limit = limit_of(v), in_hand = atomic_load(&v->in_hand);
    return in_hand < limit ? limit - in_hand : 0;
}

/* What it has in hand is counted where it waited last. */
static void move_to(struct valve *v, struct valve_client *c, struct turns_source *source, uint64_t now_ns)
{
    if (c->source != source && c->charged) {
        turns_end(&v->turns, c->source, c->charged, now_ns);
        c->charged = 0;
    }
    c->source = source;
}

/* Another worker's clock may be a little ahead. */
static uint64_t waited(const struct valve_client *c, uint64_t now_ns)
{
    return now_ns > c->waits_since_ns ? now_ns - c->waits_since_ns : 0;
}

static void grant(struct valve *v, uint32_t n, uint64_t now_ns)
{
    struct turns_source *source;
    struct turn *turn = turns_next(&v->turns, n, now_ns, &source);
    struct valve_client *c = LIST_ENTRY(turn, struct valve_client, turn);
    move_to(v, c, source, now_ns);
    codel_served(&source->codel, &v->shed, waited(c, now_ns), now_ns);
    c->charged += n;
    atomic_fetch_add(&v->in_hand, n);
    atomic_fetch_add(&c->granted, n);
    atomic_store(&c->waits, false);
    v->wake(c);
}

/* Gives away the free places: half of the window for one round of those who wait, so that fast applications get their
 * batches, and one message each when more wait than that. */
static void serve(struct valve *v, uint64_t now_ns)
{
    bool open = !is_limited(v);
    uint32_t limit = open ? VALVE_UNLIMITED : limit_of(v);
    /* Before the places are counted: whoever frees one without the lock either is counted or sees this, and serves. */
    atomic_store(&v->busy, true);
    while (v->turns.waiting) {
        uint32_t free = open ? GRANT_MOST : places(v), share = limit / 2 / v->turns.waiting;
        if (free == 0)
            break;
        share = share < 1 ? 1 : share > GRANT_MOST ? GRANT_MOST : share;
        grant(v, share < free ? share : free, now_ns);
    }
    atomic_store(&v->waiting, v->turns.waiting);
    atomic_store(&v->busy, !open && (v->turns.waiting || places(v) == 0));
}

/* The client's requests are fewer by `n`, of which some are counted as its source's. */
static void release(struct valve *v, struct valve_client *c, uint32_t n, bool used, uint64_t now_ns)
{
    uint32_t charged = n < c->charged ? n : c->charged;
    atomic_fetch_sub(&v->in_hand, n);
    if (charged == 0)
        return;
    c->charged -= charged;
    (used ? turns_end : turns_refund)(&v->turns, c->source, charged, now_ns);
}

/* The same for a client that has nothing under the lock: takes it only when somebody waits for the places. */
static void release_quickly(struct valve *v, uint32_t n, uint64_t now_ns)
{
    atomic_fetch_sub(&v->in_hand, n);
    if (!atomic_load(&v->busy))
        return;
    pthread_mutex_lock(&v->lock);
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

/* ---- passing ---- */

/* Follows the last of what is in hand: its reply tells the latency, or that none comes. */
static void sample(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    c->until_sample = c->in_hand;
    c->sampled_ns = now_ns;
    c->round = atomic_load_explicit(&v->round, memory_order_relaxed);
}

/* `n` of what it has in hand have ended, the oldest first. Returns how many of them were counted. */
static uint32_t take_oldest(struct valve_client *c, uint32_t n)
{
    uint32_t uncounted = n < c->uncounted ? n : c->uncounted;
    c->uncounted -= uncounted;
    c->in_hand -= n;
    return n - uncounted;
}

/* What was granted is counted already. What passes while nothing is limited is not: it may never be answered, or may
 * have been thrown away by an application that had too many answers to send. */
void valve_passed(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns)
{
    uint32_t granted = atomic_load_explicit(&c->granted, memory_order_relaxed);
    uint32_t paid = n < granted ? n : granted;
    if (n == 0)
        return;
    if (paid)
        atomic_fetch_sub(&c->granted, paid);
    c->in_hand += n;
    if (c->until_sample == 0)
        sample(v, c, now_ns);
    if (!is_limited(v)) {
        c->uncounted += n - paid;
        return;
    }
    uint32_t in_hand = n > paid ? atomic_fetch_add(&v->in_hand, n - paid) + n - paid : 0;
    if (in_hand >= atomic_load_explicit(&v->limit, memory_order_relaxed))
        atomic_store(&v->busy, true);
}

void valve_wait(struct valve *v, struct valve_client *c, const struct turns_client *who, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    c->known = true;
    if (is_undecided(v) && c->in_hand >= VALVE_UNDECIDED) {
        /* Not for its turn, but for a reply, or for none. */
        atomic_store(&c->waits, true);
    } else if (!c->turn.source) {
        list_del(&c->turn.node); /* it may stand among the woken yet */
        codel_waits(&turns_join(&v->turns, &c->turn, who, now_ns)->codel, &v->shed, now_ns);
        c->waits_since_ns = now_ns;
        atomic_store(&c->waits, true);
    }
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

bool valve_sheds(struct valve *v, struct valve_client *c, uint64_t now_ns, uint64_t *ret_again_ns)
{
    bool sheds = false;
    *ret_again_ns = UINT64_MAX;
    pthread_mutex_lock(&v->lock);
    struct turns_source *source = c->turn.source;
    if (source)
        sheds = codel_sheds(&source->codel, &v->shed, c->waits_since_ns, turns_below(&v->turns, source), now_ns,
                            ret_again_ns);
    if (sheds) {
        turns_leave(&v->turns, &c->turn, now_ns);
        atomic_store(&c->waits, false);
        serve(v, now_ns);
    }
    pthread_mutex_unlock(&v->lock);
    return sheds;
}

/* ---- replies ---- */

/* It waited for a reply of its own. */
static void go_on(struct valve *v, struct valve_client *c)
{
    if (c->turn.source || !atomic_exchange(&c->waits, false))
        return;
    list_del(&c->turn.node);
    v->wake(c);
}

/* Whether the application answers at all is judged by samples, so that a flood does not look like silence. One that
 * answers somebody answers: requests that it throws away are their sender's affair. */
static void learn(struct valve *v, bool answered)
{
    v->kept = answered ? v->kept + 1 : v->kept;
    v->broken = answered ? 0 : v->broken + 1;
    if (v->strict)
        return;
    if (answered && v->kept >= ENOUGH_KEPT)
        atomic_store(&v->mode, VALVE_LIMITED);
    if (v->broken < (is_limited(v) ? ENOUGH_BROKEN : ENOUGH_KEPT))
        return;
    v->kept = 0;
    atomic_store(&v->mode, VALVE_OPEN);
}

static void take_sample(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    uint64_t latency_ns = now_ns > c->sampled_ns ? now_ns - c->sampled_ns : 1;
    concurrency_sample(&v->concurrency, &(struct concurrency_reply){
                                            .round = c->round,
                                            .in_hand = atomic_load(&v->in_hand),
                                            .contended = v->turns.waiting > 0,
                                            .latency_ns = latency_ns,
                                            .answered = atomic_load_explicit(&v->answered, memory_order_relaxed),
                                            .now_ns = now_ns,
                                        });
    atomic_store(&v->limit, limit_of(v));
    atomic_store(&v->round, concurrency_round(&v->concurrency));
    atomic_store(&v->smooth_ns, v->concurrency.smooth_ns);
    learn(v, true);
    c->until_sample = 0;
    c->sampled_ns = now_ns; /* what is left in hand is waited for from now on */
}

void valve_answered(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns)
{
    n = n < c->in_hand ? n : c->in_hand;
    if (n == 0)
        return;
    atomic_fetch_add_explicit(&v->answered, n, memory_order_relaxed);
    bool sampled = c->until_sample && n >= c->until_sample;
    uint32_t counted = take_oldest(c, n);
    if (!sampled) {
        c->until_sample -= c->until_sample ? n : 0;
        if (!c->known) {
            release_quickly(v, counted, now_ns);
            return;
        }
    }
    pthread_mutex_lock(&v->lock);
    if (sampled)
        take_sample(v, c, now_ns);
    release(v, c, counted, true, now_ns);
    go_on(v, c);
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

void valve_rest(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    if (atomic_load_explicit(&c->granted, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&v->lock);
    release(v, c, atomic_exchange(&c->granted, 0), false, now_ns);
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

uint64_t valve_forget_at(const struct valve *v, const struct valve_client *c)
{
    uint64_t latency_ns = atomic_load_explicit(&v->smooth_ns, memory_order_relaxed);
    if (c->in_hand >= VALVE_UNDECIDED && is_undecided(v))
        return c->sampled_ns + VALVE_UNDECIDED_NS;
    return c->in_hand ? c->sampled_ns + VALVE_FORGET_NS + 8 * latency_ns : 0;
}

/* Under the lock. */
static void write_off(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    release(v, c, take_oldest(c, c->in_hand), true, now_ns);
    c->until_sample = 0;
    go_on(v, c);
    serve(v, now_ns);
}

void valve_excuse(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    write_off(v, c, now_ns);
    pthread_mutex_unlock(&v->lock);
}

void valve_forget(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    if (c->in_hand)
        learn(v, false);
    write_off(v, c, now_ns);
    pthread_mutex_unlock(&v->lock);
}

void valve_leave(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    if (!c->known) {
        release_quickly(v, take_oldest(c, c->in_hand), now_ns);
        c->until_sample = 0;
        return;
    }
    pthread_mutex_lock(&v->lock);
    turns_leave(&v->turns, &c->turn, now_ns);
    list_del(&c->turn.node);
    atomic_store(&c->waits, false);
    release(v, c, atomic_exchange(&c->granted, 0), false, now_ns);
    release(v, c, take_oldest(c, c->in_hand), true, now_ns);
    c->until_sample = 0;
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

struct valve_client *valve_pop(struct valve *v, struct list *woken)
{
    pthread_mutex_lock(&v->lock);
    struct list *node = list_pop(woken);
    pthread_mutex_unlock(&v->lock);
    return node ? LIST_ENTRY(node, struct valve_client, turn.node) : NULL;
}

void valve_stats(struct valve *v, struct valve_stats *ret)
{
    pthread_mutex_lock(&v->lock);
    *ret = (struct valve_stats){
        .limit = limit_of(v),
        .in_hand = atomic_load(&v->in_hand),
        .waiting = v->turns.waiting,
        .limited = is_limited(v),
    };
    pthread_mutex_unlock(&v->lock);
}
