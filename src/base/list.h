/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Intrusive doubly linked lists. A node that is in no list points at itself, so that removing it twice is harmless. A
 * list has no memory of its own and is never full. It has one owner at a time: a thread, or the holder of a lock.
 */
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)(((char *)(node)) - offsetof(type, member)))

#define LIST_FOREACH(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)

/* The body may remove `node` itself. */
#define LIST_FOREACH_SAFE(node, head)                                                                                  \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                                  \
         node = node##_next, node##_next = node->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Appends `node`, which is in no list, to the list `head`. */
static inline void list_push(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves all nodes of the list `other` to the end of the list `head`. */
static inline void list_splice(struct list *head, struct list *other)
{
    if (list_empty(other))
        return;
    other->next->prev = head->prev;
    head->prev->next = other->next;
    other->prev->next = head;
    head->prev = other->prev;
    list_init(other);
}

/* Removes and returns the first node; NULL: the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_del(node);
    return node;
}

#endif
