/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/attach.h"

#include "cli/run/detect.h"
#include "cli/run/same.h"

enum emu_err attach_guest_init(struct guest *g, const struct guest_options *options, struct diag *d)
{
    enum emu_err err = guest_init(g, options, d);

    if (err != EMU_OK)
        return err;
    err = detect_new(g, &g->detect, d);
    if (err == EMU_OK && g->options.same)
        err = same_new(g, g->options.same, SAME_STEPS_MAX, NULL, &g->same, d);
    if (err != EMU_OK)
        guest_fini(g);
    return err;
}
