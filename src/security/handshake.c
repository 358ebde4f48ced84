/* SPDX-License-Identifier: MPL-2.0 */
#include "security/handshake.h"

#include "security/mechanism.h"
#include "security/proxy_protocol.h"
#include "zmtp/command.h"
#include "zmtp/decoder.h"
#include "zmtp/metadata.h"

#include <stdio.h>
#include <string.h>

/* Room that Weir's own properties and a frame header may need beyond what the client sent. */
#define REWRITE_ROOM 512u

static void refuse(struct handshake *h, enum verdict v)
{
    if (h->verdict == VERDICT_PASS)
        h->verdict = v;
}

/* ---- byte queues ---- */

static uint32_t queue_len(const struct handshake_bytes *q)
{
    return q->len - q->start;
}

static bool queue_reserve(struct handshake *h, struct handshake_bytes *q, size_t more)
{
    if (q->len + more <= q->cap)
        return true;
    uint32_t cap, used = queue_len(q);
    uint8_t *data = bufpool_get(h->pool, used + more, &cap);
    if (!data) {
        refuse(h, VERDICT_NO_MEMORY);
        return false;
    }
    if (used)
        memcpy(data, q->data + q->start, used);
    bufpool_put(h->pool, q->data, q->cap);
    *q = (struct handshake_bytes){.data = data, .start = 0, .len = used, .cap = cap};
    return true;
}

static bool queue_put(struct handshake *h, struct handshake_bytes *q, const void *data, size_t len)
{
    if (!queue_reserve(h, q, len))
        return false;
    if (len)
        memcpy(q->data + q->len, data, len);
    q->len += (uint32_t)len;
    return true;
}

static struct bytes queue_bytes(const struct handshake_bytes *q)
{
    if (!q->data)
        return (struct bytes){0};
    return (struct bytes){.at = q->data + q->start, .len = queue_len(q)};
}

static void queue_drop(struct handshake_bytes *q, size_t n)
{
    q->start += (uint32_t)n;
    if (q->start == q->len)
        q->start = q->len = 0;
}

static void queue_free(struct handshake *h, struct handshake_bytes *q)
{
    bufpool_put(h->pool, q->data, q->cap);
    *q = (struct handshake_bytes){0};
}

/* ---- life ---- */

bool handshake_init(struct handshake *h, struct bufpool *pool, uint32_t max_bytes, bool allow_zmtp2, const char *peer,
                    const char *class_name)
{
    memset(h, 0, sizeof(*h));
    h->pool = pool;
    h->max_bytes = max_bytes;
    h->allow_zmtp2 = allow_zmtp2;
    snprintf(h->peer, sizeof(h->peer), "%s", peer);
    snprintf(h->class_name, sizeof(h->class_name), "%s", class_name ? class_name : "");
    uint8_t greeting[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3});
    return queue_put(h, &h->to_client, greeting, ZMTP_SIGNATURE_BYTES + 1);
}

void handshake_fini(struct handshake *h)
{
    queue_free(h, &h->from_client);
    queue_free(h, &h->from_app);
    queue_free(h, &h->to_client);
    queue_free(h, &h->to_app);
}

/* ---- greetings ---- */

static bool is_zmtp2(const struct handshake *h)
{
    return h->client.major == 2;
}

/* What the application has said itself in this handshake counts for more than what was known of it before. */
static bool types_fit(const struct handshake *h)
{
    enum socket_type app = h->app_socket != SOCKET_AUTO ? h->app_socket : h->app.socket;
    return socket_types_fit(h->client_socket, app);
}

/*
 * Who opens PLAIN or CURVE. libzmq leaves as-server 0 in every greeting, a server's too, so that 0 says nothing: the
 * client opens, unless it says itself that it is the server.
 */
static void settle_roles(struct handshake *h)
{
    if (h->app.mechanism == MECHANISM_NULL)
        return;
    if (h->client.as_server && h->app.as_server) {
        refuse(h, VERDICT_WRONG_ROLE);
        return;
    }
    h->app_initiates = h->client.as_server;
    h->wants_app = h->app_initiates;
}

/* RFC 37: "If the mechanism that the peer received does not exactly match the mechanism it sent, it MUST close the
 * connection." */
static void check_client_greeting(struct handshake *h)
{
    if (h->client.mechanism == MECHANISM_OTHER || h->client.mechanism != h->app.mechanism)
        refuse(h, VERDICT_WRONG_MECHANISM);
    else
        settle_roles(h);
}

static void accept_zmtp2(struct handshake *h)
{
    h->client_socket = socket_type_from_zmtp2(h->client.socket_code);
    if (!h->allow_zmtp2)
        refuse(h, VERDICT_OLD_VERSION);
    else if (h->app.mechanism != MECHANISM_NULL)
        refuse(h, VERDICT_WRONG_MECHANISM);
    else if (h->client_socket == SOCKET_AUTO || !socket_types_fit(h->client_socket, h->app.socket))
        refuse(h, VERDICT_WRONG_SOCKET_TYPE);
    else
        h->wants_app = true;
}

/* The rest of the greeting, once the client is known to speak 3.x; an older peer would take it for frames. */
static void answer_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    if (h->answered || !h->app_known || !zmtp_greeting_is_v3(in.at, in.len))
        return;
    struct zmtp_greeting g = {
        .major = 3, .minor = h->app.minor, .mechanism = h->app.mechanism, .as_server = h->app.as_server};
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &g);
    h->answered =
        queue_put(h, &h->to_client, bytes + ZMTP_SIGNATURE_BYTES + 1, ZMTP_GREETING_BYTES - ZMTP_SIGNATURE_BYTES - 1);
}

/* A load balancer that the gate was not told of makes a mistake of the operator's; it is known by its first octets, for
 * which one has to wait. */
static void refuse_greeting(struct handshake *h, struct bytes in)
{
    enum proxy_protocol_result r = proxy_protocol_begins(in);
    if (r != PROXY_PROTOCOL_NEED)
        refuse(h, r == PROXY_PROTOCOL_DONE ? VERDICT_UNEXPECTED_PROXY_HEADER : VERDICT_BAD_GREETING);
}

/* True when the client's greeting is complete and judged. */
static bool take_client_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    size_t used = 0;
    if (h->client_greeted)
        return true;
    answer_greeting(h);
    enum greeting_result r = zmtp_greeting_parse(in.at, in.len, &h->client, &used);
    if (r == GREETING_BAD)
        refuse_greeting(h, in);
    if (r != GREETING_DONE || !h->app_known)
        return false;
    queue_drop(&h->from_client, used);
    h->client_greeted = true;
    if (is_zmtp2(h))
        accept_zmtp2(h);
    else
        check_client_greeting(h);
    return h->verdict == VERDICT_PASS;
}

/* A libzmq application that meets a 2.0 peer answers signature, its own major version, and RFC 15's socket-type byte.
 */
static bool take_app_greeting_v2(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_app);
    if (in.len < ZMTP2_GREETING_BYTES)
        return false;
    if (in.at[0] != 0xff || in.at[9] != 0x7f || in.at[10] == 0) {
        refuse(h, VERDICT_APPLICATION_PROTOCOL);
        return false;
    }
    h->app_socket = socket_type_from_zmtp2(in.at[11]);
    if (!types_fit(h)) {
        refuse(h, VERDICT_WRONG_SOCKET_TYPE);
        return false;
    }
    h->app_greeted = queue_put(h, &h->to_client, in.at + 11, 1);
    queue_drop(&h->from_app, ZMTP2_GREETING_BYTES);
    return h->app_greeted;
}

static bool take_app_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_app);
    struct zmtp_greeting g;
    size_t used = 0;
    if (h->app_greeted)
        return true;
    if (is_zmtp2(h))
        return take_app_greeting_v2(h);
    enum greeting_result r = zmtp_greeting_parse(in.at, in.len, &g, &used);
    if (r == GREETING_BAD)
        refuse(h, VERDICT_APPLICATION_PROTOCOL);
    if (r != GREETING_DONE)
        return false;
    queue_drop(&h->from_app, used);
    /* The client was told what the application said before; if that is no longer true, only a new connection helps. */
    if (g.major != 3 || g.minor != h->app.minor || g.mechanism != h->app.mechanism || g.as_server != h->app.as_server)
        refuse(h, VERDICT_APPLICATION_CHANGED);
    h->app_greeted = true;
    return h->verdict == VERDICT_PASS;
}

/* ---- frames of the handshake ---- */

enum frame_result { FRAME_NEED, FRAME_WHOLE, FRAME_WRONG };

/* One frame at the front of `q`: its body and whole length. Says WRONG, with the verdict, as early as the bytes allow.
 */
static enum frame_result take_frame(const struct handshake_bytes *q, bool zmtp2, uint32_t max, struct bytes *ret_body,
                                    size_t *ret_len, enum verdict *ret_why)
{
    struct zmtp_decoder d;
    struct bytes in = queue_bytes(q);
    const uint8_t *at = in.at;
    if (in.len == 0)
        return FRAME_NEED;
    zmtp_decoder_init(&d, zmtp2);
    enum zmtp_item item = zmtp_next(&d, &at, in.at + in.len);
    if (item == ZMTP_BAD) {
        *ret_why = d.error == ZMTP_MORE_ON_COMMAND ? VERDICT_MORE_ON_COMMAND
                   : d.error == ZMTP_SIZE_OVERFLOW ? VERDICT_BAD_FRAME_SIZE
                                                   : VERDICT_RESERVED_FLAGS;
        return FRAME_WRONG;
    }
    if (item == ZMTP_NEED)
        return FRAME_NEED;
    /* RFC 37: the handshake consists of commands; in 2.0 of one plain frame, the identity. */
    if (zmtp_is_command(&d) == zmtp2 || (d.flags & ZMTP_FLAG_MORE)) {
        *ret_why = VERDICT_HANDSHAKE_ORDER;
        return FRAME_WRONG;
    }
    if (d.size > max) {
        *ret_why = VERDICT_HANDSHAKE_TOO_LARGE;
        return FRAME_WRONG;
    }
    if (item == ZMTP_HEADER)
        return FRAME_NEED;
    *ret_len = (size_t)(at - in.at);
    *ret_body = (struct bytes){.at = at - d.size, .len = (size_t)d.size};
    return FRAME_WHOLE;
}

/* ---- the client's commands ---- */

static bool check_routing_id(struct handshake *h, struct bytes id)
{
    h->routing_id_len = (uint8_t)(id.len < sizeof(h->routing_id) ? id.len : sizeof(h->routing_id));
    if (h->routing_id_len)
        memcpy(h->routing_id, id.at, h->routing_id_len);
    if (!zmtp_routing_id_ok(id))
        refuse(h, VERDICT_BAD_ROUTING_ID);
    else if (zmtp_routing_id_is_generated(id))
        refuse(h, VERDICT_RESERVED_ROUTING_ID);
    return h->verdict == VERDICT_PASS;
}

static bool check_metadata(struct handshake *h, struct bytes metadata)
{
    struct zmtp_metadata m;
    if (!zmtp_metadata_parse(metadata, &m)) {
        refuse(h, VERDICT_BAD_METADATA);
        return false;
    }
    h->client_socket = socket_type_parse(m.socket_type);
    if (h->client_socket == SOCKET_AUTO || !types_fit(h)) {
        refuse(h, VERDICT_WRONG_SOCKET_TYPE);
        return false;
    }
    return check_routing_id(h, m.routing_id);
}

/* Weir's own properties, then the client's without the reserved ones. Returns the bytes written; 0: no room. */
static size_t put_metadata(const struct handshake *h, uint8_t *dst, size_t size, struct bytes metadata)
{
    size_t used = h->class_name[0] ? zmtp_property_put(dst, size, "X-Weir-Class", h->class_name) : 0;
    size_t rest = zmtp_metadata_rewrite(dst + used, size - used, metadata, "X-Weir-Peer", h->peer);
    return rest ? used + rest : 0;
}

/* Passes a command with metadata on: "<name>", then the metadata as rewritten. */
static bool forward_rewritten(struct handshake *h, struct bytes body, struct bytes metadata)
{
    size_t name_len = body.len - metadata.len;
    size_t most = body.len + REWRITE_ROOM;
    if (!queue_reserve(h, &h->to_app, most + ZMTP_HEADER_MAX))
        return false;
    /* The header's length depends on the body's: the body is made behind a long header's place first, then moved. */
    uint8_t *at = h->to_app.data + h->to_app.len, *new_body = at + ZMTP_HEADER_MAX;
    memcpy(new_body, body.at, name_len);
    size_t len = put_metadata(h, new_body + name_len, most - name_len, metadata);
    if (len == 0) {
        refuse(h, VERDICT_NO_MEMORY);
        return false;
    }
    size_t header = zmtp_put_header(at, ZMTP_FLAG_COMMAND, name_len + len);
    memmove(at + header, new_body, name_len + len);
    h->to_app.len += (uint32_t)(header + name_len + len);
    return true;
}

static bool take_client_command(struct handshake *h, struct bytes frame, struct bytes body)
{
    struct mechanism_command m = mechanism_client_command(h, body);
    if (m.verdict != VERDICT_PASS) {
        refuse(h, m.verdict);
        return false;
    }
    if (m.has_metadata && !check_metadata(h, m.metadata))
        return false;
    bool queued =
        m.has_metadata ? forward_rewritten(h, body, m.metadata) : queue_put(h, &h->to_app, frame.at, frame.len);
    h->wants_app = true;
    return queued;
}

static bool take_client_identity(struct handshake *h, struct bytes frame, struct bytes body)
{
    if (!check_routing_id(h, body))
        return false;
    h->client_ready = true;
    return queue_put(h, &h->to_app, frame.at, frame.len);
}

/* One command of the client, if it is its turn and the bytes are there. True when something was taken. */
static bool client_step(struct handshake *h)
{
    struct bytes body, frame = queue_bytes(&h->from_client);
    enum verdict why = VERDICT_PASS;
    if (!take_client_greeting(h) || !mechanism_client_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_client, is_zmtp2(h), h->max_bytes, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        refuse(h, why);
    if (r != FRAME_WHOLE)
        return false;
    frame.at = h->from_client.data + h->from_client.start;
    bool taken = is_zmtp2(h) ? take_client_identity(h, frame, body) : take_client_command(h, frame, body);
    queue_drop(&h->from_client, frame.len);
    return taken;
}

/* ---- the application's commands ---- */

static bool take_app_command(struct handshake *h, struct bytes body)
{
    struct mechanism_command m = mechanism_app_command(h, body);
    if (m.has_metadata) {
        struct zmtp_metadata metadata;
        if (!zmtp_metadata_parse(m.metadata, &metadata))
            m.verdict = VERDICT_APPLICATION_PROTOCOL;
        else
            h->app_socket = socket_type_parse(metadata.socket_type);
        if (m.verdict == VERDICT_PASS && h->client_socket != SOCKET_AUTO && !types_fit(h))
            m.verdict = VERDICT_WRONG_SOCKET_TYPE;
    }
    if (m.verdict != VERDICT_PASS)
        refuse(h, m.verdict);
    /* An ERROR goes on to the client, with its reason, before the connection ends. */
    return m.verdict == VERDICT_PASS || m.verdict == VERDICT_APPLICATION_REFUSED;
}

static bool app_step(struct handshake *h)
{
    struct bytes body, frame = {0};
    enum verdict why = VERDICT_PASS;
    if (!h->app_open || !take_app_greeting(h) || !mechanism_app_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_app, is_zmtp2(h), HANDSHAKE_APP_MAX, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        refuse(h, VERDICT_APPLICATION_PROTOCOL);
    if (r != FRAME_WHOLE)
        return false;
    frame.at = h->from_app.data + h->from_app.start;
    if (is_zmtp2(h))
        h->app_ready = true;
    else if (!take_app_command(h, body))
        return false;
    bool queued = queue_put(h, &h->to_client, frame.at, frame.len);
    queue_drop(&h->from_app, frame.len);
    return queued;
}

static void advance(struct handshake *h)
{
    bool moved = true;
    while (moved && h->verdict == VERDICT_PASS) {
        moved = client_step(h);
        if (h->verdict == VERDICT_PASS)
            moved = app_step(h) || moved;
    }
    /* All that the client may send is here, and it is not enough. */
    if (h->verdict == VERDICT_PASS && h->client_bytes >= h->max_bytes &&
        (!h->client_greeted || mechanism_client_turn(h)))
        refuse(h, VERDICT_HANDSHAKE_TOO_LARGE);
}

/* ---- input and output ---- */

void handshake_set_app(struct handshake *h, const struct handshake_app *app)
{
    if (h->app_known)
        return;
    h->app = *app;
    h->app_known = true;
    advance(h);
}

uint32_t handshake_client_room(const struct handshake *h)
{
    if (h->verdict != VERDICT_PASS)
        return 0;
    /* Until the greeting is judged there is nothing to wait for; later, only in the client's turn. */
    if (h->client_greeted && !mechanism_client_turn(h))
        return 0;
    return h->max_bytes - h->client_bytes;
}

void handshake_client_input(struct handshake *h, const uint8_t *data, size_t len)
{
    if (h->verdict != VERDICT_PASS || !queue_put(h, &h->from_client, data, len))
        return;
    h->client_bytes += (uint32_t)len;
    advance(h);
}

uint32_t handshake_app_room(const struct handshake *h)
{
    return h->verdict != VERDICT_PASS || h->app_ready ? 0 : HANDSHAKE_APP_MAX;
}

void handshake_app_input(struct handshake *h, const uint8_t *data, size_t len)
{
    if (h->verdict != VERDICT_PASS || !queue_put(h, &h->from_app, data, len))
        return;
    advance(h);
    /* It says more than a command out of turn; behind its handshake it may. */
    if (!h->app_ready && queue_len(&h->from_app) > 2 * HANDSHAKE_APP_MAX)
        refuse(h, VERDICT_APPLICATION_PROTOCOL);
}

void handshake_app_connected(struct handshake *h)
{
    uint8_t greeting[ZMTP_GREETING_BYTES];
    size_t len = ZMTP_GREETING_BYTES;
    /* The application sees the client's own version and role, so that both ends choose the same encodings. */
    if (is_zmtp2(h)) {
        zmtp_greeting_put_v2(greeting, h->client.socket_code);
        len = ZMTP2_GREETING_BYTES;
    } else {
        zmtp_greeting_put(greeting, &h->client);
    }
    /* It goes before whatever the client's commands have queued already. */
    if (!queue_reserve(h, &h->to_app, len))
        return;
    memmove(h->to_app.data + len, h->to_app.data, h->to_app.len);
    memcpy(h->to_app.data, greeting, len);
    h->to_app.len += (uint32_t)len;
    h->app_greeting_left = (uint8_t)len;
    h->app_open = true;
}

struct bytes handshake_to_client(const struct handshake *h)
{
    return queue_bytes(&h->to_client);
}

struct bytes handshake_to_app(const struct handshake *h)
{
    struct bytes all = queue_bytes(&h->to_app);
    if (!h->app_open)
        return (struct bytes){all.at, 0};
    if (h->app_greeted)
        return all;
    /* Only the greeting, until the application's own has been checked. */
    all.len = h->app_greeting_left;
    return all;
}

void handshake_sent_client(struct handshake *h, size_t n)
{
    queue_drop(&h->to_client, n);
}

void handshake_sent_app(struct handshake *h, size_t n)
{
    h->app_greeting_left -= (uint8_t)(n < h->app_greeting_left ? n : h->app_greeting_left);
    queue_drop(&h->to_app, n);
}

bool handshake_done(const struct handshake *h)
{
    return h->verdict == VERDICT_PASS && h->client_ready && h->app_ready && queue_len(&h->to_client) == 0 &&
           queue_len(&h->to_app) == 0;
}

struct bytes handshake_rest_of_client(const struct handshake *h)
{
    return queue_bytes(&h->from_client);
}

struct bytes handshake_rest_of_app(const struct handshake *h)
{
    return queue_bytes(&h->from_app);
}

bool handshake_is_silent(const struct handshake *h)
{
    return h->client_bytes < ZMTP_SIGNATURE_BYTES;
}
