/* SPDX-License-Identifier: MPL-2.0 */
#include "config/checks_classes.h"

#include "config/value_words.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(CONFIG_NAME_MAX == CLASS_NAME_MAX, "a class has a name of the configuration");

static bool is_default(const struct config_class *c)
{
    return strcmp(c->name, "default") == 0;
}

void checks_class(struct config_class *c, const struct section_given *given, struct report *r)
{
    const struct schema_key *key = schema_find(&schema_class, "match.networks");
    const struct given *name = &given->keys[schema_find(&schema_class, "name") - schema_class.keys];
    const struct given *match = &given->keys[key - schema_class.keys];
    char range[VALUE_TEXT_MAX];
    struct place at = name->at.line ? name->at : given->at;
    c->line = at.line;
    c->column = at.column;
    if (!name->at.line)
        report_mistake(r, given->at, "name is missing: every class needs one, allowed 1 to %d of A-Z a-z 0-9 _ -",
                       CONFIG_NAME_MAX);
    if (name->wrong)
        return;
    if (is_default(c) && match->at.line)
        report_mistake(r, match->at,
                       "match.networks is given for the class default: it is the class of all that match "
                       "no other, allowed weight and priority");
    if (!is_default(c) && !match->at.line)
        report_mistake(r, given->at,
                       "match.networks is missing: every class but default needs it, allowed a list of %s",
                       value_words_range(range, key));
}

static void checks_class_names(const struct config_classes *all, struct report *r)
{
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < i; j++)
            if (all->at[i].name[0] && strcmp(all->at[i].name, all->at[j].name) == 0) {
                report_mistake(r, (struct place){all->at[i].line, all->at[i].column},
                               "name is not unique: \"%s\", also the class at line %u", all->at[i].name,
                               all->at[j].line);
                break;
            }
}

/* Orders networks; equal ones are in the order of the file. */
static int checks_class_compare(const void *a, const void *b)
{
    const struct config_network *first = *(struct config_network *const *)a,
                                *second = *(struct config_network *const *)b;
    int order = network_compare(&first->network, &second->network);
    if (order)
        return order;
    if (first->line != second->line)
        return first->line < second->line ? -1 : 1;
    return (first->column > second->column) - (first->column < second->column);
}

static void check_sorted(struct config_network *const *sorted, size_t count, struct report *r)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 1; i < count; i++) {
        const struct config_network *before = sorted[i - 1], *n = sorted[i];
        if (network_compare(&before->network, &n->network) == 0)
            report_mistake(r, (struct place){n->line, n->column},
                           "match.networks has a network that is given before: %s, also at line %u, column %u",
                           network_format(text, sizeof(text), &n->network), before->line, before->column);
    }
}

static size_t count_networks(const struct config_classes *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        n += all->at[i].networks.count;
    return n;
}

/* False: no memory. */
static bool check_networks(const struct config_classes *all, struct report *r)
{
    size_t count = count_networks(all), n = 0;
    struct config_network **sorted = calloc(count + 1, sizeof(struct config_network *));
    if (!sorted)
        return false;
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->at[i].networks.count; k++)
            sorted[n++] = &all->at[i].networks.at[k];
    qsort(sorted, count, sizeof(*sorted), checks_class_compare);
    check_sorted(sorted, count, r);
    free(sorted);
    return true;
}

static struct classes *checks_class_table(const struct config_classes *all)
{
    struct classes *table = classes_new(count_networks(all));
    if (!table)
        return NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct config_class *c = &all->at[i];
        unsigned n = classes_add(table, c->name, (uint16_t)c->weight, (uint8_t)c->priority);
        for (size_t k = 0; k < c->networks.count; k++)
            classes_add_network(table, n, &c->networks.at[k].network);
    }
    classes_settle(table);
    return table;
}

void checks_classes(struct config_gate *g, struct report *r)
{
    if (g->classes.count == 0)
        return;
    checks_class_names(&g->classes, r);
    if (check_networks(&g->classes, r))
        g->class_table = checks_class_table(&g->classes);
    if (!g->class_table)
        report_mistake(r, (struct place){0}, "not enough memory to read it");
}
