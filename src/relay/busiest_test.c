/* SPDX-License-Identifier: MPL-2.0 */
/* The busiest second of a gate, in virtual time. */
#include "relay/busiest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORKERS 2u

struct scene {
    struct gate *gate;
    struct busiest busiest;
    uint64_t now_ns;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    s->gate = calloc(1, sizeof(*s->gate));
    s->gate->cells = aligned_alloc(64, WORKERS * sizeof(*s->gate->cells));
    memset(s->gate->cells, 0, WORKERS * sizeof(*s->gate->cells));
    s->now_ns = 1000 * NS_PER_S;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    free(s->gate->cells);
    free(s->gate);
    free(s);
    return 0;
}

/* So much passes, on both workers, until the look at `after_ns`. */
static void pass(struct scene *s, uint64_t in, uint64_t out, uint64_t bytes_each, uint64_t after_ns)
{
    cell_add(&s->gate->cells[0], CELL_MESSAGES_IN, in / 2);
    cell_add(&s->gate->cells[1], CELL_MESSAGES_IN, in - in / 2);
    cell_add(&s->gate->cells[0], CELL_SENT_IN, in * bytes_each);
    cell_add(&s->gate->cells[1], CELL_MESSAGES_OUT, out);
    cell_add(&s->gate->cells[0], CELL_SENT_OUT, out * bytes_each);
    s->now_ns += after_ns;
    busiest_look(&s->busiest, s->gate, WORKERS, s->now_ns);
}

static uint64_t shown(const struct scene *s, enum metric_cell c)
{
    uint64_t cells[CELL_COUNT] = {0};
    busiest_report(&s->busiest, cells);
    return cells[c];
}

static void what_was_before_the_first_look_is_in_no_second(void **state)
{
    struct scene *s = *state;
    pass(s, 5000, 5000, 100, 0);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 0);
    assert_int_equal(shown(s, CELL_ACTIVE_IN), 0);
    pass(s, 300, 20, 100, NS_PER_S);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 300);
    assert_int_equal(shown(s, CELL_BUSIEST_OUT), 20);
    assert_int_equal(shown(s, CELL_ACTIVE_IN), 1);
}

static void the_busiest_stays_and_quiet_seconds_do_not_count(void **state)
{
    struct scene *s = *state;
    pass(s, 0, 0, 0, 0);
    pass(s, 40, 0, 10, NS_PER_S);
    pass(s, 700, 0, 10, NS_PER_S);
    pass(s, 0, 0, 10, NS_PER_S);
    pass(s, 90, 0, 10, NS_PER_S);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 700);
    assert_int_equal(shown(s, CELL_ACTIVE_IN), 3);
    assert_int_equal(shown(s, CELL_ACTIVE_OUT), 0);
}

/* A look that comes late sees a mean, and one that comes early waits for the next. */
static void a_second_is_a_second(void **state)
{
    struct scene *s = *state;
    pass(s, 0, 0, 0, 0);
    pass(s, 900, 0, 10, 3 * NS_PER_S);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 300);
    pass(s, 200, 0, 10, NS_PER_S / 10);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 300);
    pass(s, 210, 0, 10, 9 * NS_PER_S / 10);
    assert_int_equal(shown(s, CELL_BUSIEST_IN), 410);
    assert_int_equal(shown(s, CELL_ACTIVE_IN), 2);
}

static void the_size_is_the_mean_of_the_second_with_the_largest_messages(void **state)
{
    struct scene *s = *state;
    pass(s, 0, 0, 0, 0);
    pass(s, 1000, 100, 50, NS_PER_S);
    pass(s, BUSIEST_SIZED, BUSIEST_SIZED, 70000, NS_PER_S);
    pass(s, BUSIEST_SIZED - 1, BUSIEST_SIZED - 1, 900000, NS_PER_S);
    assert_int_equal(shown(s, CELL_HEAVIEST_IN), 70000);
    assert_int_equal(shown(s, CELL_HEAVIEST_OUT), 70000);
}

static void what_is_taken_and_what_each_connection_gets(void **state)
{
    struct scene *s = *state;
    pass(s, 0, 0, 0, 0);
    atomic_store(&s->gate->counts.established, 8);
    cell_add(&s->gate->cells[0], CELL_COUNTER_TAKEN, 250);
    pass(s, 300, 801, 10, NS_PER_S);
    atomic_store(&s->gate->counts.established, 2);
    cell_add(&s->gate->cells[0], CELL_COUNTER_TAKEN, 50);
    pass(s, 300, 20, 10, NS_PER_S);
    assert_int_equal(shown(s, CELL_BUSIEST_TAKEN), 250);
    assert_int_equal(shown(s, CELL_BUSIEST_EACH), 101);
    assert_int_equal(shown(s, CELL_CONNECTIONS_PEAK), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_before_the_first_look_is_in_no_second, setup, teardown),
        cmocka_unit_test_setup_teardown(the_busiest_stays_and_quiet_seconds_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_is_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(the_size_is_the_mean_of_the_second_with_the_largest_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_taken_and_what_each_connection_gets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
