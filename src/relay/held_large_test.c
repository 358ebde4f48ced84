/* SPDX-License-Identifier: MPL-2.0 */
/* Large messages that are held back at their last octet while the application is busy, and clients that leave
 * meanwhile. The application's counter says what it has taken. */
#include "relay/request_flow.h"
#include "relay/session.h"
#include "relay/testing/fixture.h"
#include "zmtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS 6u
#define SMALL   10u
#define LARGE   20000u                /* beyond message.hold of these gates */
#define PIECE   5000u                 /* bytes that a client sends at once: a large message comes in pieces */
#define WIRE    (2u + SMALL)          /* of a small message */
#define LARGER  (9u + LARGE)          /* of a large one */
#define QUICKLY (100 * NS_PER_MS)     /* a wait too short to matter */
#define PAUSE   (300 * NS_PER_MS)     /* heartbeat.max_pause of these gates; the counter is believed for a second */
#define BEFORE  (PAUSE - 2 * QUICKLY) /* ... and well before it */

/* Messages that a stranger sends. */
static unsigned many(size_t wire)
{
    return wire < LARGE ? 40 : 4;
}

struct play {
    struct fixture fixture;
    struct end clients[CLIENTS], apps[CLIENTS];
    uint32_t taken[CLIENTS]; /* messages */
    struct taken_page page;
};

static void play_init(struct play *p, const char *listen, const char *client_type)
{
    memset(p, 0, sizeof(*p));
    fixture_init(&p->fixture, listen);
    p->fixture.limits->message.hold_bytes = 4096;
    p->fixture.limits->heartbeat.max_pause_ns = PAUSE;
    fixture_start(&p->fixture);
    for (unsigned i = 0; i < CLIENTS; i++)
        fixture_pair(&p->fixture, &p->clients[i], &p->apps[i], client_type, "ROUTER");
    taken_page_begin(&p->page, fixture_now_ns());
    gate_limiter_attach(&p->fixture.gate.limiter, &p->page);
}

static void play_fini(struct play *p)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        end_close(&p->clients[i]);
        end_close(&p->apps[i]);
    }
    fixture_rounds(&p->fixture, 20);
    fixture_fini(&p->fixture);
}

/* The counter's heart beats. */
static void pass_time(struct play *p, uint64_t ns)
{
    for (uint64_t end_ns = fixture_now_ns() + ns; fixture_now_ns() < end_ns;) {
        taken_page_beat(&p->page, fixture_now_ns());
        fixture_sleep(&p->fixture, NS_PER_MS);
        for (unsigned i = 0; i < CLIENTS; i++)
            end_write(&p->clients[i], PIECE);
    }
}

static void say(struct play *p, unsigned client, size_t size)
{
    stream_frame(&p->clients[client].out, 0, (uint8_t)('a' + client), size);
    end_write(&p->clients[client], PIECE);
    fixture_rounds(&p->fixture, 4);
}

/* Octets of messages that have reached the application. */
static size_t came(struct play *p, unsigned client)
{
    end_read(&p->apps[client], SIZE_MAX);
    return end_traffic(&p->apps[client], NULL).len;
}

static uint32_t whole(struct play *p, unsigned client)
{
    came(p, client);
    struct bytes b = end_traffic(&p->apps[client], NULL);
    return zmtp_whole_messages(b.at, b.len, UINT32_MAX);
}

static void answer(struct play *p, unsigned client)
{
    stream_frame(&p->apps[client].out, 0, 'r', SMALL);
    end_write(&p->apps[client], SIZE_MAX);
    fixture_rounds(&p->fixture, 4);
}

/* The application takes the messages that are there, answers, and waits for more. Returns how many. */
static unsigned take(struct play *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        for (; p->taken[i] < whole(p, i); n++) {
            p->taken[i]++;
            if (taken_page_took(&p->page, fixture_now_ns(), fixture_now_ns()))
                gate_limiter_look(fixture_gate(&p->fixture));
            if (p->clients[i].fd >= 0)
                answer(p, i);
        }
    if (taken_page_found_nothing(&p->page, true, fixture_now_ns()))
        gate_limiter_look(fixture_gate(&p->fixture));
    fixture_rounds(&p->fixture, 4);
    return n;
}

/* Client 0 becomes established. */
static void calm(struct play *p)
{
    for (unsigned n = 0; n < 100; n++) {
        say(p, 0, SMALL);
        pass_time(p, NS_PER_MS);
        assert_int_equal(take(p), 1);
        pass_time(p, 50 * NS_PER_MS);
    }
}

/* Strangers have sent more than the application takes, which works on a message of client 0. */
static void strangers_say(struct play *p, size_t size)
{
    calm(p);
    say(p, 0, SMALL);
    p->taken[0]++;
    (void)!taken_page_took(&p->page, fixture_now_ns(), fixture_now_ns());
    for (unsigned i = 1; i < CLIENTS; i++)
        for (unsigned n = 0; n < many(size); n++)
            say(p, i, size);
    pass_time(p, QUICKLY);
    assert_true(gate_limiter_holds(&p->fixture.gate.limiter));
}

/* A client that waits; CLIENTS: none. Of a small message nothing has arrived then, of a large one all but the last
 * octet. */
static unsigned one_that_waits(struct play *p, size_t wire)
{
    for (unsigned i = 1; i < CLIENTS; i++)
        if (came(p, i) < many(wire) * wire) {
            assert_int_equal(came(p, i) % wire, wire == LARGER ? wire - 1 : 0);
            return i;
        }
    return CLIENTS;
}

static void everything_comes(struct play *p, size_t wire)
{
    for (unsigned n = 0; n < 1000; n++) {
        pass_time(p, NS_PER_MS);
        take(p);
    }
    for (unsigned i = 1; i < CLIENTS; i++) {
        assert_int_equal(came(p, i), many(wire) * wire);
        for (size_t at = 0; at < many(wire) * wire; at++)
            assert_true(at % wire < 9 || end_traffic(&p->apps[i], NULL).at[at] == 'a' + (int)i);
    }
    assert_int_equal(stream_budget_held(&p->fixture.gate.traffic.unfinished), 0);
}

static void strangers_wait_at_the_ends_of_large_messages(void **state)
{
    struct play p;
    size_t all = 0;
    play_init(&p, NULL, "DEALER");
    strangers_say(&p, LARGE);
    assert_int_not_equal(one_that_waits(&p, LARGER), CLIENTS);
    for (unsigned i = 1; i < CLIENTS; i++)
        all += whole(&p, i);
    assert_true(all < (CLIENTS - 1) * many(LARGER) / 2);
    size_t before = came(&p, 0);
    say(&p, 0, LARGE);
    pass_time(&p, 10 * NS_PER_MS);
    assert_int_equal(came(&p, 0), before + LARGER); /* the client that was there before does not wait */
    everything_comes(&p, LARGER);
    play_fini(&p);
}

/* Time for which Weir holds back the end of a message does not count as the client's silence. */
static void whose_end_is_kept_back_is_not_late(void **state)
{
    struct play p;
    play_init(&p, NULL, "DEALER");
    p.fixture.in_force->message.complete_within_ns = 100 * NS_PER_MS;
    p.fixture.in_force->message.min_rate = UINT64_C(1) << 40;
    strangers_say(&p, LARGE);
    pass_time(&p, 700 * NS_PER_MS);
    assert_int_not_equal(one_that_waits(&p, LARGER), CLIENTS);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_MESSAGE_TOO_SLOW), 0);
    assert_int_equal(fixture_cell(&p.fixture, CELL_OPEN), CLIENTS);
    everything_comes(&p, LARGER);
    play_fini(&p);
}

static void ping_from_application(struct play *p, unsigned client)
{
    static const uint8_t ping[] = {0, 0};
    stream_command(&p->apps[client].out, "PING", ping, sizeof(ping));
    end_write(&p->apps[client], SIZE_MAX);
    fixture_rounds(&p->fixture, 4);
}

/* No PONG fits into the message (end_traffic() would fail). So it waits no longer than an application that sends PINGs
 * may be kept without an answer. */
static void an_end_waits_no_longer_than_pings_allow(void **state)
{
    struct play p;
    play_init(&p, NULL, "DEALER");
    strangers_say(&p, LARGE);
    unsigned one = one_that_waits(&p, LARGER), other = one + 1;
    size_t had = came(&p, one), others_had = came(&p, other);
    ping_from_application(&p, one);
    pass_time(&p, BEFORE);
    assert_int_equal(came(&p, one), had);
    pass_time(&p, PAUSE);
    assert_in_range(came(&p, one), had + LARGER, had + 2 * LARGER);
    assert_int_equal(came(&p, other), others_had); /* it was not asked */
    everything_comes(&p, LARGER);
    play_fini(&p);
}

/* ---- clients that leave ---- */

static void it_leaves_and_nothing_more_comes(struct play *p, unsigned one)
{
    size_t had = came(p, one);
    end_close(&p->clients[one]);
    fixture_rounds(&p->fixture, 10);
    assert_int_equal(fixture_verdict(&p->fixture, VERDICT_ASKER_LEFT), 1);
    pass_time(p, QUICKLY);
    assert_int_equal(came(p, one), had);
    assert_true(p->apps[one].over);
}

/* Small ones wait as a whole: nothing of them has arrived. */
static void what_a_req_has_asked_leaves_with_it(void **state)
{
    const size_t sizes[] = {SMALL, LARGE}, wires[] = {WIRE, LARGER};
    for (unsigned i = 0; i < 2; i++) {
        struct play p;
        play_init(&p, NULL, "REQ");
        strangers_say(&p, sizes[i]);
        it_leaves_and_nothing_more_comes(&p, one_that_waits(&p, wires[i]));
        play_fini(&p);
    }
}

/* Messages passed before stay on the account of their source, and in hand. */
static void who_asks_and_leaves_stays_charged(void **state)
{
    struct play p;
    play_init(&p, NULL, "REQ");
    strangers_say(&p, SMALL);
    const struct reqlimit *l = &p.fixture.gate.limiter.limit;
    unsigned sum = 0;
    for (unsigned i = 1; i < CLIENTS; i++) {
        uint32_t in_hand = (uint32_t)atomic_load(&l->in_hand);
        double left = l->left.value;
        end_close(&p.clients[i]);
        fixture_rounds(&p.fixture, 10);
        sum += whole(&p, i);
        assert_int_equal(in_hand - (uint32_t)atomic_load(&l->in_hand), whole(&p, i));
        assert_true(l->left.value - left > 0.9 * whole(&p, i) - 0.01);
    }
    assert_in_range(sum, 1, 20);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_ASKER_LEFT), CLIENTS - 1);
    play_fini(&p);
}

/* A note wants no answer: the messages of a client that sends and closes are delivered. */
static void what_a_dealer_has_said_is_passed_on(void **state)
{
    const size_t sizes[] = {SMALL, LARGE}, wires[] = {WIRE, LARGER};
    for (unsigned i = 0; i < 2; i++) {
        struct play p;
        play_init(&p, NULL, "DEALER");
        strangers_say(&p, sizes[i]);
        unsigned one = one_that_waits(&p, wires[i]);
        end_close(&p.clients[one]);
        everything_comes(&p, wires[i]);
        assert_true(p.apps[one].over);
        assert_int_equal(fixture_verdict(&p.fixture, VERDICT_ASKER_LEFT), 0);
        play_fini(&p);
    }
}

/* It has closed with an answer unread: no other answer can be delivered. */
static void what_was_said_on_a_connection_that_was_reset_leaves_with_it(void **state)
{
    struct play p;
    play_init(&p, "tcp://127.0.0.1:*", "DEALER");
    strangers_say(&p, SMALL);
    unsigned one = one_that_waits(&p, WIRE);
    answer(&p, one);
    it_leaves_and_nothing_more_comes(&p, one);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_wait_at_the_ends_of_large_messages),
        cmocka_unit_test(whose_end_is_kept_back_is_not_late),
        cmocka_unit_test(an_end_waits_no_longer_than_pings_allow),
        cmocka_unit_test(what_a_req_has_asked_leaves_with_it),
        cmocka_unit_test(who_asks_and_leaves_stays_charged),
        cmocka_unit_test(what_a_dealer_has_said_is_passed_on),
        cmocka_unit_test(what_was_said_on_a_connection_that_was_reset_leaves_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
