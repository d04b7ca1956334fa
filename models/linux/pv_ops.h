/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_ops: the kernel's paravirt operation tables, read from its image: where they are, what their slots are called and
 * hold at first, and which instructions call through which slot. It is knowledge for detectors that watch a table
 * change after its callers were patched; it watches nothing itself.
 *
 * A slot is named after the native function that the image has in it (`native_queued_spin_unlock` gives
 * `queued_spin_unlock`); those of the locks that begin as empty functions are named by their place behind it, `wait`
 * and `kick`; others that begin empty have the name "". All addresses are link addresses.
 *
 * Source: Linux 2.6.20 … 6.12, arch/x86/include/asm/paravirt_types.h, "struct paravirt_patch_template", "struct
 * pv_lock_ops".
 */
#ifndef BOOTRACE_MODELS_LINUX_PV_OPS_H
#define BOOTRACE_MODELS_LINUX_PV_OPS_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"

#define PV_OPS_SLOTS_MAX  160u
#define PV_OPS_NAME_BYTES 64u

struct pv_slot {
    uint64_t slot_gva;
    uint64_t first_gva;           /* the function in it in the image; 0: it is empty */
    const char *table;            /* "pv_ops", "pv_ops_lock", "pv_lock_ops", …: lives for ever */
    char name[PV_OPS_NAME_BYTES]; /* cut if longer */
};

struct pv_site {
    uint64_t site_gva;
    unsigned bytes;
    unsigned slot; /* index into slots */
};

struct pv_ops {
    unsigned slot_count;
    size_t site_count;
    struct pv_slot slots[PV_OPS_SLOTS_MAX]; /* ascending addresses within a table */
    struct pv_site *sites;                  /* ascending addresses, no two equal */
};

/*
 * Find tables and sites. EMU_EINPUT: the kernel has no tables (no paravirt, or no symbols of data), or the table of
 * sites was refused. pv_ops_fini() frees it, and accepts a zeroed struct too.
 */
enum emu_err pv_ops_init(struct pv_ops *o, const struct kernel_view *v, const struct symbols *s,
                         const struct patch_tables *t, struct diag *d) EMU_MUST_CHECK;
void pv_ops_fini(struct pv_ops *o);

/* The slot of this name, or at this address; slot_count if there is none. */
unsigned pv_ops_find_name(const struct pv_ops *o, const char *name);
unsigned pv_ops_find_slot(const struct pv_ops *o, uint64_t slot_gva);

/* The site that begins at this address, NULL if there is none. */
const struct pv_site *pv_ops_find_site(const struct pv_ops *o, uint64_t site_gva);

#endif
