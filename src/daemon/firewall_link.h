/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The follower's end of the conversation with the helper: sends requests, each of which waits for its answer.
 *
 * Blocks the calling thread until the answer comes, the helper has ended, or `stop_fd` is readable; one thread. A
 * helper is late when it takes longer than LINK_PATIENCE_MS (for a replacement, that plus a millisecond for each
 * LINK_ENTRIES_A_MS). This is reported once for each request. Memory: one datagram of 48 KiB.
 */
#ifndef WEIR_DAEMON_FIREWALL_LINK_H
#define WEIR_DAEMON_FIREWALL_LINK_H

#include "firewall/firewall_wire.h"

#define LINK_PATIENCE_MS  3000 /* a busy machine needs a second and more for a few thousand entries */
#define LINK_ENTRIES_A_MS 10u  /* a fifth of the speed of two busy cores */

struct firewall_link {
    int fd;      /* of struct helper */
    int stop_fd; /* readable: it is time to end */
    void (*on_late)(void *context);
    void *context;
    uint32_t number;
    uint64_t packets, bytes; /* dropped, as of the last answer */
    uint8_t datagram[FIREWALL_WIRE_MAX];
};

/* Each returns 0, -EPIPE when there is no helper any more, -ECANCELED when it is time to end, or the kernel's error
 * (-errno). */

MUST_USE int firewall_link_replace(struct firewall_link *l, const struct firewall_gates *gates,
                                   const struct firewall_entry *entries, size_t count);

/* At most FIREWALL_WIRE_RECORDS. */
MUST_USE int firewall_link_change(struct firewall_link *l, const struct firewall_entry *entries, size_t count);

/* Asks for the counters, which also shows whether the table is still there. */
MUST_USE int firewall_link_count(struct firewall_link *l);

#endif
