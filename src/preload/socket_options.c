/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/socket_options.h"

static const struct {
    const char *name;
    int number;
    size_t bytes;
} rows[SOCKET_OPTION_COUNT] = {
#define SOCKET_OPTION_ROW(NAME, number, type) {"ZMQ_" #NAME, number, sizeof(type)},
    SOCKET_OPTIONS(SOCKET_OPTION_ROW)
#undef SOCKET_OPTION_ROW
};

static bool read_one(int64_t *ret, enum socket_option which, socket_options_getter *get, void *socket)
{
    union {
        int32_t narrow;
        int64_t wide;
    } value = {0};
    size_t bytes = rows[which].bytes;
    if (get(socket, rows[which].number, &value, &bytes) != 0 || bytes != rows[which].bytes)
        return false;
    *ret = bytes == sizeof(value.wide) ? value.wide : value.narrow;
    return true;
}

void socket_options_read(struct socket_options *ret, socket_options_getter *get, void *socket)
{
    int64_t value;
    *ret = (struct socket_options){0};
    for (unsigned i = 0; i < SOCKET_OPTION_COUNT; i++)
        if (read_one(&value, (enum socket_option)i, get, socket))
            socket_options_set(ret, (enum socket_option)i, value);
}

const char *socket_option_name(enum socket_option which)
{
    return rows[which].name;
}
