/* SPDX-License-Identifier: MPL-2.0 */
/* The command line of the flood tool, and the bounds that it cannot pass. */
#include "flood.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC_MAX 16384

static const struct option long_options[] = {
    {"to", required_argument, NULL, 't'},
    {"from", required_argument, NULL, 'f'},
    {"sources", required_argument, NULL, 'n'},
    {"connections", required_argument, NULL, 'c'},
    {"opens", required_argument, NULL, 'o'},
    {"each", required_argument, NULL, 'e'},
    {"bytes", required_argument, NULL, 'b'},
    {"seconds", required_argument, NULL, 's'},
    {"size", required_argument, NULL, 'z'},
    {"announce", required_argument, NULL, 'a'},
    {"every-ms", required_argument, NULL, 'm'},
    {"chunk", required_argument, NULL, 'k'},
    {"frames", required_argument, NULL, 'r'},
    {"type", required_argument, NULL, 'y'},
    {"mechanism", required_argument, NULL, 'q'},
    {"minor", required_argument, NULL, 'i'},
    {"hex", required_argument, NULL, 'x'},
    {"start", required_argument, NULL, 'S'},
    {"end", required_argument, NULL, 'E'},
    {"as-messages", no_argument, NULL, 'M'},
    {"cancels", no_argument, NULL, 'C'},
    {"never-read", no_argument, NULL, 'N'},
    {"rate", required_argument, NULL, 'p'},
    {"read-every-ms", required_argument, NULL, 'R'},
    {NULL, 0, NULL, 0},
};

int options_usage(const char *why)
{
    fprintf(stderr,
            "flood: %s\nusage: flood NAME --to tcp://127.x.y.z:PORT|tcp://[::1]:PORT|ipc://PATH [--from 127.x.y.z] "
            "[--seconds N] ...\n",
            why);
    flood_list();
    return 2;
}

static int word_index(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    return -1;
}

static bool parse_hex(struct options *o, const char *text)
{
    size_t len = strlen(text) / 2;
    uint8_t *raw = malloc(len ? len : 1);

    if (!raw)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (sscanf(text + 2 * i, "%2hhx", &raw[i]) != 1) {
            free(raw);
            return false;
        }
    }
    free((void *)o->raw);
    o->raw = raw;
    o->raw_len = len;
    return true;
}

static bool set_start(struct options *o, const char *word)
{
    static const char *const words[] = {"connected", "greeted", "ready"};
    int i = word_index(word, words, 3);

    o->start = (enum flood_start)i;
    return i >= 0;
}

static bool set_end(struct options *o, const char *word)
{
    static const char *const words[] = {"hold", "close", "reset"};
    int i = word_index(word, words, 3);

    o->end = (enum flood_end)i;
    return i >= 0;
}

/* Options that are numbers. False when `c` is none of them. */
static bool set_number(struct options *o, int c, uint64_t v)
{
    switch (c) {
    case 'c':
        o->connections = (uint32_t)v;
        return true;
    case 'o':
        o->opens = v;
        return true;
    case 'p':
        o->rate = v;
        return true;
    case 'e':
        o->each = v;
        return true;
    case 'b':
        o->bytes = v;
        return true;
    case 's':
        o->within_ns = v * 1000 * NS_PER_MS;
        return v <= FLOOD_SECONDS_MAX;
    case 'z':
        o->size = v;
        return true;
    case 'a':
        o->announce = v;
        return true;
    case 'm':
        o->every_ns = v * NS_PER_MS;
        return true;
    case 'R':
        o->read_every_ns = v * NS_PER_MS;
        return true;
    case 'k':
        o->chunk = (uint32_t)v;
        return v >= 1 && v <= PEER_OUT_BYTES;
    case 'r':
        o->frames = (uint32_t)v;
        return v >= 1;
    case 'i':
        o->minor = (unsigned)v;
        return v <= 1;
    default:
        return false;
    }
}

static bool set_option(struct options *o, int c, const char *arg)
{
    switch (c) {
    case 'y':
        o->socket_type = arg;
        return strlen(arg) <= 16;
    case 'q':
        o->mechanism = arg;
        return strlen(arg) <= 20;
    case 'x':
        return parse_hex(o, arg);
    case 'S':
        return set_start(o, arg);
    case 'E':
        return set_end(o, arg);
    case 'M':
        return o->as_messages = true;
    case 'C':
        return o->cancels = true;
    case 'N':
        return o->never_read = true;
    default:
        return arg && set_number(o, c, strtoull(arg, NULL, 10));
    }
}

/* A short frame needs room in one chunk, and a connection that is paced byte by byte is the only one with smaller ones.
 */
static const char *check(const struct options *o)
{
    if (o->connections < 1 || o->connections > FLOOD_CONNECTIONS_MAX)
        return "--connections: 1 to 4096";
    if (o->opens > FLOOD_OPENS_MAX)
        return "--opens: at most 100000";
    if (o->bytes > FLOOD_BYTES_MAX)
        return "--bytes: at most 8 GiB";
    if (o->flood == flood_find("subscriptions") && o->size > TOPIC_MAX)
        return "--size: topics of at most 16384 bytes";
    if (o->size > UINT64_C(1) << 31)
        return "--size: at most 2 GiB";
    if (o->flood->start == START_READY && strcmp(o->mechanism, "NULL") != 0)
        return "only the NULL mechanism is spoken to the end of its handshake";
    return NULL;
}

const char *options_parse(struct options *o, int argc, char **argv)
{
    const char *to = NULL, *from = NULL;
    uint32_t sources = 1;
    int c;

    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (c == 't')
            to = optarg;
        else if (c == 'f')
            from = optarg;
        else if (c == 'n')
            sources = (uint32_t)strtoul(optarg, NULL, 10);
        else if (!set_option(o, c, optarg))
            return "an option that is not understood, or out of its range";
    }
    if (!to || !target_parse(&o->target, to))
        return "--to: only an address of this very machine: 127.0.0.0/8, [::1], or a Unix socket";
    if (from && !target_set_sources(&o->target, from, sources))
        return "--from, --sources: only within 127.0.0.0/8";
    if (o->opens == 0)
        o->opens = o->connections;
    return check(o);
}
