/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Lines of the preload object on the standard error of the program that it is in: one for each thing that the operator
 * has to know, in one write(2). errno stays.
 */
#ifndef WEIR_PRELOAD_PRELOAD_SAY_H
#define WEIR_PRELOAD_PRELOAD_SAY_H

void preload_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
