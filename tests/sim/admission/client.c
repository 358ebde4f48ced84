/* SPDX-License-Identifier: MPL-2.0 */
/* The clients, honest and not, and what is measured of them. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define MS (1e6)

static double client_cost(struct world *w, struct conn *c)
{
    if (!c->honest)
        return c->cost_ns * (0.8 + 0.4 * chance_unit(&c->rng));
    if (w->s->app == APP_MIXED_COST)
        return chance(&c->rng, 0.04) ? 2 * MS + 3 * MS * chance_unit(&c->rng) : c->cost_ns;
    switch (w->s->spread) {
    case SPREAD_LOGNORMAL:
        return c->cost_ns * exp(0.7 * chance_normal(&c->rng) - 0.245);
    case SPREAD_UNIFORM:
        return c->cost_ns * (0.1 + 1.8 * chance_unit(&c->rng));
    case SPREAD_EXPONENTIAL:
        return chance_exponential(&c->rng, c->cost_ns);
    default:
        return c->cost_ns;
    }
}

/* The application takes all at once: a flood is bounded by a window of its own. */
static bool client_is_windowed(const struct world *w)
{
    return !scenario_is_lazy(w->s);
}

static void client_emit(struct world *w, uint32_t i, enum message_kind kind, double cost_ns, uint32_t peer,
                        uint64_t at_ns)
{
    struct conn *c = &w->conns[i];
    struct message m = {.sent_ns = at_ns, .cost_ns = cost_ns, .conn = i, .peer = peer, .kind = kind};
    if (c->honest && (kind == MESSAGE_CALL || kind == MESSAGE_NOTE))
        fifo_push(w, &c->open, m.open = message_new(w, &m));
    uint64_t large_ns = (uint64_t)(c->honest ? w->s->large_ns : 0);
    sim_schedule(w, at_ns + WIRE_NS + large_ns, EVENT_AT_GATE, i, message_new(w, &m));
}

static void client_emit_own(struct world *w, uint32_t i)
{
    client_emit(w, i, w->conns[i].sends, client_cost(w, &w->conns[i]), NOBODY, w->now_ns);
}

/* Half of the time at twice the rate, in phases of a second. */
static uint64_t client_next(struct world *w, const struct conn *c, double in_ns)
{
    uint64_t at_ns = w->now_ns + (uint64_t)in_ns;
    if (!w->s->on_off || !c->honest)
        return at_ns;
    uint64_t phase_ns = (at_ns + c->source * 377 * NS_PER_MS) % (2 * NS_PER_S);
    return phase_ns < NS_PER_S ? at_ns : at_ns + 2 * NS_PER_S - phase_ns;
}

static void client_again(struct world *w, uint32_t i, double mean_ns)
{
    struct conn *c = &w->conns[i];
    double ns = chance_exponential(&c->rng, w->s->on_off && c->honest ? mean_ns / 2 : mean_ns);
    sim_schedule(w, client_next(w, c, ns), EVENT_SEND, i, 0);
}

static void client_begin_greedy(struct world *w, uint32_t i)
{
    uint32_t all = w->s->flood_sources * w->s->flood_connections, window = 10000 / all > 20 ? 10000 / all : 20;
    struct conn *c = &w->conns[i];
    if (!client_is_windowed(w)) {
        client_refill(w, i);
        gate_offer(w, i);
        return;
    }
    if (c->sends == MESSAGE_NOTE) {
        client_emit_own(w, i);
        client_again(w, i, 50e3 * all);
        return;
    }
    window = all == 1 ? 2000 : window;
    for (uint32_t k = 0; k < window; k++)
        client_emit(w, i, c->sends, client_cost(w, c), NOBODY, w->now_ns + 5000 * k);
}

/* It has always two more at the gate. */
void client_refill(struct world *w, uint32_t i)
{
    struct conn *c = &w->conns[i];
    if (client_is_windowed(w))
        return;
    while (c->gate.count < 2) {
        struct message m = {
            .sent_ns = w->now_ns, .cost_ns = client_cost(w, c), .conn = i, .peer = NOBODY, .kind = c->sends};
        fifo_push(w, &c->gate, message_new(w, &m));
    }
    if (w->contender == PASS_ALL && c->under_way < WORLD_PIPE)
        sim_schedule(w, w->now_ns, EVENT_WOKEN, 1 + i, 0);
}

void client_send(struct world *w, uint32_t i)
{
    struct conn *c = &w->conns[i];
    switch (c->kind) {
    case CLIENT_POISSON:
    case CLIENT_PUBLISHER:
        client_emit_own(w, i);
        client_again(w, i, c->interval_ns);
        break;
    case CLIENT_NOTES:
        for (unsigned k = 0; k < 5; k++)
            client_emit(w, i, MESSAGE_NOTE, client_cost(w, c), NOBODY, w->now_ns);
        client_emit_own(w, i);
        client_again(w, i, c->interval_ns);
        break;
    case CLIENT_WORKER:
        client_emit(w, i, MESSAGE_READY, 0, NOBODY, w->now_ns);
        client_beat(w, i);
        break;
    case CLIENT_GREEDY:
        client_begin_greedy(w, i);
        break;
    case CLIENT_LEAVER:
        gate_leave(w, i);
        client_emit_own(w, i);
        sim_schedule(w, w->now_ns + 400 * NS_PER_US, EVENT_SEND, i, 0);
        break;
    default:
        client_emit_own(w, i);
        break;
    }
}

void client_beat(struct world *w, uint32_t i)
{
    if (w->now_ns > NS_PER_S)
        client_emit(w, i, MESSAGE_BEAT, 0, NOBODY, w->now_ns);
    sim_schedule(w, w->now_ns + NS_PER_S, EVENT_BEAT, i, 0);
}

void client_worked(struct world *w, uint32_t m)
{
    client_emit(w, w->messages[m].conn, MESSAGE_RESULT, 0, w->messages[m].peer, w->now_ns);
    message_free(w, m);
}

static void client_note_latency(double **list, size_t *count, size_t *room, double ns)
{
    if (*count == *room) {
        *room = *room ? 2 * *room : 4096;
        *list = sim_must(realloc(*list, *room * sizeof(**list)));
    }
    (*list)[(*count)++] = ns;
}

static void client_note(struct world *w, const struct conn *c, uint64_t sent_ns)
{
    double ns = (double)(w->now_ns - sent_ns);
    if (sent_ns < w->s->from_ns || sent_ns >= w->s->to_ns)
        return;
    if (c->newcomer)
        client_note_latency(&w->newcomers, &w->newcomer_count, &w->newcomer_room, ns);
    else
        client_note_latency(&w->latencies, &w->latency_count, &w->latency_room, ns);
}

void client_done(struct world *w, const struct message *m)
{
    struct conn *c = &w->conns[m->conn];
    uint64_t sent_ns = m->sent_ns;
    if (!c->honest)
        return;
    bool counts = sent_ns >= w->s->from_ns && w->now_ns < w->s->to_ns;
    c->done += counts;
    w->done += counts;
    w->done_old += counts && !c->newcomer;
    client_note(w, c, sent_ns);
    w->messages[m->open].is_done = true;
    while (c->open.count && w->messages[c->open.first].is_done)
        message_free(w, fifo_pop(w, &c->open));
}

void client_answered(struct world *w, uint32_t i)
{
    struct message m = w->messages[i];
    struct conn *c = &w->conns[m.conn];
    if (m.kind == MESSAGE_CALL)
        client_done(w, &m);
    if (c->kind == CLIENT_WORKER) {
        sim_schedule(w, w->now_ns + (uint64_t)m.cost_ns, EVENT_WORKED, i, 0);
        return;
    }
    message_free(w, i);
    if (c->kind == CLIENT_LOCKSTEP && c->honest)
        client_again(w, m.conn, c->think_ns);
    else if (c->kind == CLIENT_LOCKSTEP || (c->kind == CLIENT_GREEDY && client_is_windowed(w)))
        client_emit_own(w, m.conn);
    else if (c->kind == CLIENT_POLLER)
        sim_schedule(w, w->now_ns + 100 * NS_PER_US, EVENT_SEND, m.conn, 0);
}

void client_burst(struct world *w)
{
    for (uint32_t i = w->honest_count; i < w->conn_count; i++)
        client_emit_own(w, i);
    sim_schedule(w, w->now_ns + 2 * NS_PER_S, EVENT_BURST, 0, 0);
}

/* What is still not done counts as late. */
void client_leftover(struct world *w)
{
    for (uint32_t i = 0; i < w->honest_count; i++)
        while (w->conns[i].open.count) {
            uint32_t m = fifo_pop(w, &w->conns[i].open);
            if (!w->messages[m].is_done)
                client_note(w, &w->conns[i], w->messages[m].sent_ns);
            message_free(w, m);
        }
}

/* ---- who is there ---- */

static struct conn *client_add(struct world *w, uint32_t source, enum client_kind kind, bool honest)
{
    struct conn *c = &w->conns[w->conn_count];
    memset(c, 0, sizeof(*c));
    c->rng.state = w->s->seed * 1000003 + w->conn_count * 7919u + 13;
    c->source = source;
    c->kind = kind;
    c->honest = honest;
    c->cost_ns = w->s->app == APP_BROKER ? w->s->work_ns : w->s->service_ns;
    w->conn_count++;
    if (source >= w->source_count)
        w->source_count = source + 1;
    return c;
}

static double client_alone_ns(const struct scenario *s)
{
    switch (s->app) {
    case APP_BROKER:
        return s->work_ns;
    case APP_BATCH_WAIT:
        return s->batch_ns + 5 * MS;
    case APP_BATCH_GREEDY:
        return s->batch_ns + s->item_ns;
    default:
        return s->service_ns;
    }
}

static void client_build_servants(struct world *w)
{
    bool polls = w->s->app == APP_LONG_POLL;
    uint32_t count = polls ? 10 : w->s->app == APP_BROKER ? w->s->workers : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct conn *c = client_add(w, w->source_count, polls ? CLIENT_POLLER : CLIENT_WORKER, true);
        c->sends = polls ? MESSAGE_POLL : MESSAGE_READY;
        sim_schedule(w, 10000 + 1000 * i, EVENT_SEND, w->conn_count - 1, 0);
    }
}

static void client_build_honest(struct world *w)
{
    const struct scenario *s = w->s;
    double rate = s->load * scenario_capacity(s), cycle_ns = s->honest / rate;
    double think_ns = cycle_ns - client_alone_ns(s);
    uint32_t shared = w->source_count++;
    for (uint32_t k = 0; k < s->honest; k++) {
        bool inside = s->one_address && !(s->few_others && k >= 60);
        bool notes = s->app == APP_NOTES, publishes = s->app == APP_LONG_POLL && k % 3 == 0;
        bool mute = s->one_way || (s->app == APP_MUTE_HALF && k % 2);
        bool lockstep = !s->poisson && !mute && !notes && !publishes;
        struct conn *c =
            client_add(w, inside ? shared : w->source_count, lockstep ? CLIENT_LOCKSTEP : CLIENT_POISSON, true);
        c->kind = notes ? CLIENT_NOTES : publishes ? CLIENT_PUBLISHER : c->kind;
        c->sends = mute ? MESSAGE_NOTE : MESSAGE_CALL;
        c->think_ns = think_ns > 0 ? think_ns : 0;
        c->interval_ns = notes ? 6 * cycle_ns : publishes ? 10 * cycle_ns : cycle_ns;
        c->newcomer = k < s->newcomers;
        c->slow = s->slow_ns > 0 && k % 5 == 1 && !mute;
        uint64_t from_ns = c->newcomer ? s->from_ns : 200000;
        sim_schedule(w, from_ns + (uint64_t)(cycle_ns * chance_unit(&c->rng)), EVENT_SEND, w->conn_count - 1, 0);
    }
}

static enum client_kind client_flood_kind(const struct scenario *s)
{
    switch (s->flood) {
    case FLOOD_DEAR_1:
    case FLOOD_DEAR_N:
        return s->one_way ? CLIENT_GREEDY : CLIENT_LOCKSTEP;
    case FLOOD_LEAVE:
        return CLIENT_LEAVER;
    case FLOOD_BURSTS:
        return CLIENT_BURSTS;
    case FLOOD_FAIR:
        return CLIENT_POISSON;
    default:
        return CLIENT_GREEDY;
    }
}

static void client_build_flood(struct world *w)
{
    const struct scenario *s = w->s;
    enum client_kind kind = client_flood_kind(s);
    uint32_t first = w->source_count, shares = s->flood_sources + (s->one_address ? 1 : s->honest);
    for (uint32_t i = 0; i < s->flood_sources * s->flood_connections; i++) {
        struct conn *c = client_add(w, first + i / s->flood_connections, kind, false);
        c->sends = s->one_way || s->flood == FLOOD_MUTE ? MESSAGE_NOTE : MESSAGE_CALL;
        c->cost_ns = s->flood_cost_ns;
        c->interval_ns = shares * s->flood_cost_ns / (scenario_capacity(s) * s->mean_cost_ns);
        uint64_t at_ns = s->flood_at_ns + (uint64_t)(50 * MS * chance_unit(&c->rng));
        if (kind != CLIENT_BURSTS)
            sim_schedule(w, at_ns, EVENT_SEND, w->conn_count - 1, 0);
    }
    if (kind == CLIENT_BURSTS)
        sim_schedule(w, s->flood_at_ns + 500 * NS_PER_MS, EVENT_BURST, 0, 0);
}

void client_build(struct world *w)
{
    client_build_servants(w);
    client_build_honest(w);
    w->honest_count = w->conn_count;
    if (w->flood)
        client_build_flood(w);
}
