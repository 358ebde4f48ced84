/* SPDX-License-Identifier: MPL-2.0 */
#include "security/traffic_inner.h"

#include "zmtp/command.h"

static uint32_t topic_cost(struct bytes topic)
{
    return (uint32_t)topic.len + TOPIC_OVERHEAD_BYTES;
}

static void forget(const struct traffic_context *c, struct bytes topic)
{
    topics_remove(c->topics, c->gate->account, &c->gate->key, topic.at, topic.len);
}

/* The source's share and the gate's total, both in bytes of topics with their overhead. */
static enum verdict charge_topic(struct judgement *j, struct bytes topic)
{
    const struct traffic_context *c = j->c;
    uint32_t cost = topic_cost(topic);
    uint64_t hash = topics_hash(&c->gate->key, topic.at, topic.len);
    if (atomic_load_explicit(&c->source->topic_bytes, memory_order_relaxed) + (uint64_t)cost >
        c->limits->subscriptions.source_bytes)
        return VERDICT_TOPICS_TOO_LARGE;
    enum tally_result r = tally_add(&c->gate->topics, hash, cost, c->limits->subscriptions.total_bytes);
    /* A full gate is not this client's fault: it is let in, and the source that holds most gives way at once. */
    if (r == TALLY_FULL) {
        j->r->make_room = true;
        r = tally_add(&c->gate->topics, hash, cost, UINT64_MAX);
    }
    if (r != TALLY_ADDED)
        return VERDICT_NO_MEMORY;
    atomic_fetch_add_explicit(&c->source->topic_bytes, cost, memory_order_relaxed);
    return VERDICT_PASS;
}

static enum verdict subscribe_to(struct judgement *j, struct bytes topic)
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
    return v;
}

/* Only what a SUBSCRIBE of this connection took is given back: cancels of other topics change no counter. */
static void cancel(struct judgement *j, struct bytes topic)
{
    const struct traffic_context *c = j->c;
    if (topics_remove(c->topics, c->gate->account, &c->gate->key, topic.at, topic.len) != TOPICS_REMOVED)
        return;
    tally_remove(&c->gate->topics, topics_hash(&c->gate->key, topic.at, topic.len));
    atomic_fetch_sub_explicit(&c->source->topic_bytes, topic_cost(topic), memory_order_relaxed);
}

enum ruling traffic_subscription(struct judgement *j, bool subscribe, struct bytes topic)
{
    const struct limits *l = j->c->limits;
    const struct traffic *t = j->t;
    if (topic.len > l->subscriptions.topic_bytes)
        return traffic_rule(j, VERDICT_TOPIC_TOO_LONG, l->subscriptions.over);
    traffic_pause_after(j, SOURCE_SUBSCRIPTIONS, &l->subscriptions.rate, topic_cost(topic), VERDICT_OVER_SUBSCRIPTIONS);
    if (!subscribe) {
        /* A message of several frames may still be dropped, and the application would keep the topic. */
        if (!t->dec.in_message && t->frames <= 1)
            cancel(j, topic);
        return RULING_PASS;
    }
    enum verdict v = subscribe_to(j, topic);
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
