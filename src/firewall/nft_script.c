/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/nft_script.h"

#include <arpa/inet.h>
#include <string.h>

static const char *address_text(char dst[static INET6_ADDRSTRLEN], uint8_t kind, const uint8_t *bytes)
{
    return inet_ntop(kind == ADDR_V6 ? AF_INET6 : AF_INET, bytes, dst, INET6_ADDRSTRLEN);
}

static const char *family(uint8_t kind)
{
    return kind == ADDR_V6 ? "ip6" : "ip";
}

static unsigned nft_script_version_of(uint8_t kind)
{
    return kind == ADDR_V6 ? 6 : 4;
}

static bool *have_set(struct nft_lengths *l, uint8_t kind, uint8_t bits)
{
    return kind == ADDR_V6 ? &l->v6[bits] : &l->v4[bits];
}

/* ---- sets and their rules ---- */

/* " & 255.255.255.0", or nothing where all bits count. */
static void write_mask(FILE *out, uint8_t kind, uint8_t bits)
{
    struct addr ones = {.kind = (enum addr_kind)kind};
    char text[INET6_ADDRSTRLEN];
    if (bits == network_bits_max(kind))
        return;
    memset(ones.bytes, 0xff, sizeof(ones.bytes));
    struct network mask = network_of(&ones, bits);
    fprintf(out, " & %s", address_text(text, kind, mask.bytes));
}

static void make_set(FILE *out, const char *table, uint8_t kind, uint8_t bits)
{
    unsigned v = nft_script_version_of(kind);
    fprintf(out, "add set inet %s v%u_%u { type ipv%u_addr; flags timeout; size %u; }\n", table, v, bits, v,
            NFT_SCRIPT_SET_SIZE);
    fprintf(out, "add rule inet %s banned %s saddr", table, family(kind));
    write_mask(out, kind, bits);
    fprintf(out, " @v%u_%u counter name dropped drop\n", v, bits);
}

static void make_sets(FILE *out, const char *table, const struct firewall_entry *entries, size_t count,
                      struct nft_lengths *have)
{
    for (size_t i = 0; i < count; i++) {
        bool *there = have_set(have, entries[i].who.kind, entries[i].who.bits);
        if (!*there)
            make_set(out, table, entries[i].who.kind, entries[i].who.bits);
        *there = true;
    }
}

/* ---- elements ---- */

enum mention { NAMES_ONLY, WITH_TIMES };

/* One command for all entries of a length. WITH_TIMES leaves out the entries to be removed. */
static void write_elements(FILE *out, const char *verb, const char *table, const struct firewall_entry *entries,
                           size_t count, uint8_t kind, uint8_t bits, enum mention mention)
{
    char text[INET6_ADDRSTRLEN];
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        const struct firewall_entry *e = &entries[i];
        if (e->who.kind != kind || e->who.bits != bits || (mention == WITH_TIMES && e->left_ms == 0))
            continue;
        if (written++ == 0)
            fprintf(out, "%s element inet %s v%u_%u {", verb, table, nft_script_version_of(kind), bits);
        else
            fputc(',', out);
        fprintf(out, " %s", address_text(text, kind, e->who.bytes));
        if (mention == WITH_TIMES)
            fprintf(out, " timeout %ums", e->left_ms);
    }
    if (written)
        fputs(" }\n", out);
}

/* Older kernels do not change the time of an element that is there, and deleting one that is not there fails. So each
 * element is added, deleted, and added with its time. Only the end of a transaction is visible. */
static void write_changes(FILE *out, const char *table, const struct firewall_entry *entries, size_t count,
                          uint8_t kind, uint8_t bits)
{
    write_elements(out, "add", table, entries, count, kind, bits, NAMES_ONLY);
    write_elements(out, "delete", table, entries, count, kind, bits, NAMES_ONLY);
    write_elements(out, "add", table, entries, count, kind, bits, WITH_TIMES);
}

/* Which lengths occur in the entries. */
static struct nft_lengths lengths_of(const struct firewall_entry *entries, size_t count)
{
    struct nft_lengths l = {0};
    for (size_t i = 0; i < count; i++)
        *have_set(&l, entries[i].who.kind, entries[i].who.bits) = true;
    return l;
}

static void nft_script_write_all(FILE *out, const char *table, const struct firewall_entry *entries, size_t count,
                                 bool fresh)
{
    const struct nft_lengths l = lengths_of(entries, count);
    for (unsigned i = 0; i < ARRAY_LEN(l.v4) + ARRAY_LEN(l.v6); i++) {
        bool v6 = i >= ARRAY_LEN(l.v4);
        uint8_t kind = v6 ? ADDR_V6 : ADDR_V4, bits = (uint8_t)(v6 ? i - ARRAY_LEN(l.v4) : i);
        if (!(v6 ? l.v6[bits] : l.v4[bits]))
            continue;
        if (fresh)
            write_elements(out, "add", table, entries, count, kind, bits, WITH_TIMES);
        else
            write_changes(out, table, entries, count, kind, bits);
    }
}

/* ---- gates ---- */

static void write_exempt(FILE *out, const char *table, size_t gate, const struct networks *exempt)
{
    char text[NETWORK_TEXT_MAX];
    for (uint32_t i = 0; i < exempt->count; i++) {
        const struct network *n = &exempt->at[i];
        if (n->kind == ADDR_V4 || n->kind == ADDR_V6)
            fprintf(out, "add rule inet %s gate_%zu %s saddr %s accept\n", table, gate, family(n->kind),
                    network_format(text, sizeof(text), n));
    }
}

static void write_entrance(FILE *out, const char *table, size_t gate, const struct addr *to)
{
    static const uint8_t zeros[16] = {0};
    char text[INET6_ADDRSTRLEN];
    fprintf(out, "add rule inet %s input ", table);
    if (to->kind != ADDR_NONE && memcmp(to->bytes, zeros, sizeof(zeros)) == 0)
        fprintf(out, "meta nfproto ipv%u ", nft_script_version_of((uint8_t)to->kind));
    else if (to->kind != ADDR_NONE)
        fprintf(out, "%s daddr %s ", family((uint8_t)to->kind), address_text(text, (uint8_t)to->kind, to->bytes));
    fprintf(out, "tcp dport %u goto gate_%zu\n", to->port, gate);
}

static void write_gates(FILE *out, const char *table, const struct firewall_gates *gates)
{
    for (size_t i = 0; i < gates->count; i++) {
        if (gates->at[i].means != FIREWALL_NFTABLES)
            continue;
        fprintf(out, "add chain inet %s gate_%zu\n", table, i);
        write_exempt(out, table, i, &gates->at[i].exempt);
        fprintf(out, "add rule inet %s gate_%zu goto banned\n", table, i);
    }
    fprintf(out, "add chain inet %s input { type filter hook input priority -10; policy accept; }\n", table);
    for (size_t i = 0; i < gates->count; i++)
        if (gates->at[i].means == FIREWALL_NFTABLES)
            write_entrance(out, table, i, &gates->at[i].to);
}

/* ---- scripts ---- */

void nft_script_replace(FILE *out, const char *table, const struct firewall_gates *gates,
                        const struct firewall_entry *entries, size_t count, struct nft_lengths *ret_have)
{
    *ret_have = (struct nft_lengths){0};
    fprintf(out, "add table inet %s\ndelete table inet %s\nadd table inet %s\n", table, table, table);
    fprintf(out, "add counter inet %s dropped\nadd chain inet %s banned\n", table, table);
    make_sets(out, table, entries, count, ret_have);
    write_gates(out, table, gates);
    nft_script_write_all(out, table, entries, count, true);
}

void nft_script_change(FILE *out, const char *table, const struct firewall_entry *entries, size_t count,
                       struct nft_lengths *have)
{
    make_sets(out, table, entries, count, have);
    nft_script_write_all(out, table, entries, count, false);
}

void nft_script_ask(FILE *out, const char *table)
{
    fprintf(out, "list counter inet %s dropped\n", table);
}

bool nft_script_read_counter(const char *answer, uint64_t *ret_packets, uint64_t *ret_bytes)
{
    const char *at = strstr(answer, "packets ");
    unsigned long long packets, bytes;
    if (!at || sscanf(at, "packets %20llu bytes %20llu", &packets, &bytes) != 2)
        return false;
    *ret_packets = packets;
    *ret_bytes = bytes;
    return true;
}
