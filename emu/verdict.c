/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/verdict.h"

const char *verdict_kind_name(enum verdict_kind kind)
{
    static const char *const names[] = {
        [VERDICT_NONE] = "NONE",
        [VERDICT_PASS] = "PASS",
        [VERDICT_FAIL] = "FAIL",
        [VERDICT_BUDGET] = "BUDGET",
        [VERDICT_ERROR] = "ERROR",
        [VERDICT_UNMODELLED] = "UNMODELLED",
        [VERDICT_INTERRUPTED] = "INTERRUPTED",
    };

    return names[kind];
}

int verdict_exit_status(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_PASS:
        return 0;
    case VERDICT_FAIL:
        return 1;
    case VERDICT_UNMODELLED:
        return 3;
    case VERDICT_BUDGET:
        return 4;
    case VERDICT_INTERRUPTED:
        return 130;
    case VERDICT_NONE:
    case VERDICT_ERROR:
        break;
    }
    return 5;
}
