/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks: every vector is the tables' entries, the processor's mode, one access, and what the manual says of it.
 */
#include "tests/cmocka_tap.h"

#include <inttypes.h>

#include "emu/base/count.h"
#include "emu/memory.h"
#include "emu/paging.h"
#include "emu/regs.h"

#define RAM_BYTES (1u << 20)
#define ENTRIES   4 /* of one vector, at most */

/* Where the tables of every vector are. */
#define TOP   0x1000u /* what CR3 points to */
#define NEXT  0x2000u
#define THIRD 0x3000u
#define LAST  0x4000u

#define P  1ull
#define W  2ull
#define U  4ull
#define PS 0x80ull
#define NX (1ull << 63)

#define RW   PAGING_WRITE
#define USER PAGING_USER
#define EXEC PAGING_FETCH

enum mode { OFF, TWO_LEVELS, PAE, FOUR_LEVELS };

struct vector {
    const char *name;
    enum mode mode;
    uint64_t gva;
    unsigned access;
    struct {
        uint64_t gpa, entry;
    } table[ENTRIES];
    bool ok;
    uint64_t gpa;        /* when ok */
    uint32_t error_code; /* when not */
    bool wp, nxe, pse;
};

/* Indexes: two levels, gva 0x00c03456 is entry 3 of the directory and 3 of the table; PAE, gva 0xc0603456 is 3, 3, 3;
   four levels, gva 0x18_00c0603456 is entry 0x30 of the first level, then 3, 3, 3. */
#define GVA_2   0x00c03456ull
#define GVA_P   0xc0603456ull
#define GVA_4   0x1800c0603456ull
#define AT_2(x) TOP + 3 * 4, NEXT | (x)
#define PT_2(x) NEXT + 3 * 4, 0x7000 | (x)
#define AT_P    TOP + 3 * 8, NEXT | P
#define PD_P(x) NEXT + 3 * 8, THIRD | (x)
#define PT_P(x) THIRD + 3 * 8, 0x7000 | (x)
#define AT_4(x) TOP + 0x30 * 8, NEXT | (x)
#define PP_4(x) NEXT + 3 * 8, THIRD | (x)
#define PD_4(x) THIRD + 3 * 8, LAST | (x)
#define PT_4(x) LAST + 3 * 8, 0x7000 | (x)
#define ALL     (P | W | U)

/* clang-format off */
static const struct vector vectors[] = {
    {"without paging the address is physical", OFF, 0x123456, RW | USER, {{0}}, true, 0x123456, 0, 0, 0, 0},
    {"without paging only 32 bits count", OFF, 0xffffffff00001234, 0, {{0}}, true, 0x1234, 0, 0, 0, 0},

    {"2 levels: a page", TWO_LEVELS, GVA_2, RW | USER, {{AT_2(ALL)}, {PT_2(ALL)}}, true, 0x7456, 0, 0, 0, 0},
    {"2 levels: no directory entry", TWO_LEVELS, GVA_2, 0, {{0}}, false, 0, 0, 0, 0, 0},
    {"2 levels: no directory entry, user write", TWO_LEVELS, GVA_2, RW | USER, {{0}}, false, 0, 6, 0, 0, 0},
    {"2 levels: no table entry", TWO_LEVELS, GVA_2, RW, {{AT_2(ALL)}}, false, 0, 2, 0, 0, 0},
    {"2 levels: a table beyond RAM", TWO_LEVELS, GVA_2, 0, {{TOP + 12, 0x10000000 | ALL}}, false, 0, 0, 0, 0, 0},
    {"2 levels: the directory forbids the user", TWO_LEVELS, GVA_2, USER, {{AT_2(P | W)}, {PT_2(ALL)}}, false, 0, 5, 0, 0, 0},
    {"2 levels: the table forbids the user", TWO_LEVELS, GVA_2, USER, {{AT_2(ALL)}, {PT_2(P | W)}}, false, 0, 5, 0, 0, 0},
    {"2 levels: a user write to what is read-only", TWO_LEVELS, GVA_2, RW | USER, {{AT_2(ALL)}, {PT_2(P | U)}}, false, 0, 7, 0, 0, 0},
    {"2 levels: a read-only directory entry counts", TWO_LEVELS, GVA_2, RW, {{AT_2(P | U)}, {PT_2(ALL)}}, false, 0, 3, 1, 0, 0},
    {"2 levels: without WP the supervisor writes read-only pages", TWO_LEVELS, GVA_2, RW, {{AT_2(ALL)}, {PT_2(P)}}, true, 0x7456, 0, 0, 0, 0},
    {"2 levels: with WP it does not", TWO_LEVELS, GVA_2, RW, {{AT_2(ALL)}, {PT_2(P)}}, false, 0, 3, 1, 0, 0},
    {"2 levels: a fetch is not told apart without PAE", TWO_LEVELS, GVA_2, EXEC, {{0}}, false, 0, 0, 0, 1, 0},
    {"2 levels: a 4 MiB page", TWO_LEVELS, GVA_2, RW, {{TOP + 12, 0x00800000 | ALL | PS}}, true, 0x00803456, 0, 0, 0, 1},
    {"2 levels: a 4 MiB page above 4 GiB by PSE-36", TWO_LEVELS, GVA_2, 0, {{TOP + 12, 0x00800000 | ALL | PS | 0x12 << 13}}, true, 0x1200803456, 0, 0, 0, 1},
    {"2 levels: bit 21 of a 4 MiB page is reserved", TWO_LEVELS, GVA_2, 0, {{TOP + 12, 0x00a00000 | ALL | PS}}, false, 0, 9, 0, 0, 1},
    {"2 levels: without PSE the PS bit is nothing", TWO_LEVELS, GVA_2, 0, {{AT_2(ALL | PS)}, {PT_2(ALL)}}, true, 0x7456, 0, 0, 0, 0},
    {"2 levels: a 4 MiB page has rights", TWO_LEVELS, GVA_2, RW | USER, {{TOP + 12, 0x00800000 | P | U | PS}}, false, 0, 7, 0, 0, 1},

    {"PAE: a page", PAE, GVA_P, RW | USER, {{AT_P}, {PD_P(ALL)}, {PT_P(ALL)}}, true, 0x7456, 0, 0, 0, 0},
    {"PAE: a page above 4 GiB", PAE, GVA_P, 0, {{AT_P}, {PD_P(ALL)}, {THIRD + 24, 0x345007000 | ALL}}, true, 0x345007456, 0, 0, 0, 0},
    {"PAE: only 32 bits of the address count", PAE, 0xdeadbeef00000000 | GVA_P, 0, {{AT_P}, {PD_P(ALL)}, {PT_P(ALL)}}, true, 0x7456, 0, 0, 0, 0},
    {"PAE: no pointer", PAE, GVA_P, RW, {{0}}, false, 0, 2, 0, 0, 0},
    {"PAE: no directory entry", PAE, GVA_P, RW, {{AT_P}}, false, 0, 2, 0, 0, 0},
    {"PAE: no table entry", PAE, GVA_P, USER, {{AT_P}, {PD_P(ALL)}}, false, 0, 4, 0, 0, 0},
    {"PAE: the pointer has no rights to give or take", PAE, GVA_P, RW | USER, {{TOP + 24, NEXT | P}, {PD_P(ALL)}, {PT_P(ALL)}}, true, 0x7456, 0, 1, 0, 0},
    {"PAE: a 2 MiB page needs no PSE", PAE, GVA_P, 0, {{AT_P}, {NEXT + 24, 0x00400000 | ALL | PS}}, true, 0x00403456, 0, 0, 0, 0},
    {"PAE: the low address bits of a 2 MiB page are reserved", PAE, GVA_P, 0, {{AT_P}, {NEXT + 24, 0x00402000 | ALL | PS}}, false, 0, 9, 0, 0, 0},
    {"PAE: the PAT bit of a 2 MiB page is no address", PAE, GVA_P, 0, {{AT_P}, {NEXT + 24, 0x00401000 | ALL | PS}}, true, 0x00403456, 0, 0, 0, 0},
    {"PAE: a fetch from NX", PAE, GVA_P, EXEC, {{AT_P}, {PD_P(ALL)}, {PT_P(ALL | NX)}}, false, 0, 0x11, 0, 1, 0},
    {"PAE: a fetch below an NX directory entry", PAE, GVA_P, EXEC | USER, {{AT_P}, {PD_P(ALL | NX)}, {PT_P(ALL)}}, false, 0, 0x15, 0, 1, 0},
    {"PAE: a read from NX", PAE, GVA_P, RW, {{AT_P}, {PD_P(ALL)}, {PT_P(ALL | NX)}}, true, 0x7456, 0, 0, 1, 0},
    {"PAE: NX without EFER.NXE is a reserved bit", PAE, GVA_P, EXEC, {{AT_P}, {PD_P(ALL)}, {PT_P(ALL | NX)}}, false, 0, 9, 0, 0, 0},

    {"4 levels: a page", FOUR_LEVELS, GVA_4, RW | USER, {{AT_4(ALL)}, {PP_4(ALL)}, {PD_4(ALL)}, {PT_4(ALL)}}, true, 0x7456, 0, 0, 0, 0},
    {"4 levels: a page of the upper half", FOUR_LEVELS, 0xffffff8000000123, 0, {{TOP + 511 * 8, NEXT | ALL}, {NEXT, THIRD | ALL}, {THIRD, LAST | ALL}, {LAST, 0x9000 | P}}, true, 0x9123, 0, 0, 0, 0},
    {"4 levels: a 2 MiB page", FOUR_LEVELS, GVA_4, 0, {{AT_4(ALL)}, {PP_4(ALL)}, {THIRD + 24, 0x00400000 | ALL | PS}}, true, 0x00403456, 0, 0, 0, 0},
    {"4 levels: a 1 GiB page", FOUR_LEVELS, GVA_4, 0, {{AT_4(ALL)}, {NEXT + 24, 0x40000000 | ALL | PS}}, true, 0x40603456, 0, 0, 0, 0},
    {"4 levels: the low address bits of a 1 GiB page are reserved", FOUR_LEVELS, GVA_4, RW, {{AT_4(ALL)}, {NEXT + 24, 0x40200000 | ALL | PS}}, false, 0, 0xb, 0, 0, 0},
    {"4 levels: PS in the first level is reserved", FOUR_LEVELS, GVA_4, 0, {{AT_4(ALL | PS)}, {PP_4(ALL)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 9, 0, 0, 0},
    {"4 levels: no first level", FOUR_LEVELS, GVA_4, USER, {{0}}, false, 0, 4, 0, 0, 0},
    {"4 levels: no second level", FOUR_LEVELS, GVA_4, USER, {{AT_4(ALL)}}, false, 0, 4, 0, 0, 0},
    {"4 levels: no third level", FOUR_LEVELS, GVA_4, USER, {{AT_4(ALL)}, {PP_4(ALL)}}, false, 0, 4, 0, 0, 0},
    {"4 levels: no last level", FOUR_LEVELS, GVA_4, EXEC, {{AT_4(ALL)}, {PP_4(ALL)}, {PD_4(ALL)}}, false, 0, 0x10, 0, 1, 0},
    {"4 levels: each level may forbid the user (1)", FOUR_LEVELS, GVA_4, USER, {{AT_4(P | W)}, {PP_4(ALL)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 5, 0, 0, 0},
    {"4 levels: each level may forbid the user (2)", FOUR_LEVELS, GVA_4, USER, {{AT_4(ALL)}, {PP_4(P | W)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 5, 0, 0, 0},
    {"4 levels: each level may forbid to write (1)", FOUR_LEVELS, GVA_4, RW, {{AT_4(P | U)}, {PP_4(ALL)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 3, 1, 0, 0},
    {"4 levels: each level may forbid to write (2)", FOUR_LEVELS, GVA_4, RW, {{AT_4(ALL)}, {PP_4(P | U)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 3, 1, 0, 0},
    {"4 levels: each level may forbid to fetch", FOUR_LEVELS, GVA_4, EXEC, {{AT_4(ALL)}, {PP_4(ALL | NX)}, {PD_4(ALL)}, {PT_4(ALL)}}, false, 0, 0x11, 0, 1, 0},
    {"4 levels: without WP the supervisor writes read-only pages", FOUR_LEVELS, GVA_4, RW, {{AT_4(P)}, {PP_4(P)}, {PD_4(P)}, {PT_4(P)}}, true, 0x7456, 0, 0, 0, 0},
    {"4 levels: without WP the user does not", FOUR_LEVELS, GVA_4, RW | USER, {{AT_4(ALL)}, {PP_4(ALL)}, {PD_4(ALL)}, {PT_4(P | U)}}, false, 0, 7, 0, 0, 0},
    {"4 levels: software's bits 52 to 62 are no address", FOUR_LEVELS, GVA_4, 0, {{AT_4(ALL)}, {PP_4(ALL)}, {PD_4(ALL)}, {LAST + 24, 0x7ff0000000007000 | ALL}}, true, 0x7456, 0, 0, 0, 0},
    {"4 levels: what is not canonical is nowhere", FOUR_LEVELS, 0x800000000000, 0, {{TOP, NEXT | ALL}, {NEXT, THIRD | ALL}, {THIRD, LAST | ALL}, {LAST, 0x9000 | P}}, false, 0, 0, 0, 0, 0},
};
/* clang-format on */

static void every_vector_is_answered_as_the_manual_says(void **state)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < COUNT(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct paging p = {.cr3 = TOP};
        struct paging_result got;
        struct memory *mem;
        struct diag d;

        assert_int_equal(memory_new(RAM_BYTES, &mem, &d), EMU_OK);
        for (unsigned k = 0; k < ENTRIES; k++)
            if (v->table[k].gpa)
                assert_true(memory_write(mem, v->table[k].gpa, &v->table[k].entry, v->mode == TWO_LEVELS ? 4 : 8));
        p.cr0 = CR0_PE | (v->wp ? CR0_WP : 0) | (v->mode == OFF ? 0 : CR0_PG);
        p.cr4 = (v->pse ? CR4_PSE : 0) | (v->mode >= PAE ? CR4_PAE : 0);
        p.efer = (v->nxe ? EFER_NXE : 0) | (v->mode == FOUR_LEVELS ? EFER_LME | EFER_LMA : 0);
        got = paging_walk(mem, &p, v->gva, v->access);
        if (got.ok != v->ok || (got.ok ? got.gpa != v->gpa : got.error_code != v->error_code)) {
            print_error("# %s: expected %s 0x%" PRIx64 ", got %s 0x%" PRIx64 "\n", v->name, v->ok ? "address" : "error",
                        v->ok ? v->gpa : v->error_code, got.ok ? "address" : "error",
                        got.ok ? got.gpa : got.error_code);
            failed++;
        }
        memory_free(mem);
    }
    assert_int_equal(failed, 0);
}

static void a_walk_changes_no_memory(void **state)
{
    struct paging p = {.cr0 = CR0_PE | CR0_PG, .cr3 = TOP};
    const uint32_t entries[2] = {NEXT | ALL, 0x7000 | ALL};
    struct memory *mem;
    struct diag d;
    uint64_t before;

    assert_int_equal(memory_new(RAM_BYTES, &mem, &d), EMU_OK);
    assert_true(memory_write(mem, TOP, &entries[0], 4));
    assert_true(memory_write(mem, NEXT, &entries[1], 4));
    before = memory_digest(mem);
    assert_true(paging_walk(mem, &p, 0x10, PAGING_WRITE).ok);
    assert_int_equal(memory_digest(mem), before);
    memory_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_answered_as_the_manual_says),
        cmocka_unit_test(a_walk_changes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
