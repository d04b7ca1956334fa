/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * case: one file that describes a whole run: prose, guest, machine, schedule or search, expectation. `boot --record`
 * and `fuzz --out` write cases, `replay` runs them, corpus/ keeps them. The format is described in docs/case.md; the
 * tables in case_fields.c are the one place where its keys are named, for reading and for writing.
 *
 * Reading checks everything that can be checked without the guest: syntax, unknown and repeated keys, missing keys,
 * types and values; each mistake is one sentence with file and line. It does not look for the guest: case_guest.h does.
 */
#ifndef BOOTRACE_CLI_CASE_CASE_H
#define BOOTRACE_CLI_CASE_CASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/run/guest.h"
#include "emu/base/diag.h"
#include "emu/verdict.h"

#define CASE_NONE           UINT64_MAX /* a number that the case does not give */
#define CASE_FILE_BYTES_MAX (64u << 20)

/* What a sub-command that needs a run says about a case that has no run (load). */
#define CASE_WITHOUT_RUN "this case only asks whether its guest is loaded, and has no run; `bootrace replay` answers it"

/* Text is NULL where the case says nothing. */
struct test_case {
    const char *path; /* of the file; "" if there is none yet */
    const char *title;
    struct {
        const char *mechanism, *source, *falsified_by;
    } prose;
    struct {                       /* exactly one of the first three */
        const char *kernel;        /* an image; relative to the file */
        const char *free_standing; /* a guest of the build, by name */
        const char *debian;        /* a kernel in the cache, by flavour, as scripts/kernel fetches it */
        const char *initrd;        /* relative to the file, or `cached` for that of scripts/initrd */
        const char *system_map, *vmlinux;
        uint64_t image_xxh3; /* digest of the image's file (XXH3, 64 bits) */
        const char *edit[GUEST_EDITS_MAX];
        unsigned edits;
        const char *module[PLATFORM_MODULES_MAX]; /* FILE[,CMDLINE], the file relative to the case */
        unsigned modules;
        const char *xen_image; /* of the pv modes; relative to the file. NULL: what scripts/xen fetched */
        uint64_t xen_xxh3;     /* digest of its file */
    } guest;
    struct {
        const char *cmdline, *xen_cmdline, *cpu;
        uint64_t vcpus, online, memory_bytes;
        enum platform_mode mode;
        unsigned xen_version; /* 0 for the default */
    } machine;
    const char *detect; /* names with commas, besides crash and hang */
    const char
        *op_table; /* a declaration (fuzz/detect/op_table_text.h), or @ and a file that has it, relative to this one */
    const char *same;      /* what must be as in the undisturbed run (fuzz/detect/divergence.h) */
    const char *torn_site; /* as --torn-site (fuzz/detect/torn_site.h) */
    const char *schedule;
    unsigned schedule_line;   /* of its first line, in the file */
    struct {                  /* no run: would this Xen's toolstack load the guest? */
        const char *as;       /* pv or pvh */
        const char *features; /* of the domain's configuration */
    } load;
    struct { /* as the options of `bootrace fuzz` */
        const char *window, *inject, *strategy, *reach;
        uint64_t window_steps_max, runs, depth, search_seed, run_steps_max, failures;
        bool every_boundary;
    } search;
    struct {
        enum verdict_kind verdict;
        const char *detector;
        const char *place;         /* symbol, symbol+0xoffset, or 0xaddress */
        const char *text;          /* regular expression for the verdict's sentence */
        const char *console;       /* regular expression for a line of the console */
        uint64_t digest, steps;    /* of the final state */
        uint64_t failing, covered; /* boundaries or runs; of a search */
    } expect;
    struct {
        uint64_t steps_max;
        const char *until;
    } limits;
    void *document; /* owns the text */
};

/* An empty case: nothing is said. */
void case_init(struct test_case *c);
void case_fini(struct test_case *c);

/* Whether a file of this name is taken for a case: it ends in .yaml. */
bool case_is_named(const char *path);

/* On failure nothing is held. `path` is kept. */
enum emu_err case_read(struct test_case *c, const char *path, struct diag *d) EMU_MUST_CHECK;
/* The same for an open file, read from its beginning; it stays the caller's, and messages call it `path`. */
enum emu_err case_read_from(struct test_case *c, FILE *file, const char *path, struct diag *d) EMU_MUST_CHECK;
enum emu_err case_write(const struct test_case *c, FILE *to, struct diag *d) EMU_MUST_CHECK;

/* The place of an expectation: its symbol (or NULL) and the offset or address; offset CASE_NONE if none is given. */
struct case_place {
    char symbol[256];
    uint64_t offset;
};
enum emu_err case_parse_place(const char *text, struct case_place *place, struct diag *d) EMU_MUST_CHECK;

#endif
