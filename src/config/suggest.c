/* SPDX-License-Identifier: MPL-2.0 */
#include "config/suggest.h"

#include <string.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Three rows of the table are enough: a swap looks two rows back. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][SUGGEST_WORD_MAX + 1];
    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i - 1) % 3], *two_before = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned replaced = before[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = min3(replaced, before[j] + 1, now[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_before[j - 2] + 1 < now[j])
                now[j] = two_before[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

void suggest_offer(struct suggestion *s, const char *word, const char *candidate, size_t len)
{
    size_t word_len = strnlen(word, SUGGEST_WORD_MAX + 1);
    if (word_len > SUGGEST_WORD_MAX || len > SUGGEST_WORD_MAX)
        return;
    unsigned near_enough = word_len < 4 ? 1 : 1 + (unsigned)word_len / 4;
    unsigned d = distance(word, word_len, candidate, len);
    if (d > near_enough || (s->best && d >= s->distance))
        return;
    *s = (struct suggestion){.best = candidate, .best_len = len, .distance = d};
}
