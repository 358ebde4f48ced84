/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/query.h"

#include "limits/strikes.h"
#include "relay/probation.h"
#include "relay/request_flow.h"
#include "relay/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A part: the number of chains of the table of sources, and the number of connections visited (a source is always
 * visited as a whole) or closed after which it ends. */
#define CHAINS_A_PART   1024u
#define SESSIONS_A_PART 256u

static size_t row_bytes(enum query_kind kind)
{
    return kind == QUERY_CONNECTIONS ? sizeof(struct connection_row) : sizeof(struct source_row);
}

static size_t rows_of(const struct query_ask *ask)
{
    size_t most = ask->rows < QUERY_ROWS_MAX ? ask->rows : QUERY_ROWS_MAX;
    return ask->kind == QUERY_KICK ? 0 : most;
}

/* ---- life ---- */

struct query *query_new(const struct query_ask *ask, unsigned workers)
{
    size_t room = rows_of(ask), bytes = row_bytes(ask->kind);
    struct query *s = calloc(1, sizeof(*s) + workers * sizeof(s->parts[0]));
    if (!s)
        return NULL;
    s->rows = calloc(workers * room + 1, bytes);
    if (!s->rows) {
        free(s);
        return NULL;
    }
    s->ask = *ask;
    s->workers = workers;
    atomic_store(&s->refs, 1);
    sem_init(&s->finished, 0, 0);
    for (unsigned i = 0; i < workers; i++)
        s->parts[i].kept = (struct top_k){.rows = (char *)s->rows + i * room * bytes, .row_bytes = bytes, .room = room};
    return s;
}

void query_release(struct query *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    sem_destroy(&s->finished);
    free(s->rows);
    free(s);
}

/* ---- the asker ---- */

void query_give(struct query *s, struct worker *w)
{
    atomic_fetch_add(&s->refs, 1);
    query_release(atomic_exchange(&w->query.given, s));
    loop_signal(&w->loop, &w->signals.queried);
}

static bool all_done(const struct query *s)
{
    for (unsigned i = 0; i < s->workers; i++)
        if (!atomic_load_explicit(&s->parts[i].done, memory_order_acquire))
            return false;
    return true;
}

void query_await(struct query *s, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    while (!all_done(s))
        if (sem_clockwait(&s->finished, CLOCK_MONOTONIC, &until) < 0 && errno == ETIMEDOUT)
            break;
    atomic_store(&s->abandoned, true);
}

static int by_source(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct source_row *)a)->source;
    uintptr_t right = (uintptr_t)((const struct source_row *)b)->source;
    return (left > right) - (left < right);
}

static void add_sums(struct traffic_sums *to, const struct traffic_sums *s)
{
    to->messages_in += s->messages_in;
    to->messages_out += s->messages_out;
    to->bytes_in += s->bytes_in;
    to->bytes_out += s->bytes_out;
}

/* A source may have connections at several workers. Returns how many rows are left. */
static size_t join_sources(struct source_row *rows, size_t count)
{
    size_t n = 0;
    if (count)
        qsort(rows, count, sizeof(*rows), by_source);
    for (size_t i = 0; i < count; i++) {
        if (n == 0 || rows[n - 1].source != rows[i].source) {
            rows[n++] = rows[i];
            continue;
        }
        struct source_row *to = &rows[n - 1];
        to->weight += rows[i].weight;
        to->connections += rows[i].connections;
        to->paused += rows[i].paused;
        add_sums(&to->sums, &rows[i].sums);
    }
    return n;
}

int query_collect(const struct query *s, struct query_answer *ret)
{
    size_t bytes = row_bytes(s->ask.kind), count = 0, room = rows_of(&s->ask);
    uint64_t joined, matched = 0;
    char *rows = calloc(s->workers * room + 1, bytes);
    bool complete = true;
    if (!rows)
        return -ENOMEM;
    for (unsigned i = 0; i < s->workers; i++) {
        const struct query_part *p = &s->parts[i];
        bool done = atomic_load_explicit(&p->done, memory_order_acquire);
        complete &= done;
        if (!done)
            continue; /* its worker may still be writing it */
        if (p->kept.count)
            memcpy(rows + count * bytes, p->kept.rows, p->kept.count * bytes);
        count += p->kept.count;
        matched += p->matched;
    }
    if (s->ask.kind == QUERY_SOURCES) {
        joined = count;
        count = join_sources((void *)rows, count);
        matched -= joined - count; /* sources at two workers were counted twice, if their rows were kept */
    }
    struct top_k all = {.rows = rows, .row_bytes = bytes, .room = count, .count = count};
    top_k_sort(&all);
    *ret = (struct query_answer){.complete = complete, .matched = matched, .count = count < room ? count : room};
    ret->rows.any = rows;
    return 0;
}

/* ---- the worker ---- */

void query_drop(struct worker *w)
{
    query_release(atomic_exchange(&w->query.given, NULL));
    query_release(w->query.current);
    w->query.current = NULL;
}

void query_take(struct worker *w)
{
    struct query *s = atomic_exchange(&w->query.given, NULL);
    if (!s)
        return;
    query_release(w->query.current);
    w->query.current = s;
    w->query.at = 0;
}

static bool is_asked_for(const struct query_ask *ask, const struct session *s)
{
    if (ask->id && s->client.id != ask->id)
        return false;
    return ask->network.kind == ADDR_NONE || network_contains(&ask->network, &s->client.addr);
}

static struct traffic_sums sums_of(const struct session *s)
{
    return (struct traffic_sums){.messages_in = s->up.messages,
                                 .messages_out = s->down.messages,
                                 .bytes_in = s->up.passed,
                                 .bytes_out = s->down.passed};
}

static bool is_paused(const struct session *s)
{
    if (s->state != SESSION_OPEN)
        return s->state == SESSION_WAITING;
    return s->up.paused || s->up.awaits_memory || s->flags.in_line;
}

static enum connection_state state_of(const struct session *s)
{
    if (s->state == SESSION_OPEN)
        return CONNECTION_OPEN;
    return s->state == SESSION_HANDSHAKING ? CONNECTION_HANDSHAKE : CONNECTION_WAITING;
}

static void keep_connection(struct query_part *to, const struct session *s, uint32_t gate)
{
    uint64_t now_ns = session_now_ns(s);
    struct connection_row row = {.sums = sums_of(s)};
    row.weight = row.sums.bytes_in + row.sums.bytes_out;
    to->matched++;
    if (!top_k_keeps(&to->kept, row.weight))
        return;
    row.id = s->client.id;
    row.addr = s->client.addr;
    row.gate = gate;
    row.state = state_of(s);
    row.socket = (enum socket_type)s->flags.client_socket;
    row.paused = is_paused(s);
    if (s->flags.in_line)
        request_flow_hold_of(s, &row.hold);
    row.blocked = s->up.blocked || s->down.blocked;
    row.age_ns = now_ns - s->times.accepted_ns;
    row.idle_ns = now_ns - s->times.active_ns;
    top_k_offer(&to->kept, &row);
}

/* Returns how many connections were visited. */
static unsigned keep_connections(struct query_part *to, const struct query_ask *ask, const struct source_conns *p,
                                 uint32_t gate)
{
    unsigned seen = 0;
    LIST_FOREACH(n, &p->sessions)
    {
        const struct session *s = LIST_ENTRY(n, struct session, in.conns);
        seen++;
        if (is_asked_for(ask, s))
            keep_connection(to, s, gate);
    }
    return seen;
}

static unsigned keep_source(struct query_part *to, const struct query_ask *ask, const struct source_conns *p,
                            uint32_t gate)
{
    const struct worker *w = p->wg->worker;
    const struct limits *l = &p->wg->policy->limits;
    struct source_row row = {.source = p->source, .gate = gate};
    unsigned seen = 0;
    LIST_FOREACH(n, &p->sessions)
    {
        const struct session *s = LIST_ENTRY(n, struct session, in.conns);
        struct traffic_sums sums = sums_of(s);
        seen++;
        if (!is_asked_for(ask, s))
            continue;
        row.addr = s->client.addr;
        row.connections++;
        row.paused += is_paused(s);
        add_sums(&row.sums, &sums);
    }
    row.weight = row.sums.bytes_in + row.sums.bytes_out;
    to->matched += row.connections > 0;
    if (!row.connections || !top_k_keeps(&to->kept, row.weight))
        return seen;
    source_format(row.text, sizeof(row.text), p->source);
    row.strikes = strikes_score(&p->source->strikes, &l->ban.strikes, w->loop.now_ns);
    row.probation =
        probation_holds(p->source, p->wg->policy->for_cohort[gate_cohort(p->wg->gate, p->source)], w->loop.now_ns);
    row.exempt = networks_contain(&l->ban.exempt, &row.addr);
    top_k_offer(&to->kept, &row);
    return seen;
}

/* Returns how many were closed, at most SESSIONS_A_PART. The caller keeps `p` from being freed with its last
 * connection. */
static unsigned kick(struct query_part *to, const struct query_ask *ask, struct source_conns *p)
{
    unsigned closed = 0;
    LIST_FOREACH_SAFE(n, &p->sessions)
    {
        struct session *s = LIST_ENTRY(n, struct session, in.conns);
        if (closed == SESSIONS_A_PART)
            break;
        if (!is_asked_for(ask, s))
            continue;
        session_close(s, VERDICT_KICKED);
        closed++;
    }
    to->matched += closed;
    return closed;
}

static unsigned query_look_at(struct query_part *to, const struct query_ask *ask, struct source_conns *p)
{
    uint32_t gate = (uint32_t)(p->wg - p->wg->worker->gates);
    if (ask->gate != QUERY_ALL && ask->gate != gate)
        return 0;
    switch (ask->kind) {
    case QUERY_CONNECTIONS:
        return keep_connections(to, ask, p, gate);
    case QUERY_SOURCES:
        return keep_source(to, ask, p, gate);
    case QUERY_KICK:
        break;
    }
    return kick(to, ask, p);
}

/* One chain of the table of sources. Returns how much was done. */
static unsigned look_at_chain(struct worker *w, struct query *s, size_t chain)
{
    unsigned work = 0;
    for (struct source_conns *p = w->source_conns.at[chain], *next; p; p = next) {
        source_conns_hold(p);
        work += query_look_at(&s->parts[w->index], &s->ask, p);
        next = p->chain;
        source_conns_let_go(p);
    }
    return work;
}

static void query_finish(struct worker *w, bool done)
{
    struct query *s = w->query.current;
    w->query.current = NULL;
    if (done) {
        atomic_store_explicit(&s->parts[w->index].done, true, memory_order_release);
        sem_post(&s->finished);
    }
    query_release(s);
}

void query_step(struct worker *w)
{
    struct query *s = w->query.current;
    unsigned work = 0;
    if (atomic_load_explicit(&s->abandoned, memory_order_relaxed)) {
        query_finish(w, false);
        return;
    }
    for (unsigned i = 0; i < CHAINS_A_PART && work < SESSIONS_A_PART && w->query.at <= w->source_conns.mask; i++) {
        work += look_at_chain(w, s, w->query.at);
        if (work < SESSIONS_A_PART || s->ask.kind != QUERY_KICK)
            w->query.at++; /* else not all of the chain may be closed yet */
    }
    if (w->query.at > w->source_conns.mask)
        query_finish(w, true);
}
