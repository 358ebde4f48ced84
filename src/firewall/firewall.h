/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides which bans a firewall is told of, and in which form. Pure. Two processes share this: the one that follows the
 * ban table, and the privileged helper that talks to the kernel. The helper checks everything again.
 *
 * A firewall knows entries: a network and a time. The time is what is left of the ban, at most FIREWALL_LONGEST_MS. So
 * the kernel forgets each entry by itself, even when Weir is gone; a longer ban is told again by the next full
 * replacement.
 *
 * Lists of entries are strictly ascending by network_compare(): no network comes twice in one transaction, where the
 * second mention would make the kernel refuse all.
 *
 * No memory of its own. Any thread.
 */
#ifndef WEIR_FIREWALL_FIREWALL_H
#define WEIR_FIREWALL_FIREWALL_H

#include "bans/bans.h"

/* As many as the ban table has. */
#define FIREWALL_ENTRIES_MAX BANS_CAPACITY

/* A day. Full replacements come at intervals of less than half of that. */
#define FIREWALL_LONGEST_MS 86400000u

struct firewall_entry {
    struct network who;
    uint32_t left_ms; /* 0: to be removed */
};

/* Whether a firewall may be told to drop packets from here: a well-formed IP network, not too wide. Nothing in it may
 * be this machine's own (loopback, the unspecified addresses) or an IPv4 address in IPv6 form. */
bool firewall_accepts(const struct network *who);

/* Makes the entry of a ban. Returns false when a firewall is not told of it. */
bool firewall_entry_of(const struct ban *b, uint64_t now_ns, struct firewall_entry *ret);

/* Reduces changes of the ban table, oldest first, to their result: at most `count` entries in `ret`, in order. Of
 * several changes of one network the last counts. Sorts `changes`. Returns how many entries there are. */
size_t firewall_changes(struct ban_change *changes, size_t count, uint64_t now_ns, struct firewall_entry *ret);

/* Puts the entries of a whole table, in any order, into order. Of equal networks one remains. Returns how many
 * remain. */
size_t firewall_sort(struct firewall_entry *entries, size_t count);

/* Whether an entry may follow one of network `before` in a list (NULL: it is the first). */
bool firewall_may_follow(const struct network *before, const struct firewall_entry *e);

/* ---- where it applies ---- */

#define FIREWALL_GATES_MAX 64u

/* How the kernel is told. */
enum firewall_means { FIREWALL_NFTABLES, FIREWALL_XDP };

#define FIREWALL_INTERFACE_MAX 33u /* what the configuration can name */

/* Where packets are looked at: at this address of a gate and nowhere else. Other services of the machine, such as the
 * operator's own shell, are not touched. */
struct firewall_gate {
    enum firewall_means means;
    char interface[FIREWALL_INTERFACE_MAX]; /* its name; with XDP only */
    struct addr to; /* with port; kind ADDR_NONE: every address of both families; all zeros: every one of the family */
    struct networks exempt; /* packets from these pass */
};

struct firewall_gates {
    size_t count;
    struct firewall_gate at[FIREWALL_GATES_MAX];
};

/* Whether the kernel can filter for a gate that listens there: it has a TCP port. Then *ret is where. */
bool firewall_gate_at(const struct endpoint *listen, struct addr *ret);

#endif
