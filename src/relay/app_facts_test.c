/* SPDX-License-Identifier: MPL-2.0 */
/* What is known of an application: learned, believed for a while, and forgotten. */
#include "relay/app_facts.h"

#include "relay/gate_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define NOW (100 * NS_PER_S)

static struct gate_limiter limiter;

static const struct handshake_app shown = {.mechanism = MECHANISM_CURVE,
                                           .major = 3,
                                           .minor = 1,
                                           .as_server = true,
                                           .initiator = INITIATOR_CLIENT,
                                           .socket = SOCKET_ROUTER};

static struct app_facts *facts_new(enum socket_type configured)
{
    static struct app_facts f;
    const struct hash_key key = {{1}};
    memset(&f, 0, sizeof(f));
    memset(&limiter, 0, sizeof(limiter));
    assert_int_equal(gate_limiter_init(&limiter, &key, NOW), 0);
    app_facts_init(&f, configured, &limiter);
    return &f;
}

static void facts_free(void)
{
    gate_limiter_fini(&limiter);
}

static struct handshake_app facts_of(const struct app_facts *f, bool stands, uint64_t now_ns)
{
    struct handshake_app got;
    assert_true(app_facts_get(f, &got, stands, now_ns));
    return got;
}

static void nothing_is_known_at_first(void **state)
{
    struct handshake_app got;
    struct app_facts *f = facts_new(SOCKET_AUTO);
    assert_false(app_facts_get(f, &got, true, NOW));
    assert_int_equal(app_facts_socket(f), SOCKET_AUTO);
    facts_free();
}

static void a_greeting_is_kept_as_it_was(void **state)
{
    struct app_facts *f = facts_new(SOCKET_AUTO);
    app_facts_learn(f, &shown, NOW);
    struct handshake_app got = facts_of(f, true, NOW);
    assert_int_equal(got.mechanism, MECHANISM_CURVE);
    assert_int_equal(got.major, 3);
    assert_int_equal(got.minor, 1);
    assert_true(got.as_server);
    assert_int_equal(got.initiator, INITIATOR_CLIENT);
    assert_int_equal(got.socket, SOCKET_ROUTER);
    const struct handshake_app old = {.mechanism = MECHANISM_NULL, .major = 2};
    app_facts_learn(f, &old, NOW);
    got = facts_of(f, true, NOW);
    assert_int_equal(got.mechanism, MECHANISM_NULL);
    assert_int_equal(got.major, 2);
    assert_int_equal(got.minor, 0);
    assert_false(got.as_server);
    facts_free();
}

/* A connection that has shown its greeting only must not undo what an earlier one has shown. */
static void an_unknown_initiator_adds_nothing(void **state)
{
    struct app_facts *f = facts_new(SOCKET_AUTO);
    struct handshake_app greeting_only = shown, another = shown;
    greeting_only.initiator = another.initiator = INITIATOR_UNKNOWN;
    greeting_only.socket = another.socket = SOCKET_AUTO;
    another.minor = 0;
    app_facts_learn(f, &shown, NOW);
    app_facts_learn(f, &greeting_only, NOW);
    assert_int_equal(facts_of(f, true, NOW).initiator, INITIATOR_CLIENT);
    assert_int_equal(facts_of(f, true, NOW).socket, SOCKET_ROUTER);
    app_facts_learn(f, &another, NOW);
    assert_int_equal(facts_of(f, true, NOW).initiator, INITIATOR_UNKNOWN);
    facts_free();
}

static void the_initiator_is_forgotten_by_itself(void **state)
{
    struct app_facts *f = facts_new(SOCKET_AUTO);
    app_facts_learn(f, &shown, NOW);
    app_facts_forget_initiator(f);
    struct handshake_app got = facts_of(f, true, NOW);
    assert_int_equal(got.initiator, INITIATOR_UNKNOWN);
    assert_int_equal(got.mechanism, MECHANISM_CURVE);
    assert_int_equal(got.minor, 1);
    facts_free();
}

static void a_learned_type_is_believed_for_a_while_and_while_a_connection_stands(void **state)
{
    struct app_facts *f = facts_new(SOCKET_AUTO);
    app_facts_learn(f, &shown, NOW);
    assert_int_equal(facts_of(f, true, NOW + APP_FACTS_TYPE_NS - 1).socket, SOCKET_ROUTER);
    assert_int_equal(facts_of(f, true, NOW + APP_FACTS_TYPE_NS).socket, SOCKET_AUTO);
    assert_int_equal(facts_of(f, false, NOW).socket, SOCKET_AUTO);
    assert_int_equal(app_facts_socket(f), SOCKET_ROUTER); /* the last one seen */
    app_facts_learn(f, &shown, NOW + APP_FACTS_TYPE_NS);
    assert_int_equal(facts_of(f, true, NOW + APP_FACTS_TYPE_NS).socket, SOCKET_ROUTER);
    facts_free();
}

static void a_configured_type_is_believed_always(void **state)
{
    struct app_facts *f = facts_new(SOCKET_PULL);
    assert_int_equal(app_facts_socket(f), SOCKET_PULL);
    app_facts_learn(f, &shown, NOW); /* READY of a ROUTER */
    assert_int_equal(app_facts_socket(f), SOCKET_PULL);
    assert_int_equal(facts_of(f, false, NOW + 10 * APP_FACTS_TYPE_NS).socket, SOCKET_PULL);
    facts_free();
}

static void another_application_is_unknown(void **state)
{
    struct handshake_app got;
    struct app_facts *f = facts_new(SOCKET_AUTO);
    app_facts_learn(f, &shown, NOW);
    app_facts_forget(f, NOW);
    assert_false(app_facts_get(f, &got, true, NOW));
    assert_int_equal(app_facts_socket(f), SOCKET_AUTO);
    facts_free();
}

/* A REP answers each message on its connection; what is known of that ends with the REP. */
static void the_limiter_starts_over_with_another_type(void **state)
{
    struct app_facts *f = facts_new(SOCKET_AUTO);
    struct handshake_app rep = shown;
    rep.socket = SOCKET_REP;
    assert_int_equal(limiter.limit.plain.state, PLAIN_UNKNOWN);
    app_facts_learn(f, &rep, NOW);
    assert_int_equal(limiter.limit.plain.state, PLAIN_YES);
    limiter.limit.plain.state = PLAIN_NO;
    app_facts_learn(f, &rep, NOW);
    assert_int_equal(limiter.limit.plain.state, PLAIN_NO); /* the same type: nothing is forgotten */
    app_facts_learn(f, &shown, NOW);
    assert_int_equal(limiter.limit.plain.state, PLAIN_UNKNOWN);
    app_facts_learn(f, &rep, NOW);
    app_facts_forget(f, NOW);
    assert_int_equal(limiter.limit.plain.state, PLAIN_UNKNOWN);
    facts_free();
}

/* What libzmq says of the socket holds without any connection, until the application shows something else. */
static void what_was_told_holds_until_it_is_forgotten(void **state)
{
    struct handshake_app got, told = shown;
    struct app_facts *f = facts_new(SOCKET_AUTO);
    told.as_server = false;
    assert_false(app_facts_told(f));
    app_facts_tell(f, SOCKET_PULL, &told);
    assert_true(app_facts_told(f));
    got = facts_of(f, false, NOW);
    assert_int_equal(got.mechanism, MECHANISM_CURVE);
    assert_int_equal(got.initiator, INITIATOR_CLIENT);
    assert_int_equal(got.socket, SOCKET_PULL);
    app_facts_forget_initiator(f);
    assert_int_equal(facts_of(f, false, NOW).initiator, INITIATOR_CLIENT);
    assert_false(app_facts_shown(f, &got));
    app_facts_learn(f, &shown, NOW);
    assert_true(app_facts_shown(f, &got) && got.as_server);
    app_facts_forget(f, NOW);
    assert_false(app_facts_told(f) || app_facts_get(f, &got, true, NOW));
    app_facts_tell(f, SOCKET_AUTO, NULL);
    assert_false(app_facts_told(f));
    assert_int_equal(app_facts_socket(f), SOCKET_PULL); /* the last one seen */
    facts_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(a_greeting_is_kept_as_it_was),
        cmocka_unit_test(an_unknown_initiator_adds_nothing),
        cmocka_unit_test(the_initiator_is_forgotten_by_itself),
        cmocka_unit_test(a_learned_type_is_believed_for_a_while_and_while_a_connection_stands),
        cmocka_unit_test(a_configured_type_is_believed_always),
        cmocka_unit_test(another_application_is_unknown),
        cmocka_unit_test(the_limiter_starts_over_with_another_type),
        cmocka_unit_test(what_was_told_holds_until_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
