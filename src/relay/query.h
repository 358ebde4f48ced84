/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Answers questions of another thread about the connections, or closes those it names (kick).
 *
 * A session belongs to its worker, so each worker looks through its own sessions: between two rounds, a bounded part
 * each time, and only while a query is under way (one plain load a round otherwise). It copies rows into memory that
 * the asker has brought; the heaviest, if there are more than fit.
 *
 * A query belongs to the asker and to each worker that has not finished it, and is freed with the last reference. An
 * asker that gives up leaves no dangling pointer. One thread asks at a time. A query replaces another one that a
 * worker has not begun.
 *
 * Memory: rows x workers x about 150 bytes while it lasts, outside the memory account: an operator must see something
 * when that is full.
 */
#ifndef WEIR_RELAY_QUERY_H
#define WEIR_RELAY_QUERY_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/network.h"
#include "flow/reqlimit_report.h"
#include "stats/top_k.h"
#include "zmtp/socket_type.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define QUERY_ROWS_MAX 1000u
#define QUERY_ALL      UINT32_MAX

enum query_kind { QUERY_CONNECTIONS, QUERY_SOURCES, QUERY_KICK };

struct query_ask {
    enum query_kind kind;
    uint32_t gate;          /* its number; QUERY_ALL: all of them */
    struct network network; /* of kind ADDR_NONE: everybody */
    uint64_t id;            /* one connection; 0: all */
    size_t rows;            /* up to QUERY_ROWS_MAX; ignored for QUERY_KICK */
};

enum connection_state { CONNECTION_WAITING, CONNECTION_HANDSHAKE, CONNECTION_OPEN };

/* Traffic since a connection was accepted; in: from the client. With CURVE, messages are frames. */
struct traffic_sums {
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
};

struct connection_row {
    uint64_t weight; /* bytes both ways; first, as top_k.h wants it */
    uint64_t id;     /* unique in the process, never 0 */
    struct addr addr;
    uint32_t gate;
    enum connection_state state;
    enum socket_type socket;   /* of the client; AUTO: not seen (yet) */
    bool paused;               /* Weir does not read it now: a limit, its turn, or memory */
    bool blocked;              /* its receiver takes nothing, either way */
    struct reqlimit_hold hold; /* why its next message waits */
    uint64_t age_ns, idle_ns;
    struct traffic_sums sums;
};

struct source_row {
    uint64_t weight;    /* as above, of all its connections */
    const void *source; /* tells sources apart; not to be dereferenced */
    char text[ADDR_TEXT_MAX];
    struct addr addr; /* of one of its connections */
    uint32_t gate;
    uint32_t connections, paused;
    uint32_t strikes;
    bool exempt, probation;
    struct traffic_sums sums;
};

union query_rows {
    struct connection_row *connections;
    struct source_row *sources;
    void *any;
};

/* The answer. The caller frees the rows with free(); the heaviest come first. */
struct query_answer {
    bool complete;    /* every worker has answered in time */
    uint64_t matched; /* connections or sources that match the ask, or that were closed */
    size_t count;
    union query_rows rows;
};

struct query_part {
    struct top_k kept;
    uint64_t matched;
    _Atomic bool done;
};

struct query {
    struct query_ask ask;
    _Atomic unsigned refs;
    _Atomic bool abandoned; /* the asker has given up: nothing is to be closed for it */
    sem_t finished;         /* posted by each worker */
    unsigned workers;
    void *rows;
    struct query_part parts[];
};

struct worker;

/* A worker's part in it; all zero at the start. */
struct query_worker {
    struct query *current;         /* the query that is under way; else NULL */
    size_t at;                     /* the chain of its source_conns to be visited next */
    _Atomic(struct query *) given; /* not begun yet */
};

/* NULL when out of memory. With one reference. Any thread. */
MUST_USE struct query *query_new(const struct query_ask *ask, unsigned workers);

/* Gives a reference back. Accepts NULL. Any thread. */
void query_release(struct query *s);

/* Hands it to a worker. The asker's thread. */
void query_give(struct query *s, struct worker *w);

/* Waits until all have finished, at most until `until_ns`. After that no worker begins to close anything for it. The
 * asker's thread. */
void query_await(struct query *s, uint64_t until_ns);

/* Joins the results of the workers that have finished. 0 or -ENOMEM. The asker's thread. */
MUST_USE int query_collect(const struct query *s, struct query_answer *ret);

/* The worker: takes over the query it was given, and works on one part of it. */
void query_take(struct worker *w);
void query_step(struct worker *w);

/* Releases the queries of a worker that ends. */
void query_drop(struct worker *w);

#endif
