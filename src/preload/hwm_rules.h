/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which high-water marks the sockets of a program get: the options --hwm [PORT=|ipc=]N and --hwm
 * [PORT=|ipc=]RECEIVE/SEND of `weir run`. Pure; fixed memory.
 *
 * N stands for both marks. One of RECEIVE and SEND may be left out: the program's own value stays. `weir run` passes
 * them to the preload object in RUN_ENV, with commas between them.
 */
#ifndef WEIR_PRELOAD_HWM_RULES_H
#define WEIR_PRELOAD_HWM_RULES_H

#include <stddef.h>
#include <stdint.h>

#define HWM_RULES_MOST 16u
#define HWM_RULE_BYTES 32u  /* of one as text, at most, with what separates it from the next */
#define HWM_RULE_IPC   (-1) /* in place of a port: Unix sockets */

/* Marks count messages, for each connection. */
struct hwm_rule {
    int32_t port;          /* that the socket binds, or HWM_RULE_IPC; 0: any */
    int32_t receive, send; /* 0: the program's own value */
};

struct hwm_rules {
    struct hwm_rule at[HWM_RULES_MOST];
    unsigned count;
};

/* Reads `bytes` bytes of text. Returns NULL, or what is wrong with it. */
const char *hwm_rule_read(struct hwm_rule *ret, const char *text, size_t bytes);

/* Adds one to the others. Returns NULL, or what is wrong with it. */
const char *hwm_rules_add(struct hwm_rules *r, const struct hwm_rule *rule);

/* Reads them with commas between them. Returns NULL, or what is wrong with it. */
const char *hwm_rules_read(struct hwm_rules *ret, const char *text);

/* The rule of this port, or of HWM_RULE_IPC, else the one of any, else NULL. */
const struct hwm_rule *hwm_rules_find(const struct hwm_rules *r, int32_t port);

#endif
