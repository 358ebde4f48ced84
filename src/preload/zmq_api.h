/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the preload object knows of libzmq's interface (3.2 to 4.3). libzmq's own header is not used: the object must
 * not depend on one libzmq, and drafts are missing in many.
 */
#ifndef WEIR_PRELOAD_ZMQ_API_H
#define WEIR_PRELOAD_ZMQ_API_H

#include <signal.h>
#include <stddef.h>

/* Values of zmq.h under names of our own. */
#define API_TYPE            16
#define API_RCVMORE         13
#define API_FD              14
#define API_EVENTS          15
#define API_SNDHWM          23
#define API_RCVHWM          24
#define API_LAST_ENDPOINT   32
#define API_ROUTER_RAW      41
#define API_ROUTER_HANDOVER 56
#define API_POLLIN          1
#define API_DONTWAIT        1

#define API_HWM_DEFAULT 1000

enum api_type { API_PUB = 1, API_SUB = 2, API_PULL = 7, API_PUSH = 8, API_XPUB = 9, API_XSUB = 10, API_STREAM = 11 };

#define API_MSG_BYTES 64 /* of zmq_msg_t (4.3); 32 in 3.2 */
#define API_MSG_WORDS 16 /* room for it */

/* zmq_pollitem_t */
struct zmq_item {
    void *socket;
    int fd;
    short events, revents;
};

/* zmq_poller_event_t */
struct zmq_event {
    void *socket;
    int fd;
    void *user_data;
    short events;
};

struct iovec;

/* result, name without zmq_, arguments */
#define ZMQ_FUNCTIONS(X)                                                                                               \
    X(int, bind, (void *socket, const char *endpoint))                                                                 \
    X(int, unbind, (void *socket, const char *endpoint))                                                               \
    X(int, close, (void *socket))                                                                                      \
    X(int, getsockopt, (void *socket, int option, void *value, size_t *bytes))                                         \
    X(int, setsockopt, (void *socket, int option, const void *value, size_t bytes))                                    \
    X(void, version, (int *major, int *minor, int *patch))                                                             \
    X(int, recv, (void *socket, void *buffer, size_t bytes, int flags))                                                \
    X(int, recvmsg, (void *socket, void *msg, int flags))                                                              \
    X(int, recviov, (void *socket, struct iovec *parts, size_t *count, int flags))                                     \
    X(int, msg_init, (void *msg))                                                                                      \
    X(int, msg_recv, (void *msg, void *socket, int flags))                                                             \
    X(int, msg_more, (const void *msg))                                                                                \
    X(void *, msg_data, (void *msg))                                                                                   \
    X(int, msg_close, (void *msg))                                                                                     \
    X(int, poll, (struct zmq_item * items, int count, long timeout_ms))                                                \
    X(int, ppoll, (struct zmq_item * items, int count, long timeout_ms, const sigset_t *mask))                         \
    X(int, poller_destroy, (void **poller))                                                                            \
    X(int, poller_add, (void *poller, void *socket, void *user_data, short events))                                    \
    X(int, poller_modify, (void *poller, void *socket, short events))                                                  \
    X(int, poller_remove, (void *poller, void *socket))                                                                \
    X(int, poller_wait, (void *poller, struct zmq_event *event, long timeout_ms))                                      \
    X(int, poller_wait_all, (void *poller, struct zmq_event *events, int count, long timeout_ms))                      \
    X(int, proxy, (void *frontend, void *backend, void *capture))                                                      \
    X(int, proxy_steerable, (void *frontend, void *backend, void *capture, void *control))                             \
    X(int, device, (int type, void *frontend, void *backend))

#endif
