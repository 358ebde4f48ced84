/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Answers questions of another thread about the connections, or closes those it names (kick).
 *
 * A session belongs to its worker, so each worker looks through its own sessions: between two rounds, a bounded part
 * each time, and only while a survey is under way (one plain load a round otherwise). It copies rows into memory that
 * the asker has brought; the heaviest, if there are more than fit.
 *
 * A survey belongs to the asker and to each worker that has not finished it, and is freed with the last reference. An
 * asker that gives up leaves no dangling pointer. One thread asks at a time. A survey replaces another one that a
 * worker has not begun.
 *
 * Memory: rows x workers x about 150 bytes while it lasts, outside the memory account: an operator must see something
 * when that is full.
 */
#ifndef WEIR_RELAY_SURVEY_H
#define WEIR_RELAY_SURVEY_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/network.h"
#include "flow/reqlimit_report.h"
#include "stats/heaviest.h"
#include "zmtp/socket_type.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SURVEY_ROWS_MAX 1000u
#define SURVEY_ALL      UINT32_MAX

enum survey_kind { SURVEY_CONNECTIONS, SURVEY_SOURCES, SURVEY_KICK };

struct survey_ask {
    enum survey_kind kind;
    uint32_t gate;          /* its number; SURVEY_ALL: all of them */
    struct network network; /* of kind ADDR_NONE: everybody */
    uint64_t id;            /* one connection; 0: all */
    size_t rows;            /* up to SURVEY_ROWS_MAX; ignored for SURVEY_KICK */
};

enum connection_state { CONNECTION_WAITING, CONNECTION_HANDSHAKE, CONNECTION_OPEN };

/* Traffic since a connection was accepted; in: from the client. With CURVE, messages are frames. */
struct traffic_sums {
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
};

struct connection_row {
    uint64_t weight; /* bytes both ways; first, as heaviest.h wants it */
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

union survey_rows {
    struct connection_row *connections;
    struct source_row *sources;
    void *any;
};

/* The answer. The caller frees the rows with free(); the heaviest come first. */
struct survey_answer {
    bool complete;    /* every worker has answered in time */
    uint64_t matched; /* connections or sources that match the ask, or that were closed */
    size_t count;
    union survey_rows rows;
};

struct survey_part {
    struct heaviest kept;
    uint64_t matched;
    _Atomic bool done;
};

struct survey {
    struct survey_ask ask;
    _Atomic unsigned refs;
    _Atomic bool abandoned; /* the asker has given up: nothing is to be closed for it */
    sem_t finished;         /* posted by each worker */
    unsigned workers;
    void *rows;
    struct survey_part parts[];
};

struct worker;

/* A worker's part in it; all zero at the start. */
struct survey_worker {
    struct survey *current;         /* the survey that is under way; else NULL */
    size_t at;                      /* the chain of its peers to be visited next */
    _Atomic(struct survey *) given; /* not begun yet */
};

/* NULL when memory is out. With one reference. Any thread. */
MUST_USE struct survey *survey_new(const struct survey_ask *ask, unsigned workers);

/* Gives a reference back. Accepts NULL. Any thread. */
void survey_release(struct survey *s);

/* Hands it to a worker. The asker's thread. */
void survey_give(struct survey *s, struct worker *w);

/* Waits until all have finished, at most until `until_ns`. After that no worker begins to close anything for it. The
 * asker's thread. */
void survey_await(struct survey *s, uint64_t until_ns);

/* Joins the results of the workers that have finished. 0 or -ENOMEM. The asker's thread. */
MUST_USE int survey_collect(const struct survey *s, struct survey_answer *ret);

/* The worker: takes over the survey it was given, and works on one part of it. */
void survey_take(struct worker *w);
void survey_step(struct worker *w);

/* Releases the surveys of a worker that ends. */
void survey_drop(struct worker *w);

#endif
