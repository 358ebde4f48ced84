/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/topic_tree.h"

#include <stdlib.h>
#include <string.h>

/* Topics may take one part of so many of the account with their text. */
#define TEXT_SHARE 8u

struct topic {
    uint32_t holders;
    uint32_t len;
    uint8_t text[];
};

/* The place where topics part: this byte, and this bit of it. Bit 8 says whether there is a byte at all. */
struct branch {
    uintptr_t child[2];
    uint32_t byte;
    uint8_t bit;
};

/* Where a topic hangs, and where the branch above it hangs. */
struct place {
    uintptr_t *at, *above;
    unsigned side; /* of the branch above */
    uint32_t steps;
};

static bool is_branch(uintptr_t node)
{
    return node & 1;
}

static struct branch *branch_of(uintptr_t node)
{
    return (struct branch *)(node - 1);
}

static unsigned symbol(struct bytes topic, size_t at)
{
    return at < topic.len ? 256u | topic.at[at] : 0;
}

static unsigned side_of(struct bytes topic, const struct branch *b)
{
    return symbol(topic, b->byte) >> b->bit & 1;
}

static struct bytes topic_tree_text_of(const struct topic *x)
{
    return (struct bytes){x->text, x->len};
}

/* A table of libzmq's trie reaches from the lowest to the highest byte that follows. Children that part in bit k are
 * less than 2^(k+1) apart. The end of a topic has no place in the table. */
static uint64_t table_bytes(unsigned bit)
{
    return bit < 8 ? (uint64_t)sizeof(void *) << (bit + 1) : 0;
}

static uint64_t cost_of(size_t len, size_t shared, uint64_t table)
{
    return (uint64_t)TOPIC_NODE_BYTES * (len - shared) + TOPIC_SET_BYTES + table;
}

void topic_tree_init(struct topic_tree *t, struct account *account)
{
    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->account = account;
}

/* The topic that shares most with this one: the only one that can be equal to it. */
static struct place walk(struct topic_tree *t, struct bytes topic)
{
    struct place p = {.at = &t->root};
    while (is_branch(*p.at)) {
        struct branch *b = branch_of(*p.at);
        p.above = p.at;
        p.side = side_of(topic, b);
        p.at = &b->child[p.side];
        p.steps++;
    }
    return p;
}

static size_t shared_by(struct bytes a, struct bytes b)
{
    size_t n = 0, most = a.len < b.len ? a.len : b.len;
    while (n < most && a.at[n] == b.at[n])
        n++;
    return n;
}

static bool is_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ---- allocation ---- */

static void *charged_alloc(struct topic_tree *t, size_t size)
{
    if (!account_charge(t->account, size))
        return NULL;
    void *p = malloc(size);
    if (!p)
        account_release(t->account, size);
    return p;
}

static void topic_tree_give_back(struct topic_tree *t, void *p, size_t size)
{
    account_release(t->account, size);
    free(p);
}

static struct topic *topic_new(struct topic_tree *t, struct bytes text)
{
    struct topic *x = charged_alloc(t, sizeof(*x) + text.len);
    if (!x)
        return NULL;
    x->holders = 1;
    x->len = (uint32_t)text.len;
    if (text.len)
        memcpy(x->text, text.at, text.len);
    return x;
}

static void topic_free(struct topic_tree *t, struct topic *x)
{
    topic_tree_give_back(t, x, sizeof(*x) + x->len);
}

/* ---- adding ---- */

/* Puts a branch with the new topic where it parts from the topics that are there. */
static void graft(struct topic_tree *t, struct topic *x, struct branch *b)
{
    struct bytes topic = topic_tree_text_of(x);
    uintptr_t *at = &t->root;
    while (is_branch(*at)) {
        struct branch *next = branch_of(*at);
        if (next->byte > b->byte || (next->byte == b->byte && next->bit < b->bit))
            break;
        at = &next->child[side_of(topic, next)];
    }
    unsigned side = side_of(topic, b);
    b->child[side] = (uintptr_t)x;
    b->child[!side] = *at;
    *at = (uintptr_t)b + 1;
}

static enum topic_result topic_tree_add(struct topic_tree *t, struct bytes topic, struct branch where,
                                        struct topic **ret)
{
    struct topic *x = topic_new(t, topic);
    struct branch *b = x && t->root ? charged_alloc(t, sizeof(*b)) : NULL;
    if (!x || (t->root && !b)) {
        if (x)
            topic_free(t, x);
        return TOPIC_NO_MEMORY;
    }
    if (b) {
        *b = where;
        graft(t, x, b);
    } else {
        t->root = (uintptr_t)x;
    }
    t->count++;
    t->text_bytes += topic.len;
    *ret = x;
    return TOPIC_HELD;
}

static bool topic_tree_has_room(const struct topic_tree *t, uint64_t cost, uint64_t limit_cost)
{
    uint64_t held = atomic_load_explicit(&t->cost, memory_order_relaxed);
    return held <= limit_cost && cost <= limit_cost - held;
}

static enum topic_result topic_tree_hold_locked(struct topic_tree *t, struct bytes topic, uint64_t limit_cost,
                                                struct topic_found *ret)
{
    struct place p = walk(t, topic);
    struct topic *near = (struct topic *)*p.at;
    struct bytes other = near ? topic_tree_text_of(near) : (struct bytes){NULL, 0};
    struct branch where = {.byte = (uint32_t)shared_by(topic, other)};
    bool known = near && is_equal(topic, other);
    *ret = (struct topic_found){.topic = known ? near : NULL, .cost = TOPIC_HOLDER_BYTES, .steps = p.steps};
    if (near && !known) {
        unsigned differ = symbol(topic, where.byte) ^ symbol(other, where.byte);
        where.bit = (uint8_t)(31 - __builtin_clz(differ));
    }
    if (!known)
        ret->cost += cost_of(topic.len, where.byte, near ? table_bytes(where.bit) : 0);
    if (!topic_tree_has_room(t, ret->cost, limit_cost))
        return TOPIC_TREE_FULL;
    if (!known && t->text_bytes + topic.len > t->account->limit_bytes / TEXT_SHARE)
        return TOPIC_TREE_FULL;
    if (known)
        near->holders++;
    enum topic_result r = known ? TOPIC_HELD : topic_tree_add(t, topic, where, &ret->topic);
    if (r == TOPIC_HELD)
        atomic_fetch_add_explicit(&t->cost, ret->cost, memory_order_relaxed);
    return r;
}

enum topic_result topic_tree_hold(struct topic_tree *t, struct bytes topic, uint64_t limit_cost,
                                  struct topic_found *ret)
{
    pthread_mutex_lock(&t->lock);
    enum topic_result r = topic_tree_hold_locked(t, topic, limit_cost, ret);
    pthread_mutex_unlock(&t->lock);
    return r;
}

void topic_tree_find(struct topic_tree *t, struct bytes topic, struct topic_found *ret)
{
    pthread_mutex_lock(&t->lock);
    struct place p = walk(t, topic);
    struct topic *near = (struct topic *)*p.at;
    *ret = (struct topic_found){.topic = near && is_equal(topic, topic_tree_text_of(near)) ? near : NULL,
                                .steps = p.steps};
    pthread_mutex_unlock(&t->lock);
}

/* ---- removing ---- */

/* Takes the topic at `p` out, and the branch above it with it. Returns what its nodes cost. */
static uint64_t prune(struct topic_tree *t, struct topic *x, struct place p)
{
    size_t shared = 0;
    uint64_t table = 0;
    if (p.above) {
        struct branch *b = branch_of(*p.above);
        shared = b->byte;
        table = table_bytes(b->bit);
        *p.above = b->child[!p.side];
        topic_tree_give_back(t, b, sizeof(*b));
    } else {
        t->root = 0;
    }
    return cost_of(x->len, shared, table);
}

static uint64_t topic_tree_release_locked(struct topic_tree *t, struct topic *x)
{
    uint64_t cost = TOPIC_HOLDER_BYTES;
    if (--x->holders == 0) {
        cost += prune(t, x, walk(t, topic_tree_text_of(x)));
        t->count--;
        t->text_bytes -= x->len;
        topic_free(t, x);
    }
    atomic_fetch_sub_explicit(&t->cost, cost, memory_order_relaxed);
    return cost;
}

uint64_t topic_tree_release(struct topic_tree *t, struct topic *topic)
{
    pthread_mutex_lock(&t->lock);
    uint64_t cost = topic_tree_release_locked(t, topic);
    pthread_mutex_unlock(&t->lock);
    return cost;
}

void topic_tree_release_all(struct topic_tree *t, const uint64_t *topics, size_t n)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++)
        if (topics[i])
            topic_tree_release_locked(t, (struct topic *)(uintptr_t)topics[i]);
    pthread_mutex_unlock(&t->lock);
}

void topic_tree_fini(struct topic_tree *t)
{
    while (t->root) {
        struct topic *x = (struct topic *)*walk(t, (struct bytes){NULL, 0}).at;
        x->holders = 1;
        topic_tree_release_locked(t, x);
    }
    pthread_mutex_destroy(&t->lock);
    memset(t, 0, sizeof(*t));
}
