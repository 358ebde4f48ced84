/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What has no gate in a program under `weir run`: transports and types of sockets that Weir cannot shield, mishaps, and
 * connections that others make past the gate. The program goes on without, and a line on standard error says so, once
 * for each reason and process.
 */
#ifndef WEIR_PRELOAD_UNGATED_H
#define WEIR_PRELOAD_UNGATED_H

enum ungated {
    UNGATED_NOTHING,
    UNGATED_NO_PORT,
    UNGATED_NO_WEIR,
    UNGATED_NO_TABLE,
    UNGATED_STRANGER,
    /* of these the listener on TCP says it, so not if it was named by --leave */
    UNGATED_STREAM,
    UNGATED_RAW,
    UNGATED_DRAFT,
    UNGATED_WS,
    /* these do not listen on TCP */
    UNGATED_UDP,
    UNGATED_PGM,
    UNGATED_EPGM,
    UNGATED_NORM,
    UNGATED_VMCI,
    UNGATED_TIPC,
    UNGATED_COUNT
};

/* Why a socket of this type (ZMQ_TYPE; -1: not known) has no gate at this endpoint. UNGATED_NOTHING: it may have one,
 * or nobody expects one (inproc, ipc). */
enum ungated ungated_why(int type, const char *endpoint);

/* errno stays. */
void ungated_say(enum ungated why);

#endif
