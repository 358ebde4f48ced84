/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes entries of a firewall as commands of nftables, for libnftables. The entries are written as numbers alone, so
 * no outsider can have written any of the text. Pure.
 *
 *   table inet weir
 *     counter dropped
 *     set v4_32, v4_24, v6_64, ...   one for each length of prefix that occurs: { type ipv4_addr; flags timeout }
 *     chain banned                   a rule for each set: ip saddr & 255.255.255.0 @v4_24 counter name dropped drop
 *     chain gate_0, gate_1, ...      ip saddr 192.0.2.0/24 accept (exempt); goto banned
 *     chain input                    hook input priority -10: ip daddr 198.51.100.1 tcp dport 5555 goto gate_0
 *
 * There is a set for each length of prefix, not one set of intervals, for two reasons:
 *   - interval sets refuse what overlaps, and a banned network may well have a banned address in it;
 *   - hash tables take thousands of elements in no time.
 *
 * The hook is input, not prerouting, for three reasons:
 *   - the destination there is that of the socket, even if it was translated on the way;
 *   - nothing that is forwarded is touched;
 *   - a packet dropped there leaves no entry in the connection table either.
 *
 * The chain comes before the operator's own rules (priority 0). An "accept" elsewhere does not cancel it: a drop is
 * final.
 *
 * Gates that are looked after by other means are left out. Writes to a stream of the caller's, some 30 bytes an entry
 * (three times as many for changes).
 */
#ifndef WEIR_FIREWALL_NFT_SCRIPT_H
#define WEIR_FIREWALL_NFT_SCRIPT_H

#include "firewall/firewall.h"

#include <stdio.h>

/* Elements of one set: more than there are bans, since the kernel clears ended elements away only a while later. */
#define NFT_SCRIPT_SET_SIZE (2u * FIREWALL_ENTRIES_MAX)

/* The lengths of prefix that have a set. */
struct nft_lengths {
    bool v4[33], v6[129];
};

/* Writes the whole table, in place of any table of its name, in one transaction. `entries` are as firewall_sort()
 * leaves them, none with left_ms 0. *ret_have: the sets that there are then. */
void nft_script_replace(FILE *out, const char *table, const struct firewall_gates *gates,
                        const struct firewall_entry *entries, size_t count, struct nft_lengths *ret_have);

/* Writes entries to be added, with a new time if they are there, or to be removed (left_ms 0). `entries` are strictly
 * ascending. Sets that are not in *have are made, and stand in it afterwards. */
void nft_script_change(FILE *out, const char *table, const struct firewall_entry *entries, size_t count,
                       struct nft_lengths *have);

/* Asks for the counter, and reads the answer. Returns false when that is no such answer. */
void nft_script_ask(FILE *out, const char *table);
bool nft_script_read_counter(const char *answer, uint64_t *ret_packets, uint64_t *ret_bytes);

#endif
