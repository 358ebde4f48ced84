/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How weir_bind() tells a gate of the socket that it is for. The thread that has the gate.
 */
#ifndef WEIR_EMBED_GATE_TOLD_H
#define WEIR_EMBED_GATE_TOLD_H

#include "preload/socket_options.h"

struct weir_gate;

/* Before weir_gate_listen(). What weir_gate_options says beside it counts. */
void gate_told(struct weir_gate *g, const struct socket_options *told);

#endif
