/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/system_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/read_file.h"

#define ADDRESS_DIGITS_MAX 16

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0'
           : c >= 'a' && c <= 'f'    ? c - 'a' + 10
           : c >= 'A' && c <= 'F'    ? c - 'A' + 10
                                     : -1;
}

static size_t skip_blanks(const char *line, size_t at, size_t bytes)
{
    while (at < bytes && (line[at] == ' ' || line[at] == '\t'))
        at++;
    return at;
}

struct extent { /* from _text to _end, as far as they are known */
    uint64_t start_gva, end_gva;
};

static enum emu_err parse_line(const char *line, size_t bytes, struct symbols *s, struct extent *kernel, struct diag *d)
{
    uint64_t gva = 0;
    size_t at = 0;
    char name[SYMBOLS_NAME_BYTES_MAX + 2];
    size_t kind_at, name_bytes, name_at;

    for (; at < bytes && hex_digit(line[at]) >= 0; at++)
        gva = gva << 4 | (uint64_t)hex_digit(line[at]);
    if (at == 0 || at > ADDRESS_DIGITS_MAX)
        return diag_set(d, EMU_EINPUT, "a line of a System.map begins with an address of 1 to 16 hexadecimal digits");
    kind_at = skip_blanks(line, at, bytes);
    name_at = skip_blanks(line, kind_at + 1, bytes);
    if (kind_at == at || kind_at >= bytes || !(isalpha((unsigned char)line[kind_at]) || strchr("?-", line[kind_at])) ||
        name_at == kind_at + 1 || name_at >= bytes)
        return diag_set(d, EMU_EINPUT, "a line of a System.map is an address, a letter and a name");
    if (!strncmp(line + name_at, "The real System.map is in", 25 < bytes - name_at ? 25 : bytes - name_at))
        return diag_set(d, EMU_EINPUT, "this is Debian's placeholder; %.*s", (int)(bytes - name_at), line + name_at);
    name_bytes = bytes - name_at;
    if (name_bytes >= sizeof(name))
        name_bytes = sizeof(name) - 1; /* symbols_add says that it is too long */
    for (size_t i = 0; i < name_bytes; i++)
        if ((unsigned char)line[name_at + i] <= ' ' || line[name_at + i] == 0x7f)
            return diag_set(d, EMU_EINPUT, "the name in a line of a System.map has a blank or control character");
    memcpy(name, line + name_at, name_bytes);
    name[name_bytes] = '\0';
    if (!strcmp(name, "_text")) {
        symbols_set_moving_from(s, gva);
        kernel->start_gva = gva;
    }
    if (!strcmp(name, "_end"))
        kernel->end_gva = gva;
    return symbols_add(s, gva, 0, line[kind_at], name, d);
}

enum emu_err system_map_parse(const char *text, size_t bytes, const char *file, struct symbols *s, struct diag *d)
{
    struct extent kernel = {0, 0};
    unsigned line = 0;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t line_bytes = end ? (size_t)(end - text) - at : bytes - at;
        size_t used_bytes = line_bytes && text[at + line_bytes - 1] == '\r' ? line_bytes - 1 : line_bytes;
        enum emu_err err;

        line++;
        err = parse_line(text + at, used_bytes, s, &kernel, d);
        if (err != EMU_OK) {
            diag_add_place(d, file, line);
            return err;
        }
        at += line_bytes + 1;
    }
    if (!line)
        return diag_set_at(d, EMU_EINPUT, file, 0, "the System.map is empty");
    return kernel.end_gva > kernel.start_gva
               ? symbols_add_range(s, kernel.start_gva, kernel.end_gva - kernel.start_gva, d)
               : EMU_OK;
}

enum emu_err system_map_read(const char *path, struct symbols *s, struct diag *d)
{
    uint8_t *text;
    size_t bytes;
    enum emu_err err = read_file(path, SYSTEM_MAP_BYTES_MAX, "the System.map is too large", &text, &bytes, d);

    if (err != EMU_OK)
        return err;
    err = system_map_parse((const char *)text, bytes, path, s, d);
    free(text);
    return err;
}
