/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * torn_code: the detector of instructions that are executed while somebody is in the middle of changing them.
 *
 * The recorded window says which code it changes, byte by byte. Writes that follow one another and touch one another
 * are one *change* of one site, from its old bytes to its new ones. Whoever executes an instruction of the site between
 * the first and the last of these writes must find an instruction of the old version or of the new one, whole and at a
 * place where that version has one; anything else is torn. INT3 as the only torn byte is the protocol by which a kernel
 * keeps others out, and no finding; INT3 as padding of one version, into which instructions of the other lead, is one.
 *
 * A byte that changes once more begins a new change: so the steps of the protocol of INT3, and a site that is patched
 * first and then given better NOPs, are changes of their own.
 *
 * ASSUMES: a site begins at an instruction, or its first instruction begins before it. A site whose single instructions
 * are whole but belong to two versions is not seen otherwise; nor is what lies beyond TORN_CODE_SITE_BYTES_MAX of a
 * site.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_TORN_CODE_H
#define BOOTRACE_FUZZ_SEARCH_TORN_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "fuzz/detect/code_version.h"

struct machine;
struct torn_code;
struct window;

#define TORN_CODE_SITE_BYTES_MAX CODE_SITE_BYTES_MAX

struct torn_code_finding {
    uint64_t gva;                   /* of the instruction */
    uint64_t site_gva, patcher_gva; /* of the site, and of the instruction that changes it */
    unsigned bytes;                 /* of the site */
    unsigned written;               /* bytes of the site that are as in the new version and not as in the old */
    uint8_t before[TORN_CODE_SITE_BYTES_MAX], present[TORN_CODE_SITE_BYTES_MAX], after[TORN_CODE_SITE_BYTES_MAX];
};

/* The changes that `w` records. */
enum emu_err torn_code_new(const struct window *w, struct torn_code **out, struct diag *d) EMU_MUST_CHECK;
void torn_code_free(struct torn_code *t);
uint64_t torn_code_changes(const struct torn_code *t);

/* Say that what follows happens at this boundary of the window. True if a change is under way there. */
bool torn_code_begin(struct torn_code *t, uint64_t position);
/* The current vCPU of `m` is about to execute the code [gva, gva + bytes), which lies at `gpa` within one page. True if
   that is torn. */
bool torn_code_check(struct torn_code *t, struct machine *m, uint64_t gva, uint64_t gpa, unsigned bytes,
                     struct torn_code_finding *finding);
/* All versions of the site whose change is under way, from the first to the last in the window; if there are more than
   `max`, those around this change. Returns their number. */
unsigned torn_code_versions(const struct torn_code *t, uint8_t (*version)[TORN_CODE_SITE_BYTES_MAX], unsigned max);
/* "f0 83 04 (old), 0f 83 04 (now), 0f ae f0 (new)" */
void torn_code_print(const struct torn_code_finding *finding, char *text, size_t text_bytes);

#endif
