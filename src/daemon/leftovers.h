/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Removes what earlier Weirs have left in the kernel: tables and programs that go on dropping packets.
 *
 * They drop until the bans expire, for up to a day, and a Weir that does not use them cannot lift those bans. So Weir
 * removes them at its start, if it has the rights, and logs that. Those of another running Weir are left alone: each
 * Weir puts a mark of its own into its network namespace, the name of a socket, which ends with it.
 *
 * A process of its own does the search, and ends after ten seconds at the latest. Main thread, before there are others,
 * with all available rights.
 */
#ifndef WEIR_DAEMON_LEFTOVERS_H
#define WEIR_DAEMON_LEFTOVERS_H

#include "base/attr.h"
#include "firewall/firewall.h"

/* Marks what this process uses from now on: `table` if a gate has nftables, and the interfaces of the others. Returns
 * the number of descriptors in `ret`, which the caller closes at the end. */
size_t leftovers_mark(const char *table, const struct firewall_gates *used, int ret[static FIREWALL_GATES_MAX + 1]);

/* Removes everything that is not marked by this process or by others. */
void leftovers_remove(void);

#endif
