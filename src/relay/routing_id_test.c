/* SPDX-License-Identifier: MPL-2.0 */
/* What an application sees of the routing ids of its clients. */
#include "relay/handshaking.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* A client with this id has come, and the application, of this type, has greeted it. `app`: its connection. */
static void come(struct fixture *s, struct end *client, struct end *app, const char *id, const char *app_type)
{
    struct end next;
    *app = (struct end){.fd = -1};
    end_connect(client, s, 0);
    end_greet(client, "DEALER", id);
    end_write(client, SIZE_MAX);
    for (unsigned i = 0; i < 20; i++) {
        fixture_rounds(s, 4);
        while (end_accept(&next, s)) {
            end_greet(&next, app_type, NULL);
            end_write(&next, SIZE_MAX);
            fixture_rounds(s, 8);
            for (unsigned n = 0; n < 3; n++)
                end_read(&next, SIZE_MAX);
            if (next.over)
                end_close(&next);
            else
                *app = next;
        }
        end_read(client, SIZE_MAX);
    }
}

static bool has_seen(const struct end *app, const char *id)
{
    return app->in.len && memmem(app->in.bytes, app->in.len, id, strlen(id)) != NULL;
}

static void an_id_in_use_does_not_reach_the_application(void **state)
{
    struct fixture s;
    struct end first, second, other, apps[3];
    fixture_init(&s, NULL);
    s.limits->duplicate_ids = DUPLICATE_IDS_REFUSE;
    fixture_start(&s);
    come(&s, &first, &apps[0], "left-hand", "ROUTER");
    assert_true(has_seen(&apps[0], "left-hand"));
    come(&s, &second, &apps[1], "left-hand", "ROUTER");
    assert_false(has_seen(&apps[1], "left-hand"));
    assert_int_equal(fixture_verdict(&s, VERDICT_DUPLICATE_ROUTING_ID), 1);
    come(&s, &other, &apps[2], "right-hand", "ROUTER");
    assert_true(has_seen(&apps[2], "right-hand"));
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 2);
    end_close(&first), end_close(&second), end_close(&other);
    for (unsigned i = 0; i < 3; i++)
        end_close(&apps[i]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

/* Only ROUTER and REP tell their clients apart. */
static void other_applications_do_not_mind(void **state)
{
    struct fixture s;
    struct end first, second, apps[2];
    fixture_init(&s, NULL);
    s.limits->duplicate_ids = DUPLICATE_IDS_REFUSE;
    s.config->gates[0].socket = SOCKET_DEALER;
    fixture_start(&s);
    come(&s, &first, &apps[0], "both", "DEALER");
    come(&s, &second, &apps[1], "both", "DEALER");
    assert_true(has_seen(&apps[0], "both") && has_seen(&apps[1], "both"));
    assert_int_equal(fixture_verdict(&s, VERDICT_DUPLICATE_ROUTING_ID), 0);
    end_close(&first), end_close(&second), end_close(&apps[0]), end_close(&apps[1]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_in_use_does_not_reach_the_application),
        cmocka_unit_test(other_applications_do_not_mind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
