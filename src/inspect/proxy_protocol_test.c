/* SPDX-License-Identifier: MPL-2.0 */
/* Headers of the PROXY protocol: the clients that they name, refusals, and that pieces do not matter. */
#include "inspect/proxy_protocol.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct bytes of(const void *at, size_t len)
{
    return (struct bytes){.at = at, .len = len};
}

/* Every prefix must say NEED up to where it is decided, and the same from there on. Each lies at the end of memory of
 * its own, so that AddressSanitizer sees a read beyond it. */
static enum proxy_protocol_result parse_by_octets(struct bytes b, struct proxy_protocol *ret)
{
    enum proxy_protocol_result decided = PROXY_PROTOCOL_NEED;
    for (size_t len = 0; len <= b.len; len++) {
        uint8_t *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        if (len)
            memcpy(copy, b.at, len);
        enum proxy_protocol_result r = proxy_protocol_parse(of(copy, len), ret);
        free(copy);
        if (decided != PROXY_PROTOCOL_NEED)
            assert_int_equal(r, decided);
        decided = r;
        if (r == PROXY_PROTOCOL_DONE && ret->bytes != len)
            assert_true(ret->bytes < len);
    }
    return decided;
}

static void names(const void *header, size_t len, const char *who)
{
    struct proxy_protocol p;
    char text[ADDR_TEXT_MAX];
    uint8_t more[512];
    assert_int_equal(parse_by_octets(of(header, len), &p), PROXY_PROTOCOL_DONE);
    assert_int_equal(p.bytes, len);
    assert_string_equal(addr_format(text, sizeof(text), &p.client), who);
    /* Bytes behind the header are the client's. */
    assert_true(len + 2 <= sizeof(more));
    memcpy(more, header, len);
    memcpy(more + len, "\r\n", 2);
    assert_int_equal(proxy_protocol_parse(of(more, len + 2), &p), PROXY_PROTOCOL_DONE);
    assert_int_equal(p.bytes, len);
}

static void names_line(const char *line, const char *who)
{
    names(line, strlen(line), who);
}

static void is_bad(const void *header, size_t len)
{
    struct proxy_protocol p;
    assert_int_equal(parse_by_octets(of(header, len), &p), PROXY_PROTOCOL_BAD);
}

static void is_bad_line(const char *line)
{
    is_bad(line, strlen(line));
}

/* ---- version 1 ---- */

/* The examples of section 2.1. */
static void lines_name_clients(void **state)
{
    names_line("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324");
    names_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535");
    names_line("PROXY TCP6 2001:db8::1 2001:db8::2 1 0\r\n", "[2001:db8::1]:1");
    names_line(
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    names_line("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 7 8\r\n", "192.0.2.7:7");
}

static void unknown_lines_name_nobody(void **state)
{
    char longest[PROXY_PROTOCOL_V1_MAX + 1];
    names_line("PROXY UNKNOWN\r\n", "unknown");
    names_line("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "unknown");
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "PROXY UNKNOWN ", 14);
    memcpy(longest + PROXY_PROTOCOL_V1_MAX - 2, "\r\n", 3);
    names_line(longest, "unknown");
}

static void bad_lines(void **state)
{
    static const char *const lines[] = {
        "GET / HTTP/1.0\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 123456\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  1\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.256 1 1\r\n",
        "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP6 :::1 ::1 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n\r\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        is_bad_line(lines[i]);
    is_bad("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n", 34);
}

/* 107 octets are enough to know. */
static void a_line_without_end(void **state)
{
    uint8_t line[PROXY_PROTOCOL_V1_MAX + 2];
    struct proxy_protocol p;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(proxy_protocol_parse(of(line, PROXY_PROTOCOL_V1_MAX - 1), &p), PROXY_PROTOCOL_NEED);
    memcpy(line + PROXY_PROTOCOL_V1_MAX - 1, "\r\n", 2);
    is_bad(line, PROXY_PROTOCOL_V1_MAX + 1);
}

/* ---- version 2 ---- */

struct v2 {
    uint8_t at[16 + 400];
    size_t len;
};

static struct v2 v2(uint8_t command, uint8_t family, const void *body, size_t body_len)
{
    struct v2 h = {.len = 16 + body_len};
    memcpy(h.at, SIGNATURE, 12);
    h.at[12] = command;
    h.at[13] = family;
    h.at[14] = (uint8_t)(body_len >> 8);
    h.at[15] = (uint8_t)body_len;
    if (body_len)
        memcpy(h.at + 16, body, body_len);
    return h;
}

static const uint8_t body4[12] = {192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0x15, 0xb3};
static const uint8_t body6[36] = {0x20, 1,    0x0d,     0xb8, [15] = 9, [16] = 0x20, 1,
                                  0x0d, 0xb8, [31] = 8, 0xff, 0xfe,     0,           1};

static void binary_headers_name_clients(void **state)
{
    struct v2 h = v2(0x21, 0x11, body4, sizeof(body4));
    names(h.at, h.len, "192.0.2.1:4660");
    h = v2(0x21, 0x21, body6, sizeof(body6));
    names(h.at, h.len, "[2001:db8::9]:65534");
    uint8_t mapped[36] = {[10] = 0xff, 0xff, 10, 1, 2, 3, [32] = 0, 80};
    h = v2(0x21, 0x21, mapped, sizeof(mapped));
    names(h.at, h.len, "10.1.2.3:80");
}

/* TLVs are skipped with any content: PP2_TYPE_ALPN, PP2_TYPE_NOOP, one that says it is longer than the header. */
static void tlvs_are_skipped(void **state)
{
    uint8_t body[12 + 8 + 4];
    memcpy(body, body4, 12);
    memcpy(body + 12, "\x01\x00\x05zmtp3\x04\xff\xff\x00", 12);
    struct v2 h = v2(0x21, 0x11, body, sizeof(body));
    names(h.at, h.len, "192.0.2.1:4660");
}

static void nobody_is_named(void **state)
{
    uint8_t paths[216] = {'/'}, rest[30] = {1};
    struct v2 h = v2(0x20, 0x00, NULL, 0);
    names(h.at, h.len, "unknown");
    h = v2(0x20, 0x11, body4, sizeof(body4)); /* LOCAL: its addresses do not count */
    names(h.at, h.len, "unknown");
    h = v2(0x20, 0xff, rest, sizeof(rest)); /* nor does its family */
    names(h.at, h.len, "unknown");
    h = v2(0x21, 0x00, rest, sizeof(rest));
    names(h.at, h.len, "unknown");
    h = v2(0x21, 0x31, paths, sizeof(paths));
    names(h.at, h.len, "unknown");
}

static void bad_binary_headers(void **state)
{
    static const uint8_t kinds[][2] = {{0x11, 0x11}, {0x31, 0x11}, {0x22, 0x11}, {0x2f, 0x11},
                                       {0x21, 0x10}, {0x21, 0x12}, {0x21, 0x22}, {0x21, 0x32},
                                       {0x21, 0x41}, {0x21, 0x13}, {0x21, 0xff}};
    uint8_t paths[216] = {'/'};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct v2 h = v2(kinds[i][0], kinds[i][1], paths, sizeof(paths));
        is_bad(h.at, h.len);
    }
    static const struct {
        uint8_t family;
        size_t len;
    } shorts[] = {{0x11, 11}, {0x11, 0}, {0x21, 35}, {0x31, 215}};
    for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
        struct v2 h = v2(0x21, shorts[i].family, paths, shorts[i].len);
        is_bad(h.at, h.len);
    }
    struct v2 h = v2(0x21, 0x11, body4, sizeof(body4));
    h.at[11] = '\r';
    is_bad(h.at, h.len);
}

static void the_longest_binary_header(void **state)
{
    static uint8_t header[PROXY_PROTOCOL_MAX + 1];
    struct v2 h = v2(0x21, 0x11, body4, sizeof(body4));
    struct proxy_protocol p;
    memcpy(header, h.at, h.len);
    header[14] = (PROXY_PROTOCOL_MAX - 16) >> 8;
    header[15] = (uint8_t)(PROXY_PROTOCOL_MAX - 16);
    assert_int_equal(proxy_protocol_parse(of(header, PROXY_PROTOCOL_MAX - 1), &p), PROXY_PROTOCOL_NEED);
    assert_int_equal(proxy_protocol_parse(of(header, PROXY_PROTOCOL_MAX), &p), PROXY_PROTOCOL_DONE);
    assert_int_equal(p.bytes, PROXY_PROTOCOL_MAX);
    header[15]++;
    assert_int_equal(proxy_protocol_parse(of(header, 16), &p), PROXY_PROTOCOL_BAD);
}

/* ---- both ---- */

/* The first bytes of a ZMTP client are no header, from the first octet on. */
static void a_greeting_is_no_header(void **state)
{
    struct proxy_protocol p;
    assert_int_equal(proxy_protocol_parse(of("", 0), &p), PROXY_PROTOCOL_NEED);
    assert_int_equal(proxy_protocol_parse(of("\xff", 1), &p), PROXY_PROTOCOL_BAD);
    assert_int_equal(proxy_protocol_begins(of("PROXY", 5)), PROXY_PROTOCOL_NEED);
    assert_int_equal(proxy_protocol_begins(of("PROXY whatever", 14)), PROXY_PROTOCOL_DONE);
    assert_int_equal(proxy_protocol_begins(of(SIGNATURE, 11)), PROXY_PROTOCOL_NEED);
    assert_int_equal(proxy_protocol_begins(of(SIGNATURE, 12)), PROXY_PROTOCOL_DONE);
    is_bad_line("\r\n\r\r");
    is_bad_line("PROXI");
}

/* Headers made at random name the client they were made for; with one octet changed they never say more than there
 * is. */
static void headers_at_random(void **state)
{
    struct property_rng r = property_rng_new("headers_at_random");
    for (unsigned i = 0; i < 2000; i++) {
        struct addr from = {.kind = property_below(&r, 2) ? ADDR_V4 : ADDR_V6, .port = (uint16_t)property_next(&r)};
        size_t width = from.kind == ADDR_V4 ? 4 : 16;
        for (size_t n = 0; n < width; n++)
            from.bytes[n] = (uint8_t)property_next(&r);
        char host[ADDR_TEXT_MAX], who[ADDR_TEXT_MAX], line[2 * ADDR_TEXT_MAX + 32];
        addr_format_host(host, sizeof(host), &from);
        addr_format(who, sizeof(who), &from);
        snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n", from.kind == ADDR_V4 ? '4' : '6', host, host,
                 from.port, (unsigned)property_below(&r, 65536));
        names_line(line, who);
        uint8_t body[100] = {0};
        memcpy(body, from.bytes, width);
        body[2 * width] = (uint8_t)(from.port >> 8);
        body[2 * width + 1] = (uint8_t)from.port;
        struct v2 h =
            v2(0x21, from.kind == ADDR_V4 ? 0x11 : 0x21, body, 2 * width + 4 + (size_t)property_below(&r, 60));
        names(h.at, h.len, who);
        h.at[property_below(&r, h.len)] ^= (uint8_t)(1 + property_below(&r, 255));
        struct proxy_protocol p;
        if (parse_by_octets(of(h.at, h.len), &p) == PROXY_PROTOCOL_DONE)
            assert_true(p.bytes <= h.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_name_clients),
        cmocka_unit_test(unknown_lines_name_nobody),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(a_line_without_end),
        cmocka_unit_test(binary_headers_name_clients),
        cmocka_unit_test(tlvs_are_skipped),
        cmocka_unit_test(nobody_is_named),
        cmocka_unit_test(bad_binary_headers),
        cmocka_unit_test(the_longest_binary_header),
        cmocka_unit_test(a_greeting_is_no_header),
        cmocka_unit_test(headers_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
