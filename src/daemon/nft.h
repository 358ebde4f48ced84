/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The kernel's packet filter through libnftables, for the helper. Never executes nft.
 *
 * Not built without libnftables (nft_absent.c reports that instead). One thread; may block for some hundred
 * milliseconds.
 */
#ifndef WEIR_DAEMON_NFT_H
#define WEIR_DAEMON_NFT_H

#include "policy/firewall.h"

struct nft;

/* The version of libnftables that this Weir was built with, or NULL. */
const char *nft_version(void);

/* `table` must outlive it. NULL: no memory, or not built in. */
MUST_USE struct nft *nft_open(const char *table);
void nft_close(struct nft *n);

/* Replaces the whole table, in one transaction (nft_script.h). 0 or -errno: -EPERM without the right. */
MUST_USE int nft_replace(struct nft *n, const struct firewall_gates *gates, const struct firewall_entry *entries,
                         size_t count);

/* -ENOENT when another program has removed the table: then replace it. */
MUST_USE int nft_change(struct nft *n, const struct firewall_entry *entries, size_t count);

/* Reads how much was dropped since nft_open(). 0 or -errno; nft_dropped() gives the numbers of the last reading in any
 * case. */
MUST_USE int nft_count(struct nft *n);
void nft_dropped(const struct nft *n, uint64_t *ret_packets, uint64_t *ret_bytes);

/* Removes the tables that look like Weir's and that `is_used` does not know, and reports each. May be called without
 * nft_open(). */
void nft_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error));

#endif
