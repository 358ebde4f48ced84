/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/fake_relay.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void init_gate(struct gate_snapshot *g, size_t i)
{
    static char names[FAKE_GATES_MAX][CONFIG_NAME_MAX + 1];

    snprintf(names[i], sizeof(names[i]), "gate%zu", i);
    *g = (struct gate_snapshot){.name = names[i], .upstream_up = true, .upstream_minor = 1, .socket = "router"};
    snprintf(g->listen, sizeof(g->listen), "tcp://127.0.0.1:%zu", 5000 + i);
    snprintf(g->forward, sizeof(g->forward), "ipc:///run/%zu", i);
    snprintf(g->mechanism, sizeof(g->mechanism), "NULL");
    g->max_connections = (uint32_t)(100000 + i);
    g->breaker = (enum breaker_state)(i % 3);
    g->breaker_opened = 7000 + i;
    g->class_count = i % 3;
    for (size_t n = 0; n < g->class_count; n++)
        g->classes[n] = (struct class_snapshot){.name = n ? "partners" : "default", .cells = {500 + n, 600 + n}};
    for (unsigned c = 0; c < CELL_COUNT; c++)
        g->cells[c] = 1000000 * (i + 1) + c;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        g->shadow_verdicts[v] = 3000000000 + 1000 * i + v;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        g->verdicts[v] = 2000000000 + 1000 * i + v;
}

void fake_relay_init(struct relay *r, size_t gates)
{
    memset(r, 0, sizeof(*r));
    r->gate_count = gates;
    for (size_t i = 0; i < gates; i++)
        init_gate(&r->gates[i], i);
    r->snapshot = (struct relay_snapshot){
        .workers = 11,
        .held_bytes = 12,
        .held_peak_bytes = 13,
        .memory_limit_bytes = 14,
        .memory_pressure = PRESSURE_SHARES,
        .fd_limit = 15,
        .gates_open = 42,
        .gates_opened = 43,
        .gates_refused = 44,
        .reloads = 22,
        .refused_reloads = 23,
        .generation = 24,
        .loaded_ns = 25 * NS_PER_S,
        .sources = {.capacity = 16, .used = 17, .created = 18, .evicted = 19, .fallbacks = 20, .memory_bytes = 21},
        .bans = {.entries = 22, .banned = 23, .set = {24, 25, 26, 35}, .lifted = 27, .replaced = 28, .refused = 41},
        .events = {.written = 36, .suppressed = 37, .lost = 38, .failed = 39},
        .kernel = {.in_force = 1, .entries = 29, .packets = 30, .bytes = 31, .replacements = 32, .failures = 33},
    };
}

void fake_relay_begin_bans(struct relay *r)
{
    const struct hash_key key = {{1}};
    r->bans = bans_new(0, &key);
    if (!r->bans)
        abort();
}

struct bans *relay_bans(struct relay *r)
{
    return r->bans;
}

struct kernel_bans *relay_kernel_bans(struct relay *r)
{
    return &r->kernel;
}

bool relay_ban(struct relay *r, const struct network *who, uint64_t duration_ns)
{
    return bans_set(r->bans, who, duration_ns, BAN_REASON_OPERATOR, clock_now_ns());
}

bool relay_unban(struct relay *r, const struct network *who)
{
    return bans_lift(r->bans, who, clock_now_ns());
}

bool relay_ban_objection(struct relay *r, const struct network *who, char *why, size_t size)
{
    snprintf(why, size, "%s", r->objection ? r->objection : "");
    return r->objection != NULL;
}

int relay_query(struct relay *r, const struct query_ask *ask, uint64_t patience_ns, struct query_answer *ret)
{
    size_t bytes = ask->kind == QUERY_CONNECTIONS ? sizeof(struct connection_row) : sizeof(struct source_row);
    r->asked = *ask;
    if (r->out_of_memory)
        return -ENOMEM;
    *ret = r->found;
    ret->rows.any = calloc(r->found.count + 1, bytes);
    if (!ret->rows.any)
        return -ENOMEM;
    if (r->found.count)
        memcpy(ret->rows.any, r->found.rows.any, r->found.count * bytes);
    return 0;
}

const char *relay_gate_name(const struct relay *r, size_t gate)
{
    return r->gates[gate].name;
}

size_t relay_gate_count(const struct relay *r)
{
    return r->gate_count;
}

size_t relay_gate_room(const struct relay *r)
{
    return r->gate_count;
}

void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret)
{
    *ret = r->gates[gate];
}

size_t relay_gate_settings(const struct relay *r, size_t gate, struct gate_setting ret[GATE_SETTINGS_MOST])
{
    ret[0] = (struct gate_setting){
        .key = "message.frame", .option = "ZMQ_MAXMSGSIZE", .from = SETTING_FROM_OPTION, .value = "64KiB"};
    ret[1] = (struct gate_setting){.option = "ZMQ_RCVHWM", .from = SETTING_FROM_OPTION, .value = "1000"};
    return 2;
}

void relay_snapshot(const struct relay *r, struct relay_snapshot *ret)
{
    *ret = r->snapshot;
}
