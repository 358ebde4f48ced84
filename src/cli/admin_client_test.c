/* SPDX-License-Identifier: MPL-2.0 */
/* HTTP answers as any server may send them, and which part of them reaches a terminal. */
#include "cli/admin_client.h"
#include "cli/ctl_show.h"
#include "cli/table.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void answers_are_taken_apart(void **state)
{
    static const struct {
        const char *bytes;
        unsigned status; /* 0: it is not valid */
        const char *body;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"},
        {"HTTP/1.0 404 Not Found\r\n\r\n", 404, ""},
        {"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length:\t 2\r\nZ: 9\r\n\r\n{}", 200, "{}"},
        {"HTTP/1.1 200 OK\r\nNot-Content-Length: 7\r\n\r\n{}", 200, "{}"},
        {"HTTP/1.1 200 OK\r\n\r\n{}\r\n\r\n", 200, "{}\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 99 OK\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 -20 OK\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 600 OK\r\n\r\n{}", 0, NULL},
        {"HTTP/1.1 200 OK\r\n", 0, NULL},
        {"HTTP/2.0 200 OK\r\n\r\n", 0, NULL},
        {"\r\n\r\n", 0, NULL},
        {"", 0, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned status = 0;
        const char *body = NULL;
        size_t len = 0;
        int r = admin_client_parse(cases[i].bytes, strlen(cases[i].bytes), &status, &body, &len);
        assert_int_equal(r, cases[i].status ? 0 : -1);
        assert_int_equal(status, cases[i].status);
        if (cases[i].body)
            assert_string_equal(body, cases[i].body);
    }
}

/* In memory of exactly its size, cut at every length, and changed at random: no overrun, and the body lies within. */
static void any_bytes(void **state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    static const char marks[] = "\r\n: 0129\0L";
    struct property_rng rng = property_rng_new("any_bytes");
    for (int i = 0; i < 50000; i++) {
        size_t len = property_below(&rng, 3) ? sizeof(answer) - 1 : property_below(&rng, sizeof(answer));
        char *bytes = malloc(len + 1);
        unsigned status;
        const char *body;
        size_t body_len;
        memcpy(bytes, answer, len);
        bytes[len] = '\0';
        for (uint64_t n = property_below(&rng, 4); n && len; n--)
            bytes[property_below(&rng, len)] =
                property_below(&rng, 2) ? (char)property_next(&rng) : marks[property_below(&rng, sizeof(marks) - 1)];
        if (admin_client_parse(bytes, len, &status, &body, &body_len) == 0) {
            assert_in_range(status, 100, 599);
            assert_true(body >= bytes && body + body_len == bytes + len);
        }
        free(bytes);
    }
}

/* ---- tables ---- */

static char *shown(bool (*show)(const json_t *rows, FILE *out), json_t *rows)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_true(show(rows, out));
    fclose(out);
    json_decref(rows);
    return text;
}

static void tables_line_up(void **state)
{
    static const char *const heads[] = {"A", "NUMBER", "LAST"};
    static const char *const cells[] = {"long one", "1", "x", "b", "1000000", "y\x1b[2J\xc2\x9b", "not a whole row"};
    struct table t;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    table_init(&t, heads, 3);
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        table_put(&t, cells[i]);
    assert_true(table_print(&t, 1u << 1, out));
    fclose(out);
    assert_string_equal(text, "A          NUMBER  LAST\n"
                              "long one        1  x\n"
                              "b         1000000  y?[2J??\n");
    free(text);
}

static void amounts(void **state)
{
    static const struct {
        uint64_t n;
        const char *bytes, *seconds;
    } cases[] = {
        {0, "0 B", "0s"},
        {59, "59 B", "59s"},
        {60, "60 B", "1m00s"},
        {1023, "1023 B", "17m03s"},
        {1024, "1.0 KiB", "17m04s"},
        {3600, "3.5 KiB", "1h00m"},
        {86399, "84.4 KiB", "23h59m"},
        {86400, "84.4 KiB", "1d00h"},
        {1048575, "1.0 MiB", "12d03h"},
        {UINT64_MAX, "16.0 EiB", "213503982334601d07h"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(ctl_show_bytes(text, sizeof(text), cases[i].n), cases[i].bytes);
        assert_string_equal(ctl_show_seconds(text, sizeof(text), cases[i].n), cases[i].seconds);
    }
}

static json_t *random_value(struct property_rng *rng)
{
    char bytes[40];
    size_t len = property_below(rng, sizeof(bytes));
    switch (property_below(rng, 7)) {
    case 0:
        return json_integer((json_int_t)property_next(rng));
    case 1:
        return json_real((double)property_next(rng) * (property_below(rng, 2) ? -1e200 : 1e-3));
    case 2:
        return json_boolean(property_below(rng, 2));
    case 3:
        return json_pack("{s: [i]}", "messages_in", 1);
    case 4:
        return json_null();
    default:
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)property_below(rng, 0x80);
        return json_stringn_nocheck(bytes, len);
    }
}

/* Documents with the right names and arbitrary values. */
static void any_rows(void **state)
{
    static const char *const names[] = {
        "network",   "reason", "level",       "forever", "banned",      "seconds_left", "until",  "since",
        "source",    "gate",   "connections", "paused",  "strikes",     "traffic",      "exempt", "id",
        "probation", "peer",   "state",       "socket",  "age_seconds", "idle_seconds", "blocked"};
    bool (*const shows[])(const json_t *, FILE *) = {ctl_show_bans, ctl_show_sources, ctl_show_connections};
    struct property_rng rng = property_rng_new("any_rows");
    for (int i = 0; i < 3000; i++) {
        json_t *rows = json_array();
        size_t count = property_below(&rng, 4), lines = 0;
        for (size_t n = 0; n < count; n++) {
            json_t *row = json_object();
            for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
                if (property_below(&rng, 4))
                    json_object_set_new(row, names[k], random_value(&rng));
            json_array_append_new(rows, property_below(&rng, 8) ? row : json_pack("[o]", row));
        }
        char *text = shown(shows[i % 3], rows);
        for (const char *c = text; *c; c++) {
            assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
            lines += *c == '\n';
        }
        assert_int_equal(lines, count + 1);
        free(text);
    }
    char *none = shown(ctl_show_bans, json_integer(7)); /* not a list at all */
    assert_non_null(strstr(none, "NETWORK"));
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_taken_apart),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(tables_line_up),
        cmocka_unit_test(amounts),
        cmocka_unit_test(any_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
