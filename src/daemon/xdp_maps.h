/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keys and values of the maps that the program in the kernel (xdp.bpf.c) and its loader (xdp.c) share.
 *
 * All addresses have 16 bytes, those of IPv4 as ::ffff:a.b.c.d, so that one tree holds both families.
 */
#ifndef WEIR_DAEMON_XDP_MAPS_H
#define WEIR_DAEMON_XDP_MAPS_H

#include <linux/types.h>

/* For whole networks. The kernel removes nothing; the helper does, once a minute. */
#define XDP_BANS_MAX 524288

#define XDP_GATES_MAX  64
#define XDP_EXEMPT_MAX (2 * XDP_GATES_MAX * 64)

/* Where a gate listens. All zeros: any address; ::ffff:0.0.0.0: any of IPv4. */
struct xdp_place {
    __u8 addr[16];
    __u16 port; /* network order */
    __u16 zero;
};

/* Keys of the trees: `bits` counts the bits after it. */
struct xdp_net {
    __u32 bits;
    __u8 addr[16];
};

struct xdp_gate_net {
    __u32 bits;
    __u32 gate;
    __u8 addr[16];
};

struct xdp_ban {
    __u64 until_ns; /* CLOCK_MONOTONIC */
    __u32 bits;     /* of its key */
    __u32 zero;
};

struct xdp_count {
    __u64 packets, bytes;
};

#endif
