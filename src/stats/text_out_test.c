/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/text_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void keeps_what_is_written(void **state)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 1 << 20);
    for (unsigned i = 0; i < 20000; i++) {
        text_out_u64(&o, i % 10);
        text_out_str(&o, "ab");
    }
    char *text = text_out_take(&o, &len);
    assert_non_null(text);
    assert_int_equal(len, 60000);
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(text[3 * i], '0' + i % 10);
        assert_memory_equal(text + 3 * i + 1, "ab", 2);
    }
    free(text);
}

static void numbers_to_the_last(void **state)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 100);
    text_out_u64(&o, 0);
    text_out_str(&o, " ");
    text_out_u64(&o, UINT64_MAX);
    char *text = text_out_take(&o, &len);
    assert_int_equal(len, strlen("0 18446744073709551615"));
    assert_memory_equal(text, "0 18446744073709551615", len);
    free(text);
}

/* The cap holds to the byte, whatever the pieces; what fails stays failed, also for what would still fit. */
static void cap_is_exact_and_failure_sticks(void **state)
{
    static const char filler[10000];

    for (size_t max = 0; max < 9000; max += 1 + max / 7) {
        for (size_t over = 0; over < 2; over++) {
            struct text_out o;
            size_t len = 12345;

            text_out_init(&o, max);
            text_out_bytes(&o, filler, max / 3);
            text_out_bytes(&o, filler, max - max / 3 + over);
            text_out_bytes(&o, filler, 0);
            assert_true(o.room <= max);
            if (over)
                text_out_str(&o, "");
            char *text = text_out_take(&o, &len);
            if (over) {
                assert_null(text);
                assert_int_equal(len, 12345);
            } else {
                assert_non_null(text);
                assert_int_equal(len, max);
            }
            free(text);
        }
    }
}

static void failure_takes_no_more(void **state)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 10);
    text_out_str(&o, "12345");
    text_out_str(&o, "123456");
    assert_true(o.failed);
    text_out_str(&o, "1");
    assert_int_equal(o.len, 0);
    assert_null(text_out_take(&o, &len));

    text_out_str(&o, "anew"); /* taking begins anew */
    char *text = text_out_take(&o, &len);
    assert_int_equal(len, 4);
    free(text);
}

/* Under AddressSanitizer: let malloc() fail as it does without. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void memory_failure_is_no_crash(void **state)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, SIZE_MAX);
    text_out_str(&o, "x");
    size_t huge = SIZE_MAX / 2; /* no address space has it, so realloc() must say no; nothing is read */
    text_out_bytes(&o, "x", huge);
    assert_true(o.failed);
    assert_null(text_out_take(&o, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_written),           cmocka_unit_test(numbers_to_the_last),
        cmocka_unit_test(cap_is_exact_and_failure_sticks), cmocka_unit_test(failure_takes_no_more),
        cmocka_unit_test(memory_failure_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
