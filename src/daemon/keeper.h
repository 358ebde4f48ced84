/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keeps over a restart what Weir knows of its peers, on a thread of its own. Once a second it forgets bans that have
 * run out. The ban table is written to the state file when it has changed, at most every two seconds, and when the
 * keeper is stopped; the largest claims (flow/claims_state.h) to a file beside it, FILE.claims, while somebody is
 * served, every ten seconds, and when it is stopped. Two files: one changes with each ban, the other all the time, and
 * what damages one leaves the other. See kept_file.h for how they are written.
 *
 * Reads and writes at most some 3 MiB of bans, held only meanwhile, and some 80 KiB of claims for each gate.
 */
#ifndef WEIR_DAEMON_KEEPER_H
#define WEIR_DAEMON_KEEPER_H

#include "base/attr.h"
#include "policy/bans.h"

#include <stddef.h>
#include <stdint.h>

/* Who has the claims. */
struct keeper_claims {
    void *of;
    /* Grows whenever somebody is served. */
    uint64_t (*served)(void *of);
    /* The file's bytes, to be freed; NULL: memory is out. */
    uint8_t *(*write)(void *of, size_t *ret_len);
    /* Takes over what was written. NULL, or what is the matter with it ("is damaged"). */
    const char *(*read)(void *of, const uint8_t *bytes, size_t len);
};

struct keeper;

/* Reads the state file `path` ("": none) into `bans` and `claims` (NULL: none are kept), and starts the thread. All
 * must outlive it. NULL when memory or threads are out. Main thread, before the workers start. */
MUST_USE struct keeper *keeper_start(const char *path, struct bans *bans, const struct keeper_claims *claims);

/* Writes once more if need be, ends the thread, frees everything. Accepts NULL. Main thread. */
void keeper_stop(struct keeper *k);

#endif
