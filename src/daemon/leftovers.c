/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/leftovers.h"

#include "base/log.h"
#include "daemon/firewall_backend.h"
#include "daemon/privileges.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MOST_S 10u
#define MARK_PREFIX "weir-kernel"
#define MARK_MAX    96u

/* ---- marks ---- */

/* An abstract name, which belongs to the network namespace and ends with the process. It contains the process id, since
 * a Weir that ends and one that starts may both use a table. */
static int mark(const char *means, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int len = snprintf(a.sun_path + 1, MARK_MAX, MARK_PREFIX "/%s/%s/%d", means, name, (int)getpid());
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_named_before(const struct firewall_gates *used, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (used->at[i].means == used->at[at].means && strcmp(used->at[i].interface, used->at[at].interface) == 0)
            return true;
    return false;
}

size_t leftovers_mark(const char *table, const struct firewall_gates *used, int ret[static FIREWALL_GATES_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < used->count; i++) {
        bool nft = used->at[i].means == FIREWALL_NFTABLES;
        int fd = is_named_before(used, i) ? -1 : mark(nft ? "nft" : "xdp", nft ? table : used->at[i].interface);
        if (fd >= 0)
            ret[count++] = fd;
    }
    return count;
}

/* Whether a running Weir uses it. `means` as in marks: "nft" with a table, "xdp" with an interface. */
static bool leftovers_is_used(const char *means, const char *name)
{
    char wanted[MARK_MAX], line[512];
    bool found = false;
    FILE *f = fopen("/proc/thread-self/net/unix", "re");
    snprintf(wanted, sizeof(wanted), " @" MARK_PREFIX "/%s/%s/", means, name);
    if (!f)
        return true; /* it cannot be known */
    while (!found && fgets(line, sizeof(line), f))
        found = strstr(line, wanted) != NULL;
    fclose(f);
    return found;
}

/* ---- removing ---- */

static void leftovers_tell(const char *what, const char *name, const char *by_hand, int error)
{
    if (!error)
        LOG_WARN(
            "ban.kernel: %s%s of an earlier Weir was still in the kernel and is removed: Weir itself keeps the banned "
            "out",
            what, name);
    else
        LOG_WARN(
            "ban.kernel: %s%s of an earlier Weir is still in the kernel, drops what it was told for up to a day, and "
            "cannot be removed (%s): %s",
            what, name, strerror(-error), by_hand);
}

static void tell_nft(const char *name, int error)
{
    char by_hand[128];
    snprintf(by_hand, sizeof(by_hand), "nft delete table inet %s", name);
    leftovers_tell("the nftables table inet ", name, by_hand, error);
}

static void tell_xdp(const char *name, int error)
{
    char by_hand[128];
    snprintf(by_hand, sizeof(by_hand), "ip link set %s xdp off", name);
    leftovers_tell("the XDP program at the interface ", name, by_hand, error);
}

void leftovers_remove(void)
{
    if (!privileges_filter_packets() || (!nft_backend.version && !xdp_backend.version))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LOOK_MOST_S);
        if (nft_backend.version)
            nft_backend.remove_unused(leftovers_is_used, tell_nft);
        if (xdp_backend.version)
            xdp_backend.remove_unused(leftovers_is_used, tell_xdp);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
