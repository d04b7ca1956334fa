/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot files: at every boundary of a small guest that goes through all modes, the machine that is loaded from the
 * file is the one that was written, and ends as the one that was never interrupted; damaged files are refused.
 */
#include "tests/cmocka_tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/model.h"
#include "emu/snapshot.h"
#include "emu/snapshot_file.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define RAM_BYTES 0x400000u
#define CODE      0x10000u
#define AP_CODE   0x14000u
#define IDT       0x20000u
#define GDT       0x21000u
#define TABLES    0x30000u
#define VECTOR    0x40

#define VCPUS 3u /* the last one stays offline */

#define CASE "{\"image\":\"toy\"}"

/* ---- the guest: assembled here, for address CODE; the ports and the MSR are the toy model's ---- */

__asm__(".pushsection .rodata\n"
        ".code32\n"
        "toy_start:\n"
        "  movl $0x600, %eax\n"
        "  movl %eax, %cr4\n"
        "  fninit\n"
        "  fld1\n"
        "  fldpi\n"
        "  fstps 0x18000\n"
        "  fnstenv 0x18100\n"
        "  movl $0x11223344, %eax\n"
        "  movd %eax, %xmm3\n"
        "  pshufd $0, %xmm3, %xmm5\n"
        "  movl $0x10000, %esi\n"
        "  movl $0x18200, %edi\n"
        "  movl $5, %ecx\n"
        "  rep movsb\n"
        "  sti\n"
        "  nop\n"
        "  movl $1, %eax\n"
        "  outl %eax, $0x13\n" /* start vCPU 1 */
        "  movl $5000, %eax\n"
        "  outl %eax, $0x12\n" /* a timer */
        "  hlt\n"
        "  outl %eax, $0x11\n" /* an NMI */
        "  nop\n"
        "  movl %ss, %eax\n"
        "  movl %eax, %ss\n"
        "  pushl $0x246\n"
        "  popfl\n"
        "  outl %eax, $0x14\n" /* the vector, at once */
        "  std\n"
        "  movl $3, %ecx\n"
        "  rep stosl\n"
        "  cld\n"
        "  cli\n"
        "  outl %eax, $0x14\n" /* the vector stays pending */
        "  movl $0x620, %eax\n"
        "  movl %eax, %cr4\n"
        "  movl $0x30000, %eax\n"
        "  movl %eax, %cr3\n"
        "  movl $0xc0000080, %ecx\n"
        "  rdmsr\n"
        "  orl $0x100, %eax\n"
        "  wrmsr\n"
        "  movl %cr0, %eax\n"
        "  orl $0x80000000, %eax\n"
        "  movl %eax, %cr0\n"
        "  ljmp $0x18, $(toy_64 - toy_start + 0x10000)\n"
        ".code64\n"
        "toy_64:\n"
        "  movabs $0x1122334455667788, %r10\n"
        "  movq %r10, %xmm12\n"
        "  movl $0xc0000101, %ecx\n" /* GS base */
        "  movl $0x18000, %eax\n"
        "  xorl %edx, %edx\n"
        "  wrmsr\n"
        "  addq %r10, %gs:0x300\n"
        "  swapgs\n"
        "  movl $0x18400, %edi\n"
        "  movl $3, %ecx\n"
        "  rep stosq\n"
        "  fldpi\n"
        "  fxsave64 0x18600\n"
        "  outl %eax, $0x16\n" /* the end */
        "  hlt\n"
        "toy_timer:\n"
        ".code32\n"
        "  incl 0x18700\n"
        "  iretl\n"
        "toy_nmi:\n"
        "  incl 0x18704\n"
        "  outl %eax, $0x11\n" /* another NMI, which has to wait */
        "  nop\n"
        "  cmpl $2, 0x18704\n"
        "  jb 1f\n"
        "  outl %eax, $0x15\n" /* no more NMIs */
        "1: iretl\n"
        "toy_end:\n"
        ".code16\n"
        "toy_ap:\n"
        "  movw $0x1800, %ax\n"
        "  movw %ax, %ds\n"
        "  movw %ax, %es\n"
        "  movw %ax, %ss\n"
        "  movw $0x900, %sp\n"
        "  pushw %ax\n"
        "  movw $0x880, %di\n"
        "  movw $4, %cx\n"
        "  rep stosw\n"
        "  cli\n"
        "  hlt\n"
        "toy_ap_end:\n"
        ".code64\n"
        ".popsection\n");
extern const uint8_t toy_start[], toy_timer[], toy_nmi[], toy_end[], toy_ap[], toy_ap_end[];

/* ---- the model ---- */

struct toy {
    uint32_t vector, no_nmi;
};

extern const struct model toy_model;

static struct toy *toy_of(struct machine *m)
{
    return machine_model_state(m, &toy_model);
}

static enum model_answer toy_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value)
{
    switch (port) {
    case 0x11:
        if (!toy_of(m)->no_nmi)
            vcpu_raise_nmi(m, 0);
        return MODEL_DONE;
    case 0x12:
        timer_arm(m, &toy_model, 1, vcpu, clock_now_ns(m) + value);
        return MODEL_DONE;
    case 0x13:
        vcpu_reset(m, 1);
        vcpu_start_sipi(m, 1, AP_CODE >> 12);
        return MODEL_DONE;
    case 0x14:
        toy_of(m)->vector = 1;
        vcpu_kick(m, 0);
        return MODEL_DONE;
    case 0x15:
        toy_of(m)->no_nmi = 1;
        return MODEL_DONE;
    case 0x16:
        machine_set_verdict(m, VERDICT_PASS, NULL, "done");
        return MODEL_DONE;
    }
    return MODEL_NOT_MINE;
}

static enum model_answer toy_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    *value = vcpu_engine_msr(m, msr);
    return MODEL_DONE;
}

static enum model_answer toy_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    vcpu_set_engine_msr(m, msr, value);
    return MODEL_DONE;
}

static enum model_answer toy_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf,
                                   struct cpuid_regs *r)
{
    if (leaf == 1)
        r->edx = UINT32_MAX;
    return MODEL_DONE;
}

static int toy_pending(struct machine *m, unsigned vcpu)
{
    return vcpu == 0 && toy_of(m)->vector ? VECTOR : MODEL_NO_VECTOR;
}

static void toy_accept(struct machine *m, unsigned vcpu, int vector)
{
    toy_of(m)->vector = 0;
}

static void toy_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    toy_of(m)->vector = 1;
    vcpu_kick(m, vcpu);
}

static bool toy_is_sound(struct machine *m)
{
    return toy_of(m)->vector <= 1;
}

const struct model toy_model = {
    .name = "toy",
    .state_bytes = sizeof(struct toy),
    .port_write = toy_port_write,
    .cpuid = toy_cpuid,
    .msr_read = toy_msr_read,
    .msr_write = toy_msr_write,
    .pending_vector = toy_pending,
    .accept_vector = toy_accept,
    .is_sound = toy_is_sound,
    .timer_expired = toy_expired,
};

static const struct model *const models[] = {&toy_model};
static const struct machine_config config = {
    .ram_bytes = RAM_BYTES, .vcpus = VCPUS, .xen_version = 4 << 16 | 17, .models = models, .model_count = 1};

/* ---- the machine ---- */

static void put(struct machine *m, uint64_t gpa, const void *bytes, size_t count)
{
    assert_true(memory_write(machine_memory(m), gpa, bytes, count));
}

static void set_gate(struct machine *m, unsigned vector, const uint8_t *handler)
{
    uint32_t at = CODE + (uint32_t)(handler - toy_start),
             gate[2] = {8u << 16 | (at & 0xffff), (at & ~0xffffu) | 0x8e00};

    put(m, IDT + vector * 8, gate, 8);
}

static struct machine *new_empty_machine(void)
{
    struct machine *m;
    struct diag d;

    if (machine_new(&config, &m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    return m;
}

static struct machine *new_machine(void)
{
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff},
                          tables[3] = {TABLES + 0x1003, TABLES + 0x2003, 0x83};
    struct machine *m = new_empty_machine();
    struct vcpu_regs r;

    put(m, CODE, toy_start, (size_t)(toy_end - toy_start));
    put(m, AP_CODE, toy_ap, (size_t)(toy_ap_end - toy_ap));
    put(m, GDT, gdt, sizeof(gdt));
    set_gate(m, VECTOR, toy_timer);
    set_gate(m, 2, toy_nmi);
    for (unsigned i = 0; i < 3; i++)
        put(m, TABLES + i * 0x1000, &tables[i], 8);
    regs_init_protected32(&r, CODE);
    r.gpr[GPR_RSP] = 0x1f000;
    r.idtr = (struct descriptor_table){IDT, 0x7ff};
    r.gdtr = (struct descriptor_table){GDT, 0x1f};
    r.seg[SEG_CS].selector = 8;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS)
            r.seg[s].selector = 0x10;
    vcpu_set_regs(m, 0, &r);
    return m;
}

static void run_to(struct machine *m, uint64_t steps)
{
    assert_int_equal(machine_run(m, &(struct machine_limits){.steps_max = steps}), MACHINE_STOPPED_STEPS);
}

static void run_to_end(struct machine *m)
{
    assert_int_equal(machine_run(m, &(struct machine_limits){.steps_max = 10000}), MACHINE_STOPPED_VERDICT);
    if (machine_verdict(m)->kind != VERDICT_PASS)
        fail_msg("%s: %s", verdict_kind_name(machine_verdict(m)->kind), machine_verdict(m)->text);
}

static char path[] = "/tmp/bootrace-test-snapshot-XXXXXX";

static int make_path(void **state)
{
    int fd = mkstemp(path);

    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    return unlink(path);
}

static void write_file(struct machine *m)
{
    struct diag d;

    if (snapshot_file_write(m, CASE, path, &d) != EMU_OK)
        fail_msg("%s", d.text);
}

static struct machine *load_file(void)
{
    struct machine *m = new_empty_machine();
    struct snapshot_file *f;
    struct diag d;

    if (snapshot_file_open(path, &f, &d) != EMU_OK || snapshot_file_load(f, m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    snapshot_file_close(f);
    return m;
}

/* ---- the same machine ---- */

static void assert_same(struct machine *a, struct machine *b)
{
    for (unsigned v = 0; v < VCPUS; v++) {
        struct vcpu_regs ra, rb;
        const char *wa = vcpu_wait_reason(a, v), *wb = vcpu_wait_reason(b, v);

        vcpu_get_regs(a, v, &ra);
        vcpu_get_regs(b, v, &rb);
        assert_memory_equal(&ra, &rb, sizeof(ra));
        assert_int_equal(vcpu_state(a, v), vcpu_state(b, v));
        assert_int_equal(vcpu_position(a, v), vcpu_position(b, v));
        assert_string_equal(wa ? wa : "none", wb ? wb : "none");
    }
    assert_int_equal(clock_now_ns(a), clock_now_ns(b));
    assert_int_equal(machine_current(a), machine_current(b));
    assert_int_equal(timer_deadline_ns(a, &toy_model, 1, 0), timer_deadline_ns(b, &toy_model, 1, 0));
    assert_int_equal(machine_digest(a), machine_digest(b));
}

static void every_boundary_goes_on_as_if_never_interrupted(void **state)
{
    struct machine *whole = new_machine(), *a = new_machine();
    struct {
        unsigned shadow, rep, halted, halted_masked, offline, nmi_blocked, bits[3], x87;
    } seen = {0};
    uint64_t end, last_rip = 0, last_position = 0;
    unsigned last_vcpu = 0;
    bool in_nmi;

    run_to_end(whole);
    end = machine_steps(whole);
    assert_in_range(end, 80, 400);
    for (uint64_t step = 0; step < end; step++) {
        struct vcpu_regs r;
        struct machine *b;

        run_to(a, step);
        write_file(a);
        b = load_file();
        assert_same(a, b);

        vcpu_get_regs(a, machine_current(a), &r);
        in_nmi = regs_code_bits(&r) == 32 && r.rip - CODE >= (uint64_t)(toy_nmi - toy_start) &&
                 r.rip - CODE < (uint64_t)(toy_end - toy_start);
        seen.nmi_blocked += in_nmi;
        seen.shadow += r.interrupt_shadow;
        seen.rep += r.rip == last_rip && vcpu_position(a, machine_current(a)) > last_position &&
                    machine_current(a) == last_vcpu;
        seen.halted += vcpu_state(a, 0) == VCPU_HALTED;
        seen.halted_masked += vcpu_state(a, 1) == VCPU_HALTED;
        seen.offline += vcpu_state(a, 2) == VCPU_OFFLINE;
        seen.bits[regs_code_bits(&r) / 32]++;
        seen.x87 += r.fpip != 0;
        last_rip = r.rip;
        last_vcpu = machine_current(a);
        last_position = vcpu_position(a, last_vcpu);

        run_to_end(b);
        assert_same(whole, b);
        machine_free(b);
    }
    run_to_end(a);
    assert_same(whole, a);
    /* The guest is there to be in these states. */
    assert_in_range(seen.shadow, 2, end);
    assert_in_range(seen.rep, 8, end);
    assert_in_range(seen.halted, 2, end);
    assert_in_range(seen.halted_masked, 2, end);
    assert_in_range(seen.nmi_blocked, 6, end);
    assert_in_range(seen.x87, 2, end);
    assert_int_equal(seen.offline, end);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(seen.bits[i], 8, end);
    machine_free(a);
    machine_free(whole);
}

static void a_file_of_a_file_is_the_same_file(void **state)
{
    struct machine *a = new_machine(), *b;
    uint8_t *first, *second;
    long length[2];

    run_to(a, 60);
    for (unsigned i = 0; i < 2; i++) {
        FILE *f;

        if (i)
            b = load_file();
        write_file(i ? b : a);
        f = fopen(path, "rb");
        assert_non_null(f);
        fseek(f, 0, SEEK_END);
        length[i] = ftell(f);
        rewind(f);
        *(i ? &second : &first) = malloc((size_t)length[i]);
        assert_int_equal(fread(i ? second : first, 1, (size_t)length[i], f), length[i]);
        fclose(f);
    }
    assert_int_equal(length[0], length[1]);
    assert_memory_equal(first, second, (size_t)length[0]);
    free(first);
    free(second);
    machine_free(a);
    machine_free(b);
}

static void a_machine_with_snapshots_in_memory_is_written_whole(void **state)
{
    struct machine *a = new_machine(), *b;
    struct snapshot *s, *later;
    struct diag d;

    run_to(a, 20);
    assert_int_equal(snapshot_take(a, NULL, &s, &d), EMU_OK);
    run_to(a, 50);
    assert_int_equal(snapshot_take(a, s, &later, &d), EMU_OK);
    snapshot_restore(a, s);
    run_to(a, 40);
    write_file(a);
    b = load_file();
    assert_same(a, b);
    run_to_end(a);
    run_to_end(b);
    assert_same(a, b);
    snapshot_free(a, later);
    snapshot_free(a, s);
    machine_free(a);
    machine_free(b);
}

static void what_a_loader_put_into_memory_is_replaced(void **state)
{
    struct machine *a = new_machine(), *b = new_machine();
    struct snapshot_file *f;
    struct diag d;

    put(b, 0x300000, "something else", 14);
    run_to(a, 30);
    write_file(a);
    assert_int_equal(snapshot_file_open(path, &f, &d), EMU_OK);
    assert_int_equal(snapshot_file_load(f, b, &d), EMU_OK);
    assert_same(a, b);
    snapshot_file_close(f);
    run_to_end(a);
    run_to_end(b);
    assert_same(a, b);
    machine_free(a);
    machine_free(b);
}

static void a_verdict_is_kept(void **state)
{
    struct machine *a = new_machine(), *b;

    run_to(a, 30);
    machine_set_verdict(a, VERDICT_FAIL, "toy", "why %d", 1);
    write_file(a);
    b = load_file();
    assert_int_equal(machine_verdict(b)->kind, VERDICT_FAIL);
    assert_string_equal(machine_verdict(b)->detector, "toy");
    assert_string_equal(machine_verdict(b)->text, "why 1");
    assert_int_equal(machine_verdict(b)->rip_gva, machine_verdict(a)->rip_gva);
    assert_int_equal(machine_verdict(b)->position, machine_verdict(a)->position);
    machine_free(a);
    machine_free(b);
}

static void a_file_says_what_it_is_of(void **state)
{
    struct machine *a = new_machine();
    const struct snapshot_file_info *i;
    struct snapshot_file *f;
    struct diag d;

    run_to(a, 33);
    write_file(a);
    assert_int_equal(snapshot_file_open(path, &f, &d), EMU_OK);
    i = snapshot_file_info(f);
    assert_int_equal(i->format, SNAPSHOT_FILE_FORMAT);
    assert_string_equal(i->case_text, CASE);
    assert_int_equal(i->steps, 33);
    assert_int_equal(i->vcpus, VCPUS);
    assert_int_equal(i->ram_bytes, RAM_BYTES);
    assert_int_equal(i->xen_version, 4 << 16 | 17);
    assert_int_equal(i->now_ns, clock_now_ns(a));
    assert_int_equal(i->digest, machine_digest(a));
    assert_in_range(i->ram_pages, 6, 20);
    snapshot_file_close(f);
    machine_free(a);
}

/* ---- files that don't fit ---- */

struct bytes {
    uint8_t *at;
    size_t length;
};

static struct bytes bytes_of_file(void)
{
    struct bytes b;
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    b.length = (size_t)ftell(f);
    rewind(f);
    b.at = malloc(b.length);
    assert_int_equal(fread(b.at, 1, b.length, f), b.length);
    fclose(f);
    return b;
}

static struct bytes some_file(void)
{
    struct machine *m = new_machine();

    run_to(m, 60);
    write_file(m);
    machine_free(m);
    return bytes_of_file();
}

static void assert_sentence(const struct diag *d)
{
    assert_true(strlen(d->text) > 10);
    assert_null(strchr(d->text, '\n'));
    assert_string_equal(d->file, "toy.snap");
}

static void refused(const struct bytes *b, const char *says)
{
    struct snapshot_file *f = NULL;
    struct diag d;

    diag_init(&d);
    assert_int_equal(snapshot_file_open_bytes("toy.snap", b->at, b->length, &f, &d), EMU_EINPUT);
    assert_null(f);
    assert_sentence(&d);
    if (says && !strstr(d.text, says))
        fail_msg("'%s' does not say '%s'", d.text, says);
}

static uint64_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 24;
}

static void truncated_files_are_refused(void **state)
{
    struct bytes b = some_file();
    uint64_t random = 1;

    for (unsigned i = 0; i < 300; i++) {
        struct bytes cut = {b.at, i < 100 ? i * 5 : next_random(&random) % b.length};

        refused(&cut, NULL);
    }
    b.at = realloc(b.at, b.length + 1);
    b.at[b.length++] = 0;
    refused(&b, "bytes");
    free(b.at);
}

static void a_changed_byte_anywhere_is_found(void **state)
{
    struct bytes b = some_file();
    uint64_t random = 2;

    for (unsigned i = 0; i < 1000; i++) {
        size_t at = i < 500 ? i % b.length : next_random(&random) % b.length;
        uint8_t change = (uint8_t)(1 + next_random(&random) % 255);

        b.at[at] ^= change;
        refused(&b, NULL);
        b.at[at] ^= change;
    }
    free(b.at);
}

static void what_is_no_snapshot_or_of_another_build_is_named(void **state)
{
    struct bytes b = some_file(), empty = {b.at, 0};

    refused(&empty, "not a bootrace snapshot");
    b.at[0] ^= 1;
    refused(&b, "is not a bootrace snapshot: ");
    b.at[0] ^= 1;
    b.at[8]++;
    snapshot_file_seal(b.at, b.length);
    refused(&b, "has the snapshot format 3, and this bootrace reads 2");
    b.at[8]--;
    b.at[12] = 1;
    b.at[13] = 2;
    b.at[14] = 3;
    b.at[15] = 4;
    snapshot_file_seal(b.at, b.length);
    refused(&b, "byte order");
    b.at[12] = 4;
    b.at[13] = 3;
    b.at[14] = 2;
    b.at[15] = 1;
    b.at[32] = b.at[32] == '0' ? '1' : '0';
    snapshot_file_seal(b.at, b.length);
    refused(&b, "was made by another build (");
    free(b.at);
}

/* Damage that the checksums agree with: it is found by what is read, or it gives a machine. */
static void hostile_content_is_refused_or_loads(void **state)
{
    struct bytes b = some_file();
    uint64_t random = 3;
    unsigned loaded = 0, not_opened = 0, not_loaded = 0;

    for (unsigned i = 0; i < 150; i++) {
        /* Small sections come last. */
        size_t at = i % 3 ? b.length - 1 - next_random(&random) % (b.length / 2) : next_random(&random) % b.length;
        uint8_t was = b.at[at], *changed = malloc(b.length);
        struct snapshot_file *f = NULL;
        struct diag d;

        memcpy(changed, b.at, b.length);
        changed[at] = (uint8_t)(was + 1 + next_random(&random) % 255);
        snapshot_file_seal(changed, b.length);
        diag_init(&d);
        if (snapshot_file_open_bytes("toy.snap", changed, b.length, &f, &d) != EMU_OK) {
            assert_sentence(&d);
            not_opened++;
        } else {
            struct machine *m = new_empty_machine();

            if (snapshot_file_load(f, m, &d) == EMU_OK) {
                loaded++;
            } else {
                assert_sentence(&d);
                not_loaded++;
            }
            machine_free(m);
            snapshot_file_close(f);
        }
        free(changed);
    }
    assert_in_range(not_opened, 1, 150);
    assert_in_range(not_loaded, 50, 150);
    free(b.at);
}

static void a_model_refuses_a_state_that_is_none(void **state)
{
    struct machine *a = new_machine(), *b = new_empty_machine();
    struct snapshot_file *f;
    struct diag d;

    toy_of(a)->vector = 2;
    write_file(a);
    assert_int_equal(snapshot_file_open(path, &f, &d), EMU_OK);
    assert_int_equal(snapshot_file_load(f, b, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "the state of its model 'toy' can't be one"));
    snapshot_file_close(f);
    machine_free(a);
    machine_free(b);
}

/* The section `run`: 4 bytes each of vCPUs and models, 8 of the time, then the fields of snapshot_state.c, of which
   `current` (4) and `yielded` (1) come first. */
static void times_and_numbers_that_can_not_be_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
        const char *says;
    } rows[] = {
        {8, UINT64_MAX, "the run's field now_ns"},
        {8, UINT64_MAX / 4 + 1, "the run's field now_ns"},
        {21, UINT64_MAX, "the run's field turn_end_ns"},
    };
    struct bytes b = some_file();
    uint64_t place[2];
    size_t row = 0;

    while (memcmp(b.at + row, "run\0\0\0\0", 8) != 0)
        assert_in_range(++row, 1, 1024);
    memcpy(place, b.at + row + 8, sizeof(place));
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint8_t *at = b.at + place[0] + rows[i].at;
        struct machine *m = new_empty_machine();
        struct snapshot_file *f;
        struct diag d;
        uint64_t was;

        memcpy(&was, at, sizeof(was));
        memcpy(at, &rows[i].value, sizeof(was));
        snapshot_file_seal(b.at, b.length);
        diag_init(&d);
        assert_int_equal(snapshot_file_open_bytes("toy.snap", b.at, b.length, &f, &d), EMU_OK);
        snapshot_file_believe(f);
        assert_int_equal(snapshot_file_load(f, m, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[i].says))
            fail_msg("'%s' does not say '%s'", d.text, rows[i].says);
        memcpy(at, &was, sizeof(was));
        snapshot_file_close(f);
        machine_free(m);
    }
    free(b.at);
}

/* The section `machine`: 8 bytes of RAM, 4 each of vCPUs and version, then 8 each of these. */
static void what_it_says_of_its_machine_is_true(void **state)
{
    static const struct {
        size_t at;
        const char *says;
    } rows[] = {
        {16, "digest"},
        {24, "is damaged: it says step"},
        {32, "is damaged: it says step"},
    };
    struct bytes b = some_file();
    uint64_t offset;
    size_t row = 0;

    while (memcmp(b.at + row, "machine", 8) != 0)
        assert_in_range(++row, 1, 1024);
    memcpy(&offset, b.at + row + 8, sizeof(offset));
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = new_empty_machine();
        struct snapshot_file *f;
        struct diag d;

        diag_init(&d);
        b.at[offset + rows[i].at]++;
        snapshot_file_seal(b.at, b.length);
        assert_int_equal(snapshot_file_open_bytes("toy.snap", b.at, b.length, &f, &d), EMU_OK);
        assert_int_equal(snapshot_file_load(f, m, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[i].says))
            fail_msg("'%s' does not say '%s'", d.text, rows[i].says);
        b.at[offset + rows[i].at]--;
        snapshot_file_close(f);
        machine_free(m);
    }
    free(b.at);
}

static void another_machine_is_refused(void **state)
{
    static const struct model other = {.name = "other", .state_bytes = sizeof(struct toy)};
    static const struct model *const other_models[] = {&other};
    struct machine_config c[] = {config, config, config, config};
    struct bytes b = some_file();
    struct snapshot_file *f;
    struct diag d;

    c[0].vcpus = 2;
    c[1].ram_bytes *= 2;
    c[2].xen_version++;
    c[3].models = other_models;
    assert_int_equal(snapshot_file_open(path, &f, &d), EMU_OK);
    for (unsigned i = 0; i < 4; i++) {
        struct machine *m;

        assert_int_equal(machine_new(&c[i], &m, &d), EMU_OK);
        diag_init(&d);
        assert_int_equal(snapshot_file_load(f, m, &d), EMU_EINPUT);
        if (!strstr(d.text, i < 3 ? "is of another machine: 3 vCPUs" : "model 0 is another one than 'other'"))
            fail_msg("%s", d.text);
        machine_free(m);
    }
    snapshot_file_close(f);
    free(b.at);
}

static void a_place_that_can_not_be_written_is_named(void **state)
{
    struct machine *m = new_machine();
    struct diag d;

    diag_init(&d);
    assert_int_equal(snapshot_file_write(m, CASE, "/nowhere/at/all", &d), EMU_EINPUT);
    assert_string_equal(d.file, "/nowhere/at/all");
    assert_non_null(strstr(d.text, "can't be written: "));
    assert_int_equal(snapshot_file_write(m, CASE, "/dev/full", &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "not a regular file"));
    assert_int_equal(snapshot_file_write(m, CASE, "/tmp", &d), EMU_EINPUT);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_boundary_goes_on_as_if_never_interrupted),
        cmocka_unit_test(a_file_of_a_file_is_the_same_file),
        cmocka_unit_test(a_machine_with_snapshots_in_memory_is_written_whole),
        cmocka_unit_test(what_a_loader_put_into_memory_is_replaced),
        cmocka_unit_test(a_verdict_is_kept),
        cmocka_unit_test(a_file_says_what_it_is_of),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(a_changed_byte_anywhere_is_found),
        cmocka_unit_test(what_is_no_snapshot_or_of_another_build_is_named),
        cmocka_unit_test(hostile_content_is_refused_or_loads),
        cmocka_unit_test(a_model_refuses_a_state_that_is_none),
        cmocka_unit_test(times_and_numbers_that_can_not_be_are_refused),
        cmocka_unit_test(what_it_says_of_its_machine_is_true),
        cmocka_unit_test(another_machine_is_refused),
        cmocka_unit_test(a_place_that_can_not_be_written_is_named),
    };

    return cmocka_run_group_tests(tests, make_path, remove_path);
}
