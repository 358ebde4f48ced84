/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The JSON API: what each path under /v1/ does, and what it answers. Knows no HTTP but its numbers. Runs on the admin
 * thread, whose callers have shown the token before anything here is called. It may wait for the workers for a second
 * (lists, kicks), and for the main thread for some (reload); nothing else is answered at the admin address meanwhile.
 */
#ifndef WEIR_ADMIN_API_H
#define WEIR_ADMIN_API_H

#include "admin/calls.h"
#include "admin/request.h"
#include "base/addr.h"
#include "relay/relay.h"

#include <jansson.h>

struct api {
    struct relay *relay;
    const struct admin_calls *calls;
    struct addr listener; /* the admin address, as bound */
};

struct api_request {
    const char *method, *path;
    struct request_args args;
    const char *body;
    size_t len;
    struct addr from; /* who asks */
};

struct api_reply {
    unsigned status;  /* of HTTP */
    json_t *document; /* the caller's; NULL: no memory */
};

/* Whether the path is the API's at all. */
bool api_owns(const char *path);

/* Of a path: 0 when this method may be used there; else 404, or 405 with what may be used in *ret_allow. And whether it
 * takes a body. */
unsigned api_check(const char *path, const char *method, const char **ret_allow, bool *ret_takes_body);

/* Carries out what passed api_check(). */
void api_answer(const struct api *a, const struct api_request *q, struct api_reply *ret);

#endif
