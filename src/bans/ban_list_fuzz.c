/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of ban lists. Each line is a network, a mistake inside that line, or nothing. A network that was
 * read and is written down is read the same again. */
#include "bans/ban_list.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void reads_the_same_again(const struct network *n)
{
    char text[NETWORK_TEXT_MAX];
    struct ban_list_reader r;
    struct ban_list_line l;
    network_format(text, sizeof(text), n);
    ban_list_begin(&r, text, strlen(text));
    require(ban_list_next(&r, &l) == BAN_LIST_NETWORK && network_equal(&l.who, n));
    require(ban_list_next(&r, &l) == BAN_LIST_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ban_list_reader r;
    struct ban_list_line l;
    uint32_t last = 0;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    ban_list_begin(&r, data, size);
    for (enum ban_list_step s; (s = ban_list_next(&r, &l)) != BAN_LIST_END;) {
        require(l.line > last && l.line <= lines);
        last = l.line;
        require(l.seen_len > 0 && l.column > 0);
        require(l.seen >= (const char *)data && l.seen + l.seen_len <= (const char *)data + size);
        require(memchr(l.seen, '\n', l.seen_len) == NULL);
        require((s == BAN_LIST_MISTAKE) == (l.why != NULL));
        if (s == BAN_LIST_NETWORK)
            reads_the_same_again(&l.who);
    }
    require(r.at == r.end);
    return 0;
}
