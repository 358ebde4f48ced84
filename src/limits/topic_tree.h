/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Counts the topics subscribed through a gate, and what they cost its application.
 *
 * libzmq keeps topics in a trie with a node for each byte, so a topic costs the bytes that it shares with no other one.
 * The number of topics alone would say little: 60 000 names of instruments take 10 MB there, and as many random strings
 * of 200 bytes 400 MB.
 *
 * Weir keeps them in a crit-bit tree (D. J. Bernstein), whose branches are the places where topics part. Each topic
 * takes two allocations and its bytes, charged to the memory account. The tree gives the number of nodes of libzmq's
 * trie exactly, and an upper bound for the tables of its branches.
 *
 * When full, in cost or in bytes of text, topic_tree_hold() refuses; the caller waits or makes room. Text may take an
 * eighth of the account, since topics that share much cost Weir more than the application.
 *
 * Shared by the workers. One lock protects the tree and its topics; `cost` is atomic and read without it.
 */
#ifndef WEIR_LIMITS_TOPIC_TREE_H
#define WEIR_LIMITS_TOPIC_TREE_H

#include "base/account.h"
#include "base/attr.h"
#include "base/cursor.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libzmq 4.3.4 allocates, with the allocator's share: a node of the trie, the set of a topic's subscribers, and a
 * subscriber in it. */
#define TOPIC_NODE_BYTES   32u
#define TOPIC_SET_BYTES    64u
#define TOPIC_HOLDER_BYTES 48u

struct topic;

struct topic_tree {
    pthread_mutex_t lock;
    struct account *account;
    uintptr_t root; /* a struct topic, or a branch with the lowest bit set; 0: empty */
    size_t count;   /* topics */
    uint64_t text_bytes;
    _Atomic uint64_t cost; /* bytes that the application holds for them */
};

enum topic_result { TOPIC_HELD, TOPIC_TREE_FULL, TOPIC_NO_MEMORY };

/* The result of one call. */
struct topic_found {
    struct topic *topic;
    uint64_t cost;  /* what the application allocates for this holder, or frees */
    uint32_t steps; /* branches passed on the way */
};

void topic_tree_init(struct topic_tree *t, struct account *account);
void topic_tree_fini(struct topic_tree *t);

/* Adds a holder to a topic, if the cost of all stays within `limit_cost`. ret->topic stays where it is as long as it
 * has holders. */
MUST_USE enum topic_result topic_tree_hold(struct topic_tree *t, struct bytes topic, uint64_t limit_cost,
                                           struct topic_found *ret);

/* Finds a topic; ret->topic is NULL when nobody holds it. A caller that does not hold it may only compare the
 * pointer. */
void topic_tree_find(struct topic_tree *t, struct bytes topic, struct topic_found *ret);

/* Removes one holder. Returns the bytes that the application frees. */
uint64_t topic_tree_release(struct topic_tree *t, struct topic *topic);

/* The same for `n` topics, as numbers (0 is skipped), under one lock. */
void topic_tree_release_all(struct topic_tree *t, const uint64_t *topics, size_t n);

/* Bytes that the application holds. Any thread. */
static inline uint64_t topic_tree_cost(struct topic_tree *t)
{
    return atomic_load_explicit(&t->cost, memory_order_relaxed);
}

#endif
