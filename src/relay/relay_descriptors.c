/* SPDX-License-Identifier: MPL-2.0 */
#include "base/log.h"
#include "relay/counter.h"
#include "relay/proxied.h"
#include "relay/relay_inner.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors for everything but connections: listeners, epolls, admin, logs. */
#define DESCRIPTOR_RESERVE 64u
#define DESCRIPTOR_MOST    1048576u
#define DESCRIPTOR_TABLE   65536u /* entries of the kernel's table made at the start, 8 bytes each */

/* One descriptor in this many may be a banned connection's. */
#define TARPIT_SHARE 16u

static uint64_t raise_descriptor_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 1024;
    rlim_t want = l.rlim_max < DESCRIPTOR_MOST ? l.rlim_max : DESCRIPTOR_MOST;
    if (l.rlim_cur < want) {
        struct rlimit more = {.rlim_cur = want, .rlim_max = l.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            l = more;
    }
    return l.rlim_cur;
}

/* The kernel widens a process's descriptor table when it is full. With several threads it waits for a grace period of
 * all processors each time (expand_fdtable() in fs/file.c, about 10 ms). All traffic would stand still just when many
 * clients connect. So the table is made as wide as it may become before there are threads; it is never narrowed. */
static void widen_descriptor_table(uint64_t limit)
{
    uint64_t entries = limit < DESCRIPTOR_TABLE ? limit : DESCRIPTOR_TABLE;
    int any = eventfd(0, EFD_CLOEXEC), last = any < 0 ? -1 : fcntl(any, F_DUPFD_CLOEXEC, (int)entries - 1);
    if (last >= 0)
        close(last);
    if (any >= 0)
        close(any);
}

uint64_t relay_raise_descriptors(void)
{
    uint64_t limit = raise_descriptor_limit();
    widen_descriptor_table(limit);
    return limit;
}

/* Banned connections must not take the descriptors of others: where there are few descriptors, most banned connections
 * are closed at once. Returns the number of places left, for all gates together. */
static uint64_t fit_tarpits(const struct relay *r, struct policy_snapshot *p)
{
    uint64_t most = r->fd_limit / TARPIT_SHARE / p->count, sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        uint32_t *places = &p->gates[i].limits.ban.tarpit;
        *places = *places < most ? *places : (uint32_t)most;
        sum += *places;
    }
    return sum;
}

/* The same for connections that wait for their PROXY protocol header; a reload may bring such gates. */
static uint64_t places_of_proxied(const struct policy_snapshot *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->gates[i].config->balancers.count ? PROXIED_PLACES : 0;
    return sum;
}

static uint64_t places_of_counters(const struct policy_snapshot *p)
{
    uint64_t sum = p->config->patterns ? COUNTER_LASTING * CONFIG_GATES_MAX : 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->gates[i].config->counter[0] ? COUNTER_DESCRIPTORS : 0;
    return sum;
}

/* Each connection takes two descriptors. All gates together stay below Weir's own limit. */
static void fit_connections(const struct relay *r, struct policy_snapshot *p)
{
    uint64_t wanted = 0, reserve = DESCRIPTOR_RESERVE + 4 * r->worker_count + p->count * (r->worker_count + 1);
    reserve += fit_tarpits(r, p) + places_of_proxied(p) + places_of_counters(p);
    uint64_t room = r->fd_limit > reserve + 2 ? (r->fd_limit - reserve) / 2 : 1;
    for (size_t i = 0; i < p->count; i++)
        wanted += p->gates[i].limits.connections.max;
    if (wanted <= room)
        return;
    for (size_t i = 0; i < p->count; i++) {
        struct limits *l = &p->gates[i].limits;
        uint64_t share = room * l->connections.max / wanted;
        LOG_WARN("gate %s: connections.max lowered from %u to %llu: this process may open %llu descriptors (raise "
                 "LimitNOFILE or ulimit -Hn)",
                 p->gates[i].config->name, l->connections.max, (unsigned long long)share,
                 (unsigned long long)r->fd_limit);
        l->connections.max = share ? (uint32_t)share : 1;
    }
}

void relay_fit(const struct relay *r, struct policy_snapshot *p)
{
    fit_connections(r, p);
    policy_snapshot_settle(p);
}
