/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a flood is told (struct options), one of its connections (struct peer), and the table of floods. One thread; a
 * peer is touched by the loop in flood.c alone.
 */
#ifndef WEIR_TESTS_ATTACKS_FLOOD_H
#define WEIR_TESTS_ATTACKS_FLOOD_H

#include "target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hard bounds, whatever the command line says. */
#define FLOOD_CONNECTIONS_MAX 4096
#define FLOOD_OPENS_MAX       100000
#define FLOOD_SECONDS_MAX     60
#define FLOOD_BYTES_MAX       (UINT64_C(8) << 30)

#define PEER_OUT_BYTES 65536
#define PEER_IN_BYTES  1024
#define NS_PER_MS      UINT64_C(1000000)

/* How far a peer goes by the rules before its flood begins. */
enum flood_start { START_CONNECTED, START_GREETED, START_READY };

/* What becomes of a connection that has sent all it had to. */
enum flood_end { END_HOLD, END_CLOSE, END_RESET };

enum peer_stage { PEER_CLOSED, PEER_CONNECTING, PEER_GREETING, PEER_HANDSHAKE, PEER_FLOODING, PEER_HOLDING };

struct flood;

struct options {
    const struct flood *flood;
    struct target target;
    const char *socket_type;
    const char *mechanism;
    unsigned minor;
    uint32_t connections; /* open at once */
    uint64_t opens;       /* connections in all; 0: no more than `connections` */
    uint64_t rate;        /* connections opened in a second; 0: as fast as can be */
    uint64_t each;        /* units (messages, frames, commands) a connection sends; 0: no end */
    uint64_t bytes;       /* in all */
    uint64_t within_ns;
    uint64_t size;          /* bytes of a frame, topic or context */
    uint64_t announce;      /* bytes that a huge frame says it has */
    uint64_t every_ns;      /* pause between two writes of a connection */
    uint64_t read_every_ns; /* a connection reads in a quarter of such a time, no two in the same; 0: always */
    uint32_t chunk;         /* bytes of one write at most */
    uint32_t frames;        /* of a message */
    bool as_messages;       /* subscriptions as messages 01/00 instead of commands */
    bool cancels;           /* a CANCEL of a topic never held behind every SUBSCRIBE */
    bool never_read;        /* nothing after the handshake */
    enum flood_start start;
    enum flood_end end;
    const uint8_t *raw; /* for the flood "bytes" */
    size_t raw_len;
};

struct peer {
    int fd;
    enum peer_stage stage;
    uint64_t units; /* sent on this connection */
    uint64_t body;  /* bytes of the current frame that are still to come */
    uint64_t next_ns, read_ns;
    uint64_t random;
    size_t in_len, out_len, out_off;
    uint8_t in[PEER_IN_BYTES];
    uint8_t out[PEER_OUT_BYTES];
};

/* Fills `out` with whole units, or a piece of a long one. Returns the bytes; 0: this connection has sent all. */
typedef size_t flood_fill(struct peer *p, const struct options *o, uint8_t *out, size_t room);

struct flood {
    const char *name;
    flood_fill *fill;
    enum flood_start start;
    const char *help;
};

/* What has happened so far, over all connections. */
struct figures {
    uint64_t opened, failed, established, ended_by_peer, finished;
    uint64_t sent_bytes, received_bytes, units;
    uint32_t open, holding;
};
extern struct figures figures;

/* Opens a closed peer, unless --opens says that there were enough. */
void peer_open(int ep, struct peer *p, const struct options *o, uint64_t now);
void peer_on_event(int ep, struct peer *p, const struct options *o, uint32_t events, uint64_t now);
void peer_on_time(int ep, struct peer *p, const struct options *o, uint64_t now);

/* NULL, or what is wrong with the command line. */
const char *options_parse(struct options *o, int argc, char **argv);
int options_usage(const char *why);

/* NULL when there is none of that name. */
const struct flood *flood_find(const char *name);
void flood_list(void);

/* The greeting and READY: what a well-behaved peer would send. Return the
 * bytes. */
size_t flood_greeting(const struct options *o, uint8_t out[64]);
size_t flood_ready(const struct options *o, uint8_t *out, size_t room);

#endif
