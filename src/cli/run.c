/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "config/config.h"
#include "daemon/run.h"
#include "preload/hwm_rules.h"
#include "preload/protocol.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run_args {
    const char *file, *admin;
    char ports[RUN_PORTS_MOST * 7 + 4]; /* "5555,-5556,ipc" */
    unsigned port_count;
    struct hwm_rules marks;
    char marks_text[HWM_RULES_MOST * HWM_RULE_BYTES]; /* "5555=50/1000,100" */
    bool ipc, ipc_marks /* --hwm ipc=N was given */, no_counter;
    char **command;
};

enum { OPTION_ADMIN = 256, OPTION_PORT, OPTION_LEAVE, OPTION_HWM, OPTION_IPC, OPTION_NO_COUNTER };

static const struct option run_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"port", required_argument, NULL, OPTION_PORT},
    {"leave", required_argument, NULL, OPTION_LEAVE},
    {"ipc", no_argument, NULL, OPTION_IPC},
    {"hwm", required_argument, NULL, OPTION_HWM},
    {"no-counter", no_argument, NULL, OPTION_NO_COUNTER},
    {0},
};

static int add_port(struct run_args *a, const char *option, const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || port < 1 || port > 65535)
        return usage_error("run", "--%s: not a port: \"%s\", allowed 1 to 65535", option, text);
    if (a->port_count++ == RUN_PORTS_MOST)
        return usage_error("run", "--port and --leave: too many: allowed %u", RUN_PORTS_MOST);
    size_t len = strlen(a->ports);
    snprintf(a->ports + len, sizeof(a->ports) - len, "%s%s%lu", len ? "," : "", !strcmp(option, "leave") ? "-" : "",
             port);
    return EXIT_DONE;
}

static int add_marks(struct run_args *a, const char *text)
{
    struct hwm_rule rule;
    size_t bytes = strlen(text), len = strlen(a->marks_text);
    const char *wrong = hwm_rule_read(&rule, text, bytes);
    if (!wrong)
        wrong = hwm_rules_add(&a->marks, &rule);
    if (wrong)
        return usage_error("run", "--hwm %s: %s", text, wrong);
    a->ipc_marks |= rule.port == HWM_RULE_IPC;
    snprintf(a->marks_text + len, sizeof(a->marks_text) - len, "%s%s", len ? "," : "", text);
    return EXIT_DONE;
}

static int set_once(const char **place, const char *value)
{
    if (*place)
        return usage_error("run", "given twice, with \"%s\" and \"%s\": an option may come once", *place, value);
    *place = value;
    return EXIT_DONE;
}

static int run_take_option(struct run_args *a, int option, char **argv)
{
    switch (option) {
    case 'c':
        return set_once(&a->file, optarg);
    case OPTION_ADMIN:
        return set_once(&a->admin, optarg);
    case OPTION_PORT:
        return add_port(a, "port", optarg);
    case OPTION_LEAVE:
        return add_port(a, "leave", optarg);
    case OPTION_HWM:
        return add_marks(a, optarg);
    case OPTION_IPC:
        a->ipc = true;
        return EXIT_DONE;
    case OPTION_NO_COUNTER:
        a->no_counter = true;
        return EXIT_DONE;
    case ':':
        return usage_error("run", "%s needs a value", argv[optind - 1]);
    default:
        return usage_error("run", "unknown option: %s", argv[optind - 1]);
    }
}

/* Options end where the command begins, with or without "--". */
static int run_parse(struct run_args *a, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:c:", run_options, NULL)) != -1) {
        int code = run_take_option(a, option, argv);
        if (code != EXIT_DONE)
            return code;
    }
    a->command = argv + optind;
    if (a->ipc_marks && !a->ipc)
        return usage_error("run", "--hwm ipc=N needs --ipc: Unix sockets have no gate without it");
    return *a->command ? EXIT_DONE : usage_error("run", "a command is missing: weir run -- COMMAND [ARGUMENT...]");
}

static int run_run(int argc, char **argv)
{
    struct run_args a = {0};
    int code = run_parse(&a, argc, argv);
    if (code != EXIT_DONE)
        return code;
    if (a.ipc)
        strncat(a.ports, a.ports[0] ? ",ipc" : "ipc", sizeof(a.ports) - strlen(a.ports) - 1);
    struct config *c = config_load_patterns(a.file, stderr);
    if (!c)
        return EXIT_FAILED;
    if (a.admin && config_set_admin(c, a.admin, stderr))
        code = EXIT_USAGE;
    else
        code =
            run_command(c, &(struct reload_source){.file = a.file, .admin = a.admin, .patterns = true},
                        &(struct run_order){
                            .command = a.command, .ports = a.ports, .marks = a.marks_text, .no_counter = a.no_counter});
    config_free(c);
    return code;
}

const struct command command_run = {
    .name = "run",
    .synopsis = "run [-c FILE] [--admin ADDRESS:PORT] [--port N]... [--leave N]... [--ipc] [--hwm [PORT=]N]...\n"
                "                [--no-counter] -- COMMAND [ARGUMENT...]",
    .summary = "Start a program with a gate in front of each of its ZeroMQ sockets.",
    .help =
        "  -c, --config FILE       limits from a YAML file: those of the gate that listens on the port, else those of\n"
        "                          the gate that listens on tcp://*:*; `listen` and `forward` are not needed\n"
        "      --admin ADDR:PORT   metrics and state over HTTP; in place of admin.listen of the file\n"
        "      --port N            a gate for this TCP port too, though it is not libzmq that listens there (JeroMQ)\n"
        "      --leave N           no gate for this TCP port: another protocol, or a ZMQ_STREAM socket, in a program\n"
        "                          that has libzmq linked in\n"
        "      --ipc               a gate for each Unix socket that libzmq listens on, too\n"
        "      --hwm [PORT=]N      ZMQ_RCVHWM and ZMQ_SNDHWM of the sockets that bind a TCP port (with --ipc, a Unix\n"
        "                          socket too), or this one, or ipc=N for Unix sockets: N messages for each "
        "connection,\n"
        "                          or RECEIVE/SEND, of which one may be left out (50/, /1000). In place of what the\n"
        "                          program has set before it binds; weir suggest hwm proposes values\n"
        "      --no-counter        the program does not tell its gates how many messages it has taken\n\n"
        "Every TCP port that libzmq listens on gets a gate, whatever language the program is written in. The program\n"
        "sees the addresses that it would see without Weir: its own and its clients'. Weir prints a line on standard\n"
        "error for each gate:\n"
        "  weir: ready: tcp://0.0.0.0:5555 -> tcp://127.0.0.1:41234\n\n"
        "COMMAND takes the place of this process, so signals and the exit code are its own; Weir goes on in another\n"
        "process, and ends after COMMAND and the programs that it has started. Programs that it starts have gates as\n"
        "well, unless they are started with another environment. Not for statically linked programs (Go) and\n"
        "set-user-id programs: use weir serve.\n\n"
        "Exit code: that of COMMAND; 1 when Weir cannot start, 2 when the arguments are wrong, 126 and 127 when\n"
        "COMMAND cannot be started.",
    .run = run_run,
};
