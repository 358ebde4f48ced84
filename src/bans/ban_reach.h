/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Limits how far bans may reach. A ban that is too wide is refused at every place where bans come from (the API,
 * ban.lists, a state file, the firewall), because such a mistake would shut out a large part of the world. Pure.
 */
#ifndef WEIR_BANS_BAN_REACH_H
#define WEIR_BANS_BAN_REACH_H

#include "bans/bans.h"

/* Networks with fewer bits are not banned. */
#define BAN_REACH_V4_BITS_MIN 8u
#define BAN_REACH_V6_BITS_MIN 16u

/* Whether an IP network is too wide to be banned. */
bool ban_reach_is_too_wide(const struct network *who);

/* Whether networks, in the order of network_compare(), together hold every address that a client can have. These are
 * all IPv4 addresses but 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3, or all of IPv6's 2000::/3. */
bool ban_reach_leaves_nobody(const struct network *sorted, size_t count);

/* The same for everything that the table bans, and `more`. Cheap, unless the bans are wide enough for it to be
 * possible. Then the function allocates 18 bytes for each entry that the table can hold, and a page of 56 KiB, and
 * looks at each ban. Without memory it returns true, so that a ban is refused rather than shuts everybody out. Not for
 * workers. */
bool ban_reach_would_leave_nobody(struct bans *t, const struct network *more, uint64_t now_ns);

#endif
