/* SPDX-License-Identifier: MPL-2.0 */
/* Replaces nft.c in a Weir built without libnftables: there is nothing to open. */
#include "daemon/nft.h"

#include <errno.h>
#include <stddef.h>

const char *nft_version(void)
{
    return NULL;
}

struct nft *nft_open(const char *table)
{
    return NULL;
}

void nft_close(struct nft *n)
{
}

int nft_replace(struct nft *n, const struct firewall_gates *gates, const struct firewall_entry *entries, size_t count)
{
    return -ENOSYS;
}

int nft_change(struct nft *n, const struct firewall_entry *entries, size_t count)
{
    return -ENOSYS;
}

int nft_count(struct nft *n)
{
    return -ENOSYS;
}

void nft_dropped(const struct nft *n, uint64_t *ret_packets, uint64_t *ret_bytes)
{
    *ret_packets = *ret_bytes = 0;
}

void nft_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error))
{
}
