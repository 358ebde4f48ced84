/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/ban_enforce.h"

#include "base/log.h"
#include "loop/net.h"
#include "relay/event_log.h"
#include "relay/probation.h"
#include "relay/record.h"
#include "relay/shadow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Changes read in one call. */
#define CHANGES 32u

struct stuck {
    struct watch watch;
    struct alarm alarm; /* the end of the ban */
    struct worker_gate *wg;
    struct list in_worker;
    uint32_t swept; /* as in a session (sweep.h) */
    struct addr addr;
    bool banned; /* its source is banned; it is closed when that ends */
};

void ban_enforce_init(struct ban_enforce_worker *b, struct bans *table)
{
    *b = (struct ban_enforce_worker){.table = table};
    list_init(&b->tarpit);
}

/* ---- banning ---- */

void ban_enforce_tell_all(struct worker **workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        loop_signal(&workers[i]->loop, &workers[i]->signals.bans_changed);
}

static void note_ban(struct session *s, const struct ban *b, enum verdict v)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s);
    char who[NETWORK_TEXT_MAX];
    LOG_LIMITED(&g->notices.bans[b->reason], now_ns, LOG_LEVEL_WARN,
                "gate %s: %s is banned for %llu s (%s, ban %u); the last offence: %s (%s)", g->config->name,
                network_format(who, sizeof(who), &b->who), (unsigned long long)((b->until_ns - now_ns) / NS_PER_S),
                ban_reason_label((enum ban_reason)b->reason), b->level, verdict_info(v)->sentence,
                verdict_info(v)->label);
}

void ban_enforce_punish(struct session *s, enum verdict v)
{
    struct gate *g = s->wg->gate;
    struct worker *w = s->wg->worker;
    uint64_t random = hash_bytes(&g->traffic.key, &(uint64_t[]){w->loop.now_ns, s->client.id}, 2 * sizeof(uint64_t));
    struct ban b;
    if (!bans_punish_source(g->bans, &s->client.addr, &session_limits(s)->ban.terms, v, random, w->loop.now_ns, &b))
        return;
    note_ban(s, &b, v);
    event_log_ban(s->wg, &s->client.addr, &b, v);
    ban_enforce_tell_all(w->all, w->all_count);
}

static bool find_ban(const struct worker_gate *wg, const struct addr *addr, struct ban *ret)
{
    if (!wg->gate->bans || !bans_find(wg->gate->bans, addr, wg->worker->loop.now_ns, ret) ||
        networks_contain(&wg->policy->limits.ban.exempt, addr))
        return false;
    return limits_hold(shadow_limits_of(wg, addr), RULE_BAN) || !shadow_may_pardon(ret);
}

bool ban_enforce_is_banned(const struct worker_gate *wg, const struct addr *addr, uint64_t *ret_until_ns)
{
    struct ban b;
    if (!find_ban(wg, addr, &b))
        return false;
    *ret_until_ns = b.until_ns;
    return true;
}

void ban_enforce_before_close(const struct worker_gate *wg, int fd, const struct addr *addr)
{
    uint64_t until_ns;
    if (wg->gate->config->ban_kernel != BAN_KERNEL_OFF && ban_enforce_is_banned(wg, addr, &until_ns))
        net_close_with_reset(fd);
}

/* ---- the tarpit ---- */

static void let_go(struct stuck *t)
{
    struct worker_gate *wg = t->wg;
    ban_enforce_before_close(wg, t->watch.fd, &t->addr);
    close(t->watch.fd);
    timer_disarm(&t->alarm.timer);
    list_del(&t->in_worker);
    atomic_fetch_sub(&wg->gate->counts.tarpitted, 1);
    cell_sub(wg->cells, CELL_TARPITTED, 1);
    account_release(wg->worker->account, sizeof(*t));
    free(t);
}

static void stuck_on_alarm(struct alarm *a)
{
    let_go((struct stuck *)(void *)((char *)a - offsetof(struct stuck, alarm)));
}

static bool take_place(struct worker_gate *wg)
{
    struct gate *g = wg->gate;
    const struct limits *l = &wg->policy->limits;
    if (l->ban.action != BAN_ACTION_TARPIT)
        return false;
    if (atomic_fetch_add(&g->counts.tarpitted, 1) < l->ban.tarpit &&
        account_charge(wg->worker->account, sizeof(struct stuck)))
        return true;
    atomic_fetch_sub(&g->counts.tarpitted, 1);
    return false;
}

static void give_place_back(struct worker_gate *wg)
{
    atomic_fetch_sub(&wg->gate->counts.tarpitted, 1);
    account_release(wg->worker->account, sizeof(struct stuck));
}

/* NULL: there is no place. Its bytes are never read, so only the client's end matters (EPOLLRDHUP). */
static struct stuck *stuck_new(struct worker_gate *wg, int fd, const struct addr *addr)
{
    if (!take_place(wg))
        return NULL;
    struct stuck *t = calloc(1, sizeof(*t));
    if (!t) {
        give_place_back(wg);
        return NULL;
    }
    t->watch = (struct watch){.kind = WATCH_TARPIT, .fd = fd};
    t->wg = wg;
    t->addr = *addr;
    t->alarm.ring = stuck_on_alarm;
    timer_init(&t->alarm.timer);
    return t;
}

static void keep_until(struct stuck *t, uint64_t until_ns)
{
    struct worker *w = t->wg->worker;
    timer_arm(&w->loop.timers, &t->alarm.timer, until_ns);
    t->swept = w->sweep.round;
    list_push(&w->bans.tarpit, &t->in_worker);
    cell_add(t->wg->cells, CELL_TARPITTED, 1);
    net_shrink(t->watch.fd);
}

bool ban_enforce_receive(struct worker_gate *wg, int fd, const struct addr *addr, uint64_t until_ns)
{
    struct stuck *t = stuck_new(wg, fd, addr);
    if (t && loop_watch(&wg->worker->loop, &t->watch, EPOLLRDHUP) == 0) {
        t->banned = true;
        keep_until(t, until_ns);
        return true;
    }
    if (t) {
        give_place_back(wg);
        free(t);
    }
    ban_enforce_before_close(wg, fd, addr);
    close(fd);
    return false;
}

bool ban_enforce_keep(struct session *s, uint64_t for_ns)
{
    struct worker *w = s->wg->worker;
    if (s->front.watch.fd < 0 || s->front.hup || w->drain_from_ns)
        return false;
    struct stuck *t = stuck_new(s->wg, s->front.watch.fd, &s->client.addr);
    if (!t)
        return false;
    s->front.watch.fd = -1;
    loop_watch_again(&w->loop, &t->watch, EPOLLRDHUP);
    keep_until(t, w->loop.now_ns + for_ns);
    net_discard(t->watch.fd);
    return true;
}

void ban_enforce_on_event(struct watch *watch)
{
    let_go((struct stuck *)(void *)watch);
}

void ban_enforce_end_all(struct worker *w)
{
    while (!list_empty(&w->bans.tarpit))
        let_go(LIST_ENTRY(w->bans.tarpit.next, struct stuck, in_worker));
}

/* Not closed at once: an event of this round may still point to it. */
bool ban_enforce_look_at_tarpit(struct worker *w, unsigned most)
{
    uint64_t until_ns;
    for (unsigned n = 0; n < most; n++) {
        struct stuck *t = LIST_ENTRY(w->bans.tarpit.next, struct stuck, in_worker);
        if (list_empty(&w->bans.tarpit) || t->swept == w->sweep.round)
            return true;
        t->swept = w->sweep.round;
        list_del(&t->in_worker);
        list_push(&w->bans.tarpit, &t->in_worker);
        if (t->banned && !ban_enforce_is_banned(t->wg, &t->addr, &until_ns))
            timer_arm(&w->loop.timers, &t->alarm.timer, w->loop.now_ns);
    }
    return false;
}

/* ---- connections that are there ---- */

static void spare(struct session *s, const struct ban *b)
{
    struct worker *w = s->wg->worker;
    char who[NETWORK_TEXT_MAX];
    if (!bans_lift(s->wg->gate->bans, &b->who, w->loop.now_ns))
        return;
    LOG_LIMITED(&s->wg->gate->notices.spared, w->loop.now_ns, LOG_LEVEL_INFO,
                "gate %s: the ban of %s is lifted: a connection of it is in good order", s->wg->gate->config->name,
                network_format(who, sizeof(who), &b->who));
    /* Other workers know that from now on, too. */
    source_note_good(s->source, w->loop.now_ns);
    probation_begin(s, VERDICT_BANNED);
    ban_enforce_tell_all(w->all, w->all_count);
}

static bool is_for_offences(const struct ban *b)
{
    return b->reason == BAN_REASON_PROTOCOL || b->reason == BAN_REASON_EXCESS;
}

void ban_enforce_look_at(struct session *s)
{
    struct ban b;
    if (s->flags.of_balancer || !find_ban(s->wg, &s->client.addr, &b))
        return;
    if (session_is_open(s) && is_for_offences(&b) && session_limits(s)->ban.shared == BAN_SHARED_PROBATION)
        spare(s, &b);
    else
        session_end(s, VERDICT_BANNED);
}

static void look_at_peer(struct source_conns *p)
{
    LIST_FOREACH(n, &p->sessions)
    ban_enforce_look_at(LIST_ENTRY(n, struct session, in.conns));
}

/* Returns whether the source has connections here. */
static bool find_peer(struct worker_gate *wg, struct source_key k, struct source_conns **ret)
{
    struct source *source = source_find(wg->gate->sources, k);
    *ret = source ? source_conns_find(wg, source) : NULL;
    if (source)
        source_release(source); /* source_conns has references of its own */
    return *ret != NULL;
}

static bool is_one_source(const struct network *n)
{
    return n->bits == (n->kind == ADDR_V6 ? 64 : 32);
}

/* The connections of a source are together in one source_conns. When the source table was full they are with others, at
 * an entry of its network or of everybody: then all connections have to be looked at. */
static bool look_at_source(struct worker_gate *wg, struct source_key k)
{
    struct source_conns *p;
    if (find_peer(wg, k, &p))
        look_at_peer(p);
    struct source_key network = source_key_coarser(k), all = source_key_coarser(network);
    return find_peer(wg, network, &p) || find_peer(wg, all, &p);
}

/* Returns whether `c` concerns more than one source, so that all connections have to be looked at. */
static bool apply(struct worker *w, const struct ban_change *c)
{
    struct addr a = {.kind = (enum addr_kind)c->ban.who.kind};
    bool everybody = false;
    if (c->event == BAN_LIFTED || !is_one_source(&c->ban.who))
        return true;
    memcpy(a.bytes, c->ban.who.bytes, sizeof(a.bytes));
    for (size_t i = 0; i < w->gate_count; i++)
        everybody |= look_at_source(&w->gates[i], source_key_of(&a));
    return everybody;
}

bool ban_enforce_follow(struct worker *w)
{
    struct ban_change changes[CHANGES];
    bool everybody = false, lost = false;
    uint64_t latest = bans_seq(w->bans.table);
    for (size_t n = CHANGES; n == CHANGES && !lost;) {
        n = bans_changes(w->bans.table, w->bans.seen, changes, CHANGES, &lost);
        for (size_t i = 0; i < n; i++)
            everybody |= apply(w, &changes[i]);
        if (n)
            w->bans.seen = changes[n - 1].seq;
    }
    if (lost)
        w->bans.seen = latest;
    return lost || everybody;
}
