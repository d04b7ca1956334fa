/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report_words: how the facts of a run are put into words and lines, for every format of a report.
 */
#ifndef BOOTRACE_CLI_REPORT_REPORT_WORDS_H
#define BOOTRACE_CLI_REPORT_REPORT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/report/timeline.h"

#define WORDS_BYTES 512

/* "1.234567 ms", in the unit that fits. */
const char *words_time(uint64_t ns, char *text, size_t bytes);
/* "32,652" */
const char *words_number(uint64_t n, char *text, size_t bytes);
/* "memcpy+0x1c", without the function's length; the address if no symbol covers it. */
const char *words_place(const struct symbols *s, uint64_t gva, char *text, size_t bytes);
/* "0f 83 04" */
const char *words_bytes(const uint8_t *code, size_t n, char *text, size_t bytes);
/* "ENOENT" if a hypercall's result is an error, else NULL. Xen's numbers are Linux's. */
const char *words_errno(uint64_t result);
/* What happened ("interrupt 0x31 delivered before memcpy+0x1c"). */
const char *words_fact(const struct symbols *s, const struct scene_fact *f, char *text, size_t bytes);
/* What a decision did, as a clause ("the earliest timer expired"). */
const char *words_decision(const struct decision *d, char *text, size_t bytes);

/* One instruction. */
struct words_insn {
    uint64_t gva;
    unsigned length;
    uint8_t code[INSN_BYTES_MAX];
    char place[128];
    char text[128];
};

/* The instructions of `code`, which lies at `gva`; the last may reach behind `n` into what memory holds there. Returns
   their number, `most` at most. */
unsigned words_code(struct machine *m, const struct symbols *s, struct decoder *dec, unsigned bits, uint64_t gva,
                    const uint8_t *code, size_t n, struct words_insn *insn, unsigned most);

/* The last instructions of a scene's ring of blocks, the newest last. */
unsigned words_last_insns(const struct scene *sc, struct decoder *dec, struct words_insn *insn, uint64_t *position,
                          unsigned *vcpu, unsigned most);

#endif
