/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/setting.h"

#include <stddef.h>
#include <stdlib.h>

enum { UNREAD, READING, ABSENT, PRESENT };

/* A preload object has no caller that could own this. Written once, before PRESENT. */
static struct setting the_setting;
static _Atomic int state = UNREAD;

/* A word of exactly `len` bytes, with a blank behind it. */
static const char *take_word(char *ret, size_t len, const char *text)
{
    if (strnlen(text, len + 1) <= len || text[len] != ' ')
        return NULL;
    memcpy(ret, text, len);
    return text + len + 1;
}

/* Ports, and behind a blank the marks. */
static bool take_ports(struct setting *ret, const char *text)
{
    while (*text && *text != ' ') {
        char *end;
        if (!strncmp(text, "ipc", 3) && strchr(", ", text[3])) {
            ret->ipc = true;
            text += text[3] == ',' ? 4 : 3;
            continue;
        }
        long port = strtol(text, &end, 10);
        if (end == text || port == 0 || labs(port) > UINT16_MAX || ret->port_count == RUN_PORTS_MOST ||
            !strchr(", ", *end))
            return false;
        ret->ports[ret->port_count++] = (int32_t)port;
        text = *end == ',' ? end + 1 : end;
    }
    return !*text || !hwm_rules_read(&ret->marks, text + 1);
}

bool setting_parse(struct setting *ret, const char *text)
{
    memset(ret, 0, sizeof(*ret));
    ret->weir.sun_family = AF_UNIX;
    ret->weir_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + RUN_NAME_BYTES);
    text = take_word(ret->weir.sun_path + 1, RUN_NAME_BYTES, text);
    text = text ? take_word(ret->token, RUN_TOKEN_BYTES, text) : NULL;
    return text && take_ports(ret, text);
}

bool setting_names(const struct setting *s, int32_t port)
{
    for (unsigned i = 0; i < s->port_count; i++)
        if (s->ports[i] == port)
            return true;
    return false;
}

static int setting_read(void)
{
    const char *text = getenv(RUN_ENV);
    if (!text || !setting_parse(&the_setting, text))
        return ABSENT;
    return PRESENT;
}

const struct setting *setting_get(void)
{
    int seen = atomic_load_explicit(&state, memory_order_acquire);
    if (seen == UNREAD && atomic_compare_exchange_strong(&state, &seen, READING)) {
        seen = setting_read();
        atomic_store_explicit(&state, seen, memory_order_release);
    }
    return seen == PRESENT ? &the_setting : NULL;
}
