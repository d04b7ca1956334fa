/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/load.h"

#include <string.h>

#include "models/image_formats.h"
#include "models/xen/elfnote.h"

static enum emu_err find_rules(const struct test_case *c, const struct elfnote_rules **rules, struct diag *d)
{
    char version[24];

    snprintf(version, sizeof(version), "%u.%u", c->machine.xen_version >> 16, c->machine.xen_version & 0xffff);
    *rules = elfnote_rules_find(version);
    return *rules
               ? EMU_OK
               : diag_set_at(d, EMU_EINPUT, c->path, 0,
                             "the toolstack of Xen %s is not modelled; those of 4.1, 4.2, 4.4 and 4.17 are", version);
}

enum emu_err load_check(const struct test_case *c, const struct guest_options *guest, struct outcome *o, struct diag *d)
{
    enum elfnote_guest as = !strcmp(c->load.as, "pv") ? ELFNOTE_PV : ELFNOTE_PVH;
    const struct elfnote_rules *rules;
    struct elfnote_verdict v;
    struct image *image;
    enum emu_err err = find_rules(c, &rules, d);

    if (err == EMU_OK && !elfnote_guest_is_known(rules, as))
        err = diag_set_at(d, EMU_EINPUT, c->path, 0, "Xen %s has no %s guests", rules->version, elfnote_guest_name(as));
    if (err == EMU_OK)
        err = image_load_file(guest->kernel, image_formats, &image, d);
    if (err != EMU_OK)
        return err;
    elfnote_check(rules, image, as, c->load.features, &v);
    image_free(image);
    outcome_of_load(o, v.accepted, v.why);
    return EMU_OK;
}
