/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Tells how many log lines a gate has held back, when no next line of their kind comes to tell it. Keeps nothing: the
 * counts are those of struct gate_notices. Any thread; costs two loads for each verdict of each gate.
 */
#ifndef WEIR_RELAY_HELD_LINES_H
#define WEIR_RELAY_HELD_LINES_H

#include "relay/gate.h"

void held_lines_tell(struct gate *gates, size_t count, uint64_t now_ns);

#endif
