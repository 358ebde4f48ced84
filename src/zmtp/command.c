/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/command.h"

#include "zmtp/decoder.h"

#include <string.h>

static const char *const names[] = {
    [COMMAND_READY] = "READY",         [COMMAND_ERROR] = "ERROR",       [COMMAND_HELLO] = "HELLO",
    [COMMAND_WELCOME] = "WELCOME",     [COMMAND_INITIATE] = "INITIATE", [COMMAND_MESSAGE] = "MESSAGE",
    [COMMAND_SUBSCRIBE] = "SUBSCRIBE", [COMMAND_CANCEL] = "CANCEL",     [COMMAND_PING] = "PING",
    [COMMAND_PONG] = "PONG",
};

static enum zmtp_command_kind kind_of(struct bytes name)
{
    for (unsigned k = COMMAND_READY; k < ARRAY_LEN(names); k++)
        if (strlen(names[k]) == name.len && memcmp(names[k], name.at, name.len) == 0)
            return (enum zmtp_command_kind)k;
    return COMMAND_UNKNOWN;
}

/* RFC 37: "command-name = short-size 1*255command-name-char", "command-name-char = ALPHA". */
static bool zmtp_command_name_ok(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((name.at[i] | 0x20) < 'a' || (name.at[i] | 0x20) > 'z')
            return false;
    return name.len > 0;
}

bool zmtp_command_parse(struct bytes body, struct zmtp_command *ret)
{
    struct cursor c = cursor_over(body.at, body.len);
    struct bytes name = cursor_take(&c, cursor_u8(&c));
    if (c.failed || !zmtp_command_name_ok(name))
        return false;
    *ret = (struct zmtp_command){.kind = kind_of(name), .data = {c.at, cursor_left(&c)}};
    return true;
}

bool zmtp_ping_ok(const struct zmtp_command *c)
{
    return c->data.len >= 2 && c->data.len <= 18;
}

bool zmtp_pong_ok(const struct zmtp_command *c)
{
    return c->data.len <= 16;
}

size_t zmtp_put_pong(uint8_t dst[static ZMTP_PONG_MAX], struct bytes context)
{
    static const uint8_t name[] = "\x04PONG";
    size_t len = context.len <= 16 ? context.len : 16;
    dst[0] = ZMTP_FLAG_COMMAND;
    dst[1] = (uint8_t)(5 + len);
    memcpy(dst + 2, name, 5);
    if (len)
        memcpy(dst + 7, context.at, len);
    return 7 + len;
}
