/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
/*
 * edit_text: an edit of a Linux kernel as a line of text, and what it says. Whether it fits a kernel is not known here.
 *
 *   drop-call FUNCTION CALLEE|+OFFSET [OCCURRENCE]   a call becomes a NOP of the same length, a jump to CALLEE a return
 *   call-after FUNCTION CALLEE NEW [OCCURRENCE]      after a direct call of CALLEE, NEW is called too, with the same
 *                                                    first argument; the result stays CALLEE's
 *   unguard FUNCTION                                 every disabling and enabling of interrupts in it becomes a NOP
 *   replace FUNCTION+OFFSET PATTERN BYTES            bytes that match (hexadecimal, ?? is any) become others
 *   skip-entry TABLE FUNCTION+OFFSET                 the kernel does not patch this site
 *
 * A place may also be written as a link address, 0x…. CALLEE is the called function, or for an indirect call through
 * memory the function whose address the image has there (so `pv_native_irq_disable` is a slot of the operations table);
 * OCCURRENCE counts from 1 and is needed if there are several.
 */
/* clang-format on */
#ifndef BOOTRACE_MODELS_LINUX_EDIT_TEXT_H
#define BOOTRACE_MODELS_LINUX_EDIT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "models/linux/patch_tables.h"

#define EDIT_BYTES_MAX  64u
#define EDIT_NAME_BYTES 256u
#define EDIT_LINE_BYTES 1024u

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
enum emu_err edit_parse(const char *text, unsigned line, struct edit *e, struct diag *d) EMU_MUST_CHECK;

/* The line that parses to the same edit; returns the length of the whole text, as snprintf. */
int edit_print(const struct edit *e, char *text, size_t bytes);

#endif
