/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A weir_gate is a relay (relay/relay.h) with one gate. Its configuration is read when the gate is made, so that
 * mistakes are told at once, and becomes that of one gate when it begins to listen, for the address that it then has.
 *
 * Threads: `running` is shared by all gates of the process, under its lock. All else belongs to the caller.
 */
#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "embed/gate_told.h"
#include "embed/inside.h"
#include "events/log_writer.h"
#include "lib/common.h"
#include "relay/relay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/gate.h>

#define DRAIN_POLL_NS (5 * NS_PER_MS)

struct weir_gate {
    struct weir_gate_options options; /* `config`, `file` and `socket` are copies */
    struct socket_options told;       /* by weir_bind(): all that libzmq says; else nothing */
    struct inside inside;
    struct config *config; /* NULL: to be read again, since the last one was for an address that could not be had */
    struct relay *relay;   /* NULL: it does not listen */
    struct weir_counter *counter;
    char endpoint[ENDPOINT_TEXT_MAX];
    bool logs; /* it counts in running.gates */
};

/* What the gates of a process share: one writer of the log. */
static struct {
    pthread_mutex_t lock;
    unsigned gates;
    struct log_writer *log;
    log_writer_line *line;
    void *arg;
} running = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- errors as text ---- */

struct said {
    FILE *out;
    char *text;
    size_t len;
};

static FILE *said_open(struct said *s)
{
    *s = (struct said){0};
    s->out = open_memstream(&s->text, &s->len);
    return s->out;
}

/* Gives what was said to the caller: to options.why, or to standard error. */
static void said_close(struct said *s, const struct weir_gate_options *o)
{
    if (s->out && fclose(s->out) == 0) {
        if (o->why && o->why_size)
            snprintf(o->why, o->why_size, "%s", s->text);
        else
            fputs(s->text, stderr);
    }
    free(s->text);
}

/* ---- options ---- */

void weir_gate_options_init(struct weir_gate_options *o)
{
    *o = (struct weir_gate_options){.size = sizeof(*o), .drain_ns = 5 * NS_PER_S, .workers = 1};
}

/* NULL stays. Otherwise *text is a copy, or NULL without memory. */
static bool copy_text(const char **text)
{
    bool given = *text != NULL;
    *text = given ? strdup(*text) : NULL;
    return *text || !given;
}

/* All three in any case, since they are freed with the gate. */
static bool copy_texts(struct weir_gate_options *o)
{
    bool config = copy_text(&o->config), file = copy_text(&o->file), socket = copy_text(&o->socket);
    return config && file && socket;
}

/* ---- the configuration ---- */

static enum socket_type socket_of(const struct weir_gate_options *o)
{
    return o->socket ? socket_type_parse((struct bytes){(const uint8_t *)o->socket, strlen(o->socket)}) : SOCKET_AUTO;
}

static bool check_socket_name(const struct weir_gate_options *o, FILE *errors)
{
    if (!o->socket || socket_of(o) != SOCKET_AUTO)
        return true;
    fprintf(errors, "weir: socket: \"%s\" is no type of a socket: router, pull, rep, ...\n", o->socket);
    return false;
}

static bool set_socket(struct config_gate *g, enum socket_type t, FILE *errors)
{
    if (t == SOCKET_AUTO)
        return true;
    if (g->socket != SOCKET_AUTO && g->socket != t) {
        fprintf(errors, "weir: socket: the configuration says %s, the application's socket is a %s\n",
                socket_type_name(g->socket), socket_type_name(t));
        return false;
    }
    g->socket = t;
    return true;
}

/* A gate in a program has no daemon around it. */
static void warn_of_daemon_keys(const struct config *c, FILE *errors)
{
    if (c->admin.enabled || c->state_file[0] || c->events.file[0])
        fprintf(errors, "weir: warning: admin, state.file and events have no effect in a program\n");
}

/* NULL after a line to `errors`. */
static struct config *gate_read_config(const struct weir_gate_options *o, FILE *errors)
{
    return o->config ? config_read_patterns(o->config, "config", errors) : config_load_patterns(o->file, errors);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Makes the configuration that of one gate at this address. */
static bool gate_settle_config(struct weir_gate *g, const char *listen, FILE *errors)
{
    const struct weir_gate_options *o = &g->options;
    struct config *c = g->config;
    struct config_gate *gate = c->gates;
    if (config_make_gate(c, listen, g->inside.endpoint, errors) < 0 || !set_socket(gate, socket_of(o), errors))
        return false;
    if (o->message_max) {
        gate->limits.message.size_bytes = least(o->message_max, gate->limits.message.size_bytes);
        gate->limits.message.frame_bytes = least(o->message_max, gate->limits.message.frame_bytes);
    }
    if (o->counter)
        snprintf(gate->counter, sizeof(gate->counter), "%s", g->inside.counter);
    c->admin.enabled = false;
    c->state_file[0] = c->events.file[0] = '\0';
    c->workers = o->workers ? o->workers : 1;
    return true;
}

/* ---- threads ---- */

/* Threads that start until signals_back() take no signal of the program. */
static void signals_away(sigset_t *ret_before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static void signals_back(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* False: no thread can be had. */
static bool log_begin(struct weir_gate *g)
{
    pthread_mutex_lock(&running.lock);
    if (!running.log)
        running.log = log_writer_start(running.line, running.arg);
    g->logs = running.log != NULL;
    running.gates += g->logs;
    pthread_mutex_unlock(&running.lock);
    return g->logs;
}

static void log_end(struct weir_gate *g)
{
    pthread_mutex_lock(&running.lock);
    running.gates -= g->logs;
    if (!running.gates) {
        log_writer_stop(running.log);
        running.log = NULL;
    }
    g->logs = false;
    pthread_mutex_unlock(&running.lock);
}

int weir_gate_log(void (*line)(void *arg, const char *text), void *arg)
{
    pthread_mutex_lock(&running.lock);
    int error = running.gates ? -EBUSY : 0;
    if (!error) {
        running.line = line;
        running.arg = arg;
    }
    pthread_mutex_unlock(&running.lock);
    return error;
}

/* ---- life ---- */

static int gate_check_options(struct weir_gate *g, const struct weir_gate_options *given)
{
    struct weir_gate_options o;
    weir_gate_options_init(&o);
    if (!common_options(&o, given, sizeof(o), sizeof(o)))
        return -EINVAL;
    g->options = o;
    if (!copy_texts(&g->options))
        return -ENOMEM;
    return o.config && o.file ? -EINVAL : 0;
}

static int gate_take_config(struct weir_gate *g)
{
    struct said said;
    FILE *errors = said_open(&said);
    if (!errors)
        return -ENOMEM;
    if (check_socket_name(&g->options, errors))
        g->config = gate_read_config(&g->options, errors);
    if (g->config)
        warn_of_daemon_keys(g->config, errors);
    said_close(&said, &g->options);
    return g->config ? 0 : -EINVAL;
}

struct weir_gate *weir_gate_new(const struct weir_gate_options *o)
{
    struct weir_gate *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    int error = gate_check_options(g, o);
    if (!error)
        error = gate_take_config(g);
    if (!error)
        error = inside_make(&g->inside);
    if (!error)
        return g;
    weir_gate_free(g);
    errno = -error;
    return NULL;
}

const char *weir_gate_inside(const struct weir_gate *g)
{
    return g->inside.endpoint;
}

const char *weir_gate_endpoint(const struct weir_gate *g)
{
    return g->endpoint;
}

/* What the program says of its socket counts beside what libzmq says. */
static struct socket_options gate_what_is_told(const struct weir_gate *g)
{
    struct socket_options told = g->told;
    int64_t frame = 0;
    (void)socket_options_get(&told, SOCKET_OPTION_MAXMSGSIZE, &frame);
    if (g->options.frame_max && (frame <= 0 || g->options.frame_max < (uint64_t)frame))
        socket_options_set(&told, SOCKET_OPTION_MAXMSGSIZE, (int64_t)least(g->options.frame_max, INT64_MAX));
    if (g->options.handshake_ms)
        socket_options_set(&told, SOCKET_OPTION_HANDSHAKE_IVL, g->options.handshake_ms);
    if (g->options.handover)
        socket_options_set(&told, SOCKET_OPTION_ROUTER_HANDOVER, 1);
    return told;
}

void gate_told(struct weir_gate *g, const struct socket_options *told)
{
    g->told = *told;
}

static int gate_start(struct weir_gate *g, FILE *errors)
{
    const struct socket_options told = gate_what_is_told(g);
    sigset_t before;
    signals_away(&before);
    errno = 0;
    g->relay = log_begin(g) ? relay_new(g->config, errors) : NULL;
    if (g->relay)
        relay_tell_gate(g->relay, 0, &told);
    int error = g->relay ? relay_start(g->relay) : errno ? -errno : -ENOMEM;
    signals_back(&before);
    return error;
}

static void gate_stop(struct weir_gate *g)
{
    if (g->relay && g->endpoint[0])
        LOG_INFO("gate %s: closed: %s", relay_gate_name(g->relay, 0), g->endpoint);
    relay_free(g->relay);
    weir_counter_close(g->counter);
    config_free(g->config);
    log_end(g);
    g->counter = NULL;
    g->relay = NULL;
    g->config = NULL;
}

int weir_gate_listen(struct weir_gate *g, const char *endpoint)
{
    struct said said;
    FILE *errors = g->relay ? NULL : said_open(&said);
    if (!errors)
        return g->relay ? -EISCONN : -ENOMEM;
    if (!g->config)
        g->config = gate_read_config(&g->options, errors);
    int error = g->config && gate_settle_config(g, endpoint, errors) ? gate_start(g, errors) : -EINVAL;
    said_close(&said, &g->options);
    if (error) {
        gate_stop(g);
        return error;
    }
    struct gate_snapshot now;
    relay_gate_snapshot(g->relay, 0, &now);
    snprintf(g->endpoint, sizeof(g->endpoint), "%s", now.listen);
    LOG_INFO("gate %s: opened: %s -> %s", now.name, now.listen, now.forward);
    return 0;
}

void weir_gate_close(struct weir_gate *g)
{
    if (!g->relay)
        return;
    uint64_t end_ns = clock_now_ns() + g->options.drain_ns;
    relay_drain(g->relay);
    while (relay_open_connections(g->relay) && clock_now_ns() < end_ns)
        nanosleep(&(struct timespec){.tv_nsec = DRAIN_POLL_NS}, NULL);
}

void weir_gate_free(struct weir_gate *g)
{
    if (!g)
        return;
    gate_stop(g);
    inside_remove(&g->inside);
    free((void *)g->options.config);
    free((void *)g->options.file);
    free((void *)g->options.socket);
    free(g);
}

struct weir_counter *weir_gate_counter(struct weir_gate *g)
{
    if (!g->counter && g->relay && g->options.counter)
        g->counter = weir_counter_open(g->inside.counter);
    else if (!g->counter)
        errno = ENOENT;
    return g->counter;
}

int weir_gate_read(const struct weir_gate *g, struct weir_gate_stats *ret)
{
    struct gate_snapshot now = {0};
    const uint64_t *cells = now.cells;
    if (g->relay)
        relay_gate_snapshot(g->relay, 0, &now);
    struct weir_gate_stats s = {
        .size = sizeof(s),
        .connections = cells[CELL_OPEN],
        .connections_total = cells[CELL_ACCEPTED],
        .messages_in = cells[CELL_MESSAGES_IN],
        .messages_out = cells[CELL_MESSAGES_OUT],
        .bytes_in = cells[CELL_RECEIVED_IN],
        .bytes_out = cells[CELL_SENT_OUT],
        .held_bytes = cells[CELL_HELD],
        .queued = cells[CELL_IN_LINE],
        .untaken = cells[CELL_UNTAKEN],
        .paused = cells[CELL_PAUSES],
    };
    for (unsigned v = VERDICT_PASS + 1; v < VERDICT_COUNT; v++)
        s.refused += now.verdicts[v];
    return common_stats(ret, &s, sizeof(s));
}
