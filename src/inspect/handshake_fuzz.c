/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libFuzzer harness of the handshake: it ends the same in whatever pieces the bytes of both sides come. Seeds:
 * tests/seeds/handshake.
 *
 * Input: one byte of choices, two bytes with the length of the client's bytes (big-endian), those, and the rest from
 * the application.
 */
#include "inspect/test_drive.h"

#include <stdlib.h>
#include <string.h>

#define CHOICE_ZMTP2     0x04u
#define CHOICE_AS_SERVER 0x08u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        abort();
}

static bool same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* The bytes that a refusal keeps from the application depend on what came together. */
static bool begins_alike(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    return n == 0 || memcmp(a.at, b.at, n) == 0;
}

static void compare(const struct drive_result *a, const struct drive_result *b)
{
    require(a->done == b->done && a->verdict == b->verdict && a->wanted_app == b->wanted_app &&
            a->client_socket == b->client_socket);
    require(same(a->to_client, b->to_client));
    require(a->done ? same(a->to_app, b->to_app) : begins_alike(a->to_app, b->to_app));
    require(a->client_rest.at == b->client_rest.at && a->app_rest.at == b->app_rest.at);
}

static void check(const struct drive_result *r)
{
    require(r->started && (!r->done || (r->verdict == VERDICT_PASS && r->wanted_app)));
    require(r->wanted_app || r->to_app.len == 0);
    require(r->verdict != VERDICT_NO_MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t len = (size_t)data[1] << 8 | data[2];
    len = len < size - 3 ? len : size - 3;
    struct property_rng random = {size * 251 + data[size - 1]};
    struct drive d = {
        .client = {data + 3, len},
        .app = {data + 3 + len, size - 3 - len},
        .facts = {.mechanism = data[0] & 3,
                  .minor = 1,
                  .as_server = data[0] & CHOICE_AS_SERVER,
                  .socket = (data[0] >> 4) % (SOCKET_PAIR + 1)},
        .allow_zmtp2 = data[0] & CHOICE_ZMTP2,
        .asks = (data[0] & 3) == MECHANISM_OTHER,
        .in_turn = true,
        .max_bytes = 4096,
    };
    struct drive_result whole = drive(&d);
    check(&whole);
    for (d.most = 1; d.most <= 256; d.most *= 4) {
        d.random = d.most == 1 ? NULL : &random;
        struct drive_result pieces = drive(&d);
        compare(&whole, &pieces);
        drive_free(&pieces);
    }
    drive_free(&whole);
    return 0;
}
