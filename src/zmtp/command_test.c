/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/command.h"
#include "zmtp/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* From memory of just that length. */
static bool parse(const void *body, size_t len, enum zmtp_command_kind *ret_kind, size_t *ret_data_len)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct zmtp_command c = {0};
    assert_non_null(copy);
    memcpy(copy, body, len);
    bool parsed = zmtp_command_parse((struct bytes){copy, len}, &c);
    if (parsed) {
        assert_ptr_equal(c.data.at + c.data.len, copy + len);
        *ret_kind = c.kind;
        *ret_data_len = c.data.len;
    }
    free(copy);
    return parsed;
}

static void every_name_with_and_without_data(void **state)
{
    static const struct {
        const char *body;
        enum zmtp_command_kind kind;
    } known[] = {
        {"\x05READY", COMMAND_READY},
        {"\x05"
         "ERROR",
         COMMAND_ERROR},
        {"\x05HELLO", COMMAND_HELLO},
        {"\x07WELCOME", COMMAND_WELCOME},
        {"\x08INITIATE", COMMAND_INITIATE},
        {"\x07MESSAGE", COMMAND_MESSAGE},
        {"\x09SUBSCRIBE", COMMAND_SUBSCRIBE},
        {"\x06"
         "CANCEL",
         COMMAND_CANCEL},
        {"\x04PING", COMMAND_PING},
        {"\x04PONG", COMMAND_PONG},
        {"\x04JOIN", COMMAND_UNKNOWN},
        {"\x05ready", COMMAND_UNKNOWN},
        {"\x04READ", COMMAND_UNKNOWN},
        {"\x01x", COMMAND_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t len = strlen(known[i].body), data_len;
        char body[64] = {0};
        enum zmtp_command_kind kind;
        memcpy(body, known[i].body, len);
        for (size_t data = 0; data < 20; data++) {
            assert_true(parse(body, len + data, &kind, &data_len));
            assert_int_equal(kind, known[i].kind);
            assert_int_equal(data_len, data);
        }
        for (size_t cut = 0; cut < len; cut++)
            assert_false(parse(body, cut, &kind, &data_len));
    }
}

static void names_of_every_byte(void **state)
{
    enum zmtp_command_kind kind;
    size_t data_len;
    for (unsigned b = 0; b < 256; b++) {
        uint8_t body[] = {3, 'a', (uint8_t)b, 'Z'};
        bool letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
        assert_int_equal(parse(body, sizeof(body), &kind, &data_len), letter);
    }
    assert_false(parse("\0", 1, &kind, &data_len));
    assert_false(parse("\0PING", 5, &kind, &data_len));
}

static void the_longest_name(void **state)
{
    uint8_t body[256] = {255};
    enum zmtp_command_kind kind;
    size_t data_len;
    memset(body + 1, 'q', 255);
    assert_true(parse(body, 256, &kind, &data_len));
    assert_int_equal(kind, COMMAND_UNKNOWN);
    assert_false(parse(body, 255, &kind, &data_len));
}

static void sizes_of_ping_and_pong(void **state)
{
    uint8_t data[32] = {0};
    for (size_t len = 0; len < sizeof(data); len++) {
        struct zmtp_command c = {.kind = COMMAND_PING, .data = {data, len}};
        assert_int_equal(zmtp_ping_ok(&c), len >= 2 && len <= 18);
        assert_int_equal(zmtp_pong_ok(&c), len <= 16);
    }
}

static void pong_carries_the_context(void **state)
{
    uint8_t context[40];
    for (size_t i = 0; i < sizeof(context); i++)
        context[i] = (uint8_t)i;
    for (size_t len = 0; len <= sizeof(context); len++) {
        uint8_t frame[ZMTP_PONG_MAX];
        struct zmtp_decoder d;
        struct zmtp_command c;
        const uint8_t *at = frame;
        size_t want = len < 16 ? len : 16, used = zmtp_put_pong(frame, (struct bytes){context, len});
        zmtp_decoder_init(&d, false);
        assert_int_equal(zmtp_next(&d, &at, frame + used), ZMTP_FRAME);
        assert_ptr_equal(at, frame + used);
        assert_true(zmtp_is_command(&d));
        assert_true(zmtp_command_parse((struct bytes){frame + d.header_len, (size_t)d.size}, &c));
        assert_int_equal(c.kind, COMMAND_PONG);
        assert_true(zmtp_pong_ok(&c));
        assert_int_equal(c.data.len, want);
        assert_memory_equal(c.data.at, context, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_with_and_without_data),
        cmocka_unit_test(names_of_every_byte),
        cmocka_unit_test(the_longest_name),
        cmocka_unit_test(sizes_of_ping_and_pong),
        cmocka_unit_test(pong_carries_the_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
