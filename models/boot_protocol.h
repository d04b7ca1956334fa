/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot_protocol: put a Linux kernel into an HVM guest's memory and vCPU 0 at its entry, as a boot loader would by the
 * Linux boot protocol.
 *
 * The decompressed vmlinux is loaded where it is linked, and entered as the kernel's own decompressor enters it: 64-bit
 * kernels in long mode with an identity map, 32-bit kernels in protected mode without paging.
 *
 * DEVIATION: an HVM guest of Xen has an HPET (device and table); here it has none, so that such a kernel takes another
 * timer. With `acpi=off` no MP tables name its other processors: it sees one.
 * DEVIATION: neither firmware nor decompressor runs: a kernel is never relocated (no KASLR), the real-mode code of its
 * setup does not run, and BIOS data areas are zero.
 *
 * Source: Linux Documentation/arch/x86/boot.rst, "The Linux/x86 Boot Protocol"; asm/bootparam.h.
 */
#ifndef BOOTRACE_MODELS_BOOT_PROTOCOL_H
#define BOOTRACE_MODELS_BOOT_PROTOCOL_H

#include "emu/base/diag.h"

struct image;
struct machine;

/* Load `img`, with command line and initrd from platform_config(m), and set vCPU 0's registers. EMU_EINPUT with one
   sentence if the image is not a Linux kernel, or does not fit into the machine's memory with its initrd. */
enum emu_err boot_protocol_load(struct machine *m, const struct image *img, struct diag *d) EMU_MUST_CHECK;

#endif
