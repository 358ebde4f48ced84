/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Runs in the kernel for each packet that an interface receives, before anything is allocated for it: drops TCP from a
 * banned network to a gate, and passes everything else. Bans expire by the clock, even if the process that set them is
 * gone.
 *
 * Where prefixes are nested, the longest match counts. If that one has expired, the next shorter one is tried,
 * NESTED_MOST times. Deeper nesting is passed, and Weir itself still refuses it. The same holds for fragments, and for
 * IPv6 with extension headers.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "daemon/xdp_maps.h"

#define NESTED_MOST 4
#define VLANS_MOST  2
#define FRAGMENT    0x3fff /* more to come, or not the first */

struct vlan {
    __be16 tag, type;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, XDP_GATES_MAX);
    __type(key, struct xdp_place);
    __type(value, __u32);
} gates SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, XDP_EXEMPT_MAX);
    __type(key, struct xdp_gate_net);
    __type(value, __u32);
} exempt SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, XDP_BANS_MAX);
    __type(key, struct xdp_net);
    __type(value, struct xdp_ban);
} bans SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_count);
} dropped SEC(".maps");

struct flow {
    struct xdp_net from;
    struct xdp_place to;
    int is_v4;
};

static __always_inline void map_v4(__u8 *dst, __be32 addr)
{
    __builtin_memset(dst, 0, 10);
    dst[10] = dst[11] = 0xff;
    __builtin_memcpy(dst + 12, &addr, 4);
}

/* False: not TCP, or no complete header here. */
static __always_inline int read_v4(void *at, void *end, struct flow *f)
{
    struct iphdr *ip = at;
    if ((void *)(ip + 1) > end || ip->ihl < 5 || ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(FRAGMENT))
        return 0;
    struct tcphdr *tcp = at + ip->ihl * 4;
    if ((void *)(tcp + 1) > end)
        return 0;
    map_v4(f->from.addr, ip->saddr);
    map_v4(f->to.addr, ip->daddr);
    f->to.port = tcp->dest;
    f->is_v4 = 1;
    return 1;
}

static __always_inline int read_v6(void *at, void *end, struct flow *f)
{
    struct ipv6hdr *ip = at;
    struct tcphdr *tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > end || ip->nexthdr != IPPROTO_TCP)
        return 0;
    __builtin_memcpy(f->from.addr, &ip->saddr, 16);
    __builtin_memcpy(f->to.addr, &ip->daddr, 16);
    f->to.port = tcp->dest;
    return 1;
}

static __always_inline int read_packet(void *at, void *end, struct flow *f)
{
    struct ethhdr *eth = at;
    if ((void *)(eth + 1) > end)
        return 0;
    __be16 type = eth->h_proto;
    at = eth + 1;
#pragma unroll
    for (int i = 0; i < VLANS_MOST; i++) {
        struct vlan *tag = at;
        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
            break;
        if ((void *)(tag + 1) > end)
            return 0;
        type = tag->type;
        at = tag + 1;
    }
    if (type == bpf_htons(ETH_P_IP))
        return read_v4(at, end, f);
    return type == bpf_htons(ETH_P_IPV6) && read_v6(at, end, f);
}

/* The number of the gate that the packet is for, or NULL: by its address, else all of IPv4, else all. */
static __always_inline __u32 *gate_of(const struct flow *f)
{
    struct xdp_place place = f->to;
    __u32 *gate = bpf_map_lookup_elem(&gates, &place);
    if (!gate && f->is_v4) {
        __builtin_memset(place.addr + 12, 0, 4);
        gate = bpf_map_lookup_elem(&gates, &place);
    }
    if (gate)
        return gate;
    __builtin_memset(place.addr, 0, sizeof(place.addr));
    return bpf_map_lookup_elem(&gates, &place);
}

static __always_inline int is_exempt(const struct flow *f, __u32 gate)
{
    struct xdp_gate_net key = {.bits = 32 + 128, .gate = gate};
    __builtin_memcpy(key.addr, f->from.addr, sizeof(key.addr));
    return bpf_map_lookup_elem(&exempt, &key) != 0;
}

static __always_inline int is_banned(const struct flow *f)
{
    struct xdp_net key = f->from;
    __u64 now_ns = bpf_ktime_get_ns();
    key.bits = 128;
#pragma unroll
    for (int i = 0; i < NESTED_MOST; i++) {
        struct xdp_ban *ban = bpf_map_lookup_elem(&bans, &key);
        if (!ban || ban->bits == 0)
            return 0;
        if (ban->until_ns > now_ns)
            return 1;
        key.bits = ban->bits - 1;
    }
    return 0;
}

static __always_inline void count(__u64 bytes)
{
    __u32 first = 0;
    struct xdp_count *c = bpf_map_lookup_elem(&dropped, &first);
    if (!c)
        return;
    c->packets++;
    c->bytes += bytes;
}

SEC("xdp")
int weir_bans(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct flow f = {0};
    if (!read_packet(data, end, &f))
        return XDP_PASS;
    __u32 *gate = gate_of(&f);
    if (!gate || is_exempt(&f, *gate) || !is_banned(&f))
        return XDP_PASS;
    count((__u64)(end - data));
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MPL/GPL";
