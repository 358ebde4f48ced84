/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session at the valve of an application from which nothing comes back (PULL, SUB, XSUB). There each connection has a
 * queue of its own in the application (1000 messages with libzmq's defaults), and all of them take turns: who sends one
 * message waits for one message of every queue that is not empty. So not the messages are limited but the queues that
 * may fill: who has more than a little to say holds one of TENURES_MOST places while it does, and when all are taken it
 * stands in line. A place is given up after some time if others wait for it, or when its client has nothing more to say
 * (one who had much to say is given a moment to go on); not in the midst of a large message that the application has
 * made room for, and at once by who waits for such room (policy/unfinished.h): else those with a place and those with
 * room would wait for each other. It becomes free at once if the application took everything;
 * otherwise when the queue must have emptied, at the pace that was seen while it was full. At most half of the places
 * are left to empty at a time, so that an application which is faster than expected has something to do; and as long as
 * a pace is known, a queue is filled at a few times that pace and not at once.
 *
 * Who says little never waits, nor does a handful of clients at full speed. Little is, while others wait, half of what
 * the application takes of a full queue (flow/pace.h): of who says no more, the application's queue is empty again
 * before the next message comes. It is TENURE_LITTLE_RATE at least.
 *
 * Runs on the session's worker.
 */
#ifndef WEIR_RELAY_TENURE_H
#define WEIR_RELAY_TENURE_H

#include <stdbool.h>
#include <stdint.h>

#define TENURES_MOST 4u

/* What is little: bytes at once, and bytes a second, at least, where a message counts as so many bytes more (the
 * application's work is for messages, and the smallest on the wire has two bytes). */
#define TENURE_LITTLE_BYTES    4096u
#define TENURE_LITTLE_RATE     16384u
#define TENURE_LITTLE_MESSAGE  128u
#define TENURE_LITTLE_MESSAGES (TENURE_LITTLE_BYTES / TENURE_LITTLE_MESSAGE)

struct session;

struct tenure {
    uint64_t since_ns;        /* 0: holds no place */
    uint64_t until_ns;        /* its queue has emptied by then; 0: not given up */
    uint64_t full_ns;         /* when it was first seen full; 0: it was not */
    uint64_t took_ns;         /* when the application took something of a full queue */
    uint64_t rests_ns;        /* passes nothing on before; 0: it may */
    uint64_t unread_ns;       /* since when the application reads less than it is sent; 0: it keeps up */
    uint64_t quiet_ns;        /* since when its client has said nothing; 0: it does, or has no place */
    uint32_t bytes;           /* passed since it holds the place */
    uint32_t full_bytes : 28; /* ... since it was first seen full; up to a read more than 128 MiB */
    uint32_t full : 1;        /* it is full now */
    uint32_t measured : 1;    /* it was full again since then */
    uint32_t stalled : 1;     /* the application took nothing for long */
    uint32_t unmeasured : 1;  /* ... and what came before is not measured */
};

/* Whether the session may read and pass on more now. Lines up when it may not. */
bool tenure_allows(struct session *s);

/* How many messages may be passed now, after tenure_allows(). */
uint32_t tenure_messages(const struct session *s);

/* The application took `bytes`; `blocked`: and takes no more now. */
void tenure_passed(struct session *s, uint64_t bytes, bool blocked);

/* The client has nothing more to say now. */
void tenure_rest(struct session *s);

/* The client has left: whether its session may end now. What it has said is still to be worked on, so its place may
 * stay taken for a while; the session is woken then. */
bool tenure_may_end(struct session *s);

/* The session ends, whatever of its queue is left. */
void tenure_leave(struct session *s);

/* At the session's alarm. */
void tenure_on_alarm(struct session *s);

#endif
