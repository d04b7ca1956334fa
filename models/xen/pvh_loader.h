/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvh_loader: put a guest image into memory and vCPU 0 at its entry, as Xen's toolstack builds a PVH domain.
 *
 * Source: Xen 4.17 docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"; public/arch-x86/hvm/start_info.h;
 * tools/libs/guest, "xg_dom_x86.c" for the layout: start_info, command line, module list and memory map above the
 * kernel, special pages under 4 GiB, ACPI tables at the end of the first megabytes' reserved area.
 */
#ifndef BOOTRACE_MODELS_XEN_PVH_LOADER_H
#define BOOTRACE_MODELS_XEN_PVH_LOADER_H

#include <stdint.h>

#include "emu/base/diag.h"

struct image;
struct machine;

/* The ACPI tables' place and room, and the pages that Xen's toolstack keeps for itself. */
/* DEVIATION: real Xen 4.17 puts the tables at 0xfc000000, into pages of their own outside RAM; here they lie in the
   last 64 KiB of the first megabyte, which the memory map says is ACPI data. No guest can tell but by the address. */
#define PVH_ACPI_GPA     0xf0000ull
#define PVH_ACPI_BYTES   0x10000ull
#define PVH_ACPI_END_GPA (PVH_ACPI_GPA + PVH_ACPI_BYTES)
/* From here to 4 GiB: device windows and the pages that the toolstack keeps (console and xenstore rings). */
#define PVH_SPECIAL_GPA 0xfc000000ull

/* The memory map of start_info, which XENMEM_memory_map tells too; how many entries it has. */
#define PVH_MEMMAP_ENTRIES_MAX 5u
struct hvm_memmap_table_entry;
uint32_t pvh_memory_map(const struct machine *m, struct hvm_memmap_table_entry *e);

/*
 * Load `img`, with command line and initrd from platform_config(m), and set vCPU 0's registers. EMU_EINPUT with one
 * sentence if the image has no PVH entry, does not fit into the machine's memory, or leaves no room for the initrd.
 */
enum emu_err pvh_load(struct machine *m, const struct image *img, struct diag *d) EMU_MUST_CHECK;

#endif
