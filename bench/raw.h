/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A hand-made ZMTP 3.1 peer with the NULL mechanism, for programs that send faster, or worse, than libzmq would: the
 * benchmark's replay and the demo's flood. It talks to loopback addresses only; everything else is refused where the
 * address is parsed.
 */
#ifndef WEIR_BENCH_RAW_H
#define WEIR_BENCH_RAW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define RAW_GREETING_BYTES     64
#define RAW_READY_MAX_BYTES    64
#define RAW_FRAME_HEADER_BYTES 9

enum { RAW_MORE = 1, RAW_LONG = 2, RAW_COMMAND = 4 };

struct raw_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    };
    socklen_t len;
};

/* Parses "tcp://127.x.y.z:PORT" or "ipc://PATH". Returns 0, or -1 after a line to stderr: not an endpoint, or not this
 * machine's loopback, which is all that the programs of this folder may talk to. */
int raw_parse(const char *endpoint, struct raw_address *ret);

/* A non-blocking connection in progress. `source`: the n-th of the addresses 127.77.0.1, 127.77.0.2, ... to come from
 * (tcp only; 0: the system's choice). Returns the descriptor or -errno. */
int raw_connect(const struct raw_address *to, unsigned source);

/* A blocking listener. Returns the descriptor or -errno. */
int raw_listen(const struct raw_address *at);

void raw_greeting(uint8_t out[RAW_GREETING_BYTES]);

/* READY with Socket-Type and nothing else. Returns its length. `socket_type` has at most 8 characters. */
size_t raw_ready(uint8_t out[RAW_READY_MAX_BYTES], const char *socket_type);

/* The header of a frame: 2 or 9 bytes. Returns its length. */
size_t raw_header(uint8_t out[RAW_FRAME_HEADER_BYTES], uint8_t flags, uint64_t body_bytes);

/*
 * The opening of one connection as seen by its reader: the peer's greeting, then its READY. Zero-initialised.
 * raw_opening_feed() takes what was received; bytes after READY are ignored (replies, heartbeats). `done`: messages may
 * flow, as soon as the caller's own READY is out.
 */
struct raw_opening {
    uint8_t greeting_seen; /* bytes of the 64 */
    uint8_t header_seen;   /* bytes of READY's two-byte header */
    uint8_t ready_bytes;   /* its length, once the header was seen */
    uint8_t ready_seen;
    bool done;
};

enum raw_step {
    RAW_WAIT,       /* nothing to do yet */
    RAW_SEND_READY, /* the greeting is complete: send READY now (reported once) */
    RAW_BROKEN,     /* not what a NULL peer sends */
};

enum raw_step raw_opening_feed(struct raw_opening *o, const uint8_t *bytes, size_t n);

/* The whole opening on a blocking descriptor. Returns 0, or -1 when the peer closed or broke it. */
int raw_open(int fd, const char *socket_type);

uint64_t raw_now_ns(void);

/* Raises the soft limit of descriptors to the hard one. */
void raw_raise_descriptors(void);

#endif
