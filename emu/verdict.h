/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verdict: how a run ended, in one of five words, with detector and place.
 */
#ifndef BOOTRACE_EMU_VERDICT_H
#define BOOTRACE_EMU_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict_kind {
    VERDICT_NONE, /* the run goes on */
    VERDICT_PASS,
    VERDICT_FAIL,
    VERDICT_UNMODELLED,
    VERDICT_BUDGET,
    VERDICT_ERROR,
    VERDICT_INTERRUPTED, /* by the user; not one of the five, since it says nothing about the guest */
};

#define VERDICT_TEXT_BYTES 512

struct verdict {
    enum verdict_kind kind;
    const char *detector; /* static string: which property failed ("crash", "hang", …); NULL if none */
    unsigned vcpu;
    uint64_t rip_gva;  /* place; 0 if the verdict has none */
    uint64_t position; /* steps of that vCPU */
    char text[VERDICT_TEXT_BYTES];
    bool is_quote; /* the text is the guest's own: what it says tells one failure from another */
};

/* "PASS", "FAIL", … */
const char *verdict_kind_name(enum verdict_kind kind);
/* Of a text's words: the length of the one that begins here; the same if it is a number (that begins with a digit, or
   is an address by its length), else 0. */
size_t verdict_word_length(const char *text);
size_t verdict_number_length(const char *text);
/* Whether two texts are the same but for the numbers in them (addresses, times, processes, …). */
bool verdict_texts_agree(const char *a, const char *b);
/* The exit status of the program for a verdict. */
int verdict_exit_status(enum verdict_kind kind);

#endif
