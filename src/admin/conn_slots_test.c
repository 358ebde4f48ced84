/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/conn_slots.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define MANY 200

struct pairs {
    int ours[MANY], theirs[MANY];
};

static void open_pair(struct pairs *p, size_t i)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    p->ours[i] = fds[0];
    p->theirs[i] = fds[1];
}

static void close_pair(struct pairs *p, size_t i)
{
    close(p->ours[i]);
    close(p->theirs[i]);
}

/* What the other end sees. */
static bool is_shut(const struct pairs *p, size_t i)
{
    char byte;

    return recv(p->theirs[i], &byte, 1, 0) == 0;
}

static void newcomers_push_out_the_idlest(void **state)
{
    struct conn_slots places;
    struct pairs pairs;
    struct conn_slot *at[MANY];
    const size_t room = CONN_SLOTS - CONN_SLOTS_LOW;

    conn_slots_init(&places);
    for (size_t i = 0; i < room; i++) {
        open_pair(&pairs, i);
        at[i] = conn_slots_enter(&places, pairs.ours[i]);
        assert_non_null(at[i]);
    }
    for (size_t i = 0; i < room; i++)
        assert_false(is_shut(&pairs, i));
    conn_slots_use(&places, at[0]);

    open_pair(&pairs, room);
    at[room] = conn_slots_enter(&places, pairs.ours[room]);
    for (size_t i = 0; i <= room; i++)
        assert_int_equal(is_shut(&pairs, i), i == 1);
    for (size_t i = 0; i <= room; i++) {
        conn_slots_leave(at[i]);
        close_pair(&pairs, i);
    }
}

/* The server may be slow to notice a connection that was shut down: then the spare places serve, and each is shut down
 * once. */
static void spare_places_while_the_leaving_linger(void **state)
{
    struct conn_slots places;
    struct pairs pairs;
    struct conn_slot *at[MANY];
    size_t shut = 0;

    conn_slots_init(&places);
    for (size_t i = 0; i < CONN_SLOTS; i++) {
        open_pair(&pairs, i);
        at[i] = conn_slots_enter(&places, pairs.ours[i]);
        assert_non_null(at[i]);
    }
    for (size_t i = 0; i < CONN_SLOTS; i++)
        shut += is_shut(&pairs, i);
    assert_int_equal(shut, CONN_SLOTS_LOW);
    open_pair(&pairs, CONN_SLOTS);
    assert_null(conn_slots_enter(&places, pairs.ours[CONN_SLOTS])); /* all are taken: not tracked, no harm */
    for (size_t i = 0; i < CONN_SLOTS; i++)
        conn_slots_leave(at[i]);
    for (size_t i = 0; i <= CONN_SLOTS; i++)
        close_pair(&pairs, i);
}

/* A client that connects again and again: the last newcomer always has a place, and connections with requests are not
 * the first to go. */
static void a_storm_never_fills_the_house(void **state)
{
    struct conn_slots places;
    struct pairs pairs, scraper;
    struct conn_slot *at[MANY];

    conn_slots_init(&places);
    open_pair(&scraper, 0);
    struct conn_slot *scraping = conn_slots_enter(&places, scraper.ours[0]);
    for (size_t i = 0; i < MANY; i++) {
        conn_slots_use(&places, scraping);
        open_pair(&pairs, i);
        at[i] = conn_slots_enter(&places, pairs.ours[i]);
        assert_non_null(at[i]);
        assert_false(is_shut(&pairs, i));
        assert_false(is_shut(&scraper, 0));
        for (size_t k = 0; k < i; k++) { /* the server closes connections that were shut down */
            if (at[k] && at[k]->leaving) {
                conn_slots_leave(at[k]);
                at[k] = NULL;
            }
        }
    }
    for (size_t i = 0; i < MANY; i++)
        close_pair(&pairs, i);
    close_pair(&scraper, 0);
}

static void nobody_is_accepted(void **state)
{
    struct conn_slots places;

    conn_slots_init(&places);
    conn_slots_use(&places, NULL);
    conn_slots_leave(NULL);
    assert_int_equal(places.tick, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_push_out_the_idlest),
        cmocka_unit_test(spare_places_while_the_leaving_linger),
        cmocka_unit_test(a_storm_never_fills_the_house),
        cmocka_unit_test(nobody_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
