/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_list.h"

#include "bans/ban_reach.h"
#include "base/attr.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

void ban_list_begin(struct ban_list_reader *r, const void *bytes, size_t len)
{
    const size_t mark = sizeof(BYTE_ORDER_MARK) - 1;
    *r = (struct ban_list_reader){.at = bytes, .end = len ? (const char *)bytes + len : bytes};
    if (len >= mark && memcmp(bytes, BYTE_ORDER_MARK, mark) == 0)
        r->at += mark;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool begins_comment(char c)
{
    return c == '#' || c == ';';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

static const char *end_of_word(const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && !begins_comment(*at))
        at++;
    return at;
}

static enum ban_list_step mistake(struct ban_list_line *ret, const char *why)
{
    ret->why = why;
    return BAN_LIST_MISTAKE;
}

/* The word that `ret` shows, as a network. */
static enum ban_list_step ban_list_read_network(struct ban_list_line *ret)
{
    char text[NETWORK_TEXT_MAX];
    const char *why = NULL;
    if (ret->seen_len >= sizeof(text) || memchr(ret->seen, '\0', ret->seen_len))
        return mistake(ret, "an address is written 192.0.2.0, 2001:db8:: or uid:1000");
    memcpy(text, ret->seen, ret->seen_len);
    text[ret->seen_len] = '\0';
    if (network_parse(&ret->who, text, &why) != 0)
        return mistake(ret, why);
    if (ret->who.bits == 0)
        return mistake(ret, "that would ban everybody");
    if (ban_reach_is_too_wide(&ret->who))
        return mistake(ret, "that would ban a large part of the world: allowed are /8 and narrower, of IPv6 /16");
    return BAN_LIST_NETWORK;
}

static void show(struct ban_list_line *ret, const char *line, const char *word, const char *word_end)
{
    ret->column = (uint32_t)(word - line) + 1;
    ret->seen = word;
    ret->seen_len = (size_t)(word_end - word);
}

/* One line, without its end. BAN_LIST_END: it says nothing. */
static enum ban_list_step ban_list_read_line(const char *line, const char *end, struct ban_list_line *ret)
{
    const char *word = skip_blanks(line, end), *word_end = end_of_word(word, end);
    if (word == word_end) /* nothing, or a comment */
        return BAN_LIST_END;
    show(ret, line, word, word_end);
    enum ban_list_step step = ban_list_read_network(ret);
    const char *rest = skip_blanks(word_end, end);
    if (step == BAN_LIST_MISTAKE || rest == end || begins_comment(*rest))
        return step;
    show(ret, line, rest, end_of_word(rest, end));
    return mistake(ret, "a line has one network, and behind it nothing but a comment with # or ;");
}

enum ban_list_step ban_list_next(struct ban_list_reader *r, struct ban_list_line *ret)
{
    while (r->at < r->end) {
        const char *line = r->at, *end = memchr(line, '\n', (size_t)(r->end - line));
        r->at = end ? end + 1 : r->end;
        r->line++;
        *ret = (struct ban_list_line){.line = r->line};
        enum ban_list_step step = ban_list_read_line(line, end ? end : r->end, ret);
        if (step != BAN_LIST_END)
            return step;
    }
    return BAN_LIST_END;
}
