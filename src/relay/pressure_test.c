/* SPDX-License-Identifier: MPL-2.0 */
/* All kinds of held memory press on a small budget at once: unfinished messages, slow readers, topics, sessions,
 * messages that the application does not take. The budget is kept to the byte after each round (the fixture checks
 * that, and the count of each source), others are served, and in the end everything is given back. */
#include "relay/source_conns.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define KIB      1024u
#define MIB      (1024u * KIB)
#define LOOPBACK 0x7f000000u
#define FLOOD    (LOOPBACK + 66)
#define HONEST   (LOOPBACK + 77)

/* A connection, and the application's end of it when it was let in. */
struct pair {
    struct end client, app;
};

static void open_files(struct fixture *s, uint64_t memory_bytes)
{
    fixture_init(s, "tcp://127.0.0.1:*");
    s->config->memory_bytes = memory_bytes;
    s->limits->connections.max = 4096;
    s->limits->source.half_open = 4096;
    s->limits->source.connection_rate = (struct rate){.count = 1000000, .period_ns = NS_PER_S, .burst = 1000000};
    fixture_start(s);
}

/* The application greets each connection; Weir closes the one that it opened only to ask for the greeting. */
static void let_in(struct fixture *s, struct end *app, const char *type)
{
    struct end e;
    while (end_accept(&e, s)) {
        end_greet(&e, type, NULL);
        end_write(&e, SIZE_MAX);
        fixture_rounds(s, 3);
        end_read(&e, SIZE_MAX);
        end_read(&e, SIZE_MAX);
        if (e.over || app->fd >= 0)
            end_close(&e);
        else
            *app = e;
    }
}

/* Whether the client was let in. */
static bool come(struct fixture *s, struct pair *p, uint32_t from, const char *client_type, const char *app_type)
{
    memset(p, 0, sizeof(*p));
    p->app.fd = -1;
    end_connect(&p->client, s, from);
    end_greet(&p->client, client_type, NULL);
    for (unsigned i = 0; i < 60 && !end_is_greeted(&p->client) && !p->client.over; i++) {
        end_write(&p->client, SIZE_MAX);
        fixture_sleep(s, NS_PER_MS);
        let_in(s, &p->app, app_type);
        end_read(&p->client, SIZE_MAX);
    }
    return end_is_greeted(&p->client);
}

static void leave(struct fixture *s, struct pair *p)
{
    end_close(&p->client);
    fixture_rounds(s, 3);
    end_close(&p->app);
}

/* The beginning of a message that is held until it is complete, which never happens. */
static void begin_message(struct pair *p, size_t bytes)
{
    stream_frame(&p->client.out, 0, 'p', 60 * KIB);
    p->client.out.len = p->client.sent + bytes;
}

static void settle(struct fixture *s, struct pair *pairs, unsigned n)
{
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < n; i++)
            end_write(&pairs[i].client, SIZE_MAX);
        fixture_rounds(s, 3);
    }
}

static bool serves(struct fixture *s, uint32_t from)
{
    struct pair p;
    size_t want = 60 * KIB;
    if (!come(s, &p, from, "DEALER", "ROUTER"))
        return false;
    stream_frame(&p.client.out, 0, 'h', want);
    for (unsigned i = 0; i < 300 && p.app.in.len < want; i++) {
        end_write(&p.client, SIZE_MAX);
        fixture_sleep(s, NS_PER_MS);
        end_read(&p.app, SIZE_MAX);
    }
    bool served = end_traffic(&p.app, NULL).len > want;
    leave(s, &p);
    return served;
}

#define MANY 300u

/* Connections of one source, each with nearly a whole message, hold no other source up. */
static void one_source_leaves_room_for_others(void **state)
{
    static struct pair flood[MANY];
    struct fixture s;
    open_files(&s, 8 * MIB);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(come(&s, &flood[i], FLOOD, "DEALER", "ROUTER"));
        begin_message(&flood[i], 59 * KIB);
    }
    settle(&s, flood, MANY);
    assert_true(account_held(&s.account) > s.account.limit_bytes / 100 * 70);
    assert_true(pressure_level(&s.pressure) >= PRESSURE_HEAVY);
    assert_true(fixture_cell(&s, CELL_READS_DEFERRED) > 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(serves(&s, HONEST + i));
    assert_int_equal(fixture_verdict(&s, VERDICT_MEMORY_PRESSURE), 0);
    assert_int_equal(fixture_verdict(&s, VERDICT_MEMORY_GIVE_WAY), 0);
    assert_int_equal(fixture_verdict(&s, VERDICT_NO_MEMORY), 0);
    /* They all leave at the same time, with much left unread. */
    for (unsigned i = 0; i < MANY; i++)
        end_close(&flood[i].client);
    fixture_sleep(&s, 100 * NS_PER_MS);
    assert_int_equal(fixture_cell(&s, CELL_HELD), 0);
    for (unsigned i = 0; i < MANY; i++)
        end_close(&flood[i].app);
    fixture_rounds(&s, 20);
    assert_int_equal(pressure_level(&s.pressure), PRESSURE_NONE);
    fixture_fini(&s);
}

/* The same, each from a source of its own: none holds more than the others, so the oldest of the heaviest give way. */
static void many_sources_give_way(void **state)
{
    static struct pair flood[MANY];
    struct fixture s;
    unsigned in = 0;
    open_files(&s, 8 * MIB);
    for (unsigned i = 0; i < MANY; i++) {
        in += come(&s, &flood[i], FLOOD + 1000 + i, "DEALER", "ROUTER");
        begin_message(&flood[i], 59 * KIB);
        settle(&s, &flood[i], 1);
    }
    assert_true(in > MANY * 9 / 10);
    assert_true(fixture_verdict(&s, VERDICT_MEMORY_GIVE_WAY) > 0);
    assert_int_equal(fixture_verdict(&s, VERDICT_MESSAGE_TOO_SLOW), 0);
    unsigned served = 0;
    for (unsigned i = 0; i < 10; i++)
        served += serves(&s, HONEST + i);
    assert_true(served >= 9);
    for (unsigned i = 0; i < MANY; i++)
        leave(&s, &flood[i]);
    fixture_rounds(&s, 20);
    fixture_fini(&s);
}

/* Memory of a message that Weir does not read on comes free all the same when the message's time is over; that is no
 * offence. */
static void what_waits_for_memory_is_no_offence(void **state)
{
    static struct pair flood[MANY];
    struct fixture s;
    open_files(&s, 8 * MIB);
    s.in_force->message.complete_within_ns = 30 * NS_PER_S;
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(come(&s, &flood[i], FLOOD, "DEALER", "ROUTER"));
        begin_message(&flood[i], 59 * KIB);
        settle(&s, &flood[i], 1);
    }
    assert_true(fixture_cell(&s, CELL_READS_DEFERRED) > 0);
    assert_int_equal(fixture_verdict(&s, VERDICT_MEMORY_GIVE_WAY), 0);
    fixture_sleep(&s, 45 * NS_PER_S);
    assert_true(fixture_verdict(&s, VERDICT_MEMORY_GIVE_WAY) > 0);
    assert_true(fixture_verdict(&s, VERDICT_MESSAGE_TOO_SLOW) > 0);
    for (unsigned i = 0; i < MANY; i++)
        leave(&s, &flood[i]);
    fixture_rounds(&s, 20);
    fixture_fini(&s);
}

/* ---- all together ---- */

#define CROWD 160u

enum role { PARTIAL, DEAF, SUBSCRIBES, PUSHES, IDLE, ROLES };

/* XSUB does everything: it subscribes, it reads or does not, it sends messages. */
static void act(struct pair *p, enum role role, struct property_rng *random)
{
    uint8_t topic[8];
    switch (role) {
    case PARTIAL:
        if (p->client.sent == p->client.out.len && property_below(random, 3) == 0)
            begin_message(p, 1 + property_below(random, 60 * KIB));
        break;
    case DEAF:
        if (p->app.fd >= 0 && p->app.sent == p->app.out.len)
            stream_frame(&p->app.out, 0, 'd', 1 + property_below(random, 200 * KIB));
        break;
    case SUBSCRIBES:
        for (unsigned i = 0; i < 20; i++) {
            uint64_t n = property_next(random);
            memcpy(topic, &n, sizeof(topic));
            stream_command(&p->client.out, "SUBSCRIBE", topic, sizeof(topic));
        }
        break;
    case PUSHES:
        if (p->client.sent == p->client.out.len)
            stream_frame(&p->client.out, 0, 'm', 1 + property_below(random, 60 * KIB));
        break;
    default:
        break;
    }
    end_write(&p->client, 1 + property_below(random, 64 * KIB));
    end_write(&p->app, 1 + property_below(random, 64 * KIB));
    if (role == IDLE) {
        end_read(&p->client, SIZE_MAX);
        end_read(&p->app, SIZE_MAX);
    }
}

static void everything_at_once(void **state)
{
    static struct pair crowd[CROWD];
    struct property_rng random = property_rng_new("everything at once");
    struct fixture s;
    enum pressure_level highest = PRESSURE_NONE;
    open_files(&s, 3 * MIB);
    for (unsigned i = 0; i < CROWD; i++)
        (void)come(&s, &crowd[i], FLOOD + i % 23, "XSUB", "XPUB");
    for (unsigned step = 0; step < 150; step++) {
        for (unsigned i = 0; i < CROWD; i++)
            act(&crowd[i], (enum role)(i % ROLES), &random);
        if (step % 20 == 10)
            fixture_disturb(&random);
        if (step % 20 == 15)
            fixture_disturb(NULL);
        fixture_sleep(&s, property_below(&random, 5 * NS_PER_MS));
        unsigned i = (unsigned)property_below(&random, CROWD);
        if (pressure_level(&s.pressure) > highest)
            highest = pressure_level(&s.pressure);
        if (step % 4)
            continue;
        leave(&s, &crowd[i]);
        (void)come(&s, &crowd[i], FLOOD + i % 23, "XSUB", "XPUB");
    }
    fixture_disturb(NULL);
    assert_true(highest >= PRESSURE_HEAVY);
    assert_true(atomic_load(&s.account.peak_bytes) <= s.account.limit_bytes);
    for (unsigned i = 0; i < CROWD; i++)
        leave(&s, &crowd[i]);
    fixture_sleep(&s, 100 * NS_PER_MS);
    assert_int_equal(pressure_level(&s.pressure), PRESSURE_NONE);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_source_leaves_room_for_others),
        cmocka_unit_test(many_sources_give_way),
        cmocka_unit_test(what_waits_for_memory_is_no_offence),
        cmocka_unit_test(everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
