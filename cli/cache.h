/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache: go to a place of a boot once. A run from the start takes seconds to get there; the snapshot of the place, in
 * the cache's folder, takes a fraction of a second. Also the sub-command that shows and empties the folder.
 */
#ifndef BOOTRACE_CLI_CACHE_H
#define BOOTRACE_CLI_CACHE_H

#include <argp.h>
#include <stdbool.h>

#include "cli/run/approach.h"
#include "cli/run/guest.h"
#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/snapshot_cache.h"

struct cache_options {  /* zero means the default */
    const char *folder; /* NULL: ${XDG_CACHE_HOME:-~/.cache}/bootrace, and none if there is no home */
    bool off;
};

/* --cache DIR and --no-cache, as a child of a sub-command's parser; its input is a struct cache_options. */
extern const struct argp cache_argp;

/* approach_run_to() for a guest that has not run: if the cache has the place, load it from there; else run there and
   put it into the cache. A cache that can't be used costs one line on standard error, nothing else. With detectors,
   which have to see the way to the place, the cache is not used. On EMU_EINPUT and EMU_EHOST the guest can no longer be
   used. */
enum emu_err cache_run_to(struct guest *g, const struct cache_options *o, const struct approach *a,
                          struct approach_place *place, enum machine_stop_reason *why, struct diag *d) EMU_MUST_CHECK;

/* Where the cache is: in the folder that `o` names, or in the default one. False if the user has no home folder, and so
   no cache. */
bool cache_find_folder(const struct cache_options *o, char folder[SNAPSHOT_CACHE_FOLDER_BYTES]);

int cache_run(int argc, char **argv);

#endif
