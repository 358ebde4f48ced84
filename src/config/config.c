/* SPDX-License-Identifier: MPL-2.0 */
#include "config/config.h"

#include "config/ban_lists.h"
#include "config/checks.h"
#include "config/reader.h"
#include "config/report.h"
#include "config/schema.h"
#include "config/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole file, to be freed by the caller; NULL after a mistake. Reads one byte more than is allowed, which tells
 * that it is too large. */
static char *config_read_bytes(const char *path, size_t *ret_len, struct report *r)
{
    FILE *f = fopen(path, "re");
    unsigned before = r->mistakes;
    if (!f) {
        report_mistake(r, (struct place){0}, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    errno = 0;
    char *bytes = malloc(CONFIG_BYTES_MAX + 1);
    *ret_len = bytes ? fread(bytes, 1, CONFIG_BYTES_MAX + 1, f) : 0;
    if (!bytes || ferror(f))
        report_mistake(r, (struct place){0}, "cannot be read: %s", strerror(errno ? errno : ENOMEM));
    else if (*ret_len > CONFIG_BYTES_MAX)
        report_mistake(r, (struct place){0}, "too large: more than %u bytes, allowed up to 1MiB", CONFIG_BYTES_MAX);
    fclose(f);
    if (r->mistakes == before)
        return bytes;
    free(bytes);
    return NULL;
}

static struct config *load(const char *path, bool patterns, FILE *errors, struct section_given *ret)
{
    struct report r = {.out = errors, .file = path};
    size_t len;
    char *bytes = config_read_bytes(path, &len, &r);
    struct config *c = bytes ? config_read(bytes, len, patterns, &r, ret) : NULL;
    free(bytes);
    if (c && ban_lists_read(c, errors)) {
        config_free(c);
        c = NULL;
    }
    return c;
}

struct config *config_load(const char *path, FILE *errors)
{
    return load(path, false, errors, NULL);
}

struct config *config_load_placed(const char *path, FILE *errors, struct section_given *ret)
{
    return load(path, false, errors, ret);
}

/* The mistakes are kept back until it is known whether they matter. */
int config_load_admin(const char *path, struct config_admin *ret, FILE *errors)
{
    char *said = NULL;
    size_t len, said_len;
    FILE *kept = open_memstream(&said, &said_len);
    if (!kept)
        return -ENOMEM;
    struct report r = {.out = kept, .file = path};
    char *bytes = config_read_bytes(path, &len, &r);
    bool known = bytes && config_read_admin(bytes, len, &r, ret);
    free(bytes);
    if (fclose(kept) == 0 && !known)
        fputs(said, errors);
    free(said);
    return known ? 0 : -EINVAL;
}

/* Sets an option of the command line as if it were a value of the file. */
static int set_option(const struct schema *s, const char *path, const char *text, void *base, struct given *given,
                      struct report *r)
{
    char why[VALUE_WHY_MAX];
    const struct schema_key *k = schema_find(s, path);
    given[k - s->keys].at = (struct place){.line = 1, .column = 1};
    if (!value_set(k, text, base, why))
        return 0;
    report_mistake(r, (struct place){0}, "%s", why);
    return -EINVAL;
}

struct config *config_from_args(const char *listen, const char *forward, FILE *errors)
{
    struct report r = {.out = errors, .file = "weir", .without_places = true};
    struct config *c = calloc(1, sizeof(*c));
    struct config_gate *g = calloc(1, sizeof(*g));
    struct section_given *given = calloc(2, sizeof(*given));
    if (!c || !g || !given) {
        report_mistake(&r, (struct place){0}, "not enough memory");
        free(g);
        free(c);
        free(given);
        return NULL;
    }
    c->gates = g;
    c->gate_count = 1;
    value_set_defaults(&schema_top, c);
    value_set_defaults(&schema_gate, g);
    int bad_listen = set_option(&schema_gate, "listen", listen, g, given[1].keys, &r);
    int bad_forward = set_option(&schema_gate, "forward", forward, g, given[1].keys, &r);
    if (!bad_listen && !bad_forward) {
        checks_gate(g, &given[1], &r);
        checks_between(c, &given[0], &given[1], &r);
    }
    free(given);
    if (!r.mistakes)
        return c;
    config_free(c);
    return NULL;
}

/* The kernel's bans know the ports from before the gates; the application's address and counter are its own affair. */
static void settle_pattern(struct config_gate *g, FILE *errors)
{
    if (g->ban_kernel != BAN_KERNEL_OFF || g->upstream_source != UPSTREAM_SOURCE_WEIR || g->counter[0])
        fprintf(errors, "weir: warning: gate %s: ban.kernel, upstream.source and counter have no effect here\n",
                g->name);
    g->ban_kernel = BAN_KERNEL_OFF;
    g->upstream_source = UPSTREAM_SOURCE_WEIR;
    g->counter[0] = '\0';
}

static struct config *settle_patterns(struct config *c, FILE *errors)
{
    for (size_t i = 0; c && i < c->gate_count; i++)
        settle_pattern(&c->gates[i], errors);
    if (c)
        c->patterns = true;
    return c;
}

struct config *config_load_patterns(const char *path, FILE *errors)
{
    return config_load_patterns_placed(path, errors, NULL);
}

struct config *config_load_patterns_placed(const char *path, FILE *errors, struct section_given *ret)
{
    struct config *c =
        path ? load(path, true, errors, ret) : config_from_args(CONFIG_PATTERN_LISTEN, CONFIG_PATTERN_FORWARD, errors);
    return settle_patterns(c, errors);
}

struct config *config_read_patterns(const char *text, const char *name, FILE *errors)
{
    struct report r = {.out = errors, .file = name};
    struct config *c = config_read(text, strlen(text), true, &r, NULL);
    if (c && ban_lists_read(c, errors)) {
        config_free(c);
        c = NULL;
    }
    return settle_patterns(c, errors);
}

static bool is_same_path(const struct endpoint *a, const struct endpoint *b)
{
    return a->kind == ENDPOINT_IPC && b->kind == ENDPOINT_IPC && a->len == b->len && !memcmp(&a->un, &b->un, a->len);
}

const struct config_gate *config_pattern_for(const struct config *c, const struct endpoint *listen)
{
    uint16_t port = listen->kind == ENDPOINT_TCP ? endpoint_port(listen) : 0;
    const struct config_gate *any = NULL;
    for (size_t i = 0; i < c->gate_count; i++) {
        const struct endpoint *e = &c->gates[i].listen;
        uint16_t its = e->kind == ENDPOINT_TCP ? endpoint_port(e) : 0;
        if ((its != 0 && its == port) || is_same_path(e, listen))
            return &c->gates[i];
        if (its == 0 && e->kind == ENDPOINT_TCP)
            any = &c->gates[i];
    }
    return any;
}

bool config_gate_gives(const struct config_gate *g, const char *path)
{
    size_t row = (size_t)(schema_find(&schema_gate, path) - schema_gate.keys);
    return g->given[row / 64] >> row % 64 & 1;
}

/* Leaves the gate that has this address, or the one for any. */
static void config_leave_gate(struct config *c, const struct endpoint *listen)
{
    const struct config_gate *fits = config_pattern_for(c, listen);
    size_t chosen = fits ? (size_t)(fits - c->gates) : 0;
    struct config_gate g = c->gates[chosen];
    c->gates[chosen] = c->gates[0];
    c->gates[0] = g;
    while (c->gate_count > 1)
        config_gate_fini(&c->gates[--c->gate_count]);
}

int config_make_gate(struct config *c, const char *listen, const char *forward, FILE *errors)
{
    struct report r = {.out = errors, .file = "weir", .without_places = true};
    struct section_given *given = calloc(2, sizeof(*given));
    struct endpoint at;
    const char *why;
    if (!given)
        return -ENOMEM;
    if (endpoint_parse(&at, listen, true, &why) == 0)
        config_leave_gate(c, &at);
    struct config_gate *g = &c->gates[0];
    if (!set_option(&schema_gate, "listen", listen, g, given[1].keys, &r) &&
        !set_option(&schema_gate, "forward", forward, g, given[1].keys, &r))
        checks_between(c, &given[0], &given[1], &r);
    free(given);
    c->patterns = false;
    return r.mistakes ? -EINVAL : 0;
}

int config_set_admin(struct config *c, const char *text, FILE *errors)
{
    struct report r = {.out = errors, .file = "weir", .without_places = true};
    char why[VALUE_WHY_MAX];
    if (value_set(schema_find(&schema_top, "admin.listen"), text, c, why)) {
        report_mistake(&r, (struct place){0}, "%s", why);
        return -EINVAL;
    }
    checks_admin(c, (struct place){0}, &r);
    return 0;
}
