/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corpus_list: the cases that a user names, each with room for its outcome. If the host has no memory, the program
 * ends.
 */
#ifndef BOOTRACE_CLI_CORPUS_LIST_H
#define BOOTRACE_CLI_CORPUS_LIST_H

#include <stddef.h>

#include "cli/corpus_report.h"
#include "emu/base/diag.h"

struct corpus_list { /* zeroed: empty */
    struct corpus_entry *entry;
    size_t count, room;
};

/* Add a file, or all *.yaml files in and below a folder, in the order of their names. EMU_EINPUT: there are no cases,
   or too many. */
enum emu_err corpus_list_add(struct corpus_list *l, const char *path, struct diag *d) EMU_MUST_CHECK;
/* The same for ./corpus, or for the installed corpus. */
enum emu_err corpus_list_add_default(struct corpus_list *l, struct diag *d) EMU_MUST_CHECK;
/* Frees the entries with all that they hold. */
void corpus_list_fini(struct corpus_list *l);

/* Returns `p`, which an entry will hold; if it is NULL, the program ends with COMMAND_ERROR. */
void *corpus_must(void *p);

#endif
