/* SPDX-License-Identifier: MPL-2.0 */
/* The life cycle against a fake relay and a fake admin server, which record their calls, in order. */
#include "daemon/daemon.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "daemon/ban_store.h"
#include "daemon/event_writer.h"
#include "daemon/kernel_bans.h"
#include "events/log_writer.h"
#include "daemon/notify.h"
#include "daemon/programs.h"
#include "daemon/source_routes.h"
#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct relay {
    int unused;
};

struct admin {
    int unused;
};

static struct fake {
    struct relay relay;
    struct admin admin;
    char story[512];
    bool relay_fails, admin_fails, token_fails, start_fails, ban_store_fails, routes_fail;
    int signals_at_start[4]; /* raised by relay_start(); 0 ends the list */
    bool signal_while_draining;
    int64_t open_connections; /* each look takes one away; negative: never ends */
    unsigned looks;
    struct reload_source from;
    const struct config *config;
    struct config *taken;
    int reload_fails;
    unsigned done, refused, reconfigured;
    bool follows;
    bool stop_after_reload;
    unsigned notes;
    char noted[512];
} fake;

static void tell(const char *event)
{
    size_t len = strlen(fake.story);
    snprintf(fake.story + len, sizeof(fake.story) - len, "%s%s", len ? " " : "", event);
}

struct relay *relay_new(const struct config *c, FILE *errors)
{
    tell("new");
    fake.config = c;
    if (!fake.relay_fails)
        return &fake.relay;
    fputs("weir: no relay\n", errors);
    return NULL;
}

int relay_start(struct relay *r)
{
    tell("start");
    for (size_t i = 0; i < ARRAY_LEN(fake.signals_at_start) && fake.signals_at_start[i]; i++)
        kill(getpid(), fake.signals_at_start[i]);
    return fake.start_fails ? -EAGAIN : 0;
}

const struct config *relay_config(const struct relay *r)
{
    return fake.config;
}

int relay_reload(struct relay *r, struct config *c, struct ban_lists_result *ret_lists)
{
    *ret_lists = (struct ban_lists_result){0};
    tell("reload");
    if (fake.reload_fails)
        return fake.reload_fails;
    config_free(fake.taken);
    fake.config = fake.taken = c;
    return 0;
}

void relay_count_reload(struct relay *r, bool done)
{
    *(done ? &fake.done : &fake.refused) += 1;
    if (fake.stop_after_reload)
        kill(getpid(), SIGTERM);
}

void relay_drain(struct relay *r)
{
    tell("drain");
    if (fake.signal_while_draining)
        kill(getpid(), SIGTERM);
}

uint64_t relay_open_connections(const struct relay *r)
{
    fake.looks++;
    if (fake.open_connections < 0)
        return 7;
    return (uint64_t)(fake.open_connections ? fake.open_connections-- : 0);
}

void relay_free(struct relay *r)
{
    tell(r ? "free" : "free(NULL)");
}

int programs_follow(struct programs *p)
{
    return 0;
}

enum programs_news programs_serve(struct programs *p, struct relay *r)
{
    return PROGRAMS_ENDED;
}

size_t relay_gate_count(const struct relay *r)
{
    return 2;
}

void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret)
{
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->listen, sizeof(ret->listen), "tcp://127.0.0.1:%zu", 5000 + gate);
    snprintf(ret->forward, sizeof(ret->forward), "ipc:///run/app%zu", gate);
}

bool ban_lists_format(char *dst, size_t size, const struct config *c, const struct ban_lists_result *r)
{
    snprintf(dst, size, "%zu networks came", r->set);
    return r->set > 0;
}

struct bans *relay_bans(struct relay *r)
{
    return NULL;
}

struct event_log *relay_events(struct relay *r)
{
    return NULL;
}

void event_log_note(struct event_log *log, enum event_kind k, const char *detail)
{
    if (k == EVENT_START || k == EVENT_STOP)
        return;
    fake.notes++;
    snprintf(fake.noted, sizeof(fake.noted), "%s: %s", k == EVENT_RELOADED ? "reloaded" : "refused", detail);
}

struct event_writer *event_writer_start(const char *path, struct event_log *log, struct bans *bans)
{
    return NULL;
}

void event_writer_reopen(struct event_writer *w)
{
}

void event_writer_stop(struct event_writer *w)
{
}

struct log_writer *log_writer_start(log_writer_line *line, void *arg)
{
    return (struct log_writer *)&fake;
}

void log_writer_stop(struct log_writer *w)
{
}

void relay_tell_held_lines(struct relay *r)
{
}

void relay_look_at_traffic(struct relay *r)
{
}

uint64_t relay_claims_served(struct relay *r)
{
    return 0;
}

uint8_t *relay_claims_write(struct relay *r, size_t *ret_len)
{
    return NULL;
}

const char *relay_claims_read(struct relay *r, const uint8_t *bytes, size_t len)
{
    return NULL;
}

struct ban_store *ban_store_start(const char *path, struct bans *bans, const struct ban_store_claims *claims)
{
    return fake.ban_store_fails ? NULL : (struct ban_store *)&fake;
}

void ban_store_try(struct ban_store *k)
{
}

void ban_store_stop(struct ban_store *k)
{
}

int source_routes_start(struct source_routes *r, const struct config *c, FILE *errors)
{
    return fake.routes_fail ? -1 : 0;
}

void source_routes_settle(const struct source_routes *r)
{
}

void source_routes_stop(struct source_routes *r)
{
}

struct kernel_follower *kernel_bans_new(const struct config *c, struct relay *r)
{
    return (struct kernel_follower *)&fake;
}

void kernel_bans_follow(struct kernel_follower *k)
{
    fake.follows = k != NULL;
}

void kernel_bans_reconfigure(struct kernel_follower *k, const struct config *c)
{
    assert_ptr_equal(c, fake.config);
    fake.reconfigured++;
}

void kernel_bans_free(struct kernel_follower *k)
{
}

struct admin *admin_start(const struct config *c, struct relay *r, const struct admin_callbacks *calls, FILE *errors)
{
    tell("admin");
    return fake.admin_fails ? NULL : &fake.admin;
}

int admin_read_token(struct admin *a, const char *path, char why[static TOKEN_WHY_MAX])
{
    snprintf(why, TOKEN_WHY_MAX, "no token in %s", path);
    return fake.token_fails ? -EINVAL : 0;
}

void admin_take_token(struct admin *a)
{
    tell("token");
}

const char *admin_address(const struct admin *a)
{
    return "127.0.0.1:9700";
}

void admin_stop(struct admin *a)
{
    if (a)
        tell("admin_stop");
}

/* Runs the daemon with standard output in a memory file. Returns its exit code and its output. */
static int run(const struct config *c, char *printed, size_t size)
{
    fflush(stdout);
    int keep = dup(STDOUT_FILENO), file = memfd_create("stdout", MFD_CLOEXEC);
    assert_true(keep >= 0 && file >= 0);
    assert_true(dup2(file, STDOUT_FILENO) >= 0);
    int code = daemon_run(c, &fake.from, NULL);
    /* Not flushed here: daemon_run() must have done it. */
    ssize_t n = pread(file, printed, size - 1, 0);
    fflush(stdout);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    close(file);
    assert_true(n >= 0);
    printed[n] = '\0';
    return code;
}

static struct config some_config(void)
{
    return (struct config){.drain_ns = 600 * NS_PER_S, .log_level = LOG_LEVEL_ERROR};
}

static int setup(void **state)
{
    memset(&fake, 0, sizeof(fake));
    fake.signals_at_start[0] = SIGTERM;
    unsetenv("NOTIFY_SOCKET");
    return 0;
}

static void test_ready_lines_and_clean_drain(void **state)
{
    struct config c = some_config();
    char printed[512];
    fake.open_connections = 2;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_string_equal(printed, "weir: ready: tcp://127.0.0.1:5000 -> ipc:///run/app0\n"
                                 "weir: ready: tcp://127.0.0.1:5001 -> ipc:///run/app1\n");
    assert_string_equal(fake.story, "new start drain free");
    assert_int_equal(fake.open_connections, 0); /* it waited for both */
}

static void test_admin_comes_first_and_goes_before_the_relay(void **state)
{
    struct config c = some_config();
    char printed[512];
    c.admin.enabled = true;
    fake.signals_at_start[0] = SIGINT;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_memory_equal(printed, "weir: admin: http://127.0.0.1:9700\nweir: ready: ", 48);
    assert_string_equal(fake.story, "new admin start drain admin_stop free");
}

static void test_second_signal_ends_the_drain(void **state)
{
    struct config c = some_config();
    char printed[512];
    fake.open_connections = -1;
    fake.signal_while_draining = true;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_string_equal(fake.story, "new start drain free");
}

static void test_drain_ends_after_its_time(void **state)
{
    struct config c = some_config();
    char printed[512];
    fake.open_connections = -1;
    c.drain_ns = 50 * NS_PER_MS;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_true(fake.looks >= 2);
    assert_string_equal(fake.story, "new start drain free");
}

static void test_no_drain(void **state)
{
    struct config c = some_config();
    char printed[512];
    fake.open_connections = -1;
    c.drain_ns = 0;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_string_equal(fake.story, "new start drain free");
}

static void test_hangup_is_no_end(void **state)
{
    struct config c = some_config();
    char printed[512];
    fake.signals_at_start[0] = SIGHUP;
    fake.signals_at_start[1] = SIGTERM;
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    assert_string_equal(fake.story, "new start drain free");
    sigset_t pending;
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGHUP)); /* taken, not left */
}

/* A configuration file in a memory file. */
static int file_of(const char *text, char path[static 32])
{
    int fd = memfd_create("weir.yaml", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

#define GATE "gates: [{listen: ipc:///a, forward: ipc:///b"

static void reload_of(const char *text, unsigned done, unsigned refused, const char *story)
{
    char path[32];
    int before = file_of(GATE "}]\ndrain: 0s\nlog: {level: error}\n", path);
    struct config *c = config_load(path, stderr);
    char printed[512];
    assert_non_null(c);
    close(before);
    int after = file_of(text, path);
    fake.from.file = path;
    fake.signals_at_start[0] = SIGHUP;
    fake.signals_at_start[1] = 0;
    fake.stop_after_reload = true;
    assert_int_equal(run(c, printed, sizeof(printed)), 0);
    assert_string_equal(fake.story, story);
    assert_int_equal(fake.done, done);
    assert_int_equal(fake.refused, refused);
    assert_int_equal(fake.reconfigured, done); /* the kernel follower is told only of configurations in force */
    assert_true(fake.follows);
    config_free(fake.taken);
    config_free(c);
    close(after);
}

static void test_hangup_reloads(void **state)
{
    reload_of(GATE ", zmtp2: false}]\ndrain: 0s\nlog: {level: error}\n", 1, 0, "new start reload token drain free");
    assert_true(fake.config != NULL);
    assert_string_equal(fake.noted, "reloaded: 1 key changed: gates.main.zmtp2 true -> false");
}

static void test_what_cannot_be_served_is_refused(void **state)
{
    reload_of(GATE ", zmtp2: perhaps}]\n", 0, 1, "new start drain free");
    assert_int_equal(fake.notes, 1);
    assert_non_null(strstr(fake.noted, ":1:54: zmtp2 is not true or false: \"perhaps\""));
}

static void test_what_needs_a_restart_is_refused_whole(void **state)
{
    reload_of(GATE ", zmtp2: false}]\ndrain: 0s\nmemory: 64MiB\nlog: {level: error}\n", 0, 1, "new start drain free");
    assert_string_equal(fake.noted, "refused: what it changes needs a restart");
}

static void test_a_token_that_cannot_be_read_is_refused(void **state)
{
    fake.token_fails = true;
    reload_of(GATE ", zmtp2: false}]\ndrain: 0s\nlog: {level: error}\n", 0, 1, "new start drain free");
}

static void test_what_the_relay_refuses_is_refused(void **state)
{
    fake.reload_fails = -EBUSY;
    reload_of(GATE ", zmtp2: false}]\ndrain: 0s\nlog: {level: error}\n", 0, 1, "new start reload drain free");
}

static void test_failures_at_the_start(void **state)
{
    struct config c = some_config();
    char printed[512];
    c.admin.enabled = true;
    fake.signals_at_start[0] = 0;

    fake.relay_fails = true;
    assert_int_equal(run(&c, printed, sizeof(printed)), 1);
    assert_string_equal(fake.story, "new free(NULL)");
    assert_string_equal(printed, "");

    fake.relay_fails = false;
    fake.admin_fails = true;
    fake.story[0] = '\0';
    assert_int_equal(run(&c, printed, sizeof(printed)), 1);
    assert_string_equal(fake.story, "new admin free");

    fake.admin_fails = false;
    fake.ban_store_fails = true;
    fake.story[0] = '\0';
    assert_int_equal(run(&c, printed, sizeof(printed)), 1);
    assert_string_equal(fake.story, "new free");
    assert_false(fake.follows);

    fake.ban_store_fails = false;
    fake.routes_fail = true;
    fake.story[0] = '\0';
    assert_int_equal(run(&c, printed, sizeof(printed)), 1);
    assert_string_equal(fake.story, "new free");
    fake.routes_fail = false;
    fake.start_fails = true;
    fake.story[0] = '\0';
    assert_int_equal(run(&c, printed, sizeof(printed)), 1);
    assert_string_equal(fake.story, "new admin start admin_stop free");
    assert_string_equal(printed, "");
}

/* A bound datagram socket at `name`, which goes into $NOTIFY_SOCKET. */
static int manager(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(un.sun_path, name, len);
    if (name[0] == '@')
        un.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_return_code(bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                       errno);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect_datagram(int fd, const char *text)
{
    char got[64];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void test_service_manager_hears_ready_and_stopping(void **state)
{
    struct config c = some_config();
    char printed[512], folder[] = "/tmp/weir-notify-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    int fd = manager(path);
    assert_int_equal(run(&c, printed, sizeof(printed)), 0);
    expect_datagram(fd, "READY=1");
    expect_datagram(fd, "STOPPING=1");
    close(fd);
    unlink(path);
    rmdir(folder);
}

/* RELOADING=1 comes with its start time, and READY=1 whatever the result was. */
static void test_service_manager_hears_of_a_reload(void **state)
{
    char name[64], got[64];
    snprintf(name, sizeof(name), "@weir-reload-test-%d", getpid());
    int fd = manager(name);
    reload_of(GATE ", zmtp2: perhaps}]\n", 0, 1, "new start drain free");
    expect_datagram(fd, "READY=1");
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    unsigned long long at_us = 0;
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &at_us), 1);
    assert_true(at_us > 0 && at_us <= clock_now_ns() / NS_PER_US);
    expect_datagram(fd, "READY=1");
    expect_datagram(fd, "STOPPING=1");
    close(fd);
}

static void test_service_manager_in_the_abstract_namespace(void **state)
{
    char name[64];
    snprintf(name, sizeof(name), "@weir-notify-test-%d", getpid());
    int fd = manager(name);
    notify("READY=1");
    expect_datagram(fd, "READY=1");
    close(fd);
}

static void test_no_service_manager_is_no_error(void **state)
{
    char *too_long = calloc(1, 400);
    assert_non_null(too_long);
    memset(too_long, 'x', 399);
    too_long[0] = '/';
    const char *const names[] = {"", "relative", "/nonexistent/socket", too_long};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify("READY=1");
    }
    free(too_long);
    unsetenv("NOTIFY_SOCKET");
    notify("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ready_lines_and_clean_drain, setup),
        cmocka_unit_test_setup(test_admin_comes_first_and_goes_before_the_relay, setup),
        cmocka_unit_test_setup(test_second_signal_ends_the_drain, setup),
        cmocka_unit_test_setup(test_drain_ends_after_its_time, setup),
        cmocka_unit_test_setup(test_no_drain, setup),
        cmocka_unit_test_setup(test_hangup_is_no_end, setup),
        cmocka_unit_test_setup(test_hangup_reloads, setup),
        cmocka_unit_test_setup(test_what_cannot_be_served_is_refused, setup),
        cmocka_unit_test_setup(test_what_needs_a_restart_is_refused_whole, setup),
        cmocka_unit_test_setup(test_a_token_that_cannot_be_read_is_refused, setup),
        cmocka_unit_test_setup(test_what_the_relay_refuses_is_refused, setup),
        cmocka_unit_test_setup(test_failures_at_the_start, setup),
        cmocka_unit_test_setup(test_service_manager_hears_ready_and_stopping, setup),
        cmocka_unit_test_setup(test_service_manager_hears_of_a_reload, setup),
        cmocka_unit_test_setup(test_service_manager_in_the_abstract_namespace, setup),
        cmocka_unit_test_setup(test_no_service_manager_is_no_error, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
