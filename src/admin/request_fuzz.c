/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness for the requests of the JSON API: the bytes are a body, and a query. Whatever they are, a refusal
 * is a sentence in printable ASCII, and an accepted value is within its range. */
#include "admin/request.h"
#include "bans/bans.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refusal(int error, const char why[static REQUEST_WHY_MAX])
{
    if (!error)
        return;
    size_t len = strnlen(why, REQUEST_WHY_MAX);
    require(len > 0 && len < REQUEST_WHY_MAX);
    for (size_t i = 0; i < len; i++)
        require(why[i] >= ' ' && why[i] <= '~');
}

static void check_network(const struct network *n)
{
    char text[NETWORK_TEXT_MAX];
    struct network again;
    require(network_parse(&again, network_format(text, sizeof(text), n), NULL) == 0 && network_equal(n, &again));
}

static void read_bodies(const char *body, size_t len)
{
    char why[REQUEST_WHY_MAX] = "";
    struct request_ban ban;
    struct request_kick kick;
    int error = request_parse_ban(&ban, body, len, why);
    check_refusal(error, why);
    if (!error) {
        require(ban.for_ns == BAN_FOR_EVER || (ban.for_ns >= REQUEST_FOR_MIN_NS && ban.for_ns <= REQUEST_FOR_MAX_NS));
        check_network(&ban.who);
    }
    error = request_parse_kick(&kick, body, len, why);
    check_refusal(error, why);
    if (!error) {
        require((kick.who.kind == ADDR_NONE) == (kick.id != 0) && strlen(kick.gate) <= CONFIG_NAME_MAX);
        if (!kick.id)
            check_network(&kick.who);
    }
    check_refusal(request_parse_nothing(body, len, why), why);
}

static void read_query(struct request_args *args)
{
    char why[REQUEST_WHY_MAX] = "";
    struct request_list list;
    struct network who;
    for (unsigned allowed = 0; allowed < 16; allowed++) {
        int error = request_parse_list(&list, allowed, args, why);
        check_refusal(error, why);
        if (error)
            continue;
        require(list.limit >= REQUEST_ROWS_MIN && list.limit <= REQUEST_ROWS_MAX);
        require(allowed & REQUEST_CURSOR || list.cursor == 0);
        require(allowed & REQUEST_HISTORY || !list.history);
        require(allowed & REQUEST_GATE || !list.gate[0]);
        require(allowed & REQUEST_NETWORK || list.who.kind == ADDR_NONE);
        if (list.who.kind != ADDR_NONE)
            check_network(&list.who);
    }
    int error = request_parse_unban(&who, args, why);
    check_refusal(error, why);
    if (!error)
        check_network(&who);
    error = request_parse_no_args(args, why);
    check_refusal(error, why);
    require((error == 0) == (args->count == 0));
}

/* A copy with a NUL behind it. */
static char *copy_of(const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);
    require(copy != NULL);
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

/* name=value&name&..., with each part in memory of exactly its size, as a server may have it. */
static void split_query(const char *text, size_t len)
{
    struct request_args args = {0};
    char *parts[2 * REQUEST_ARGS_MAX] = {NULL};
    size_t used = 0;
    for (const char *end = text + len; text < end;) {
        const char *ampersand = memchr(text, '&', (size_t)(end - text)), *stop = ampersand ? ampersand : end;
        const char *equals = memchr(text, '=', (size_t)(stop - text));
        if (args.count == REQUEST_ARGS_MAX) {
            args.count++;
            break;
        }
        struct request_arg *a = &args.at[args.count++];
        a->name_len = (size_t)((equals ? equals : stop) - text);
        a->name = parts[used++] = copy_of(text, a->name_len);
        if (equals) {
            a->value_len = (size_t)(stop - equals - 1);
            a->value = parts[used++] = copy_of(equals + 1, a->value_len);
        }
        text = stop + 1;
    }
    read_query(&args);
    for (size_t i = 0; i < used; i++)
        free(parts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Of exactly this size, so that an overrun is detected. */
    char *copy = malloc(size ? size : 1);
    require(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    read_bodies(copy, size);
    split_query(copy, size);
    free(copy);
    return 0;
}
