/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A lane: one direction of an open session. It reads (lane_input.h), has every byte judged (inspect/traffic.h), and
 * writes what was admitted (lane_output.h).
 *
 * It owns a buffer only while bytes wait (lane_buffer.h):
 *
 *   buf  [start, ready)    admitted, not yet written (the receiver takes nothing: backpressure)
 *        [ready, scanned)  the beginning of a message that is held until it is complete
 *        [scanned, end)    read, not yet judged (the lane is paused)
 *
 * Nothing is read while anything is admitted or unjudged. A lane thus holds at most one read and one held message
 * (message.hold). A read is 4 KiB to 256 KiB: halved each time the receiver does not keep up or a limit makes the lane
 * wait, doubled while neither happens.
 *
 * States are flags, and several may be set. A lane reads only while none of the first four is.
 *
 *   flag           set                                                         cleared
 *   blocked        the receiver did not take everything (lane_output.h)        all admitted bytes are written
 *   paused         a rate limit was reached (lane_pause.h)                     at the session's resume_ns
 *   held_back      its session is in line (request_flow.h; inbound)            the session's turn has come
 *   awaits_memory  memory is short (buffer_room.h)                             at the session's next turn
 *   eof            the sender has closed, and everything was read              never
 *   shut           eof, and everything was written; or the receiver is gone    never
 *
 * Once everything after eof was written, the inbound lane shuts down the application's end for writing, or closes the
 * session if the client is a subscriber. The outbound lane closes the session.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_LANE_H
#define WEIR_RELAY_LANE_H

#include "inspect/traffic.h"

#include <stdbool.h>
#include <stdint.h>

#define LANE_READ_LOG2_MIN   12
#define LANE_READ_LOG2_FIRST 14
#define LANE_READ_LOG2_MAX   18

struct session;

struct lane {
    struct traffic traffic;
    uint8_t *buf;
    uint32_t cap, start, ready, scanned, end;
    uint32_t last_read; /* bytes of the last read */
    uint8_t read_log2;
    bool eof;            /* the sender has closed, and everything was read */
    bool shut;           /* ... and the receiver was told, or is gone */
    bool blocked;        /* the receiver takes nothing */
    bool paused;         /* a limit makes it wait until the session's resume_ns */
    bool noted_late;     /* the incomplete message is late for a rule in shadow, and was counted */
    bool awaits_memory;  /* not read because memory is short (buffer_room.h) */
    bool held_back;      /* its session is in line (request_flow.h) */
    uint64_t blocked_ns; /* while it is blocked: when the receiver last took something, or when it was blocked */
    uint64_t messages;
    uint64_t passed; /* bytes written */
};

void lane_init(struct lane *l, bool inbound, bool zmtp2, bool curve, bool subscriber);

/* Frees the buffer and gives back reservations. */
void lane_fini(struct lane *l, struct session *s);

/* Moves bytes for a bounded turn. True: more can be done at once. May end the session. */
bool lane_run(struct lane *l, struct session *s);

/* Whether nothing waits and the last bytes ended a message. */
bool lane_is_quiet(const struct lane *l);

#endif
