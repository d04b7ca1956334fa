/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outcome: how a case's run has ended, and how that differs from what the case expects.
 */
#ifndef BOOTRACE_CLI_CASE_OUTCOME_H
#define BOOTRACE_CLI_CASE_OUTCOME_H

#include <jansson.h>
#include <stdint.h>

#include "cli/case/case.h"
#include "cli/run/session.h"

#define OUTCOME_DIFFERENCES_MAX 8

struct outcome {
    enum verdict_kind verdict;
    bool unfit; /* the run could not be made or went another way: the case does not fit its guest; verdict is ERROR */
    char detector[64];
    char place[320]; /* symbol+0xoffset/0xsize, or 0xaddress */
    char text[DIAG_FILE_BYTES + DIAG_TEXT_BYTES + 16];
    uint64_t rip_gva;
    bool is_quote;             /* the text is the guest's own */
    uint64_t digest, steps;    /* CASE_NONE: there are none, as of a search */
    uint64_t failing, covered; /* of a search, else CASE_NONE */
    double host_s;
    char difference[OUTCOME_DIFFERENCES_MAX][640];
    unsigned differences;
};

void outcome_init(struct outcome *o);
/* A sentence may contain bytes that the guest chose, but whoever prints it needs text: bytes outside ASCII become '?'.
 */
void outcome_clean(char *text);
void outcome_set_unfit(struct outcome *o, const struct diag *d);
void outcome_of_session(struct outcome *o, struct session *s);
/* The toolstack's answer and its reason. */
void outcome_of_load(struct outcome *o, bool accepted, const char *why);
/* `report` is what `bootrace fuzz --json` printed, `status` how it ended. False if it is no report. */
bool outcome_of_search(struct outcome *o, const char *report, int status);

/* Fill in the differences; `console` is what the guest wrote, or NULL. */
void outcome_compare(struct outcome *o, const struct test_case *c, const char *console);
bool outcome_is_expected(const struct outcome *o);

json_t *outcome_json(const struct outcome *o, const struct test_case *c);

#endif
