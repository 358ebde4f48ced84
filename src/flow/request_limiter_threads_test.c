/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Many workers at one limiter while strangers are held: the sums stay right, a connection within its claim is never
 * held, and no field has a data race (run under ThreadSanitizer). With a number of threads as its argument the program
 * measures for two seconds instead: how often the lock is taken, how often a worker waits for it, and for how long it
 * is held.
 */
#include "flow/request_limiter.h"

#include "flow/request_costs.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define WORKERS_MOST 8u
#define OWN          8u /* connections of a worker; the first two are served in calm time */
#define KNOWN        2u
#define CALM_NS      (6 * NS_PER_S)

struct figures {
    uint64_t offers, quick, locks, waits, waited_ns, held_ns, held_most_ns;
};

struct worker {
    struct gate *g;
    struct reqlimit_conn c[OWN];
    uint32_t offered[OWN];
    struct list woken;
    uint64_t passed, answered, known_held;
    struct figures f;
    uint64_t locked_ns;
};

struct gate {
    struct reqlimit l;
    struct taken_page page;
    pthread_mutex_t lock;
    struct worker w[WORKERS_MOST];
    unsigned workers;
    uint64_t offset_ns, tick_ns; /* from the monotonic clock to the test's */
    _Atomic bool ends, app_ends;
    uint64_t iterations; /* of each worker; 0: until the end */
    struct worker app;   /* its figures, and the lock */
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t gate_now(const struct gate *g)
{
    return clock_ns() + g->offset_ns;
}

static void gate_lock(struct worker *w)
{
    w->f.locks++;
    if (pthread_mutex_trylock(&w->g->lock) != 0) {
        uint64_t from_ns = clock_ns();
        pthread_mutex_lock(&w->g->lock);
        w->f.waits++;
        w->f.waited_ns += clock_ns() - from_ns;
    }
    w->locked_ns = clock_ns();
}

/* As a relay's worker does: the worker that holds the lock when it is time ticks, and puts the woken into their
 * workers' lists. */
static void gate_unlock(struct worker *w)
{
    struct gate *g = w->g;
    uint64_t now_ns = gate_now(g);
    struct reqlimit_conn *c;
    if (now_ns >= g->tick_ns)
        g->tick_ns = reqlimit_tick(&g->l, now_ns);
    while ((c = reqlimit_next_woken(&g->l))) {
        unsigned i = (unsigned)(((char *)c - (char *)g->w) / (ptrdiff_t)sizeof(g->w[0]));
        list_push(&g->w[i].woken, &c->woken);
    }
    uint64_t held_ns = clock_ns() - w->locked_ns;
    w->f.held_ns += held_ns;
    w->f.held_most_ns = held_ns > w->f.held_most_ns ? held_ns : w->f.held_most_ns;
    pthread_mutex_unlock(&g->lock);
}

static void worker_pass(struct worker *w, unsigned i, uint32_t n)
{
    w->offered[i] -= n;
    w->passed += n;
}

static void worker_offer(struct worker *w, unsigned i, uint32_t n)
{
    struct gate *g = w->g;
    uint64_t now_ns = gate_now(g);
    bool in_line = w->offered[i] != 0;
    w->f.offers++;
    w->offered[i] += n;
    if (!in_line && reqlimit_quick(&g->l, &w->c[i], w->offered[i], now_ns)) {
        w->f.quick++;
        worker_pass(w, i, w->offered[i]);
        return;
    }
    gate_lock(w);
    worker_pass(w, i, reqlimit_offer(&g->l, &w->c[i], w->offered[i], now_ns));
    w->known_held += i < KNOWN && w->offered[i] && reqcost_credit(&g->l, &w->c[i]);
    gate_unlock(w);
}

static void worker_answer(struct worker *w, unsigned i)
{
    struct reqlimit_conn *c = &w->c[i];
    uint32_t n = atomic_load(&c->in_hand);
    if (!n)
        return;
    n = n < 4 ? n : 4;
    w->answered += n;
    if (!reqlimit_answer_needs_lock(&w->g->l, c, n)) {
        reqlimit_answered(&w->g->l, c, n, false, gate_now(w->g));
        return;
    }
    gate_lock(w);
    reqlimit_answered(&w->g->l, c, n, true, gate_now(w->g));
    gate_unlock(w);
}

static void worker_wake(struct worker *w)
{
    gate_lock(w);
    for (struct list *node; (node = list_pop(&w->woken));) {
        struct reqlimit_conn *c = LIST_ENTRY(node, struct reqlimit_conn, woken);
        worker_pass(w, (unsigned)(c - w->c), reqlimit_take(c));
    }
    gate_unlock(w);
}

static void *worker_run(void *argument)
{
    struct worker *w = argument;
    for (uint64_t n = 0; !atomic_load(&w->g->ends) && (!w->g->iterations || n < w->g->iterations); n++) {
        unsigned i = (unsigned)(n % OWN);
        if (i >= KNOWN ? w->offered[i] < 2 : n % (16 * OWN) == i)
            worker_offer(w, i, i < KNOWN ? 1 : 2 - w->offered[i]);
        if (i == OWN - 1)
            worker_wake(w);
        worker_answer(w, i);
        if (n % OWN == 0)
            sched_yield();
    }
    return NULL;
}

/* Takes what was passed, with pauses, and counts it in the page. */
static void *app_run(void *argument)
{
    struct gate *g = argument;
    uint64_t taken = atomic_load(&g->page.taken);
    while (!atomic_load(&g->app_ends)) {
        uint64_t now_ns = gate_now(g);
        taken_page_beat(&g->page, now_ns);
        bool wake = taken < atomic_load(&g->l.passed)  ? taken++,
             taken_page_took(&g->page, now_ns, now_ns) : taken_page_found_nothing(&g->page, true, now_ns);
        if (wake) {
            gate_lock(&g->app);
            reqlimit_look(&g->l, now_ns);
            gate_unlock(&g->app);
        }
        sched_yield();
    }
    return NULL;
}

/* In virtual time: the first connections of each worker are served now and then. */
static void gate_calm(struct gate *g)
{
    uint64_t from_ns = g->offset_ns, at_ns = from_ns;
    for (unsigned k = 0; at_ns < from_ns + CALM_NS; k++, at_ns += NS_PER_MS) {
        struct worker *w = &g->w[k / KNOWN % g->workers];
        struct reqlimit_conn *c = &w->c[k % KNOWN];
        taken_page_beat(&g->page, at_ns);
        uint32_t n = reqlimit_offer(&g->l, c, 1, at_ns);
        for (uint32_t i = 0; i < n; i++)
            if (taken_page_took(&g->page, at_ns, at_ns))
                reqlimit_look(&g->l, at_ns);
        reqlimit_answered(&g->l, c, n, true, at_ns + 50 * NS_PER_US);
        if (taken_page_found_nothing(&g->page, true, at_ns + 50 * NS_PER_US))
            reqlimit_look(&g->l, at_ns + 50 * NS_PER_US);
        w->passed += n;
        w->answered += n;
        if (at_ns >= g->tick_ns)
            g->tick_ns = reqlimit_tick(&g->l, at_ns);
    }
    g->offset_ns = at_ns - clock_ns();
}

static struct gate *gate_new(unsigned workers)
{
    struct gate *g = calloc(1, sizeof(*g));
    if (!g || reqlimit_init(&g->l, 256, NS_PER_S) != 0)
        abort();
    pthread_mutex_init(&g->lock, NULL);
    g->workers = workers;
    g->offset_ns = g->tick_ns = NS_PER_S;
    g->app.g = g;
    taken_page_begin(&g->page, NS_PER_S);
    reqlimit_attach(&g->l, &g->page);
    for (unsigned k = 0; k < workers; k++) {
        g->w[k].g = g;
        list_init(&g->w[k].woken);
        for (unsigned i = 0; i < OWN; i++)
            reqlimit_join(&g->l, &g->w[k].c[i], 1 + k * OWN + i, NS_PER_S);
    }
    gate_calm(g);
    return g;
}

static void gate_free(struct gate *g)
{
    uint64_t now_ns = gate_now(g);
    for (unsigned k = 0; k < g->workers; k++)
        for (unsigned i = 0; i < OWN; i++)
            reqlimit_leave(&g->l, &g->w[k].c[i], now_ns);
    reqlimit_fini(&g->l);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static void gate_run(struct gate *g, uint64_t iterations, uint64_t for_ns)
{
    pthread_t threads[WORKERS_MOST], app;
    g->iterations = iterations;
    if (pthread_create(&app, NULL, app_run, g) != 0)
        abort();
    for (unsigned k = 0; k < g->workers; k++)
        if (pthread_create(&threads[k], NULL, worker_run, &g->w[k]) != 0)
            abort();
    if (for_ns) {
        struct timespec t = {(time_t)(for_ns / NS_PER_S), (long)(for_ns % NS_PER_S)};
        nanosleep(&t, NULL);
        atomic_store(&g->ends, true);
    }
    for (unsigned k = 0; k < g->workers; k++)
        pthread_join(threads[k], NULL);
    atomic_store(&g->app_ends, true);
    pthread_join(app, NULL);
}

static void workers_share_a_gate_that_holds(void **state)
{
    for (unsigned workers = 4; workers <= WORKERS_MOST; workers += 4) {
        struct gate *g = gate_new(workers);
        gate_run(g, 4000, 0);
        uint64_t passed = 0, answered = 0, in_hand = 0, granted = 0;
        for (unsigned k = 0; k < workers; k++) {
            passed += g->w[k].passed;
            answered += g->w[k].answered;
            assert_int_equal(g->w[k].known_held, 0);
            for (unsigned i = 0; i < OWN; i++) {
                in_hand += atomic_load(&g->w[k].c[i].in_hand);
                granted += g->w[k].c[i].granted;
                assert_int_equal(g->w[k].c[i].waiter.messages + g->w[k].c[i].granted, g->w[k].offered[i]);
            }
        }
        assert_true(g->l.stats.held[PROOF_COUNTER] > 0);
        assert_int_equal(atomic_load(&g->l.passed), passed + granted);
        assert_int_equal(atomic_load(&g->l.answered), answered);
        assert_int_equal(atomic_load(&g->l.in_hand), in_hand);
        gate_free(g);
    }
}

static void measure(unsigned workers)
{
    struct gate *g = gate_new(workers);
    struct figures f = {0};
    uint64_t passed = atomic_load(&g->l.passed);
    gate_run(g, 0, 2 * NS_PER_S);
    for (unsigned k = 0; k <= workers; k++) {
        const struct figures *of = k < workers ? &g->w[k].f : &g->app.f;
        f.offers += of->offers;
        f.quick += of->quick;
        f.locks += of->locks;
        f.waits += of->waits;
        f.waited_ns += of->waited_ns;
        f.held_ns += of->held_ns;
        f.held_most_ns = of->held_most_ns > f.held_most_ns ? of->held_most_ns : f.held_most_ns;
    }
    double locks = (double)f.locks;
    printf(
        "%u workers: %.0f messages/s, %.0f offers/s (%.1f %% quick), %.0f locks/s, %.1f %% waited for, %.1f us each; "
        "held %.0f ns in the mean, %.1f us at most, %.0f %% of the time\n",
        workers, (double)(atomic_load(&g->l.passed) - passed) / 2, (double)f.offers / 2,
        100 * (double)f.quick / (double)f.offers, locks / 2, 100 * (double)f.waits / locks,
        (double)f.waited_ns / 1e3 / (double)(f.waits + !f.waits), (double)f.held_ns / locks,
        (double)f.held_most_ns / 1e3, (double)f.held_ns / (2.0 * NS_PER_S) * 100);
    gate_free(g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(workers_share_a_gate_that_holds)};
    if (argc < 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    unsigned workers = (unsigned)strtoul(argv[1], NULL, 10);
    measure(workers < 1 ? 1 : workers < WORKERS_MOST ? workers : WORKERS_MOST);
    return 0;
}
