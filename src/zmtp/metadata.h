/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Metadata of READY and INITIATE (RFC 37): properties of name (1 length byte) and value (4 length bytes). Pure.
 */
#ifndef WEIR_ZMTP_METADATA_H
#define WEIR_ZMTP_METADATA_H

#include "base/attr.h"
#include "base/cursor.h"

#include <stdbool.h>

struct zmtp_property {
    struct bytes name, value;
};

/* Reads the next property. False at the end, or when malformed (then c->failed is set). */
MUST_USE bool zmtp_property_next(struct cursor *c, struct zmtp_property *ret);

/* Names compare without case: RFC 37: "Metadata names SHALL be case-insensitive.". */
bool zmtp_property_is(const struct zmtp_property *p, const char *name);

/* Properties that a client must not set, because the application believes them to come from Weir or from libzmq itself:
 * X-Weir-*, Peer-Address, User-Id, Routing-Id, __fd, whatever their case. libzmq never sends a Routing-Id (READY has
 * Identity), but zmq_msg_gets("Routing-Id") shows the client's, whatever id the ROUTER knows it by. */
bool zmtp_property_is_reserved(const struct zmtp_property *p);

/* What a READY or INITIATE says of its sender. */
struct zmtp_metadata {
    struct bytes socket_type; /* len 0: absent */
    struct bytes routing_id;
    bool has_routing_id;
};

/* Checks all properties. False when malformed, or when Socket-Type or Identity stand more than once (libzmq takes the
 * last Identity, others the first: two of them are a disguise). */
MUST_USE bool zmtp_metadata_parse(struct bytes metadata, struct zmtp_metadata *ret);

/* RFC 37: "identity = 0*255OCTET". Empty is allowed: no id. It also says "The first octet of the Identity SHALL NOT be
 * zero", but libzmq sets and accepts such ids. */
bool zmtp_routing_id_ok(struct bytes id);

/* Whether it has the form of the ids that a ROUTER gives to clients without one: zero and four octets. Among the ids
 * that begin with zero only these can meet another client's. */
bool zmtp_routing_id_is_generated(struct bytes id);

/* Writes one property. Returns the bytes written, or 0 when `size` does not suffice: 5 and both lengths are needed. */
MUST_USE size_t zmtp_property_put(uint8_t *dst, size_t size, const char *name, const char *value);

/*
 * Copies `metadata` (which zmtp_metadata_parse() has accepted) to `dst` without the reserved properties, behind a first
 * property `name` = `value`. Returns the bytes written, or 0 when `size` does not suffice. At most metadata.len + 5 +
 * both lengths are needed.
 */
MUST_USE size_t zmtp_metadata_rewrite(uint8_t *dst, size_t size, struct bytes metadata, const char *name,
                                      const char *value);

#endif
