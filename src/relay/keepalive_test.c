/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"
#include "relay/keepalive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define HOUR_NS (3600 * NS_PER_S)

/* A client that may send one message an hour, and has sent two. */
struct play {
    struct fixture fixture;
    struct end client, app;
};

static void play_init(struct play *p, bool paused)
{
    fixture_init(&p->fixture, NULL);
    p->fixture.limits->source.messages = (struct rate_limit){.rate = {.count = 1, .period_ns = HOUR_NS}};
    fixture_start(&p->fixture);
    fixture_pair(&p->fixture, &p->client, &p->app, "DEALER", "ROUTER");
    for (unsigned i = 0; i < (paused ? 2 : 1); i++)
        stream_frame(&p->client.out, 0, 'x', 10);
    end_write(&p->client, SIZE_MAX);
    fixture_rounds(&p->fixture, 10);
    assert_int_equal(fixture_cell(&p->fixture, CELL_PAUSED), paused);
}

static void play_fini(struct play *p)
{
    end_close(&p->client);
    end_close(&p->app);
    fixture_rounds(&p->fixture, 10);
    fixture_fini(&p->fixture);
}

/* PONGs that have come to this end until now. */
static unsigned pongs_of(struct end *e)
{
    unsigned pongs = 0;
    end_read(e, SIZE_MAX);
    (void)end_traffic(e, &pongs);
    return pongs;
}

static void application_pings(struct play *p)
{
    static const uint8_t ping[] = {0, 0};
    stream_command(&p->app.out, "PING", ping, sizeof(ping));
    end_write(&p->app, SIZE_MAX);
    fixture_rounds(&p->fixture, 4);
}

static void a_paused_client_hears_of_its_application(void **state)
{
    struct play p;
    play_init(&p, true);
    uint64_t interval_ns = p.fixture.limits->heartbeat.interval_ns;
    fixture_sleep(&p.fixture, 10 * interval_ns + interval_ns / 2);
    assert_in_range(pongs_of(&p.client), 9, 11);
    assert_int_equal(pongs_of(&p.app), 0); /* it has not asked */
    play_fini(&p);
}

static void one_that_is_read_speaks_for_itself(void **state)
{
    struct play p;
    play_init(&p, false);
    application_pings(&p);
    fixture_sleep(&p.fixture, 10 * p.fixture.limits->heartbeat.interval_ns);
    assert_int_equal(pongs_of(&p.app), 0);
    assert_int_equal(fixture_cell(&p.fixture, CELL_KEEPALIVES), 0);
    play_fini(&p);
}

static void an_application_that_listens_is_answered(void **state)
{
    struct play p;
    play_init(&p, true);
    application_pings(&p);
    assert_int_equal(pongs_of(&p.app), 1);
    uint64_t interval_ns = p.fixture.limits->heartbeat.interval_ns;
    fixture_sleep(&p.fixture, 10 * interval_ns + interval_ns / 2);
    assert_in_range(pongs_of(&p.app), 10, 12);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paused_client_hears_of_its_application),
        cmocka_unit_test(one_that_is_read_speaks_for_itself),
        cmocka_unit_test(an_application_that_listens_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
