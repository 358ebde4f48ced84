/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/traffic_inner.h"

#include "zmtp/command.h"

/* The shortest pauses for the rate of a source, and of all. */
#define LEAST_PAUSE_NS       (20 * NS_PER_MS)
#define LEAST_TOTAL_PAUSE_NS (5 * NS_PER_MS)

/* The first topics of a connection, if they are short, never wait for other connections' subscriptions: most
 * subscribers have no more. Long ones would let many connections take all of the publisher's time at once. */
#define FEW_TOPICS        16u
#define SHORT_TOPIC_BYTES 64u

/* So many of these may come although all topics together take too much. */
#define MODEST_TOPICS 8u

/* The work of a publisher for a subscription or cancellation, beside the bytes that it allocates or frees. */
#define LOOK_UP_BYTES 64u

/* A client that makes topics part at every byte makes each walk long, here and in the publisher. */
#define COMMON_STEPS 64u
#define STEP_BYTES   64u

/* The cost of a subscriber's frame for an XPUB, besides its bytes. */
#define USER_MESSAGE_BYTES 96u

/* A source's topics are added up as if none shared anything. */
static uint32_t topic_cost(struct bytes topic)
{
    return (uint32_t)topic.len + TOPIC_OVERHEAD_BYTES;
}

static uint64_t subscriptions_number_of(const struct topic_found *f)
{
    return (uint64_t)(uintptr_t)f->topic;
}

static uint64_t work_of(const struct topic_found *f, struct bytes topic)
{
    uint64_t steps = f->steps > COMMON_STEPS ? f->steps - COMMON_STEPS : 0;
    return f->cost + LOOK_UP_BYTES + topic.len + steps * STEP_BYTES;
}

uint64_t traffic_topics_share(const struct traffic_gate *g, const struct limits *l)
{
    uint32_t sources = atomic_load_explicit(&g->topic_sources, memory_order_relaxed);
    return l->subscriptions.trie_bytes / TOPIC_NODE_BYTES / (sources ? sources : 1);
}

void traffic_topics_give_back(struct traffic_gate *g, struct source *source, uint64_t cost)
{
    if (cost && atomic_fetch_sub_explicit(&source->topic_bytes, (uint32_t)cost, memory_order_relaxed) == cost)
        atomic_fetch_sub_explicit(&g->topic_sources, 1, memory_order_relaxed);
}

static void charge_source(const struct traffic_context *c, uint32_t cost)
{
    if (atomic_fetch_add_explicit(&c->source->topic_bytes, cost, memory_order_relaxed) == 0)
        atomic_fetch_add_explicit(&c->gate->topic_sources, 1, memory_order_relaxed);
}

/* One of the first topics of a connection, and short: all connections together cannot have many of these. */
static bool is_modest(const struct traffic_context *c, struct bytes topic)
{
    return c->topics->count < MODEST_TOPICS && topic.len <= SHORT_TOPIC_BYTES;
}

/* A full gate is not the fault of a source that holds less than a share, so the source that holds most gives way. That
 * costs the publisher time, so it happens at a pace. Until then the newcomer waits, but not for its first topics: most
 * subscribers have no more. */
static enum verdict subscriptions_hold(struct judgement *j, struct bytes topic, uint64_t held, struct topic_found *f)
{
    const struct traffic_context *c = j->c;
    uint64_t limit = is_modest(c, topic) ? UINT64_MAX : c->limits->subscriptions.trie_bytes;
    enum topic_result r = topic_tree_hold(&c->gate->topics, topic, limit, f);
    if (r == TOPIC_HELD)
        return VERDICT_PASS;
    j->r->make_room |= r == TOPIC_TREE_FULL && held <= traffic_topics_share(c->gate, c->limits);
    return r == TOPIC_TREE_FULL ? VERDICT_TOPICS_FULL : VERDICT_NO_MEMORY;
}

/* The connection does not have this topic yet. */
static enum verdict add_topic(struct judgement *j, struct bytes topic, struct topic_found *f)
{
    const struct traffic_context *c = j->c;
    const struct limits *l = c->limits;
    uint64_t held = atomic_load_explicit(&c->source->topic_bytes, memory_order_relaxed) + (uint64_t)topic_cost(topic);
    if (c->topics->count >= l->subscriptions.max)
        return VERDICT_SUBSCRIPTIONS_TOO_MANY;
    if (held > l->subscriptions.source_bytes)
        return VERDICT_TOPICS_TOO_LARGE;
    enum verdict v = subscriptions_hold(j, topic, held, f);
    if (v != VERDICT_PASS)
        return v;
    if (topics_add(c->topics, c->gate->account, subscriptions_number_of(f), topic.len, UINT32_MAX) != TOPICS_ADDED) {
        topic_tree_release(&c->gate->topics, f->topic);
        return VERDICT_NO_MEMORY;
    }
    charge_source(c, topic_cost(topic));
    return VERDICT_PASS;
}

static enum verdict subscribe_to(struct judgement *j, struct bytes topic, struct topic_found *f, bool *ret_added)
{
    const struct traffic_context *c = j->c;
    if (c->topics->count) {
        topic_tree_find(&c->gate->topics, topic, f);
        if (f->topic && topics_have(c->topics, subscriptions_number_of(f)))
            return VERDICT_PASS;
    }
    enum verdict v = add_topic(j, topic, f);
    *ret_added = v == VERDICT_PASS;
    return v;
}

/* Only what a SUBSCRIBE of this connection took is given back: cancels of other topics change no counter. A message of
 * several frames may still be dropped, and then the application would keep the topic. */
static void cancel(struct judgement *j, struct bytes topic, struct topic_found *f)
{
    const struct traffic_context *c = j->c;
    topic_tree_find(&c->gate->topics, topic, f);
    if (j->t->dec.in_message || j->t->frames > 1)
        return;
    if (!f->topic ||
        topics_remove(c->topics, c->gate->account, subscriptions_number_of(f), topic.len) != TOPICS_REMOVED)
        return;
    f->cost = topic_tree_release(&c->gate->topics, f->topic);
    traffic_topics_give_back(c->gate, c->source, topic_cost(topic));
}

/* Charges the cost of subscriptions and cancellations for a publisher, which takes them in when it publishes. The
 * memory that it allocates or frees is a measure of the time, too. */
static void charge_rates(struct judgement *j, uint64_t work, bool passes)
{
    const struct limits *l = j->c->limits;
    traffic_pause_after(j, &j->c->source->limiters[SOURCE_SUBSCRIPTIONS], &l->subscriptions.rate, work, LEAST_PAUSE_NS,
                        VERDICT_OVER_SUBSCRIPTIONS);
    if (!passes)
        traffic_pause_after(j, &j->c->gate->topic_rate, &l->subscriptions.total_rate, work, LEAST_TOTAL_PAUSE_NS,
                            VERDICT_OVER_TOTAL_SUBSCRIPTIONS);
    else if (!rate_is_unlimited(&l->subscriptions.total_rate))
        gcra_charge(&j->c->gate->topic_rate, &l->subscriptions.total_rate, work, j->c->now_ns);
}

/* The topic has just been added. */
static bool is_one_of_few(const struct traffic_context *c, struct bytes topic)
{
    return c->topics->count <= FEW_TOPICS && topic.len <= SHORT_TOPIC_BYTES;
}

/* A subscription that does not fit now may fit later, when others or the client itself hold less. */
static bool may_wait(const struct limits *l, enum verdict v)
{
    bool own = v == VERDICT_SUBSCRIPTIONS_TOO_MANY || v == VERDICT_TOPICS_TOO_LARGE;
    return v == VERDICT_TOPICS_FULL || (own && l->subscriptions.over == ACTION_PAUSE);
}

static enum ruling subscribed(struct judgement *j, struct bytes topic)
{
    const struct limits *l = j->c->limits;
    struct topic_found f = {0};
    bool added = false;
    enum verdict v = subscribe_to(j, topic, &f, &added);
    if (may_wait(l, v))
        return traffic_withhold(j, v, TRAFFIC_TOPICS_RETRY_NS);
    charge_rates(j, work_of(&f, topic), added && is_one_of_few(j->c, topic));
    if (v == VERDICT_PASS && UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_subscription(j, added, topic, work_of(&f, topic));
    if (v == VERDICT_PASS)
        return RULING_PASS;
    return traffic_rule(j, v, v == VERDICT_NO_MEMORY ? ACTION_CLOSE : l->subscriptions.over);
}

enum ruling traffic_subscription(struct judgement *j, bool subscribe, struct bytes topic)
{
    const struct limits *l = j->c->limits;
    if (topic.len > traffic_topic_most(j->t, l))
        return traffic_rule(j, VERDICT_TOPIC_TOO_LONG, l->subscriptions.over);
    if (subscribe)
        return subscribed(j, topic);
    struct topic_found f = {0};
    cancel(j, topic, &f);
    charge_rates(j, work_of(&f, topic), false);
    if (UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_subscription(j, false, topic, work_of(&f, topic));
    return RULING_PASS;
}

/* An XPUB keeps messages that are no subscriptions in a queue without limit, whether the application asks for them or
 * not. So they go on at a pace. A message over it waits before it begins: afterwards the application has it. */
static enum ruling user_frame(struct judgement *j)
{
    struct traffic *t = j->t;
    const struct limits *l = j->c->limits;
    gcra_word *all = &j->c->gate->user_bytes;
    const struct rate *rate = &l->subscriptions.messages_total;
    bool limited = !rate_is_unlimited(rate), first = t->frames <= 1;
    uint64_t wait_ns = limited ? gcra_wait_ns(all, rate, 1, j->c->now_ns) : 0;
    if (wait_ns) {
        enum ruling ruling = traffic_withhold(j, VERDICT_OVER_SUBSCRIBER_MESSAGES, wait_ns);
        t->withheld = WITHHELD_MESSAGE;
        return ruling;
    }
    enum ruling ruling = RULING_PASS;
    if (first)
        ruling = traffic_charge_unit(j, &t->user_messages, &l->subscriptions.messages, VERDICT_SUBSCRIBER_MESSAGE);
    if (limited && ruling == RULING_PASS)
        gcra_charge(all, rate, t->dec.size + USER_MESSAGE_BYTES, j->c->now_ns);
    return ruling;
}

/* A subscription counts when it is whole, and only then goes on, also in a message that streams. */
enum ruling traffic_subscriber_frame(struct judgement *j, const uint8_t *body, bool whole)
{
    struct traffic *t = j->t;
    const struct limits *l = j->c->limits;
    if (t->dec.size == 0 || body[0] > 1)
        return user_frame(j);
    if (whole || t->dec.size - 1 > traffic_topic_most(t, l))
        return traffic_subscription(j, body[0] == 1, (struct bytes){body + 1, (size_t)t->dec.size - 1});
    t->awaits = AWAITS_END;
    return RULING_PASS;
}

void traffic_note_ping(struct traffic_result *r, struct bytes data)
{
    r->ping.seen = true;
    r->ping.ttl = (uint16_t)(data.at[0] << 8 | data.at[1]);
    r->ping.context_len = (uint8_t)(data.len - 2);
    memcpy(r->ping.context, data.at + 2, data.len - 2);
}

static enum ruling close_for(struct judgement *j, enum verdict v)
{
    return traffic_rule(j, v, ACTION_CLOSE);
}

/* Many connections with more commands than heartbeats need cause work on the application's I/O thread together, each
 * within its source's rate. Below that sum no connection is paced. */
static void pace_command(struct judgement *j)
{
    static const struct rate all = {TRAFFIC_COMMANDS, NS_PER_S, TRAFFIC_COMMANDS};
    static const struct rate each = {TRAFFIC_COMMANDS_EACH, NS_PER_S, TRAFFIC_COMMANDS_EACH};
    if (!j->c->commands || rate_is_unlimited(&j->c->limits->source.commands.rate))
        return;
    if (gcra_admit(&j->c->gate->commands, &all, 1, j->c->now_ns))
        traffic_pause_after(j, j->c->commands, &each, 1, LEAST_PAUSE_NS, VERDICT_OVER_COMMANDS);
}

enum ruling traffic_client_command(struct judgement *j, struct bytes body)
{
    struct zmtp_command c;
    if (!zmtp_command_parse(body, &c))
        return close_for(j, VERDICT_BAD_COMMAND);
    switch (c.kind) {
    case COMMAND_SUBSCRIBE:
    case COMMAND_CANCEL:
        if (!j->t->subscriber)
            return close_for(j, VERDICT_NOT_A_SUBSCRIBER);
        /* libzmq ends the message around it early. */
        if (j->t->dec.in_message)
            return close_for(j, VERDICT_BAD_COMMAND);
        return traffic_subscription(j, c.kind == COMMAND_SUBSCRIBE, c.data);
    case COMMAND_PING:
        /* libzmq answers a PING that is too short with bytes of its own memory. */
        if (!zmtp_ping_ok(&c))
            return close_for(j, VERDICT_BAD_PING);
        traffic_note_ping(j->r, c.data);
        break;
    case COMMAND_PONG:
        if (!zmtp_pong_ok(&c))
            return close_for(j, VERDICT_BAD_PING);
        break;
    case COMMAND_ERROR:
        return close_for(j, VERDICT_PEER_ERROR);
    case COMMAND_UNKNOWN:
        return close_for(j, VERDICT_UNKNOWN_COMMAND);
    default:
        /* RFC 37: HELLO, WELCOME, INITIATE and READY belong to the handshake. */
        return close_for(j, VERDICT_HANDSHAKE_ORDER);
    }
    enum ruling ruling = traffic_charge_unit(j, &j->c->source->limiters[SOURCE_COMMANDS],
                                             &j->c->limits->source.commands, VERDICT_OVER_COMMANDS);
    if (ruling == RULING_PASS)
        pace_command(j);
    return ruling;
}
