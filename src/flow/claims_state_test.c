/* SPDX-License-Identifier: MPL-2.0 */
/* Claims over a restart: they come back, faded, and never grow. */
#include "flow/claims_state.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WALL    (UINT64_C(1764000000) * NS_PER_S)
#define SOURCES 40u
#define PEERS   60u
#define UNIT    0x1p40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *state_of(const struct claims_state_gate *gates, size_t count, size_t *ret_len)
{
    *ret_len = claims_state_bytes(gates, count);
    uint8_t *bytes = malloc(*ret_len);
    assert_non_null(bytes);
    claims_state_write(bytes, gates, count, WALL);
    return bytes;
}

static void what_is_written_is_read(void **state)
{
    const struct claims_kept rows[] = {{.key = 1, .rate = 2, .count = 3}, {.key = UINT64_MAX, .rate = 9, .count = 1}};
    const struct claims_state_gate gates[] = {
        {.name = "orders", .key = {{7, 1, 2}}, .calm = 7, .rows = rows, .count = 2}, {.name = "empty", .calm = 120}};
    struct claims_state_head head;
    struct claims_state_part part;
    size_t len;
    uint8_t *bytes = state_of(gates, 2, &len);
    assert_int_equal(claims_state_check(bytes, len, &head), CLAIMS_STATE_SOUND);
    assert_int_equal(head.gates, 2);
    assert_int_equal(claims_state_age(&head, WALL + 5), 5);
    assert_int_equal(claims_state_age(&head, WALL - 5), 0); /* the clock was set back */
    assert_true(claims_state_find(bytes, len, "empty", &part));
    assert_int_equal(part.count, 0);
    assert_false(claims_state_find(bytes, len, "order", &part));
    assert_false(claims_state_find(bytes, len, "", &part));
    assert_true(claims_state_find(bytes, len, "orders", &part));
    assert_int_equal(part.calm, 7);
    assert_memory_equal(&part.key, &gates[0].key, sizeof(part.key));
    assert_int_equal(part.count, 2);
    struct claims_kept last = claims_state_entry(&part, 1);
    assert_true(last.key == UINT64_MAX && last.rate == 9 && last.count == 1);
    free(bytes);
}

static void each_changed_bit_and_each_cut_shows(void **state)
{
    const struct claims_kept row = {.key = 1, .rate = 2, .count = 3};
    const struct claims_state_gate gate = {.name = "g", .calm = 9, .rows = &row, .count = 1};
    struct claims_state_head head;
    size_t len;
    uint8_t *bytes = state_of(&gate, 1, &len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(claims_state_check(bytes, len, &head), CLAIMS_STATE_SOUND);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(claims_state_check(part, cut, &head), CLAIMS_STATE_DAMAGED);
        free(part);
    }
    bytes[11] = CLAIMS_STATE_VERSION + 1;
    assert_int_equal(claims_state_check(bytes, len, &head), CLAIMS_STATE_NEWER);
    free(bytes);
}

/* ---- tables ---- */

/* A gate whose connections are served, leave and come back. Its process restarts now and then. */
struct world {
    struct claims table;
    struct calm_time calm;
    struct claim claims[PEERS];
    struct claims_source *sources[PEERS];
    uint64_t keys[PEERS];
    uint64_t now_ns, wall_ns;
};

static void world_begin(struct world *w)
{
    assert_int_equal(claims_init(&w->table, 64), 0);
    calm_time_init(&w->calm, w->now_ns);
}

static void world_join(struct world *w, unsigned i)
{
    w->sources[i] = claims_acquire(&w->table, w->keys[i], w->now_ns);
    claims_inherit(w->sources[i], &w->claims[i], &w->calm, w->now_ns);
}

static void world_update(struct world *w)
{
    calm_time_advance(&w->calm, w->now_ns);
    for (unsigned i = 0; i < PEERS; i++)
        claims_update(w->sources[i], &w->claims[i], &w->calm, w->now_ns);
}

static void world_leave(struct world *w, unsigned i)
{
    claims_release(w->sources[i], &w->claims[i], 0, 0, &w->calm, w->now_ns);
}

static double world_sum(const struct world *w)
{
    double sum = 0;
    for (unsigned i = 0; i < PEERS; i++)
        sum += w->claims[i].rate;
    for (size_t i = 0; i < w->table.sets * 8; i++)
        sum += claims_left(&w->table.table[i], &w->calm, w->now_ns);
    return sum;
}

/* All claims of the table, as they are kept. */
static size_t world_keep(const struct world *w, struct claims_kept rows[static 64])
{
    size_t count = 0;
    for (size_t cursor = 0; cursor != CLAIMS_END;)
        count += claims_page(&w->table, &cursor, &w->calm, w->now_ns, rows + count, 5);
    return count;
}

/* The process ends at once, and another begins `down_ns` later with a different monotonic clock. Returns the sum that
 * was kept. */
static double world_restart(struct world *w, uint64_t down_ns)
{
    struct claims_kept rows[64];
    struct claims_state_gate gate = {.name = "g", .calm = (uint32_t)w->calm.calm, .rows = rows};
    struct claims_state_head head;
    struct claims_state_part part;
    double sum = 0;
    size_t len;
    gate.count = world_keep(w, rows);
    gate.calm = gate.calm < 120 ? gate.calm : 120;
    for (size_t i = 0; i < gate.count; i++)
        sum += (double)rows[i].rate / UNIT;
    uint8_t *bytes = state_of(&gate, 1, &len);
    claims_fini(&w->table);
    w->now_ns = 3 * NS_PER_S;
    world_begin(w);
    assert_int_equal(claims_state_check(bytes, len, &head), CLAIMS_STATE_SOUND);
    assert_true(claims_state_find(bytes, len, "g", &part));
    calm_time_resume(&w->calm, part.calm);
    for (size_t i = 0; i < part.count; i++) {
        struct claims_kept k = claims_state_entry(&part, i);
        claims_restore(&w->table, &k, &w->calm, down_ns, w->now_ns);
    }
    free(bytes);
    return sum;
}

static void world_serve(struct world *w, double part)
{
    for (unsigned i = 0; i < PEERS; i++)
        claim_spend(&w->claims[i], part * (double)CALM_STRETCH_NS);
    w->now_ns += CALM_STRETCH_NS;
    world_update(w);
}

static struct world *world_new(unsigned sources)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    world_begin(w);
    for (unsigned i = 0; i < PEERS; i++) {
        w->keys[i] = 1 + i % sources;
        world_join(w, i);
    }
    return w;
}

static void world_free(struct world *w)
{
    claims_fini(&w->table);
    free(w);
}

static void who_was_served_is_established_after_a_restart(void **state)
{
    for (unsigned calm = 20; calm <= 300; calm += 280) { /* before and after a whole minute of calm time */
        struct world *w = world_new(SOURCES);
        for (unsigned i = 0; i < calm; i++)
            world_serve(w, 0.01);
        double before = w->claims[3].rate;
        world_restart(w, 2 * NS_PER_S);
        for (unsigned i = 0; i < PEERS; i++)
            world_join(w, i);
        assert_true(claim_is_ripe(&w->claims[3]));
        assert_true(w->claims[3].rate > 0.98 * before && w->claims[3].rate <= before);
        /* This stays so, served or not. */
        w->now_ns += 3 * CALM_STRETCH_NS;
        world_update(w);
        assert_true(claim_is_ripe(&w->claims[3]));
        for (unsigned i = 0; i < 200; i++)
            world_serve(w, 0.01);
        assert_true(w->claims[3].rate > 0.008 && w->claims[3].rate < 0.0101);
        world_free(w);
    }
}

/* A source keeps its claims, whichever of its connections comes first, and its strangers do not make them smaller. */
static void strangers_at_an_address_take_nothing_of_what_is_kept(void **state)
{
    struct world *w = world_new(1);
    for (unsigned i = 0; i < 300; i++) {
        claim_spend(&w->claims[0], 0.1 * (double)CALM_STRETCH_NS);
        w->now_ns += CALM_STRETCH_NS;
        world_update(w);
    }
    struct claims_kept rows[64];
    assert_int_equal(world_keep(w, rows), 1);
    assert_int_equal(rows[0].count, 1);
    world_restart(w, 0);
    world_join(w, 0);
    assert_true(w->claims[0].rate > 0.09);
    world_join(w, 1);
    assert_true(w->claims[1].rate <= 0);
    world_free(w);
}

static void time_that_has_passed_takes_its_part(void **state)
{
    static const struct {
        uint64_t down_ns;
        double least, most;
    } cases[] = {
        {0, 0.999, 1}, {3600 * NS_PER_S, 0.45, 0.55}, {UINT64_C(864000) * NS_PER_S, 0, 1e-6}, {UINT64_MAX, 0, 1e-6}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct claims table;
        const struct calm_time calm = {.calm = 120};
        struct claims_kept kept = {.key = 5, .rate = (uint64_t)(0.25 * UNIT), .count = 2};
        assert_int_equal(claims_init(&table, 64), 0);
        double rate = claims_restore(&table, &kept, &calm, cases[i].down_ns, NS_PER_S) / 0.25;
        assert_true(rate >= cases[i].least && rate <= cases[i].most);
        claims_fini(&table);
    }
}

static void a_full_set_takes_no_more(void **state)
{
    struct claims table;
    const struct calm_time calm = {.calm = 120};
    double sum = 0;
    assert_int_equal(claims_init(&table, 8), 0);
    for (uint64_t key = 1; key <= 20; key++) {
        struct claims_kept kept = {.key = key, .rate = UINT64_MAX, .count = UINT32_MAX};
        sum += claims_restore(&table, &kept, &calm, 0, 1);
        sum += claims_restore(&table, &kept, &calm, 0, 1); /* the same once more */
    }
    assert_true(sum > 0 && sum <= 16 * 1e6);
    for (unsigned i = 0; i < 8; i++)
        assert_true(table.table[i].left == UINT32_MAX);
    struct claims_kept nothing[] = {{.key = 0, .rate = 9, .count = 1},
                                    {.key = 9, .rate = 0, .count = 1},
                                    {.key = 9, .rate = UINT64_MAX, .count = 0}};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++)
        assert_true(claims_restore(&table, &nothing[i], &calm, 0, 1) <= 0);
    claims_fini(&table);
}

/* While no connection is served, the sum of all claims does not grow, restarts included. */
static void the_sum_never_grows_without_service(void **state)
{
    struct property_rng r = property_rng_new("claims_state");
    for (unsigned round = 0; round < 20; round++) {
        struct world *w = world_new(SOURCES);
        for (unsigned i = 0, n = (unsigned)property_below(&r, 200); i < n; i++)
            world_serve(w, 0.5 / PEERS);
        double most = world_sum(w);
        for (unsigned step = 0; step < 200; step++) {
            unsigned i = (unsigned)property_below(&r, PEERS);
            if (property_below(&r, 20) == 0) {
                world_restart(w, property_below(&r, 600) * NS_PER_S);
                for (unsigned k = 0; k < PEERS; k++)
                    world_join(w, k);
            } else if (property_below(&r, 3)) {
                world_leave(w, i);
                world_join(w, i);
            } else {
                w->now_ns += property_below(&r, 10) * CALM_STRETCH_NS;
                world_update(w);
            }
            double sum = world_sum(w);
            assert_true(sum <= most * 1.000001);
            most = sum;
        }
        world_free(w);
    }
}

static void the_harness_holds(void **state)
{
    struct property_rng rng = property_rng_new("claims_state_harness");
    const struct claims_kept rows[] = {{.key = 1, .rate = 1u << 30, .count = 3}, {.key = 2, .rate = 9, .count = 1}};
    const struct claims_state_gate gates[] = {
        {.name = "orders", .key = {{7, 1, 2}}, .calm = 7, .rows = rows, .count = 2}, {.name = "b"}};
    size_t len;
    uint8_t *bytes = state_of(gates, 2, &len), noise[200];
    for (unsigned i = 0; i < 2000; i++) {
        size_t at = property_below(&rng, len);
        uint8_t was = bytes[at];
        bytes[at] = (uint8_t)property_next(&rng);
        LLVMFuzzerTestOneInput(bytes, i % 2 ? len : at);
        claims_state_seal(bytes, len);
        LLVMFuzzerTestOneInput(bytes, len);
        bytes[at] = was;
        claims_state_seal(bytes, len);
        for (unsigned n = 0; n < sizeof(noise); n++)
            noise[n] = property_below(&rng, 3) ? (uint8_t)property_below(&rng, 4) : (uint8_t)property_next(&rng);
        LLVMFuzzerTestOneInput(noise, sizeof(noise));
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(each_changed_bit_and_each_cut_shows),
        cmocka_unit_test(who_was_served_is_established_after_a_restart),
        cmocka_unit_test(strangers_at_an_address_take_nothing_of_what_is_kept),
        cmocka_unit_test(time_that_has_passed_takes_its_part),
        cmocka_unit_test(a_full_set_takes_no_more),
        cmocka_unit_test(the_sum_never_grows_without_service),
        cmocka_unit_test(the_harness_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
