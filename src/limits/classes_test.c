/* SPDX-License-Identifier: MPL-2.0 */
/* The class of an address: by example, and against a search through all networks. */
#include "limits/classes.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct network net(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

/* An address is a network of all its bits. */
static struct addr addr(const char *text)
{
    struct network n = net(text);
    struct addr a = {.kind = (enum addr_kind)n.kind, .port = 5555};
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return a;
}

static void add(struct classes *c, unsigned class, const char *text)
{
    struct network n = net(text);
    classes_add_network(c, class, &n);
}

static void assert_class(const struct classes *c, const char *text, const char *name)
{
    struct addr a = addr(text);
    unsigned found = classes_find(c, &a);
    if (strcmp(c->at[found].name, name) != 0)
        fail_msg("%s is of class %s, not %s", text, c->at[found].name, name);
}

static void the_smallest_network_decides(void **state)
{
    struct classes *c = classes_new(8);
    assert_non_null(c);
    unsigned partners = classes_add(c, "partners", 4, 1), office = classes_add(c, "office", 2, 3);
    assert_int_equal(classes_add(c, "default", 7, 4), CLASS_DEFAULT);
    add(c, partners, "10.0.0.0/8");
    add(c, office, "10.1.0.0/16");
    add(c, partners, "10.1.2.0/24");
    add(c, office, "10.1.2.3");
    add(c, partners, "2001:db8::/32");
    add(c, office, "2001:db8:0:1::/64");
    add(c, office, "uid:1000");
    add(c, partners, "192.0.2.128/25");
    classes_settle(c);
    assert_int_equal(c->count, 3);
    assert_int_equal(c->at[CLASS_DEFAULT].weight, 7);
    assert_int_equal(c->at[CLASS_DEFAULT].priority, 4);
    assert_int_equal(c->at[partners].weight, 4);
    assert_int_equal(c->at[office].priority, 3);

    assert_class(c, "10.0.0.0", "partners");
    assert_class(c, "10.255.255.255", "partners");
    assert_class(c, "10.1.0.0", "office");
    assert_class(c, "10.1.2.2", "partners");
    assert_class(c, "10.1.2.3", "office");
    assert_class(c, "10.1.2.4", "partners");
    assert_class(c, "10.1.3.0", "office");
    assert_class(c, "10.2.0.0", "partners");
    assert_class(c, "9.255.255.255", "default");
    assert_class(c, "11.0.0.0", "default");
    assert_class(c, "192.0.2.127", "default");
    assert_class(c, "192.0.2.128", "partners");
    assert_class(c, "2001:db8:0:1:2:3:4:5", "office");
    assert_class(c, "2001:db8:0:2::", "partners");
    assert_class(c, "2001:db9::", "default");
    assert_class(c, "0a01:203::", "default"); /* the bytes of 10.1.2.3 */
    assert_class(c, "uid:1000", "office");
    assert_class(c, "uid:1001", "default");
    assert_int_equal(classes_find(c, &(struct addr){.kind = ADDR_NONE}), CLASS_DEFAULT);
    classes_free(c);
}

static void without_classes_all_are_of_the_default(void **state)
{
    struct addr a = addr("192.0.2.1");
    assert_int_equal(classes_find(NULL, &a), CLASS_DEFAULT);
    struct classes *c = classes_new(0);
    classes_settle(c);
    assert_int_equal(classes_find(c, &a), CLASS_DEFAULT);
    assert_string_equal(c->at[CLASS_DEFAULT].name, "default");
    assert_int_equal(c->at[CLASS_DEFAULT].weight, 1);
    assert_int_equal(c->at[CLASS_DEFAULT].priority, CLASS_PRIORITY_DEFAULT);
    classes_free(c);
    classes_free(NULL);
}

/* Few different bytes, so that networks hold one another often. */
static void any_bytes(struct property_rng *rng, uint8_t *bytes, unsigned len)
{
    static const uint8_t some[] = {0, 0, 0x80, 0xff};
    for (unsigned i = 0; i < len; i++)
        bytes[i] = property_below(rng, 8) ? some[property_below(rng, sizeof(some))] : (uint8_t)property_next(rng);
}

static bool any_network(struct property_rng *rng, struct network *ret)
{
    char text[NETWORK_TEXT_MAX];
    struct network n = {.kind = (uint8_t)(ADDR_V4 + property_below(rng, 3))};
    unsigned bits = n.kind == ADDR_V6 ? 128 : 32;
    n.bits = (uint8_t)(n.kind == ADDR_UID ? 32 : property_below(rng, bits + 1));
    any_bytes(rng, n.bytes, bits / 8);
    return network_parse(ret, network_format(text, sizeof(text), &n), NULL) != -22;
}

static unsigned slowly(const struct classes *c, const struct addr *a)
{
    const struct class_network *best = NULL;
    for (size_t i = 0; i < c->network_count; i++) {
        const struct class_network *n = &c->networks[i];
        if (network_contains(&n->network, a) && (!best || n->network.bits > best->network.bits))
            best = n;
    }
    return best ? best->class : CLASS_DEFAULT;
}

static bool is_there(const struct classes *c, const struct network *n)
{
    for (size_t i = 0; i < c->network_count; i++)
        if (network_compare(&c->networks[i].network, n) == 0)
            return true;
    return false;
}

static void any_table_finds_what_a_search_finds(void **state)
{
    struct property_rng rng = property_rng_new("classes");
    for (int run = 0; run < 300; run++) {
        struct classes *c = classes_new(200);
        for (unsigned i = 0; i < 1 + property_below(&rng, CLASSES_MAX); i++)
            classes_add(c, "x", 1, 1);
        for (uint64_t n = property_below(&rng, 200); n > 0; n--) {
            struct network one;
            if (any_network(&rng, &one) && !is_there(c, &one))
                classes_add_network(c, (unsigned)property_below(&rng, c->count), &one);
        }
        classes_settle(c);
        for (int i = 0; i < 300; i++) {
            struct addr a = {.kind = (enum addr_kind)property_below(&rng, 4)};
            any_bytes(&rng, a.bytes, a.kind == ADDR_V6 ? 16 : 4);
            assert_int_equal(classes_find(c, &a), slowly(c, &a));
        }
        classes_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_network_decides),
        cmocka_unit_test(without_classes_all_are_of_the_default),
        cmocka_unit_test(any_table_finds_what_a_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
