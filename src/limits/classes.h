/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The classes of a gate: finds the class of a connection by the smallest network that holds the peer's address (longest
 * prefix match). A peer in no network has class 0.
 *
 * config/ builds the table once. Then it is only read, from any thread, and freed with the snapshot.
 *
 * Memory: 22 bytes a network, at most CLASSES_MAX * CLASS_NETWORKS_MAX of them. A look-up is a binary search and a walk
 * through the networks around the place that it finds. It is made once for each connection.
 */
#ifndef WEIR_LIMITS_CLASSES_H
#define WEIR_LIMITS_CLASSES_H

#include "base/attr.h"
#include "base/network.h"

#include <stddef.h>
#include <stdint.h>

#define CLASSES_MAX        32u  /* configured */
#define CLASS_NETWORKS_MAX 256u /* of one class */
#define CLASS_NAME_MAX     32
#define CLASS_DEFAULT      0u

/* Class 0 exists whether it is configured or not. */
#define CLASS_COUNT_MAX (CLASSES_MAX + 1)

/* The priority of a class that names none: 1 goes first, CLASS_PRIORITIES last. */
#define CLASS_PRIORITIES       4u
#define CLASS_PRIORITY_DEFAULT 2u

struct class_info {
    char name[CLASS_NAME_MAX + 1];
    uint8_t priority; /* 1 to CLASS_PRIORITIES */
    uint16_t weight;  /* 1 unless configured */
};

struct class_network {
    struct network network;
    uint8_t class;
    uint16_t around; /* the smallest other network that holds it, by its place in the table; NO_NETWORK: none */
};

struct classes {
    struct class_info at[CLASS_COUNT_MAX];
    size_t count; /* at least 1 */
    struct class_network *networks;
    size_t network_count, room;
};

/* Makes a table with class 0 alone, called "default", and room for `networks` networks. NULL: no memory. */
MUST_USE struct classes *classes_new(size_t networks);

/* Accepts NULL. */
void classes_free(struct classes *c);

/* Adds a class, or sets class 0 when its name is "default". Returns its number. The caller keeps to CLASSES_MAX. */
unsigned classes_add(struct classes *c, const char *name, uint16_t weight, uint8_t priority);

/* Adds a network to the class: each network at most once, and no more than there is room for. */
void classes_add_network(struct classes *c, unsigned nth, const struct network *n);

/* Makes the table ready for classes_find(), after the last network. */
void classes_settle(struct classes *c);

/* The class of a peer. `c` may be NULL: there are no classes, so 0. */
unsigned classes_find(const struct classes *c, const struct addr *a);

#endif
