/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The JSON API: carries out a request for a path under /v1/ and returns its answer. Of HTTP it knows only the status
 * numbers.
 *
 * Threads: the admin thread. Callers have shown the token before anything here is called. It may wait a second for the
 * workers (lists, kicks), and some seconds for the main thread (reload). Nothing else is answered at the admin address
 * meanwhile.
 */
#ifndef WEIR_ADMIN_API_H
#define WEIR_ADMIN_API_H

#include "admin/callbacks.h"
#include "admin/request.h"
#include "base/addr.h"
#include "relay/relay.h"

#include <jansson.h>

struct api {
    struct relay *relay;
    const struct admin_callbacks *calls;
    struct addr listener; /* the admin address, as bound */
};

struct api_request {
    const char *method, *path;
    struct request_args args;
    const char *body;
    size_t len;
    struct addr from; /* the caller's address */
};

struct api_reply {
    unsigned status;  /* of HTTP */
    json_t *document; /* owned by the caller; NULL: no memory */
};

/* Whether the path belongs to the API. */
bool api_owns(const char *path);

/* Checks path and method: 0 when the method is allowed there; else 404, or 405 with the allowed methods in *ret_allow.
 * Also says whether it takes a body. */
unsigned api_check(const char *path, const char *method, const char **ret_allow, bool *ret_takes_body);

/* Carries out a request that has passed api_check(). */
void api_answer(const struct api *a, const struct api_request *q, struct api_reply *ret);

#endif
