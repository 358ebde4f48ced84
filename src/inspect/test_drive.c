/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/test_drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool what, const char *text)
{
    if (what)
        return;
    fprintf(stderr, "handshake broke its contract: %s\n", text);
    abort();
}

struct output {
    uint8_t *bytes;
    size_t len;
};

struct driver {
    const struct drive *d;
    struct handshake h;
    size_t client_at, app_at; /* fed so far */
    struct output to_client, to_app;
    bool connected;
};

static size_t piece(const struct driver *v, size_t possible)
{
    size_t n = v->d->most && v->d->most < possible ? v->d->most : possible;
    return v->d->random && n ? 1 + property_below(v->d->random, n) : n;
}

/* Copies into memory of just that length, so that AddressSanitizer sees a read of bytes that have not come. */
static uint8_t *copy_of(const uint8_t *at, size_t n)
{
    uint8_t *copy = malloc(n);
    require(copy != NULL, "no memory for the test");
    memcpy(copy, at, n);
    return copy;
}

static bool feed_client(struct driver *v)
{
    size_t left = v->d->client.len - v->client_at, room = handshake_client_room(&v->h);
    require(room <= v->d->max_bytes, "more room than max_bytes");
    if (v->d->in_turn && !v->h.app_known)
        room = room ? 1 : 0;
    size_t n = piece(v, left < room ? left : room);
    if (n == 0)
        return false;
    uint8_t *copy = copy_of(v->d->client.at + v->client_at, n);
    handshake_client_input(&v->h, copy, n);
    free(copy);
    v->client_at += n;
    return true;
}

static bool feed_app(struct driver *v)
{
    size_t left = v->d->app.len - v->app_at, room = handshake_app_room(&v->h);
    require(room <= HANDSHAKE_APP_MAX, "more room than HANDSHAKE_APP_MAX");
    if (v->d->in_turn && !v->h.app_known)
        room = room ? 1 : 0;
    size_t n = piece(v, left < room ? left : room);
    if (!v->connected || n == 0)
        return false;
    uint8_t *copy = copy_of(v->d->app.at + v->app_at, n);
    handshake_app_input(&v->h, copy, n);
    free(copy);
    v->app_at += n;
    return true;
}

static bool take(struct driver *v, struct bytes waits, struct output *out, void (*sent)(struct handshake *, size_t))
{
    size_t n = piece(v, waits.len);
    if (n == 0)
        return false;
    require(out->len + n <= 512u * 1024u, "endless output");
    out->bytes = realloc(out->bytes, out->len + n);
    require(out->bytes != NULL, "no memory for the test");
    memcpy(out->bytes + out->len, waits.at, n);
    out->len += n;
    sent(&v->h, n);
    return true;
}

static bool connect_if_wanted(struct driver *v)
{
    if (v->d->asks && handshake_may_ask(&v->h))
        handshake_ask(&v->h, v->d->facts.socket);
    if (v->connected || !v->h.wants_app || v->h.verdict != VERDICT_PASS)
        return false;
    handshake_app_connected(&v->h);
    v->connected = true;
    return true;
}

/* One thing at a time, the client's bytes first: the order must not depend on the size of the pieces. */
static bool one_step(struct driver *v)
{
    if (v->h.verdict != VERDICT_PASS || handshake_done(&v->h))
        return false;
    return take(v, handshake_to_client(&v->h), &v->to_client, handshake_sent_client) ||
           take(v, handshake_to_app(&v->h), &v->to_app, handshake_sent_app) || feed_client(v) || connect_if_wanted(v) ||
           feed_app(v);
}

/* The bytes that the machine took and did not use, and those that it never took, in one run of the stream. */
static struct bytes rest_of(struct bytes stream, size_t fed, struct bytes kept)
{
    require(kept.len <= fed, "more kept than fed");
    struct bytes rest = {stream.at + fed - kept.len, stream.len - fed + kept.len};
    require(kept.len == 0 || memcmp(rest.at, kept.at, kept.len) == 0, "other bytes kept than fed");
    return rest;
}

struct drive_result drive(const struct drive *d)
{
    struct account account;
    struct bufpool pool;
    struct driver v = {.d = d};
    struct drive_result r = {0};
    account_init(&account, 64u << 20);
    bufpool_init(&pool, &account);
    pool.fail_after = d->fail_after;
    r.started = handshake_init(&v.h, &pool, d->max_bytes, d->allow_zmtp2, "192.0.2.7:4711", d->class_name);
    if (r.started) {
        if (!d->asks)
            handshake_set_app(&v.h, &d->facts);
        while (one_step(&v))
            ;
        while (take(&v, handshake_to_client(&v.h), &v.to_client, handshake_sent_client))
            ;
    }
    r.done = r.started && handshake_done(&v.h);
    if (r.done) {
        r.client_rest = rest_of(d->client, v.client_at, handshake_rest_of_client(&v.h));
        r.app_rest = rest_of(d->app, v.app_at, handshake_rest_of_app(&v.h));
    }
    r.wanted_app = v.h.wants_app;
    r.verdict = v.h.verdict;
    r.client_socket = v.h.client_socket;
    r.to_client = (struct bytes){v.to_client.bytes, v.to_client.len};
    r.to_app = (struct bytes){v.to_app.bytes, v.to_app.len};
    handshake_fini(&v.h);
    bufpool_fini(&pool);
    require(account_held(&account) == 0, "bytes left in the account");
    return r;
}

void drive_free(struct drive_result *r)
{
    free((void *)(uintptr_t)r->to_client.at);
    free((void *)(uintptr_t)r->to_app.at);
    *r = (struct drive_result){0};
}

struct handshake_app drive_facts(struct bytes app)
{
    struct zmtp_greeting g;
    size_t used;
    if (zmtp_greeting_parse(app.at, app.len, &g, &used) != GREETING_DONE || g.major != 3)
        return (struct handshake_app){.mechanism = MECHANISM_NULL, .minor = 1};
    return (struct handshake_app){.mechanism = g.mechanism, .minor = g.minor, .as_server = g.as_server};
}
