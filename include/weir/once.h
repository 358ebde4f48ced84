/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_once: a window of requests that were seen already, so that a request that arrives twice is worked on once. A
 * client that gets no answer in time sends its request again. During a flood that is every client, and the work that
 * is done twice keeps the flood up.
 *
 *     void *reply;
 *     size_t size;
 *     switch (weir_once_begin(once, id, id_size, &reply, &size)) {
 *     case WEIR_ONCE_NEW:     work; weir_once_done(once, id, id_size, answer, answer_size); send the answer; break;
 *     case WEIR_ONCE_DONE:    send `reply` again; weir_free(reply); break;
 *     case WEIR_ONCE_RUNNING: say nothing: the first one will be answered; break;
 *     default:                there is no room: answer busy
 *     }
 *
 *   state    event                                       next
 *   unknown  weir_once_begin(): WEIR_ONCE_NEW            RUNNING
 *   RUNNING  weir_once_done()                            DONE, for `window_ns`
 *   RUNNING  weir_once_cancel(): the work has failed     unknown
 *   DONE     `window_ns` has passed                      unknown
 *   DONE     room is needed, and `when_full` is FORGET   unknown, the oldest first
 *
 * What is RUNNING is never forgotten: each WEIR_ONCE_NEW must be followed by weir_once_done() or weir_once_cancel().
 *
 * When it is full (`bytes` or `entries`): WEIR_ONCE_FORGET takes the room from what was done longest ago, so a late
 * duplicate of that is worked on again; it is counted. WEIR_ONCE_REFUSE works on nothing twice, and refuses what is
 * new. If all is RUNNING, both refuse. A client that sends ever new ids makes the others' window short. Where that
 * matters, use a window for each group of clients, or let only authenticated ones in.
 *
 * The id is chosen by the application: a field of the request that the client makes once and repeats. It should name
 * the client too (its key or account), or a client could use up another's ids.
 *
 * Threads: any, at any time. A mutex is held while bytes are copied.
 * Memory: `bytes` at most, in all: for each entry 56 bytes, its id and its reply; and a table of 8 bytes for each of
 * `entries`, rounded up to a power of two. What malloc() adds to a block is not counted. Ids are hashed with a secret
 * key, so no client can aim at one bucket. Source: at-most-once remote calls, Birrell and Nelson, "Implementing Remote
 * Procedure Calls", 1984; the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header).
 */
#ifndef WEIR_ONCE_H
#define WEIR_ONCE_H

#include <weir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ONCE_KEY_MAX 1024u

struct weir_once;

enum weir_once_answer { WEIR_ONCE_NEW = 0, WEIR_ONCE_RUNNING = 1, WEIR_ONCE_DONE = 2 };
enum weir_once_when_full { WEIR_ONCE_FORGET = 0, WEIR_ONCE_REFUSE = 1 };

struct weir_once_options {
    size_t size;
    uint64_t window_ns; /* after the work was done; default 60 s */
    uint64_t bytes;     /* of memory, at least 4096 more than the table; default 16 MiB */
    uint32_t entries;   /* at most, 1 to 2^24; default 65536 */
    uint32_t when_full; /* enum weir_once_when_full; default WEIR_ONCE_FORGET */
    struct weir_clock clock;
};

struct weir_once_stats {
    size_t size;
    uint64_t entries, running, bytes; /* now */
    uint64_t fresh, duplicates;       /* answers since it was made: NEW; RUNNING and DONE */
    uint64_t forgotten;               /* for room, before their window was over */
    uint64_t refused;                 /* there was no room */
    uint64_t replies_left_out;        /* done, but the reply found no room */
};

void weir_once_options_init(struct weir_once_options *ret);

/* NULL: EINVAL (an option is out of its range), ENOMEM. `options` may be NULL: the defaults. */
WEIR_MUST_USE struct weir_once *weir_once_new(const struct weir_once_options *options);
void weir_once_free(struct weir_once *o);

/* A request with this id (1 to WEIR_ONCE_KEY_MAX bytes) has arrived. Returns an enum weir_once_answer, -ENOSPC (there
 * is no room) or -EINVAL (the size of the id). With WEIR_ONCE_DONE, *ret_reply is a copy of the cached reply, for
 * weir_free(); NULL if there is none. Otherwise it is NULL. Both pointers may be NULL: the reply is not wanted. */
WEIR_MUST_USE int weir_once_begin(struct weir_once *o, const void *id, size_t id_size, void **ret_reply,
                                  size_t *ret_reply_size);

/* The work is done. `reply` (may be NULL) is kept for duplicates. 0; -ENOENT: the id is not RUNNING; -ENOSPC: it is
 * DONE, but the reply found no room, and duplicates will get none. */
int weir_once_done(struct weir_once *o, const void *id, size_t id_size, const void *reply, size_t reply_size);

/* The work has failed, and a duplicate may try again. 0; -ENOENT: the id is not RUNNING. */
int weir_once_cancel(struct weir_once *o, const void *id, size_t id_size);

/* 0; -EINVAL: ret->size is not known. */
int weir_once_read(struct weir_once *o, struct weir_once_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
