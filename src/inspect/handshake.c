/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake.h"

#include "inspect/mechanism.h"
#include "inspect/proxy_protocol.h"
#include "zmtp/command.h"
#include "zmtp/decoder.h"
#include "zmtp/metadata.h"

#include <stdio.h>
#include <string.h>

/* Room for Weir's own properties and a frame header, beyond what the client sent. */
#define REWRITE_ROOM 512u

/* The bytes of a greeting up to its version. */
#define VERSION_BYTES (ZMTP_SIGNATURE_BYTES + 1)

static void handshake_refuse(struct handshake *h, enum verdict v)
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
        handshake_refuse(h, VERDICT_NO_MEMORY);
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
    return queue_put(h, &h->to_client, greeting, ZMTP_SIGNATURE_BYTES);
}

void handshake_fini(struct handshake *h)
{
    queue_free(h, &h->from_client);
    queue_free(h, &h->from_app);
    queue_free(h, &h->to_client);
    queue_free(h, &h->to_app);
}

/* ---- greetings ---- */

/* Whether the client's type fits the one that is believed of the application, and the one that it has said itself. */
static bool types_fit(const struct handshake *h)
{
    return socket_types_fit(h->client_socket, h->app.socket) && socket_types_fit(h->client_socket, h->app_socket);
}

/*
 * Settles who initiates PLAIN or CURVE. That is independent of who connects. libzmq leaves as-server 0 in every
 * greeting, a server's too, so that 0 says nothing. If the application was not seen yet, it is connected now, and the
 * side that says HELLO first is the initiator.
 */
static void settle_roles(struct handshake *h)
{
    if (h->app.mechanism == MECHANISM_NULL)
        return;
    bool app_serves = h->app.as_server || h->app.initiator == INITIATOR_CLIENT;
    if (h->client.as_server && app_serves) {
        handshake_refuse(h, VERDICT_WRONG_ROLE);
        return;
    }
    h->initiator = h->client.as_server ? INITIATOR_APP : app_serves ? INITIATOR_CLIENT : h->app.initiator;
    h->wants_app = h->asks || h->initiator != INITIATOR_CLIENT;
}

/* RFC 37: "If the mechanism that the peer received does not exactly match the mechanism it sent, it MUST close the
 * connection." */
static void check_client_greeting(struct handshake *h)
{
    if (h->client.mechanism == MECHANISM_OTHER || h->client.mechanism != h->app.mechanism)
        handshake_refuse(h, VERDICT_WRONG_MECHANISM);
    else
        settle_roles(h);
}

/* `old`: it is the client that speaks no more than 2.0. Such a client has to be told nothing, so that its greeting may
 * be whole before the application is known. */
static void accept_zmtp2(struct handshake *h, bool old)
{
    h->client_socket = socket_type_from_zmtp2(h->client.socket_code);
    if (old && !h->allow_zmtp2)
        handshake_refuse(h, VERDICT_OLD_VERSION);
    else if (h->app_known && h->app.mechanism != MECHANISM_NULL)
        handshake_refuse(h, VERDICT_WRONG_MECHANISM);
    else if (h->client_socket == SOCKET_AUTO || !types_fit(h))
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
    else
        h->wants_app = h->asks || h->app_known;
}

static void tell_version(struct handshake *h)
{
    uint8_t version = h->app.major == 2 ? 1 : 3;
    if (h->app_known && !h->told_version)
        h->told_version = queue_put(h, &h->to_client, &version, 1);
}

/* Sends the rest of the greeting, once the client has sent its own. An older peer would take it for frames. libzmq,
 * told of another mechanism than its own, closes before it has said which; it says all as soon as it is told the
 * version. */
static void answer_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    tell_version(h);
    if (h->answered || !h->client_greeted || !h->app_known || h->app.major == 2 || !zmtp_greeting_is_v3(in.at, in.len))
        return;
    struct zmtp_greeting g = {
        .major = 3, .minor = h->app.minor, .mechanism = h->app.mechanism, .as_server = h->app.as_server};
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &g);
    h->answered = queue_put(h, &h->to_client, bytes + VERSION_BYTES, ZMTP_GREETING_BYTES - VERSION_BYTES);
}

/* Writes the client's greeting for the application, with the client's own version and role, so that both ends choose
 * the same encodings. Returns its length. */
static size_t put_client_greeting(const struct handshake *h, uint8_t dst[static ZMTP_GREETING_BYTES])
{
    if (!handshake_is_zmtp2(h)) {
        zmtp_greeting_put(dst, &h->client);
        return ZMTP_GREETING_BYTES;
    }
    zmtp_greeting_put_v2(dst, h->client.socket_code);
    return ZMTP2_GREETING_BYTES;
}

/* Queues the part of the client's greeting that the application was not sent when it was asked. */
static void pass_greeting_on(struct handshake *h)
{
    uint8_t greeting[ZMTP_GREETING_BYTES];
    size_t len = put_client_greeting(h, greeting);
    if (!h->owes_greeting || !queue_put(h, &h->to_app, greeting + VERSION_BYTES, len - VERSION_BYTES))
        return;
    h->app_greeting_left += (uint8_t)(len - VERSION_BYTES);
    h->owes_greeting = false;
}

static enum greeting_result parse_client_greeting(struct handshake *h, struct bytes in, size_t *ret_used)
{
    return h->app_known && h->app.major == 2 ? zmtp_greeting_parse_as_v2(in.at, in.len, &h->client, ret_used)
                                             : zmtp_greeting_parse(in.at, in.len, &h->client, ret_used);
}

/* A load balancer that the gate was not told of is a mistake of the operator's. Its first octets tell it, and one has
 * to wait for them. */
static void refuse_greeting(struct handshake *h, struct bytes in)
{
    enum proxy_protocol_result r = proxy_protocol_begins(in);
    if (r != PROXY_PROTOCOL_NEED)
        handshake_refuse(h, r == PROXY_PROTOCOL_DONE ? VERDICT_UNEXPECTED_PROXY_HEADER : VERDICT_BAD_GREETING);
}

/* True when the client's greeting is complete and judged. */
static bool take_client_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    size_t used = 0;
    if (h->client_greeted)
        return h->app_known;
    answer_greeting(h);
    enum greeting_result r = parse_client_greeting(h, in, &used);
    if (r == GREETING_BAD)
        refuse_greeting(h, in);
    if (r == GREETING_OLD) {
        h->client.major = 1;
        handshake_refuse(h, VERDICT_OLD_VERSION);
    }
    if (r != GREETING_DONE || (!h->app_known && h->client.major != 2))
        return false;
    bool old = !zmtp_greeting_is_v3(in.at, in.len);
    h->client_greeted = true;
    answer_greeting(h);
    queue_drop(&h->from_client, used);
    if (handshake_is_zmtp2(h))
        accept_zmtp2(h, old);
    else
        check_client_greeting(h);
    if (h->verdict == VERDICT_PASS)
        pass_greeting_on(h);
    return h->verdict == VERDICT_PASS && h->app_known;
}

/* An application that meets a 2.0 peer, or is one, answers with the signature, its own major version, and RFC 15's
 * socket-type byte. */
static bool take_app_greeting_v2(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_app);
    if (in.len < ZMTP2_GREETING_BYTES)
        return false;
    if (in.at[0] != 0xff || in.at[9] != 0x7f || in.at[10] == 0) {
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
        return false;
    }
    uint8_t major = in.at[10] < 3 ? 2 : 3;
    if (!h->app_known)
        h->app = (struct handshake_app){.mechanism = MECHANISM_NULL, .major = major, .socket = h->app.socket};
    h->app_known = true;
    h->app_socket = socket_type_from_zmtp2(in.at[11]);
    if (h->app.major == 2 && major != 2)
        handshake_refuse(h, VERDICT_APPLICATION_CHANGED);
    else if (!types_fit(h))
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
    tell_version(h);
    h->app_greeted = h->verdict == VERDICT_PASS && queue_put(h, &h->to_client, in.at + 11, 1);
    queue_drop(&h->from_app, ZMTP2_GREETING_BYTES);
    return h->app_greeted;
}

/* The client is told what the application says. If the client was told something else before, only a new connection
 * helps. */
static void note_app_greeting(struct handshake *h, const struct zmtp_greeting *g)
{
    if (!h->app_known)
        h->app = (struct handshake_app){.mechanism = g->mechanism,
                                        .major = 3,
                                        .minor = g->minor,
                                        .as_server = g->as_server,
                                        .socket = h->app.socket};
    else if (g->major != 3 || g->minor != h->app.minor || g->mechanism != h->app.mechanism ||
             g->as_server != h->app.as_server)
        handshake_refuse(h, VERDICT_APPLICATION_CHANGED);
    h->app_known = true;
    h->app_greeted = true;
    answer_greeting(h);
}

static bool app_is_zmtp2(const struct handshake *h, struct bytes in)
{
    return handshake_is_zmtp2(h) || (!h->app_known && in.len > ZMTP_SIGNATURE_BYTES && in.at[10] != 0 && in.at[10] < 3);
}

static bool take_app_greeting(struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_app);
    struct zmtp_greeting g;
    size_t used = 0;
    if (h->app_greeted)
        return true;
    if (app_is_zmtp2(h, in))
        return take_app_greeting_v2(h);
    enum greeting_result r = zmtp_greeting_parse(in.at, in.len, &g, &used);
    if (r == GREETING_BAD || r == GREETING_OLD)
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
    if (r != GREETING_DONE)
        return false;
    queue_drop(&h->from_app, used);
    note_app_greeting(h, &g);
    return h->verdict == VERDICT_PASS;
}

/* ---- frames of the handshake ---- */

enum frame_result { FRAME_NEED, FRAME_WHOLE, FRAME_WRONG };

/* Takes one frame at the front of `q`: its body and whole length. Returns FRAME_WRONG, with the verdict, as early as
 * the bytes allow. */
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
        handshake_refuse(h, VERDICT_BAD_ROUTING_ID);
    else if (zmtp_routing_id_is_generated(id))
        handshake_refuse(h, VERDICT_RESERVED_ROUTING_ID);
    return h->verdict == VERDICT_PASS;
}

static bool check_metadata(struct handshake *h, struct bytes metadata)
{
    struct zmtp_metadata m;
    if (!zmtp_metadata_parse(metadata, &m)) {
        handshake_refuse(h, VERDICT_BAD_METADATA);
        return false;
    }
    h->client_socket = socket_type_parse(m.socket_type);
    if (h->client_socket == SOCKET_AUTO || !types_fit(h)) {
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
        return false;
    }
    h->named = check_routing_id(h, m.routing_id);
    return h->named;
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
    /* The header's length depends on the body's. So the body is made behind the place of a long header, then moved. */
    uint8_t *at = h->to_app.data + h->to_app.len, *new_body = at + ZMTP_HEADER_MAX;
    memcpy(new_body, body.at, name_len);
    size_t len = put_metadata(h, new_body + name_len, most - name_len, metadata);
    if (len == 0) {
        handshake_refuse(h, VERDICT_NO_MEMORY);
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
        handshake_refuse(h, m.verdict);
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
    h->named = check_routing_id(h, body);
    if (!h->named)
        return false;
    h->client_ready = true;
    return queue_put(h, &h->to_app, frame.at, frame.len);
}

/* Takes one command of the client, if it is its turn and the bytes are there. Returns true when something was taken. */
static bool client_step(struct handshake *h)
{
    struct bytes body, frame = queue_bytes(&h->from_client);
    enum verdict why = VERDICT_PASS;
    if (!take_client_greeting(h) || !mechanism_client_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_client, handshake_is_zmtp2(h), h->max_bytes, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        handshake_refuse(h, why);
    if (r != FRAME_WHOLE || mechanism_is_early(h, body))
        return false;
    frame.at = h->from_client.data + h->from_client.start;
    bool taken = handshake_is_zmtp2(h) ? take_client_identity(h, frame, body) : take_client_command(h, frame, body);
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
        handshake_refuse(h, m.verdict);
    /* An ERROR goes on to the client, with its reason, before the connection ends. */
    return m.verdict == VERDICT_PASS || m.verdict == VERDICT_APPLICATION_REFUSED;
}

static bool app_step(struct handshake *h)
{
    struct bytes body, frame = {0};
    enum verdict why = VERDICT_PASS;
    bool greeted = h->app_greeted;
    if (!h->app_open || !take_app_greeting(h))
        return false;
    /* The client's greeting may wait for the application's. */
    if (!greeted)
        return true;
    if (!h->client_greeted || !mechanism_app_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_app, handshake_is_zmtp2(h), HANDSHAKE_APP_MAX, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
    if (r != FRAME_WHOLE || mechanism_is_early(h, body))
        return false;
    frame.at = h->from_app.data + h->from_app.start;
    if (handshake_is_zmtp2(h))
        h->app_ready = true;
    else if (!take_app_command(h, body))
        return false;
    bool queued = queue_put(h, &h->to_client, frame.at, frame.len);
    queue_drop(&h->from_app, frame.len);
    return queued;
}

static void handshake_advance(struct handshake *h)
{
    bool moved = true;
    while (moved && h->verdict == VERDICT_PASS) {
        moved = client_step(h);
        if (h->verdict == VERDICT_PASS)
            moved = app_step(h) || moved;
    }
    /* The client may send no more, and what it has sent is not enough. */
    if (h->verdict == VERDICT_PASS && h->client_bytes >= h->max_bytes &&
        (!h->client_greeted || mechanism_client_turn(h)))
        handshake_refuse(h, VERDICT_HANDSHAKE_TOO_LARGE);
}

/* ---- input and output ---- */

void handshake_set_app(struct handshake *h, const struct handshake_app *app)
{
    if (h->app_known || h->asks)
        return;
    h->app = *app;
    h->app_known = true;
    if (h->client_greeted)
        accept_zmtp2(h, true);
    handshake_advance(h);
}

bool handshake_may_ask(const struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    return h->verdict == VERDICT_PASS && !h->app_known && !h->asks &&
           (h->client_greeted || zmtp_greeting_is_v3(in.at, in.len));
}

void handshake_ask(struct handshake *h, enum socket_type socket)
{
    h->app.socket = socket;
    h->asks = h->wants_app = true;
}

void handshake_ask_no_more(struct handshake *h)
{
    h->asks = h->wants_app = false;
}

bool handshake_trusts_initiator(const struct handshake *h)
{
    return h->verdict == VERDICT_PASS && h->client_greeted && !h->wants_app && h->initiator == INITIATOR_CLIENT &&
           !h->app.as_server;
}

void handshake_doubt_initiator(struct handshake *h)
{
    h->initiator = INITIATOR_UNKNOWN;
    h->wants_app = true;
}

/* In NULL both sides say READY unasked. */
bool handshake_holds_ready(const struct handshake *h)
{
    return h->client_ready && !h->app_ready && !h->goes_on && h->app.mechanism == MECHANISM_NULL &&
           h->app.socket == SOCKET_AUTO && !handshake_is_zmtp2(h);
}

void handshake_hold_no_more(struct handshake *h)
{
    h->goes_on = true;
}

bool handshake_is_clients_turn(const struct handshake *h)
{
    struct bytes in = queue_bytes(&h->from_client);
    if (h->verdict != VERDICT_PASS)
        return false;
    if (!h->client_greeted)
        return h->app_known || !zmtp_greeting_is_v3(in.at, in.len);
    return h->app_known && !(h->wants_app && !h->app_greeted) && mechanism_client_turn(h);
}

uint32_t handshake_client_room(const struct handshake *h)
{
    if (h->verdict != VERDICT_PASS)
        return 0;
    /* The rest of the client's greeting depends on what the application is, and everything else on that. */
    if (!h->app_known)
        return h->client_greeted ? 0 : ZMTP_GREETING_BYTES - queue_len(&h->from_client);
    /* Until the greeting is judged there is nothing to wait for; later, the client may send only in its turn. */
    if (h->client_greeted && !mechanism_client_turn(h))
        return 0;
    return h->max_bytes - h->client_bytes;
}

void handshake_client_input(struct handshake *h, const uint8_t *data, size_t len)
{
    if (h->verdict != VERDICT_PASS || !queue_put(h, &h->from_client, data, len))
        return;
    h->client_bytes += (uint32_t)len;
    handshake_advance(h);
}

uint32_t handshake_app_room(const struct handshake *h)
{
    return h->verdict != VERDICT_PASS || h->app_ready ? 0 : HANDSHAKE_APP_MAX;
}

void handshake_app_input(struct handshake *h, const uint8_t *data, size_t len)
{
    if (h->verdict != VERDICT_PASS || !queue_put(h, &h->from_app, data, len))
        return;
    handshake_advance(h);
    /* The application says more than a command out of turn. Behind its handshake it may. */
    if (!h->app_ready && queue_len(&h->from_app) > 2 * HANDSHAKE_APP_MAX)
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
}

void handshake_app_connected(struct handshake *h)
{
    uint8_t greeting[ZMTP_GREETING_BYTES] = {0};
    size_t len = VERSION_BYTES;
    if (h->client_greeted)
        len = put_client_greeting(h, greeting);
    else
        zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3});
    /* The greeting goes before everything that the client's commands have queued already. */
    if (!queue_reserve(h, &h->to_app, len))
        return;
    memmove(h->to_app.data + len, h->to_app.data, h->to_app.len);
    memcpy(h->to_app.data, greeting, len);
    h->to_app.len += (uint32_t)len;
    h->app_greeting_left = (uint8_t)len;
    h->owes_greeting = !h->client_greeted;
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
    if (h->app_greeted && !handshake_holds_ready(h))
        return all;
    /* Only the greeting, until the application's own, and its type, have been checked. */
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

bool handshake_is_silent(const struct handshake *h)
{
    return h->client_bytes < ZMTP_SIGNATURE_BYTES;
}

unsigned handshake_client_steps(const struct handshake *h)
{
    return (unsigned)!handshake_is_silent(h) + h->client_greeted;
}

struct bytes handshake_rest_of_client(const struct handshake *h)
{
    return queue_bytes(&h->from_client);
}

struct bytes handshake_rest_of_app(const struct handshake *h)
{
    return queue_bytes(&h->from_app);
}
