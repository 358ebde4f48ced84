/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/token.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "Bearer "

bool token_is_fit(const char *text, size_t len)
{
    if (len < TOKEN_BYTES_MIN || len > TOKEN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

/* Not NUL-terminated. Reads as much as a token and its line end can be, and one byte more. Returns the length or
 * -errno. */
static ssize_t token_read_bytes(int fd, char *bytes, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t n = read(fd, bytes + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static bool is_credential(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t len = folder ? strlen(folder) : 0;
    return len && strncmp(path, folder, len) == 0 && path[len] == '/';
}

static int refuse_mode(int fd, const char *path, char *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        snprintf(why, TOKEN_WHY_MAX, "token file %s cannot be read: %s", path, strerror(errno));
        return -EINVAL;
    }
    if (!S_ISREG(st.st_mode)) {
        snprintf(why, TOKEN_WHY_MAX, "token file %s is not a file", path);
        return -EINVAL;
    }
    if (st.st_mode & (is_credential(path) ? 037 : 077)) {
        snprintf(why, TOKEN_WHY_MAX, "token file %s is open to others: its mode is %04o, allowed 0600 (chmod 600 %s)",
                 path, (unsigned)(st.st_mode & 07777), path);
        return -EINVAL;
    }
    return 0;
}

/* One line, with or without its line end. Returns the length of the token, or 0 when it is not a valid line. */
static size_t length_of_line(const char *bytes, size_t len)
{
    if (len && bytes[len - 1] == '\n')
        len--;
    if (len && bytes[len - 1] == '\r')
        len--;
    return token_is_fit(bytes, len) ? len : 0;
}

int token_read(const char *path, char ret[static TOKEN_TEXT_MAX], char why[static TOKEN_WHY_MAX])
{
    char bytes[TOKEN_BYTES_MAX + 3];
    /* Does not wait for a writer of a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        snprintf(why, TOKEN_WHY_MAX, "token file %s cannot be read: %s", path, strerror(errno));
        return -EINVAL;
    }
    int error = refuse_mode(fd, path, why);
    ssize_t len = error ? 0 : token_read_bytes(fd, bytes, sizeof(bytes));
    close(fd);
    if (error)
        return error;
    size_t token = len > 0 ? length_of_line(bytes, (size_t)len) : 0;
    if (len < 0)
        snprintf(why, TOKEN_WHY_MAX, "token file %s cannot be read: %s", path, strerror((int)-len));
    else if (!token)
        snprintf(why, TOKEN_WHY_MAX,
                 "token file %s holds no token: %s, allowed one line of %u to %u printable characters without spaces "
                 "(openssl rand -hex 32 makes one)",
                 path, len == 0 ? "it is empty" : "its line is too short or too long, or there is more than that",
                 TOKEN_BYTES_MIN, TOKEN_BYTES_MAX);
    if (token) {
        memcpy(ret, bytes, token);
        ret[token] = '\0';
    }
    sodium_memzero(bytes, sizeof(bytes));
    return token ? 0 : -EINVAL;
}

struct token_hash token_hash(const char *text, size_t len)
{
    struct token_hash h;
    crypto_generichash(h.bytes, sizeof(h.bytes), (const unsigned char *)text, len, NULL, 0);
    return h;
}

bool token_hash_equal(const struct token_hash *a, const struct token_hash *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void token_forget(char text[static TOKEN_TEXT_MAX])
{
    sodium_memzero(text, TOKEN_TEXT_MAX);
}

const char *token_of_header(const char *value, size_t *ret_len)
{
    if (strncasecmp(value, SCHEME, sizeof(SCHEME) - 1) != 0)
        return NULL;
    value += sizeof(SCHEME) - 1;
    *ret_len = strlen(value);
    return value;
}
