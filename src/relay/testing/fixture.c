/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"

#include "base/log.h"
#include "loop/net.h"
#include "relay/handshaking.h"
#include "relay/health.h"
#include "zmtp/greeting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define DESCRIPTORS 65536
#define STEP_NS     (10 * NS_PER_MS)

uint64_t __wrap_clock_now_ns(void);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

/* ---- time ---- */

static uint64_t now_ns = 1000 * NS_PER_S;

uint64_t __wrap_clock_now_ns(void)
{
    return now_ns;
}

uint64_t fixture_now_ns(void)
{
    return now_ns;
}

/* ---- short reads and writes ---- */

static struct property_rng *disturbing;

/* The watched descriptors, and those whose readiness was reported too low and must be reported again. */
static struct {
    struct epoll_event event;
    bool owed;
} watched[DESCRIPTORS];
static int owed_fds[DESCRIPTORS];
static unsigned owed_count;

static void owe(int fd)
{
    assert_true(fd < DESCRIPTORS);
    if (!watched[fd].owed)
        owed_fds[owed_count++] = fd;
    watched[fd].owed = true;
}

static void pay(int epoll_fd)
{
    for (unsigned i = 0; i < owed_count; i++) {
        int fd = owed_fds[i];
        watched[fd].owed = false;
        /* A descriptor closed meanwhile is refused, and rightly so. */
        (void)__real_epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &watched[fd].event);
    }
    owed_count = 0;
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (op != EPOLL_CTL_DEL && fd < DESCRIPTORS)
        watched[fd].event = *event;
    return __real_epoll_ctl(epfd, op, fd, event);
}

/* How much of `len` goes through this time; 0: EAGAIN. */
static size_t shorten(int fd, size_t len)
{
    if (!disturbing || len == 0)
        return len;
    uint64_t dice = property_below(disturbing, 8);
    if (dice > 5)
        return len;
    owe(fd);
    if (dice == 0) {
        errno = EAGAIN;
        return 0;
    }
    size_t part = (size_t)property_magnitude(disturbing, 18);
    return part == 0 ? 1 : part < len ? part : len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
    size_t part = shorten(fd, len);
    return part || !len ? __real_recv(fd, buf, part, flags) : -1;
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
    size_t part = shorten(fd, len);
    return part || !len ? __real_send(fd, buf, part, flags) : -1;
}

static unsigned starving, interrupted;

void fixture_starve(unsigned n)
{
    starving = interrupted = n;
}

static int hunger(void)
{
    if (interrupted)
        return interrupted--, EINTR;
    return starving ? starving--, ENOBUFS : 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    errno = hunger();
    if (errno)
        return -1;
    struct iovec iov[TRAFFIC_SPANS];
    struct msghdr shorter = *m;
    size_t total = 0, left;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        total += m->msg_iov[i].iov_len;
    left = shorten(fd, total);
    if (left == total)
        return __real_sendmsg(fd, m, flags);
    if (left == 0)
        return -1;
    shorter.msg_iov = iov;
    shorter.msg_iovlen = 0;
    for (size_t i = 0; left > 0; i++) {
        iov[i] = m->msg_iov[i];
        if (iov[i].iov_len > left)
            iov[i].iov_len = left;
        left -= iov[i].iov_len;
        shorter.msg_iovlen++;
    }
    return __real_sendmsg(fd, &shorter, flags);
}

void fixture_disturb(struct property_rng *random)
{
    disturbing = random;
}

/* ---- allocations ---- */

static bool in_round;
static uint64_t allocations, fail_at;

static bool allocation_fails(void)
{
    return in_round && ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(n, size);
}

uint64_t fixture_fail_allocation(uint64_t n)
{
    uint64_t were = allocations;
    allocations = 0;
    fail_at = n;
    return were;
}

/* ---- the fixture ---- */

void fixture_init(struct fixture *s, const char *listen)
{
    static unsigned stages;
    char from[64], to[64];
    memset(s, 0, sizeof(*s));
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(from, sizeof(from), "ipc://@weir-fixture-%d-%u-gate", (int)getpid(), stages);
    snprintf(to, sizeof(to), "ipc://@weir-fixture-%d-%u-app", (int)getpid(), stages++);
    s->config = config_from_args(listen ? listen : from, to, stderr);
    assert_non_null(s->config);
    s->limits = &s->config->gates[0].limits;
    s->limits->message.complete_within_ns = 86400 * NS_PER_S;
    s->limits->slow_reader.behind = 0;
    s->limits->ban.strikes.strikes = 0;
    s->limits->ban.warm_up_ns = 0;
    struct hash_key key;
    hash_key_random(&key);
    s->bans = bans_new(0, &key);
    assert_non_null(s->bans);
    s->app_fd = -1;
}

void fixture_start(struct fixture *s)
{
    account_init(&s->account, s->config->memory_bytes);
    pressure_init(&s->pressure, s->config->memory_bytes);
    struct policy_snapshot *p = policy_snapshot_new(s->config, s->config, NULL);
    assert_non_null(p);
    policy_publisher_init(&s->publisher, p);
    s->in_force = &p->gates[0].limits;
    assert_int_equal(gate_init(&s->gate, &s->config->gates[0], s->config, 1, &s->account, s->bans), 0);
    assert_int_equal(
        worker_init(&s->worker, 0, &s->account, &s->pressure, &s->gate, &s->publisher, s->limits->connections.max), 0);
    s->all[0] = &s->worker;
    s->worker.all = s->all;
    s->worker.all_count = 1;
    struct worker_gate *wg = fixture_gate(s);
    wg->listener.fd = net_listen(&s->gate.listen.endpoint, true, false);
    assert_true(wg->listener.fd >= 0);
    assert_int_equal(loop_watch(&s->worker.loop, &wg->listener, EPOLLIN), 0);
    fixture_app_listen(s);
    stall_watch_begin(wg);
}

void fixture_app_listen(struct fixture *s)
{
    struct endpoint e = s->gate.forward;
    if (s->app_fd < 0)
        s->app_fd = net_listen(&e, true, false);
    assert_true(s->app_fd >= 0);
}

void fixture_app_stop(struct fixture *s)
{
    if (s->app_fd >= 0)
        close(s->app_fd);
    s->app_fd = -1;
}

void fixture_fini(struct fixture *s)
{
    fixture_disturb(NULL);
    fixture_fail_allocation(0);
    worker_close_all(&s->worker);
    fixture_assert_empty(s);
    worker_fini(&s->worker);
    gate_fini(&s->gate);
    policy_publisher_fini(&s->publisher);
    assert_int_equal(account_held(&s->account), 0);
    fixture_app_stop(s);
    bans_free(s->bans);
    config_free(s->config);
}

struct worker_gate *fixture_gate(struct fixture *s)
{
    return &s->worker.gates[0];
}

struct session *fixture_session(struct fixture *s)
{
    assert_false(list_empty(&s->worker.sessions.all));
    return LIST_ENTRY(s->worker.sessions.all.next, struct session, in.worker);
}

static void check_lane(const struct lane *l, const struct limits *limits)
{
    uint64_t most = l->traffic.gathers || l->traffic.want || l->traffic.reserved
                        ? BUFPOOL_MAX_BYTES
                        : 2 * ((1u << LANE_READ_LOG2_MAX) + limits->message.hold_bytes);
    assert_true(l->start <= l->ready && l->ready <= l->scanned && l->scanned <= l->end && l->end <= l->cap);
    assert_int_equal(l->buf != NULL, l->cap != 0);
    assert_true(l->cap <= most && l->cap <= BUFPOOL_MAX_BYTES);
    /* A buffer is owned only while bytes wait. */
    assert_true(l->start < l->end || !l->buf);
}

/* Held buffers are counted for their source, to the byte. */
static void check_peers(struct fixture *s, uint64_t held)
{
    uint64_t sum = 0;
    uint32_t holders = 0;
    for (size_t i = 0; i <= s->worker.source_conns.mask; i++)
        for (struct source_conns *p = s->worker.source_conns.at[i]; p; p = p->chain) {
            sum += source_conns_held_bytes(p);
            holders += p->held != 0;
        }
    assert_int_equal(sum, held);
    assert_int_equal(s->worker.buffer_room.holders, holders);
}

/* Conditions that hold after each round. */
static void check_sessions(struct fixture *s)
{
    uint64_t held = 0, open = 0, paused = 0, blocked = 0;
    LIST_FOREACH(n, &s->worker.sessions.all)
    {
        struct session *x = LIST_ENTRY(n, struct session, in.worker);
        open++;
        if (x->state != SESSION_OPEN)
            continue;
        check_lane(&x->up, s->limits);
        check_lane(&x->down, s->limits);
        held += x->up.cap + x->down.cap;
        paused += x->up.paused + x->down.paused;
        blocked += x->up.blocked + x->down.blocked;
    }
    LIST_FOREACH(n, &fixture_gate(s)->blind)
    open++;
    assert_int_equal(fixture_cell(s, CELL_HELD), held);
    check_peers(s, held);
    assert_int_equal(fixture_cell(s, CELL_OPEN), open);
    assert_int_equal(atomic_load(&s->gate.counts.open), open);
    assert_int_equal(fixture_cell(s, CELL_PAUSED), paused);
    assert_int_equal(fixture_cell(s, CELL_BLOCKED_IN) + fixture_cell(s, CELL_BLOCKED_OUT), blocked);
    assert_true(list_empty(&s->worker.sessions.closed));
    assert_true(account_held(&s->account) <= s->account.limit_bytes);
}

void fixture_round(struct fixture *s)
{
    pay(s->worker.loop.epoll_fd);
    in_round = true;
    worker_round(&s->worker, 0);
    in_round = false;
    s->rounds++;
    check_sessions(s);
}

void fixture_rounds(struct fixture *s, unsigned n)
{
    while (n--)
        fixture_round(s);
}

void fixture_sleep(struct fixture *s, uint64_t ns)
{
    for (uint64_t left = ns; left > 0;) {
        uint64_t step = left < STEP_NS ? left : STEP_NS;
        now_ns += step;
        left -= step;
        fixture_round(s);
    }
}

unsigned fixture_sleep_as_told(struct fixture *s, uint64_t ns)
{
    unsigned rounds = 0;
    for (uint64_t until = now_ns + ns; now_ns < until; rounds++) {
        uint64_t next = list_empty(&s->worker.run.light) && list_empty(&s->worker.run.fresh)
                            ? timers_next_ns(&s->worker.loop.timers)
                            : 0;
        if (next > now_ns)
            now_ns = next < until ? next : until;
        fixture_round(s);
        assert_true(rounds < 1000000);
    }
    return rounds;
}

uint64_t fixture_cell(const struct fixture *s, enum metric_cell c)
{
    return atomic_load(&s->gate.cells[0].metric[c]);
}

uint64_t fixture_verdict(const struct fixture *s, enum verdict v)
{
    return atomic_load(&s->gate.cells[0].verdict[v]);
}

static void check_source(struct source_table *t, const struct addr *a)
{
    struct source *x = source_acquire(t, source_key_of(a), now_ns);
    assert_int_equal(atomic_load(&x->refs), 1);
    assert_int_equal(atomic_load(&x->half_open), 0);
    assert_int_equal(atomic_load(&x->topic_bytes), 0);
    source_release(x);
}

void fixture_assert_empty(struct fixture *s)
{
    struct addr self;
    for (unsigned c = 0; c < CELL_COUNT; c++)
        if (metric_cell_info((enum metric_cell)c)->type == METRIC_GAUGE && fixture_cell(s, (enum metric_cell)c) != 0)
            fail_msg("%s stands at %lld", metric_cell_info((enum metric_cell)c)->metric,
                     (long long)fixture_cell(s, (enum metric_cell)c));
    assert_int_equal(atomic_load(&s->gate.counts.open), 0);
    assert_int_equal(atomic_load(&s->gate.counts.half_open), 0);
    assert_int_equal(atomic_load(&s->gate.counts.established), 0);
    assert_int_equal(atomic_load(&s->gate.reach.greeted), 0);
    assert_int_equal(atomic_load(&s->gate.reach.waiting), 0);
    assert_int_equal(atomic_load(&s->gate.reach.turn_ns), 0);
    assert_int_equal(atomic_load(&s->gate.lag.lagging), 0);
    assert_int_equal(stream_budget_held(&s->gate.traffic.unfinished), 0);
    assert_int_equal(atomic_load(&s->gate.traffic.unfinished.pass), 0);
    assert_int_equal(atomic_load(&s->gate.limiter.limit.in_hand), 0);
    assert_int_equal(s->gate.limiter.limit.queue.count, 0);
    assert_int_equal(topic_tree_cost(&s->gate.traffic.topics), 0);
    assert_int_equal(s->gate.routing_ids.count, 0);
    assert_true(list_empty(&s->worker.sessions.all) && list_empty(&s->worker.run.light) &&
                list_empty(&s->worker.run.fresh));
    assert_true(fixture_gate(s)->connect_pacer.connecting_count == 0);
    assert_int_equal(fixture_gate(s)->half_open.count, 0);
    assert_int_equal(fixture_gate(s)->strangers.unproven.count, 0);
    assert_int_equal(fixture_gate(s)->strangers.proven.count, 0);
    for (unsigned i = 0; i < STANDING_COUNT; i++)
        assert_true(list_empty(&fixture_gate(s)->half_open.half_open[i][false]) &&
                    list_empty(&fixture_gate(s)->half_open.half_open[i][true]) &&
                    list_empty(&fixture_gate(s)->connect_pacer.line[i]));
    assert_true(list_empty(&fixture_gate(s)->conns));
    for (size_t i = 0; i <= s->worker.source_conns.mask; i++)
        assert_null(s->worker.source_conns.at[i]);
    addr_from_uid(&self, getuid());
    check_source(s->gate.sources, &self);
    for (uint8_t last = 0; last < 64; last++)
        check_source(s->gate.sources, &(struct addr){.kind = ADDR_V4, .bytes = {127, 0, 0, last}});
    /* The rest is held by the pool and the table. */
    size_t slots = s->gate.routing_ids.capacity;
    assert_int_equal(account_held(&s->account), s->worker.loop.pool.idle_bytes + slots * sizeof(struct refcount_slot));
}

/* ---- peers ---- */

void end_connect(struct end *e, struct fixture *s, uint32_t from)
{
    const struct endpoint *to = &s->gate.listen.endpoint;
    memset(e, 0, sizeof(*e));
    e->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(e->fd >= 0);
    /* Time stands still here, so nothing may wait for an acknowledgement. */
    int on = 1;
    if (to->kind == ENDPOINT_TCP)
        assert_int_equal(setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    if (to->kind == ENDPOINT_TCP && from) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
        assert_int_equal(bind(e->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    }
    assert_int_equal(connect(e->fd, &to->sa, to->len), 0);
}

bool end_accept(struct end *e, struct fixture *s)
{
    memset(e, 0, sizeof(*e));
    e->fd = accept4(s->app_fd, NULL, NULL, SOCK_CLOEXEC);
    return e->fd >= 0;
}

static void put_property(struct stream *s, const char *name, const char *value)
{
    uint8_t name_len = (uint8_t)strlen(name), value_len[4] = {0, 0, 0, (uint8_t)strlen(value)};
    stream_put(s, &name_len, 1);
    stream_put(s, name, name_len);
    stream_put(s, value_len, sizeof(value_len));
    stream_put(s, value, value_len[3]);
}

void end_greet(struct end *e, const char *socket_type, const char *routing_id)
{
    uint8_t greeting[ZMTP_GREETING_BYTES];
    struct stream metadata = {0};
    zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_NULL});
    stream_put(&e->out, greeting, sizeof(greeting));
    put_property(&metadata, "Socket-Type", socket_type);
    if (routing_id)
        put_property(&metadata, "Identity", routing_id);
    stream_command(&e->out, "READY", metadata.bytes, metadata.len);
    stream_free(&metadata);
}

void end_write(struct end *e, size_t most)
{
    size_t left = e->out.len - e->sent;
    if (e->fd < 0 || left == 0)
        return;
    ssize_t n = __real_send(e->fd, e->out.bytes + e->sent, left < most ? left : most, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        e->sent += (size_t)n;
}

void end_read(struct end *e, size_t most)
{
    static uint8_t bytes[1 << 20];
    if (e->fd < 0 || e->over || most == 0)
        return;
    ssize_t n = __real_recv(e->fd, bytes, most < sizeof(bytes) ? most : sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        stream_put(&e->in, bytes, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        e->over = true;
}

void end_close(struct end *e)
{
    if (e->fd >= 0)
        close(e->fd);
    stream_free(&e->out);
    stream_free(&e->in);
    memset(e, 0, sizeof(*e));
    e->fd = -1;
}

/* Where the traffic starts; 0: not there yet. */
static size_t traffic_at(const struct end *e)
{
    struct zmtp_decoder d;
    if (e->in.len <= ZMTP_GREETING_BYTES)
        return 0;
    const uint8_t *at = e->in.bytes + ZMTP_GREETING_BYTES;
    zmtp_decoder_init(&d, false);
    if (zmtp_next(&d, &at, e->in.bytes + e->in.len) != ZMTP_FRAME)
        return 0;
    assert_true(zmtp_is_command(&d));
    return (size_t)(at - e->in.bytes);
}

bool end_is_greeted(const struct end *e)
{
    return traffic_at(e) != 0;
}

/* Moves the bytes of [at, end) that are not commands together, at `base`. An incomplete command is left behind them:
 * *ret_whole does not count it, the result does. */
static size_t leave_out_commands(uint8_t *base, size_t len, size_t *ret_whole, unsigned *ret_pongs)
{
    struct zmtp_decoder d;
    const uint8_t *at = base, *end = base + len;
    size_t kept = 0;
    zmtp_decoder_init(&d, false);
    for (*ret_whole = 0; at < end;) {
        const uint8_t *frame = at;
        enum zmtp_item item;
        do {
            item = zmtp_next(&d, &at, end);
            assert_true(item != ZMTP_BAD);
        } while (item == ZMTP_HEADER);
        if (frame[0] & ZMTP_FLAG_COMMAND && item == ZMTP_FRAME) {
            assert_false(d.in_message);
            ++*ret_pongs;
            continue;
        }
        memmove(base + kept, frame, (size_t)(at - frame));
        kept += (size_t)(at - frame);
        if (!(base[kept - (size_t)(at - frame)] & ZMTP_FLAG_COMMAND))
            *ret_whole = kept;
    }
    return kept;
}

struct bytes end_traffic(struct end *e, unsigned *ret_pongs)
{
    size_t from = traffic_at(e), whole;
    unsigned pongs = 0;
    if (ret_pongs)
        *ret_pongs = 0;
    if (from == 0)
        return (struct bytes){0};
    uint8_t *base = e->in.bytes + from;
    e->in.len = from + leave_out_commands(base, e->in.len - from, &whole, &pongs);
    if (ret_pongs)
        *ret_pongs = pongs;
    return (struct bytes){base, whole};
}

void fixture_pair(struct fixture *s, struct end *client, struct end *app, const char *client_type, const char *app_type)
{
    fixture_pair_by_address(s, client, app, client_type, app_type, 0);
}

void fixture_pair_by_address(struct fixture *s, struct end *client, struct end *app, const char *client_type,
                             const char *app_type, uint32_t from)
{
    struct end probe;
    end_connect(client, s, from);
    end_greet(client, client_type, NULL);
    end_write(client, SIZE_MAX);
    for (unsigned i = 0; i < 100 && !end_is_greeted(client); i++) {
        fixture_rounds(s, 2);
        while (end_accept(&probe, s)) {
            end_greet(&probe, app_type, NULL);
            end_write(&probe, SIZE_MAX);
            fixture_rounds(s, 8);
            /* Weir closes the connection after the greeting that it asked for. */
            for (unsigned n = 0; n < 3; n++)
                end_read(&probe, SIZE_MAX);
            if (probe.over)
                end_close(&probe);
            else
                *app = probe;
        }
        end_read(client, SIZE_MAX);
    }
    assert_true(end_is_greeted(client));
    end_read(app, SIZE_MAX);
    assert_true(end_is_greeted(app));
}

void fixture_duo_init(struct fixture_duo *d)
{
    fixture_init(&d->fixture, NULL);
    fixture_start(&d->fixture);
    fixture_pair(&d->fixture, &d->client, &d->app, "DEALER", "ROUTER");
    d->session = fixture_session(&d->fixture);
}

void fixture_duo_fini(struct fixture_duo *d)
{
    end_close(&d->client);
    end_close(&d->app);
    fixture_rounds(&d->fixture, 10);
    fixture_fini(&d->fixture);
}
