/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Checks the classes of a gate against each other, and makes the class table from them. Pure.
 */
#ifndef WEIR_CONFIG_CHECKS_CLASSES_H
#define WEIR_CONFIG_CHECKS_CLASSES_H

#include "config/checks.h"

/* Checks one class. `given` has the indices of schema_class. */
void checks_class(struct config_class *c, const struct section_given *given, struct report *r);

/* Checks all classes of a gate for names and networks that stand twice, and makes g->class_table. */
void checks_classes(struct config_gate *g, struct report *r);

#endif
