/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/memory_snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu/base/ensure.h"
#include "emu/base/vec.h"
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
    size_t room;
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
    memory_reset_open(mem);
    mem->base_digest = sum;
    memset(mem->base_page_known, 0, (mem->pages + 7) / 8);
    return EMU_OK;
}

static struct delta *find(const struct memory_snapshot *s, uint64_t index)
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

static const uint8_t *content_of(const struct memory *mem, const struct memory_snapshot *s, uint64_t index)
{
    const struct delta *delta = find(s, index);

    return delta ? delta->page->content : mem->base + (index << PAGE_SHIFT);
}

static void drop_page(struct page *page)
{
    if (--page->references == 0)
        free(page);
}

static void clear(struct memory_snapshot *s)
{
    for (uint64_t i = 0; i < s->count; i++)
        drop_page(s->delta[i].page);
    s->count = s->own = 0;
}

static struct page *new_page(const uint8_t *content)
{
    struct page *page = malloc(sizeof(*page));

    if (page) {
        page->references = 1;
        memcpy(page->content, content, PAGE_BYTES);
    }
    return page;
}

static bool make_room(struct memory_snapshot *s, uint64_t count)
{
    return vec_reserve(&s->delta, &s->room, count, 64, sizeof(*s->delta));
}

static int compare_deltas(const void *a, const void *b)
{
    const struct delta *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

/* `s` becomes another name for the content of `of`. */
static bool share(struct memory_snapshot *s, const struct memory_snapshot *of)
{
    clear(s);
    if (!make_room(s, of->count))
        return false;
    for (uint64_t i = 0; i < of->count; i++) {
        s->delta[i] = of->delta[i];
        s->delta[i].page->references++;
    }
    s->count = of->count;
    return true;
}

/* RAM is as in `s`, but for the open pages: take those. */
static bool take_open(struct memory *mem, struct memory_snapshot *s)
{
    uint64_t count = s->count;

    for (uint64_t i = 0; i < mem->open.count; i++) {
        uint64_t index = mem->open.page[i];
        const uint8_t *host = memory_page_host(mem, index);
        struct delta *delta;
        struct page *page;

        if (!memcmp(host, content_of(mem, s, index), PAGE_BYTES)) {
            mem->open.idle++;
            continue;
        }
        delta = find(s, index);
        if (delta && delta->page->references == 1) {
            memcpy(delta->page->content, host, PAGE_BYTES);
            continue;
        }
        page = make_room(s, count + 1) ? new_page(host) : NULL;

        if (!page)
            return false;
        s->own++;
        delta = find(s, index); /* it may have moved */
        if (delta) {
            drop_page(delta->page);
            delta->page = page;
        } else {
            s->delta[count++] = (struct delta){index, page};
        }
    }
    if (count > s->count) {
        s->count = count;
        qsort(s->delta, count, sizeof(*s->delta), compare_deltas);
    }
    return true;
}

/* All that differs from the base, sharing what `parent` has. */
static bool take_all(struct memory *mem, const struct memory_snapshot *parent, struct memory_snapshot *s)
{
    memory_find_written(mem);
    if (!make_room(s, mem->written_count))
        return false;
    for (uint64_t i = 0; i < mem->written_count; i++) {
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
            delta->page = new_page(host);
            if (!delta->page)
                return false;
            s->own++;
        }
        s->count++;
    }
    return true;
}

/* `s`, whatever it held, holds the present content. */
static enum emu_err take(struct memory *mem, const struct memory_snapshot *parent, struct memory_snapshot *s,
                         struct diag *d)
{
    bool ok;

    if (mem->synced) {
        memory_find_open(mem);
        s->own = 0;
        ok = (mem->synced == s || share(s, mem->synced)) && take_open(mem, s);
    } else {
        clear(s);
        memory_find_open(mem);
        ok = take_all(mem, parent, s);
    }
    mem->synced = ok ? s : NULL;
    memory_settle_open(mem);
    return ok ? EMU_OK : diag_no_memory(d);
}

enum emu_err memory_snapshot_take(struct memory *mem, struct memory_snapshot *parent, struct memory_snapshot **out,
                                  struct diag *d)
{
    struct memory_snapshot *s = calloc(1, sizeof(*s));
    enum emu_err err = EMU_OK;

    if (!s)
        return diag_no_memory(d);
    if (!mem->snapshots)
        err = make_base(mem, d);
    mem->snapshots++;
    if (err == EMU_OK)
        err = take(mem, parent, s, d);
    if (err != EMU_OK) {
        memory_snapshot_free(mem, s);
        return err;
    }
    *out = s;
    return EMU_OK;
}

enum emu_err memory_snapshot_update(struct memory *mem, struct memory_snapshot *s, struct diag *d)
{
    return take(mem, NULL, s, d);
}

/* Code pages of which nothing changes keep their translations, and pages of which nothing changes stay as they are. */
static void put_page(struct memory *mem, uint64_t index, const uint8_t *content)
{
    uint8_t *host = memory_page_host(mem, index);

    if (!memcmp(host, content, PAGE_BYTES)) {
        mem->open.idle++;
        return;
    }
    memory_mark_stale(mem, index);
    memory_add_open(mem, index);
    memcpy(host, content, PAGE_BYTES);
}

void memory_snapshot_restore(struct memory *mem, const struct memory_snapshot *s)
{
    const struct memory_snapshot *from = mem->synced;
    uint64_t count;

    ensure(mem->base);
    memory_find_open(mem);
    if (!from) {
        memory_find_written(mem);
        for (uint64_t i = 0; i < mem->written_count; i++)
            put_page(mem, mem->written[i], content_of(mem, s, mem->written[i]));
    }
    count = mem->open.count; /* what is added from here on is put already */
    for (uint64_t i = 0; i < count; i++)
        put_page(mem, mem->open.page[i], content_of(mem, s, mem->open.page[i]));
    if (from != s) {
        for (uint64_t i = 0; from && i < from->count; i++) {
            const struct delta *delta = find(s, from->delta[i].index);

            if (!delta || delta->page != from->delta[i].page)
                put_page(mem, from->delta[i].index, content_of(mem, s, from->delta[i].index));
        }
        for (uint64_t i = 0; i < s->count; i++) {
            const struct delta *delta = find(from, s->delta[i].index);

            if (!delta || delta->page != s->delta[i].page)
                put_page(mem, s->delta[i].index, s->delta[i].page->content);
        }
    }
    mem->synced = s;
    memory_settle_open(mem);
}

void memory_snapshot_free(struct memory *mem, struct memory_snapshot *s)
{
    if (!s)
        return;
    if (mem->synced == s)
        mem->synced = NULL;
    clear(s);
    free(s->delta);
    free(s);
    mem->snapshots--;
}
