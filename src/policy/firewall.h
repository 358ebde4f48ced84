/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What of the ban table a firewall is told, and in which form: pure, shared by the process that follows the table and
 * the privileged helper that talks to the kernel, which checks everything again.
 *
 * A firewall knows entries: a network and for how long. They carry the time that is left, at most FIREWALL_LONGEST_MS,
 * so that the kernel forgets each by itself whatever becomes of Weir; what lasts longer is told again by the next full
 * replacement. Lists of entries are strictly ascending by network_compare(): no network comes twice in one transaction,
 * where the second mention would make the kernel refuse all.
 *
 * No memory of its own. Any thread.
 */
#ifndef WEIR_POLICY_FIREWALL_H
#define WEIR_POLICY_FIREWALL_H

#include "policy/bans.h"

/* As many as the ban table has. */
#define FIREWALL_ENTRIES_MAX BANS_CAPACITY

/* A day. Full replacements are more frequent than half of that. */
#define FIREWALL_LONGEST_MS 86400000u

struct firewall_entry {
    struct network who;
    uint32_t left_ms; /* 0: banned no more */
};

/* Whether a firewall may be told to drop what comes from here: an IP network, well-formed, not too large, and nothing
 * in it that is this machine's own (loopback, the unspecified addresses) or an IPv4 address in disguise. */
bool firewall_accepts(const struct network *who);

/* The entry of a ban. False: a firewall is not told of it. */
bool firewall_entry_of(const struct ban *b, uint64_t now_ns, struct firewall_entry *ret);

/* What changes of the ban table, oldest first, come to in the end: at most `count` entries into `ret`, in order. Of
 * several changes of one network the last counts. Sorts `changes`. Returns how many. */
size_t firewall_changes(struct ban_change *changes, size_t count, uint64_t now_ns, struct firewall_entry *ret);

/* Entries of a whole table, in any order, into order; of those that come twice one remains. Returns how many. */
size_t firewall_sort(struct firewall_entry *entries, size_t count);

/* Whether an entry may follow one of network `before` (NULL: it is the first) in a list. */
bool firewall_may_follow(const struct network *before, const struct firewall_entry *e);

/* ---- where it applies ---- */

#define FIREWALL_GATES_MAX 64u

/* What comes to this address of a gate is looked at, and nothing else: other services of the machine, the operator's
 * own shell among them, are none of Weir's business. */
enum firewall_means { FIREWALL_NFTABLES, FIREWALL_XDP };

#define FIREWALL_INTERFACE_MAX 33u /* what the configuration can name */

struct firewall_gate {
    enum firewall_means means;
    char interface[FIREWALL_INTERFACE_MAX]; /* its name; with XDP only */
    struct addr to; /* with port; kind ADDR_NONE: every address of both families; all zeros: every one of the family */
    struct networks exempt; /* these pass */
};

struct firewall_gates {
    size_t count;
    struct firewall_gate at[FIREWALL_GATES_MAX];
};

/* Whether a gate that listens there can be looked after at all: it has a port. Then *ret is where. */
bool firewall_gate_at(const struct endpoint *listen, struct addr *ret);

#endif
