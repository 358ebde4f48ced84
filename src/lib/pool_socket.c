/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/pool_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int pool_socket_init(struct pool_socket *s, void *socket)
{
    size_t size = sizeof(s->type);
    s->socket = socket;
    if (!socket || zmq_getsockopt(socket, ZMQ_TYPE, &s->type, &size) < 0)
        return -ENOTSOCK;
    switch (s->type) {
    case ZMQ_ROUTER:
    case ZMQ_DEALER:
    case ZMQ_REP:
    case ZMQ_PULL:
    case ZMQ_SUB:
        return 0;
    default:
        return -ENOTSUP;
    }
}

bool pool_socket_replies(const struct pool_socket *s)
{
    return s->type == ZMQ_ROUTER || s->type == ZMQ_DEALER || s->type == ZMQ_REP;
}

/* ---- receiving ---- */

/* Drops what is left of a message. */
static void receive_rest(struct pool_socket *s, bool more)
{
    zmq_msg_t rest;
    zmq_msg_init(&rest);
    while (more && zmq_msg_recv(&rest, s->socket, ZMQ_DONTWAIT) >= 0)
        more = zmq_msg_more(&rest);
    zmq_msg_close(&rest);
}

static int receive_frames(struct pool_socket *s, struct weir_task *t)
{
    for (bool more = true; more;) {
        zmq_msg_t *frame = t->frames.count < s->frames_most ? frames_add(&t->frames) : NULL;
        if (!frame) {
            receive_rest(s, t->frames.count > 0);
            return t->frames.count < s->frames_most ? -ENOMEM : -E2BIG;
        }
        if (zmq_msg_recv(frame, s->socket, ZMQ_DONTWAIT) < 0)
            return zmq_errno() == EINTR ? -EAGAIN : -zmq_errno();
        t->bytes += zmq_msg_size(frame) + TASK_FRAME_BYTES;
        more = zmq_msg_more(frame);
    }
    return 0;
}

/* How many frames there are up to and with the first empty one from `first` on, before the last; 0: there is none. */
static uint32_t up_to_empty(const struct weir_task *t, uint32_t first)
{
    for (uint32_t i = first; i + 1 < t->frames.count; i++)
        if (zmq_msg_size(&t->frames.at[i]) == 0)
            return i + 1;
    return 0;
}

static uint32_t envelope_of(const struct pool_socket *s, const struct weir_task *t)
{
    if (s->type == ZMQ_DEALER)
        return up_to_empty(t, 0);
    if (s->type != ZMQ_ROUTER)
        return 0;
    uint32_t n = up_to_empty(t, 1);
    return n == 2 || (n && s->all_before_empty) ? n : 1;
}

/* A REP has to answer before it receives again. */
static void answer_dropped(struct pool_socket *s)
{
    if (s->type == ZMQ_REP)
        (void)zmq_send(s->socket, s->busy, s->busy_size, ZMQ_DONTWAIT);
}

int pool_socket_receive(struct pool_socket *s, uint64_t now_ns, struct weir_task **ret)
{
    struct weir_task *t = task_new(now_ns);
    int error = t ? receive_frames(s, t) : -EAGAIN; /* without memory the message stays where it is */
    if (error) {
        if (t)
            task_free(t);
        if (error == -E2BIG || error == -ENOMEM)
            answer_dropped(s);
        return error;
    }
    t->envelope = envelope_of(s, t);
    t->reply_most = pool_socket_replies(s) ? s->frames_most : 0;
    *ret = t;
    return 0;
}

/* ---- sources ---- */

/* Copies what is between `from` and `to`, as much as fits. */
static size_t copy_key(char *key, const char *from, const char *to)
{
    size_t size = (size_t)(to - from) < WEIR_POOL_KEY_MAX ? (size_t)(to - from) : WEIR_POOL_KEY_MAX;
    memcpy(key, from, size);
    return size;
}

/* An IPv6 address as its /64: who has one address has as many. */
static size_t key_of_v6(char *key, const char *from, const char *to)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr a;
    if ((size_t)(to - from) < sizeof(text))
        memcpy(text, from, (size_t)(to - from));
    if (inet_pton(AF_INET6, text, &a) != 1)
        return copy_key(key, from, to);
    if (IN6_IS_ADDR_V4MAPPED(&a))
        return inet_ntop(AF_INET, &a.s6_addr[12], key, WEIR_POOL_KEY_MAX) ? strlen(key) : 0;
    memset(&a.s6_addr[8], 0, 8);
    return inet_ntop(AF_INET6, &a, key, WEIR_POOL_KEY_MAX) ? strlen(key) : 0;
}

/* What libzmq says of a peer on ipc: "localhost:UID:GID:PID", or "localhost" alone. */
static bool is_ipc(const char *address)
{
    return strncmp(address, "localhost", 9) == 0;
}

/* The user, as the gate names him: a user has as many processes as he likes. */
static size_t key_of_ipc(char *key, const char *text)
{
    const char *user = text[9] == ':' ? text + 10 : "";
    int size = snprintf(key, WEIR_POOL_KEY_MAX, "uid:%.*s", (int)strcspn(user, ":"), user);
    return (size_t)size < WEIR_POOL_KEY_MAX ? (size_t)size : WEIR_POOL_KEY_MAX - 1;
}

/* "192.0.2.1:40112", "[2001:db8::1]:40112", "uid:1000", and addresses without a port. */
static size_t key_of_address(char *key, const char *text)
{
    const char *end = text + strlen(text), *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    if (is_ipc(text))
        return key_of_ipc(key, text);
    if (*text == '[' && bracket)
        return key_of_v6(key, text + 1, bracket);
    if (!colon || strncmp(text, "uid:", 4) == 0)
        return copy_key(key, text, end);
    return strchr(text, ':') == colon ? copy_key(key, text, colon) : key_of_v6(key, text, end);
}

static bool is_local(const char *address)
{
    return !address || is_ipc(address) || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "::ffff:127.", 11) == 0;
}

/* The client's address, as text; NULL: there is none. A client that reaches the socket past the gate may have written
 * X-Weir-Peer itself. */
static const char *pool_peer_address(const struct pool_socket *s, zmq_msg_t *frame)
{
    const char *direct = zmq_msg_gets(frame, "Peer-Address");
    bool believed =
        s->peer_property == WEIR_POOL_PEER_ALWAYS || (s->peer_property == WEIR_POOL_PEER_LOCAL && is_local(direct));
    const char *told = believed ? zmq_msg_gets(frame, "X-Weir-Peer") : NULL;
    return told ? told : direct;
}

size_t pool_socket_key(struct pool_socket *s, struct weir_task *t, char *key)
{
    const char *address = pool_peer_address(s, &t->frames.at[t->frames.count - 1]);
    if (address && *address)
        return key_of_address(key, address);
    if (s->type != ZMQ_ROUTER)
        return 0;
    const char *id = zmq_msg_data(&t->frames.at[0]);
    return copy_key(key, id, id + zmq_msg_size(&t->frames.at[0]));
}

/* ---- sending ---- */

/* Sends frames, of which the first may find no room. They are consumed, unless it is -EAGAIN. */
static int send_frames(struct pool_socket *s, zmq_msg_t *at, uint32_t count, bool more)
{
    for (uint32_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (more || i + 1 < count ? ZMQ_SNDMORE : 0);
        while (zmq_msg_send(&at[i], s->socket, flags) < 0)
            if (zmq_errno() != EINTR)
                return -zmq_errno();
    }
    return 0;
}

/* A ROUTER or REP drops what a client does not take, and so the pool does: only a DEALER may find room later. */
static int send_reply(struct pool_socket *s, zmq_msg_t *envelope, uint32_t envelope_count, zmq_msg_t *reply,
                      uint32_t count)
{
    int error = send_frames(s, envelope, envelope_count, true);
    if (!error)
        error = send_frames(s, reply, count, false);
    if (error == -EAGAIN && s->type != ZMQ_DEALER)
        error = -EHOSTUNREACH;
    return error ? error : 1;
}

int pool_socket_answer(struct pool_socket *s, struct weir_task *t)
{
    bool shed = t->end != TASK_DONE;
    if (!pool_socket_replies(s))
        return 0;
    if (shed && s->busy && t->reply.count == 0)
        (void)weir_task_reply(t, s->busy, s->busy_size);
    if (t->reply.count == 0 && s->type == ZMQ_REP)
        (void)weir_task_reply(t, NULL, 0);
    if (t->reply.count == 0)
        return 0;
    return send_reply(s, t->frames.at, t->envelope, t->reply.at, t->reply.count);
}

int pool_socket_say_busy(struct pool_socket *s, struct weir_task *t)
{
    struct task_frames copy = {0};
    int error = 0;
    for (uint32_t i = 0; i <= t->envelope && !error; i++) {
        zmq_msg_t *frame = frames_add(&copy);
        if (!frame)
            error = -ENOMEM;
        else if (i < t->envelope)
            error = zmq_msg_copy(frame, &t->frames.at[i]) < 0 ? -zmq_errno() : 0;
        else if (zmq_msg_init_size(frame, s->busy_size) < 0)
            error = -ENOMEM;
        else
            memcpy(zmq_msg_data(frame), s->busy, s->busy_size);
    }
    if (!error)
        error = send_reply(s, copy.at, copy.count - 1, &copy.at[copy.count - 1], 1);
    frames_clear(&copy);
    return error;
}
