/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * story: a run as a person wants to read it: what happened, in sentences; timelines; the bytes that were changed; the
 * registers; the schedule; and the command that makes the run again. It is written as one HTML file, as text, or as a
 * trace for a viewer.
 */
#ifndef BOOTRACE_CLI_REPORT_STORY_H
#define BOOTRACE_CLI_REPORT_STORY_H

#include <stdio.h>

#include "cli/case/case.h"
#include "cli/case/case_search.h"
#include "cli/report/report_words.h"
#include "cli/report/timeline.h"

#define STORY_PARAGRAPHS_MAX 24u
#define REPORT_INSNS         32u

/* The headline and the story; all text is derived from the timeline. */
struct story {
    char headline[VERDICT_TEXT_BYTES + 96]; /* one sentence */
    char lead[WORDS_BYTES];                 /* what was behind it, in one more; "" if it is not known */
    char place[256];                        /* "hypercall_page+0x3a5 on vCPU 0"; "" if there is none */
    char *paragraph[STORY_PARAGRAPHS_MAX];
    unsigned paragraphs;
};

struct report {
    const struct timeline *timeline;
    const struct test_case *test_case;         /* NULL if the run was given by options */
    const struct case_search_failure *finding; /* the case is a search, and the run is this failure; else NULL */
    const char *image;                         /* the guest's file, as the user named it */
    const char *schedule;                      /* text; "" if all went by default */
    const char *command;                       /* that runs it again */
    const char *command_report;                /* that makes this report again */
    struct story story;
};

/* Fill `s`; the report's other fields are filled in. EMU_EHOST: no memory. */
enum emu_err story_tell(struct story *s, const struct report *r, struct diag *d) EMU_MUST_CHECK;
void story_fini(struct story *s);

/* Write it. EMU_EHOST: a library or the stream refuses. */
enum emu_err report_write_text(const struct report *r, FILE *to, struct diag *d) EMU_MUST_CHECK;
enum emu_err report_write_html(const struct report *r, FILE *to, struct diag *d) EMU_MUST_CHECK;
enum emu_err report_write_perfetto(const struct report *r, FILE *to, struct diag *d) EMU_MUST_CHECK;

#endif
