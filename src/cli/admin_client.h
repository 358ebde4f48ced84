/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Sends one request to the admin address of a running Weir, and reads its answer.
 *
 * Blocks, for at most ADMIN_CLIENT_PATIENCE_S altogether. An answer larger than ADMIN_CLIENT_MOST is an error, from any
 * sender.
 */
#ifndef WEIR_CLI_ADMIN_CLIENT_H
#define WEIR_CLI_ADMIN_CLIENT_H

#include "base/addr.h"
#include "base/attr.h"

#include <jansson.h>
#include <stddef.h>

#define ADMIN_CLIENT_PATIENCE_S 30
#define ADMIN_CLIENT_MOST       ((size_t)8 << 20)
#define ADMIN_CLIENT_WHY_MAX    512u

struct admin_client {
    struct endpoint to;
    const char *address; /* as the user has written it, for messages */
    const char *token;   /* NULL: none is shown, which is enough for pages */
};

/* The answer: its status and its document. */
struct admin_answer {
    unsigned status;
    json_t *document; /* an object, owned by the caller */
};

/* `path` with its query; `body`: "" for none. 0, or -1 with a sentence in `why`: there was no answer, or it did not
 * come from a Weir. */
MUST_USE int admin_client_ask(const struct admin_client *c, const char *method, const char *path, const char *body,
                              struct admin_answer *ret, char why[static ADMIN_CLIENT_WHY_MAX]);

/* Gets a page of text, such as /metrics. *ret_text is freed by the caller. 0, or -1 with a sentence in `why`. */
MUST_USE int admin_client_get_page(const struct admin_client *c, const char *path, char **ret_text,
                                   char why[static ADMIN_CLIENT_WHY_MAX]);

/* Splits an HTTP answer into its status and its body. -1: it is not HTTP, or cut off. Pure; `bytes` is NUL-terminated
 * behind `len`. */
MUST_USE int admin_client_parse(const char *bytes, size_t len, unsigned *ret_status, const char **ret_body,
                                size_t *ret_body_len);

#endif
