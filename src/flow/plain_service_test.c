/* SPDX-License-Identifier: MPL-2.0 */
/* Answers on the same connection, not on others. */
#include "flow/plain_service.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char conns[64];

/* A message each 5 ms, answered after 100 us on the same connection and on `others` others. */
static uint64_t drive(struct plain_service *p, unsigned messages, unsigned others, bool answered, bool calm,
                      uint64_t now_ns)
{
    for (unsigned i = 0; i < messages; i++, now_ns += 5 * NS_PER_MS) {
        plain_service_passed(p, &conns[i % 32], calm, now_ns);
        plain_service_count(p, calm, calm && answered);
        for (unsigned k = 1; k <= others; k++)
            plain_service_answered(p, &conns[32 + k], 1, calm, now_ns + 50 * NS_PER_US);
        if (answered)
            plain_service_answered(p, &conns[i % 32], 1, calm, now_ns + 100 * NS_PER_US);
    }
    return now_ns;
}

static void each_on_its_own_connection_is_plain(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    uint64_t now_ns = drive(&p, 30, 0, true, true, NS_PER_S);
    assert_int_equal(p.state, PLAIN_UNKNOWN);
    now_ns = drive(&p, 100, 0, true, true, now_ns);
    assert_int_equal(p.state, PLAIN_YES);
    drive(&p, 4000, 1, true, true, now_ns);
    assert_int_equal(p.state, PLAIN_NO);
}

static void messages_to_others_are_no_plain_service(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    drive(&p, 100, 1, true, true, NS_PER_S);
    assert_int_equal(p.state, PLAIN_NO);
}

static void what_is_not_answered_is_not_plain(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    drive(&p, 1000, 0, false, true, NS_PER_S);
    assert_int_equal(p.state, PLAIN_UNKNOWN);
}

static void nothing_is_learned_while_somebody_waits(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    drive(&p, 1000, 0, true, false, NS_PER_S);
    assert_int_equal(p.state, PLAIN_UNKNOWN);
}

/* Answers to others that do not depend on messages: as many before as after. */
static void independent_answers_are_no_sign(void **state)
{
    struct property_rng r = property_rng_new("plain_service");
    struct plain_service p;
    plain_service_init(&p);
    uint64_t now_ns = NS_PER_S;
    plain_service_count(&p, 100, 90);
    for (unsigned i = 0; i < 40000; i++) {
        now_ns += property_below(&r, 100 * NS_PER_US);
        if (property_below(&r, 10) == 0)
            plain_service_passed(&p, &conns[0], true, now_ns);
        else
            plain_service_answered(&p, &conns[1 + property_below(&r, 30)], 1, true, now_ns);
    }
    assert_int_equal(p.state, PLAIN_YES);
}

/* A publisher inside CURVE: few messages come to it, and much goes out to each client that has sent one. */
static void who_says_more_than_it_is_asked_is_no_plain_service(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    uint64_t now_ns = NS_PER_S;
    for (unsigned i = 0; i < 200; i++) {
        now_ns = drive(&p, 1, 0, true, true, now_ns);
        plain_service_count(&p, 0, 1);
    }
    assert_int_equal(p.state, PLAIN_NO);
}

static void a_gate_that_is_too_fast_stays_unknown(void **state)
{
    struct plain_service p;
    plain_service_init(&p);
    uint64_t now_ns = NS_PER_S;
    for (unsigned i = 0; i < 100000; i++, now_ns += NS_PER_US) {
        plain_service_passed(&p, &conns[i % 64], true, now_ns);
        plain_service_count(&p, 1, 1);
        plain_service_answered(&p, &conns[(i + 7) % 64], 1, true, now_ns);
    }
    assert_int_equal(p.state, PLAIN_UNKNOWN);
}

/* More answers than are remembered in each window: the state stays unknown, and the gate counts as too fast. */
static void one_that_is_too_fast_says_so(void **state)
{
    struct plain_service p;
    uint64_t now_ns = NS_PER_S;
    plain_service_init(&p);
    for (unsigned n = 0; n < 20000; n++, now_ns += 20 * NS_PER_US) {
        plain_service_passed(&p, &p, true, now_ns);
        plain_service_answered(&p, &now_ns, 16, true, now_ns + NS_PER_US);
    }
    assert_int_equal(p.state, PLAIN_UNKNOWN);
    assert_true(plain_service_is_overrun(&p));
    for (unsigned n = 0; n < 200; n++, now_ns += NS_PER_MS) {
        plain_service_passed(&p, &p, true, now_ns);
        plain_service_answered(&p, &p, 1, true, now_ns + 50 * NS_PER_US);
    }
    assert_false(plain_service_is_overrun(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_on_its_own_connection_is_plain),
        cmocka_unit_test(messages_to_others_are_no_plain_service),
        cmocka_unit_test(what_is_not_answered_is_not_plain),
        cmocka_unit_test(nothing_is_learned_while_somebody_waits),
        cmocka_unit_test(independent_answers_are_no_sign),
        cmocka_unit_test(who_says_more_than_it_is_asked_is_no_plain_service),
        cmocka_unit_test(a_gate_that_is_too_fast_stays_unknown),
        cmocka_unit_test(one_that_is_too_fast_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
