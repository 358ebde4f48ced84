/* SPDX-License-Identifier: MPL-2.0 */
/* What a session does about applications that change and receivers that stand still, and when it sleeps. */
#include "relay/stage.h"
#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* ---- the application ---- */

/* Serves the application until the client is greeted, or time is up; connections of strangers are greeted too. */
static bool greets_within(struct stage *s, struct end *client, uint64_t ns)
{
    struct end apps[256];
    unsigned count = 0;
    for (uint64_t left = ns; left > 0 && !end_is_greeted(client); left -= NS_PER_MS) {
        stage_sleep(s, NS_PER_MS);
        while (count < ARRAY_LEN(apps) && end_accept(&apps[count], s)) {
            end_greet(&apps[count], "ROUTER", NULL);
            end_write(&apps[count++], SIZE_MAX);
        }
        for (unsigned i = 0; i < count; i++)
            end_read(&apps[i], SIZE_MAX);
        end_read(client, SIZE_MAX);
    }
    bool greeted = end_is_greeted(client);
    for (unsigned i = 0; i < count; i++)
        end_close(&apps[i]);
    return greeted;
}

static void greet_wrongly(struct end *e)
{
    uint8_t greeting[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_CURVE});
    stream_put(&e->out, greeting, sizeof(greeting));
    end_write(e, SIZE_MAX);
}

/* Each client with another mechanism is a reason to ask an idle application again; it must not be one to let everybody
 * behind it wait. */
static void strangers_of_another_mechanism_keep_nobody_waiting(void **state)
{
    struct stage s;
    struct end strangers[100], client;
    stage_init(&s, NULL);
    stage_start(&s);
    stage_app_stop(&s);
    stage_rounds(&s, 4);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++) {
        end_connect(&strangers[i], &s, 0);
        greet_wrongly(&strangers[i]);
    }
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    stage_rounds(&s, 10);
    stage_app_listen(&s);
    assert_true(greets_within(&s, &client, 1500 * NS_PER_MS));
    assert_true(stage_verdict(&s, VERDICT_WRONG_MECHANISM) >= 99);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++)
        end_close(&strangers[i]);
    end_close(&client);
    stage_rounds(&s, 10);
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_of_another_mechanism_keep_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
