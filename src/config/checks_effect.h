/* SPDX-License-Identifier: MPL-2.0 */
/* Warns of keys of a gate that do nothing, because another one says so, or because they leave nobody. Pure. */
#ifndef WEIR_CONFIG_CHECKS_EFFECT_H
#define WEIR_CONFIG_CHECKS_EFFECT_H

#include "config/checks.h"

/* `given` has the indices of schema_gate. */
void checks_effect(const struct config_gate *g, const struct section_given *given, struct report *r);

#endif
