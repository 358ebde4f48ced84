/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The memory account: one number for all bytes that Weir holds on behalf of peers (buffers, sessions, topic sets). It
 * is shared by all threads, exact and lock-free. A charge that would exceed the limit fails and changes nothing. So the
 * limit is never exceeded, not even for a moment.
 */
#ifndef WEIR_BASE_ACCOUNT_H
#define WEIR_BASE_ACCOUNT_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct account {
    _Atomic uint64_t held_bytes;
    _Atomic uint64_t peak_bytes;
    uint64_t limit_bytes; /* constant after account_init() */
};

void account_init(struct account *a, uint64_t limit_bytes);

/* Charges `bytes`. False, with nothing changed: that would exceed the limit. Any thread. */
MUST_USE bool account_charge(struct account *a, uint64_t bytes);

/* Gives back bytes that account_charge() took. Any thread. */
void account_release(struct account *a, uint64_t bytes);

/* Bytes held at this moment. Any thread. */
uint64_t account_held(const struct account *a);

#endif
