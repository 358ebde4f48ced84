/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Checks what one key alone cannot show: values that contradict one another, in a gate and between gates. Also sets the
 * keys whose default depends on other keys (bursts; limits that a smaller limit covers). Pure.
 */
#ifndef WEIR_CONFIG_CHECKS_H
#define WEIR_CONFIG_CHECKS_H

#include "config/config.h"
#include "config/report.h"
#include "config/schema.h"

#include <stdbool.h>

/* What the file says of each row, by index in the schema. */
struct given {
    struct place at; /* of the value; line 0: not given */
    bool wrong;      /* reported already: to be reported no more */
};

struct section_given {
    struct place at; /* of the gate, or of the file's first key */
    struct given keys[SCHEMA_KEYS_MAX];
};

/* Settles and checks one gate. `given` has the indices of schema_gate. */
void checks_gate(struct config_gate *g, const struct section_given *given, struct report *r);

/* Checks one item of a list of mappings of schema `s`. `given` has the indices of `s`. */
void checks_item(const struct schema *s, void *item, const struct section_given *given, struct report *r);

/* Checks names, addresses shared by two listeners, and circles of gates. `gates[i]` belongs to c->gates[i], `top` to
 * schema_top. */
void checks_between(struct config *c, const struct section_given *top, const struct section_given *gates,
                    struct report *r);

/* Warns when the admin address can be reached from other machines. */
void checks_admin(const struct config *c, struct place at, struct report *r);

#endif
