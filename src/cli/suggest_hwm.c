/* SPDX-License-Identifier: MPL-2.0 */
/*
 * `weir suggest hwm`: reads the metrics of a running Weir, and says which high-water marks fit what its gates have seen
 * (hwm_advice.h). Metrics need no token.
 */
#include "cli/command.h"

#include "base/addr.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/admin_client.h"
#include "cli/ctl_args.h"
#include "cli/hwm_advice.h"
#include "cli/metrics_text.h"
#include "cli/table.h"
#include "config/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_NS       (100 * NS_PER_MS)
#define DELAY_LEAST_NS NS_PER_MS
#define DELAY_MOST_NS  (3600 * NS_PER_S)
#define MEMORY_LEAST   65536u

struct suggest_args {
    const char *config, *admin, *gate, *delay, *memory;
    bool json;
};

/* What the metrics say of a gate. */
struct gate_numbers {
    char name[CONFIG_NAME_MAX + 1], listen[ENDPOINT_TEXT_MAX], socket[16];
    uint64_t connections, now, untaken, taken, each;
    bool marks_known;
    struct way_numbers {
        uint64_t messages, frames, bytes, busiest, heaviest, seconds;
        uint64_t mark; /* that is in force */
    } in, out;
};

struct suggestion_of_gate {
    const struct gate_numbers *of;
    struct hwm_seen seen;
    struct hwm_advice receive, send;
};

struct all_numbers {
    bool is_weir;
    uint64_t memory_bytes;
    size_t count;
    struct gate_numbers gates[CONFIG_GATES_MAX];
};

/* ---- reading ---- */

static const struct {
    const char *metric, *direction;
    size_t place;
} numbers[] = {
    {"weir_connections_peak", NULL, offsetof(struct gate_numbers, connections)},
    {"weir_connections", NULL, offsetof(struct gate_numbers, now)},
    {"weir_untaken_messages_peak", NULL, offsetof(struct gate_numbers, untaken)},
    {"weir_busiest_second_taken_messages", NULL, offsetof(struct gate_numbers, taken)},
    {"weir_busiest_second_messages_each", NULL, offsetof(struct gate_numbers, each)},
    {"weir_messages_total", "in", offsetof(struct gate_numbers, in.messages)},
    {"weir_messages_total", "out", offsetof(struct gate_numbers, out.messages)},
    {"weir_frames_total", "in", offsetof(struct gate_numbers, in.frames)},
    {"weir_frames_total", "out", offsetof(struct gate_numbers, out.frames)},
    {"weir_sent_bytes_total", "in", offsetof(struct gate_numbers, in.bytes)},
    {"weir_sent_bytes_total", "out", offsetof(struct gate_numbers, out.bytes)},
    {"weir_busiest_second_messages", "in", offsetof(struct gate_numbers, in.busiest)},
    {"weir_busiest_second_messages", "out", offsetof(struct gate_numbers, out.busiest)},
    {"weir_heaviest_second_message_bytes", "in", offsetof(struct gate_numbers, in.heaviest)},
    {"weir_heaviest_second_message_bytes", "out", offsetof(struct gate_numbers, out.heaviest)},
    {"weir_active_seconds_total", "in", offsetof(struct gate_numbers, in.seconds)},
    {"weir_active_seconds_total", "out", offsetof(struct gate_numbers, out.seconds)},
    {"weir_application_hwm", "in", offsetof(struct gate_numbers, in.mark)},
    {"weir_application_hwm", "out", offsetof(struct gate_numbers, out.mark)},
};

/* The gate of a sample; NULL: it has none, or there are too many. */
static struct gate_numbers *numbers_of(struct all_numbers *all, const struct metrics_sample *s)
{
    char name[CONFIG_NAME_MAX + 1];
    if (!metrics_text_label(s, "gate", name, sizeof(name)))
        return NULL;
    for (size_t i = 0; i < all->count; i++)
        if (!strcmp(all->gates[i].name, name))
            return &all->gates[i];
    if (all->count == CONFIG_GATES_MAX)
        return NULL;
    struct gate_numbers *g = &all->gates[all->count++];
    memcpy(g->name, name, sizeof(name));
    return g;
}

static void note_number(struct gate_numbers *g, const struct metrics_sample *s)
{
    char direction[8];
    (void)metrics_text_label(s, "direction", direction, sizeof(direction));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (metrics_text_is(s, numbers[i].metric) &&
            (!numbers[i].direction || !strcmp(numbers[i].direction, direction)))
            memcpy((char *)g + numbers[i].place, &(uint64_t){metrics_text_number(s)}, sizeof(uint64_t));
}

static void read_page(struct all_numbers *all, const char *page)
{
    struct metrics_sample s;
    while (metrics_text_next(&page, &s)) {
        struct gate_numbers *g = numbers_of(all, &s);
        all->is_weir |= metrics_text_is(&s, "weir_build_info");
        if (metrics_text_is(&s, "weir_memory_limit_bytes"))
            all->memory_bytes = metrics_text_number(&s);
        if (g && metrics_text_is(&s, "weir_gate_info")) {
            (void)metrics_text_label(&s, "listen", g->listen, sizeof(g->listen));
            (void)metrics_text_label(&s, "socket", g->socket, sizeof(g->socket));
        } else if (g) {
            note_number(g, &s);
            g->marks_known |= metrics_text_is(&s, "weir_application_hwm");
        }
    }
}

/* ---- judging ---- */

static struct hwm_flow flow_of(const struct way_numbers *n)
{
    return (struct hwm_flow){
        .messages = n->messages,
        .seconds = n->seconds,
        .busiest = n->busiest,
        .bytes = hwm_message_bytes(n->heaviest, n->bytes, n->messages, n->frames),
    };
}

static void advise(struct suggestion_of_gate *ret, const struct gate_numbers *g, const struct hwm_wish *w)
{
    *ret = (struct suggestion_of_gate){.of = g};
    ret->seen = (struct hwm_seen){
        .socket = socket_type_parse((struct bytes){(const uint8_t *)g->socket, strlen(g->socket)}),
        .connections = g->connections > g->now ? g->connections : g->now,
        .in = flow_of(&g->in),
        .out = flow_of(&g->out),
        .taken = g->taken,
        .untaken = g->untaken,
        .each = g->each,
    };
    hwm_advise_receive(&ret->receive, &ret->seen, w);
    hwm_advise_send(&ret->send, &ret->seen, w);
}

/* "5555=50/1000"; false: nothing is to be set, or the gate has no TCP port: several Unix sockets have one option. */
static bool option_of(char *dst, size_t size, const struct suggestion_of_gate *s)
{
    const char *colon = strrchr(s->of->listen, ':');
    char receive[24] = "", send[24] = "";
    if (strncmp(s->of->listen, "tcp://", 6) != 0 || !colon || (!s->receive.mark && !s->send.mark))
        return false;
    if (s->receive.mark)
        snprintf(receive, sizeof(receive), "%llu", (unsigned long long)s->receive.mark);
    if (s->send.mark)
        snprintf(send, sizeof(send), "%llu", (unsigned long long)s->send.mark);
    snprintf(dst, size, "%s=%s/%s", colon + 1, receive, send);
    return true;
}

/* ---- showing ---- */

/* " (now 1000)" */
static const char *present_mark(char *dst, size_t size, const struct suggestion_of_gate *s, uint64_t mark, uint64_t now)
{
    if (!s->of->marks_known)
        return "";
    if (mark && mark == now)
        return " (as now)";
    if (!now)
        return " (now without limit)";
    snprintf(dst, size, " (now %llu)", (unsigned long long)now);
    return dst;
}

static void show_mark(const char *name, const struct suggestion_of_gate *s, const struct hwm_advice *a,
                      const struct hwm_flow *f, uint64_t now_mark, const struct hwm_wish *w)
{
    char text[HWM_TEXT_MAX], now[48], mark[24] = "";
    if (a->mark)
        snprintf(mark, sizeof(mark), " %llu", (unsigned long long)a->mark);
    printf("  %s%s%s: %s\n", name, mark, present_mark(now, sizeof(now), s, a->mark, now_mark),
           hwm_reason(text, a, f, &s->seen, w));
    if (a->mark)
        printf("    at that value %s\n", hwm_trade_off(text, a, &s->seen));
}

static void show_gate(const struct suggestion_of_gate *s, const struct hwm_wish *w)
{
    const struct gate_numbers *g = s->of;
    char name[TABLE_CELL_MAX], listen[ENDPOINT_TEXT_MAX];
    printf("%s: %s at %s; at most %llu connection%s, %llu messages in, %llu out\n",
           plain_text(name, sizeof(name), g->name),
           s->seen.socket == SOCKET_AUTO ? "a socket" : socket_type_name(s->seen.socket),
           g->listen[0] ? plain_text(listen, sizeof(listen), g->listen) : "no address any more",
           (unsigned long long)s->seen.connections, s->seen.connections == 1 ? "" : "s",
           (unsigned long long)g->in.messages, (unsigned long long)g->out.messages);
    show_mark("ZMQ_RCVHWM", s, &s->receive, &s->seen.in, g->in.mark, w);
    show_mark("ZMQ_SNDHWM", s, &s->send, &s->seen.out, g->out.mark, w);
}

static void show_options(const struct suggestion_of_gate *s, size_t count)
{
    char option[64];
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (!option_of(option, sizeof(option), &s[i]))
            continue;
        printf("%s --hwm %s", first ? "without code: weir run" : "", option);
        first = false;
    }
    if (!first)
        puts(" -- COMMAND\nin code: zmq_setsockopt() before zmq_bind()");
}

static json_t *json_of_mark(const struct suggestion_of_gate *s, const struct hwm_advice *a, const struct hwm_flow *f,
                            uint64_t now_mark, const struct hwm_wish *w)
{
    char reason[HWM_TEXT_MAX], trade_off[HWM_TEXT_MAX];
    json_t *now = s->of->marks_known ? json_integer((json_int_t)now_mark) : json_null();
    hwm_reason(reason, a, f, &s->seen, w);
    hwm_trade_off(trade_off, a, &s->seen);
    if (!a->mark)
        return json_pack("{s: n, s: o, s: s, s: s}", "hwm", "now", now, "basis", hwm_basis_word(a->basis), "reason",
                         reason);
    return json_pack("{s: I, s: o, s: s, s: s, s: s, s: I, s: I, s: f}", "hwm", (json_int_t)a->mark, "now", now,
                     "basis", hwm_basis_word(a->basis), "reason", reason, "trade_off", trade_off, "held_messages",
                     (json_int_t)a->messages, "held_bytes", (json_int_t)a->bytes, "lasts_seconds",
                     (double)a->lasts_ns / (double)NS_PER_S);
}

static json_t *json_of_suggestion(const struct suggestion_of_gate *s, const struct hwm_wish *w)
{
    char option[64], name[TABLE_CELL_MAX], listen[ENDPOINT_TEXT_MAX];
    bool has = option_of(option, sizeof(option), s);
    return json_pack("{s: s, s: s, s: s, s: I, s: o, s: o, s: o}", "gate", plain_text(name, sizeof(name), s->of->name),
                     "listen", plain_text(listen, sizeof(listen), s->of->listen), "socket",
                     socket_type_name(s->seen.socket), "connections", (json_int_t)s->seen.connections, "receive",
                     json_of_mark(s, &s->receive, &s->seen.in, s->of->in.mark, w), "send",
                     json_of_mark(s, &s->send, &s->seen.out, s->of->out.mark, w), "option",
                     has ? json_string(option) : json_null());
}

static int show_json(const struct suggestion_of_gate *s, size_t count, const struct hwm_wish *w)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, json_of_suggestion(&s[i], w));
    json_t *document = json_pack("{s: o, s: f, s: I}", "gates", rows, "delay_seconds",
                                 (double)w->delay_ns / (double)NS_PER_S, "memory_bytes", (json_int_t)w->memory_bytes);
    if (!document)
        return ctl_failed_for("suggest", "out of memory");
    json_dumpf(document, stdout, JSON_ENSURE_ASCII | JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(document);
    return EXIT_DONE;
}

static int suggest_show(const struct suggest_args *a, const struct all_numbers *all, const struct hwm_wish *w)
{
    struct suggestion_of_gate *s = calloc(CONFIG_GATES_MAX, sizeof(*s));
    char shown[64];
    size_t count = 0;
    int code = EXIT_DONE;
    if (!s)
        return ctl_failed_for("suggest", "out of memory");
    for (size_t i = 0; i < all->count; i++)
        if (!a->gate || !strcmp(a->gate, all->gates[i].name))
            advise(&s[count++], &all->gates[i], w);
    if (a->gate && !count)
        code = ctl_failed_for("suggest", "there is no gate \"%s\"",
                              text_escape(shown, sizeof(shown), a->gate, strlen(a->gate)));
    else if (a->json)
        code = show_json(s, count, w);
    else if (!count)
        puts("(no gates)");
    for (size_t i = 0; code == EXIT_DONE && !a->json && i < count; i++)
        show_gate(&s[i], w);
    if (code == EXIT_DONE && !a->json)
        show_options(s, count);
    free(s);
    return code;
}

/* ---- asking ---- */

static int read_wish(const struct suggest_args *a, struct hwm_wish *ret)
{
    char shown[64];
    *ret = (struct hwm_wish){.delay_ns = DELAY_NS};
    if (a->delay && (units_parse_duration(a->delay, &ret->delay_ns) || ret->delay_ns < DELAY_LEAST_NS ||
                     ret->delay_ns > DELAY_MOST_NS))
        return usage_error("suggest", "--delay is no duration: \"%s\", allowed 1ms to 1h, such as 100ms",
                           text_escape(shown, sizeof(shown), a->delay, strlen(a->delay)));
    if (a->memory && (units_parse_bytes(a->memory, &ret->memory_bytes) || ret->memory_bytes < MEMORY_LEAST ||
                      ret->memory_bytes > (uint64_t)1 << 60))
        return usage_error("suggest", "--memory is no size: \"%s\", allowed 64KiB or more, such as 64MiB",
                           text_escape(shown, sizeof(shown), a->memory, strlen(a->memory)));
    return EXIT_DONE;
}

static int suggest_ask(const struct suggest_args *a, const struct hwm_wish *wish)
{
    struct ctl c = {.args = {.config = a->config, .admin = a->admin}};
    char why[ADMIN_CLIENT_WHY_MAX], *page = NULL;
    struct hwm_wish w = *wish;
    int code = ctl_find_server(&c, "suggest");
    if (code != EXIT_DONE)
        return code;
    if (admin_client_get_page(&c.client, "/metrics", &page, why))
        return ctl_failed_for("suggest", "%s", why);
    struct all_numbers *all = calloc(1, sizeof(*all));
    if (all)
        read_page(all, page);
    free(page);
    if (all && !w.memory_bytes)
        w.memory_bytes = all->memory_bytes;
    if (!all || !all->is_weir)
        code = ctl_failed_for("suggest", all ? "what answers at %s is no Weir" : "out of memory", c.address);
    else
        code = suggest_show(a, all, &w);
    free(all);
    return code;
}

enum { OPTION_ADMIN = 256, OPTION_GATE, OPTION_DELAY, OPTION_MEMORY, OPTION_JSON };

static int suggest_take_option(struct suggest_args *a, int option, char **argv)
{
    const char **place = option == 'c'             ? &a->config
                         : option == OPTION_ADMIN  ? &a->admin
                         : option == OPTION_GATE   ? &a->gate
                         : option == OPTION_DELAY  ? &a->delay
                         : option == OPTION_MEMORY ? &a->memory
                                                   : NULL;
    if (option == ':')
        return usage_error("suggest", "%s needs a value", argv[optind - 1]);
    if (option == OPTION_JSON) {
        a->json = true;
        return EXIT_DONE;
    }
    if (!place)
        return usage_error("suggest", "unknown option: %s", argv[optind - 1]);
    if (*place)
        return usage_error("suggest", "given twice, with \"%s\" and \"%s\": an option may come once", *place, optarg);
    *place = optarg;
    return EXIT_DONE;
}

static int suggest_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"admin", required_argument, NULL, OPTION_ADMIN},
        {"gate", required_argument, NULL, OPTION_GATE},
        {"delay", required_argument, NULL, OPTION_DELAY},
        {"memory", required_argument, NULL, OPTION_MEMORY},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    struct suggest_args a = {0};
    struct hwm_wish w;
    char shown[64];
    int option, code = EXIT_DONE;
    opterr = 0;
    while (code == EXIT_DONE && (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1)
        code = suggest_take_option(&a, option, argv);
    if (code != EXIT_DONE)
        return code;
    if (optind == argc)
        return usage_error("suggest", "what is to be suggested? Allowed hwm");
    if (strcmp(argv[optind], "hwm") != 0 || optind + 1 < argc) {
        const char *wrong = argv[optind + (strcmp(argv[optind], "hwm") == 0)];
        return usage_error("suggest", "\"%s\" is nothing that can be suggested, allowed hwm",
                           text_escape(shown, sizeof(shown), wrong, strlen(wrong)));
    }
    code = read_wish(&a, &w);
    return code == EXIT_DONE ? suggest_ask(&a, &w) : code;
}

const struct command command_suggest = {
    .name = "suggest",
    .synopsis = "suggest hwm [OPTION...]",
    .summary = "Propose high-water marks from what a running Weir has seen.",
    .help =
        "  hwm                     ZMQ_RCVHWM and ZMQ_SNDHWM for the socket behind each gate: with the reason, and "
        "what\n"
        "                          is held or lost at that value\n\n"
        "      --delay DURATION    so long a message may wait in the application's queues (100ms)\n"
        "      --memory SIZE       so much the queues of one socket may take when every connection is full (the\n"
        "                          `memory` of the running Weir)\n"
        "      --gate NAME         of this gate only\n"
        "      --json              the same for programs\n"
        "  -c, --config FILE       take the address from this configuration\n"
        "      --admin ADDR:PORT   where Weir's admin server listens (" CTL_ADDRESS_DEFAULT "); no token is needed\n\n"
        "A gate has something to say after 1000 messages in 10 seconds. Ask after the busiest time of the day: the\n"
        "numbers are those of the busiest second since Weir has started. weir run --hwm sets marks without code.\n\n"
        "Exit code: 0 when it was done, 1 when nobody answered, 2 when the arguments are wrong.",
    .run = suggest_run,
};
