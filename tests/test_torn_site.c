/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The detector of a declared site of code that is executed half changed; and how a site is declared. */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "fuzz/detect/torn_site.h"

#include <inttypes.h>
#include <string.h>

#include "emu/image/symbols.h"
#include "emu/machine.h"
#include "emu/vcpu.h"

#define RAM_BYTES 0x400000u
#define CODE      0x10000u
#define STACK     0x20000u
#define SITE      (CODE + 1)

/* nop; the site; hlt. The site is mb() of Linux 2.6.18, `lock addl $0, (%esp)`, and becomes `mfence; mov %esi, %esi`.
 */
#define MB "0x10001: f0 83 04 24 00 -> 0f ae f0 89 f6"

static const struct {
    const char *declared;
    uint8_t bytes[5];
    unsigned torn_at; /* in the site, from 1; 0: not torn */
} runs[] = {
    {MB, {0xf0, 0x83, 0x04, 0x24, 0x00}, 0},
    {MB, {0x0f, 0x83, 0x04, 0x24, 0x00}, 1},
    {MB, {0x0f, 0xae, 0x04, 0x24, 0x00}, 1},
    {MB, {0x0f, 0xae, 0xf0, 0x24, 0x00}, 4}, /* mfence; and $0, %al */
    {MB, {0x0f, 0xae, 0xf0, 0x89, 0x00}, 4}, /* mfence; mov %eax, (%eax) */
    {MB, {0x0f, 0xae, 0xf0, 0x89, 0xf6}, 0},
    {MB, {0xcc, 0x83, 0x04, 0x24, 0x00}, 0},
    {MB, {0x90, 0x90, 0x90, 0x90, 0x90}, 1},
    {MB " -> 90 90 90 90 90", {0x90, 0x90, 0x90, 0x90, 0x90}, 0},
    /* Padding: only where the other version leads into it. */
    {"0x10001: 90 90 90 90 90 -> eb 03 cc cc cc", {0x90, 0x90, 0xcc, 0xcc, 0xcc}, 3},
    {"0x10001: 90 90 90 90 90 -> 66 90 cc cc cc", {0x66, 0x90, 0xcc, 0xcc, 0xcc}, 0},
    {"0x10002: 83 04 -> ae f0", {0xf0, 0x83, 0x04, 0x24, 0x00}, 0}, /* nobody begins an instruction there */
};

static void what_is_of_no_version_is_torn(void **state)
{
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
        struct torn_site_detector x;
        const struct verdict *v;
        struct torn_site site;
        struct vcpu_regs r;
        struct machine *m;
        struct diag d;
        bool torn;

        assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
        assert_true(memory_write(machine_memory(m), CODE, "\x90\0\0\0\0\0\xf4", 7));
        assert_true(memory_write(machine_memory(m), SITE, runs[i].bytes, sizeof(runs[i].bytes)));
        regs_init_protected32(&r, CODE);
        r.gpr[GPR_RSP] = STACK;
        vcpu_set_regs(m, 0, &r);
        assert_int_equal(torn_site_parse(runs[i].declared, NULL, &site, &d), EMU_OK);
        assert_int_equal(torn_site_attach(&x, m, &site, &d), EMU_OK);
        machine_run(m, &(struct machine_limits){.steps_max = 1000});
        v = machine_verdict(m);
        torn = v->detector && !strcmp(v->detector, "torn-code");
        if (torn != !!runs[i].torn_at || (torn && v->rip_gva != SITE + runs[i].torn_at - 1))
            fail_msg("run %zu: %s at 0x%" PRIx64, i, v->text, v->rip_gva);
        machine_free(m);
    }
}

static void another_site_may_be_watched_instead(void **state)
{
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
    struct torn_site_detector x;
    struct torn_site site;
    struct vcpu_regs r;
    struct machine *m;
    struct diag d;

    assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
    assert_true(memory_write(machine_memory(m), CODE, "\x90\x90\x90\x90\xf4", 5));
    regs_init_protected32(&r, CODE);
    vcpu_set_regs(m, 0, &r);
    assert_int_equal(torn_site_parse("0x10001: 0f -> 0e", NULL, &site, &d), EMU_OK);
    assert_int_equal(torn_site_attach(&x, m, &site, &d), EMU_OK);
    assert_int_equal(torn_site_watch(&x, NULL, &d), EMU_OK);
    assert_int_equal(machine_run(m, &(struct machine_limits){.steps_max = 3}), MACHINE_STOPPED_STEPS);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    site.gva = CODE + 3;
    assert_int_equal(torn_site_watch(&x, &site, &d), EMU_OK);
    machine_run(m, &(struct machine_limits){.steps_max = 1000});
    assert_string_equal(machine_verdict(m)->detector, "torn-code");
    machine_free(m);
}

static void a_declaration_that_says_nothing_is_a_sentence(void **state)
{
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"", "a torn-code site is SYMBOL+0xOFFSET: OLD BYTES -> NEW BYTES, not ''"},
        {"0x10: 90", "a torn-code site has two versions or more, with -> between them"},
        {"0x10: 90 -> 90 90", "version 2 of the torn-code site has 2 bytes, the first one 1"},
        {"0x10: 90 ->", "a torn-code site has two versions or more, with -> between them"},
        {"0x10: -> 90", "version 1 of the torn-code site is not 1 to 64 bytes like 0f ae f0"},
        {"0x10: 9 -> 0", "version 1 of the torn-code site is not 1 to 64 bytes like 0f ae f0"},
        {"0x10: 900 -> 0", "version 1 of the torn-code site is not 1 to 64 bytes like 0f ae f0"},
        {"0x10: 90 -> nop", "version 2 of the torn-code site is not 1 to 64 bytes like 0f ae f0"},
        {"0x10: 90->90->90->90->90->90->90->90->90", "a torn-code site has at most 8 versions"},
        {"0x: 90 -> 91", "'0x' is not an address"},
        {"memcpy: 90 -> 91", "the guest has no symbol 'memcpy' for the site of torn code"},
        {"memcpy+x: 90 -> 91", "the place of a torn-code site is like symbol+0x1c, not 'memcpy+x'"},
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct torn_site site;
        struct diag d;

        assert_int_equal(torn_site_parse(bad[i].text, NULL, &site, &d), EMU_EINPUT);
        assert_string_equal(d.text, bad[i].sentence);
    }
}

static void a_printed_site_is_parsed_to_the_same(void **state)
{
    char text[TORN_SITE_TEXT_BYTES];
    struct torn_site a, b;
    struct diag d;

    assert_int_equal(torn_site_parse("0xffffffff81000000:90 90->  0F ae -> cc 00", NULL, &a, &d), EMU_OK);
    torn_site_print(&a, NULL, text, sizeof(text));
    assert_string_equal(text, "0xffffffff81000000: 90 90 -> 0f ae -> cc 00");
    assert_int_equal(torn_site_parse(text, NULL, &b, &d), EMU_OK);
    assert_memory_equal(&a, &b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_of_no_version_is_torn),
        cmocka_unit_test(another_site_may_be_watched_instead),
        cmocka_unit_test(a_declaration_that_says_nothing_is_a_sentence),
        cmocka_unit_test(a_printed_site_is_parsed_to_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
