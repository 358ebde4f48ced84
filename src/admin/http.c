/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/http.h"

#include "admin/api.h"
#include "admin/conn_slots.h"
#include "admin/json_rows.h"
#include "admin/process.h"
#include "admin/render.h"
#include "base/clock.h"
#include "stats/prometheus.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MAX_BYTES (8u << 20)
#define PLAIN_TEXT     "text/plain; charset=utf-8"
#define JSON           "application/json"

#define API_OFF "the API is off: name a file with a token in admin.token_file, and reload (weir help config tells more)"

/* Fixed pages, made once, so that a refusal takes no memory. */
enum page { PAGE_INDEX, PAGE_VERSION, PAGE_NOT_FOUND, PAGE_METHOD, PAGE_BODY, PAGE_NO_MEMORY, PAGE_COUNT };

static const struct {
    unsigned status;
    const char *text;
} pages[PAGE_COUNT] = {
    [PAGE_INDEX] = {MHD_HTTP_OK, "Weir " WEIR_VERSION ", flood protection for ZeroMQ.\n\n"
                                 "/metrics   counters and gauges for Prometheus\n"
                                 "/healthz   200 when every gate listens\n"
                                 "/version   the version that runs\n"
                                 "/v1/...    with a token: bans, sources, connections, kick, reload\n"},
    [PAGE_VERSION] = {MHD_HTTP_OK, "weir " WEIR_VERSION "\n"},
    [PAGE_NOT_FOUND] = {MHD_HTTP_NOT_FOUND, "There is no such page. What there is, is listed at /.\n"},
    [PAGE_METHOD] = {MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n"},
    [PAGE_BODY] = {MHD_HTTP_CONTENT_TOO_LARGE, "Requests with a body are not taken here.\n"},
    [PAGE_NO_MEMORY] = {MHD_HTTP_SERVICE_UNAVAILABLE, "There is no memory for this page now. Try again.\n"},
};

struct http {
    struct relay *relay;
    struct auth *door;
    struct api api;
    struct MHD_Response *pages[PAGE_COUNT];
    struct conn_slots places;
    struct process process;
    struct gate_snapshot *gates; /* one request is answered at a time */
};

/* A page is text for this caller, now: a browser must not run, frame, guess at, keep or share it. */
static bool add_headers(struct MHD_Response *r, const char *type)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
    };

    if (MHD_add_response_header(r, "Content-Type", type) != MHD_YES)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        if (MHD_add_response_header(r, headers[i][0], headers[i][1]) != MHD_YES)
            return false;
    return true;
}

static struct MHD_Response *make_page(enum page p)
{
    const char *text = pages[p].text;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (char *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    bool refuses = p == PAGE_METHOD || p == PAGE_BODY;

    if (!r)
        return NULL;
    if (!add_headers(r, PLAIN_TEXT) ||
        (p == PAGE_METHOD && MHD_add_response_header(r, "Allow", "GET, HEAD") != MHD_YES) ||
        /* an unread body must not be taken for the next request */
        (refuses && MHD_add_response_header(r, "Connection", "close") != MHD_YES)) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

struct http *http_new(struct relay *r, struct auth *door, const struct admin_callbacks *calls)
{
    struct http *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->relay = r;
    h->door = door;
    h->api = (struct api){.relay = r, .calls = calls};
    json_object_seed(0); /* now: later it might be in a sandbox */
    h->gates = calloc(relay_gate_room(r), sizeof(*h->gates));
    conn_slots_init(&h->places);
    process_open(&h->process);
    bool complete = h->gates;
    for (unsigned p = 0; p < PAGE_COUNT; p++) {
        h->pages[p] = make_page((enum page)p);
        complete = complete && h->pages[p];
    }
    if (complete)
        return h;
    http_free(h);
    return NULL;
}

void http_set_address(struct http *h, const struct addr *at)
{
    h->api.listener = *at;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    for (unsigned p = 0; p < PAGE_COUNT; p++)
        if (h->pages[p])
            MHD_destroy_response(h->pages[p]);
    process_close(&h->process);
    free(h->gates);
    free(h);
}

static enum MHD_Result send_page(const struct http *h, struct MHD_Connection *c, enum page p)
{
    return MHD_queue_response(c, pages[p].status, h->pages[p]);
}

/* Takes over what was written; NULL: not enough memory. */
static struct MHD_Response *make_response(struct text_out *o, const char *type)
{
    size_t len = 0;
    char *text = text_out_take(o, &len);
    struct MHD_Response *r = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;

    if (!r) {
        free(text);
        return NULL;
    }
    if (add_headers(r, type))
        return r;
    MHD_destroy_response(r);
    return NULL;
}

/* Takes over `r`, which is NULL if it could not be made. */
static enum MHD_Result send_response(const struct http *h, struct MHD_Connection *c, unsigned status,
                                     struct MHD_Response *r)
{
    if (!r)
        return send_page(h, c, PAGE_NO_MEMORY);
    enum MHD_Result sent = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return sent;
}

static struct render_view http_look(struct http *h)
{
    struct render_view v = {.version = WEIR_VERSION, .gates = h->gates};
    size_t count = relay_gate_count(h->relay);

    for (size_t i = 0; i < count; i++) {
        relay_gate_snapshot(h->relay, i, &h->gates[v.gate_count]);
        v.gate_count += !h->gates[v.gate_count].is_past;
    }
    relay_snapshot(h->relay, &v.relay);
    v.unauthorized = atomic_load(&h->door->unauthorized);
    process_read(&h->process, &v.process);
    v.log_lines_lost = log_lost();
    return v;
}

static enum MHD_Result send_metrics(struct http *h, struct MHD_Connection *c)
{
    struct render_view v = http_look(h);
    struct text_out o;

    text_out_init(&o, PAGE_MAX_BYTES);
    render_metrics(&o, &v);
    return send_response(h, c, MHD_HTTP_OK, make_response(&o, PROMETHEUS_CONTENT_TYPE));
}

static enum MHD_Result send_health(struct http *h, struct MHD_Connection *c)
{
    struct render_view v = http_look(h);
    struct text_out o;

    text_out_init(&o, PAGE_MAX_BYTES);
    bool healthy = render_health(&o, &v);
    return send_response(h, c, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, make_response(&o, PLAIN_TEXT));
}

static enum MHD_Result send_path(struct http *h, struct MHD_Connection *c, const char *path)
{
    if (strcmp(path, "/metrics") == 0)
        return send_metrics(h, c);
    if (strcmp(path, "/healthz") == 0)
        return send_health(h, c);
    if (strcmp(path, "/version") == 0)
        return send_page(h, c, PAGE_VERSION);
    if (strcmp(path, "/") == 0)
        return send_page(h, c, PAGE_INDEX);
    return send_page(h, c, PAGE_NOT_FOUND);
}

static bool announces_body(struct MHD_Connection *c)
{
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

    return (length && strcmp(length, "0") != 0) || MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding");
}

static struct conn_slot *http_place_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* ---- the API ---- */

/* A request to the API whose body is arriving; bytes beyond the limit are counted and discarded. */
struct exchange {
    size_t len;
    bool too_large;
    char body[REQUEST_BODY_MAX];
};

static struct addr caller(struct MHD_Connection *c)
{
    struct addr a = {.kind = ADDR_NONE};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (info && info->client_addr)
        addr_from_sockaddr(&a, info->client_addr);
    return a;
}

/* Takes over `document`. `name`: one more header, or NULL. */
static enum MHD_Result send_json(const struct http *h, struct MHD_Connection *c, unsigned status, json_t *document,
                                 const char *name, const char *value)
{
    struct text_out o;

    text_out_init(&o, PAGE_MAX_BYTES);
    json_write(&o, document);
    json_decref(document);
    struct MHD_Response *r = make_response(&o, JSON);
    if (r && ((name && MHD_add_response_header(r, name, value) != MHD_YES) ||
              /* an unread body must not be taken for the next request */
              (status >= 400 && MHD_add_response_header(r, "Connection", "close") != MHD_YES))) {
        MHD_destroy_response(r);
        r = NULL;
    }
    return send_response(h, c, status, r);
}

static enum MHD_Result http_refuse(const struct http *h, struct MHD_Connection *c, unsigned status, const char *why,
                                   const char *name, const char *value)
{
    return send_json(h, c, status, json_of_error(why), name, value);
}

static bool announces_too_much(struct MHD_Connection *c)
{
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

    return length && (strlen(length) > 4 || strtoul(length, NULL, 10) > REQUEST_BODY_MAX);
}

/* Before any part of a body is taken: checks whether this caller may make this request. */
static enum MHD_Result begin_exchange(struct http *h, struct MHD_Connection *c, const char *path, const char *method,
                                      void **request)
{
    const char *allow = NULL;
    bool takes_body = false;
    struct addr from = caller(c);
    const char *shown = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    enum auth_says door = auth_ask(h->door, shown, &from, clock_now_ns());

    if (door == AUTH_OFF)
        return http_refuse(h, c, MHD_HTTP_FORBIDDEN, API_OFF, NULL, NULL);
    if (door == AUTH_WRONG)
        return http_refuse(h, c, MHD_HTTP_UNAUTHORIZED,
                           shown ? "this is not the token of admin.token_file"
                                 : "a token is missing: send Authorization: Bearer TOKEN",
                           "WWW-Authenticate", "Bearer realm=\"weir\"");
    unsigned status = api_check(path, method, &allow, &takes_body);
    if (status == MHD_HTTP_NOT_FOUND)
        return http_refuse(h, c, status,
                           "there is no such page; there are /v1/bans, sources, connections, kick, reload", NULL, NULL);
    if (status)
        return http_refuse(h, c, status, "this is not done here with this method; the header Allow tells which",
                           "Allow", allow);
    if (takes_body ? announces_too_much(c) : announces_body(c))
        return http_refuse(h, c, MHD_HTTP_CONTENT_TOO_LARGE,
                           takes_body ? "the body is too large: allowed up to 4096 bytes" : "no body is taken here",
                           NULL, NULL);
    struct exchange *e = calloc(1, sizeof(*e));
    if (!e)
        return send_page(h, c, PAGE_NO_MEMORY);
    *request = e;
    return MHD_YES;
}

static enum MHD_Result note_argument(void *closure, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                     const char *value, size_t value_len)
{
    struct request_args *args = closure;

    if (args->count >= REQUEST_ARGS_MAX) {
        args->count = REQUEST_ARGS_MAX + 1;
        return MHD_NO;
    }
    args->at[args->count++] =
        (struct request_arg){.name = name, .name_len = name_len, .value = value, .value_len = value_len};
    return MHD_YES;
}

static enum MHD_Result end_exchange(struct http *h, struct MHD_Connection *c, const char *path, const char *method,
                                    const struct exchange *e)
{
    struct api_request q = {.method = method, .path = path, .body = e->body, .len = e->len, .from = caller(c)};
    struct api_reply reply;

    if (e->too_large)
        return http_refuse(h, c, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large: allowed up to 4096 bytes", NULL,
                           NULL);
    MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, note_argument, &q.args);
    api_answer(&h->api, &q, &reply);
    return send_json(h, c, reply.status, reply.document, NULL, NULL);
}

static enum MHD_Result continue_exchange(struct http *h, struct MHD_Connection *c, const char *path, const char *method,
                                         struct exchange *e, const char *upload, size_t *upload_size)
{
    if (*upload_size == 0)
        return end_exchange(h, c, path, method, e);
    if (*upload_size > sizeof(e->body) - e->len)
        e->too_large = true;
    else
        memcpy(e->body + e->len, upload, *upload_size);
    e->len += e->too_large ? 0 : *upload_size;
    *upload_size = 0;
    return MHD_YES;
}

void http_completed(void *closure, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how)
{
    if (*request != closure)
        free(*request);
    *request = NULL;
}

/* Called once when the headers are in, again with each part of a body, and when the request is complete. */
enum MHD_Result http_answer(void *closure, struct MHD_Connection *c, const char *url, const char *method,
                            const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct http *h = closure;
    bool first = !*request;

    if (!first && *request != h)
        return continue_exchange(h, c, url, method, *request, upload, upload_size);
    *request = h; /* not an exchange */
    if (!first) {
        *upload_size = 0; /* none is announced, so none comes */
        return send_path(h, c, url);
    }
    conn_slots_use(&h->places, http_place_of(c));
    if (api_owns(url))
        return begin_exchange(h, c, url, method, request);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return send_page(h, c, PAGE_METHOD);
    if (announces_body(c))
        return send_page(h, c, PAGE_BODY);
    return MHD_YES;
}

void http_connection(void *closure, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode event)
{
    struct http *h = closure;

    if (event == MHD_CONNECTION_NOTIFY_CLOSED) {
        conn_slots_leave(*socket);
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket = info ? conn_slots_enter(&h->places, info->connect_fd) : NULL;
}
