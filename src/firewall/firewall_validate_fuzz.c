/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the helper's inlet. For any input, entries that go on to the kernel are in order and within
 * bounds, and made of the words and numbers of nft_script.h. The input is a list of datagrams, each behind a byte.
 * Below 128 the byte is a length in units of 8. From 128 on it is the type of a message whose head is made to fit,
 * which no fuzzer guesses. */
#include "firewall/firewall_validate.h"

#include "bans/ban_reach.h"
#include "firewall/nft_script.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_entries(const struct firewall_entry *e, size_t count)
{
    for (size_t i = 0; i < count; i++)
        require(firewall_may_follow(i ? &e[i - 1].who : NULL, &e[i]) && e[i].who.bits >= BAN_REACH_V4_BITS_MIN);
}

static void check_script(const char *text)
{
    static const char words[] = "abcdefghijklmnopqrstuvwxyz0123456789_.:/&@{},;- \n";
    require(text[strspn(text, words)] == '\0');
}

/* What would be sent to the kernel. */
static void carry_out(const struct firewall_validate *s, enum firewall_task task, struct nft_lengths *have)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    require(out != NULL);
    if (task == FIREWALL_TASK_REPLACE) {
        check_entries(s->entries, s->count);
        nft_script_replace(out, "weir", &s->gates, s->entries, s->count, have);
    } else {
        check_entries(s->changes, s->change_count);
        nft_script_change(out, "weir", s->changes, s->change_count, have);
    }
    int closed = fclose(out);
    require(closed == 0);
    check_script(text);
    free(text);
}

/* Copies the next datagram of the input into `to`; returns its length. */
static size_t next(const uint8_t **data, size_t *size, uint8_t to[static FIREWALL_WIRE_MAX])
{
    uint8_t first = **data;
    size_t len = 0, at = 0;
    *data += 1;
    *size -= 1;
    if (first >= 128) {
        struct firewall_message m = {.type = (uint8_t)(first % 8), .count = (uint16_t)(first / 8 % 4)};
        firewall_wire_head(to, &m);
        at = FIREWALL_WIRE_HEAD;
        len = m.count * FIREWALL_WIRE_RECORD;
    } else {
        len = 8u * first;
    }
    len = len < *size ? len : *size;
    memcpy(to + at, *data, len);
    *data += len;
    *size -= len;
    return at + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t datagram[FIREWALL_WIRE_MAX];
    struct firewall_gates gates = {.count = 1,
                                   .at = {{.to = {.kind = ADDR_V4, .port = 5555, .bytes = {192, 0, 2, 1}}}}};
    static struct firewall_validate validate,
        *s = &validate; /* kept from run to run: allocating it takes most of the time */
    struct nft_lengths have = {0};
    require(s->entries || firewall_validate_init(s, &gates) == 0);
    s->gates = gates;
    s->count = 0;
    s->open = false;
    while (size > 0) {
        enum firewall_task task;
        uint32_t number;
        size_t len = next(&data, &size, datagram);
        int error = firewall_validate_take(s, datagram, len, &number, &task);
        require(!error || task == FIREWALL_TASK_NONE);
        require(s->count <= FIREWALL_ENTRIES_MAX);
        if (task == FIREWALL_TASK_REPLACE || task == FIREWALL_TASK_CHANGE)
            carry_out(s, task, &have);
    }
    return 0;
}
