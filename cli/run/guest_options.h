/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_options: what a user says about the guest to run: the options that all sub-commands share that run a guest.
 */
#ifndef BOOTRACE_CLI_RUN_GUEST_OPTIONS_H
#define BOOTRACE_CLI_RUN_GUEST_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "models/platform_config.h"

#define GUEST_EDITS_MAX 16

struct snapshot_file;

struct guest_options { /* zero means the default */
    const char *kernel;
    const char *option_given; /* the name of an option that was given, apart from the image; NULL if none was */
    const char *initrd;
    const char *cmdline;
    const char *system_map;
    const char *vmlinux; /* with symbols and DWARF */
    unsigned vcpus;
    bool vcpus_given;
    unsigned online; /* how many of the vCPUs are available from the start; 0: all */
    uint64_t ram_bytes;
    enum platform_mode mode;
    unsigned xen_version;
    const char *cpu;                          /* models/processor.h; NULL: processor_default */
    const char *xen_image;                    /* of the pv modes; NULL: that of scripts/xen */
    const char *xen_cmdline;                  /* added to what the pv modes give it; NULL: nothing */
    const char *module[PLATFORM_MODULES_MAX]; /* "FILE" or "FILE,COMMAND LINE" */
    unsigned modules;
    const char *edit[GUEST_EDITS_MAX]; /* by meaning; models/linux/edit.h */
    unsigned edits;
    /* Continue from this snapshot, which stays the caller's, instead of loading the image; the image then only gives
       the symbols and may be NULL. Options above that are not given are taken from the snapshot; those that are given
       must agree with it. */
    const struct snapshot_file *snapshot;
    const char *detect;    /* names of detectors with commas; cli/run/detect.h */
    const char *op_table;  /* a declaration, or @FILE; fuzz/detect/op_table_text.h */
    const char *torn_site; /* a site of code and its versions; fuzz/detect/torn_site.h */
    const char *same;      /* what must be at the end as in the undisturbed run; fuzz/detect/divergence.h */
};

#define GUEST_VCPUS_DEFAULT     2
#define GUEST_RAM_BYTES_DEFAULT (512ull << 20)
#define GUEST_CMDLINE_DEFAULT   "console=hvc0 earlyprintk=xen panic=-1"

enum emu_err guest_add_edit(struct guest_options *o, const char *edit, struct diag *d) EMU_MUST_CHECK;

/* Fill in the defaults. */
void guest_options_complete(struct guest_options *o);

/* Call `tell` for each option that a command line needs to describe the same guest; the image is not one of them. What
   has its default is told once guest_options_complete() has filled it in. The texts are valid during the call only. */
typedef void(guest_option_fn)(void *context, const char *option, const char *value);
void guest_options_each(const struct guest_options *o, guest_option_fn *tell, void *context);

/*
 * The options of every sub-command that runs a guest, as a child of its own parser: give `{&guest_argp, 0, NULL, 0}`
 * among its children and set state->child_inputs[] to a struct guest_options at ARGP_KEY_INIT. An argument that the
 * parent leaves is the image; the parent checks at ARGP_KEY_END that there is one. A bad value ends the program with
 * status 2.
 */
extern const struct argp guest_argp;

#endif
