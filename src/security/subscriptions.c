/* SPDX-License-Identifier: MPL-2.0 */
#include "security/traffic_inner.h"

#include "zmtp/command.h"

/* What comes at once stops a publisher for as long as it takes to take it in. So the burst of subscriptions.total_rate
 * passes at this many times the rate, in parts of this size. */
#define PEAK       2u
#define PEAK_BURST 32u

/* The shortest pauses for a rate, and for the peak. */
#define LEAST_PAUSE_NS (20 * NS_PER_MS)
#define PEAK_PAUSE_NS  (5 * NS_PER_MS)

static uint32_t topic_cost(struct bytes topic)
{
    return (uint32_t)topic.len + TOPIC_OVERHEAD_BYTES;
}

static void forget(const struct traffic_context *c, struct bytes topic)
{
    topics_remove(c->topics, c->gate->account, &c->gate->key, topic.at, topic.len);
}

uint64_t traffic_topics_share(const struct traffic_gate *g, const struct limits *l)
{
    uint32_t sources = atomic_load_explicit(&g->topic_sources, memory_order_relaxed);
    return l->subscriptions.total_bytes / (sources ? sources : 1);
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

/* The source's limit and the gate's, both in bytes of topics with their overhead. A full gate is not the fault of one
 * who holds less than a share: such a client is let in, and the source that holds most gives way at once. Others wait;
 * to end their connections would cost a publisher more than their topics do. */
static enum verdict charge_topic(struct judgement *j, struct bytes topic)
{
    const struct traffic_context *c = j->c;
    uint32_t cost = topic_cost(topic);
    uint64_t hash = topics_hash(&c->gate->key, topic.at, topic.len);
    uint64_t held = atomic_load_explicit(&c->source->topic_bytes, memory_order_relaxed) + (uint64_t)cost;
    if (held > c->limits->subscriptions.source_bytes)
        return VERDICT_TOPICS_TOO_LARGE;
    enum tally_result r = tally_add(&c->gate->topics, hash, cost, c->limits->subscriptions.total_bytes);
    if (r == TALLY_FULL) {
        if (held > traffic_topics_share(c->gate, c->limits))
            return VERDICT_TOPICS_FULL;
        j->r->make_room = true;
        r = tally_add(&c->gate->topics, hash, cost, UINT64_MAX);
    }
    if (r != TALLY_ADDED)
        return VERDICT_NO_MEMORY;
    charge_source(c, cost);
    return VERDICT_PASS;
}

static enum verdict subscribe_to(struct judgement *j, struct bytes topic, bool *ret_added)
{
    const struct traffic_context *c = j->c;
    switch (topics_add(c->topics, c->gate->account, &c->gate->key, topic.at, topic.len, c->limits->subscriptions.max)) {
    case TOPICS_KNOWN:
        return VERDICT_PASS;
    case TOPICS_FULL:
        return VERDICT_SUBSCRIPTIONS_TOO_MANY;
    case TOPICS_ADDED:
        break;
    default:
        return VERDICT_NO_MEMORY;
    }
    enum verdict v = charge_topic(j, topic);
    if (v != VERDICT_PASS)
        forget(c, topic);
    *ret_added = v == VERDICT_PASS;
    return v;
}

/* Only what a SUBSCRIBE of this connection took is given back: cancels of other topics change no counter. */
static void cancel(struct judgement *j, struct bytes topic)
{
    const struct traffic_context *c = j->c;
    if (topics_remove(c->topics, c->gate->account, &c->gate->key, topic.at, topic.len) != TOPICS_REMOVED)
        return;
    tally_remove(&c->gate->topics, topics_hash(&c->gate->key, topic.at, topic.len));
    traffic_topics_give_back(c->gate, c->source, topic_cost(topic));
}

/* What subscriptions and cancellations cost a publisher, which takes them in when it publishes: by their source, so
 * that none has more than its part of what all may cost, and of all. */
static void charge_rates(struct judgement *j, uint32_t cost)
{
    const struct limits *l = j->c->limits;
    struct rate peak = l->subscriptions.total_rate;
    peak.count *= PEAK;
    peak.burst /= PEAK_BURST;
    traffic_pause_after(j, &j->c->source->limiters[SOURCE_SUBSCRIPTIONS], &l->subscriptions.rate, cost, LEAST_PAUSE_NS,
                        VERDICT_OVER_SUBSCRIPTIONS);
    traffic_pause_after(j, &j->c->gate->topic_rate, &l->subscriptions.total_rate, cost, LEAST_PAUSE_NS,
                        VERDICT_OVER_TOTAL_SUBSCRIPTIONS);
    traffic_pause_after(j, &j->c->gate->topic_peak, &peak, cost, PEAK_PAUSE_NS, VERDICT_PASS);
}

enum ruling traffic_subscription(struct judgement *j, bool subscribe, struct bytes topic)
{
    const struct limits *l = j->c->limits;
    const struct traffic *t = j->t;
    bool added = false;
    if (topic.len > traffic_topic_most(t, l))
        return traffic_rule(j, VERDICT_TOPIC_TOO_LONG, l->subscriptions.over);
    if (!subscribe) {
        charge_rates(j, topic_cost(topic));
        /* A message of several frames may still be dropped, and the application would keep the topic. */
        if (!t->dec.in_message && t->frames <= 1)
            cancel(j, topic);
        if (UNLIKELY(j->c->shadow != NULL))
            traffic_shadow_subscription(j, false, topic);
        return RULING_PASS;
    }
    enum verdict v = subscribe_to(j, topic, &added);
    if (v == VERDICT_TOPICS_FULL)
        return traffic_withhold(j, v, TRAFFIC_TOPICS_RETRY_NS);
    charge_rates(j, topic_cost(topic));
    if (v == VERDICT_PASS && UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_subscription(j, added, topic);
    if (v == VERDICT_PASS)
        return RULING_PASS;
    return traffic_rule(j, v, v == VERDICT_NO_MEMORY ? ACTION_CLOSE : l->subscriptions.over);
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
    return traffic_charge_unit(j, &j->c->source->limiters[SOURCE_COMMANDS], &j->c->limits->source.commands,
                               VERDICT_OVER_COMMANDS);
}
