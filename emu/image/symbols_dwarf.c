/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/symbols_dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct reader {
    struct symbols *s;
    size_t functions;
    enum emu_err err;
    struct diag *d;
};

static int add_function(Dwarf_Die *function, void *argument)
{
    struct reader *r = argument;
    Dwarf_Addr start_gva, end_gva;
    const char *name = dwarf_diename(function);
    Dwarf_Attribute attribute;
    char kind;

    /* Declarations and functions that only exist inlined have no addresses. */
    if (!name || !*name || dwarf_lowpc(function, &start_gva) || dwarf_highpc(function, &end_gva) ||
        end_gva <= start_gva)
        return DWARF_CB_OK;
    kind = dwarf_attr_integrate(function, DW_AT_external, &attribute) ? 'T' : 't';
    r->err = symbols_add(r->s, start_gva, end_gva - start_gva, kind, name, r->d);
    if (r->err)
        return DWARF_CB_ABORT;
    r->functions++;
    return DWARF_CB_OK;
}

static enum emu_err add_lines(Dwarf_Die *unit, struct symbols *s, size_t *lines, struct diag *d)
{
    Dwarf_Lines *table;
    size_t count;
    if (dwarf_getsrclines(unit, &table, &count))
        return EMU_OK; /* a unit without lines */
    for (size_t i = 0; i < count; i++) {
        Dwarf_Line *row = dwarf_onesrcline(table, i);
        Dwarf_Addr start_gva;
        int line = 0;
        bool is_end = false;
        const char *file = dwarf_linesrc(row, NULL, NULL);
        enum emu_err err;

        if (dwarf_lineaddr(row, &start_gva) || dwarf_lineno(row, &line) || dwarf_lineendsequence(row, &is_end) ||
            !file || !*file || line < 0)
            continue;
        err = symbols_add_line(s, start_gva, file, is_end ? 0 : (unsigned)line, d);
        if (err != EMU_OK)
            return err;
        *lines += 1;
    }
    return EMU_OK;
}

static enum emu_err read_units(Dwarf *dwarf, struct reader *r, size_t *lines)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die;
    int result, why;
    (void)dwarf_errno(); /* what an earlier file left */
    while ((result = dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, NULL)) == 0) {
        enum emu_err err;

        if (type != DW_UT_compile)
            continue;
        err = add_lines(&die, r->s, lines, r->d);
        if (err != EMU_OK)
            return err;
        dwarf_getfuncs(&die, add_function, r, 0);
        if (r->err)
            return r->err;
    }
    /* A file without .debug_info (with .debug_frame alone, say) ends so too, and is no error. */
    why = result < 0 ? dwarf_errno() : 0;
    return why ? diag_set(r->d, EMU_EINPUT, "the debug data is damaged: %s", dwarf_errmsg(why)) : EMU_OK;
}

enum emu_err symbols_dwarf_read(const char *path, struct symbols *s, size_t *lines, size_t *functions, struct diag *d)
{
    struct reader r = {.s = s, .d = d};
    enum emu_err err = EMU_OK;
    Dwarf *dwarf;
    int fd;

    *lines = *functions = 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return diag_set_at(d, EMU_EINPUT, path, 0, "the file can't be opened: %s", strerror(errno));
    dwarf = dwarf_begin(fd, DWARF_C_READ);
    if (dwarf) {
        err = read_units(dwarf, &r, lines);
        dwarf_end(dwarf);
    } else {
        /* An ELF file without debug data is as good as any; anything else is a mistake. */
        char magic[4];
        if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic) || memcmp(magic, "\177ELF", sizeof(magic)))
            err = diag_set(d, EMU_EINPUT, "this is not an ELF file");
    }
    close(fd);
    *functions = r.functions;
    if (err != EMU_OK)
        diag_add_place(d, path, 0);
    return err;
}
