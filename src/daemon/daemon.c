/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/daemon.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/keeper.h"
#include "daemon/kernel.h"
#include "daemon/notify.h"
#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DRAIN_POLL_NS (20 * NS_PER_MS)

static void announce(const struct relay *r, const struct admin *a)
{
    if (a)
        printf("weir: admin: http://%s\n", admin_address(a));
    for (size_t i = 0; i < relay_gate_count(r); i++) {
        struct gate_snapshot g;
        relay_gate_snapshot(r, i, &g);
        printf("weir: ready: %s -> %s\n", g.listen, g.forward);
    }
    fflush(stdout);
}

/* Waits until a signal asks for the end, and reloads meanwhile; returns it. */
static int wait_for_stop(struct relay *r, struct kernel *kernel, const struct reload_source *from,
                         const sigset_t *signals)
{
    for (;;) {
        int sig = sigwaitinfo(signals, NULL);
        if (sig == SIGTERM || sig == SIGINT)
            return sig;
        if (sig == SIGHUP && reload(r, from))
            kernel_reconfigure(kernel, relay_config(r));
    }
}

/* Whether a second signal came within `wait_ns`. */
static bool asked_again(const sigset_t *signals, uint64_t wait_ns)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
    int sig = sigtimedwait(signals, NULL, &wait);
    return sig == SIGTERM || sig == SIGINT;
}

static void drain(struct relay *r, const sigset_t *signals)
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

static int serve(const struct config *c, const struct reload_source *from, struct relay *r, struct kernel *kernel,
                 const sigset_t *signals)
{
    struct admin *a = NULL;
    if (c->admin.enabled) {
        a = admin_start(c, r, stderr);
        if (!a)
            return 1;
    }
    int error = relay_start(r);
    if (error) {
        fprintf(stderr, "weir: the workers cannot be started: %s\n", strerror(-error));
        admin_stop(a);
        return 1;
    }
    announce(r, a);
    notify("READY=1");

    int sig = wait_for_stop(r, kernel, from, signals);
    LOG_INFO("%s: draining", sig == SIGINT ? "SIGINT" : "SIGTERM");
    notify("STOPPING=1");
    drain(r, signals);
    admin_stop(a);
    return 0;
}

int daemon_run(const struct config *c, const struct reload_source *from)
{
    sigset_t signals;
    int code = 1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    /* Before any thread exists, so that all inherit it and only this one takes the signals. They stay blocked: a late
     * signal must not turn a clean end into a kill. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_set_level(c->log_level);

    struct relay *r = relay_new(c, stderr);
    struct kernel *kernel = r ? kernel_new(c, r) : NULL; /* forks, so it comes before the threads */
    struct keeper *k = r ? keeper_start(c->state_file, relay_bans(r)) : NULL;
    kernel_follow(k ? kernel : NULL);
    if (k)
        code = serve(c, from, r, kernel, &signals);
    else if (r)
        fprintf(stderr, "weir: cannot start: not enough memory or threads\n");
    kernel_free(kernel);
    keeper_stop(k);
    relay_free(r);
    return code;
}
