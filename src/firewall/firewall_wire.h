/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The wire format between the follower of the ban table and the privileged helper, over a pair of SOCK_SEQPACKET
 * sockets.
 *
 * One datagram is one message: a head of fixed size and up to FIREWALL_WIRE_RECORDS records of fixed size, all numbers
 * big-endian. The length of a message follows from its head, and a datagram of another length is no message. Every
 * request has exactly one answer, and the follower sends nothing before it has it.
 *
 *   head   "WFW" version:1 | type:1 gate:1 count:2 | number:4 | error:4 | packets:8 | bytes:8        32 bytes
 *   record kind:1 bits:1 zero:2 | left_ms:4 | address:16                                             24 bytes
 *
 * No message names a port, an address of this machine, a table or a rule: the helper knows those from before it was
 * forked. Bytes in, bytes out; any thread.
 */
#ifndef WEIR_FIREWALL_FIREWALL_WIRE_H
#define WEIR_FIREWALL_FIREWALL_WIRE_H

#include "firewall/firewall.h"

#define FIREWALL_WIRE_VERSION 1u
#define FIREWALL_WIRE_HEAD    32u
#define FIREWALL_WIRE_RECORD  24u
#define FIREWALL_WIRE_RECORDS 2048u
#define FIREWALL_WIRE_MAX     (FIREWALL_WIRE_HEAD + FIREWALL_WIRE_RECORDS * FIREWALL_WIRE_RECORD)

enum firewall_type {
    FIREWALL_BEGIN = 1, /* a full replacement begins; one that was not committed is forgotten */
    FIREWALL_FILL,      /* entries of it, continuing in order */
    FIREWALL_EXEMPT,    /* the exempt networks of `gate`, in place of those that it had; left_ms is 0 */
    FIREWALL_COMMIT,    /* puts it into force, in one transaction */
    FIREWALL_CHANGES,   /* entries to be added, extended, or removed, in one transaction */
    FIREWALL_COUNTERS,  /* only asks for the counters */
    FIREWALL_ANSWER, /* of the helper, to each of these; error: 0 or an errno; with the counters of dropped packets */
};

struct firewall_message {
    uint8_t type; /* enum firewall_type */
    uint8_t gate;
    uint16_t count;
    uint32_t number; /* of the request; the answer repeats it */
    uint32_t error;
    uint64_t packets, bytes;
    const uint8_t *records; /* `count` of them, inside the datagram */
};

/* Writes the head of a message that will have m->count records, at most FIREWALL_WIRE_RECORDS, into `dst`
 * (FIREWALL_WIRE_MAX bytes). firewall_wire_put() writes the records behind it. firewall_wire_bytes() is its whole
 * length. */
void firewall_wire_head(uint8_t *dst, const struct firewall_message *m);
void firewall_wire_put(uint8_t *dst, size_t index, const struct firewall_entry *e);
size_t firewall_wire_bytes(size_t records);

/* Returns false when it is no message of this version; *ret is undefined then. Only types that carry records may have
 * any, and only answers have an error and counters. */
MUST_USE bool firewall_wire_read(const uint8_t *bytes, size_t len, struct firewall_message *ret);

/* Reads a record of a message that was read, index < count. Returns false when no writer makes such a record. It does
 * not say whether a firewall accepts it. */
MUST_USE bool firewall_wire_get(const struct firewall_message *m, size_t index, struct firewall_entry *ret);

#endif
