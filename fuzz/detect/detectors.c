/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/detector.h"

#include <string.h>

#include "fuzz/detect/lost_event.h"
#include "fuzz/detect/op_table.h"
#include "fuzz/detect/stale_owner.h"
#include "fuzz/detect/unsynchronised_code.h"

/* One a line. */
/* clang-format off */
const struct detector *const detectors[DETECTORS] = {
    &stale_owner_detector,
    &lost_event_detector,
    &unsynchronised_code_detector,
    &op_table_detector,
};
/* clang-format on */

static unsigned all_parts(const struct detector *x)
{
    unsigned parts = 0;

    for (unsigned i = 0; i < DETECTOR_PARTS_MAX && x->part[i].name; i++)
        parts |= x->part[i].bit;
    return parts;
}

const struct detector *detector_find(const char *name, unsigned *parts)
{
    for (unsigned k = 0; k < DETECTORS; k++) {
        const struct detector *x = detectors[k];
        size_t length = strlen(x->name);

        if (!strcmp(name, x->name)) {
            *parts = all_parts(x);
            return x;
        }
        for (unsigned i = 0; i < DETECTOR_PARTS_MAX && x->part[i].name; i++) {
            if (!strncmp(name, x->name, length) && name[length] == '-' && !strcmp(name + length + 1, x->part[i].name)) {
                *parts = x->part[i].bit;
                return x;
            }
        }
    }
    return NULL;
}

static void add(char *text, size_t bytes, const char *name, const char *part)
{
    size_t used = strlen(text);

    snprintf(text + used, bytes - used, ", %s%s%s", name, part ? "-" : "", part ? part : "");
}

void detector_print_names(char *text, size_t bytes)
{
    snprintf(text, bytes, "crash, hang");
    for (unsigned k = 0; k < DETECTORS; k++) {
        const struct detector *x = detectors[k];

        add(text, bytes, x->name, NULL);
        for (unsigned i = 0; i < DETECTOR_PARTS_MAX && x->part[i].name; i++)
            add(text, bytes, x->name, x->part[i].name);
    }
}
