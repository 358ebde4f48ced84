/* SPDX-License-Identifier: MPL-2.0 */
/* The API's actions and answers, in front of a fake relay and a fake daemon. */
#include "admin/api.h"

#include "admin/fake_relay.h"
#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct relay relay;
static enum admin_reloaded reloaded;
static const char *reload_says;

static enum admin_reloaded fake_reload(void *context, char **ret_said)
{
    *ret_said = reload_says ? strdup(reload_says) : NULL;
    return reloaded;
}

static const struct admin_callbacks daemon_calls = {.reload = fake_reload};

static int setup(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    fake_relay_init(&relay, 2);
    fake_relay_begin_bans(&relay);
    reload_says = NULL;
    return 0;
}

static int teardown(void **state)
{
    bans_free(relay.bans);
    return 0;
}

/* Sends a request. Returns the document as text, in memory owned by the caller. `arg`: "name=value" or NULL. */
static char *ask(const char *method, const char *path, const char *arg, const char *body, unsigned *ret_status)
{
    struct api a = {
        .relay = &relay, .calls = &daemon_calls, .listener = {.kind = ADDR_V4, .port = 9700, .bytes = {127, 0, 0, 1}}};
    struct api_request q = {.method = method,
                            .path = path,
                            .body = body,
                            .len = strlen(body),
                            .from = {.kind = ADDR_V4, .port = 7, .bytes = {192, 0, 2, 99}}};
    struct api_reply reply;
    if (arg) {
        const char *value = strchr(arg, '=') + 1;
        q.args = (struct request_args){
            .count = 1,
            .at = {{.name = arg, .name_len = (size_t)(value - 1 - arg), .value = value, .value_len = strlen(value)}}};
    }
    api_answer(&a, &q, &reply);
    *ret_status = reply.status;
    assert_non_null(reply.document);
    char *text = json_dumps(reply.document, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(reply.document);
    return text;
}

static void expect(const char *method, const char *path, const char *arg, const char *body, unsigned status,
                   const char *holds)
{
    unsigned got;
    char *text = ask(method, path, arg, body, &got);
    if (got != status || !strstr(text, holds))
        print_error("%s %s %s %s: %u %s\n", method, path, arg ? arg : "", body, got, text);
    assert_int_equal(got, status);
    assert_non_null(strstr(text, holds));
    free(text);
}

static bool is_banned(const char *network)
{
    struct network n;
    struct addr a = {0};
    assert_int_equal(network_parse(&n, network, NULL), 0);
    a.kind = (enum addr_kind)n.kind;
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return bans_find(relay.bans, &a, clock_now_ns(), NULL);
}

static void paths_and_methods(void **state)
{
    static const struct {
        const char *path, *method;
        unsigned status;
        bool body;
        const char *allow;
    } cases[] = {
        {"/v1/bans", "GET", 0, false, NULL},
        {"/v1/bans", "PUT", 0, true, NULL},
        {"/v1/bans", "POST", 0, true, NULL},
        {"/v1/bans", "DELETE", 0, false, NULL},
        {"/v1/bans", "HEAD", 405, false, "GET, PUT, POST, DELETE"},
        {"/v1/sources", "GET", 0, false, NULL},
        {"/v1/sources", "POST", 405, false, "GET"},
        {"/v1/connections", "GET", 0, false, NULL},
        {"/v1/kick", "POST", 0, true, NULL},
        {"/v1/kick", "GET", 405, false, "POST"},
        {"/v1/reload", "POST", 0, true, NULL},
        {"/v1/reload", "reload", 405, false, "POST"},
        {"/v1/", "GET", 404, false, NULL},
        {"/v1/bans/", "GET", 404, false, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *allow = NULL;
        bool body = false;
        assert_true(api_owns(cases[i].path));
        assert_int_equal(api_check(cases[i].path, cases[i].method, &allow, &body), cases[i].status);
        assert_int_equal(body, cases[i].body);
        if (cases[i].allow)
            assert_string_equal(allow, cases[i].allow);
    }
    assert_false(api_owns("/metrics"));
    assert_false(api_owns("/v1"));
    expect("GET", "/v1/nothing", NULL, "", 404, "no such page");
}

static void bans_come_and_go(void **state)
{
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"203.0.113.0/24\", \"for\": \"10m\"}", 200,
           "{\"network\":\"203.0.113.0/24\",\"for\":\"10m\",\"until\":\"");
    assert_true(is_banned("203.0.113.7"));
    expect("POST", "/v1/bans", NULL, "{\"network\": \"uid:1000\", \"for\": \"forever\"}", 200,
           "{\"network\":\"uid:1000\",\"for\":\"forever\",\"until\":null}");
    expect("GET", "/v1/bans", NULL, "", 200, "\"network\":\"uid:1000\",\"banned\":true,\"reason\":\"operator\"");
    expect("GET", "/v1/bans", NULL, "", 200, "],\"next\":null}");
    expect("GET", "/v1/bans", "limit=8", "", 200, "],\"next\":");
    expect("GET", "/v1/bans", "cursor=4294967295", "", 200, "{\"bans\":[],\"next\":null}");
    expect("DELETE", "/v1/bans", "network=203.0.113.7", "", 404, "is banned as a part of 203.0.113.0/24: lift that");
    expect("DELETE", "/v1/bans", "network=203.0.0.0/16", "", 404, "203.0.0.0/16 is not banned");
    assert_true(is_banned("203.0.113.7"));
    expect("DELETE", "/v1/bans", "network=203.0.113.0/24", "", 200, "{\"network\":\"203.0.113.0/24\"}");
    assert_false(is_banned("203.0.113.7"));
    expect("DELETE", "/v1/bans", "network=203.0.113.0/24", "", 404, "is not banned");
    expect("DELETE", "/v1/bans", NULL, "", 400, "network is missing");
    expect("PUT", "/v1/bans", NULL, "{}", 400, "network is missing");
    expect("PUT", "/v1/bans", "a=b", "{\"network\": \"203.0.113.1\"}", 400, "an argument is not known");
    assert_false(is_banned("203.0.113.1"));
}

static void some_are_not_banned(void **state)
{
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"127.0.0.0/8\"}", 409, "the admin address or your own");
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"192.0.2.99\"}", 409, "the admin address or your own");
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"192.0.2.98\"}", 200, "192.0.2.98");
    relay.objection = "it is a friend";
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"203.0.113.1\"}", 409, "not banned: it is a friend");
    assert_false(is_banned("203.0.113.1"));
    assert_false(is_banned("127.0.0.1"));
}

static void lists_are_asked_of_the_workers(void **state)
{
    struct connection_row c = {.id = 769, .gate = 1, .socket = SOCKET_REQ};
    struct source_row s = {
        .text = "203.0.113.5", .gate = 0, .connections = 3, .addr = {.kind = ADDR_V4, .bytes = {203, 0, 113, 5}}};
    relay.found = (struct query_answer){.complete = true, .matched = 500, .count = 1, .rows.connections = &c};
    expect("GET", "/v1/connections", "gate=gate1", "", 200, "[{\"id\":769,\"gate\":\"gate1\"");
    assert_int_equal(relay.asked.kind, QUERY_CONNECTIONS);
    assert_int_equal(relay.asked.gate, 1);
    assert_int_equal(relay.asked.rows, REQUEST_ROWS_DEFAULT);
    assert_int_equal(relay.asked.network.kind, ADDR_NONE);
    expect("GET", "/v1/connections", "limit=1000", "", 200, "],\"matched\":500,\"complete\":true}");
    assert_int_equal(relay.asked.gate, QUERY_ALL);
    assert_int_equal(relay.asked.rows, 1000);
    expect("GET", "/v1/connections", "gate=gate2", "", 404, "there is no gate \\\"gate2\\\"");
    relay.found = (struct query_answer){.matched = 1, .count = 1, .rows.sources = &s};
    expect("GET", "/v1/sources", "network=203.0.113.0/24", "", 200, "{\"sources\":[{\"source\":\"203.0.113.5\",");
    assert_int_equal(relay.asked.kind, QUERY_SOURCES);
    assert_int_equal(relay.asked.network.bits, 24);
    expect("GET", "/v1/sources", NULL, "", 200, "\"complete\":false}");
    expect("GET", "/v1/sources", NULL, "", 200, "\"banned\":false");
    expect("PUT", "/v1/bans", NULL, "{\"network\": \"203.0.113.5\"}", 200, "until");
    expect("GET", "/v1/sources", NULL, "", 200, "\"banned\":true");
    expect("GET", "/v1/sources", "limit=1", "", 400, "limit is out of its range");
    relay.out_of_memory = true;
    expect("GET", "/v1/sources", NULL, "", 503, "out of memory");
}

static void kicks(void **state)
{
    relay.found = (struct query_answer){.complete = true, .matched = 3};
    expect("POST", "/v1/kick", NULL, "{\"network\": \"203.0.113.0/24\", \"gate\": \"gate0\"}", 200,
           "{\"closed\":3,\"complete\":true}");
    assert_int_equal(relay.asked.kind, QUERY_KICK);
    assert_int_equal(relay.asked.network.bits, 24);
    assert_int_equal(relay.asked.gate, 0);
    assert_int_equal(relay.asked.id, 0);
    expect("POST", "/v1/kick", NULL, "{\"connection\": 769}", 200, "\"closed\":3");
    assert_int_equal(relay.asked.id, 769);
    assert_int_equal(relay.asked.network.kind, ADDR_NONE);
    assert_int_equal(relay.asked.gate, QUERY_ALL);
    relay.found = (struct query_answer){.complete = true};
    expect("POST", "/v1/kick", NULL, "{\"connection\": 769}", 404, "connection 769: there is no such connection");
    relay.found = (struct query_answer){.complete = false};
    expect("POST", "/v1/kick", NULL, "{\"connection\": 769}", 200, "{\"closed\":0,\"complete\":false}");
    relay.asked = (struct query_ask){0};
    expect("POST", "/v1/kick", NULL, "{}", 400, "network or connection is missing");
    assert_int_equal(relay.asked.kind, QUERY_CONNECTIONS); /* no worker was asked */
    relay.out_of_memory = true;
    expect("POST", "/v1/kick", NULL, "{\"connection\": 769}", 503, "out of memory");
}

static void reloads(void **state)
{
    reloaded = ADMIN_RELOADED;
    reload_says = "reloaded: nothing changed\n";
    expect("POST", "/v1/reload", NULL, "", 200, "{\"reloaded\":true,\"lines\":[\"reloaded: nothing changed\"]}");
    reloaded = ADMIN_RELOAD_REFUSED;
    reload_says = "reload: \xff.yaml:1:2: wrong\n\nand more";
    expect("POST", "/v1/reload", NULL, "{}", 409, "\"lines\":[\"reload: \\\\xff.yaml:1:2: wrong\",\"and more\"]");
    reload_says = NULL;
    expect("POST", "/v1/reload", NULL, "", 409, "\"lines\":[]");
    reloaded = ADMIN_RELOAD_LATE;
    expect("POST", "/v1/reload", NULL, "", 504, "goes on");
    reloaded = ADMIN_RELOAD_ENDING;
    expect("POST", "/v1/reload", NULL, "", 503, "nothing is reloaded");
    expect("POST", "/v1/reload", NULL, "{\"a\": 1}", 400, "has members");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_and_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(bans_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(some_are_not_banned, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_are_asked_of_the_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(kicks, setup, teardown),
        cmocka_unit_test_setup_teardown(reloads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
