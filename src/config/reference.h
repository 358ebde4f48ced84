/* SPDX-License-Identifier: MPL-2.0 */
/* Writes docs/config.md from the schema tables. */
#ifndef WEIR_CONFIG_REFERENCE_H
#define WEIR_CONFIG_REFERENCE_H

#include <stdio.h>

/* The whole page, in Markdown. */
void reference_print(FILE *out);

#endif
