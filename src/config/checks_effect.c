/* SPDX-License-Identifier: MPL-2.0 */
#include "config/checks_effect.h"

#include <assert.h>

static const struct given *effect_given(const struct section_given *given, const char *path)
{
    const struct schema_key *k = schema_find(&schema_gate, path);
    assert(k); /* the names are constants of this file */
    return &given->keys[k - schema_gate.keys];
}

static bool is_given(const struct section_given *given, const char *path)
{
    return effect_given(given, path)->at.line && !effect_given(given, path)->wrong;
}

/* A burst or an action without a rate does nothing: the author has probably forgotten the rate. */
static void warn_without_rate(const char *rate_path, const char *path, const struct rate *rate,
                              const struct section_given *given, struct report *r)
{
    if (rate_is_unlimited(rate) && is_given(given, path) && !effect_given(given, rate_path)->wrong)
        report_warning(r, effect_given(given, path)->at, "%s has no effect while %s is unlimited", path, rate_path);
}

static void check_rates(const struct config_gate *g, const struct section_given *given, struct report *r)
{
    const struct rate *messages = &g->limits.source.messages.rate, *bytes = &g->limits.source.bytes.rate;
    warn_without_rate("source.messages.rate", "source.messages.burst", messages, given, r);
    warn_without_rate("source.messages.rate", "source.messages.over", messages, given, r);
    warn_without_rate("source.bytes.rate", "source.bytes.burst", bytes, given, r);
    warn_without_rate("source.bytes.rate", "source.bytes.over", bytes, given, r);
}

static void check_concurrency(const struct config_gate *g, const struct section_given *given, struct report *r)
{
    static const char *const paths[] = {"concurrency.max", "concurrency.shed.over", "concurrency.shed.target",
                                        "concurrency.shed.interval", "concurrency.shed.reply"};
    if (g->limits.concurrency.limit != CONCURRENCY_LIMIT_OFF || effect_given(given, "concurrency.limit")->wrong)
        return;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (is_given(given, paths[i]))
            report_warning(r, effect_given(given, paths[i])->at, "%s has no effect while concurrency.limit is off",
                           paths[i]);
}

static void check_exempt(const struct config_gate *g, struct report *r)
{
    for (size_t i = 0; i < g->ban_exempt.count; i++) {
        const struct config_network *n = &g->ban_exempt.at[i];
        if (n->network.kind != ADDR_UID && n->network.bits == 0)
            report_warning(r, (struct place){n->line, n->column},
                           "ban.exempt is the whole world: no ban has an effect at this gate for %s; ban.strikes: 0 "
                           "ends those for offences, and leaves those by an operator",
                           n->network.kind == ADDR_V4 ? "IPv4" : "IPv6");
    }
}

void checks_effect(const struct config_gate *g, const struct section_given *given, struct report *r)
{
    check_rates(g, given, r);
    check_concurrency(g, given, r);
    check_exempt(g, r);
}
