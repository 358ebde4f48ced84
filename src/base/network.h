/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A network: an address and the number of its bits that count ("192.0.2.0/24", "2001:db8::/48"), or one user id
 * ("uid:1000"). Value type, 18 bytes. Bits that do not count are zero, so that equal networks are equal in memory.
 */
#ifndef WEIR_BASE_NETWORK_H
#define WEIR_BASE_NETWORK_H

#include "base/addr.h"
#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETWORK_TEXT_MAX 64

struct network {
    uint8_t kind;      /* enum addr_kind; ADDR_NONE: no peer */
    uint8_t bits;      /* that count: up to 32 for v4, 128 for v6; 32 for a user id */
    uint8_t bytes[16]; /* as in struct addr */
};

/* The networks of one or two lists, in the order of the configuration. Constant once in force. */
#define NETWORKS_MAX 64
struct networks {
    uint32_t count;
    struct network at[NETWORKS_MAX];
};

/* The most bits that can count for this kind of address. */
uint8_t network_bits_max(uint8_t kind);

/* The network of `bits` bits that contains `a`. More bits than the address has mean all. */
struct network network_of(const struct addr *a, uint8_t bits);

/* Whether the network, or one of them, contains `a`. */
bool network_contains(const struct network *n, const struct addr *a);
bool networks_contain(const struct networks *n, const struct addr *a);

/* Compares for an order in which each network comes directly before all that it contains: below 0, 0, above 0. */
int network_compare(const struct network *a, const struct network *b);

/* Puts networks into that order. `at` may be NULL if there are none. */
void network_sort(struct network *at, size_t count);

bool network_equal(const struct network *a, const struct network *b);

/* Parses "192.0.2.1", "192.0.2.0/24", "2001:db8::/48" or "uid:1000". An address without bits is that address alone.
 * Returns 0. -EINVAL: the text has no such form. -EDOM: bits are set that do not count; *ret is then the network that
 * contains the address. Both errors set *ret_why to a sentence for a person (a constant; ret_why may be NULL). */
MUST_USE int network_parse(struct network *ret, const char *text, const char **ret_why);

/* Writes the shortest of these forms. Returns `dst` (at least NETWORK_TEXT_MAX). */
char *network_format(char *dst, size_t size, const struct network *n);

#endif
