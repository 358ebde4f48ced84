/* SPDX-License-Identifier: MPL-2.0 */
/* Bans in the kernel with real packets. Each test runs in a process with a network namespace of its own, where a whole
 * network lies on the loopback interface, and gives its rights up there as Weir does. */
#include "daemon/kernel_bans.h"

#include "base/clock.h"
#include "daemon/firewall_backend.h"
#include "daemon/privileges.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#ifdef WEIR_LIBBPF_VERSION
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#endif

#define PATIENCE_NS (30 * NS_PER_S)
#define SKIPPED     77

struct relay {
    struct bans *bans;
    struct kernel_bans kernel;
    struct config_gate gates[2];
    char listen[2][ENDPOINT_TEXT_MAX];
};

static enum ban_kernel means; /* of the running test */
static struct relay relay;
static struct config config = {.kernel_table = "weir", .gates = relay.gates, .gate_count = 1};

struct bans *relay_bans(struct relay *r)
{
    return r->bans;
}

struct kernel_bans *relay_kernel_bans(struct relay *r)
{
    return &r->kernel;
}

void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->listen, r->listen[gate], sizeof(ret->listen));
}

/* ---- in the process of a test, where cmocka's longjmp() must not be used ---- */

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold (errno %d)\n", __FILE__, __LINE__, #condition, errno);            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        uint64_t end_ns = clock_now_ns() + PATIENCE_NS;                                                                \
        while (!(condition)) {                                                                                         \
            REQUIRE(clock_now_ns() < end_ns && #condition[0]);                                                         \
            (void)poll(NULL, 0, 1);                                                                                    \
        }                                                                                                              \
    } while (0)

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
}

/* As root, or as root of a user namespace, which may not load programs into the kernel. */
static bool have_own_network(void)
{
    char map[32];
    snprintf(map, sizeof(map), "0 %u 1", getuid());
    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (means == BAN_KERNEL_XDP || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", map);
    return privileges_filter_packets();
}

/* A new address is tentative until a task of the kernel has run. */
static bool can_be_used(const struct in6_addr *address)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = *address};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool can = bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)) == 0;
    close(fd);
    return can;
}

/* 10.99.0.0/16 and some of 2001:db8::/32 on lo. */
static void populate(void)
{
    static const char *const six[] = {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1"};
    struct ifreq r = {.ifr_name = "lo"};
    struct sockaddr_in *a = (struct sockaddr_in *)(void *)&r.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = inet_addr("10.99.0.1");
    REQUIRE(ioctl(fd, SIOCSIFADDR, &r) == 0);
    a->sin_addr.s_addr = inet_addr("255.255.0.0");
    REQUIRE(ioctl(fd, SIOCSIFNETMASK, &r) == 0);
    r.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    REQUIRE(ioctl(fd, SIOCSIFFLAGS, &r) == 0);
    for (size_t i = 0; i < ARRAY_LEN(six); i++) {
        struct in6_ifreq r6 = {.ifr6_prefixlen = 128, .ifr6_ifindex = (int)if_nametoindex("lo")};
        REQUIRE(inet_pton(AF_INET6, six[i], &r6.ifr6_addr) == 1);
        REQUIRE(ioctl(fd6, SIOCSIFADDR, &r6) == 0);
        WAIT_FOR(can_be_used(&r6.ifr6_addr));
    }
    close(fd);
    close(fd6);
}

static socklen_t address(struct sockaddr_storage *ret, const char *host, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(*v4);
    }
    REQUIRE(inet_pton(AF_INET6, host, &v6->sin6_addr) == 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof(*v6);
}

/* A listener on all addresses. */
static void serve_on(uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t len = address(&a, "::", port);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 1000) == 0);
}

/* Whether a connection from there to the port succeeds within `ms`. */
static bool reaches_in(const char *from, uint16_t port, int ms)
{
    struct sockaddr_storage a;
    bool v6 = strchr(from, ':') != NULL;
    socklen_t len = address(&a, from, 0);
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0);
    len = address(&a, v6 ? "2001:db8:1::1" : "10.99.0.1", port);
    (void)!connect(fd, (struct sockaddr *)&a, len);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    bool up = poll(&p, 1, ms) == 1 && !(p.revents & (POLLERR | POLLHUP));
    close(fd);
    return up;
}

static bool arrives(const char *from, uint16_t port)
{
    return reaches_in(from, port, (int)(PATIENCE_NS / NS_PER_MS));
}

/* On loopback the answer comes at once. A quarter of a second is no proof; the counter of dropped packets is. */
static bool is_dropped(const char *from, uint16_t port)
{
    return !reaches_in(from, port, 250);
}

static struct network net(const char *text)
{
    struct network n;
    REQUIRE(network_parse(&n, text, NULL) == 0);
    return n;
}

static void ban(const char *who, uint64_t ms)
{
    struct network n = net(who);
    bans_set(relay.bans, &n, ms * NS_PER_MS, BAN_REASON_OPERATOR, clock_now_ns());
}

static void unban(const char *who)
{
    struct network n = net(who);
    REQUIRE(bans_lift(relay.bans, &n, clock_now_ns()));
}

static void all_told(void)
{
    WAIT_FOR(atomic_load(&relay.kernel.in_force) && atomic_load(&relay.kernel.seen) == bans_seq(relay.bans));
}

/* Gate 5555 on all addresses. */
static struct kernel_follower *begin(void)
{
    const struct hash_key key = {{1}};
    relay.bans = bans_new(BANS_CAPACITY, &key);
    REQUIRE(relay.bans);
    relay.gates[0].ban_kernel = means;
    snprintf(relay.gates[0].ban_interface, sizeof(relay.gates[0].ban_interface), "lo");
    snprintf(relay.listen[0], sizeof(relay.listen[0]), "tcp://*:5555");
    serve_on(5555);
    serve_on(22);
    struct kernel_follower *k = kernel_bans_new(&config, &relay);
    REQUIRE(k);
    return k;
}

static struct kernel_follower *begin_and_follow(void)
{
    struct kernel_follower *k = begin();
    kernel_bans_follow(k);
    all_told();
    return k;
}

static void end(struct kernel_follower *k)
{
    kernel_bans_free(k);
    bans_free(relay.bans);
}

/* ---- the tests, on the inside ---- */

static void the_banned_do_not_arrive(void)
{
    struct kernel_follower *k = begin_and_follow();
    REQUIRE(arrives("10.99.0.66", 5555));
    ban("10.99.0.66", 60000);
    all_told();
    REQUIRE(is_dropped("10.99.0.66", 5555));
    REQUIRE(arrives("10.99.0.67", 5555)); /* of the same /24 */
    REQUIRE(arrives("10.99.0.66", 22));   /* a port that is no gate's is left alone */
    WAIT_FOR(atomic_load(&relay.kernel.packets) >= 1 && atomic_load(&relay.kernel.bytes) >= 40);
    WAIT_FOR(atomic_load(&relay.kernel.entries) == 1);
    unban("10.99.0.66");
    all_told();
    REQUIRE(arrives("10.99.0.66", 5555));
    WAIT_FOR(atomic_load(&relay.kernel.entries) == 0);
    end(k);
}

static void ipv6(void)
{
    struct kernel_follower *k = begin_and_follow();
    REQUIRE(arrives("2001:db8:1::2", 5555));
    ban("2001:db8:1::/64", 60000);
    all_told();
    REQUIRE(is_dropped("2001:db8:1::2", 5555));
    REQUIRE(arrives("2001:db8:2::1", 5555) && arrives("2001:db8:1::2", 22));
    unban("2001:db8:1::/64");
    ban("2001:db8:2::1", 60000);
    all_told();
    REQUIRE(arrives("2001:db8:1::2", 5555) && is_dropped("2001:db8:2::1", 5555));
    end(k);
}

static void networks_within_networks(void)
{
    struct kernel_follower *k = begin_and_follow();
    ban("10.99.5.0/24", 60000);
    ban("10.99.5.7", 60000);
    ban("10.99.4.0/22", 60000);
    all_told();
    REQUIRE(is_dropped("10.99.5.7", 5555) && is_dropped("10.99.5.8", 5555) && is_dropped("10.99.7.1", 5555));
    unban("10.99.4.0/22");
    unban("10.99.5.0/24");
    all_told();
    REQUIRE(is_dropped("10.99.5.7", 5555) && arrives("10.99.5.8", 5555) && arrives("10.99.7.1", 5555));
    REQUIRE(atomic_load(&relay.kernel.failures) == 0 && atomic_load(&relay.kernel.replacements) == 1);
    end(k);
}

/* Longer, shorter, again: the last value counts, also for an existing element. */
static void a_ban_is_extended_and_shortened(void)
{
    struct kernel_follower *k = begin_and_follow();
    ban("10.99.0.66", 60000);
    ban("10.99.0.67", 1500);
    all_told();
    REQUIRE(is_dropped("10.99.0.66", 5555) && is_dropped("10.99.0.67", 5555));
    ban("10.99.0.66", 1500);
    ban("10.99.0.67", 60000);
    all_told();
    WAIT_FOR(!is_dropped("10.99.0.66", 5555));
    REQUIRE(is_dropped("10.99.0.67", 5555));
    end(k);
}

static void bans_end_without_weir(void)
{
    struct kernel_follower *k = begin_and_follow();
    ban("10.99.0.66", 3000);
    ban("10.99.0.67", 3600000);
    all_told();
    end(k); /* thread and helper are gone */
    REQUIRE(is_dropped("10.99.0.66", 5555));
    WAIT_FOR(!is_dropped("10.99.0.66", 5555));
    REQUIRE(is_dropped("10.99.0.67", 5555));
}

static void the_exempt_pass(void)
{
    struct kernel_follower *k = begin();
    struct config other = config;
    ban("10.99.0.0/24", 60000);
    ban("10.99.1.0/24", 60000);
    relay.gates[0].kernel_spares = (struct networks){.count = 2, .at = {net("10.99.0.7"), net("uid:1")}};
    kernel_bans_reconfigure(k, &other); /* as after a reload */
    kernel_bans_follow(k);
    all_told();
    REQUIRE(arrives("10.99.0.7", 5555) && is_dropped("10.99.0.8", 5555));
    relay.gates[0].kernel_spares = (struct networks){.count = 1, .at = {net("10.99.0.8")}};
    kernel_bans_reconfigure(k, &other);
    WAIT_FOR(atomic_load(&relay.kernel.replacements) == 2);
    REQUIRE(is_dropped("10.99.0.7", 5555) && arrives("10.99.0.8", 5555) && is_dropped("10.99.1.8", 5555));
    end(k);
}

/* Own addresses, and half the world: refused by both ends, without affecting the others. */
static void what_the_kernel_is_never_told(void)
{
    struct kernel_follower *k = begin_and_follow();
    ban("0.0.0.0/0", 60000);
    ban("127.0.0.0/8", 60000);
    ban("::/0", 60000);
    ban("uid:1000", 60000);
    ban("10.99.0.66", 60000);
    all_told();
    REQUIRE(is_dropped("10.99.0.66", 5555) && arrives("10.99.0.67", 5555) && arrives("2001:db8:1::2", 5555));
    REQUIRE(atomic_load(&relay.kernel.failures) == 0);
    end(k);
}

static pid_t helper_of_this_process(void)
{
    char path[64], text[32] = {0};
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return (pid_t)strtol(text, NULL, 10);
}

static char *line_of_status(pid_t pid, const char *key, char line[static 256])
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    REQUIRE(f);
    while (fgets(line, 256, f) && strncmp(line, key, strlen(key)) != 0)
        ;
    fclose(f);
    return line;
}

static void rights_are_divided(void)
{
    char line[256];
    struct kernel_follower *k = begin_and_follow();
    pid_t helper = helper_of_this_process();
    REQUIRE(!privileges_filter_packets());
    /* CAP_NET_ADMIN alone, or with CAP_BPF. */
    const char *wanted = means == BAN_KERNEL_XDP ? "0000008000001000" : "0000000000001000";
    REQUIRE(strstr(line_of_status(helper, "CapEff", line), wanted));
    REQUIRE(strstr(line_of_status(helper, "CapPrm", line), wanted));
    REQUIRE(strstr(line_of_status(helper, "CapAmb", line), "0000000000000000"));
    REQUIRE(strstr(line_of_status(helper, "NoNewPrivs", line), "1"));
    REQUIRE(strstr(line_of_status(helper, "Seccomp", line), "2"));
    REQUIRE(strstr(line_of_status(getpid(), "NoNewPrivs", line), "1"));
    /* A hijacked main process cannot reach the helper's memory. */
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", helper);
    REQUIRE(open(path, O_RDWR | O_CLOEXEC) < 0);
    end(k);
}

static void the_helper_dies(void)
{
    struct kernel_follower *k = begin_and_follow();
    ban("10.99.0.66", 60000);
    all_told();
    REQUIRE(kill(helper_of_this_process(), SIGKILL) == 0);
    WAIT_FOR(!atomic_load(&relay.kernel.in_force));
    REQUIRE(atomic_load(&relay.kernel.failures) == 1 && atomic_load(&relay.kernel.entries) == 0);
    REQUIRE(is_dropped("10.99.0.66", 5555)); /* bans already in the kernel stay */
    struct network n = net("10.99.0.66");
    struct addr a = {.kind = ADDR_V4};
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    REQUIRE(bans_find(relay.bans, &a, clock_now_ns(), NULL)); /* and so they do in Weir itself */
    end(k);
}

static void print_time(const char *what, uint64_t since_ns)
{
    fprintf(stderr, "%s: %.3f s\n", what, (double)(clock_now_ns() - since_ns) / 1e9);
}

static void ban_many(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct addr a = {.kind = ADDR_V4, .bytes = {10, 99, (uint8_t)(i >> 8), (uint8_t)i}};
        struct network n = network_of(&a, 32);
        bans_set(relay.bans, &n, 3600 * NS_PER_S, BAN_REASON_OPERATOR, clock_now_ns());
    }
}

/* Prints how long it takes, from the table to the end of the kernel's transaction. */
static void twenty_thousand(void)
{
    struct kernel_follower *k = begin_and_follow();
    uint64_t start_ns = clock_now_ns();
    ban_many(256, 20000); /* more than the ring of changes holds */
    all_told();
    print_time("20000 bans at once, from the table into the kernel", start_ns);
    REQUIRE(is_dropped("10.99.1.0", 5555) && is_dropped("10.99.79.31", 5555) && arrives("10.99.79.32", 5555));
    start_ns = clock_now_ns();
    for (unsigned i = 0; i < 10; i++) {
        ban_many(30000 + 2000 * i, 2000);
        all_told();
    }
    print_time("20000 more in changes of 2000, one after the other", start_ns);
    REQUIRE(is_dropped("10.99.117.48", 5555) && is_dropped("10.99.195.79", 5555) && arrives("10.99.195.80", 5555));
    REQUIRE(atomic_load(&relay.kernel.failures) == 0);
    end(k);
}

/* One line says why, and the rest does nothing. */
static void without_kernel(const char *why)
{
    const struct hash_key key = {{1}};
    int out[2];
    char said[4096] = {0};
    relay.bans = bans_new(BANS_CAPACITY, &key);
    relay.gates[0].ban_kernel = means;
    snprintf(relay.gates[0].ban_interface, sizeof(relay.gates[0].ban_interface), "lo");
    snprintf(relay.listen[0], sizeof(relay.listen[0]), "tcp://*:5555");
    REQUIRE(pipe2(out, O_CLOEXEC) == 0 && dup2(out[1], STDERR_FILENO) >= 0);
    REQUIRE(kernel_bans_new(&config, &relay) == NULL);
    kernel_bans_follow(NULL);
    kernel_bans_reconfigure(NULL, &config);
    kernel_bans_free(NULL);
    REQUIRE(read(out[0], said, sizeof(said) - 1) > 0);
    REQUIRE(strstr(said, why) && strchr(said, '\n') == said + strlen(said) - 1);
    REQUIRE(atomic_load(&relay.kernel.in_force) == 0);
    bans_free(relay.bans);
}

static void without_the_right_to(void)
{
    REQUIRE(privileges_give_up(false) == 0);
    without_kernel("CAP_NET_ADMIN");
}

/* ---- on the outside ---- */

static bool is_built_in(void)
{
    return (means == BAN_KERNEL_XDP ? xdp_backend : nft_backend).version != NULL;
}

static void inside(enum ban_kernel by, void (*test)(void))
{
    means = by;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!is_built_in() || !have_own_network())
            _exit(SKIPPED);
        populate();
        test();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        assert_null(getenv("WEIR_KERNEL_TESTS")); /* setting it demands that they run */
        print_message("skipped: %s is not built in, or there is no right to make a network namespace (run as root)\n",
                      by == BAN_KERNEL_XDP ? "xdp" : "nftables");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name)                                                                                                     \
    static void nftables_##name(void **state)                                                                          \
    {                                                                                                                  \
        inside(BAN_KERNEL_NFTABLES, name);                                                                             \
    }                                                                                                                  \
    static void xdp_##name(void **state)                                                                               \
    {                                                                                                                  \
        inside(BAN_KERNEL_XDP, name);                                                                                  \
    }
#define RUN(name) cmocka_unit_test(nftables_##name), cmocka_unit_test(xdp_##name)

TEST(the_banned_do_not_arrive)
TEST(ipv6)
TEST(networks_within_networks)
TEST(a_ban_is_extended_and_shortened)
TEST(bans_end_without_weir)
TEST(the_exempt_pass)
TEST(what_the_kernel_is_never_told)
TEST(rights_are_divided)
TEST(the_helper_dies)
TEST(twenty_thousand)
TEST(without_the_right_to)

#ifdef WEIR_LIBBPF_VERSION

/* Another program on the interface is left alone. */
static void another_program_is_there(void)
{
    const struct bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    uint32_t before = 0, after = 0;
    int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "other", "GPL", pass, ARRAY_LEN(pass), NULL);
    int lo = (int)if_nametoindex("lo");
    REQUIRE(fd >= 0 && bpf_xdp_attach(lo, fd, XDP_FLAGS_SKB_MODE, NULL) == 0);
    REQUIRE(bpf_xdp_query_id(lo, 0, &before) == 0 && before != 0);
    without_kernel("another program");
    REQUIRE(bpf_xdp_query_id(lo, 0, &after) == 0 && after == before);
}

static void test_another_program_is_there(void **state)
{
    inside(BAN_KERNEL_XDP, another_program_is_there);
}

#endif

static void nobody_asks_for_it(void **state)
{
    relay.gates[0].ban_kernel = BAN_KERNEL_OFF;
    assert_null(kernel_bans_new(&config, &relay));
    assert_true(relay.kernel.failures == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asks_for_it),
        RUN(the_banned_do_not_arrive),
        RUN(ipv6),
        RUN(networks_within_networks),
        RUN(a_ban_is_extended_and_shortened),
        RUN(bans_end_without_weir),
        RUN(the_exempt_pass),
        RUN(what_the_kernel_is_never_told),
        RUN(rights_are_divided),
        RUN(the_helper_dies),
        RUN(twenty_thousand),
        RUN(without_the_right_to),
#ifdef WEIR_LIBBPF_VERSION
        cmocka_unit_test(test_another_program_is_there),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
