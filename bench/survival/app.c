/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The application that is flooded: an ordinary libzmq program with library defaults and the habitual 1024 descriptors.
 *
 *   app [--counter PATH] rep|router|router-some|router8|pool|pool8|pull|dealer|mute ENDPOINT WORK_US[:OTHERS_US]
 *       REPORT
 *   app pub|xpub ENDPOINT WORK_US REPORT RATE SIZE
 *
 * rep and router send every message back, from one thread that works WORK_US of its CPU time on each, OTHERS_US on each
 * that carries no stamp of the well-behaved clients; router-some sends back only what carries one; router8 gives them
 * to eight workers that sleep instead. pool is a router with a pool of libweir, which works on as many messages at a
 * time as there are cores, pool8 one with eight workers that sleep. pull, dealer and mute (a ROUTER) answer nothing:
 * they note the stamped messages in REPORT ("got CLIENT SEQ INTENDED_NS NS") and how many they took in all ("total
 * COUNT NS", ten times a second). pub and xpub publish RATE messages of SIZE bytes a second, stamped with the time at
 * which each was due; xpub also reads a few of its subscribers' messages after each. On SIGUSR1 the thread that works
 * stands still for STALL_SECONDS, as one does that waits for a disk; those of libzmq go on. With --counter it says what
 * it takes at PATH (weir/taken.h); router8 then passes messages on in a loop of its own, because what zmq_proxy() takes
 * cannot be counted, and each counts as taken when a worker is free for it. "ready" (for publishers: "ready START_NS
 * PERIOD_NS"); ends when it is killed, after LIFE_SECONDS at most.
 */
#include "../../demo/demo.h"
#include "app_pool.h"
#include "curve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include <weir/taken.h>

#define LIFE_SECONDS   60
#define STALL_SECONDS  4
#define WORKERS        8
#define TOPIC_BYTES    8 /* before the stamp of a publication */
#define PUBLICATION    (TOPIC_BYTES + sizeof(struct demo_stamp))
#define READS_A_TURN   10
#define FRAMES_MAX     8 /* of a message to router-some; more are dropped */
#define TOTAL_EVERY_NS 100000000u
#define SECOND_NS      UINT64_C(1000000000)

static void *context;
static struct weir_taken *counter; /* NULL: nothing is counted */
static unsigned work_us, others_us;
static FILE *report;
static volatile sig_atomic_t told_to_stall;

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static bool find_stamp(const void *body, size_t bytes, struct demo_stamp *ret)
{
    if (bytes < sizeof(*ret))
        return false;
    memcpy(ret, body, sizeof(*ret));
    return ret->magic == DEMO_MAGIC;
}

static unsigned cost_of(const void *body, size_t bytes)
{
    struct demo_stamp stamp;
    return find_stamp(body, bytes, &stamp) ? work_us : others_us;
}

static unsigned cost_us(zmq_msg_t *msg)
{
    return cost_of(zmq_msg_data(msg), zmq_msg_size(msg));
}

static void stall(void)
{
    struct timespec left = {STALL_SECONDS, 0};
    told_to_stall = 0;
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static void on_stall(int number)
{
    told_to_stall = 1;
}

/* Counted in CPU time: work takes no less because somebody else had the core meanwhile. */
static void work_for(unsigned us)
{
    static volatile uint64_t sum;
    if (told_to_stall)
        stall();
    if (us == 0)
        return;
    for (uint64_t end_ns = thread_cpu_ns() + us * 1000u; thread_cpu_ns() < end_ns;) {
        for (int i = 0; i < 500; i++)
            sum = sum * 0x100000001b3u + 1;
    }
}

static void work(zmq_msg_t *msg)
{
    work_for(cost_us(msg));
}

static void work_in_pool(const void *body, size_t bytes)
{
    work_for(cost_of(body, bytes));
}

static void sleep_in_pool(const void *body, size_t bytes)
{
    usleep(cost_of(body, bytes));
}

/* The next frame; false when there will be none. */
static bool take(void *socket, zmq_msg_t *msg, struct weir_taken *counted)
{
    zmq_msg_init(msg);
    while (weir_taken_recv(counted, msg, socket, 0) < 0) {
        if (zmq_errno() != EINTR)
            return false;
        if (told_to_stall)
            stall();
    }
    return true;
}

static void sleep_until(uint64_t when_ns)
{
    struct timespec at = {(time_t)(when_ns / SECOND_NS), (long)(when_ns % SECOND_NS)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        continue;
}

/* Gives a frame back. A reply that finds no room is dropped. */
static void give_back(void *socket, zmq_msg_t *msg, bool more)
{
    if (zmq_msg_send(msg, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0)
        zmq_msg_close(msg);
}

/* Gives every frame back as it comes; the work is done before the last one. */
static void echo(void *socket, void (*do_work)(zmq_msg_t *msg), struct weir_taken *counted)
{
    for (zmq_msg_t msg; take(socket, &msg, counted);) {
        bool more = zmq_msg_more(&msg);
        if (!more)
            do_work(&msg);
        give_back(socket, &msg, more);
    }
}

/* Works on every message, and gives back what carries a stamp. */
static void echo_some(void *socket)
{
    zmq_msg_t frames[FRAMES_MAX];
    for (size_t n = 0; take(socket, &frames[n], counter);) {
        struct demo_stamp stamp;
        zmq_msg_t *last = &frames[n];
        if (zmq_msg_more(last)) {
            if (n + 1 < FRAMES_MAX)
                n++;
            else
                zmq_msg_close(last);
            continue;
        }
        work(last);
        bool stamped = find_stamp(zmq_msg_data(last), zmq_msg_size(last), &stamp);
        for (size_t i = 0; i <= n; i++) {
            if (stamped)
                give_back(socket, &frames[i], i < n);
            else
                zmq_msg_close(&frames[i]);
        }
        n = 0;
    }
}

static void note(const void *body, size_t bytes)
{
    struct demo_stamp stamp;
    if (find_stamp(body, bytes, &stamp))
        fprintf(report, "got %u %u %llu %llu\n", stamp.client, stamp.seq, (unsigned long long)stamp.intended_ns,
                (unsigned long long)demo_now_ns());
}

static void note_total(uint64_t count)
{
    static uint64_t next_ns;
    uint64_t now_ns = count % 16 == 0 ? demo_now_ns() : 0;
    if (now_ns < next_ns || now_ns == 0)
        return;
    fprintf(report, "total %llu %llu\n", (unsigned long long)count, (unsigned long long)now_ns);
    next_ns = now_ns + TOTAL_EVERY_NS;
}

static void pull(void *socket)
{
    uint64_t count = 0;
    for (zmq_msg_t msg; take(socket, &msg, counter); zmq_msg_close(&msg)) {
        if (zmq_msg_more(&msg))
            continue;
        work(&msg);
        note(zmq_msg_data(&msg), zmq_msg_size(&msg));
        note_total(++count);
    }
}

static void read_back(void *socket)
{
    char body[256];
    for (int i = 0; i < READS_A_TURN && zmq_recv(socket, body, sizeof(body), ZMQ_DONTWAIT) >= 0; i++)
        continue;
}

static void publish(void *socket, unsigned rate, size_t size, bool reads)
{
    uint64_t start_ns = demo_now_ns(), period_ns = SECOND_NS / rate;
    char *body = calloc(1, size);
    if (!body)
        exit(1);
    memcpy(body, "news", 4);
    printf("ready %llu %llu\n", (unsigned long long)start_ns, (unsigned long long)period_ns);
    fflush(stdout);
    for (uint32_t seq = 0;; seq++) {
        struct demo_stamp stamp = {DEMO_MAGIC, 0, seq, 0, start_ns + seq * period_ns};
        sleep_until(stamp.intended_ns);
        work_for(work_us);
        memcpy(body + TOPIC_BYTES, &stamp, sizeof(stamp));
        zmq_send(socket, body, size, 0);
        if (reads)
            read_back(socket);
    }
}

static void sleeping_work(zmq_msg_t *msg)
{
    usleep(cost_us(msg));
}

static void *worker(void *unused)
{
    void *socket = zmq_socket(context, ZMQ_REP);
    if (socket && zmq_connect(socket, "inproc://workers") == 0)
        echo(socket, sleeping_work, NULL);
    return NULL;
}

static void start_workers(void *back)
{
    pthread_t thread;
    if (!back || zmq_bind(back, "inproc://workers") < 0)
        exit(1);
    for (int i = 0; i < WORKERS; i++) {
        if (pthread_create(&thread, NULL, worker, NULL) != 0)
            exit(1);
    }
}

/* One whole message. */
static void pass_on(void *from, void *to)
{
    zmq_msg_t msg;
    for (bool more = true; more && take(from, &msg, NULL);) {
        more = zmq_msg_more(&msg);
        if (zmq_msg_send(&msg, to, more ? ZMQ_SNDMORE : 0) < 0)
            zmq_msg_close(&msg);
    }
}

/* As many as there are workers are worked on, the others wait before them. What Weir is to know is how many wait, so
 * each counts as taken when a worker is free for it. */
static void count(uint64_t passed, uint64_t answered)
{
    static uint64_t counted;
    for (; counted < passed && counted < answered + WORKERS; counted++) {
        weir_taken_asked(counter);
        weir_taken_took(counter);
    }
    if (counted == answered + WORKERS)
        return;
    weir_taken_asked(counter);
    weir_taken_found_nothing(counter, true);
}

/* What zmq_proxy() does, counted. */
static void proxy(void *front, void *back)
{
    zmq_pollitem_t items[] = {{.socket = front, .events = ZMQ_POLLIN}, {.socket = back, .events = ZMQ_POLLIN}};
    uint64_t passed = 0, answered = 0;
    count(passed, answered);
    while (zmq_poll(items, 2, -1) >= 0 || zmq_errno() == EINTR) {
        if (items[1].revents & ZMQ_POLLIN) {
            pass_on(back, front);
            answered++;
        }
        if (items[0].revents & ZMQ_POLLIN) {
            pass_on(front, back);
            passed++;
        }
        count(passed, answered);
    }
}

static void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

struct pattern {
    const char *name;
    int socket_type;
};

static const struct pattern patterns[] = {{"rep", ZMQ_REP},     {"router", ZMQ_ROUTER}, {"router-some", ZMQ_ROUTER},
                                          {"pull", ZMQ_PULL},   {"dealer", ZMQ_DEALER}, {"router8", ZMQ_ROUTER},
                                          {"pub", ZMQ_PUB},     {"xpub", ZMQ_XPUB},     {"mute", ZMQ_ROUTER},
                                          {"pool", ZMQ_ROUTER}, {"pool8", ZMQ_ROUTER}};

static bool is(const struct pattern *p, const char *name)
{
    return strcmp(p->name, name) == 0;
}

static void serve(const struct pattern *p, void *socket, char **argv, const char *counter_path)
{
    if (is(p, "pool"))
        pool_serve(socket, 0, work_in_pool, counter_path);
    if (is(p, "pool8"))
        pool_serve(socket, WORKERS, sleep_in_pool, counter_path);
    if (p->socket_type == ZMQ_PUB || p->socket_type == ZMQ_XPUB)
        publish(socket, (unsigned)strtoul(argv[5], NULL, 10), strtoull(argv[6], NULL, 10), p->socket_type == ZMQ_XPUB);
    void *back = is(p, "router8") ? zmq_socket(context, ZMQ_DEALER) : NULL;
    if (back)
        start_workers(back);
    say_ready();
    if (back && counter)
        proxy(socket, back);
    else if (back)
        zmq_proxy(socket, back, NULL);
    else if (is(p, "router-some"))
        echo_some(socket);
    else if (is(p, "rep") || is(p, "router"))
        echo(socket, work, counter);
    else
        pull(socket);
}

static const struct pattern *find(int argc, char **argv)
{
    for (size_t i = 0; argc >= 5 && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        bool publishes = patterns[i].socket_type == ZMQ_PUB || patterns[i].socket_type == ZMQ_XPUB;
        if (is(&patterns[i], argv[1]) && argc == (publishes ? 7 : 5))
            return &patterns[i];
    }
    return NULL;
}

static bool has_publication(int argc, char **argv)
{
    return argc == 5 || (strtoul(argv[5], NULL, 10) > 0 && strtoull(argv[6], NULL, 10) >= PUBLICATION);
}

static void set_work(char *word)
{
    work_us = (unsigned)strtoul(word, &word, 10);
    others_us = *word == ':' ? (unsigned)strtoul(word + 1, NULL, 10) : work_us;
}

int main(int argc, char **argv)
{
    const char *path = argc > 2 && strcmp(argv[1], "--counter") == 0 ? argv[2] : NULL;
    argc -= path ? 2 : 0;
    argv += path ? 2 : 0;
    const struct pattern *p = find(argc, argv);
    if (!p || !has_publication(argc, argv)) {
        fputs("usage: app [--counter PATH] rep|router|router-some|router8|pool|pool8|pull|dealer|mute ENDPOINT "
              "WORK_US[:OTHERS_US] REPORT"
              " | app pub|xpub ... RATE SIZE\n",
              stderr);
        return 2;
    }
    alarm(LIFE_SECONDS);
    /* What a service gets by default, whatever the shell allows. */
    struct rlimit descriptors = {1024, 1024};
    setrlimit(RLIMIT_NOFILE, &descriptors);
    signal(SIGUSR1, on_stall);
    set_work(argv[3]);
    report = fopen(argv[4], "w");
    context = zmq_ctx_new();
    bool counts = path && strncmp(p->name, "pool", 4) != 0; /* a pool does so itself */
    if (counts && !(counter = weir_taken_open(path)))
        perror(path);
    void *socket = zmq_socket(context, p->socket_type);
    if ((counts && !counter) || !report || !socket || !curve_serve(socket) || zmq_bind(socket, argv[2]) < 0) {
        perror(argv[2]);
        return 1;
    }
    setvbuf(report, NULL, _IOLBF, 4096);
    serve(p, socket, argv, path);
    return 1;
}
