/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grant_table: GNTTABOP_*, for a guest without a back end: its table can be set up, grown and asked about, and nobody
 * else maps its entries. The guest may map its own; there is no other guest whose entries it could map.
 *
 * DEVIATION: a mapped page is a copy, made when it is mapped; on Xen both frame numbers lead to one page. A guest that
 * writes through one and reads through the other sees the difference.
 *
 * Source: Xen public/grant_table.h; common/grant_table.c; arch/x86/hvm/hypercall.c, hvm_grant_table_op().
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "models/platform_config.h"

#define OPS_MAX            4096u
#define STATUS_PER_FRAME   2048u /* 16-bit status words */
#define V2_ENTRY_PER_FRAME 256u

void xen_grant_init(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    x->grant_version = 1;
    x->grant_frames = 1;
}

uint32_t xen_grant_status_frames(uint32_t frames)
{
    return (frames * V2_ENTRY_PER_FRAME + STATUS_PER_FRAME - 1) / STATUS_PER_FRAME;
}

bool xen_grant_grow(struct machine *m, uint32_t frames)
{
    struct xen_state *x = xen_state(m);

    if (frames > xen_traits(x)->grant_frames_max || frames > GRANT_FRAMES_MAX)
        return false;
    if (frames > x->grant_frames)
        x->grant_frames = frames;
    if (x->grant_version == 2)
        x->status_frames = xen_grant_status_frames(x->grant_frames);
    return true;
}

/* The third argument counts the structures; for these calls it must be 1. */
static int64_t copy_in_one(struct xen_call *c, void *a, size_t bytes)
{
    if ((uint32_t)c->arg[2] != 1)
        return XEN_EINVAL;
    return xen_copy_in(c, c->arg[1], a, bytes) ? 0 : XEN_EFAULT;
}

static int64_t copy_out_one(struct xen_call *c, const void *a, size_t bytes)
{
    return xen_copy_out(c, c->arg[1], a, bytes) ? 0 : XEN_EFAULT;
}

/* GNTST_* for a domain ID; okay for the guest itself. */
static int16_t domain_status(unsigned domid)
{
    /* NOLINTNEXTLINE(bugprone-narrowing-conversions): GNTST_* are small numbers */
    return xen_is_self(domid) ? GNTST_okay : domid == 0 ? GNTST_permission_denied : GNTST_bad_domain;
}

static int64_t op_setup_table(struct xen_call *c)
{
    struct {
        uint16_t domid, zero;
        uint32_t frames;
        int16_t status;
        uint16_t pad[3];
        uint64_t list_gva;
    } a = {0};
    struct {
        uint16_t domid, zero;
        uint32_t frames;
        int16_t status;
        uint16_t pad;
        uint32_t list;
    } a32;
    int64_t answer = c->compat ? copy_in_one(c, &a32, sizeof(a32)) : copy_in_one(c, &a, sizeof(a));

    if (answer)
        return answer;
    if (c->compat) {
        a.domid = a32.domid;
        a.frames = a32.frames;
        a.list_gva = a32.list;
    }
    a.status = domain_status(a.domid);
    if (a.frames > c->t->grant_frames_max)
        a.status = GNTST_general_error;
    if (a.status == GNTST_okay && a.frames && !xen_grant_grow(c->m, a.frames))
        a.status = GNTST_general_error;
    for (uint32_t i = 0; a.status == GNTST_okay && i < a.frames; i++) {
        /* Frames that the guest has not mapped yet have no frame number. */
        uint64_t gfn = c->x->page_gfn[PAGE_GRANT + i];
        unsigned word = c->compat ? 4 : 8;

        if (!xen_copy_out(c, a.list_gva + (uint64_t)i * word, &gfn, word))
            a.status = GNTST_bad_virt_addr;
    }
    return xen_copy_out(c, c->arg[1] + 8, &a.status, sizeof(a.status)) ? 0 : XEN_EFAULT;
}

static int64_t op_query_size(struct xen_call *c)
{
    struct gnttab_query_size a;
    int64_t answer = copy_in_one(c, &a, sizeof(a));

    if (answer)
        return answer;
    a.status = domain_status(a.dom);
    if (a.status == GNTST_okay) {
        a.nr_frames = c->x->grant_frames;
        a.max_nr_frames = c->t->grant_frames_max;
    }
    return copy_out_one(c, &a, sizeof(a));
}

/* ---- the guest's own grants, mapped by itself ---- */

static unsigned pinned(const struct xen_state *x)
{
    unsigned count = 0;

    for (unsigned i = xen_traits(x)->grant_reserved ? GNTTAB_NR_RESERVED_ENTRIES : 0; i < GRANT_PINS; i++)
        count += x->grant_pins[i];
    return count;
}

static void entry_flags(struct xen_call *c, uint32_t ref, uint16_t set, uint16_t clear)
{
    uint16_t flags;
    unsigned at = ref % (PAGE_BYTES / sizeof(struct grant_entry_v1)) * sizeof(struct grant_entry_v1);
    enum xen_page page = (enum xen_page)(PAGE_GRANT + ref / (PAGE_BYTES / sizeof(struct grant_entry_v1)));

    xen_page_read(c->m, page, at, &flags, sizeof(flags));
    flags = (uint16_t)((flags | set) & ~clear);
    xen_page_write(c->m, page, at, &flags, sizeof(flags), XEN_WRITE_PAGE);
}

/* The status of mapping one of the guest's own entries; on success the frame's content is at host_addr. */
static int16_t map_own(struct xen_call *c, const struct gnttab_map_grant_ref *a)
{
    unsigned per_frame = PAGE_BYTES / sizeof(struct grant_entry_v1);
    struct grant_entry_v1 e;
    uint8_t bytes[PAGE_BYTES];

    if (c->x->grant_version != 1 || a->ref >= c->x->grant_frames * per_frame || a->ref >= GRANT_PINS)
        return GNTST_bad_gntref;
    xen_page_read(c->m, (enum xen_page)(PAGE_GRANT + a->ref / per_frame), a->ref % per_frame * sizeof(e), &e,
                  sizeof(e));
    if ((e.flags & GTF_type_mask) != GTF_permit_access || e.domid != XEN_GUEST_DOMID)
        return GNTST_bad_gntref;
    if (!xen_gpa_read(c->m, (uint64_t)e.frame << PAGE_SHIFT, bytes, sizeof(bytes)))
        return GNTST_bad_page;
    if (!xen_gpa_write(c->m, a->host_addr & ~(uint64_t)(PAGE_BYTES - 1), bytes, sizeof(bytes), XEN_WRITE_PAGE))
        return GNTST_bad_virt_addr;
    if (c->x->grant_pins[a->ref] == UINT8_MAX)
        return GNTST_no_device_space;
    c->x->grant_pins[a->ref]++;
    entry_flags(c, a->ref, a->flags & GNTMAP_readonly ? GTF_reading : GTF_reading | GTF_writing, 0);
    return GNTST_okay;
}

#define ENTRY_IN_USE (GTF_reading | GTF_writing)

/* The reserved first entries, which the toolstack made for console and xenstore, outlive a change of version. */
struct reserved_entries {
    struct grant_entry_v1 e[GNTTAB_NR_RESERVED_ENTRIES];
};

/* As version 1 has them; -ERANGE if it can't. What is no plain access is lost. */
static int64_t reserved_read(struct machine *m, struct reserved_entries *r)
{
    union grant_entry_v2 two[GNTTAB_NR_RESERVED_ENTRIES];
    grant_status_t status[GNTTAB_NR_RESERVED_ENTRIES];

    if (xen_state(m)->grant_version == 1) {
        xen_page_read(m, PAGE_GRANT, 0, r->e, sizeof(r->e));
        return 0;
    }
    xen_page_read(m, PAGE_GRANT, 0, two, sizeof(two));
    xen_page_read(m, PAGE_STATUS, 0, status, sizeof(status));
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        unsigned type = two[i].hdr.flags & GTF_type_mask;

        if (xen_traits(xen_state(m))->grant_erange &&
            (type == GTF_transitive || (type == GTF_permit_access && two[i].full_page.frame >> 32)))
            return XEN_ERANGE;
        r->e[i] = (struct grant_entry_v1){0};
        if (type == GTF_permit_access)
            r->e[i] = (struct grant_entry_v1){.flags = (uint16_t)(two[i].hdr.flags | status[i]),
                                              .domid = two[i].hdr.domid,
                                              .frame = (uint32_t)two[i].full_page.frame};
    }
    return 0;
}

static void reserved_write(struct machine *m, const struct reserved_entries *r)
{
    union grant_entry_v2 two[GNTTAB_NR_RESERVED_ENTRIES];
    grant_status_t status[GNTTAB_NR_RESERVED_ENTRIES];

    if (xen_state(m)->grant_version == 1) {
        xen_page_write(m, PAGE_GRANT, 0, r->e, sizeof(r->e), XEN_WRITE_PAGE);
        return;
    }
    memset(two, 0, sizeof(two));
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        two[i].hdr.flags = r->e[i].flags & (uint16_t)~ENTRY_IN_USE;
        two[i].hdr.domid = r->e[i].domid;
        two[i].full_page.frame = r->e[i].frame;
        status[i] = r->e[i].flags & ENTRY_IN_USE;
    }
    xen_page_write(m, PAGE_GRANT, 0, two, sizeof(two), XEN_WRITE_PAGE);
    xen_page_write(m, PAGE_STATUS, 0, status, sizeof(status), XEN_WRITE_PAGE);
}

static int64_t change_version(struct machine *m, uint8_t version)
{
    static const uint8_t zero[PAGE_BYTES];
    struct xen_state *x = xen_state(m);
    struct reserved_entries reserved = {0};
    int64_t answer = pinned(x) ? XEN_EBUSY : xen_traits(x)->grant_reserved ? reserved_read(m, &reserved) : 0;

    if (answer)
        return answer;
    for (uint32_t i = 0; i < x->grant_frames; i++)
        xen_page_write(m, (enum xen_page)(PAGE_GRANT + i), 0, zero, sizeof(zero), XEN_WRITE_PAGE);
    if (version == 1) {
        for (unsigned i = 0; i < STATUS_FRAMES_MAX; i++)
            xen_page_unmap(m, (enum xen_page)(PAGE_STATUS + i), false);
        x->status_frames = 0;
    }
    x->grant_version = version;
    xen_grant_grow(m, x->grant_frames);
    reserved_write(m, &reserved);
    return 0;
}

/* The version that is in force goes back, also after a refusal. */
static int64_t op_set_version(struct xen_call *c)
{
    struct gnttab_set_version a;
    int64_t answer = 0;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.version != 1 && a.version != 2)
        answer = XEN_EINVAL;
    else if (a.version != c->x->grant_version)
        answer = change_version(c->m, (uint8_t)a.version);
    a.version = c->x->grant_version;
    return copy_out_one(c, &a, sizeof(a)) ? XEN_EFAULT : answer;
}

static int64_t op_get_version(struct xen_call *c)
{
    struct gnttab_get_version a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.dom == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.dom))
        return XEN_ESRCH;
    a.version = c->x->grant_version;
    return copy_out_one(c, &a, sizeof(a));
}

/* Map and unmap, entry by entry: the status is in the entry, the call succeeds. */
static int64_t op_map(struct xen_call *c)
{
    uint32_t count = (uint32_t)c->arg[2];

    if (count > OPS_MAX) {
        machine_unmodelled(c->m, "grant_table_op(map_grant_ref) of %u entr%s", count, count == 1 ? "y" : "ies");
        return XEN_EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_map_grant_ref a;
        uint64_t gva = c->arg[1] + (uint64_t)i * sizeof(a);

        if (!xen_copy_in(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
        if (!(a.flags & (GNTMAP_device_map | GNTMAP_host_map)))
            a.status = GNTST_bad_gntref;
        else if (a.dom == XEN_GUEST_DOMID)
            a.status = map_own(c, &a);
        else /* here DOMID_SELF is no domain */
            a.status = a.dom == 0 ? GNTST_bad_gntref : GNTST_bad_domain;
        if (a.status == GNTST_okay) {
            a.handle = a.ref;
            a.dev_bus_addr = 0;
        }
        if (!xen_copy_out(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
    }
    return 0;
}

static int64_t op_unmap(struct xen_call *c)
{
    uint32_t count = (uint32_t)c->arg[2];

    if (count > OPS_MAX) {
        machine_unmodelled(c->m, "grant_table_op(unmap_grant_ref) of %u entr%s", count, count == 1 ? "y" : "ies");
        return XEN_EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_unmap_grant_ref a;
        uint64_t gva = c->arg[1] + (uint64_t)i * sizeof(a);

        if (!xen_copy_in(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
        a.status = GNTST_bad_handle;
        if (a.handle < GRANT_PINS && c->x->grant_pins[a.handle]) {
            if (!--c->x->grant_pins[a.handle])
                entry_flags(c, a.handle, 0, GTF_reading | GTF_writing);
            if (xen_gfn_is_ram(c->m, a.host_addr >> PAGE_SHIFT)) /* what was mapped is gone, and nothing comes back */
                (void)!xen_p2m_punch(c->m, a.host_addr >> PAGE_SHIFT);
            a.status = GNTST_okay;
        }
        if (!xen_copy_out(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
    }
    return 0;
}

/* Between the guest's own frames a copy works; a grant reference leads nowhere. */
static int16_t copy_one(struct xen_call *c, const struct gnttab_copy *a, uint64_t source_gfn, uint64_t dest_gfn)
{
    uint8_t bytes[PAGE_BYTES];

    if ((a->flags & GNTCOPY_source_gref) || (a->flags & GNTCOPY_dest_gref))
        return GNTST_bad_gntref;
    if (!xen_is_self(a->source.domid) || !xen_is_self(a->dest.domid))
        return GNTST_permission_denied;
    if (a->len > PAGE_BYTES || a->source.offset > PAGE_BYTES - a->len || a->dest.offset > PAGE_BYTES - a->len)
        return GNTST_bad_copy_arg;
    if (source_gfn > UINT64_MAX >> PAGE_SHIFT || dest_gfn > UINT64_MAX >> PAGE_SHIFT)
        return GNTST_bad_page;
    if (!xen_gpa_read(c->m, (source_gfn << PAGE_SHIFT) + a->source.offset, bytes, a->len) ||
        !xen_gpa_write(c->m, (dest_gfn << PAGE_SHIFT) + a->dest.offset, bytes, a->len, 0))
        return GNTST_bad_page;
    return GNTST_okay;
}

/* The 32-bit structure differs in the width of a frame number. */
static int64_t op_copy_32(struct xen_call *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct {
            uint32_t gmfn;
            uint16_t domid, offset;
        } side[2];
        struct {
            uint16_t len, flags;
            int16_t status, pad;
        } tail;
        struct gnttab_copy a = {0};
        uint64_t gva = c->arg[1] + (uint64_t)i * (sizeof(side) + sizeof(tail));

        if (!xen_copy_in(c, gva, side, sizeof(side)) || !xen_copy_in(c, gva + sizeof(side), &tail, sizeof(tail)))
            return XEN_EFAULT;
        a.source.domid = side[0].domid;
        a.source.offset = side[0].offset;
        a.dest.domid = side[1].domid;
        a.dest.offset = side[1].offset;
        a.len = tail.len;
        a.flags = tail.flags;
        tail.status = copy_one(c, &a, side[0].gmfn, side[1].gmfn);
        if (!xen_copy_out(c, gva + sizeof(side), &tail, sizeof(tail)))
            return XEN_EFAULT;
    }
    return 0;
}

static int64_t op_copy(struct xen_call *c)
{
    uint32_t count = (uint32_t)c->arg[2];

    if (count > OPS_MAX) {
        machine_unmodelled(c->m, "grant_table_op(copy) of %u entr%s", count, count == 1 ? "y" : "ies");
        return XEN_EINVAL;
    }
    if (c->compat)
        return op_copy_32(c, count);
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_copy a;
        uint64_t gva = c->arg[1] + (uint64_t)i * sizeof(a);

        if (!xen_copy_in(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
        a.status = copy_one(c, &a, a.source.u.gmfn, a.dest.u.gmfn);
        if (!xen_copy_out(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
    }
    return 0;
}

static int64_t op_swap(struct xen_call *c)
{
    uint32_t count = (uint32_t)c->arg[2];

    if (count > OPS_MAX) {
        machine_unmodelled(c->m, "grant_table_op(swap_grant_ref) of %u entr%s", count, count == 1 ? "y" : "ies");
        return XEN_EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_swap_grant_ref a;
        uint64_t gva = c->arg[1] + (uint64_t)i * sizeof(a);
        uint32_t limit = c->x->grant_frames * (c->x->grant_version == 1 ? 512 : V2_ENTRY_PER_FRAME);
        unsigned bytes = c->x->grant_version == 1 ? sizeof(struct grant_entry_v1) : sizeof(union grant_entry_v2);
        uint8_t first[16], second[16];

        if (!xen_copy_in(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
        a.status = a.ref_a < limit && a.ref_b < limit ? GNTST_okay : GNTST_bad_gntref;
        if (a.status == GNTST_okay) {
            unsigned per_frame = PAGE_BYTES / bytes;
            enum xen_page page_a = (enum xen_page)(PAGE_GRANT + a.ref_a / per_frame);
            enum xen_page page_b = (enum xen_page)(PAGE_GRANT + a.ref_b / per_frame);

            xen_page_read(c->m, page_a, a.ref_a % per_frame * bytes, first, bytes);
            xen_page_read(c->m, page_b, a.ref_b % per_frame * bytes, second, bytes);
            xen_page_write(c->m, page_a, a.ref_a % per_frame * bytes, second, bytes, 0);
            xen_page_write(c->m, page_b, a.ref_b % per_frame * bytes, first, bytes, 0);
        }
        if (!xen_copy_out(c, gva, &a, sizeof(a)))
            return XEN_EFAULT;
    }
    return 0;
}

/* clang-format off */
const struct xen_op xen_grant_ops[] = {
    {.number = GNTTABOP_map_grant_ref, .name = "map_grant_ref", .handler = op_map, .source = "gnttab_map_grant_ref"},
    {.number = GNTTABOP_unmap_grant_ref, .name = "unmap_grant_ref", .handler = op_unmap, .source = "gnttab_unmap_grant_ref"},
    {.number = GNTTABOP_setup_table, .name = "setup_table", .handler = op_setup_table, .source = "gnttab_setup_table"},
    {.number = GNTTABOP_copy, .name = "copy", .handler = op_copy, .source = "gnttab_copy"},
    {.number = GNTTABOP_query_size, .name = "query_size", .handler = op_query_size, .source = "gnttab_query_size"},
    {.number = GNTTABOP_set_version, .name = "set_version", .handler = op_set_version, .source = "gnttab_set_version"},
    {.number = GNTTABOP_get_version, .name = "get_version", .handler = op_get_version, .source = "gnttab_get_version"},
    {.number = GNTTABOP_swap_grant_ref, .name = "swap_grant_ref", .handler = op_swap, .since = XEN_VERSION(4, 2), .source = "gnttab_swap_grant_ref"},
};
/* clang-format on */
const unsigned xen_grant_op_count = COUNT(xen_grant_ops);
