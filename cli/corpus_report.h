/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corpus_report: the outcomes of many cases, for machines: TAP, JUnit XML, SARIF.
 */
#ifndef BOOTRACE_CLI_CORPUS_REPORT_H
#define BOOTRACE_CLI_CORPUS_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "emu/base/diag.h"

enum corpus_state {
    CORPUS_WAITS,
    CORPUS_EXPECTED,  /* the case ended as it expects */
    CORPUS_DIFFERENT, /* it did not */
    CORPUS_SKIPPED,   /* Debian's kernel that it needs was not fetched */
    CORPUS_ERROR,     /* it could not be run: a broken file, or one that does not fit its guest */
};

struct corpus_entry {
    char *path;
    char *id; /* the file's name without its suffix */
    enum corpus_state state;
    json_t *report; /* what `bootrace replay --json` said; NULL if it said nothing */
    char *message;  /* one sentence; "" if all is as expected */
    double host_s;
};

void corpus_print_tap_plan(size_t count, FILE *to);
void corpus_print_tap(const struct corpus_entry *e, size_t number, FILE *to);

/* Write a whole file. EMU_EHOST: it can't be written. */
enum emu_err corpus_write_junit(const char *path, const struct corpus_entry *e, size_t count,
                                struct diag *d) EMU_MUST_CHECK;
enum emu_err corpus_write_sarif(const char *path, const struct corpus_entry *e, size_t count,
                                struct diag *d) EMU_MUST_CHECK;

/* A text of the report, or "". */
const char *corpus_report_text(const struct corpus_entry *e, const char *key);

#endif
