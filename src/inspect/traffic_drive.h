/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For tests and fuzzers: plays the caller of traffic_judge() as relay/lane.c does, over one direction of one
 * connection, in pieces of any size, and keeps the results. Each window is memory of its own, so that AddressSanitizer
 * sees a read past it. Aborts where the judge breaks its own contract. Not part of the program.
 */
#ifndef WEIR_INSPECT_TRAFFIC_DRIVE_H
#define WEIR_INSPECT_TRAFFIC_DRIVE_H

#include "inspect/traffic.h"

#include <stddef.h>

/* A gate, one source, and the time. */
struct stand {
    struct limits limits;
    struct account account;
    struct traffic_gate gate;
    struct source source;
    struct traffic_shadow shadow; /* what limits.shadow said, if there is one */
    uint64_t now_ns, ids;
    uint64_t gather_bytes; /* see struct traffic_context */
};

/* No rates; limits that a test reaches with few bytes (see the .c). */
void stand_init(struct stand *s);

/* Aborts when a connection has not given back what it took. */
void stand_fini(struct stand *s);

/* What a line does when it has to wait. */
enum patience {
    SLEEPS,  /* time goes on by as much */
    INSISTS, /* asks again at the same instant */
    STOPS,   /* returns, `waiting` */
};

enum { LINE_CURVE = 1, LINE_SUBSCRIBER = 2, LINE_ZMTP2 = 4, LINE_OUTBOUND = 8 };

/* One direction of a connection. */
struct line {
    struct stand *stand;
    struct source *source;
    struct topics topics;
    struct traffic traffic;
    uint64_t id;
    gcra_word pace;
    bool paced; /* its commands are, when those of all are many */
    enum patience patience;
    bool waiting; /* for room, or STOPS, or for a turn */
    bool stinted; /* it has no turns but these, and waits when there are none; SLEEPS, INSISTS: it then gets one */
    uint32_t turns;
    enum traffic_shed shed; /* what happens to the message that waits for its turn */
    struct traffic *twin;

    uint8_t *kept;
    size_t kept_len, scanned, most_kept;

    uint8_t *out; /* all bytes that were admitted */
    size_t out_len, out_cap;
    enum verdict verdict, wait_reason, drop_reason; /* the last of each */
    uint64_t messages, frames, commands, drops, dropped, waits, waited_ns;
    uint64_t turns_used, turns_awaited;
    bool made_room;
    struct traffic_ping ping;
};

void line_init(struct line *l, struct stand *s, unsigned flags);

/* The end of the connection: gives back everything that it holds at the gate. */
void line_fini(struct line *l);

/* Shows the kept bytes and `len` bytes more (none: after a wait). False: closed, or `waiting`. */
bool line_feed(struct line *l, const void *bytes, size_t len);

/* In pieces of at most `most` bytes. */
bool line_feed_by(struct line *l, const void *bytes, size_t len, size_t most);

/* A stream under construction. */
struct stream {
    uint8_t *bytes;
    size_t len, cap;
};

void stream_free(struct stream *s);
void stream_put(struct stream *s, const void *bytes, size_t len);

/* A frame whose body is `size` times `fill`. `flags` without LONG. */
void stream_frame(struct stream *s, unsigned flags, uint8_t fill, size_t size);

/* A message frame with this body. */
void stream_body(struct stream *s, unsigned flags, const void *body, size_t size);
void stream_command(struct stream *s, const char *name, const void *data, size_t len);

/* A CURVE MESSAGE of `box` bytes behind the nonce. */
void stream_curve(struct stream *s, unsigned flags, size_t box);

#endif
