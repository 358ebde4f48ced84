/* SPDX-License-Identifier: MPL-2.0 */
/* Orders from other threads; this one is the main thread. */
#include "daemon/reload_request.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ASKERS 8

struct asker {
    struct reload_request *orders;
    pthread_t thread;
    enum admin_reloaded got;
    char *said;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    a->got = reload_request_make(a->orders, &a->said);
    return NULL;
}

static sigset_t hangup(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGHUP);
    return s;
}

static void begin(struct reload_request *o, struct asker *askers, size_t count)
{
    sigset_t s = hangup();
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    reload_request_init(o);
    for (size_t i = 0; i < count; i++) {
        askers[i] = (struct asker){.orders = o};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
}

/* Serves as the daemon does, until all askers are served. */
static void serve(struct reload_request *o, uint64_t count, bool done, const char *said)
{
    sigset_t s = hangup();
    for (uint64_t number = 0; number < count;) {
        assert_int_equal(sigwaitinfo(&s, NULL), SIGHUP);
        number = reload_request_begin(o);
        reload_request_end(o, number, done, said ? strdup(said) : NULL);
    }
}

static void end(struct reload_request *o, struct asker *askers, size_t count, enum admin_reloaded expected,
                const char *said)
{
    for (size_t i = 0; i < count; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].got, expected);
        if (said)
            assert_string_equal(askers[i].said, said);
        else
            assert_null(askers[i].said);
        free(askers[i].said);
    }
    reload_request_fini(o);
}

static void everybody_hears_what_came_of_it(void **state)
{
    struct reload_request o;
    struct asker askers[ASKERS];
    begin(&o, askers, ASKERS);
    serve(&o, ASKERS, true, "reloaded\n");
    end(&o, askers, ASKERS, ADMIN_RELOADED, "reloaded\n");
    begin(&o, askers, 1);
    serve(&o, 1, false, "1:2: wrong\n");
    end(&o, askers, 1, ADMIN_RELOAD_REFUSED, "1:2: wrong\n");
}

/* A SIGHUP of another process is served without a waiting thread. */
static void nobody_need_wait(void **state)
{
    struct reload_request o;
    begin(&o, NULL, 0);
    uint64_t number = reload_request_begin(&o);
    reload_request_end(&o, number, true, NULL);
    assert_int_equal(number, 0);
    end(&o, NULL, 0, ADMIN_RELOADED, NULL);
}

static void nobody_waits_for_the_end(void **state)
{
    struct reload_request o;
    struct asker askers[ASKERS];
    sigset_t s = hangup();
    begin(&o, askers, ASKERS);
    assert_int_equal(sigwaitinfo(&s, NULL), SIGHUP); /* a thread waits */
    reload_request_close(&o);
    end(&o, askers, ASKERS, ADMIN_RELOAD_ENDING, NULL);
    struct timespec now = {0};
    (void)sigtimedwait(&s, NULL, &now); /* one that came before the end */
    reload_request_init(&o);
    reload_request_close(&o);
    char *said;
    assert_int_equal(reload_request_make(&o, &said), ADMIN_RELOAD_ENDING);
    assert_int_equal(sigtimedwait(&s, NULL, &now), -1);
    reload_request_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_what_came_of_it),
        cmocka_unit_test(nobody_need_wait),
        cmocka_unit_test(nobody_waits_for_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
