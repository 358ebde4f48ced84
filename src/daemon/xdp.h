/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The kernel's earliest packet hook (XDP) through libbpf, for the helper.
 *
 * Loads a program (xdp.bpf.c) that drops packets from banned networks to gates, and attaches it to the interfaces that
 * gates name: in the driver where possible, else in the generic way. The program and its maps stay attached when this
 * process ends; its bans expire by the clock. The next Weir fills maps of its own first, and then replaces the program,
 * in one step.
 *
 * Not built without libbpf and clang (xdp_absent.c reports that instead). One thread; may block for about 100 ms.
 */
#ifndef WEIR_DAEMON_XDP_H
#define WEIR_DAEMON_XDP_H

#include "policy/firewall.h"

struct xdp;

/* The version of libbpf that this Weir was built with, or NULL. */
const char *xdp_version(void);

/* Loads the program and looks at the interfaces; needs all the rights that are ever needed. 0, or -errno: -EPERM;
 * -EBUSY: another program is on one of the interfaces; -ENODEV: there is no such interface; -ENOSYS: not built in. */
MUST_USE int xdp_open(const struct firewall_gates *gates, struct xdp **ret);
void xdp_close(struct xdp *x);

/* Replaces all bans and exemptions; those that stay are never missing meanwhile. The first call attaches the program.
 * `entries` as firewall_sort() leaves them. 0 or -errno. */
MUST_USE int xdp_replace(struct xdp *x, const struct firewall_gates *gates, const struct firewall_entry *entries,
                         size_t count);

MUST_USE int xdp_change(struct xdp *x, const struct firewall_entry *entries, size_t count);

/* Reads how much was dropped since xdp_open(); -ENOENT: the program is not attached any more. Now and then removes
 * expired bans. */
MUST_USE int xdp_count(struct xdp *x);
void xdp_dropped(const struct xdp *x, uint64_t *ret_packets, uint64_t *ret_bytes);

/* Detaches the programs of earlier Weirs from interfaces that `is_used` does not know, and reports each. May be called
 * without xdp_open(). */
void xdp_remove_unused(bool (*is_used)(const char *means, const char *name), void (*tell)(const char *name, int error));

#endif
