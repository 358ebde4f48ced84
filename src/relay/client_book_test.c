/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/client_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define APP_PORT_NONE 0

struct scene {
    struct run_table *book;
    struct endpoint app;
    int listener;
    int client; /* some descriptor with addresses */
};

static const struct addr who = {.kind = ADDR_V4, .bytes = {192, 0, 2, 7}, .port = 4711};

static void scene_start(struct scene *s)
{
    *s = (struct scene){.app = {.kind = ENDPOINT_TCP, .len = sizeof(s->app.v4)}};
    s->app.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->book = mmap(NULL, sizeof(*s->book), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(s->book, MAP_FAILED);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, &s->app.sa, s->app.len), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, &s->app.sa, &s->app.len), 0);
    client_book_note_listener(s->book, AF_INET, endpoint_port(&s->app), &s->app.sa);
}

static void scene_end(struct scene *s)
{
    munmap(s->book, sizeof(*s->book));
    close(s->listener);
    close(s->client);
}

static uint32_t state_of_listener(const struct scene *s)
{
    return atomic_load(&s->book->listeners[0][endpoint_port(&s->app)].state);
}

static struct run_client *entry_of(const struct scene *s, int fd)
{
    struct endpoint from = {.len = sizeof(from.un)};
    assert_int_equal(getsockname(fd, &from.sa, &from.len), 0);
    return &s->book->clients[run_source_of(&from.sa)][endpoint_port(&from)];
}

static int connect_client(const struct scene *s, int client_fd)
{
    bool pending;
    int fd = client_book_connect(s->book, &s->app, &who, client_fd, &pending);
    assert_true(fd >= 0);
    return fd;
}

static void a_connection_is_noted_until_it_is_forgotten(void **state)
{
    struct scene s;
    scene_start(&s);
    int fd = connect_client(&s, s.client);
    struct run_client *c = entry_of(&s, fd);
    assert_int_equal(run_client_port(c), endpoint_port(&s.app));
    assert_int_equal(c->client.port, who.port);
    assert_int_equal(state_of_listener(&s), RUN_LISTENER_KNOWN);
    client_book_forget(s.book, &s.app, fd);
    assert_int_equal(run_client_port(c), APP_PORT_NONE);
    close(fd);
    scene_end(&s);
}

/* The kernel may have given its port to another connection in between. */
static void the_entry_of_another_connection_stays(void **state)
{
    struct scene s;
    scene_start(&s);
    int fd = connect_client(&s, s.client);
    struct run_client *c = entry_of(&s, fd);
    atomic_fetch_add(&c->to, UINT64_C(1) << 16);
    client_book_forget(s.book, &s.app, fd);
    assert_int_equal(run_client_port(c), endpoint_port(&s.app));
    close(fd);
    scene_end(&s);
}

/* Nobody can be told apart from it, so nobody may be sent away. */
static void a_connection_without_a_note_marks_the_listener(void **state)
{
    struct scene s;
    scene_start(&s);
    int fd = connect_client(&s, -1);
    assert_int_equal(run_client_port(entry_of(&s, fd)), APP_PORT_NONE);
    assert_int_equal(state_of_listener(&s), RUN_LISTENER_MIXED);
    client_book_note_listener(s.book, AF_INET, endpoint_port(&s.app), NULL);
    assert_int_equal(state_of_listener(&s), RUN_LISTENER_NONE);
    close(fd);
    scene_end(&s);
}

/* The name of a Unix socket takes the place of a port, and the entry has the client's credentials. */
static void a_client_of_a_unix_socket_is_noted_with_its_credentials(void **state)
{
    struct scene s;
    scene_start(&s);
    struct endpoint app = {.kind = ENDPOINT_IPC, .len = sizeof(app.un), .un.sun_family = AF_UNIX};
    int ends[2], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool pending;
    assert_int_equal(bind(listener, &app.sa, sizeof(app.un.sun_family)), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, &app.sa, &app.len), 0);
    int number = run_number_of(&app.sa);
    assert_in_range(number, 0, RUN_NAMES - 1);
    struct sockaddr_un again;
    assert_int_equal(run_name_to(&again, (uint32_t)number), app.len);
    assert_memory_equal(&again, &app.un, app.len);
    client_book_note_unix_listener(s.book, 7, (uint32_t)number, &app);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    int fd = client_book_connect(s.book, &app, &who, ends[0], &pending);
    assert_true(fd >= 0);
    struct endpoint from = {.len = sizeof(from.un)};
    assert_int_equal(getsockname(fd, &from.sa, &from.len), 0);
    const struct run_unix_client *c = &s.book->unix_clients[run_number_of(&from.sa)];
    assert_int_equal(run_name_behind(c), number);
    assert_int_equal(c->pid, getpid());
    assert_int_equal(c->uid, getuid());
    assert_int_equal(c->gid, getgid());
    client_book_forget(s.book, &app, fd);
    assert_int_equal(run_name_behind(c), -1);
    assert_int_equal(atomic_load(&s.book->unix_listeners[7].state), RUN_LISTENER_KNOWN);
    close(fd);

    fd = client_book_connect(s.book, &app, &who, -1, &pending);
    assert_int_equal(atomic_load(&s.book->unix_listeners[7].state), RUN_LISTENER_MIXED);
    close(fd);
    close(listener);
    close(ends[0]);
    close(ends[1]);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_noted_until_it_is_forgotten),
        cmocka_unit_test(the_entry_of_another_connection_stays),
        cmocka_unit_test(a_connection_without_a_note_marks_the_listener),
        cmocka_unit_test(a_client_of_a_unix_socket_is_noted_with_its_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
