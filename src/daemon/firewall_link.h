/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The follower's end of the conversation with the helper: requests go out, each waits for its answer. Blocks the
 * calling thread, for at most LINK_PATIENCE_MS a request; one thread. Memory: one datagram of 48 KiB.
 */
#ifndef WEIR_DAEMON_FIREWALL_LINK_H
#define WEIR_DAEMON_FIREWALL_LINK_H

#include "policy/firewall_wire.h"

#define LINK_PATIENCE_MS 60000

struct firewall_link {
    int fd; /* of struct helper */
    uint32_t number;
    uint64_t packets, bytes; /* dropped, as of the last answer */
    uint8_t datagram[FIREWALL_WIRE_MAX];
};

/* Each returns 0, -EPIPE when there is no helper any more, or what the kernel said of it (-errno). */

MUST_USE int firewall_link_replace(struct firewall_link *l, const struct firewall_gates *gates,
                                   const struct firewall_entry *entries, size_t count);

/* At most FIREWALL_WIRE_RECORDS. */
MUST_USE int firewall_link_change(struct firewall_link *l, const struct firewall_entry *entries, size_t count);

/* Asks for the counters, which shows as well whether the table is still there. */
MUST_USE int firewall_link_count(struct firewall_link *l);

#endif
