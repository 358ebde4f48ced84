/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keeps what Weir knows of its peers over a restart (bans and claims), on a thread of its own.
 *
 * - Once a second it removes expired bans.
 * - It writes the ban table to the state file when it has changed, at most every two seconds, and when the ban store is
 *   stopped.
 * - It writes the largest claims (flow/claims_state.h) to a file beside it, FILE.claims, every ten seconds while
 *   messages pass, and when it is stopped.
 *
 * There are two files because one changes with each ban and the other all the time, and damage to one leaves the other
 * intact. kept_file.h says how they are written.
 *
 * Reads and writes at most about 3 MiB of bans, held only meanwhile, and about 80 KiB of claims for each gate.
 */
#ifndef WEIR_DAEMON_BAN_STORE_H
#define WEIR_DAEMON_BAN_STORE_H

#include "bans/bans.h"
#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* The owner of the claims. */
struct ban_store_claims {
    void *of;
    /* Grows whenever a message passes. */
    uint64_t (*served)(void *of);
    /* The file's bytes, to be freed by the caller; NULL: out of memory. */
    uint8_t *(*write)(void *of, size_t *ret_len);
    /* Restores what was written. NULL, or what is wrong with it ("is damaged"). */
    const char *(*read)(void *of, const uint8_t *bytes, size_t len);
    /* Called once a second, for what waits for nothing but time. NULL: nothing does. */
    void (*tick)(void *of);
};

struct ban_store;

/* Reads the state file `path` ("": none) into `bans` and `claims` (NULL: none are kept), and starts the thread. All
 * must outlive it. NULL when memory or threads are out. Main thread, before the workers start. */
MUST_USE struct ban_store *ban_store_start(const char *path, struct bans *bans, const struct ban_store_claims *claims);

/* Has the thread try whether the state file can be written, and warn if not. Accepts NULL. Main thread. */
void ban_store_try(struct ban_store *k);

/* Writes once more if needed, ends the thread, frees everything. Accepts NULL. Main thread. */
void ban_store_stop(struct ban_store *k);

#endif
