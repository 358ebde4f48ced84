/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/render.h"

#include "base/attr.h"
#include "base/text.h"
#include "limits/enforce.h"
#include "stats/prometheus.h"

#include <string.h>

/* A family of one sample. */
static void single(struct text_out *o, enum metric_reading r, uint64_t value)
{
    prometheus_head(o, metric_reading_info(r));
    prometheus_sample(o, metric_reading_info(r), NULL, value);
}

/* The same for a value that may not be known: then the family is left out, as a 0 would be false. */
static void single_known(struct text_out *o, enum metric_reading r, uint64_t value)
{
    if (value)
        single(o, r, value);
}

static void single_ns(struct text_out *o, enum metric_reading r, uint64_t value_ns)
{
    prometheus_head(o, metric_reading_info(r));
    prometheus_sample_ns(o, metric_reading_info(r), NULL, value_ns);
}

static void write_process(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *build = metric_reading_info(READING_BUILD_INFO);

    prometheus_head(o, build);
    prometheus_sample(o, build, &v->version, 1);
    single_ns(o, READING_START_TIME, v->process.start_time_ns);
    single_ns(o, READING_CPU, v->process.cpu_ns);
    single_known(o, READING_RESIDENT, v->process.resident_bytes);
    single_known(o, READING_OPEN_FDS, v->process.open_fds);
    single_known(o, READING_MAX_FDS, v->relay.fd_limit);
}

static void write_reloads(struct text_out *o, const struct relay_snapshot *r)
{
    const struct metric_info *m = metric_reading_info(READING_RELOADS);
    const char *const done = "done", *const refused = "refused";

    prometheus_head(o, m);
    prometheus_sample(o, m, &done, r->reloads);
    prometheus_sample(o, m, &refused, r->refused_reloads);
    single(o, READING_CONFIG_GENERATION, r->generation);
    single_ns(o, READING_CONFIG_LOADED, r->loaded_ns);
}

static void write_relay(struct text_out *o, const struct relay_snapshot *r)
{
    write_reloads(o, r);
    single(o, READING_GATES, r->gates_open);
    single(o, READING_GATES_OPENED, r->gates_opened);
    single(o, READING_GATES_REFUSED, r->gates_refused);
    single(o, READING_WORKERS, r->workers);
    single(o, READING_MEMORY_HELD, r->held_bytes);
    single(o, READING_MEMORY_PEAK, r->held_peak_bytes);
    single(o, READING_MEMORY_LIMIT, r->memory_limit_bytes);
    single(o, READING_MEMORY_PRESSURE, r->memory_pressure);
    single(o, READING_SOURCES, r->sources.used);
    single(o, READING_SOURCES_CAPACITY, r->sources.capacity);
    single(o, READING_SOURCES_CREATED, r->sources.created);
    single(o, READING_SOURCES_EVICTED, r->sources.evicted);
    single(o, READING_SOURCE_FALLBACKS, r->sources.fallbacks);
    single(o, READING_SOURCE_TABLE, r->sources.memory_bytes);
}

static void write_bans(struct text_out *o, const struct bans_stats *b)
{
    const struct metric_info *set = metric_reading_info(READING_BANS_SET);

    single(o, READING_BANS, b->banned);
    single(o, READING_BANS_REMEMBERED, b->entries);
    prometheus_head(o, set);
    for (unsigned r = 0; r < BAN_REASON_COUNT; r++) {
        const char *label = ban_reason_label((enum ban_reason)r);
        prometheus_sample(o, set, &label, b->set[r]);
    }
    single(o, READING_BANS_LIFTED, b->lifted);
    single(o, READING_BANS_REPLACED, b->replaced);
    single(o, READING_BANS_REFUSED, b->refused);
}

static void write_events(struct text_out *o, const struct event_log_stats *e)
{
    const struct metric_info *m = metric_reading_info(READING_EVENTS);
    const struct {
        const char *result;
        uint64_t count;
    } results[] = {{"written", e->written}, {"suppressed", e->suppressed}, {"lost", e->lost}, {"failed", e->failed}};

    prometheus_head(o, m);
    for (size_t i = 0; i < ARRAY_LEN(results); i++)
        prometheus_sample(o, m, &results[i].result, results[i].count);
}

static void write_kernel(struct text_out *o, const struct kernel_snapshot *k)
{
    single(o, READING_KERNEL_IN_FORCE, k->in_force);
    single(o, READING_KERNEL_BANS, k->entries);
    single(o, READING_KERNEL_PACKETS, k->packets);
    single(o, READING_KERNEL_BYTES, k->bytes);
    single(o, READING_KERNEL_REPLACEMENTS, k->replacements);
    single(o, READING_KERNEL_FAILURES, k->failures);
}

static void write_gate_info(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *m = metric_reading_info(READING_GATE_INFO);

    prometheus_head(o, m);
    for (size_t i = 0; i < v->gate_count; i++) {
        const struct gate_snapshot *g = &v->gates[i];
        const char *const values[] = {g->name, g->listen, g->forward, g->socket, g->mechanism};
        prometheus_sample(o, m, values, 1);
    }
}

static void write_gate_readings(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *up = metric_reading_info(READING_UPSTREAM_UP);
    const struct metric_info *most = metric_reading_info(READING_CONNECTIONS_MAX);

    prometheus_head(o, up);
    for (size_t i = 0; i < v->gate_count; i++)
        prometheus_sample(o, up, &v->gates[i].name, v->gates[i].upstream_up);
    prometheus_head(o, most);
    for (size_t i = 0; i < v->gate_count; i++)
        prometheus_sample(o, most, &v->gates[i].name, v->gates[i].max_connections);
}

static void write_marks(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *m = metric_reading_info(READING_APPLICATION_HWM);

    prometheus_head(o, m);
    for (size_t i = 0; i < v->gate_count; i++) {
        const char *const in[] = {v->gates[i].name, "in"}, *const out[] = {v->gates[i].name, "out"};
        if (!v->gates[i].marks_known)
            continue;
        prometheus_sample(o, m, in, v->gates[i].receive_mark);
        prometheus_sample(o, m, out, v->gates[i].send_mark);
    }
}

static void write_breakers(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *state = metric_reading_info(READING_BREAKER_STATE);
    const struct metric_info *opened = metric_reading_info(READING_BREAKER_OPENED);

    prometheus_head(o, state);
    for (size_t i = 0; i < v->gate_count; i++)
        prometheus_sample(o, state, &v->gates[i].name, v->gates[i].breaker);
    prometheus_head(o, opened);
    for (size_t i = 0; i < v->gate_count; i++)
        prometheus_sample(o, opened, &v->gates[i].name, v->gates[i].breaker_opened);
}

static void write_classes(struct text_out *o, const struct render_view *v, enum metric_reading r, enum class_cell c)
{
    const struct metric_info *m = metric_reading_info(r);

    prometheus_head(o, m);
    for (size_t i = 0; i < v->gate_count; i++) {
        for (size_t n = 0; n < v->gates[i].class_count; n++) {
            const char *const values[] = {v->gates[i].name, v->gates[i].classes[n].name};
            prometheus_sample(o, m, values, v->gates[i].classes[n].cells[c]);
        }
    }
}

static void write_verdicts(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *m = metric_reading_info(READING_VERDICTS);

    prometheus_head(o, m);
    for (size_t i = 0; i < v->gate_count; i++) {
        for (unsigned verdict = 0; verdict < VERDICT_COUNT; verdict++) {
            const char *const values[] = {v->gates[i].name, verdict_info((enum verdict)verdict)->label};
            prometheus_sample(o, m, values, v->gates[i].verdicts[verdict]);
        }
    }
}

/* The verdicts for which a rule can be in shadow. */
static void write_shadow_verdicts(struct text_out *o, const struct render_view *v)
{
    const struct metric_info *m = metric_reading_info(READING_SHADOW_VERDICTS);

    prometheus_head(o, m);
    for (size_t i = 0; i < v->gate_count; i++) {
        for (unsigned verdict = 0; verdict < VERDICT_COUNT; verdict++) {
            const char *const values[] = {v->gates[i].name, verdict_info((enum verdict)verdict)->label};
            if (verdict_info((enum verdict)verdict)->rule != RULE_NONE)
                prometheus_sample(o, m, values, v->gates[i].shadow_verdicts[verdict]);
        }
    }
}

static void write_cells(struct text_out *o, const struct render_view *v)
{
    const char *family = "";

    for (unsigned c = 0; c < CELL_COUNT; c++) {
        const struct metric_info *m = metric_cell_info((enum metric_cell)c);
        if (strcmp(m->metric, family) != 0)
            prometheus_head(o, m);
        family = m->metric;
        for (size_t i = 0; i < v->gate_count; i++)
            prometheus_sample(o, m, &v->gates[i].name, v->gates[i].cells[c]);
    }
}

void render_metrics(struct text_out *o, const struct render_view *v)
{
    write_process(o, v);
    write_relay(o, &v->relay);
    write_bans(o, &v->relay.bans);
    single(o, READING_ADMIN_UNAUTHORIZED, v->unauthorized);
    write_events(o, &v->relay.events);
    single(o, READING_LOG_LINES_LOST, v->log_lines_lost);
    write_kernel(o, &v->relay.kernel);
    write_gate_info(o, v);
    write_gate_readings(o, v);
    write_marks(o, v);
    write_breakers(o, v);
    write_classes(o, v, READING_CLASS_CONNECTIONS, CLASS_CONNECTIONS);
    write_classes(o, v, READING_CLASS_MESSAGES, CLASS_MESSAGES);
    write_classes(o, v, READING_CLASS_SHED, CLASS_SHED);
    write_verdicts(o, v);
    write_shadow_verdicts(o, v);
    write_cells(o, v);
}

static void write_quoted(struct text_out *o, const char *text)
{
    char escaped[4 * ENDPOINT_TEXT_MAX + 1];

    text_out_str(o, text_escape(escaped, sizeof(escaped), text, strlen(text)));
}

static void write_gate_health(struct text_out *o, const struct gate_snapshot *g)
{
    if (g->closed || (g->listen[0] && g->upstream_up))
        return;
    text_out_str(o, "gate ");
    write_quoted(o, g->name);
    if (!g->listen[0])
        text_out_str(o, ": listens no more\n");
    if (g->listen[0] && !g->upstream_up) {
        text_out_str(o, ": the application at ");
        write_quoted(o, g->forward);
        text_out_str(o, " is not up\n");
    }
}

bool render_health(struct text_out *o, const struct render_view *v)
{
    bool healthy = true;

    for (size_t i = 0; i < v->gate_count; i++)
        healthy = healthy && (v->gates[i].listen[0] || v->gates[i].closed);
    text_out_str(o, healthy ? "ok\n" : "not ok\n");
    for (size_t i = 0; i < v->gate_count; i++)
        write_gate_health(o, &v->gates[i]);
    return healthy;
}
