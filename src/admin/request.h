/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Parses requests to the JSON API: turns the bytes of a body, or the arguments of a query, into checked values.
 *
 * A name that is unknown, given twice, out of range or nested is refused with a sentence, in printable ASCII whatever
 * was sent. Pure, except for the memory of the JSON parser, which is bounded by the body (4 KiB).
 */
#ifndef WEIR_ADMIN_REQUEST_H
#define WEIR_ADMIN_REQUEST_H

#include "base/attr.h"
#include "base/network.h"
#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_BODY_MAX 4096u
#define REQUEST_ARGS_MAX 8u
#define REQUEST_WHY_MAX  320u

/* The deepest nesting of arrays and objects. */
#define REQUEST_DEPTH_MAX 4u

#define REQUEST_FOR_MIN_NS     NS_PER_S
#define REQUEST_FOR_MAX_NS     (365 * UINT64_C(86400) * NS_PER_S)
#define REQUEST_FOR_DEFAULT_NS (UINT64_C(3600) * NS_PER_S)

#define REQUEST_ROWS_DEFAULT 100u
#define REQUEST_ROWS_MIN     8u
#define REQUEST_ROWS_MAX     1000u

/* One argument of a query, decoded; may hold any bytes. */
struct request_arg {
    const char *name, *value; /* NUL-terminated; may hold earlier NULs */
    size_t name_len, value_len;
};

struct request_args {
    size_t count; /* REQUEST_ARGS_MAX + 1: there were more */
    struct request_arg at[REQUEST_ARGS_MAX];
};

struct request_ban {
    struct network who;
    uint64_t for_ns; /* BAN_FOR_EVER, or REQUEST_FOR_MIN_NS to REQUEST_FOR_MAX_NS */
};

/* Exactly one of `who` and `id`. */
struct request_kick {
    struct network who; /* of kind ADDR_NONE: by id */
    uint64_t id;
    char gate[CONFIG_NAME_MAX + 1]; /* "": every gate */
};

/* Which arguments a list request takes, besides `limit`. */
enum { REQUEST_GATE = 1, REQUEST_NETWORK = 2, REQUEST_CURSOR = 4, REQUEST_HISTORY = 8 };

struct request_list {
    size_t limit;
    struct network who; /* of kind ADDR_NONE: everybody */
    char gate[CONFIG_NAME_MAX + 1];
    size_t cursor;
    bool history;
};

/* All return 0, or -EINVAL with the sentence; *ret is untouched then. */
MUST_USE int request_parse_ban(struct request_ban *ret, const char *body, size_t len, char why[static REQUEST_WHY_MAX]);
MUST_USE int request_parse_kick(struct request_kick *ret, const char *body, size_t len,
                                char why[static REQUEST_WHY_MAX]);
/* "" or an object without members. */
MUST_USE int request_parse_nothing(const char *body, size_t len, char why[static REQUEST_WHY_MAX]);
MUST_USE int request_parse_unban(struct network *ret, const struct request_args *args,
                                 char why[static REQUEST_WHY_MAX]);
MUST_USE int request_parse_list(struct request_list *ret, unsigned allowed, const struct request_args *args,
                                char why[static REQUEST_WHY_MAX]);
/* No argument at all. */
MUST_USE int request_parse_no_args(const struct request_args *args, char why[static REQUEST_WHY_MAX]);

#endif
