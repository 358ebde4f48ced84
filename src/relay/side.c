/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/side.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* The kernel lets the buffer of a socket that nobody reads grow with every small segment, to megabytes, and goes
 * through all of it when it is full. Linux sets twice what it is told. */
static void freeze_buffer(int fd)
{
    int size;
    socklen_t len = sizeof(size);
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len) < 0)
        return;
    size /= 2;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* Its size is the kernel's again. */
static void thaw_buffer(int fd)
{
    int nothing = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &nothing, sizeof(nothing));
}

static void mute(struct side *side, struct worker *w)
{
    freeze_buffer(side->watch.fd);
    side->muted = true;
    worker_watch_again(w, &side->watch, EPOLLOUT | EPOLLRDHUP);
}

/* What came meanwhile is told at once. */
void side_unmute(struct side *side, struct worker *w)
{
    side->muted = false;
    thaw_buffer(side->watch.fd);
    worker_watch_again(w, &side->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

void side_note(struct side *side, struct worker *w, uint32_t events, bool held)
{
    if (held && (events & EPOLLIN) && side->readable && !side->muted && ++side->knocks == SIDE_KNOCKS_MOST)
        mute(side, w);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        side->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        side->hup = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        side->writable = true;
}
