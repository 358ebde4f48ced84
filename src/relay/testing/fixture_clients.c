/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct end *come_silently(struct fixture_clients *c, uint32_t host)
{
    struct end *e = &c->clients[c->client_count++];
    assert_true(c->client_count <= FIXTURE_CLIENTS_MAX);
    end_connect(e, &c->fixture, host);
    return e;
}

struct end *come(struct fixture_clients *c, uint32_t host)
{
    struct end *e = come_silently(c, host);
    end_greet(e, "DEALER", NULL);
    end_write(e, SIZE_MAX);
    return e;
}

void serve(struct fixture_clients *c)
{
    struct end e;
    while (end_accept(&e, &c->fixture)) {
        assert_true(c->app_count < FIXTURE_CLIENTS_MAX);
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

void settle(struct fixture_clients *c)
{
    for (unsigned i = 0; i < 10; i++) {
        fixture_sleep(&c->fixture, NS_PER_MS);
        serve(c);
    }
    for (unsigned i = 0; i < c->client_count; i++)
        for (unsigned n = 0; n < 2 && c->clients[i].fd >= 0; n++)
            end_read(&c->clients[i], SIZE_MAX);
}

static void close_clients(struct fixture_clients *c)
{
    for (unsigned i = 0; i < c->client_count; i++)
        end_close(&c->clients[i]);
    settle(c);
}

static void close_apps(struct fixture_clients *c)
{
    for (unsigned i = 0; i < c->app_count; i++)
        end_close(&c->apps[i]);
    c->app_count = 0;
}

void fixture_clients_leave(struct fixture_clients *c)
{
    close_clients(c);
    close_apps(c);
}

void fixture_clients_free(struct fixture_clients *c)
{
    close_clients(c);
    settle(c);
    fixture_assert_empty(&c->fixture);
    close_apps(c);
    fixture_fini(&c->fixture);
}
