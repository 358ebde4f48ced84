/* SPDX-License-Identifier: MPL-2.0 */
/* An answer carries the envelope of its request, for any request. */
#include "inspect/reply.h"

#include "base/property.h"
#include "inspect/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

static const struct bytes text = {(const uint8_t *)"busy", 4};

static struct stream request, wanted;

static int tear_down(void **state)
{
    stream_free(&request);
    stream_free(&wanted);
    return 0;
}

static void expect(void)
{
    uint8_t got[REPLY_MAX];
    stream_body(&wanted, 0, text.at, text.len);
    assert_int_equal(reply_to(got, (struct bytes){request.bytes, request.len}, text, false), wanted.len);
    assert_memory_equal(got, wanted.bytes, wanted.len);
}

static void a_req_gets_its_delimiter_back(void **state)
{
    stream_frame(&request, MORE, 0, 0);
    stream_frame(&request, MORE, 'a', 10);
    stream_frame(&request, 0, 'b', 300);
    stream_frame(&wanted, MORE, 0, 0);
    expect();
}

/* ZMQ_REQ_CORRELATE, and devices on the way. */
static void addresses_come_back_in_their_order(void **state)
{
    for (uint8_t i = 1; i < 9; i++) {
        stream_frame(&request, MORE, i, 5);
        stream_frame(&wanted, MORE, i, 5);
    }
    stream_frame(&request, MORE, 0, 0);
    stream_frame(&wanted, MORE, 0, 0);
    stream_frame(&request, MORE, 0, 0);
    stream_frame(&request, 0, 'b', 3);
    expect();
}

static void without_an_envelope_there_is_the_text_alone(void **state)
{
    stream_frame(&request, MORE, 'a', REPLY_ENVELOPE_MAX);
    stream_frame(&request, 0, 'b', 0);
    expect();
}

static void pings_between_frames_are_left_out(void **state)
{
    stream_frame(&request, MORE, 'a', 5);
    stream_command(&request, "PING", "\0\0ctx", 5);
    stream_frame(&request, MORE, 0, 0);
    stream_command(&request, "PING", "\0\0ctx", 5);
    stream_frame(&request, 0, 'b', 5);
    stream_frame(&wanted, MORE, 'a', 5);
    stream_frame(&wanted, MORE, 0, 0);
    expect();
}

static void an_envelope_of_any_length_is_not_copied(void **state)
{
    uint8_t got[REPLY_MAX];
    stream_frame(&request, MORE, 'a', REPLY_ENVELOPE_MAX - 9 - 2);
    stream_frame(&request, MORE, 0, 0);
    stream_put(&wanted, request.bytes, request.len);
    assert_int_equal(wanted.len, REPLY_ENVELOPE_MAX);
    stream_frame(&request, 0, 'b', 1);
    expect();
    request.len = wanted.len = 0;
    stream_frame(&request, MORE, 'a', REPLY_ENVELOPE_MAX - 9 - 1);
    stream_frame(&request, MORE, 0, 0);
    stream_frame(&request, 0, 'b', 1);
    assert_int_equal(reply_to(got, (struct bytes){request.bytes, request.len}, text, false), 0);
}

/* Against the frames that a request was made of; and never more than there is room for. */
static void any_request_is_answered_by_its_envelope(void **state)
{
    struct property_rng r = property_rng_new("reply");
    uint8_t got[REPLY_MAX];
    for (unsigned run = 0; run < 20000; run++) {
        unsigned frames = 1 + (unsigned)property_below(&r, 12);
        bool delimited = false;
        request.len = wanted.len = 0;
        for (unsigned i = 0; i < frames; i++) {
            unsigned flags = i + 1 < frames ? MORE : 0;
            size_t size = property_below(&r, 4) ? property_magnitude(&r, 9) : 0;
            stream_frame(&request, flags, (uint8_t)i, size);
            if (!delimited)
                stream_frame(&wanted, flags, (uint8_t)i, size);
            delimited |= flags && size == 0;
        }
        wanted.len = delimited ? wanted.len : 0;
        bool fits = wanted.len <= REPLY_ENVELOPE_MAX;
        stream_body(&wanted, 0, text.at, text.len);
        size_t len = reply_to(got, (struct bytes){request.bytes, request.len}, text, property_below(&r, 2));
        assert_int_equal(len, fits ? wanted.len : 0);
        if (fits)
            assert_memory_equal(got, wanted.bytes, len);
    }
}

/* It is given whole messages only, but reads no byte too many of others. */
static void it_stays_within_any_bytes(void **state)
{
    struct property_rng r = property_rng_new("reply to noise");
    uint8_t got[REPLY_MAX];
    for (unsigned run = 0; run < 50000; run++) {
        size_t len = 1 + property_below(&r, 64);
        uint8_t *bytes = malloc(len);
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)property_below(&r, property_below(&r, 4) ? 8 : 256);
        assert_true(reply_to(got, (struct bytes){bytes, len}, text, run % 2) <= REPLY_MAX);
        free(bytes);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, NULL, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_req_gets_its_delimiter_back),
        TEST(addresses_come_back_in_their_order),
        TEST(without_an_envelope_there_is_the_text_alone),
        TEST(pings_between_frames_are_left_out),
        TEST(an_envelope_of_any_length_is_not_copied),
        TEST(any_request_is_answered_by_its_envelope),
        TEST(it_stays_within_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
