/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/side.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* The kernel lets the buffer of a socket that nobody reads grow with every small segment, to megabytes, and goes
 * through all of it when it is full. But what fits into the window that it has announced must have room, or it is
 * thrown away and comes again when the sender's timer has run out, seconds after there was room: so the buffer is
 * bounded at twice its size (Linux sets twice what it is told), and not at all where it may not be as large as that. */
static void bound_buffer(int fd, int most)
{
    int size;
    socklen_t len = sizeof(size);
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len) == 0 && size <= most / 2)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* Its size is the kernel's again. */
static void unbound_buffer(int fd)
{
    int nothing = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &nothing, sizeof(nothing));
}

static void mute(struct side *side, struct worker *w)
{
    bound_buffer(side->watch.fd, w->receive_buffer_most);
    side->muted = true;
    worker_watch_again(w, &side->watch, EPOLLOUT | EPOLLRDHUP);
}

/* What came meanwhile is told at once. */
void side_unmute(struct side *side, struct worker *w)
{
    side->muted = false;
    unbound_buffer(side->watch.fd);
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
    if (events & EPOLLERR)
        side->reset = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        side->writable = true;
}
