/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/status.h"
#include "cli/run/utf8.h"
#include "emu/base/ensure.h"

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);

    if (p)
        return p;
    fprintf(stderr, "bootrace: the host has no memory left for the report\n");
    exit(COMMAND_ERROR);
}

void json_check_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

json_t *json_text(const char *text)
{
    char *visible, *to;
    json_t *string;

    if (!text)
        return NULL;
    if (utf8_is_valid(text)) {
        string = json_string(text);
        ensure(string);
        return string;
    }
    visible = to = allocate(strlen(text) * strlen("\\xNN") + 1);
    while (*text) {
        size_t bytes = utf8_character(text);

        if (bytes) {
            memcpy(to, text, bytes);
            to += bytes;
            text += bytes;
        } else {
            to += sprintf(to, "\\x%02x", (unsigned char)*text++);
        }
    }
    *to = '\0';
    string = json_string(visible);
    free(visible);
    ensure(string);
    return string;
}

void json_show(const json_t *o)
{
    /* What can't be written is seen where standard output is closed. */
    ensure(o && (!json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) || ferror(stdout)));
    putchar('\n');
}
