/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diag: how a mistake of the user, or of the host, travels from where it is found to where it is printed.
 *
 * A function that can fail for such a reason returns `enum emu_err` (0 or negative), is marked must-check and fills
 * the caller's `struct diag` with one sentence, and the file and line it is about where there is one. It is not for
 * what the guest does wrong (the guest gets the architecture's answer) nor for our own mistakes (see ensure.h).
 */
#ifndef BOOTRACE_EMU_BASE_DIAG_H
#define BOOTRACE_EMU_BASE_DIAG_H

#include <stddef.h>
#include <stdio.h>

#define EMU_MUST_CHECK         __attribute__((warn_unused_result))
#define EMU_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

enum emu_err {
    EMU_OK = 0,
    EMU_EINPUT = -1, /* what the user gave is wrong: a file, an option, a case */
    EMU_EHOST = -2,  /* the host refused: memory, a file that can't be written, a library */
};

#define DIAG_TEXT_BYTES 1024
#define DIAG_FILE_BYTES 512

struct diag {
    char file[DIAG_FILE_BYTES]; /* "" if the sentence is about no file */
    unsigned line;              /* 1-based; 0 if none */
    char text[DIAG_TEXT_BYTES]; /* one sentence, no newline, says what to do next where that helps */
};

/* Forget what was said. */
void diag_init(struct diag *d);

/* Say one sentence and return `err`, so that `return diag_set(d, EMU_EINPUT, "…")` reads well. */
enum emu_err diag_set(struct diag *d, enum emu_err err, const char *fmt, ...) EMU_PRINTF(3, 4);

/* The same about a place: `line` 0 for a whole file. */
enum emu_err diag_set_at(struct diag *d, enum emu_err err, const char *file, unsigned line, const char *fmt, ...)
    EMU_PRINTF(5, 6);

/* The sentence for an allocation that failed; returns EMU_EHOST. */
enum emu_err diag_no_memory(struct diag *d);

/* Add the file (and line) to what was said by a callee that knew only the text. Keeps a place already set. */
void diag_add_place(struct diag *d, const char *file, unsigned line);

/* "file:line: sentence\n", with the parts that are there, prefixed with `program: `. */
void diag_print(const struct diag *d, const char *program, FILE *to);

#endif
