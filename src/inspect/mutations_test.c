/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Random changes of libzmq's recorded streams, through the decoder, greetings, metadata, the handshake of both sides
 * and the judge of traffic. 8 MiB, or WEIR_MUTATION_MIB; WEIR_TEST_SEED repeats a run. The fuzz harnesses are linked
 * under names of their own, so their demands hold here too.
 */
#include "base/property.h"
#include "inspect/traffic_drive.h"
#include "zmtp/greeting.h"
#include "zmtp/test_seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

int decoder_harness(const uint8_t *data, size_t size);
int greeting_harness(const uint8_t *data, size_t size);
int metadata_harness(const uint8_t *data, size_t size);
int handshake_harness(const uint8_t *data, size_t size);
int proxy_protocol_harness(const uint8_t *data, size_t size);

#define STREAM_MAX 65536u

struct mutant {
    uint8_t bytes[STREAM_MAX];
    size_t len;
};

static uint64_t budget_bytes(void)
{
    const char *mib = getenv("WEIR_MUTATION_MIB");
    return (mib ? strtoull(mib, NULL, 10) : 8) << 20;
}

/* ---- changes ---- */

static void change_byte(struct mutant *m, struct property_rng *rng)
{
    static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
    uint8_t *at = &m->bytes[property_below(rng, m->len)];
    switch (property_below(rng, 3)) {
    case 0:
        *at ^= (uint8_t)(1u << property_below(rng, 8));
        break;
    case 1:
        *at = telling[property_below(rng, sizeof(telling))];
        break;
    default:
        *at = (uint8_t)property_next(rng);
    }
}

static void cut_out(struct mutant *m, struct property_rng *rng)
{
    size_t from = property_below(rng, m->len), n = 1 + property_magnitude(rng, 9) % (m->len - from);
    memmove(m->bytes + from, m->bytes + from + n, m->len - from - n);
    m->len -= n;
}

/* Bytes of the same or another recording, anywhere. */
static void put_in(struct mutant *m, struct property_rng *rng, const struct seed *donor)
{
    size_t from = property_below(rng, donor->len), n = 1 + property_magnitude(rng, 9) % (donor->len - from);
    size_t to = property_below(rng, m->len + 1);
    if (m->len + n > sizeof(m->bytes))
        return;
    memmove(m->bytes + to + n, m->bytes + to, m->len - to);
    memcpy(m->bytes + to, donor->bytes + from, n);
    m->len += n;
}

/* Of the beginning more often than of the rest: headers and lengths are there in most recordings. */
static void change_early_byte(struct mutant *m, struct property_rng *rng)
{
    size_t len = m->len;
    m->len = len < 160 ? len : 160;
    change_byte(m, rng);
    m->len = len;
}

static void mutate(struct mutant *m, struct property_rng *rng, const struct seeds *seeds)
{
    for (uint64_t n = 1 + property_below(rng, 4); n > 0 && m->len > 0; n--) {
        switch (property_below(rng, 6)) {
        case 0:
            cut_out(m, rng);
            break;
        case 1:
            put_in(m, rng, &seeds->list[property_below(rng, seeds->count)]);
            break;
        case 2:
            change_early_byte(m, rng);
            break;
        default:
            change_byte(m, rng);
        }
    }
}

/* ---- where they go ---- */

static size_t judged_by(struct stand *stand, unsigned flags, const struct mutant *m, size_t most,
                        enum verdict *ret_verdict)
{
    struct line l;
    line_init(&l, stand, flags);
    line_feed_by(&l, m->bytes, m->len, most);
    *ret_verdict = l.verdict;
    size_t messages = (size_t)l.messages;
    assert_true(l.out_len <= m->len);
    line_fini(&l);
    return messages;
}

/* The same messages and the same verdict, at once and in pieces. */
static void through_the_judge(const struct mutant *m, struct property_rng *rng, bool zmtp2, bool curve)
{
    struct stand stand;
    enum verdict whole, pieces;
    unsigned flags = (zmtp2 ? LINE_ZMTP2 : 0) | (curve ? LINE_CURVE : 0);
    flags |= property_below(rng, 2) ? LINE_SUBSCRIBER : 0;
    flags |= property_below(rng, 4) ? 0 : LINE_OUTBOUND;
    stand_init(&stand);
    size_t messages = judged_by(&stand, flags, m, m->len, &whole);
    size_t most = 1 + property_magnitude(rng, 10), again = judged_by(&stand, flags, m, most, &pieces);
    if (whole != pieces || messages != again)
        fail_msg("flags %u, pieces of %zu: %s after %zu messages, at once %s after %zu", flags, most,
                 verdict_info(pieces)->label, again, verdict_info(whole)->label, messages);
    stand_fini(&stand);
}

static void load(struct mutant *m, const struct seed *s, size_t skip)
{
    skip = skip < s->len ? skip : 0;
    m->len = s->len - skip < sizeof(m->bytes) ? s->len - skip : sizeof(m->bytes);
    memcpy(m->bytes, s->bytes + skip, m->len);
}

static void traffic(void **state)
{
    static struct mutant m;
    struct property_rng rng = property_rng_new("mutations/traffic");
    struct seeds seeds;
    assert_true(seeds_load(WEIR_SEEDS, &seeds));
    for (uint64_t fed = 0, budget = budget_bytes(); fed < budget; fed += m.len + 1) {
        const struct seed *s = &seeds.list[property_below(&rng, seeds.count)];
        bool zmtp2 = strstr(s->name, "_20-") != NULL;
        load(&m, s, zmtp2 ? ZMTP2_GREETING_BYTES : ZMTP_GREETING_BYTES);
        mutate(&m, &rng, &seeds);
        decoder_harness(m.bytes, m.len);
        through_the_judge(&m, &rng, zmtp2, strstr(s->name, "-curve-") != NULL);
    }
    seeds_free(&seeds);
}

static void run(const char *name, const char *folder, int (*harness)(const uint8_t *, size_t), uint64_t budget)
{
    static struct mutant m;
    struct property_rng rng = property_rng_new(name);
    struct seeds seeds;
    assert_true(seeds_load(folder, &seeds));
    for (uint64_t fed = 0; fed < budget; fed += m.len + 1) {
        load(&m, &seeds.list[property_below(&rng, seeds.count)], 0);
        mutate(&m, &rng, &seeds);
        harness(m.bytes, m.len);
    }
    seeds_free(&seeds);
}

static void handshakes(void **state)
{
    run("mutations/handshakes", WEIR_SEEDS "/../handshake", handshake_harness, budget_bytes() / 2);
}

static void greetings(void **state)
{
    run("mutations/greetings", WEIR_SEEDS, greeting_harness, budget_bytes());
}

static void metadata(void **state)
{
    run("mutations/metadata", WEIR_SEEDS "/../metadata", metadata_harness, budget_bytes() / 8);
}

static void proxy_protocol(void **state)
{
    run("mutations/proxy_protocol", WEIR_SEEDS "/../proxy_protocol", proxy_protocol_harness, budget_bytes() / 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic),  cmocka_unit_test(handshakes),     cmocka_unit_test(greetings),
        cmocka_unit_test(metadata), cmocka_unit_test(proxy_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
