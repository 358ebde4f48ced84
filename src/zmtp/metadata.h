/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The metadata of READY and INITIATE (RFC 37): properties of a name (1 length byte) and a value (4 length bytes). Pure.
 */
#ifndef WEIR_ZMTP_METADATA_H
#define WEIR_ZMTP_METADATA_H

#include "base/attr.h"
#include "base/cursor.h"

#include <stdbool.h>

struct zmtp_property {
    struct bytes name, value;
};

/* Reads the next property. False: the end, or malformed (then c->failed is set). */
MUST_USE bool zmtp_property_next(struct cursor *c, struct zmtp_property *ret);

/* Whether a client must not set this property, because the application believes that it comes from Weir or from libzmq
 * itself: X-Weir-*, Peer-Address, User-Id, Routing-Id, __fd, in any case. libzmq never sends a Routing-Id (READY has
 * Identity). But zmq_msg_gets("Routing-Id") would show the client's, even if the ROUTER knows it by another id. */
bool zmtp_property_is_reserved(const struct zmtp_property *p);

/* What a READY or INITIATE says about its sender. */
struct zmtp_metadata {
    struct bytes socket_type; /* len 0: absent */
    struct bytes routing_id;
    bool has_routing_id;
};

/* Checks all properties. False: malformed, or Socket-Type or Identity is present more than once. libzmq takes the last
 * Identity and others take the first, so two of them would be a disguise. */
MUST_USE bool zmtp_metadata_parse(struct bytes metadata, struct zmtp_metadata *ret);

/* RFC 37: "identity = 0*255OCTET". An empty one is valid and means no id. The RFC also says "The first octet of the
 * Identity SHALL NOT be zero", but libzmq sets and accepts such ids. */
bool zmtp_routing_id_ok(struct bytes id);

/* Whether an id has the form that a ROUTER gives to clients without one: zero and four octets. Among the ids that begin
 * with zero, only these can equal that of another client. */
bool zmtp_routing_id_is_generated(struct bytes id);

/* Writes one property. Returns the bytes written, which are 5 and both lengths; 0: `size` does not suffice. */
MUST_USE size_t zmtp_property_put(uint8_t *dst, size_t size, const char *name, const char *value);

/*
 * Writes a first property `name` = `value`, and behind it a copy of `metadata` without the reserved properties.
 * zmtp_metadata_parse() must have accepted `metadata`. Returns the bytes written, at most metadata.len + 5 + both
 * lengths; 0: `size` does not suffice.
 */
MUST_USE size_t zmtp_metadata_rewrite(uint8_t *dst, size_t size, struct bytes metadata, const char *name,
                                      const char *value);

#endif
