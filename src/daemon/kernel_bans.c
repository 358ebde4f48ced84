/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/kernel_bans.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/firewall_link.h"
#include "daemon/helper.h"
#include "daemon/leftovers.h"
#include "daemon/privileges.h"
#include "daemon/source_routes.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ROUND_MS       100
#define LOOK_EVERY_NS  (5 * NS_PER_S)
#define ANEW_EVERY_NS  (6 * 3600 * NS_PER_S) /* below half of FIREWALL_LONGEST_MS */
#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MOST_NS  (60 * NS_PER_S)
/* An interface that has gone may come back at any time. */
#define RETRY_DEVICE_NS (2 * NS_PER_S)
#define CHANGES         FIREWALL_WIRE_RECORDS
#define PAGE            1024u

struct kernel_follower {
    struct helper helper;
    struct bans *bans;
    struct kernel_bans *told; /* for the metrics */
    pthread_t thread;
    bool following;
    int stop_fd;
    int marks[FIREWALL_GATES_MAX + 1]; /* see leftovers.h */
    size_t mark_count;
    pthread_mutex_t lock; /* of the two below */
    struct firewall_gates gates;
    bool gates_changed;
    /* the thread's own: */
    struct firewall_link link;
    bool current, failing, helper_gone;
    uint64_t seen; /* number of the last change that was passed on */
    uint64_t counted_seen;
    uint64_t told_ns, looked_ns, counted_ns, retry_ns, patience_ns;
    struct ban_change changes[CHANGES];
    struct firewall_entry entries[CHANGES];
};

/* ---- warnings ---- */

static const char *kernel_bans_advice(int error)
{
    switch (error) {
    case -EPERM:
    case -EACCES:
        return "CAP_NET_ADMIN is missing (for xdp CAP_BPF, too); start Weir as root, or for nftables with "
               "AmbientCapabilities=CAP_NET_ADMIN under systemd (kernel-bans.conf); what an earlier Weir has told the "
               "kernel stays there until it runs out";
    case -ENOSYS:
        return "this Weir was built without libnftables (for xdp, libbpf and clang); install that and build it again";
    case -ENODEV:
        return "there is no such network interface as ban.interface says";
    case -EBUSY:
        return "another program is attached to the XDP hook of ban.interface, or one that this Weir may not look at";
    case -EOPNOTSUPP:
        return "this kernel has no nftables (nf_tables)";
    case -ETIMEDOUT:
        return "the helper process does not answer";
    case -EPIPE:
        return "the helper process has ended; restart Weir";
    case -ENFILE:
    case -ENOSPC:
        return "its table is full";
    default:
        return strerror(-error);
    }
}

static void kernel_bans_warn(int error)
{
    LOG_WARN("ban.kernel: the kernel is not told of bans: %s. Weir itself keeps the banned out meanwhile",
             kernel_bans_advice(error));
}

/* ---- requests ---- */

static int told(struct kernel_follower *k, int error)
{
    atomic_store(&k->told->packets, k->link.packets);
    atomic_store(&k->told->bytes, k->link.bytes);
    if (error == -ECANCELED)
        return error;
    if (!error) {
        atomic_store(&k->told->seen, k->seen);
        if (k->failing)
            LOG_INFO("ban.kernel: the kernel is told of bans again");
        k->failing = false;
        k->patience_ns = RETRY_FIRST_NS;
        return 0;
    }
    atomic_fetch_add(&k->told->failures, 1);
    k->current = false;
    return error;
}

/* All bans have to be sent anew; a warning follows only if that fails. */
static void failed(struct kernel_follower *k, uint64_t now_ns, int error)
{
    if (!k->failing)
        kernel_bans_warn(error);
    k->failing = true;
    uint64_t most_ns = error == -ENODEV ? RETRY_DEVICE_NS : RETRY_MOST_NS;
    k->retry_ns = now_ns + k->patience_ns;
    k->patience_ns = 2 * k->patience_ns < most_ns ? 2 * k->patience_ns : most_ns;
}

/* The entries of the whole table; *ret is to be freed by the caller. False: no memory. */
static bool kernel_bans_gather(struct kernel_follower *k, uint64_t now_ns, struct firewall_entry **ret,
                               size_t *ret_count)
{
    size_t count = 0, cursor = 0;
    struct firewall_entry *all = malloc(FIREWALL_ENTRIES_MAX * sizeof(*all));
    struct ban *page = malloc(PAGE * sizeof(*page));
    while (all && page && cursor != BANS_END) {
        size_t n = bans_page(k->bans, &cursor, false, now_ns, page, PAGE);
        for (size_t i = 0; i < n && count < FIREWALL_ENTRIES_MAX; i++)
            count += firewall_entry_of(&page[i], now_ns, &all[count]);
    }
    bool done = all && page;
    free(page);
    if (!done)
        free(all);
    *ret = done ? all : NULL;
    *ret_count = count;
    return done;
}

static int kernel_bans_replace(struct kernel_follower *k, uint64_t now_ns)
{
    struct firewall_entry *all;
    size_t count;
    uint64_t seen = bans_seq(k->bans); /* before the pages: a change meanwhile is passed on once more */
    if (!kernel_bans_gather(k, now_ns, &all, &count))
        return -ENOMEM;
    pthread_mutex_lock(&k->lock);
    struct firewall_gates *gates = malloc(sizeof(*gates));
    if (gates)
        *gates = k->gates;
    k->gates_changed = false;
    pthread_mutex_unlock(&k->lock);
    int error = gates ? firewall_link_replace(&k->link, gates, all, firewall_sort(all, count)) : -ENOMEM;
    free(gates);
    free(all);
    k->seen = seen;
    k->told_ns = now_ns;
    atomic_fetch_add(&k->told->replacements, error == 0);
    return error;
}

/* The helper stands still, and the request may or may not be done yet. */
static void on_late(void *context)
{
    struct kernel_follower *k = context;
    atomic_store(&k->told->in_force, 0);
    atomic_fetch_add(&k->told->failures, 1);
    if (!k->failing)
        kernel_bans_warn(-ETIMEDOUT);
    k->failing = true;
}

/* Passes on the changes since then, in successive transactions. */
static int kernel_bans_follow_changes(struct kernel_follower *k, uint64_t now_ns)
{
    int error = 0;
    while (!error && bans_seq(k->bans) != k->seen) {
        bool lost = false;
        size_t n = bans_changes(k->bans, k->seen, k->changes, CHANGES, &lost);
        if (lost)
            return kernel_bans_replace(k, now_ns);
        if (n == 0)
            break; /* one is being written */
        uint64_t last = k->changes[n - 1].seq;
        size_t count = firewall_changes(k->changes, n, now_ns, k->entries);
        error = count ? firewall_link_change(&k->link, k->entries, count) : 0;
        k->seen = last;
    }
    return error;
}

/* ---- the thread ---- */

static bool gates_changed(struct kernel_follower *k)
{
    pthread_mutex_lock(&k->lock);
    bool changed = k->gates_changed;
    pthread_mutex_unlock(&k->lock);
    return changed;
}

static int kernel_bans_look(struct kernel_follower *k, uint64_t now_ns)
{
    if (now_ns - k->looked_ns < LOOK_EVERY_NS)
        return 0;
    k->looked_ns = now_ns;
    return firewall_link_count(&k->link);
}

/* Once a second, as bans expire without notice; not while there are none and nothing changes. */
static void count_entries(struct kernel_follower *k, uint64_t now_ns)
{
    size_t count = 0, cursor = 0;
    struct ban page[64];
    bool none = atomic_load(&k->told->entries) == 0 && k->counted_seen == k->seen;
    if (k->current && (none || now_ns - k->counted_ns < NS_PER_S))
        return;
    k->counted_ns = now_ns;
    k->counted_seen = k->current ? k->seen : UINT64_MAX;
    while (k->current && cursor != BANS_END) {
        size_t n = bans_page(k->bans, &cursor, false, now_ns, page, ARRAY_LEN(page));
        for (size_t i = 0; i < n; i++)
            count += firewall_accepts(&page[i].who);
    }
    atomic_store(&k->told->entries, count);
}

/* While the kernel has all the bans that it should have. */
static int keep_up(struct kernel_follower *k, uint64_t now_ns)
{
    int error = told(k, kernel_bans_follow_changes(k, now_ns));
    return error ? error : told(k, kernel_bans_look(k, now_ns));
}

static bool is_due_anew(struct kernel_follower *k, uint64_t now_ns)
{
    return now_ns >= k->retry_ns && (!k->current || now_ns - k->told_ns >= ANEW_EVERY_NS || gates_changed(k));
}

static bool is_end(int error)
{
    return error == -EPIPE || error == -ECANCELED;
}

/* -EPIPE: there is no helper any more; -ECANCELED: it is time to end. */
static int kernel_bans_round(struct kernel_follower *k)
{
    uint64_t now_ns = clock_now_ns();
    int error = k->helper_gone ? told(k, -EPIPE) : k->current ? keep_up(k, now_ns) : 0;
    if (!is_end(error) && is_due_anew(k, now_ns)) {
        error = told(k, kernel_bans_replace(k, now_ns));
        k->current = error == 0;
    }
    if (error && error != -ECANCELED)
        failed(k, now_ns, error);
    atomic_store(&k->told->in_force, k->current);
    count_entries(k, now_ns);
    return error;
}

/* False: it is time to end. */
static bool kernel_bans_rest(struct kernel_follower *k)
{
    struct pollfd p[] = {{.fd = k->stop_fd, .events = POLLIN}, {.fd = k->link.fd, .events = 0}};
    (void)poll(p, ARRAY_LEN(p), ROUND_MS);
    k->helper_gone = p[1].revents != 0;
    return !p[0].revents;
}

static void *kernel_bans_main(void *arg)
{
    struct kernel_follower *k = arg;
    int error;
    do
        error = kernel_bans_round(k);
    while (!is_end(error) && kernel_bans_rest(k));
    return NULL;
}

/* ---- life ---- */

/* The gates that ask for it and can have it. */
static void kernel_bans_take_gates(const struct config *c, const struct relay *r, struct firewall_gates *ret)
{
    *ret = (struct firewall_gates){0};
    for (size_t i = 0; i < c->gate_count; i++) {
        struct gate_snapshot s;
        struct endpoint at;
        struct firewall_gate *g = &ret->at[ret->count];
        if (c->gates[i].ban_kernel == BAN_KERNEL_OFF)
            continue;
        relay_gate_snapshot(r, i, &s); /* with its real port */
        if (endpoint_parse(&at, s.listen, true, NULL) || !firewall_gate_at(&at, &g->to))
            continue;
        g->means = c->gates[i].ban_kernel == BAN_KERNEL_XDP ? FIREWALL_XDP : FIREWALL_NFTABLES;
        if (g->means == FIREWALL_XDP)
            snprintf(g->interface, sizeof(g->interface), "%s", c->gates[i].ban_interface);
        g->exempt = c->gates[i].kernel_spares;
        ret->count++;
    }
}

static bool kernel_bans_is_wanted(const struct config *c)
{
    for (size_t i = 0; i < c->gate_count; i++)
        if (c->gates[i].ban_kernel != BAN_KERNEL_OFF)
            return true;
    return false;
}

static struct kernel_follower *kernel_bans_make(const struct config *c, struct relay *r)
{
    struct kernel_follower *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->bans = relay_bans(r);
    k->told = relay_kernel_bans(r);
    k->patience_ns = RETRY_FIRST_NS;
    k->helper = (struct helper){.pid = -1, .fd = -1};
    pthread_mutex_init(&k->lock, NULL);
    kernel_bans_take_gates(c, r, &k->gates);
    k->stop_fd = eventfd(0, EFD_CLOEXEC);
    return k;
}

/* The checks that are possible before there is a helper. */
static int check_gates(const struct firewall_gates *gates)
{
    for (size_t i = 0; i < gates->count; i++) {
        if (gates->at[i].means != FIREWALL_XDP)
            continue;
        if (!privileges_load_programs())
            return -EPERM;
        if (if_nametoindex(gates->at[i].interface) == 0)
            return -ENODEV;
    }
    return privileges_filter_packets() ? 0 : -EPERM;
}

static int kernel_bans_start_helper(struct kernel_follower *k, const struct config *c)
{
    int wrong = k->stop_fd < 0 ? -EMFILE : check_gates(&k->gates);
    if (wrong)
        return wrong;
    int error = helper_start(c->kernel_table, &k->gates, &k->helper);
    k->link.fd = k->helper.fd;
    k->link.stop_fd = k->stop_fd;
    k->link.on_late = on_late;
    k->link.context = k;
    return error;
}

struct kernel_follower *kernel_bans_new(const struct config *c, struct relay *r)
{
    if (!kernel_bans_is_wanted(c)) {
        leftovers_remove();
        return NULL;
    }
    atomic_store(&relay_kernel_bans(r)->wanted, 1);
    struct kernel_follower *k = kernel_bans_make(c, r);
    int error = k ? kernel_bans_start_helper(k, c) : -ENOMEM;
    if (!error)
        k->mark_count = leftovers_mark(c->kernel_table, &k->gates, k->marks);
    leftovers_remove();
    int kept =
        privileges_give_up(source_routes_wanted(c)); /* in any case: there is nothing else that Weir needs them for */
    if (kept)
        LOG_WARN("ban.kernel: the main process cannot give up its rights: %s", strerror(-kept));
    if (!error)
        return k;
    kernel_bans_warn(error);
    kernel_bans_free(k);
    return NULL;
}

void kernel_bans_follow(struct kernel_follower *k)
{
    if (!k)
        return;
    k->following = pthread_create(&k->thread, NULL, kernel_bans_main, k) == 0;
    if (k->following)
        pthread_setname_np(k->thread, "weir-kernel");
    else
        kernel_bans_warn(-EAGAIN);
}

void kernel_bans_reconfigure(struct kernel_follower *k, const struct config *c)
{
    size_t at = 0;
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    /* The gates with ban.kernel are those of the start: ban.kernel and addresses need a restart. */
    for (size_t i = 0; i < c->gate_count && at < k->gates.count; i++)
        if (c->gates[i].ban_kernel != BAN_KERNEL_OFF)
            k->gates.at[at++].exempt = c->gates[i].kernel_spares;
    k->gates_changed = true;
    pthread_mutex_unlock(&k->lock);
}

void kernel_bans_free(struct kernel_follower *k)
{
    if (!k)
        return;
    if (k->following) {
        (void)!write(k->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
        pthread_join(k->thread, NULL);
    }
    if (k->helper.pid > 0)
        helper_stop(&k->helper);
    for (size_t i = 0; i < k->mark_count; i++)
        close(k->marks[i]);
    if (k->stop_fd >= 0)
        close(k->stop_fd);
    pthread_mutex_destroy(&k->lock);
    free(k);
}
