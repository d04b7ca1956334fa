/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/image_argument.h"

static error_t parse(int key, char *value, struct argp_state *state)
{
    const char **image = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (*image)
            argp_error(state, "one IMAGE at a time");
        *image = value;
        return 0;
    case ARGP_KEY_END:
        if (!*image)
            argp_error(state, "which IMAGE?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp image_argument_argp = {NULL, parse, NULL, NULL, NULL, NULL, NULL};
