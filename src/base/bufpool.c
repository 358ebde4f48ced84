/* SPDX-License-Identifier: MPL-2.0 */
#include "base/bufpool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_IDLE false
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define KEEP_IDLE false
#endif
#ifndef KEEP_IDLE
#define KEEP_IDLE true
#endif

_Static_assert(BUFPOOL_MIN_BYTES << (BUFPOOL_CLASSES - 1) == BUFPOOL_MAX_BYTES, "the classes end at the maximum");

static unsigned class_of(size_t bytes)
{
    unsigned class = 0;
    while (((size_t)BUFPOOL_MIN_BYTES << class) < bytes)
        class ++;
    return class;
}

void bufpool_init(struct bufpool *p, struct account *account)
{
    *p = (struct bufpool){.account = account};
}

static uint8_t *take_idle(struct bufpool *p, unsigned class)
{
    void *data = p->idle[class];
    if (!data)
        return NULL;
    memcpy(&p->idle[class], data, sizeof(void *));
    p->idle_bytes -= (size_t)BUFPOOL_MIN_BYTES << class;
    return data;
}

static void bufpool_give_back(struct bufpool *p, uint8_t *data, uint32_t cap)
{
    free(data);
    account_release(p->account, cap);
}

void bufpool_trim(struct bufpool *p)
{
    if (!p->idle_bytes)
        return;
    for (unsigned class = 0; class < BUFPOOL_CLASSES; class ++) {
        uint8_t *data;
        while ((data = take_idle(p, class)))
            bufpool_give_back(p, data, BUFPOOL_MIN_BYTES << class);
    }
}

void bufpool_fini(struct bufpool *p)
{
    bufpool_trim(p);
}

static uint8_t *get_fresh(struct bufpool *p, uint32_t cap)
{
    if (!account_charge(p->account, cap))
        return NULL;
    uint8_t *data = malloc(cap);
    if (!data)
        account_release(p->account, cap);
    return data;
}

/* Whether a test asked for this very call to fail. */
static bool must_fail(struct bufpool *p)
{
    return p->fail_after && --p->fail_after == 0;
}

uint8_t *bufpool_get(struct bufpool *p, size_t min_bytes, uint32_t *ret_cap)
{
    if (must_fail(p) || min_bytes > BUFPOOL_MAX_BYTES)
        return NULL;
    unsigned class = class_of(min_bytes);
    uint32_t cap = BUFPOOL_MIN_BYTES << class;
    uint8_t *data = take_idle(p, class);
    if (!data)
        data = get_fresh(p, cap);
    if (!data && p->idle_bytes) {
        bufpool_trim(p);
        data = get_fresh(p, cap);
    }
    if (data)
        *ret_cap = cap;
    return data;
}

static bool may_keep(const struct bufpool *p, uint32_t cap)
{
    if (!KEEP_IDLE || cap > BUFPOOL_IDLE_BYTES - p->idle_bytes)
        return false;
    /* The idle buffers of all workers together could otherwise fill a small account, and only their owners can empty
     * them. */
    return account_held(p->account) <= p->account->limit_bytes / 2;
}

void bufpool_put(struct bufpool *p, uint8_t *data, uint32_t cap)
{
    if (!data)
        return;
    if (!may_keep(p, cap)) {
        bufpool_give_back(p, data, cap);
        return;
    }
    unsigned class = class_of(cap);
    memcpy(data, &p->idle[class], sizeof(void *));
    p->idle[class] = data;
    p->idle_bytes += cap;
}
