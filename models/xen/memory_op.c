/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_op: XENMEM_*, as an HVM guest may use them.
 *
 * Source: Xen public/memory.h; common/memory.c, do_memory_op(); arch/x86/mm.c, arch_memory_op() and
 * xenmem_add_to_physmap_one().
 */
#include "models/xen/state.h"

#include <inttypes.h>

#include "emu/base/count.h"
#include "models/platform_config.h"
#include "models/xen/pvh_loader.h"

#define EXTENTS_MAX (1u << 20) /* per call; DEVIATION: more is UNMODELLED, Xen takes them in slices */
#define ORDER_MAX   9u         /* what an unprivileged domain may ask for */
#define BATCH_MAX   4096u

#define RESERVATION_BYTES_32 20u /* struct compat_memory_reservation */
#define MFN_LIST_BYTES_32    12u /* struct compat_machphys_mfn_list */
#define HVM_LOW_RAM_GPA      0x100000ull

/* struct xen_memory_reservation of both word sizes. */
struct reservation {
    uint64_t extents_gva, count;
    unsigned order, flags, domid;
};

static unsigned reservation_bytes(const struct xen_call *c)
{
    return c->compat ? RESERVATION_BYTES_32 : sizeof(struct xen_memory_reservation);
}

static bool copy_in_reservation(struct xen_call *c, uint64_t gva, struct reservation *r)
{
    struct xen_memory_reservation r64;
    struct {
        uint32_t extents, count, order, flags;
        uint16_t domid, zero;
    } r32;

    if (c->compat) {
        if (!xen_copy_in(c, gva, &r32, sizeof(r32)))
            return false;
        *r = (struct reservation){r32.extents, r32.count, r32.order, r32.flags, r32.domid};
        return true;
    }
    if (!xen_copy_in(c, gva, &r64, sizeof(r64)))
        return false;
    memcpy(&r->extents_gva, &r64.extent_start, sizeof(r->extents_gva));
    r->count = r64.nr_extents;
    r->order = r64.extent_order;
    r->flags = r64.mem_flags;
    r->domid = r64.domid;
    return true;
}

/* The number of extents that Xen had done before this slice is in the command's upper bits. */
static uint64_t extents_done(const struct xen_call *c)
{
    return (uint32_t)c->arg[0] >> 6;
}

static bool extent_gfn(struct xen_call *c, const struct reservation *r, uint64_t i, uint64_t *gfn)
{
    unsigned bytes = c->compat ? 4 : 8;

    *gfn = 0;
    return xen_copy_in(c, r->extents_gva + i * bytes, gfn, bytes);
}

static int64_t each_extent(struct xen_call *c, bool (*fn)(struct machine *m, uint64_t gfn))
{
    struct reservation r;
    uint64_t i;

    if (!copy_in_reservation(c, c->arg[1], &r))
        return (int64_t)extents_done(c);
    if (!xen_is_self(r.domid) || r.order > ORDER_MAX)
        return (int64_t)extents_done(c);
    if (r.count > EXTENTS_MAX) {
        machine_unmodelled(c->m, "memory_op on %" PRIu64 " extents at once", r.count);
        return 0;
    }
    for (i = extents_done(c); i < r.count; i++) {
        uint64_t gfn;
        unsigned k;

        if (!extent_gfn(c, &r, i, &gfn) || gfn > UINT64_MAX >> PAGE_SHIFT)
            break;
        for (k = 0; k < 1u << r.order && fn(c->m, gfn + k); k++)
            continue;
        if (k < 1u << r.order)
            break;
    }
    return (int64_t)i;
}

static bool give_away(struct machine *m, uint64_t gfn)
{
    return xen_gfn_is_ram(m, gfn) && xen_p2m_punch(m, gfn);
}

/* DEVIATION: a populated page is zero; on Xen it may hold what the guest itself left in a page that it gave back.
   DEVIATION: frames outside of what the guest was built with can't be populated (Xen allows it up to max_pages). */
static bool populate(struct machine *m, uint64_t gfn)
{
    if (xen_gfn_is_hole(xen_state(m), gfn))
        return xen_p2m_fill(m, gfn);
    /* A populated frame gets a new page; the toolstack leaves a guest room for a few above its memory. */
    return xen_gfn_is_ram(m, gfn) && xen_p2m_fill(m, gfn);
}

static int64_t op_decrease(struct xen_call *c)
{
    return each_extent(c, give_away);
}

static int64_t op_populate(struct xen_call *c)
{
    return each_extent(c, populate);
}

/* Memory without a place in the p2m: a translated guest can't get any. */
static int64_t op_increase(struct xen_call *c)
{
    return (int64_t)extents_done(c);
}

/* Every frame of the extents, by number: the call's in or out list. False at a bad address. */
static bool exchange_frames(struct xen_call *c, const struct reservation *r,
                            bool (*fn)(struct machine *m, uint64_t gfn), bool *done)
{
    *done = true;
    for (uint64_t i = 0; *done && i < r->count; i++) {
        uint64_t gfn;

        if (!extent_gfn(c, r, i, &gfn))
            return false;
        for (unsigned k = 0; *done && k < 1u << r->order; k++)
            *done = gfn <= (UINT64_MAX >> PAGE_SHIFT) - k && fn(c->m, gfn + k);
    }
    return true;
}

/* Up to 4.4 a translated guest gets new pages for old ones; since then Xen steals none from it. */
static int64_t exchange(struct xen_call *c, const struct reservation *in, const struct reservation *out)
{
    uint64_t count = in->count, done_gva = c->arg[1] + 2 * reservation_bytes(c);
    bool done;

    if (c->t->exchange != EXCHANGE_WORKS)
        return c->t->exchange == EXCHANGE_EINVAL ? XEN_EINVAL : XEN_EOPNOTSUPP;
    if (in->count > EXTENTS_MAX || out->count > EXTENTS_MAX) {
        machine_unmodelled(c->m, "memory_op(exchange) of %" PRIu64 " extents", in->count);
        return XEN_EINVAL;
    }
    if (!exchange_frames(c, in, xen_gfn_is_ram, &done))
        return XEN_EFAULT;
    if (!done)
        return XEN_EINVAL;
    if (!exchange_frames(c, in, give_away, &done) || !exchange_frames(c, out, xen_p2m_fill, &done))
        return XEN_EFAULT;
    if (!done)
        return XEN_EINVAL;
    return xen_copy_out(c, done_gva, &count, c->compat ? 4 : 8) ? 0 : XEN_EFAULT;
}

/* Source: Xen common/memory.c, memory_exchange(). */
static int64_t op_exchange(struct xen_call *c)
{
    struct reservation in, out;
    unsigned bytes = reservation_bytes(c);
    uint64_t done = 0;

    if (!copy_in_reservation(c, c->arg[1], &in) || !copy_in_reservation(c, c->arg[1] + bytes, &out) ||
        !xen_copy_in(c, c->arg[1] + 2 * bytes, &done, c->compat ? 4 : 8))
        return XEN_EFAULT;
    if (in.order > ORDER_MAX || out.order > ORDER_MAX)
        return c->t->exchange_order_eperm ? XEN_EPERM : XEN_EINVAL;
    if (done > in.count || in.domid != out.domid || in.count > UINT64_MAX >> in.order ||
        out.count > UINT64_MAX >> out.order || in.count << in.order != out.count << out.order)
        return XEN_EINVAL;
    if (done == in.count)
        return 0;
    if (in.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(in.domid))
        return XEN_ESRCH;
    return exchange(c, &in, &out);
}

/* ---- where Xen's own pages are ---- */

static int64_t map_gmfn(struct machine *m, uint64_t from, uint64_t to)
{
    uint8_t bytes[PAGE_BYTES];

    if (to > UINT64_MAX >> PAGE_SHIFT || !xen_gfn_is_ram(m, from))
        return XEN_EINVAL;
    if (from == to)
        return 0;
    if (!memory_is_ram(machine_memory(m), to << PAGE_SHIFT, PAGE_BYTES) && !xen_gfn_is_hole(xen_state(m), to)) {
        machine_unmodelled(m, "add_to_physmap(gmfn) to frame 0x%" PRIx64 " outside RAM", to);
        return XEN_EINVAL;
    }
    if (!memory_read(machine_memory(m), from << PAGE_SHIFT, bytes, sizeof(bytes)) || !xen_p2m_fill(m, to) ||
        !xen_gpa_write(m, to << PAGE_SHIFT, bytes, sizeof(bytes), XEN_WRITE_PAGE) || !xen_p2m_punch(m, from))
        return XEN_EINVAL;
    return 0;
}

static int64_t add_to_physmap_one(struct xen_call *c, unsigned space, uint64_t index, uint64_t gfn)
{
    int page;
    uint64_t frame = index & ~(uint64_t)XENMAPIDX_grant_table_status;

    if (gfn > UINT64_MAX >> PAGE_SHIFT)
        return XEN_EINVAL;
    switch (space) {
    case XENMAPSPACE_shared_info:
        if (index != 0)
            return XEN_EINVAL;
        page = PAGE_SHARED_INFO;
        break;
    case XENMAPSPACE_grant_table:
        if (index & XENMAPIDX_grant_table_status) {
            if (c->x->grant_version != 2 || frame >= c->x->status_frames)
                return XEN_EINVAL;
            page = (int)(PAGE_STATUS + frame);
        } else {
            if (frame >= GRANT_FRAMES_MAX || !xen_grant_grow(c->m, (uint32_t)frame + 1))
                return XEN_EINVAL;
            page = (int)(PAGE_GRANT + frame);
        }
        break;
    case XENMAPSPACE_gmfn:
        return map_gmfn(c->m, index, gfn);
    default:
        return XEN_EINVAL;
    }
    if (!xen_page_map(c->m, (enum xen_page)page, gfn))
        return XEN_ENOMEM;
    if (page == PAGE_SHARED_INFO) {
        xen_area_is(c->m, 0, 0, 0, XEN_WRITE_SHARED_INFO);
        xen_area_is(c->m, 0, gfn << PAGE_SHIFT, PAGE_BYTES, XEN_WRITE_SHARED_INFO);
    }
    return 0;
}

struct add_to_physmap {
    unsigned domid, size, space;
    uint64_t index, gfn;
};

static bool copy_in_physmap(struct xen_call *c, struct add_to_physmap *a)
{
    struct xen_add_to_physmap a64;
    struct {
        uint16_t domid, size;
        uint32_t space, index, gfn;
    } a32;

    if (c->compat) {
        if (!xen_copy_in(c, c->arg[1], &a32, sizeof(a32)))
            return false;
        *a = (struct add_to_physmap){a32.domid, a32.size, a32.space, a32.index, a32.gfn};
        /* The flag of the status frames is the top bit of a word. */
        if (a32.index >> 31)
            a->index = (a32.index & 0x7fffffffu) | XENMAPIDX_grant_table_status;
        return true;
    }
    if (!xen_copy_in(c, c->arg[1], &a64, sizeof(a64)))
        return false;
    *a = (struct add_to_physmap){a64.domid, a64.size, a64.space, a64.idx, a64.gpfn};
    return true;
}

static int64_t op_add_to_physmap(struct xen_call *c)
{
    struct add_to_physmap a;

    if (!copy_in_physmap(c, &a))
        return XEN_EFAULT;
    if (a.space == XENMAPSPACE_gmfn_foreign && c->t->batch) /* only by the batch */
        return XEN_ENOSYS;
    if (a.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.domid))
        return XEN_ESRCH;
    if (a.space == XENMAPSPACE_gmfn_range) {
        bool backwards = c->t->range_overlaps && a.gfn > a.index && a.gfn - a.index < a.size;
        int64_t answer = 0;

        for (unsigned i = 0; i < a.size && !answer; i++) {
            unsigned at = backwards ? a.size - 1 - i : i;

            answer = map_gmfn(c->m, a.index + at, a.gfn + at);
        }
        return answer;
    }
    return add_to_physmap_one(c, a.space, a.index, a.gfn);
}

struct batch {
    unsigned domid, space, size;
    uint64_t indices_gva, gfns_gva, errors_gva;
};

static bool copy_in_batch(struct xen_call *c, struct batch *b)
{
    struct xen_add_to_physmap_batch b64;
    struct {
        uint16_t domid, space, size, extra;
        uint32_t indices, gfns, errors;
    } b32;

    if (c->compat) {
        if (!xen_copy_in(c, c->arg[1], &b32, sizeof(b32)))
            return false;
        *b = (struct batch){b32.domid, b32.space, b32.size, b32.indices, b32.gfns, b32.errors};
        return true;
    }
    if (!xen_copy_in(c, c->arg[1], &b64, sizeof(b64)))
        return false;
    *b = (struct batch){.domid = b64.domid, .space = b64.space, .size = b64.size};
    memcpy(&b->indices_gva, &b64.idxs, 8);
    memcpy(&b->gfns_gva, &b64.gpfns, 8);
    memcpy(&b->errors_gva, &b64.errs, 8);
    return true;
}

static int64_t op_add_to_physmap_batch(struct xen_call *c)
{
    unsigned word = c->compat ? 4 : 8;
    struct batch b;

    if (!copy_in_batch(c, &b))
        return XEN_EFAULT;
    if (b.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(b.domid))
        return XEN_ESRCH;
    if (b.space == XENMAPSPACE_gmfn_range)
        return XEN_EINVAL;
    for (unsigned i = 0; i < b.size; i++) {
        uint64_t index = 0, gfn = 0;
        int32_t error;

        if (!xen_copy_in(c, b.indices_gva + (uint64_t)i * word, &index, word) ||
            !xen_copy_in(c, b.gfns_gva + (uint64_t)i * word, &gfn, word))
            return XEN_EFAULT;
        error = (int32_t)add_to_physmap_one(c, b.space, index, gfn);
        if (!xen_copy_out(c, b.errors_gva + (uint64_t)i * 4, &error, sizeof(error)))
            return XEN_EFAULT;
    }
    return 0;
}

static int64_t op_remove_from_physmap(struct xen_call *c)
{
    struct {
        uint64_t domid, gfn;
    } r = {0};
    unsigned word = c->compat ? 4 : 8;
    int page;

    if (!xen_copy_in(c, c->arg[1], &r.domid, 2) || !xen_copy_in(c, c->arg[1] + word, &r.gfn, word))
        return XEN_EFAULT;
    if (r.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self((unsigned)r.domid))
        return XEN_ESRCH;
    page = xen_page_at(c->x, r.gfn);
    if (page >= 0) {
        xen_page_unmap(c->m, (enum xen_page)page, false);
        return 0;
    }
    return give_away(c->m, r.gfn) ? 0 : XEN_ENOENT;
}

/* ---- questions ---- */

static uint64_t ram_pages(struct machine *m)
{
    return memory_ram_bytes(machine_memory(m)) >> PAGE_SHIFT;
}

static int64_t copy_in_domid(struct xen_call *c)
{
    uint16_t domid;

    if (!xen_copy_in(c, c->arg[1], &domid, sizeof(domid)))
        return XEN_EFAULT;
    if (domid == 0)
        return XEN_EPERM;
    return xen_is_self(domid) ? 0 : XEN_ESRCH;
}

static int64_t op_current_reservation(struct xen_call *c)
{
    int64_t answer = copy_in_domid(c);

    return answer ? answer : (int64_t)(ram_pages(c->m) - xen_p2m_holes(c->x) - xen_p2m_pages_over_ram(c->m));
}

static int64_t op_maximum_reservation(struct xen_call *c)
{
    int64_t answer = copy_in_domid(c);

    return answer ? answer : (int64_t)ram_pages(c->m);
}

static int64_t op_maximum_gpfn(struct xen_call *c)
{
    int64_t answer = copy_in_domid(c);

    return answer ? answer : (int64_t)xen_p2m_max_gfn(c->m);
}

/* The largest amount of the host's memory is the host's business: a fixed number. */
static int64_t op_maximum_ram_page(struct xen_call *c)
{
    return 0xffffff;
}

/* What the toolstack has set: a PVH guest's start_info says the same; an HVM guest, whose firmware makes a map of its
   own, is told of RAM alone, above the first MiB. Source: Xen tools/libs/light/libxl_x86.c,
   libxl__arch_domain_construct_memmap(). */
static uint32_t toolstack_map(struct machine *m, struct hvm_memmap_table_entry e[PVH_MEMMAP_ENTRIES_MAX])
{
    uint64_t ram = memory_ram_bytes(machine_memory(m));
    uint64_t low = ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;

    if (platform_is_pvh(m))
        return pvh_memory_map(m, e);
    e[0] = (struct hvm_memmap_table_entry){
        .addr = HVM_LOW_RAM_GPA, .size = low - HVM_LOW_RAM_GPA, .type = XEN_HVM_MEMMAP_TYPE_RAM};
    e[1] = (struct hvm_memmap_table_entry){
        .addr = MEMORY_HIGH_RAM_GPA, .size = ram - low, .type = XEN_HVM_MEMMAP_TYPE_RAM};
    return ram > low ? 2 : 1;
}

/* The map that is in force: the guest's own, once it has set one. */
static uint32_t memory_map(struct machine *m, const struct xen_e820_entry **map,
                           struct xen_e820_entry ours[PVH_MEMMAP_ENTRIES_MAX])
{
    const struct xen_state *x = xen_state(m);
    struct hvm_memmap_table_entry e[PVH_MEMMAP_ENTRIES_MAX];
    uint32_t count;

    *map = x->memory_map;
    if (x->memory_map_is_set)
        return x->memory_map_entries;
    count = toolstack_map(m, e);
    for (uint32_t i = 0; i < count; i++)
        ours[i] = (struct xen_e820_entry){e[i].addr, e[i].size, e[i].type};
    *map = ours;
    return count;
}

/* An empty map is as good as none. */
static int64_t op_memory_map(struct xen_call *c)
{
    struct xen_e820_entry ours[PVH_MEMMAP_ENTRIES_MAX];
    const struct xen_e820_entry *map;
    uint32_t room, count = memory_map(c->m, &map, ours);
    unsigned word = c->compat ? 4 : 8;
    uint64_t gva = 0;

    if (!xen_copy_in(c, c->arg[1], &room, sizeof(room)) || !xen_copy_in(c, c->arg[1] + word, &gva, word))
        return XEN_EFAULT;
    if (!count)
        return XEN_ENOSYS;
    if (count > room)
        count = room;
    if (!xen_copy_out(c, gva, map, count * sizeof(*map)) || !xen_copy_out(c, c->arg[1], &count, sizeof(count)))
        return XEN_EFAULT;
    return 0;
}

/* Nothing keeps an HVM guest from reading where the host's machine-to-physical table is. */
static int64_t op_machphys_mfn_list(struct xen_call *c)
{
    struct xen_machphys_mfn_list a;

    if (c->compat && c->t->no_pv32)
        return XEN_EOPNOTSUPP;
    if (!xen_copy_in(c, c->arg[1], &a, c->compat ? MFN_LIST_BYTES_32 : sizeof(a)))
        return XEN_EFAULT;
    machine_unmodelled(c->m, "memory_op(machphys_mfn_list), which tells machine frames of the host");
    return XEN_ENOSYS;
}

/* A guest may replace the map that the toolstack gave it; a kernel that it starts is told the new one. */
static int64_t op_set_memory_map(struct xen_call *c)
{
    struct {
        uint16_t domid, zero[3];
        uint32_t entries, zero1;
        uint64_t buffer;
    } a = {0};
    uint32_t a32[3] = {0}; /* domid, entries, buffer */
    struct xen_e820_entry map[E820_ENTRIES_MAX] = {0};

    if (!xen_copy_in(c, c->arg[1], c->compat ? (void *)a32 : &a, c->compat ? sizeof(a32) : sizeof(a)))
        return XEN_EFAULT;
    if (c->compat) {
        a.domid = (uint16_t)a32[0];
        a.entries = a32[1];
        a.buffer = a32[2];
    }
    if (a.entries > c->t->e820_max)
        return XEN_EINVAL;
    if (a.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.domid))
        return XEN_ESRCH;
    if (!xen_copy_in(c, a.buffer, map, a.entries * sizeof(*map)))
        return XEN_EFAULT;
    memcpy(c->x->memory_map, map, sizeof(map));
    c->x->memory_map_entries = a.entries;
    c->x->memory_map_is_set = 1;
    return 0;
}

static int64_t op_claim_pages(struct xen_call *c)
{
    struct xen_memory_reservation a;

    if (c->compat)
        return XEN_ENOSYS;
    return xen_copy_in(c, c->arg[1], &a, sizeof(a)) ? XEN_EPERM : XEN_EFAULT;
}

static int64_t refused_enosys(struct xen_call *c)
{
    return XEN_ENOSYS;
}

/* clang-format off */
const struct xen_op xen_memory_ops[] = {
    {.number = XENMEM_increase_reservation, .name = "increase_reservation", .handler = op_increase, .source = "increase_reservation"},
    {.number = XENMEM_decrease_reservation, .name = "decrease_reservation", .handler = op_decrease, .source = "decrease_reservation"},
    {.number = XENMEM_maximum_ram_page, .name = "maximum_ram_page", .handler = op_maximum_ram_page, .source = "XENMEM_maximum_ram_page"},
    {.number = XENMEM_current_reservation, .name = "current_reservation", .handler = op_current_reservation, .source = "XENMEM_current_reservation"},
    {.number = XENMEM_maximum_reservation, .name = "maximum_reservation", .handler = op_maximum_reservation, .source = "XENMEM_maximum_reservation"},
    {.number = XENMEM_machphys_mfn_list, .name = "machphys_mfn_list", .handler = op_machphys_mfn_list, .source = "subarch_memory_op, compat_arch_memory_op"},
    {.number = XENMEM_populate_physmap, .name = "populate_physmap", .handler = op_populate, .source = "populate_physmap"},
    {.number = XENMEM_add_to_physmap, .name = "add_to_physmap", .handler = op_add_to_physmap, .source = "xenmem_add_to_physmap"},
    {.number = XENMEM_memory_map, .name = "memory_map", .handler = op_memory_map, .since = XEN_VERSION(4, 6), .source = "XENMEM_memory_map"},
    {.number = XENMEM_machine_memory_map, .name = "machine_memory_map", .handler = refused_enosys, .source = "hvm_memory_op"},
    {.number = XENMEM_exchange, .name = "exchange", .handler = op_exchange, .source = "memory_exchange"},
    {.number = XENMEM_machphys_mapping, .name = "machphys_mapping", .handler = refused_enosys, .source = "hvm_memory_op"},
    {.number = XENMEM_set_memory_map, .name = "set_memory_map", .handler = op_set_memory_map, .source = "XENMEM_set_memory_map; xsm_domain_memory_map, XSM_TARGET"},
    {.number = XENMEM_maximum_gpfn, .name = "maximum_gpfn", .handler = op_maximum_gpfn, .source = "XENMEM_maximum_gpfn"},
    {.number = XENMEM_remove_from_physmap, .name = "remove_from_physmap", .handler = op_remove_from_physmap, .since = XEN_VERSION(4, 2), .source = "XENMEM_remove_from_physmap"},
    {.number = XENMEM_claim_pages, .name = "claim_pages", .handler = op_claim_pages, .since = XEN_VERSION(4, 3), .source = "XENMEM_claim_pages; xsm_claim_pages, XSM_PRIV"},
    {.number = XENMEM_add_to_physmap_batch, .name = "add_to_physmap_batch", .handler = op_add_to_physmap_batch, .since = XEN_VERSION(4, 4), .source = "xenmem_add_to_physmap_batch"},
};
/* clang-format on */
const unsigned xen_memory_op_count = COUNT(xen_memory_ops);
