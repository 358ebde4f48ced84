/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The record of a session, and what every feature needs of it: its alarm, its place in the run queue, its end, its
 * limits, counters and log lines. The life of a session is in session.h.
 *
 * What a feature keeps here is a struct of its own header. Bits and bytes of all of them stand together in
 * session_flags: there are many sessions.
 *
 * Threads: belongs to the worker that accepted it; no other thread touches it. Under the limiter's lock another worker
 * may link `request_flow` into limiter_worker.woken; under the table's lock it may use the client's descriptor
 * (claim.h). Memory: under 700 bytes and, from its first message on, REQUEST_FLOW_BYTES (request_flow.h). Both are
 * charged to the memory account from the start. Buffers only while bytes wait.
 */
#ifndef WEIR_RELAY_RECORD_H
#define WEIR_RELAY_RECORD_H

#include "base/addr.h"
#include "limits/topics.h"
#include "relay/lane.h"
#include "relay/progress.h"
#include "relay/request_flow.h"
#include "relay/slow_reader.h"
#include "relay/socket_side.h"
#include "relay/source_conns.h"
#include "relay/strike_scoring.h"
#include "relay/worker.h"

struct handshaking;

/* A session that moves this many bytes in a turn is served after those that move less. */
#define SESSION_HEAVY_BYTES (16u * 1024u)

enum session_state { SESSION_NEW, SESSION_WAITING, SESSION_HANDSHAKING, SESSION_OPEN };

/* Where it stands. */
struct session_links {
    struct list worker, conns; /* among the sessions of its worker and of its source */
    struct list waiting;  /* in the line of its source or half_open; once it is open: in worker.buffer_room.waiting */
    struct list run;      /* in a run queue, or in worker.ended */
    uint32_t stranger_at; /* its number among the strangers or the proven, from 1; 0: in neither (strangers.h) */
    uint32_t swept;       /* the sweep that last visited it (sweep.h) */
};

struct client {
    uint64_t id;
    uint64_t routing_id; /* hash in the gate's table; 0: none */
    struct addr addr;
};

struct session_times {
    uint64_t accepted_ns;
    uint64_t opened_ns; /* when its handshake was done; until then: when it began */
    uint64_t active_ns; /* last byte either way */
    uint64_t resume_ns; /* while its client is paused: until then */
    uint64_t ponged_ns; /* when PONGs were last sent in the ends' names, or when it was first held */
};

/* What every feature has to remember of a session in a bit or a byte; together, since there are so many sessions. */
struct session_flags {
    uint8_t standing;      /* enum standing, of its source when it came */
    uint8_t class;         /* of the gate's classes, by the client's address */
    uint8_t client_socket; /* enum socket_type, once the handshake has shown it */
    uint8_t cohort;        /* of its source: which rules are in force for it */
    uint8_t verdict;       /* once it has ended: why */
    bool ended : 1;        /* session_end(); nothing is done for it any more */
    bool of_balancer : 1;  /* its PROXY protocol header names nobody (proxied.h): its offences are not counted, and no
                            * ban closes it */
    bool half_open : 1;
    bool served : 1;         /* at least one complete message has passed, either way */
    bool proven : 1;         /* it has passed a message or has subscribed (strangers.h) */
    bool shed_due : 1;       /* its waiting request is to be shed (request_shed.h) */
    bool heavy : 1;          /* its last turn moved much: other sessions go first */
    bool can_pong : 1;       /* both ends speak 3.1 in the clear: Weir may send PONGs in their names */
    bool app_listens : 1;    /* the application would drop a client that stays silent: one of the ends has sent PINGs */
    bool client_listens : 1; /* the same the other way round */
    bool awaits_reply : 1;   /* a request/reply client: one reply comes back for each message in */
    bool takes_turns : 1;    /* its messages are counted, and may be held (request_flow.h) */
    bool in_line : 1;        /* one of its messages waits in line, and it is not read meanwhile */
    bool in_queue : 1;       /* the limiter may grant it messages */
    bool answers : 1;        /* the application answers requests (or may: its type is hidden) */
    bool broadcast : 1;      /* the application publishes: it holds back for a lagging client what it sends to others */
    bool noted_slow : 1;     /* its client lags, and a rule in shadow has counted it */
    bool pushes_back : 1;    /* the application's socket type waits for slow receivers by design: slow readers are no
                              * offenders */
};

struct session {
    struct socket_side front, back;
    struct worker_gate *wg;
    struct source_conns *conns;
    struct source *source;
    struct handshaking *handshaking; /* in WAITING and HANDSHAKING */
    struct session_links in;
    struct alarm alarm;
    struct client client;
    struct session_times times;
    struct progress progress;
    struct slow_reader slow;
    struct lane up, down;
    struct request_flow *request_flow; /* NULL before its first message (request_flow.h) */
    struct topics topics;
    struct strike_marks strikes;
    struct session_flags flags;
    uint8_t state; /* enum session_state */
};

/* What a session is charged to the memory account. */
#define SESSION_BYTES (sizeof(struct session) + REQUEST_FLOW_BYTES + sizeof(struct laggard))

/* Whether its client is not read now, for any reason but memory: this time does not count for its message. */
bool session_is_held(const struct session *s);

/* Ends the session for a verdict (PASS: an ordinary end); the first one counts. It is marked: it takes no more turns,
 * and is torn down in session.c at the end of the call in which the worker serves it. Until then its descriptors and
 * counts stay. */
void session_end(struct session *s, enum verdict v);

/* Whether it is open, and has not ended. */
static inline bool session_is_open(const struct session *s)
{
    return s->state == SESSION_OPEN && !s->flags.ended;
}

/* Puts the session into the run queue. */
void session_wake(struct session *s);

/* Has the timer fire at `at_ns`, if it would not fire earlier anyway. */
void session_arm(struct session *s, uint64_t at_ns);

/* From now on its client is not read, or not answered: the first PONGs are due after heartbeat.interval. */
void session_hold(struct session *s);

/* Counts `n` verdicts on the session's source, and writes a log line now and then. The second adds `detail` to the
 * line. */
void session_notice(struct session *s, enum verdict v, unsigned n);
void session_notice_with(struct session *s, enum verdict v, unsigned n, const char *detail);

/* The session that a link in the line or half_open of its source belongs to. */
static inline struct session *session_of_waiting(struct list *waiting)
{
    return LIST_ENTRY(waiting, struct session, in.waiting);
}

/* The time of this turn. */
static inline uint64_t session_now_ns(const struct session *s)
{
    return s->wg->worker->loop.now_ns;
}

/* The same in milliseconds, which wrap after 49 days and are never 0: for differences of a day at most. */
static inline uint32_t session_ms(const struct session *s)
{
    return (uint32_t)(session_now_ns(s) / NS_PER_MS) | 1;
}

struct traffic_context session_context(struct session *s);

/* The session's ends as a lane sees them. */
static inline struct socket_side *lane_from(const struct lane *l, struct session *s)
{
    return l->traffic.inbound ? &s->front : &s->back;
}

static inline struct socket_side *lane_to(const struct lane *l, struct session *s)
{
    return l->traffic.inbound ? &s->back : &s->front;
}

/* Which of two counters is the lane's. */
static inline enum metric_cell lane_cell(const struct lane *l, enum metric_cell in, enum metric_cell out)
{
    return l->traffic.inbound ? in : out;
}

/* Whether a frame of Weir's own could be sent on the lane now. */
static inline bool lane_may_inject(const struct lane *l, struct session *s)
{
    return !l->shut && !l->blocked && l->start == l->ready && lane_to(l, s)->writable &&
           traffic_at_boundary(&l->traffic);
}

/* The cost of these subscriptions in the limits of the source and of the gate. */
static inline uint64_t topics_cost(const struct topics *t)
{
    return t->topic_bytes + (uint64_t)t->count * TOPIC_OVERHEAD_BYTES;
}

static inline struct cells *session_cells(const struct session *s)
{
    return s->wg->cells;
}

static inline void session_count_class(const struct session *s, enum class_cell c, uint64_t n)
{
    if (s->wg->class_cells)
        class_cell_add(s->wg->class_cells, s->flags.class, c, n);
}

static inline const struct limits *session_limits(const struct session *s)
{
    return s->wg->policy->for_cohort[s->flags.cohort];
}

#endif
