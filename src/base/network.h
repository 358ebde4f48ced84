/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A network: an address and how many bits of it count ("192.0.2.0/24", "2001:db8::/48"), or one user id ("uid:1000").
 * Value type, 18 bytes; bits that do not count are zero, so equal networks are equal in memory.
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
    uint8_t kind;      /* enum addr_kind; ADDR_NONE: nobody */
    uint8_t bits;      /* that count: up to 32 for v4, 128 for v6; 32 for a user id */
    uint8_t bytes[16]; /* as in struct addr */
};

/* The networks of a list, or two, in the order of the configuration. Constant once it is in force. */
#define NETWORKS_MAX 64
struct networks {
    uint32_t count;
    struct network at[NETWORKS_MAX];
};

/* The most bits that count for this kind of address. */
uint8_t network_bits_max(uint8_t kind);

/* The network of so many bits that `a` lies in; more bits than there are mean all. */
struct network network_of(const struct addr *a, uint8_t bits);

/* Whether `a` lies in the network. */
bool network_contains(const struct network *n, const struct addr *a);
bool networks_contain(const struct networks *n, const struct addr *a);

/* An order in which each network stands directly before all that lie in it: below 0, 0, above 0. */
int network_compare(const struct network *a, const struct network *b);

bool network_equal(const struct network *a, const struct network *b);

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/48", "uid:1000". An address without bits is that address alone. Returns 0,
 * or -EINVAL with a sentence for a person in *ret_why (a constant; may be NULL) when it is of no such form; -EDOM with
 * one when bits are set that do not count: then *ret is the network in which the address lies. */
MUST_USE int network_parse(struct network *ret, const char *text, const char **ret_why);

/* The shortest form of the above. Returns `dst` (at least NETWORK_TEXT_MAX). */
char *network_format(char *dst, size_t size, const struct network *n);

#endif
