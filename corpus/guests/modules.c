/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * modules: says what start_info lists: each module's place within its page, size, checksum and command line. It reads
 * them through its own map, so give it no more memory than that covers (GUEST_MAPPED_BYTES).
 *
 * The runtime keeps of start_info what all guests need; here it is looked for where its memory map is: the loader puts
 * both into one page, start_info first.
 */
#include "hypercall.h"

#include <xen/arch-x86/hvm/start_info.h>

void guest_main(void)
{
    const struct hvm_start_info *info = (const void *)(uintptr_t)(guest_boot.memmap_pa & ~0xfffull);
    const struct hvm_modlist_entry *m;

    if (info->magic != XEN_HVM_START_MAGIC_VALUE)
        guest_fail(1, "start_info is not in the page of its memory map");
    m = (const void *)(uintptr_t)info->modlist_paddr;
    printk("%u modules; command line: %s\n", info->nr_modules, guest_boot.cmdline);
    for (uint32_t i = 0; i < info->nr_modules; i++)
        printk("module %u: +0x%lx, %lu bytes, checksum %08x, %s\n", i, (unsigned long)(m[i].paddr & 0xfff),
               (unsigned long)m[i].size,
               checksum(CHECKSUM_SEED, (const void *)(uintptr_t)m[i].paddr, (size_t)m[i].size),
               m[i].cmdline_paddr ? (const char *)(uintptr_t)m[i].cmdline_paddr : "no command line");
}
