/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct end *come_silently(struct crowd *c, uint32_t host)
{
    struct end *e = &c->clients[c->client_count++];
    assert_true(c->client_count <= CROWD_MAX);
    end_connect(e, &c->stage, host);
    return e;
}

struct end *come(struct crowd *c, uint32_t host)
{
    struct end *e = come_silently(c, host);
    end_greet(e, "DEALER", NULL);
    end_write(e, SIZE_MAX);
    return e;
}

void serve(struct crowd *c)
{
    struct end e;
    while (end_accept(&e, &c->stage)) {
        assert_true(c->app_count < CROWD_MAX);
        end_greet(&e, "ROUTER", NULL);
        end_write(&e, SIZE_MAX);
        c->apps[c->app_count++] = e;
    }
    for (unsigned i = 0; i < c->app_count; i++) {
        end_read(&c->apps[i], SIZE_MAX);
        if (!c->apps[i].over)
            continue;
        end_close(&c->apps[i]);
        c->apps[i--] = c->apps[--c->app_count];
    }
}

void settle(struct crowd *c)
{
    for (unsigned i = 0; i < 10; i++) {
        stage_sleep(&c->stage, NS_PER_MS);
        serve(c);
    }
    for (unsigned i = 0; i < c->client_count; i++)
        for (unsigned n = 0; n < 2 && c->clients[i].fd >= 0; n++)
            end_read(&c->clients[i], SIZE_MAX);
}

void crowd_free(struct crowd *c)
{
    for (unsigned i = 0; i < c->client_count; i++)
        end_close(&c->clients[i]);
    settle(c);
    settle(c);
    stage_assert_empty(&c->stage);
    for (unsigned i = 0; i < c->app_count; i++)
        end_close(&c->apps[i]);
    stage_fini(&c->stage);
}
