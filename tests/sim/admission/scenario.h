/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What is simulated: an application, its honest clients and, in most draws, a flood of valid messages. A seed is a
 * scenario. Times in nanoseconds.
 */
#ifndef WEIR_SIM_SCENARIO_H
#define WEIR_SIM_SCENARIO_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum app_kind {
    APP_REP_CPU, /* one at a time */
    APP_REP_SLEEP,
    APP_SLOTS_CPU, /* takes a message when one of its slots is free */
    APP_SLOTS_SLEEP,
    APP_EAGER_CPU, /* takes all into a queue of its own, works on some at a time */
    APP_EAGER_SLEEP,
    APP_BATCH_WAIT,   /* 32 at a time; waits 5 ms for them */
    APP_BATCH_GREEDY, /* up to 32 at a time, whatever is there */
    APP_BROKER,       /* clients and workers on one socket */
    APP_NOTES,        /* one-way notes and calls on one socket */
    APP_PULL_CPU,     /* nothing is answered */
    APP_PULL_SLEEP,
    APP_LONG_POLL,  /* polls are answered when somebody publishes */
    APP_MUTE_HALF,  /* half of the clients send notes, the others calls */
    APP_MIXED_COST, /* one message in 25 costs 100 times the others */
    APP_KINDS
};

enum flood_kind {
    FLOOD_NONE,
    FLOOD_GREEDY_1, /* one source, many connections that always have a message */
    FLOOD_GREEDY_N, /* many sources */
    FLOOD_DEAR_1,   /* costly requests, one at a time a connection */
    FLOOD_DEAR_N,
    FLOOD_LEAVE,  /* asks a costly request and leaves, again and again */
    FLOOD_BURSTS, /* 200 sources send one costly request in the same moment, each two seconds */
    FLOOD_FAIR,   /* many sources, each at the fair share */
    FLOOD_MUTE,   /* messages that are not answered */
    FLOOD_KINDS
};

/* What may be wrong with the counter. */
enum counter_kind { COUNTER_EXACT, COUNTER_LATE, COUNTER_LOW, COUNTER_HIGH, COUNTER_STUCK, COUNTER_KINDS };

enum spread { SPREAD_NONE, SPREAD_LOGNORMAL, SPREAD_UNIFORM, SPREAD_EXPONENTIAL };

struct scenario {
    uint64_t seed;
    enum app_kind app;
    enum flood_kind flood;
    enum counter_kind counter;
    enum spread spread;
    uint32_t slots, workers;
    double service_ns, batch_ns, item_ns, work_ns; /* item, batch: a batch takes both */
    double mean_cost_ns;
    bool one_way, poisson;
    uint32_t honest, newcomers;   /* of the honest, those who come during the flood */
    bool one_address, few_others; /* 60 behind one address; ten more elsewhere */
    double load;                  /* of the application's capacity */
    bool on_off;                  /* the honest are active half of the time */
    double large_ns;              /* the transfer of a message takes so long; 0: small ones */
    double slow_ns;               /* each fifth client takes its answers so late */
    uint32_t flood_sources, flood_connections;
    double flood_cost_ns;
    uint64_t flood_at_ns, warm_ns, from_ns, to_ns;
    uint64_t pause_at_ns, pause_ns; /* the application stands still */
};

extern const char *const app_names[APP_KINDS];
extern const char *const flood_names[FLOOD_KINDS];
extern const char *const counter_names[COUNTER_KINDS];

/* `extra`: also newcomers, clients that are not stationary, large messages, slow readers, wrong counters. */
void scenario_draw(struct scenario *s, uint64_t seed, bool flood, bool extra);

/* Messages a nanosecond that the application can work off. */
double scenario_capacity(const struct scenario *s);

/* How long one message takes, for the bound on latency. */
double scenario_service(const struct scenario *s, bool flood);

/* Takes only what it works on. */
bool scenario_is_lazy(const struct scenario *s);

#endif
