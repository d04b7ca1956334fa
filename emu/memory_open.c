/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/memory_state.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.7, for hosts with older headers; include/uapi/linux/userfaultfd.h. */
#define FEATURE_WP_ASYNC (1u << 15)
#define MODE_USER_ONLY   1
#define IDLE_MAX         16384u /* some milliseconds of comparing for nothing */

static uint64_t count_faults(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_THREAD, &u) < 0)
        return UINT64_MAX;
    return (uint64_t)u.ru_minflt + (uint64_t)u.ru_majflt;
}

/* Let the host protect pages of RAM against unnoticed writing. What it refuses is no error. */
static void register_memory(struct memory *mem)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC};
    struct uffdio_register all = {.range = {(uintptr_t)mem->range[0].host, mem->mapped_bytes},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
    long fd;

    if (mem->open.userfault >= 0)
        close(mem->open.userfault);
    mem->open.userfault = -1;
    if (mem->no_scan || mem->pagemap < 0)
        return;
    fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | MODE_USER_ONLY);
    if (fd < 0)
        return;
    if (ioctl((int)fd, UFFDIO_API, &api) < 0 || ioctl((int)fd, UFFDIO_REGISTER, &all) < 0) {
        close((int)fd);
        return;
    }
    mem->open.userfault = (int)fd;
}

void memory_add_open(struct memory *mem, uint64_t index)
{
    uint8_t bit = (uint8_t)(1u << (index & 7));

    if (mem->open.is[index >> 3] & bit)
        return;
    mem->open.is[index >> 3] |= bit;
    mem->open.page[mem->open.count++] = index;
}

static void empty(struct memory *mem)
{
    for (uint64_t i = 0; i < mem->open.count; i++)
        mem->open.is[mem->open.page[i] >> 3] = 0;
    mem->open.count = 0;
    mem->open.idle = 0;
}

void memory_find_open(struct memory *mem)
{
    uint64_t count = 0;

    if (!mem->open.forked && mem->open.known && mem->open.faults == count_faults() && mem->open.faults != UINT64_MAX)
        return;
    if (mem->open.forked) { /* nothing is protected any more */
        mem->open.forked = mem->open.known = false;
        register_memory(mem);
    }
    if (memory_scan_open(mem, false, mem->written, &count)) {
        for (uint64_t i = 0; i < count; i++)
            memory_add_open(mem, mem->written[i]);
    } else {
        memory_find_written(mem);
        for (uint64_t i = 0; i < mem->written_count; i++)
            memory_add_open(mem, mem->written[i]);
    }
    mem->open.known = true;
    mem->open.faults = count_faults();
}

void memory_settle_open(struct memory *mem)
{
    uint64_t count;

    if (mem->open.idle > IDLE_MAX && mem->open.userfault >= 0 && memory_scan_open(mem, true, mem->written, &count))
        empty(mem);
    mem->open.faults = count_faults();
}

void memory_reset_open(struct memory *mem)
{
    mem->open.forked = false;
    if (mem->open.userfault < 0)
        register_memory(mem);
    empty(mem);
    mem->open.known = true;
    mem->open.faults = count_faults();
}
