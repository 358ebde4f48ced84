/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/valve.h"

#include <string.h>

/* A client whose request was kept is believed to send such ones until others were not: those that may have been, and
 * those that were answered at once, which weigh more. */
#define KEPT_BELIEVED 8u
#define KEPT_DENIED   4u

/* From one look at who is not answered to the next, times those who are not. */
#define LOOK_NS (1 * NS_PER_MS)

/* What a client may pass in one turn. */
#define GRANT_MOST 256u

int valve_init(struct valve *v, uint32_t most, size_t sources, valve_wake wake)
{
    memset(v, 0, sizeof(*v));
    v->wake = wake;
    pthread_mutex_init(&v->lock, NULL);
    answers_init(&v->answers, most);
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
    answers_be_strict(&v->answers);
    pthread_mutex_unlock(&v->lock);
}

void valve_be_fixed(struct valve *v, uint32_t limit)
{
    pthread_mutex_lock(&v->lock);
    answers_be_fixed(&v->answers, limit);
    pthread_mutex_unlock(&v->lock);
}

void valve_shed_by(struct valve *v, const struct codel_params *p)
{
    pthread_mutex_lock(&v->lock);
    v->shed = *p;
    pthread_mutex_unlock(&v->lock);
}

void valve_client_init(struct valve_client *c)
{
    memset(c, 0, sizeof(*c));
    list_init(&c->turn.node);
}

static bool is_undecided(const struct valve *v)
{
    return answers_are(&v->answers, ANSWERS_UNDECIDED);
}

/* Whether the client's next request need not be counted, since it will be kept as those before were. */
static bool may_stand_aside(const struct valve *v, const struct valve_client *c, uint32_t granted)
{
    return c->kept && !c->away && c->asked.in_hand == 0 && granted == 0 &&
           atomic_load_explicit(&v->aside, memory_order_relaxed) < VALVE_ASIDE_MOST;
}

uint32_t valve_allows(struct valve *v, struct valve_client *c)
{
    uint32_t granted = atomic_load_explicit(&c->granted, memory_order_relaxed);
    if (is_undecided(v))
        return c->asked.in_hand < VALVE_UNDECIDED ? VALVE_UNDECIDED - c->asked.in_hand : 0;
    if (!valve_is_limited(v))
        return VALVE_UNLIMITED;
    if (may_stand_aside(v, c, granted))
        return 1;
    if (granted || atomic_load_explicit(&v->busy, memory_order_relaxed))
        return granted;
    /* Two workers may both take what is left: as many more are in hand for a moment. */
    uint32_t in_hand = atomic_load_explicit(&v->in_hand, memory_order_relaxed);
    uint32_t limit = atomic_load_explicit(&v->answers.limit, memory_order_relaxed);
    return in_hand < limit ? limit - in_hand : 0;
}

/* ---- turns; all under the lock ---- */

static uint32_t places(const struct valve *v)
{
    uint32_t limit = answers_limit(&v->answers), in_hand = atomic_load(&v->in_hand);
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
    bool open = !valve_is_limited(v);
    uint32_t limit = open ? VALVE_UNLIMITED : answers_limit(&v->answers);
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

/* Who waits for a place goes on: there is no limit now. */
void valve_be_learning(struct valve *v, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    answers_be_learning(&v->answers);
    serve(v, now_ns);
    pthread_mutex_unlock(&v->lock);
}

/* ---- passing ---- */

static void stand_aside(struct valve *v, struct valve_client *c)
{
    atomic_fetch_add(&v->aside, 1);
    c->aside = true;
    c->uncounted = 1;
}

static void end_aside(struct valve *v, struct valve_client *c)
{
    if (c->aside)
        atomic_fetch_sub(&v->aside, 1);
    c->aside = false;
}

/* `n` of what it has in hand have ended, the oldest first. Returns how many of them were counted. */
static uint32_t take_oldest(struct valve_client *c, uint32_t n)
{
    uint32_t uncounted = n < c->uncounted ? n : c->uncounted;
    c->uncounted -= uncounted;
    c->asked.in_hand -= n;
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
    bool limited = valve_is_limited(v), aside = limited && n == 1 && may_stand_aside(v, c, granted);
    c->asked.in_hand += n;
    answers_follow(&v->answers, &c->asked, now_ns);
    if (aside) {
        stand_aside(v, c);
        return;
    }
    if (!limited) {
        c->uncounted += n - paid;
        return;
    }
    uint32_t in_hand = n > paid ? atomic_fetch_add(&v->in_hand, n - paid) + n - paid : 0;
    if (in_hand >= atomic_load_explicit(&v->answers.limit, memory_order_relaxed))
        atomic_store(&v->busy, true);
}

void valve_wait(struct valve *v, struct valve_client *c, const struct turns_client *who, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    c->known = true;
    if (is_undecided(v) && c->asked.in_hand >= VALVE_UNDECIDED) {
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

static struct silence_load load_of(const struct valve *v)
{
    return (struct silence_load){.in_hand = atomic_load(&v->in_hand), .waiting = v->turns.waiting};
}

static void note_kept(struct valve *v, struct valve_client *c, uint32_t n)
{
    c->kept = KEPT_BELIEVED;
    v->kept += n;
}

static void doubt_kept(struct valve_client *c, bool at_once)
{
    uint8_t less = at_once ? KEPT_DENIED : 1;
    c->kept = c->kept > less ? c->kept - less : 0;
}

static void take_followed(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    bool kept = answers_are_kept(&v->answers, &c->asked, now_ns);
    if (kept)
        note_kept(v, c, 1);
    else if (!answers_may_be_kept(&v->answers, &c->asked))
        doubt_kept(c, now_ns < c->asked.at_ns + ANSWERS_KEPT_NS);
    answers_come(&v->answers, &c->asked, !c->aside, kept, load_of(v), now_ns);
    end_aside(v, c);
}

void valve_answered(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns)
{
    n = n < c->asked.in_hand ? n : c->asked.in_hand;
    if (n == 0) {
        c->away = false;
        return;
    }
    atomic_fetch_add_explicit(&v->answers.count, n - c->aside, memory_order_relaxed);
    bool followed = c->asked.until && n >= c->asked.until;
    uint32_t counted = take_oldest(c, n);
    if (!followed) {
        c->asked.until -= c->asked.until ? n : 0;
        if (!c->known) {
            release_quickly(v, counted, now_ns);
            return;
        }
    }
    pthread_mutex_lock(&v->lock);
    if (followed)
        take_followed(v, c, now_ns);
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

/* ---- no replies ---- */

/* Under the lock. */
static void write_off(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns)
{
    end_aside(v, c);
    answers_lose(&v->answers, &c->asked, load_of(v));
    release(v, c, take_oldest(c, n), true, now_ns);
    answers_follow(&v->answers, &c->asked, now_ns);
    go_on(v, c);
    serve(v, now_ns);
}

void valve_excuse(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    pthread_mutex_lock(&v->lock);
    write_off(v, c, c->asked.in_hand, now_ns);
    pthread_mutex_unlock(&v->lock);
}

static uint64_t forget_at(const struct valve *v, const struct valve_client *c)
{
    if (c->asked.in_hand >= VALVE_UNDECIDED && is_undecided(v))
        return c->asked.at_ns + VALVE_UNDECIDED_NS;
    return answers_forget_at(&v->answers, &c->asked);
}

/* As often as silence has to be looked for, and less often the more there are who look. */
static uint64_t look_after_ns(const struct valve *v)
{
    uint64_t turns_ns = LOOK_NS * atomic_load_explicit(&v->in_hand, memory_order_relaxed);
    uint64_t after_ns = answers_look_after_ns(&v->answers);
    after_ns = after_ns > turns_ns ? after_ns : turns_ns;
    return after_ns < ANSWERS_KEPT_NS ? after_ns : ANSWERS_KEPT_NS;
}

uint64_t valve_look_at(const struct valve *v, const struct valve_client *c, uint64_t now_ns)
{
    if (c->asked.in_hand == 0)
        return 0;
    uint64_t at_ns = forget_at(v, c), soon_ns = now_ns + ANSWERS_FORGET_NS;
    if (!valve_is_limited(v) || atomic_load_explicit(&v->answers.strict, memory_order_relaxed))
        return at_ns;
    if (valve_is_busy(v))
        soon_ns = now_ns + look_after_ns(v);
    return soon_ns < at_ns ? soon_ns : at_ns;
}

/* Those that are kept, up to the one that is followed. What else the client sends may be of another kind; as long as
 * these are not answered, no more of it is taken for kept. */
static void send_away(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    uint32_t n = c->asked.until ? c->asked.until : c->asked.in_hand;
    note_kept(v, c, n);
    c->away = true;
    if (!c->aside)
        answers_keep(&v->answers, &c->asked, n, load_of(v), now_ns);
    write_off(v, c, n, now_ns);
}

/* Under the lock. */
static void look(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    if (!c->away && answers_are_kept(&v->answers, &c->asked, now_ns)) {
        send_away(v, c, now_ns);
    } else if (now_ns >= forget_at(v, c)) {
        answers_miss(&v->answers, &c->asked);
        c->away = false;
        write_off(v, c, c->asked.in_hand, now_ns);
    } else if (v->turns.waiting) {
        answers_look(&v->answers, &c->asked, load_of(v), now_ns);
        serve(v, now_ns);
    }
}

uint64_t valve_look(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    if (c->asked.in_hand == 0)
        return 0;
    bool old = now_ns >= c->asked.at_ns + ANSWERS_FORGET_NS;
    if (old || now_ns >= forget_at(v, c) || (valve_is_limited(v) && valve_is_wanted(v))) {
        pthread_mutex_lock(&v->lock);
        look(v, c, now_ns);
        pthread_mutex_unlock(&v->lock);
    }
    return valve_look_at(v, c, now_ns);
}

void valve_leave(struct valve *v, struct valve_client *c, uint64_t now_ns)
{
    end_aside(v, c);
    if (!c->known && c->asked.in_hand == 0)
        return;
    pthread_mutex_lock(&v->lock);
    turns_leave(&v->turns, &c->turn, now_ns);
    list_del(&c->turn.node);
    atomic_store(&c->waits, false);
    release(v, c, atomic_exchange(&c->granted, 0), false, now_ns);
    if (c->asked.in_hand)
        answers_lose(&v->answers, &c->asked, load_of(v));
    release(v, c, take_oldest(c, c->asked.in_hand), true, now_ns);
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
        .limit = answers_limit(&v->answers),
        .in_hand = atomic_load(&v->in_hand),
        .waiting = v->turns.waiting,
        .limited = valve_is_limited(v),
        .kept = v->kept,
    };
    pthread_mutex_unlock(&v->lock);
}
