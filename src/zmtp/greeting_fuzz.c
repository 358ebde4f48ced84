/* SPDX-License-Identifier: MPL-2.0 */
/* Each prefix of a greeting says NEED, until one says DONE, OLD or BAD, and all longer ones the same. Seeds:
 * tests/seeds/zmtp. */
#include "zmtp/greeting.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        abort();
}

static void check_done(const struct zmtp_greeting *g, size_t used, size_t decided_at)
{
    require(used == decided_at && used == (g->major == 3 ? ZMTP_GREETING_BYTES : ZMTP2_GREETING_BYTES));
    require(g->major == 2 || g->major == 3);
    /* What can be said again comes back the same. */
    uint8_t again[ZMTP_GREETING_BYTES];
    struct zmtp_greeting h;
    zmtp_greeting_put(again, g);
    require(g->major == 2 || g->mechanism == MECHANISM_OTHER ||
            (zmtp_greeting_parse(again, sizeof(again), &h, &used) == GREETING_DONE && h.mechanism == g->mechanism &&
             h.minor == g->minor && h.as_server == g->as_server));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum greeting_result decided = GREETING_NEED;
    size_t decided_at = 0;
    for (size_t len = 0; len <= size && len <= 80; len++) {
        struct zmtp_greeting g;
        size_t used = 0;
        uint8_t *copy = malloc(len + 1);
        require(copy != NULL);
        memcpy(copy, data, len);
        /* At the end of the memory, so that AddressSanitizer sees a look beyond. */
        memmove(copy + 1, copy, len);
        enum greeting_result r = zmtp_greeting_parse(copy + 1, len, &g, &used);
        free(copy);
        if (decided == GREETING_NEED) {
            decided = r;
            decided_at = len;
        }
        require(r == decided);
        require(r != GREETING_OLD ||
                (data[0] == 0xff ? data[9] == 0x7f && data[10] == 0 : data[0] != 0 && data[1] == 0));
        if (r == GREETING_DONE)
            check_done(&g, used, decided_at);
    }
    require(decided != GREETING_NEED || size < ZMTP_GREETING_BYTES);
    return 0;
}
