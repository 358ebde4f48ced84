/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/run.h"

#include "daemon/daemon.h"
#include "daemon/preload_object.h"
#include "daemon/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number that the lifeline has in programs: out of the way of those that they use or hand on. */
#define LIFELINE_FD 973

static int prepare_environment(const struct programs *p, const char *object, const struct run_order *order)
{
    char *setting = programs_setting(p, order->ports, order->marks);
    int error = setting ? setenv(RUN_ENV, setting, 1) : -1;
    free(setting);
    return error < 0 ? -ENOMEM : preload_object_add(object);
}

/* ---- Weir's process ---- */

/* Standard error stays, for the log. Weir leaves the command's process group, which shells and terminals signal, but
 * not its session: Linux gives each session an equal part of the processors (sched_autogroup_enabled). On a busy
 * machine, with Weir in a session of its own, brokers did half of what they do bare. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN); /* a background group that writes to the terminal would be stopped (stty tostop) */
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
    }
    unsetenv("NOTIFY_SOCKET"); /* the service manager waits for the command */
    unsetenv("WATCHDOG_USEC");
    prctl(PR_SET_NAME, "weir");
}

static int run_weir(struct programs *p, const struct config *c, const struct reload_source *from)
{
    leave_terminal();
    return daemon_run(c, from, p);
}

/* What stays open in the command and in the programs that it starts. */
static int make_lifeline(struct programs *p)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    p->lifeline = ends[0];
    int far = fcntl(ends[1], F_DUPFD, LIFELINE_FD);
    if (far < 0)
        far = fcntl(ends[1], F_DUPFD, 3);
    close(ends[1]);
    return far < 0 ? -errno : far;
}

/* Forks twice, so that the command has no child that it does not know of. */
static void fork_weir(struct programs *p, const struct config *c, const struct reload_source *from, int far)
{
    pid_t pid = fork();
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    if (pid != 0)
        return;
    close(far);
    if (fork() == 0)
        exit(run_weir(p, c, from));
    _exit(0);
}

/* Whether Weir has started; if not, it has said why. */
static bool await_weir(int ready)
{
    char byte;
    ssize_t n;
    do
        n = read(ready, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static bool start_weir(struct programs *p, const struct config *c, const struct reload_source *from)
{
    int ready[2], far = make_lifeline(p);
    if (far < 0 || pipe2(ready, O_CLOEXEC) < 0) {
        fprintf(stderr, "weir: run: cannot start: %s\n", strerror(far < 0 ? -far : errno));
        return false;
    }
    p->ready = ready[1];
    p->command_pid = getpid();
    fork_weir(p, c, from, far);
    close(ready[1]);
    bool started = await_weir(ready[0]);
    close(ready[0]);
    return started;
}

/* ---- the command ---- */

/* A file of the command, as execvp() finds it. */
static int open_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/') || !path)
        return open(name, O_RDONLY | O_CLOEXEC);
    for (size_t len; *path; path += len + (path[len] == ':')) {
        char file[PATH_MAX];
        len = strcspn(path, ":");
        snprintf(file, sizeof(file), "%.*s/%s", (int)len, len ? path : ".", name);
        if (access(file, X_OK) == 0)
            return open(file, O_RDONLY | O_CLOEXEC);
    }
    return -1;
}

/* Whether an ELF program names no dynamic linker, which would load the preload object. Scripts are no ELF. */
static bool is_static(int fd)
{
    ElfW(Ehdr) e;
    ElfW(Phdr) p;
    if (pread(fd, &e, sizeof(e), 0) != (ssize_t)sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
        e.e_phentsize != sizeof(p))
        return false;
    for (unsigned i = 0; i < e.e_phnum; i++) {
        off_t at = (off_t)(e.e_phoff + i * sizeof(p));
        if (pread(fd, &p, sizeof(p), at) != (ssize_t)sizeof(p) || p.p_type == PT_INTERP)
            return false;
    }
    return true;
}

/* The dynamic linker loads no such object into a program that has more rights than its user. */
static bool has_more_rights(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 &&
           ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
            ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid()));
}

static void warn_if_out_of_reach(const char *name)
{
    int fd = open_program(name);
    const char *why = fd < 0                ? NULL
                      : is_static(fd)       ? "it is statically linked"
                      : has_more_rights(fd) ? "it is set-user-id or set-group-id"
                                            : NULL;
    if (why)
        fprintf(stderr, "weir: run: warning: %s has no gates: %s; weir serve can stand in front of it\n", name, why);
    if (fd >= 0)
        close(fd);
}

static int run_execute(const struct run_order *order)
{
    warn_if_out_of_reach(order->command[0]);
    execvp(order->command[0], order->command);
    int error = errno;
    fprintf(stderr, "weir: run: cannot start \"%s\": %s\n", order->command[0], strerror(error));
    return error == ENOENT ? 127 : 126;
}

int run_command(const struct config *c, const struct reload_source *from, const struct run_order *order)
{
    char object[PATH_MAX];
    struct programs p;
    if (!preload_object_find("libweir-run.so", object, sizeof(object)) || !preload_object_can_be_named(object)) {
        fprintf(stderr,
                "weir: run: libweir-run.so is not beside the program (%s, %s), or its path has a blank or a colon\n",
                PRELOAD_FOLDERS);
        return 1;
    }
    int code = 1;
    int error = programs_open(&p, stderr);
    p.no_counter = order->no_counter;
    if (error == 0 && start_weir(&p, c, from)) {
        if (prepare_environment(&p, object, order) < 0)
            fprintf(stderr, "weir: run: cannot start: not enough memory\n");
        else
            code = run_execute(order);
    }
    programs_close(&p);
    return code;
}
