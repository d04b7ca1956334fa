/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/memory_pages.h"

#include <string.h>
#include <unistd.h>

#include "emu/base/ensure.h"
#include "emu/memory_state.h"

uint64_t memory_pages_count(const struct memory *mem)
{
    return mem->ram_bytes >> PAGE_SHIFT;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

/* Pages that are not the memfd's were written since the base; those that are may be in the base, unless it has a hole
   there. Reading a hole would fill it, so the memfd is asked. */
uint64_t memory_pages_list(struct memory *mem, uint64_t *list)
{
    uint64_t pages = memory_pages_count(mem), count = 0, next = 0, data = 0, hole = 0;

    memory_find_written(mem);
    for (uint64_t page = 0; page < pages;) {
        if (page >= hole) { /* the next stretch of the base */
            off_t at = lseek(mem->fd, (off_t)(page << PAGE_SHIFT), SEEK_DATA);
            off_t end = at < 0 ? at : lseek(mem->fd, at, SEEK_HOLE);

            data = at < 0 ? pages : (uint64_t)at >> PAGE_SHIFT;
            hole = end < 0 ? pages : ((uint64_t)end + PAGE_BYTES - 1) >> PAGE_SHIFT;
        }
        while (next < mem->written_count && mem->written[next] < page)
            next++;
        if (page < data) { /* in a hole: go to the next written page, or to the end of the hole */
            uint64_t written = next < mem->written_count ? mem->written[next] : pages;

            page = written < data ? written : data;
            if (page >= data || page >= pages)
                continue;
        }
        if (!is_zero(memory_page_host(mem, page)))
            list[count++] = page;
        page++;
    }
    return count;
}

void memory_pages_read(const struct memory *mem, uint64_t first, uint64_t count, void *to)
{
    ensure(first <= memory_pages_count(mem) && count <= memory_pages_count(mem) - first);
    memcpy(to, memory_page_host(mem, first), count << PAGE_SHIFT);
}

void memory_pages_write(struct memory *mem, uint64_t first, uint64_t count, const void *from)
{
    ensure(first <= memory_pages_count(mem) && count <= memory_pages_count(mem) - first);
    memcpy(memory_page_host(mem, first), from, count << PAGE_SHIFT);
    for (uint64_t page = first; page < first + count; page++)
        memory_mark_stale(mem, page);
}

void memory_pages_clear(struct memory *mem)
{
    uint64_t pages = memory_pages_count(mem);

    ensure(!mem->base); /* a snapshot's content is in the memfd */
    memory_find_written(mem);
    for (uint64_t i = 0; i < mem->written_count; i++)
        if (mem->written[i] < pages && !is_zero(memory_page_host(mem, mem->written[i]))) {
            memset(memory_page_host(mem, mem->written[i]), 0, PAGE_BYTES);
            memory_mark_stale(mem, mem->written[i]);
        }
}
