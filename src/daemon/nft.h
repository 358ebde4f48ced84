/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The kernel's packet filter through libnftables: the helper's only tool. Never executes nft. Not built without
 * libnftables (nft_absent.c says so instead). One thread; may block for some hundred milliseconds.
 */
#ifndef WEIR_DAEMON_NFT_H
#define WEIR_DAEMON_NFT_H

#include "policy/firewall.h"

struct nft;

/* Whether this Weir was built with libnftables; its version, or NULL. */
const char *nft_version(void);

/* `table` must outlive it. NULL: no memory, or not built in. */
MUST_USE struct nft *nft_open(const char *table);
void nft_close(struct nft *n);

/* The table whole, in one transaction (nft_script.h). 0 or -errno: -EPERM without the right to. */
MUST_USE int nft_replace(struct nft *n, const struct firewall_gates *gates, const struct firewall_entry *entries,
                         size_t count);

/* -ENOENT when somebody has removed the table: then replace it. */
MUST_USE int nft_change(struct nft *n, const struct firewall_entry *entries, size_t count);

/* Looks how much was dropped since nft_open(). 0 or -errno; the numbers of the last look are told in any case. */
MUST_USE int nft_count(struct nft *n);
void nft_dropped(const struct nft *n, uint64_t *ret_packets, uint64_t *ret_bytes);

/* Removes the tables that look like Weir's and that `is_used` does not know, and tells of each. May be called without
 * nft_open(). */
void nft_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error));

#endif
