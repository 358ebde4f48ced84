/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Checks the messages that the privileged helper receives, before it asks the kernel for anything. The helper trusts
 * nothing from the process that talks to strangers. Each message is taken whole or refused whole.
 *
 *   State  Message              Next state  Task or error
 *   idle   BEGIN                open        none; the replacement is empty
 *          CHANGES              idle        FIREWALL_TASK_CHANGE; none when it has no records
 *          FILL EXEMPT COMMIT   idle        -EPROTO
 *   open   BEGIN                open        none; what came before is forgotten
 *          FILL EXEMPT          open        none
 *          COMMIT               idle        FIREWALL_TASK_REPLACE
 *          CHANGES              idle        -EPROTO
 *   any    COUNTERS             the same    FIREWALL_TASK_COUNT
 *          a wrong request      idle        -EINVAL, -E2BIG
 *          no request at all    the same    -EBADMSG
 *
 * Bounded by FIREWALL_ENTRIES_MAX entries (6 MiB, touched as they come). A message beyond that is refused (-E2BIG), and
 * with it the replacement that it was part of. One thread, no lock.
 */
#ifndef WEIR_FIREWALL_FIREWALL_VALIDATE_H
#define WEIR_FIREWALL_FIREWALL_VALIDATE_H

#include "firewall/firewall_wire.h"

struct firewall_validate {
    struct firewall_gates gates; /* their addresses stay those of the start */
    struct firewall_entry *entries;
    size_t count;
    bool open; /* between BEGIN and COMMIT: the state `open` */
    struct firewall_entry changes[FIREWALL_WIRE_RECORDS];
    size_t change_count;
};

/* What the helper has to do now. */
enum firewall_task {
    FIREWALL_TASK_NONE,
    FIREWALL_TASK_REPLACE, /* by `entries` */
    FIREWALL_TASK_CHANGE,  /* as in `changes` */
    FIREWALL_TASK_COUNT,   /* read the counters */
};

/* 0 or -ENOMEM. The entries are kept until the process ends: a helper has one of these. */
MUST_USE int firewall_validate_init(struct firewall_validate *s, const struct firewall_gates *gates);

/* Takes a datagram in. Returns 0, and *ret_task says what to do. After an error there is nothing to do, and an open
 * replacement has ended, but for -EBADMSG. -EBADMSG: it is no request at all, and *ret_number is undefined. -EINVAL: an
 * entry that no firewall may be told, that is out of order, or of a gate that does not exist. -EPROTO: not in this
 * state. -E2BIG: too many entries. */
MUST_USE int firewall_validate_take(struct firewall_validate *s, const uint8_t *bytes, size_t len, uint32_t *ret_number,
                                    enum firewall_task *ret_task);

#endif
