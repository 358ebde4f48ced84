/* SPDX-License-Identifier: MPL-2.0 */
#include "config/ban_lists.h"

#include "bans/ban_list.h"
#include "bans/ban_reach.h"
#include "config/report.h"
#include "config/value_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void note_mistake(struct report *r, const struct ban_list_line *l)
{
    char seen[VALUE_SEEN_MAX];
    if (++r->mistakes > BAN_LIST_MISTAKES_SHOWN)
        return;
    r->mistakes--; /* the report counts it */
    report_mistake(r, (struct place){.line = l->line, .column = l->column}, "not in a ban list: %s (%s)",
                   value_words_quote(seen, l->seen, l->seen_len), l->why);
}

/* Makes room for one more, of at most BAN_LISTS_MOST. Room is doubled, so that most configurations hold little. */
static bool ban_lists_make_room(struct ban_lists *to, size_t *room)
{
    if (to->count < *room)
        return true;
    size_t more = *room ? 2 * *room : 64;
    struct network *at = realloc(to->at, more * sizeof(*at));
    if (!at)
        return false;
    to->at = at;
    *room = more;
    return true;
}

static void take_all(struct ban_lists *to, size_t *room, const char *bytes, size_t len, struct report *r)
{
    struct ban_list_reader in;
    struct ban_list_line l;
    ban_list_begin(&in, bytes, len);
    for (enum ban_list_step step; (step = ban_list_next(&in, &l)) != BAN_LIST_END;) {
        if (step == BAN_LIST_MISTAKE) {
            note_mistake(r, &l);
            continue;
        }
        struct place at = {.line = l.line, .column = l.column};
        if (to->count == BAN_LISTS_MOST) {
            report_mistake(r, at, "too many networks: number %u, allowed %u in all files of ban.lists together",
                           BAN_LISTS_MOST + 1, BAN_LISTS_MOST);
            return;
        }
        if (!ban_lists_make_room(to, room)) {
            report_mistake(r, at, "not enough memory to read it");
            return;
        }
        to->at[to->count++] = l.who;
    }
}

/* Another process may be writing the file right now: the bytes that are read are judged as they are. */
static void ban_lists_read_file(struct ban_lists *to, size_t *room, const char *path, struct report *r)
{
    FILE *f = fopen(path, "re");
    char *bytes = f ? malloc(BAN_LIST_BYTES_MAX + 1) : NULL;
    errno = f && !bytes ? ENOMEM : errno;
    size_t len = bytes ? fread(bytes, 1, BAN_LIST_BYTES_MAX + 1, f) : 0;
    if (!bytes || ferror(f))
        report_mistake(r, (struct place){0}, "cannot be read: %s", strerror(errno));
    else if (len > BAN_LIST_BYTES_MAX)
        report_mistake(r, (struct place){0}, "too large: more than %u bytes, allowed up to 8MiB", BAN_LIST_BYTES_MAX);
    else
        take_all(to, room, bytes, len, r);
    free(bytes);
    if (f)
        fclose(f);
}

static void sort_out(struct ban_lists *l)
{
    size_t kept = 0;
    network_sort(l->at, l->count);
    for (size_t i = 0; i < l->count; i++)
        if (kept == 0 || !network_equal(&l->at[kept - 1], &l->at[i]))
            l->at[kept++] = l->at[i];
    l->count = kept;
}

int ban_lists_read(struct config *c, FILE *errors)
{
    unsigned mistakes = 0;
    size_t room = 0;
    for (size_t i = 0; i < c->ban_list_files.count; i++) {
        const char *path = c->ban_list_files.at[i].path;
        struct report r = {.out = errors, .file = path};
        ban_lists_read_file(&c->ban_lists, &room, path, &r);
        if (r.mistakes > BAN_LIST_MISTAKES_SHOWN)
            fprintf(errors, "%s: %u more mistakes not shown\n", path, r.mistakes - BAN_LIST_MISTAKES_SHOWN);
        mistakes += r.mistakes;
    }
    sort_out(&c->ban_lists);
    if (ban_reach_leaves_nobody(c->ban_lists.at, c->ban_lists.count)) {
        fprintf(errors, "%s: with this file ban.lists bans every address that a client can have, of IPv4 or of IPv6\n",
                c->ban_list_files.at[c->ban_list_files.count - 1].path);
        mistakes++;
    }
    return mistakes ? -EINVAL : 0;
}
