/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/corpus_list.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/command.h"
#include "emu/base/analyzer.h"
#include "emu/base/vec.h"

#define CASES_MAX 100000u

void *corpus_must(void *p)
{
    if (!p) {
        fprintf(stderr, "bootrace corpus: the host has no memory left\n");
        exit(COMMAND_ERROR);
    }
    return p;
}

ANALYZER_LOSES_ELEMENTS_BEGIN
static void add_path(struct corpus_list *l, const char *path)
{
    struct corpus_entry *e;
    const char *name = strrchr(path, '/');

    if (!vec_reserve(&l->entry, &l->room, l->count + 1, 64, sizeof(*l->entry)))
        corpus_must(NULL);
    e = &l->entry[l->count++];
    *e = (struct corpus_entry){.path = corpus_must(strdup(path)), .message = NULL};
    e->id = corpus_must(strdup(name ? name + 1 : path));
    if (case_is_named(e->id))
        e->id[strlen(e->id) - 5] = '\0';
}
ANALYZER_LOSES_ELEMENTS_END

void corpus_list_fini(struct corpus_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->entry[i].path);
        free(l->entry[i].id);
        free(l->entry[i].message);
        json_decref(l->entry[i].report);
    }
    free(l->entry);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

enum emu_err corpus_list_add(struct corpus_list *l, const char *path, struct diag *d)
{
    char *const paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    enum emu_err err = EMU_OK;
    size_t before = l->count;

    if (!fts)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
    for (FTSENT *f; err == EMU_OK && (f = fts_read(fts));) {
        if (f->fts_info == FTS_NS || f->fts_info == FTS_DNR || f->fts_info == FTS_ERR)
            err = diag_set_at(d, EMU_EINPUT, f->fts_path, 0, "can't be read: %s", strerror(f->fts_errno));
        else if (f->fts_info == FTS_F && (f->fts_level == 0 || case_is_named(f->fts_name)))
            add_path(l, f->fts_path);
        if (l->count > CASES_MAX)
            err = diag_set(d, EMU_EINPUT, "more than %u cases", CASES_MAX);
    }
    fts_close(fts);
    if (err == EMU_OK && l->count == before)
        err = diag_set_at(d, EMU_EINPUT, path, 0, "there is no case (*.yaml) in this folder");
    return err;
}

enum emu_err corpus_list_add_default(struct corpus_list *l, struct diag *d)
{
    struct case_places places;

    case_places_init(&places, NULL);
    if (access(places.corpus, R_OK))
        return diag_set(d, EMU_EINPUT,
                        "there is no folder ./corpus here, and no installed one; say which FOLDER or FILE");
    return corpus_list_add(l, places.corpus, d);
}
