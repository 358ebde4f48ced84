/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_gate: the gate of `weir serve` on threads of this process. A program binds its socket with weir_bind() in place
 * of zmq_bind(), and is protected:
 *
 *     struct weir_gate *gate = weir_bind(socket, "tcp://0.0.0.0:5555", NULL); // for zmq_bind(socket, ...)
 *     if (!gate)
 *         perror("weir_bind");
 *     ...
 *     weir_unbind(gate, socket);
 *
 * The socket itself is bound to a Unix socket in a directory that only this user can enter, and each client has a
 * connection of its own to it. So routing ids, high-water marks, order, and CURVE and PLAIN keep their meaning. What
 * differs: ZMQ_LAST_ENDPOINT is the inner endpoint, the metadata "Peer-Address" is empty ("X-Weir-Peer" has the
 * client's address), and ZMQ_TCP_ACCEPT_FILTER and ZAP handlers see no address. Where that matters, `weir run` or
 * `weir serve` with upstream.source has the client's address.
 *
 * libzmq tells weir_bind() what the socket is: its type, its mechanism, ZMQ_MAXMSGSIZE and ZMQ_HANDSHAKE_IVL. So Weir
 * never has to ask for them, and a frame or a handshake that libzmq would refuse ends at the gate, in the same way. A
 * stricter value of the configuration counts. ZMQ_ROUTER_HANDOVER cannot be read: say it in the options.
 *
 *   state    call                                        next
 *   NEW      weir_gate_listen()                          OPEN; if it fails: NEW
 *   OPEN     weir_gate_close()                           CLOSED: no newcomers, and connections end between messages
 *   any      weir_gate_free()                            -
 *
 * Another language binds its socket itself, so that a libzmq of its own may be used: weir_gate_new(), then bind to
 * weir_gate_inside(), then weir_gate_listen().
 *
 * Threads: a gate has `workers` threads of its own, which take no signals. One thread at a time may call functions on
 * one gate, except weir_gate_read() and weir_gate_endpoint(), which any thread may call. weir_bind() and weir_unbind()
 * are for the thread that has the socket. The child of a fork(2) has no gate: it may only exec or exit.
 * Memory: `memory` of the configuration at most (default: see docs/config.md), and 30 KiB for each worker.
 * Descriptors: two for each client, besides that of libzmq. The first gate raises the process's soft limit of
 * descriptors to its hard limit. A program that uses select(2) must not have that many.
 * Log: lines on standard error, as of weir serve, or where weir_gate_log() says.
 */
#ifndef WEIR_GATE_H
#define WEIR_GATE_H

#include <weir/base.h>
#include <weir/counter.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_gate;

struct weir_gate_options {
    size_t size;
    const char *config;   /* text of a configuration in YAML, as `weir run -c` takes it; NULL: none */
    const char *file;     /* the same as a file; not both */
    const char *socket;   /* "router", "pull", ...: what the application binds; NULL: learned. weir_bind() sets it */
    uint64_t message_max; /* bytes of a message, all frames; 0: as the configuration says */
    uint64_t drain_ns;    /* how long weir_gate_close() lets messages end; default 5 s */
    uint32_t workers;     /* threads; default 1 */
    uint32_t counter;     /* not 0: the application counts what it takes (weir_gate_counter()); default 0 */
    char *why;            /* gets a text that says what is wrong when a call on this gate fails; NULL: standard error
                             does. Must stay valid as long as the gate */
    size_t why_size;
    uint64_t frame_max;    /* the socket's ZMQ_MAXMSGSIZE; 0: none. weir_bind() knows it */
    uint32_t handshake_ms; /* the socket's ZMQ_HANDSHAKE_IVL; 0: not known. weir_bind() knows it */
    uint32_t handover;     /* not 0: the socket has ZMQ_ROUTER_HANDOVER, so a newcomer gets the routing id of another
                              client; default 0 */
};

struct weir_gate_stats {
    size_t size;
    uint64_t connections, connections_total; /* of clients: open now; accepted */
    uint64_t messages_in, messages_out;      /* from clients; from the application */
    uint64_t bytes_in, bytes_out;            /* received from clients; sent to them */
    uint64_t held_bytes;                     /* waiting in Weir */
    uint64_t queued;                         /* connections with a message that waits for its turn */
    uint64_t untaken;                        /* passed on and not taken by the application; 0 without a counter */
    uint64_t refused;                        /* connections and messages that a limit refused */
    uint64_t paused;                         /* times that a client had to wait for a limit */
};

/* Fills in defaults. */
void weir_gate_options_init(struct weir_gate_options *o);

/* As zmq_bind(socket, endpoint), with a gate. `endpoint`: tcp://ADDRESS:PORT or tcp://INTERFACE:PORT, with * for all
 * addresses or for any port; or ipc://PATH. `o`: NULL for defaults. NULL with errno:
 *
 *   EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL (endpoint)   as zmq_bind()
 *   EINVAL   a mistake in the options or in the configuration; `why` has each with its line
 *   ENOTSUP  the socket is a ZMQ_STREAM, or of a draft type
 *   ENOTSOCK, ETERM                                        as zmq_bind()
 *   others   no memory, descriptors or threads
 */
WEIR_MUST_USE struct weir_gate *weir_bind(void *socket, const char *endpoint, const struct weir_gate_options *o);

/* Closes and frees the gate, and unbinds the socket's inner endpoint. `socket`: NULL if it is closed already. `gate`:
 * NULL is harmless. Takes drain_ns at most. */
void weir_unbind(struct weir_gate *gate, void *socket);

/* A gate that does not listen yet. NULL with errno as above. */
WEIR_MUST_USE struct weir_gate *weir_gate_new(const struct weir_gate_options *o);

/* Where the application has to bind: "ipc://DIRECTORY/app". Valid as long as the gate. */
const char *weir_gate_inside(const struct weir_gate *gate);

/* Opens the gate. When it returns, clients can connect. 0 or a negative errno as above; -EISCONN: it is open already.
 */
WEIR_MUST_USE int weir_gate_listen(struct weir_gate *gate, const char *endpoint);

/* Where it listens, with the real port: "tcp://0.0.0.0:5555"; "" before weir_gate_listen(). Valid as long as the gate.
 */
const char *weir_gate_endpoint(const struct weir_gate *gate);

/* Takes no more newcomers, and closes each connection as soon as it is between messages; those that are not after
 * drain_ns are cut off. */
void weir_gate_close(struct weir_gate *gate);

/* Ends everything at once. NULL is harmless. */
void weir_gate_free(struct weir_gate *gate);

/* The counter of a gate that was made with `counter`, or NULL with errno as weir_counter_open(). It belongs to the
 * gate; use it from the thread that has the socket. The gate must be open. */
struct weir_counter *weir_gate_counter(struct weir_gate *gate);

/* 0, or -EINVAL for a wrong `size`. */
int weir_gate_read(const struct weir_gate *gate, struct weir_gate_stats *ret);

/* From now on `line` gets each line of the log of all gates, without a newline, on a thread of the library; NULL: they
 * go to standard error again. `line` must not call the library. Call it while there is no gate. -EBUSY: there is one.
 */
WEIR_MUST_USE int weir_gate_log(void (*line)(void *arg, const char *text), void *arg);

#ifdef __cplusplus
}
#endif
#endif
