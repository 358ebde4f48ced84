/* SPDX-License-Identifier: MPL-2.0 */
#include "config/checks.h"

#include "config/checks_classes.h"
#include "config/checks_effect.h"
#include "config/value.h"
#include "config/value_words.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

/* `low` never exceeds `high`. A low that is not given follows a smaller high, as far as its own range goes. */
struct order {
    const char *low, *high;
    bool high_zero_is_unlimited;
};

/* Ordered so that a value that follows is settled before others follow it. */
static const struct order orders[] = {
    {"message.frame", "message.size", false},
    {"message.hold", "message.size", false},
    {"connections.half_open", "connections.max", false},
    {"source.connections.max", "connections.max", false},
    {"source.connections.half_open", "connections.half_open", false},
    {"source.connections.half_open", "source.connections.max", true},
    {"subscriptions.topic", "subscriptions.source_bytes", false},
    {"breaker.for", "breaker.max", false},
    {"ban.for", "ban.max", false},
    {"concurrency.shed.target", "concurrency.shed.interval", false},
};

static const struct schema_key *gate_key(const char *path)
{
    const struct schema_key *k = schema_find(&schema_gate, path);
    assert(k); /* the names are constants of this file */
    return k;
}

static const struct given *checks_given_of(const struct section_given *given, const struct schema_key *k)
{
    return &given->keys[k - schema_gate.keys];
}

/* Lowers a default to `limit`, but not below what the row allows. */
static void follow(const struct schema_key *k, struct config_gate *g, uint64_t limit)
{
    struct config_gate least = *g;
    char why[VALUE_WHY_MAX];
    if (value_set(k, k->min, &least, why))
        return;
    uint64_t min = schema_get(k, &least);
    schema_put(k, g, limit < min ? min : limit);
}

static void check_order(const struct order *o, struct config_gate *g, const struct section_given *given,
                        struct report *r)
{
    const struct schema_key *low = gate_key(o->low), *high = gate_key(o->high);
    const struct given *low_given = checks_given_of(given, low);
    uint64_t limit = schema_get(high, g);
    if (low_given->wrong || checks_given_of(given, high)->wrong || (o->high_zero_is_unlimited && limit == 0))
        return;
    if (schema_get(low, g) <= limit)
        return;
    if (!low_given->at.line) {
        follow(low, g, limit);
        return;
    }
    char seen[VALUE_TEXT_MAX], allowed[VALUE_TEXT_MAX];
    report_mistake(r, low_given->at, "%s is larger than %s: %s, allowed up to %s%s", o->low, o->high,
                   value_words_format(seen, low, g), value_words_format(allowed, high, g),
                   checks_given_of(given, high)->at.line ? "" : " (the default)");
}

/* What the rate allows in one second, at least one. */
static uint64_t one_second_of(const struct rate *rate)
{
    if (rate_is_unlimited(rate))
        return 0;
    uint64_t worth = (uint64_t)((unsigned __int128)rate->count * NS_PER_S / rate->period_ns);
    return worth ? worth : 1;
}

static void settle_burst(const char *path, struct rate *rate, const struct section_given *given)
{
    const struct given *burst = checks_given_of(given, gate_key(path));
    if (!burst->at.line)
        rate->burst = one_second_of(rate);
}

static void check_required(const struct section_given *given, const char *path, struct report *r)
{
    char range[VALUE_TEXT_MAX];
    const struct schema_key *k = gate_key(path);
    if (!checks_given_of(given, k)->at.line)
        report_mistake(r, given->at, "%s is missing: every gate needs one, allowed %s", path,
                       value_words_range(range, k));
}

/* A rule without an `enforce` of its own is enforced as the gate says. */
static void settle_enforcement(struct config_gate *g, const struct section_given *given)
{
    char path[SCHEMA_PATH_MAX];
    for (unsigned rule = 0; rule < RULE_COUNT; rule++) {
        snprintf(path, sizeof(path), "%s.enforce", rule_section((enum rule)rule));
        if (!checks_given_of(given, gate_key(path))->at.line)
            g->limits.enforce[rule] = g->enforce;
    }
}

static void add_networks(struct networks *to, const struct config_networks *from)
{
    for (size_t i = 0; i < from->count && to->count < NETWORKS_MAX; i++)
        to->at[to->count++] = from->at[i].network;
}

static void settle_exempt(struct config_gate *g)
{
    add_networks(&g->limits.ban.exempt, &g->ban_exempt);
}

/* A balancer's packets carry all of its clients. The kernel cannot tell them apart, and lets them through. */
static void settle_balancers(struct config_gate *g)
{
    add_networks(&g->balancers, &g->proxy_protocol_from);
    add_networks(&g->kernel_spares, &g->ban_exempt);
    add_networks(&g->kernel_spares, &g->proxy_protocol_from);
}

static void check_balancers(const struct config_gate *g, struct report *r)
{
    for (size_t i = 0; i < g->proxy_protocol_from.count; i++) {
        const struct config_network *n = &g->proxy_protocol_from.at[i];
        if (n->network.kind != ADDR_UID && n->network.bits == 0)
            report_warning(r, (struct place){n->line, n->column},
                           "proxy_protocol.from is the whole world: whoever reaches this gate can say that he is "
                           "anybody; allowed, but better the addresses of your load balancers");
    }
}

static bool is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Clients of the other IP version have no address from which the application could be reached. */
static void warn_of_other_version(const struct config_gate *g, struct place at, struct report *r)
{
    bool both = g->listen.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&g->listen.v6.sin6_addr);
    bool v4 = endpoint_ip_version(&g->forward) == ADDR_V4;
    if (g->listen.kind != ENDPOINT_TCP || is_loopback(&g->listen.sa) ||
        (!both && endpoint_ip_version(&g->listen) == endpoint_ip_version(&g->forward)))
        return;
    report_warning(r, at,
                   "upstream.source: client closes clients on %s, which %s takes, because the application is on %s: "
                   "listen on an %s address, such as %s",
                   v4 ? "IPv6" : "IPv4", g->listen_text, v4 ? "IPv4" : "IPv6", v4 ? "IPv4" : "IPv6",
                   v4 ? "tcp://0.0.0.0:5555" : "tcp://[2001:db8::1]:5555");
}

static void check_upstream(const struct config_gate *g, const struct section_given *given, struct report *r)
{
    const struct given *at = checks_given_of(given, gate_key("upstream.source"));
    if (g->upstream_source == UPSTREAM_SOURCE_CLIENT && !at->wrong && g->forward_text[0] &&
        g->forward.kind != ENDPOINT_TCP)
        report_mistake(r, at->at, "upstream.source: client needs an application on tcp, where there are addresses: %s",
                       g->forward_text);
    else if (g->upstream_source == UPSTREAM_SOURCE_CLIENT && !at->wrong && g->forward_text[0] && g->listen_text[0])
        warn_of_other_version(g, at->at, r);
}

static void check_kernel(const struct config_gate *g, const struct section_given *given, struct report *r)
{
    const struct given *at = checks_given_of(given, gate_key("ban.kernel"));
    if (g->ban_kernel != BAN_KERNEL_OFF && at->at.line && !at->wrong && g->listen_text[0] &&
        g->listen.kind != ENDPOINT_TCP)
        report_mistake(r, at->at, "ban.kernel needs a gate that listens on tcp: %s", g->listen_text);
    const struct given *interface = checks_given_of(given, gate_key("ban.interface"));
    if (g->ban_kernel == BAN_KERNEL_XDP && at->at.line && !at->wrong && !interface->at.line)
        report_mistake(r, at->at, "ban.kernel: xdp needs ban.interface, the network interface that clients come over");
    if (g->ban_kernel != BAN_KERNEL_XDP && interface->at.line && !interface->wrong && !at->wrong)
        report_warning(r, interface->at, "ban.interface has no effect unless ban.kernel is xdp");
}

void checks_gate(struct config_gate *g, const struct section_given *given, struct report *r)
{
    struct limits *l = &g->limits;
    check_required(given, "listen", r);
    check_required(given, "forward", r);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        check_order(&orders[i], g, given, r);

    settle_burst("source.messages.burst", &l->source.messages.rate, given);
    settle_burst("source.bytes.burst", &l->source.bytes.rate, given);

    checks_effect(g, given, r);
    check_kernel(g, given, r);
    check_upstream(g, given, r);
    settle_enforcement(g, given);
    settle_exempt(g);
    settle_balancers(g);
    check_balancers(g, r);
    checks_classes(g, r);
}

void checks_item(const struct schema *s, void *item, const struct section_given *given, struct report *r)
{
    assert(s == &schema_class); /* the only such list yet */
    checks_class(item, given, r);
}

/* ---- between gates ---- */

static bool is_wildcard(const struct endpoint *e)
{
    if (e->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&e->v6.sin6_addr);
    return e->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool same_host(const struct endpoint *a, const struct endpoint *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET6)
        return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) && a->v6.sin6_scope_id == b->v6.sin6_scope_id;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

static bool same_path(const struct endpoint *a, const struct endpoint *b)
{
    return a->len == b->len && !memcmp(&a->un, &b->un, a->len);
}

/* Whether a listener on every address takes what comes to the other one. An IPv6 one takes IPv4, too. */
static bool covers(const struct endpoint *wildcard, const struct endpoint *other)
{
    return is_wildcard(wildcard) && (wildcard->sa.sa_family == AF_INET6 || other->sa.sa_family == AF_INET);
}

/* Whether two listeners cannot both be bound. A wildcard port is another one each time. */
static bool listeners_collide(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ENDPOINT_IPC)
        return same_path(a, b);
    return endpoint_port(a) && endpoint_port(a) == endpoint_port(b) &&
           (same_host(a, b) || covers(a, b) || covers(b, a));
}

/* Whether a connection to `to` arrives at the listener `at`, as far as that can be told without asking the kernel for
 * its addresses. */
static bool arrives_at(const struct endpoint *to, const struct endpoint *at)
{
    if (to->kind != at->kind)
        return false;
    if (to->kind == ENDPOINT_IPC)
        return same_path(to, at);
    return endpoint_port(to) == endpoint_port(at) && (same_host(to, at) || (is_wildcard(at) && is_loopback(&to->sa)));
}

static const struct given *gate_given(const struct section_given *given, const char *path)
{
    return checks_given_of(given, gate_key(path));
}

static bool has(const struct section_given *given, const char *path)
{
    const struct given *g = gate_given(given, path);
    return g->at.line && !g->wrong;
}

static void checks_gate_names(struct config *c, const struct section_given *gates, struct report *r)
{
    for (size_t i = 0; i < c->gate_count; i++) {
        struct config_gate *g = &c->gates[i];
        const struct given *name = gate_given(&gates[i], "name");
        if (!name->at.line && c->gate_count == 1)
            memcpy(g->name, "main", sizeof("main"));
        else if (!name->at.line)
            report_mistake(r, gates[i].at,
                           "name is missing: each of %zu gates needs one, allowed 1 to %d of A-Z a-z 0-9 _ -",
                           c->gate_count, CONFIG_NAME_MAX);
        for (size_t j = 0; j < i && name->at.line && !name->wrong; j++)
            if (!strcmp(g->name, c->gates[j].name))
                report_mistake(r, name->at, "name is not unique: \"%s\", also the gate at line %u", g->name,
                               gates[j].at.line);
    }
}

static void check_listeners(const struct config *c, const struct section_given *gates, struct report *r)
{
    for (size_t i = 0; i < c->gate_count; i++)
        for (size_t j = 0; j < i; j++)
            if (has(&gates[i], "listen") && has(&gates[j], "listen") &&
                listeners_collide(&c->gates[i].listen, &c->gates[j].listen))
                report_mistake(
                    r, gate_given(&gates[i], "listen")->at,
                    "listen is taken: %s, by %s of the gate at line %u; each gate needs an address of its own",
                    c->gates[i].listen_text, c->gates[j].listen_text, gates[j].at.line);
}

static bool same_place(const char *path, const struct endpoint *at)
{
    return at->kind == ENDPOINT_IPC && !strcmp(at->un.sun_path, path);
}

/* Each socket has a counter of its own, at a path of its own. */
static void check_counter(const struct config *c, size_t i, const struct section_given *gates, struct report *r)
{
    const struct config_gate *g = &c->gates[i];
    struct place at = gate_given(&gates[i], "counter")->at;
    if (strlen(g->counter) >= sizeof(g->listen.un.sun_path))
        report_mistake(r, at, "counter is too long for a Unix socket: %zu bytes, allowed up to %zu", strlen(g->counter),
                       sizeof(g->listen.un.sun_path) - 1);
    if (g->socket == SOCKET_PUB || g->socket == SOCKET_PUSH)
        report_warning(r, at, "counter has no effect: a %s socket takes no messages", socket_type_name(g->socket));
    for (size_t j = 0; j < c->gate_count; j++) {
        const struct config_gate *other = &c->gates[j];
        if (j < i && has(&gates[j], "counter") && !strcmp(g->counter, other->counter))
            report_mistake(r, at, "counter is taken: %s, also the gate at line %u; each gate needs a path of its own",
                           g->counter, gates[j].at.line);
        if ((has(&gates[j], "listen") && same_place(g->counter, &other->listen)) ||
            (has(&gates[j], "forward") && same_place(g->counter, &other->forward)))
            report_mistake(r, at, "counter is taken: %s is where the gate at line %u listens or forwards to",
                           g->counter, gates[j].at.line);
    }
}

static void check_counters(const struct config *c, const struct section_given *gates, struct report *r)
{
    for (size_t i = 0; i < c->gate_count; i++)
        if (has(&gates[i], "counter"))
            check_counter(c, i, gates, r);
}

/* The gate whose listener gate `from` forwards to, or the count when it is none. */
static size_t next_gate(const struct config *c, const struct section_given *gates, size_t from)
{
    if (!has(&gates[from], "forward"))
        return c->gate_count;
    for (size_t i = 0; i < c->gate_count; i++)
        if (has(&gates[i], "listen") && arrives_at(&c->gates[from].forward, &c->gates[i].listen))
            return i;
    return c->gate_count;
}

/* A connection that comes back to its gate would call for another one, without end. */
static void check_circles(const struct config *c, const struct section_given *gates, struct report *r)
{
    for (size_t i = 0; i < c->gate_count; i++) {
        size_t at = next_gate(c, gates, i);
        struct place where = gate_given(&gates[i], "forward")->at;
        for (size_t steps = 1; at < c->gate_count && at != i && steps < c->gate_count; steps++)
            at = next_gate(c, gates, at);
        if (at == i && next_gate(c, gates, i) == i)
            report_mistake(r, where, "forward leads back to listen: %s, allowed the address of the application",
                           c->gates[i].forward_text);
        else if (at == i)
            report_mistake(r, where,
                           "forward leads back to this gate through others: %s, allowed the address of the application",
                           c->gates[i].forward_text);
    }
}

static void check_admin_listener(const struct config *c, struct place at, const struct section_given *gates,
                                 struct report *r)
{
    struct endpoint admin = {.kind = ENDPOINT_TCP, .len = c->admin.addr_len};
    memcpy(&admin.v6, &c->admin.addr, sizeof(admin.v6));
    for (size_t i = 0; i < c->gate_count; i++)
        if (has(&gates[i], "listen") && listeners_collide(&admin, &c->gates[i].listen))
            report_mistake(r, at, "admin.listen is taken: %s, by %s of the gate at line %u", c->admin.text,
                           c->gates[i].listen_text, gates[i].at.line);
}

void checks_admin(const struct config *c, struct place at, struct report *r)
{
    if (!is_loopback((const struct sockaddr *)&c->admin.addr))
        report_warning(r, at, "admin.listen can be reached from other machines, and asks nobody for a password: %s",
                       c->admin.text);
}

/* Weir deletes the table at each start: a slip of the pen must not make it one of the operator's. */
static void check_table(const struct config *c, const struct section_given *top, struct report *r)
{
    const struct given *at = &top->keys[schema_find(&schema_top, "kernel.table") - schema_top.keys];
    if (!at->wrong && strncmp(c->kernel_table, "weir", 4) != 0)
        report_mistake(r, at->at, "kernel.table must begin with weir: \"%s\", allowed weir, weir_2, ...",
                       c->kernel_table);
}

void checks_between(struct config *c, const struct section_given *top, const struct section_given *gates,
                    struct report *r)
{
    checks_gate_names(c, gates, r);
    check_listeners(c, gates, r);
    check_counters(c, gates, r);
    check_circles(c, gates, r);
    check_table(c, top, r);
    if (!c->admin.enabled)
        return;
    struct place at = top->keys[schema_find(&schema_top, "admin.listen") - schema_top.keys].at;
    check_admin_listener(c, at, gates, r);
    checks_admin(c, at, r);
}
