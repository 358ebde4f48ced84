/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "admin/request.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/ctl_args.h"
#include "cli/ctl_show.h"
#include "cli/table.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define PATH_TEXT_MAX 512u
#define BODY_TEXT_MAX 512u

/* ---- asking ---- */

static const char *ctl_text_of(const json_t *document, const char *name)
{
    const char *text = json_string_value(json_object_get(document, name));
    return text ? text : "";
}

static void print_json(const json_t *document)
{
    json_dumpf(document, stdout, JSON_ENSURE_ASCII | JSON_INDENT(2));
    putchar('\n');
}

/* Prints the lines of an answer: the log of a reload. */
static void ctl_tell(const json_t *document, FILE *out)
{
    char shown[1024];
    size_t i;
    const json_t *line, *lines = json_object_get(document, "lines");
    json_array_foreach((json_t *)(uintptr_t)lines, i, line)
    {
        const char *text = json_string_value(line);
        fprintf(out, "%s\n", plain_text(shown, sizeof(shown), text ? text : ""));
    }
}

/* Sends a request, and prints an error. The document of a successful answer, owned by the caller; else NULL. */
static json_t *ctl_ask(const struct ctl *c, const char *method, const char *path, const char *body)
{
    char why[ADMIN_CLIENT_WHY_MAX], shown[1024];
    struct admin_answer a;
    if (admin_client_ask(&c->client, method, path, body, &a, why)) {
        ctl_failed("%s", why);
        return NULL;
    }
    if (a.status < 300)
        return a.document;
    const char *error = ctl_text_of(a.document, "error");
    ctl_tell(a.document, stderr);
    ctl_failed("%s (%u of %s)", plain_text(shown, sizeof(shown), error), a.status, c->client.address);
    if (c->args.json)
        print_json(a.document);
    json_decref(a.document);
    return NULL;
}

/* Appends "&name=value" ("?" for the first) to a path. The value was checked to need no escapes except the slash. */
static void add_query(char path[static PATH_TEXT_MAX], const char *name, const char *value)
{
    size_t len = strlen(path);
    snprintf(path + len, PATH_TEXT_MAX - len, "%c%s=%s", strchr(path, '?') ? '&' : '?', name, value);
}

/* ---- commands ---- */

static int ctl_ban(struct ctl *c, const char *what)
{
    char who[NETWORK_TEXT_MAX], body[BODY_TEXT_MAX], shown[64];
    const char *duration = c->args.duration ? c->args.duration : "1h";
    if (ctl_check_network(what, "", who) || ctl_check_duration(duration))
        return EXIT_USAGE;
    snprintf(body, sizeof(body), "{\"network\": \"%s\", \"for\": \"%s\"}", who, duration);
    json_t *done = ctl_ask(c, "PUT", "/v1/bans", body);
    if (!done)
        return EXIT_FAILED;
    const char *until = ctl_text_of(done, "until");
    if (c->args.json)
        print_json(done);
    else if (*until)
        printf("%s is banned until %s\n", who, plain_text(shown, sizeof(shown), until));
    else
        printf("%s is banned for ever\n", who);
    json_decref(done);
    return EXIT_DONE;
}

static int ctl_unban(struct ctl *c, const char *what)
{
    char who[NETWORK_TEXT_MAX], path[PATH_TEXT_MAX] = "/v1/bans", shown[512];
    if (ctl_check_network(what, "", who))
        return EXIT_USAGE;
    add_query(path, "network", who);
    json_t *done = ctl_ask(c, "DELETE", path, "");
    if (!done)
        return EXIT_FAILED;
    if (c->args.json)
        print_json(done);
    else
        printf("%s is not banned any more\n", who);
    const char *warning = ctl_text_of(done, "warning");
    if (*warning)
        fprintf(stderr, "weir ctl: %s\n", plain_text(shown, sizeof(shown), warning));
    json_decref(done);
    return EXIT_DONE;
}

static void warn_if_incomplete(const json_t *document)
{
    if (json_is_false(json_object_get(document, "complete")))
        fprintf(stderr, "weir ctl: not every worker has answered in time: ask again\n");
}

static int ctl_kick(struct ctl *c, const char *what)
{
    char who[NETWORK_TEXT_MAX], body[BODY_TEXT_MAX], gate[64] = "";
    uint64_t id = 0;
    bool by_id = units_parse_count(what, &id) == 0 && id > 0 && id <= INT64_MAX;
    if (!by_id && ctl_check_network(what, ", and no ID of a connection", who))
        return EXIT_USAGE;
    if (c->args.gate)
        snprintf(gate, sizeof(gate), ", \"gate\": \"%s\"", c->args.gate);
    if (by_id)
        snprintf(body, sizeof(body), "{\"connection\": %llu%s}", (unsigned long long)id, gate);
    else
        snprintf(body, sizeof(body), "{\"network\": \"%s\"%s}", who, gate);
    json_t *done = ctl_ask(c, "POST", "/v1/kick", body);
    if (!done)
        return EXIT_FAILED;
    long long closed = json_integer_value(json_object_get(done, "closed"));
    if (c->args.json)
        print_json(done);
    else
        printf("%lld connection%s closed\n", closed, closed == 1 ? "" : "s");
    warn_if_incomplete(done);
    json_decref(done);
    return EXIT_DONE;
}

static int ctl_reload(struct ctl *c)
{
    json_t *done = ctl_ask(c, "POST", "/v1/reload", "");
    if (!done)
        return EXIT_FAILED;
    if (c->args.json)
        print_json(done);
    else
        ctl_tell(done, stdout);
    json_decref(done);
    return EXIT_DONE;
}

/* ---- lists ---- */

/* Page after page; NULL after a message. At most --limit rows. */
static json_t *all_bans(const struct ctl *c)
{
    uint64_t most = UINT64_MAX;
    json_t *bans = json_array();
    if (c->args.limit && units_parse_count(c->args.limit, &most))
        most = UINT64_MAX; /* was checked */
    for (json_int_t cursor = 0; cursor >= 0;) {
        char path[PATH_TEXT_MAX], number[32];
        snprintf(path, sizeof(path), "/v1/bans?limit=%u", REQUEST_ROWS_MAX);
        snprintf(number, sizeof(number), "%lld", (long long)cursor);
        add_query(path, "cursor", number);
        if (c->args.history)
            add_query(path, "history", "true");
        json_t *page = ctl_ask(c, "GET", path, "");
        if (!page) {
            json_decref(bans);
            return NULL;
        }
        json_array_extend(bans, json_object_get(page, "bans"));
        const json_t *next = json_object_get(page, "next");
        /* Cursors must grow: a faulty answer cannot cause an endless loop. */
        cursor = json_is_integer(next) && json_integer_value(next) > cursor ? json_integer_value(next) : -1;
        json_decref(page);
        if (json_array_size(bans) >= most)
            break;
    }
    while (json_array_size(bans) > most)
        json_array_remove(bans, json_array_size(bans) - 1);
    return json_pack("{s: o}", "bans", bans);
}

static json_t *rows_of_query(const struct ctl *c, const char *what)
{
    char path[PATH_TEXT_MAX];
    snprintf(path, sizeof(path), "/v1/%s", what);
    if (c->args.limit)
        add_query(path, "limit", c->args.limit);
    if (c->args.gate)
        add_query(path, "gate", c->args.gate);
    if (c->args.network)
        add_query(path, "network", c->args.network);
    return ctl_ask(c, "GET", path, "");
}

static void tell_of_the_rest(const json_t *document, const json_t *rows)
{
    json_int_t matched = json_integer_value(json_object_get(document, "matched"));
    size_t shown = json_array_size(rows);
    if (matched > 0 && (uint64_t)matched > shown)
        fprintf(stderr, "weir ctl: the %zu that have moved most of %lld; --limit shows up to %u\n", shown,
                (long long)matched, REQUEST_ROWS_MAX);
    warn_if_incomplete(document);
}

static const struct {
    const char *what;
    bool by_gate, chooses, history; /* takes --gate; --network and --limit; --history */
    bool (*show)(const json_t *rows, FILE *out);
} lists[] = {{"bans", false, false, true, ctl_show_bans},
             {"sources", true, true, false, ctl_show_sources},
             {"connections", true, true, false, ctl_show_connections},
             {"gates", false, false, false, ctl_show_gates},
             {"settings", true, false, false, ctl_show_settings}};

static int ctl_show(struct ctl *c, const char *what)
{
    char normal[NETWORK_TEXT_MAX], shown[64];
    size_t i = 0;
    while (i < ARRAY_LEN(lists) && strcmp(lists[i].what, what) != 0)
        i++;
    if (i == ARRAY_LEN(lists))
        return usage_error("ctl",
                           "there is nothing called \"%s\" to show, allowed bans, sources, connections, gates, "
                           "settings",
                           text_escape(shown, sizeof(shown), what, strlen(what)));
    if (ctl_refuse_options(&c->args, false, lists[i].by_gate, lists[i].chooses, lists[i].history) ||
        (c->args.limit && ctl_check_limit(c->args.limit)) ||
        (c->args.network && ctl_check_network(c->args.network, "", normal)))
        return EXIT_USAGE;
    json_t *document = lists[i].history ? all_bans(c) : rows_of_query(c, what);
    if (!document)
        return EXIT_FAILED;
    const json_t *rows = json_object_get(document, what);
    bool whole = true;
    if (c->args.json)
        print_json(document);
    else if (json_array_size(rows) == 0)
        puts("(none)");
    else
        whole = lists[i].show(rows, stdout);
    tell_of_the_rest(document, rows);
    json_decref(document);
    return whole ? EXIT_DONE : ctl_failed("out of memory");
}

static const struct verb {
    const char *name, *argument; /* NULL: none */
    bool duration, gate;
    int (*run)(struct ctl *c, const char *argument);
} verbs[] = {
    {"ban", "a NETWORK", true, false, ctl_ban},
    {"unban", "a NETWORK", false, false, ctl_unban},
    {"kick", "a NETWORK or the ID of a connection", false, true, ctl_kick},
    {"show", "bans, sources, connections, gates or settings", false, false, ctl_show},
    {"reload", NULL, false, false, NULL},
};

static int run_verb(struct ctl *c, const struct verb *v, char **rest, int count)
{
    if (v->argument && count == 0)
        return usage_error("ctl", "%s needs %s", v->name, v->argument);
    if (count > (v->argument ? 1 : 0))
        return usage_error("ctl", "\"%s\" is too much", rest[v->argument ? 1 : 0]);
    if (v->run != ctl_show && ctl_refuse_options(&c->args, v->duration, v->gate, false, false))
        return EXIT_USAGE;
    int code = ctl_connect(c);
    if (code == EXIT_DONE)
        code = v->run ? v->run(c, rest[0]) : ctl_reload(c);
    token_forget(c->token);
    return code;
}

static int ctl_run(int argc, char **argv)
{
    struct ctl c = {0};
    char shown[64];
    int code = ctl_parse(&c.args, argc, argv);
    if (code != EXIT_DONE)
        return code;
    if (optind == argc)
        return usage_error("ctl", "what is to be done? Allowed ban, unban, kick, show, reload");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (!strcmp(verbs[i].name, argv[optind]))
            return run_verb(&c, &verbs[i], argv + optind + 1, argc - optind - 1);
    return usage_error("ctl", "unknown command: \"%s\", allowed ban, unban, kick, show, reload",
                       text_escape(shown, sizeof(shown), argv[optind], strlen(argv[optind])));
}

const struct command command_ctl = {
    .name = "ctl",
    .synopsis = "ctl [OPTION...] ban NETWORK | unban NETWORK | kick NETWORK|ID | show WHAT | reload",
    .summary = "See and steer a running Weir: bans, connections, reload.",
    .help =
        "  ban NETWORK [--for 10m|forever]   keep an address or network out of every gate, 1h by default, and close "
        "its\n"
        "                                    connections; NETWORK: 192.0.2.1, 192.0.2.0/24, 2001:db8::/48, uid:1000\n"
        "  unban NETWORK                     lift exactly that ban, and forget its history\n"
        "  kick NETWORK|ID [--gate NAME]     close connections without a ban; their clients may come again\n"
        "  show bans [--history]             who is banned; with --history also who was\n"
        "  show sources                      who has connections, those that have moved most first\n"
        "  show connections                  the same, one by one, and why the next message of one waits\n"
        "  show gates                        what the gates hold back, and on what proof\n"
        "  show settings                     what is in force at the gates, and where each value comes from: the file, "
        "or an\n"
        "                                    option of the application's socket (weir run)\n"
        "  reload                            read the configuration again, as SIGHUP does, and tell what came of it\n\n"
        "  -c, --config FILE       take the address and the token file from this configuration\n"
        "      --admin ADDR:PORT   where Weir's admin server listens (" CTL_ADDRESS_DEFAULT ")\n"
        "      --token-file FILE   the file of admin.token_file; or WEIR_TOKEN in the environment holds the token\n"
        "      --json              print what the admin server has answered\n"
        "      --gate NAME         (kick, show sources, connections, settings) of this gate only\n"
        "      --network NETWORK   (show sources, show connections) of these addresses only\n"
        "      --limit N           (show) at most so many rows, 8 to 1000; of bans all are shown without it\n\n"
        "Exit code: 0 when it was done, 1 when it was not or nobody answered, 2 when the arguments are wrong.",
    .run = ctl_run,
};
