/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/utf8.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>

#define SHOWN_BYTES 200

size_t utf8_character(const char *text)
{
    const uint8_t *c = (const uint8_t *)text;
    size_t bytes = c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;

    if (c[0] < 0x80)
        return c[0] != 0;
    for (size_t i = 1; i < bytes; i++)
        if (c[i] >> 6 != 2) /* the terminating zero, too */
            return 0;
    /* Not the shortest, a surrogate, beyond U+10FFFF. */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return bytes;
}

bool utf8_is_valid(const char *text)
{
    while (utf8_character(text))
        text += utf8_character(text);
    return !*text;
}

enum emu_err utf8_check(const char *what, const char *text, struct diag *d)
{
    char shown[SHOWN_BYTES * 4 + 4];
    size_t used = 0, i;

    if (utf8_is_valid(text))
        return EMU_OK;
    for (i = 0; text[i] && i < SHOWN_BYTES; i++)
        used += (size_t)snprintf(shown + used, sizeof(shown) - used,
                                 isascii(text[i]) && isprint(text[i]) ? "%c" : "\\x%02x", (unsigned char)text[i]);
    return diag_set(d, EMU_EINPUT, "%s is not UTF-8 text, so no case could keep it: %s%s", what, shown,
                    text[i] ? "..." : "");
}
