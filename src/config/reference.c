/* SPDX-License-Identifier: MPL-2.0 */
#include "config/reference.h"

#include "config/reader.h"
#include "config/schema.h"
#include "config/value_words.h"

static const char head[] = "<!-- SPDX-License-Identifier: MPL-2.0 -->\n"
                           "<!-- Written by `weir help config > docs/config.md` from src/config/schema.c. -->\n"
                           "# Configuration\n"
                           "\n"
                           "`weir serve -c FILE` reads one YAML file; `weir check FILE` names every mistake in it with "
                           "line and column. Nothing but `listen`\n"
                           "and `forward` of one gate is required:\n"
                           "\n"
                           "```yaml\n"
                           "gates:\n"
                           "  - listen: tcp://0.0.0.0:5555\n"
                           "    forward: tcp://127.0.0.1:5556\n"
                           "```\n"
                           "\n"
                           "A dot in the names below is one level of nesting: `message.size` is written\n"
                           "\n"
                           "```yaml\n"
                           "    message:\n"
                           "      size: 1MiB\n"
                           "```\n"
                           "\n";

static const char units[] =
    "Sizes are whole numbers with `B`, `kB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (of 1024). The `B` may "
    "be "
    "left out, and `K` is `k`:\n"
    "`64K` and `1M` are 64000 and 1000000 bytes, `64Ki` and `1Mi` are 65536 and 1048576; a number alone is bytes. "
    "Durations have `ns`, `us`, `ms`, `s`,\n"
    "`m` (minutes), `h` or `d`, rates are so many per `s`, `m`, `h` or `d` (or per duration: `5/10s`), or `unlimited`: "
    "`500/s`, `30/m` for one every two seconds,\n"
    "`10MiB/s`. A rate holds over any stretch of time; "
    "its burst is what may come at once on top\n"
    "of it. A limit that is not given follows a smaller one that covers it: with "
    "`message.size: 1MiB` and nothing else, `message.frame`\n"
    "is 1MiB too. SIGHUP has Weir read the file again; what it takes in at the start only is marked "
    "with *Needs a restart*. A source is an IPv4 address, an IPv6 /64 network, or a user id on `ipc://`.\n"
    "\n";

static void print_key(FILE *out, const struct schema *s, const struct schema_key *k)
{
    char range[VALUE_TEXT_MAX];
    const char *const types[] = {
        [SCHEMA_NUMBER] = "number",       [SCHEMA_SIZE] = "size",        [SCHEMA_DURATION] = "duration",
        [SCHEMA_RATE] = "rate",           [SCHEMA_BYTE_RATE] = "rate",   [SCHEMA_SPEED] = "speed",
        [SCHEMA_BOOL] = "switch",         [SCHEMA_CHOICE] = "choice",    [SCHEMA_NAME] = "name",
        [SCHEMA_LISTEN] = "endpoint",     [SCHEMA_FORWARD] = "endpoint", [SCHEMA_ADMIN_ADDR] = "address",
        [SCHEMA_NETWORKS] = "list",       [SCHEMA_OBJECTS] = "list",     [SCHEMA_PATH] = "path",
        [SCHEMA_ENFORCE] = "enforcement", [SCHEMA_TEXT] = "text",        [SCHEMA_PATHS] = "list",
    };
    fprintf(out, "### %s%s\n\n*%s, ", s->prefix, k->path, types[k->type]);
    if (schema_is_list(k))
        fprintf(out, "%s to %s of ", k->min, k->max);
    fprintf(out, "%s; default: %s*\n\n", k->items ? k->items->noun : value_words_range(range, k),
            value_words_preset(k));
    fprintf(out, "%s", k->doc);
    if (k->reached)
        fprintf(out, " **When reached:** %s", k->reached);
    fprintf(out, "%s\n\n", k->restart ? " *Needs a restart.*" : "");
}

static void print_keys(FILE *out, const struct schema *s)
{
    for (size_t i = 0; i < s->count; i++)
        print_key(out, s, &s->keys[i]);
}

void reference_print(FILE *out)
{
    fprintf(out, "%s%s", head, units);
    fprintf(out,
            "The file has at most %u KiB and %d levels. Anchors, aliases, tags, keys given twice and unknown keys are "
            "mistakes.\n\n",
            CONFIG_BYTES_MAX / 1024, CONFIG_DEPTH_MAX);
    fprintf(out, "## Top level\n\n");
    print_keys(out, &schema_top);
    fprintf(out, "## A gate\n\nEach item of `gates`; 1 to %d of them.\n\n", CONFIG_GATES_MAX);
    print_keys(out, &schema_gate);
    fprintf(out,
            "## A class of a gate\n\nEach item of `classes`, without the `classes.` in front; up to %u of them:\n\n"
            "```yaml\n"
            "    classes:\n"
            "      - {name: partners, match: {networks: [198.51.100.0/24, \"2001:db8::/32\"]}, weight: 4}\n"
            "      - {name: default, priority: 3}\n"
            "```\n\n",
            CLASSES_MAX);
    print_keys(out, &schema_class);
}
