/* SPDX-License-Identifier: MPL-2.0 */
#include "config/suggest.h"

#include "base/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *nearest(const char *word)
{
    static const char *const known[] = {"message", "messages", "max", "memory", "half_open", "rate"};
    struct suggestion s = {0};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        suggest_offer(&s, word, known[i], strlen(known[i]));
    return s.best;
}

static void test_slips_of_the_hand(void **state)
{
    assert_string_equal(nearest("mesage"), "message");
    assert_string_equal(nearest("mesages"), "messages");
    assert_string_equal(nearest("messaeg"), "message");
    assert_string_equal(nearest("half-open"), "half_open");
    assert_null(nearest("xyz"));
    assert_string_equal(nearest("mx"), "max");
    assert_string_equal(nearest("memmory"), "memory");
}

static void test_the_rest_is_not_guessed(void **state)
{
    assert_null(nearest("colour"));
    assert_null(nearest(""));
    char *giant = malloc(1 << 20);
    assert_non_null(giant);
    memset(giant, 'm', (1 << 20) - 1);
    giant[(1 << 20) - 1] = '\0';
    assert_null(nearest(giant));
    free(giant);
}

/* The definition, without a table: exponential, for short words only. */
static unsigned oracle(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (!a_len || !b_len)
        return (unsigned)(a_len + b_len);
    unsigned best = oracle(a, a_len - 1, b, b_len - 1) + (a[a_len - 1] != b[b_len - 1]);
    unsigned deleted = oracle(a, a_len - 1, b, b_len) + 1, inserted = oracle(a, a_len, b, b_len - 1) + 1;
    best = deleted < best ? deleted : best;
    best = inserted < best ? inserted : best;
    if (a_len > 1 && b_len > 1 && a[a_len - 1] == b[b_len - 2] && a[a_len - 2] == b[b_len - 1]) {
        unsigned swapped = oracle(a, a_len - 2, b, b_len - 2) + 1;
        best = swapped < best ? swapped : best;
    }
    return best;
}

static void random_word(char word[static 8])
{
    size_t len = (size_t)rand() % 7;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)('a' + rand() % 3);
    word[len] = '\0';
}

static void test_distance_is_the_definition(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        char a[8], b[8];
        random_word(a);
        random_word(b);
        struct suggestion s = {0};
        suggest_offer(&s, a, b, strlen(b));
        unsigned d = oracle(a, strlen(a), b, strlen(b)), near_enough = strlen(a) < 4 ? 1 : 1 + (unsigned)strlen(a) / 4;
        assert_int_equal(s.best != NULL, d <= near_enough);
        if (s.best)
            assert_int_equal(s.distance, d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slips_of_the_hand),
        cmocka_unit_test(test_the_rest_is_not_guessed),
        cmocka_unit_test(test_distance_is_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
