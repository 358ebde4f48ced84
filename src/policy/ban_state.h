/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The ban table as bytes, so that bans and history outlive a restart. Pure: bytes in, bytes out.
 *
 *   "WEIRBANS"  version (be32)  entries (be32)  when it was written (be64, ns since the Unix epoch)
 *   entry:      kind  bits  reason  level  address (16 bytes)
 *               time left  time to the next fading  fading time  time since the ban began  (be64 ns)
 *   checksum (be64) of all that comes before
 *
 * Version 1 had no time since the ban began; its bans begin when they are read.
 *
 * Times are kept as what was left of them, because the monotonic clock starts anew with the machine: the time that has
 * passed since is taken from the wall clock. One that was set back meanwhile counts as no time at all; so a ban can
 * become longer by the time that Weir was down, never longer than it was.
 */
#ifndef WEIR_POLICY_BAN_STATE_H
#define WEIR_POLICY_BAN_STATE_H

#include "base/attr.h"
#include "policy/bans.h"

#include <stddef.h>
#include <stdint.h>

#define BAN_STATE_VERSION 2u

/* The size of a state of `count` entries. */
size_t ban_state_bytes(size_t count);

/* Writes `count` entries to `dst`, which has room for ban_state_bytes(count). */
void ban_state_write(uint8_t *dst, const struct ban *bans, size_t count, uint64_t now_ns, uint64_t wall_ns);

/* Makes the checksum of `len` bytes, at least ban_state_bytes(0), fit. Done by ban_state_write(); otherwise for tests.
 */
void ban_state_seal(uint8_t *bytes, size_t len);

enum ban_state_fault {
    BAN_STATE_SOUND,
    BAN_STATE_DAMAGED, /* cut short, or changed since it was written */
    BAN_STATE_NEWER,   /* of a version that this Weir does not know */
};

/* Looks at the whole of `bytes`; sound ones have *ret_count entries. */
enum ban_state_fault ban_state_check(const uint8_t *bytes, size_t len, size_t *ret_count);

/* Entry `index` of sound bytes, in times of this boot. False: it has run out, or says what no ban can. */
MUST_USE bool ban_state_entry(const uint8_t *bytes, size_t index, uint64_t now_ns, uint64_t wall_ns, struct ban *ret);

#endif
