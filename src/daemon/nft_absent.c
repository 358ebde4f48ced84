/* SPDX-License-Identifier: MPL-2.0 */
/* Replaces nft.c in a Weir built without libnftables. */
#include "daemon/firewall_backend.h"

const struct firewall_backend nft_backend = {0};
