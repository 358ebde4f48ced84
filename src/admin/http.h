/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The requests of the admin address: chooses the page for a path.
 *
 * Threads: the callbacks run on the one thread of the HTTP server; http_new() and http_free() on the main thread,
 * before it starts and after it ends.
 */
#ifndef WEIR_ADMIN_HTTP_H
#define WEIR_ADMIN_HTTP_H

#include "admin/auth.h"
#include "admin/callbacks.h"
#include "base/attr.h"
#include "relay/relay.h"

#include <microhttpd.h>

struct http;

/* Allocates everything that answers need, except a rendered page. NULL when memory is short. All arguments must outlive
 * it. */
MUST_USE struct http *http_new(struct relay *r, struct auth *door, const struct admin_callbacks *calls);

/* Sets the address it listens at, before the first request. */
void http_set_address(struct http *h, const struct addr *at);

/* Accepts NULL. */
void http_free(struct http *h);

/* An MHD_AccessHandlerCallback; `closure` is the struct http. */
enum MHD_Result http_answer(void *closure, struct MHD_Connection *c, const char *url, const char *method,
                            const char *version, const char *upload, size_t *upload_size, void **request);

/* An MHD_RequestCompletedCallback; `closure` is the struct http. */
void http_completed(void *closure, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how);

/* An MHD_NotifyConnectionCallback; `closure` is the struct http. */
void http_connection(void *closure, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode event);

#endif
