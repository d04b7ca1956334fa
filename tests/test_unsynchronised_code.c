/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The detector of code that is executed unsynchronised: two vCPUs, one site, and a script of who does what in which
   order. */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "fuzz/detect/unsynchronised_code.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/model.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"

#define RAM_BYTES  0x400000u
#define CODE       0x20000u /* watched */
#define CODE_BYTES 0x2000u
#define SITE       (CODE + 0x100)
#define ACROSS     (CODE + 0xffe) /* a site that lies in two pages */
#define SCRATCH    0x30000u       /* a page of code for each vCPU, not watched */
#define TABLE      0x40000u

static enum model_answer cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf,
                               struct cpuid_regs *out)
{
    return MODEL_DONE;
}

static enum model_answer msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    return MODEL_DONE;
}

static enum model_answer hypercall(struct machine *m, unsigned vcpu)
{
    return MODEL_DONE;
}

static const struct model host = {.name = "host", .cpuid = cpuid, .msr_write = msr_write, .hypercall = hypercall};
static const struct model *const models[] = {&host};

struct step {
    enum {
        END,
        WRITE, /* vCPU `vcpu` writes `bytes` bytes (1, 2 or 4) of `value` to the site, from `at` on */
        DO,    /* vCPU 1 executes `bytes` bytes of `code` elsewhere */
        RUN,   /* vCPU 1 executes the site */
        GO,    /* vCPU 1 goes offline, */
        COME,  /* and comes back */
    } what;
    unsigned vcpu, at, bytes;
    uint32_t value;
    uint8_t code[12];
};

/* clang-format off */
#define W(at, bytes, value) {WRITE, 0, at, bytes, value, {0}}
#define OWN(at, bytes, value) {WRITE, 1, at, bytes, value, {0}}
#define X {RUN, 0, 0, 0, 0, {0}}
#define OFF {GO, 0, 0, 0, 0, {0}}
#define ON {COME, 0, 0, 0, 0, {0}}
#define D(...) {DO, 0, 0, sizeof((uint8_t[]){__VA_ARGS__}), 0, {__VA_ARGS__}}
#define SYNC D(0x0f, 0xa2)

/* The site: mov eax, 0x11223344 (b8 44 33 22 11), hlt. */
static const struct row {
    const char *name;
    struct step step[10];
    const char *text; /* in the verdict's sentence; NULL: there is none; "": another detector's */
} rows[] = {
    {"code that nobody changed", {X, X}, NULL},
    {"a change of a whole instruction", {W(1, 4, 0), X}, "b8 44 33 22 11 to b8 00 00 00 00"},
    {"… that was synchronised", {W(1, 4, 0), SYNC, X, X}, NULL},
    {"… again after the synchronisation", {W(1, 4, 0), SYNC, X, W(1, 4, 1), X}, "b8 00 00 00 00 to b8 01 00 00 00"},
    {"a write that changes nothing", {W(0, 4, 0x223344b8), X}, NULL},
    {"a single byte that is no breakpoint", {W(4, 1, 0), X}, "b8 44 33 22 11 to b8 44 33 22 00"},
    {"a first byte that is no breakpoint", {W(0, 1, 0xb9), X}, "b8 44 33 22 11 to b9 44 33 22 11"},
    {"a change that was taken back", {W(4, 1, 0), W(4, 1, 0x11), X}, "b8 44 33 22 11 to b8 44 33 22 11"},
    {"a change of what is not executed", {W(5, 1, 0x90), W(5, 1, 0xf4), W(0, 1, 0xf4), SYNC, X}, NULL},
    {"an instruction behind one that is settled", {W(5, 1, 0x90), X}, "f4 to 90"},
    {"what the vCPU wrote itself", {OWN(1, 4, 0), X}, NULL},
    {"what was written while it was offline", {OFF, W(1, 4, 0), ON, X}, NULL},
    {"what was written before it went offline", {W(1, 4, 0), OFF, ON, X}, NULL},

    {"a breakpoint put in", {W(0, 1, 0xcc), X}, ""},
    {"a breakpoint put in and taken out", {W(0, 1, 0xcc), W(0, 1, 0xb8), X}, NULL},
    {"a breakpoint that becomes another first byte, not synchronised", {W(0, 1, 0xcc), W(0, 1, 0xb9), X}, "b8 44 33 22 11 to b9 44 33 22 11"},
    {"… synchronised in between", {W(0, 1, 0xcc), SYNC, W(0, 1, 0xb9), X}, NULL},
    {"a breakpoint that is not alone", {W(0, 2, 0x00cc), X}, "b8 44 33 22 11 to cc 00 33 22 11"},
    {"0xcc behind the first byte is no breakpoint", {W(1, 1, 0xcc), X}, "b8 44 33 22 11 to b8 cc 33 22 11"},
    {"the protocol", {W(0, 1, 0xcc), SYNC, W(1, 4, 0), SYNC, W(0, 1, 0xb9), X}, NULL},
    {"the protocol without its first synchronisation", {W(0, 1, 0xcc), W(1, 4, 0), X}, "b8 44 33 22 11 to cc 00 00 00 00"},
    {"the protocol before its second synchronisation", {W(0, 1, 0xcc), SYNC, W(1, 4, 0), X}, ""},
    {"the protocol without its second synchronisation", {W(0, 1, 0xcc), SYNC, W(1, 4, 0), W(0, 1, 0xb9), X}, "cc 44 33 22 11 to b9 00 00 00 00"},

    {"CPUID serialises", {W(1, 4, 0), D(0x0f, 0xa2), X}, NULL},
    {"MOV to CR3 serialises", {W(1, 4, 0), D(0x31, 0xc0, 0x0f, 0x22, 0xd8), X}, NULL},
    {"MOV to DR6 serialises", {W(1, 4, 0), D(0x31, 0xc0, 0x0f, 0x23, 0xf0), X}, NULL},
    {"INVLPG serialises", {W(1, 4, 0), D(0x0f, 0x01, 0x3d, 0, 0, 0, 0), X}, NULL},
    {"LGDT serialises", {W(1, 4, 0), D(0x0f, 0x01, 0x15, 0x00, 0x00, 0x04, 0x00), X}, NULL},
    {"LIDT serialises", {W(1, 4, 0), D(0x0f, 0x01, 0x1d, 0x00, 0x00, 0x04, 0x00), X}, NULL},
    {"WBINVD serialises", {W(1, 4, 0), D(0x0f, 0x09), X}, NULL},
    {"WRMSR serialises", {W(1, 4, 0), D(0xb9, 0x1b, 0, 0, 0, 0x0f, 0x30), X}, NULL},
    {"WRMSR of the deadline timer does not", {W(1, 4, 0), D(0xb9, 0xe0, 0x06, 0, 0, 0x0f, 0x30), X}, "has changed"},
    {"WRMSR of the x2APIC does not", {W(1, 4, 0), D(0xb9, 0x30, 0x08, 0, 0, 0x0f, 0x30), X}, "has changed"},
    {"MFENCE does not", {W(1, 4, 0), D(0x0f, 0xae, 0xf0), X}, "has changed"},
    {"a locked instruction does not", {W(1, 4, 0), D(0xf0, 0xff, 0x05, 0x10, 0x00, 0x04, 0x00), X}, "has changed"},
    {"a hypercall does not", {W(1, 4, 0), D(0x0f, 0x01, 0xc1), X}, "has changed"},
    {"MOV from CR3 does not", {W(1, 4, 0), D(0x0f, 0x20, 0xd8), X}, "has changed"},
};
/* clang-format on */

struct world {
    struct machine *m;
    struct unsynchronised_code u;
    uint64_t site_gpa;
};

static void world_init(struct world *w, uint64_t site_gpa, bool attach)
{
    static const uint8_t site[] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xf4, 0xf4};
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 2, .models = models, .model_count = 1};
    struct unsynchronised_code_options options = {.range = {{CODE, CODE_BYTES}}, .ranges = 1};
    struct diag d;

    *w = (struct world){.site_gpa = site_gpa};
    if (machine_new(&config, &w->m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_true(memory_write(machine_memory(w->m), site_gpa, site, sizeof(site)));
    if (attach && unsynchronised_code_attach(&w->u, w->m, &options, &d) != EMU_OK)
        fail_msg("%s", d.text);
    for (unsigned v = 0; v < 2; v++) {
        struct vcpu_regs r;

        regs_init_protected32(&r, SCRATCH);
        vcpu_set_regs(w->m, v, &r);
    }
    vcpu_start(w->m, 1);
}

/* `vcpu` runs from `gpa` to its HLT. */
static void run(struct world *w, unsigned vcpu, uint64_t gpa)
{
    struct machine_limits limits = {.steps_max = 100000, .pinned = true, .pinned_until_waits = true, .vcpu = vcpu};
    struct vcpu_regs r;

    vcpu_get_regs(w->m, vcpu, &r);
    r.rip = gpa;
    vcpu_set_regs(w->m, vcpu, &r);
    vcpu_wake(w->m, vcpu);
    machine_run(w->m, &limits);
}

static void run_code(struct world *w, unsigned vcpu, const uint8_t *code, size_t bytes)
{
    uint64_t gpa = SCRATCH + vcpu * PAGE_BYTES;
    uint8_t hlt = 0xf4;

    assert_true(memory_write(machine_memory(w->m), gpa, code, bytes));
    assert_true(memory_write(machine_memory(w->m), gpa + bytes, &hlt, 1));
    run(w, vcpu, gpa);
}

static void run_step(struct world *w, const struct step *s)
{
    uint32_t gpa = (uint32_t)w->site_gpa + s->at;
    uint8_t code[12] = {0x66, (uint8_t)(s->bytes == 1 ? 0xc6 : 0xc7), 0x05};
    size_t prefix = s->bytes != 2;

    switch (s->what) {
    case END:
        return;
    case WRITE:
        memcpy(code + 3, &gpa, 4);
        memcpy(code + 7, &s->value, s->bytes);
        run_code(w, s->vcpu, code + prefix, 7 + s->bytes - prefix);
        return;
    case DO:
        run_code(w, 1, s->code, s->bytes);
        return;
    case RUN:
        run(w, 1, w->site_gpa);
        return;
    case GO:
        vcpu_stop(w->m, 1);
        return;
    case COME:
        vcpu_start(w->m, 1);
        return;
    }
}

static void run_row(struct world *w, const struct row *row)
{
    for (unsigned i = 0; i < COUNT(row->step); i++)
        if (machine_verdict(w->m)->kind == VERDICT_NONE)
            run_step(w, &row->step[i]);
}

static void check_row(const struct row *row, uint64_t site_gpa)
{
    const struct verdict *v;
    bool is_ours;
    struct world w;

    world_init(&w, site_gpa, true);
    run_row(&w, row);
    v = machine_verdict(w.m);
    is_ours = v->detector && !strcmp(v->detector, "unsynchronised-code");
    if (!row->text ? v->kind != VERDICT_NONE
                   : is_ours == !row->text[0] || v->kind != VERDICT_FAIL || !strstr(v->text, row->text))
        fail_msg("%s, at 0x%x: %s %s %s", row->name, (unsigned)site_gpa, verdict_kind_name(v->kind),
                 v->detector ? v->detector : "", v->text);
    machine_free(w.m);
}

static void what_may_be_executed_is_known_byte_by_byte(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        check_row(&rows[i], SITE);
}

static void the_same_holds_where_an_instruction_lies_in_two_pages(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        check_row(&rows[i], ACROSS);
}

static void a_run_with_the_detector_is_the_same_run(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct world with, without;

        if (rows[i].text)
            continue;
        world_init(&with, SITE, true);
        world_init(&without, SITE, false);
        run_row(&with, &rows[i]);
        run_row(&without, &rows[i]);
        if (machine_digest(with.m) != machine_digest(without.m) || machine_steps(with.m) != machine_steps(without.m))
            fail_msg("%s", rows[i].name);
        machine_free(with.m);
        machine_free(without.m);
    }
}

static void a_finding_names_place_writer_and_when_the_vcpu_was_synchronised(void **state)
{
    static const struct row row = {"", {SYNC, X, W(1, 4, 0), X}, NULL};
    struct world w;
    uint64_t position;

    world_init(&w, SITE, true);
    run_step(&w, &row.step[0]);
    run_step(&w, &row.step[1]);
    position = vcpu_position(w.m, 1);
    run_step(&w, &row.step[2]);
    run_step(&w, &row.step[3]);
    assert_int_equal(machine_verdict(w.m)->vcpu, 1);
    assert_int_equal(machine_verdict(w.m)->rip_gva, SITE);
    assert_int_equal(machine_verdict(w.m)->position, position);
    if (!strstr(machine_verdict(w.m)->text, "vCPU 1 executes 0x20100, which vCPU 0 has changed") ||
        !strstr(machine_verdict(w.m)->text, "last by 0x30000 at its step 0;"))
        fail_msg("%s", machine_verdict(w.m)->text);
    assert_int_equal(unsynchronised_code_report(&w.u)->changes, 1);
    machine_free(w.m);
}

static void a_snapshot_remembers_what_is_not_synchronised(void **state)
{
    static const struct row row = {"", {W(1, 4, 0), SYNC, X}, NULL};
    struct snapshot *snapshot;
    struct world w;
    struct diag d;

    world_init(&w, SITE, true);
    run_step(&w, &row.step[0]);
    assert_int_equal(snapshot_take(w.m, NULL, &snapshot, &d), EMU_OK);
    run_step(&w, &row.step[1]);
    run_step(&w, &row.step[2]);
    assert_int_equal(machine_verdict(w.m)->kind, VERDICT_NONE);
    snapshot_restore(w.m, snapshot);
    run_step(&w, &row.step[2]);
    assert_int_equal(machine_verdict(w.m)->kind, VERDICT_FAIL);
    snapshot_free(w.m, snapshot);
    machine_free(w.m);
}

static void changes_that_nobody_synchronises_with_are_forgotten_oldest_first(void **state)
{
    static const struct step run_site = X;
    struct world w;

    world_init(&w, SITE, true);
    for (unsigned i = 0; i <= UNSYNCHRONISED_CODE_CHANGES_MAX; i++) {
        struct step s = W(i ? 0x10 : 1, 1, i + 1);

        run_step(&w, &s);
    }
    assert_int_equal(unsynchronised_code_report(&w.u)->changes, UNSYNCHRONISED_CODE_CHANGES_MAX + 1);
    assert_int_equal(unsynchronised_code_report(&w.u)->forgotten, 1);
    run_step(&w, &run_site);
    assert_int_equal(machine_verdict(w.m)->kind, VERDICT_NONE);
    machine_free(w.m);
}

static void code_that_is_not_in_memory_is_refused(void **state)
{
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
    struct unsynchronised_code_options options = {.range = {{RAM_BYTES - 8, 16}}, .ranges = 1};
    struct unsynchronised_code u;
    struct machine *m;
    struct diag d;

    assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
    assert_int_equal(unsynchronised_code_attach(&u, m, &options, &d), EMU_EINPUT);
    options.range[0].bytes = 0;
    assert_int_equal(unsynchronised_code_attach(&u, m, &options, &d), EMU_EINPUT);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_executed_is_known_byte_by_byte),
        cmocka_unit_test(the_same_holds_where_an_instruction_lies_in_two_pages),
        cmocka_unit_test(a_run_with_the_detector_is_the_same_run),
        cmocka_unit_test(a_finding_names_place_writer_and_when_the_vcpu_was_synchronised),
        cmocka_unit_test(a_snapshot_remembers_what_is_not_synchronised),
        cmocka_unit_test(changes_that_nobody_synchronises_with_are_forgotten_oldest_first),
        cmocka_unit_test(code_that_is_not_in_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
