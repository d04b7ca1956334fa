/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How events enter their handlers: the frame that is pushed, the stack it is pushed to, and what a faulting delivery
 * turns into. Plain registers and memory; no engine.
 */
#include "tests/cmocka_tap.h"

#include <inttypes.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/delivery.h"
#include "emu/exception.h"
#include "emu/memory.h"
#include "emu/vcpu.h"

#define IDT     0x1000u
#define GDT     0x3000u
#define TSS     0x4000u
#define RING0   0x8000u /* the stack of the TSS */
#define IST1    0x9000u
#define STACK   0xa000u
#define HANDLER 0x12340u
#define HERE    0x5678u
#define TABLES  0x10000u

enum world_bits { BITS_16 = 16, BITS_32 = 32, BITS_64 = 64 };

struct world {
    struct memory *mem;
    struct vcpu_regs r;
    struct event delivered;
    const char *why;
};

static void put(struct world *w, uint64_t gpa, uint64_t value, unsigned bytes)
{
    assert_true(memory_write(w->mem, gpa, &value, bytes));
}

static uint64_t get(struct world *w, uint64_t gpa, unsigned bytes)
{
    uint64_t v = 0;

    assert_true(memory_read(w->mem, gpa, &v, bytes));
    return v;
}

/* `type` is the gate's: 0xe interrupt, 0xf trap, 6 and 7 the 16-bit ones; `flags` are P (0x80) and DPL. */
static void set_gate(struct world *w, unsigned vector, unsigned type, unsigned flags, unsigned ist)
{
    bool wide = w->r.efer & EFER_LMA;
    uint64_t at = IDT + vector * (wide ? 16 : 8);

    put(w, at, (HANDLER & 0xffff) | 8u << 16, 4);
    put(w, at + 4, (HANDLER & 0xffff0000) | (flags | type) << 8 | ist, 4);
    if (wide)
        put(w, at + 8, 0, 8);
}

/* Ring `cpl` with interrupts enabled; every gate is an interrupt gate of DPL 0. */
static void world_init(struct world *w, enum world_bits bits, unsigned cpl)
{
    struct diag d;
    bool wide = bits == BITS_64;

    memset(w, 0, sizeof(*w));
    assert_int_equal(memory_new(0x100000, &w->mem, &d), EMU_OK);
    put(w, GDT + 8, wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 8);
    put(w, GDT + 16, 0x00cf93000000ffff, 8);
    put(w, GDT + 24, wide ? 0x00affb000000ffff : 0x00cffb000000ffff, 8);
    put(w, GDT + 32, 0x00cff3000000ffff, 8);
    put(w, GDT + 40, 0x00cf13000000ffff, 8); /* data that is not present */
    if (bits == BITS_16) {
        regs_init_reset(&w->r);
        w->r.seg[SEG_CS] = (struct segment){.selector = 0x100, .base = 0x1000, .limit = 0xffff, .attributes = 0x9b00};
        w->r.idtr = (struct descriptor_table){0, 0x3ff};
    } else {
        regs_init_protected32(&w->r, HERE);
        w->r.idtr = (struct descriptor_table){IDT, wide ? 0xfff : 0x7ff};
        w->r.gdtr = (struct descriptor_table){GDT, 0x2f};
        w->r.tr = (struct segment){.selector = 0x40, .base = TSS, .limit = 0x67, .attributes = 0x8b00};
        w->r.seg[SEG_CS].selector = (uint16_t)(cpl ? 0x1b : 8);
        w->r.seg[SEG_SS].selector = (uint16_t)(cpl ? 0x23 : 0x10);
        w->r.seg[SEG_CS].attributes |= cpl << SEG_ATTR_DPL_SHIFT;
        w->r.seg[SEG_SS].attributes |= cpl << SEG_ATTR_DPL_SHIFT;
    }
    if (wide) { /* the first 2 MiB one to one */
        put(w, TABLES, (TABLES + 0x1000) | 7, 8);
        put(w, TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
        put(w, TABLES + 0x2000, 0x87, 8);
        w->r.cr0 |= CR0_PG;
        w->r.cr3 = TABLES;
        w->r.cr4 = CR4_PAE;
        w->r.efer = EFER_LME | EFER_LMA;
        w->r.seg[SEG_CS].attributes = (w->r.seg[SEG_CS].attributes & ~SEG_ATTR_DB) | SEG_ATTR_L;
        put(w, TSS + 4, RING0, 8);
        put(w, TSS + 0x24, IST1, 8);
    } else {
        put(w, TSS + 4, RING0, 4);
        put(w, TSS + 8, 0x10, 2);
    }
    w->r.rip = HERE;
    w->r.gpr[GPR_RSP] = STACK;
    w->r.rflags = RFLAGS_FIXED | RFLAGS_IF;
    if (bits != BITS_16)
        for (unsigned v = 0; v < 256; v++)
            set_gate(w, v, 0xe, 0x80, 0);
}

static enum delivery_result enter(struct world *w, struct event event)
{
    return delivery_enter(w->mem, &w->r, &event, &w->delivered, &w->why);
}

static struct event external(unsigned vector)
{
    return (struct event){.type = EVENT_EXTERNAL, .vector = (uint8_t)vector};
}

static struct event exception(unsigned vector, uint32_t code)
{
    return (struct event){.type = EVENT_EXCEPTION,
                          .vector = (uint8_t)vector,
                          .has_error_code = exception_has_error_code(vector),
                          .error_code = code};
}

static struct event software(unsigned vector)
{
    return (struct event){.type = EVENT_SOFTWARE, .vector = (uint8_t)vector, .insn_bytes = 2};
}

/* The words of the frame from the stack pointer upwards. */
static void assert_frame(struct world *w, uint64_t sp, unsigned bytes, unsigned count, const uint64_t *words)
{
    assert_int_equal(w->r.gpr[GPR_RSP], sp);
    for (unsigned i = 0; i < count; i++)
        if (get(w, sp + i * bytes, bytes) != words[i])
            fail_msg("word %u is 0x%" PRIx64 ", expected 0x%" PRIx64, i, get(w, sp + i * bytes, bytes), words[i]);
}
#define FRAME(...)                                                                                                     \
    sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[])                                                                \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static void assert_delivered(struct world *w, unsigned vector, uint32_t code)
{
    assert_int_equal(w->delivered.vector, vector);
    assert_int_equal(w->delivered.error_code, code);
}

static void real_mode_pushes_three_words_and_clears_if(void **state)
{
    struct world w;

    world_init(&w, BITS_16, 0);
    put(&w, 0x40 * 4, 0x20003333, 4);
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_frame(&w, STACK - 6, 2, FRAME(HERE, 0x100, 0x202));
    assert_int_equal(w.r.rip, 0x3333);
    assert_int_equal(w.r.seg[SEG_CS].selector, 0x2000);
    assert_int_equal(w.r.seg[SEG_CS].base, 0x20000);
    assert_int_equal(w.r.rflags, RFLAGS_FIXED);
    memory_free(w.mem);
}

static void protected_mode_keeps_the_stack_of_the_same_ring(void **state)
{
    struct world w;

    world_init(&w, BITS_32, 0);
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_frame(&w, STACK - 12, 4, FRAME(HERE, 8, 0x202));
    assert_int_equal(w.r.rip, HANDLER);
    assert_int_equal(w.r.rflags, RFLAGS_FIXED);
    memory_free(w.mem);
}

static void an_exception_has_its_error_code_and_rf(void **state)
{
    struct world w;

    world_init(&w, BITS_32, 0);
    assert_int_equal(enter(&w, exception(13, 0x50)), DELIVERY_DONE);
    assert_frame(&w, STACK - 16, 4, FRAME(0x50, HERE, 8, 0x10202));
    memory_free(w.mem);
}

static void a_trap_gate_keeps_if_and_both_clear_tf_and_nt(void **state)
{
    struct world w;

    world_init(&w, BITS_32, 0);
    w.r.rflags |= RFLAGS_TF | RFLAGS_NT | RFLAGS_RF;
    set_gate(&w, 0x40, 0xf, 0x80, 0);
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_int_equal(w.r.rflags, RFLAGS_FIXED | RFLAGS_IF);
    assert_int_equal(get(&w, STACK - 4, 4), 0x14302);
    memory_free(w.mem);
}

static void a_16_bit_gate_pushes_words(void **state)
{
    struct world w;

    world_init(&w, BITS_32, 0);
    set_gate(&w, 0x40, 0x6, 0x80, 0);
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_frame(&w, STACK - 6, 2, FRAME(HERE, 8, 0x202));
    assert_int_equal(w.r.rip, HANDLER & 0xffff);
    memory_free(w.mem);
}

static void the_user_goes_to_the_stack_of_the_tss(void **state)
{
    for (unsigned tss16 = 0; tss16 < 2; tss16++) {
        struct world w;

        world_init(&w, BITS_32, 3);
        if (tss16) {
            w.r.tr.attributes = 0x8300;
            put(&w, TSS + 2, 0x10ull << 16 | (RING0 - 0x100), 4);
        }
        assert_int_equal(enter(&w, exception(14, 7)), DELIVERY_DONE);
        assert_frame(&w, RING0 - 24 - 0x100 * tss16, 4, FRAME(7, HERE, 0x1b, 0x10202, STACK, 0x23));
        assert_int_equal(w.r.seg[SEG_SS].selector, 0x10);
        assert_int_equal(regs_cpl(&w.r), 0);
        memory_free(w.mem);
    }
}

static void virtual_8086_mode_saves_and_clears_its_segments(void **state)
{
    static const enum segment_register order[4] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    struct world w;

    world_init(&w, BITS_32, 3);
    w.r.rflags |= RFLAGS_VM;
    for (unsigned i = 0; i < 4; i++)
        w.r.seg[order[i]].selector = (uint16_t)(0x1110 * (i + 1));
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_frame(&w, RING0 - 36, 4, FRAME(HERE, 0x1b, 0x20202, STACK, 0x23, 0x1110, 0x2220, 0x3330, 0x4440));
    assert_false(w.r.rflags & RFLAGS_VM);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(w.r.seg[order[i]].selector, 0);
    memory_free(w.mem);
}

static void long_mode_aligns_the_stack_and_always_pushes_five_words(void **state)
{
    struct world w;

    world_init(&w, BITS_64, 0);
    w.r.gpr[GPR_RSP] = STACK - 3;
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_frame(&w, STACK - 16 - 40, 8, FRAME(HERE, 8, 0x202, STACK - 3, 0x10));
    memory_free(w.mem);
}

static void long_mode_takes_the_users_stack_from_the_tss_and_a_null_ss(void **state)
{
    struct world w;

    world_init(&w, BITS_64, 3);
    assert_int_equal(enter(&w, exception(14, 4)), DELIVERY_DONE);
    assert_frame(&w, RING0 - 48, 8, FRAME(4, HERE, 0x1b, 0x10202, STACK, 0x23));
    assert_int_equal(w.r.seg[SEG_SS].selector, 0);
    assert_int_equal(regs_cpl(&w.r), 0);
    memory_free(w.mem);
}

static void an_ist_gate_switches_even_within_a_ring(void **state)
{
    struct world w;

    world_init(&w, BITS_64, 0);
    set_gate(&w, 2, 0xe, 0x80, 1);
    assert_int_equal(enter(&w, (struct event){.type = EVENT_NMI, .vector = 2}), DELIVERY_DONE);
    assert_frame(&w, IST1 - 40, 8, FRAME(HERE, 8, 0x202, STACK, 0x10));
    memory_free(w.mem);
}

static void software_may_use_gates_of_its_ring_only(void **state)
{
    for (enum world_bits bits = BITS_32; bits <= BITS_64; bits += 32) {
        struct world w;

        world_init(&w, bits, 3);
        w.r.rip = HERE + 2;
        assert_int_equal(enter(&w, software(0x80)), DELIVERY_DONE);
        assert_delivered(&w, 13, 0x80 * 8 + 2); /* no EXT: the program itself is the cause */
        assert_int_equal(get(&w, w.r.gpr[GPR_RSP] + bits / 8, bits / 8), HERE);
        memory_free(w.mem);
        world_init(&w, bits, 3);
        w.r.rip = HERE + 2;
        set_gate(&w, 0x80, 0xe, 0xe0, 0);
        assert_int_equal(enter(&w, software(0x80)), DELIVERY_DONE);
        assert_delivered(&w, 0x80, 0);
        assert_int_equal(get(&w, w.r.gpr[GPR_RSP], bits / 8), HERE + 2);
        memory_free(w.mem);
    }
}

static void a_gate_that_is_not_there_is_np_with_ext(void **state)
{
    for (enum world_bits bits = BITS_32; bits <= BITS_64; bits += 32) {
        struct world w;

        world_init(&w, bits, 0);
        set_gate(&w, 0x40, 0xe, 0, 0);
        assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
        assert_delivered(&w, 11, 0x40 * 8 + 3);
        memory_free(w.mem);
        world_init(&w, bits, 0);
        set_gate(&w, 0x40, 0x2, 0x80, 0); /* an LDT is no gate */
        assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
        assert_delivered(&w, 13, 0x40 * 8 + 3);
        memory_free(w.mem);
    }
}

static void a_tss_stack_that_is_bad_is_ts_or_ss(void **state)
{
    static const struct {
        uint16_t selector;
        unsigned vector;
        uint32_t code;
    } rows[] = {{0, 10, 1}, {0x23, 10, 0x21}, {0x08, 10, 9}, {0x100, 10, 0x101}, {0x28, 12, 0x29}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct world w;

        world_init(&w, BITS_32, 3);
        put(&w, TSS + 8, rows[i].selector, 2);
        /* Its handler is conforming code, which stays in ring 3 and needs no stack of the TSS. */
        put(&w, GDT + 0x28 + 8, 0x00cf9f000000ffff, 8);
        w.r.gdtr.limit = 0x37;
        set_gate(&w, rows[i].vector, 0xe, 0x80, 0);
        put(&w, IDT + rows[i].vector * 8, (HANDLER & 0xffff) | 0x30u << 16, 4);
        assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
        assert_delivered(&w, rows[i].vector, rows[i].code);
        memory_free(w.mem);
    }
}

static void faults_of_faults_are_double_faults_by_the_manuals_table(void **state)
{
    static const struct {
        unsigned first, delivered; /* the second fault is #NP: the gate of the first is not present */
    } rows[] = {{13, 8}, {0, 8}, {14, 8}, {6, 11}, {3, 11}, {16, 11}, {1, 11}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct world w;

        world_init(&w, BITS_64, 0);
        set_gate(&w, rows[i].first, 0xe, 0, 0);
        assert_int_equal(enter(&w, exception(rows[i].first, 0)), DELIVERY_DONE);
        assert_int_equal(w.delivered.vector, rows[i].delivered);
        if (w.delivered.vector == 8)
            assert_int_equal(get(&w, w.r.gpr[GPR_RSP], 8), 0); /* the error code of a double fault */
        memory_free(w.mem);
    }
}

static void a_stack_that_is_not_mapped_is_a_page_fault_and_then_a_double_fault(void **state)
{
    struct world w;

    world_init(&w, BITS_64, 0);
    w.r.gpr[GPR_RSP] = 0x40000008;
    set_gate(&w, 14, 0xe, 0x80, 1); /* the page fault has a stack of its own */
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_delivered(&w, 14, 2);
    assert_int_equal(w.r.cr2, 0x3ffffff8);
    memory_free(w.mem);
    world_init(&w, BITS_64, 0);
    w.r.gpr[GPR_RSP] = 0x40000008;
    set_gate(&w, 8, 0xe, 0x80, 1); /* only the double fault has one */
    assert_int_equal(enter(&w, external(0x40)), DELIVERY_DONE);
    assert_delivered(&w, 8, 0);
    memory_free(w.mem);
}

static void a_fault_of_the_double_fault_is_a_shutdown(void **state)
{
    for (enum world_bits bits = BITS_16; bits <= BITS_64; bits *= 2) {
        struct world w;

        world_init(&w, bits, 0);
        w.r.idtr.limit = 0;
        assert_int_equal(enter(&w, exception(6, 0)), DELIVERY_SHUTDOWN);
        assert_int_equal(w.r.rip, HERE);
        assert_int_equal(w.r.gpr[GPR_RSP], STACK);
        memory_free(w.mem);
    }
}

static void a_task_gate_is_unmodelled(void **state)
{
    struct world w;

    world_init(&w, BITS_32, 0);
    set_gate(&w, 8, 0x5, 0x80, 0);
    assert_int_equal(enter(&w, exception(8, 0)), DELIVERY_UNMODELLED);
    assert_non_null(strstr(w.why, "task gate"));
    memory_free(w.mem);
}

static void syscall_saves_rip_and_flags_and_enters_ring_0(void **state)
{
    struct world w;
    struct event fault;

    world_init(&w, BITS_64, 3);
    w.r.efer |= EFER_SCE;
    w.r.star = 0x0023001000000000;
    w.r.lstar = HANDLER;
    w.r.fmask = RFLAGS_IF | RFLAGS_TF;
    w.r.rflags |= RFLAGS_TF | RFLAGS_CF;
    assert_true(transition_syscall(&w.r, &fault));
    assert_int_equal(w.r.gpr[GPR_RCX], HERE);
    assert_int_equal(w.r.gpr[GPR_R11], 0x303);
    assert_int_equal(w.r.rflags, 3);
    assert_int_equal(w.r.rip, HANDLER);
    assert_int_equal(w.r.seg[SEG_CS].selector, 0x10);
    assert_int_equal(w.r.seg[SEG_SS].selector, 0x18);
    assert_int_equal(w.r.gpr[GPR_RSP], STACK);
    assert_int_equal(regs_cpl(&w.r), 0);
    assert_int_equal(regs_code_bits(&w.r), 64);
    memory_free(w.mem);
}

static void syscall_is_invalid_without_sce_and_in_32_bit_code(void **state)
{
    struct world w;
    struct event fault;

    world_init(&w, BITS_64, 3);
    assert_false(transition_syscall(&w.r, &fault));
    assert_int_equal(fault.vector, 6);
    memory_free(w.mem);
    world_init(&w, BITS_32, 3);
    w.r.efer = EFER_SCE;
    assert_false(transition_syscall(&w.r, &fault));
    assert_int_equal(fault.vector, 6);
    memory_free(w.mem);
}

static void sysenter_takes_all_from_its_msrs(void **state)
{
    struct world w;
    struct event fault;

    world_init(&w, BITS_32, 3);
    assert_false(transition_sysenter(&w.r, &fault));
    assert_int_equal(fault.vector, 13);
    w.r.sysenter_cs = 0x60;
    w.r.sysenter_eip = HANDLER;
    w.r.sysenter_esp = RING0;
    assert_true(transition_sysenter(&w.r, &fault));
    assert_int_equal(w.r.rip, HANDLER);
    assert_int_equal(w.r.gpr[GPR_RSP], RING0);
    assert_int_equal(w.r.seg[SEG_CS].selector, 0x60);
    assert_int_equal(w.r.seg[SEG_SS].selector, 0x68);
    assert_int_equal(w.r.rflags, RFLAGS_FIXED);
    assert_int_equal(regs_cpl(&w.r), 0);
    assert_int_equal(regs_code_bits(&w.r), 32);
    memory_free(w.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_mode_pushes_three_words_and_clears_if),
        cmocka_unit_test(protected_mode_keeps_the_stack_of_the_same_ring),
        cmocka_unit_test(an_exception_has_its_error_code_and_rf),
        cmocka_unit_test(a_trap_gate_keeps_if_and_both_clear_tf_and_nt),
        cmocka_unit_test(a_16_bit_gate_pushes_words),
        cmocka_unit_test(the_user_goes_to_the_stack_of_the_tss),
        cmocka_unit_test(virtual_8086_mode_saves_and_clears_its_segments),
        cmocka_unit_test(long_mode_aligns_the_stack_and_always_pushes_five_words),
        cmocka_unit_test(long_mode_takes_the_users_stack_from_the_tss_and_a_null_ss),
        cmocka_unit_test(an_ist_gate_switches_even_within_a_ring),
        cmocka_unit_test(software_may_use_gates_of_its_ring_only),
        cmocka_unit_test(a_gate_that_is_not_there_is_np_with_ext),
        cmocka_unit_test(a_tss_stack_that_is_bad_is_ts_or_ss),
        cmocka_unit_test(faults_of_faults_are_double_faults_by_the_manuals_table),
        cmocka_unit_test(a_stack_that_is_not_mapped_is_a_page_fault_and_then_a_double_fault),
        cmocka_unit_test(a_fault_of_the_double_fault_is_a_shutdown),
        cmocka_unit_test(a_task_gate_is_unmodelled),
        cmocka_unit_test(syscall_saves_rip_and_flags_and_enters_ring_0),
        cmocka_unit_test(syscall_is_invalid_without_sce_and_in_32_bit_code),
        cmocka_unit_test(sysenter_takes_all_from_its_msrs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
