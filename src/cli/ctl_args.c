/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/ctl_args.h"

#include "admin/request.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/usage.h"
#include "config/config.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_ADMIN = 256,
    OPTION_TOKEN_FILE,
    OPTION_FOR,
    OPTION_GATE,
    OPTION_NETWORK,
    OPTION_LIMIT,
    OPTION_JSON,
    OPTION_HISTORY
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"for", required_argument, NULL, OPTION_FOR},
    {"gate", required_argument, NULL, OPTION_GATE},
    {"network", required_argument, NULL, OPTION_NETWORK},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"history", no_argument, NULL, OPTION_HISTORY},
    {0},
};

static int ctl_fail(const char *command, const char *fmt, va_list ap)
{
    fprintf(stderr, "weir %s: ", command);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int ctl_failed(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int code = ctl_fail("ctl", fmt, ap);
    va_end(ap);
    return code;
}

int ctl_failed_for(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int code = ctl_fail(command, fmt, ap);
    va_end(ap);
    return code;
}

/* ---- arguments ---- */

int ctl_check_network(const char *text, const char *nor, char normal[static NETWORK_TEXT_MAX])
{
    char shown[64], meant[NETWORK_TEXT_MAX];
    const char *why = "";
    struct network n;
    int r = network_parse(&n, text, &why);
    text_escape(shown, sizeof(shown), text, strlen(text));
    if (r == -EDOM)
        return usage_error("ctl", "\"%s\" is no network%s: %s; the network is %s", shown, nor, why,
                           network_format(meant, sizeof(meant), &n));
    if (r)
        return usage_error("ctl", "\"%s\" is no network%s: %s", shown, nor, why);
    network_format(normal, NETWORK_TEXT_MAX, &n);
    return EXIT_DONE;
}

int ctl_check_duration(const char *text)
{
    uint64_t ns;
    char shown[64];
    if (!strcmp(text, "forever"))
        return EXIT_DONE;
    if (!units_parse_duration(text, &ns) && ns >= REQUEST_FOR_MIN_NS && ns <= REQUEST_FOR_MAX_NS)
        return EXIT_DONE;
    return usage_error("ctl", "--for is no duration: \"%s\", allowed 1s to 365d, such as 10m, or forever",
                       text_escape(shown, sizeof(shown), text, strlen(text)));
}

int ctl_check_limit(const char *text)
{
    uint64_t n;
    char shown[64];
    if (!units_parse_count(text, &n) && n >= REQUEST_ROWS_MIN && n <= REQUEST_ROWS_MAX)
        return EXIT_DONE;
    return usage_error("ctl", "--limit is out of its range: \"%s\", allowed %u to %u",
                       text_escape(shown, sizeof(shown), text, strlen(text)), REQUEST_ROWS_MIN, REQUEST_ROWS_MAX);
}

static int check_gate(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    char shown[64];
    size_t len = strlen(text);
    if (len >= 1 && len <= CONFIG_NAME_MAX && strspn(text, allowed) == len)
        return EXIT_DONE;
    return usage_error("ctl", "--gate is no name of a gate: \"%s\", allowed 1 to %d of A-Z a-z 0-9 _ -",
                       text_escape(shown, sizeof(shown), text, len), CONFIG_NAME_MAX);
}

/* Whether the command was given an option that it does not know. */
int ctl_refuse_options(const struct ctl_args *a, bool duration, bool gate, bool listing, bool history)
{
    const char *wrong = a->duration && !duration            ? "--for"
                        : a->gate && !gate                  ? "--gate"
                        : a->network && !listing            ? "--network"
                        : a->limit && !(listing || history) ? "--limit"
                        : a->history && !history            ? "--history"
                                                            : NULL;
    return wrong ? usage_error("ctl", "%s has no meaning here", wrong) : EXIT_DONE;
}

/* ---- the command line ---- */

static int place_option(struct ctl_args *a, int option, char **argv)
{
    const char **place = option == 'c'                 ? &a->config
                         : option == OPTION_ADMIN      ? &a->admin
                         : option == OPTION_TOKEN_FILE ? &a->token_file
                         : option == OPTION_FOR        ? &a->duration
                         : option == OPTION_GATE       ? &a->gate
                         : option == OPTION_NETWORK    ? &a->network
                         : option == OPTION_LIMIT      ? &a->limit
                                                       : NULL;
    if (option == ':')
        return usage_error("ctl", "%s needs a value", argv[optind - 1]);
    if (option == OPTION_JSON || option == OPTION_HISTORY) {
        *(option == OPTION_JSON ? &a->json : &a->history) = true;
        return EXIT_DONE;
    }
    if (!place)
        return usage_error("ctl", "unknown option: %s", argv[optind - 1]);
    if (*place)
        return usage_error("ctl", "given twice, with \"%s\" and \"%s\": an option may come once", *place, optarg);
    *place = optarg;
    return EXIT_DONE;
}

int ctl_parse(struct ctl_args *a, int argc, char **argv)
{
    int option, code = EXIT_DONE;
    opterr = 0;
    while (code == EXIT_DONE && (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1)
        code = place_option(a, option, argv);
    if (code == EXIT_DONE && a->gate)
        code = check_gate(a->gate);
    return code;
}

/* An address or token that was not given otherwise comes from the configuration. Its other mistakes are for the running
 * Weir to find, which logs and counts them. */
static int read_config(struct ctl *c, const char *command, char address[static ENDPOINT_TEXT_MAX],
                       char file[static CONFIG_PATH_MAX])
{
    struct config_admin admin = {0};
    if (config_load_admin(c->args.config, &admin, stderr))
        return ctl_failed_for(command,
                              "admin.listen and admin.token_file of %s cannot be read; give --admin ADDRESS:PORT and "
                              "--token-file FILE in place of -c",
                              c->args.config);
    snprintf(address, ENDPOINT_TEXT_MAX, "%s", admin.enabled ? admin.text : CTL_ADDRESS_DEFAULT);
    snprintf(file, CONFIG_PATH_MAX, "%s", admin.token_file);
    return EXIT_DONE;
}

static int find_address(struct ctl *c, const char *command, const char *address)
{
    char shown[64];
    const char *why = "it is too long";
    size_t len = strlen(address);
    text_escape(shown, sizeof(shown), address, len);
    if (len > CTL_ADDRESS_MAX || endpoint_parse_address(&c->client.to, address, false, &why))
        return usage_error(command, "--admin is not an address and port: \"%s\" (%s), allowed such as %s", shown, why,
                           CTL_ADDRESS_DEFAULT);
    memcpy(c->address, address, len + 1);
    c->client.address = c->address;
    return EXIT_DONE;
}

static int find_token(struct ctl *c, const char *file)
{
    char why[TOKEN_WHY_MAX];
    const char *given = getenv("WEIR_TOKEN");
    c->client.token = c->token;
    if (!c->args.token_file && given) {
        size_t len = strlen(given);
        if (!token_is_fit(given, len))
            return ctl_failed("WEIR_TOKEN is no token: allowed %u to %u printable characters without spaces",
                              TOKEN_BYTES_MIN, TOKEN_BYTES_MAX);
        memcpy(c->token, given, len + 1);
        return EXIT_DONE;
    }
    if (c->args.token_file)
        file = c->args.token_file;
    if (!*file)
        return usage_error("ctl",
                           "the token is missing: give -c FILE with admin.token_file, or --token-file FILE, or "
                           "WEIR_TOKEN in the environment; it is the one in the file that admin.token_file of the "
                           "running Weir names, without which it has metrics only");
    return token_read(file, c->token, why) ? ctl_failed("%s", why) : EXIT_DONE;
}

static int find_server(struct ctl *c, const char *command, char file[static CONFIG_PATH_MAX])
{
    char address[ENDPOINT_TEXT_MAX] = CTL_ADDRESS_DEFAULT;
    int code = c->args.config ? read_config(c, command, address, file) : EXIT_DONE;
    return code == EXIT_DONE ? find_address(c, command, c->args.admin ? c->args.admin : address) : code;
}

int ctl_find_server(struct ctl *c, const char *command)
{
    char file[CONFIG_PATH_MAX] = "";
    return find_server(c, command, file);
}

int ctl_connect(struct ctl *c)
{
    char file[CONFIG_PATH_MAX] = "";
    int code = find_server(c, "ctl", file);
    return code == EXIT_DONE ? find_token(c, file) : code;
}
