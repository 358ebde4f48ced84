/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The record of a relay, for the files that make it up: relay.c (start, reload, end), relay_descriptors.c,
 * relay_snapshot.c and relay_bans.c. Nobody else includes this.
 */
#ifndef WEIR_RELAY_RELAY_INNER_H
#define WEIR_RELAY_RELAY_INNER_H

#include "relay/policy_snapshot.h"
#include "relay/relay.h"
#include "relay/worker.h"

struct relay {
    const struct config *config;
    struct account account;
    struct bans *bans;
    struct event_log *events; /* NULL: not configured */
    struct kernel_bans kernel;
    struct pressure pressure;
    struct gate *gates;
    size_t gate_count;
    struct worker **workers;
    unsigned worker_count;
    uint64_t fd_limit;
    struct policy_publisher publisher;
    pthread_mutex_t reading; /* held to read a snapshot outside its workers, and to free one */
    _Atomic uint64_t reloads, refused_reloads, generation;
    _Atomic uint64_t loaded_ns; /* when the configuration in force was read, since the Unix epoch */
};

/* Raises this process's limit of descriptors as far as it may, and returns it. Makes the kernel's table of them wide,
 * before there are threads. */
uint64_t relay_raise_descriptors(void);

/* Lowers a configuration to what this process can keep to. Before it is published. */
void relay_fit(const struct relay *r, struct policy_snapshot *p);

#endif
