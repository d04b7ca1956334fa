/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s2_kernel_b: the kernel that s2 starts. Brings up the same drivers in its own memory, as if it were the first, checks
 * every answer, its RAM disk before and after, and waits for a tick (and a serial interrupt, with pirq=1).
 */
#include "s2.h"
#include <xen/grant_table.h>

#define FAIL_REFUSED 0x501
#define FAIL_DAMAGED 0x502
#define FAIL_TICK    0x503
#define FAIL_SERIAL  0x504

static uint8_t shared_info_page[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t areas[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t grants[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t control[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t events[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t hole[PAGE_BYTES] __attribute__((aligned(4096)));

static unsigned ramdisk_damage(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < RAMDISK_PAGES * PAGE_BYTES; i++) {
        if (((volatile uint8_t *)RAMDISK_BASE)[i] == s2_pattern(i))
            continue;
        if (!wrong++)
            printk("B damage at page %u, offset %x\n", i / PAGE_BYTES, i % PAGE_BYTES);
    }
    return wrong;
}

/* What A has left: the page that it gave away, the place from which shared_info went, and its grants. */
static void probe(void)
{
    const struct s2_letter *letter = (const struct s2_letter *)S2_LETTER;
    xen_pfn_t frame = (uintptr_t)letter->hole >> 12;
    struct xen_memory_reservation arg = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(arg.extent_start, &frame);
    printk("B old_hole_reads %02x\n", *(volatile uint8_t *)letter->hole);
    printk("B old_hole_decrease %ld\n", memory_op(XENMEM_decrease_reservation, &arg));
    printk("B old_shared_info_reads %02x\n", *(volatile uint8_t *)letter->shared_info);
    struct gnttab_set_version set = {.version = 2};
    printk("B set_version_2 %ld\n",
           hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, (unsigned long)&set, (void *)1));
}

void guest_main(void)
{
    s2_owner(OWNER_ALL, 0);
    printk("B starts\n");
    unsigned wrong = ramdisk_damage();
    struct s2_places places = {
        .shared_info = shared_info_page,
        .vcpu_info = areas,
        .runstate = areas + 0x100,
        .time = areas + 0x200,
        .hole = hole,
        .grants = grants,
        .control = control,
        .events = events,
    };
    s2_drivers_init("B", &places);
    if (param_u32("probe", 0))
        probe();
    bool ticked = s2_wait_tick(), serial = !param_u32("pirq", 0) || s2_wait_serial();
    printk("B tick %s\n", ticked ? "arrives" : "missing");
    if (param_u32("pirq", 0))
        printk("B serial %s\n", serial ? "arrives" : "missing");
    if (!wrong)
        wrong = ramdisk_damage();
    if (wrong)
        guest_fail(FAIL_DAMAGED, "memory damaged after the digest");
    if (s2_drivers.refused)
        guest_fail(FAIL_REFUSED, "B was refused a call");
    if (!ticked)
        guest_fail(FAIL_TICK, "no tick in B");
    if (!serial)
        guest_fail(FAIL_SERIAL, "no serial interrupt in B");
}
