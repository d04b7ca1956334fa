/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/host_time.h"

#include <time.h>

double host_time_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
