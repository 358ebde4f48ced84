/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/sizing.h"

#include <sched.h>

#define KEPT (1 - 1.0 / 256) /* of the sums, with each task */

void sizing_note(struct sizing *s, uint64_t took_ns, uint64_t cpu_ns)
{
    s->took_ns = s->took_ns * KEPT + (double)took_ns;
    s->cpu_ns = s->cpu_ns * KEPT + (double)cpu_ns;
}

uint32_t sizing_wanted(const struct sizing *s)
{
    double wanted = s->cores;
    if (s->took_ns > 0)
        wanted = s->cpu_ns * s->max > s->took_ns ? s->cores * s->took_ns / s->cpu_ns : s->max;
    if (wanted <= s->min)
        return s->min;
    return wanted < s->max ? (uint32_t)(wanted + 0.5) : s->max;
}

bool sizing_grows(struct sizing *s, uint32_t workers, uint64_t now_ns)
{
    if (workers >= sizing_wanted(s) || now_ns - s->grown_ns < SIZING_STEP_NS)
        return false;
    s->grown_ns = now_ns;
    return true;
}

uint32_t sizing_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}
