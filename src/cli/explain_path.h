/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The fate of a client at a gate, for `weir explain`: step by step in the order of its path.
 *
 * The steps: its source, the number of its connections, its handshake, the address from which the application sees it,
 * its subscriptions, a message, and messages at a rate. Each step calls the function that the gate calls. The client is
 * the only one, and was not seen before. A running Weir's knowledge of sources (bans, used-up rates) is not consulted,
 * nor anything that depends on the application's speed. NULL and PLAIN only; inside CURVE there is nothing to see.
 * Pure; owned by the caller.
 */
#ifndef WEIR_CLI_EXPLAIN_PATH_H
#define WEIR_CLI_EXPLAIN_PATH_H

#include "base/attr.h"
#include "base/cursor.h"
#include "config/config.h"
#include "preload/socket_options.h"

#define EXPLAIN_PATH_STEPS_MAX 24u

/* Bounds on what one step tries out. */
#define EXPLAIN_PATH_MESSAGES_MAX   UINT64_C(2000000)
#define EXPLAIN_PATH_BYTES_MAX      (UINT64_C(4) << 30)
#define EXPLAIN_PATH_SIZE_MAX       (UINT64_C(64) << 30)
#define EXPLAIN_PATH_CONNECTION_MAX 1000000u

struct explain_path_question {
    struct addr from;
    bool has_type, has_identity, has_message, has_topic;
    enum socket_type type; /* of the client */
    struct bytes identity, topic;
    uint64_t size;
    uint32_t frames;            /* at least 1 */
    struct rate rate;           /* of such messages; unlimited: one message */
    uint32_t connections;       /* at once; at least 1 */
    struct socket_options told; /* by libzmq of the application's socket, as under `weir run` */
};

enum explain_path_outcome {
    EXPLAIN_PATH_SAYS,    /* no decision is made here */
    EXPLAIN_PATH_PASSES,  /* a limit is kept */
    EXPLAIN_PATH_SHADOW,  /* a rule in shadow would have acted: it passes */
    EXPLAIN_PATH_WAITS,   /* the client is not read for a while */
    EXPLAIN_PATH_DROPPED, /* the message is dropped; the connection stays */
    EXPLAIN_PATH_CLOSED,  /* the connection is closed, or not accepted */
};

struct explain_path_step {
    const struct schema_key *key; /* NULL: no key of the configuration, always in force */
    const char *option;           /* the value in force is this option's: "ZMQ_MAXMSGSIZE"; NULL: the key's */
    char value[32];               /* of the option */
    enum explain_path_outcome outcome;
    enum verdict verdict; /* PASS unless something is done, or would be done */
    char said[160];
};

struct explain_path {
    const struct config_gate *gate;
    enum socket_type app; /* the application's socket */
    unsigned cohort;
    struct limits force, shadow; /* for this source */
    struct explain_path_step steps[EXPLAIN_PATH_STEPS_MAX];
    size_t count;
    const struct explain_path_step *decides; /* the first step that does something; NULL: the client passes */
};

/* "passes", "in shadow", "waits", "dropped", "closed"; "". */
const char *explain_path_outcome_word(enum explain_path_outcome o);

/* False: no memory. */
MUST_USE bool explain_path_walk(struct explain_path *ret, const struct config *c, const struct config_gate *gate,
                                const struct explain_path_question *q);

/* The cost of the step's verdict to the source, as a sentence. Returns `dst`. */
char *explain_path_cost(char *dst, size_t size, const struct explain_path *j, const struct explain_path_question *q,
                        const struct explain_path_step *s);

#endif
