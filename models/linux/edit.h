/*
 * edit: changes to a loaded Linux kernel by meaning, not by address: one line of text each.
 *
 *   drop-call FUNCTION CALLEE|+OFFSET [OCCURRENCE]   a call becomes a NOP of the same length, a jump to CALLEE a return
 *   call-after FUNCTION CALLEE NEW [OCCURRENCE]      after a direct call of CALLEE, NEW is called too, with the same
 * first argument; the result stays CALLEE's unguard FUNCTION                                 every disabling and
 * enabling of interrupts in it becomes a NOP replace FUNCTION+OFFSET PATTERN BYTES            bytes that match
 * (hexadecimal, ?? is any) become others skip-entry TABLE FUNCTION+OFFSET                 the kernel does not patch
 * this site
 *
 * A place may also be written as a link address, 0x…. CALLEE is the called function, or for an indirect call through
 * memory the function whose address the image has there (so `pv_native_irq_disable` is a slot of the operations table);
 * OCCURRENCE counts from 1 and is needed if there are several. Where boot would write a removed instruction again, the
 * entries of the patch tables for it are neutralised too: alternatives and LOCK prefixes by lengths or an address of
 * zero, paravirt sites by making the entry a copy of another. What can't be kept away so (static calls, jump labels,
 * thunks, the calls for function tracing) is refused.
 *
 * What call-after adds stands in the padding behind some function of the text; CALLEE must take no argument on the
 * stack. To move a call is to drop it and to add it elsewhere.
 *
 * An edit fits or fails as a whole: nothing is written unless all of it can be. Edits are applied one after the other,
 * each to what the ones before left. `unguard` leaves PUSHF, POPF and the slots that save and restore flags alone:
 * with the disabling gone they restore what never changed.
 */
#ifndef BOOTRACE_MODELS_LINUX_EDIT_H
#define BOOTRACE_MODELS_LINUX_EDIT_H

#include "emu/diag.h"
#include "emu/image.h"
#include "emu/insn.h"
#include "emu/memory.h"
#include "emu/symbols.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"

#define EDIT_BYTES_MAX   64u
#define EDIT_NAME_BYTES  256u
#define EDIT_LINE_BYTES  1024u
#define EDIT_CHANGES_MAX 256u

enum edit_kind { EDIT_DROP_CALL, EDIT_CALL_AFTER, EDIT_UNGUARD, EDIT_REPLACE, EDIT_SKIP_ENTRY };

/* A place: `name` + offset, or the link address `offset` if name is "". */
struct edit_place {
    char name[EDIT_NAME_BYTES];
    uint64_t offset;
};

struct edit {
    enum edit_kind kind;
    unsigned line;                /* of the text it came from, 0 if none */
    struct edit_place place;      /* the function, or the place in it */
    char callee[EDIT_NAME_BYTES]; /* drop-call, call-after; "" if the call is at call_offset */
    uint64_t call_offset;
    unsigned occurrence;              /* drop-call, call-after: from 1; 0: it is the only one */
    char new_callee[EDIT_NAME_BYTES]; /* call-after */
    unsigned pattern_bytes;
    uint8_t pattern[EDIT_BYTES_MAX], mask[EDIT_BYTES_MAX]; /* replace: mask 0 for any byte, else 0xff */
    uint8_t bytes[EDIT_BYTES_MAX];                         /* replace: pattern_bytes of them */
    enum patch_kind table;                                 /* skip-entry */
};

/* Read one line; `line` is its number for the sentence, 0 if it has none. EMU_EINPUT: it is no edit. */
EMU_MUST_CHECK enum emu_err edit_parse(const char *text, unsigned line, struct edit *e, struct diag *d);

/* The line that parses to the same edit; returns the length of the whole text, as snprintf. */
int edit_print(const struct edit *e, char *text, size_t bytes);

/* The kernel that is edited. `tables` may lack tables; a refused one stops every edit of code that it may cover. */
struct edit_kernel {
    const struct kernel_view *view;
    const struct symbols *symbols; /* sealed, without slide */
    const struct patch_tables *tables;
    struct decoder *decoder;
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
EMU_MUST_CHECK enum emu_err edit_apply(const struct edit *e, const struct edit_kernel *k,
                                       const struct edit_memory *memory, edit_report_fn *report, void *context,
                                       struct diag *d);

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
