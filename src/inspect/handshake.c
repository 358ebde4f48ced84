/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake.h"

#include "inspect/handshake_commands.h"
#include "inspect/handshake_greetings.h"
#include "inspect/mechanism.h"

#include <stdio.h>
#include <string.h>

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
    return handshake_bytes_put(h, &h->to_client, greeting, ZMTP_SIGNATURE_BYTES);
}

void handshake_fini(struct handshake *h)
{
    handshake_bytes_free(h, &h->from_client);
    handshake_bytes_free(h, &h->from_app);
    handshake_bytes_free(h, &h->to_client);
    handshake_bytes_free(h, &h->to_app);
}

static void handshake_advance(struct handshake *h)
{
    bool moved = true;
    while (moved && h->verdict == VERDICT_PASS) {
        moved = handshake_commands_client_step(h);
        if (h->verdict == VERDICT_PASS)
            moved = handshake_commands_app_step(h) || moved;
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
        handshake_greetings_accept_zmtp2(h, true);
    handshake_advance(h);
}

bool handshake_may_ask(const struct handshake *h)
{
    struct bytes in = handshake_bytes_all(&h->from_client);
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
    struct bytes in = handshake_bytes_all(&h->from_client);
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
        return h->client_greeted ? 0 : ZMTP_GREETING_BYTES - handshake_bytes_len(&h->from_client);
    /* Until the greeting is judged there is nothing to wait for; later, the client may send only in its turn. */
    if (h->client_greeted && !mechanism_client_turn(h))
        return 0;
    return h->max_bytes - h->client_bytes;
}

void handshake_client_input(struct handshake *h, const uint8_t *data, size_t len)
{
    if (h->verdict != VERDICT_PASS || !handshake_bytes_put(h, &h->from_client, data, len))
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
    if (h->verdict != VERDICT_PASS || !handshake_bytes_put(h, &h->from_app, data, len))
        return;
    handshake_advance(h);
    /* The application says more than a command out of turn. Behind its handshake it may. */
    if (!h->app_ready && handshake_bytes_len(&h->from_app) > 2 * HANDSHAKE_APP_MAX)
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
}

void handshake_app_connected(struct handshake *h)
{
    uint8_t greeting[ZMTP_GREETING_BYTES] = {0};
    size_t len = HANDSHAKE_VERSION_BYTES;
    if (h->client_greeted)
        len = handshake_greetings_put_client(h, greeting);
    else
        zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3});
    /* The greeting goes before everything that the client's commands have queued already. */
    if (!handshake_bytes_reserve(h, &h->to_app, len))
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
    return handshake_bytes_all(&h->to_client);
}

struct bytes handshake_to_app(const struct handshake *h)
{
    struct bytes all = handshake_bytes_all(&h->to_app);
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
    handshake_bytes_drop(&h->to_client, n);
}

void handshake_sent_app(struct handshake *h, size_t n)
{
    h->app_greeting_left -= (uint8_t)(n < h->app_greeting_left ? n : h->app_greeting_left);
    handshake_bytes_drop(&h->to_app, n);
}

bool handshake_done(const struct handshake *h)
{
    return h->verdict == VERDICT_PASS && h->client_ready && h->app_ready && handshake_bytes_len(&h->to_client) == 0 &&
           handshake_bytes_len(&h->to_app) == 0;
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
    return handshake_bytes_all(&h->from_client);
}

struct bytes handshake_rest_of_app(const struct handshake *h)
{
    return handshake_bytes_all(&h->from_app);
}
