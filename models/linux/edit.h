/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edit: changes to a loaded Linux kernel by meaning, not by address: what edit_text.h reads is fitted to one kernel,
 * and written.
 *
 * If the boot would write a removed instruction again, its entries in the patch tables are neutralised too:
 * alternatives and LOCK prefixes by lengths or an address of zero, paravirt sites by making the entry a copy of
 * another. Edits of instructions that can't be kept away in this way (static calls, jump labels, thunks, the calls for
 * function tracing) are refused.
 *
 * call-after puts its code into the padding behind a function of the text; CALLEE must take no argument on the stack.
 * To move a call, drop it and add it elsewhere.
 *
 * An edit fits or fails as a whole: nothing is written unless all of it can be. Edits are applied one after the other,
 * each to what the ones before left. `unguard` leaves PUSHF, POPF and the slots that save and restore flags alone:
 * with the disabling gone they restore what never changed.
 */
#ifndef BOOTRACE_MODELS_LINUX_EDIT_H
#define BOOTRACE_MODELS_LINUX_EDIT_H

#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"
#include "emu/insn.h"
#include "emu/memory.h"
#include "models/linux/edit_text.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"

#define EDIT_CHANGES_MAX 256u

/* The kernel that is edited. `tables` may lack tables; a refused one stops every edit of code that it may cover. */
struct edit_kernel {
    const struct kernel_view *view;
    const struct symbols *symbols; /* sealed, without slide */
    const struct patch_tables *tables;
    struct decoder *decoder;
    bool direct_calls_only; /* others may be written again by a table that is not among `tables`: they stay */
};

/* Where its bytes are now, by link address. Both return false if any byte is not there, and then do nothing. */
struct edit_memory {
    void *context;
    bool (*read)(void *context, uint64_t gva, void *dst, size_t bytes);
    bool (*write)(void *context, uint64_t gva, const void *src, size_t bytes);
};

struct edit_change {
    uint64_t gva;
    size_t bytes;
    uint8_t old_bytes[EDIT_BYTES_MAX], new_bytes[EDIT_BYTES_MAX];
    enum patch_kind table; /* PATCH_KINDS: code; else an entry of this table */
    uint64_t site_gva;     /* for an entry: the site it was for */
};
typedef void(edit_report_fn)(void *context, const struct edit_change *change);

/*
 * Apply one edit and report each change after it was written. EMU_EINPUT: the anchor does not fit, or a table would
 * bring the code back; nothing was written. `report` may be NULL.
 */
enum emu_err edit_apply(const struct edit *e, const struct edit_kernel *k, const struct edit_memory *memory,
                        edit_report_fn *report, void *context, struct diag *d) EMU_MUST_CHECK;

/* A writable copy of the image's bytes as the memory to edit; `bytes` has view->size of them. */
struct edit_copy {
    const struct kernel_view *view;
    uint8_t *bytes;
};
struct edit_memory edit_memory_copy(struct edit_copy *copy);

/* Guest memory into which the image was loaded at its physical link addresses. */
struct edit_guest {
    const struct image *image;
    struct memory *memory;
};
struct edit_memory edit_memory_guest(struct edit_guest *guest);

/* The NOP of this length, 1 … 9, one instruction. Source: SDM Vol. 2, "NOP", recommended multi-byte sequences. */
void edit_nop(uint8_t *dst, unsigned bytes);

#endif
