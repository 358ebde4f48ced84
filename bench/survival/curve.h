/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keys of the rows that speak CURVE: those of the application, and of all its clients. Everybody may know them: what is
 * replayed in drawn.py was recorded with them.
 */
#ifndef WEIR_BENCH_SURVIVAL_CURVE_H
#define WEIR_BENCH_SURVIVAL_CURVE_H

#include <stdlib.h>
#include <zmq.h>

#define CURVE_APP_PUBLIC    "&HJ7p77qQEBz..G^+G6(}KSVGN=Pl*TCLKcLPjGC"
#define CURVE_APP_SECRET    "xu[1<vhpad1>!rMR-6$HW<4g)@svZU)(5!P3@]u+"
#define CURVE_CLIENT_PUBLIC "{9P}7f3uIEf>99ER=@Cf7&?zh&()s.zNSKesROb3"
#define CURVE_CLIENT_SECRET "8.U[92Ozhavg7*fc/v[TU<!mmm8pl$i2+GN8Owey"

/* The harness says it in the environment. */
static inline bool curve_is_spoken(void)
{
    return getenv("SURVIVAL_CURVE") != NULL;
}

static inline bool curve_serve(void *socket)
{
    int server = 1;
    return !curve_is_spoken() ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof(server)) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, CURVE_APP_SECRET, sizeof(CURVE_APP_SECRET)) == 0);
}

static inline bool curve_ask(void *socket)
{
    return !curve_is_spoken() ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, CURVE_APP_PUBLIC, sizeof(CURVE_APP_PUBLIC)) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, CURVE_CLIENT_PUBLIC, sizeof(CURVE_CLIENT_PUBLIC)) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, CURVE_CLIENT_SECRET, sizeof(CURVE_CLIENT_SECRET)) == 0);
}

#endif
