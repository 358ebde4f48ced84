/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Bans in the kernel (ban.kernel): a thread that follows the ban table by its numbered changes and passes them to the
 * privileged helper.
 *
 * Changes are passed ten times a second, in transactions of up to 2048. All bans are sent anew at the start, when the
 * follower fell behind, when exemptions changed, when another program has removed the table, and every six hours. No
 * worker ever waits for any of it.
 *
 * Whatever fails, bans stay in force in Weir itself. One warning says what is missing; it comes again only after the
 * kernel worked in between. Without the rights nothing is started. A helper that has died is not replaced, because the
 * right to do so was given up. A helper that stands still is waited for. After a second without an answer the bans do
 * not count as in force, and it never keeps Weir from ending. An interface that was created anew gets its program again
 * within seconds.
 *
 * Memory: about 0.5 MiB, and 4 MiB while all bans are sent anew.
 */
#ifndef WEIR_DAEMON_KERNEL_BANS_H
#define WEIR_DAEMON_KERNEL_BANS_H

#include "base/attr.h"
#include "config/config.h"
#include "relay/relay.h"

struct kernel_follower;

/* Removes leftovers of earlier Weirs in the kernel that are not in use now. Where gates with ban.kernel listen, forks
 * the helper and gives up the rights of this process for good. NULL: no gate asks for it, or it is not available (after
 * the warning). `r` must outlive it. Main thread, after relay_new(), before there are other threads. */
struct kernel_follower *kernel_bans_new(const struct config *c, struct relay *r);

/* Starts to follow. Main thread, after the bans of an earlier run were restored. Accepts NULL. */
void kernel_bans_follow(struct kernel_follower *k);

/* Another configuration is in force. Main thread. Accepts NULL. */
void kernel_bans_reconfigure(struct kernel_follower *k, const struct config *c);

/* Ends thread and helper. Bans already in the kernel stay there until they expire. Main thread. Accepts NULL. */
void kernel_bans_free(struct kernel_follower *k);

#endif
