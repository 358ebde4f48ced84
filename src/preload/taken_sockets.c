/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/taken_sockets.h"

#include "preload/preload_say.h"
#include "preload/taken_tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NO_RULE UINT32_MAX

struct bound {
    struct bound *next;
    char asked[TAKEN_ENDPOINT_BYTES], got[TAKEN_ENDPOINT_BYTES]; /* as given to zmq_bind(), and ZMQ_LAST_ENDPOINT */
    uint32_t gate;                                               /* of `weir run`; 0: none */
};

struct bound_socket {
    struct bound_socket *next;
    void *socket;
    const struct zmq_library *zmq;
    struct bound *bound;
    uint32_t rule; /* the tally's; from rules.count on that of a gate */
    bool receives, by_fd, lent;
    bool mixed;                       /* its messages may come through two endpoints */
    char place[TAKEN_ENDPOINT_BYTES]; /* the first that it has bound */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct taken_rules rules;
static bool is_off[TAKEN_RULES_MOST];
static struct bound_socket *sockets;
static int (*open_gate_line)(uint32_t gate); /* NULL: not under `weir run` */

/* ---- one socket ---- */

static bool receives(const struct zmq_library *zmq, void *socket)
{
    int type = -1;
    size_t bytes = sizeof(type);
    if (!zmq->getsockopt || !zmq->msg_recv || zmq->getsockopt(socket, API_TYPE, &type, &bytes) < 0)
        return false;
    return type >= 0 && type <= API_XSUB && type != API_PUB && type != API_PUSH && type != API_XPUB;
}

static struct bound_socket *find_socket(const void *socket)
{
    struct bound_socket *s = sockets;
    while (s && s->socket != socket)
        s = s->next;
    return s;
}

/* NULL: no memory. */
static struct bound_socket *note_socket(const struct zmq_library *zmq, void *socket)
{
    struct bound_socket *s = find_socket(socket);
    if (s || !(s = calloc(1, sizeof(*s))))
        return s;
    *s = (struct bound_socket){
        .next = sockets, .socket = socket, .zmq = zmq, .rule = NO_RULE, .receives = receives(zmq, socket)};
    sockets = s;
    return s;
}

static void forget_endpoints(struct bound_socket *s, const char *endpoint)
{
    for (struct bound **at = &s->bound; *at;) {
        struct bound *b = *at;
        if (endpoint && strcmp(b->asked, endpoint) != 0 && strcmp(b->got, endpoint) != 0) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        free(b);
    }
}

static void note_endpoint(struct bound_socket *s, const char *endpoint, uint32_t gate)
{
    struct bound *b = calloc(1, sizeof(*b));
    if (!b)
        return;
    size_t bytes = sizeof(b->got);
    (void)strncpy(b->asked, endpoint, sizeof(b->asked) - 1);
    if (s->zmq->getsockopt(s->socket, API_LAST_ENDPOINT, b->got, &bytes) < 0)
        memcpy(b->got, b->asked, sizeof(b->got));
    b->gate = gate;
    b->next = s->bound;
    s->bound = b;
    if (!s->place[0])
        memcpy(s->place, b->got, sizeof(s->place));
    s->mixed |= b->next || strcmp(s->place, b->got) != 0;
}

/* ---- which rule ---- */

/* The first endpoint of the socket that the rule names, or NULL. */
static const char *named_by(const struct taken_rule *rule, const struct bound_socket *s)
{
    for (const struct bound *b = s->bound; b; b = b->next)
        if (taken_endpoint_matches(rule->endpoint, b->asked) || taken_endpoint_matches(rule->endpoint, b->got))
            return b->got;
    return NULL;
}

/* An endpoint that may be behind a gate, or NULL. */
static const char *reached_by(const struct bound_socket *s)
{
    for (const struct bound *b = s->bound; b; b = b->next)
        if (taken_endpoint_counts(b->asked))
            return b->got;
    return NULL;
}

/* The endpoint by which the rule is for this socket, or NULL. */
static const char *matched_by(uint32_t rule, const struct bound_socket *s)
{
    if (!s->receives || is_off[rule])
        return NULL;
    if (rules.at[rule].endpoint[0])
        return named_by(&rules.at[rule], s);
    for (uint32_t i = 0; i < rules.count; i++)
        if (rules.at[i].endpoint[0] && named_by(&rules.at[i], s))
            return NULL;
    return reached_by(s);
}

static const struct bound_socket *holder_of(uint32_t rule)
{
    const struct bound_socket *s = sockets;
    while (s && s->rule != rule)
        s = s->next;
    return s;
}

static void let_rule_go(struct bound_socket *s)
{
    if (s->rule != NO_RULE && !s->lent)
        taken_tally_end(s->rule);
    s->rule = NO_RULE;
    s->lent = false;
}

static bool is_of_gate(uint32_t rule)
{
    return rule != NO_RULE && rule >= rules.count;
}

/* Nothing is said when it fails: the gate works as without a counter. */
static void count_for_gate(struct bound_socket *s, uint32_t tally)
{
    int line = s->bound ? open_gate_line(s->bound->gate) : -1;
    struct weir_taken *counter = line < 0 ? NULL : weir_taken_open_on(line);
    if (!counter)
        return;
    taken_tally_count(tally, counter, s->zmq, s->socket);
    taken_tallies[tally].by_fd = s->by_fd;
    s->rule = tally;
}

static void match_gate(struct bound_socket *s)
{
    uint32_t tally = (uint32_t)rules.count;
    if (!open_gate_line || s->rule != NO_RULE || s->mixed || !s->bound || !s->bound->gate)
        return;
    while (tally < TAKEN_RULES_MOST && holder_of(tally))
        tally++;
    if (tally < TAKEN_RULES_MOST)
        count_for_gate(s, tally);
}

static void begin_to_count(struct bound_socket *s, uint32_t rule)
{
    if (is_of_gate(rule)) {
        count_for_gate(s, rule);
        return;
    }
    const char *path = rules.at[rule].path;
    int error = taken_tally_begin(rule, path, s->zmq, s->socket);
    if (error) {
        preload_say("%s: not counted at %s: %s", s->bound->got, path,
                    error == -EBUSY ? "another program counts there" : strerror(-error));
        return;
    }
    taken_tallies[rule].by_fd = s->by_fd;
    s->rule = rule;
}

static void switch_off(uint32_t rule)
{
    taken_tally_abandon(rule);
    is_off[rule] = true;
    for (struct bound_socket *s = sockets; s; s = s->next) {
        if (s->rule != rule)
            continue;
        s->rule = NO_RULE;
        s->lent = false;
    }
}

static void match_rule(struct bound_socket *s, uint32_t rule)
{
    const char *endpoint = matched_by(rule, s);
    const struct bound_socket *holder = endpoint ? holder_of(rule) : NULL;
    if (!endpoint || holder == s)
        return;
    if (holder) {
        preload_say("%s and %s are bound, and both match the counter %s: not counted; --counter ENDPOINT=PATH says "
                    "which is meant",
                    matched_by(rule, holder), endpoint, rules.at[rule].path);
        switch_off(rule);
    } else if (s->rule != NO_RULE) {
        preload_say("%s: two counters match this socket, %s and %s: not counted, since a socket cannot tell whose "
                    "messages it takes",
                    endpoint, rules.at[s->rule].path, rules.at[rule].path);
        switch_off(s->rule);
        is_off[rule] = true;
    } else {
        begin_to_count(s, rule);
    }
}

/* ---- fork ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* The child has the sockets' memory, but libzmq lets it use none of them. */
static void in_child(void)
{
    for (uint32_t i = 0; i < TAKEN_RULES_MOST; i++) {
        taken_tally_forget(i);
        is_off[i] = false;
    }
    sockets = NULL;
    pthread_mutex_unlock(&lock);
}

/* ---- what the application does ---- */

static void follow_forks(void)
{
    static bool done;
    if (!done)
        (void)pthread_atfork(before_fork, after_fork, in_child);
    done = true;
}

__attribute__((constructor)) static void read_environment(void)
{
    taken_rules_read(&rules, getenv(TAKEN_ENV));
    if (rules.count)
        follow_forks();
}

void taken_sockets_count_for_gates(int (*open_line)(uint32_t gate))
{
    open_gate_line = open_line;
    follow_forks();
}

static void begin_by_endpoint(struct bound_socket *s, const char *endpoint, uint32_t gate)
{
    note_endpoint(s, endpoint, gate);
    if (s->mixed && is_of_gate(s->rule))
        let_rule_go(s);
    for (uint32_t i = 0; i < rules.count && s->bound; i++)
        match_rule(s, i);
    match_gate(s);
}

void taken_sockets_bound(const struct zmq_library *zmq, void *socket, const char *endpoint, uint32_t gate)
{
    if (!open_gate_line && (!rules.count || !taken_endpoint_counts(endpoint)))
        return;
    int before = errno;
    pthread_mutex_lock(&lock);
    struct bound_socket *s = note_socket(zmq, socket);
    if (s && s->receives)
        begin_by_endpoint(s, endpoint, gate);
    pthread_mutex_unlock(&lock);
    errno = before;
}

unsigned taken_sockets_gates(const void *socket, uint32_t *ret, unsigned most)
{
    unsigned count = 0;
    pthread_mutex_lock(&lock);
    const struct bound_socket *s = find_socket(socket);
    for (const struct bound *b = s ? s->bound : NULL; b && count < most; b = b->next)
        if (b->gate)
            ret[count++] = b->gate;
    pthread_mutex_unlock(&lock);
    return count;
}

void taken_sockets_unbound(const struct zmq_library *zmq, void *socket, const char *endpoint)
{
    int before = errno;
    pthread_mutex_lock(&lock);
    struct bound_socket *s = find_socket(socket);
    if (s) {
        forget_endpoints(s, endpoint);
        bool stays = is_of_gate(s->rule) ? s->bound != NULL : s->rule != NO_RULE && matched_by(s->rule, s);
        if (s->rule != NO_RULE && !stays)
            let_rule_go(s);
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

void taken_sockets_closing(void *socket)
{
    int before = errno;
    pthread_mutex_lock(&lock);
    for (struct bound_socket **at = &sockets; *at; at = &(*at)->next) {
        struct bound_socket *s = *at;
        if (s->socket != socket)
            continue;
        let_rule_go(s);
        forget_endpoints(s, NULL);
        *at = s->next;
        free(s);
        break;
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

void taken_sockets_waits_by_fd(const struct zmq_library *zmq, void *socket)
{
    if (!rules.count && !open_gate_line)
        return;
    int before = errno;
    pthread_mutex_lock(&lock);
    struct bound_socket *s = note_socket(zmq, socket);
    if (s)
        s->by_fd = true;
    if (s && s->rule != NO_RULE)
        taken_tallies[s->rule].by_fd = true;
    pthread_mutex_unlock(&lock);
    errno = before;
}

void taken_sockets_lend(void *socket)
{
    static bool said;
    int before = errno;
    pthread_mutex_lock(&lock);
    struct bound_socket *s = find_socket(socket);
    if (s && s->rule != NO_RULE && !s->lent) {
        taken_tally_end(s->rule);
        s->lent = true;
        if (!said && !is_of_gate(s->rule))
            preload_say("%s: zmq_proxy() takes its messages unseen: not counted meanwhile", s->bound->got);
        said |= !is_of_gate(s->rule);
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

void taken_sockets_return(void *socket)
{
    int before = errno;
    pthread_mutex_lock(&lock);
    struct bound_socket *s = find_socket(socket);
    if (s && s->lent) {
        uint32_t rule = s->rule;
        s->rule = NO_RULE;
        s->lent = false;
        begin_to_count(s, rule);
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

void taken_sockets_unreached(const char *name)
{
    static atomic_bool said;
    if (rules.count && !atomic_exchange(&said, true))
        preload_say("the libzmq in %s is out of reach (linked in statically, or looked up with dlsym): the messages of "
                    "its sockets are not counted",
                    name);
}
