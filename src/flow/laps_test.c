/* SPDX-License-Identifier: MPL-2.0 */
/* Laps against models of applications, in the order in which these answer: nothing that waits for its turn may look as
 * if it were kept, and what is kept must be seen. */
#include "flow/laps.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS  200u
#define REQUESTS 40000u

/* Every client has one request in the application, or stands in line for a place there. */
struct model {
    struct laps laps;
    struct lap_mark marks[CLIENTS];
    uint64_t asked_ns[CLIENTS];
    unsigned app[CLIENTS], in_app, line[CLIENTS], first, in_line, limit;
    uint64_t now_ns;
    unsigned most; /* laps that somebody saw */
};

static void ask(struct model *m)
{
    while (m->in_app < m->limit && m->in_line) {
        unsigned c = m->line[m->first];
        m->first = (m->first + 1) % CLIENTS;
        m->in_line--;
        m->app[m->in_app++] = c;
        m->asked_ns[c] = m->now_ns;
        laps_ask(&m->laps, &m->marks[c]);
    }
}

static void answer(struct model *m, unsigned place)
{
    unsigned c = m->app[place], laps = laps_since(&m->laps, &m->marks[c]);
    m->most = laps > m->most ? laps : m->most;
    laps_answer(&m->laps, &m->marks[c], m->asked_ns[c], m->now_ns);
    memmove(&m->app[place], &m->app[place + 1], (--m->in_app - place) * sizeof(m->app[0]));
    m->line[(m->first + m->in_line++) % CLIENTS] = c;
}

static void begin(struct model *m, unsigned clients, unsigned limit)
{
    memset(m, 0, sizeof(*m));
    laps_init(&m->laps);
    m->limit = limit;
    m->in_line = clients;
    for (unsigned i = 0; i < clients; i++)
        m->line[i] = i;
}

static void who_comes_first_is_answered_first(void **state)
{
    static const unsigned limits[] = {1, 2, 7, 64, CLIENTS};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        static struct model m;
        begin(&m, CLIENTS, limits[i]);
        for (unsigned n = 0; n < REQUESTS; n++) {
            ask(&m);
            m.now_ns += 2 * NS_PER_MS;
            answer(&m, 0);
        }
        assert_true(m.most <= 1);
        assert_true(m.laps.number != 1 || limits[i] == 1);
    }
}

/* As libzmq does: in turn, but one that was silent before stands at the end of those who are looked at next, and the
 * turn may chase that end until all have been answered once. */
static void in_turn_with_newcomers_first(void **state)
{
    struct property_rng rng = property_rng_new("laps in turn");
    for (unsigned run = 0; run < 20; run++) {
        static struct model m;
        uint64_t round[CLIENTS] = {0}, now = 0;
        begin(&m, 2 + (unsigned)property_below(&rng, CLIENTS - 2), 2 + (unsigned)property_below(&rng, 16));
        for (unsigned n = 0; n < REQUESTS; n++) {
            ask(&m);
            m.now_ns += 2 * NS_PER_MS;
            /* The newest of those who have not had their turn in this round; when all have, the next begins. */
            unsigned place = m.in_app;
            for (unsigned i = 0; i < m.in_app; i++)
                place = round[m.app[i]] <= now ? i : place;
            if (place == m.in_app)
                now++, place = m.in_app - 1;
            round[m.app[place]] = now + 1;
            answer(&m, place);
        }
        assert_true(m.most < LAPS_OVERTAKEN);
    }
}

static void what_is_kept_is_seen(void **state)
{
    static struct model m;
    begin(&m, 20, 8);
    ask(&m);
    for (unsigned n = 0; n < 200; n++) {
        m.now_ns += 2 * NS_PER_MS;
        answer(&m, 1);
        ask(&m);
    }
    assert_int_equal(m.app[0], 0);
    assert_true(laps_since(&m.laps, &m.marks[0]) >= LAPS_OVERTAKEN);
    assert_true(m.most <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_first_is_answered_first),
        cmocka_unit_test(in_turn_with_newcomers_first),
        cmocka_unit_test(what_is_kept_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
