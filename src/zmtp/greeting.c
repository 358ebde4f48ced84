/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/greeting.h"

#include <string.h>

#define AT_REVISION   10u
#define AT_MINOR      11u
#define AT_MECHANISM  12u
#define MECHANISM_LEN 20u
#define AT_AS_SERVER  32u

static const char *const names[] = {
    [MECHANISM_OTHER] = "", [MECHANISM_NULL] = "NULL", [MECHANISM_PLAIN] = "PLAIN", [MECHANISM_CURVE] = "CURVE"};

const char *zmtp_mechanism_name(enum zmtp_mechanism m)
{
    return names[m];
}

static enum zmtp_mechanism parse_mechanism(const uint8_t *at)
{
    for (unsigned m = MECHANISM_NULL; m < ARRAY_LEN(names); m++) {
        /* RFC 37: "The mechanism is a null padded string": compared over all 20 bytes. */
        char padded[MECHANISM_LEN] = {0};
        memcpy(padded, names[m], strlen(names[m]));
        if (memcmp(padded, at, MECHANISM_LEN) == 0)
            return (enum zmtp_mechanism)m;
    }
    return MECHANISM_OTHER;
}

/* RFC 37: "signature = %xFF padding %x7F"; the padding is not checked (libzmq writes a length there, for ZMTP 1.0
 * peers). */
static bool signature_wrong(const uint8_t *b, size_t len)
{
    return (len >= 1 && b[0] != 0xff) || (len >= ZMTP_SIGNATURE_BYTES && b[9] != 0x7f);
}

/*
 * What does not begin with FF. RFC 13: "greeting = identity", a "final-short frame": its length with the flags, flags
 * 0, and an id, which libzmq does not let begin with a zero byte. Without an id that is 01 00. A TLS hello (16 03),
 * HTTP and SSH (letters), a SOCKS greeting (05 01), RDP (03 00 00) and a MongoDB message (3a 00 00) are none.
 */
static enum greeting_result zmtp_greeting_parse_v1(const uint8_t *b, size_t len)
{
    if (b[0] == 0 || (len >= 2 && b[1] != 0))
        return GREETING_BAD;
    if (len >= 2 && b[0] == 1)
        return GREETING_OLD;
    if (len < 3)
        return GREETING_NEED;
    return b[2] ? GREETING_OLD : GREETING_BAD;
}

bool zmtp_greeting_is_v3(const uint8_t *bytes, size_t len)
{
    return len > AT_REVISION && !signature_wrong(bytes, len) && bytes[AT_REVISION] >= 3;
}

static enum greeting_result zmtp_greeting_parse_v2(const uint8_t *b, size_t len, struct zmtp_greeting *ret,
                                                   size_t *ret_used)
{
    if (len < ZMTP2_GREETING_BYTES)
        return GREETING_NEED;
    *ret = (struct zmtp_greeting){.major = 2, .socket_code = b[11], .mechanism = MECHANISM_NULL};
    *ret_used = ZMTP2_GREETING_BYTES;
    return GREETING_DONE;
}

enum greeting_result zmtp_greeting_parse_as_v2(const uint8_t *b, size_t len, struct zmtp_greeting *ret,
                                               size_t *ret_used)
{
    if (len >= 1 && b[0] != 0xff)
        return zmtp_greeting_parse_v1(b, len);
    if (signature_wrong(b, len))
        return GREETING_BAD;
    if (len > AT_REVISION && b[AT_REVISION] == 0)
        return GREETING_OLD;
    return zmtp_greeting_parse_v2(b, len, ret, ret_used);
}

enum greeting_result zmtp_greeting_parse(const uint8_t *b, size_t len, struct zmtp_greeting *ret, size_t *ret_used)
{
    if (len >= 1 && b[0] != 0xff)
        return zmtp_greeting_parse_v1(b, len);
    if (signature_wrong(b, len))
        return GREETING_BAD;
    if (len <= AT_REVISION)
        return GREETING_NEED;
    /* Revision 0 is ZMTP 1.0, whose frames have another form. RFC 37: "If this is 1 or 2, we have a ZMTP 2.0 peer." */
    if (b[AT_REVISION] == 0)
        return GREETING_OLD;
    if (b[AT_REVISION] < 3)
        return zmtp_greeting_parse_v2(b, len, ret, ret_used);
    if (len < ZMTP_GREETING_BYTES)
        return GREETING_NEED;
    *ret = (struct zmtp_greeting){
        .major = 3,
        .minor = b[AT_MINOR],
        .mechanism = parse_mechanism(b + AT_MECHANISM),
        .as_server = (b[AT_AS_SERVER] & 1) != 0,
    };
    *ret_used = ZMTP_GREETING_BYTES;
    return GREETING_DONE;
}

static void put_signature(uint8_t *dst)
{
    dst[0] = 0xff;
    /* As libzmq does: the padding reads as length 1 to a ZMTP 1.0 peer. */
    dst[8] = 1;
    dst[9] = 0x7f;
}

void zmtp_greeting_put(uint8_t dst[static ZMTP_GREETING_BYTES], const struct zmtp_greeting *g)
{
    memset(dst, 0, ZMTP_GREETING_BYTES);
    put_signature(dst);
    dst[AT_REVISION] = 3;
    dst[AT_MINOR] = g->minor;
    memcpy(dst + AT_MECHANISM, names[g->mechanism], strlen(names[g->mechanism]));
    dst[AT_AS_SERVER] = g->as_server;
}

void zmtp_greeting_put_v2(uint8_t dst[static ZMTP2_GREETING_BYTES], uint8_t socket_code)
{
    memset(dst, 0, ZMTP2_GREETING_BYTES);
    put_signature(dst);
    dst[AT_REVISION] = 1;
    dst[11] = socket_code;
}
