/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Large messages on their way into the application. A message above the hold limit streams through, so the application
 * holds its parts before Weir knows that it will end (libzmq reserves the whole announced frame at once, and its
 * high-water mark does not count unfinished messages). The sum over all connections of a gate is therefore limited:
 * each frame of a streaming message reserves its announced size first. When the limit is reached, one connection at a
 * time may still go beyond it (it holds the pass), so that any message that fits message.size gets through; the others
 * wait unread. Who holds a reservation and does not move while others wait is cut by its owner (unfinished_wanted()).
 *
 * 24 bytes a gate, shared by all workers, lock-free.
 */
#ifndef WEIR_POLICY_UNFINISHED_H
#define WEIR_POLICY_UNFINISHED_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct unfinished {
    _Atomic uint64_t bytes;     /* reserved now */
    _Atomic uint64_t pass;      /* id of the connection that may exceed the limit, or 0 */
    _Atomic uint64_t wanted_ns; /* when somebody was last refused */
};

/* Reserves `bytes` for connection `id` (not 0), or refuses and changes nothing but wanted_ns. */
MUST_USE bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, uint64_t id, uint64_t bytes,
                                 uint64_t now_ns);

/* Gives back all that `id` has reserved, and the pass if it holds it. */
void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes);

/* Whether somebody was refused within the last `within_ns`. */
bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns);

#endif
