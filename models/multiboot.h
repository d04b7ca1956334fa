/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multiboot: put a Multiboot (1) kernel into the memory of a bare PC and vCPU 0 at its entry, with its modules, a
 * memory map and its command line. The PC has no hypervisor; models/pc/test_ports.h is how such a guest ends.
 *
 * Only ELF files are loaded: a kernel that gives load addresses in its Multiboot header instead (flag 16) is refused.
 *
 * Source: Multiboot Specification 0.6.96, "Boot information format", "Machine state"; QEMU hw/i386/multiboot.c for what
 * the specification leaves open (the first word of the command line is the kernel's name).
 */
#ifndef BOOTRACE_MODELS_MULTIBOOT_H
#define BOOTRACE_MODELS_MULTIBOOT_H

#include <stdbool.h>

#include "emu/base/diag.h"

struct image;
struct machine;

/* Whether the file has a Multiboot header. */
bool multiboot_is_kernel(const struct image *img);

/* Load `img`, with command line, initrd and modules from platform_config(m), and set vCPU 0's registers. EMU_EINPUT
   with one sentence if it has no header, or does not fit. */
enum emu_err multiboot_load(struct machine *m, const struct image *img, struct diag *d) EMU_MUST_CHECK;

#endif
