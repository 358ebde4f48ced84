/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A lane: one direction of an open session. Reads, has every byte judged, writes what was admitted. It owns a buffer
 * only while bytes wait:
 *
 *   buf  [start, ready)    admitted, not yet written (the receiver takes nothing: backpressure)
 *        [ready, scanned)  the beginning of a message that is held until it is whole
 *        [scanned, end)    read, not yet judged (the lane is paused)
 *
 * Nothing is read while anything is admitted or unjudged, so a lane holds at most one read (4 KiB to 256 KiB, halved
 * each time the receiver does not keep up or a limit makes the lane wait, doubled while neither happens) and one held
 * message (message.hold).
 */
#ifndef WEIR_RELAY_LANE_H
#define WEIR_RELAY_LANE_H

#include "security/traffic.h"

#include <stdbool.h>
#include <stdint.h>

#define LANE_READ_LOG2_MIN   12
#define LANE_READ_LOG2_FIRST 14
#define LANE_READ_LOG2_MAX   18

struct session;
struct side;

struct lane {
    struct traffic traffic;
    uint8_t *buf;
    uint32_t cap, start, ready, scanned, end;
    uint32_t last_read; /* what the last read brought */
    uint8_t read_log2;
    bool eof;            /* the sender has closed, and everything was read */
    bool shut;           /* ... and the receiver was told */
    bool blocked;        /* the receiver takes nothing */
    bool paused;         /* a limit says so, until the session's resume_ns */
    bool noted_late;     /* the message now incomplete is late for a rule in shadow, and counted */
    bool pressed;        /* not read for want of memory (memory.h) */
    bool held_back;      /* it is not its turn (admission.h) */
    uint64_t blocked_ns; /* while it is blocked: when the receiver last took something, or was blocked */
    uint64_t messages;
    uint64_t passed; /* bytes written */
};

void lane_init(struct lane *l, bool inbound, bool zmtp2, bool curve, bool subscriber);

/* Frees the buffer and gives back reservations. */
void lane_fini(struct lane *l, struct session *s);

/* Bytes that came before the lane was there, to be judged first. False: no memory. */
MUST_USE bool lane_preload(struct lane *l, struct session *s, struct bytes bytes);

/* Moves bytes for a bounded turn. True: there is more to do at once. May close the session. */
bool lane_run(struct lane *l, struct session *s);

/* Whether nothing waits and the last bytes ended a message. */
bool lane_is_quiet(const struct lane *l);

/* Sends a frame of Weir's own (a PONG) between two messages of the lane, if that is possible now. */
bool lane_inject(struct lane *l, struct session *s, const uint8_t *frame, size_t len);

/* Sends a message of Weir's own there: what the receiver does not take at once waits for it. May close the session. */
bool lane_answer(struct lane *l, struct session *s, const uint8_t *message, size_t len);

/* Whether a frame could be sent now. */
bool lane_may_inject(const struct lane *l, struct session *s);

/* The session's ends as this lane sees them. */
struct side *lane_from(const struct lane *l, struct session *s);
struct side *lane_to(const struct lane *l, struct session *s);

/* What the kernel had no memory for when it was last written is tried again. At the session's alarm. */
void lane_try_starved(struct lane *l, struct session *s);

#endif
