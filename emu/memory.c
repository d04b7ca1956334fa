/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/memory_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "emu/base/ensure.h"

/* Linux 6.7's ioctl, for hosts with older headers; include/uapi/linux/fs.h, "PAGEMAP_SCAN". */
struct pagemap_region {
    uint64_t start, end, categories;
};
struct pagemap_scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_IOCTL   _IOWR('f', 16, struct pagemap_scan)
#define PAGEMAP_PROTECT      1u
#define PAGEMAP_PAGE_WRITTEN (1u << 1)
#define PAGEMAP_PAGE_FILE    (1u << 2)
#define PAGEMAP_PAGE_PRESENT (1u << 3)
#define PAGEMAP_PAGE_SWAPPED (1u << 4)
#define PAGEMAP_REGIONS      512

#define PAGEMAP_ENTRY_PRESENT (1ull << 63)
#define PAGEMAP_ENTRY_SWAPPED (1ull << 62)
#define PAGEMAP_ENTRY_FILE    (1ull << 61)

uint64_t memory_page_index(const struct memory *mem, uint64_t ppn)
{
    uint64_t low_pages = mem->range[0].bytes >> PAGE_SHIFT;

    if (ppn < low_pages)
        return ppn;
    return low_pages + (ppn - (MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT));
}

uint64_t memory_page_number(const struct memory *mem, uint64_t index)
{
    uint64_t low_pages = mem->range[0].bytes >> PAGE_SHIFT;

    return index < low_pages ? index : index - low_pages + (MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT);
}

enum emu_err memory_new(uint64_t ram_bytes, struct memory **out, struct diag *d)
{
    return memory_new_with_area(ram_bytes, 0, out, d);
}

void *memory_area(struct memory *mem)
{
    return mem->range[0].host + mem->ram_bytes;
}

enum emu_err memory_new_with_area(uint64_t ram_bytes, uint64_t area_bytes, struct memory **out, struct diag *d)
{
    struct memory *mem = calloc(1, sizeof(*mem));
    uint8_t *host;

    if (!mem)
        return diag_no_memory(d);
    mem->ram_bytes = ram_bytes;
    mem->mapped_bytes = ram_bytes + ((area_bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1));
    mem->pages = mem->mapped_bytes >> PAGE_SHIFT;
    mem->pagemap = -1;
    mem->open.userfault = -1;
    mem->ours = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem->ours == MAP_FAILED) {
        mem->ours = NULL;
    } else {
        (void)madvise(mem->ours, PAGE_BYTES, MADV_WIPEONFORK);
        *mem->ours = 1;
    }
    mem->fd = memfd_create("guest-ram", MFD_CLOEXEC);
    if (mem->fd < 0 || ftruncate(mem->fd, (off_t)mem->mapped_bytes) < 0) {
        memory_free(mem);
        return diag_set(d, EMU_EHOST, "the host can't reserve %" PRIu64 " MiB for the guest's memory",
                        (ram_bytes >> 20));
    }
    host = mmap(NULL, mem->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, mem->fd, 0);
    mem->range[0].host = host == MAP_FAILED ? NULL : host; /* from here on memory_free() takes it back */
    mem->code = calloc((mem->pages + 7) / 8, 1);
    mem->stale = calloc((mem->pages + 7) / 8, 1);
    mem->stale_page = calloc(mem->pages, sizeof(*mem->stale_page));
    mem->written = calloc(mem->pages, sizeof(*mem->written));
    mem->open.page = calloc(mem->pages, sizeof(*mem->open.page));
    mem->open.is = calloc((mem->pages + 7) / 8, 1);
    mem->base_page_digest = calloc(mem->pages, sizeof(*mem->base_page_digest));
    mem->base_page_known = calloc((mem->pages + 7) / 8, 1);
    mem->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (!mem->range[0].host || !mem->ours || !mem->code || !mem->stale || !mem->stale_page || !mem->written ||
        !mem->open.page || !mem->open.is || !mem->base_page_digest || !mem->base_page_known) {
        memory_free(mem);
        return diag_set(d, EMU_EHOST, "the host can't map %" PRIu64 " MiB for the guest's memory", ram_bytes >> 20);
    }
    mem->range[0].bytes = ram_bytes < MEMORY_LOW_RAM_END_GPA ? ram_bytes : MEMORY_LOW_RAM_END_GPA;
    if (ram_bytes > MEMORY_LOW_RAM_END_GPA) {
        mem->range[1].gpa = MEMORY_HIGH_RAM_GPA;
        mem->range[1].bytes = ram_bytes - MEMORY_LOW_RAM_END_GPA;
        mem->range[1].host = host + MEMORY_LOW_RAM_END_GPA;
    }
    *out = mem;
    return EMU_OK;
}

enum emu_err memory_forked(struct memory *mem, struct diag *d)
{
    if (mem->open.userfault >= 0)
        close(mem->open.userfault);
    mem->open.userfault = -1;
    mem->open.forked = true;
    *mem->ours = 1;
    if (mem->pagemap < 0)
        return EMU_OK;
    close(mem->pagemap);
    mem->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return mem->pagemap >= 0 ? EMU_OK : diag_set(d, EMU_EHOST, "the host does not open /proc/self/pagemap in a child");
}

void memory_free(struct memory *mem)
{
    if (!mem)
        return;
    if (mem->ours)
        munmap(mem->ours, PAGE_BYTES);
    if (mem->range[0].host)
        munmap(mem->range[0].host, mem->mapped_bytes);
    if (mem->fd >= 0)
        close(mem->fd);
    if (mem->base)
        munmap(mem->base, mem->mapped_bytes);
    if (mem->pagemap >= 0)
        close(mem->pagemap);
    if (mem->open.userfault >= 0)
        close(mem->open.userfault);
    free(mem->code);
    free(mem->stale);
    free(mem->stale_page);
    free(mem->written);
    free(mem->open.page);
    free(mem->open.is);
    free(mem->base_page_digest);
    free(mem->base_page_known);
    free(mem);
}

uint64_t memory_ram_bytes(const struct memory *mem)
{
    return mem->ram_bytes;
}

struct memory_range memory_range(const struct memory *mem, unsigned index)
{
    ensure(index < 2);
    return mem->range[index];
}

/* The host's view of [gpa, gpa + bytes), NULL if it is not all in one RAM range. */
static uint8_t *find_host(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct memory_range *r = &mem->range[i];

        if (gpa >= r->gpa && gpa - r->gpa < r->bytes && bytes <= r->bytes - (gpa - r->gpa))
            return r->host + (gpa - r->gpa);
    }
    return NULL;
}

/* The first hole that ends behind `gpa`, or hole_count. */
static unsigned find_hole(const struct memory *mem, uint64_t gpa)
{
    unsigned low = 0, high = mem->hole_count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (mem->hole[middle].gpa + mem->hole[middle].bytes <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool touches_hole(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    unsigned i = mem->hole_count ? find_hole(mem, gpa) : 0;

    return i < mem->hole_count && bytes && mem->hole[i].gpa < gpa + bytes;
}

bool memory_is_hole(const struct memory *mem, uint64_t gpa)
{
    return touches_hole(mem, gpa, 1);
}

void memory_set_holes(struct memory *mem, const struct memory_hole *hole, unsigned count)
{
    ensure(count <= MEMORY_HOLES_MAX);
    if (count == mem->hole_count && (!count || !memcmp(hole, mem->hole, count * sizeof(*hole))))
        return;
    if (count)
        memcpy(mem->hole, hole, count * sizeof(*hole));
    mem->hole_count = count;
    mem->holes_changed = true;
}

const struct memory_hole *memory_holes(const struct memory *mem, unsigned *count)
{
    *count = mem->hole_count;
    return mem->hole;
}

bool memory_pop_holes_changed(struct memory *mem)
{
    bool changed = mem->holes_changed;

    mem->holes_changed = false;
    return changed;
}

/* The same for what is to be accessed as memory: no holes. */
static uint8_t *find_ram(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    uint8_t *host = find_host(mem, gpa, bytes);

    return host && !touches_hole(mem, gpa, bytes) ? host : NULL;
}

bool memory_is_ram(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    return find_ram(mem, gpa, bytes) != NULL;
}

void memory_mark_stale(struct memory *mem, uint64_t index)
{
    uint8_t bit = (uint8_t)(1u << (index & 7));

    if ((mem->code[index >> 3] & bit) && !(mem->stale[index >> 3] & bit)) {
        mem->stale[index >> 3] |= bit;
        mem->stale_page[mem->stale_count++] = index;
    }
}

static void mark_written(struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    if (!bytes)
        return;
    for (uint64_t ppn = gpa >> PAGE_SHIFT; ppn <= (gpa + bytes - 1) >> PAGE_SHIFT; ppn++)
        memory_mark_stale(mem, memory_page_index(mem, ppn));
}

bool memory_peek(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes)
{
    const uint8_t *host = find_host(mem, gpa, bytes);

    if (!host)
        return false;
    memcpy(dst, host, bytes);
    return true;
}

void memory_watch(struct memory *mem, memory_watch_fn *fn, void *context)
{
    mem->watch = fn;
    mem->watch_context = context;
}

bool memory_read(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes)
{
    if (mem->watch)
        mem->watch(mem->watch_context, false, gpa, bytes);
    return !touches_hole(mem, gpa, bytes) && memory_peek(mem, gpa, dst, bytes);
}

bool memory_write(struct memory *mem, uint64_t gpa, const void *src, size_t bytes)
{
    uint8_t *host = find_ram(mem, gpa, bytes);

    if (!host)
        return false;
    if (mem->watch)
        mem->watch(mem->watch_context, true, gpa, bytes);
    memcpy(host, src, bytes);
    mark_written(mem, gpa, bytes);
    return true;
}

bool memory_fill(struct memory *mem, uint64_t gpa, uint8_t byte, size_t bytes)
{
    uint8_t *host = find_ram(mem, gpa, bytes);

    if (!host)
        return false;
    if (mem->watch)
        mem->watch(mem->watch_context, true, gpa, bytes);
    memset(host, byte, bytes);
    mark_written(mem, gpa, bytes);
    return true;
}

void memory_set_code(struct memory *mem, uint64_t ppn)
{
    uint64_t i;

    if (!memory_is_ram(mem, ppn << PAGE_SHIFT, PAGE_BYTES))
        return;
    i = memory_page_index(mem, ppn);

    mem->code[i >> 3] |= (uint8_t)(1u << (i & 7));
}

bool memory_pop_stale(struct memory *mem, uint64_t *ppn)
{
    uint64_t index;

    if (!mem->stale_count)
        return false;
    index = mem->stale_page[--mem->stale_count];
    mem->stale[index >> 3] &= (uint8_t)~(1u << (index & 7));
    *ppn = memory_page_number(mem, index);
    return true;
}

/* ---- which pages were written ---- */

/* A child that has not said machine_forked() would be told its parent's pages, and go back to what it never was. */
static void check_process(const struct memory *mem)
{
    ensure(*mem->ours);
}

/* The pages of the private mapping that are not the memfd's; with `unprotected` only those that are not protected. */
static bool scan(struct memory *mem, bool unprotected, bool protect, uint64_t *list, uint64_t *count)
{
    struct pagemap_region region[PAGEMAP_REGIONS];
    uint64_t first = (uintptr_t)mem->range[0].host, end = first + mem->mapped_bytes;
    struct pagemap_scan scan = {
        .size = sizeof(scan),
        .flags = protect ? PAGEMAP_PROTECT : 0,
        .start = first,
        .end = end,
        .vec = (uintptr_t)region,
        .vec_len = PAGEMAP_REGIONS,
        .category_inverted = PAGEMAP_PAGE_FILE,
        .category_mask = PAGEMAP_PAGE_FILE | (unprotected ? PAGEMAP_PAGE_WRITTEN : 0),
        .category_anyof_mask = PAGEMAP_PAGE_PRESENT | PAGEMAP_PAGE_SWAPPED,
        .return_mask = PAGEMAP_PAGE_PRESENT,
    };

    check_process(mem);
    *count = 0;
    while (scan.start < end) {
        int n = ioctl(mem->pagemap, PAGEMAP_SCAN_IOCTL, &scan);

        if (n < 0)
            return false;
        for (int i = 0; i < n; i++)
            for (uint64_t at = region[i].start; at < region[i].end; at += PAGE_BYTES)
                list[(*count)++] = (at - first) >> PAGE_SHIFT;
        scan.start = scan.walk_end;
    }
    return true;
}

bool memory_scan_open(struct memory *mem, bool protect, uint64_t *list, uint64_t *count)
{
    return !mem->no_scan && mem->pagemap >= 0 && scan(mem, true, protect, list, count);
}

static void find_by_pagemap(struct memory *mem)
{
    enum { CHUNK = 4096 };
    uint64_t entry[CHUNK];

    check_process(mem);
    mem->written_count = 0;
    for (uint64_t first = 0; first < mem->pages; first += CHUNK) {
        uint64_t n = mem->pages - first < CHUNK ? mem->pages - first : CHUNK;
        off_t at = (off_t)(((uintptr_t)memory_page_host(mem, first) >> PAGE_SHIFT) * sizeof(entry[0]));
        bool known = mem->pagemap >= 0 &&
                     pread(mem->pagemap, entry, n * sizeof(entry[0]), at) == (ssize_t)(n * sizeof(entry[0]));

        for (uint64_t i = 0; i < n; i++)
            if (!known ||
                ((entry[i] & (PAGEMAP_ENTRY_PRESENT | PAGEMAP_ENTRY_SWAPPED)) && !(entry[i] & PAGEMAP_ENTRY_FILE)))
                mem->written[mem->written_count++] = first + i;
    }
}

void memory_find_written(struct memory *mem)
{
    if (!mem->no_scan && mem->pagemap >= 0 && scan(mem, false, false, mem->written, &mem->written_count))
        return;
    mem->no_scan = true;
    find_by_pagemap(mem);
}

/* ---- digest ---- */

static bool page_is_zero(const uint8_t *content)
{
    const uint64_t *w = (const uint64_t *)(const void *)content;

    for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
        if (w[i])
            return false;
    return true;
}

uint64_t memory_page_digest(const struct memory *mem, uint64_t index, const uint8_t *content)
{
    return page_is_zero(content) ? 0 : XXH3_64bits_withSeed(content, PAGE_BYTES, memory_page_number(mem, index));
}

static uint64_t base_page_digest(struct memory *mem, uint64_t index)
{
    uint8_t bit = (uint8_t)(1u << (index & 7));

    if (!mem->base)
        return 0;
    if (!(mem->base_page_known[index >> 3] & bit)) {
        mem->base_page_known[index >> 3] |= bit;
        mem->base_page_digest[index] = memory_page_digest(mem, index, mem->base + (index << PAGE_SHIFT));
    }
    return mem->base_page_digest[index];
}

/* The sum over all pages: that of the base, corrected for the pages written since. */
uint64_t memory_digest(struct memory *mem)
{
    uint64_t sum = mem->base_digest;

    memory_find_written(mem);
    for (uint64_t i = 0; i < mem->written_count; i++) {
        uint64_t index = mem->written[i];

        sum += memory_page_digest(mem, index, memory_page_host(mem, index)) - base_page_digest(mem, index);
    }
    return sum;
}
