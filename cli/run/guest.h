/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest: from what the user asked for (an image, an initrd, a command line, a machine) to a machine that is loaded and
 * ready to run. Every sub-command that runs a guest starts here.
 */
#ifndef BOOTRACE_CLI_RUN_GUEST_H
#define BOOTRACE_CLI_RUN_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run/guest_options.h"
#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"
#include "emu/machine.h"
#include "models/platform.h"
#include "models/processor.h"

struct guest_panic;
struct snapshot_case;

struct guest {
    struct guest_options options; /* with the defaults filled in */
    struct image *image;
    uint8_t *initrd;
    size_t initrd_bytes;
    /* The files behind the initrd in the module list. In the pv modes the kernel is the first of them, and `xen` is
       what the machine starts. */
    struct guest_module {
        uint8_t *bytes;
        size_t size;
        char *cmdline; /* NULL: none */
    } module[PLATFORM_MODULES_MAX];
    unsigned modules;
    struct image *xen; /* NULL in other modes */
    char *xen_path, *xen_cmdline;
    struct processor processor;
    struct platform_config platform;
    struct machine_config config;
    struct machine *machine;
    struct symbols *symbols;             /* NULL if the image has none */
    struct snapshot_case *snapshot_case; /* of the snapshot it came from, which `options` points into */
    char *case_text;                     /* the same as text; NULL if it came from none */
    struct guest_panic *panic;           /* NULL if nothing is known of how such a guest fails */
    struct guest_panic *xen_panic;       /* of `xen`; NULL as above */
    struct detect *detect;               /* NULL if none is asked for */
    struct divergence *same;             /* NULL if nothing is declared */
};

/* Load and build. Nothing looks at the guest yet: attach.h is for that. On failure everything is released and `g`
   is as before guest_init. */
enum emu_err guest_init(struct guest *g, const struct guest_options *options, struct diag *d) EMU_MUST_CHECK;
void guest_fini(struct guest *g);

/* Write the machine where it stands, with its case (snapshot_file.h). */
enum emu_err guest_write_snapshot(const struct guest *g, const char *path, struct diag *d) EMU_MUST_CHECK;

#endif
