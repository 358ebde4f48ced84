/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Tries out one client of a gate: the judge of traffic itself judges its messages, with the limits of its source, in
 * virtual time, before an application that takes everything at once.
 *
 * The client is the only one. Pure; some hundred KiB while it lasts.
 */
#ifndef WEIR_CLI_SIMULATION_H
#define WEIR_CLI_SIMULATION_H

#include "base/attr.h"
#include "inspect/traffic.h"
#include "zmtp/socket_type.h"

struct simulation {
    const struct limits *limits;
    struct account account;
    struct traffic_gate gate;
    struct source source;
    struct topics topics;
    struct traffic traffic;
    struct traffic_shadow shadow; /* the verdicts of rules in shadow during the last trial_*() */
    uint64_t now_ns;
    uint8_t *window;
    size_t room;
};

enum simulation_fate { SIMULATION_PASSES, SIMULATION_WAITS, SIMULATION_DROPPED, SIMULATION_CLOSED };

struct simulation_result {
    enum simulation_fate fate;
    enum verdict verdict; /* why; PASS when it passes */
};

/* A message: `size` bytes in `frames` frames of the same size, or nearly. */
struct simulation_message {
    uint64_t size;
    uint32_t frames;   /* at least 1 */
    bool has_envelope; /* an empty frame precedes it, as with REQ */
};

/* `limits`: those in force for the source, with their shadow; they must outlive it. False: no memory. */
MUST_USE bool simulation_init(struct simulation *t, const struct limits *limits, enum socket_type client,
                              enum socket_type app);
void simulation_fini(struct simulation *t);

/* Sends one message, and waits as long as it must (t->now_ns moves on). After CLOSED nothing more can be sent. */
struct simulation_result simulation_say(struct simulation *t, const struct simulation_message *m);

/* Subscribes to a topic of up to 65536 bytes. */
struct simulation_result simulation_subscribe(struct simulation *t, const void *topic, size_t len);

/* The verdict of rules in shadow on the last message or subscription; PASS: none. */
enum verdict simulation_shadow(const struct simulation *t);

#endif
