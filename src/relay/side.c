/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/side.h"

#include <sys/epoll.h>

static void mute(struct side *side, struct worker *w)
{
    side->muted = true;
    worker_watch_again(w, &side->watch, EPOLLOUT | EPOLLRDHUP);
}

/* What came meanwhile is told at once. */
void side_unmute(struct side *side, struct worker *w)
{
    side->muted = false;
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
