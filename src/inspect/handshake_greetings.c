/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake_greetings.h"

#include "inspect/proxy_protocol.h"

bool handshake_types_fit(const struct handshake *h)
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

void handshake_greetings_accept_zmtp2(struct handshake *h, bool old)
{
    h->client_socket = socket_type_from_zmtp2(h->client.socket_code);
    if (old && !h->allow_zmtp2)
        handshake_refuse(h, VERDICT_OLD_VERSION);
    else if (h->app_known && h->app.mechanism != MECHANISM_NULL)
        handshake_refuse(h, VERDICT_WRONG_MECHANISM);
    else if (h->client_socket == SOCKET_AUTO || !handshake_types_fit(h))
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
    else
        h->wants_app = h->asks || h->app_known;
}

static void tell_version(struct handshake *h)
{
    uint8_t version = h->app.major == 2 ? 1 : 3;
    if (h->app_known && !h->told_version)
        h->told_version = handshake_bytes_put(h, &h->to_client, &version, 1);
}

/* Sends the rest of the greeting, once the client has sent its own. An older peer would take it for frames. libzmq,
 * told of another mechanism than its own, closes before it has said which; it says all as soon as it is told the
 * version. */
static void answer_greeting(struct handshake *h)
{
    struct bytes in = handshake_bytes_all(&h->from_client);
    tell_version(h);
    if (h->answered || !h->client_greeted || !h->app_known || h->app.major == 2 || !zmtp_greeting_is_v3(in.at, in.len))
        return;
    struct zmtp_greeting g = {
        .major = 3, .minor = h->app.minor, .mechanism = h->app.mechanism, .as_server = h->app.as_server};
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &g);
    h->answered = handshake_bytes_put(h, &h->to_client, bytes + HANDSHAKE_VERSION_BYTES,
                                      ZMTP_GREETING_BYTES - HANDSHAKE_VERSION_BYTES);
}

size_t handshake_greetings_put_client(const struct handshake *h, uint8_t dst[static ZMTP_GREETING_BYTES])
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
    size_t len = handshake_greetings_put_client(h, greeting);
    if (!h->owes_greeting ||
        !handshake_bytes_put(h, &h->to_app, greeting + HANDSHAKE_VERSION_BYTES, len - HANDSHAKE_VERSION_BYTES))
        return;
    h->app_greeting_left += (uint8_t)(len - HANDSHAKE_VERSION_BYTES);
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

bool handshake_greetings_take_client(struct handshake *h)
{
    struct bytes in = handshake_bytes_all(&h->from_client);
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
    handshake_bytes_drop(&h->from_client, used);
    if (handshake_is_zmtp2(h))
        handshake_greetings_accept_zmtp2(h, old);
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
    struct bytes in = handshake_bytes_all(&h->from_app);
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
    else if (!handshake_types_fit(h))
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
    tell_version(h);
    h->app_greeted = h->verdict == VERDICT_PASS && handshake_bytes_put(h, &h->to_client, in.at + 11, 1);
    handshake_bytes_drop(&h->from_app, ZMTP2_GREETING_BYTES);
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

bool handshake_greetings_take_app(struct handshake *h)
{
    struct bytes in = handshake_bytes_all(&h->from_app);
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
    handshake_bytes_drop(&h->from_app, used);
    note_app_greeting(h, &g);
    return h->verdict == VERDICT_PASS;
}
