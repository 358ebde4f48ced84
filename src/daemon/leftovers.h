/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What earlier Weirs have left in the kernel: their tables and programs go on dropping, until the bans run out, for up
 * to a day, and a Weir that does not use them cannot lift those bans. So it removes them at its start, if it has the
 * rights, and says so in the log. What belongs to another Weir that runs is left alone: each puts a mark of its own
 * into its network namespace, the name of a socket, which ends with it.
 *
 * The looking is done by a process of its own, which ends after ten seconds at the latest. Main thread, before there
 * are others, with all the rights that there are.
 */
#ifndef WEIR_DAEMON_LEFTOVERS_H
#define WEIR_DAEMON_LEFTOVERS_H

#include "base/attr.h"
#include "policy/firewall.h"

/* Marks what this process uses from now on: `table` if a gate has nftables, and the interfaces of the others. Returns
 * how many descriptors in `ret` the caller closes at the end. */
size_t leftovers_mark(const char *table, const struct firewall_gates *used, int ret[static FIREWALL_GATES_MAX + 1]);

/* Removes all but what is marked by this process or by others. */
void leftovers_remove(void);

/* Whether a Weir that runs uses it; `means` as in marks: "nft" with a table, "xdp" with an interface. */
bool leftovers_is_used(const char *means, const char *name);

#endif
