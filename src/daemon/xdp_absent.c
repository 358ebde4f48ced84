/* SPDX-License-Identifier: MPL-2.0 */
/* Replaces xdp.c in a Weir built without libbpf or clang: there is nothing to open. */
#include "daemon/xdp.h"

#include <errno.h>
#include <stddef.h>

const char *xdp_version(void)
{
    return NULL;
}

int xdp_open(const struct firewall_gates *gates, struct xdp **ret)
{
    return -ENOSYS;
}

void xdp_close(struct xdp *x)
{
}

int xdp_replace(struct xdp *x, const struct firewall_gates *gates, const struct firewall_entry *entries, size_t count)
{
    return -ENOSYS;
}

int xdp_change(struct xdp *x, const struct firewall_entry *entries, size_t count)
{
    return -ENOSYS;
}

int xdp_count(struct xdp *x)
{
    return -ENOSYS;
}

void xdp_dropped(const struct xdp *x, uint64_t *ret_packets, uint64_t *ret_bytes)
{
    *ret_packets = *ret_bytes = 0;
}

void xdp_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error))
{
}
