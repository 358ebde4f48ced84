/* SPDX-License-Identifier: MPL-2.0 */
/* The kernel's packet filter through libnftables. Never executes nft. A full replacement is one transaction
 * (nft_script.h). */
#include "daemon/firewall_backend.h"

#include "firewall/nft_script.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer names are not from Weir. */
#define NFT_NAME_MAX 64

struct nft {
    const char *table;
    struct nft_ctx *ctx;
    struct nft_lengths have;
    bool made;                       /* this process has made the table */
    uint64_t packets, bytes;         /* of tables before this one */
    uint64_t now_packets, now_bytes; /* of this one, as of the last reading */
};

static void nft_free(struct nft *n)
{
    if (n && n->ctx)
        nft_ctx_free(n->ctx);
    free(n);
}

/* NULL: no memory. */
static struct nft *nft_new(const char *table)
{
    struct nft *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->table = table;
    n->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!n->ctx || nft_ctx_buffer_output(n->ctx) || nft_ctx_buffer_error(n->ctx)) {
        nft_free(n);
        return NULL;
    }
    return n;
}

static int nft_open(const char *table, const struct firewall_gates *gates, void **ret)
{
    *ret = nft_new(table);
    return *ret ? 0 : -ENOMEM;
}

/* The library reports errors as text; these are the C library's texts for error numbers. */
static int error_in(const char *words)
{
    static const int known[] = {EPERM, ENOENT, EMSGSIZE, ENOBUFS, ENOMEM, ENFILE, EOPNOTSUPP, EEXIST, EINVAL, EBUSY};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (words && strstr(words, strerror(known[i])))
            return -known[i];
    return -EIO;
}

/* Runs the commands written to `out`, whose text is *text, and frees both. */
static int nft_run(struct nft *n, FILE *out, char **text)
{
    int error = fclose(out) == 0 ? 0 : -ENOMEM;
    if (!error && nft_run_cmd_from_buffer(n->ctx, *text))
        error = error_in(nft_ctx_get_error_buffer(n->ctx));
    free(*text);
    return error;
}

static int nft_run_replace(struct nft *n, const struct firewall_gates *gates, const struct firewall_entry *entries,
                           size_t count)
{
    char *text = NULL;
    size_t len;
    struct nft_lengths have;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -ENOMEM;
    nft_script_replace(out, n->table, gates, entries, count, &have);
    int error = nft_run(n, out, &text);
    if (error)
        return error;
    n->have = have;
    n->made = true;
    n->packets += n->now_packets;
    n->bytes += n->now_bytes;
    n->now_packets = n->now_bytes = 0;
    return 0;
}

static int nft_run_change(struct nft *n, const struct firewall_entry *entries, size_t count)
{
    char *text = NULL;
    size_t len;
    struct nft_lengths have = n->have;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -ENOMEM;
    nft_script_change(out, n->table, entries, count, &have);
    int error = nft_run(n, out, &text);
    if (!error)
        n->have = have;
    return error;
}

static int nft_change(void *opened, const struct firewall_entry *entries, size_t count)
{
    struct nft *n = opened;
    size_t part = count;
    for (size_t done = 0; done < count;) {
        part = part < count - done ? part : count - done;
        int error = nft_run_change(n, entries + done, part);
        if (error == -EMSGSIZE && part > 1)
            part /= 2;
        else if (error)
            return error;
        else
            done += part;
    }
    return 0;
}

static int nft_count(void *opened)
{
    struct nft *n = opened;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -ENOMEM;
    nft_script_ask(out, n->table);
    int error = nft_run(n, out, &text);
    if (!error && !nft_script_read_counter(nft_ctx_get_output_buffer(n->ctx), &n->now_packets, &n->now_bytes))
        error = -ENOENT;
    return error;
}

static int nft_replace(void *opened, const struct firewall_gates *gates, const struct firewall_entry *entries,
                       size_t count)
{
    struct nft *n = opened;
    if (n->made)
        (void)!nft_count(n); /* otherwise the packets dropped since the last reading would be lost */
    int error = nft_run_replace(n, gates, entries, count);
    /* A network namespace of an unprivileged user limits the size of a transaction. There the bans are sent in several,
     * and for some milliseconds only Weir itself keeps out some of the banned. */
    if (error == -EMSGSIZE && count > 0) {
        error = nft_run_replace(n, gates, NULL, 0);
        error = error ? error : nft_change(n, entries, count);
    }
    return error;
}

static void nft_dropped(const void *opened, uint64_t *ret_packets, uint64_t *ret_bytes)
{
    const struct nft *n = opened;
    *ret_packets = n->packets + n->now_packets;
    *ret_bytes = n->bytes + n->now_bytes;
}

/* ---- leftovers of others ---- */

static int command(struct nft *n, const char *what, const char *table)
{
    char text[NFT_NAME_MAX + 64];
    snprintf(text, sizeof(text), "%s inet %s\n", what, table);
    return nft_run_cmd_from_buffer(n->ctx, text) ? error_in(nft_ctx_get_error_buffer(n->ctx)) : 0;
}

/* As made by nft_script.h; no other program's table begins with weir and has all of this. */
static bool is_weirs(struct nft *n, const char *table)
{
    static const char *const parts[] = {"counter dropped {", "chain banned {", "chain input {", "hook input priority"};
    nft_ctx_output_set_flags(n->ctx, NFT_CTX_OUTPUT_TERSE);
    if (command(n, "list table", table))
        return false;
    const char *text = nft_ctx_get_output_buffer(n->ctx);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!text || !strstr(text, parts[i]))
            return false;
    return true;
}

static void nft_remove_unused(bool (*is_used)(const char *means, const char *name),
                              void (*tell)(const char *name, int error))
{
    struct nft *n = nft_new("");
    char name[NFT_NAME_MAX + 1];
    char *all = n && !command(n, "list tables", "") ? strdup(nft_ctx_get_output_buffer(n->ctx)) : NULL;
    for (const char *at = all; at && (at = strstr(at, "table inet weir")); at++) {
        if (sscanf(at, "table inet %64[a-zA-Z0-9_]\n", name) == 1 && !is_used("nft", name) && is_weirs(n, name))
            tell(name, command(n, "delete table", name));
    }
    free(all);
    nft_free(n);
}

const struct firewall_backend nft_backend = {
    .version = WEIR_NFTABLES_VERSION,
    .open = nft_open,
    .replace = nft_replace,
    .change = nft_change,
    .count = nft_count,
    .dropped = nft_dropped,
    .remove_unused = nft_remove_unused,
};
