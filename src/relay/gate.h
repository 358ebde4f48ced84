/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A gate at run time: the state that all workers share, such as limits, counters, and what is known of the application.
 *
 * Made by relay_new(), freed after the workers have ended. Every member that changes is atomic or has a lock of its
 * own, such as the limiter, the source table, the table of routing ids, and the ban tables. Counters have one set of
 * cells for each worker, and only that worker writes them.
 */
#ifndef WEIR_RELAY_GATE_H
#define WEIR_RELAY_GATE_H

#include "bans/bans.h"
#include "base/log.h"
#include "config/config.h"
#include "flow/breaker.h"
#include "flow/lag.h"
#include "inspect/handshake.h"
#include "inspect/traffic.h"
#include "limits/refcount_table.h"
#include "limits/source.h"
#include "limits/verdict.h"
#include "limits/visits.h"
#include "relay/app_facts.h"
#include "relay/gate_limiter.h"
#include "relay/reach.h"
#include "relay/told.h"
#include "stats/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One writer for each set, so plain adds on relaxed atomics suffice. */
struct cells {
    _Alignas(64) _Atomic uint64_t metric[CELL_COUNT];
    _Atomic uint64_t verdict[VERDICT_COUNT];
    _Atomic uint64_t shadow[VERDICT_COUNT]; /* of rules in shadow */
};

/* For a cell that only its one writer changes. */
static inline void add_alone(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void cell_add(struct cells *c, enum metric_cell m, uint64_t n)
{
    add_alone(&c->metric[m], n);
}

static inline void cell_sub(struct cells *c, enum metric_cell m, uint64_t n)
{
    cell_add(c, m, (uint64_t)0 - n);
}

/* Counters of each class, by its number; only where classes are configured. */
enum class_cell { CLASS_CONNECTIONS, CLASS_MESSAGES, CLASS_SHED, CLASS_CELL_COUNT };

struct class_cells {
    _Alignas(64) _Atomic uint64_t at[CLASS_COUNT_MAX][CLASS_CELL_COUNT];
};

static inline void class_cell_add(struct class_cells *cells, unsigned class, enum class_cell c, uint64_t n)
{
    add_alone(&cells->at[class][c], n);
}

#define SHARED_ADDRESS_PLACES 16u

struct event_log;

#define GATE_PREFIX_SLOTS 4096u

/* What is known of a source when it comes: useless a moment ago; nothing; good (strangers.h). In this order. */
enum standing { STANDING_USELESS, STANDING_STRANGER, STANDING_GOOD, STANDING_COUNT };

struct gate_listen {
    struct endpoint endpoint; /* the real address */
    char text[ENDPOINT_TEXT_MAX];
    _Atomic bool up;
};

/* Connections of all workers, by what they are. */
struct gate_counts {
    _Atomic uint32_t max;  /* in force: lowered when the application's descriptor limit is learned */
    _Atomic uint32_t room; /* connections that this limit leaves room for; UINT32_MAX: not known */
    _Atomic uint32_t open, half_open;
    _Atomic uint32_t established; /* their handshake with the application is done: while there are any, it is known to
                                   * be alive */
    _Atomic uint32_t upstream;    /* to the application, including those whose end it has not seen (linger.h) */
    _Atomic uint32_t linger_waiting; /* lingering connections that are not reported to the application yet (linger.h) */
    _Atomic uint32_t unnamed;        /* their PROXY protocol header has not come (proxied.h) */
    _Atomic uint32_t tarpitted;      /* of banned sources, and kept (ban_enforce.h) */
};

/* What is remembered of sources and their networks (strangers.c). */
struct gate_visits {
    uint64_t began_ns;                            /* since when they are remembered: the gate's start */
    _Atomic uint32_t regulars;                    /* sources that came into good standing since the start,
                                                   * approximately */
    struct visits useless;                        /* sources whose connections were of no use lately */
    _Atomic uint32_t prefixes[GATE_PREFIX_SLOTS]; /* recent arrivals by a hash of the prefix */
};

struct gate_notices {
    struct log_limit verdicts[VERDICT_COUNT];
    struct log_limit shadow[VERDICT_COUNT];
    struct log_limit shadow_ban;
    struct log_limit strikes[VERDICT_COUNT];
    struct log_limit bans[BAN_REASON_COUNT];
    struct log_limit probation, spared;
    struct log_limit reach, silent;                   /* the application cannot be connected to; says nothing of use */
    struct log_limit breaker[BREAKER_NOW_CLOSED + 1]; /* by enum breaker_change */
};

/* Where a gate stands among the others. */
struct gate_origin {
    size_t pattern;         /* the gate of the configuration that it has its limits from */
    const char *name;       /* valid as long as the relay */
    struct run_table *book; /* where the application finds out who its clients are (client_book.h); NULL: nowhere */
    struct told told;       /* what libzmq says of the application's socket */
};

struct gate {
    struct gate_origin origin;
    const struct config_gate *config; /* from the start: names, addresses, classes; what can change is in
                                       * worker_gate.policy */
    struct gate_listen listen;
    struct endpoint forward;
    struct gate_counts counts;
    struct cells *cells;             /* one for each worker */
    struct class_cells *class_cells; /* the same; NULL: there are no classes */
    struct source_table *sources;
    struct gate_visits visits;
    struct traffic_gate traffic;
    gcra_word removals; /* limiter of topics that the application removes (linger.h) */
    struct lag lag;     /* of its subscribers */
    struct refcount routing_ids;
    struct gate_limiter limiter;
    struct app_facts app;
    struct reach reach;
    struct breaker breaker;             /* see health.h */
    _Atomic uint64_t handshaking_bytes; /* of CELL_SENT_IN, in handshakes */
    _Atomic uint32_t counter_state;     /* enum taken_state of the application's counter (counter.h) */
    struct bans *bans;                  /* of all gates; NULL: no bans, and no strikes are counted */
    struct bans *shadow_bans;           /* addresses that a ban in shadow would ban, as far as there is room */
    struct hash_key lot_key;            /* of the cohorts of sources (limits/enforce.h) */
    struct event_log *events;           /* of all gates; NULL: events are not written down (event_log.h) */
    struct gate_notices notices;
    /* when an address that hashes to this place was reported as a likely load balancer (shared_address.h) */
    _Atomic uint64_t shared_addresses[SHARED_ADDRESS_PLACES];
};

/* `bans` may be NULL and must outlive the gate. 0, or -ENOMEM. */
MUST_USE int gate_init(struct gate *g, const struct config_gate *config, const struct config *whole, unsigned workers,
                       struct account *account, struct bans *bans);
void gate_fini(struct gate *g);

/* The application's socket type: configured, or the last that it has shown. */
static inline enum socket_type gate_socket(const struct gate *g)
{
    return app_facts_socket(&g->app);
}

/* Sets the connections in force: as many as the limits allow and the application has room for. Returns whether the
 * number has changed and is lower than the limits'. Any worker. */
bool gate_bound_connections(struct gate *g, const struct limits *l);

/* After the workers have adopted other limits: debts are cut to what the limits could have caused. Where strikes are
 * counted in another way than before, their count starts over. Walks the source table. Main thread. */
void gate_forgive(struct gate *g, const struct limits *was, const struct limits *l, uint64_t now_ns);

/* The cohort of an acquired source. Sources that share an entry all have the entry's cohort. */
static inline unsigned gate_cohort(const struct gate *g, const struct source *s)
{
    return enforce_cohort(&g->lot_key, (struct source_key){.bits = s->bits, .kind = (enum source_kind)s->kind});
}

/* The application has closed its end of this connection (client_book.h). */
void gate_forget_connection(struct gate *g, int fd);

/* Counts `n` verdicts for a worker. */
void gate_count_verdict(struct gate *g, unsigned worker, enum verdict v, unsigned n);

#endif
