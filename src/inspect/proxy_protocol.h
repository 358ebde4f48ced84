/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Parses the header of HAProxy's PROXY protocol, versions 1 and 2, in which a load balancer says for which client it
 * has connected (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, the numbers of sections are its own).
 * Bytes in, an address out; no memory of its own.
 *
 * The parser is given all that has come so far, from the first byte on, each time. Once it has decided, more bytes
 * change nothing. A header that can be seen to be wrong is refused at once, so that a peer that speaks another protocol
 * does not wait for a deadline.
 */
#ifndef WEIR_INSPECT_PROXY_PROTOCOL_H
#define WEIR_INSPECT_PROXY_PROTOCOL_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/cursor.h"

#include <stddef.h>

/* Section 2.1: the longest line, with its CRLF. */
#define PROXY_PROTOCOL_V1_MAX 107u

/* The longest header of version 2, with its TLVs; one that announces more is refused. Section 2.2 would allow 65551;
 * 4096 is what nginx takes, too. */
#define PROXY_PROTOCOL_MAX 4096u

enum proxy_protocol_result { PROXY_PROTOCOL_NEED, PROXY_PROTOCOL_DONE, PROXY_PROTOCOL_BAD };

struct proxy_protocol {
    size_t bytes;       /* of the header; the bytes behind it are the client's */
    struct addr client; /* ADDR_NONE: no client is named (LOCAL, UNKNOWN, UNSPEC, or a Unix socket), so the connection
                           is the sender's own */
    const char *wrong;  /* of a BAD one: what is wrong with it, for a person */
};

/* Decides by the octets alone by which a header is known (12, or 6 of version 1), whatever follows them. Pure. */
MUST_USE enum proxy_protocol_result proxy_protocol_begins(struct bytes so_far);

/* Decides on the whole header; DONE fills *ret, BAD its `wrong`. Pure. */
MUST_USE enum proxy_protocol_result proxy_protocol_parse(struct bytes so_far, struct proxy_protocol *ret);

#endif
