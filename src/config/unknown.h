/* SPDX-License-Identifier: MPL-2.0 */
/* Words the mistake for a key that no row knows: where it stands, and which key was probably meant. Pure. */
#ifndef WEIR_CONFIG_UNKNOWN_H
#define WEIR_CONFIG_UNKNOWN_H

#include "config/report.h"
#include "config/schema.h"

/* Reports `word`, a key of the section `section` ("" for the outermost) of this schema. */
void unknown_report(struct report *r, struct place at, const struct schema *schema, const char *section,
                    const char *word);

#endif
