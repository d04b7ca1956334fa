#include "emu/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "emu/ensure.h"

struct memory {
    uint64_t ram_bytes;
    struct memory_range range[2];
    int fd;         /* the RAM's memfd */
    uint8_t *code;  /* one bit a page: translated code comes from it */
    uint8_t *stale; /* one bit a page: the host wrote a code page */
    uint64_t stale_count;
    uint64_t stale_cursor; /* where memory_pop_stale() looks next */
    uint64_t pages;
};

static uint64_t page_index(const struct memory *mem, uint64_t ppn)
{
    uint64_t low_pages = mem->range[0].bytes >> PAGE_SHIFT;

    if (ppn < low_pages)
        return ppn;
    return low_pages + (ppn - (MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT));
}

static uint64_t page_number(const struct memory *mem, uint64_t index)
{
    uint64_t low_pages = mem->range[0].bytes >> PAGE_SHIFT;

    return index < low_pages ? index : index - low_pages + (MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT);
}

enum emu_err memory_new(uint64_t ram_bytes, struct memory **out, struct diag *d)
{
    struct memory *mem = calloc(1, sizeof(*mem));
    uint8_t *host;

    if (!mem)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    mem->ram_bytes = ram_bytes;
    mem->pages = ram_bytes >> PAGE_SHIFT;
    mem->fd = memfd_create("guest-ram", MFD_CLOEXEC);
    if (mem->fd < 0 || ftruncate(mem->fd, (off_t)ram_bytes) < 0) {
        memory_free(mem);
        return diag_set(d, EMU_EHOST, "the host can't reserve %llu MiB for the guest's memory",
                        (unsigned long long)(ram_bytes >> 20));
    }
    host = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, mem->fd, 0);
    mem->code = calloc((mem->pages + 7) / 8, 1);
    mem->stale = calloc((mem->pages + 7) / 8, 1);
    if (host == MAP_FAILED || !mem->code || !mem->stale) {
        memory_free(mem);
        return diag_set(d, EMU_EHOST, "the host can't map %llu MiB for the guest's memory",
                        (unsigned long long)(ram_bytes >> 20));
    }
    mem->range[0].host = host;
    mem->range[0].bytes = ram_bytes < MEMORY_LOW_RAM_END_GPA ? ram_bytes : MEMORY_LOW_RAM_END_GPA;
    if (ram_bytes > MEMORY_LOW_RAM_END_GPA) {
        mem->range[1].gpa = MEMORY_HIGH_RAM_GPA;
        mem->range[1].bytes = ram_bytes - MEMORY_LOW_RAM_END_GPA;
        mem->range[1].host = host + MEMORY_LOW_RAM_END_GPA;
    }
    *out = mem;
    return EMU_OK;
}

void memory_free(struct memory *mem)
{
    if (!mem)
        return;
    if (mem->range[0].host)
        munmap(mem->range[0].host, mem->ram_bytes);
    if (mem->fd >= 0)
        close(mem->fd);
    free(mem->code);
    free(mem->stale);
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

bool memory_is_ram(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    return find_host(mem, gpa, bytes) != NULL;
}

static void mark_written(struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    if (!bytes)
        return;
    for (uint64_t ppn = gpa >> PAGE_SHIFT; ppn <= (gpa + bytes - 1) >> PAGE_SHIFT; ppn++) {
        uint64_t i = page_index(mem, ppn);
        uint8_t bit = (uint8_t)(1u << (i & 7));

        if ((mem->code[i >> 3] & bit) && !(mem->stale[i >> 3] & bit)) {
            mem->stale[i >> 3] |= bit;
            mem->stale_count++;
        }
    }
}

bool memory_read(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes)
{
    const uint8_t *host = find_host(mem, gpa, bytes);

    if (!host)
        return false;
    memcpy(dst, host, bytes);
    return true;
}

bool memory_write(struct memory *mem, uint64_t gpa, const void *src, size_t bytes)
{
    uint8_t *host = find_host(mem, gpa, bytes);

    if (!host)
        return false;
    memcpy(host, src, bytes);
    mark_written(mem, gpa, bytes);
    return true;
}

bool memory_fill(struct memory *mem, uint64_t gpa, uint8_t byte, size_t bytes)
{
    uint8_t *host = find_host(mem, gpa, bytes);

    if (!host)
        return false;
    memset(host, byte, bytes);
    mark_written(mem, gpa, bytes);
    return true;
}

void memory_set_code(struct memory *mem, uint64_t ppn)
{
    if (!memory_is_ram(mem, ppn << PAGE_SHIFT, PAGE_BYTES))
        return;
    uint64_t i = page_index(mem, ppn);

    mem->code[i >> 3] |= (uint8_t)(1u << (i & 7));
}

bool memory_pop_stale(struct memory *mem, uint64_t *ppn)
{
    if (!mem->stale_count)
        return false;
    for (uint64_t n = 0; n < mem->pages; n++) {
        uint64_t i = (mem->stale_cursor + n) % mem->pages;
        uint8_t bit = (uint8_t)(1u << (i & 7));

        if (!(mem->stale[i >> 3] & bit))
            continue;
        mem->stale[i >> 3] &= (uint8_t)~bit;
        mem->stale_count--;
        mem->stale_cursor = i;
        *ppn = page_number(mem, i);
        return true;
    }
    ensure(!"a stale page was counted and is not there");
    return false;
}

static bool page_is_zero(const uint8_t *host)
{
    const uint64_t *w = (const uint64_t *)host;

    for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
        if (w[i])
            return false;
    return true;
}

/*
 * Pages that were never written are holes of the memfd and of the private mapping: /proc/self/pagemap says which are
 * there, so that an idle gigabyte costs nothing. A page of zeros counts nothing either, whether it is there or not.
 */
uint64_t memory_digest(struct memory *mem)
{
    uint64_t sum = 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    enum { CHUNK = 8192 };
    uint64_t *entries = malloc(CHUNK * sizeof(*entries));

    for (uint64_t first = 0; first < mem->pages; first += CHUNK) {
        uint64_t n = mem->pages - first < CHUNK ? mem->pages - first : CHUNK;
        const uint8_t *host = mem->range[0].host + (first << PAGE_SHIFT);
        bool known = pagemap >= 0 && entries &&
                     pread(pagemap, entries, n * 8, (off_t)(((uintptr_t)host >> PAGE_SHIFT) * 8)) == (ssize_t)(n * 8);

        for (uint64_t i = 0; i < n; i++) {
            const uint8_t *page = host + (i << PAGE_SHIFT);

            if (known && !(entries[i] >> 62)) /* neither present (63) nor swapped (62) */
                continue;
            if (!page_is_zero(page))
                sum += XXH3_64bits_withSeed(page, PAGE_BYTES, page_number(mem, first + i));
        }
    }
    free(entries);
    if (pagemap >= 0)
        close(pagemap);
    return sum;
}
