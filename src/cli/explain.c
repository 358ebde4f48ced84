/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "base/text.h"
#include "base/units.h"
#include "cli/explain_path.h"
#include "config/checks.h"
#include "config/diff.h"
#include "config/schema.h"
#include "config/value_words.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_MOST 1024u
#define TOPIC_MOST    65536u

struct explain_args {
    const char *file, *listen, *forward, *gate, *from, *type, *identity, *size, *frames, *topic, *rate, *connections,
        *options;
};

/* One row for each option: the place of its value. */
enum { OPTION_FIRST = 256 };
#define OPTIONS(OPTION)                                                                                                \
    OPTION(file, "config")                                                                                             \
    OPTION(listen, "listen")                                                                                           \
    OPTION(forward, "forward")                                                                                         \
    OPTION(gate, "gate")                                                                                               \
    OPTION(from, "from")                                                                                               \
    OPTION(type, "type")                                                                                               \
    OPTION(identity, "identity")                                                                                       \
    OPTION(size, "size")                                                                                               \
    OPTION(frames, "frames")                                                                                           \
    OPTION(topic, "topic")                                                                                             \
    OPTION(rate, "rate")                                                                                               \
    OPTION(connections, "connections")                                                                                 \
    OPTION(options, "options")

enum option_row {
#define OPTION_ENUM(field, name) ROW_##field,
    OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
        ROW_COUNT
};

static const struct option options[] = {
#define OPTION_ROW(field, name) {name, required_argument, NULL, OPTION_FIRST + ROW_##field},
    OPTIONS(OPTION_ROW)
#undef OPTION_ROW
        {0},
};

static const size_t places[ROW_COUNT] = {
#define OPTION_PLACE(field, name) offsetof(struct explain_args, field),
    OPTIONS(OPTION_PLACE)
#undef OPTION_PLACE
};

static int explain_parse(struct explain_args *a, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", options, NULL)) != -1) {
        int row = option == 'c' ? ROW_file : option - OPTION_FIRST;
        if (option == ':')
            return usage_error("explain", "%s needs a value", argv[optind - 1]);
        if (row < 0 || row >= ROW_COUNT)
            return usage_error("explain", "unknown option: %s", argv[optind - 1]);
        *(const char **)(void *)((char *)a + places[row]) = optarg;
    }
    if (optind < argc)
        return usage_error("explain", "no argument is expected: \"%s\"", argv[optind]);
    if (!a->from)
        return usage_error("explain", "--from is missing: the address of the client, or uid:NUMBER");
    bool addresses = a->listen || a->forward;
    if (a->file || a->options ? addresses : !a->listen || !a->forward)
        return usage_error("explain", "give either -c FILE, or --listen URL and --forward URL, or --options LIST");
    return EXIT_DONE;
}

/* ---- the question ---- */

static int read_from(const char *text, struct addr *ret)
{
    struct network n;
    const char *why = "it is no address";
    if (network_parse(&n, text, &why) || n.bits != network_bits_max(n.kind))
        return usage_error("explain", "--from is not an address: \"%s\" (%s), allowed such as 203.0.113.7 or uid:1000",
                           text, why ? why : "it is a network");
    *ret = (struct addr){.kind = (enum addr_kind)n.kind};
    memcpy(ret->bytes, n.bytes, sizeof(ret->bytes));
    return EXIT_DONE;
}

static int read_type(const char *text, struct explain_path_question *q)
{
    char name[16];
    size_t len = strlen(text);
    for (size_t i = 0; i < len && i < sizeof(name); i++)
        name[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
    q->type = len < sizeof(name) ? socket_type_parse((struct bytes){(const uint8_t *)name, len}) : SOCKET_AUTO;
    q->has_type = true;
    if (q->type == SOCKET_AUTO)
        return usage_error("explain", "--type is not a socket type: \"%s\", allowed such as dealer or sub", text);
    return EXIT_DONE;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "0x" and pairs of hex digits, or the text itself. */
static int read_identity(const char *text, uint8_t room[static IDENTITY_MOST], struct bytes *ret)
{
    size_t len = strlen(text);
    *ret = (struct bytes){room, 0};
    if (strncmp(text, "0x", 2) != 0) {
        if (len > IDENTITY_MOST)
            return usage_error("explain", "--identity is too long: %zu bytes, allowed up to %u", len, IDENTITY_MOST);
        memcpy(room, text, len);
        ret->len = len;
        return EXIT_DONE;
    }
    for (text += 2; text[0]; text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0 || ret->len == IDENTITY_MOST)
            return usage_error("explain", "--identity is not up to %u pairs of hex digits behind 0x: \"%s\"",
                               IDENTITY_MOST, text);
        room[ret->len++] = (uint8_t)(high << 4 | low);
    }
    return EXIT_DONE;
}

static int read_count(const char *name, const char *text, uint64_t most, uint32_t *ret)
{
    uint64_t n;
    if (units_parse_count(text, &n) || n < 1 || n > most)
        return usage_error("explain", "--%s is not a number: \"%s\", allowed 1 to %llu", name, text,
                           (unsigned long long)most);
    *ret = (uint32_t)n;
    return EXIT_DONE;
}

static int read_message(const struct explain_args *a, struct explain_path_question *q)
{
    q->has_message = a->size || a->frames || a->rate;
    if (a->size && (units_parse_bytes(a->size, &q->size) || q->size > EXPLAIN_PATH_SIZE_MAX))
        return usage_error("explain", "--size is not a size: \"%s\", allowed 0 to 64GiB, such as 64KiB", a->size);
    if (a->frames && read_count("frames", a->frames, 16777216, &q->frames))
        return EXIT_USAGE;
    if (a->rate && (units_parse_rate(a->rate, &q->rate.count, &q->rate.period_ns) || q->rate.count == 0))
        return usage_error("explain", "--rate is not a rate: \"%s\", such as 500/s", a->rate);
    return EXIT_DONE;
}

/* "router" is a value of ZMQ_TYPE too. */
static bool read_option_value(const char *text, enum socket_option which, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    *ret = n;
    if (end != text && !*end && !errno)
        return true;
    enum socket_type t = socket_type_parse((struct bytes){(const uint8_t *)text, strlen(text)});
    for (*ret = 0; t != SOCKET_AUTO && which == SOCKET_OPTION_TYPE && *ret <= UINT8_MAX; ++*ret)
        if (socket_type_from_zmtp2((uint8_t)*ret) == t)
            return true;
    return false;
}

/* SOCKET_OPTION_COUNT: there is none of this name, with or without ZMQ_. */
static enum socket_option find_option(const char *name)
{
    const size_t prefix = strlen("ZMQ_");
    unsigned i = 0;
    while (i < SOCKET_OPTION_COUNT && strcmp(socket_option_name((enum socket_option)i), name) != 0 &&
           strcmp(socket_option_name((enum socket_option)i) + prefix, name) != 0)
        i++;
    return (enum socket_option)i;
}

static int read_option(char *item, struct socket_options *ret)
{
    char *value = strchr(item, '=');
    int64_t n = 0;
    if (!value)
        return usage_error("explain", "--options is not a list of NAME=VALUE: \"%s\"", item);
    *value++ = '\0';
    enum socket_option which = find_option(item);
    if (which == SOCKET_OPTION_COUNT)
        return usage_error("explain", "--options: nothing is known of \"%s\", allowed such as MAXMSGSIZE", item);
    if (!read_option_value(value, which, &n))
        return usage_error("explain", "--options: %s is not a number (or TYPE a socket type): \"%s\"", item, value);
    socket_options_set(ret, which, n);
    return EXIT_DONE;
}

/* "TYPE=router,MAXMSGSIZE=65536" */
static int read_options(const char *text, struct socket_options *ret)
{
    char items[512], *next = items;
    if (strlen(text) >= sizeof(items))
        return usage_error("explain", "--options is too long");
    memcpy(items, text, strlen(text) + 1);
    for (char *item; (item = strsep(&next, ","));)
        if (read_option(item, ret))
            return EXIT_USAGE;
    return EXIT_DONE;
}

static int explain_ask(const struct explain_args *a, struct explain_path_question *q,
                       uint8_t identity[static IDENTITY_MOST])
{
    *q = (struct explain_path_question){.size = 1, .frames = 1, .connections = 1};
    if (read_from(a->from, &q->from) || (a->type && read_type(a->type, q)) ||
        (a->options && read_options(a->options, &q->told)))
        return EXIT_USAGE;
    q->has_identity = a->identity != NULL;
    if (a->identity && read_identity(a->identity, identity, &q->identity))
        return EXIT_USAGE;
    if (a->connections && read_count("connections", a->connections, EXPLAIN_PATH_CONNECTION_MAX, &q->connections))
        return EXIT_USAGE;
    q->has_topic = a->topic != NULL;
    if (a->topic)
        q->topic = (struct bytes){(const uint8_t *)a->topic, strlen(a->topic)};
    if (q->topic.len > TOPIC_MOST)
        return usage_error("explain", "--topic is too long: %zu bytes, allowed up to %u", q->topic.len, TOPIC_MOST);
    return read_message(a, q);
}

/* ---- the answer ---- */

/* "orders.yaml:12:15", "socket option", "default", or "always" for rules that no key can change. */
static void print_place(const char *file, const struct section_given *given, const struct explain_path_step *s)
{
    const struct schema_key *k = s->key;
    const struct place *at = k && given ? &given->keys[k - schema_gate.keys].at : NULL;
    char text[VALUE_TEXT_MAX];
    if (s->option)
        snprintf(text, sizeof(text), "socket option");
    else if (at && at->line)
        snprintf(text, sizeof(text), "%s:%u:%u", file, at->line, at->column);
    else
        snprintf(text, sizeof(text), "%s", k ? "default" : "always");
    printf("  %-22s", text);
}

static void print_step(const struct explain_args *a, const struct explain_path *j, const struct section_given *given,
                       const struct explain_path_step *s)
{
    char text[2 * VALUE_TEXT_MAX], value[VALUE_TEXT_MAX];
    if (s->option)
        snprintf(text, sizeof(text), "%s %s", s->option, s->value);
    else if (s->key && schema_is_list(s->key))
        snprintf(text, sizeof(text), "%s", s->key->path);
    else if (s->key)
        snprintf(text, sizeof(text), "%s %s", s->key->path, value_words_format(value, s->key, j->gate));
    else
        snprintf(text, sizeof(text), "the protocol");
    printf("  %-9s  %-34s", explain_path_outcome_word(s->outcome), text);
    print_place(a->file, given, s);
    printf("  %s%s%s%s\n", s->said, s->verdict ? " (" : "", s->verdict ? verdict_info(s->verdict)->label : "",
           s->verdict ? ")" : "");
}

static const char *action_of(enum explain_path_outcome o)
{
    return o == EXPLAIN_PATH_WAITS     ? "the connection waits"
           : o == EXPLAIN_PATH_DROPPED ? "the message is dropped"
                                       : "the connection is closed";
}

static void print_answer(const struct explain_args *a, const struct explain_path *j,
                         const struct explain_path_question *q, const struct section_given *given)
{
    char who[ADDR_TEXT_MAX], cost[160];
    printf("gate %s: %s -> %s, client %s\n", j->gate->name, j->gate->listen_text, j->gate->forward_text,
           addr_format_host(who, sizeof(who), &q->from));
    for (size_t i = 0; i < j->count; i++)
        print_step(a, j, given, &j->steps[i]);
    for (size_t i = 0; i < j->count; i++)
        if (j->steps[i].outcome >= EXPLAIN_PATH_SHADOW)
            printf("%s: %s; %s\n", verdict_info(j->steps[i].verdict)->label,
                   verdict_info(j->steps[i].verdict)->sentence,
                   explain_path_cost(cost, sizeof(cost), j, q, &j->steps[i]));
    if (j->decides)
        printf("%s: %s\n", verdict_info(j->decides->verdict)->label, action_of(j->decides->outcome));
    else
        printf("passes\n");
}

/* The gate in question; NULL after a usage message. */
static const struct config_gate *pick_gate(const struct config *c, const char *name)
{
    if (!name && c->gate_count == 1)
        return &c->gates[0];
    const struct config_gate *g = name ? config_find_gate(c, name) : NULL;
    if (!name)
        usage_error("explain", "--gate is missing: the file has %zu gates", c->gate_count);
    else if (!g)
        usage_error("explain", "there is no gate \"%s\" in the file", name);
    return g;
}

/* Why no client with this address can be at the gate; NULL: one can. What a load balancer names may be on any IP
 * version. */
static const char *cannot_come(const struct config_gate *g, const struct addr *from)
{
    const struct endpoint *at = &g->listen;
    bool any = at->kind == ENDPOINT_TCP && at->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&at->v6.sin6_addr);
    if (at->kind == ENDPOINT_TCP && from->kind == ADDR_UID)
        return "users have their ids on ipc:// only";
    if (g->balancers.count)
        return NULL;
    if (at->kind == ENDPOINT_IPC)
        return from->kind == ADDR_UID ? NULL
                                      : "clients on ipc:// have no address but their user's id, such as uid:1000";
    if (any || endpoint_ip_version(at) == from->kind)
        return NULL;
    return from->kind == ADDR_V6 ? "it takes IPv4 only" : "it takes IPv6 only";
}

static int check_reach(const struct config_gate *g, const struct addr *from)
{
    char who[ADDR_TEXT_MAX];
    const char *why = cannot_come(g, from);
    return why ? usage_error("explain", "no client %s can come to gate %s, which listens on %s: %s",
                             addr_format_host(who, sizeof(who), from), g->name, g->listen_text, why)
               : EXIT_DONE;
}

static int explain(const struct explain_args *a, const struct config *c, const struct section_given *given)
{
    struct explain_path_question q;
    uint8_t identity[IDENTITY_MOST];
    const struct config_gate *g = pick_gate(c, a->gate);
    if (!g || explain_ask(a, &q, identity) || check_reach(g, &q.from))
        return EXIT_USAGE;
    struct explain_path *j = malloc(sizeof(*j));
    if (!j || !explain_path_walk(j, c, g, &q)) {
        fprintf(stderr, "weir explain: not enough memory\n");
        free(j);
        return EXIT_USAGE;
    }
    print_answer(a, j, &q, a->file ? &given[g - c->gates] : NULL);
    int code = j->decides ? EXIT_FAILED : EXIT_DONE;
    free(j);
    return code;
}

/* With --options as `weir run` reads it. */
static struct config *explain_read(const struct explain_args *a, struct section_given *given)
{
    if (a->options)
        return config_load_patterns_placed(a->file, stderr, given);
    return a->file ? config_load_placed(a->file, stderr, given) : config_from_args(a->listen, a->forward, stderr);
}

static int explain_run(int argc, char **argv)
{
    struct explain_args a = {0};
    int code = explain_parse(&a, argc, argv);
    if (code != EXIT_DONE)
        return code;
    struct section_given *given = calloc(CONFIG_PLACES, sizeof(*given));
    if (!given) {
        fprintf(stderr, "weir explain: not enough memory\n");
        return EXIT_USAGE;
    }
    struct config *c = explain_read(&a, given);
    code = c ? explain(&a, c, given) : EXIT_USAGE;
    config_free(c);
    free(given);
    return code;
}

const struct command command_explain = {
    .name = "explain",
    .synopsis = "explain (-c FILE | --listen URL --forward URL | --options LIST) --from ADDRESS [OPTION...]",
    .summary = "Tell what would become of a client or message, and which rule decides.",
    .help =
        "  -c, --config FILE     the gates and limits; or --listen URL and --forward URL, as for serve\n"
        "      --options LIST    as under weir run, where libzmq says this of the socket: "
        "TYPE=router,MAXMSGSIZE=65536,\n"
        "                        ROUTER_HANDOVER=1; FILE is read as weir run reads it, and may be missing\n"
        "      --gate NAME       which gate; not needed when there is one\n"
        "      --from ADDRESS    where the client comes from: an IP address, or uid:NUMBER on ipc://\n"
        "      --connections N   so many at once\n"
        "      --type SOCKET     the client's socket type; else what usually talks to the application\n"
        "      --identity ID     its routing id, as text, or 0x and hex digits\n"
        "      --topic TEXT      subscribes to it\n"
        "      --size SIZE       sends a message of this size, all frames together (1 byte unless given)\n"
        "      --frames N        of so many frames (1 unless given; REQ's empty one comes on top)\n"
        "      --rate RATE       sends such messages at this rate, such as 500/s, each alone\n\n"
        "Goes the way of a client in order; each line names the key, its value, and where it is set. The gate's own\n"
        "functions decide. What depends on others is not looked at: bans, rates already used up, who else is there,\n"
        "and how fast the application is. Where the application speaks CURVE, Weir sees less than this says.\n\n"
        "The last line is \"passes\", or the verdict and what is done. What a rule in shadow would do passes.\n\n"
        "Exit code: 0 when it passes, 1 when it is refused or has to wait, 2 when the arguments or FILE are wrong,\n"
        "or no such client can come to the gate.",
    .run = explain_run,
};
