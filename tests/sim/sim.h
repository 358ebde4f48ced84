/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Floods in virtual time: the production code of policy/ (source table, limiters) and flow/ (valve, turns, concurrency)
 * between clients and an application that are models. Sources come in groups that behave alike; the application serves
 * its connections in turns, as libzmq does, with some servers.
 *
 * One thread, deterministic by its seed. Memory: some hundred bytes a connection that exists, 40 bytes a source.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include "base/property.h"
#include "flow/valve.h"
#include "policy/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_GROUPS 8u

enum sim_kind {
    SIM_POISSON, /* each source sends `rate` requests a second, at random, whatever the replies do */
    SIM_ZIPF,    /* `rate` of the group: the n-th source sends 1/n as many; connections last for a request */
    SIM_GREEDY,  /* each connection always has another request */
    SIM_CLOSED,  /* each connection sends the next request `off_ns` after the reply */
    SIM_BURSTS,  /* each connection sends `burst` requests every `off_ns` */
    SIM_ON_OFF,  /* greedy for `on_ns`, silent for `off_ns` */
    SIM_CHURN,   /* greedy, with a new connection for each request */
};

struct sim_group {
    const char *name;
    enum sim_kind kind;
    uint32_t sources, connections; /* connections of each */
    double rate;
    uint64_t on_ns, off_ns;
    uint64_t start_ns; /* SIM_BURSTS, SIM_ON_OFF: of the first; 0: at random */
    uint32_t burst;
    bool sparse; /* asks for little: is to get all of it */
};

enum sim_service { SIM_CONSTANT, SIM_EXPONENTIAL };

struct sim_app {
    uint32_t servers;
    uint64_t service_ns;
    enum sim_service service;
};

struct sim_config {
    const char *name;
    struct sim_app app;
    struct sim_app later; /* from `change_ns` on, when that is not 0 */
    uint64_t change_ns, warm_up_ns, end_ns;
    bool learns;     /* nobody has told the valve that requests are answered */
    bool no_turns;   /* everything goes to the application at once, up to SIM_PIPE of each connection */
    size_t capacity; /* of the source table */
    size_t turns;    /* sources that can wait, each with an entry of its own; 0: as many as in the relay */
    uint64_t seed;
    struct sim_group groups[SIM_GROUPS];
    /* Called every millisecond, or NULL. */
    void (*watch)(void *argument, uint64_t now_ns, const struct valve_stats *stats);
    void *argument;
};

/* Messages that the application's end of a connection holds. */
#define SIM_PIPE 100u

/* From warm_up_ns on. */
struct sim_result {
    uint64_t answered;
    double utilisation;
    uint32_t connections_most; /* at the same time */
    size_t sources_seen;
    struct source_stats sources;
    size_t turns_bytes;
    uint32_t left_in_hand; /* after all have gone: must be 0 */
    struct {
        uint32_t first, count; /* in demand[] and served[] */
        double goodput;        /* answered of what was asked for */
        double jain;           /* of what the sources were served */
        double mean, least, most;
        uint64_t median_ns, p99_ns, worst_ns;
    } groups[SIM_GROUPS];
    uint32_t sources_count;
    uint32_t *demand, *served; /* by source; UINT32_MAX: more than could be */
};

void sim_run(const struct sim_config *config, struct sim_result *ret);
void sim_result_free(struct sim_result *r);

/* The share of each source that is max-min fair, when the groups marked sparse get all they ask for first: the level up
 * to which the others' demands are met. */
double sim_level(const struct sim_config *config, const struct sim_result *r);

/* Of the demand below the level, the least that any source of a group was served: 1 is fair. */
double sim_least_share(const struct sim_result *r, unsigned group, double level);

#endif
