/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a case: a sentence says why it is none; or what is read can be written, and what was written is read as
 * the same. Its guest is looked for, and not run; the texts that a later step would parse are parsed.
 */
#include "fuzz/targets/fuzz_target.h"

#include <stdlib.h>
#include <string.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "emu/base/ensure.h"
#include "emu/schedule.h"
#include "fuzz/detect/torn_site.h"
#include "models/linux/edit_text.h"

#define NAME "folder/case.yaml"

static char *written(const struct test_case *c, size_t *length)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, length);
    struct diag d;

    ensure(f);
    ensure(case_write(c, f, &d) == EMU_OK);
    fclose(f);
    return text;
}

static enum emu_err read_text(struct test_case *c, const char *text, size_t length, struct diag *d)
{
    FILE *f = fmemopen((char *)(uintptr_t)text, length, "rb");
    enum emu_err err;

    ensure(f);
    err = case_read_from(c, f, NAME, d);
    fclose(f);
    return err;
}

/* Each says what is wrong, or nothing is. */
static void parse_texts(const struct test_case *c)
{
    static const struct case_places nowhere;
    struct case_guest guest;
    struct torn_site site;
    struct case_place place;
    struct diag d;

    for (unsigned i = 0; i < c->guest.edits; i++) {
        struct edit e;

        diag_init(&d);
        ensure(edit_parse(c->guest.edit[i], 0, &e, &d) == EMU_OK || d.text[0]);
    }
    diag_init(&d);
    ensure(!c->torn_site || torn_site_parse(c->torn_site, NULL, &site, &d) == EMU_OK || d.text[0]);
    ensure(!c->expect.place || case_parse_place(c->expect.place, &place, &d) == EMU_OK);
    diag_init(&d);
    ensure(case_find_guest(c, &nowhere, &guest, &d) == EMU_OK || d.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct test_case c, again;
    struct schedule s;
    struct diag d;
    char *first, *second;
    size_t first_length, second_length;

    diag_init(&d);
    if (!size)
        return 0;
    if (read_text(&c, (const char *)bytes, size, &d) != EMU_OK) {
        ensure(d.text[0] && !c.document && !c.title);
        return 0;
    }
    parse_texts(&c);
    diag_init(&d);
    if (c.schedule && schedule_parse(c.schedule, strlen(c.schedule), NAME, c.schedule_line, &s, &d) != EMU_OK) {
        ensure(d.text[0]);
        case_fini(&c);
        return 0;
    }
    if (c.schedule)
        schedule_fini(&s);
    first = written(&c, &first_length);
    ensure(read_text(&again, first, first_length, &d) == EMU_OK);
    second = written(&again, &second_length);
    ensure(first_length == second_length && !memcmp(first, second, first_length));
    free(first);
    free(second);
    case_fini(&again);
    case_fini(&c);
    return 0;
}
