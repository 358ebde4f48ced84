/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/http.h"

#include "admin/places.h"
#include "admin/process.h"
#include "admin/render.h"
#include "stats/prometheus.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MAX_BYTES (8u << 20)
#define PLAIN_TEXT     "text/plain; charset=utf-8"

/* Pages that are always the same: made once, so that saying no takes no memory. */
enum page { PAGE_INDEX, PAGE_VERSION, PAGE_NOT_FOUND, PAGE_METHOD, PAGE_BODY, PAGE_NO_MEMORY, PAGE_COUNT };

static const struct {
    unsigned status;
    const char *text;
} pages[PAGE_COUNT] = {
    [PAGE_INDEX] = {MHD_HTTP_OK, "Weir " WEIR_VERSION ", flood protection for ZeroMQ.\n\n"
                                 "/metrics   counters and gauges for Prometheus\n"
                                 "/healthz   200 when every gate listens\n"
                                 "/version   the version that runs\n"},
    [PAGE_VERSION] = {MHD_HTTP_OK, "weir " WEIR_VERSION "\n"},
    [PAGE_NOT_FOUND] = {MHD_HTTP_NOT_FOUND, "There is no such page. What there is, is listed at /.\n"},
    [PAGE_METHOD] = {MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n"},
    [PAGE_BODY] = {MHD_HTTP_CONTENT_TOO_LARGE, "Requests with a body are not taken here.\n"},
    [PAGE_NO_MEMORY] = {MHD_HTTP_SERVICE_UNAVAILABLE, "There is no memory for this page now. Try again.\n"},
};

struct http {
    const struct relay *relay;
    struct MHD_Response *pages[PAGE_COUNT];
    struct places places;
    struct process process;
    size_t gate_count;
    struct gate_snapshot *gates; /* one request is answered at a time */
};

/* A page is text, for the one who asked, now: nothing for a browser to run, frame, guess at, keep or share. */
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
        /* a body that nobody reads must not be taken for the next request */
        (refuses && MHD_add_response_header(r, "Connection", "close") != MHD_YES)) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

struct http *http_new(const struct relay *r)
{
    struct http *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->relay = r;
    h->gate_count = relay_gate_count(r);
    h->gates = calloc(h->gate_count ? h->gate_count : 1, sizeof(*h->gates));
    places_init(&h->places);
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

static enum MHD_Result send_text(const struct http *h, struct MHD_Connection *c, unsigned status, const char *type,
                                 struct text_out *o)
{
    size_t len = 0;
    char *text = text_out_take(o, &len);
    if (!text)
        return send_page(h, c, PAGE_NO_MEMORY);

    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return send_page(h, c, PAGE_NO_MEMORY);
    }
    enum MHD_Result sent = add_headers(r, type) ? MHD_queue_response(c, status, r) : send_page(h, c, PAGE_NO_MEMORY);
    MHD_destroy_response(r);
    return sent;
}

static struct render_view look(struct http *h)
{
    struct render_view v = {.version = WEIR_VERSION, .gate_count = h->gate_count, .gates = h->gates};

    for (size_t i = 0; i < h->gate_count; i++)
        relay_gate_snapshot(h->relay, i, &h->gates[i]);
    relay_snapshot(h->relay, &v.relay);
    process_read(&h->process, &v.process);
    return v;
}

static enum MHD_Result send_metrics(struct http *h, struct MHD_Connection *c)
{
    struct render_view v = look(h);
    struct text_out o;

    text_out_init(&o, PAGE_MAX_BYTES);
    render_metrics(&o, &v);
    return send_text(h, c, MHD_HTTP_OK, PROMETHEUS_CONTENT_TYPE, &o);
}

static enum MHD_Result send_health(struct http *h, struct MHD_Connection *c)
{
    struct render_view v = look(h);
    struct text_out o;

    text_out_init(&o, PAGE_MAX_BYTES);
    bool healthy = render_health(&o, &v);
    return send_text(h, c, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, PLAIN_TEXT, &o);
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

static struct place *place_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* Called once when the headers are in, and again when the request is complete. */
enum MHD_Result http_answer(void *closure, struct MHD_Connection *c, const char *url, const char *method,
                            const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct http *h = closure;
    bool first = !*request;

    *request = h;
    if (!first) {
        *upload_size = 0; /* none is announced, so none comes */
        return send_path(h, c, url);
    }
    places_use(&h->places, place_of(c));
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
        places_leave(*socket);
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket = info ? places_enter(&h->places, info->connect_fd) : NULL;
}
