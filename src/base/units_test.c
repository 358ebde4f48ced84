/* SPDX-License-Identifier: MPL-2.0 */
#include "base/units.h"

#include "base/property.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define UNTOUCHED 0xdeadbeefu

struct example {
    const char *text;
    int result;
    uint64_t value;
};

typedef int parser(const char *s, uint64_t *ret);

static void check(parser *parse, const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = UNTOUCHED;
        int r = parse(examples[i].text, &value);
        if (r != examples[i].result || value != (r ? UNTOUCHED : examples[i].value))
            fail_msg("\"%s\": result %d, value %llu", examples[i].text, r, (unsigned long long)value);
    }
}

static void counts(void **state)
{
    static const struct example examples[] = {
        {"0", 0, 0},
        {"123", 0, 123},
        {"007", 0, 7},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0},
        {"99999999999999999999999999x", -EINVAL, 0},
        {"", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"1.5", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1k", -EINVAL, 0},
    };
    check(units_parse_count, examples, ARRAY_LEN(examples));
}

static void sizes(void **state)
{
    static const struct example examples[] = {
        {"123", 0, 123},
        {"123B", 0, 123},
        {"0", 0, 0},
        {"1k", 0, 1000},
        {"1kB", 0, 1000},
        {"64KiB", 0, 65536},
        {"64Ki", 0, 65536},
        {"10MiB", 0, 10485760},
        {"10MB", 0, 10000000},
        {"4GiB", 0, 4294967296},
        {"4G", 0, 4000000000},
        {"17179869183GiB", 0, 17179869183ull << 30},
        {"17179869184GiB", -ERANGE, 0},
        {"99999999999999999999B", -ERANGE, 0},
        {"KiB", -EINVAL, 0},
        {"1kiB", -EINVAL, 0},
        {"1KB", 0, 1000},
        {"64K", 0, 64000},
        {"1m", -EINVAL, 0},
        {"1Kib", -EINVAL, 0},
        {"1BB", -EINVAL, 0},
        {"1 KiB", -EINVAL, 0},
        {"1.5MiB", -EINVAL, 0},
        {"1s", -EINVAL, 0},
    };
    check(units_parse_bytes, examples, ARRAY_LEN(examples));
}

static void durations(void **state)
{
    static const struct example examples[] = {
        {"0", 0, 0},
        {"0s", 0, 0},
        {"7ns", 0, 7},
        {"100us", 0, 100000},
        {"100ms", 0, 100 * NS_PER_MS},
        {"5s", 0, 5 * NS_PER_S},
        {"1m", 0, 60 * NS_PER_S},
        {"2h", 0, 7200 * NS_PER_S},
        {"1d", 0, 86400 * NS_PER_S},
        {"213503d", 0, 213503ull * 86400 * NS_PER_S},
        {"213504d", -ERANGE, 0},
        {"5", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1w", -EINVAL, 0},
        {"1S", -EINVAL, 0},
        {"1m30s", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"99999999999999999999", -EINVAL, 0},
    };
    check(units_parse_duration, examples, ARRAY_LEN(examples));
}

static void rates(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t count, period_ns;
    } examples[] = {
        {"500/s", 0, 500, NS_PER_S},
        {"10/m", 0, 10, 60 * NS_PER_S},
        {"10MiB/s", 0, 10485760, NS_PER_S},
        {"1000/h", 0, 1000, 3600 * NS_PER_S},
        {"1/d", 0, 1, 86400 * NS_PER_S},
        {"3/10s", 0, 3, 10 * NS_PER_S},
        {"10GiB/s", 0, 10ull << 30, NS_PER_S},
        {"9223372036854775807/s", 0, INT64_MAX, NS_PER_S},
        {"9223372036854775808/s", -ERANGE, 0, 0},
        {"1/200000d", -ERANGE, 0, 0},
        {"99999999999999999999/s", -ERANGE, 0, 0},
        {"0", 0, 0, NS_PER_S},
        {"unlimited", 0, 0, NS_PER_S},
        {"0/s", -EINVAL, 0, 0},
        {"5/0s", -EINVAL, 0, 0},
        {"5/0", -EINVAL, 0, 0},
        {"500", -EINVAL, 0, 0},
        {"/s", -EINVAL, 0, 0},
        {"5/", -EINVAL, 0, 0},
        {"5/sec", -EINVAL, 0, 0},
        {"5/ms", -EINVAL, 0, 0},
        {"5/s/s", -EINVAL, 0, 0},
        {"5B B/s", -EINVAL, 0, 0},
        {"", -EINVAL, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        uint64_t count = UNTOUCHED, period_ns = UNTOUCHED;
        int r = units_parse_rate(examples[i].text, &count, &period_ns);
        if (r != examples[i].result || count != (r ? UNTOUCHED : examples[i].count) ||
            period_ns != (r ? UNTOUCHED : examples[i].period_ns))
            fail_msg("\"%s\": result %d, %llu in %llu ns", examples[i].text, r, (unsigned long long)count,
                     (unsigned long long)period_ns);
    }
}

static void formats_as_people_write(void **state)
{
    char s[64];
    assert_string_equal(units_format_bytes(s, sizeof(s), 65536), "64KiB");
    assert_string_equal(units_format_bytes(s, sizeof(s), 1536 * 1024), "1536KiB");
    assert_string_equal(units_format_bytes(s, sizeof(s), 512), "512B");
    assert_string_equal(units_format_bytes(s, sizeof(s), 5000000), "5MB");
    assert_string_equal(units_format_bytes(s, sizeof(s), 0), "0");
    assert_string_equal(units_format_duration(s, sizeof(s), 5 * NS_PER_S), "5s");
    assert_string_equal(units_format_duration(s, sizeof(s), 100 * NS_PER_MS), "100ms");
    assert_string_equal(units_format_duration(s, sizeof(s), 90 * NS_PER_S), "90s");
    assert_string_equal(units_format_duration(s, sizeof(s), 0), "0");
    assert_string_equal(units_format_rate(s, sizeof(s), 500, NS_PER_S), "500/s");
    assert_string_equal(units_format_rate(s, sizeof(s), 10 << 20, NS_PER_S), "10Mi/s");
    assert_string_equal(units_format_rate(s, sizeof(s), 7, 10 * NS_PER_S), "7/10s");
    assert_string_equal(units_format_rate(s, sizeof(s), 7, NS_PER_MS), "7/1ms");
    assert_string_equal(units_format_rate(s, sizeof(s), 0, NS_PER_S), "unlimited");
}

/* A quantity with a good chance to be round in some unit. */
static uint64_t some_quantity(struct property_rng *rng)
{
    static const uint64_t factors[] = {1, 1000, 1024, 1000000, 1 << 20, 60, 3600, 60 * NS_PER_S, 86400 * NS_PER_S};
    uint64_t value;
    do
        value = property_magnitude(rng, 63);
    while (__builtin_mul_overflow(value, factors[property_below(rng, ARRAY_LEN(factors))], &value) ||
           value > INT64_MAX);
    return value;
}

static void what_is_formatted_reads_back(void **state)
{
    struct property_rng rng = property_rng_new("units");
    for (int i = 0; i < 50000; i++) {
        char s[64];
        uint64_t value = some_quantity(&rng), period = some_quantity(&rng), back, back_period;
        assert_int_equal(units_parse_bytes(units_format_bytes(s, sizeof(s), value), &back), 0);
        assert_int_equal(back, value);
        assert_int_equal(units_parse_duration(units_format_duration(s, sizeof(s), value), &back), 0);
        assert_int_equal(back, value);
        if (!period)
            continue;
        assert_int_equal(units_parse_rate(units_format_rate(s, sizeof(s), value, period), &back, &back_period), 0);
        assert_int_equal(back, value);
        assert_int_equal(back_period, value ? period : NS_PER_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(rates),
        cmocka_unit_test(formats_as_people_write),
        cmocka_unit_test(what_is_formatted_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
