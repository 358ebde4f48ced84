/* SPDX-License-Identifier: MPL-2.0 */
/* Where each value of a running gate comes from. */
#include "relay/gate_settings.h"

#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct gate_setting *found;
static size_t count;

static void look(struct fixture *s)
{
    free(found);
    found = calloc(GATE_SETTINGS_MOST, sizeof(*found));
    assert_non_null(found);
    count = gate_settings(&s->gate, fixture_gate(s)->policy, found);
    assert_in_range(count, 50, GATE_SETTINGS_MOST);
}

static const struct gate_setting *setting(const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (found[i].key && !strcmp(found[i].key, key))
            return &found[i];
    return NULL;
}

static void expect(const char *key, const char *value, enum setting_from from, const char *option)
{
    const struct gate_setting *s = setting(key);
    assert_non_null(s);
    assert_string_equal(s->value, value);
    assert_int_equal(s->from, from);
    if (option)
        assert_string_equal(s->option, option);
    else
        assert_null(s->option);
}

static const char *shown_only(const char *option)
{
    for (size_t i = 0; i < count; i++)
        if (!found[i].key && !strcmp(found[i].option, option))
            return found[i].value;
    return NULL;
}

static void mark_given(struct fixture *s, const char *key)
{
    size_t row = (size_t)(schema_find(&schema_gate, key) - schema_gate.keys);
    s->config->gates[0].given[row / 64] |= UINT64_C(1) << row % 64;
}

static void without_options_the_file_and_defaults_are_in_force(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    s.limits->message.frame_bytes = 1 << 20;
    mark_given(&s, "message.frame");
    fixture_start(&s);
    look(&s);
    expect("message.frame", "1MiB", SETTING_FROM_FILE, NULL);
    expect("handshake.within", "5s", SETTING_FROM_DEFAULT, NULL);
    expect("socket", "auto", SETTING_FROM_DEFAULT, NULL);
    expect("source.messages.burst", "unlimited", SETTING_FROM_DEFAULT, NULL);
    assert_null(setting("listen"));
    for (size_t i = 0; i < count; i++)
        assert_null(found[i].option);
    s.in_force->connections.max = 7;
    look(&s);
    expect("connections.max", "7", SETTING_FROM_DESCRIPTORS, NULL);
    fixture_fini(&s);
}

static void the_stricter_of_file_and_option_is_in_force(void **state)
{
    struct fixture s;
    struct socket_options o = {0};
    socket_options_set(&o, SOCKET_OPTION_TYPE, 6);
    socket_options_set(&o, SOCKET_OPTION_MAXMSGSIZE, 65536);
    socket_options_set(&o, SOCKET_OPTION_HANDSHAKE_IVL, 30000);
    socket_options_set(&o, SOCKET_OPTION_ROUTER_HANDOVER, 1);
    socket_options_set(&o, SOCKET_OPTION_RCVHWM, 77);
    socket_options_set(&o, SOCKET_OPTION_HEARTBEAT_IVL, 1000);
    socket_options_set(&o, SOCKET_OPTION_HEARTBEAT_TIMEOUT, 800);
    fixture_init(&s, NULL);
    s.config->gates[0].socket = SOCKET_ROUTER;
    mark_given(&s, "message.size");
    fixture_start(&s);
    told_take(&s.gate, &o);
    look(&s);
    expect("socket", "router", SETTING_FROM_OPTION, "ZMQ_TYPE");
    expect("message.frame", "64KiB", SETTING_FROM_OPTION, "ZMQ_MAXMSGSIZE");
    expect("message.size", "256MiB", SETTING_FROM_FILE, NULL);
    expect("handshake.within", "5s", SETTING_FROM_DEFAULT, NULL);
    expect("routing_ids.duplicates", "pass", SETTING_FROM_OPTION, "ZMQ_ROUTER_HANDOVER");
    assert_string_equal(shown_only("ZMQ_RCVHWM"), "77");
    assert_string_equal(shown_only("ZMQ_HANDSHAKE_IVL"), "30000");
    assert_null(shown_only("ZMQ_MAXMSGSIZE"));
    expect("heartbeat.max_pause", "400ms", SETTING_FROM_OPTION, "ZMQ_HEARTBEAT_TIMEOUT");
    expect("heartbeat.interval", "200ms", SETTING_FROM_DEFAULT, NULL);
    assert_string_equal(shown_only("ZMQ_HEARTBEAT_IVL"), "1000");
    assert_null(shown_only("ZMQ_HEARTBEAT_TTL"));
    mark_given(&s, "routing_ids.duplicates");
    look(&s);
    expect("routing_ids.duplicates", "refuse", SETTING_FROM_FILE, NULL);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_file_and_defaults_are_in_force),
        cmocka_unit_test(the_stricter_of_file_and_option_is_in_force),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(found);
    return failed;
}
