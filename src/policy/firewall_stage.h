/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the helper makes of the messages that it receives, before it asks the kernel for anything: it trusts nothing
 * that comes from the process that strangers talk to. Each message either fits in here whole or is refused whole.
 *
 * Bounded by FIREWALL_ENTRIES_MAX entries (1.5 MiB, touched as they come); what goes beyond is refused (-E2BIG), and
 * with it the replacement that it was part of. One thread.
 */
#ifndef WEIR_POLICY_FIREWALL_STAGE_H
#define WEIR_POLICY_FIREWALL_STAGE_H

#include "policy/firewall_wire.h"

struct firewall_stage {
    struct firewall_gates gates; /* their addresses are those of the start, for ever */
    struct firewall_entry *entries;
    size_t count;
    bool open; /* between BEGIN and COMMIT */
    struct firewall_entry changes[FIREWALL_WIRE_RECORDS];
    size_t change_count;
};

/* What is to be done now. */
enum firewall_task {
    FIREWALL_TASK_NONE,
    FIREWALL_TASK_REPLACE, /* by `entries` */
    FIREWALL_TASK_CHANGE,  /* as in `changes` */
    FIREWALL_TASK_COUNT,   /* read the counters */
};

/* 0 or -ENOMEM. */
MUST_USE int firewall_stage_init(struct firewall_stage *s, const struct firewall_gates *gates);
void firewall_stage_fini(struct firewall_stage *s);

/* Takes a datagram in. 0, and *ret_task says what to do; -EBADMSG: it is no request at all, and *ret_number is
 * undefined; -EINVAL: an entry that no firewall may be told, out of order, or of a gate that there is not; -EPROTO: not
 * now; -E2BIG: too many. After an error nothing is to be done, and a replacement that was open is none any more. */
MUST_USE int firewall_stage_take(struct firewall_stage *s, const uint8_t *bytes, size_t len, uint32_t *ret_number,
                                 enum firewall_task *ret_task);

#endif
