/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_memory: XENMEM_*, GNTTABOP_*, and the p2m as the guest sees it.
 * Source: Xen public/memory.h, public/grant_table.h; seed facts M.6.
 */
#include "rows.h"

/* For toolstacks: not in a guest's view of public/memory.h. */
#define XENMEM_SET_MEMORY_MAP 13
#define XENMEM_CLAIM_PAGES    24
#include <xen/grant_table.h>

static uint32_t page_a[1024] __attribute__((aligned(4096)));
static uint32_t page_b[1024] __attribute__((aligned(4096)));
static uint32_t grant_page[1024] __attribute__((aligned(4096)));
static uint32_t grant_page_3[1024] __attribute__((aligned(4096)));

static long physmap(unsigned space, unsigned long idx, unsigned long gpfn)
{
    struct xen_add_to_physmap map = {.domid = DOMID_SELF, .space = space, .idx = idx, .gpfn = gpfn};
    return memory_op(XENMEM_add_to_physmap, &map);
}

static long reserve(unsigned op, xen_pfn_t *frames, unsigned count, unsigned order)
{
    struct xen_memory_reservation arg = {.nr_extents = count, .extent_order = order, .domid = DOMID_SELF};
    set_xen_guest_handle(arg.extent_start, frames);
    return memory_op(op, &arg);
}

static long reserve_of(unsigned op, domid_t domain, xen_pfn_t *frames, unsigned count)
{
    struct xen_memory_reservation arg = {.nr_extents = count, .domid = domain};
    set_xen_guest_handle(arg.extent_start, frames);
    return memory_op(op, &arg);
}

static long remove_frame(unsigned long gpfn)
{
    struct xen_remove_from_physmap arg = {.domid = DOMID_SELF, .gpfn = gpfn};
    return memory_op(XENMEM_remove_from_physmap, &arg);
}

static uint32_t peek(const volatile uint32_t *at)
{
    return *at;
}

/* What a populated page holds: Xen clears it, or not, as its allocator likes; then it is what this guest itself left in
 * a page that it gave back. */
static const char *cleared_or_own(uint32_t value)
{
    return value == 0 || value == 0x11111111 || value == 0xa5a5a5a5 || value == 7 ? "0 or its own" : "something else";
}

static void rows_physmap(void)
{
    ROW("memory.unknown_op", memory_op(60, BAD_POINTER));
    ROW("memory.add_to_physmap.efault", memory_op(XENMEM_add_to_physmap, BAD_POINTER));
    struct xen_add_to_physmap map = {.domid = BAD_DOMAIN, .space = XENMAPSPACE_shared_info};
    ROW("memory.add_to_physmap.bad_domain", memory_op(XENMEM_add_to_physmap, &map));
    ROW("memory.add_to_physmap.unknown_space", physmap(77, 0, frame_of(page_a)));
    ROW("memory.add_to_physmap.shared_info.index_1", physmap(XENMAPSPACE_shared_info, 1, frame_of(page_a)));
    memset(page_a, 0x11, sizeof page_a);
    domid_t self = DOMID_SELF;
    long pages = memory_op(XENMEM_current_reservation, &self);
    long result = physmap(XENMAPSPACE_shared_info, 0, frame_of(page_a));
    ROW_EFFECT("memory.add_to_physmap.shared_info", result, "old page %s",
               peek(page_a + 3) == 0x11111111 ? "stays" : "gone");
    ROW_EFFECT("memory.add_to_physmap.shared_info.frees", 0, "pages %ld",
               memory_op(XENMEM_current_reservation, &self) - pages);
    struct shared_info *shared = (struct shared_info *)page_a;
    ROW_EFFECT("memory.shared_info.wall_clock", 0, "version %s, seconds %s", shared->wc_version & 1 ? "odd" : "even",
               shared->wc_sec ? "set" : "0");
    page_a[900] = 0x1234abcd;
    result = physmap(XENMAPSPACE_shared_info, 0, frame_of(page_b));
    ROW_EFFECT("memory.add_to_physmap.shared_info.second", result, "page %s, old place reads %x",
               page_b[900] == 0x1234abcd ? "moved" : "copied", peek(page_a + 900));
    xen_pfn_t frame = frame_of(page_a);
    result = reserve(XENMEM_populate_physmap, &frame, 1, 0);
    ROW_EFFECT("memory.populate_physmap.hole", result, "reads %s", cleared_or_own(peek(page_a + 900)));
    ROW("memory.add_to_physmap.gmfn.missing", physmap(XENMAPSPACE_gmfn, BAD_GFN, frame_of(page_a)));
    ROW("memory.add_to_physmap.grant_table.0", physmap(XENMAPSPACE_grant_table, 0, frame_of(grant_page)));
    struct gnttab_query_size size = {.dom = DOMID_SELF};
    result = physmap(XENMAPSPACE_grant_table, 3, frame_of(grant_page_3));
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (unsigned long)&size, 1, 0, 0);
    ROW_EFFECT("memory.add_to_physmap.grant_table.3", result, "frames %s", size.nr_frames >= 4 ? "4 or more" : "fewer");
    ROW("memory.add_to_physmap.grant_table.status_of_v1",
        physmap(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, frame_of(page_a)));
    ROW("memory.add_to_physmap.grant_table.too_big", physmap(XENMAPSPACE_grant_table, 100000, frame_of(grant_page)));
}

/* A page of the guest moves to another place of the guest. */
static void rows_gmfn(void)
{
    unsigned long base = 0x2100; /* nobody's */
    volatile uint32_t *at = (volatile uint32_t *)(base << 12), *to = at + 4 * 1024;
    domid_t self = DOMID_SELF;
    long pages = memory_op(XENMEM_current_reservation, &self);
    at[0] = 0xaaaa0000;
    at[1024] = 0xaaaa0001;
    to[0] = 0xbbbb0000;
    long result = physmap(XENMAPSPACE_gmfn, base, base + 4);
    ROW_EFFECT("memory.add_to_physmap.gmfn", result, "target reads %x, source %x, pages %ld", to[0], at[0],
               memory_op(XENMEM_current_reservation, &self) - pages);
    ROW("memory.add_to_physmap.gmfn.source_is_a_hole", physmap(XENMAPSPACE_gmfn, base, base + 5));
    result = physmap(XENMAPSPACE_gmfn, base + 1, base);
    ROW_EFFECT("memory.add_to_physmap.gmfn.into_a_hole", result, "target reads %x, source %x", at[0], at[1024]);
    at[0] = 0xaaaa0002;
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF, .size = 3, .space = XENMAPSPACE_gmfn_range, .idx = base + 4, .gpfn = base + 8};
    result = memory_op(XENMEM_add_to_physmap, &map);
    ROW_EFFECT("memory.add_to_physmap.gmfn_range", result, "first reads %x", at[8 * 1024]);
    map =
        (struct xen_add_to_physmap){.domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .idx = base, .gpfn = base};
    ROW("memory.add_to_physmap.gmfn_foreign", memory_op(XENMEM_add_to_physmap, &map));
}

static void rows_batch(void)
{
    xen_ulong_t index[2] = {0, 100000};
    xen_pfn_t frames[2] = {frame_of(grant_page), frame_of(grant_page)};
    int errors[2] = {-77, -77};
    struct xen_add_to_physmap_batch batch = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 2};
    set_xen_guest_handle(batch.idxs, index);
    set_xen_guest_handle(batch.gpfns, frames);
    set_xen_guest_handle(batch.errs, errors);
    ROW("memory.add_to_physmap_batch.efault", memory_op(XENMEM_add_to_physmap_batch, BAD_POINTER));
    long result = memory_op(XENMEM_add_to_physmap_batch, &batch);
    ROW_EFFECT("memory.add_to_physmap_batch", result, "errors %d, %d", errors[0], errors[1]);
    batch.domid = BAD_DOMAIN;
    ROW("memory.add_to_physmap_batch.bad_domain", memory_op(XENMEM_add_to_physmap_batch, &batch));
    batch.domid = DOMID_SELF;
    batch.size = 0;
    ROW("memory.add_to_physmap_batch.none", memory_op(XENMEM_add_to_physmap_batch, &batch));
}

static void rows_reservation(void)
{
    xen_pfn_t frames[3];
    unsigned long base = 0x2000; /* 32 MiB: nobody's */
    volatile uint32_t *at = (volatile uint32_t *)(base << 12);
    at[0] = 0xa5a5a5a5;
    frames[0] = base;
    long result = reserve(XENMEM_decrease_reservation, frames, 1, 0);
    uint32_t read = at[0];
    at[0] = 7;
    ROW_EFFECT("memory.decrease_reservation", result, "hole reads %x, after a write %x", read, at[0]);
    ROW("memory.decrease_reservation.again", reserve(XENMEM_decrease_reservation, frames, 1, 0));
    frames[0] = base + 1;
    frames[1] = base;
    frames[2] = base + 2;
    ROW("memory.decrease_reservation.stops_at_hole", reserve(XENMEM_decrease_reservation, frames, 3, 0));
    frames[0] = base;
    frames[1] = base + 1;
    result = reserve(XENMEM_populate_physmap, frames, 2, 0);
    read = at[0];
    at[0] = 7;
    ROW_EFFECT("memory.populate_physmap", result, "reads %s, after a write %x", cleared_or_own(read), at[0]);
    frames[0] = base;
    result = reserve(XENMEM_populate_physmap, frames, 1, 0);
    ROW_EFFECT("memory.populate_physmap.over_ram", result, "reads %s", cleared_or_own(at[0]));
    frames[0] = BAD_GFN;
    ROW("memory.decrease_reservation.bad_gfn", reserve(XENMEM_decrease_reservation, frames, 1, 0));
    frames[0] = base + 1;
    ROW("memory.decrease_reservation.order_30", reserve(XENMEM_decrease_reservation, frames, 1, 30));
    ROW("memory.populate_physmap.order_30", reserve(XENMEM_populate_physmap, frames, 1, 30));
    ROW("memory.decrease_reservation.efault", reserve(XENMEM_decrease_reservation, BAD_POINTER, 1, 0));
    ROW("memory.decrease_reservation.none", reserve(XENMEM_decrease_reservation, frames, 0, 0));

    ROW("memory.increase_reservation.none", reserve(XENMEM_increase_reservation, frames, 0, 0));
    ROW("memory.increase_reservation.order_30", reserve(XENMEM_increase_reservation, frames, 1, 30));
    frames[0] = base + 1;
    ROW("memory.decrease_reservation.bad_domain", reserve_of(XENMEM_decrease_reservation, BAD_DOMAIN, frames, 1));
    ROW("memory.populate_physmap.bad_domain", reserve_of(XENMEM_populate_physmap, BAD_DOMAIN, frames, 1));
    ROW("memory.exchange.efault", memory_op(XENMEM_exchange, BAD_POINTER));
    struct xen_memory_exchange exchange = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                           .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    xen_pfn_t in = base + 1, out = base + 1;
    set_xen_guest_handle(exchange.in.extent_start, &in);
    set_xen_guest_handle(exchange.out.extent_start, &out);
    ROW("memory.exchange", memory_op(XENMEM_exchange, &exchange));
    exchange.in.domid = BAD_DOMAIN;
    ROW("memory.exchange.bad_domain", memory_op(XENMEM_exchange, &exchange));
    exchange.in.domid = DOMID_SELF;
    exchange.nr_exchanged = 2;
    ROW("memory.exchange.more_than_all", memory_op(XENMEM_exchange, &exchange));
    exchange.nr_exchanged = 0;
    exchange.in.extent_order = 1;
    ROW("memory.exchange.sizes_differ", memory_op(XENMEM_exchange, &exchange));
    ROW("memory.machphys_mfn_list.efault", memory_op(XENMEM_machphys_mfn_list, BAD_POINTER));
    ROW("memory.machphys_mapping", memory_op(XENMEM_machphys_mapping, BAD_POINTER));
    ROW("memory.set_memory_map.efault", memory_op(XENMEM_SET_MEMORY_MAP, BAD_POINTER));
    ROW("memory.claim_pages.efault", memory_op(XENMEM_CLAIM_PAGES, BAD_POINTER));

    at = (volatile uint32_t *)((base + 4) << 12);
    at[0] = 0x77;
    result = remove_frame(base + 4);
    ROW_EFFECT("memory.remove_from_physmap", result, "reads %x", at[0]);
    ROW("memory.remove_from_physmap.hole", remove_frame(base + 4));
    ROW("memory.remove_from_physmap.bad_gfn", remove_frame(BAD_GFN));
    struct xen_remove_from_physmap remove_other = {.domid = BAD_DOMAIN, .gpfn = base + 4};
    ROW("memory.remove_from_physmap.bad_domain", memory_op(XENMEM_remove_from_physmap, &remove_other));
    ROW("memory.remove_from_physmap.efault", memory_op(XENMEM_remove_from_physmap, BAD_POINTER));
    frames[0] = base + 4;
    reserve(XENMEM_populate_physmap, frames, 1, 0);

    domid_t self = DOMID_SELF, other = BAD_DOMAIN;
    ROW_EFFECT("memory.maximum_gpfn", memory_op(XENMEM_maximum_gpfn, &self) > 0, "%s", "positive");
    ROW_EFFECT("memory.current_reservation", memory_op(XENMEM_current_reservation, &self) > 0, "%s", "positive");
    ROW_EFFECT("memory.maximum_reservation", memory_op(XENMEM_maximum_reservation, &self) > 0, "%s", "positive");
    ROW("memory.maximum_gpfn.bad_domain", memory_op(XENMEM_maximum_gpfn, &other));
    ROW("memory.maximum_ram_page", memory_op(XENMEM_maximum_ram_page, NULL) > 0);

    static struct {
        uint64_t addr, size;
        uint32_t type;
    } __attribute__((packed)) entries[128];
    struct xen_memory_map map = {.nr_entries = 128};
    set_xen_guest_handle(map.buffer, (void *)entries);
    result = memory_op(XENMEM_memory_map, &map);
    ROW_EFFECT("memory.memory_map", result, "%s, first type %u at %llx", map.nr_entries ? "entries" : "no entries",
               entries[0].type, (unsigned long long)entries[0].addr);
    map.nr_entries = 0;
    ROW("memory.memory_map.no_room", memory_op(XENMEM_memory_map, &map));
    ROW("memory.machine_memory_map", memory_op(XENMEM_machine_memory_map, BAD_POINTER));

    /* The guest's own map instead of the toolstack's. */
    struct {
        domid_t domid;
        struct xen_memory_map map;
    } set = {.domid = DOMID_SELF, .map.nr_entries = 2};
    entries[0].addr = 0x5000;
    entries[0].size = 0x1000;
    entries[0].type = 7;
    set_xen_guest_handle(set.map.buffer, (void *)entries);
    result = memory_op(XENMEM_SET_MEMORY_MAP, &set);
    entries[0].type = 0;
    map.nr_entries = 128;
    memory_op(XENMEM_memory_map, &map);
    ROW_EFFECT("memory.set_memory_map", result, "%u entries, first type %u", map.nr_entries, entries[0].type);
    set.map.nr_entries = 100000;
    ROW("memory.set_memory_map.too_many", memory_op(XENMEM_SET_MEMORY_MAP, &set));
    set.map.nr_entries = 1;
    set.domid = BAD_DOMAIN;
    ROW("memory.set_memory_map.bad_domain", memory_op(XENMEM_SET_MEMORY_MAP, &set));
}

#define GRANT(op, arg, count) hypercall(__HYPERVISOR_grant_table_op, op, (unsigned long)(arg), count, 0, 0)

static long set_version(uint32_t version)
{
    struct gnttab_set_version set = {.version = version};
    return GRANT(GNTTABOP_set_version, &set, 1);
}

/* The number of this domain, as the remote end of a port that it offers to itself. */
static domid_t own_domid(void)
{
    struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    evtchn_op(EVTCHNOP_alloc_unbound, &unbound);
    struct evtchn_status status = {.dom = DOMID_SELF, .port = unbound.port};
    evtchn_op(EVTCHNOP_status, &status);
    struct evtchn_close close = {.port = unbound.port};
    evtchn_op(EVTCHNOP_close, &close);
    return status.u.unbound.dom;
}

/* The guest grants a page to itself and maps it elsewhere: an entry in use holds the version of the table. */
static void rows_pinned(void)
{
    static uint32_t granted[1024] __attribute__((aligned(4096)));
    struct grant_entry_v1 *entry = (struct grant_entry_v1 *)grant_page + 20;
    unsigned long target = 0x2180; /* nobody's */
    volatile uint32_t *at = (volatile uint32_t *)(target << 12);
    struct gnttab_map_grant_ref map = {
        .host_addr = (uint64_t)target << 12, .flags = GNTMAP_host_map, .ref = 20, .dom = own_domid()};
    granted[0] = 0x600d600d;
    *entry =
        (struct grant_entry_v1){.flags = GTF_permit_access, .domid = map.dom, .frame = (uint32_t)frame_of(granted)};
    long result = GRANT(GNTTABOP_map_grant_ref, &map, 1);
    ROW_EFFECT("grant.map.own", result, "status %d, reads %x, entry %x", map.status, at[0], entry->flags);
    ROW("grant.set_version.2_pinned", set_version(2));
    ROW("grant.set_version.1_pinned", set_version(1));
    struct gnttab_unmap_grant_ref unmap = {.host_addr = map.host_addr, .handle = map.handle};
    result = GRANT(GNTTABOP_unmap_grant_ref, &unmap, 1);
    ROW_EFFECT("grant.unmap.own", result, "status %d, reads %x, entry %x", unmap.status, at[0], entry->flags);
    result = GRANT(GNTTABOP_unmap_grant_ref, &unmap, 1);
    ROW_EFFECT("grant.unmap.own_again", result, "status %d", unmap.status);
    ROW("grant.set_version.2_not_pinned", set_version(2));
}

/* The table is of version 2 here. What version 1 has no room for, among the entries that outlive the change, holds it.
 */
static void rows_representable(void)
{
    union grant_entry_v2 *two = (union grant_entry_v2 *)grant_page;
    two[3].hdr.flags = GTF_transitive;
    ROW("grant.set_version.1_transitive", set_version(1));
    set_version(2); /* where the change was made */
    two[3].hdr.flags = GTF_permit_access;
    two[3].full_page.frame = 1ull << 32;
    ROW("grant.set_version.1_frame_above_32_bits", set_version(1));
    set_version(2);
    two[3].hdr.flags = GTF_permit_access;
    two[3].full_page.frame = 0x1234;
    two[3].hdr.domid = 7;
    two[9] = two[3];
    long result = set_version(1);
    struct grant_entry_v1 *one = (struct grant_entry_v1 *)grant_page;
    ROW_EFFECT("grant.set_version.1_representable", result, "entry 3 %x, %u, %x, entry 9 %x", one[3].flags,
               one[3].domid, one[3].frame, one[9].flags);
    one[3].flags = 0;
    set_version(1);
}

static void rows_versions(void)
{
    rows_pinned();
    rows_representable();
}

static void rows_grants(void)
{
    struct gnttab_query_size size = {.dom = DOMID_SELF};
    long result = GRANT(GNTTABOP_query_size, &size, 1);
    ROW_EFFECT("grant.query_size", result, "status %d, frames %s, maximum %s", size.status,
               size.nr_frames ? "some" : "none", size.max_nr_frames > 1 ? "more" : "no more");
    size.dom = BAD_DOMAIN;
    result = GRANT(GNTTABOP_query_size, &size, 1);
    ROW_EFFECT("grant.query_size.bad_domain", result, "status %d", size.status);
    ROW("grant.query_size.count_2", GRANT(GNTTABOP_query_size, &size, 2));
    ROW("grant.query_size.efault", GRANT(GNTTABOP_query_size, BAD_POINTER, 1));
    ROW("grant.unknown_op", GRANT(60, &size, 1));
    ROW("grant.count_minus_1",
        hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (unsigned long)&size, ~0ul, 0, 0));

    static xen_pfn_t list[64];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1};
    set_xen_guest_handle(setup.frame_list, list);
    ROW("grant.setup_table.count_2", GRANT(GNTTABOP_setup_table, &setup, 2));
    result = GRANT(GNTTABOP_setup_table, &setup, 1);
    ROW_EFFECT("grant.setup_table", result, "status %d", setup.status);
    ((uint32_t *)grant_page)[16] = 0x5e7d0000;
    setup.nr_frames = 2;
    result = GRANT(GNTTABOP_setup_table, &setup, 1);
    setup.nr_frames = 1;
    result = result ? result : GRANT(GNTTABOP_setup_table, &setup, 1);
    size.dom = DOMID_SELF;
    GRANT(GNTTABOP_query_size, &size, 1);
    ROW_EFFECT("grant.setup_table.fewer", result, "status %d, frames %s, first %s, contents %s", setup.status,
               size.nr_frames >= 2 ? "2 or more" : "fewer", list[0] == frame_of(grant_page) ? "as mapped" : "elsewhere",
               grant_page[16] == 0x5e7d0000 ? "kept" : "lost");
    setup.nr_frames = 100000;
    result = GRANT(GNTTABOP_setup_table, &setup, 1);
    ROW_EFFECT("grant.setup_table.too_many", result, "status %d", setup.status);
    setup = (struct gnttab_setup_table){.dom = BAD_DOMAIN, .nr_frames = 1};
    result = GRANT(GNTTABOP_setup_table, &setup, 1);
    ROW_EFFECT("grant.setup_table.bad_domain", result, "status %d", setup.status);

    struct gnttab_get_version get = {.dom = DOMID_SELF};
    result = GRANT(GNTTABOP_get_version, &get, 1);
    ROW_EFFECT("grant.get_version", result, "version %u", get.version);
    struct gnttab_set_version set = {.version = 3};
    ROW("grant.set_version.3", GRANT(GNTTABOP_set_version, &set, 1));
    set.version = 1;
    result = GRANT(GNTTABOP_set_version, &set, 1);
    ROW_EFFECT("grant.set_version.1", result, "version %u", set.version);
    set.version = 2;
    result = GRANT(GNTTABOP_set_version, &set, 1);
    ROW_EFFECT("grant.set_version.2", result, "version %u", set.version);
    struct gnttab_get_status_frames status = {.dom = DOMID_SELF, .nr_frames = 1};
    static uint64_t status_list[8];
    set_xen_guest_handle(status.frame_list, status_list);
    result = GRANT(GNTTABOP_get_status_frames, &status, 1);
    ROW_EFFECT("grant.get_status_frames", result, "status %d", status.status);
    set.version = 1;
    result = GRANT(GNTTABOP_set_version, &set, 1);
    ROW_EFFECT("grant.set_version.back_to_1", result, "version %u", set.version);

    rows_versions();
    struct gnttab_map_grant_ref map = {
        .host_addr = (uint64_t)(uintptr_t)page_b, .flags = GNTMAP_host_map, .ref = 9, .dom = BAD_DOMAIN};
    result = GRANT(GNTTABOP_map_grant_ref, &map, 1);
    ROW_EFFECT("grant.map.bad_domain", result, "status %d", map.status);
    map.dom = DOMID_SELF;
    map.ref = 0xffffff;
    result = GRANT(GNTTABOP_map_grant_ref, &map, 1);
    ROW_EFFECT("grant.map.bad_ref", result, "status %d", map.status);
    map.flags = 0;
    result = GRANT(GNTTABOP_map_grant_ref, &map, 1);
    ROW_EFFECT("grant.map.no_flags", result, "status %d", map.status);
    struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)(uintptr_t)page_b, .handle = 0xffff};
    result = GRANT(GNTTABOP_unmap_grant_ref, &unmap, 1);
    ROW_EFFECT("grant.unmap.bad_handle", result, "status %d", unmap.status);
    struct gnttab_copy copy = {.len = 16, .flags = 0};
    copy.source.domid = DOMID_SELF;
    copy.source.u.gmfn = frame_of(page_b);
    copy.dest.domid = DOMID_SELF;
    copy.dest.u.gmfn = frame_of(page_a);
    page_b[0] = 0x600df00d;
    result = GRANT(GNTTABOP_copy, &copy, 1);
    ROW_EFFECT("grant.copy.own_frames", result, "status %d, %s", copy.status,
               page_a[0] == 0x600df00d ? "copied" : "not copied");
    copy.source.offset = 4090;
    result = GRANT(GNTTABOP_copy, &copy, 1);
    ROW_EFFECT("grant.copy.crosses_page", result, "status %d", copy.status);
    copy.source.offset = 0;
    copy.flags = GNTCOPY_source_gref;
    copy.source.u.ref = 0xffffff;
    result = GRANT(GNTTABOP_copy, &copy, 1);
    ROW_EFFECT("grant.copy.bad_ref", result, "status %d", copy.status);
    ROW("grant.dump_table", GRANT(GNTTABOP_dump_table, BAD_POINTER, 1));
    ROW("grant.transfer", GRANT(GNTTABOP_transfer, BAD_POINTER, 1));
    ROW("grant.unmap_and_replace", GRANT(GNTTABOP_unmap_and_replace, BAD_POINTER, 1));
    struct gnttab_swap_grant_ref swap = {.ref_a = 0xffffff, .ref_b = 9};
    result = GRANT(GNTTABOP_swap_grant_ref, &swap, 1);
    ROW_EFFECT("grant.swap.bad_ref", result, "status %d", swap.status);
    ROW("grant.cache_flush", GRANT(GNTTABOP_cache_flush, BAD_POINTER, 1));
    ROW("grant.map.count_0", GRANT(GNTTABOP_map_grant_ref, &map, 0));
}

void guest_main(void)
{
    rows_begin("memory");
    rows_physmap();
    rows_gmfn();
    rows_batch();
    rows_reservation();
    rows_grants();
}
