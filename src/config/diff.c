/* SPDX-License-Identifier: MPL-2.0 */
#include "config/diff.h"
#include "config/value_words.h"

#include <string.h>

const struct config_gate *config_find_gate(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->gate_count; i++)
        if (!strcmp(c->gates[i].name, name))
            return &c->gates[i];
    return NULL;
}

void config_diff_begin(struct config_diff *d, const struct config *before, const struct config *after)
{
    *d = (struct config_diff){.before = before, .after = after};
}

/* A burst that follows an unlimited rate is stored as 0. */
static bool follows_unlimited(const struct schema *s, const struct schema_key *burst, const void *base)
{
    const struct schema_key *rate = burst - 1;
    struct rate r;
    if (burst == s->keys || (rate->type != SCHEMA_RATE && rate->type != SCHEMA_BYTE_RATE) ||
        burst->offset != rate->offset + offsetof(struct rate, burst))
        return false;
    memcpy(&r, (const char *)base + rate->offset, sizeof(r));
    return rate_is_unlimited(&r) && r.burst == 0;
}

void config_diff_format(char dst[static VALUE_TEXT_MAX], const struct schema *s, const struct schema_key *k,
                        const void *base)
{
    if (follows_unlimited(s, k, base))
        snprintf(dst, VALUE_TEXT_MAX, "unlimited");
    else
        value_words_format(dst, k, base);
}

/* The next row of the schema that differs; `gate`: the name of the gate, NULL at the top level. */
static bool next_row(struct config_diff *d, const struct schema *s, const char *gate, const void *before,
                     const void *after, struct config_change *ret)
{
    while (d->row < s->count) {
        const struct schema_key *k = &s->keys[d->row++];
        if (schema_equal(k, before, after))
            continue;
        snprintf(ret->path, sizeof(ret->path), "%s%s%s%s", gate ? "gates." : "", gate ? gate : "", gate ? "." : "",
                 k->path);
        config_diff_format(ret->before, s, k, before);
        config_diff_format(ret->after, s, k, after);
        if (!strcmp(ret->before, ret->after))
            snprintf(ret->after, sizeof(ret->after), "another that begins the same");
        ret->restart = k->restart;
        return true;
    }
    return false;
}

static bool whole_gate(struct config_change *ret, const char *name, const char *before, const char *after)
{
    snprintf(ret->path, sizeof(ret->path), "gates.%s", name);
    snprintf(ret->before, sizeof(ret->before), "%s", before);
    snprintf(ret->after, sizeof(ret->after), "%s", after);
    ret->restart = true;
    return true;
}

/* A gate of `after`: the keys that differ in it, or that `before` lacks it. */
static bool next_of_gate(struct config_diff *d, const struct config_gate *after, struct config_change *ret)
{
    const struct config_gate *before = config_find_gate(d->before, after->name);
    if (before)
        return next_row(d, &schema_gate, after->name, before, after, ret);
    if (d->row++ > 0)
        return false;
    return whole_gate(ret, after->name, "none", after->listen_text);
}

/* A gate of `before`: whether `after` lacks it. */
static bool next_gone(struct config_diff *d, const struct config_gate *before, struct config_change *ret)
{
    if (d->row++ > 0 || config_find_gate(d->after, before->name))
        return false;
    return whole_gate(ret, before->name, before->listen_text, "none");
}

bool config_diff_next(struct config_diff *d, struct config_change *ret)
{
    size_t afters = d->after->gate_count, end = 1 + afters + d->before->gate_count;
    for (; d->gate < end; d->gate++, d->row = 0) {
        bool found = d->gate == 0        ? next_row(d, &schema_top, NULL, d->before, d->after, ret)
                     : d->gate <= afters ? next_of_gate(d, &d->after->gates[d->gate - 1], ret)
                                         : next_gone(d, &d->before->gates[d->gate - 1 - afters], ret);
        if (found)
            return true;
    }
    return false;
}

size_t config_diff_write(FILE *out, const struct config *before, const struct config *after, bool restart_only,
                         size_t most)
{
    struct config_diff d;
    struct config_change c;
    size_t n = 0;
    config_diff_begin(&d, before, after);
    while (config_diff_next(&d, &c)) {
        if (restart_only && !c.restart)
            continue;
        if (n++ < most)
            fprintf(out, "%s%s %s -> %s", n > 1 ? ", " : "", c.path, c.before, c.after);
    }
    if (n > most)
        fprintf(out, ", and %zu more", n - most);
    return n;
}
