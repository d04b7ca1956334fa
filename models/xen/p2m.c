/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p2m: what is behind the guest's frame numbers: RAM, a hole that was RAM, a page of Xen, or nothing.
 *
 * A hole reads as all ones, and writes to it vanish.
 *
 * DEVIATION: Xen pins the page behind a registered address and goes on writing there when the guest gives the frame
 * away; here such writes go to what is at the frame then, and nowhere if that is a hole.
 */
#include "models/xen/state.h"

#include "emu/base/ensure.h"
#include "emu/trace.h"
#include "models/pc/lapic.h"

#define HOLE_BYTE        0xff
#define LAPIC_SVR_OFFSET 0xf0u

void xen_p2m_init(struct xen_state *x)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++)
        x->page_gfn[i] = GFN_NONE;
}

/* The first hole that ends behind `gfn`, or hole_count. */
static uint32_t find_hole(const struct xen_state *x, uint64_t gfn)
{
    uint32_t low = 0, high = x->hole_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (x->hole[middle].gfn + x->hole[middle].count <= gfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool xen_gfn_is_hole(const struct xen_state *x, uint64_t gfn)
{
    uint32_t i = find_hole(x, gfn);

    return i < x->hole_count && x->hole[i].gfn <= gfn;
}

static void tell_memory(struct machine *m)
{
    const struct xen_state *x = xen_state(m);
    struct memory_hole hole[HOLES_MAX];

    for (uint32_t i = 0; i < x->hole_count; i++)
        hole[i] = (struct memory_hole){x->hole[i].gfn << PAGE_SHIFT, x->hole[i].count << PAGE_SHIFT};
    memory_set_holes(machine_memory(m), hole, x->hole_count);
}

void xen_p2m_restored(struct machine *m)
{
    tell_memory(m);
}

bool xen_p2m_is_sound(struct machine *m)
{
    const struct xen_state *x = xen_state(m);
    uint64_t end = 0;

    if (x->hole_count > HOLES_MAX)
        return false;
    for (uint32_t i = 0; i < x->hole_count; i++) {
        const struct xen_hole *h = &x->hole[i];

        if (!h->count || h->gfn > UINT64_MAX >> PAGE_SHIFT || h->count > (UINT64_MAX >> PAGE_SHIFT) - h->gfn ||
            (i && h->gfn <= end) || !memory_is_ram(machine_memory(m), h->gfn << PAGE_SHIFT, h->count << PAGE_SHIFT))
            return false;
        end = h->gfn + h->count;
    }
    return true;
}

uint64_t xen_p2m_holes(const struct xen_state *x)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < x->hole_count; i++)
        count += x->hole[i].count;
    return count;
}

int xen_page_at(const struct xen_state *x, uint64_t gfn)
{
    if (gfn == GFN_NONE)
        return -1;
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (x->page_gfn[i] == gfn)
            return (int)i;
    }
    return -1;
}

static bool gfn_in_memory(struct machine *m, uint64_t gfn)
{
    return gfn <= UINT64_MAX >> PAGE_SHIFT && (memory_is_ram(machine_memory(m), gfn << PAGE_SHIFT, PAGE_BYTES) ||
                                               memory_is_hole(machine_memory(m), gfn << PAGE_SHIFT));
}

bool xen_gfn_is_ram(struct machine *m, uint64_t gfn)
{
    const struct xen_state *x = xen_state(m);

    return gfn_in_memory(m, gfn) && !xen_gfn_is_hole(x, gfn) && xen_page_at(x, gfn) < 0;
}

bool xen_gfn_is_backed(struct machine *m, uint64_t gfn)
{
    const struct xen_state *x = xen_state(m);

    return xen_page_at(x, gfn) >= 0 || (gfn_in_memory(m, gfn) && !xen_gfn_is_hole(x, gfn));
}

uint64_t xen_p2m_max_gfn(struct machine *m)
{
    const struct xen_state *x = xen_state(m);
    uint64_t ram = memory_ram_bytes(machine_memory(m));
    uint64_t max = ram <= MEMORY_LOW_RAM_END_GPA
                       ? (ram - 1) >> PAGE_SHIFT
                       : (MEMORY_HIGH_RAM_GPA + ram - MEMORY_LOW_RAM_END_GPA - 1) >> PAGE_SHIFT;

    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (x->page_gfn[i] != GFN_NONE && x->page_gfn[i] > max)
            max = x->page_gfn[i];
    }
    return max;
}

/* Traced as a write behind it; `same` is whether the memory held these bytes before. */
static void trace_write(struct machine *m, unsigned vcpu, uint64_t gpa, uint64_t bytes, enum xen_host_write what,
                        bool same)
{
    bool asked = what == XEN_WRITE_PAGE || what == XEN_WRITE_HYPERCALL_PAGE;

    trace_add(m, TRACE_HOST_WRITE, vcpu, gpa, bytes,
              what | (same ? TRACE_HOST_WRITE_SAME : 0) | (asked ? TRACE_HOST_WRITE_ASKED : 0));
}

static bool holds(struct machine *m, uint64_t gpa, const void *bytes, size_t count)
{
    uint8_t now[PAGE_BYTES];

    return count <= sizeof(now) && memory_read(machine_memory(m), gpa, now, count) && !memcmp(now, bytes, count);
}

void xen_area_is(struct machine *m, unsigned vcpu, uint64_t gpa, uint64_t bytes, enum xen_host_write what)
{
    trace_add(m, TRACE_HOST_AREA, vcpu, gpa, bytes, what);
}

void xen_area_gone(struct machine *m, unsigned vcpu, struct xen_area *area, enum xen_host_write what)
{
    if (area->kind != AREA_NONE)
        xen_area_is(m, vcpu, 0, 0, what);
    *area = (struct xen_area){0};
}

static bool page_fill(struct machine *m, uint64_t gfn, uint8_t byte)
{
    trace_write(m, machine_current(m), gfn << PAGE_SHIFT, PAGE_BYTES, XEN_WRITE_PAGE, false);
    return memory_fill(machine_memory(m), gfn << PAGE_SHIFT, byte, PAGE_BYTES);
}

static bool has_room_for_hole(struct machine *m)
{
    if (xen_state(m)->hole_count < HOLES_MAX)
        return true;
    machine_unmodelled(m, "more than %u separate holes in the guest's memory", HOLES_MAX);
    return false;
}

static void insert_hole(struct xen_state *x, uint32_t at, uint64_t gfn, uint64_t count)
{
    memmove(&x->hole[at + 1], &x->hole[at], (x->hole_count - at) * sizeof(x->hole[0]));
    x->hole[at] = (struct xen_hole){.gfn = gfn, .count = count};
    x->hole_count++;
}

static void remove_hole(struct xen_state *x, uint32_t at)
{
    x->hole_count--;
    memmove(&x->hole[at], &x->hole[at + 1], (x->hole_count - at) * sizeof(x->hole[0]));
    x->hole[x->hole_count] = (struct xen_hole){0};
}

bool xen_p2m_punch(struct machine *m, uint64_t gfn)
{
    struct xen_state *x = xen_state(m);
    uint32_t i = find_hole(x, gfn);
    bool joins_before = i > 0 && x->hole[i - 1].gfn + x->hole[i - 1].count == gfn;
    bool joins_after = i < x->hole_count && x->hole[i].gfn == gfn + 1;

    if (xen_gfn_is_hole(x, gfn))
        return true;
    if (!joins_before && !joins_after && !has_room_for_hole(m))
        return false;
    if (!page_fill(m, gfn, HOLE_BYTE))
        return false;
    if (joins_before) {
        x->hole[i - 1].count += 1 + (joins_after ? x->hole[i].count : 0);
        if (joins_after)
            remove_hole(x, i);
    } else if (joins_after) {
        x->hole[i].gfn--;
        x->hole[i].count++;
    } else {
        insert_hole(x, i, gfn, 1);
    }
    tell_memory(m);
    return true;
}

/* Forget that `gfn` is a hole; its content is up to the caller. */
static bool hole_close(struct machine *m, uint64_t gfn)
{
    struct xen_state *x = xen_state(m);
    uint32_t i = find_hole(x, gfn);
    struct xen_hole *h = &x->hole[i];

    if (!xen_gfn_is_hole(x, gfn))
        return true;
    if (gfn > h->gfn && gfn + 1 < h->gfn + h->count) {
        if (!has_room_for_hole(m))
            return false;
        insert_hole(x, i + 1, gfn + 1, h->gfn + h->count - gfn - 1);
        h->count = gfn - h->gfn;
    } else if (h->count == 1) {
        remove_hole(x, i);
    } else {
        h->gfn += gfn == h->gfn;
        h->count--;
    }
    tell_memory(m);
    return true;
}

bool xen_p2m_fill(struct machine *m, uint64_t gfn)
{
    return hole_close(m, gfn) && page_fill(m, gfn, 0);
}

/* ---- pages of Xen ---- */

static bool page_in_memory(struct machine *m, enum xen_page page)
{
    const struct xen_state *x = xen_state(m);

    return x->page_gfn[page] != GFN_NONE && gfn_in_memory(m, x->page_gfn[page]);
}

uint64_t xen_p2m_pages_over_ram(struct machine *m)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < PAGE_COUNT; i++)
        count += page_in_memory(m, (enum xen_page)i);
    return count;
}

void xen_page_unmap(struct machine *m, enum xen_page page, bool refill)
{
    struct xen_state *x = xen_state(m);
    uint64_t gfn = x->page_gfn[page];

    if (gfn == GFN_NONE)
        return;
    if (page_in_memory(m, page)) {
        bool ok = memory_read(machine_memory(m), gfn << PAGE_SHIFT, x->page[page], PAGE_BYTES);

        ensure(ok);
        x->page_gfn[page] = GFN_NONE;
        if (refill)
            page_fill(m, gfn, 0);
        else
            xen_p2m_punch(m, gfn);
    }
    x->page_gfn[page] = GFN_NONE;
}

bool xen_page_map(struct machine *m, enum xen_page page, uint64_t gfn)
{
    struct xen_state *x = xen_state(m);
    int other = xen_page_at(x, gfn);

    if (other == (int)page)
        return true;
    if (other >= 0) /* it is unhooked, not freed */
        xen_page_unmap(m, (enum xen_page)other, true);
    xen_page_unmap(m, page, false);
    if (gfn_in_memory(m, gfn)) {
        if (!hole_close(m, gfn))
            return false;
        trace_write(m, machine_current(m), gfn << PAGE_SHIFT, PAGE_BYTES, XEN_WRITE_PAGE, false);
        if (!memory_write(machine_memory(m), gfn << PAGE_SHIFT, x->page[page], PAGE_BYTES))
            return false;
        memset(x->page[page], 0, PAGE_BYTES);
    }
    x->page_gfn[page] = gfn;
    return true;
}

void xen_page_read(struct machine *m, enum xen_page page, unsigned offset, void *dst, unsigned bytes)
{
    struct xen_state *x = xen_state(m);

    ensure(offset + bytes <= PAGE_BYTES);
    if (page_in_memory(m, page)) {
        bool ok = memory_read(machine_memory(m), (x->page_gfn[page] << PAGE_SHIFT) + offset, dst, bytes);

        ensure(ok);
    } else {
        memcpy(dst, x->page[page] + offset, bytes);
    }
}

void xen_page_write(struct machine *m, enum xen_page page, unsigned offset, const void *src, unsigned bytes,
                    enum xen_host_write what)
{
    struct xen_state *x = xen_state(m);
    uint64_t gpa = (x->page_gfn[page] << PAGE_SHIFT) + offset;
    bool same;

    ensure(offset + bytes <= PAGE_BYTES);
    if (page_in_memory(m, page)) {
        bool ok;

        same = holds(m, gpa, src, bytes);
        ok = memory_write(machine_memory(m), gpa, src, bytes);
        ensure(ok);
    } else {
        same = !memcmp(x->page[page] + offset, src, bytes);
        memcpy(x->page[page] + offset, src, bytes);
    }
    if (what && x->page_gfn[page] != GFN_NONE)
        trace_write(m, machine_current(m), gpa, bytes, what, same);
}

/* ---- guest-physical access ---- */

bool xen_gpa_read(struct machine *m, uint64_t gpa, void *dst, size_t bytes)
{
    const struct xen_state *x = xen_state(m);
    uint8_t *to = dst;

    while (bytes) {
        size_t offset = gpa & (PAGE_BYTES - 1), chunk = PAGE_BYTES - offset;
        int page = xen_page_at(x, gpa >> PAGE_SHIFT);

        if (chunk > bytes)
            chunk = bytes;
        if (page >= 0)
            xen_page_read(m, (enum xen_page)page, (unsigned)offset, to, (unsigned)chunk);
        else if (xen_gfn_is_hole(x, gpa >> PAGE_SHIFT) || !memory_read(machine_memory(m), gpa, to, chunk))
            return false;
        to += chunk;
        gpa += chunk;
        bytes -= chunk;
    }
    return true;
}

bool xen_gpa_write(struct machine *m, uint64_t gpa, const void *src, size_t bytes, enum xen_host_write what)
{
    const struct xen_state *x = xen_state(m);
    const uint8_t *from = src;

    while (bytes) {
        size_t offset = gpa & (PAGE_BYTES - 1), chunk = PAGE_BYTES - offset;
        int page = xen_page_at(x, gpa >> PAGE_SHIFT);

        if (chunk > bytes)
            chunk = bytes;
        if (page >= 0) {
            xen_page_write(m, (enum xen_page)page, (unsigned)offset, from, (unsigned)chunk, what);
        } else {
            bool same = what && holds(m, gpa, from, chunk);

            if (xen_gfn_is_hole(x, gpa >> PAGE_SHIFT) || !memory_write(machine_memory(m), gpa, from, chunk))
                return false;
            if (what)
                trace_write(m, machine_current(m), gpa, chunk, what, same);
        }
        from += chunk;
        gpa += chunk;
        bytes -= chunk;
    }
    return true;
}

bool xen_gva_write(struct machine *m, unsigned vcpu, uint64_t gva, const void *src, size_t bytes,
                   enum xen_host_write what)
{
    uint8_t before[PAGE_BYTES];
    uint64_t gpa;
    bool same =
        bytes <= sizeof(before) && vcpu_read_gva(m, vcpu, gva, before, bytes, NULL) && !memcmp(before, src, bytes);

    if (!vcpu_translate(m, vcpu, gva, &gpa) || !vcpu_write_gva(m, vcpu, gva, src, bytes, NULL))
        return false;
    trace_write(m, vcpu, gpa, bytes, what, same);
    return true;
}

static bool mmio_page(struct machine *m, uint64_t gpa, unsigned bytes, enum xen_page *page)
{
    int at = xen_page_at(xen_state(m), gpa >> PAGE_SHIFT);

    if (at < 0 || (gpa & (PAGE_BYTES - 1)) + bytes > PAGE_BYTES)
        return false;
    *page = (enum xen_page)at;
    return true;
}

enum model_answer xen_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    enum xen_page page;

    if (!mmio_page(m, gpa, bytes, &page))
        return MODEL_NOT_MINE;
    *value = 0;
    if (xen_tells_time(m, gpa, bytes))
        (void)clock_read_ns(m);
    xen_page_read(m, page, (unsigned)(gpa & (PAGE_BYTES - 1)), value, bytes);
    return MODEL_DONE;
}

enum model_answer xen_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t value)
{
    enum xen_page page;

    if (gpa == LAPIC_GPA + LAPIC_SVR_OFFSET)
        return xen_lapic_svr_write(m, vcpu, bytes, value);
    if (!mmio_page(m, gpa, bytes, &page))
        return MODEL_NOT_MINE;
    xen_page_write(m, page, (unsigned)(gpa & (PAGE_BYTES - 1)), &value, bytes, 0);
    return MODEL_DONE;
}
