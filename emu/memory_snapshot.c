#include "emu/memory_snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu/ensure.h"
#include "emu/memory_state.h"

struct page { /* shared between snapshots */
    uint64_t references;
    uint8_t content[PAGE_BYTES];
};

struct delta {
    uint64_t index;
    struct page *page;
};

struct memory_snapshot {
    struct delta *delta; /* ascending */
    uint64_t count;
    uint64_t own;
};

uint64_t memory_snapshot_pages(const struct memory_snapshot *s)
{
    return s->count;
}

uint64_t memory_snapshot_own_pages(const struct memory_snapshot *s)
{
    return s->own;
}

/* Make the present content the memfd's: write the pages there, then let go of the private copies. */
static enum emu_err make_base(struct memory *mem, struct diag *d)
{
    uint64_t sum = memory_digest(mem); /* fills mem->written */

    for (uint64_t i = 0; i < mem->written_count; i++) {
        uint64_t index = mem->written[i];

        if (pwrite(mem->fd, memory_page_host(mem, index), PAGE_BYTES, (off_t)(index << PAGE_SHIFT)) != PAGE_BYTES)
            return diag_set(d, EMU_EHOST, "the host has no room for a snapshot of the guest's memory");
    }
    if (!mem->base) {
        uint8_t *base = mmap(NULL, mem->mapped_bytes, PROT_READ, MAP_SHARED, mem->fd, 0);

        if (base == MAP_FAILED)
            return diag_set(d, EMU_EHOST, "the host can't map a snapshot of the guest's memory");
        mem->base = base;
    }
    ensure(madvise(mem->range[0].host, mem->mapped_bytes, MADV_DONTNEED) == 0);
    mem->base_digest = sum;
    memset(mem->base_page_known, 0, (mem->pages + 7) / 8);
    return EMU_OK;
}

static const struct delta *find(const struct memory_snapshot *s, uint64_t index)
{
    uint64_t low = 0, high = s ? s->count : 0;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (s->delta[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return s && low < s->count && s->delta[low].index == index ? &s->delta[low] : NULL;
}

enum emu_err memory_snapshot_take(struct memory *mem, struct memory_snapshot *parent, struct memory_snapshot **out,
                                  struct diag *d)
{
    struct memory_snapshot *s = calloc(1, sizeof(*s));
    enum emu_err err = EMU_OK;

    if (!s)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    if (!mem->snapshots)
        err = make_base(mem, d);
    if (err == EMU_OK) {
        memory_find_written(mem);
        s->delta = calloc(mem->written_count ? mem->written_count : 1, sizeof(*s->delta));
        if (!s->delta)
            err = diag_set(d, EMU_EHOST, "the host has no memory left");
    }
    for (uint64_t i = 0; err == EMU_OK && i < mem->written_count; i++) {
        uint64_t index = mem->written[i];
        const uint8_t *host = memory_page_host(mem, index);
        const struct delta *before = find(parent, index);
        struct delta *delta = &s->delta[s->count];

        if (!memcmp(host, mem->base + (index << PAGE_SHIFT), PAGE_BYTES))
            continue;
        delta->index = index;
        if (before && !memcmp(host, before->page->content, PAGE_BYTES)) {
            delta->page = before->page;
            delta->page->references++;
        } else {
            delta->page = malloc(sizeof(*delta->page));
            if (!delta->page) {
                err = diag_set(d, EMU_EHOST, "the host has no memory left");
                break;
            }
            delta->page->references = 1;
            memcpy(delta->page->content, host, PAGE_BYTES);
            s->own++;
        }
        s->count++;
    }
    mem->snapshots++;
    if (err != EMU_OK) {
        memory_snapshot_free(mem, s);
        return err;
    }
    *out = s;
    return EMU_OK;
}

/* Code pages are compared first: a translation is dropped only if its bytes change. */
static void put_page(struct memory *mem, uint64_t index, const uint8_t *content)
{
    uint8_t *host = memory_page_host(mem, index);

    if (mem->code[index >> 3] >> (index & 7) & 1) {
        if (!memcmp(host, content, PAGE_BYTES))
            return;
        memory_mark_stale(mem, index);
    }
    memcpy(host, content, PAGE_BYTES);
}

void memory_snapshot_restore(struct memory *mem, const struct memory_snapshot *s)
{
    uint64_t next = 0;

    ensure(mem->base);
    memory_find_written(mem);
    for (uint64_t i = 0; i < mem->written_count; i++) {
        uint64_t index = mem->written[i];

        while (next < s->count && s->delta[next].index < index) {
            put_page(mem, s->delta[next].index, s->delta[next].page->content);
            next++;
        }
        if (next < s->count && s->delta[next].index == index)
            put_page(mem, index, s->delta[next++].page->content);
        else
            put_page(mem, index, mem->base + (index << PAGE_SHIFT));
    }
    for (; next < s->count; next++)
        put_page(mem, s->delta[next].index, s->delta[next].page->content);
}

void memory_snapshot_free(struct memory *mem, struct memory_snapshot *s)
{
    if (!s)
        return;
    for (uint64_t i = 0; i < s->count; i++)
        if (--s->delta[i].page->references == 0)
            free(s->delta[i].page);
    free(s->delta);
    free(s);
    mem->snapshots--;
}
