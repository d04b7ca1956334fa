/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_words: what lines of a guest's console mean, for those who look for the guest's own account of its end. Only
 * the implementations (models/linux/linux_words.c, models/xen/xen_words.c) know what a kernel prints and which of its
 * functions only report; those who ask (fuzz/detect/guest_panic.h) know no kernel.
 */
#ifndef BOOTRACE_EMU_GUEST_WORDS_H
#define BOOTRACE_EMU_GUEST_WORDS_H

#include <stdbool.h>

enum guest_line {
    GUEST_LINE_OTHER,
    GUEST_LINE_REPORT,      /* the kernel begins to report a fault or a bug of its own; it may live on */
    GUEST_LINE_REPORT_DONE, /* … and has reported it */
    GUEST_LINE_PANIC,       /* the kernel gives up, for the reason that this line says */
    GUEST_LINE_PANIC_AFTER, /* it gives up because of what it has reported before */
    GUEST_LINE_PANIC_NEXT,  /* it gives up, and the next line says why */
    GUEST_LINE_FATAL,       /* it gives up at a fault, without its panic function */
    GUEST_LINE_FATAL_AFTER, /* the same, because of what was reported before: a guest of this kernel gives up */
    GUEST_LINE_END,         /* the guest has nothing more to say; a standstill or a reset follows */
    GUEST_LINE_ANEW,        /* a kernel begins */
};

struct guest_words {
    const char *name;
    /* What a line means, without its line end; *said is where the kernel's own words begin in it. */
    enum guest_line (*read_line)(const char *line, const char **said);
    /* Whether this function only reports what its caller found. */
    bool (*is_reporter)(const char *symbol);
    const char *panic;        /* the function that gives up; its first argument is a sentence, it never returns */
    const char *crash_kernel; /* a pointer, not NULL if another kernel is to run after that function; NULL: unknown */
    const char *leave;        /* the function that jumps into another kernel; NULL: there is none */
};

#endif
