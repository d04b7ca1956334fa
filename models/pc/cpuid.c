/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/cpuid.h"

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/pc/lapic.h"
#include "models/pc/msr.h"
#include "models/processor.h"

#include <stddef.h>

#define ANY_SUBLEAF UINT32_MAX

#define BASIC_LEAF_MAX    0x0000000du
#define EXTENDED_LEAF_MIN 0x80000000u
#define EXTENDED_LEAF_MAX 0x80000008u

struct cpuid_row {
    uint32_t leaf, subleaf;
    struct cpuid_regs regs;
    const char *name;
};

/* Recorded from Unicorn 2.1.4, UC_CPU_X86_HASWELL. Leaves between that are not here are all zero there. Leaf 6 (thermal
   and power) and leaf 0xd (XSAVE) are left out: Xen doesn't show the first, and XSAVE is hidden below. */
static const struct cpuid_row engine_rows[] = {
    {0x00, ANY_SUBLEAF, {BASIC_LEAF_MAX, 0x756e6547, 0x6c65746e, 0x49656e69}, "vendor: GenuineIntel"},
    {0x01, ANY_SUBLEAF, {0x000306c4, 0x00000800, 0xced82203, 0x078bfbfd}, "family 6 model 60 stepping 4, features"},
    {0x02, ANY_SUBLEAF, {0x00000001, 0x00000000, 0x00000000, 0x002c307d}, "cache descriptors"},
    {0x04, 0, {0x00000121, 0x01c0003f, 0x0000003f, 0x00000001}, "L1 data cache, 32 KiB"},
    {0x04, 1, {0x00000122, 0x01c0003f, 0x0000003f, 0x00000001}, "L1 instruction cache, 32 KiB"},
    {0x04, 2, {0x00000143, 0x03c0003f, 0x00000fff, 0x00000001}, "L2 cache, 4 MiB"},
    {0x07, 0, {0x00000000, 0x00000389, 0x00000000, 0x00000000}, "structured extended features"},
    {EXTENDED_LEAF_MIN, ANY_SUBLEAF, {EXTENDED_LEAF_MAX, 0x756e6547, 0x6c65746e, 0x49656e69}, "extended leaves"},
    {0x80000001, ANY_SUBLEAF, {0x000306c4, 0x00000000, 0x00000021, 0x28100800}, "extended features"},
    {0x80000002, ANY_SUBLEAF, {0x65746e49, 0x6f43206c, 0x50206572, 0x65636f72}, "brand: Intel Core Proce"},
    {0x80000003, ANY_SUBLEAF, {0x726f7373, 0x61482820, 0x6c657773, 0x0000296c}, "brand: ssor (Haswell)"},
    {0x80000005, ANY_SUBLEAF, {0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140}, "L1 caches and TLBs"},
    {0x80000006, ANY_SUBLEAF, {0x00000000, 0x42004200, 0x02008140, 0x00000000}, "L2 cache and TLBs"},
    {0x80000008, ANY_SUBLEAF, {0x00003028, 0, 0, 0}, "address sizes: 40 bits physical, 48 linear"},
};

enum reg { EAX, EBX, ECX, EDX };

struct cpuid_bit {
    uint32_t leaf;
    enum reg reg;
    unsigned bit;
    const char *name;
    const char *reason;
};

/* What the engine says but the guest must not use. Everything that the engine itself doesn't say (AVX, AVX2, FMA,
   INVPCID, PCID, RDPID, RDSEED, MONITOR, RTM, HLE, SMAP …) is absent from the rows above already. */
static const struct cpuid_bit hidden_bits[] = {
    {0x01, ECX, 26, "XSAVE", "vCPU state is FXSAVE's; there is no AVX state that would need more"},
    {0x01, ECX, 27, "OSXSAVE", "follows XSAVE"},
    {0x01, ECX, 30, "RDRAND", "the engine would answer with the host's random numbers"},
    {0x07, EBX, 9, "ERMS", "each byte of REP MOVSB is a step: a Debian boot takes 1.4 times the host time with it"},
};

/* What the machine provides around the engine. */
static const struct cpuid_bit added_bits[] = {
    {0x01, ECX, 24, "TSC_DEADLINE", "the LAPIC model has the mode"},
    {0x01, ECX, 31, "HYPERVISOR", "the guest of a hypervisor sees this bit (the engine sets it too)"},
    {0x01, EDX, 28, "HTT", "leaves 1 and 4 describe the topology, as Xen's toolstack sets it for every guest"},
};

/* What the user may choose: shown if the processor has it. */
static const struct chosen_bit {
    struct cpuid_bit bit;
    size_t at; /* in struct processor */
} chosen_bits[] = {
    {{0x01, ECX, 21, "X2APIC", "the LAPIC model has the mode"}, offsetof(struct processor, x2apic)},
    {{0x80000007, EDX, 8, "INVARIANT_TSC", "every vCPU counts virtual nanoseconds"},
     offsetof(struct processor, invariant_tsc)},
};

static uint32_t *reg_of(struct cpuid_regs *r, enum reg reg)
{
    switch (reg) {
    case EAX:
        return &r->eax;
    case EBX:
        return &r->ebx;
    case ECX:
        return &r->ecx;
    default:
        return &r->edx;
    }
}

static void apply_bits(uint32_t leaf, const struct cpuid_bit *bits, size_t count, bool on, struct cpuid_regs *r)
{
    for (size_t i = 0; i < count; i++)
        if (bits[i].leaf == leaf && on)
            *reg_of(r, bits[i].reg) |= 1u << bits[i].bit;
        else if (bits[i].leaf == leaf)
            *reg_of(r, bits[i].reg) &= ~(1u << bits[i].bit);
}

static void apply_choice(const struct processor *p, uint32_t leaf, struct cpuid_regs *r)
{
    for (size_t i = 0; i < COUNT(chosen_bits); i++)
        if (chosen_bits[i].bit.leaf == leaf && *(const bool *)((const char *)p + chosen_bits[i].at))
            *reg_of(r, chosen_bits[i].bit.reg) |= 1u << chosen_bits[i].bit.bit;
}

/* APIC IDs of one package: one for each vCPU and one between, rounded up to a power of two. */
static unsigned package_ids(const struct machine *m)
{
    unsigned ids = 2;

    while (ids < 2 * machine_vcpus(m))
        ids *= 2;
    return ids;
}

/* Leaves that differ by vCPU. All vCPUs are cores of one package, as libxc makes a guest's topology from a host without
   hyper-threading: the numbers of logical processors and of cores are doubled, so that APIC IDs may be even. */
static void apply_topology(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    unsigned ids = package_ids(m), cores = ids > 64 ? 64 : ids; /* leaf 4 has 6 bits for the cores */

    switch (leaf) {
    case 0x01:
        r->ebx |= (uint32_t)lapic_id(vcpu) << 24 | ids << 16;
        if (!lapic_is_globally_enabled(m, vcpu))
            r->edx &= ~(1u << 9);
        break;
    case 0x04:
        if (r->eax & 0x1f)
            r->eax |= (cores - 1) << 26 | 1u << 14; /* two IDs, one core, share each cache */
        break;
    case 0x0b: /* Xen 4.17 zeroes the topology but fills in these two */
        r->ecx = subleaf & 0xff;
        r->edx = lapic_id(vcpu);
        break;
    default:
        break;
    }
}

static enum model_answer cpuid_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf,
                                     struct cpuid_regs *r)
{
    if (leaf >= CPUID_HYPERVISOR_FIRST && leaf <= CPUID_HYPERVISOR_LAST)
        return MODEL_NOT_MINE;
    if (msr_cpuid_faults(m, vcpu) && vcpu_cpl(m) > 0)
        return MODEL_FAULT_GP;
    /* Xen answers zeros for all that is out of range, not Intel's "highest basic leaf". */
    *r = (struct cpuid_regs){0};
    for (size_t i = 0; i < COUNT(engine_rows); i++)
        if (engine_rows[i].leaf == leaf && (engine_rows[i].subleaf == ANY_SUBLEAF || engine_rows[i].subleaf == subleaf))
            *r = engine_rows[i].regs;
    if (leaf != 0x07 || subleaf == 0) {
        apply_bits(leaf, hidden_bits, COUNT(hidden_bits), false, r);
        apply_bits(leaf, added_bits, COUNT(added_bits), true, r);
    }
    apply_choice(processor_of(m), leaf, r);
    apply_topology(m, vcpu, leaf, subleaf, r);
    return MODEL_DONE;
}

const struct model cpuid_model = {
    .name = "cpuid",
    .cpuid = cpuid_cpuid,
};
