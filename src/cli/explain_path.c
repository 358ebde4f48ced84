/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/explain_path.h"

#include "base/units.h"
#include "cli/simulation.h"
#include "config/schema.h"
#include "config/value.h"
#include "relay/told.h"
#include "zmtp/metadata.h"

#include <stdarg.h>
#include <string.h>

/* ---- steps ---- */

const char *explain_path_outcome_word(enum explain_path_outcome o)
{
    static const char *const words[] = {
        [EXPLAIN_PATH_SAYS] = "",       [EXPLAIN_PATH_PASSES] = "passes",   [EXPLAIN_PATH_SHADOW] = "in shadow",
        [EXPLAIN_PATH_WAITS] = "waits", [EXPLAIN_PATH_DROPPED] = "dropped", [EXPLAIN_PATH_CLOSED] = "closed",
    };
    return words[o];
}

static void PRINTF(5, 6) explain_path_add_step(struct explain_path *j, const char *path, enum explain_path_outcome o,
                                               enum verdict v, const char *fmt, ...)
{
    if (j->count == EXPLAIN_PATH_STEPS_MAX)
        return;
    struct explain_path_step *s = &j->steps[j->count++];
    va_list ap;
    *s = (struct explain_path_step){.key = path ? schema_find(&schema_gate, path) : NULL, .outcome = o, .verdict = v};
    va_start(ap, fmt);
    vsnprintf(s->said, sizeof(s->said), fmt, ap);
    va_end(ap);
    if (o >= EXPLAIN_PATH_WAITS && !j->decides)
        j->decides = s;
}

/* What the last step is about comes from an option of the socket. */
static void explain_path_note_option(struct explain_path *j, enum socket_option o, const char *value)
{
    struct explain_path_step *s = &j->steps[j->count - 1];
    s->option = socket_option_name(o);
    snprintf(s->value, sizeof(s->value), "%s", value);
}

static int64_t told_value(const struct explain_path_question *q, enum socket_option o)
{
    int64_t value = 0;
    (void)socket_options_get(&q->told, o, &value);
    return value;
}

/* The application's own limit, if it is stricter than the gate's; 0: it is not. */
static uint64_t told_frame(const struct explain_path *j, const struct explain_path_question *q)
{
    int64_t most = told_value(q, SOCKET_OPTION_MAXMSGSIZE);
    return most > 0 && (uint64_t)most < j->force.message.frame_bytes ? (uint64_t)most : 0;
}

/* After a step that closes the connection, no further step is taken. */
static bool explain_path_is_over(const struct explain_path *j)
{
    return j->decides && j->decides->outcome == EXPLAIN_PATH_CLOSED;
}

static enum explain_path_outcome outcome_of(enum simulation_fate f)
{
    static const enum explain_path_outcome outcomes[] = {
        [SIMULATION_PASSES] = EXPLAIN_PATH_PASSES,
        [SIMULATION_WAITS] = EXPLAIN_PATH_WAITS,
        [SIMULATION_DROPPED] = EXPLAIN_PATH_DROPPED,
        [SIMULATION_CLOSED] = EXPLAIN_PATH_CLOSED,
    };
    return outcomes[f];
}

/* ---- who it is ---- */

/* False: there are none. */
static bool list_rules(const struct explain_path *j, enum enforcement e, char *dst, size_t size)
{
    size_t at = 0;
    dst[0] = '\0';
    for (unsigned r = 0; r < RULE_COUNT && at < size; r++)
        if (enforcement_of(j->gate->limits.enforce[r], j->cohort) == e)
            at += (size_t)snprintf(dst + at, size - at, "%s%s", at ? ", " : "", rule_section((enum rule)r));
    return at > 0;
}

static void walk_enforcement(struct explain_path *j)
{
    static const struct {
        enum enforcement e;
        const char *word;
    } others[] = {{ENFORCEMENT_SHADOW, "in shadow"}, {ENFORCEMENT_OFF, "off"}};
    char rules[128];
    size_t before = j->count;
    if (!enforce_matters(&j->gate->limits))
        return;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (list_rules(j, others[i].e, rules, sizeof(rules)))
            explain_path_add_step(j, "enforce", EXPLAIN_PATH_SAYS, VERDICT_PASS, "cohort %u of %u: %s: %s", j->cohort,
                                  ENFORCE_COHORTS, others[i].word, rules);
    if (j->count == before)
        explain_path_add_step(j, "enforce", EXPLAIN_PATH_SAYS, VERDICT_PASS, "cohort %u of %u: all rules are on",
                              j->cohort, ENFORCE_COHORTS);
}

static void walk_source(struct explain_path *j, const struct explain_path_question *q)
{
    const struct classes *classes = j->gate->class_table;
    if (classes)
        explain_path_add_step(j, "classes", EXPLAIN_PATH_SAYS, VERDICT_PASS, "of the class %s",
                              classes->at[classes_find(classes, &q->from)].name);
    walk_enforcement(j);
    if (networks_contain(&j->gate->balancers, &q->from))
        explain_path_add_step(
            j, "proxy_protocol.from", EXPLAIN_PATH_SAYS, VERDICT_PASS,
            "a load balancer: it begins with a PROXY protocol header, and what follows is about the client named "
            "there");
    if (networks_contain(&j->gate->limits.ban.exempt, &q->from))
        explain_path_add_step(j, "ban.exempt", EXPLAIN_PATH_SAYS, VERDICT_PASS,
                              "exempt: no offence counts, and no ban keeps it out");
}

/* ---- connections ---- */

/* The checks of admit() of the listener and of the line of newcomers, at once. `in_shadow`: the limits are. */
static void walk_source_connections(struct explain_path *j, const struct explain_path_question *q,
                                    const struct limits *l, bool in_shadow)
{
    enum explain_path_outcome refused = in_shadow ? EXPLAIN_PATH_SHADOW : EXPLAIN_PATH_CLOSED;
    enum explain_path_outcome waits = in_shadow ? EXPLAIN_PATH_SHADOW : EXPLAIN_PATH_WAITS;
    gcra_word word = 0;
    uint64_t wait_ns;
    if (l->source.connections != 0 && q->connections > l->source.connections) {
        explain_path_add_step(j, "source.connections.max", refused, VERDICT_TOO_MANY_CONNECTIONS,
                              "%u connections, of at most %u", q->connections, l->source.connections);
        return;
    }
    uint64_t at_once = gcra_admit_some(&word, &l->source.connection_rate, q->connections, NS_PER_S, &wait_ns);
    uint64_t left = q->connections - at_once;
    if (left)
        explain_path_add_step(
            j, "source.connections.rate", waits, VERDICT_OVER_CONNECTION_RATE,
            "%llu of %u come in at once; the others wait unread until handshakes are done, or the rate "
            "allows more",
            (unsigned long long)at_once, q->connections);
    if (left > l->source.half_open)
        explain_path_add_step(
            j, "source.connections.half_open", EXPLAIN_PATH_SAYS, VERDICT_PASS,
            "if so many never finished their handshake, the line would be full, and the last refused");
    if (!left && !in_shadow && limits_hold(l, RULE_CONNECTIONS))
        explain_path_add_step(j, "source.connections.rate", EXPLAIN_PATH_PASSES, VERDICT_PASS, "%u at once",
                              q->connections);
}

static void walk_connections(struct explain_path *j, const struct explain_path_question *q)
{
    uint32_t most = j->force.connections.max;
    if (q->connections > most)
        explain_path_add_step(j, "connections.max", EXPLAIN_PATH_CLOSED, VERDICT_TABLE_FULL,
                              "%u connections of one source, and the gate takes %u", q->connections, most);
    else
        explain_path_add_step(j, "connections.max", EXPLAIN_PATH_PASSES, VERDICT_PASS, "%u of the gate's",
                              q->connections);
    walk_source_connections(j, q, &j->force, false);
    if (j->force.shadow)
        walk_source_connections(j, q, &j->shadow, true);
}

/* ---- the handshake ---- */

static void walk_type(struct explain_path *j, const struct explain_path_question *q, enum socket_type type)
{
    enum socket_type app = j->app;
    if (!q->has_type)
        return;
    if (socket_types_fit(type, app))
        explain_path_add_step(
            j, "socket", EXPLAIN_PATH_PASSES, VERDICT_PASS, "%s may talk to %s", socket_type_name(type),
            app == SOCKET_AUTO ? "it, as far as one knows before its first handshake" : socket_type_name(app));
    else
        explain_path_add_step(j, "socket", EXPLAIN_PATH_CLOSED, VERDICT_WRONG_SOCKET_TYPE, "%s does not talk to %s",
                              socket_type_name(type), socket_type_name(app));
    if (socket_type_told(&q->told) != SOCKET_AUTO)
        explain_path_note_option(j, SOCKET_OPTION_TYPE, socket_type_name(app));
}

/* Of a routing id in use. */
static bool passes_duplicates(const struct explain_path *j, bool hands_over)
{
    return hands_over || j->force.duplicate_ids != DUPLICATE_IDS_REFUSE;
}

static void walk_identity(struct explain_path *j, const struct explain_path_question *q)
{
    bool hands_over = told_decides_handover(told_value(q, SOCKET_OPTION_ROUTER_HANDOVER) != 0, j->gate);
    if (!q->has_identity)
        return;
    if (!zmtp_routing_id_ok(q->identity))
        explain_path_add_step(j, NULL, EXPLAIN_PATH_CLOSED, VERDICT_BAD_ROUTING_ID,
                              "a routing id of %zu bytes; RFC 37 has 255 at most", q->identity.len);
    else if (zmtp_routing_id_is_generated(q->identity))
        explain_path_add_step(
            j, NULL, EXPLAIN_PATH_CLOSED, VERDICT_RESERVED_ROUTING_ID,
            "a routing id of five bytes that begins with zero, as a ROUTER gives to clients without one");
    else
        explain_path_add_step(j, "routing_ids.duplicates", EXPLAIN_PATH_PASSES, VERDICT_PASS, "%s",
                              passes_duplicates(j, hands_over) ? "also when another connection has this id"
                                                               : "as long as no other connection has this id");
    if (hands_over && j->steps[j->count - 1].key)
        explain_path_note_option(j, SOCKET_OPTION_ROUTER_HANDOVER, "1");
}

/* ---- the connection to the application ---- */

/* Follows connect_for() in upstream.c. */
static void walk_upstream(struct explain_path *j, const struct explain_path_question *q)
{
    const char *why;
    if (j->gate->upstream_source != UPSTREAM_SOURCE_CLIENT)
        return;
    if (addr_is_own(&q->from))
        explain_path_add_step(j, "upstream.source", EXPLAIN_PATH_PASSES, VERDICT_PASS,
                              "a client on this machine: the application sees Weir's own address");
    else if ((why = endpoint_refuses_source(&j->gate->forward, &q->from)))
        explain_path_add_step(j, "upstream.source", EXPLAIN_PATH_CLOSED, VERDICT_NO_UPSTREAM_SOURCE, "%s", why);
    else
        explain_path_add_step(j, "upstream.source", EXPLAIN_PATH_PASSES, VERDICT_PASS,
                              "the application sees the client's address");
}

/* ---- what it says ---- */

static void walk_topic(struct explain_path *j, const struct explain_path_question *q, struct simulation *t)
{
    if (!q->has_topic || explain_path_is_over(j))
        return;
    struct simulation_result r = simulation_subscribe(t, q->topic.at, q->topic.len);
    enum verdict v = r.fate == SIMULATION_PASSES ? simulation_shadow(t) : r.verdict;
    if (r.fate != SIMULATION_PASSES || v != VERDICT_PASS)
        explain_path_add_step(j, verdict_info(v)->key,
                              r.fate == SIMULATION_PASSES ? EXPLAIN_PATH_SHADOW : outcome_of(r.fate), v,
                              "a topic of %zu bytes", q->topic.len);
    else
        explain_path_add_step(j, "subscriptions.topic", EXPLAIN_PATH_PASSES, VERDICT_PASS, "a topic of %zu bytes",
                              q->topic.len);
}

/* Where the frames have the application's own limit. */
static void note_frame_option(struct explain_path *j, const struct explain_path_question *q)
{
    char most[32];
    if (told_frame(j, q))
        explain_path_note_option(j, SOCKET_OPTION_MAXMSGSIZE, units_format_bytes(most, sizeof(most), told_frame(j, q)));
}

/* The limits that the message keeps, up to the one that it exceeds. */
static void list_sizes(struct explain_path *j, const struct explain_path_question *q, enum verdict v)
{
    static const enum verdict order[] = {VERDICT_TOO_MANY_FRAMES, VERDICT_FRAME_TOO_LARGE, VERDICT_MESSAGE_TOO_LARGE};
    char size[32], frame[32];
    units_format_bytes(size, sizeof(size), q->size);
    units_format_bytes(frame, sizeof(frame), q->size / q->frames + (q->size % q->frames != 0));
    for (size_t i = 0; i < ARRAY_LEN(order) && order[i] != v; i++) {
        if (!limits_hold(&j->force, RULE_MESSAGE) ||
            (order[i] == VERDICT_FRAME_TOO_LARGE && v == VERDICT_OVER_MAXMSGSIZE))
            return;
        if (order[i] == VERDICT_TOO_MANY_FRAMES)
            explain_path_add_step(j, verdict_info(order[i])->key, EXPLAIN_PATH_PASSES, VERDICT_PASS, "%u", q->frames);
        else
            explain_path_add_step(j, verdict_info(order[i])->key, EXPLAIN_PATH_PASSES, VERDICT_PASS, "%s",
                                  order[i] == VERDICT_FRAME_TOO_LARGE ? frame : size);
        if (order[i] == VERDICT_FRAME_TOO_LARGE)
            note_frame_option(j, q);
    }
}

static void walk_message(struct explain_path *j, const struct explain_path_question *q, struct simulation *t,
                         const struct simulation_message *m)
{
    struct simulation_result r = simulation_say(t, m);
    enum verdict v = r.fate == SIMULATION_PASSES ? simulation_shadow(t) : r.verdict;
    char size[32];
    list_sizes(j, q, v);
    if (v == VERDICT_PASS)
        return;
    explain_path_add_step(j, v == VERDICT_OVER_MAXMSGSIZE ? "message.frame" : verdict_info(v)->key,
                          r.fate == SIMULATION_PASSES ? EXPLAIN_PATH_SHADOW : outcome_of(r.fate), v,
                          "a message of %s in %u frame%s", units_format_bytes(size, sizeof(size), q->size), q->frames,
                          q->frames == 1 ? "" : "s");
    if (v == VERDICT_OVER_MAXMSGSIZE)
        note_frame_option(j, q);
}

/* How many of the messages pass before something happens to one; and the first verdict in shadow, if any. */
struct run {
    uint64_t passed, shadow_passed;
    uint64_t after_ns;
    struct simulation_result result;
    enum verdict shadow;
};

static struct run run_at_rate(struct simulation *t, const struct explain_path_question *q,
                              const struct simulation_message *m)
{
    struct run run = {.result = {SIMULATION_PASSES, VERDICT_PASS}, .shadow = VERDICT_PASS};
    uint64_t begin_ns = t->now_ns, cost = q->size + TRAFFIC_FRAME_BYTES * (uint64_t)q->frames;
    uint64_t most = EXPLAIN_PATH_BYTES_MAX / cost + 1;
    for (most = most < EXPLAIN_PATH_MESSAGES_MAX ? most : EXPLAIN_PATH_MESSAGES_MAX; run.passed < most; run.passed++) {
        uint64_t at_ns = (uint64_t)((unsigned __int128)run.passed * q->rate.period_ns / q->rate.count);
        t->now_ns = begin_ns + at_ns;
        run.result = simulation_say(t, m);
        run.after_ns = at_ns;
        if (run.result.fate != SIMULATION_PASSES)
            break;
        if (run.shadow == VERDICT_PASS) {
            run.shadow = simulation_shadow(t);
            run.shadow_passed = run.passed;
        }
    }
    return run;
}

static const char *what_follows(enum explain_path_outcome o)
{
    return o == EXPLAIN_PATH_WAITS     ? "then those over the limit wait"
           : o == EXPLAIN_PATH_DROPPED ? "then those over the limit are left out"
           : o == EXPLAIN_PATH_CLOSED  ? "the next one ends the connection"
                                       : "the next one would not have: it passes";
}

static void say_run(struct explain_path *j, const char *key, enum explain_path_outcome o, enum verdict v,
                    uint64_t passed, uint64_t after_ns)
{
    explain_path_add_step(j, key, o, v, "%llu message%s pass%s within %.3f s, %s", (unsigned long long)passed,
                          passed == 1 ? "" : "s", passed == 1 ? "es" : "", (double)after_ns / 1e9, what_follows(o));
}

static void walk_rate(struct explain_path *j, const struct explain_path_question *q, struct simulation *t,
                      const struct simulation_message *m)
{
    static const char *const limited[] = {"source.messages.rate", "source.bytes.rate"};
    struct run run = run_at_rate(t, q, m);
    if (run.shadow != VERDICT_PASS)
        say_run(j, verdict_info(run.shadow)->key, EXPLAIN_PATH_SHADOW, run.shadow, run.shadow_passed,
                (uint64_t)((unsigned __int128)run.shadow_passed * q->rate.period_ns / q->rate.count));
    if (run.result.fate != SIMULATION_PASSES) {
        say_run(j, verdict_info(run.result.verdict)->key, outcome_of(run.result.fate), run.result.verdict, run.passed,
                run.after_ns);
        return;
    }
    const struct rate *rates[] = {&j->force.source.messages.rate, &j->force.source.bytes.rate};
    for (size_t i = 0; i < ARRAY_LEN(limited) && run.shadow == VERDICT_PASS; i++)
        if (limits_hold(&j->force, i == 0 ? RULE_MESSAGES : RULE_BYTES) && rate_is_unlimited(rates[i]))
            explain_path_add_step(j, limited[i], EXPLAIN_PATH_PASSES, VERDICT_PASS, "any number");
        else if (limits_hold(&j->force, i == 0 ? RULE_MESSAGES : RULE_BYTES))
            explain_path_add_step(j, limited[i], EXPLAIN_PATH_PASSES, VERDICT_PASS,
                                  "none of %llu messages within %.3f s is over it", (unsigned long long)run.passed,
                                  (double)run.after_ns / 1e9);
}

/* A client and the gate's own word on frames. False: no memory. */
static bool begin_simulation(struct simulation *t, const struct explain_path *j, const struct explain_path_question *q,
                             enum socket_type type)
{
    if (!simulation_init(t, &j->force, type, j->app))
        return false;
    t->gate.app_frame_bytes = told_frame(j, q);
    return true;
}

/* Each with a client of its own, so that one uses up nothing of the other. */
static bool walk_messages(struct explain_path *j, const struct explain_path_question *q, enum socket_type type)
{
    const struct simulation_message m = {q->size, q->frames, type == SOCKET_REQ};
    struct simulation t;
    if (!q->has_message || explain_path_is_over(j))
        return true;
    bool ok = begin_simulation(&t, j, q, type);
    if (ok)
        walk_message(j, q, &t, &m);
    simulation_fini(&t);
    if (!ok || rate_is_unlimited(&q->rate) || j->decides)
        return ok;
    ok = begin_simulation(&t, j, q, type);
    if (ok)
        walk_rate(j, q, &t, &m);
    simulation_fini(&t);
    return ok;
}

/* ---- the request limiter ---- */

static void walk_counter(struct explain_path *j)
{
    explain_path_add_step(j, "counter", EXPLAIN_PATH_SAYS, VERDICT_PASS,
                          j->gate->counter[0] ? "the application says there how many messages it has taken"
                                              : "so the application cannot say how many messages it has taken");
}

/* Whether a message waits depends on the other connections; this names the possible proofs. */
static void walk_limiter(struct explain_path *j, const struct explain_path_question *q)
{
    enum socket_type app = j->app;
    bool one_way = app == SOCKET_PULL || app == SOCKET_SUB || app == SOCKET_XSUB;
    bool publishes = app == SOCKET_PUB || app == SOCKET_XPUB;
    if (!q->has_message || explain_path_is_over(j))
        return;
    if (j->force.concurrency.limit == CONCURRENCY_LIMIT_OFF || publishes) {
        explain_path_add_step(j, "concurrency.limit", EXPLAIN_PATH_SAYS, VERDICT_PASS, "it never waits for others");
    } else if (j->force.concurrency.max) {
        explain_path_add_step(j, "concurrency.max", EXPLAIN_PATH_SAYS, VERDICT_PASS,
                              "waits while so many are not answered, whoever sent them");
    } else if (one_way) {
        explain_path_add_step(j, "concurrency.limit", EXPLAIN_PATH_SAYS, VERDICT_PASS,
                              "waits for others only where the application's counter proves it; without one, never");
        walk_counter(j);
    } else {
        explain_path_add_step(j, "concurrency.limit", EXPLAIN_PATH_SAYS, VERDICT_PASS,
                              "waits for others only on proof (the counter, or%s latency), and never within its claim",
                              app == SOCKET_REP ? "" : ", of a plain request/reply service,");
        walk_counter(j);
    }
}

/* ---- the whole ---- */

/* The usual partner of such an application. */
static enum socket_type partner_of(enum socket_type app, bool subscribes)
{
    switch (app) {
    case SOCKET_REP:
        return SOCKET_REQ;
    case SOCKET_PULL:
        return SOCKET_PUSH;
    case SOCKET_PUB:
    case SOCKET_XPUB:
        return SOCKET_SUB;
    case SOCKET_SUB:
    case SOCKET_XSUB:
        return SOCKET_PUB;
    case SOCKET_AUTO:
        return subscribes ? SOCKET_SUB : SOCKET_DEALER;
    default:
        return SOCKET_DEALER;
    }
}

bool explain_path_walk(struct explain_path *ret, const struct config *c, const struct config_gate *gate,
                       const struct explain_path_question *q)
{
    enum socket_type told = socket_type_told(&q->told), app = told != SOCKET_AUTO ? told : gate->socket;
    enum socket_type type = q->has_type ? q->type : partner_of(app, q->has_topic);
    struct hash_key key;
    struct simulation t;
    memset(ret, 0, sizeof(*ret));
    ret->gate = gate;
    ret->app = app;
    enforce_key(&key, c->enforce_key);
    ret->cohort = enforce_cohort(&key, source_key_of(&q->from));
    enforce_split(&gate->limits, ret->cohort, &ret->force, &ret->shadow);
    walk_source(ret, q);
    walk_connections(ret, q);
    walk_type(ret, q, type);
    walk_identity(ret, q);
    walk_upstream(ret, q);
    bool ok = begin_simulation(&t, ret, q, type);
    if (ok)
        walk_topic(ret, q, &t);
    simulation_fini(&t);
    ok = ok && walk_messages(ret, q, type);
    walk_limiter(ret, q);
    return ok;
}

/* The words for bans that apply to it; those in shadow have the same numbers. */
static const char *ban_word(const struct explain_path *j)
{
    if (limits_hold(&j->force, RULE_BAN))
        return "get it banned for";
    return j->force.shadow && limits_hold(&j->shadow, RULE_BAN) ? "would get it banned (in shadow) for" : NULL;
}

char *explain_path_cost(char *dst, size_t size, const struct explain_path *j, const struct explain_path_question *q,
                        const struct explain_path_step *s)
{
    const struct limits *l = &j->gate->limits;
    unsigned strikes = verdict_info(s->verdict)->strikes;
    char within[32], first[32];
    const char *word = ban_word(j);
    bool only_shadow = s->outcome == EXPLAIN_PATH_SHADOW && limits_hold(&j->force, RULE_BAN);
    const char *spared =
        l->ban.shared == BAN_SHARED_PROBATION ? ", or put on probation where it serves well-behaved clients too" : "";
    if (verdict_offence(s->verdict) == OFFENCE_MISTAKE)
        snprintf(dst, size, "no strike: a mistake is held against nobody");
    else if (strikes == 0 || s->outcome == EXPLAIN_PATH_WAITS || only_shadow || !word || l->ban.strikes.strikes == 0)
        snprintf(dst, size, "no strike%s",
                 strikes && s->outcome == EXPLAIN_PATH_WAITS ? ": who waits offends nobody" : "");
    else if (!limits_count_offence(l, s->verdict, &q->from))
        snprintf(dst, size, "no strike: %s",
                 networks_contain(&l->ban.exempt, &q->from) ? "the source is exempt" : "such offences do not count");
    else
        snprintf(dst, size, "%u strike%s; %u within %s %s %s%s", strikes, strikes == 1 ? "" : "s",
                 l->ban.strikes.strikes, units_format_duration(within, sizeof(within), l->ban.strikes.within_ns), word,
                 units_format_duration(first, sizeof(first), l->ban.terms.for_ns), spared);
    return dst;
}
