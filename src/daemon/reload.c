/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/diff.h"
#include "daemon/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(struct relay *r, const struct reload_source *from, const char *why)
{
    LOG_ERROR("reload of %s refused: %s; the configuration in force stays", from->file, why);
    event_log_note(relay_events(r), EVENT_RELOAD_REFUSED, why);
}

/* What the reader says of the file, a line each. */
static void log_lines(char *text, bool mistakes)
{
    unsigned lines = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line == '\0' || lines++ >= RELOAD_MISTAKES_SHOWN)
            continue;
        if (mistakes)
            LOG_ERROR("reload: %s", line);
        else
            LOG_WARN("reload: %s", line);
    }
    if (lines > RELOAD_MISTAKES_SHOWN)
        LOG_WARN("reload: %u more lines not shown; weir check shows all", lines - RELOAD_MISTAKES_SHOWN);
}

/* What the file says, with --admin; NULL after the reasons were logged. */
static struct config *read_again(struct relay *r, const struct reload_source *from)
{
    char *said = NULL;
    size_t len;
    FILE *errors = open_memstream(&said, &len);
    if (!errors) {
        refuse(r, from, "memory is out");
        return NULL;
    }
    struct config *c = config_load(from->file, errors);
    if (c && from->admin && config_set_admin(c, from->admin, errors)) {
        config_free(c);
        c = NULL;
    }
    char first[EVENT_TEXT_MAX + 1] = "the file cannot be served";
    if (fclose(errors) == 0) {
        snprintf(first, sizeof(first), "%.*s", (int)strcspn(said, "\n"), said);
        log_lines(said, c == NULL);
    }
    free(said);
    if (!c) {
        LOG_ERROR("reload of %s refused: the file cannot be served; the configuration in force stays", from->file);
        event_log_note(relay_events(r), EVENT_RELOAD_REFUSED, first);
    }
    return c;
}

/* A line for each key, so that none is cut off. */
static bool needs_restart(const struct config *before, const struct config *after)
{
    struct config_diff d;
    struct config_change c;
    bool found = false;
    config_diff_begin(&d, before, after);
    while (config_diff_next(&d, &c)) {
        if (!c.restart)
            continue;
        LOG_ERROR("reload: %s cannot change without a restart: %s -> %s", c.path, c.before, c.after);
        found = true;
    }
    return found;
}

/* "2 keys changed: ..." in memory of the caller's; NULL when there is none. */
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

static void log_changes(struct relay *r, const char *file, size_t count, const char *text)
{
    char what[EVENT_TEXT_MAX + 1] = "nothing changed";
    if (count)
        snprintf(what, sizeof(what), "%zu key%s changed: %s", count, count == 1 ? "" : "s", text);
    event_log_note(relay_events(r), EVENT_RELOADED, what);
    if (count == 0)
        LOG_INFO("reloaded %s: nothing changed", file);
    else
        LOG_INFO("reloaded %s: %zu key%s changed: %s", file, count, count == 1 ? "" : "s", text);
}

/* Takes over `c`. */
static bool put_into_force(struct relay *r, const struct reload_source *from, struct config *c)
{
    const struct config *was = relay_config(r);
    size_t count = 0;
    if (needs_restart(was, c)) {
        refuse(r, from, "what it changes needs a restart");
        config_free(c);
        return false;
    }
    enum log_level before = was->log_level, after = c->log_level;
    char *changes = changes_between(was, c, &count);
    int error = changes ? relay_reload(r, c) : -ENOMEM;
    if (error) {
        refuse(r, from, error == -EBUSY ? "the workers have not taken in the last ones yet" : "memory is out");
        config_free(c);
        free(changes);
        return false;
    }
    /* Written if either level has it written. */
    log_set_level(before > after ? before : after);
    log_changes(r, from->file, count, changes);
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

bool reload(struct relay *r, const struct reload_source *from)
{
    if (!from->file) {
        LOG_WARN("SIGHUP: there is no file to reload: the configuration comes from the command line");
        return false;
    }
    tell_manager_of_begin();
    struct config *c = read_again(r, from);
    bool done = c && put_into_force(r, from, c);
    relay_count_reload(r, done);
    notify("READY=1");
    return done;
}
