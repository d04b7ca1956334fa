/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * torn_site: the detector of torn code in a single run. torn_code knows from a recorded window what a site of code
 * holds before and after its change, and finds where the site is executed in between. Here the versions of one site are
 * declared, so that such a finding becomes a case that replays, whatever the guest does with the torn instruction
 * afterwards.
 *
 * An instruction that is executed and begins in the site must belong to a declared version (code_version.h). INT3
 * belongs to every version, except where it is the padding of one version and instructions of others lead into it. A
 * version that is not declared counts as torn, so declare all versions that the site has while the run is watched.
 *
 * ASSUMES: the site begins at an instruction, in every version.
 */
#ifndef BOOTRACE_FUZZ_DETECT_TORN_SITE_H
#define BOOTRACE_FUZZ_DETECT_TORN_SITE_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/watch.h"
#include "fuzz/detect/code_version.h"

struct machine;
struct symbols;

#define TORN_SITE_BYTES_MAX    CODE_SITE_BYTES_MAX
#define TORN_SITE_VERSIONS_MAX 8u
#define TORN_SITE_TEXT_BYTES   (3u * TORN_SITE_BYTES_MAX * TORN_SITE_VERSIONS_MAX + 4u * TORN_SITE_VERSIONS_MAX + 320u)

struct torn_site {
    uint64_t gva;
    unsigned bytes, versions;
    uint8_t version[TORN_SITE_VERSIONS_MAX][TORN_SITE_BYTES_MAX];
};

/* "note_gp_changes+0x15: ff 15 1d 06 ac 01 -> e8 46 76 b4 00 90", or 0xADDRESS for the symbol; at least two versions,
   all of one length. EMU_EINPUT with a sentence. `symbols` may be NULL. */
enum emu_err torn_site_parse(const char *text, const struct symbols *symbols, struct torn_site *site,
                             struct diag *d) EMU_MUST_CHECK;
/* Print a site as that text. */
void torn_site_print(const struct torn_site *site, const struct symbols *symbols, char *text, size_t text_bytes);

struct torn_site_detector {
    struct torn_site site;
    struct machine *machine;
    struct watcher watcher;
};

/* Attach it: the first finding is the verdict, FAIL "torn-code". `x` is the caller's, and must stay valid as long as
   the machine runs. EMU_EHOST: too many watchers or places. */
enum emu_err torn_site_attach(struct torn_site_detector *x, struct machine *m, const struct torn_site *site,
                              struct diag *d) EMU_MUST_CHECK;
/* Watch this site from now on instead; NULL: none. */
enum emu_err torn_site_watch(struct torn_site_detector *x, const struct torn_site *site, struct diag *d) EMU_MUST_CHECK;

#endif
