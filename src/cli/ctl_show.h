/* SPDX-License-Identifier: MPL-2.0 */
/* Shows rows of the API as tables for a person. Whatever a document holds, only printable ASCII comes out. */
#ifndef WEIR_CLI_CTL_SHOW_H
#define WEIR_CLI_CTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* `rows`: the array of the document. A value that is missing in a row, or of another type, is shown as "-". False:
 * memory was out. */
bool ctl_show_bans(const json_t *rows, FILE *out);
bool ctl_show_sources(const json_t *rows, FILE *out);
bool ctl_show_connections(const json_t *rows, FILE *out);
bool ctl_show_gates(const json_t *rows, FILE *out);
bool ctl_show_settings(const json_t *rows, FILE *out); /* without defaults, which are counted */

/* "999 B", "1.5 KiB"; "59s", "3m20s", "2h05m", "3d04h". Return `dst`. */
char *ctl_show_bytes(char *dst, size_t size, uint64_t bytes);
char *ctl_show_seconds(char *dst, size_t size, uint64_t seconds);

#endif
