/* SPDX-License-Identifier: MPL-2.0 */
/* Whole lives of sessions, with each of their allocations refused once, and with every memory limit that matters. */
#include "relay/handshaking.h"
#include "relay/testing/fixture.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define KIB 1024u

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER true
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER false
#endif

/* One client of each kind makes the relay allocate: a routing id, held messages, a receiver that takes nothing,
 * topics. */
struct life {
    struct fixture fixture;
    struct end client, app;
    bool subscriber;
};

static void accept_app(struct life *l)
{
    struct end e;
    while (end_accept(&e, &l->fixture)) {
        end_greet(&e, l->subscriber ? "PUB" : "ROUTER", NULL);
        end_write(&e, SIZE_MAX);
        fixture_rounds(&l->fixture, 4);
        for (unsigned n = 0; n < 3; n++)
            end_read(&e, SIZE_MAX);
        if (e.over || l->app.fd >= 0)
            end_close(&e);
        else
            l->app = e;
    }
}

static void say_all(struct life *l)
{
    static const uint8_t topics[][4] = {"a", "bb", "cc", "ddd", "e", "f", "g", "h", "i"};
    if (l->subscriber) {
        for (unsigned i = 0; i < ARRAY_LEN(topics); i++)
            stream_command(&l->client.out, "SUBSCRIBE", topics[i], 1 + i % 3);
        return;
    }
    stream_frame(&l->client.out, ZMTP_FLAG_MORE, 'h', 3 * KIB);
    stream_frame(&l->client.out, 0, 'h', 40 * KIB);
    stream_frame(&l->client.out, ZMTP_FLAG_MORE, 's', 200 * KIB);
    stream_frame(&l->client.out, 0, 's', 100);
}

/* Neither end reads anything at first. */
static void live(struct life *l)
{
    memset(&l->app, 0, sizeof(l->app));
    l->app.fd = -1;
    end_connect(&l->client, &l->fixture, 0);
    end_greet(&l->client, l->subscriber ? "SUB" : "DEALER", l->subscriber ? NULL : "someone");
    say_all(l);
    for (unsigned i = 0; i < 60; i++) {
        end_write(&l->client, 7 * KIB);
        fixture_sleep(&l->fixture, NS_PER_MS);
        accept_app(l);
        if (i > 20)
            end_read(&l->client, SIZE_MAX);
        if (l->app.fd >= 0 && i > 20)
            end_read(&l->app, SIZE_MAX);
        if (l->app.fd >= 0 && i == 10)
            for (unsigned n = 0; n < 4; n++)
                stream_frame(&l->app.out, 0, 'r', 120 * KIB);
        end_write(&l->app, SIZE_MAX);
    }
}

static bool is_whole(struct life *l)
{
    end_read(&l->app, SIZE_MAX);
    if (!end_is_greeted(&l->app))
        return false;
    return l->subscriber ? fixture_cell(&l->fixture, CELL_SUBSCRIPTIONS) == 9
                         : end_traffic(&l->app, NULL).len >= 243 * KIB;
}

static void die(struct life *l)
{
    end_close(&l->client);
    fixture_rounds(&l->fixture, 4);
    end_close(&l->app);
    fixture_rounds(&l->fixture, 4);
}

/* Either the refusal had no effect, or it was reported. */
static void check(struct life *l)
{
    bool whole = is_whole(l);
    uint64_t refused = fixture_verdict(&l->fixture, VERDICT_NO_MEMORY);
    die(l);
    if (!whole)
        assert_true(refused > 0);
    fixture_fini(&l->fixture);
}

static uint64_t allocations_of(bool subscriber)
{
    struct life l = {.subscriber = subscriber};
    fixture_init(&l.fixture, NULL);
    fixture_start(&l.fixture);
    fixture_fail_allocation(0);
    live(&l);
    assert_true(is_whole(&l));
    assert_int_equal(fixture_verdict(&l.fixture, VERDICT_NO_MEMORY), 0);
    die(&l);
    uint64_t n = fixture_fail_allocation(0);
    fixture_fini(&l.fixture);
    return n;
}

static void each_allocation_may_fail(void **state)
{
    for (int subscriber = 0; subscriber < 2; subscriber++) {
        uint64_t count = allocations_of(subscriber);
        assert_true(count >= 6);
        for (uint64_t n = 1; n <= count; n++) {
            struct life l = {.subscriber = subscriber};
            fixture_init(&l.fixture, NULL);
            fixture_start(&l.fixture);
            fixture_fail_allocation(n);
            live(&l);
            fixture_fail_allocation(0);
            check(&l);
        }
    }
}

static void each_buffer_may_be_refused(void **state)
{
    for (int subscriber = 0; subscriber < 2; subscriber++) {
        bool refused = true;
        for (size_t n = 1; refused; n++) {
            struct life l = {.subscriber = subscriber};
            fixture_init(&l.fixture, NULL);
            fixture_start(&l.fixture);
            l.fixture.worker.loop.pool.fail_after = n;
            live(&l);
            refused = l.fixture.worker.loop.pool.fail_after == 0;
            check(&l);
            assert_true(n < 1000);
        }
    }
}

static uint64_t refused_for_memory(const struct fixture *s)
{
    return fixture_verdict(s, VERDICT_NO_MEMORY) + fixture_verdict(s, VERDICT_MEMORY_PRESSURE) +
           fixture_verdict(s, VERDICT_MEMORY_GIVE_WAY);
}

/* From too little for a session up to plenty: the limit is never exceeded. A connection or message that does not fit is
 * refused with its verdict, or waits. */
static void every_limit_is_kept(void **state)
{
    unsigned went_well = 0;
    for (uint64_t limit = 0; limit < 1024 * KIB; limit += limit < 16 * KIB ? 64 : 7 * KIB) {
        struct life l = {.subscriber = limit % 128 == 0};
        fixture_init(&l.fixture, NULL);
        l.fixture.config->memory_bytes = limit;
        fixture_start(&l.fixture);
        live(&l);
        bool whole = is_whole(&l), waits = fixture_cell(&l.fixture, CELL_OPEN) > 0;
        went_well += whole;
        assert_true(whole || waits || refused_for_memory(&l.fixture) > 0);
        die(&l);
        fixture_fini(&l.fixture);
    }
    assert_true(went_well > 0);
}

#define IDLE 100u

static void come_from(struct fixture *s, struct end *client, struct end *app, uint32_t from)
{
    end_connect(client, s, from);
    end_greet(client, "DEALER", NULL);
    end_write(client, SIZE_MAX);
    for (unsigned i = 0; i < 200 && !end_is_greeted(client); i++) {
        struct end e;
        fixture_sleep(s, NS_PER_MS);
        while (end_accept(&e, s)) {
            end_greet(&e, "ROUTER", NULL);
            end_write(&e, SIZE_MAX);
            stream_free(&e.out);
            *app = e;
        }
        end_read(client, SIZE_MAX);
    }
    assert_true(end_is_greeted(client));
    stream_free(&client->out);
    stream_free(&client->in);
}

static void say_one(struct fixture *s, struct end *client)
{
    stream_put(&client->out, (const uint8_t[]){0x00, 1, 'x'}, 3);
    client->sent = 0;
    end_write(client, SIZE_MAX);
    fixture_rounds(s, 2);
    stream_free(&client->out);
}

/* Each from a source of its own, including the allocator's share, in addition to the 64 bytes in the source table and
 * the 128 bytes of its claims. `sends`: each has passed a message. */
static void idle_connections(bool sends, size_t most)
{
    struct fixture s;
    struct end clients[IDLE + 1], apps[IDLE + 1];
    if (UNDER_SANITIZER)
        skip();
    fixture_init(&s, "tcp://127.0.0.1:*");
    fixture_start(&s);
    come_from(&s, &clients[IDLE], &apps[IDLE], 0x7f000001u);
    size_t before = mallinfo2().uordblks;
    uint64_t held = account_held(&s.account);
    for (unsigned i = 0; i < IDLE; i++) {
        come_from(&s, &clients[i], &apps[i], 0x7f000002u + i);
        if (sends)
            say_one(&s, &clients[i]);
    }
    fixture_rounds(&s, 4);
    assert_int_equal(fixture_cell(&s, CELL_MESSAGES_IN), sends ? IDLE : 0);
    size_t each = (mallinfo2().uordblks - before) / IDLE, charged = (account_held(&s.account) - held) / IDLE;
    print_message("an idle connection costs %zu bytes, and is charged %zu\n", each, charged);
    assert_true(each > 0 && each <= most);
    assert_true(charged <= each + sizeof(struct laggard) + (sends ? 0 : REQUEST_FLOW_BYTES) && charged >= each / 2);
    for (unsigned i = 0; i <= IDLE; i++)
        end_close(&clients[i]), end_close(&apps[i]);
    fixture_rounds(&s, 50);
    fixture_fini(&s);
}

static void an_idle_connection_costs_less_than_a_kibibyte(void **state)
{
    idle_connections(false, 840);
    idle_connections(true, 1040); /* it has sent something */
}

/* What glibc keeps freed for a thread counts as used: how much of it comes back would be measured, too, and each
 * version keeps another amount. It is told so before the program starts. */
static void measure_without_thread_cache(char **argv)
{
    if (UNDER_SANITIZER || getenv("GLIBC_TUNABLES"))
        return;
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    measure_without_thread_cache(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(each_buffer_may_be_refused),
        cmocka_unit_test(every_limit_is_kept),
        cmocka_unit_test(an_idle_connection_costs_less_than_a_kibibyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
