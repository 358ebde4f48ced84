/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libweir: the application's side. What an application of ZeroMQ needs so that it does not fall over by itself, with a
 * gate in front of it or without one. See weir(3), and the headers of the parts.
 */
#ifndef WEIR_H
#define WEIR_H

#include <weir/backpressure.h>
#include <weir/base.h>
#include <weir/breaker.h>
#include <weir/counter.h>
#include <weir/gate.h>
#include <weir/meter.h>
#include <weir/once.h>
#include <weir/pool.h>

#endif
