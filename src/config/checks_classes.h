/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the classes of a gate must not say of one another, and the table that is made of them. Pure.
 */
#ifndef WEIR_CONFIG_CHECKS_CLASSES_H
#define WEIR_CONFIG_CHECKS_CLASSES_H

#include "config/checks.h"

/* One class. `given` is indexed as schema_class. */
void checks_class(struct config_class *c, const struct section_given *given, struct report *r);

/* All classes of a gate: names and networks that stand twice. Makes g->class_table. */
void checks_classes(struct config_gate *g, struct report *r);

#endif
