/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall_validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int firewall_validate_init(struct firewall_validate *s, const struct firewall_gates *gates)
{
    s->gates = *gates;
    s->count = s->change_count = 0;
    s->open = false;
    s->entries = malloc(FIREWALL_ENTRIES_MAX * sizeof(*s->entries));
    return s->entries ? 0 : -ENOMEM;
}

/* Copies the records of a message, which must stand behind `before` and be at most `room`, into `to`. */
static int take_entries(const struct firewall_message *m, const struct network *before, bool removals,
                        struct firewall_entry *to, size_t room)
{
    if (m->count > room)
        return -E2BIG;
    for (size_t i = 0; i < m->count; i++) {
        if (!firewall_wire_get(m, i, &to[i]) || !firewall_may_follow(before, &to[i]))
            return -EINVAL;
        if (to[i].left_ms == 0 && !removals)
            return -EINVAL;
        before = &to[i].who;
    }
    return 0;
}

static int fill(struct firewall_validate *s, const struct firewall_message *m)
{
    const struct network *before = s->count ? &s->entries[s->count - 1].who : NULL;
    if (!s->open)
        return -EPROTO;
    int error = take_entries(m, before, false, s->entries + s->count, FIREWALL_ENTRIES_MAX - s->count);
    s->count += error ? 0 : m->count;
    return error;
}

/* An exempt network only lets more through, so any network will do, the whole world included. */
static bool is_network(const struct network *n)
{
    struct addr a = {.kind = (enum addr_kind)n->kind};
    memcpy(a.bytes, n->bytes, sizeof(a.bytes));
    struct network clean = network_of(&a, n->bits);
    return (n->kind == ADDR_V4 || n->kind == ADDR_V6) && network_equal(&clean, n);
}

static int exempt(struct firewall_validate *s, const struct firewall_message *m)
{
    struct networks list = {0};
    if (!s->open)
        return -EPROTO;
    if (m->gate >= s->gates.count)
        return -EINVAL;
    if (m->count > NETWORKS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < m->count; i++) {
        struct firewall_entry e;
        if (!firewall_wire_get(m, i, &e) || e.left_ms != 0 || !is_network(&e.who))
            return -EINVAL;
        list.at[list.count++] = e.who;
    }
    s->gates.at[m->gate].exempt = list;
    return 0;
}

static int commit(struct firewall_validate *s, enum firewall_task *ret_task)
{
    if (!s->open)
        return -EPROTO;
    s->open = false;
    *ret_task = FIREWALL_TASK_REPLACE;
    return 0;
}

static int firewall_validate_change(struct firewall_validate *s, const struct firewall_message *m,
                                    enum firewall_task *ret_task)
{
    if (s->open)
        return -EPROTO;
    int error = take_entries(m, NULL, true, s->changes, FIREWALL_WIRE_RECORDS);
    s->change_count = error ? 0 : m->count;
    *ret_task = error || m->count == 0 ? FIREWALL_TASK_NONE : FIREWALL_TASK_CHANGE;
    return error;
}

static int firewall_validate_apply(struct firewall_validate *s, const struct firewall_message *m,
                                   enum firewall_task *ret_task)
{
    switch (m->type) {
    case FIREWALL_BEGIN:
        s->open = true;
        s->count = 0;
        return 0;
    case FIREWALL_FILL:
        return fill(s, m);
    case FIREWALL_EXEMPT:
        return exempt(s, m);
    case FIREWALL_COMMIT:
        return commit(s, ret_task);
    case FIREWALL_CHANGES:
        return firewall_validate_change(s, m, ret_task);
    case FIREWALL_COUNTERS:
        *ret_task = FIREWALL_TASK_COUNT;
        return 0;
    default:
        return -EBADMSG;
    }
}

int firewall_validate_take(struct firewall_validate *s, const uint8_t *bytes, size_t len, uint32_t *ret_number,
                           enum firewall_task *ret_task)
{
    struct firewall_message m;
    *ret_task = FIREWALL_TASK_NONE;
    if (!firewall_wire_read(bytes, len, &m) || m.type == FIREWALL_ANSWER)
        return -EBADMSG;
    *ret_number = m.number;
    int error = firewall_validate_apply(s, &m, ret_task);
    if (error)
        s->open = false;
    return error;
}
