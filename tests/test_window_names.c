/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "models/linux/window_names.h"

#include <string.h>

#define NAMES_MAX 4

/* What a kernel has, and what a name then means; NULL: nothing. */
static const struct {
    const char *has[NAMES_MAX], *name, *means;
} rows[] = {
    {{"text_poke_bp", "text_poke_bp_batch"}, "@text-poke", "text_poke_bp_batch"},
    {{"text_poke_bp"}, "@text-poke", "text_poke_bp"},
    {{"smp_text_poke_batch_finish", "smp_text_poke_batch_finish.cold"}, "@text-poke", "smp_text_poke_batch_finish"},
    {{"text_poke", "text_poke_early"}, "@text-poke", NULL},
    {{"text_poke_bp_batch", "text_poke_bp_batch", "text_poke_bp"}, "@text-poke", "text_poke_bp"}, /* one is ambiguous */
    {{"__jump_label_update", "jump_label_update"}, "@static-key", "jump_label_update"},
    {{"__static_call_update"}, "@static-call", "__static_call_update"},
    {{"__static_call_update"}, "@static-key", NULL},
    {{"ftrace_modify_all_code"}, "@ftrace", "ftrace_modify_all_code"},
    {{"load_module", "load_module.cold"}, "@module", "load_module"},
    {{"alternative_instructions"}, "@alternatives", "alternative_instructions"},
    {{"_cpu_up", "cpu_up", "_cpu_down"}, "@cpu-up", "_cpu_up"},
    {{"_cpu_up", "_cpu_down"}, "@cpu-down", "_cpu_down"},
    {{"arm_kprobe"}, "@kprobe", "arm_kprobe"},
    {{"schedule"}, "@schedule", NULL},
};

static struct symbols *make(const char *const has[NAMES_MAX])
{
    struct symbols *s = symbols_new();
    struct diag d;
    assert_non_null(s);
    for (unsigned i = 0; i < NAMES_MAX && has[i]; i++)
        assert_int_equal(symbols_add(s, 0x1000 + 0x100 * i, 0x80, 't', has[i], &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    window_names_add(s);
    return s;
}

static void a_name_means_the_function_of_this_kernel(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct symbols *s = make(rows[i].has);
        struct symbol found = {.name = NULL}, itself;
        if (symbols_find_name(s, rows[i].name, &found) != (rows[i].means ? 1 : 0))
            fail_msg("row %zu: %s is found, or not", i, rows[i].name);
        if (rows[i].means) {
            assert_string_equal(found.name, rows[i].means);
            assert_int_equal(symbols_find_name(s, rows[i].means, &itself), 1);
            assert_int_equal(found.start_gva, itself.start_gva);
            assert_int_equal(found.bytes, 0x80);
        }
        symbols_free(s);
    }
}

static void an_address_keeps_the_kernels_own_name(void **state)
{
    static const char *const has[NAMES_MAX] = {"__static_call_update", "_cpu_up"};
    struct symbols *s = make(has);
    char text[64];
    symbols_print(s, 0x1004, text, sizeof(text));
    assert_string_equal(text, "__static_call_update+0x4/0x80");
    symbols_print(s, 0x1100, text, sizeof(text));
    assert_string_equal(text, "_cpu_up+0x0/0x80");
    assert_int_equal(symbols_count(s), 2);
    symbols_free(s);
}

static void what_is_not_there_is_refused_with_what_is(void **state)
{
    static const char *const has[NAMES_MAX] = {"__static_call_update", "_cpu_up"}, *const nothing[NAMES_MAX] = {
                                                                                       "schedule"};
    struct symbols *s = make(has), *bare = make(nothing);
    struct symbol found;
    struct diag d;
    uint64_t gva;
    assert_int_equal(symbols_resolve(s, "@cpu-up", 4, &gva, &d), EMU_OK);
    assert_int_equal(gva, 0x1104);
    assert_int_equal(symbols_resolve(s, "@cpu-up", 0x80, &gva, &d), EMU_EINPUT);
    assert_int_equal(symbols_resolve(s, "@text-poke", 0, &gva, &d), EMU_EINPUT);
    assert_non_null(
        strstr(d.text, "'@text-poke'; of such names it has @cpu-up (_cpu_up), @static-call (__static_call_update)"));
    assert_int_equal(symbols_resolve(bare, "@text-poke", 0, &gva, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "of such names it has none"));
    assert_true(symbols_get_named(s, "@cpu-up", 0, &found));
    assert_string_equal(found.name, "_cpu_up");
    assert_false(symbols_get_named(s, "@cpu-up", 1, &found));
    symbols_free(s);
    symbols_free(bare);
}

static void a_name_moves_with_the_kernel(void **state)
{
    static const char *const has[NAMES_MAX] = {"load_module"};
    struct symbols *s = make(has);
    struct symbol found;
    symbols_set_slide(s, 0x200000);
    assert_int_equal(symbols_find_name(s, "@module", &found), 1);
    assert_int_equal(found.start_gva, 0x201000);
    symbols_free(s);
}

static void more_names_than_there_is_room_for_are_not_added(void **state)
{
    static const char *const has[NAMES_MAX] = {"schedule"};
    struct symbols *s = make(has);
    char name[16], text[SYMBOLS_ALIASES_BYTES], tiny[8];
    unsigned added = 0;
    for (unsigned i = 0; i < 2 * SYMBOLS_ALIASES_MAX; i++) {
        snprintf(name, sizeof(name), "@%u", i);
        added += symbols_add_alias(s, name, "schedule");
    }
    assert_int_equal(added, SYMBOLS_ALIASES_MAX);
    symbols_print_aliases(s, text, sizeof(text));
    assert_non_null(strstr(text, "@31 (schedule)"));
    symbols_print_aliases(s, tiny, sizeof(tiny));
    assert_string_equal(tiny, "@0 (sch");
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_means_the_function_of_this_kernel),
        cmocka_unit_test(an_address_keeps_the_kernels_own_name),
        cmocka_unit_test(what_is_not_there_is_refused_with_what_is),
        cmocka_unit_test(a_name_moves_with_the_kernel),
        cmocka_unit_test(more_names_than_there_is_room_for_are_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
