/* SPDX-License-Identifier: MPL-2.0 */
/* Lists inside a gate: classes and their networks, and the whole sentence for each wrong one. */
#include "config/config_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Line 1; the classes stand from line 2 on. */
#define GATE "gates: [{listen: 'ipc:///a', forward: 'ipc:///b', classes: [\n"
#define END  "\n]}]\n"

static void refused(const char *text, const char *said)
{
    struct reading r = reading_of(text);
    assert_null(r.config);
    assert_string_equal(r.said, said);
    reading_free(&r);
}

static unsigned class_of(const struct config *c, const char *text)
{
    struct network n;
    struct addr a = {0};
    assert_int_equal(network_parse(&n, text, NULL), 0);
    a.kind = (enum addr_kind)n.kind;
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return classes_find(c->gates[0].class_table, &a);
}

static void test_classes(void **state)
{
    struct reading r =
        reading_of("gates:\n"
                   "  - listen: tcp://127.0.0.1:5555\n"
                   "    forward: ipc:///run/app\n"
                   "    classes:\n"
                   "      - name: partners\n"
                   "        match:\n"
                   "          networks: [198.51.100.0/24, '2001:db8::/32']\n"
                   "        weight: 4\n"
                   "        priority: 1\n"
                   "      - {name: default, priority: 3}\n"
                   "      - {name: batch, match: {networks: [198.51.100.128/25, uid:1000]}, priority: 4}\n");
    assert_string_equal(r.said, "");
    const struct config_gate *g = &r.config->gates[0];
    const struct classes *c = g->class_table;
    assert_int_equal(g->classes.count, 3);
    assert_int_equal(g->classes.at[0].networks.count, 2);
    assert_int_equal(g->classes.at[0].networks.at[1].line, 7);
    assert_int_equal(c->count, 3);
    assert_string_equal(c->at[0].name, "default");
    assert_int_equal(c->at[0].priority, 3);
    assert_int_equal(c->at[0].weight, 1);
    assert_string_equal(c->at[1].name, "partners");
    assert_int_equal(c->at[1].priority, 1);
    assert_int_equal(c->at[1].weight, 4);
    assert_string_equal(c->at[2].name, "batch");
    assert_int_equal(class_of(r.config, "198.51.100.1"), 1);
    assert_int_equal(class_of(r.config, "198.51.100.200"), 2);
    assert_int_equal(class_of(r.config, "2001:db8::9"), 1);
    assert_int_equal(class_of(r.config, "uid:1000"), 2);
    assert_int_equal(class_of(r.config, "192.0.2.1"), CLASS_DEFAULT);
    reading_free(&r);
}

static void test_no_classes(void **state)
{
    struct reading r = reading_of(GATE END);
    assert_string_equal(r.said, "");
    assert_null(r.config->gates[0].class_table);
    assert_int_equal(class_of(r.config, "192.0.2.1"), CLASS_DEFAULT);
    reading_free(&r);
}

static void test_wrong_classes(void **state)
{
    refused(
        GATE "{name: a, match: {networks: [10.0.0.0/8]}},\n"
             "{name: a, match: {networks: [10.0.0.0/9]}, weight: 101},\n"
             "{match: {networks: [10.0.0.0/10]}, priority: 5},\n"
             "{name: b},\n"
             "{name: default, match: {networks: [10.0.0.0/11]}},\n"
             "c, [d]" END,
        "weir.yaml:3:52: weight is too large: \"101\", allowed 1 to 100\n"
        "weir.yaml:4:46: priority is too large: \"5\", allowed 1 to 4\n"
        "weir.yaml:4:1: name is missing: every class needs one, allowed 1 to 32 of A-Z a-z 0-9 _ -\n"
        "weir.yaml:5:1: match.networks is missing: every class but default needs it, allowed a list of ADDRESS/PREFIX, "
        "ADDRESS or uid:NUMBER\n"
        "weir.yaml:6:35: match.networks is given for the class default: it is the class of all that match no other, "
        "allowed weight and priority\n"
        "weir.yaml:7:1: a class is not a mapping: a single value, allowed keys such as name\n"
        "weir.yaml:7:4: a class is not a mapping: a list, allowed keys such as name\n"
        "weir.yaml:3:8: name is not unique: \"a\", also the class at line 2\n");
}

static void test_unknown_keys_of_a_class(void **state)
{
    refused(GATE "{name: a, match: {netwoks: [uid:1]}, match: {networks: [uid:1]}, weigth: 2, size: 1, sources: 3}" END,
            "weir.yaml:2:19: unknown key in match: \"netwoks\", did you mean \"networks\"?\n"
            "weir.yaml:2:38: match is given twice: again here, first at line 2\n"
            "weir.yaml:2:66: unknown key in a class: \"weigth\", did you mean \"weight\"?\n"
            "weir.yaml:2:77: unknown key in a class: \"size\", did you mean message.size of a gate (an item of "
            "\"gates\")?\n"
            "weir.yaml:2:86: unknown key in a class: \"sources\", it belongs to the top level\n");
}

static void test_wrong_networks(void **state)
{
    refused(
        GATE "{name: a, match: {networks: [10.0.0.0/8, 10.0.0.1/8, x, [y], {z: 1}, '', '\\0', 10.0.0.0/8]}},\n"
             "{name: b, match: {networks: ['2001:db8::/129', uid:-1]}},\n"
             "{name: c, match: {networks: []}},\n"
             "{name: d, match: {networks: 10.0.0.0/9}},\n"
             "{name: e, match: {networks: [\"\\0\", 10.0.0.0/8]}}" END,
        "weir.yaml:2:42: match.networks is not a network: \"10.0.0.1/8\" (bits are set behind the prefix; "
        "the network "
        "is "
        "10.0.0.0/8), allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:2:54: match.networks is not a network: \"x\" (an address is written 192.0.2.0, 2001:db8:: or "
        "uid:1000), allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:2:57: match.networks is not a network: a list, allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:2:62: match.networks is not a network: a mapping, allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:2:70: match.networks is not a network: \"\" (an address is written 192.0.2.0, 2001:db8:: or "
        "uid:1000), allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:2:74: match.networks is not a network: \"\\x5c0\" (an address is written 192.0.2.0, 2001:db8:: or "
        "uid:1000), allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:3:30: match.networks is not a network: \"2001:db8::/129\" (the prefix of an IPv6 network is a "
        "number "
        "from 0 to 128), allowed ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:3:48: match.networks is not a network: \"uid:-1\" (a user id is a number, as in uid:1000), allowed "
        "ADDRESS/PREFIX, ADDRESS or uid:NUMBER\n"
        "weir.yaml:4:29: match.networks is empty: 0 items, allowed 1 to 256\n"
        "weir.yaml:5:29: match.networks is not a list: a single value, allowed 1 to 256 items, each beginning with \"- "
        "\"\n"
        "weir.yaml:6:30: match.networks holds a NUL character: \"\\x00\", allowed ADDRESS/PREFIX, ADDRESS or "
        "uid:NUMBER\n"
        "weir.yaml:2:80: match.networks has a network that is given before: 10.0.0.0/8, also at line 2, column 30\n"
        "weir.yaml:6:36: match.networks has a network that is given before: 10.0.0.0/8, also at line 2, column 80\n");
}

static void test_what_is_no_list(void **state)
{
    refused("gates: [{listen: 'ipc:///a', forward: 'ipc:///b', classes: {name: a}}]\n",
            "weir.yaml:1:60: classes is not a list: a mapping, allowed 0 to 32 items, each beginning with \"- \"\n");
    refused("gates: [{listen: 'ipc:///a', forward: 'ipc:///b', classes: [], classes: [{name: a, match: {networks: "
            "[uid:1]}}]}]\n",
            "weir.yaml:1:64: classes is given twice: again here, first at line 1\n");
    refused("gates: [{listen: 'ipc:///a', forward: 'ipc:///b', classes: &x []}]\n",
            "weir.yaml:1:60: anchors are not allowed: \"x\", write the value itself where it belongs\n");
}

/* The end of the file in the middle of a list. */
static void test_cut_short(void **state)
{
    refused(
        GATE "{name: a, match: {networks: [uid:1, uid:2",
        "weir.yaml:3:1: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence at line 2)\n");
}

/* The given number of classes, each with the given number of networks. */
static struct reading reading_of_crowd(unsigned classes, unsigned networks)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    fprintf(f, GATE);
    for (unsigned i = 0; i < classes; i++) {
        fprintf(f, "{name: c%u, match: {networks: [", i);
        for (unsigned n = 0; n < networks; n++)
            fprintf(f, "10.%u.%u.0/24,\n", i, n);
        fprintf(f, "]}},");
    }
    fprintf(f, END);
    fclose(f);
    struct reading r = reading_of(text);
    free(text);
    return r;
}

static void test_numbers_of_items(void **state)
{
    struct reading r = reading_of_crowd(CLASSES_MAX, CLASS_NETWORKS_MAX);
    assert_string_equal(r.said, "");
    assert_int_equal(r.config->gates[0].class_table->count, CLASSES_MAX + 1);
    assert_int_equal(class_of(r.config, "10.31.255.7"), 32);
    reading_free(&r);
    r = reading_of_crowd(CLASSES_MAX + 2, 1);
    assert_string_equal(r.said, "weir.yaml:34:5: classes has too many items: number 33, allowed 32\n");
    reading_free(&r);
    r = reading_of_crowd(1, CLASS_NETWORKS_MAX + 1);
    assert_string_equal(r.said, "weir.yaml:258:1: match.networks has too many items: number 257, allowed 256\n");
    reading_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),        cmocka_unit_test(test_no_classes),
        cmocka_unit_test(test_wrong_classes),  cmocka_unit_test(test_unknown_keys_of_a_class),
        cmocka_unit_test(test_wrong_networks), cmocka_unit_test(test_what_is_no_list),
        cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_numbers_of_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
