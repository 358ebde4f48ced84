/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_pool: takes messages from one ZeroMQ socket and gives them to a bounded number of threads. A slow task never
 * keeps the socket from being read, no source of messages can keep the others from being served, and what cannot be
 * served in time is refused early instead of late.
 *
 *     static enum weir_outcome work(struct weir_task *task, void *arg)
 *     {
 *         size_t size;
 *         const void *request = weir_task_frame(task, 0, &size);
 *         weir_task_reply(task, request, size);
 *         return WEIR_OK;
 *     }
 *
 *     struct weir_pool_options options;
 *     weir_pool_options_init(&options);
 *     options.handler = work;
 *     struct weir_pool *pool = weir_pool_new(socket, &options);
 *     int error = weir_pool_run(pool, UINT64_MAX);          // until weir_pool_stop()
 *     weir_pool_free(pool);
 *
 * Sockets, and what a task is there:
 *
 *   ROUTER  a request, with its routing id and the empty frame of a REQ as envelope. For most services: as many
 *           requests at a time as there are workers, each reply to its client
 *   DEALER  the same behind a broker; the envelope is all up to the first empty frame. Without an empty frame a reply
 *           goes to any peer, as DEALER does
 *   REP     one request at a time, since REP itself allows no more. Use ROUTER: clients see no difference
 *   PULL, SUB  a message; there are no replies
 *
 * Others are refused: PUB and PUSH receive nothing; XPUB and XSUB carry subscriptions; PAIR has one peer and no use for
 * fairness; STREAM has no messages.
 *
 * Sources: messages are queued by source, and the sources share the workers' time evenly, by the time that their tasks
 * have taken (a source with costly requests gets fewer of them served). A source is the address in the property
 * X-Weir-Peer (behind a gate), else in Peer-Address; an IPv6 address counts by its /64, a peer on ipc by its user.
 * Where there is none (inproc) it is the routing id of a ROUTER's peer, and else all messages are one source.
 * options.key may say otherwise, and should where all clients have one address: behind a gate with CURVE (X-Weir-Peer
 * is absent there; the key may be the property User-Id), or behind a broker. With hundreds of sources an even share is
 * small: a gate in front knows who was there before, the pool does not.
 *
 * Without a gate a client can write an X-Weir-Peer of its own, and be as many sources as it likes. So the property is
 * believed as `peer_property` says: by default from this machine's own addresses and ipc, where a gate is.
 *
 * When the queue is full (`queue` messages or `queue_bytes`, counting 64 bytes for each frame):
 *
 *   WEIR_POOL_WAIT  the pool stops receiving. libzmq's queues fill up to their high-water marks, then TCP holds the
 *                   clients. Nothing is lost. A flooding client delays the others, since libzmq's queues are not fair
 *                   by source
 *   WEIR_POOL_SHED  the pool goes on receiving, 64 messages a millisecond, and sheds from the source that has most
 *                   messages waiting. A flooding client delays nobody but itself
 *
 * When a message waits too long:
 *
 *   deadline_ns     it has not begun so long after it was received: shed. If it runs then, the client gets `busy` at
 *                   once and the task's reply is dropped; without `busy` the late reply is sent
 *   shed_target_ns  all messages of its source have waited longer than this for `shed_interval_ns`, and it, or the
 *                   oldest of its source, for twice as long: shed (CoDel, a state for each source). A source that asks
 *                   for less than its share loses nothing. Choose several times what a task takes: what waits for a
 *                   worker because all are busy waits, too
 *
 * Which message is shed is `shed_order`: the oldest first (its client has perhaps given up) or the newest first (who
 * has waited longest is served). What is shed is answered with `busy`, or with nothing; a REP answers with an empty
 * frame.
 *
 * How many workers: from `workers_min` to `workers_max`. The pool adds one each 10 ms while messages wait and all
 * workers are busy, as long as they are fewer than cores x time / processor time of the tasks so far. So tasks that
 * compute get as many workers as cores, and tasks that wait get more. A worker that finds no task for 10 s ends.
 *
 * State of a pool:
 *
 *   state     event                                                 next
 *   RUNS      weir_pool_stop()                                      DRAINS: nothing is received
 *   RUNS      the socket fails (ETERM)                              DRAINS, with no time left
 *   DRAINS    nothing waits or runs, and all replies are sent       DRAINED: weir_pool_run() returns
 *   DRAINS    its time is over                                      what waits is shed; what runs is waited for
 *
 * Threads: the thread that calls weir_pool_run() has the socket: it alone receives and sends, and nobody else may use
 * the socket meanwhile. Handlers run in the workers. weir_pool_stop() is for any thread and for signal handlers;
 * weir_pool_read() for any thread. weir_task_ functions are for the handler of that task. A handler may block as long
 * as it likes, and must not use the socket, nor call weir_pool_run() or weir_pool_free(). Memory: the queue as above,
 * 64 KiB of stack or what the system sets for each worker, 200 bytes for each source.
 *
 * Source: start-time fair queueing, Goyal, Vin and Cheng, 1996, for several servers Jin, Chase and Kaur, 2004; CoDel,
 * RFC 8289; sizes of pools, Goetz, "Java Concurrency in Practice", 2006, 8.2.
 */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <weir/backpressure.h>
#include <weir/base.h>
#include <weir/counter.h>
#include <weir/meter.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_POOL_WORKERS_MAX 1024u
#define WEIR_POOL_KEY_MAX     64u

struct weir_pool;
struct weir_task;

enum weir_pool_full { WEIR_POOL_WAIT = 0, WEIR_POOL_SHED = 1 };
enum weir_pool_order { WEIR_POOL_OLDEST_FIRST = 0, WEIR_POOL_NEWEST_FIRST = 1 };
enum weir_pool_peer {
    WEIR_POOL_PEER_LOCAL = 0,  /* X-Weir-Peer is believed if Peer-Address is absent or loopback */
    WEIR_POOL_PEER_ALWAYS = 1, /* the gate is on another machine, and nobody else can reach the socket */
    WEIR_POOL_PEER_NEVER = 2
};
enum weir_pool_envelope {
    WEIR_POOL_ENVELOPE_ONE = 0, /* ROUTER: the routing id, and an empty frame directly behind it */
    WEIR_POOL_ENVELOPE_ALL = 1  /* ROUTER: all up to the first empty frame, for clients behind brokers */
};

/* Works on one task, in a worker's thread. */
typedef enum weir_outcome weir_pool_handler(struct weir_task *task, void *arg);

/* Writes the key of a task's source, at most `room` bytes (WEIR_POOL_KEY_MAX), and returns its size; 0: by address. It
 * runs in the thread of weir_pool_run(), so it should be quick. */
typedef size_t weir_pool_key(struct weir_task *task, void *key, size_t room, void *arg);

struct weir_pool_options {
    size_t size;
    weir_pool_handler *handler; /* must be set */
    void *handler_arg;
    weir_pool_key *key; /* NULL: by address */
    void *key_arg;
    uint32_t workers_min;      /* 0, the default: as many as cores that this process may use */
    uint32_t workers_max;      /* 0, the default: as workers_min; up to WEIR_POOL_WORKERS_MAX */
    uint32_t source_workers;   /* workers that one source may keep busy; 0, the default: all */
    uint32_t sources;          /* remembered while they have nothing here; default 4096 */
    uint32_t queue;            /* messages that wait, 1 to 2^20; default 1000 */
    uint32_t frames;           /* of a message at most, 3 to 65536; one with more is dropped; default 64 */
    uint32_t full;             /* enum weir_pool_full; default WEIR_POOL_WAIT */
    uint32_t shed_order;       /* enum weir_pool_order; default WEIR_POOL_OLDEST_FIRST */
    uint32_t envelope;         /* enum weir_pool_envelope; default WEIR_POOL_ENVELOPE_ONE */
    uint32_t peer_property;    /* enum weir_pool_peer; default WEIR_POOL_PEER_LOCAL */
    uint64_t queue_bytes;      /* default 64 MiB; one message beyond it may be there */
    uint64_t deadline_ns;      /* 0, the default: none */
    uint64_t shed_target_ns;   /* 0, the default: nothing is shed for its delay */
    uint64_t shed_interval_ns; /* default 100 ms */
    const void *busy;          /* the reply to what is shed, one frame, copied; NULL, the default: no reply */
    size_t busy_size;
    /* Each may be NULL. They belong to the caller, and have to outlive the pool. */
    struct weir_meter *meter;        /* filled in */
    struct weir_backpressure *stage; /* no more tasks run than it takes */
    struct weir_counter *counter;    /* told that a message is taken when a worker begins with it, or it is shed. From
                                        weir_pool_new() to weir_pool_free() nobody else may use it */
};

struct weir_pool_stats {
    size_t size;
    uint32_t workers, running; /* threads; tasks in their handlers */
    uint32_t waiting, sources; /* messages; sources that have messages here or are remembered */
    uint64_t waiting_bytes;
    uint64_t received, begun; /* from here on: since it was made */
    uint64_t ok, failed, ignored;
    uint64_t shed_delay, shed_full, shed_deadline, shed_drain;
    uint64_t late;         /* ended after the client was told busy */
    uint64_t refused;      /* more frames than allowed, or no memory */
    uint64_t replies;      /* sent, busy ones too */
    uint64_t replies_lost; /* the client has left, or takes nothing */
    uint64_t full;         /* how often it stopped receiving */
    uint64_t no_thread;    /* how often a worker could not be started */
};

void weir_pool_options_init(struct weir_pool_options *ret);

/* `socket`: of libzmq, bound or connected now or later; it stays the caller's. Starts the first workers. NULL: EINVAL
 * (an option is out of its range, or the handler is missing), ENOTSOCK, ENOTSUP (the socket's type), ENOMEM, EAGAIN
 * (threads), EMFILE. */
WEIR_MUST_USE struct weir_pool *weir_pool_new(void *socket, const struct weir_pool_options *options);

/* Waits for tasks that run, sheds what waits, and ends the workers. Not while weir_pool_run() runs. */
void weir_pool_free(struct weir_pool *p);

/* Receives, and sends replies, for `for_ns` (UINT64_MAX: until it is stopped). 0: the pool is drained. -EAGAIN: the
 * time is over; call it again, soon, for replies are sent only here. Another: the socket's error (-ETERM, -ENOTSOCK),
 * after all tasks have ended. Signals do not end it. */
int weir_pool_run(struct weir_pool *p, uint64_t for_ns);

/* Drains: receives nothing more, works for `within_ns` on what waits, then sheds that. Any thread, any number of times;
 * async-signal-safe. */
void weir_pool_stop(struct weir_pool *p, uint64_t within_ns);

/* 0; -EINVAL: ret->size is not known. */
int weir_pool_read(struct weir_pool *p, struct weir_pool_stats *ret);

/* ---- tasks: for their handlers; what they return is valid until the handler returns ---- */

/* The frames of the message without its envelope, and one of them (NULL, with size 0: there is none). */
size_t weir_task_frames(const struct weir_task *t);
const void *weir_task_frame(struct weir_task *t, size_t index, size_t *ret_size);

/* A property of the connection, as zmq_msg_gets() gives it: "User-Id", "X-Weir-Class". NULL: it has none. */
const char *weir_task_property(struct weir_task *t, const char *name);

/* The key of the source; *ret_size is its size. It is text for an address, and ends with NUL in any case. */
const char *weir_task_source(const struct weir_task *t, size_t *ret_size);

/* Until the task's deadline; 0: it is over; UINT64_MAX: there is none. Costly work should look now and then. */
uint64_t weir_task_left_ns(const struct weir_task *t);

/* How long the message waited in the pool before this task began. */
uint64_t weir_task_waited_ns(const struct weir_task *t);

/* Adds a frame to the reply, which is sent when the handler has returned. Without one there is no reply (REP: an empty
 * frame). 0; -ENOMEM; -E2BIG: as many frames as options.frames; -ENOTSUP: the socket cannot send. */
int weir_task_reply(struct weir_task *t, const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif
#endif
