/* SPDX-License-Identifier: MPL-2.0 */
/* What the parts of the simulation share: events.c, client.c, gate.c and app.c each own the functions of their section.
 */
#ifndef WEIR_SIM_STATE_H
#define WEIR_SIM_STATE_H

#include "chance.h"
#include "world.h"

#define CONNS_MOST 1024u
#define NOBODY     UINT32_MAX
#define WIRE_NS    15000u
#define GATE_NS    20000u
#define WAKE_NS    10000u

enum client_kind {
    CLIENT_LOCKSTEP,
    CLIENT_POISSON,
    CLIENT_NOTES,
    CLIENT_WORKER,
    CLIENT_POLLER,
    CLIENT_PUBLISHER,
    CLIENT_GREEDY,
    CLIENT_LEAVER,
    CLIENT_BURSTS,
};

enum message_kind { MESSAGE_CALL, MESSAGE_NOTE, MESSAGE_READY, MESSAGE_RESULT, MESSAGE_BEAT, MESSAGE_POLL };

struct message {
    uint64_t sent_ns;
    double cost_ns;
    uint32_t conn, peer; /* peer: a broker's job belongs to that request */
    uint32_t next;
    enum message_kind kind;
    uint32_t open; /* the copy in its connection's list of what is not done */
    bool is_done;  /* of such a copy */
};

struct fifo {
    uint32_t first, last, count;
};

struct conn {
    struct reqlimit_conn limit;
    struct property_rng rng;
    enum client_kind kind;
    enum message_kind sends;
    uint32_t source;
    bool honest, newcomer, slow, in_line;
    double think_ns, interval_ns, cost_ns;
    struct fifo gate, pipe;
    uint32_t under_way; /* passed, not taken */
    bool in_ring;       /* of the application */
    uint64_t ready_ns;  /* the last message passed has arrived */
    uint32_t done;
    struct fifo open; /* copies of what was sent and is not done */
};

enum event_kind {
    EVENT_SEND,
    EVENT_AT_GATE,
    EVENT_AT_APP,
    EVENT_DONE,
    EVENT_BATCH_DONE,
    EVENT_BATCH_WAITED,
    EVENT_ANSWER_AT_GATE,
    EVENT_ANSWER_AT_CLIENT,
    EVENT_WORKED,
    EVENT_BEAT,
    EVENT_BURST,
    EVENT_PAUSE,
    EVENT_TICK,
    EVENT_COUNTED,
    EVENT_WOKEN,
};

struct event {
    uint64_t at_ns, order;
    enum event_kind kind;
    uint32_t a, b;
};

struct application {
    uint32_t ring[CONNS_MOST], ring_active, ring_at; /* as libzmq's: those read empty stay until their turn */
    uint32_t ring_count;                             /* of these, with messages */
    uint32_t busy;
    struct fifo queue, jobs, polls, batch; /* of its own */
    struct fifo workers;                   /* messages that say who is free */
    bool batch_busy, batch_waits, paused;
    uint32_t batch_number;
    uint64_t asked_ns; /* it waits for a message since then; 0: it does not */
    struct event *deferred;
    uint32_t deferred_count, deferred_room;
};

struct world {
    const struct scenario *s;
    enum contender contender;
    bool flood;
    uint64_t now_ns;
    struct property_rng rng;
    struct event *events;
    size_t event_count, event_room;
    uint64_t order;
    struct message *messages;
    uint32_t message_count, message_room, free_message;
    struct conn *conns;
    uint32_t conn_count, honest_count, source_count;
    struct application app;
    uint32_t under_way; /* passed, not taken, of all */
    /* gate */
    struct reqlimit *limit;
    struct taken_page page;
    uint32_t holding; /* connections with something in the gate */
    uint64_t tick_ns, idle_held_ns;
    bool wake_pending, in_gate;
    uint64_t counted;
    /* results */
    struct world_result *result;
    double *latencies, *newcomers;
    size_t latency_count, latency_room, newcomer_count, newcomer_room;
    uint64_t done, done_old, looks;
    double held;
};

/* ---- events.c ---- */
void *sim_must(void *p);
void sim_schedule(struct world *w, uint64_t at_ns, enum event_kind kind, uint32_t a, uint32_t b);
bool sim_next(struct world *w, struct event *ret);
uint32_t message_new(struct world *w, const struct message *m);
void message_free(struct world *w, uint32_t m);
void fifo_push(struct world *w, struct fifo *f, uint32_t m);
uint32_t fifo_pop(struct world *w, struct fifo *f);

/* ---- client.c ---- */
void client_build(struct world *w);
void client_send(struct world *w, uint32_t conn);
void client_answered(struct world *w, uint32_t m);
void client_done(struct world *w, const struct message *m);
void client_beat(struct world *w, uint32_t conn);
void client_worked(struct world *w, uint32_t m);
void client_refill(struct world *w, uint32_t conn);
void client_burst(struct world *w);
void client_leftover(struct world *w);

/* ---- gate.c ---- */
void gate_arrive(struct world *w, uint32_t conn, uint32_t m);
void gate_answer(struct world *w, uint32_t m);
void gate_offer(struct world *w, uint32_t conn);
void gate_leave(struct world *w, uint32_t conn);
void gate_taken(struct world *w, uint32_t conn, uint64_t asked_ns);
void gate_empty(struct world *w, bool waits);
void gate_counted(struct world *w, uint32_t what, uint32_t asked_ago_ns);
void gate_woken(struct world *w);
void gate_tick(struct world *w);

/* ---- app.c ---- */
void app_arrive(struct world *w, uint32_t conn, uint32_t m);
void app_done(struct world *w, uint32_t m);
void app_batch_done(struct world *w);
void app_batch_waited(struct world *w, uint32_t number);
void app_pause(struct world *w, bool pause);
bool app_idle(const struct world *w);
bool app_free(const struct world *w);

#endif
