/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/kept_file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_BYTES 4096u

/* A longer file is not Weir's. */
#define FILE_MOST (64u << 20)

/* With a suffix. */
#define PATH_MOST (KEPT_FILE_PATH_MAX + 16)

void kept_file_init(struct kept_file *f, const char *path, const char *suffix, const char *without)
{
    *f = (struct kept_file){.without = without};
    snprintf(f->path, sizeof(f->path), "%s%s", path, suffix);
}

/* ---- reading ---- */

void kept_file_set_aside(const struct kept_file *f, const char *why)
{
    char aside[PATH_MOST];
    snprintf(aside, sizeof(aside), "%s.damaged", f->path);
    if (rename(f->path, aside) == 0)
        LOG_WARN("state file %s %s: set aside as %s; starting without %s", f->path, why, aside, f->without);
    else
        LOG_WARN("state file %s %s and cannot be set aside (%s); starting without %s", f->path, why, strerror(errno),
                 f->without);
}

static uint8_t *kept_file_read_all(FILE *f, size_t *ret_len)
{
    size_t cap = FIRST_BYTES, len = 0;
    uint8_t *bytes = NULL;
    for (;;) {
        uint8_t *more = cap <= FILE_MOST ? realloc(bytes, cap) : NULL;
        if (!more) {
            free(bytes);
            return NULL;
        }
        bytes = more;
        len += fread(bytes + len, 1, cap - len, f);
        if (len < cap)
            break;
        cap *= 2;
    }
    *ret_len = len;
    return bytes;
}

/* Only a regular file: opening a FIFO would wait for its other side, and Weir would neither start nor end. */
static FILE *kept_file_open(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    errno = EINVAL;
    FILE *file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!file) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return file;
}

uint8_t *kept_file_read(struct kept_file *f, size_t *ret_len)
{
    FILE *file = kept_file_open(f->path);
    if (!file) {
        if (errno != ENOENT)
            LOG_WARN("state file %s cannot be read: %s; starting without %s", f->path, strerror(errno), f->without);
        return NULL;
    }
    uint8_t *bytes = kept_file_read_all(file, ret_len);
    if (!bytes || ferror(file)) {
        LOG_WARN("state file %s cannot be read; starting without %s", f->path, f->without);
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

/* ---- writing ---- */

static int kept_file_write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* Otherwise a power cut could leave the old name with neither file. */
static void flush_folder(const char *path)
{
    char folder[PATH_MOST];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return;
    slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!fsync(fd);
    close(fd);
}

/* A descriptor, or -errno. */
static int open_beside(char beside[static PATH_MOST], const char *path)
{
    snprintf(beside, PATH_MOST, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static int kept_file_replace(const char *path, const uint8_t *bytes, size_t len)
{
    char beside[PATH_MOST];
    int fd = open_beside(beside, path);
    if (fd < 0)
        return fd;
    int error = kept_file_write_all(fd, bytes, len);
    if (close(fd) < 0 && !error)
        error = -errno;
    if (!error && rename(beside, path) < 0)
        error = -errno;
    if (error)
        unlink(beside);
    else
        flush_folder(path);
    return error;
}

static void kept_file_note(struct kept_file *f, int error)
{
    if (error && error != f->last_error)
        LOG_WARN("state file %s cannot be written: %s; %s would not outlive a restart", f->path, strerror(-error),
                 f->without);
    if (!error && f->last_error)
        LOG_INFO("state file %s can be written again", f->path);
    f->last_error = error;
}

void kept_file_report_again(struct kept_file *f)
{
    f->last_error = 0;
}

void kept_file_try(struct kept_file *f)
{
    char beside[PATH_MOST];
    int fd = open_beside(beside, f->path);
    if (fd >= 0) {
        close(fd);
        unlink(beside);
    } else {
        kept_file_report_again(f);
    }
    kept_file_note(f, fd < 0 ? fd : 0);
}

bool kept_file_write(struct kept_file *f, const uint8_t *bytes, size_t len)
{
    int error = bytes ? kept_file_replace(f->path, bytes, len) : -ENOMEM;
    kept_file_note(f, error);
    return !error;
}
