/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/socket_side.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* The kernel lets the receive buffer of an unread socket grow with every small segment, up to megabytes, and walks
 * through all of it when it is full. But data that fits into the window already announced must have room. Otherwise it
 * is dropped, and comes again when the sender's timer has expired, seconds after there was room. So the buffer is
 * bounded at twice its size (Linux sets twice the requested value), and not at all where that is not allowed. */
static void bound_buffer(int fd, int most)
{
    int size;
    socklen_t len = sizeof(size);
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len) == 0 && size <= most / 2)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* The kernel sizes the buffer again. */
static void unbound_buffer(int fd)
{
    int nothing = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &nothing, sizeof(nothing));
}

static void mute(struct socket_side *side, struct worker *w)
{
    bound_buffer(side->watch.fd, w->receive_buffer_most);
    side->rx_disabled = true;
    loop_watch_again(&w->loop, &side->watch, EPOLLOUT | EPOLLRDHUP);
}

/* Bytes that came meanwhile are reported at once. */
void socket_side_rx_enable(struct socket_side *side, struct worker *w)
{
    side->rx_disabled = false;
    unbound_buffer(side->watch.fd);
    loop_watch_again(&w->loop, &side->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

void socket_side_note(struct socket_side *side, struct worker *w, uint32_t events, bool held)
{
    if (held && (events & EPOLLIN) && side->readable && !side->rx_disabled &&
        ++side->rx_wakeups == SOCKET_SIDE_RX_WAKEUPS_MOST)
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
