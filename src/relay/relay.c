/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "relay/ban_enforce.h"
#include "relay/ban_lists.h"
#include "relay/counter.h"
#include "relay/health.h"
#include "relay/listener.h"
#include "relay/policy_snapshot.h"
#include "relay/relay_inner.h"
#include "relay/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Gates that a program under `weir run` usually opens. */
#define GATES_EXPECTED 4u

/* The longest that a reload waits for the workers. */
#define ADOPTION_PATIENCE_NS NS_PER_S

/* Processors that this process may use: those of its container or CPU set, not the machine's. More threads would only
 * take time from each other, and from an application that shares them. */
static long processors(void)
{
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof(usable), &usable) == 0)
        return CPU_COUNT(&usable);
    return sysconf(_SC_NPROCESSORS_ONLN);
}

static unsigned pick_workers(const struct config *c)
{
    if (c->workers)
        return c->workers;
    long n = processors();
    return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

/* ---- making ---- */

static int make_policies(struct relay *r)
{
    struct policy_snapshot *p = policy_snapshot_new(r->config, r->config, NULL);
    if (!p)
        return -ENOMEM;
    relay_fit(r, p);
    policy_publisher_init(&r->publisher, p);
    atomic_store(&r->generation, p->generation);
    return 0;
}

static int make_gates(struct relay *r)
{
    struct hash_key key;
    hash_key_random(&key);
    r->bans = bans_new(BANS_CAPACITY, &key);
    r->events = r->config->events.file[0] ? event_log_new() : NULL;
    if (!r->bans || (!r->events && r->config->events.file[0]))
        return -ENOMEM;
    r->gates = calloc(relay_gate_room(r), sizeof(*r->gates));
    r->busiest = calloc(relay_gate_room(r), sizeof(*r->busiest));
    if (!r->gates || !r->busiest)
        return -ENOMEM;
    if (r->config->patterns) {
        r->slots = calloc(CONFIG_GATES_MAX, sizeof(*r->slots));
        return r->slots ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < r->config->gate_count; i++) {
        r->gate_count++;
        int error = gate_init(&r->gates[i], &r->config->gates[i], r->config, r->worker_count, &r->account, r->bans);
        if (error < 0)
            return error;
        r->gates[i].events = r->events;
        r->gates[i].origin.pattern = i;
        atomic_fetch_add(&r->opened, 1);
        gate_bound_connections(&r->gates[i], &policy_publisher_current(&r->publisher)->gates[i].limits);
    }
    return 0;
}

static int make_workers(struct relay *r)
{
    const struct policy_snapshot *p = policy_publisher_current(&r->publisher);
    size_t sessions = 0;
    for (size_t i = 0; i < p->count; i++)
        sessions += p->gates[i].limits.connections.max;
    if (r->slots)
        sessions *= GATES_EXPECTED;
    r->workers = calloc(r->worker_count, sizeof(struct worker *));
    if (!r->workers)
        return -ENOMEM;
    for (unsigned i = 0; i < r->worker_count; i++) {
        r->workers[i] = calloc(1, sizeof(struct worker));
        if (!r->workers[i])
            return -ENOMEM;
        int error = worker_init(r->workers[i], i, &r->account, &r->pressure, r->gates, &r->publisher, sessions);
        r->workers[i]->all = r->workers;
        r->workers[i]->all_count = r->worker_count;
        r->workers[i]->parking.parked = &r->parked;
        ban_enforce_init(&r->workers[i]->bans, r->bans);
        if (error < 0)
            return error;
    }
    return 0;
}

static const char *hint(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return "; something else listens there already";
    case -EACCES:
        return "; ports below 1024 need CAP_NET_BIND_SERVICE, socket files a writable directory";
    case -EADDRNOTAVAIL:
        return "; this machine does not have that address";
    case -ENOENT:
        return "; the directory of the socket file does not exist";
    default:
        return "";
    }
}

static int listen_all(struct relay *r, FILE *errors)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        int error = relay_listen(r, i);
        if (error < 0) {
            fprintf(errors, "weir: gate %s: cannot listen on %s: %s%s\n", r->gates[i].config->name,
                    r->gates[i].config->listen_text, strerror(-error), hint(error));
            return error;
        }
    }
    return 0;
}

static int open_counters(struct relay *r, FILE *errors)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        const struct config_gate *c = r->gates[i].config;
        int error = c->counter[0] ? counter_open(&r->workers[0]->gates[i], c->counter) : 0;
        if (error < 0) {
            fprintf(errors, "weir: gate %s: counter: cannot listen on %s: %s%s\n", c->name, c->counter,
                    strerror(-error), hint(error));
            return error;
        }
    }
    return 0;
}

struct relay *relay_new(const struct config *c, FILE *errors)
{
    struct relay *r = calloc(1, sizeof(*r));
    int error = -ENOMEM;
    if (!r)
        goto fail;
    r->config = c;
    pthread_mutex_init(&r->reading, NULL);
    sem_init(&r->parked, 0, 0);
    r->worker_count = pick_workers(c);
    account_init(&r->account, c->memory_bytes);
    pressure_init(&r->pressure, c->memory_bytes);
    r->fd_limit = relay_raise_descriptors();
    atomic_store(&r->loaded_ns, clock_wall_ns());
    error = make_policies(r);
    if (error < 0)
        goto fail;
    error = make_gates(r);
    if (error < 0)
        goto fail;
    error = make_workers(r);
    if (error < 0)
        goto fail;
    error = listen_all(r, errors);
    if (!error)
        error = open_counters(r, errors);
    if (!error)
        return r;
    goto out;

fail:
    fprintf(errors, "weir: cannot start: %s\n", strerror(-error));
out:
    relay_free(r);
    errno = -error;
    return NULL;
}

/* `was`: NULL at the start. */
static void apply_lists(struct relay *r, const struct config *was, const struct config *now,
                        struct ban_lists_result *ret)
{
    static const struct ban_lists none;
    char text[BAN_LISTS_TEXT_MAX];
    ban_lists_apply(r->bans, was ? &was->ban_lists : &none, &now->ban_lists, clock_now_ns(), ret);
    if (!ban_lists_format(text, sizeof(text), now, ret))
        return;
    event_log_note(r->events, EVENT_BAN_LISTS, text);
    if (was)
        ban_enforce_tell_all(r->workers, r->worker_count);
}

static void apply_first_lists(struct relay *r)
{
    const struct config *c = relay_config(r);
    struct ban_lists_result done;
    char text[BAN_LISTS_TEXT_MAX];
    apply_lists(r, NULL, c, &done);
    if (ban_lists_format(text, sizeof(text), c, &done))
        LOG_INFO("ban.lists: %s", text);
    if (done.without_place)
        LOG_WARN("ban.lists: %zu networks are not banned: the ban table has no room", done.without_place);
}

int relay_start(struct relay *r)
{
    apply_first_lists(r);
    for (size_t i = 0; i < r->gate_count; i++)
        stall_watch_begin(&r->workers[0]->gates[i]);
    for (unsigned i = 0; i < r->worker_count; i++) {
        int error = worker_start(r->workers[i]);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- another configuration ---- */

const struct config *relay_config(const struct relay *r)
{
    return policy_publisher_current(&r->publisher)->config;
}

static void signal_all(struct relay *r, bool published)
{
    for (unsigned i = 0; i < r->worker_count; i++) {
        struct worker *w = r->workers[i];
        loop_signal(&w->loop, published ? &w->signals.published : &w->signals.reconsider);
    }
}

/* The generation that every worker has adopted. */
static uint64_t adopted_by_all(const struct relay *r)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < r->worker_count; i++) {
        uint64_t g = atomic_load_explicit(&r->workers[i]->adopted, memory_order_acquire);
        least = g < least ? g : least;
    }
    return least;
}

/* A round of a worker takes milliseconds; one that does not end in time is not waited for. */
static void await_adoption(struct relay *r)
{
    uint64_t until_ns = clock_now_ns() + ADOPTION_PATIENCE_NS,
             wanted = policy_publisher_current(&r->publisher)->generation;
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    while (adopted_by_all(r) < wanted)
        if (sem_clockwait(&r->publisher.adopted, CLOCK_MONOTONIC, &until) < 0 && errno == ETIMEDOUT)
            break;
}

static void relay_reclaim(struct relay *r)
{
    pthread_mutex_lock(&r->reading);
    policy_publisher_reclaim(&r->publisher, adopted_by_all(r));
    pthread_mutex_unlock(&r->reading);
}

int relay_reload(struct relay *r, struct config *c, struct ban_lists_result *ret_lists)
{
    struct policy_snapshot *p = policy_snapshot_new(r->config, c, c);
    if (!p)
        return -ENOMEM;
    relay_fit(r, p);
    relay_reclaim(r);
    const struct policy_snapshot *was = policy_publisher_current(&r->publisher);
    int error = policy_publisher_publish(&r->publisher, p);
    if (error < 0) {
        p->owned = NULL;
        policy_snapshot_free(p);
        return error;
    }
    atomic_store(&r->generation, p->generation);
    signal_all(r, true);
    await_adoption(r);
    /* Only now: a worker that still charged at the old rate would put a source into debt again. */
    for (size_t i = 0; i < r->gate_count; i++) {
        struct gate *g = &r->gates[i];
        const struct limits *l = &p->gates[g->origin.pattern].limits;
        gate_forgive(g, &was->gates[g->origin.pattern].limits, l, clock_now_ns());
        atomic_store(&g->limiter.off, l->concurrency.limit == CONCURRENCY_LIMIT_OFF);
    }
    signal_all(r, false);
    apply_lists(r, was->config, c, ret_lists);
    relay_reclaim(r);
    return 0;
}

void relay_count_reload(struct relay *r, bool done)
{
    atomic_fetch_add(done ? &r->reloads : &r->refused_reloads, 1);
    if (done)
        atomic_store(&r->loaded_ns, clock_wall_ns());
}

/* ---- ending ---- */

static void stop_listening(struct relay *r)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        struct gate *g = &r->gates[i];
        bool was = atomic_exchange(&g->listen.up, false);
        /* A program under weir run removes its own. */
        if (was && !g->origin.book && g->listen.endpoint.kind == ENDPOINT_IPC &&
            g->listen.endpoint.un.sun_path[0] != '\0')
            unlink(g->listen.endpoint.un.sun_path);
    }
}

void relay_drain(struct relay *r)
{
    stop_listening(r);
    for (unsigned i = 0; i < r->worker_count; i++)
        loop_signal(&r->workers[i]->loop, &r->workers[i]->signals.drain);
}

static void end_worker(struct worker *w)
{
    if (!w)
        return;
    if (w->started) {
        loop_signal(&w->loop, &w->signals.stop);
        pthread_join(w->thread, NULL);
    }
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    stop_listening(r);
    for (unsigned i = 0; r->workers && i < r->worker_count; i++)
        end_worker(r->workers[i]);
    for (unsigned i = 0; r->workers && i < r->worker_count; i++) {
        if (r->workers[i])
            worker_fini(r->workers[i]);
        free(r->workers[i]);
    }
    for (size_t i = 0; i < r->gate_count; i++)
        gate_fini(&r->gates[i]);
    bans_free(r->bans);
    event_log_free(r->events);
    if (atomic_load(&r->publisher.current))
        policy_publisher_fini(&r->publisher);
    free(r->workers);
    free(r->gates);
    free(r->busiest);
    free(r->slots);
    relay_free_names(r);
    sem_destroy(&r->parked);
    pthread_mutex_destroy(&r->reading);
    free(r);
}
