/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The file format of claims: the largest claims of all gates as bytes, so that sources which were served in calm time
 * are known after a restart.
 *
 *   "WEIRCLMS"  version (be32)  gates (be32)  time of writing (be64, ns since the Unix epoch)
 *   gate:       length of its name (1 byte)  name  key (16 bytes)
 *               calm stretches that claims are means over, up to 120 (be32)  entries (be32)
 *   entry:      keyed hash of the source (be64)  rate (be64, units of 2^-40)  connections (be32)
 *   checksum (be64) of all bytes before it
 *
 * Sources are keyed hashes, as in the table, and the key of the hash is in the file. So the content is no secret to a
 * reader of the file: an IPv4 address is found by trying all of them. A copy without the head contains no address. The
 * file belongs to its owner alone, as the file of bans does. A keyed hash has room for parties other than addresses.
 *
 * Rates are those of the time of writing. The reader takes off what has faded since, by the wall clock. If that clock
 * was set back meanwhile, no time has passed.
 *
 * Locks: none; pure: bytes in, bytes out. The ban store's thread writes; the file is read at the start.
 * Units: nanoseconds; rates in 2^-40 of a server.
 * Memory: the caller's. claims_state_bytes() tells how much is needed; there is no other limit.
 */
#ifndef WEIR_FLOW_CLAIMS_STATE_H
#define WEIR_FLOW_CLAIMS_STATE_H

#include "base/attr.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "flow/claims.h"

#include <stddef.h>
#include <stdint.h>

#define CLAIMS_STATE_VERSION  1u
#define CLAIMS_STATE_NAME_MAX 255u

/* What is kept of one gate. */
struct claims_state_gate {
    const char *name; /* up to CLAIMS_STATE_NAME_MAX characters */
    struct hash_key key;
    uint32_t calm;
    const struct claims_kept *rows;
    size_t count;
};

/* The bytes that claims_state_write() needs for these gates. */
size_t claims_state_bytes(const struct claims_state_gate *gates, size_t count);

/* Writes the state to `dst`, which has room for claims_state_bytes(). */
void claims_state_write(uint8_t *dst, const struct claims_state_gate *gates, size_t count, uint64_t wall_ns);

/* Sets the checksum at the end of `len` bytes, at least claims_state_bytes(NULL, 0). For tests; claims_state_write()
 * does it. */
void claims_state_seal(uint8_t *bytes, size_t len);

enum claims_state_fault {
    CLAIMS_STATE_SOUND,
    CLAIMS_STATE_DAMAGED, /* cut short, changed since it was written, or another kind of file */
    CLAIMS_STATE_NEWER,   /* a version that this Weir does not know */
};

struct claims_state_head {
    uint64_t written_ns; /* since the Unix epoch */
    uint32_t gates;
};

/* Checks all of `bytes`. *ret is filled when they are sound. */
enum claims_state_fault claims_state_check(const uint8_t *bytes, size_t len, struct claims_state_head *ret);

/* The entries of one gate; `entries` points into the bytes that were checked. */
struct claims_state_part {
    struct hash_key key;
    uint32_t calm;
    size_t count;
    struct bytes entries;
};

/* Finds a gate by name in sound bytes. False: there is none of this name. */
MUST_USE bool claims_state_find(const uint8_t *bytes, size_t len, const char *name, struct claims_state_part *ret);

/* Entry `index` of a part, below its count. */
struct claims_kept claims_state_entry(const struct claims_state_part *p, size_t index);

/* Nanoseconds since the time of writing; 0 when the clock was set back. */
static inline uint64_t claims_state_age(const struct claims_state_head *h, uint64_t wall_ns)
{
    return wall_ns > h->written_ns ? wall_ns - h->written_ns : 0;
}

#endif
