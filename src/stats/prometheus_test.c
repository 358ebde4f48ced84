/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/prometheus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static char *finish(struct text_out *o)
{
    size_t len = 0;

    text_out_bytes(o, "", 1);
    char *text = text_out_take(o, &len);
    assert_non_null(text);
    return text;
}

static void expect_escaped(const char *in, const char *out)
{
    struct text_out o;

    text_out_init(&o, 1 << 16);
    prometheus_escape(&o, in);
    char *text = finish(&o);
    assert_string_equal(text, out);
    free(text);
}

static void escapes(void **state)
{
    expect_escaped("", "");
    expect_escaped("orders", "orders");
    expect_escaped("a\\b\"c\nd", "a\\\\b\\\"c\\nd");
    expect_escaped("\r\t\x01\x7f", "\\\\x0d\\\\x09\\\\x01\\\\x7f");
    expect_escaped("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8a", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8a");
    expect_escaped("\xc2\x85", "\\\\xc2\\\\x85");                       /* NEL, a C1 control */
    expect_escaped("\xc0\x80", "\\\\xc0\\\\x80");                       /* overlong NUL */
    expect_escaped("\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80");            /* a surrogate */
    expect_escaped("\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"); /* above U+10FFFF */
    expect_escaped("\xe2\x82", "\\\\xe2\\\\x82");                       /* cut short */
    expect_escaped("\xe2\x82\"", "\\\\xe2\\\\x82\\\"");                 /* a quote hidden behind a cut sequence */
    expect_escaped("\xff\xfe", "\\\\xff\\\\xfe");
}

/* Oracle: the code point of the `len` bytes at `s`, if those are exactly how UTF-8 writes it; -1 otherwise. */
static long decode(const unsigned char *s, size_t len)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07}, mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    long c = s[0] & lead[len];

    if ((s[0] & ~lead[len] & 0xff) != mark[len])
        return -1;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? c : -1;
}

/* Oracle: what a reader should see, in plain (unescaped) text. */
static size_t expected(char *dst, size_t size, const unsigned char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        size_t took = 0;
        for (size_t k = 1; k <= 4 && i + k <= len && !took; k++) {
            long c = decode(s + i, k);
            if (c == '\n' || (c >= 0x20 && (c < 0x7f || c >= 0xa0)))
                took = k;
        }
        if (took)
            memcpy(dst + n, s + i, took);
        n += took ? took : (size_t)snprintf(dst + n, size - n, "\\x%02x", s[i]);
        i += took ? took : 1;
    }
    return n;
}

/* Reads a label value as Prometheus does; -1 when it would refuse the page. */
static int unescape(char *dst, const char *s)
{
    int n = 0;

    for (; *s; s++) {
        if (*s == '"' || *s == '\n')
            return -1;
        if (*s != '\\') {
            dst[n++] = *s;
            continue;
        }
        s++;
        if (*s != 'n' && *s != '\\' && *s != '"')
            return -1;
        dst[n++] = *s == 'n' ? '\n' : *s;
    }
    return n;
}

static void assert_utf8(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    while (*p) {
        size_t len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
        assert_true(decode(p, len) >= 0x20);
        p += len;
    }
}

/* Mostly bytes at which a rule changes. */
static unsigned char some_byte(unsigned *seed)
{
    static const unsigned char edges[] =
        "\x01\n\r\x1f \"\\nx\x7e\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe2\xed\xef\xf0\xf4\xf5\xff";
    unsigned r = (unsigned)rand_r(seed);

    return r % 4 ? edges[(r >> 4) % (sizeof(edges) - 1)] : (unsigned char)(1 + (r >> 4) % 255);
}

static void any_bytes_read_back(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    print_message("seed %u\n", seed);
    for (int round = 0; round < 100000; round++) {
        unsigned char in[25] = {0};
        char want[sizeof(in) * 4 + 1], got[1024];
        size_t len = (size_t)rand_r(&seed) % sizeof(in);
        struct text_out o;

        for (size_t i = 0; i < len; i++)
            in[i] = some_byte(&seed);
        text_out_init(&o, 1 << 16);
        prometheus_escape(&o, (const char *)in);
        char *text = finish(&o);
        assert_utf8(text);
        size_t want_len = expected(want, sizeof(want), in, len);
        assert_int_equal(unescape(got, text), want_len);
        assert_memory_equal(got, want, want_len);
        free(text);
    }
}

static void a_family_as_the_format_has_it(void **state)
{
    static const struct metric_info plain = {"weir_x", "", "", "A \"quoted\" back\\slash\nand line.", METRIC_GAUGE};
    static const struct metric_info fixed = {"weir_y_total", "", "direction=\"in\"", "Y.", METRIC_COUNTER};
    static const struct metric_info both = {"weir_z_total", "gate,verdict", "direction=\"out\"", "Z.", METRIC_COUNTER};
    struct text_out o;

    text_out_init(&o, 1 << 16);
    prometheus_head(&o, &plain);
    prometheus_sample(&o, &plain, NULL, 0);
    prometheus_head(&o, &fixed);
    prometheus_sample(&o, &fixed, NULL, UINT64_MAX);
    prometheus_head(&o, &both);
    prometheus_sample(&o, &both, (const char *const[]){"a", "b\"},evil{"}, 7);
    prometheus_sample_ns(&o, &both, (const char *const[]){"", "c"}, 12000000034);
    char *text = finish(&o);
    assert_string_equal(text, "# HELP weir_x A \"quoted\" back\\\\slash\\nand line.\n"
                              "# TYPE weir_x gauge\n"
                              "weir_x 0\n"
                              "# HELP weir_y_total Y.\n"
                              "# TYPE weir_y_total counter\n"
                              "weir_y_total{direction=\"in\"} 18446744073709551615\n"
                              "# HELP weir_z_total Z.\n"
                              "# TYPE weir_z_total counter\n"
                              "weir_z_total{gate=\"a\",verdict=\"b\\\"},evil{\",direction=\"out\"} 7\n"
                              "weir_z_total{gate=\"\",verdict=\"c\",direction=\"out\"} 12.000000034\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(any_bytes_read_back),
        cmocka_unit_test(a_family_as_the_format_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
