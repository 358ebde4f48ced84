/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/reqlimit_proof.h"
#include "flow/reqlimit_queue.h"
#include "flow/request_costs.h"

#define TICK_QUIET_NS (50 * NS_PER_MS)
#define CALM_AFTER_NS (100 * NS_PER_MS)
#define LAZY_AFTER_NS (2 * NS_PER_MS)
#define KNOWN_FOR_NS  (10 * NS_PER_S) /* after a message, the established are there to be protected */
#define ROOM_PART     8u
#define PLAIN_PART    16u /* once it is known, one calm stretch of so many is sampled */

static struct taken_facts reqlimit_facts(const struct reqlimit *l)
{
    return (struct taken_facts){
        .passed = atomic_load_explicit(&l->passed, memory_order_relaxed),
        .answered = atomic_load_explicit(&l->answered, memory_order_relaxed),
        .passed_at_ns = atomic_load_explicit(&l->passed_ns, memory_order_relaxed),
        .plain = l->plain.state == PLAIN_YES,
        .passing = &l->passed,
        .frames = l->frames,
    };
}

/* How many messages the application has to take before it is worth looking at. A wide window has room again long before
 * the application runs dry, so an eighth of it is waited for: a wake-up costs the application time. */
static uint64_t reqlimit_room(const struct reqlimit *l)
{
    uint64_t window = l->release.messages, room = window / ROOM_PART;
    room = room ? room : 1;
    return l->counter.untaken >= window && window ? l->counter.untaken - window + room : room;
}

/* Sets how far messages may pass without the lock, and when the counter is to wake Weir. */
static void reqlimit_settle(struct reqlimit *l)
{
    enum limit_state state = reqlimit_state(l);
    atomic_store_explicit(&l->free_until, l->most || l->queue.count || state == LIMIT_ACTIVE ? 0 : UINT64_MAX,
                          memory_order_relaxed);
    atomic_store_explicit(&l->by_hand, l->queue.count && !l->by_counter, memory_order_relaxed);
    if (!l->page || !taken_counter_holds(&l->counter))
        return;
    uint64_t wanted = l->counter.taken + reqlimit_room(l);
    uint64_t guarded = l->counter.taken + (l->by_guard ? reqlimit_guarded(l) : 0);
    wanted = wanted < guarded ? guarded : wanted;
    taken_page_wish(l->page, l->queue.count ? wanted : UINT64_MAX, l->queue.count || l->refilling);
}

/* Notes whether messages that passed some time ago still lie in the pipes. */
static void reqlimit_look_at_pipes(struct reqlimit *l, uint64_t now_ns)
{
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    if (!taken_counter_holds(&l->counter) || passed - l->counter.untaken >= l->kept_index) {
        l->kept_index = passed;
        l->kept_ns = now_ns;
    } else if (elapsed_since(l->kept_ns, now_ns) > LAZY_AFTER_NS) {
        l->lazy_ns = now_ns;
    }
}

static void reqlimit_look_at_window(struct reqlimit *l, uint64_t now_ns)
{
    bool held = l->queue.count != 0, idle = taken_counter_holds(&l->counter) && l->counter.idle;
    bool by_window = held && l->by_counter && !l->by_guard;
    bool starves = idle && (by_window || (l->refilling && l->counter.untaken));
    if (by_window && l->counter.short_batch)
        release_window_grow(&l->release);
    uint64_t taken_ns = 0, asked_ns;
    if (l->release.idle && l->counter.taken != l->idle_taken &&
        !taken_page_entry(l->page, l->idle_taken, &taken_ns, &asked_ns))
        taken_ns = now_ns;
    l->idle_taken = l->counter.taken;
    const struct fair_waiter *first = fair_queue_first(&l->queue);
    bool strangers = first && !LIST_ENTRY(first, struct reqlimit_conn, waiter)->established;
    l->release.patient = strangers && elapsed_since(l->known_ns, now_ns) < KNOWN_FOR_NS;
    release_window_look(&l->release, starves, taken_ns, now_ns);
    l->refilling = starves;
}

static void reqlimit_count_stuck(struct reqlimit *l)
{
    bool stuck =
        l->by_counter && taken_counter_holds(&l->counter) && l->counter.idle && !l->counter.untaken && l->queue.count;
    l->stats.stuck += stuck && !l->was_stuck;
    l->was_stuck = stuck;
}

static void reqlimit_look_once(struct reqlimit *l, uint64_t now_ns)
{
    struct taken_facts facts = reqlimit_facts(l);
    taken_counter_read(&l->counter, l->page, &facts, now_ns);
    if (taken_counter_holds(&l->counter) && l->counter.untaken > l->stats.untaken_most)
        l->stats.untaken_most = l->counter.untaken;
    reqcost_look(l, now_ns);
    reqlimit_look_at_pipes(l, now_ns);
    reqlimit_look_at_window(l, now_ns);
    reqlimit_release(l, now_ns);
    release_window_shrink(&l->release, l->counter.untaken, reqcost_untaken(l), l->queue.count && l->by_counter, now_ns);
    reqlimit_count_stuck(l);
    reqlimit_settle(l);
}

/* The counter does not report what happened before its wake-up was set. So the page is read once more. */
void reqlimit_look(struct reqlimit *l, uint64_t now_ns)
{
    reqlimit_look_once(l, now_ns);
    if (l->queue.count && taken_counter_is_behind(&l->counter, l->page))
        reqlimit_look_once(l, now_ns);
}

/* Whether messages have to wait. Then service earns no claims, and shows the capacity of the application. */
static bool reqlimit_is_disturbed(const struct reqlimit *l, uint64_t now_ns)
{
    double patience_ns = 2 * l->cost_ns > CALM_AFTER_NS ? 2 * l->cost_ns : CALM_AFTER_NS;
    return latency_window_is_suspicious(&l->latency) || (double)elapsed_since(l->empty_ns, now_ns) > patience_ns ||
           (double)elapsed_since(l->kept_ns, now_ns) > patience_ns;
}

static void reqlimit_tick_capacity(struct reqlimit *l, bool disturbed, uint64_t now_ns)
{
    if (elapsed_since(l->capacity_ns, now_ns) < TICK_QUIET_NS)
        return;
    double rate = l->charged / (double)elapsed_since(l->capacity_ns, now_ns);
    if (disturbed)
        l->capacity += 0.1 * (rate - l->capacity);
    if (l->capacity < 0.05)
        l->capacity = 0.05;
    l->charged = 0;
    l->capacity_ns = now_ns;
}

/* While answers are quick, nothing that connections have left behind is in their way. The estimate of when it is worked
 * off says so much later: it rests on what passes, which is little while messages are held. An operator's limit counts
 * what is in hand, however quick it is. */
static void reqlimit_tick_left(struct reqlimit *l)
{
    if (!l->most && !latency_window_is_suspicious(&l->latency))
        l->left = (struct faded_sum){0};
}

uint64_t reqlimit_tick(struct reqlimit *l, uint64_t now_ns)
{
    reqlimit_tick_left(l);
    struct latency_facts facts = {
        .answered = atomic_load(&l->answered),
        .answered_at_ns = atomic_load(&l->answered_ns),
        .in_hand = reqlimit_in_hand(l, now_ns),
        .held = l->queue.count != 0 && !l->by_counter,
        .plain = l->plain.state == PLAIN_YES,
        .idle = taken_counter_holds(&l->counter) && l->counter.idle && !l->counter.untaken,
    };
    uint64_t stuck = l->latency.stuck;
    calm_time_advance(&l->calm, now_ns);
    bool disturbed = reqlimit_is_disturbed(l, now_ns);
    uint64_t passed = atomic_load(&l->passed); /* less than before if some were given back */
    if (!disturbed && reqlimit_state(l) == LIMIT_NONE)
        plain_service_count(&l->plain, elapsed_since(l->counted_passed, passed), facts.answered - l->counted_answered);
    l->counted_passed = passed;
    l->counted_answered = facts.answered;
    if (disturbed)
        calm_time_disturb(&l->calm);
    reqlimit_tick_capacity(l, disturbed, now_ns);
    reqcost_review(l, now_ns);
    latency_window_look(&l->latency, &facts, now_ns);
    l->stats.stuck += l->latency.stuck - stuck;
    l->tick_ns = UINT64_MAX;
    reqlimit_look(l, now_ns);
    bool unknown = l->plain.state == PLAIN_UNKNOWN && !plain_service_is_overrun(&l->plain);
    /* While latency is high, a mean of which no sample is taken would keep the gate from being calm. */
    bool wanted = unknown || l->plain.sampling || l->calm.stretch % PLAIN_PART == 0;
    atomic_store(&l->sampling, !l->queue.count && (wanted || latency_window_is_suspicious(&l->latency)));
    bool held = l->queue.count || l->latency.state == LATENCY_HOLDING;
    reqlimit_tick_by(l, now_ns + (held ? TICK_HELD_NS : TICK_QUIET_NS));
    return l->tick_ns;
}
