/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/diff.h"
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One reload. */
struct attempt {
    struct relay *relay;
    struct admin *admin; /* NULL: there is none */
    const struct reload_source *from;
    FILE *said; /* NULL: to the log alone */
};

static void reload_say(const struct attempt *a, enum log_level level, const char *fmt, ...) PRINTF(3, 4);

static void reload_say(const struct attempt *a, enum log_level level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    log_line(level, "%s", line);
    if (a->said)
        fprintf(a->said, "%s\n", line);
}

/* `event`: the reason as written to the event log. */
static void refuse_telling(const struct attempt *a, const char *why, const char *event)
{
    reload_say(a, LOG_LEVEL_ERROR, "reload of %s refused: %s; the configuration in force stays", a->from->file, why);
    event_log_note(relay_events(a->relay), EVENT_RELOAD_REFUSED, event);
}

static void reload_refuse(const struct attempt *a, const char *why)
{
    refuse_telling(a, why, why);
}

/* Reports the reader's messages about the file, a line each. */
static void say_lines(const struct attempt *a, char *text, bool mistakes)
{
    unsigned lines = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line == '\0' || lines++ >= RELOAD_MISTAKES_SHOWN)
            continue;
        reload_say(a, mistakes ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "reload: %s", line);
    }
    if (lines > RELOAD_MISTAKES_SHOWN)
        reload_say(a, LOG_LEVEL_WARN, "reload: %u more lines not shown; weir check shows all",
                   lines - RELOAD_MISTAKES_SHOWN);
}

/* The configuration of the file, with --admin; NULL after the reasons were logged. */
static struct config *read_again(const struct attempt *a)
{
    const struct reload_source *from = a->from;
    char *said = NULL;
    size_t len;
    FILE *errors = open_memstream(&said, &len);
    if (!errors) {
        reload_refuse(a, "out of memory");
        return NULL;
    }
    struct config *c = from->patterns ? config_load_patterns(from->file, errors) : config_load(from->file, errors);
    if (c && from->admin && config_set_admin(c, from->admin, errors)) {
        config_free(c);
        c = NULL;
    }
    char first[EVENT_TEXT_MAX + 1] = "the file cannot be served";
    if (fclose(errors) == 0) {
        snprintf(first, sizeof(first), "%.*s", (int)strcspn(said, "\n"), said);
        say_lines(a, said, c == NULL);
    }
    free(said);
    if (!c)
        refuse_telling(a, "the file cannot be served", first);
    return c;
}

/* A line for each key, so that none is cut off. */
static bool needs_restart(const struct attempt *a, const struct config *before, const struct config *after)
{
    struct config_diff d;
    struct config_change c;
    bool found = false;
    config_diff_begin(&d, before, after);
    while (config_diff_next(&d, &c)) {
        if (!c.restart)
            continue;
        reload_say(a, LOG_LEVEL_ERROR, "reload: %s cannot change without a restart: %s -> %s", c.path, c.before,
                   c.after);
        found = true;
    }
    return found;
}

/* "2 keys changed: ..." in memory owned by the caller; NULL when out of memory. */
static char *changes_between(const struct config *before, const struct config *after, size_t *ret_count)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    *ret_count = config_diff_write(out, before, after, false, RELOAD_CHANGES_SHOWN);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static bool say_lists(const struct attempt *a, const struct config *c, const struct ban_lists_result *lists)
{
    char text[BAN_LISTS_TEXT_MAX];
    bool changed = ban_lists_format(text, sizeof(text), c, lists);
    if (changed)
        reload_say(a, LOG_LEVEL_INFO, "ban.lists: %s", text);
    if (lists->without_place)
        reload_say(a, LOG_LEVEL_WARN, "ban.lists: %zu networks are not banned: the ban table has no room",
                   lists->without_place);
    return changed;
}

static void say_changes(const struct attempt *a, size_t count, const char *text, bool lists_changed)
{
    char what[EVENT_TEXT_MAX + 1];
    snprintf(what, sizeof(what), "%s changed", lists_changed ? "no key" : "nothing");
    if (count)
        snprintf(what, sizeof(what), "%zu key%s changed: %s", count, count == 1 ? "" : "s", text);
    event_log_note(relay_events(a->relay), EVENT_RELOADED, what);
    if (count == 0)
        reload_say(a, LOG_LEVEL_INFO, "reloaded %s: %s changed", a->from->file, lists_changed ? "no key" : "nothing");
    else
        reload_say(a, LOG_LEVEL_INFO, "reloaded %s: %zu key%s changed: %s", a->from->file, count, count == 1 ? "" : "s",
                   text);
}

/* Reads the token of the file, for later. It is read even if the key has not changed: the file may have. */
static bool read_token(const struct attempt *a, const struct config *c)
{
    char why[TOKEN_WHY_MAX];
    if (admin_read_token(a->admin, c->admin.token_file, why) == 0)
        return true;
    reload_say(a, LOG_LEVEL_ERROR, "reload: %s", why);
    reload_refuse(a, "the token cannot be read");
    return false;
}

static bool may_be_put_into_force(const struct attempt *a, const struct config *c)
{
    if (!needs_restart(a, relay_config(a->relay), c))
        return read_token(a, c);
    reload_refuse(a, "what it changes needs a restart");
    return false;
}

/* Takes over `c`. */
static bool put_into_force(const struct attempt *a, struct config *c)
{
    const struct config *was = relay_config(a->relay);
    size_t count = 0;
    if (!may_be_put_into_force(a, c)) {
        config_free(c);
        return false;
    }
    enum log_level before = was->log_level, after = c->log_level;
    char *changes = changes_between(was, c, &count);
    struct ban_lists_result lists;
    int error = changes ? relay_reload(a->relay, c, &lists) : -ENOMEM;
    if (error) {
        reload_refuse(a, error == -EBUSY ? "the workers have not taken in the last ones yet" : "out of memory");
        config_free(c);
        free(changes);
        return false;
    }
    admin_take_token(a->admin);
    /* Logged if either level allows it. */
    log_set_level(before > after ? before : after);
    bool lists_changed = say_lists(a, c, &lists);
    say_changes(a, count, changes, lists_changed);
    log_set_level(after);
    free(changes);
    return true;
}

static void tell_manager_of_begin(void)
{
    char text[64];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_now_ns() / NS_PER_US));
    notify(text);
}

bool reload(struct relay *r, struct admin *admin, const struct reload_source *from, FILE *said)
{
    const struct attempt a = {.relay = r, .admin = admin, .from = from, .said = said};
    if (!from->file) {
        reload_say(&a, LOG_LEVEL_WARN,
                   "SIGHUP: there is no file to reload: the configuration comes from the command line");
        return false;
    }
    tell_manager_of_begin();
    struct config *c = read_again(&a);
    bool done = c && put_into_force(&a, c);
    relay_count_reload(r, done);
    notify("READY=1");
    return done;
}
