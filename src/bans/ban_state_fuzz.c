/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the state file. Sound bytes give entries that the table takes and that are written as the same
 * again. The input is read as it is, and as entries behind a right head and before a right checksum, which no fuzzer
 * guesses. */
#include "bans/ban_state.h"

#include <stdlib.h>
#include <string.h>

#define NOW  1000000000000u
#define WALL UINT64_C(1700000000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_all(const uint8_t *bytes, size_t len)
{
    const struct hash_key key = {{1}};
    size_t count = 0, kept = 0;
    if (ban_state_check(bytes, len, &count) != BAN_STATE_SOUND)
        return;
    struct bans *t = bans_new(0, &key);
    require(t != NULL);
    struct ban *list = calloc(count + 1, sizeof(*list));
    require(list != NULL);
    for (size_t i = 0; i < count; i++)
        kept += ban_state_entry(bytes, i, NOW, WALL, &list[kept]);
    for (size_t i = 0; i < kept; i++)
        bans_restore(t, &list[i], NOW);
    uint8_t *again = malloc(ban_state_bytes(kept));
    require(again != NULL);
    ban_state_write(again, list, kept, NOW, WALL);
    require(ban_state_check(again, ban_state_bytes(kept), &count) == BAN_STATE_SOUND && count == kept);
    for (size_t i = 0; i < kept; i++) {
        struct ban b;
        require(ban_state_entry(again, i, NOW, WALL, &b) && memcmp(&b.who, &list[i].who, sizeof(b.who)) == 0);
        require(b.until_ns == list[i].until_ns && b.level == list[i].level);
    }
    bans_free(t);
    free(again);
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(data, size);
    /* The same entries with a head and a checksum that fit. */
    size_t count = size / 44, len = ban_state_bytes(count);
    uint8_t *bytes = malloc(len);
    struct ban *empty = calloc(count + 1, sizeof(*empty));
    require(bytes && empty);
    ban_state_write(bytes, empty, count, NOW, WALL);
    if (count) {
        memcpy(bytes + 24, data, count * 44);
        ban_state_seal(bytes, len);
    }
    read_all(bytes, len);
    free(bytes);
    free(empty);
    return 0;
}
