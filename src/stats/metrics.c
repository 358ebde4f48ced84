/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/metrics.h"

static const struct metric_info cells[CELL_COUNT] = {
#define CELL_INFO(NAME, metric, type, labels, help) [CELL_##NAME] = {metric, "gate", labels, help, type},
    METRIC_CELLS(CELL_INFO)
#undef CELL_INFO
};

static const struct metric_info readings[READING_COUNT] = {
#define READING_INFO(NAME, metric, type, names, help) [READING_##NAME] = {metric, names, "", help, type},
    METRIC_READINGS(READING_INFO)
#undef READING_INFO
};

const struct metric_info *metric_cell_info(enum metric_cell c)
{
    return &cells[c];
}

const struct metric_info *metric_reading_info(enum metric_reading r)
{
    return &readings[r];
}

const char *metric_type_name(enum metric_type t)
{
    return t == METRIC_COUNTER ? "counter" : "gauge";
}
