/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random guests on the whole platform. Each ends by construction, and none may be taken for a hang: up to three vCPUs
 * make delays by reading clocks, spin, halt or poll until a timer helps them, and wait for each other, with interrupts
 * on or off, while other timers tick in vain. Then vCPU 0 powers off. Between two readings of a clock the registers are
 * cleared, so that they repeat.
 *
 * Some of the same guests get another end, in which vCPU 0 waits for what nobody does. Each of these is to be taken for
 * a hang: else the rest would prove nothing.
 *
 *   test_hang_random GUESTS [FIRST]
 *
 * So many of them, from the one with that number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "models/platform.h"

#define RAM_BYTES      0x400000u
#define IDT            0x20000u
#define GDT            0x21000u
#define HANDLER        0x22000u
#define TEXT(v)        (0x50000u + 0x4000u * (v))
#define DATA(v)        (0x30000u + 0x100u * (v)) /* EBP of that vCPU */
#define STACK(v)       (0x40000u + 0x1000u * ((v) + 1))
#define VCPUS          3u
#define HANGING_ONE_OF 25u          /* odd, and no multiple of VCPUS: each ending with each number of vCPUs */
#define STEPS_MAX      100000000ull /* none of them needs half as many */
#define NS_PER_S       1000000000ull
#define XEN_4_17       (4u << 16 | 17)

/* Within a vCPU's data. */
#define DATA_TICKS    0x10 /* interrupts taken */
#define DATA_PROGRESS 0x20 /* segments done */
#define DATA_DONE     0x24
#define DATA_NEVER    0x28 /* nobody writes it */
#define DATA_POLL     0x40 /* struct sched_poll */
#define DATA_REASON   0x60 /* struct sched_shutdown */

#define RTC_UPDATE_NS 2228000u /* before a second: the RTC says that it is being updated */
#define VECTOR        0x40
#define LAPIC(reg)    (0xfee00000u + (reg))

struct program {
    uint8_t code[0x3000];
    unsigned bytes;
    uint64_t random;
};

static uint64_t draw(struct program *p)
{
    uint64_t z = p->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static bool coin(struct program *p)
{
    return draw(p) & 1;
}

/* From 0.2 to 3.2 ms, as many short ones as long ones. A hang is looked for after 0.3 ms of silence. */
static uint32_t draw_ns(struct program *p)
{
    uint32_t ns = 200000u << draw(p) % 4;

    return ns + (uint32_t)(draw(p) % ns);
}

static void byte(struct program *p, unsigned value)
{
    if (p->bytes == sizeof(p->code))
        abort();
    p->code[p->bytes++] = (uint8_t)value;
}

static void word(struct program *p, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        byte(p, value >> 8 * i & 0xff);
}

#define CODE(p, ...)                                                                                                   \
    do {                                                                                                               \
        static const uint8_t bytes_of_code[] = {__VA_ARGS__};                                                          \
        for (unsigned each = 0; each < sizeof(bytes_of_code); each++)                                                  \
            byte(p, bytes_of_code[each]);                                                                              \
    } while (0)

static void store(struct program *p, uint32_t address, uint32_t value)
{
    CODE(p, 0xc7, 0x05); /* mov dword [address], value */
    word(p, address);
    word(p, value);
}

static void out(struct program *p, unsigned port, unsigned value)
{
    CODE(p, 0xb0); /* mov al, value; out port, al */
    byte(p, value);
    CODE(p, 0xe6);
    byte(p, port);
}

#define JMP 0xe9
#define JB  0x82
#define JZ  0x84
#define JNZ 0x85

static void jump_back(struct program *p, unsigned how, unsigned to)
{
    if (how != JMP)
        byte(p, 0x0f);
    byte(p, how);
    word(p, to - (p->bytes + 4));
}

static unsigned jump_on(struct program *p, unsigned how)
{
    jump_back(p, how, 0);
    return p->bytes;
}

static void lands_here(struct program *p, unsigned from)
{
    uint32_t distance = p->bytes - from;

    memcpy(p->code + from - 4, &distance, 4);
}

/* What comes between two looks: registers as before, and a bit of time. Most looks are some hundred instructions from
   each other, since each may stop the engine; some are near, some far. The time of a turn stays far below that for
   which what is looked for can be seen. */
static void rest(struct program *p)
{
    static const uint16_t turns_max[] = {1, 500, 500, 500, 500, 500, 500, 5000};
    uint32_t turns = 1 + (uint32_t)(draw(p) % turns_max[draw(p) % COUNT(turns_max)]);
    unsigned loop;

    CODE(p, 0x31, 0xc0, 0x31, 0xd2); /* xor eax, eax; xor edx, edx */
    if (coin(p))
        CODE(p, 0xf3, 0x90); /* pause */
    for (uint64_t nops = draw(p) % 12; nops; nops--)
        CODE(p, 0x90);
    CODE(p, 0xb9); /* mov ecx, turns; 1: dec ecx; jnz 1b */
    word(p, turns);
    loop = p->bytes;
    CODE(p, 0x49);
    jump_back(p, JNZ, loop);
}

/* ---- segments ---- */

/* `read` has put the time into EAX; ESI holds what it was at first. */
static void wait_for_difference(struct program *p, void (*read)(struct program *p), uint32_t ticks)
{
    unsigned loop, end;

    read(p);
    CODE(p, 0x89, 0xc6); /* mov esi, eax */
    loop = p->bytes;
    read(p);
    CODE(p, 0x29, 0xf0, 0x3d); /* sub eax, esi; cmp eax, ticks */
    word(p, ticks);
    end = jump_on(p, 0x83); /* jae */
    rest(p);
    jump_back(p, JMP, loop);
    lands_here(p, end);
}

static void read_tsc(struct program *p)
{
    CODE(p, 0x0f, 0x31);
}

static void read_tscp(struct program *p)
{
    CODE(p, 0x0f, 0x01, 0xf9, 0x31, 0xc9); /* rdtscp; xor ecx, ecx */
}

static void read_tsc_msr(struct program *p)
{
    CODE(p, 0xb9, 0x10, 0, 0, 0, 0x0f, 0x32, 0x31, 0xc9); /* mov ecx, 0x10; rdmsr; xor ecx, ecx */
}

static void read_pm_timer(struct program *p)
{
    CODE(p, 0x66, 0xba, 0x08, 0xb0, 0xed); /* mov dx, 0xb008; in eax, dx */
}

static void read_lapic_count(struct program *p)
{
    CODE(p, 0xa1); /* mov eax, [..]; not eax */
    word(p, LAPIC(0x390));
    CODE(p, 0xf7, 0xd0);
}

static void read_get_time(struct program *p)
{
    CODE(p, 0xb8, 34, 0, 0, 0, 0xbb, 10, 0, 0, 0, 0x8d, 0x4d, 0x70); /* hvm_op(HVMOP_get_time, ebp + 0x70) */
    CODE(p, 0x0f, 0x01, 0xc1, 0x8b, 0x45, 0x70);                     /* vmcall; mov eax, [ebp + 0x70] */
    CODE(p, 0xc7, 0x45, 0x70, 0, 0, 0, 0, 0x31, 0xc9);               /* mov dword [ebp + 0x70], 0; xor ecx, ecx */
}

static void wait_for_clock(struct program *p)
{
    uint32_t ns = draw_ns(p);

    switch (draw(p) % 5) {
    case 0:
        wait_for_difference(p, read_tsc, ns);
        break;
    case 1:
        wait_for_difference(p, read_tscp, ns);
        break;
    case 2:
        wait_for_difference(p, read_tsc_msr, ns);
        break;
    case 3:
        wait_for_difference(p, read_pm_timer, (uint32_t)(ns * 3579545ull / NS_PER_S));
        break;
    case 4:
        wait_for_difference(p, read_get_time, ns);
        break;
    }
}

/* The LAPIC's timer, at 100 MHz. */
static void start_lapic(struct program *p, bool masked, uint32_t count)
{
    store(p, LAPIC(0x0f0), 0x1ff);
    store(p, LAPIC(0x3e0), 0xb);
    store(p, LAPIC(0x320), VECTOR | (masked ? 0x10000 : 0));
    store(p, LAPIC(0x380), count);
}

static void wait_for_lapic_count(struct program *p)
{
    uint32_t ns = draw_ns(p);

    start_lapic(p, true, UINT32_MAX);
    wait_for_difference(p, read_lapic_count, ns / 10);
    store(p, LAPIC(0x380), 0);
}

/* Until the timer interrupts: halted, spinning, or halted with the interrupt let in by POPF. */
static void wait_for_tick(struct program *p)
{
    unsigned loop, how = draw(p) % 3;

    CODE(p, 0xfa, 0xc7, 0x45, DATA_TICKS, 0, 0, 0, 0); /* cli; mov dword [ebp + DATA_TICKS], 0 */
    start_lapic(p, false, draw_ns(p) / 10);
    if (how == 1)
        CODE(p, 0xfb); /* sti */
    loop = p->bytes;
    if (how == 0)
        CODE(p, 0xfb, 0xf4, 0xfa); /* sti; hlt; cli */
    else if (how == 2)
        CODE(p, 0x68, 2, 2, 0, 0, 0x9d, 0xfa); /* push 0x202; popf; cli */
    rest(p);
    CODE(p, 0x83, 0x7d, DATA_TICKS, 0); /* cmp dword [ebp + DATA_TICKS], 0 */
    jump_back(p, JZ, loop);
    CODE(p, 0xfa);
}

/* With interrupts off, until the LAPIC says that the timer's interrupt waits; then it is taken. */
static void wait_for_request(struct program *p)
{
    unsigned loop;

    CODE(p, 0xfa);
    start_lapic(p, false, draw_ns(p) / 10);
    loop = p->bytes;
    rest(p);
    CODE(p, 0xf7, 0x05); /* test dword [IRR of vector 0x40], 1 */
    word(p, LAPIC(0x220));
    word(p, 1u << VECTOR % 32);
    jump_back(p, JZ, loop);
    CODE(p, 0xfb, 0x90, 0xfa); /* sti; nop; cli */
}

/* SCHEDOP_poll of no port until a time. */
static void wait_by_poll(struct program *p)
{
    CODE(p, 0x0f, 0x31, 0x05); /* rdtsc; add eax, ns; adc edx, 0 */
    word(p, draw_ns(p));
    CODE(p, 0x83, 0xd2, 0, 0xc7, 0x45, DATA_POLL, 0, 0, 0, 0, 0xc7, 0x45, DATA_POLL + 4, 0, 0, 0, 0);
    CODE(p, 0x89, 0x45, DATA_POLL + 8, 0x89, 0x55, DATA_POLL + 12, 0x31, 0xd2); /* its timeout; xor edx, edx */
    CODE(p, 0xb8, 29, 0, 0, 0, 0xbb, 3, 0, 0, 0, 0x8d, 0x4d, DATA_POLL, 0x0f, 0x01, 0xc1);
}

/* PIT channel 2 in mode 0 until its output rises; for vCPU 0 alone. */
static void wait_for_pit_output(struct program *p)
{
    uint32_t count = (uint32_t)(draw_ns(p) * 1193182ull / NS_PER_S);
    unsigned loop;

    out(p, 0x61, 1);
    out(p, 0x43, 0xb0);
    out(p, 0x42, count & 0xff);
    out(p, 0x42, count >> 8 & 0xff);
    loop = p->bytes;
    rest(p);
    CODE(p, 0xe4, 0x61, 0xa8, 0x20); /* in al, 0x61; test al, 0x20 */
    jump_back(p, JZ, loop);
}

/* PIT channel 0, latched or as it runs, until the high byte of its count is low; for vCPU 0 alone. */
static void wait_for_pit_count(struct program *p)
{
    unsigned loop;

    out(p, 0x43, 0x34);
    out(p, 0x40, 0xff);
    out(p, 0x40, (uint32_t)draw(p) % 32 + 32);
    loop = p->bytes;
    rest(p);
    if (coin(p))
        out(p, 0x43, 0);
    CODE(p, 0xe4, 0x40, 0xe4, 0x40, 0x3c, 16); /* in al, 0x40; in al, 0x40; cmp al, 16 */
    jump_back(p, 0x83, loop);
}

/* The RTC: seconds change, an update begins or has ended; for vCPU 0, which begins shortly before. */
static void wait_for_rtc(struct program *p)
{
    unsigned loop, how = draw(p) % 3;

    out(p, 0x70, how == 0 ? 0 : how == 1 ? 10 : 12);
    CODE(p, 0xe4, 0x71, 0x88, 0xc3); /* in al, 0x71; mov bl, al */
    loop = p->bytes;
    rest(p);
    CODE(p, 0xe4, 0x71); /* in al, 0x71 */
    if (how == 0)
        CODE(p, 0x38, 0xd8); /* cmp al, bl */
    else if (how == 1)
        CODE(p, 0xa8, 0x80); /* test al, 0x80 */
    else
        CODE(p, 0xa8, 0x10); /* test al, 0x10 */
    jump_back(p, JZ, loop);
}

static void compute(struct program *p)
{
    unsigned loop;

    CODE(p, 0xb9); /* mov ecx, ..; 1: dec ecx; jnz 1b */
    word(p, 1 + draw_ns(p) / 4);
    loop = p->bytes;
    CODE(p, 0x49);
    jump_back(p, JNZ, loop);
}

/* Until a vCPU of a lower number has come so far, or has ended. */
static void wait_for_other(struct program *p, unsigned other)
{
    unsigned loop = p->bytes, end = 0;

    CODE(p, 0x83, 0x3d); /* cmp dword [its progress], ..; jae */
    word(p, DATA(other) + DATA_PROGRESS);
    byte(p, 1 + (unsigned)(draw(p) % 3));
    end = jump_on(p, 0x83);
    rest(p);
    CODE(p, 0x83, 0x3d); /* cmp dword [done], 0 */
    word(p, DATA(other) + DATA_DONE);
    byte(p, 0);
    jump_back(p, JZ, loop);
    lands_here(p, end);
}

/* ---- guests ---- */

/* Timers that tick in vain: all interrupts of the PIC are masked. */
static void make_noise(struct program *p)
{
    out(p, 0x21, 0xff);
    out(p, 0xa1, 0xff);
    if (coin(p)) { /* PIT channel 0, mode 2 */
        out(p, 0x43, 0x34);
        out(p, 0x40, 0);
        out(p, 0x40, 1 + (unsigned)(draw(p) % 16));
    }
    if (coin(p)) { /* the RTC's periodic interrupt, 2 kHz or less */
        out(p, 0x70, 10);
        out(p, 0x71, 0x25 + (unsigned)(draw(p) % 4));
        out(p, 0x70, 11);
        out(p, 0x71, 0x42);
    }
}

static void make_program(struct program *p, unsigned vcpu, bool near_second)
{
    unsigned segments = 1 + (unsigned)(draw(p) % 3);

    p->bytes = 0;
    if (vcpu == 0 && coin(p))
        make_noise(p);
    if (vcpu == 0 && near_second)
        wait_for_rtc(p);
    for (unsigned i = 0; i < segments; i++) {
        if (coin(p))
            CODE(p, 0xfb); /* sti */
        switch (draw(p) % 9) {
        case 0:
        case 1:
        case 2:
            wait_for_clock(p);
            break;
        case 3:
            wait_for_lapic_count(p);
            break;
        case 4:
            wait_for_tick(p);
            break;
        case 5:
            wait_for_request(p);
            break;
        case 6:
            wait_by_poll(p);
            break;
        case 7:
            if (vcpu)
                wait_for_other(p, (unsigned)(draw(p) % vcpu));
            else if (coin(p))
                wait_for_pit_output(p);
            else
                wait_for_pit_count(p);
            break;
        case 8:
            compute(p);
            break;
        }
        CODE(p, 0xff, 0x45, DATA_PROGRESS); /* inc dword [ebp + DATA_PROGRESS] */
    }
    CODE(p, 0xff, 0x45, DATA_DONE);
}

enum ending { ENDS, SPINS_FOR_EVER, HALTS_FOR_EVER };

/* vCPU 0 waits for the others and powers off, or hangs; these halt for ever. */
static void end_program(struct program *p, unsigned vcpu, unsigned vcpus, enum ending ending)
{
    unsigned loop;

    if (vcpu) {
        CODE(p, 0xfa, 0xf4);
        return;
    }
    for (unsigned v = 1; v < vcpus; v++) {
        loop = p->bytes;
        rest(p);
        CODE(p, 0x83, 0x3d); /* cmp dword [done], 0 */
        word(p, DATA(v) + DATA_DONE);
        byte(p, 0);
        jump_back(p, JZ, loop);
    }
    if (ending != ENDS) {
        loop = p->bytes;
        if (ending == HALTS_FOR_EVER)
            CODE(p, 0xfb, 0xf4); /* sti; hlt */
        CODE(p, 0xf3, 0x90);     /* pause; a long turn would repeat only after more turns than are looked at */
        CODE(p, 0x83, 0x7d, DATA_NEVER, 0); /* cmp dword [ebp + DATA_NEVER], 0 */
        jump_back(p, JZ, loop);
    }
    /* sched_op(SCHEDOP_shutdown, ebp + DATA_REASON); hlt */
    CODE(p, 0xb8, 29, 0, 0, 0, 0xbb, 2, 0, 0, 0, 0x8d, 0x4d, DATA_REASON, 0x0f, 0x01, 0xc1, 0xf4);
}

static void put(struct machine *m, uint64_t gpa, const void *bytes, size_t count)
{
    if (!memory_write(machine_memory(m), gpa, bytes, count))
        abort();
}

static void init_regs(struct vcpu_regs *r, unsigned vcpu)
{
    regs_init_protected32(r, TEXT(vcpu));
    r->gpr[GPR_RSP] = STACK(vcpu);
    r->gpr[GPR_RBP] = DATA(vcpu);
    r->idtr = (struct descriptor_table){IDT, 0x7ff};
    r->gdtr = (struct descriptor_table){GDT, 0x1f};
    r->seg[SEG_CS].selector = 8;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS)
            r->seg[s].selector = 0x10;
}

static struct machine *new_machine(unsigned vcpus)
{
    static const struct platform_config platform = {.mode = PLATFORM_HVM};
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0};
    static const uint32_t gate[2] = {8u << 16 | (HANDLER & 0xffff), (HANDLER & 0xffff0000) | 0x8e00};
    struct machine_config config = {.ram_bytes = RAM_BYTES,
                                    .vcpus = vcpus,
                                    .xen_version = XEN_4_17,
                                    .models = platform_models,
                                    .model_count = platform_model_count,
                                    .platform = &platform};
    struct program handler = {0};
    struct machine *m;
    struct diag d;

    if (machine_new(&config, &m, &d) != EMU_OK) {
        printf("Bail out! %s\n", d.text);
        exit(1);
    }
    put(m, GDT, gdt, sizeof(gdt));
    put(m, IDT + VECTOR * 8, gate, sizeof(gate));
    CODE(&handler, 0xff, 0x45, DATA_TICKS); /* inc dword [ebp + DATA_TICKS] */
    store(&handler, LAPIC(0x0b0), 0);
    CODE(&handler, 0xcf); /* iret */
    put(m, HANDLER, handler.code, handler.bytes);
    return m;
}

/* Whether it ends as it should. */
static bool run_guest(struct machine *m, const struct snapshot *s, unsigned number, enum ending ending)
{
    struct program p = {.random = number};
    unsigned vcpus = machine_vcpus(m);
    bool near_second = draw(&p) % 4 == 0;
    const struct verdict *v;

    snapshot_restore(m, s);
    machine_pass_time_to(m, near_second ? NS_PER_S - RTC_UPDATE_NS - draw_ns(&p) : draw(&p) % NS_PER_S);
    for (unsigned each = 0; each < vcpus; each++) {
        struct vcpu_regs r;

        make_program(&p, each, near_second);
        end_program(&p, each, vcpus, ending);
        put(m, TEXT(each), p.code, p.bytes);
        init_regs(&r, each);
        vcpu_set_regs(m, each, &r);
        if (each)
            vcpu_start(m, each);
    }
    machine_run(m, &(struct machine_limits){.steps_max = STEPS_MAX});
    v = machine_verdict(m);
    if (ending == ENDS ? v->kind == VERDICT_PASS : v->kind == VERDICT_FAIL && !strcmp(v->detector, "hang"))
        return true;
    printf("# guest %u, which %s, %u vCPU%s, %" PRIu64 " ns, %" PRIu64 " steps: %s %s (vCPU %u at 0x%" PRIx64 ")\n",
           number, ending == ENDS ? "ends" : "hangs", vcpus, vcpus == 1 ? "" : "s", clock_now_ns(m), machine_steps(m),
           verdict_kind_name(v->kind), v->text, v->vcpu, v->rip_gva);
    return false;
}

int main(int argc, char **argv)
{
    unsigned guests = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0, failed = 0, hanging = 0, missed = 0;
    unsigned first = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    struct machine *m[VCPUS];
    struct snapshot *s[VCPUS];
    struct diag d;

    if (!guests) {
        printf("Bail out! usage: test_hang_random GUESTS [FIRST]\n");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..2\n");
    for (unsigned i = 0; i < VCPUS; i++) {
        m[i] = new_machine(i + 1);
        if (snapshot_take(m[i], NULL, &s[i], &d) != EMU_OK) {
            printf("Bail out! %s\n", d.text);
            return 1;
        }
    }
    for (unsigned n = first; n < first + guests; n++)
        failed += !run_guest(m[n % VCPUS], s[n % VCPUS], n, ENDS);
    for (unsigned n = first; n < first + guests; n += HANGING_ONE_OF) {
        hanging++;
        missed += !run_guest(m[n % VCPUS], s[n % VCPUS], n, hanging % 2 ? SPINS_FOR_EVER : HALTS_FOR_EVER);
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        snapshot_free(m[i], s[i]);
        machine_free(m[i]);
    }
    printf("%sok 1 - each of %u random guests ends (%u do not)\n", failed ? "not " : "", guests, failed);
    printf("%sok 2 - each of %u that hang is taken for a hang (%u are not)\n", missed ? "not " : "", hanging, missed);
    return failed || missed;
}
