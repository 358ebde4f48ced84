/* SPDX-License-Identifier: MPL-2.0 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Requests that a client keeps waiting on a connection before it gives them up. */
#define BACKLOG_MOST 1000u

/* The relay and the kernel, there and back. */
#define HOP_NS 20000u

#define NOBODY UINT32_MAX

enum event_kind { ARRIVES, THINKS, ANSWERED, SWITCHES, WATCHED, CHANGES };

struct event {
    uint64_t at_ns;
    uint32_t kind, who; /* a source; THINKS: a connection; ANSWERED: a request */
};

/* A request between its arrival and its reply; stands in the list of its connection. */
struct request {
    uint64_t arrived_ns;
    uint32_t next, connection;
};

struct queue {
    uint32_t first, last, count;
};

struct connection {
    struct valve_client admission;
    struct list ring; /* connections that the application has messages of */
    struct source *entry;
    uint64_t opened_ns;
    uint32_t number, source;
    uint32_t in_app;           /* with the servers or in front of them */
    struct queue backlog, app; /* in Weir, and in the application's pipe */
    bool used, on;
};

struct group_state {
    uint32_t first; /* source */
    uint64_t good;  /* arrived and answered while observed */
    uint64_t *waits;
    size_t wait_count, wait_room;
};

struct sim {
    const struct sim_config *config;
    struct sim_result *result;
    struct property_rng rng;
    uint64_t now_ns;
    struct sim_app app;
    uint32_t working; /* servers */
    uint64_t worked_ns;
    struct list ring, woken;
    struct valve valve;
    struct source_table *table;
    struct event *events;
    size_t event_count, event_room;
    struct connection **connections; /* by number; never moved */
    uint32_t connection_count, connection_room, connections_used, spare_count, *spare;
    struct request *requests;
    uint32_t request_count, request_room, free_request;
    uint32_t *connection_of; /* by source: its first connection, or NOBODY */
    uint8_t *group_of;
    struct group_state groups[SIM_GROUPS];
};

static void *must(void *p)
{
    if (p)
        return p;
    fputs("sim: out of memory\n", stderr);
    exit(1);
}

/* ---- chance ---- */

static double uniform(struct sim *s)
{
    return ((double)(property_next(&s->rng) >> 11) + 1) / 9007199254740993.0;
}

static uint64_t exponential(struct sim *s, double mean_ns)
{
    return (uint64_t)(-log(uniform(s)) * mean_ns) + 1;
}

/* The n-th of `count` with a probability of about 1/n, by inversion. */
static uint32_t zipf(struct sim *s, const struct group_state *g, uint32_t count)
{
    double n = exp(uniform(s) * log((double)count + 1));
    uint32_t rank = (uint32_t)n - 1;
    return g->first + (rank < count ? rank : count - 1);
}

/* ---- events ---- */

static void schedule(struct sim *s, uint64_t at_ns, enum event_kind kind, uint32_t who)
{
    if (s->event_count + 1 >= s->event_room) {
        s->event_room = s->event_room ? 2 * s->event_room : 1024;
        s->events = must(realloc(s->events, s->event_room * sizeof(*s->events)));
    }
    size_t at = ++s->event_count;
    for (; at > 1 && s->events[at / 2].at_ns > at_ns; at /= 2)
        s->events[at] = s->events[at / 2];
    s->events[at] = (struct event){at_ns, kind, who};
}

static struct event next_event(struct sim *s)
{
    struct event first = s->events[1], last = s->events[s->event_count--];
    size_t at = 1;
    for (size_t child; (child = 2 * at) <= s->event_count; at = child) {
        child += child < s->event_count && s->events[child + 1].at_ns < s->events[child].at_ns;
        if (last.at_ns <= s->events[child].at_ns)
            break;
        s->events[at] = s->events[child];
    }
    s->events[at] = last;
    return first;
}

/* ---- requests ---- */

static void append(struct sim *s, struct queue *q, uint32_t request)
{
    s->requests[request].next = NOBODY;
    if (q->count++)
        s->requests[q->last].next = request;
    else
        q->first = request;
    q->last = request;
}

static uint32_t take(struct sim *s, struct queue *q)
{
    uint32_t request = q->first;
    q->first = s->requests[request].next;
    q->count--;
    return request;
}

static uint32_t new_request(struct sim *s, uint32_t connection)
{
    uint32_t r = s->free_request;
    if (r == NOBODY) {
        if (s->request_count == s->request_room) {
            s->request_room = s->request_room ? 2 * s->request_room : 4096;
            s->requests = must(realloc(s->requests, s->request_room * sizeof(*s->requests)));
        }
        r = s->request_count++;
    } else {
        s->free_request = s->requests[r].next;
    }
    s->requests[r] = (struct request){s->now_ns, NOBODY, connection};
    return r;
}

static void free_request(struct sim *s, uint32_t request)
{
    s->requests[request].next = s->free_request;
    s->free_request = request;
}

/* ---- connections ---- */

static const struct sim_group *group_of(const struct sim *s, uint32_t source)
{
    return &s->config->groups[s->group_of[source]];
}

static bool has_more(const struct sim *s, const struct connection *c)
{
    return c->backlog.count || c->on;
}

static struct connection *allocate_connection(struct sim *s, uint32_t *ret_number)
{
    if (s->spare_count) {
        *ret_number = s->spare[--s->spare_count];
        return s->connections[*ret_number];
    }
    if (s->connection_count == s->connection_room) {
        s->connection_room = s->connection_room ? 2 * s->connection_room : 1024;
        s->connections = must(realloc(s->connections, s->connection_room * sizeof(struct connection *)));
        s->spare = must(realloc(s->spare, s->connection_room * sizeof(*s->spare)));
    }
    *ret_number = s->connection_count++;
    return s->connections[*ret_number] = must(calloc(1, sizeof(struct connection)));
}

/* What the relay does when a client comes: finds its source, charges its rate of connections. */
static uint32_t open_connection(struct sim *s, uint32_t source)
{
    static const struct rate connections = {1000, NS_PER_S, 10000};
    uint32_t number;
    struct connection *c = allocate_connection(s, &number);
    memset(c, 0, sizeof(*c));
    valve_client_init(&c->admission);
    list_init(&c->ring);
    c->used = true;
    c->number = number;
    c->source = source;
    c->opened_ns = s->now_ns;
    c->entry = source_acquire(s->table, (struct source_key){(uint64_t)(source + 1) << 32, SOURCE_V4}, s->now_ns);
    (void)!gcra_admit(&c->entry->limiters[SOURCE_CONNECTIONS], &connections, 1, s->now_ns);
    s->connections_used++;
    if (s->connections_used > s->result->connections_most)
        s->result->connections_most = s->connections_used;
    return number;
}

static void close_connection(struct sim *s, uint32_t number)
{
    struct connection *c = s->connections[number];
    valve_leave(&s->valve, &c->admission, s->now_ns);
    source_release(c->entry);
    c->used = false;
    s->spare[s->spare_count++] = number;
    s->connections_used--;
}

/* ---- the application ---- */

static uint64_t service_ns(struct sim *s)
{
    return s->app.service == SIM_CONSTANT ? s->app.service_ns : exponential(s, (double)s->app.service_ns);
}

/* A server takes the next message from the connection whose turn it is. */
static void work(struct sim *s)
{
    while (s->working < s->app.servers && !list_empty(&s->ring)) {
        struct connection *c = LIST_ENTRY(list_pop(&s->ring), struct connection, ring);
        uint32_t request = take(s, &c->app);
        uint64_t takes_ns = service_ns(s);
        if (c->app.count)
            list_push(&s->ring, &c->ring);
        s->working++;
        if (s->now_ns >= s->config->warm_up_ns)
            s->worked_ns += takes_ns;
        schedule(s, s->now_ns + takes_ns + HOP_NS, ANSWERED, request);
    }
}

static void give(struct sim *s, uint32_t number)
{
    struct connection *c = s->connections[number];
    append(s, &c->app, c->backlog.count ? take(s, &c->backlog) : new_request(s, number));
    c->in_app++;
    if (c->app.count == 1)
        list_push(&s->ring, &c->ring);
}

/* ---- the relay: a lane's turn ---- */

static void pass(struct sim *s, uint32_t number)
{
    struct connection *c = s->connections[number];
    uint32_t n = 0;
    uint32_t allowed = s->config->no_turns ? SIM_PIPE : valve_allows(&s->valve, &c->admission);
    while (n < allowed && has_more(s, c) && c->in_app < SIM_PIPE) {
        static const struct rate unlimited = {0, NS_PER_S, 0};
        (void)!gcra_admit(&c->entry->limiters[SOURCE_MESSAGES], &unlimited, 1, s->now_ns);
        give(s, number);
        n++;
    }
    if (s->config->no_turns)
        return;
    valve_passed(&s->valve, &c->admission, n, s->now_ns);
    if (!has_more(s, c)) {
        valve_rest(&s->valve, &c->admission, s->now_ns);
        return;
    }
    if (c->in_app == SIM_PIPE || valve_allows(&s->valve, &c->admission))
        return;
    struct turns_client who = {
        .owner = (uintptr_t)c->entry, .age_ns = s->now_ns - c->opened_ns, .weight = TURNS_WEIGHT_ONE, .priority = 1};
    valve_wait(&s->valve, &c->admission, &who, s->now_ns);
}

static struct sim *running;

static void wake(struct valve_client *c)
{
    list_push(&running->woken, &c->turn.node);
}

static void serve(struct sim *s)
{
    for (struct valve_client *v; (v = valve_pop(&s->valve, &s->woken));)
        pass(s, ((struct connection *)(void *)v)->number);
    work(s);
}

/* ---- clients ---- */

static bool is_observed(const struct sim *s, uint64_t arrived_ns)
{
    return arrived_ns >= s->config->warm_up_ns && s->now_ns >= s->config->warm_up_ns;
}

static bool is_greedy(const struct sim_group *g)
{
    return g->kind == SIM_GREEDY || g->kind == SIM_ON_OFF || g->kind == SIM_CHURN;
}

/* A request comes into being at a client. */
static void send_one(struct sim *s, uint32_t number)
{
    struct connection *c = s->connections[number];
    if (is_observed(s, s->now_ns))
        s->result->demand[c->source]++;
    if (c->backlog.count == BACKLOG_MOST)
        return;
    append(s, &c->backlog, new_request(s, number));
    if (!c->admission.waits)
        pass(s, number);
}

/* The last hundredth of the time is for replies to what was sent before. */
static bool goes_on(const struct sim *s)
{
    return s->now_ns < s->config->end_ns - s->config->end_ns / 100;
}

static void on_arrival(struct sim *s, uint32_t source)
{
    const struct sim_group *g = group_of(s, source);
    if (!goes_on(s))
        return;
    if (g->kind == SIM_ZIPF) {
        schedule(s, s->now_ns + exponential(s, (double)NS_PER_S / g->rate), ARRIVES, source);
        source = zipf(s, &s->groups[g - s->config->groups], g->sources);
        if (s->connection_of[source] == NOBODY)
            s->connection_of[source] = open_connection(s, source);
        send_one(s, s->connection_of[source]);
        return;
    }
    schedule(s, s->now_ns + exponential(s, (double)NS_PER_S / g->rate), ARRIVES, source);
    send_one(s, s->connection_of[source] + (uint32_t)property_below(&s->rng, g->connections));
}

static void on_switch(struct sim *s, uint32_t source)
{
    const struct sim_group *g = group_of(s, source);
    bool on = false;
    for (uint32_t i = 0; i < g->connections; i++) {
        uint32_t number = s->connection_of[source] + i;
        struct connection *c = s->connections[number];
        for (uint32_t n = 0; g->kind == SIM_BURSTS && n < g->burst && goes_on(s); n++)
            send_one(s, number);
        if (g->kind != SIM_ON_OFF)
            continue;
        on = c->on = !c->on;
        if (on && !c->admission.waits)
            pass(s, number);
    }
    schedule(s, s->now_ns + (on ? g->on_ns : g->off_ns), SWITCHES, source);
}

static void note_wait(struct sim *s, const struct connection *c, uint64_t wait_ns)
{
    struct group_state *g = &s->groups[s->group_of[c->source]];
    if (g->wait_count == g->wait_room) {
        g->wait_room = g->wait_room ? 2 * g->wait_room : 4096;
        g->waits = must(realloc(g->waits, g->wait_room * sizeof(*g->waits)));
    }
    g->waits[g->wait_count++] = wait_ns;
}

static void after_reply(struct sim *s, uint32_t number)
{
    struct connection *c = s->connections[number];
    const struct sim_group *g = group_of(s, c->source);
    uint32_t source = c->source;
    if (g->kind == SIM_CLOSED && goes_on(s))
        schedule(s, s->now_ns + g->off_ns, THINKS, number);
    if (g->kind == SIM_CHURN && c->in_app == 0 && !c->admission.granted) {
        close_connection(s, number);
        number = open_connection(s, source); /* takes the same number */
        c->on = true;
    }
    if (g->kind == SIM_ZIPF && c->in_app == 0 && c->backlog.count == 0) {
        close_connection(s, number);
        s->connection_of[source] = NOBODY;
        return;
    }
    if (has_more(s, c) && !c->admission.waits)
        pass(s, number);
}

static void on_answer(struct sim *s, uint32_t request)
{
    struct request r = s->requests[request];
    struct connection *c = s->connections[r.connection];
    free_request(s, request);
    s->working--;
    c->in_app--;
    if (s->now_ns >= s->config->warm_up_ns) {
        s->result->answered++;
        s->result->served[c->source]++;
    }
    if (is_observed(s, r.arrived_ns)) {
        s->groups[s->group_of[c->source]].good++;
        note_wait(s, c, s->now_ns - r.arrived_ns);
    }
    if (!s->config->no_turns)
        valve_answered(&s->valve, &c->admission, 1, s->now_ns);
    after_reply(s, r.connection);
}

/* ---- the run ---- */

static void start_source(struct sim *s, const struct sim_group *g, uint32_t source)
{
    if (g->kind == SIM_ZIPF)
        return;
    for (uint32_t i = 0; i < g->connections; i++) {
        uint32_t number = open_connection(s, source);
        if (i == 0)
            s->connection_of[source] = number;
        s->connections[number]->on = g->kind == SIM_GREEDY || g->kind == SIM_CHURN;
        if (s->connections[number]->on)
            pass(s, number);
        if (g->kind == SIM_CLOSED)
            schedule(s, property_below(&s->rng, g->off_ns + NS_PER_MS), THINKS, number);
    }
    if (g->kind == SIM_POISSON)
        schedule(s, exponential(s, (double)NS_PER_S / g->rate), ARRIVES, source);
    if (g->kind == SIM_BURSTS || g->kind == SIM_ON_OFF)
        schedule(s, g->start_ns ? g->start_ns : property_below(&s->rng, g->on_ns + g->off_ns), SWITCHES, source);
}

static void start(struct sim *s)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < SIM_GROUPS; i++) {
        s->groups[i].first = s->result->groups[i].first = count;
        s->result->groups[i].count = s->config->groups[i].sources;
        count += s->config->groups[i].sources;
    }
    s->result->sources_count = count;
    s->result->demand = must(calloc(count, sizeof(uint32_t)));
    s->result->served = must(calloc(count, sizeof(uint32_t)));
    s->connection_of = must(malloc(count * sizeof(uint32_t)));
    memset(s->connection_of, 0xff, count * sizeof(uint32_t));
    s->group_of = must(calloc(count, 1));
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        for (uint32_t n = 0; n < s->config->groups[i].sources; n++)
            s->group_of[s->groups[i].first + n] = (uint8_t)i;
    for (uint32_t source = 0; source < count; source++)
        start_source(s, group_of(s, source), source);
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        if (s->config->groups[i].kind == SIM_ZIPF && s->config->groups[i].sources)
            schedule(s, 1, ARRIVES, s->groups[i].first);
    if (s->config->watch)
        schedule(s, NS_PER_MS, WATCHED, 0);
    if (s->config->change_ns)
        schedule(s, s->config->change_ns, CHANGES, 0);
    serve(s);
}

static void watch(struct sim *s)
{
    struct valve_stats stats;
    valve_stats(&s->valve, &stats);
    s->config->watch(s->config->argument, s->now_ns, &stats);
    schedule(s, s->now_ns + NS_PER_MS, WATCHED, 0);
}

static void handle(struct sim *s, const struct event *e)
{
    switch ((enum event_kind)e->kind) {
    case ARRIVES:
        on_arrival(s, e->who);
        break;
    case THINKS:
        send_one(s, e->who);
        break;
    case ANSWERED:
        on_answer(s, e->who);
        break;
    case SWITCHES:
        on_switch(s, e->who);
        break;
    case WATCHED:
        watch(s);
        break;
    case CHANGES:
        s->app = s->config->later;
        break;
    }
    serve(s);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Jain's index: 1 when all are served the same, 1/n when one gets everything. */
static void sum_up(struct sim *s, unsigned group)
{
    struct sim_result *r = s->result;
    struct group_state *g = &s->groups[group];
    double sum = 0, squares = 0, asked = 0, least = INFINITY, most = 0;
    for (uint32_t i = r->groups[group].first, n = 0; n < r->groups[group].count; i++, n++) {
        sum += r->served[i];
        squares += (double)r->served[i] * r->served[i];
        asked += r->demand[i];
        least = fmin(least, r->served[i]);
        most = fmax(most, r->served[i]);
        if (is_greedy(&s->config->groups[group]))
            r->demand[i] = UINT32_MAX;
    }
    if (r->groups[group].count == 0)
        return;
    r->groups[group].goodput = asked > 0 ? (double)g->good / asked : 1;
    r->groups[group].jain = squares > 0 ? sum * sum / squares / r->groups[group].count : 1;
    r->groups[group].mean = sum / r->groups[group].count;
    r->groups[group].least = least;
    r->groups[group].most = most;
    if (g->wait_count == 0)
        return;
    qsort(g->waits, g->wait_count, sizeof(*g->waits), by_value);
    r->groups[group].median_ns = g->waits[g->wait_count / 2];
    r->groups[group].p99_ns = g->waits[g->wait_count - 1 - g->wait_count / 100];
    r->groups[group].worst_ns = g->waits[g->wait_count - 1];
}

static void finish(struct sim *s)
{
    struct sim_result *r = s->result;
    double observed_ns = (double)(s->config->end_ns - s->config->warm_up_ns);
    r->utilisation = (double)s->worked_ns / observed_ns / s->app.servers;
    source_table_stats(s->table, &r->sources);
    r->turns_bytes = s->valve.turns.sets * 8 * (sizeof(struct turns_source) + 2 * TURNS_PRIORITIES * sizeof(void *));
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        sum_up(s, i);
    for (uint32_t i = 0; i < r->sources_count; i++)
        r->sources_seen += r->demand[i] != 0;
    for (uint32_t i = 0; i < s->connection_count; i++) {
        if (s->connections[i]->used)
            close_connection(s, i);
        free(s->connections[i]);
    }
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        free(s->groups[i].waits);
    struct valve_stats stats;
    valve_stats(&s->valve, &stats);
    r->left_in_hand = stats.in_hand + stats.waiting;
    valve_fini(&s->valve);
    source_table_free(s->table);
    free(s->connections);
    free(s->spare);
    free(s->requests);
    free(s->events);
    free(s->connection_of);
    free(s->group_of);
}

void sim_run(const struct sim_config *config, struct sim_result *ret)
{
    static struct sim s;
    const struct hash_key key = {{1, 2}};
    memset(&s, 0, sizeof(s));
    memset(ret, 0, sizeof(*ret));
    s.config = config;
    s.result = ret;
    s.rng.state = config->seed;
    s.app = config->app;
    s.free_request = NOBODY;
    list_init(&s.ring);
    list_init(&s.woken);
    running = &s;
    s.table = must(source_table_new(config->capacity ? config->capacity : 65536, &key));
    if (valve_init(&s.valve, 65536, config->turns ? config->turns : 4096, wake) != 0)
        must(NULL);
    if (!config->learns)
        valve_be_strict(&s.valve);
    start(&s);
    while (s.event_count && s.events[1].at_ns < config->end_ns) {
        struct event e = next_event(&s);
        s.now_ns = e.at_ns;
        handle(&s, &e);
    }
    s.now_ns = config->end_ns;
    finish(&s);
}

void sim_result_free(struct sim_result *r)
{
    free(r->demand);
    free(r->served);
}

/* ---- what would be fair ---- */

static double met_below(const struct sim_config *config, const struct sim_result *r, double level)
{
    double sum = 0;
    for (unsigned g = 0; g < SIM_GROUPS; g++)
        for (uint32_t n = 0; n < r->groups[g].count; n++) {
            double demand = r->demand[r->groups[g].first + n];
            sum += config->groups[g].sparse ? demand : fmin(demand, level);
        }
    return sum;
}

double sim_level(const struct sim_config *config, const struct sim_result *r)
{
    double low = 0, high = (double)r->answered;
    for (int i = 0; i < 60; i++) {
        double level = (low + high) / 2;
        *(met_below(config, r, level) <= (double)r->answered ? &low : &high) = level;
    }
    return low;
}

double sim_least_share(const struct sim_result *r, unsigned group, double level)
{
    double least = 1;
    for (uint32_t n = 0; n < r->groups[group].count; n++) {
        uint32_t i = r->groups[group].first + n;
        double fair = fmin(r->demand[i], level);
        /* One request more or less is no injustice. */
        if (fair > 0)
            least = fmin(least, (r->served[i] + 1) / fair);
    }
    return least;
}
