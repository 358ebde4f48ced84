/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "bans/ban_reach.h"
#include "relay/ban_enforce.h"
#include "relay/counter.h"
#include "relay/kept_claims.h"
#include "relay/ban_lists.h"
#include "relay/health.h"
#include "relay/listener.h"
#include "loop/net.h"
#include "relay/policy_snapshot.h"
#include "relay/proxied.h"
#include "relay/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Descriptors for everything but connections: listeners, epolls, admin, logs. */
#define DESCRIPTOR_RESERVE 64u
#define DESCRIPTOR_MOST    1048576u
#define DESCRIPTOR_TABLE   65536u /* entries of the kernel's table made at the start, 8 bytes each */

/* One descriptor in this many may be a banned connection's. */
#define TARPIT_SHARE 16u

/* The longest that a reload waits for the workers. */
#define ADOPTION_PATIENCE_NS NS_PER_S

struct relay {
    const struct config *config;
    struct account account;
    struct bans *bans;
    struct event_log *events; /* NULL: not configured */
    struct kernel_bans kernel;
    struct pressure pressure;
    struct gate *gates;
    size_t gate_count;
    struct worker **workers;
    unsigned worker_count;
    uint64_t fd_limit;
    struct policy_publisher publisher;
    pthread_mutex_t reading; /* held to read a snapshot outside its workers, and to free one */
    _Atomic uint64_t reloads, refused_reloads, generation;
    _Atomic uint64_t loaded_ns; /* when the configuration in force was read, since the Unix epoch */
};

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

/* ---- descriptors ---- */

static uint64_t raise_descriptor_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 1024;
    rlim_t want = l.rlim_max < DESCRIPTOR_MOST ? l.rlim_max : DESCRIPTOR_MOST;
    if (l.rlim_cur < want) {
        struct rlimit more = {.rlim_cur = want, .rlim_max = l.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            l = more;
    }
    return l.rlim_cur;
}

/* The kernel widens a process's descriptor table when it is full. With several threads it waits for a grace period of
 * all processors each time (expand_fdtable() in fs/file.c, about 10 ms). All traffic would stand still just when many
 * clients connect. So the table is made as wide as it may become before there are threads; it is never narrowed. */
static void widen_descriptor_table(uint64_t limit)
{
    uint64_t entries = limit < DESCRIPTOR_TABLE ? limit : DESCRIPTOR_TABLE;
    int any = eventfd(0, EFD_CLOEXEC), last = any < 0 ? -1 : fcntl(any, F_DUPFD_CLOEXEC, (int)entries - 1);
    if (last >= 0)
        close(last);
    if (any >= 0)
        close(any);
}

/* Banned connections must not take the descriptors of others: where there are few descriptors, most banned connections
 * are closed at once. Returns the number of places left, for all gates together. */
static uint64_t fit_tarpits(const struct relay *r, struct policy_snapshot *p)
{
    uint64_t most = r->fd_limit / TARPIT_SHARE / p->count, sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        uint32_t *places = &p->gates[i].limits.ban.tarpit;
        *places = *places < most ? *places : (uint32_t)most;
        sum += *places;
    }
    return sum;
}

/* The same for connections that wait for their PROXY protocol header; a reload may bring such gates. */
static uint64_t places_of_proxied(const struct policy_snapshot *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->gates[i].config->balancers.count ? PROXIED_PLACES : 0;
    return sum;
}

static uint64_t places_of_counters(const struct policy_snapshot *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->gates[i].config->counter[0] ? COUNTER_DESCRIPTORS : 0;
    return sum;
}

/* Each connection takes two descriptors. All gates together stay below Weir's own limit. */
static void fit_connections(const struct relay *r, struct policy_snapshot *p)
{
    uint64_t wanted = 0, reserve = DESCRIPTOR_RESERVE + 4 * r->worker_count + p->count * (r->worker_count + 1);
    reserve += fit_tarpits(r, p) + places_of_proxied(p) + places_of_counters(p);
    uint64_t room = r->fd_limit > reserve + 2 ? (r->fd_limit - reserve) / 2 : 1;
    for (size_t i = 0; i < p->count; i++)
        wanted += p->gates[i].limits.connections.max;
    if (wanted <= room)
        return;
    for (size_t i = 0; i < p->count; i++) {
        struct limits *l = &p->gates[i].limits;
        uint64_t share = room * l->connections.max / wanted;
        LOG_WARN("gate %s: connections.max lowered from %u to %llu: this process may open %llu descriptors (raise "
                 "LimitNOFILE or ulimit -Hn)",
                 p->gates[i].config->name, l->connections.max, (unsigned long long)share,
                 (unsigned long long)r->fd_limit);
        l->connections.max = share ? (uint32_t)share : 1;
    }
}

/* Lowers the configuration to what this process can keep to. */
static void fit(const struct relay *r, struct policy_snapshot *p)
{
    fit_connections(r, p);
    policy_snapshot_settle(p);
}

/* ---- making ---- */

static int make_policies(struct relay *r)
{
    struct policy_snapshot *p = policy_snapshot_new(r->config, r->config, NULL);
    if (!p)
        return -ENOMEM;
    fit(r, p);
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
    r->gates = calloc(r->config->gate_count, sizeof(*r->gates));
    if (!r->gates)
        return -ENOMEM;
    for (size_t i = 0; i < r->config->gate_count; i++) {
        r->gate_count++;
        int error = gate_init(&r->gates[i], &r->config->gates[i], r->config, r->worker_count, &r->account, r->bans);
        if (error < 0)
            return error;
        r->gates[i].events = r->events;
        gate_bound_connections(&r->gates[i], &policy_publisher_current(&r->publisher)->gates[i].limits);
    }
    return 0;
}

static int make_workers(struct relay *r)
{
    size_t sessions = 0;
    for (size_t i = 0; i < r->gate_count; i++)
        sessions += policy_publisher_current(&r->publisher)->gates[i].limits.connections.max;
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
        if (error < 0)
            return error;
    }
    return 0;
}

static int share_descriptor(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

/* Over TCP each worker has a listener of its own and the kernel spreads newcomers; a Unix listener is shared. */
static int listen_on(struct relay *r, size_t gate)
{
    struct gate *g = &r->gates[gate];
    bool share = g->listen.endpoint.kind == ENDPOINT_TCP && r->worker_count > 1;
    int fd = net_listen(&g->listen.endpoint, true, share);
    for (unsigned i = 0; i < r->worker_count; i++) {
        struct worker_gate *wg = &r->workers[i]->gates[gate];
        if (i > 0)
            fd = share ? net_listen(&g->listen.endpoint, false, true)
                       : share_descriptor(r->workers[0]->gates[gate].listener.fd);
        if (fd < 0)
            return fd;
        wg->listener.fd = fd;
        int error = loop_watch(&r->workers[i]->loop, &wg->listener, EPOLLIN | (share ? 0 : EPOLLEXCLUSIVE));
        if (error < 0)
            return error;
    }
    endpoint_format(g->listen.text, sizeof(g->listen.text), &g->listen.endpoint);
    atomic_store(&g->listen.up, true);
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

static bool listen_all(struct relay *r, FILE *errors)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        int error = listen_on(r, i);
        if (error < 0) {
            fprintf(errors, "weir: gate %s: cannot listen on %s: %s%s\n", r->gates[i].config->name,
                    r->gates[i].config->listen_text, strerror(-error), hint(error));
            return false;
        }
    }
    return true;
}

static bool open_counters(struct relay *r, FILE *errors)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        const struct config_gate *c = r->gates[i].config;
        int error = c->counter[0] ? counter_open(&r->workers[0]->gates[i], c->counter) : 0;
        if (error < 0) {
            fprintf(errors, "weir: gate %s: counter: cannot listen on %s: %s%s\n", c->name, c->counter,
                    strerror(-error), hint(error));
            return false;
        }
    }
    return true;
}

struct relay *relay_new(const struct config *c, FILE *errors)
{
    struct relay *r = calloc(1, sizeof(*r));
    int error = -ENOMEM;
    if (!r)
        goto fail;
    r->config = c;
    pthread_mutex_init(&r->reading, NULL);
    r->worker_count = pick_workers(c);
    account_init(&r->account, c->memory_bytes);
    pressure_init(&r->pressure, c->memory_bytes);
    r->fd_limit = raise_descriptor_limit();
    widen_descriptor_table(r->fd_limit);
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
    if (listen_all(r, errors) && open_counters(r, errors))
        return r;
    relay_free(r);
    return NULL;

fail:
    fprintf(errors, "weir: cannot start: %s\n", strerror(-error));
    relay_free(r);
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
    fit(r, p);
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
    for (size_t i = 0; i < r->gate_count; i++)
        gate_forgive(&r->gates[i], &was->gates[i].limits, &p->gates[i].limits, clock_now_ns());
    for (size_t i = 0; i < r->gate_count; i++)
        atomic_store(&r->gates[i].limiter.off, p->gates[i].limits.concurrency.limit == CONCURRENCY_LIMIT_OFF);
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
        if (was && g->listen.endpoint.kind == ENDPOINT_IPC && g->listen.endpoint.un.sun_path[0] != '\0')
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
    pthread_mutex_destroy(&r->reading);
    free(r);
}

/* ---- snapshots ---- */

uint64_t relay_open_connections(const struct relay *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->gate_count; i++)
        n += atomic_load(&r->gates[i].counts.open);
    return n;
}

size_t relay_gate_count(const struct relay *r)
{
    return r->gate_count;
}

const char *relay_gate_name(const struct relay *r, size_t gate)
{
    return r->gates[gate].config->name;
}

static void sum_cells(const struct relay *r, const struct gate *g, struct gate_snapshot *ret)
{
    for (unsigned w = 0; w < r->worker_count; w++) {
        for (unsigned i = 0; i < CELL_COUNT; i++)
            ret->cells[i] += atomic_load_explicit(&g->cells[w].metric[i], memory_order_relaxed);
        for (unsigned i = 0; i < VERDICT_COUNT; i++)
            ret->verdicts[i] += atomic_load_explicit(&g->cells[w].verdict[i], memory_order_relaxed);
        for (unsigned i = 0; i < VERDICT_COUNT; i++)
            ret->shadow_verdicts[i] += atomic_load_explicit(&g->cells[w].shadow[i], memory_order_relaxed);
    }
    /* Cells of two workers are read at two moments: a gauge may seem to be below zero in between. */
    for (unsigned i = 0; i < CELL_COUNT; i++)
        if (metric_cell_info((enum metric_cell)i)->type == METRIC_GAUGE && (int64_t)ret->cells[i] < 0)
            ret->cells[i] = 0;
}

static void sum_classes(const struct relay *r, const struct gate *g, struct gate_snapshot *ret)
{
    const struct classes *classes = g->config->class_table;
    ret->class_count = classes ? classes->count : 0;
    for (size_t n = 0; n < ret->class_count; n++) {
        struct class_snapshot *c = &ret->classes[n];
        c->name = classes->at[n].name;
        for (unsigned w = 0; w < r->worker_count; w++)
            for (unsigned i = 0; i < CLASS_CELL_COUNT; i++)
                c->cells[i] += atomic_load_explicit(&g->class_cells[w].at[n][i], memory_order_relaxed);
        if ((int64_t)c->cells[CLASS_CONNECTIONS] < 0)
            c->cells[CLASS_CONNECTIONS] = 0; /* as above */
    }
}

static void read_limiter(struct gate *g, struct gate_snapshot *ret)
{
    struct reqlimit_report *r = &ret->limiter;
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&g->limiter.lock);
    reqlimit_report(&g->limiter.limit, r);
    pthread_mutex_unlock(&g->limiter.lock);
    ret->limiter_off = atomic_load(&g->limiter.off);
    ret->held_ns = r->since_ns && now_ns > r->since_ns ? now_ns - r->since_ns : 0;
    ret->cells[CELL_LIMITER_STATE] = r->state;
    ret->cells[CELL_LIMITER_ESTABLISHED] = r->established;
    ret->cells[CELL_LIMITER_STRANGERS] = r->connections - r->established;
    ret->cells[CELL_LIMITER_OVER] = r->over;
    ret->cells[CELL_IN_LINE] = r->in_line;
    ret->cells[CELL_HELD_MESSAGES] = r->waiting;
    ret->cells[CELL_HELD_BY_COUNTER] = r->held[PROOF_COUNTER];
    ret->cells[CELL_HELD_BY_LATENCY] = r->held[PROOF_LATENCY];
    ret->cells[CELL_PASSED_BY_COUNTER] = r->passed_held[PROOF_COUNTER];
    ret->cells[CELL_PASSED_BY_LATENCY] = r->passed_held[PROOF_LATENCY];
    ret->cells[CELL_HELD_BY_MAX] = r->held[PROOF_MAX];
    ret->cells[CELL_PASSED_BY_MAX] = r->passed_held[PROOF_MAX];
    ret->cells[CELL_NO_PROGRESS] = r->without_progress;
    ret->cells[CELL_WINDOW_UNTAKEN] = r->untaken_window;
    ret->cells[CELL_WINDOW_IN_HAND] = r->in_hand_window;
    ret->cells[CELL_UNTAKEN] = r->untaken;
    ret->cells[CELL_UNANSWERED] = r->in_hand;
    ret->cells[CELL_PLAIN_SERVICE] = r->plain;
}

void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret)
{
    struct gate *g = &r->gates[gate];
    struct handshake_app app;
    *ret = (struct gate_snapshot){
        .name = g->config->name, .upstream_up = atomic_load(&g->reach.up), .socket = socket_type_name(gate_socket(g))};
    if (atomic_load(&g->listen.up))
        snprintf(ret->listen, sizeof(ret->listen), "%s", g->listen.text);
    snprintf(ret->forward, sizeof(ret->forward), "%s", g->config->forward_text);
    if (app_facts_get(&g->app, &app, false, 0)) {
        snprintf(ret->mechanism, sizeof(ret->mechanism), "%s", zmtp_mechanism_name(app.mechanism));
        ret->upstream_minor = app.minor;
    }
    ret->breaker = breaker_state(&g->breaker, clock_now_ns());
    ret->breaker_opened = atomic_load(&g->breaker.opened);
    ret->max_connections = atomic_load(&g->counts.max);
    sum_cells(r, g, ret);
    sum_classes(r, g, ret);
    ret->cells[CELL_COUNTER_STATE] = atomic_load(&g->counter_state);
    read_limiter(g, ret);
    ret->cells[CELL_UNFINISHED] = stream_budget_held(&g->traffic.unfinished);
    ret->cells[CELL_TOPIC_BYTES] = topic_tree_cost(&g->traffic.topics);
}

/* ---- bans and events ---- */

struct event_log *relay_events(struct relay *r)
{
    return r->events;
}

struct bans *relay_bans(struct relay *r)
{
    return r->bans;
}

uint64_t relay_claims_served(struct relay *r)
{
    return kept_claims_served(r->gates, r->gate_count);
}

uint8_t *relay_claims_write(struct relay *r, size_t *ret_len)
{
    return kept_claims_write(r->gates, r->gate_count, ret_len);
}

const char *relay_claims_read(struct relay *r, const uint8_t *bytes, size_t len)
{
    return kept_claims_read(r->gates, r->gate_count, bytes, len);
}

struct kernel_bans *relay_kernel_bans(struct relay *r)
{
    return &r->kernel;
}

bool relay_ban(struct relay *r, const struct network *who, uint64_t duration_ns)
{
    bool done = bans_set(r->bans, who, duration_ns, BAN_REASON_OPERATOR, clock_now_ns());
    ban_enforce_tell_all(r->workers, r->worker_count);
    return done;
}

bool relay_unban(struct relay *r, const struct network *who)
{
    bool was = bans_lift(r->bans, who, clock_now_ns());
    ban_enforce_tell_all(r->workers, r->worker_count);
    return was;
}

/* Whether one of the gate's exempt networks contains all of `who`. */
static bool is_exempt(const struct networks *exempt, const struct network *who)
{
    struct addr first = {.kind = (enum addr_kind)who->kind};
    memcpy(first.bytes, who->bytes, sizeof(first.bytes));
    for (uint32_t i = 0; i < exempt->count; i++)
        if (exempt->at[i].bits <= who->bits && network_contains(&exempt->at[i], &first))
            return true;
    return false;
}

static bool is_exempt_everywhere(struct relay *r, const struct network *who)
{
    bool exempt = true;
    pthread_mutex_lock(&r->reading);
    const struct policy_snapshot *p = policy_publisher_current(&r->publisher);
    for (size_t i = 0; i < p->count; i++)
        exempt = exempt && is_exempt(&p->gates[i].limits.ban.exempt, who);
    pthread_mutex_unlock(&r->reading);
    return exempt;
}

/* A gate whose application answers at an address of this network, or NULL. */
static const struct gate *gate_in_front_of(const struct relay *r, const struct network *who)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        struct addr app;
        if (r->gates[i].forward.kind != ENDPOINT_TCP)
            continue;
        addr_from_sockaddr(&app, &r->gates[i].forward.sa);
        if (network_contains(who, &app))
            return &r->gates[i];
    }
    return NULL;
}

bool relay_ban_objection(struct relay *r, const struct network *who, char *why, size_t size)
{
    char text[NETWORK_TEXT_MAX];
    const struct gate *g = gate_in_front_of(r, who);
    network_format(text, sizeof(text), who);
    if (who->bits == 0)
        snprintf(why, size, "%s is everybody, and would shut every gate", text);
    else if (ban_reach_is_too_wide(who))
        snprintf(why, size, "%s is a large part of the world: allowed are /8 and narrower, of IPv6 /16", text);
    else if (g)
        snprintf(why, size, "the application of gate %s answers at %s, which lies in %s", g->config->name,
                 g->config->forward_text, text);
    else if (is_exempt_everywhere(r, who))
        snprintf(why, size, "%s is exempt at every gate (ban.exempt), so that a ban would keep nobody out", text);
    else if (ban_reach_would_leave_nobody(r->bans, who, clock_now_ns()))
        snprintf(why, size, "with %s and what is banned already, nobody of its kind of address could come in", text);
    else
        return false;
    return true;
}

/* ---- queries ---- */

int relay_query(struct relay *r, const struct query_ask *ask, uint64_t patience_ns, struct query_answer *ret)
{
    struct query *s = query_new(ask, r->worker_count);
    if (!s)
        return -ENOMEM;
    for (unsigned i = 0; i < r->worker_count; i++)
        query_give(s, r->workers[i]);
    query_await(s, clock_now_ns() + patience_ns);
    int error = query_collect(s, ret);
    query_release(s);
    return error;
}

void relay_snapshot(const struct relay *r, struct relay_snapshot *ret)
{
    *ret = (struct relay_snapshot){
        .workers = r->worker_count,
        .held_bytes = account_held(&r->account),
        .held_peak_bytes = atomic_load(&r->account.peak_bytes),
        .memory_limit_bytes = r->account.limit_bytes,
        /* Workers that sleep have not updated it for a while. */
        .memory_pressure =
            pressure_step(pressure_level(&r->pressure), account_held(&r->account), r->account.limit_bytes),
        .fd_limit = r->fd_limit,
        .reloads = atomic_load(&r->reloads),
        .refused_reloads = atomic_load(&r->refused_reloads),
        .generation = atomic_load(&r->generation),
        .loaded_ns = atomic_load(&r->loaded_ns),
        .kernel = {.in_force = atomic_load(&r->kernel.in_force),
                   .entries = atomic_load(&r->kernel.entries),
                   .packets = atomic_load(&r->kernel.packets),
                   .bytes = atomic_load(&r->kernel.bytes),
                   .replacements = atomic_load(&r->kernel.replacements),
                   .failures = atomic_load(&r->kernel.failures)},
    };
    bans_stats(r->bans, &ret->bans);
    ret->events = event_log_stats(r->events);
    for (size_t i = 0; i < r->gate_count; i++) {
        struct source_stats s;
        source_table_stats(r->gates[i].sources, &s);
        ret->sources.capacity += s.capacity;
        ret->sources.used += s.used;
        ret->sources.created += s.created;
        ret->sources.evicted += s.evicted;
        ret->sources.fallbacks += s.fallbacks;
        ret->sources.memory_bytes += s.memory_bytes;
    }
}
