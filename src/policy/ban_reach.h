/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How far bans may reach: what is refused wherever somebody asks for a ban (the API, ban.lists, a state file, the
 * firewall), because a mistake with it would shut out a large part of the world. Pure.
 */
#ifndef WEIR_POLICY_BAN_REACH_H
#define WEIR_POLICY_BAN_REACH_H

#include "policy/bans.h"

/* Networks with fewer bits are not banned. */
#define BAN_REACH_V4_BITS_MIN 8u
#define BAN_REACH_V6_BITS_MIN 16u

/* Of an IP network. */
bool ban_reach_is_too_wide(const struct network *who);

/* Whether networks, in the order of network_compare(), together hold every address that a client can have: those of
 * IPv4 but 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3, or those of IPv6's 2000::/3. */
bool ban_reach_leaves_nobody(const struct network *sorted, size_t count);

/* The same of all that the table bans, and `more`. Cheap, unless the bans are wide enough that it may be so: then it
 * allocates 18 bytes a ban (without memory: no) and looks at each. Not for workers. */
bool ban_reach_would_leave_nobody(struct bans *t, const struct network *more, uint64_t now_ns);

#endif
