/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/ungated.h"

#include "preload/preload_say.h"
#include "preload/zmq_api.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* What it does, and what weir serve can do where a program cannot have a gate. */
#define LISTENS "listens without a gate"
#define CAN     LISTENS "; weir serve can stand in front of it"
#define CANNOT  LISTENS "; weir serve cannot shield it either"
#define TCP_CAN LISTENS "; weir serve cannot shield that either, but an endpoint of tcp:// beside it has a gate"

static const struct {
    const char *scheme; /* NULL: it is no matter of the transport */
    const char *why;
    const char *so;
} reasons[UNGATED_COUNT] = {
    [UNGATED_NO_PORT] = {NULL, "no loopback port or name", CAN},
    [UNGATED_NO_WEIR] = {NULL, "Weir is not there any more", LISTENS},
    [UNGATED_NO_TABLE] = {NULL, "no memory, or no descriptor, for the addresses of clients", CAN},
    [UNGATED_STRANGER] = {NULL, "a program of this machine has connected past the gate", "closes such connections"},
    [UNGATED_STREAM] = {NULL, "a ZMQ_STREAM socket speaks no ZMTP", CANNOT},
    [UNGATED_RAW] = {NULL, "a socket with ZMQ_ROUTER_RAW speaks no ZMTP", CANNOT},
    [UNGATED_DRAFT] = {NULL, "its type of socket is a draft", CANNOT},
    [UNGATED_WS] = {"ws://", "ws:// and wss:// are not ZMTP over TCP", TCP_CAN},
    [UNGATED_UDP] = {"udp://", "udp:// has no connections", CANNOT},
    [UNGATED_PGM] = {"pgm://", "pgm:// has no connections", TCP_CAN},
    [UNGATED_EPGM] = {"epgm://", "epgm:// has no connections", TCP_CAN},
    [UNGATED_NORM] = {"norm://", "norm:// has no connections", TCP_CAN},
    [UNGATED_VMCI] = {"vmci://", "vmci:// is not TCP", TCP_CAN},
    [UNGATED_TIPC] = {"tipc://", "tipc:// is not TCP", TCP_CAN},
};

static bool ungated_begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

enum ungated ungated_why(int type, const char *endpoint)
{
    if (!endpoint)
        return UNGATED_NOTHING; /* zmq_bind() has said so */
    if (ungated_begins(endpoint, "wss://"))
        return UNGATED_WS;
    for (unsigned i = 0; i < UNGATED_COUNT; i++)
        if (reasons[i].scheme && ungated_begins(endpoint, reasons[i].scheme))
            return (enum ungated)i;
    return type == API_STREAM ? UNGATED_STREAM : type > API_STREAM ? UNGATED_DRAFT : UNGATED_NOTHING;
}

void ungated_say(enum ungated why)
{
    static _Atomic bool said[UNGATED_COUNT];
    if (why != UNGATED_NOTHING)
        preload_say_once(&said[why], "%s: process %d %s", reasons[why].why, (int)getpid(), reasons[why].so);
}
