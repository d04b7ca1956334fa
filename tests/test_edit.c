/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Edits by meaning on small made kernels: what fits changes exactly its bytes and entries, what does not changes
 * nothing and says why. BOOTRACE_KERNEL adds a real kernel.
 */
#include "emu/base/count.h"
#include "tests/given_kernel.h"
#include "tests/patch_builder.h"

#include "models/linux/edit.h"

#include <string.h>

#define FUNCTION_AT 0x200u
#define CALLEE_AT   0x600u
#define PADDED_AT   0x900u                      /* a return, and padding */
#define JUMPER_AT   0x940u                      /* a jump to the callee */
#define SLOTS_AT    (PATCHED_OTHER_AT + 0x100u) /* in data: save_fl, irq_disable, irq_enable */

/* The places of the calls in the made function. */
enum {
    AT_SAVE = 1,
    AT_DISABLE = 7,
    AT_FIRST = 13,
    AT_SECOND = 18,
    AT_STATIC = 23,
    AT_ENABLE = 28,
    FUNCTION_BYTES = 40
};

struct fixture {
    struct patched made;
    uint8_t before[PATCHED_ROOM];
    struct kernel_view view;
    struct patch_tables tables;
    struct symbols *symbols;
    struct decoder *decoder;
    bool direct_calls_only;
    struct edit_copy copy;
    struct edit_memory memory;
    unsigned code_changes, entry_changes;
    struct diag d;
};

static void put_branch(struct fixture *f, uint8_t opcode, uint64_t gva, uint64_t target_gva)
{
    int32_t offset = (int32_t)(uint32_t)(target_gva - (gva + 5));
    *patched_at(&f->made, gva) = opcode;
    memcpy(patched_at(&f->made, gva + 1), &offset, 4);
}

static void put_call(struct fixture *f, unsigned at, uint64_t target_gva)
{
    put_branch(f, 0xe8, f->made.text_gva + FUNCTION_AT + at, target_gva);
}

static void put_slot_call(struct fixture *f, unsigned at, unsigned slot, uint64_t native_gva)
{
    uint64_t gva = f->made.text_gva + FUNCTION_AT + at;
    uint64_t slot_gva = f->made.data_gva + SLOTS_AT + slot * f->made.bits / 8;
    uint32_t operand = (uint32_t)(f->made.bits == 64 ? slot_gva - (gva + 6) : slot_gva);
    memcpy(patched_at(&f->made, gva), "\xff\x15", 2);
    memcpy(patched_at(&f->made, gva + 2), &operand, 4);
    memcpy(patched_at(&f->made, slot_gva), &native_gva, f->made.bits / 8);
}

static void name(struct fixture *f, uint64_t gva, uint64_t bytes, const char *text)
{
    assert_int_equal(symbols_add(f->symbols, gva, bytes, 'T', text, &f->d), EMU_OK);
}

static void add_tables(struct fixture *f)
{
    uint64_t function_gva = f->made.text_gva + FUNCTION_AT;
    uint64_t replacement_gva = f->made.data_gva + PATCHED_OTHER_AT;
    enum alternative_layout layout = f->made.bits == 64 ? ALT_6_3 : ALT_4_1;
    const struct alternative alternatives[] = {
        {f->made.text_gva + 0x20, replacement_gva, 25, 0, 5, 3, 0},
        {function_gva + AT_SAVE, replacement_gva, 200, 1, 6, 2, 0},
        {function_gva + AT_DISABLE, replacement_gva, 263, 2, 6, 5, 0},
        {function_gva + AT_DISABLE, replacement_gva, 272, 1, 6, 1, 0},
        {function_gva + AT_ENABLE, replacement_gva, 272, 1, 6, 1, 0},
    };
    patched_table(&f->made, ".parainstructions");
    patched_paravirt(&f->made, function_gva + AT_DISABLE, 31, 6);
    patched_paravirt(&f->made, function_gva + AT_ENABLE, 32, 6);
    patched_paravirt(&f->made, f->made.text_gva + 0x40, 33, 6);
    patched_table(&f->made, ".altinstructions");
    for (unsigned i = 0; i < COUNT(alternatives); i++)
        patched_alternative(&f->made, layout, &alternatives[i]);
    patched_table(&f->made, ".static_call_sites");
    patched_static_call(&f->made, function_gva + AT_STATIC, replacement_gva);
    patched_table(&f->made, ".smp_locks");
    patched_site(&f->made, true, f->made.text_gva + 0x80);
    patched_table(&f->made, "__mcount_loc");
    patched_site(&f->made, false, f->made.text_gva + CALLEE_AT + 32);
    patched_table(&f->made, "__jump_table");
    patched_jump_label(&f->made, true, f->made.text_gva + 0x90, f->made.text_gva, replacement_gva);
}

static struct fixture *make(unsigned bits)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint64_t text_gva, function_gva;

    assert_non_null(f);
    diag_init(&f->d);
    patched_init(&f->made, bits);
    text_gva = f->made.text_gva;
    function_gva = text_gva + FUNCTION_AT;
    *patched_at(&f->made, text_gva + 0x80) = 0xf0;
    *patched_at(&f->made, function_gva) = 0x55;
    put_slot_call(f, AT_SAVE, 0, text_gva + 0x800);
    put_slot_call(f, AT_DISABLE, 1, text_gva + 0x810);
    put_call(f, AT_FIRST, text_gva + CALLEE_AT);
    put_call(f, AT_SECOND, text_gva + CALLEE_AT);
    put_call(f, AT_STATIC, text_gva + CALLEE_AT + 16);
    put_slot_call(f, AT_ENABLE, 2, text_gva + 0x820);
    *patched_at(&f->made, text_gva + CALLEE_AT + 32) = 0xe8;
    *patched_at(&f->made, text_gva + PADDED_AT) = 0xc3;
    put_branch(f, 0xe9, text_gva + JUMPER_AT, text_gva + CALLEE_AT);
    add_tables(f);
    patched_finish(&f->made, true);
    memcpy(f->before, f->made.bytes, PATCHED_ROOM);
    f->symbols = symbols_new();
    name(f, text_gva, FUNCTION_AT, "start");
    name(f, function_gva, FUNCTION_BYTES, "guarded");
    name(f, text_gva + CALLEE_AT, 16, "callee");
    name(f, text_gva + CALLEE_AT + 16, 16, "trampoline");
    name(f, text_gva + CALLEE_AT + 32, 16, "twin");
    name(f, text_gva + CALLEE_AT + 48, 16, "twin");
    name(f, text_gva + PADDED_AT, 30, "padded");
    name(f, text_gva + JUMPER_AT, 8, "jumper");
    name(f, text_gva + 0x800, 16, "native_save_fl");
    name(f, text_gva + 0x810, 16, "pv_native_irq_disable");
    name(f, text_gva + 0x820, 16, "pv_native_irq_enable");
    if (symbols_seal(f->symbols, &f->d) || kernel_view_init(&f->view, f->before, f->made.size, &f->d) ||
        patch_tables_find(&f->view, f->symbols, &f->tables, &f->d) || decoder_new(&f->decoder, &f->d))
        fail_msg("%s", f->d.text);
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++)
        assert_string_equal(f->tables.tables[kind].refusal, "");
    f->copy = (struct edit_copy){.view = &f->view, .bytes = f->made.bytes};
    f->memory = edit_memory_copy(&f->copy);
    return f;
}

static void drop_fixture(struct fixture *f)
{
    decoder_free(f->decoder);
    symbols_free(f->symbols);
    free(f);
}

static void count_change(void *context, const struct edit_change *c)
{
    struct fixture *f = context;
    uint8_t now[EDIT_BYTES_MAX];
    f->code_changes += c->table == PATCH_KINDS;
    f->entry_changes += c->table != PATCH_KINDS;
    assert_true(f->memory.read(f->memory.context, c->gva, now, c->bytes));
    assert_memory_equal(now, c->new_bytes, c->bytes);
}

static enum emu_err apply(struct fixture *f, const char *line)
{
    const struct edit_kernel k = {&f->view, f->symbols, &f->tables, f->decoder, f->direct_calls_only};
    struct edit e;
    f->code_changes = f->entry_changes = 0;
    diag_init(&f->d);
    if (edit_parse(line, 0, &e, &f->d))
        fail_msg("'%s': %s", line, f->d.text);
    return edit_apply(&e, &k, &f->memory, count_change, f, &f->d);
}

static void must_fit(struct fixture *f, const char *line, unsigned code, unsigned entries)
{
    if (apply(f, line))
        fail_msg("'%s': %s", line, f->d.text);
    assert_int_equal(f->code_changes, code);
    assert_int_equal(f->entry_changes, entries);
}

static const uint8_t *function_at(struct fixture *f, unsigned at)
{
    return patched_at(&f->made, f->made.text_gva + FUNCTION_AT + at);
}

/* The entry as the edited bytes have it. */
static void get_entry(struct fixture *f, enum patch_kind kind, uint32_t i, struct patch_entry *e)
{
    const struct patch_table *t = &f->tables.tables[kind];
    assert_true(
        patch_tables_decode(&f->tables, kind, i, patched_at(&f->made, t->start_gva + (uint64_t)i * t->entry_bytes), e));
}

static void unguard_removes_the_guard_and_its_entries_and_nothing_else(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct fixture *f = make(bits);
        struct patch_entry e;
        must_fit(f, "unguard guarded", 2, 5);
        assert_memory_equal(function_at(f, AT_DISABLE), "\x66\x0f\x1f\x44\x00\x00", 6);
        assert_memory_equal(function_at(f, AT_ENABLE), "\x66\x0f\x1f\x44\x00\x00", 6);
        assert_memory_equal(function_at(f, 0), f->before + 0x1000 + FUNCTION_AT, AT_DISABLE);
        for (uint32_t i = 0; i < 3; i++) {
            get_entry(f, PATCH_PARAVIRT, i, &e);
            assert_int_equal(e.site_gva, f->made.text_gva + 0x40);
            assert_int_equal(e.feature, 33);
        }
        for (uint32_t i = 0; i < 5; i++) {
            get_entry(f, PATCH_ALTERNATIVE, i, &e);
            assert_int_equal(e.site_bytes, i == 0 ? 5 : i == 1 ? 6 : 0);
            assert_int_equal(e.replacement_bytes, i == 0 ? 3 : i == 1 ? 2 : 0);
        }
        assert_int_equal(apply(f, "unguard guarded"), EMU_EINPUT);
        assert_non_null(strstr(f->d.text, "neither disables nor enables"));
        drop_fixture(f);
    }
}

static void cli_and_sti_are_guards_too(void **state)
{
    struct fixture *f = make(32);
    *patched_at(&f->made, f->made.text_gva + CALLEE_AT + 3) = 0xfa;
    *patched_at(&f->made, f->made.text_gva + CALLEE_AT + 9) = 0xfb;
    must_fit(f, "unguard callee", 2, 0);
    assert_int_equal(*patched_at(&f->made, f->made.text_gva + CALLEE_AT + 3), 0x90);
    assert_int_equal(*patched_at(&f->made, f->made.text_gva + CALLEE_AT + 9), 0x90);
    drop_fixture(f);
}

static void a_call_is_dropped_by_its_callee_or_its_place(void **state)
{
    static const struct {
        const char *line;
        unsigned at, bytes, entries;
    } rows[] = {
        {"drop-call guarded callee 1", AT_FIRST, 5, 0},
        {"drop-call guarded callee 2", AT_SECOND, 5, 0},
        {"drop-call guarded +18", AT_SECOND, 5, 0},
        {"drop-call guarded native_save_fl", AT_SAVE, 6, 1},
        {"drop-call guarded pv_native_irq_enable", AT_ENABLE, 6, 2},
    };
    for (unsigned row = 0; row < COUNT(rows); row++) {
        struct fixture *f = make(64);
        uint8_t nop[9];
        edit_nop(nop, rows[row].bytes);
        must_fit(f, rows[row].line, 1, rows[row].entries);
        assert_memory_equal(function_at(f, rows[row].at), nop, rows[row].bytes);
        drop_fixture(f);
    }
}

static void assert_branch(struct fixture *f, uint64_t gva, uint64_t target_gva)
{
    int32_t offset;
    assert_int_equal(*patched_at(&f->made, gva), 0xe8);
    memcpy(&offset, patched_at(&f->made, gva + 1), 4);
    assert_int_equal(gva + 5 + (uint64_t)(int64_t)offset, target_gva);
}

static void a_call_is_added_behind_another_in_the_padding_of_a_function(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct fixture *f = make(bits);
        uint64_t text_gva = f->made.text_gva, added = text_gva + PADDED_AT + 1;
        unsigned second = bits == 64 ? 8 : 9; /* where its second call is */
        must_fit(f, "call-after guarded callee trampoline 2", 2, 0);
        assert_branch(f, text_gva + FUNCTION_AT + AT_FIRST, text_gva + CALLEE_AT);
        assert_branch(f, text_gva + FUNCTION_AT + AT_SECOND, added);
        assert_branch(f, added + 1, text_gva + CALLEE_AT);
        assert_branch(f, added + second, text_gva + CALLEE_AT + 16);
        assert_memory_equal(patched_at(&f->made, added), bits == 64 ? "\x57" : "\x50", 1);
        assert_memory_equal(patched_at(&f->made, added + second + 5), "\x58\xc3", 2);
        /* The rest of the padding is too short for another. */
        assert_int_equal(apply(f, "call-after guarded callee trampoline 1"), EMU_EINPUT);
        assert_non_null(strstr(f->d.text, "padding"));
        drop_fixture(f);
    }
}

static void a_jump_to_a_function_is_dropped_as_its_last_call(void **state)
{
    struct fixture *f = make(64);
    must_fit(f, "drop-call jumper callee", 1, 0);
    assert_memory_equal(patched_at(&f->made, f->made.text_gva + JUMPER_AT), "\xc3\x0f\x1f\x40\x00", 5);
    drop_fixture(f);
}

/* Of a kernel whose alternatives are not known, an indirect call may be written again. */
static void an_indirect_call_stays_where_tables_are_hidden(void **state)
{
    struct fixture *f = make(64);
    f->direct_calls_only = true;
    assert_int_equal(apply(f, "drop-call guarded native_save_fl"), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "is indirect"));
    assert_memory_equal(f->made.bytes, f->before, PATCHED_ROOM);
    must_fit(f, "drop-call guarded callee 1", 1, 0);
    drop_fixture(f);
}

static void an_edit_that_does_not_fit_changes_nothing_and_says_why(void **state)
{
    static const struct {
        const char *line, *text;
    } rows[] = {
        {"drop-call guarded callee", "calls callee 2 times: say which"},
        {"drop-call guarded callee 3", "only 2 times"},
        {"drop-call guarded twin", "does not call twin"},
        {"drop-call guarded +1000", "has only 0x28 bytes"},
        {"drop-call guarded +0", "is not a call"},
        {"drop-call guarded trampoline", "table static_calls"},
        {"drop-call 0xffffffff81000620 +0", "table fentry"},
        {"drop-call nowhere callee", "no symbol nowhere"},
        {"drop-call twin callee", "ambiguous: 2 symbols"},
        {"unguard callee", "neither disables nor enables"},
        {"unguard 0x12", "no function is at 0x12"},
        {"replace guarded ffff 9090", "byte 0 at 0xffffffff81000200 is 55, not ff"},
        {"replace guarded+1 ff1600 909090", "byte 1 at 0xffffffff81000202 is 15, not 16"},
        {"replace guarded+0x28 90 90", "so no +0x28"},
        {"replace 0x1000 90 90", "not in memory"},
        {"skip-entry alternatives guarded+20", "no entry for"},
        {"skip-entry jump_labels start+0x90", "can't be taken away"},
    };
    struct fixture *f = make(64);
    for (unsigned row = 0; row < COUNT(rows); row++) {
        assert_int_equal(apply(f, rows[row].line), EMU_EINPUT);
        if (!strstr(f->d.text, rows[row].text))
            fail_msg("'%s': '%s' is not about '%s'", rows[row].line, f->d.text, rows[row].text);
        assert_memory_equal(f->made.bytes, f->before, PATCHED_ROOM);
        assert_int_equal(f->code_changes + f->entry_changes, 0);
    }
    drop_fixture(f);
}

static void a_refused_table_stops_the_removal_of_code(void **state)
{
    struct fixture *f = make(64);
    struct patch_table *t = &f->tables.tables[PATCH_ALTERNATIVE];
    t->layout = NULL;
    t->count = 0;
    strcpy(t->refusal, "the table is odd");
    assert_int_equal(apply(f, "unguard guarded"), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "the table is odd"));
    assert_memory_equal(f->made.bytes, f->before, PATCHED_ROOM);
    drop_fixture(f);
}

static void bytes_that_match_are_replaced(void **state)
{
    struct fixture *f = make(64);
    must_fit(f, "replace guarded+1 ff15????????ff 0f1f8000000000", 1, 0);
    assert_memory_equal(function_at(f, 1), "\x0f\x1f\x80\0\0\0\0", 7);
    drop_fixture(f);
}

static void entries_are_skipped_without_reviving_others(void **state)
{
    struct fixture *f = make(64);
    struct patch_entry e;
    must_fit(f, "skip-entry paravirt guarded+7", 0, 1);
    must_fit(f, "skip-entry paravirt guarded+28", 0, 2); /* its own, and the copy that the first edit made of it */
    for (uint32_t i = 0; i < 3; i++) {
        get_entry(f, PATCH_PARAVIRT, i, &e);
        assert_int_equal(e.site_gva, f->made.text_gva + 0x40);
    }
    assert_int_equal(apply(f, "skip-entry paravirt start+0x40"), EMU_EINPUT);
    assert_non_null(strstr(f->d.text, "no other entry"));
    must_fit(f, "skip-entry smp_locks start+0x80", 0, 1);
    get_entry(f, PATCH_SMP_LOCK, 0, &e);
    assert_int_equal(e.site_bytes, 0);
    must_fit(f, "skip-entry alternatives guarded+7", 0, 2);
    assert_memory_equal(function_at(f, 0), f->before + 0x1000 + FUNCTION_AT, FUNCTION_BYTES);
    drop_fixture(f);
}

static void a_site_longer_than_the_call_is_dropped_only_over_padding(void **state)
{
    for (unsigned padded = 0; padded < 2; padded++) {
        struct fixture *f = make(64);
        struct patch_entry e;
        /* Let the entry of the saving call reach one byte further, over the disabling one or over a NOP. */
        const struct patch_table *t = &f->tables.tables[PATCH_ALTERNATIVE];
        patched_at(&f->made, t->start_gva + t->entry_bytes)[12] = 7;
        if (padded)
            *patched_at(&f->made, f->made.text_gva + FUNCTION_AT + AT_DISABLE) = 0x90;
        get_entry(f, PATCH_ALTERNATIVE, 1, &e);
        assert_int_equal(e.site_bytes, 7);
        assert_int_equal(apply(f, "drop-call guarded native_save_fl"), padded ? EMU_OK : EMU_EINPUT);
        if (!padded)
            assert_non_null(strstr(f->d.text, "patches 7 bytes, more than"));
        drop_fixture(f);
    }
}

static void lines_are_parsed_and_printed_back(void **state)
{
    static const struct {
        const char *line, *printed;
    } rows[] = {
        {"drop-call f g", "drop-call f g"},
        {" drop-call  f\tg 2\n", "drop-call f g 2"},
        {"drop-call f +16", "drop-call f +0x10"},
        {"call-after f g h", "call-after f g h"},
        {"call-after f  g h 3", "call-after f g h 3"},
        {"unguard text_poke_early", "unguard text_poke_early"},
        {"unguard 0xffffffff81000000", "unguard 0xffffffff81000000"},
        {"replace f+0x12 E8????0090 9090909090", "replace f+0x12 e8????0090 9090909090"},
        {"replace f cc 90", "replace f cc 90"},
        {"skip-entry smp_locks f.part.0+4", "skip-entry smp_locks f.part.0+0x4"},
    };
    for (unsigned row = 0; row < COUNT(rows); row++) {
        struct edit e, again;
        struct diag d;
        char text[EDIT_LINE_BYTES];
        diag_init(&d);
        if (edit_parse(rows[row].line, 7, &e, &d))
            fail_msg("'%s': %s", rows[row].line, d.text);
        assert_int_equal(edit_print(&e, text, sizeof(text)), strlen(rows[row].printed));
        assert_string_equal(text, rows[row].printed);
        assert_int_equal(edit_parse(text, 7, &again, &d), EMU_OK);
        assert_memory_equal(&e, &again, sizeof(e));
    }
}

static void lines_that_are_no_edit_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *line, *text;
    } rows[] = {
        {"", "there is no edit"},
        {"paint f", "there is no edit 'paint'"},
        {"unguard", "wrong number of words"},
        {"unguard f g", "one FUNCTION"},
        {"unguard f+3", "without an offset"},
        {"drop-call f", "needs a FUNCTION and a CALLEE"},
        {"drop-call f g 0", "count from 1"},
        {"drop-call f g two", "count from 1"},
        {"drop-call f +1 2", "no other occurrences"},
        {"drop-call f +x", "not an offset"},
        {"drop-call f g 1 2", "wrong number of words"},
        {"replace f 90", "needs a FUNCTION+OFFSET"},
        {"replace f 9 90", "in hexadecimal"},
        {"replace f 90?1 9090", "not a byte"},
        {"replace f 90 ??", "not a byte"},
        {"replace f 90 9090", "lengths must agree"},
        {"replace +4 90 90", "not a place"},
        {"replace f+4x 90 90", "not an offset"},
        {"replace 12monkeys 90 90", "not a place"},
        {"skip-entry rainbows f", "no table 'rainbows'"},
        {"skip-entry paravirt", "needs a TABLE"},
    };
    char *line = calloc(1, EDIT_LINE_BYTES + 2);
    struct edit e;
    struct diag d;

    for (unsigned row = 0; row < COUNT(rows); row++) {
        diag_init(&d);
        assert_int_equal(edit_parse(rows[row].line, 7, &e, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[row].text))
            fail_msg("'%s': '%s' is not about '%s'", rows[row].line, d.text, rows[row].text);
        assert_int_equal(d.line, 7);
    }
    diag_init(&d);
    memset(line, 'x', EDIT_LINE_BYTES + 1);
    assert_int_equal(edit_parse(line, 0, &e, &d), EMU_EINPUT);
    free(line);
}

static void nops_are_one_instruction_of_their_length(void **state)
{
    struct decoder *dec;
    struct diag d;
    diag_init(&d);
    assert_int_equal(decoder_new(&dec, &d), EMU_OK);
    for (unsigned bytes = 1; bytes <= 9; bytes++)
        for (unsigned bits = 32; bits <= 64; bits += 32) {
            uint8_t nop[9];
            char text[64];
            edit_nop(nop, bytes);
            assert_int_equal(decoder_print(dec, bits, 0, nop, bytes, text, sizeof(text)), bytes);
            assert_memory_equal(text, "nop", 3);
        }
    decoder_free(dec);
}

/* Guest memory is addressed through the segments of the loaded image. */
static void guest_memory_is_edited_where_the_image_was_loaded(void **state)
{
    struct fixture *f = make(64);
    struct image *img;
    struct memory *mem;
    uint8_t now[6];
    struct edit_guest guest;

    if (image_load_bytes(f->before, f->made.size, image_formats, &img, &f->d) || memory_new(0x2000000, &mem, &f->d))
        fail_msg("%s", f->d.text);
    for (size_t i = 0; i < img->segments_count; i++)
        assert_true(memory_write(mem, img->segments[i].paddr, img->bytes + img->segments[i].offset,
                                 img->segments[i].file_bytes));
    guest = (struct edit_guest){.image = img, .memory = mem};
    f->memory = edit_memory_guest(&guest);
    must_fit(f, "unguard guarded", 2, 5);
    assert_true(memory_read(mem, 0x1000000 + 0x1000 + FUNCTION_AT + AT_DISABLE, now, 6));
    assert_memory_equal(now, "\x66\x0f\x1f\x44\x00\x00", 6);
    assert_false(f->memory.read(f->memory.context, 0x1000, now, 6));
    memory_free(mem);
    image_free(img);
    drop_fixture(f);
}

static void a_real_kernel_loses_exactly_its_interrupt_guard(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct image *img;
    size_t changed = 0;
    uint8_t *bytes;

    f->symbols = given_kernel_read(&img, &f->view, &f->tables);
    if (decoder_new(&f->decoder, &f->d))
        fail_msg("%s", f->d.text);
    bytes = malloc(img->size);
    memcpy(bytes, img->bytes, img->size);
    f->copy = (struct edit_copy){.view = &f->view, .bytes = bytes};
    f->memory = edit_memory_copy(&f->copy);
    if (apply(f, "unguard text_poke_early"))
        fail_msg("%s", f->d.text);
    assert_in_range(f->code_changes, 1, 2);
    assert_int_equal(apply(f, "unguard text_poke_early"), EMU_EINPUT);
    for (size_t i = 0; i < img->size; i++)
        changed += bytes[i] != img->bytes[i];
    assert_in_range(changed, 1, 64);
    free(bytes);
    image_free(img);
    drop_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unguard_removes_the_guard_and_its_entries_and_nothing_else),
        cmocka_unit_test(cli_and_sti_are_guards_too),
        cmocka_unit_test(a_call_is_dropped_by_its_callee_or_its_place),
        cmocka_unit_test(a_call_is_added_behind_another_in_the_padding_of_a_function),
        cmocka_unit_test(a_jump_to_a_function_is_dropped_as_its_last_call),
        cmocka_unit_test(an_indirect_call_stays_where_tables_are_hidden),
        cmocka_unit_test(an_edit_that_does_not_fit_changes_nothing_and_says_why),
        cmocka_unit_test(a_refused_table_stops_the_removal_of_code),
        cmocka_unit_test(bytes_that_match_are_replaced),
        cmocka_unit_test(entries_are_skipped_without_reviving_others),
        cmocka_unit_test(a_site_longer_than_the_call_is_dropped_only_over_padding),
        cmocka_unit_test(lines_are_parsed_and_printed_back),
        cmocka_unit_test(lines_that_are_no_edit_are_refused_with_their_line),
        cmocka_unit_test(nops_are_one_instruction_of_their_length),
        cmocka_unit_test(guest_memory_is_edited_where_the_image_was_loaded),
        cmocka_unit_test(a_real_kernel_loses_exactly_its_interrupt_guard),
    };
    return RUN_KERNEL_TEST_LAST("edit", tests);
}
