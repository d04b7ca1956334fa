/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the text of a schedule: what is read is printed so that reading it again gives the same decisions.
 */
#include "fuzz/targets/fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>

#include "emu/base/ensure.h"
#include "emu/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct schedule s, again;
    struct diag d;
    char *text = NULL;
    size_t length;
    FILE *f;

    if (schedule_parse((const char *)bytes, size, NULL, 1, &s, &d) != EMU_OK)
        return 0;
    f = open_memstream(&text, &length);
    ensure(f);
    schedule_print(&s, f);
    fclose(f);
    ensure(schedule_parse(text, length, NULL, 1, &again, &d) == EMU_OK);
    ensure(again.count == s.count);
    for (size_t i = 0; i < s.count; i++)
        ensure(decision_equal(&s.decision[i], &again.decision[i]));
    schedule_fini(&again);
    schedule_fini(&s);
    free(text);
    return 0;
}
