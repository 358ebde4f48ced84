/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which endpoint counts for which gate: the options --counter [ENDPOINT=]PATH of `weir count`, and what they match.
 * Pure; fixed memory.
 *
 * `weir count` passes them to the preload object in the environment variable TAKEN_ENV, one a line.
 */
#ifndef WEIR_PRELOAD_TAKEN_RULES_H
#define WEIR_PRELOAD_TAKEN_RULES_H

#include <stdbool.h>
#include <stddef.h>

#define TAKEN_ENV            "WEIR_COUNT"
#define TAKEN_RULES_MOST     16u
#define TAKEN_ENDPOINT_BYTES 256u
#define TAKEN_PATH_BYTES     108u /* of a Unix socket */

struct taken_rule {
    char endpoint[TAKEN_ENDPOINT_BYTES]; /* "": the only socket that is bound */
    char path[TAKEN_PATH_BYTES];
};

struct taken_rules {
    struct taken_rule at[TAKEN_RULES_MOST];
    size_t count;
};

/* Reads `bytes` bytes of text: [ENDPOINT=]PATH. ENDPOINT is tcp:// or ipc:// and ends at the first equals sign after
 * that. Returns NULL, or what is wrong with it. */
const char *taken_rule_read(struct taken_rule *ret, const char *text, size_t bytes);

/* Adds one to the others. Returns NULL, or what is wrong with it. */
const char *taken_rules_add(struct taken_rules *r, const struct taken_rule *rule);

/* Reads TAKEN_ENV's text, which may be NULL. What is wrong in it is left out. */
void taken_rules_read(struct taken_rules *ret, const char *text);

/* Whether clients can reach such an endpoint through a gate. */
bool taken_endpoint_counts(const char *endpoint);

/* Whether both name the same place. With tcp, the host of one of them may be a wildcard, or be written in another
 * way than an address: then the ports decide. */
bool taken_endpoint_matches(const char *named, const char *bound);

#endif
