/* SPDX-License-Identifier: MPL-2.0 */
/* Whole files: the values that are read, and the whole sentence for each mistake, with its place. */
#include "config/config_testing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define GATE "gates: [{listen: 'tcp://127.0.0.1:5555', forward: 'tcp://127.0.0.1:5556'}]\n"

static void refused(const char *text, const char *said)
{
    struct reading r = reading_of(text);
    assert_null(r.config);
    assert_string_equal(r.said, said);
    reading_free(&r);
}

static void test_the_smallest_file(void **state)
{
    struct reading r = reading_of("gates:\n"
                                  "  - listen: tcp://127.0.0.1:5555\n"
                                  "    forward: ipc:///run/app\n");
    assert_string_equal(r.said, "");
    assert_non_null(r.config);
    assert_int_equal(r.config->gate_count, 1);
    assert_string_equal(r.config->gates[0].name, "main");
    assert_string_equal(r.config->gates[0].listen_text, "tcp://127.0.0.1:5555");
    assert_string_equal(r.config->gates[0].forward_text, "ipc:///run/app");
    assert_int_equal(r.config->gates[0].limits.connections.max, 960);
    assert_int_equal(r.config->gates[0].limits.subscriptions.messages.rate.burst, 1000);
    assert_false(r.config->admin.enabled);
    reading_free(&r);
}

static void test_everything_given(void **state)
{
    struct reading r = reading_of("# a comment\n"
                                  "admin: {listen: '127.0.0.1:9700'}\n"
                                  "workers: 2\n"
                                  "memory: 64MiB\n"
                                  "sources: 4096\n"
                                  "drain: 1m\n"
                                  "log: {level: debug}\n"
                                  "gates:\n"
                                  "  - name: orders\n"
                                  "    listen: tcp://127.0.0.1:5555\n"
                                  "    forward: ipc:///run/orders\n"
                                  "    socket: router\n"
                                  "    zmtp2: true\n"
                                  "    connections: {max: 50, half_open: 10}\n"
                                  "    source:\n"
                                  "      messages: {rate: 500/s, burst: 1000, over: drop}\n"
                                  "      bytes: {rate: 10MiB/s}\n"
                                  "      connections: {max: 5, rate: 20/s}\n"
                                  "  - name: news\n"
                                  "    listen: tcp://127.0.0.1:5557\n"
                                  "    forward: ipc:///run/news\n"
                                  "    subscriptions: {messages: {rate: 10/m}}\n");
    assert_string_equal(r.said, "");
    assert_non_null(r.config);
    const struct config *c = r.config;
    assert_string_equal(c->admin.text, "127.0.0.1:9700");
    assert_int_equal(c->workers, 2);
    assert_int_equal(c->memory_bytes, 64 << 20);
    assert_int_equal(c->sources, 4096);
    assert_int_equal(c->drain_ns, 60 * NS_PER_S);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->gate_count, 2);
    const struct config_gate *g = &c->gates[0];
    assert_string_equal(g->name, "orders");
    assert_int_equal(g->socket, SOCKET_ROUTER);
    assert_true(g->zmtp2);
    assert_int_equal(g->limits.connections.max, 50);
    assert_int_equal(g->limits.source.messages.rate.count, 500);
    assert_int_equal(g->limits.source.messages.rate.burst, 1000);
    assert_int_equal(g->limits.source.messages.over, ACTION_DROP);
    assert_int_equal(g->limits.source.bytes.rate.burst, 10 << 20); /* one second's worth */
    assert_int_equal(g->limits.source.connections, 5);
    assert_string_equal(c->gates[1].name, "news");
    assert_int_equal(c->gates[1].socket, SOCKET_AUTO);
    assert_int_equal(c->gates[1].limits.subscriptions.messages.rate.period_ns, 60 * NS_PER_S);
    reading_free(&r);
}

static void test_sections_may_be_empty(void **state)
{
    struct reading r = reading_of("log:\n"
                                  "gates:\n"
                                  "  - listen: tcp://127.0.0.1:5555\n"
                                  "    forward: ipc:///run/app\n"
                                  "    message:\n"
                                  "      # size: 1MiB\n"
                                  "    source: {messages: }\n");
    assert_string_equal(r.said, "");
    assert_non_null(r.config);
    reading_free(&r);
}

/* One of each kind, all of them found in one run. */
static void test_every_mistake_in_one_run(void **state)
{
    refused("worker: 3\n"
            "workers: 65\n"
            "log:\n"
            "  level: loud\n"
            "gates:\n"
            "  - name: bad name\n"
            "    listen: tcp://127.0.0.1:5555\n"
            "    mesage: {size: 1MiB, x: [1, {y: 2}]}\n"
            "    message:\n"
            "      frame: 64XB\n"
            "      hold: 8KiB\n"
            "      hold: 1MiB\n"
            "      size: [1, 2]\n"
            "      complete_within: 5\n"
            "    source:\n"
            "      connections: 3\n"
            "    zmtp2:\n"
            "  - just text\n"
            "  - {name: b, listen: foo, forward: tcp://127.0.0.1:0}\n",
            "weir.yaml:1:1: unknown key in the file: \"worker\", did you mean \"workers\"?\n"
            "weir.yaml:2:10: workers is too large: \"65\", allowed 0 to 64\n"
            "weir.yaml:4:10: log.level has no such choice: \"loud\", allowed error, warn, info or debug\n"
            "weir.yaml:6:11: name is not a name: \"bad name\", allowed 1 to 32 of A-Z a-z 0-9 _ -\n"
            "weir.yaml:8:5: unknown key in a gate: \"mesage\", did you mean \"message\"?\n"
            "weir.yaml:10:14: message.frame is not a size: \"64XB\", allowed 256B to 1024GiB, such as 64KiB; units: B, "
            "kB, MB, GB (of 1000), KiB, MiB, GiB (of 1024)\n"
            "weir.yaml:12:7: message.hold is given twice: again here, first at line 11\n"
            "weir.yaml:12:13: message.hold is too large: \"1MiB\", allowed 4KiB to 512KiB\n"
            "weir.yaml:13:13: message.size is not a size: a list, allowed 256B to 1024GiB\n"
            "weir.yaml:14:24: message.complete_within is not a duration: \"5\", allowed 100ms to 1d, such as 5s; "
            "units: ms, s, m, h, d\n"
            "weir.yaml:16:20: source.connections is not a section: a single value, allowed a mapping with keys such as "
            "source.connections.max\n"
            "weir.yaml:17:11: zmtp2 is not true or false: nothing, allowed true or false\n"
            "weir.yaml:6:5: forward is missing: every gate needs one, allowed tcp://HOST:PORT or ipc://PATH\n"
            "weir.yaml:18:5: a gate is not a mapping: a single value, allowed keys such as listen and forward\n"
            "weir.yaml:19:23: listen is not an endpoint: \"foo\" (an endpoint begins with tcp:// or ipc://), allowed "
            "tcp://HOST:PORT or ipc://PATH\n"
            "weir.yaml:19:37: forward is not an endpoint: \"tcp://127.0.0.1:0\" (the port must be a number from 1 to "
            "65535), allowed tcp://HOST:PORT or ipc://PATH\n");
}

static void test_unknown_keys_are_helped(void **state)
{
    refused(GATE "name: x\n", "weir.yaml:2:1: unknown key in the file: \"name\", it belongs to a gate (an item of "
                              "\"gates\")\n");
    refused(GATE "gate: []\n", "weir.yaml:2:1: unknown key in the file: \"gate\", did you mean \"gates\"?\n");
    refused("gates:\n- listen: 'tcp://127.0.0.1:5555'\n  forward: ipc:///run/app\n  handshake: {zmtp2: true}\n",
            "weir.yaml:4:15: unknown key in handshake: \"zmtp2\", it belongs to a gate (an item of \"gates\") itself, "
            "beside "
            "\"handshake\"\n");
    refused(GATE "colour: x\n", "weir.yaml:2:1: unknown key in the file: \"colour\"\n");
    refused("gates:\n"
            "- listen: tcp://127.0.0.1:5555\n"
            "  forward: ipc:///run/app\n"
            "  message.size: 1\n"
            "  memory: 1\n"
            "  topic: 1\n"
            "  source: {messages.rate: 1, message: {rate: 1}}\n"
            "  \"\": 1\n"
            "  \"a\\0b\": 1\n"
            "  \"size\\0\": 1\n",
            "weir.yaml:4:3: unknown key in a gate: \"message.size\", did you mean \"size\" inside \"message\"?\n"
            "weir.yaml:5:3: unknown key in a gate: \"memory\", it belongs to the top level\n"
            "weir.yaml:6:3: unknown key in a gate: \"topic\", did you mean subscriptions.topic?\n"
            "weir.yaml:7:12: unknown key in source: \"messages.rate\", did you mean \"rate\" inside \"messages\"?\n"
            "weir.yaml:7:30: unknown key in source: \"message\", did you mean \"messages\"?\n"
            "weir.yaml:8:3: unknown key in a gate: \"\"\n"
            "weir.yaml:9:3: a key is not a word: a single value, allowed the names in weir help config\n"
            "weir.yaml:10:3: a key is not a word: a single value, allowed the names in weir help config\n");
}

/* A key that exists elsewhere is said to, before words that merely look alike. */
static void test_keys_of_another_level(void **state)
{
    refused("listen: x\n"
            "strikes: 3\n"
            "ban: {strikes: 3}\n"
            "gates:\n"
            "- listen: tcp://127.0.0.1:5555\n"
            "  forward: ipc:///run/app\n"
            "  rate: 5/s\n"
            "  messages: {rate: 5/s}\n"
            "  message: {rate: 5/s, max: 1}\n"
            "  source: {rate: 5/s, max: 5}\n"
            "  ban: {lists: []}\n"
            "  sources: {}\n"
            "  bytes: 1\n"
            "  token_file: /x\n",
            "weir.yaml:1:1: unknown key in the file: \"listen\", it belongs to a gate (an item of \"gates\")\n"
            "weir.yaml:2:1: unknown key in the file: \"strikes\", did you mean ban.strikes of a gate (an item of "
            "\"gates\")?\n"
            "weir.yaml:3:7: unknown key in ban: \"strikes\", ban.strikes belongs to a gate (an item of \"gates\")\n"
            "weir.yaml:7:3: unknown key in a gate: \"rate\", did you mean source.messages.rate?\n"
            "weir.yaml:8:3: unknown key in a gate: \"messages\", did you mean source.messages?\n"
            "weir.yaml:9:13: unknown key in message: \"rate\", did you mean source.messages.rate?\n"
            "weir.yaml:9:24: unknown key in message: \"max\", did you mean connections.max?\n"
            "weir.yaml:10:12: unknown key in source: \"rate\", did you mean source.messages.rate?\n"
            "weir.yaml:10:23: unknown key in source: \"max\", did you mean source.connections.max?\n"
            "weir.yaml:11:9: unknown key in ban: \"lists\", ban.lists belongs to the top level\n"
            "weir.yaml:12:3: unknown key in a gate: \"sources\", did you mean \"source\"? (sources belongs to the top "
            "level)\n"
            "weir.yaml:13:3: unknown key in a gate: \"bytes\", did you mean source.bytes?\n"
            "weir.yaml:14:3: unknown key in a gate: \"token_file\", did you mean admin.token_file of the top level?\n");
}

static void test_keys_given_twice(void **state)
{
    refused("drain: 1s\n"
            "drain: 2s\n"
            "log: {level: info}\n"
            "log: {level: info}\n" GATE "gates: []\n",
            "weir.yaml:2:1: drain is given twice: again here, first at line 1\n"
            "weir.yaml:4:1: log is given twice: again here, first at line 3\n"
            "weir.yaml:6:8: gates is given twice: again here, first at line 5\n");
}

static void test_what_expands_is_refused(void **state)
{
    refused("gates:\n"
            "- &gate\n"
            "  listen: &l tcp://127.0.0.1:5555\n"
            "  forward: !!str ipc:///run/app\n"
            "  name: a\n"
            "- *gate\n"
            "- {name: b, listen: *l, forward: 'ipc:///x', message: *m, *k : 1}\n",
            "weir.yaml:2:3: anchors are not allowed: \"gate\", write the value itself where it belongs\n"
            "weir.yaml:3:11: anchors are not allowed: \"l\", write the value itself where it belongs\n"
            "weir.yaml:4:12: tags are not allowed: \"tag:yaml.org,2002:str\", write the value itself where it belongs\n"
            "weir.yaml:6:3: aliases are not allowed: \"gate\", write the value itself where it belongs\n"
            "weir.yaml:7:21: aliases are not allowed: \"l\", write the value itself where it belongs\n"
            "weir.yaml:7:55: aliases are not allowed: \"m\", write the value itself where it belongs\n"
            "weir.yaml:7:59: aliases are not allowed: \"k\", write the value itself where it belongs\n");
}

/* The "billion laughs": nothing is expanded, so the cost is that of the file. */
static void test_alias_bomb(void **state)
{
    char text[8192] = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 40; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    struct reading r = reading_of(text);
    unsigned aliases = 0;
    assert_null(r.config);
    for (const char *at = r.said; (at = strstr(at, "aliases are not allowed")); at++)
        aliases++;
    assert_int_equal(aliases, 39 * 7);
    reading_free(&r);
}

static void test_depth_bomb(void **state)
{
    size_t depth = 500000;
    char *text = malloc(depth + 8);
    assert_non_null(text);
    memcpy(text, "x: ", 3);
    for (size_t i = 0; i < depth; i++)
        text[3 + i] = i % 40 == 39 ? '\n' : '[';
    struct reading r = reading_of_bytes(text, depth + 3);
    assert_null(r.config);
    assert_string_equal(r.said, "weir.yaml:1:1: unknown key in the file: \"x\"\n"
                                "weir.yaml:1:11: nested too deeply: 9 levels, allowed 8\n");
    reading_free(&r);
    free(text);
    refused("x: {a: {a: {a: {a: {a: {a: {}}}}}}}\n", "weir.yaml:1:1: unknown key in the file: \"x\"\n"
                                                     "weir.yaml:1:1: gates is missing: 0 gates, allowed 1 to 64\n");
}

static void test_broken_text(void **state)
{
    refused("gates: [\n",
            "weir.yaml:2:1: not valid YAML: did not find expected node content (while parsing a flow node at "
            "line 2)\n");
    refused("workers: 99\ngates:\n\t- x\n",
            "weir.yaml:1:10: workers is too large: \"99\", allowed 0 to 64\n"
            "weir.yaml:3:1: not valid YAML: found character that cannot start any token (while scanning for the next "
            "token at line 3)\n");
    refused("workers: 1\nlog: {level: \"\xff\"}\n",
            "weir.yaml:2:15: not readable as text: invalid leading UTF-8 octet\n");
    refused("\x01", "weir.yaml:1:1: not readable as text: control characters are not allowed\n");
}

static void test_odd_files(void **state)
{
    refused("", "weir.yaml:1:1: gates is missing: 0 gates, allowed 1 to 64\n");
    refused("# nothing\n---\n", "weir.yaml:1:1: gates is missing: 0 gates, allowed 1 to 64\n");
    refused("- a\n", "weir.yaml:1:1: the file is not a mapping: a list, allowed keys such as gates\n");
    refused("hello\n", "weir.yaml:1:1: the file is not a mapping: a single value, allowed keys such as gates\n");
    refused("gates:\n",
            "weir.yaml:1:7: gates is not a list: nothing, allowed 1 to 64 items, each beginning with \"- \"\n");
    refused("gates: []\n", "weir.yaml:1:8: gates is empty: 0 gates, allowed 1 to 64\n");
    refused(GATE "---\nworkers: 2\n", "weir.yaml:2:1: a second document begins: \"---\", allowed one\n");
    refused(GATE "? {a: b}\n: {c: {d: e}}\n",
            "weir.yaml:2:3: a key is not a word: a mapping, allowed the names in weir help config\n");
    refused(GATE "log: {level: \"in\\0fo\"}\n",
            "weir.yaml:2:14: log.level holds a NUL character: \"in\\x00fo\", allowed "
            "error, warn, info or debug\n");
}

static char *many_gates(unsigned count)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    fprintf(f, "gates:\n");
    for (unsigned i = 0; i < count; i++)
        fprintf(f, "- {name: g%u, listen: 'ipc:///run/l%u', forward: 'ipc:///run/f%u'%s}\n", i, i, i,
                i == 64 ? ", workers: 1" : "");
    fclose(f);
    return text;
}

static void test_number_of_gates(void **state)
{
    char *text = many_gates(64);
    struct reading r = reading_of(text);
    assert_string_equal(r.said, "");
    assert_int_equal(r.config->gate_count, 64);
    assert_string_equal(r.config->gates[63].name, "g63");
    reading_free(&r);
    free(text);

    text = many_gates(65);
    refused(text, "weir.yaml:66:3: too many gates: number 65, allowed 64\n"
                  "weir.yaml:66:68: unknown key in a gate: \"workers\", it belongs to the top level\n");
    free(text);
}

/* ---- from the file system ---- */

static char *load(const char *path, struct config **ret)
{
    char *said;
    size_t len;
    FILE *out = open_memstream(&said, &len);
    assert_non_null(out);
    *ret = config_load(path, out);
    fclose(out);
    return said;
}

static void test_file_size(void **state)
{
    char path[] = "/tmp/weir-config-XXXXXX", expected[128];
    int fd = mkstemp(path);
    struct config *c;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, GATE "#", sizeof(GATE)), sizeof(GATE));
    char *spaces = malloc(CONFIG_BYTES_MAX);
    memset(spaces, ' ', CONFIG_BYTES_MAX);
    assert_int_equal(write(fd, spaces, CONFIG_BYTES_MAX - sizeof(GATE)), CONFIG_BYTES_MAX - sizeof(GATE));
    char *said = load(path, &c);
    assert_string_equal(said, "");
    assert_non_null(c);
    config_free(c);
    free(said);

    assert_int_equal(write(fd, spaces, 1), 1);
    said = load(path, &c);
    snprintf(expected, sizeof(expected), "%s: too large: more than 1048576 bytes, allowed up to 1MiB\n", path);
    assert_string_equal(said, expected);
    assert_null(c);
    free(said);
    free(spaces);
    close(fd);
    unlink(path);
}

static void test_files_that_cannot_be_read(void **state)
{
    struct config *c;
    char *said = load("/nonexistent/weir.yaml", &c);
    assert_null(c);
    assert_string_equal(said, "/nonexistent/weir.yaml: cannot be opened: No such file or directory\n");
    free(said);
    said = load("/tmp", &c);
    assert_null(c);
    assert_string_equal(said, "/tmp: cannot be read: Is a directory\n");
    free(said);
}

/* ---- from the command line ---- */

static char *from_args(const char *listen, const char *forward, const char *admin, struct config **ret)
{
    char *said;
    size_t len;
    FILE *out = open_memstream(&said, &len);
    assert_non_null(out);
    *ret = config_from_args(listen, forward, out);
    if (*ret && admin && config_set_admin(*ret, admin, out)) {
        config_free(*ret);
        *ret = NULL;
    }
    fclose(out);
    return said;
}

static void test_arguments(void **state)
{
    struct config *c;
    char *said = from_args("tcp://127.0.0.1:*", "ipc:///run/app", "127.0.0.1:0", &c);
    assert_string_equal(said, "");
    assert_non_null(c);
    assert_int_equal(c->gate_count, 1);
    assert_string_equal(c->gates[0].name, "main");
    assert_int_equal(c->gates[0].limits.message.size_bytes, 256 << 20);
    assert_true(c->admin.enabled);
    assert_int_equal(c->drain_ns, 5 * NS_PER_S);
    config_free(c);
    free(said);
}

static void test_wrong_arguments(void **state)
{
    static const struct {
        const char *listen, *forward, *admin, *said;
    } cases[] = {
        {"x", "y", NULL,
         "weir: listen is not an endpoint: \"x\" (an endpoint begins with tcp:// or ipc://), allowed tcp://HOST:PORT "
         "or "
         "ipc://PATH\n"
         "weir: forward is not an endpoint: \"y\" (an endpoint begins with tcp:// or ipc://), allowed tcp://HOST:PORT "
         "or "
         "ipc://PATH\n"},
        {"ipc:///a", "ipc:///a", NULL,
         "weir: forward leads back to listen: ipc:///a, allowed the address of the application\n"},
        {"ipc:///a", "ipc:///b", "9700",
         "weir: admin.listen is not an address and port: \"9700\" (the address in front of the port is missing), "
         "allowed "
         "ADDRESS:PORT, such as 127.0.0.1:9700\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *c;
        char *said = from_args(cases[i].listen, cases[i].forward, cases[i].admin, &c);
        assert_string_equal(said, cases[i].said);
        assert_null(c);
        free(said);
    }
}

static void test_admin_argument_warns(void **state)
{
    struct config *c;
    char *said = from_args("ipc:///a", "ipc:///b", "*:9700", &c);
    assert_non_null(c);
    assert_string_equal(said, "weir: warning: admin.listen can be reached from other machines, and asks nobody for a "
                              "password: *:9700\n");
    config_free(c);
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_file),
        cmocka_unit_test(test_everything_given),
        cmocka_unit_test(test_sections_may_be_empty),
        cmocka_unit_test(test_every_mistake_in_one_run),
        cmocka_unit_test(test_unknown_keys_are_helped),
        cmocka_unit_test(test_keys_of_another_level),
        cmocka_unit_test(test_keys_given_twice),
        cmocka_unit_test(test_what_expands_is_refused),
        cmocka_unit_test(test_alias_bomb),
        cmocka_unit_test(test_depth_bomb),
        cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_odd_files),
        cmocka_unit_test(test_number_of_gates),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_admin_argument_warns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
