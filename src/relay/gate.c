/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/gate.h"

#include "base/clock.h"
#include "relay/client_book.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Would-be bans that a gate remembers. When they are too many, some sources are counted again early. */
#define SHADOW_BANS 4096u

int gate_init(struct gate *g, const struct config_gate *config, const struct config *whole, unsigned workers,
              struct account *account, struct bans *bans)
{
    memset(g, 0, sizeof(*g));
    g->config = config;
    g->origin.name = config->name;
    g->bans = bans;
    g->listen.endpoint = config->listen;
    g->forward = config->forward;
    g->traffic.account = account;
    hash_key_random(&g->traffic.key);
    stream_budget_init(&g->traffic.unfinished);
    topic_tree_init(&g->traffic.topics, account);
    refcount_init(&g->routing_ids, account);
    app_facts_init(&g->app, config->socket, &g->limiter);
    atomic_store(&g->counts.max, config->limits.connections.max);
    atomic_store(&g->counts.room, UINT32_MAX);
    reach_init(&g->reach);
    enforce_key(&g->lot_key, whole->enforce_key);
    g->shadow_bans = bans_new(SHADOW_BANS, &g->traffic.key);
    g->sources = source_table_new(whole->sources, &g->traffic.key);
    g->cells = aligned_alloc(64, workers * sizeof(*g->cells));
    if (config->class_table)
        g->class_cells = aligned_alloc(64, workers * sizeof(*g->class_cells));
    /* A key of its own, since it is kept over a restart: nobody can use it to aim at the other tables. */
    struct hash_key claims_key;
    hash_key_random(&claims_key);
    g->visits.began_ns = clock_now_ns();
    int error = gate_limiter_init(&g->limiter, &claims_key, g->visits.began_ns);
    atomic_store(&g->limiter.off, config->limits.concurrency.limit == CONCURRENCY_LIMIT_OFF);
    g->limiter.most = config->limits.concurrency.max;
    reqlimit_bound(&g->limiter.limit, g->limiter.most);
    if (error || !g->sources || !g->shadow_bans || !g->cells || (config->class_table && !g->class_cells))
        return -ENOMEM;
    memset(g->cells, 0, workers * sizeof(*g->cells));
    if (g->class_cells)
        memset(g->class_cells, 0, workers * sizeof(*g->class_cells));
    return 0;
}

void gate_fini(struct gate *g)
{
    stream_budget_fini(&g->traffic.unfinished);
    topic_tree_fini(&g->traffic.topics);
    refcount_fini(&g->routing_ids);
    gate_limiter_fini(&g->limiter);
    source_table_free(g->sources);
    bans_free(g->shadow_bans);
    free(g->cells);
    free(g->class_cells);
}

bool gate_bound_connections(struct gate *g, const struct limits *l)
{
    uint32_t room = atomic_load(&g->counts.room), max = room < l->connections.max ? room : l->connections.max;
    return atomic_exchange(&g->counts.max, max) != max && max < l->connections.max;
}

static bool same_rules(const struct strike_rules *a, const struct strike_rules *b)
{
    return a->strikes == b->strikes && a->within_ns == b->within_ns;
}

void gate_forgive(struct gate *g, const struct limits *was, const struct limits *l, uint64_t now_ns)
{
    const struct rate rates[SOURCE_LIMITERS] = {
        [SOURCE_MESSAGES] = l->source.messages.rate,    [SOURCE_BYTES] = l->source.bytes.rate,
        [SOURCE_COMMANDS] = l->source.commands.rate,    [SOURCE_CONNECTIONS] = l->source.connection_rate,
        [SOURCE_SUBSCRIPTIONS] = l->subscriptions.rate,
    };
    source_table_forgive(g->sources, rates, now_ns);
    gcra_forgive(&g->traffic.topic_rate, &l->subscriptions.total_rate, now_ns);
    gcra_forgive(&g->traffic.user_bytes, &l->subscriptions.messages_total, now_ns);
    gcra_forgive(&g->removals, &l->subscriptions.removal_rate, now_ns);
    /* Strikes that were only counted must not lead to a ban. */
    if (!same_rules(&was->ban.strikes, &l->ban.strikes) || was->enforce[RULE_BAN] != l->enforce[RULE_BAN])
        source_table_pardon(g->sources);
}

void gate_forget_connection(struct gate *g, int fd)
{
    if (g->origin.book)
        client_book_forget(g->origin.book, &g->forward, fd);
}

void gate_count_verdict(struct gate *g, unsigned worker, enum verdict v, unsigned n)
{
    add_alone(&g->cells[worker].verdict[v], n);
}
