/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/gate_settings.h"

#include "config/diff.h"
#include "relay/gate.h"
#include "relay/policy_snapshot.h"

#include <inttypes.h>
#include <string.h>

/* The keys that follow from an option. */
static const struct {
    const char *key;
    enum socket_option option;
} from_options[] = {
    {"socket", SOCKET_OPTION_TYPE},
    {"message.frame", SOCKET_OPTION_MAXMSGSIZE},
    {"handshake.within", SOCKET_OPTION_HANDSHAKE_IVL},
    {"routing_ids.duplicates", SOCKET_OPTION_ROUTER_HANDOVER},
};

/* The gate as it is in force: its configuration with what libzmq has told. A shallow copy. */
static void settle(struct config_gate *ret, const struct gate *g, const struct gate_policy *p)
{
    const struct told *told = &g->origin.told;
    struct limits *l = &ret->limits;
    *ret = *p->config;
    *l = p->limits;
    ret->socket = g->config->socket;
    l->message.frame_bytes = told_stricter(l->message.frame_bytes, g->traffic.app_frame_bytes);
    l->handshake.within_ns = told_stricter(l->handshake.within_ns, told->handshake_ns);
    l->heartbeat.interval_ns = told_stricter(l->heartbeat.interval_ns, told->heartbeat_ns);
    l->heartbeat.max_pause_ns = told_stricter(l->heartbeat.max_pause_ns, told->heartbeat_ns);
    if (told_decides_handover(told->hands_over, p->config))
        l->duplicate_ids = DUPLICATE_IDS_PASS;
}

/* SOCKET_OPTION_COUNT: none. */
static enum socket_option option_behind(const struct gate *g, const char *key)
{
    if (g->origin.told.heartbeat_ns && (!strcmp(key, "heartbeat.interval") || !strcmp(key, "heartbeat.max_pause")))
        return g->origin.told.heartbeat_from;
    for (size_t i = 0; i < ARRAY_LEN(from_options); i++)
        if (!strcmp(from_options[i].key, key))
            return from_options[i].option;
    return SOCKET_OPTION_COUNT;
}

static bool is_left_out(const struct schema_key *k)
{
    return !strcmp(k->path, "name") || !strcmp(k->path, "listen") || !strcmp(k->path, "forward");
}

static bool is_told(const struct gate *g, enum socket_option o)
{
    int64_t value = 0;
    return o != SOCKET_OPTION_COUNT && socket_options_get(&g->origin.told.options, o, &value);
}

static void describe_setting(struct gate_setting *ret, const struct gate *g, const struct gate_policy *p,
                             const struct config_gate *in_force, const struct schema_key *k)
{
    enum socket_option o = option_behind(g, k->path);
    bool other = !schema_is_list(k) && !schema_equal(k, in_force, p->config);
    bool typed = o == SOCKET_OPTION_TYPE && in_force->socket != SOCKET_AUTO;
    *ret = (struct gate_setting){.key = k->path};
    config_diff_format(ret->value, &schema_gate, k, in_force);
    ret->from = config_gate_gives(p->config, k->path) ? SETTING_FROM_FILE : SETTING_FROM_DEFAULT;
    if ((other || typed) && is_told(g, o)) {
        ret->from = SETTING_FROM_OPTION;
        ret->option = socket_option_name(o);
    } else if (other) {
        ret->from = SETTING_FROM_DESCRIPTORS;
    }
}

static bool is_shown(const struct gate_setting *at, size_t count, const char *option)
{
    for (size_t i = 0; i < count; i++)
        if (at[i].option && !strcmp(at[i].option, option))
            return true;
    return false;
}

/* The options that nothing follows from here. */
static size_t add_options(const struct socket_options *o, struct gate_setting *ret, size_t count)
{
    int64_t value = 0;
    for (unsigned i = 0; i < SOCKET_OPTION_COUNT; i++) {
        const char *name = socket_option_name((enum socket_option)i);
        if (!socket_options_get(o, (enum socket_option)i, &value) || is_shown(ret, count, name))
            continue;
        ret[count] = (struct gate_setting){.option = name, .from = SETTING_FROM_OPTION};
        snprintf(ret[count++].value, sizeof(ret->value), "%" PRIi64, value);
    }
    return count;
}

size_t gate_settings(const struct gate *g, const struct gate_policy *p, struct gate_setting ret[GATE_SETTINGS_MOST])
{
    struct config_gate in_force;
    size_t count = 0;
    settle(&in_force, g, p);
    for (size_t i = 0; i < schema_gate.count; i++)
        if (!is_left_out(&schema_gate.keys[i]))
            describe_setting(&ret[count++], g, p, &in_force, &schema_gate.keys[i]);
    return add_options(&g->origin.told.options, ret, count);
}
