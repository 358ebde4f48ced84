/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the claims file: sound bytes give entries that a table takes, and never more than they say. The
 * bytes are read as they are, and as entries of a gate between a valid head and a valid checksum, which a fuzzer cannot
 * guess. */
#include "flow/claims_state.h"

#include <stdlib.h>
#include <string.h>

#define NAME "orders"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static double sum_of(const struct claims *c, const struct calm_time *calm, uint64_t now_ns)
{
    struct claims_kept rows[64];
    double sum = 0;
    for (size_t cursor = 0; cursor != CLAIMS_END;) {
        size_t n = claims_page(c, &cursor, calm, now_ns, rows, 64);
        for (size_t i = 0; i < n; i++)
            sum += (double)rows[i].rate / 0x1p40;
    }
    return sum;
}

static void read_all(const uint8_t *bytes, size_t len)
{
    struct claims_state_head head;
    struct claims_state_part part;
    struct claims table;
    struct calm_time calm;
    double said = 0, kept = 0;
    if (claims_state_check(bytes, len, &head) != CLAIMS_STATE_SOUND)
        return;
    require(claims_init(&table, 64) == 0);
    calm_time_init(&calm, 1);
    if (claims_state_find(bytes, len, NAME, &part)) {
        calm_time_resume(&calm, part.calm);
        for (size_t i = 0; i < part.count; i++) {
            struct claims_kept k = claims_state_entry(&part, i);
            said += (double)k.rate / 0x1p40;
            kept += claims_restore(&table, &k, &calm, claims_state_age(&head, head.written_ns + i), 1);
        }
    }
    require(kept >= 0 && kept <= said * 1.000001);
    require(sum_of(&table, &calm, 1) <= kept * 1.000001);
    claims_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct claims_kept *rows = calloc(size / 20 + 1, sizeof(*rows));
    struct claims_state_gate gate = {.name = NAME, .calm = 120, .rows = rows, .count = size / 20};
    size_t len = claims_state_bytes(&gate, 1);
    uint8_t *bytes = malloc(len);
    require(rows && bytes);
    read_all(data, size);
    claims_state_write(bytes, &gate, 1, 1000);
    memcpy(bytes + len - 8 - gate.count * 20, data, gate.count * 20);
    claims_state_seal(bytes, len);
    read_all(bytes, len);
    free(bytes);
    free(rows);
    return 0;
}
