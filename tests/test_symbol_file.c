/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/symbol_file.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/image/symbols_elf.h"
#include "tests/cmocka_tap.h"

static const struct {
    uint64_t gva, bytes;
    char kind;
    const char *name;
} rows[] = {
    {0x80000000, 0x100, 'T', "_text"},
    {0x80000100, 0x40, 't', "local_function"},
    {0x80000200, 0x10, 'W', "weak_function"},
    {0x80001000, 8, 'D', "data"},
    {0x80001008, 4, 'b', "zeroed"},
    {0x80002000, 0x20, 'T', "later_function"},
    {0x1234, 0, 'A', "absolute"},
};
#define ROWS COUNT(rows)

static struct symbols *table(void)
{
    struct symbols *s = symbols_new();
    struct diag d;

    assert_non_null(s);
    symbols_set_moving_from(s, 0x80000000);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(symbols_add(s, rows[i].gva, rows[i].bytes, rows[i].kind, rows[i].name, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    return s;
}

/* The file that is written for `s`; the caller unmaps it. */
static void *written(const struct symbols *s, unsigned bits, size_t *bytes)
{
    int fd = memfd_create("symbols", 0);
    struct stat st;
    struct diag d;
    void *file;

    assert_true(fd >= 0);
    assert_int_equal(symbol_file_write(s, bits, fd, &d), EMU_OK);
    assert_int_equal(fstat(fd, &st), 0);
    *bytes = (size_t)st.st_size;
    file = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    close(fd);
    return file;
}

static void what_is_written_is_read_again(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct symbols *s = table(), *again = symbols_new();
        size_t bytes, found;
        void *file = written(s, bits, &bytes);
        struct diag d;

        assert_non_null(again);
        assert_int_equal(symbols_elf_read(file, bytes, again, &found, &d), EMU_OK);
        assert_int_equal(found, ROWS);
        assert_int_equal(symbols_seal(again, &d), EMU_OK);
        for (size_t i = 0; i < ROWS; i++) {
            struct symbol symbol;

            assert_int_equal(symbols_find_name(again, rows[i].name, &symbol), 1);
            assert_int_equal(symbol.start_gva, rows[i].gva);
            if (rows[i].bytes)
                assert_int_equal(symbol.bytes, rows[i].bytes);
        }
        munmap(file, bytes);
        symbols_free(again);
        symbols_free(s);
    }
}

static void sections_are_the_runs_of_code_and_data_and_do_not_overlap(void **state)
{
    static const struct {
        const char *name;
        uint64_t start_gva, bytes;
    } expected[] = {{".text", 0x80000000, 0x1000}, {".data", 0x80001000, 0x1000}, {".text", 0x80002000, 0x20}};
    struct symbols *s = table();
    size_t bytes, names, n = 0;
    void *file = written(s, 64, &bytes);
    Elf *elf;

    assert_int_not_equal(elf_version(EV_CURRENT), EV_NONE);
    elf = elf_memory(file, bytes);
    assert_non_null(elf);
    assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;

        assert_non_null(gelf_getshdr(section, &header));
        if (!(header.sh_flags & SHF_ALLOC))
            continue;
        assert_true(n < COUNT(expected));
        assert_string_equal(elf_strptr(elf, names, header.sh_name), expected[n].name);
        assert_int_equal(header.sh_addr, expected[n].start_gva);
        assert_int_equal(header.sh_size, expected[n].bytes);
        assert_int_equal(header.sh_type, SHT_NOBITS);
        n++;
    }
    assert_int_equal(n, COUNT(expected));
    elf_end(elf);
    munmap(file, bytes);
    symbols_free(s);
}

static void the_slide_is_in_the_file_where_symbols_move(void **state)
{
    struct symbols *s = table(), *again = symbols_new();
    size_t bytes, found;
    struct symbol symbol;
    struct diag d;
    void *file;

    symbols_set_slide(s, 0x1000000);
    file = written(s, 64, &bytes);
    assert_non_null(again);
    assert_int_equal(symbols_elf_read(file, bytes, again, &found, &d), EMU_OK);
    assert_int_equal(symbols_seal(again, &d), EMU_OK);
    assert_int_equal(symbols_find_name(again, "data", &symbol), 1);
    assert_int_equal(symbol.start_gva, 0x81001000);
    assert_int_equal(symbols_find_name(again, "absolute", &symbol), 1);
    assert_int_equal(symbol.start_gva, 0x1234);
    munmap(file, bytes);
    symbols_free(again);
    symbols_free(s);
}

static void a_file_that_can_not_be_written_is_an_error(void **state)
{
    struct symbols *s = table();
    struct diag d;

    diag_init(&d);
    assert_int_equal(symbol_file_write(s, 64, -1, &d), EMU_EHOST);
    assert_true(d.text[0]);
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(sections_are_the_runs_of_code_and_data_and_do_not_overlap),
        cmocka_unit_test(the_slide_is_in_the_file_where_symbols_move),
        cmocka_unit_test(a_file_that_can_not_be_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
