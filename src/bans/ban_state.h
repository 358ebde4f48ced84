/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes the ban table as bytes and reads it back, so that bans and their history outlive a restart. Pure: bytes in,
 * bytes out.
 *
 *   "WEIRBANS"  version (be32)  entries (be32)  when it was written (be64, ns since the Unix epoch)
 *   entry:      kind  bits  reason  level  address (16 bytes)
 *               time left  time to the next fading  fading time  time since the ban began  (be64 ns)
 *   checksum (be64) of all that comes before
 *
 * Version 1 has no time since the ban began: its bans begin when they are read.
 *
 * Times are stored as the time that was left, because the monotonic clock starts anew when the machine boots. The time
 * that has passed since then is taken from the wall clock. A wall clock that was set back counts as no time passed. So
 * a ban can end later by the time that Weir was down, but its time left never exceeds what was written.
 */
#ifndef WEIR_BANS_BAN_STATE_H
#define WEIR_BANS_BAN_STATE_H

#include "bans/bans.h"
#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

#define BAN_STATE_VERSION 2u

/* The size of a state with `count` entries. */
size_t ban_state_bytes(size_t count);

/* Writes `count` entries to `dst`, which has room for ban_state_bytes(count). */
void ban_state_write(uint8_t *dst, const struct ban *bans, size_t count, uint64_t now_ns, uint64_t wall_ns);

/* Makes the checksum of `len` bytes, at least ban_state_bytes(0), fit. ban_state_write() does it; other callers are
 * tests. */
void ban_state_seal(uint8_t *bytes, size_t len);

enum ban_state_fault {
    BAN_STATE_SOUND,
    BAN_STATE_DAMAGED, /* cut short, or changed since it was written */
    BAN_STATE_NEWER,   /* of a version that this Weir does not know */
};

/* Checks the whole of `bytes`. Sound ones have *ret_count entries. */
enum ban_state_fault ban_state_check(const uint8_t *bytes, size_t len, size_t *ret_count);

/* Reads entry `index` of sound bytes, with times of this boot. Returns false when the entry has run out, or has values
 * that no ban can have. */
MUST_USE bool ban_state_entry(const uint8_t *bytes, size_t index, uint64_t now_ns, uint64_t wall_ns, struct ban *ret);

#endif
