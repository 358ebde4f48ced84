/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The relay: creates, starts, reloads and ends the gates, listeners and worker threads.
 *
 * Made and driven by the daemon's main thread; the admin thread reads snapshots.
 */
#ifndef WEIR_RELAY_RELAY_H
#define WEIR_RELAY_RELAY_H

#include "bans/bans.h"
#include "base/attr.h"
#include "config/config.h"
#include "flow/pressure.h"
#include "flow/reqlimit_report.h"
#include "limits/source.h"
#include "limits/verdict.h"
#include "relay/ban_lists.h"
#include "relay/event_log.h"
#include "relay/gate.h" /* enum class_cell */
#include "relay/gate_settings.h"
#include "relay/query.h"
#include "stats/metrics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct relay;

/* Raises the descriptor limit, binds every listener, allocates all tables. `c` must outlive the relay. NULL with
 * errno, after a line to `errors` that says what failed and what to do. Main thread. */
MUST_USE struct relay *relay_new(const struct config *c, FILE *errors);

/* Bans the networks of ban.lists and starts the workers. 0 or -errno. */
MUST_USE int relay_start(struct relay *r);

/* The configuration in force: `c` of relay_new(), or the last one that relay_reload() took over. Main thread; valid
 * until the next relay_reload(). */
const struct config *relay_config(const struct relay *r);

/* Puts another configuration into force. Its gates, addresses and other keys that need a restart must be those of the
 * start (config/diff.h).
 * - Connections and the state of limiters stay. Every waiting session is judged again.
 * - Networks that have come into ban.lists are banned; those that have gone from there are not banned any more
 *   (*ret_lists).
 * - Takes over `c`. On failure the caller keeps `c` and nothing has changed: -ENOMEM, or -EBUSY when the workers have
 *   not adopted the previous ones.
 * - Waits until the workers have adopted it, at most a second. Main thread, after relay_start(). */
MUST_USE int relay_reload(struct relay *r, struct config *c, struct ban_lists_result *ret_lists);

/* For the metrics: an attempt to reload has succeeded, or was refused. */
void relay_count_reload(struct relay *r, bool done);

/* ---- gates that come and go (config.patterns): main thread, after relay_start() ---- */

struct gate_opening {
    const char *name; /* [A-Za-z0-9_-]{1,32}; no other open gate has it */
    int listener;     /* of TCP, listening; taken over in any case */
    struct endpoint forward;
    struct run_table *book;            /* see client_book.h; outlives the relay */
    const struct socket_options *told; /* by libzmq, of the application's socket (told.h); NULL: nothing */
};

/* Opens a gate on a given listener. A closed gate of that name is opened again, with what it has learned of its
 * clients. Returns its number or -errno: -EMFILE when CONFIG_GATES_MAX gates are open or still have connections,
 * -ENOENT when no pattern is for that port. */
MUST_USE int relay_open_gate(struct relay *r, const struct gate_opening *o);

/* The process at the other end of `line`, a connected Unix socket that is taken over, counts what the application
 * takes (counter.h) until it hangs up or the gate closes. 0, or -errno: -EBUSY when another process counts. */
MUST_USE int relay_count_at(struct relay *r, size_t gate, int line);

/* A gate was wanted that relay_open_gate() was not even asked for. */
void relay_count_refused(struct relay *r);

/* Stops listening: the address is free when this returns. Connections stay. */
void relay_close_gate(struct relay *r, size_t gate);

/* The application's socket was given ZMQ_ROUTER_HANDOVER while its gate is open, or it was taken from it. */
void relay_hand_over(struct relay *r, size_t gate, bool on);

/* A gate of the configuration is told of its application's socket. Between relay_new() and relay_start(). */
void relay_tell_gate(struct relay *r, size_t gate, const struct socket_options *told);

/* Stops listening and closes each connection as soon as it is between messages and quiet. Returns at once. Main thread.
 */
void relay_drain(struct relay *r);

/* Client connections still open. Any thread. */
uint64_t relay_open_connections(const struct relay *r);

/* Ends the workers at once and waits for them; then frees everything. Accepts NULL. Main thread. */
void relay_free(struct relay *r);

/* ---- bans: any thread ---- */

/* The ban table of all gates; valid as long as the relay. A direct change of it does not tell the workers: use it for
 * restoring before relay_start(), and for reading. */
struct bans *relay_bans(struct relay *r);

/* Logs how many lines were held back, where no next line has told it for a while. To be called once a second. */
void relay_tell_held_lines(struct relay *r);

/* Looks at what has passed since the last time (relay/busiest.h). To be called once a second. */
void relay_look_at_traffic(struct relay *r);

/* For the ban store: the claims that survive a restart (relay/kept_claims.h). The first grows whenever a message
 * passes. The second gives bytes to be freed by the caller, or NULL when out of memory. The third restores them before
 * relay_start(), and returns NULL or a text that says what is wrong with them. */
uint64_t relay_claims_served(struct relay *r);
MUST_USE uint8_t *relay_claims_write(struct relay *r, size_t *ret_len);
MUST_USE const char *relay_claims_read(struct relay *r, const uint8_t *bytes, size_t len);

/* An operator's ban, BAN_FOR_EVER or from now on; connections of `who` are closed. False: the table has no room. And
 * its end; false: exactly this network was not banned. */
bool relay_ban(struct relay *r, const struct network *who, uint64_t duration_ns);
bool relay_unban(struct relay *r, const struct network *who);

/* Why an operator must not ban this network, as a sentence in `why`. Either it would do nothing (the network is exempt
 * at every gate), or too much: an application answers there, it is a large part of the world, or with the existing bans
 * nobody is left. False: there is no reason. Not for workers. */
bool relay_ban_objection(struct relay *r, const struct network *who, char *why, size_t size);

/* Asks the workers about their connections, or has them close some, and waits for them, at most `patience_ns`. A worker
 * does it between two rounds. The caller owns the rows. 0 or -ENOMEM. One thread at a time. */
MUST_USE int relay_query(struct relay *r, const struct query_ask *ask, uint64_t patience_ns, struct query_answer *ret);

/* The event log of all gates, or NULL when none is configured; valid as long as the relay. */
struct event_log *relay_events(struct relay *r);

/* ---- snapshots: any thread; consistent to within the moment of reading ---- */

struct class_snapshot {
    const char *name; /* valid as long as the relay */
    uint64_t cells[CLASS_CELL_COUNT];
};

struct gate_snapshot {
    const char *name;               /* valid as long as the relay */
    char listen[ENDPOINT_TEXT_MAX]; /* the real address, wildcard port resolved; "" when it does not listen any more */
    char forward[ENDPOINT_TEXT_MAX];
    bool closed;                      /* by its program: it comes and goes, so that is no fault */
    bool is_past;                     /* it has been closed for so long that nobody needs to see it any more */
    bool upstream_up;                 /* the application answered the last attempt */
    enum breaker_state breaker;       /* of the application */
    uint64_t breaker_opened;          /* number of times it opened */
    char mechanism[21];               /* learned: "NULL", "PLAIN", "CURVE"; "" while unknown */
    unsigned upstream_minor;          /* learned: ZMTP 3.<minor> */
    const char *socket;               /* configured or learned: "router", ...; "auto" while unknown */
    uint32_t max_connections;         /* in force */
    bool marks_known;                 /* libzmq has told the next two */
    uint32_t receive_mark, send_mark; /* ZMQ_RCVHWM and ZMQ_SNDHWM of the application's socket; 0: no limit */
    uint64_t cells[CELL_COUNT];       /* gauges are non-negative */
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t shadow_verdicts[VERDICT_COUNT]; /* verdicts that rules in shadow would have given */
    struct reqlimit_report limiter;          /* why messages are held, if any are */
    uint64_t held_ns;                        /* for how long a session has been in line; 0: none is */
    bool limiter_off;                        /* concurrency.limit */
    size_t class_count;                      /* 0: none are configured */
    struct class_snapshot classes[CLASS_COUNT_MAX];
};

/* The kernel's part in bans, written by the module that reports them to the kernel. */
struct kernel_bans {
    _Atomic uint64_t wanted;         /* 1: a gate has ban.kernel */
    _Atomic uint64_t in_force;       /* 1: the kernel has been told of all bans that it is to know */
    _Atomic uint64_t seen;           /* number of the last change that it was told of */
    _Atomic uint64_t entries;        /* of these changes, the bans that have not expired */
    _Atomic uint64_t packets, bytes; /* dropped */
    _Atomic uint64_t replacements;   /* number of times it was told all of them anew */
    _Atomic uint64_t failures;       /* number of times it refused an update */
};

/* Valid as long as the relay. Any thread. */
struct kernel_bans *relay_kernel_bans(struct relay *r);

struct kernel_snapshot {
    uint64_t in_force, entries, packets, bytes, replacements, failures;
};

struct relay_snapshot {
    unsigned workers;
    uint64_t held_bytes, held_peak_bytes, memory_limit_bytes; /* the memory account */
    enum pressure_level memory_pressure;
    uint64_t fd_limit;
    uint64_t gates_open, gates_opened, gates_refused;
    uint64_t reloads, refused_reloads;
    uint64_t generation; /* of the configuration in force; 1: from the start */
    uint64_t loaded_ns;  /* when that was read, since the Unix epoch */
    struct source_stats sources;
    struct bans_stats bans;
    struct event_log_stats events;
    struct kernel_snapshot kernel;
};

size_t relay_gate_count(const struct relay *r);

/* The most that relay_gate_count() may become. */
size_t relay_gate_room(const struct relay *r);

/* Valid as long as the relay. */
const char *relay_gate_name(const struct relay *r, size_t gate);
void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret);
void relay_snapshot(const struct relay *r, struct relay_snapshot *ret);

/* What is in force at a gate, and where it comes from. Returns the number of settings. */
size_t relay_gate_settings(const struct relay *r, size_t gate, struct gate_setting ret[GATE_SETTINGS_MOST]);

#endif
