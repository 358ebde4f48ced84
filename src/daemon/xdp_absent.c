/* SPDX-License-Identifier: MPL-2.0 */
/* Replaces xdp.c in a Weir built without libbpf or clang. */
#include "daemon/firewall_backend.h"

const struct firewall_backend xdp_backend = {0};
