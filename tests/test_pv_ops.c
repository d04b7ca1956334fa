/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operation tables of made kernels, with their callers in either table of sites. BOOTRACE_KERNEL adds a real kernel.
 */
#include "emu/base/count.h"
#include "tests/given_kernel.h"
#include "tests/patch_builder.h"

#include "models/linux/call_site.h"
#include "models/linux/pv_ops.h"

#include <string.h>

#define SLOTS_AT (PATCHED_OTHER_AT + 0x100u)

static const char *const functions[] = {"native_queued_spin_lock_slowpath",
                                        "__raw_callee_save___native_queued_spin_unlock", "nop_func", "nop_func",
                                        "pv_native_irq_disable"};
#define FUNCTIONS 5u

struct fixture {
    struct patched made;
    struct kernel_view view;
    struct symbols *symbols;
    struct patch_tables tables;
    struct pv_ops ops;
    struct diag d;
};

static uint64_t function_gva(const struct fixture *f, unsigned i)
{
    return f->made.text_gva + 0x800 + 16 * (i == 3 ? 2 : i);
}

static uint64_t slot_gva(const struct fixture *f, unsigned i)
{
    return f->made.data_gva + SLOTS_AT + i * f->made.bits / 8;
}

static void put_call(struct fixture *f, uint64_t site_gva, unsigned slot)
{
    uint32_t operand = (uint32_t)(slot_gva(f, slot) - (f->made.bits == 64 ? site_gva + 6 : 0));
    memcpy(patched_at(&f->made, site_gva), "\xff\x15", 2);
    memcpy(patched_at(&f->made, site_gva + 2), &operand, 4);
}

static struct fixture *make(unsigned bits, bool in_alternatives)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    diag_init(&f->d);
    patched_init(&f->made, bits);
    f->symbols = symbols_new();
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint64_t gva = function_gva(f, i);
        memcpy(patched_at(&f->made, slot_gva(f, i)), &gva, bits / 8);
        assert_int_equal(symbols_add(f->symbols, gva, 16, 'T', functions[i], &f->d), EMU_OK);
    }
    patched_table(&f->made, in_alternatives ? ".altinstructions" : ".parainstructions");
    for (unsigned i = FUNCTIONS; i-- > 0;) {
        uint64_t site_gva = f->made.text_gva + 0x100 + 16 * i;
        const struct alternative a = {site_gva, f->made.data_gva + PATCHED_OTHER_AT, 263, 2, 6, 5, 0};
        const struct alternative nested = {site_gva, f->made.data_gva + PATCHED_OTHER_AT, 272, 1, 6, 1, 0};
        put_call(f, site_gva, i);
        if (in_alternatives) {
            patched_alternative(&f->made, ALT_6_3, &a);
            patched_alternative(&f->made, ALT_6_3, &nested);
        } else {
            patched_paravirt(&f->made, site_gva, (uint8_t)i, 6);
        }
    }
    assert_int_equal(symbols_add(f->symbols, slot_gva(f, 0), 0x100, 'D', "pv_ops", &f->d), EMU_OK);
    patched_finish(&f->made, true);
    if (symbols_seal(f->symbols, &f->d) || kernel_view_init(&f->view, f->made.bytes, f->made.size, &f->d) ||
        patch_tables_find(&f->view, f->symbols, &f->tables, &f->d) ||
        pv_ops_init(&f->ops, &f->view, f->symbols, &f->tables, &f->d))
        fail_msg("%s", f->d.text);
    return f;
}

static void drop_fixture(struct fixture *f)
{
    pv_ops_fini(&f->ops);
    symbols_free(f->symbols);
    free(f);
}

static void slots_have_names_and_callers_in_every_version(void **state)
{
    static const char *const names[] = {"queued_spin_lock_slowpath", "queued_spin_unlock", "wait", "kick",
                                        "irq_disable"};
    for (unsigned row = 0; row < 4; row++) {
        struct fixture *f = make(row & 1 ? 64 : 32, row & 2);
        assert_int_equal(f->ops.slot_count, FUNCTIONS);
        assert_int_equal(f->ops.site_count, FUNCTIONS);
        for (unsigned i = 0; i < FUNCTIONS; i++) {
            const struct pv_site *site;

            assert_string_equal(f->ops.slots[i].name, names[i]);
            assert_string_equal(f->ops.slots[i].table, "pv_ops");
            assert_int_equal(f->ops.slots[i].first_gva, function_gva(f, i));
            assert_int_equal(pv_ops_find_name(&f->ops, names[i]), i);
            assert_int_equal(pv_ops_find_slot(&f->ops, slot_gva(f, i)), i);
            site = pv_ops_find_site(&f->ops, f->made.text_gva + 0x100 + 16 * i);
            assert_non_null(site);
            assert_int_equal(site->slot, i);
            assert_int_equal(site->bytes, 6);
        }
        assert_int_equal(pv_ops_find_name(&f->ops, "halt"), FUNCTIONS);
        assert_int_equal(pv_ops_find_name(&f->ops, ""), FUNCTIONS);
        assert_int_equal(pv_ops_find_slot(&f->ops, slot_gva(f, 0) + 1), FUNCTIONS);
        assert_null(pv_ops_find_site(&f->ops, f->made.text_gva + 0x101));
        drop_fixture(f);
    }
}

static void what_is_missing_or_refused_is_one_sentence(void **state)
{
    struct fixture *f = make(64, false);
    struct symbols *none = symbols_new();
    struct pv_ops o;
    assert_int_equal(symbols_add(none, f->made.data_gva, 8, 'D', "jiffies", &f->d), EMU_OK);
    assert_int_equal(symbols_seal(none, &f->d), EMU_OK);
    assert_int_equal(pv_ops_init(&o, &f->view, none, &f->tables, &f->d), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "no table of paravirt operations"));
    pv_ops_fini(&o);
    f->tables.tables[PATCH_PARAVIRT].count = 0;
    strcpy(f->tables.tables[PATCH_PARAVIRT].refusal, "it is odd");
    assert_int_equal(pv_ops_init(&o, &f->view, f->symbols, &f->tables, &f->d), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "it is odd"));
    pv_ops_fini(&o);
    symbols_free(none);
    drop_fixture(f);
}

/* 3.0's pv_time_ops: two slots, of which the second is empty, and padding behind it in a table whose symbols have no
   sizes. The callers' entries number all tables' slots together. */
static void an_empty_slot_counts_and_padding_behind_a_table_does_not(void **state)
{
    for (unsigned padding = 0; padding <= 2; padding++) {
        struct fixture *f = calloc(1, sizeof(*f));
        unsigned bits = padding & 1 ? 32 : 64, word = bits / 8;
        uint64_t function_gva, table_gva, cpu_gva;

        diag_init(&f->d);
        patched_init(&f->made, bits);
        f->symbols = symbols_new();
        function_gva = f->made.text_gva + 0x800;
        table_gva = f->made.data_gva + SLOTS_AT;
        cpu_gva = table_gva + (2 + padding) * word;
        memset(patched_at(&f->made, table_gva), 0, 64);
        memcpy(patched_at(&f->made, table_gva), &function_gva, word);
        memcpy(patched_at(&f->made, cpu_gva + word), &function_gva, word); /* its first is empty too */
        assert_int_equal(symbols_add(f->symbols, table_gva, cpu_gva - table_gva, 'D', "pv_time_ops", &f->d), EMU_OK);
        assert_int_equal(symbols_add(f->symbols, cpu_gva, 2 * word, 'D', "pv_cpu_ops", &f->d), EMU_OK);
        patched_table(&f->made, ".parainstructions");
        for (unsigned i = 0; i < 2; i++) {
            uint64_t site_gva = f->made.text_gva + 0x100 + 16 * i, slot = i ? cpu_gva + word : table_gva;
            uint32_t operand = (uint32_t)(slot - (bits == 64 ? site_gva + 6 : 0));
            memcpy(patched_at(&f->made, site_gva), "\xff\x15", 2);
            memcpy(patched_at(&f->made, site_gva + 2), &operand, 4);
            patched_paravirt(&f->made, site_gva, i ? 3 : 0, 6);
        }
        patched_finish(&f->made, true);
        if (symbols_seal(f->symbols, &f->d) || kernel_view_init(&f->view, f->made.bytes, f->made.size, &f->d) ||
            patch_tables_find(&f->view, f->symbols, &f->tables, &f->d) ||
            pv_ops_init(&f->ops, &f->view, f->symbols, &f->tables, &f->d))
            fail_msg("%s", f->d.text);
        assert_int_equal(f->ops.slot_count, 4);
        assert_int_equal(f->ops.slots[1].first_gva, 0);
        assert_string_equal(f->ops.slots[1].table, "pv_time_ops");
        assert_int_equal(f->ops.slots[3].slot_gva, cpu_gva + word);
        assert_int_equal(f->ops.site_count, 2);
        assert_int_equal(f->ops.sites[1].slot, 3);
        drop_fixture(f);
    }
}

static void symbols_of_functions_only_point_to_the_system_map(void **state)
{
    struct fixture *f = make(64, false);
    struct symbols *functions_only = symbols_new();
    struct pv_ops o;
    assert_int_equal(symbols_add(functions_only, f->made.text_gva, 16, 'T', "start_kernel", &f->d), EMU_OK);
    assert_int_equal(symbols_seal(functions_only, &f->d), EMU_OK);
    assert_int_equal(pv_ops_init(&o, &f->view, functions_only, &f->tables, &f->d), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "--system-map"));
    pv_ops_fini(&o);
    symbols_free(functions_only);
    drop_fixture(f);
}

static void calls_are_told_apart(void **state)
{
    static const struct {
        unsigned bits;
        uint64_t gva;
        uint8_t code[8];
        unsigned bytes;
        enum call_kind kind;
        uint64_t target_gva;
    } rows[] = {
        {64, 0xffffffff81000000, {0xe8, 0x10, 0, 0, 0}, 5, CALL_DIRECT, 0xffffffff81000015},
        {64, 0xffffffff81000000, {0x2e, 0xe8, 0xfa, 0xff, 0xff, 0xff}, 6, CALL_DIRECT, 0xffffffff81000000},
        {32, 0xfffffff0, {0xe8, 0x10, 0, 0, 0}, 5, CALL_DIRECT, 0x5},
        {64, 0xffffffff81000000, {0xff, 0x15, 0xfa, 0, 0, 0}, 6, CALL_SLOT, 0xffffffff81000100},
        {32, 0xc1000000, {0xff, 0x15, 0, 0x10, 0, 0xc2}, 6, CALL_SLOT, 0xc2001000},
        {64, 0xffffffff81000000, {0xff, 0x14, 0x25, 0, 0x10, 0, 0x82}, 7, CALL_SLOT, 0xffffffff82001000},
        {64, 0xffffffff81000000, {0xff, 0xd0}, 2, CALL_INDIRECT, 0},
        {64, 0xffffffff81000000, {0x41, 0xff, 0xd2}, 3, CALL_INDIRECT, 0},
        {64, 0xffffffff81000000, {0xff, 0xe0}, 2, CALL_NONE, 0},
        {64, 0xffffffff81000000, {0xe9, 0, 0, 0, 0}, 5, CALL_NONE, 0},
        {64, 0xffffffff81000000, {0x66}, 1, CALL_NONE, 0},
    };
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t target_gva;
        assert_int_equal(call_site_decode(rows[i].bits, rows[i].gva, rows[i].code, rows[i].bytes, &target_gva),
                         rows[i].kind);
        assert_int_equal(target_gva, rows[i].target_gva);
    }
}

static void a_real_kernel_has_its_lock_and_interrupt_operations(void **state)
{
    static const char *const names[] = {
        "queued_spin_lock_slowpath", "queued_spin_unlock", "wait", "kick", "irq_disable", "irq_enable"};
    struct image *img;
    struct kernel_view v;
    struct patch_tables t;
    struct pv_ops o;
    struct symbols *s = given_kernel_read(&img, &v, &t);
    struct diag d;
    enum emu_err err;

    diag_init(&d);
    err = pv_ops_init(&o, &v, s, &t, &d);
    if (v.bits == 32) { /* Debian's keeps no symbols of data */
        assert_true(err == EMU_OK || strstr(d.text, "--system-map"));
    } else {
        unsigned lock;

        assert_int_equal(err, EMU_OK);
        assert_true(o.slot_count > 60);
        assert_true(o.site_count > 500);
        for (unsigned i = 0; i < COUNT(names); i++)
            if (pv_ops_find_name(&o, names[i]) == o.slot_count)
                fail_msg("there is no slot %s", names[i]);
        lock = pv_ops_find_name(&o, names[0]);
        for (unsigned i = 1; i < 4; i++)
            assert_int_equal(pv_ops_find_name(&o, names[i]), lock + i);
    }
    pv_ops_fini(&o);
    symbols_free(s);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_have_names_and_callers_in_every_version),
        cmocka_unit_test(what_is_missing_or_refused_is_one_sentence),
        cmocka_unit_test(an_empty_slot_counts_and_padding_behind_a_table_does_not),
        cmocka_unit_test(symbols_of_functions_only_point_to_the_system_map),
        cmocka_unit_test(calls_are_told_apart),
        cmocka_unit_test(a_real_kernel_has_its_lock_and_interrupt_operations),
    };
    return RUN_KERNEL_TEST_LAST("pv_ops", tests);
}
