/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The kernel's earliest packet hook through libbpf: the helper's other tool. Loads a program (xdp.bpf.c) that drops
 * what banned networks send to gates, and attaches it to the interfaces that gates name, in the driver where it can and
 * else in the generic way. The program and its maps stay attached when this process ends; its bans run out by the
 * clock. The next Weir fills maps of its own first, and then takes the place of the program, in one step.
 *
 * Not built without libbpf and clang (xdp_absent.c says so instead). One thread; may block for some 100 ms.
 */
#ifndef WEIR_DAEMON_XDP_H
#define WEIR_DAEMON_XDP_H

#include "policy/firewall.h"

struct xdp;

/* The version of libbpf that this Weir was built with, or NULL. */
const char *xdp_version(void);

/* Loads the program and looks at the interfaces; needs all rights that ever. 0, or -errno: -EPERM; -EBUSY: another
 * program is on one of the interfaces; -ENODEV: there is no such interface; -ENOSYS: not built in. */
MUST_USE int xdp_open(const struct firewall_gates *gates, struct xdp **ret);
void xdp_close(struct xdp *x);

/* All bans and exemptions in place of what there is; what stays is never missing meanwhile. The first time it attaches
 * the program. `entries` as firewall_sort() leaves them. 0 or -errno. */
MUST_USE int xdp_replace(struct xdp *x, const struct firewall_gates *gates, const struct firewall_entry *entries,
                         size_t count);

MUST_USE int xdp_change(struct xdp *x, const struct firewall_entry *entries, size_t count);

/* Looks how much was dropped since xdp_open(); -ENOENT: the program is no longer attached. Now and then clears away
 * what has run out. */
MUST_USE int xdp_count(struct xdp *x);
void xdp_dropped(const struct xdp *x, uint64_t *ret_packets, uint64_t *ret_bytes);

/* Detaches the programs of earlier Weirs from interfaces that `is_used` does not know, and tells of each. May be called
 * without xdp_open(). */
void xdp_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error));

#endif
