/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/source_conns.h"

#include "relay/record.h"

#include <stdlib.h>

static size_t slot_of(const struct worker *w, const struct source *source)
{
    /* Entries lie 64 bytes apart at places chosen by a keyed hash: the address mixes well enough. */
    uint64_t h = (uint64_t)(uintptr_t)source / 64 * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 20) & w->source_conns.mask;
}

static struct source_conns *source_conns_new(struct worker_gate *wg, struct source *source)
{
    struct worker *w = wg->worker;
    if (!account_charge(w->account, sizeof(struct source_conns)))
        return NULL;
    struct source_conns *p = calloc(1, sizeof(*p));
    if (!p) {
        account_release(w->account, sizeof(*p));
        return NULL;
    }
    p->wg = wg;
    p->source = source;
    list_init(&p->sessions);
    list_init(&p->line);
    list_init(&p->half_open);
    list_init(&p->linger_waiting);
    list_init(&p->in_holding);
    list_push(&wg->conns, &p->in_gate);
    p->chain = w->source_conns.at[slot_of(w, source)];
    w->source_conns.at[slot_of(w, source)] = p;
    return p;
}

struct source_conns *source_conns_find(struct worker_gate *wg, const struct source *source)
{
    struct worker *w = wg->worker;
    for (struct source_conns *p = w->source_conns.at[slot_of(w, source)]; p; p = p->chain)
        if (p->source == source)
            return p;
    return NULL;
}

struct source_conns *source_conns_get(struct worker_gate *wg, struct source *source)
{
    struct source_conns *p = source_conns_find(wg, source);
    return p ? p : source_conns_new(wg, source);
}

static void source_conns_free(struct source_conns *p)
{
    struct worker *w = p->wg->worker;
    struct source_conns **at = &w->source_conns.at[slot_of(w, p->source)];
    while (*at != p)
        at = &(*at)->chain;
    *at = p->chain;
    list_del(&p->in_gate);
    account_release(w->account, sizeof(*p));
    free(p);
}

void source_conns_discard_if_empty(struct source_conns *p)
{
    if (p && p->count == 0 && p->linger_told == 0 && p->holds == 0 && list_empty(&p->linger_waiting))
        source_conns_free(p);
}

void source_conns_add(struct source_conns *p, struct session *s)
{
    s->conns = p;
    p->count++;
    list_push(&p->sessions, &s->in.conns);
}

void source_conns_remove(struct source_conns *p, struct session *s)
{
    list_del(&s->in.conns);
    p->count--;
    s->conns = NULL;
    source_conns_discard_if_empty(p);
}

static bool holds_topics(const struct source_conns *p)
{
    if (!list_empty(&p->linger_waiting))
        return true;
    LIST_FOREACH(n, &p->sessions)
    if (LIST_ENTRY(n, struct session, in.conns)->topics.count)
        return true;
    return false;
}

struct source_conns *source_conns_with_most_topics(struct worker_gate *wg, uint64_t more_than)
{
    struct source_conns *most = NULL;
    uint64_t most_bytes = more_than;
    LIST_FOREACH(n, &wg->conns)
    {
        struct source_conns *p = LIST_ENTRY(n, struct source_conns, in_gate);
        uint32_t bytes = atomic_load_explicit(&p->source->topic_bytes, memory_order_relaxed);
        if (bytes > most_bytes && holds_topics(p)) {
            most = p;
            most_bytes = bytes;
        }
    }
    return most;
}
