/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * modules: the files that a guest finds in memory beside its kernel. A PV kernel is one too: the machine then starts a
 * Xen that is itself a PVH guest (xen-shim, as a shim or as the hypervisor that it is too), which takes the kernel as
 * its first module, with the kernel's own command line, and the initrd as its second.
 *
 * Source: Xen 4.17 docs/misc/pvh.pandoc; tools/libs/light, libxl_dom.c, "pvshim_path"; xen/arch/x86/pv/shim.c.
 */
#ifndef BOOTRACE_CLI_RUN_MODULES_H
#define BOOTRACE_CLI_RUN_MODULES_H

#include "emu/base/diag.h"

struct guest;
struct guest_options;

/* The file of the Xen that `o` asks for, which may not be there: what the user names, or what scripts/xen has fetched.
   The caller frees it. EMU_EINPUT: none is named and none was fetched. */
enum emu_err modules_find_xen(const struct guest_options *o, char **path, struct diag *d) EMU_MUST_CHECK;
/* The file of "FILE,COMMAND LINE"; the caller frees it. NULL: no memory. */
char *modules_path(const char *text);

/* Read what g->options names into g->module, and in the pv modes the Xen into g->xen; g->image is loaded. EMU_EINPUT: a
   file can't be read, the kernel has no PV entry, or the Xen was not built to be a PVH guest. What was read before that
   stays in `g`, for modules_fini(). */
enum emu_err modules_read(struct guest *g, struct diag *d) EMU_MUST_CHECK;
/* Of a snapshot in a pv mode: load the Xen into g->xen for its names and its words, if the file that is at hand is the
 * one. */
void modules_name_xen(struct guest *g);
/* Put initrd, modules and command line into g->platform. */
void modules_describe(struct guest *g);
void modules_fini(struct guest *g);

#endif
