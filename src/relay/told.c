/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/told.h"

#include "relay/record.h"

/* The first libzmq whose greeting says 3.1. Older ones are asked. */
#define LIBZMQ_WITH_3_1 40303u
#define LIBZMQ_5        50000u

/* libzmq's own ZMQ_HANDSHAKE_IVL. */
#define USUAL_APP_NS (30 * NS_PER_S)

/* Heartbeats that are quicker than this are not kept up with. */
#define HEARTBEAT_LEAST_NS (10 * NS_PER_MS)

/* ZMQ_HANDSHAKE_IVL of 0: no limit. */
#define NO_LIMIT_NS (24 * 3600 * NS_PER_S)

/* ---- the greeting ---- */

/* Who says HELLO: a server waits for it, whichever side has bound. */
static enum initiator initiator_of(const struct socket_options *o, enum zmtp_mechanism m)
{
    int64_t serves = 0;
    if (m == MECHANISM_NULL ||
        !socket_options_get(o, m == MECHANISM_PLAIN ? SOCKET_OPTION_PLAIN_SERVER : SOCKET_OPTION_CURVE_SERVER, &serves))
        return INITIATOR_UNKNOWN;
    return serves ? INITIATOR_CLIENT : INITIATOR_APP;
}

/* False: it is not known for sure. */
static bool greeting_of(const struct socket_options *o, struct handshake_app *ret)
{
    static const enum zmtp_mechanism mechanisms[] = {MECHANISM_NULL, MECHANISM_PLAIN, MECHANISM_CURVE};
    int64_t at = -1;
    if (o->version < LIBZMQ_WITH_3_1 || o->version >= LIBZMQ_5 ||
        !socket_options_get(o, SOCKET_OPTION_MECHANISM, &at) || at < 0 || at >= (int64_t)ARRAY_LEN(mechanisms))
        return false;
    /* libzmq leaves as-server 0 in every greeting. */
    *ret = (struct handshake_app){
        .mechanism = mechanisms[at], .major = 3, .minor = 1, .initiator = initiator_of(o, mechanisms[at])};
    return true;
}

/* ---- the gate ---- */

static uint64_t handshake_ns_of(const struct socket_options *o)
{
    int64_t ms = -1;
    if (!socket_options_get(o, SOCKET_OPTION_HANDSHAKE_IVL, &ms) || ms < 0)
        return 0;
    return ms ? (uint64_t)ms * NS_PER_MS : NO_LIMIT_NS;
}

/* libzmq waits for any byte so long after a PING, and tells its peer to do so. */
static uint64_t heartbeat_ns_of(const struct socket_options *o, enum socket_option *ret_from)
{
    int64_t every_ms = 0, silence_ms = -1, ttl_ms = 0;
    (void)socket_options_get(o, SOCKET_OPTION_HEARTBEAT_IVL, &every_ms);
    (void)socket_options_get(o, SOCKET_OPTION_HEARTBEAT_TIMEOUT, &silence_ms);
    (void)socket_options_get(o, SOCKET_OPTION_HEARTBEAT_TTL, &ttl_ms);
    if (every_ms <= 0)
        return 0;
    *ret_from = silence_ms < 0 ? SOCKET_OPTION_HEARTBEAT_IVL : SOCKET_OPTION_HEARTBEAT_TIMEOUT;
    if (silence_ms < 0)
        silence_ms = every_ms;
    if (ttl_ms > 0 && (silence_ms == 0 || ttl_ms < silence_ms)) {
        *ret_from = SOCKET_OPTION_HEARTBEAT_TTL;
        silence_ms = ttl_ms;
    }
    uint64_t half_ns = (uint64_t)silence_ms * NS_PER_MS / 2;
    return silence_ms && half_ns < HEARTBEAT_LEAST_NS ? HEARTBEAT_LEAST_NS : half_ns;
}

void told_take(struct gate *g, const struct socket_options *o)
{
    struct handshake_app greeting;
    int64_t frame = 0, hands_over = 0;
    g->origin.told = (struct told){0};
    if (o)
        g->origin.told.options = *o;
    o = &g->origin.told.options;
    (void)socket_options_get(o, SOCKET_OPTION_MAXMSGSIZE, &frame);
    (void)socket_options_get(o, SOCKET_OPTION_ROUTER_HANDOVER, &hands_over);
    g->origin.told.handshake_ns = handshake_ns_of(o);
    g->origin.told.heartbeat_ns = heartbeat_ns_of(o, &g->origin.told.heartbeat_from);
    g->origin.told.hands_over = hands_over != 0;
    g->traffic.app_frame_bytes = frame > 0 ? (uint64_t)frame : 0;
    app_facts_tell(&g->app, g->config->socket, greeting_of(o, &greeting) ? &greeting : NULL);
}

void told_hand_over(struct gate *g, bool on)
{
    socket_options_set(&g->origin.told.options, SOCKET_OPTION_ROUTER_HANDOVER, on);
    g->origin.told.hands_over = on;
}

/* ---- its sessions ---- */

uint64_t told_handshake_within(const struct session *s, bool *ret_apps_own)
{
    uint64_t within_ns = session_limits(s)->handshake.within_ns, its_ns = s->wg->gate->origin.told.handshake_ns;
    uint64_t stricter_ns = told_stricter(within_ns, its_ns);
    *ret_apps_own = stricter_ns != within_ns;
    return stricter_ns;
}

uint64_t told_app_within(const struct session *s)
{
    uint64_t within_ns = session_limits(s)->handshake.within_ns, its_ns = s->wg->gate->origin.told.handshake_ns;
    uint64_t least_ns = its_ns > USUAL_APP_NS ? its_ns : USUAL_APP_NS;
    return within_ns > least_ns ? within_ns : least_ns;
}

uint64_t told_heartbeat_interval(const struct session *s)
{
    return told_stricter(session_limits(s)->heartbeat.interval_ns, s->wg->gate->origin.told.heartbeat_ns);
}

uint64_t told_max_pause(const struct session *s)
{
    return told_stricter(session_limits(s)->heartbeat.max_pause_ns, s->wg->gate->origin.told.heartbeat_ns);
}

bool told_hands_over(const struct session *s)
{
    return told_decides_handover(s->wg->gate->origin.told.hands_over, s->wg->policy->config);
}
