/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The process's own resource usage, from /proc.
 *
 * The files are opened once and read again each time, so that this works in a sandbox and when no descriptor is left.
 * Holds two descriptors. One thread at a time.
 */
#ifndef WEIR_ADMIN_PROCESS_H
#define WEIR_ADMIN_PROCESS_H

#include <dirent.h>
#include <stdint.h>

struct process {
    int statm;
    DIR *fds;
    uint64_t start_time_ns;
};

/* 0: not known. */
struct process_reading {
    uint64_t start_time_ns; /* since the Unix epoch */
    uint64_t cpu_ns;
    uint64_t resident_bytes;
    uint64_t open_fds;
};

/* Where /proc is not mounted the readings that need it stay 0. */
void process_open(struct process *p);
void process_read(const struct process *p, struct process_reading *ret);
void process_close(struct process *p);

#endif
