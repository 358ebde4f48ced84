/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The kernel's earliest packet hook (XDP) through libbpf.
 *
 * Loads a program (xdp.bpf.c) that drops packets from banned networks to gates, and attaches it to the interfaces that
 * gates name: in the driver where possible, else in the generic way. The first replacement attaches it. The program and
 * its maps stay attached when this process ends; its bans expire by the clock. The next Weir fills maps of its own
 * first, and then replaces the program, in one step. Counting removes expired bans now and then.
 */
#include "base/clock.h"
#include "daemon/firewall_backend.h"
#include "daemon/xdp_maps.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp_program.h> /* made of xdp.bpf.c by the build */

#define PROGRAM        "weir_bans"
#define SWEEP_EVERY_NS (60 * NS_PER_S)

_Static_assert(XDP_GATES_MAX == FIREWALL_GATES_MAX && XDP_EXEMPT_MAX == 2 * FIREWALL_GATES_MAX * NETWORKS_MAX &&
                   XDP_BANS_MAX == 2 * FIREWALL_ENTRIES_MAX,
               "as the rest has it");

struct attachment {
    char name[FIREWALL_INTERFACE_MAX];
    int interface;  /* its index, which changes when the interface is created anew */
    int before_fd;  /* an earlier Weir's program, or -1 */
    uint32_t flags; /* how that program is attached */
    bool done;
};

struct xdp {
    struct bpf_object *object;
    int program, gates, exempt, bans, dropped; /* descriptors, owned by the object */
    struct attachment at[FIREWALL_GATES_MAX];
    int names_fd; /* a socket to ask for indices, since the confined helper may open none */
    size_t interfaces;
    struct xdp_count sum;
    uint64_t swept_ns;
    uint32_t generation; /* of the exemptions */
};

/* ---- addresses ---- */

static void map_address(uint8_t dst[static 16], uint8_t kind, const uint8_t *bytes)
{
    memset(dst, 0, 16);
    if (kind == ADDR_V6)
        memcpy(dst, bytes, 16);
    if (kind != ADDR_V4)
        return;
    dst[10] = dst[11] = 0xff;
    memcpy(dst + 12, bytes, 4);
}

static uint32_t map_bits(const struct network *n)
{
    return n->kind == ADDR_V4 ? 96u + n->bits : n->bits;
}

static struct xdp_net xdp_key_of(const struct network *n)
{
    struct xdp_net key = {.bits = map_bits(n)};
    map_address(key.addr, n->kind, n->bytes);
    return key;
}

/* The network of a key. */
static struct network network_of_key(const struct xdp_net *key)
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
    struct network n = {.kind = ADDR_V6, .bits = (uint8_t)key->bits};
    if (key->bits < 96 || memcmp(key->addr, mapped, sizeof(mapped)) != 0) {
        memcpy(n.bytes, key->addr, sizeof(n.bytes));
        return n;
    }
    n.kind = ADDR_V4;
    n.bits = (uint8_t)(key->bits - 96);
    memcpy(n.bytes, key->addr + 12, 4);
    return n;
}

/* ---- loading ---- */

/* Otherwise libbpf writes to standard error. */
static int keep_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    return 0;
}

static int xdp_load(struct xdp *x)
{
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = PROGRAM);
    libbpf_set_print(keep_quiet);
    x->object = bpf_object__open_mem(xdp_program, sizeof(xdp_program), &options);
    if (!x->object)
        return -errno;
    int error = bpf_object__load(x->object);
    if (error)
        return error == -EACCES ? -EPERM : error;
    x->program = bpf_program__fd(bpf_object__find_program_by_name(x->object, PROGRAM));
    x->gates = bpf_object__find_map_fd_by_name(x->object, "gates");
    x->exempt = bpf_object__find_map_fd_by_name(x->object, "exempt");
    x->bans = bpf_object__find_map_fd_by_name(x->object, "bans");
    x->dropped = bpf_object__find_map_fd_by_name(x->object, "dropped");
    return x->program < 0 || x->gates < 0 || x->exempt < 0 || x->bans < 0 || x->dropped < 0 ? -ENOENT : 0;
}

/* An earlier Weir's program may be replaced; another program may not. */
static int look_at_program(struct attachment *a, uint32_t id)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof(info);
    a->before_fd = bpf_prog_get_fd_by_id(id);
    if (a->before_fd < 0)
        return errno == ENOENT ? 0 : -EBUSY;
    if (bpf_obj_get_info_by_fd(a->before_fd, &info, &len) == 0 && strcmp(info.name, PROGRAM) == 0)
        return 0;
    return -EBUSY;
}

/* The index of an interface; 0: there is none of that name. */
static int index_of(const struct xdp *x, const char *name)
{
    struct ifreq r = {0};
    if (strlen(name) >= sizeof(r.ifr_name))
        return 0;
    memcpy(r.ifr_name, name, strlen(name));
    return ioctl(x->names_fd, SIOCGIFINDEX, &r) == 0 ? r.ifr_ifindex : 0;
}

static int xdp_look_at(struct xdp *x, const char *name)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, seen);
    struct attachment *a = &x->at[x->interfaces];
    for (size_t i = 0; i < x->interfaces; i++)
        if (strcmp(x->at[i].name, name) == 0)
            return 0;
    *a = (struct attachment){.interface = index_of(x, name), .before_fd = -1};
    snprintf(a->name, sizeof(a->name), "%s", name);
    x->interfaces++;
    if (!a->interface)
        return -ENODEV;
    int error = bpf_xdp_query(a->interface, 0, &seen);
    if (error)
        return error;
    a->flags = seen.attach_mode == XDP_ATTACHED_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    if (seen.attach_mode == XDP_ATTACHED_NONE)
        return 0;
    return seen.attach_mode == XDP_ATTACHED_MULTI ? -EBUSY : look_at_program(a, seen.prog_id);
}

static int xdp_take_gates(struct xdp *x, const struct firewall_gates *gates)
{
    int error = 0;
    for (uint32_t i = 0; i < gates->count && !error; i++) {
        const struct firewall_gate *g = &gates->at[i];
        struct xdp_place place = {.port = htons(g->to.port)};
        if (g->means != FIREWALL_XDP)
            continue;
        map_address(place.addr, (uint8_t)g->to.kind, g->to.bytes);
        error = bpf_map_update_elem(x->gates, &place, &i, BPF_ANY);
        if (!error)
            error = xdp_look_at(x, g->interface);
    }
    return error;
}

static void xdp_close(struct xdp *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->interfaces; i++)
        if (x->at[i].before_fd >= 0)
            close(x->at[i].before_fd);
    bpf_object__close(x->object);
    if (x->names_fd >= 0)
        close(x->names_fd);
    free(x);
}

static int xdp_open(const char *table, const struct firewall_gates *gates, void **ret)
{
    struct xdp *x = calloc(1, sizeof(*x));
    if (!x)
        return -ENOMEM;
    x->names_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = x->names_fd < 0 ? -errno : xdp_load(x);
    if (!error)
        error = xdp_take_gates(x, gates);
    if (error) {
        xdp_close(x);
        return error;
    }
    *ret = x;
    return 0;
}

/* ---- attaching ---- */

static int xdp_take_place(struct xdp *x, struct attachment *a)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = a->before_fd);
    if (a->before_fd >= 0)
        return bpf_xdp_attach(a->interface, x->program, a->flags | XDP_FLAGS_REPLACE, &options);
    int error = bpf_xdp_attach(a->interface, x->program, XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_DRV_MODE, NULL);
    if (error && error != -EBUSY && error != -EPERM)
        error = bpf_xdp_attach(a->interface, x->program, XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_SKB_MODE, NULL);
    return error;
}

static int xdp_attach(struct xdp *x)
{
    for (size_t i = 0; i < x->interfaces; i++) {
        struct attachment *a = &x->at[i];
        int error = a->done ? 0 : a->interface ? xdp_take_place(x, a) : -ENODEV;
        if (error)
            return error == -EEXIST ? -EBUSY : error;
        a->done = true;
        if (a->before_fd >= 0)
            close(a->before_fd);
        a->before_fd = -1;
    }
    return 0;
}

static bool has_program(int interface)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, seen);
    return bpf_xdp_query(interface, 0, &seen) == 0 && seen.attach_mode != XDP_ATTACHED_NONE;
}

/* Another program may have detached it, or created the interface anew, or renamed it. */
static void look_again(struct xdp *x)
{
    for (size_t i = 0; i < x->interfaces; i++) {
        struct attachment *a = &x->at[i];
        int now = index_of(x, a->name);
        a->done = a->done && now == a->interface && has_program(now);
        a->interface = now;
    }
}

static bool is_attached(struct xdp *x)
{
    bool all = true;
    look_again(x);
    for (size_t i = 0; i < x->interfaces; i++)
        all = all && x->at[i].done;
    return all;
}

/* ---- entries ---- */

static int xdp_put(struct xdp *x, const struct firewall_entry *e, uint64_t now_ns)
{
    struct xdp_net key = xdp_key_of(&e->who);
    struct xdp_ban ban = {.until_ns = now_ns + e->left_ms * NS_PER_MS, .bits = key.bits};
    if (e->left_ms)
        return bpf_map_update_elem(x->bans, &key, &ban, BPF_ANY);
    int error = bpf_map_delete_elem(x->bans, &key);
    return error == -ENOENT ? 0 : error;
}

static int xdp_change(void *opened, const struct firewall_entry *entries, size_t count)
{
    struct xdp *x = opened;
    uint64_t now_ns = clock_now_ns();
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = xdp_put(x, &entries[i], now_ns);
    return error;
}

static int xdp_by_network(const void *key, const void *entry)
{
    return network_compare(key, &((const struct firewall_entry *)entry)->who);
}

/* Whether a ban of the map stays: it is one of the entries, or, without entries (NULL), it has not expired. */
static bool is_to_stay(struct xdp *x, const struct xdp_net *key, const struct firewall_entry *entries, size_t count,
                       uint64_t now_ns)
{
    struct xdp_ban ban;
    if (!entries)
        return bpf_map_lookup_elem(x->bans, key, &ban) != 0 || ban.until_ns > now_ns;
    const struct network n = network_of_key(key);
    return bsearch(&n, entries, count, sizeof(*entries), xdp_by_network) != NULL;
}

/* Deletes the bans that do not stay. A tree cannot be walked while it changes, so its keys are collected first. */
static int xdp_clear(struct xdp *x, const struct firewall_entry *entries, size_t count)
{
    uint64_t now_ns = clock_now_ns();
    struct xdp_net *keys = malloc(XDP_BANS_MAX * sizeof(*keys)), *last = NULL;
    size_t found = 0;
    if (!keys)
        return -ENOMEM;
    while (found < XDP_BANS_MAX && bpf_map_get_next_key(x->bans, last, &keys[found]) == 0)
        last = &keys[found++];
    for (size_t i = 0; i < found; i++)
        if (!is_to_stay(x, &keys[i], entries, count, now_ns))
            (void)bpf_map_delete_elem(x->bans, &keys[i]);
    free(keys);
    return 0;
}

/* Deletes exemptions of other generations: those of this generation are never missing. */
static int clear_exempt(struct xdp *x)
{
    struct xdp_gate_net *keys = malloc(XDP_EXEMPT_MAX * sizeof(*keys)), *last = NULL;
    size_t found = 0;
    uint32_t generation;
    if (!keys)
        return -ENOMEM;
    while (found < XDP_EXEMPT_MAX && bpf_map_get_next_key(x->exempt, last, &keys[found]) == 0)
        last = &keys[found++];
    for (size_t i = 0; i < found; i++)
        if (bpf_map_lookup_elem(x->exempt, &keys[i], &generation) == 0 && generation != x->generation)
            (void)bpf_map_delete_elem(x->exempt, &keys[i]);
    free(keys);
    return 0;
}

static int put_exempt(struct xdp *x, uint32_t gate, const struct network *n)
{
    struct xdp_gate_net key = {.bits = 32 + map_bits(n), .gate = gate};
    map_address(key.addr, n->kind, n->bytes);
    return n->kind == ADDR_UID ? 0 : bpf_map_update_elem(x->exempt, &key, &x->generation, BPF_ANY);
}

/* Both trees have room for two generations. */
static int replace_exempt(struct xdp *x, const struct firewall_gates *gates)
{
    int error = 0;
    x->generation++;
    for (uint32_t g = 0; g < gates->count; g++)
        for (uint32_t i = 0; i < gates->at[g].exempt.count && !error; i++)
            if (gates->at[g].means == FIREWALL_XDP)
                error = put_exempt(x, g, &gates->at[g].exempt.at[i]);
    return error ? error : clear_exempt(x);
}

static int xdp_replace(void *opened, const struct firewall_gates *gates, const struct firewall_entry *entries,
                       size_t count)
{
    struct xdp *x = opened;
    static const struct firewall_entry none; /* NULL means something else */
    int error = xdp_clear(x, entries ? entries : &none, count);
    if (!error)
        error = replace_exempt(x, gates);
    if (!error)
        error = xdp_change(x, entries, count);
    look_again(x);
    return error ? error : xdp_attach(x);
}

/* ---- counters ---- */

static int xdp_count(void *opened)
{
    struct xdp *x = opened;
    int cpus = libbpf_num_possible_cpus();
    uint32_t first = 0;
    uint64_t now_ns = clock_now_ns();
    struct xdp_count *each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;
    if (!each)
        return -ENOMEM;
    int error = bpf_map_lookup_elem(x->dropped, &first, each);
    if (!error)
        x->sum = (struct xdp_count){0};
    for (int i = 0; i < cpus && !error; i++) {
        x->sum.packets += each[i].packets;
        x->sum.bytes += each[i].bytes;
    }
    free(each);
    if (!error && now_ns - x->swept_ns >= SWEEP_EVERY_NS) {
        x->swept_ns = now_ns;
        error = xdp_clear(x, NULL, 0);
    }
    return error ? error : is_attached(x) ? 0 : -ENOENT;
}

static void xdp_dropped(const void *opened, uint64_t *ret_packets, uint64_t *ret_bytes)
{
    const struct xdp *x = opened;
    *ret_packets = x->sum.packets;
    *ret_bytes = x->sum.bytes;
}

/* ---- leftovers of others ---- */

static void remove_unused(const struct if_nameindex *i, bool (*is_used)(const char *means, const char *name),
                          void (*tell)(const char *name, int error))
{
    LIBBPF_OPTS(bpf_xdp_query_opts, seen);
    struct attachment a = {.interface = (int)i->if_index, .before_fd = -1};
    if (bpf_xdp_query(a.interface, 0, &seen) != 0 || seen.attach_mode == XDP_ATTACHED_NONE ||
        seen.attach_mode == XDP_ATTACHED_MULTI || is_used("xdp", i->if_name))
        return;
    if (look_at_program(&a, seen.prog_id) == 0 && a.before_fd >= 0) {
        LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = a.before_fd);
        uint32_t mode = seen.attach_mode == XDP_ATTACHED_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
        tell(i->if_name, bpf_xdp_detach(a.interface, mode | XDP_FLAGS_REPLACE, &options));
    }
    if (a.before_fd >= 0)
        close(a.before_fd);
}

static void xdp_remove_unused(bool (*is_used)(const char *means, const char *name),
                              void (*tell)(const char *name, int error))
{
    struct if_nameindex *all = if_nameindex();
    for (const struct if_nameindex *i = all; i && i->if_name; i++)
        remove_unused(i, is_used, tell);
    if_freenameindex(all);
}

const struct firewall_backend xdp_backend = {
    .version = WEIR_LIBBPF_VERSION,
    .open = xdp_open,
    .replace = xdp_replace,
    .change = xdp_change,
    .count = xdp_count,
    .dropped = xdp_dropped,
    .remove_unused = xdp_remove_unused,
};
