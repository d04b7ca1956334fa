/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest: from what the user asked for (an image, an initrd, a command line, a machine) to a machine that is loaded and
 * ready to run. Every sub-command that runs a guest starts here.
 */
#ifndef BOOTRACE_CLI_GUEST_H
#define BOOTRACE_CLI_GUEST_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "emu/diag.h"
#include "emu/image.h"
#include "emu/machine.h"
#include "emu/symbols.h"
#include "models/platform.h"

#define GUEST_EDITS_MAX 16

struct snapshot_case;
struct snapshot_file;

struct guest_options { /* zero means the default */
    const char *kernel;
    const char *option_given; /* the name of one of the options that were given, the image aside; NULL: none was */
    const char *initrd;
    const char *cmdline;
    const char *system_map;
    const char *vmlinux; /* with symbols and DWARF */
    unsigned vcpus;
    bool vcpus_given;
    unsigned online; /* of them, from the start; 0: all */
    uint64_t ram_bytes;
    enum platform_mode mode;
    unsigned xen_version;
    uint64_t seed;
    const char *edit[GUEST_EDITS_MAX]; /* by meaning; models/linux/edit.h */
    unsigned edits;
    /* The caller's: go on from it instead of loading the image, which then only gives the symbols and may be NULL. What
       is not said above is the snapshot's; what is said has to be. */
    const struct snapshot_file *snapshot;
    const char *detect;    /* names of detectors with commas; cli/detect.h */
    const char *op_table;  /* a declaration, or @FILE; fuzz/op_table_text.h */
    const char *torn_site; /* a site of code and its versions; fuzz/torn_site.h */
    const char *same;      /* what must be at the end as in the undisturbed run; fuzz/divergence.h */
};

struct guest {
    struct guest_options options; /* with the defaults filled in */
    struct image *image;
    uint8_t *initrd;
    size_t initrd_bytes;
    struct platform_config platform;
    struct machine_config config;
    struct machine *machine;
    struct symbols *symbols;             /* NULL if the image has none */
    struct snapshot_case *snapshot_case; /* of the snapshot it came from, which `options` points into */
    char *case_text;                     /* the same as text; NULL if it came from none */
    struct detect *detect;               /* NULL if none is asked for */
    struct divergence *same;             /* NULL if nothing is declared */
};

#define GUEST_VCPUS_DEFAULT     2
#define GUEST_RAM_BYTES_DEFAULT (512ull << 20)
#define GUEST_CMDLINE_DEFAULT   "console=hvc0 earlyprintk=xen panic=-1"
#define GUEST_SEED_DEFAULT      1

/* Parse "512M", "2G", "1048576K" (or bytes) into a number of bytes; and "4.17" into a Xen version. */
enum emu_err guest_parse_bytes(const char *text, uint64_t *bytes, struct diag *d) EMU_MUST_CHECK;
enum emu_err guest_parse_xen(const char *text, unsigned *version, struct diag *d) EMU_MUST_CHECK;
enum emu_err guest_parse_mode(const char *text, enum platform_mode *mode, struct diag *d) EMU_MUST_CHECK;
enum emu_err guest_add_edit(struct guest_options *o, const char *edit, struct diag *d) EMU_MUST_CHECK;
enum emu_err guest_parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
                                struct diag *d) EMU_MUST_CHECK;

/*
 * The options of every sub-command that runs a guest, as a child of its own parser: give `{&guest_argp, 0, NULL, 0}`
 * among its children and set state->child_inputs[] to a struct guest_options at ARGP_KEY_INIT. An argument that the
 * parent leaves is the image; the parent checks at ARGP_KEY_END that there is one. A bad value ends the program with
 * status 2.
 */
extern const struct argp guest_argp;

/* Load and build. On failure everything is released and `g` is as before guest_init. */
enum emu_err guest_init(struct guest *g, const struct guest_options *options, struct diag *d) EMU_MUST_CHECK;
void guest_fini(struct guest *g);

/* Fill in the defaults. */
void guest_options_complete(struct guest_options *o);

/* Write the machine where it stands, with its case (snapshot_file.h). */
enum emu_err guest_write_snapshot(const struct guest *g, const char *path, struct diag *d) EMU_MUST_CHECK;

#endif
