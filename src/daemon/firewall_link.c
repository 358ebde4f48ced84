/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/firewall_link.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* The helper may stand still and go on later, so it is waited for; but it must not keep this process from ending. */
static int firewall_link_wait_for(const struct firewall_link *l, short what, int patience_ms)
{
    struct pollfd p[] = {{.fd = l->fd, .events = what}, {.fd = l->stop_fd, .events = POLLIN}};
    int n;
    while ((n = poll(p, ARRAY_LEN(p), patience_ms)) <= 0) {
        if (n < 0 && errno != EINTR)
            return -EPIPE;
        if (n < 0 || patience_ms < 0)
            continue;
        l->on_late(l->context);
        patience_ms = -1;
    }
    if (p[0].revents & what)
        return 0;
    return p[1].revents ? -ECANCELED : -EPIPE;
}

static int receive(struct firewall_link *l, int patience_ms)
{
    uint8_t head[FIREWALL_WIRE_HEAD + 1];
    struct firewall_message m;
    int error = firewall_link_wait_for(l, POLLIN, patience_ms);
    if (error)
        return error;
    ssize_t n = recv(l->fd, head, sizeof(head), MSG_DONTWAIT);
    if (n <= 0 || !firewall_wire_read(head, (size_t)n, &m) || m.type != FIREWALL_ANSWER || m.number != l->number)
        return -EPIPE;
    l->packets = m.packets;
    l->bytes = m.bytes;
    return -(int)m.error;
}

static int ask_patiently(struct firewall_link *l, uint8_t type, uint8_t gate, const struct firewall_entry *entries,
                         size_t count, int patience_ms)
{
    struct firewall_message m = {.type = type, .gate = gate, .count = (uint16_t)count, .number = ++l->number};
    size_t len = firewall_wire_bytes(count);
    firewall_wire_head(l->datagram, &m);
    for (size_t i = 0; i < count; i++)
        firewall_wire_put(l->datagram, i, &entries[i]);
    int error = firewall_link_wait_for(l, POLLOUT, patience_ms);
    if (error)
        return error;
    if (send(l->fd, l->datagram, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        return -EPIPE;
    return receive(l, patience_ms);
}

static int firewall_link_ask(struct firewall_link *l, uint8_t type, uint8_t gate, const struct firewall_entry *entries,
                             size_t count)
{
    return ask_patiently(l, type, gate, entries, count, LINK_PATIENCE_MS);
}

static int say_exempt(struct firewall_link *l, const struct firewall_gates *gates)
{
    int error = 0;
    for (size_t i = 0; i < gates->count && !error; i++) {
        struct firewall_entry list[NETWORKS_MAX];
        size_t count = 0;
        for (uint32_t n = 0; n < gates->at[i].exempt.count; n++) {
            const struct network *who = &gates->at[i].exempt.at[n];
            if (who->kind == ADDR_V4 || who->kind == ADDR_V6)
                list[count++] = (struct firewall_entry){.who = *who};
        }
        error = firewall_link_ask(l, FIREWALL_EXEMPT, (uint8_t)i, list, count);
    }
    return error;
}

int firewall_link_replace(struct firewall_link *l, const struct firewall_gates *gates,
                          const struct firewall_entry *entries, size_t count)
{
    int error = firewall_link_ask(l, FIREWALL_BEGIN, 0, NULL, 0);
    if (!error)
        error = say_exempt(l, gates);
    for (size_t done = 0; done < count && !error;) {
        size_t part = count - done < FIREWALL_WIRE_RECORDS ? count - done : FIREWALL_WIRE_RECORDS;
        error = firewall_link_ask(l, FIREWALL_FILL, 0, entries + done, part);
        done += part;
    }
    int patience_ms = LINK_PATIENCE_MS + (int)(count / LINK_ENTRIES_A_MS);
    return error ? error : ask_patiently(l, FIREWALL_COMMIT, 0, NULL, 0, patience_ms);
}

int firewall_link_change(struct firewall_link *l, const struct firewall_entry *entries, size_t count)
{
    return firewall_link_ask(l, FIREWALL_CHANGES, 0, entries, count);
}

int firewall_link_count(struct firewall_link *l)
{
    return firewall_link_ask(l, FIREWALL_COUNTERS, 0, NULL, 0);
}
