/* SPDX-License-Identifier: MPL-2.0 */
#ifndef WEIR_CLI_VERSION_H
#define WEIR_CLI_VERSION_H

#include <stdio.h>

/* "weir 0.1.0" and, a line each, the libraries in use. */
void version_print(FILE *out);

#endif
