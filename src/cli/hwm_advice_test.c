/* SPDX-License-Identifier: MPL-2.0 */
/* Which marks follow from what was seen: the worked examples of the guide, the borders, and random gates. */
#include "cli/hwm_advice.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static const struct hwm_wish wish = {.delay_ns = 100 * NS_PER_MS, .memory_bytes = 256 * MIB};

static struct hwm_flow flow(uint64_t busiest, uint64_t bytes)
{
    return (struct hwm_flow){.messages = 100000, .seconds = 600, .busiest = busiest, .bytes = bytes};
}

/* A service of 40 clients, each of which gets as much as it sends. */
static struct hwm_seen service(enum socket_type socket, uint64_t rate, uint64_t bytes)
{
    return (struct hwm_seen){.socket = socket,
                             .connections = 40,
                             .in = flow(rate, bytes),
                             .out = flow(rate, bytes),
                             .each = (rate + 39) / 40};
}

static struct hwm_advice receive(const struct hwm_seen *s)
{
    struct hwm_advice a;
    hwm_advise_receive(&a, s, &wish);
    return a;
}

static struct hwm_advice send_(const struct hwm_seen *s)
{
    struct hwm_advice a;
    hwm_advise_send(&a, s, &wish);
    return a;
}

/* ---- receiving ---- */

/* 100 ms of 10000 a second are 1000, of 40 connections 25 each. */
static void what_may_wait_is_shared_by_the_connections(void **state)
{
    struct hwm_seen s = service(SOCKET_ROUTER, 10000, 164);
    struct hwm_advice a = receive(&s);
    assert_int_equal(a.mark, 25);
    assert_int_equal(a.basis, HWM_DELAY);
    assert_int_equal(a.beyond, HWM_SENDERS_WAIT);
    assert_int_equal(a.messages, 1000);
    assert_int_equal(a.bytes, 164000);
    assert_int_equal(a.lasts_ns, 100 * NS_PER_MS);
}

/* The counter knows how many the application takes; what passes may be the filling of its queues. */
static void the_counter_knows_better_what_passes(void **state)
{
    struct hwm_seen s = service(SOCKET_PULL, 40000, 164);
    s.taken = 8000;
    assert_int_equal(receive(&s).mark, 20);
    assert_int_equal(receive(&s).rate, 8000);
}

static void a_slow_service_has_the_fewest_that_do_no_harm(void **state)
{
    struct hwm_seen s = service(SOCKET_REP, 400, 164);
    struct hwm_advice a = receive(&s);
    assert_int_equal(a.mark, HWM_LEAST);
    assert_int_equal(a.basis, HWM_FEWEST);
    assert_int_equal(a.lasts_ns, NS_PER_S); /* and says how long that is */
}

static void more_than_the_default_is_of_no_use_where_senders_wait(void **state)
{
    struct hwm_seen s = service(SOCKET_PULL, 1000000, 64);
    assert_int_equal(receive(&s).mark, HWM_DEFAULT);
    assert_int_equal(receive(&s).basis, HWM_ENOUGH);
}

/* A publisher drops what a subscriber does not take. */
static void a_subscriber_has_room_for_bursts(void **state)
{
    struct hwm_seen s = service(SOCKET_SUB, 300, 164);
    assert_int_equal(receive(&s).mark, HWM_DEFAULT);
    assert_int_equal(receive(&s).basis, HWM_ENOUGH);
    assert_int_equal(receive(&s).beyond, HWM_SENDERS_DROP);
    s.in.busiest = 501;
    s.taken = 7;
    assert_int_equal(receive(&s).mark, 1100);
    assert_int_equal(receive(&s).basis, HWM_BURST);
    assert_int_equal(receive(&s).rate, 501);
}

/* ---- sending ---- */

static void who_drops_keeps_room_for_bursts(void **state)
{
    static const enum socket_type types[] = {SOCKET_PUB, SOCKET_XPUB, SOCKET_ROUTER, SOCKET_REP};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct hwm_seen s = service(types[i], 20000, 164);
        assert_int_equal(send_(&s).mark, HWM_DEFAULT); /* 500 each */
        assert_int_equal(send_(&s).basis, HWM_ENOUGH);
        assert_int_equal(send_(&s).beyond, HWM_DROPS);
        assert_int_equal(send_(&s).lasts_ns, 2 * NS_PER_S);
        s.each = 4321;
        assert_int_equal(send_(&s).mark, 8700);
        assert_int_equal(send_(&s).basis, HWM_BURST);
    }
}

static void who_blocks_keeps_what_the_delay_allows_for_each(void **state)
{
    static const enum socket_type types[] = {SOCKET_DEALER, SOCKET_PUSH, SOCKET_REQ, SOCKET_PAIR};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct hwm_seen s = service(types[i], 20000, 164);
        assert_int_equal(send_(&s).mark, 50);
        assert_int_equal(send_(&s).basis, HWM_DELAY);
        assert_int_equal(send_(&s).beyond, HWM_BLOCKS);
        assert_int_equal(send_(&s).lasts_ns, 100 * NS_PER_MS);
    }
}

/* ---- memory ---- */

/* Half of 256 MiB for each mark, by 40 connections and 1 MiB: 3. */
static void the_memory_bounds_both_marks(void **state)
{
    struct hwm_seen s = service(SOCKET_ROUTER, 10000, MIB);
    assert_int_equal(receive(&s).mark, 3);
    assert_int_equal(receive(&s).basis, HWM_MEMORY);
    assert_int_equal(receive(&s).bytes, 120 * MIB);
    assert_int_equal(send_(&s).mark, 3);
    s.socket = SOCKET_PULL; /* has one mark, and all of the memory */
    assert_int_equal(receive(&s).mark, 6);
    s.in.bytes = 1000 * MIB;
    assert_int_equal(receive(&s).mark, 1);
    assert_int_equal(receive(&s).basis, HWM_MEMORY);
}

static void a_message_takes_more_than_its_bytes(void **state)
{
    assert_int_equal(hwm_message_bytes(0, 0, 0, 0), 64);
    assert_int_equal(hwm_message_bytes(0, 100000, 1000, 1000), 164);
    assert_int_equal(hwm_message_bytes(5000, 100000, 1000, 1000), 5064);
    assert_int_equal(hwm_message_bytes(50, 100000, 1000, 2001), 100 + 3 * 64);
}

/* ---- nothing to say ---- */

static void marks_that_count_subscriptions_are_left_alone(void **state)
{
    struct hwm_seen pub = service(SOCKET_XPUB, 5, 64), sub = service(SOCKET_SUB, 5, 64);
    assert_int_equal(receive(&pub).mark, 0);
    assert_int_equal(receive(&pub).basis, HWM_SUBSCRIPTIONS);
    assert_int_equal(send_(&sub).mark, 0);
    assert_int_equal(send_(&sub).basis, HWM_SUBSCRIPTIONS);
}

static void there_is_no_mark_without_messages_that_way(void **state)
{
    struct hwm_seen push = service(SOCKET_PUSH, 5000, 64), pull = service(SOCKET_PULL, 5000, 64);
    struct hwm_seen unknown = service(SOCKET_AUTO, 5000, 64);
    assert_int_equal(receive(&push).basis, HWM_UNUSED);
    assert_int_equal(send_(&pull).basis, HWM_UNUSED);
    assert_int_equal(receive(&unknown).basis, HWM_UNKNOWN);
    assert_int_equal(send_(&unknown).basis, HWM_UNKNOWN);
    assert_int_equal(receive(&push).mark + send_(&pull).mark + receive(&unknown).mark + send_(&unknown).mark, 0);
}

static void there_is_no_mark_before_enough_was_seen(void **state)
{
    struct hwm_seen s = service(SOCKET_ROUTER, 5000, 64);
    char text[HWM_TEXT_MAX];
    s.in.messages = HWM_SEEN_MESSAGES;
    s.in.seconds = HWM_SEEN_SECONDS;
    s.out.messages = HWM_SEEN_MESSAGES - 1;
    assert_true(receive(&s).mark > 0);
    assert_int_equal(send_(&s).basis, HWM_LITTLE_SEEN);
    s.in.seconds--;
    struct hwm_advice a = receive(&s);
    assert_int_equal(a.mark, 0);
    hwm_reason(text, &a, &s.in, &s, &wish);
    assert_string_equal(text,
                        "not enough seen: 1000 messages in 9 seconds; ask again after 1000 messages in 10 seconds");
    hwm_trade_off(text, &a, &s);
    assert_string_equal(text, "");
}

/* ---- sentences ---- */

static void the_sentences_name_the_numbers(void **state)
{
    struct hwm_seen s = service(SOCKET_ROUTER, 10000, 164);
    char text[HWM_TEXT_MAX];
    s.untaken = 12;
    s.taken = 10000;
    struct hwm_advice a = receive(&s);
    hwm_reason(text, &a, &s.in, &s, &wish);
    assert_string_equal(text, "100 ms of the 10000 messages that the application took in the busiest second, shared by "
                              "40 connections");
    hwm_trade_off(text, &a, &s);
    assert_string_equal(text, "up to 1000 messages (160.2 KiB) are held for 40 connections (so far at most 12 lay "
                              "there), and the last one waits 100 ms; those that come then wait at their senders and "
                              "in Weir");
    a = send_(&s);
    hwm_reason(text, &a, &s.out, &s, &wish);
    assert_string_equal(text, "libzmq's default: no more than 250 messages for each connection passed in the busiest "
                              "second");
    hwm_trade_off(text, &a, &s);
    assert_string_equal(text, "a client may stand still for 4.0 s, and then loses what is sent to it; up to 40000 "
                              "messages (6.3 MiB) are held for 40 connections");
}

/* ---- properties ---- */

static uint64_t any_size(struct property_rng *rng)
{
    return property_below(rng, (uint64_t)1 << property_below(rng, 40));
}

/* Whatever was seen: a mark that --hwm takes, within the memory unless it is 1, never above the default where senders
 * wait, never below a second's worth where messages are lost and there is memory; and sentences that end. */
static void marks_of_random_gates_keep_what_they_promise(void **state)
{
    struct property_rng rng = property_rng_new("hwm_advice");
    for (unsigned n = 0; n < 20000; n++) {
        struct hwm_seen s = {.socket = (enum socket_type)property_below(&rng, SOCKET_PAIR + 1),
                             .connections = any_size(&rng) % 100000,
                             .in = flow(any_size(&rng), any_size(&rng)),
                             .out = flow(any_size(&rng), any_size(&rng)),
                             .taken = property_below(&rng, 2) ? any_size(&rng) : 0,
                             .untaken = any_size(&rng),
                             .each = any_size(&rng)};
        struct hwm_wish w = {.delay_ns = NS_PER_MS + any_size(&rng), .memory_bytes = 65536 + any_size(&rng)};
        for (unsigned way = 0; way < 2; way++) {
            struct hwm_advice a;
            char text[HWM_TEXT_MAX];
            const struct hwm_flow *f = way ? &s.out : &s.in;
            (way ? hwm_advise_send : hwm_advise_receive)(&a, &s, &w);
            assert_true(a.mark <= HWM_MOST);
            assert_true((a.mark > 0) == (a.basis >= HWM_DELAY));
            assert_true(strlen(hwm_reason(text, &a, f, &s, &w)) < HWM_TEXT_MAX - 1 && text[0]);
            assert_true(strlen(hwm_trade_off(text, &a, &s)) < HWM_TEXT_MAX - 1);
            assert_true(hwm_basis_word(a.basis)[0]);
            if (!a.mark)
                continue;
            assert_true(a.mark == 1 || a.bytes <= w.memory_bytes);
            bool waits = a.beyond == HWM_SENDERS_WAIT || a.beyond == HWM_BLOCKS;
            assert_true(!waits || a.mark <= HWM_DEFAULT);
            assert_true(waits || a.basis == HWM_MEMORY || a.mark == HWM_MOST || a.mark >= 2 * a.rate);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_wait_is_shared_by_the_connections),
        cmocka_unit_test(the_counter_knows_better_what_passes),
        cmocka_unit_test(a_slow_service_has_the_fewest_that_do_no_harm),
        cmocka_unit_test(more_than_the_default_is_of_no_use_where_senders_wait),
        cmocka_unit_test(a_subscriber_has_room_for_bursts),
        cmocka_unit_test(who_drops_keeps_room_for_bursts),
        cmocka_unit_test(who_blocks_keeps_what_the_delay_allows_for_each),
        cmocka_unit_test(the_memory_bounds_both_marks),
        cmocka_unit_test(a_message_takes_more_than_its_bytes),
        cmocka_unit_test(marks_that_count_subscriptions_are_left_alone),
        cmocka_unit_test(there_is_no_mark_without_messages_that_way),
        cmocka_unit_test(there_is_no_mark_before_enough_was_seen),
        cmocka_unit_test(the_sentences_name_the_numbers),
        cmocka_unit_test(marks_of_random_gates_keep_what_they_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
