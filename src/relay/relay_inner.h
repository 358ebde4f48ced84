/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The record of a relay, for the files that make it up: relay.c (start, reload, end), relay_listeners.c,
 * relay_descriptors.c, relay_gates.c (gates that come and go), relay_snapshot.c and relay_bans.c, and for
 * relay_gates_test.c. Nobody else includes this.
 */
#ifndef WEIR_RELAY_RELAY_INNER_H
#define WEIR_RELAY_RELAY_INNER_H

#include "relay/busiest.h"
#include "relay/policy_snapshot.h"
#include "relay/relay.h"
#include "relay/worker.h"

/* The gates of a relay whose configuration has patterns. Main thread, and under `reading` where others read. */
struct gate_slot {
    struct config_gate config; /* the pattern's, with its own name and addresses */
    bool open;
    uint64_t closed_ns;
};

struct relay {
    const struct config *config;
    struct gate_slot *slots; /* CONFIG_GATES_MAX of them; NULL: the gates are those of the configuration */
    struct gate_name *names; /* every name that a slot has had */
    sem_t parked;            /* see struct parking */
    struct account account;
    struct bans *bans;
    struct event_log *events; /* NULL: not configured */
    struct kernel_bans kernel;
    struct pressure pressure;
    struct gate *gates;
    struct busiest *busiest;   /* one for each; under `reading` */
    _Atomic size_t gate_count; /* with slots: up to the last that was used */
    struct worker **workers;
    unsigned worker_count;
    uint64_t fd_limit;
    struct policy_publisher publisher;
    pthread_mutex_t reading; /* held to read a snapshot outside its workers, and to free one */
    _Atomic uint64_t reloads, refused_reloads, generation;
    _Atomic uint64_t opened, refused; /* gates that have come, or were wanted and could not */
    _Atomic uint64_t loaded_ns;       /* when the configuration in force was read, since the Unix epoch */
};

/* The lock of those who only read. */
static inline pthread_mutex_t *relay_reading(const struct relay *r)
{
    return (pthread_mutex_t *)&r->reading;
}

/* Raises this process's limit of descriptors as far as it may, and returns it. Makes the kernel's table of them wide,
 * before there are threads. */
uint64_t relay_raise_descriptors(void);

/* Lowers a configuration to what this process can keep to. Before it is published. */
void relay_fit(const struct relay *r, struct policy_snapshot *p);

/* Opens the listener of a gate, for each worker. 0 or -errno. */
MUST_USE int relay_listen(struct relay *r, size_t gate);

/* The same on one listener that all workers share, `fd`, which is taken over. */
MUST_USE int relay_share_listener(struct relay *r, size_t gate, int fd);

void relay_free_names(struct relay *r);

#endif
