/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The largest claims of all gates as bytes, so that who was served in calm time is known after a restart. Pure: bytes
 * in, bytes out.
 *
 *   "WEIRCLMS"  version (be32)  gates (be32)  when it was written (be64, ns since the Unix epoch)
 *   gate:       length of its name (1 byte)  name  key (16 bytes)
 *               calm stretches that claims are means over, up to 120 (be32)  entries (be32)
 *   entry:      keyed hash of the source (be64)  rate (be64, units of 2^-40)  connections (be32)
 *   checksum (be64) of all that comes before
 *
 * Sources are keyed hashes, as in the table, and the key of the hash is in the file: what is in it is no secret from
 * who may read it (an IPv4 address is found by trying all of them), and no address stands in a copy that only lacks the
 * head. The file is its owner's alone, as that of the bans is. A keyed hash has room for other parties than addresses.
 *
 * Rates are as of when it was written; who reads takes off what has faded since, by the wall clock. One that was set
 * back meanwhile counts as no time at all.
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

/* The size of a state of these. */
size_t claims_state_bytes(const struct claims_state_gate *gates, size_t count);

/* Writes it to `dst`, which has room for that. */
void claims_state_write(uint8_t *dst, const struct claims_state_gate *gates, size_t count, uint64_t wall_ns);

/* Makes the checksum of `len` bytes, at least claims_state_bytes(NULL, 0), fit. For tests; claims_state_write() does
 * it. */
void claims_state_seal(uint8_t *bytes, size_t len);

enum claims_state_fault {
    CLAIMS_STATE_SOUND,
    CLAIMS_STATE_DAMAGED, /* cut short, changed since it was written, or another file */
    CLAIMS_STATE_NEWER,   /* of a version that this Weir does not know */
};

struct claims_state_head {
    uint64_t written_ns; /* since the Unix epoch */
    uint32_t gates;
};

/* Looks at the whole of `bytes`. */
enum claims_state_fault claims_state_check(const uint8_t *bytes, size_t len, struct claims_state_head *ret);

/* The entries of one gate, in sound bytes. */
struct claims_state_part {
    struct hash_key key;
    uint32_t calm;
    size_t count;
    struct bytes entries;
};

/* False: there is nothing of a gate of this name. */
MUST_USE bool claims_state_find(const uint8_t *bytes, size_t len, const char *name, struct claims_state_part *ret);

/* Entry `index` of a part. */
struct claims_kept claims_state_entry(const struct claims_state_part *p, size_t index);

/* How long ago that was. */
static inline uint64_t claims_state_age(const struct claims_state_head *h, uint64_t wall_ns)
{
    return wall_ns > h->written_ns ? wall_ns - h->written_ns : 0;
}

#endif
