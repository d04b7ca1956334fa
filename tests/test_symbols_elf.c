/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test reads itself: an ELF file with symbols and debug data that is always there. */
#include "tests/cmocka_tap.h"

#include "emu/image/symbols_dwarf.h"
#include "emu/image/symbols_elf.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern int known_function(int x);
int known_data = 5;
static unsigned known_line;

__attribute__((noinline)) int known_function(int x)
{
    known_line = __LINE__;
    return x + known_data;
}

static uint8_t *read_self(size_t *size)
{
    FILE *f = fopen("/proc/self/exe", "rb");
    uint8_t *bytes;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

/* Where the loader put this position-independent program. */
static uint64_t own_slide(const uint8_t *bytes)
{
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof(header));
    return getauxval(AT_ENTRY) - header.e_entry;
}

static void symtab_names_what_is_linked_here(void **state)
{
    struct diag d;
    struct symbol found;
    size_t size, count;
    uint8_t *bytes = read_self(&size);
    struct symbols *s = symbols_new();
    assert_int_equal(symbols_elf_read(bytes, size, s, &count, &d), EMU_OK);
    assert_true(count > 0);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    symbols_set_slide(s, own_slide(bytes));
    assert_int_equal(symbols_find_name(s, "known_function", &found), 1);
    assert_int_equal(found.start_gva, (uintptr_t)known_function);
    assert_int_equal(found.kind, 'T');
    assert_true(found.bytes > 0);
    assert_int_equal(symbols_find_name(s, "known_data", &found), 1);
    assert_int_equal(found.start_gva, (uintptr_t)&known_data);
    assert_int_equal(found.kind, 'D');
    assert_int_equal(found.bytes, sizeof(known_data));
    assert_int_equal(symbols_find_name(s, "known_line", &found), 1);
    assert_int_equal(found.kind, 'b');
    assert_true(symbols_find_address(s, (uintptr_t)known_function + 1, &found));
    assert_string_equal(found.name, "known_function");
    symbols_free(s);
    free(bytes);
}

static void dwarf_gives_the_line_of_an_address(void **state)
{
    struct diag d;
    struct symbol found;
    const char *file = "";
    unsigned line = 0;
    size_t size, lines, functions;
    uint8_t *bytes = read_self(&size);
    struct symbols *s = symbols_new();
    assert_int_equal(symbols_dwarf_read("/proc/self/exe", s, &lines, &functions, &d), EMU_OK);
    assert_true(lines > 0 && functions > 0);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    symbols_set_slide(s, own_slide(bytes));
    assert_int_equal(known_function(1), 6);
    assert_int_equal(symbols_find_name(s, "known_function", &found), 1);
    assert_int_equal(found.start_gva, (uintptr_t)known_function);
    assert_true(symbols_find_line(s, (uintptr_t)known_function, &file, &line));
    assert_non_null(strstr(file, "test_symbols_elf.c"));
    /* The brace is the line before the assignment; the compiler may begin at the name. */
    assert_in_range(line, known_line - 2, known_line);
    assert_false(symbols_find_line(s, (uintptr_t)&known_data, &file, &line));
    symbols_free(s);
    free(bytes);
}

static void other_files_are_refused_and_stripped_ones_are_empty(void **state)
{
    struct diag d;
    size_t count, lines, functions;
    struct symbols *s = symbols_new();
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_ehsize = sizeof(header)};
    diag_init(&d);
    assert_int_equal(symbols_elf_read("abcdefgh", 8, s, &count, &d), EMU_EINPUT);
    assert_int_equal(symbols_elf_read("", 0, s, &count, &d), EMU_EINPUT);
    assert_int_equal(symbols_elf_read(&header, sizeof(header), s, &count, &d), EMU_OK);
    assert_int_equal(count, 0);
    assert_int_equal(symbols_dwarf_read("/dev/null", s, &lines, &functions, &d), EMU_EINPUT);
    assert_int_equal(symbols_dwarf_read("/nonexistent", s, &lines, &functions, &d), EMU_EINPUT);
    symbols_free(s);
}

/* Every section of debug data has another name, but one that is only of call frames. */
static void only_call_frames_are_no_damage(void **state)
{
    static const char aranges[] = ".debug_aranges", frame[sizeof(aranges)] = ".debug_frame";
    char path[] = "/tmp/symbols-elf-XXXXXX";
    struct diag d;
    size_t size, count, lines, functions;
    uint8_t *bytes = read_self(&size), *at;
    struct symbols *s = symbols_new();
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    at = memmem(bytes, size, aranges, sizeof(aranges));
    if (!at)
        fail_msg("this program has no %s", aranges);
    while ((at = memmem(bytes, size, aranges, sizeof(aranges))))
        memcpy(at, frame, sizeof(frame));
    for (at = bytes; at && (at = memmem(at, size - (size_t)(at - bytes), "\0.debug_", 8)); at++)
        if (memcmp(at + 8, "frame", 5))
            memcpy(at, "\0.other_", 8);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    if (symbols_dwarf_read(path, s, &lines, &functions, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_int_equal(lines + functions, 0);
    assert_int_equal(symbols_elf_read(bytes, size, s, &count, &d), EMU_OK);
    assert_true(count > 0);
    unlink(path);
    symbols_free(s);
    free(bytes);
}

static void a_damaged_copy_never_crashes_the_reader(void **state)
{
    size_t size;
    uint8_t *bytes = read_self(&size);
    for (unsigned i = 0; i < 64; i++) {
        struct diag d;
        size_t count, cut = size / 64 * i;
        struct symbols *s = symbols_new();
        uint8_t *exact = malloc(cut ? cut : 1);
        enum emu_err err;

        memcpy(exact, bytes, cut);
        err = symbols_elf_read(exact, cut, s, &count, &d);
        /* The section headers are at the end: a cut file has no symbols, whatever else is said of it. */
        assert_true(err != EMU_OK || !count);
        free(exact);
        symbols_free(s);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symtab_names_what_is_linked_here),
        cmocka_unit_test(dwarf_gives_the_line_of_an_address),
        cmocka_unit_test(other_files_are_refused_and_stripped_ones_are_empty),
        cmocka_unit_test(only_call_frames_are_no_damage),
        cmocka_unit_test(a_damaged_copy_never_crashes_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
