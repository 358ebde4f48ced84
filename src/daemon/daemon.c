/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/daemon.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/ban_store.h"
#include "daemon/event_writer.h"
#include "daemon/kernel_bans.h"
#include "events/log_writer.h"
#include "daemon/notify.h"
#include "daemon/programs.h"
#include "daemon/reload_request.h"
#include "daemon/source_routes.h"
#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DRAIN_POLL_NS (20 * NS_PER_MS)

static void announce(FILE *out, const struct relay *r, const struct admin *a)
{
    if (a)
        fprintf(out, "weir: admin: http://%s\n", admin_address(a));
    for (size_t i = 0; i < relay_gate_count(r); i++) {
        struct gate_snapshot g;
        relay_gate_snapshot(r, i, &g);
        fprintf(out, "weir: ready: %s -> %s\n", g.listen, g.forward);
    }
    fflush(out);
}

/* The running parts. */
struct house {
    const struct config *config; /* from the start */
    const struct reload_source *from;
    const sigset_t *signals;
    struct relay *relay;
    struct reload_request *orders;
    struct ban_store *store;
    struct event_writer *events;    /* NULL: there is no event log */
    struct kernel_follower *kernel; /* NULL: no gate bans in the kernel */
    struct admin *admin;            /* NULL: there is no admin address */
    struct programs *programs;      /* NULL: not under weir run */
};

/* Reloads for SIGHUP, and for threads that have raised it and wait for the result. */
static void reload_for_all(struct house *h)
{
    char *text = NULL;
    size_t len;
    uint64_t number = reload_request_begin(h->orders);
    FILE *said = open_memstream(&text, &len);
    event_writer_reopen(h->events);
    ban_store_try(h->store);
    bool done = reload(h->relay, h->admin, h->from, said);
    if (said && fclose(said) != 0) {
        free(text);
        text = NULL;
    }
    if (done)
        kernel_bans_reconfigure(h->kernel, relay_config(h->relay));
    reload_request_end(h->orders, number, done, text);
}

/* Waits until a signal asks for the end, and returns it; reloads meanwhile. */
static int wait_for_stop(struct house *h)
{
    for (;;) {
        int sig = sigwaitinfo(h->signals, NULL);
        if (sig == SIGTERM || sig == SIGINT)
            return sig;
        if (sig == SIGHUP)
            reload_for_all(h);
    }
}

/* Serves the programs of weir run until the last has ended; reloads meanwhile. */
static void serve_programs(struct house *h)
{
    while (programs_serve(h->programs, h->relay) == PROGRAMS_RELOAD)
        reload_for_all(h);
}

/* Signals that were meant for the programs must not cut off what they have left to be delivered. */
static void forget_signals(const sigset_t *signals)
{
    const struct timespec none = {0};
    while (sigtimedwait(signals, NULL, &none) > 0)
        ;
}

/* Whether a second signal arrived within `wait_ns`. */
static bool asked_again(const sigset_t *signals, uint64_t wait_ns)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
    int sig = sigtimedwait(signals, NULL, &wait);
    return sig == SIGTERM || sig == SIGINT;
}

static void daemon_drain(struct relay *r, const sigset_t *signals)
{
    uint64_t now = clock_now_ns(), end = now + relay_config(r)->drain_ns;
    relay_drain(r);
    while (relay_open_connections(r) && now < end) {
        uint64_t left = end - now;
        if (asked_again(signals, left < DRAIN_POLL_NS ? left : DRAIN_POLL_NS)) {
            LOG_WARN("a second signal: %llu connections are cut off", (unsigned long long)relay_open_connections(r));
            return;
        }
        now = clock_now_ns();
    }
    if (relay_open_connections(r))
        LOG_WARN("the drain took too long: %llu connections are cut off",
                 (unsigned long long)relay_open_connections(r));
}

static void tell_start(struct relay *r)
{
    char text[64];
    size_t gates = relay_gate_count(r);
    snprintf(text, sizeof(text), "%zu gate%s", gates, gates == 1 ? "" : "s");
    event_log_note(relay_events(r), EVENT_START, text);
}

static const char *serve_until_end(struct house *h)
{
    if (h->programs) {
        serve_programs(h);
        forget_signals(h->signals);
        return "the programs have ended";
    }
    return wait_for_stop(h) == SIGINT ? "SIGINT" : "SIGTERM";
}

/* Whoever waits for the relay is told that it has started. */
static bool tell_ready(struct house *h)
{
    int error = h->programs ? programs_follow(h->programs) : 0;
    if (error)
        fprintf(stderr, "weir: run: cannot follow the command: %s\n", strerror(-error));
    announce(h->programs ? stderr : stdout, h->relay, h->admin);
    notify("READY=1");
    return error == 0;
}

static int serve(struct house *h)
{
    const struct admin_callbacks calls = {.context = h->orders, .reload = reload_request_make};
    if (h->config->admin.enabled) {
        h->admin = admin_start(h->config, h->relay, &calls, stderr);
        if (!h->admin)
            return 1;
    }
    int error = relay_start(h->relay);
    if (error) {
        fprintf(stderr, "weir: the workers cannot be started: %s\n", strerror(-error));
        reload_request_close(h->orders);
        admin_stop(h->admin);
        return 1;
    }
    tell_start(h->relay);
    bool ready = tell_ready(h);
    const char *why = ready ? serve_until_end(h) : "it cannot start";
    reload_request_close(h->orders);
    LOG_INFO("%s: draining", why);
    event_log_note(relay_events(h->relay), EVENT_STOP, why);
    notify("STOPPING=1");
    daemon_drain(h->relay, h->signals);
    admin_stop(h->admin);
    return ready ? 0 : 1;
}

/* ---- claims, for the ban store ---- */

static uint64_t claims_served(void *relay)
{
    return relay_claims_served(relay);
}

static uint8_t *claims_write(void *relay, size_t *ret_len)
{
    return relay_claims_write(relay, ret_len);
}

static const char *claims_read(void *relay, const uint8_t *bytes, size_t len)
{
    return relay_claims_read(relay, bytes, len);
}

static void each_second(void *relay)
{
    relay_tell_held_lines(relay);
    relay_look_at_traffic(relay);
}

/* Serves with the log writer, the ban store, the kernel follower, and, if there is an event log, its writer. */
static int serve_kept(struct house *h)
{
    struct event_log *log = relay_events(h->relay);
    struct bans *bans = relay_bans(h->relay);
    const struct ban_store_claims claims = {h->relay, claims_served, claims_write, claims_read, each_second};
    struct source_routes routes;
    if (source_routes_start(&routes, h->config, stderr) < 0)
        return 1;
    h->kernel = kernel_bans_new(h->config, h->relay); /* forks, so it comes before the threads */
    source_routes_settle(&routes);
    struct log_writer *lines = log_writer_start(NULL, NULL);
    struct ban_store *k = lines ? ban_store_start(h->config->state_file, bans, &claims) : NULL;
    h->store = k;
    kernel_bans_follow(k ? h->kernel : NULL);
    int code = 1;
    h->events = k && log ? event_writer_start(h->config->events.file, log, bans) : NULL;
    if (k && (h->events || !log))
        code = serve(h);
    else
        fprintf(stderr, "weir: cannot start: not enough memory or threads\n");
    event_writer_stop(h->events);
    kernel_bans_free(h->kernel);
    source_routes_stop(&routes);
    ban_store_stop(k);
    log_writer_stop(lines);
    return code;
}

int daemon_run(const struct config *c, const struct reload_source *from, struct programs *programs)
{
    sigset_t signals;
    int code = 1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    /* Before any thread exists, so that all threads inherit it and only this one takes the signals. They stay blocked:
     * a late signal must not turn a clean end into a kill. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_set_level(c->log_level);

    struct reload_request orders;
    reload_request_init(&orders);
    struct house h = {.config = c, .from = from, .signals = &signals, .orders = &orders, .programs = programs};
    h.relay = relay_new(c, stderr);
    if (h.relay)
        code = serve_kept(&h);
    relay_free(h.relay);
    reload_request_fini(&orders);
    return code;
}
