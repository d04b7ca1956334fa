/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's own account of its end, and what makes two failures one. The kernel here is a toy with Linux's words. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/guest_words.h"
#include "emu/image/symbols.h"
#include "emu/snapshot.h"
#include "fuzz/detect/guest_panic.h"
#include "fuzz/search/search.h"
#include "models/linux/linux_words.h"
#include "models/xen/xen_words.h"

#define TALK      0x1000u /* of CODE: print [ESI] up to its NUL */
#define PANIC     0x2000u /* panic(): print [ESI], then as the test says */
#define CALLER    0x3000u /* two functions that panic, … */
#define OTHER     0x3100u
#define NMI_PANIC 0x3200u /* … and one that only reports */
#define LEAVE     0x3300u /* machine_kexec() */
#define TEXT      0x60000u
#define IMAGE     0x70000u /* kexec_crash_image */
#define FAULT     6
#define BUDGET    30000u

enum ending { HALTS, LOOPS, LEAVES };

/* ---- a toy of a kernel ---- */

static void call(struct machine *m, uint32_t from, uint32_t to)
{
    uint32_t distance = to - (from + 5);
    uint8_t code[5] = {0xe8};

    memcpy(code + 1, &distance, 4);
    put(m, CODE + from, code, sizeof(code));
}

static void set_panic(struct machine *m, enum ending ending)
{
    static const uint8_t endings[][2] = {[HALTS] = {0xfa, 0xf4}, [LOOPS] = {0xeb, 0xfe}, [LEAVES] = {0xc3}};

    call(m, PANIC, TALK);
    put(m, CODE + PANIC + 5, endings[ending], 2);
}

static struct symbols *new_symbols(void)
{
    static const struct {
        uint32_t at;
        char kind;
        const char *name;
    } all[] = {{CODE, 'T', "start"},
               {CODE + TALK, 'T', "talk"},
               {CODE + PANIC, 'T', "panic"},
               {CODE + CALLER, 'T', "out_of_memory"},
               {CODE + OTHER, 't', "setup_IO_APIC"},
               {CODE + NMI_PANIC, 'T', "nmi_panic"},
               {CODE + LEAVE, 'T', "machine_kexec"},
               {IMAGE, 'B', "kexec_crash_image"}};
    struct symbols *s = symbols_new();
    struct diag d;

    assert_non_null(s);
    for (size_t i = 0; i < COUNT(all); i++)
        assert_int_equal(symbols_add(s, all[i].at, 0, all[i].kind, all[i].name, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    return s;
}

static const struct guest_words *words = &linux_words;

struct kernel {
    struct machine *m;
    struct symbols *symbols;
    struct guest_panic panic;
};

/* start: mov esi, TEXT; call `caller`. Each caller calls the panic function. */
static void set_up(struct kernel *k, uint32_t caller, const char *text, enum ending ending, bool has_symbols)
{
    struct diag d;

    k->m = MACHINE(0xbe, 0x00, 0x00, 0x06, 0x00);
    k->symbols = new_symbols();
    call(k->m, 5, caller);
    CODE_AT(k->m, CODE + TALK, 0xac, 0x84, 0xc0, 0x74, 0x04, 0xe6, PORT_TALK, 0xeb, 0xf7, 0xc3);
    set_panic(k->m, ending);
    call(k->m, CALLER + 0x10, PANIC);
    call(k->m, OTHER + 0x20, PANIC);
    call(k->m, NMI_PANIC, PANIC);
    put(k->m, CODE + LEAVE, (const uint8_t[]){0xeb, 0xfe}, 2);
    for (unsigned i = 0; i < 0x20; i++) { /* NOPs up to the calls */
        put(k->m, CODE + OTHER + i, (const uint8_t[]){0x90}, 1);
        if (i < 0x10)
            put(k->m, CODE + CALLER + i, (const uint8_t[]){0x90}, 1);
    }
    put(k->m, TEXT, text, strlen(text) + 1);
    assert_int_equal(guest_panic_attach(&k->panic, k->m, words, has_symbols ? k->symbols : NULL, &d), EMU_OK);
}

static void tear_down(struct kernel *k)
{
    machine_free(k->m);
    symbols_free(k->symbols);
}

/* To its end or out of its budget, as a search ends a run. */
static const struct verdict *end_of(struct kernel *k)
{
    run_to(k->m, BUDGET);
    machine_conclude(k->m);
    return machine_verdict(k->m);
}

static void check(struct kernel *k, uint32_t place, const char *text)
{
    const struct verdict *v = end_of(k);

    assert_int_equal(v->kind, VERDICT_FAIL);
    assert_string_equal(v->detector, "crash");
    assert_string_equal(v->text, text);
    assert_int_equal(v->rip_gva, CODE + place);
    assert_true(v->is_quote);
}

/* ---- the verdict ---- */

static void a_panic_is_told_by_its_line_and_its_caller(void **state)
{
    struct kernel k;

    set_up(&k, CALLER, "[    0.472157] Kernel panic - not syncing: System is deadlocked on memory\n", HALTS, true);
    check(&k, CALLER + 0x10, "Kernel panic - not syncing: System is deadlocked on memory");
    tear_down(&k);
}

static void a_panic_that_stays_fails(void **state)
{
    struct kernel k;

    set_up(&k, OTHER, "Kernel panic - not syncing: no timer\n", LOOPS, true);
    check(&k, OTHER + 0x20, "Kernel panic - not syncing: no timer");
    tear_down(&k);
}

static void its_own_word_that_it_is_over_ends_the_run(void **state)
{
    struct kernel k;

    set_up(&k, OTHER, "Kernel panic - not syncing: a\n---[ end Kernel panic - not syncing: a ]---\n", LOOPS, true);
    assert_int_equal(run_to(k.m, BUDGET), MACHINE_STOPPED_VERDICT);
    assert_true(machine_steps(k.m) < 2000);
    check(&k, OTHER + 0x20, "Kernel panic - not syncing: a");
    tear_down(&k);
}

static void a_function_that_only_reports_is_not_the_place(void **state)
{
    struct kernel k;

    set_up(&k, CALLER, "Kernel panic - not syncing: NMI\n", HALTS, true);
    call(k.m, CALLER + 0x10, NMI_PANIC);
    check(&k, CALLER + 0x10, "Kernel panic - not syncing: NMI");
    tear_down(&k);
}

static void a_report_before_is_quoted_instead_of_what_follows_from_it(void **state)
{
    struct kernel k;

    set_up(&k, CALLER,
           "BUG: kernel NULL pointer dereference, address: 0000000000000008\nOops: 0002 [#1]\n---[ end trace 0 ]---\n"
           "Kernel panic - not syncing: Fatal exception in interrupt\n",
           HALTS, true);
    check(&k, CALLER + 0x10, "BUG: kernel NULL pointer dereference, address: 0000000000000008");
    tear_down(&k);
}

static void a_report_does_not_hide_a_panic_of_its_own(void **state)
{
    struct kernel k;

    set_up(&k, CALLER, "BUG: scheduling while atomic\nKernel panic - not syncing: VFS: no root\n", HALTS, true);
    check(&k, CALLER + 0x10, "Kernel panic - not syncing: VFS: no root");
    tear_down(&k);
}

static void a_console_that_says_nothing_still_gives_the_place(void **state)
{
    struct kernel k;

    set_up(&k, CALLER, "", LOOPS, true);
    check(&k, CALLER + 0x10, "the kernel panics, and its console does not say why");
    tear_down(&k);
}

static void without_symbols_the_line_alone_counts(void **state)
{
    struct kernel k;
    const struct verdict *v;

    set_up(&k, CALLER, "<0>Kernel panic - not syncing: old\n", HALTS, false);
    v = end_of(&k);
    assert_string_equal(v->text, "Kernel panic - not syncing: old");
    assert_string_equal(v->detector, "crash");
    tear_down(&k);
}

static void a_crash_kernel_that_takes_over_is_no_panic(void **state)
{
    struct kernel k;
    uint32_t image = 1;

    set_up(&k, CALLER, "Kernel panic - not syncing: dump it\n", LEAVES, true);
    put(k.m, IMAGE, &image, 4);
    call(k.m, CALLER + 0x15, LEAVE);
    assert_int_equal(end_of(&k)->kind, VERDICT_NONE);
    tear_down(&k);
}

static void a_crash_kernel_that_is_never_entered_is_out_of_budget_only(void **state)
{
    struct kernel k;
    uint32_t image = 1;

    set_up(&k, CALLER, "Kernel panic - not syncing: dump it\n", LOOPS, true);
    put(k.m, IMAGE, &image, 4);
    assert_int_equal(end_of(&k)->kind, VERDICT_NONE);
    tear_down(&k);
}

static void what_only_looks_like_a_panic_is_none(void **state)
{
    static const char *const lines[] = {
        "Kernel panic - not syncing: said by a program\n---[ end Kernel panic ]---\n",
        "[    0.0] Kernel command line: quiet x=\"Kernel panic - not syncing: me\"\n",
        "BUG: nothing follows\n",
        "init: Kernel panic - not syncing: quoted\n",
    };

    for (size_t i = 0; i < COUNT(lines); i++) {
        struct kernel k;

        set_up(&k, TALK, lines[i], HALTS, true);
        put(k.m, CODE + 10, (const uint8_t[]){0xeb, 0xfe}, 2); /* the panic function is never called */
        assert_int_equal(end_of(&k)->kind, VERDICT_NONE);
        tear_down(&k);
    }
}

static void an_early_exception_is_told_by_its_line_and_its_fault(void **state)
{
    static const uint8_t faulting[] = {0x90, 0x0f, 0x0b};
    struct kernel k;

    set_up(&k, CALLER, "PANIC: early exception 0x06 IP 10:ffffffff81000000 error 0 cr2 0x0\n", HALTS, true);
    put(k.m, CODE + CALLER, faulting, sizeof(faulting));
    put(k.m, HANDLERS + 64 * FAULT, (const uint8_t[]){0xb8, 0, 0x10, 1, 0, 0xff, 0xd0, 0xf4}, 8); /* call TALK; hlt */
    check(&k, CALLER + 1, "PANIC: early exception 0x06 IP 10:ffffffff81000000 error 0 cr2 0x0");
    tear_down(&k);
}

static void going_back_forgets_what_was_said(void **state)
{
    struct kernel k;
    struct snapshot *start;
    struct diag d;

    set_up(&k, CALLER, "Kernel panic - not syncing: later\n", LOOPS, true);
    assert_int_equal(snapshot_take(k.m, NULL, &start, &d), EMU_OK);
    run_to(k.m, 1000);
    snapshot_restore(k.m, start);
    machine_conclude(k.m);
    assert_int_equal(machine_verdict(k.m)->kind, VERDICT_NONE);
    check(&k, CALLER + 0x10, "Kernel panic - not syncing: later");
    snapshot_free(k.m, start);
    tear_down(&k);
}

/* ---- one failure or two ---- */

static void two_panics_are_two_failures(void **state)
{
    struct kernel a, b, c;

    set_up(&a, CALLER, "Kernel panic - not syncing: process 17 at 0xffff8880 is lost\n", HALTS, true);
    set_up(&b, CALLER, "Kernel panic - not syncing: process 4711 at 0xffff8881 is lost\n", LOOPS, true);
    set_up(&c, CALLER, "Kernel panic - not syncing: thread 17 at 0xffff8880 is lost\n", HALTS, true);
    assert_true(trial_is_same_failure(end_of(&a), end_of(&b), a.symbols));
    assert_false(trial_is_same_failure(end_of(&a), end_of(&c), a.symbols));
    tear_down(&a);
    set_up(&a, OTHER, "Kernel panic - not syncing: process 17 at 0xffff8880 is lost\n", HALTS, true);
    assert_false(trial_is_same_failure(end_of(&a), end_of(&b), a.symbols));
    tear_down(&a);
    tear_down(&b);
    tear_down(&c);
}

static void numbers_do_not_count_in_texts(void **state)
{
    assert_true(verdict_texts_agree("at ffff888003a41000, CPU#0", "at ffff888aaaaaaaaa, CPU#13"));
    assert_true(verdict_texts_agree("code 0x0b [#1]", "code 0x0 [#2]"));
    assert_false(verdict_texts_agree("address", "address:"));
    assert_false(verdict_texts_agree("bad face", "bad cafe"));
    assert_false(verdict_texts_agree("a 1", "a b"));
    assert_false(verdict_texts_agree("", "1"));
}

static void xen_says_why_on_the_next_line(void **state)
{
    const char *said;

    assert_int_equal(xen_words.read_line("(XEN) Panic on CPU 0:", &said), GUEST_LINE_PANIC_NEXT);
    assert_string_equal(said, "Panic on CPU 0:");
    assert_int_equal(xen_words.read_line("(XEN) [2026-11-28 12:00:00] Panic on CPU 3:", &said), GUEST_LINE_PANIC_NEXT);
    assert_int_equal(xen_words.read_line("Panic on CPU 0:", &said), GUEST_LINE_OTHER);
    assert_int_equal(xen_words.read_line("(XEN) Reboot in five seconds...", &said), GUEST_LINE_END);
}

/* The first of these is only printed for the guest; the second ends it. */
static void a_crash_of_xens_guest_is_told_by_its_fault(void **state)
{
    static const uint8_t faulting[] = {0x90, 0x0f, 0x0b};
    static const char text[] =
        "(XEN) d1v0 Unhandled: vec 6, #UD[ffffffff]\n(XEN) Domain 1 (vcpu#0) crashed on cpu#0:\n";
    struct kernel k;
    const char *said;

    words = &xen_words;
    set_up(&k, CALLER, text, HALTS, true);
    put(k.m, CODE + CALLER, faulting, sizeof(faulting));
    put(k.m, HANDLERS + 64 * FAULT, (const uint8_t[]){0xb8, 0, 0x10, 1, 0, 0xff, 0xd0, 0xf4}, 8); /* call TALK; hlt */
    check(&k, CALLER + 1, "d1v0 Unhandled: vec 6, #UD[ffffffff]");
    tear_down(&k);
    set_up(&k, TALK, text, HALTS, true); /* no fault, and it goes on */
    put(k.m, CODE + 10, (const uint8_t[]){0xeb, 0xfe}, 2);
    words = &linux_words;
    assert_int_equal(end_of(&k)->kind, VERDICT_NONE);
    tear_down(&k);
    assert_int_equal(xen_words.read_line("(XEN) Domain 1 (vcpu#0) is up", &said), GUEST_LINE_OTHER);
}

static void a_panic_of_xen_is_quoted_with_its_reason(void **state)
{
    static const char text[] = "(XEN) Panic on CPU 0:\n(XEN) Could not set up DOM0 guest OS\n(XEN) ****\n";
    struct kernel k;

    words = &xen_words;
    set_up(&k, CALLER, text, HALTS, true);
    words = &linux_words;
    check(&k, CALLER + 0x10, "Panic on CPU 0: Could not set up DOM0 guest OS");
    tear_down(&k);
}

static void parts_of_a_function_report_as_it_does(void **state)
{
    assert_true(linux_words.is_reporter("oops_end.cold"));
    assert_true(linux_words.is_reporter("asm_exc_page_fault"));
    assert_true(linux_words.is_reporter("die"));
    assert_false(linux_words.is_reporter("die_hard"));
    assert_false(linux_words.is_reporter("di"));
    assert_false(linux_words.is_reporter("out_of_memory.cold"));
}

static void images_are_known_by_their_banners(void **state)
{
    static const char linux_image[] = "..Linux version 6.1.0-56 (x)", not_linux[] = "Linux version of this text",
                      xen_image[] = "(XEN) \0Panic on CPU %d:\n";

    assert_true(linux_words_are_of((const uint8_t *)linux_image, sizeof(linux_image)));
    assert_false(linux_words_are_of((const uint8_t *)not_linux, sizeof(not_linux)));
    assert_false(linux_words_are_of((const uint8_t *)"", 0));
    assert_true(xen_words_are_of((const uint8_t *)xen_image, sizeof(xen_image)));
    assert_false(xen_words_are_of((const uint8_t *)linux_image, sizeof(linux_image)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_panic_is_told_by_its_line_and_its_caller),
        cmocka_unit_test(a_panic_that_stays_fails),
        cmocka_unit_test(its_own_word_that_it_is_over_ends_the_run),
        cmocka_unit_test(a_function_that_only_reports_is_not_the_place),
        cmocka_unit_test(a_report_before_is_quoted_instead_of_what_follows_from_it),
        cmocka_unit_test(a_report_does_not_hide_a_panic_of_its_own),
        cmocka_unit_test(a_console_that_says_nothing_still_gives_the_place),
        cmocka_unit_test(without_symbols_the_line_alone_counts),
        cmocka_unit_test(a_crash_kernel_that_takes_over_is_no_panic),
        cmocka_unit_test(a_crash_kernel_that_is_never_entered_is_out_of_budget_only),
        cmocka_unit_test(what_only_looks_like_a_panic_is_none),
        cmocka_unit_test(an_early_exception_is_told_by_its_line_and_its_fault),
        cmocka_unit_test(going_back_forgets_what_was_said),
        cmocka_unit_test(two_panics_are_two_failures),
        cmocka_unit_test(numbers_do_not_count_in_texts),
        cmocka_unit_test(xen_says_why_on_the_next_line),
        cmocka_unit_test(a_crash_of_xens_guest_is_told_by_its_fault),
        cmocka_unit_test(a_panic_of_xen_is_quoted_with_its_reason),
        cmocka_unit_test(parts_of_a_function_report_as_it_does),
        cmocka_unit_test(images_are_known_by_their_banners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
