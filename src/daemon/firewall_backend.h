/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The two ways to have the kernel drop packets from banned networks: nftables (nft.c) and XDP (xdp.c). For the helper,
 * which uses each for the gates that name it.
 *
 * A way whose library was not there when this Weir was built is a row of zeros (nft_absent.c, xdp_absent.c). One
 * thread; a call may block for some hundred milliseconds.
 */
#ifndef WEIR_DAEMON_FIREWALL_BACKEND_H
#define WEIR_DAEMON_FIREWALL_BACKEND_H

#include "firewall/firewall.h"

struct firewall_backend {
    const char *version; /* of the library; NULL: not built in, and there are no functions */

    /* `table` is for nftables, and must outlive it. Needs all the rights that are ever needed. 0 with *ret for the
     * others, for the life of the process; or -errno: -EPERM; of XDP also -EBUSY: another program is on one of the
     * interfaces, and -ENODEV: there is no such interface. */
    int (*open)(const char *table, const struct firewall_gates *gates, void **ret);

    /* Replaces all bans and exemptions; those that stay are never missing meanwhile. `entries` as firewall_sort()
     * leaves them. 0 or -errno: -EPERM without the right. */
    int (*replace)(void *opened, const struct firewall_gates *gates, const struct firewall_entry *entries,
                   size_t count);

    /* -ENOENT when another program has removed what was made: then replace it. */
    int (*change)(void *opened, const struct firewall_entry *entries, size_t count);

    /* Reads how much was dropped since open(). 0 or -errno: -ENOENT as above; dropped() gives the numbers of the last
     * reading in any case. */
    int (*count)(void *opened);
    void (*dropped)(const void *opened, uint64_t *ret_packets, uint64_t *ret_bytes);

    /* Removes what looks like Weir's and `is_used` does not know, and reports each. May be called without open(). */
    void (*remove_unused)(bool (*is_used)(const char *means, const char *name),
                          void (*tell)(const char *name, int error));
};

extern const struct firewall_backend nft_backend, xdp_backend;

#endif
