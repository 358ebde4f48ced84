/* SPDX-License-Identifier: MPL-2.0 */
/* Honest newcomers of a source whose other clients start handshakes and never finish them, in virtual time. */
#include "relay/half_open.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define LONG_MS        10000u
#define HONEST_EACH_MS 50u
#define SPOKEN_IN      3u /* round trips */

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */

/* A client that is connected now. */
struct guest {
    struct end end;
    uint64_t begun_ns;
    unsigned spoken;
    bool honest;
};

static struct scene {
    struct fixture_clients clients;
    struct guest guests[FIXTURE_CLIENTS_MAX];
    unsigned guest_count, came, served, refused;
    uint64_t took_ns, rtt_ns;
} scene;

/* The defaults, with the default bans or none. */
static struct scene *scene_new(unsigned strikes)
{
    memset(&scene, 0, sizeof(scene));
    fixture_init(&scene.clients.fixture, "tcp://127.0.0.1:*");
    scene.clients.fixture.limits->ban.strikes.strikes = strikes;
    fixture_start(&scene.clients.fixture);
    return &scene;
}

static void scene_free(struct scene *s)
{
    for (unsigned i = 0; i < s->guest_count; i++)
        end_close(&s->guests[i].end);
    fixture_clients_leave(&s->clients);
    fixture_clients_free(&s->clients);
}

static void put_on_probation(struct scene *s)
{
    come(&s->clients, HOST(1));
    settle(&s->clients);
    while (fixture_cell(&s->clients.fixture, CELL_PROBATIONS) == 0) {
        struct end *e = come(&s->clients, HOST(1));
        settle(&s->clients);
        stream_put(&e->out, reserved_flags, sizeof(reserved_flags));
        end_write(e, SIZE_MAX);
        settle(&s->clients);
        end_close(e);
        s->clients.client_count--;
    }
}

/* Sends twenty bytes of the greeting and nothing more; or all of it, a round trip after each part. */
static void arrive(struct scene *s, bool honest)
{
    assert_true(s->guest_count < FIXTURE_CLIENTS_MAX);
    struct guest *g = &s->guests[s->guest_count++];
    *g = (struct guest){.begun_ns = fixture_now_ns(), .honest = honest};
    end_connect(&g->end, &s->clients.fixture, HOST(1));
    end_greet(&g->end, "DEALER", NULL);
    if (!honest)
        end_write(&g->end, 20);
    s->came += honest;
}

static void speak(struct scene *s, struct guest *g)
{
    static const size_t parts[SPOKEN_IN] = {10, 54, SIZE_MAX};
    if (g->honest && g->spoken < SPOKEN_IN && fixture_now_ns() >= g->begun_ns + g->spoken * s->rtt_ns)
        end_write(&g->end, parts[g->spoken++]);
    end_read(&g->end, SIZE_MAX);
}

/* Returns whether it has gone. */
static bool leaves(struct scene *s, struct guest *g)
{
    bool greeted = g->honest && end_is_greeted(&g->end);
    if (!greeted && !g->end.over)
        return false;
    s->served += greeted;
    s->refused += g->honest && !greeted;
    s->took_ns += greeted ? fixture_now_ns() - g->begun_ns : 0;
    end_close(&g->end);
    return true;
}

static void let_come(struct scene *s, unsigned stallers_a_second)
{
    for (unsigned ms = 0; ms < LONG_MS; ms++) {
        if (ms % (1000 / stallers_a_second) == 0)
            arrive(s, false);
        if (ms % HONEST_EACH_MS == 0)
            arrive(s, true);
        for (unsigned i = 0; i < s->guest_count;) {
            speak(s, &s->guests[i]);
            if (leaves(s, &s->guests[i]))
                s->guests[i] = s->guests[--s->guest_count];
            else
                i++;
        }
        fixture_sleep(&s->clients.fixture, NS_PER_MS);
        serve(&s->clients);
    }
}

/* All honest clients are served except the most recent: within 100 ms plus their own time. */
static void nobody_is_held_up(bool probation, unsigned stallers_a_second, uint64_t rtt_ns)
{
    struct scene *s = scene_new(probation ? 10 : 0);
    if (probation)
        put_on_probation(s);
    s->rtt_ns = rtt_ns;
    let_come(s, stallers_a_second);
    uint64_t own_ns = (SPOKEN_IN - 1) * rtt_ns;
    print_message("%u of %u served, %u refused, %llu ms\n", s->served, s->came, s->refused,
                  (unsigned long long)(s->served ? s->took_ns / s->served / NS_PER_MS : 0));
    assert_int_equal(s->refused, 0);
    assert_true(s->came - s->served <= 1 + (own_ns + 100 * NS_PER_MS) / (HONEST_EACH_MS * NS_PER_MS));
    assert_true(s->took_ns / s->served <= own_ns + 100 * NS_PER_MS);
    scene_free(s);
}

static void those_who_stall_hold_nobody_up(void **state)
{
    nobody_is_held_up(false, 200, 0);
}

static void nor_from_far_away(void **state)
{
    nobody_is_held_up(false, 200, 100 * NS_PER_MS);
}

static void on_probation_those_who_stall_hold_nobody_up(void **state)
{
    nobody_is_held_up(true, 200, 0);
}

static void on_probation_nor_from_far_away(void **state)
{
    nobody_is_held_up(true, 20, 100 * NS_PER_MS);
    nobody_is_held_up(true, 200, 100 * NS_PER_MS);
}

/* A newcomer in line whose source was of no use lately is refused when its wait is over and no room can be made. */
static void refused_in_line_it_leaves_the_line_once(void **state)
{
    struct fixture s;
    struct end gone, waits_for_app[2], silent, newcomer;
    fixture_init(&s, "tcp://127.0.0.1:*");
    s.limits->connections.half_open = 3;
    s.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = NS_PER_S, .burst = 1};
    fixture_start(&s);
    end_connect(&gone, &s, HOST(1));
    fixture_rounds(&s, 5);
    end_close(&gone);
    fixture_rounds(&s, 5);
    for (unsigned i = 0; i < 2; i++) {
        end_connect(&waits_for_app[i], &s, HOST(1));
        end_greet(&waits_for_app[i], "DEALER", NULL);
        end_write(&waits_for_app[i], SIZE_MAX);
    }
    end_connect(&silent, &s, HOST(2));
    fixture_sleep(&s, 20 * NS_PER_MS);
    end_connect(&newcomer, &s, HOST(1));
    fixture_rounds(&s, 5);
    assert_int_equal(fixture_cell(&s, CELL_HALF_OPEN), 3);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 1);
    fixture_sleep(&s, 2 * NS_PER_S);
    assert_int_equal(fixture_verdict(&s, VERDICT_HALF_OPEN_GIVE_WAY), 1);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 0);
    end_close(&waits_for_app[0]);
    end_close(&waits_for_app[1]);
    end_close(&silent);
    end_close(&newcomer);
    fixture_rounds(&s, 5);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_stall_hold_nobody_up),
        cmocka_unit_test(nor_from_far_away),
        cmocka_unit_test(on_probation_those_who_stall_hold_nobody_up),
        cmocka_unit_test(on_probation_nor_from_far_away),
        cmocka_unit_test(refused_in_line_it_leaves_the_line_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
