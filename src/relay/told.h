/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a gate was told of its application's socket by libzmq (preload/socket_options.h), and what follows from it.
 * Under `weir run` and weir_bind(); elsewhere nothing is told.
 *
 *   option                       what follows
 *   ZMQ_TYPE                     the socket's type, as if it were configured
 *   ZMQ_MECHANISM and its role,  the application's greeting: no connection has to ask for it
 *   the version of libzmq
 *   ZMQ_MAXMSGSIZE               a larger frame ends its connection, as it would there (over_maxmsgsize)
 *   ZMQ_HANDSHAKE_IVL            if it is shorter than handshake.within: the client's time (over_handshake_ivl). If it
 *                                is longer than 30 s: the application's time
 *   ZMQ_ROUTER_HANDOVER          routing_ids.duplicates is `pass`, unless the file has that key
 *   ZMQ_HEARTBEAT_IVL, _TIMEOUT  the silence after which the application gives a client up, or tells the client to do
 *   and _TTL                     so. Half of it bounds heartbeat.interval and heartbeat.max_pause
 *   others                       are shown only
 *
 * A limit that comes from an option has the outcome that it has without Weir: the connection ends, and nothing is held
 * against its source. A stricter value of the configuration stays.
 *
 * Threads: written while no worker runs or all are parked; read by all.
 */
#ifndef WEIR_RELAY_TOLD_H
#define WEIR_RELAY_TOLD_H

#include "config/config.h"
#include "preload/socket_options.h"

#include <stdbool.h>
#include <stdint.h>

struct gate;
struct session;

/* A member of struct gate_origin; all zero: nothing was told. */
struct told {
    struct socket_options options;
    uint64_t handshake_ns; /* ZMQ_HANDSHAKE_IVL; 0: not told */
    uint64_t heartbeat_ns; /* half of the silence that the heartbeats allow; 0: any */
    enum socket_option heartbeat_from;
    bool hands_over; /* ZMQ_ROUTER_HANDOVER */
};

/* The gate is told this; NULL: nothing, and what it was told before does not hold any more. The type is the one in
 * its configuration. */
void told_take(struct gate *g, const struct socket_options *o);

/* ZMQ_ROUTER_HANDOVER has changed since. */
void told_hand_over(struct gate *g, bool on);

/* A limit of the configuration, or the application's own if that is stricter (0: it has none). */
static inline uint64_t told_stricter(uint64_t configured, uint64_t its_own)
{
    return its_own && its_own < configured ? its_own : configured;
}

/* Whether ZMQ_ROUTER_HANDOVER decides between clients with one routing id, or the file does. */
static inline bool told_decides_handover(bool hands_over, const struct config_gate *g)
{
    return hands_over && !config_gate_gives(g, "routing_ids.duplicates");
}

/* The time that a client has for its part of the handshake, and whether it is the application's own. */
uint64_t told_handshake_within(const struct session *s, bool *ret_apps_own);

/* The time that the application may take for its part. */
uint64_t told_app_within(const struct session *s);

/* How often Weir speaks for an end that is not heard, and how long it may keep one silent for which it cannot speak. */
uint64_t told_heartbeat_interval(const struct session *s);
uint64_t told_max_pause(const struct session *s);

/* Whether it is the application that decides between clients with one routing id. */
bool told_hands_over(const struct session *s);

#endif
