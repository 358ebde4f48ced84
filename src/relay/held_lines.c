/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/held_lines.h"

#include "base/log.h"

static void held_lines_say(const struct gate *g, struct log_limit *l, uint64_t now_ns, const char *what,
                           const char *label)
{
    uint64_t held = log_limit_take_held(l, now_ns);
    if (held)
        LOG_INFO("gate %s: %llu more line%s not shown: %s (%s)", g->config->name, (unsigned long long)held,
                 held == 1 ? "" : "s", what, label);
}

void held_lines_tell(struct gate *gates, size_t count, uint64_t now_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct gate *g = &gates[i];
        for (unsigned v = 0; v < VERDICT_COUNT; v++)
            held_lines_say(g, &g->notices.verdicts[v], now_ns, verdict_info((enum verdict)v)->sentence,
                           verdict_info((enum verdict)v)->label);
        held_lines_say(g, &g->notices.reach, now_ns, "the application cannot be reached", "no connection");
        held_lines_say(g, &g->notices.silent, now_ns, "the application cannot be reached", "no answer");
    }
}
