/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every layout that kallsyms_builder makes is read back.
 * BOOTRACE_KERNEL=<vmlinuz> adds a real kernel.
 */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "emu/image/image.h"
#include "models/linux/bzimage.h"
#include "models/linux/kallsyms.h"
#include "tests/kallsyms_builder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum emu_err find(const struct kallsyms_made *m, size_t size, struct kallsyms_tables *t, struct diag *d)
{
    struct kernel_view v;
    enum emu_err err;

    diag_init(d);
    err = kernel_view_init(&v, m->bytes, size, d);
    return err != EMU_OK ? err : kallsyms_find(&v, t, d);
}

static void every_layout_is_read_back_exactly(void **state)
{
    for (unsigned i = 0; i < MADE_LAYOUTS; i++) {
        const struct kallsyms_layout *l = &kallsyms_layouts[i];
        struct kallsyms_made *m = kallsyms_make(l);
        struct kernel_view v;
        struct kallsyms_tables t;
        struct diag d;
        struct symbols *s = symbols_new();
        diag_init(&d);
        if (kernel_view_init(&v, m->bytes, m->size, &d) || kallsyms_read(&v, s, &t, &d) || symbols_seal(s, &d))
            fail_msg("%s: %s", l->title, d.text);
        if (t.addressing != l->addressing || t.addresses_first != l->addresses_first)
            fail_msg("%s: read as %s", l->title, kallsyms_describe(&t));
        assert_int_equal(t.count, MADE_NAMES);
        assert_int_equal(t.marker_bytes, l->marker_bytes);
        assert_int_equal(t.has_seqs, l->has_seqs);
        assert_int_equal(t.names_at, m->names_at);
        assert_int_equal(t.token_table_at, m->token_table_at);
        assert_int_equal(t.addresses_at, m->addresses_at);
        assert_int_equal(symbols_count(s), MADE_NAMES);
        for (unsigned k = 0; k < MADE_NAMES; k++) {
            struct symbol found;
            if (symbols_find_name(s, m->name[k], &found) != 1)
                fail_msg("%s: %s is not there once", l->title, m->name[k]);
            assert_int_equal(found.start_gva, m->gva[k]);
            assert_int_equal(found.kind, m->kind[k]);
        }
        symbols_free(s);
        kallsyms_made_free(m);
    }
}

static void code_outside_of_code_sections_is_data(void **state)
{
    struct kallsyms_made *m = kallsyms_make(&kallsyms_layouts[2]);
    uint64_t middle = m->text_gva + MADE_TEXT_BYTES / 2;
    unsigned code = 0, data = 0;
    struct symbols *s = symbols_new();
    struct kernel_view v;
    struct diag d;

    assert_int_equal(kernel_view_init(&v, m->bytes, m->size, &d), EMU_OK);
    v.sections[0] = (struct kernel_view_section){
        .name = ".text", .start_gva = m->text_gva, .bytes = MADE_TEXT_BYTES / 2, .executable = true};
    v.sections[1] = (struct kernel_view_section){
        .name = ".data", .start_gva = middle, .bytes = MADE_TEXT_BYTES / 2, .executable = true, .writable = true};
    v.section_count = 2;
    assert_int_equal(kallsyms_read(&v, s, NULL, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    for (unsigned k = 0; k < MADE_NAMES; k++) {
        bool is_code = strchr("tTwW", m->kind[k]);
        struct symbol found;

        assert_int_equal(symbols_find_name(s, m->name[k], &found), 1);
        if (is_code && m->gva[k] >= middle)
            assert_int_equal(found.kind, m->kind[k] < 'a' ? 'D' : 'd');
        else
            assert_int_equal(found.kind, m->kind[k]);
        code += is_code && m->gva[k] < middle;
        data += is_code && m->gva[k] >= middle;
    }
    assert_true(code && data);
    symbols_free(s);
    kallsyms_made_free(m);
}

static void per_cpu_symbols_do_not_slide(void **state)
{
    struct kallsyms_made *m = kallsyms_make(&kallsyms_layouts[2]);
    struct kernel_view v;
    struct diag d;
    struct symbol found;
    struct symbols *s = symbols_new();
    assert_int_equal(kernel_view_init(&v, m->bytes, m->size, &d), EMU_OK);
    assert_int_equal(kallsyms_read(&v, s, NULL, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    symbols_set_slide(s, 0x12000000);
    assert_int_equal(symbols_find_name(s, "percpu_3", &found), 1);
    assert_int_equal(found.start_gva, 3 * 64);
    assert_int_equal(symbols_find_name(s, "_text", &found), 1);
    assert_int_equal(found.start_gva, MADE_TEXT_GVA_64 + 0x12000000u);
    symbols_free(s);
    kallsyms_made_free(m);
}

/* One damage to each table, and nothing of it is believed. */
static void tables_that_disagree_are_refused(void **state)
{
    for (unsigned i = 0; i < MADE_LAYOUTS; i++)
        for (unsigned damage = 0; damage < 6; damage++) {
            const struct kallsyms_layout *l = &kallsyms_layouts[i];
            struct kallsyms_made *m = kallsyms_make(l);
            struct kallsyms_tables t;
            struct diag d;
            unsigned address_bytes = l->addressing == KALLSYMS_ABSOLUTE ? l->bits / 8 : 4;
            uint8_t swapped[8];
            uint8_t *hundredth = m->bytes + m->addresses_at + 100 * address_bytes;
            switch (damage) {
            case 0: /* a marker that points elsewhere */
                m->bytes[m->markers_at + 2 * l->marker_bytes] ^= 1;
                break;
            case 1: /* one symbol more than there are names */
                m->bytes[m->num_syms_at]++;
                break;
            case 2: /* an index entry between two tokens */
                m->bytes[m->token_index_at + 2 * 130] ^= 1;
                break;
            case 3: /* two addresses out of order */
                memcpy(swapped, hundredth, address_bytes);
                memcpy(hundredth, hundredth + 10 * address_bytes, address_bytes);
                memcpy(hundredth + 10 * address_bytes, swapped, address_bytes);
                break;
            case 4: /* a kind that nm does not know */
                m->bytes[m->names_at + 1] = '7';
                break;
            case 5: /* a name with no tokens */
                m->bytes[m->names_at] = 0;
                break;
            }
            if (find(m, m->size, &t, &d) != EMU_EINPUT)
                fail_msg("%s: damage %u is not noticed", l->title, damage);
            assert_true(d.text[0]);
            kallsyms_made_free(m);
        }
}

/* The loader has checked the segments; the decoder must live with a file that ends in the middle of any table. */
static void a_kernel_cut_anywhere_is_refused(void **state)
{
    for (unsigned i = 0; i < MADE_LAYOUTS; i += 5) {
        struct kallsyms_made *m = kallsyms_make(&kallsyms_layouts[i]);
        for (size_t size = 0; size < m->token_index_at + 512; size += 61) {
            struct kallsyms_tables t;
            struct diag d;
            uint8_t *exact = malloc(size ? size : 1);
            struct kallsyms_made cut = {.bytes = exact};
            uint64_t left;

            memcpy(exact, m->bytes, size);
            left = size > MADE_HEADERS_BYTES ? size - MADE_HEADERS_BYTES : 0;
            if (left) /* p_filesz */
                memcpy(exact + 64 + (kallsyms_layouts[i].bits == 64 ? 32 : 16), &left, kallsyms_layouts[i].bits / 8);
            assert_int_equal(find(&cut, size, &t, &d), EMU_EINPUT);
            free(exact);
        }
        kallsyms_made_free(m);
    }
}

static void a_kernel_without_tables_is_one_sentence(void **state)
{
    struct kallsyms_made *m = kallsyms_make(&kallsyms_layouts[0]);
    struct kallsyms_tables t;
    struct diag d;
    memset(m->bytes + MADE_HEADERS_BYTES, 0, m->size - MADE_HEADERS_BYTES);
    assert_int_equal(find(m, m->size, &t, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "no kallsyms tables"));
    kallsyms_made_free(m);
}

static const char *const kernel_names[] = {
    "_text",
    "_stext",
    "_etext",
    "start_kernel",
    "schedule",
    "do_idle",
    "panic",
    "printk_safe_enter",
    "vprintk",
    "kernel_init",
    "rest_init",
    "cpu_startup_entry",
    "__schedule",
    "wake_up_process",
    "do_exit",
    "kernel_clone",
    "vfs_read",
    "vfs_write",
    "kfree",
    "__kmalloc",
    "memcpy",
    "memset",
    "strlen",
    "strcmp",
    "sprintf",
    "snprintf",
    "mutex_lock",
    "mutex_unlock",
    "down_read",
    "up_read",
    "queue_work_on",
    "call_rcu",
    "synchronize_rcu",
    "register_netdev",
    "device_register",
    "kobject_put",
    "sysfs_create_group",
    "tick_handle_periodic",
};

static void a_real_kernel_is_read(void **state)
{
    static const struct image_format *const formats[] = {&bzimage_format, NULL};
    const char *path = getenv("BOOTRACE_KERNEL");
    struct diag d;
    struct image *img;
    struct kernel_view v;
    struct kallsyms_tables t;
    struct symbols *s = symbols_new();
    unsigned known = 0, all = COUNT(kernel_names);
    struct symbol previous = {0}, next;

    diag_init(&d);
    if (image_load_file(path, formats, &img, &d) || kernel_view_init(&v, img->bytes, img->size, &d) ||
        kallsyms_read(&v, s, &t, &d) || symbols_seal(s, &d))
        fail_msg("%s", d.text);
    assert_true(t.count > 10000);
    for (unsigned i = 0; i < all; i++) {
        struct symbol found, back;
        if (!symbols_find_name(s, kernel_names[i], &found))
            continue;
        known++;
        assert_true(kernel_view_holds(&v, found.start_gva, false));
        if (found.bytes) {
            assert_true(symbols_find_address(s, found.start_gva, &back));
            assert_int_equal(back.start_gva, found.start_gva);
        }
    }
    /* Versions rename a few of these; most are there in every one. */
    assert_true(known * 10 >= all * 8);
    for (size_t i = 0; i < symbols_count(s); i++, previous = next) {
        symbols_get(s, i, &next);
        assert_true(next.start_gva >= previous.start_gva);
        assert_true(i == 0 || next.start_gva > previous.start_gva || strcmp(next.name, previous.name));
    }
    symbols_free(s);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_is_read_back_exactly),
        cmocka_unit_test(per_cpu_symbols_do_not_slide),
        cmocka_unit_test(code_outside_of_code_sections_is_data),
        cmocka_unit_test(tables_that_disagree_are_refused),
        cmocka_unit_test(a_kernel_cut_anywhere_is_refused),
        cmocka_unit_test(a_kernel_without_tables_is_one_sentence),
        cmocka_unit_test(a_real_kernel_is_read),
    };
    return RUN_KERNEL_TEST_LAST("kallsyms", tests);
}
