/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_meter: what one stage of an application does, in numbers: how much waits in front of it, how long that waited,
 * how long the work took, and how it ended. weir_meter_text() writes the numbers of all stages as OpenMetrics text,
 * which Prometheus reads. The application serves it where it serves its other metrics; Weir's admin address does not
 * pass it on. weir_pool fills in the meter that it is given.
 *
 *     weir_meter_queue(meter, +1);                                    // something waits
 *     weir_meter_queue(meter, -1);                                    // it is taken
 *     weir_meter_note(meter, WEIR_OK, waited_ns, took_ns);            // it is done
 *
 *   family                          labels          what
 *   weir_stage_queue                stage           messages that wait now
 *   weir_stage_queue_max            stage           the most that have waited since it was made
 *   weir_stage_work_total           stage, outcome  pieces of work that have ended: ok, failed, ignored, shed
 *   weir_stage_wait_seconds         stage           histogram: how long they waited
 *   weir_stage_service_seconds      stage           histogram: how long the work took; without what was shed
 *
 * Threads: any, at any time; no lock. A text that is written while numbers change may have them from different moments.
 * Memory: 550 bytes; nothing grows. The histograms have 25 buckets, from 1 us to 100 s, three for each factor of ten.
 */
#ifndef WEIR_METER_H
#define WEIR_METER_H

#include <weir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_METER_NAME_MAX     63u
#define WEIR_METER_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct weir_meter;

enum weir_meter_time { WEIR_METER_WAIT = 0, WEIR_METER_SERVICE = 1 };

struct weir_meter_stats {
    size_t size;
    int64_t queue; /* now */
    int64_t queue_max;
    uint64_t ok, failed, ignored, shed; /* since it was made */
    uint64_t wait_ns, service_ns;       /* sums */
};

/* `name` is the value of the label `stage`: 1 to WEIR_METER_NAME_MAX bytes. NULL: EINVAL, ENOMEM. */
WEIR_MUST_USE struct weir_meter *weir_meter_new(const char *name);
void weir_meter_free(struct weir_meter *m);

/* What waits becomes more or less. */
void weir_meter_queue(struct weir_meter *m, int64_t change);

/* A piece of work has ended, or was shed before it began. */
void weir_meter_note(struct weir_meter *m, enum weir_outcome outcome, uint64_t waited_ns, uint64_t took_ns);
void weir_meter_shed(struct weir_meter *m, uint64_t waited_ns);

/* 0; -EINVAL: ret->size is not known. */
int weir_meter_read(const struct weir_meter *m, struct weir_meter_stats *ret);

/* The time within which `share` (0 to 1) of all work so far waited or was done, interpolated within its bucket, as
 * Prometheus does; 0: there was none. */
uint64_t weir_meter_quantile_ns(const struct weir_meter *m, enum weir_meter_time which, double share);

/* Writes the text of `count` meters, with "# EOF" at its end, to `buffer`. *ret_size is its size without the NUL that
 * follows it. 0; -ENOSPC: `size` is too small, and *ret_size is what is needed without the NUL (`buffer` may be NULL
 * with a size of 0); -ENOMEM. Some 4 KiB for each meter. */
int weir_meter_text(const struct weir_meter *const *meters, size_t count, char *buffer, size_t size, size_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
