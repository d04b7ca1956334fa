/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/msr.h"

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/pc/cpuid.h"
#include "models/pc/tsc.h"
#include "models/platform_config.h"
#include "models/processor.h"

#include <stdlib.h>

#define MTRR_VARIABLE_COUNT 8
#define MTRR_FIXED_COUNT    11
#define MC_BANK_COUNT       2

/* Eight variable ranges, fixed ranges, write-combining. Xen 4.17 hvm_vcpu_cacheattr_init. */
#define MTRR_CAP_VALUE (1u << 10 | 1u << 8 | MTRR_VARIABLE_COUNT)
/* Write-back by default, and on: what libxc gives a PVH guest, and firmware an HVM guest, with no ranges set. */
#define MTRR_DEF_TYPE_INITIAL  0x806u
#define MTRR_DEF_TYPE_RESERVED (~0xcffull)
#define PAT_INITIAL            0x0007040600070406ull

/* Software error recovery, threshold-based error status, two banks: Xen's INTEL_GUEST_MCG_CAP. */
#define MCG_CAP_VALUE (1u << 24 | 1u << 11 | MC_BANK_COUNT)

/* Fast strings as on most hosts; no branch trace store, no PEBS: Xen sets both of these bits. */
#define MISC_ENABLE_VALUE (1u << 12 | 1u << 11 | 1u << 0)

#define PLATFORM_INFO_CPUID_FAULTING (1ull << 31)
#define MISC_FEATURES_CPUID_FAULTING 1ull
#define FEATURE_CONTROL_LOCKED       1ull

#define DEBUGCTL_LBR 1ull
#define DEBUGCTL_BTF 2ull

/* Since then Xen refuses what it does not know. Before, it read the host's register, which nobody here knows. */
#define XEN_REFUSES_UNKNOWN XEN_VERSION(4, 15)

struct msr_vcpu {
    uint64_t pat;
    uint64_t mtrr_def_type;
    uint64_t mtrr_variable[2 * MTRR_VARIABLE_COUNT]; /* base, mask, base, mask … */
    uint64_t mtrr_fixed[MTRR_FIXED_COUNT];
    uint64_t misc_features;
    uint64_t debugctl;
    uint64_t tsc_adjust;
    uint64_t mc_ctl2[MC_BANK_COUNT];
    uint64_t mcg_status;
    uint64_t mc_bank[4 * MC_BANK_COUNT]; /* (unused), status, address, misc of each bank */
};

struct msr_state {
    struct msr_vcpu vcpus[VCPUS_MAX];
};

static struct msr_vcpu *state_of(struct machine *m, unsigned vcpu)
{
    struct msr_state *s = machine_model_state(m, &msr_model);

    return &s->vcpus[vcpu];
}

bool msr_cpuid_faults(struct machine *m, unsigned vcpu)
{
    return state_of(m, vcpu)->misc_features & MISC_FEATURES_CPUID_FAULTING;
}

struct msr_row;
typedef enum model_answer(msr_read_fn)(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                       uint64_t *value);
typedef enum model_answer(msr_write_fn)(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                        uint64_t value);

struct msr_row {
    uint32_t first, last;
    const char *name;
    msr_read_fn *read;
    msr_write_fn *write;
    uint64_t value; /* of read_value */
    const char *source;
};

/* ---- general rules ---- */

static enum model_answer read_value(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                    uint64_t *value)
{
    *value = row->value;
    return MODEL_DONE;
}

static enum model_answer read_gp(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                 uint64_t *value)
{
    return MODEL_FAULT_GP;
}

static enum model_answer write_gp(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                  uint64_t value)
{
    return MODEL_FAULT_GP;
}

static enum model_answer write_ignored(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                       uint64_t value)
{
    return MODEL_DONE;
}

/* Only what is there already may be written. */
static enum model_answer write_same(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                    uint64_t value)
{
    return value == row->value ? MODEL_DONE : MODEL_FAULT_GP;
}

/* What this model doesn't do though Xen does. */
static enum model_answer read_unmodelled(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                         uint64_t *value)
{
    return MODEL_NOT_MINE;
}

static enum model_answer write_unmodelled(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                          uint64_t value)
{
    return MODEL_NOT_MINE;
}

/* ---- registers that the engine keeps ---- */

static enum model_answer read_engine(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                     uint64_t *value)
{
    *value = vcpu_engine_msr(m, (enum engine_msr)msr);
    return MODEL_DONE;
}

static enum model_answer write_engine(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                      uint64_t value)
{
    vcpu_set_engine_msr(m, (enum engine_msr)msr, value);
    return MODEL_DONE;
}

/* SDM Vol. 1, "Canonical Addressing", with 48 linear-address bits. */
static enum model_answer write_engine_canonical(struct machine *m, unsigned vcpu, uint32_t msr,
                                                const struct msr_row *row, uint64_t value)
{
    if (value + (1ull << 47) >= 1ull << 48)
        return MODEL_FAULT_GP;
    return write_engine(m, vcpu, msr, row, value);
}

/* Bits 63:32 are reserved. */
static enum model_answer write_engine_32(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                         uint64_t value)
{
    return value >> 32 ? MODEL_FAULT_GP : write_engine(m, vcpu, msr, row, value);
}

/* Xen 4.17 hvm_set_efer: reserved bits and a change of LME while paging fault; LMA is not software's to change. */
static enum model_answer write_efer(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                    uint64_t value)
{
    uint64_t old = vcpu_engine_msr(m, MSR_ID_EFER);
    struct vcpu_regs r;

    if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return MODEL_FAULT_GP;
    if ((value ^ old) & EFER_LME) {
        vcpu_get_regs(m, vcpu, &r);
        if (r.cr0 & CR0_PG)
            return MODEL_FAULT_GP;
    }
    vcpu_set_engine_msr(m, MSR_ID_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
    return MODEL_DONE;
}

/* ---- time ---- */

static enum model_answer read_tsc(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                  uint64_t *value)
{
    *value = tsc_now(m, vcpu);
    return MODEL_DONE;
}

/* SDM Vol. 3B, "IA32_TSC_ADJUST Register Support": a write to either moves the counter and the other by as much. */
static enum model_answer write_tsc(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                   uint64_t value)
{
    state_of(m, vcpu)->tsc_adjust += value - tsc_now(m, vcpu);
    vcpu_set_tsc(m, vcpu, value);
    return MODEL_DONE;
}

static enum model_answer read_tsc_adjust(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                         uint64_t *value)
{
    *value = state_of(m, vcpu)->tsc_adjust;
    return MODEL_DONE;
}

static enum model_answer write_tsc_adjust(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                          uint64_t value)
{
    vcpu_set_tsc(m, vcpu, tsc_now(m, vcpu) + (value - state_of(m, vcpu)->tsc_adjust));
    state_of(m, vcpu)->tsc_adjust = value;
    return MODEL_DONE;
}

/* ---- memory types: kept and checked, without effect, since no caches are modelled ---- */

/* SDM Vol. 3A, "Memory Types That Can Be Encoded With PAT"; without UC- (7) these are the MTRRs' types too. */
static bool is_memory_type(unsigned type)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static enum model_answer read_pat(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                  uint64_t *value)
{
    *value = state_of(m, vcpu)->pat;
    return MODEL_DONE;
}

static bool is_pat(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = value >> (8 * i) & 0xff;

        if (!is_memory_type(type) && type != 7)
            return false;
    }
    return true;
}

static enum model_answer write_pat(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                   uint64_t value)
{
    if (!is_pat(value))
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->pat = value;
    return MODEL_DONE;
}

static enum model_answer read_mtrr_def_type(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                            uint64_t *value)
{
    *value = state_of(m, vcpu)->mtrr_def_type;
    return MODEL_DONE;
}

/* What is reserved is 0, and the type is one. */
static bool is_mtrr_def_type(uint64_t value)
{
    return !(value & MTRR_DEF_TYPE_RESERVED) && is_memory_type(value & 0xff);
}

static enum model_answer write_mtrr_def_type(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                             uint64_t value)
{
    if (!is_mtrr_def_type(value))
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->mtrr_def_type = value;
    return MODEL_DONE;
}

static enum model_answer read_mtrr_variable(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                            uint64_t *value)
{
    *value = state_of(m, vcpu)->mtrr_variable[msr - row->first];
    return MODEL_DONE;
}

/* Even registers are bases (type in bits 7:0), odd ones masks (valid in bit 11). */
static bool is_mtrr_variable(unsigned index, uint64_t value)
{
    bool is_mask = index & 1;
    uint64_t address = ((1ull << CPUID_PHYSICAL_ADDRESS_BITS) - 1) & ~0xfffull;

    return !(value & ~(address | (is_mask ? 0x800u : 0xffu))) && (is_mask || is_memory_type(value & 0xff));
}

static enum model_answer write_mtrr_variable(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                             uint64_t value)
{
    if (!is_mtrr_variable(msr - row->first, value))
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->mtrr_variable[msr - row->first] = value;
    return MODEL_DONE;
}

/* The eleven registers are three groups of numbers: 0x250, 0x258 and 0x259, 0x268 to 0x26f. */
static unsigned mtrr_fixed_index(uint32_t msr)
{
    return msr >= 0x268 ? msr - 0x268 + 3 : msr >= 0x258 ? msr - 0x258 + 1 : 0;
}

static enum model_answer read_mtrr_fixed(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                         uint64_t *value)
{
    *value = state_of(m, vcpu)->mtrr_fixed[mtrr_fixed_index(msr)];
    return MODEL_DONE;
}

static bool is_mtrr_fixed(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        if (!is_memory_type(value >> (8 * i) & 0xff))
            return false;
    return true;
}

static enum model_answer write_mtrr_fixed(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                          uint64_t value)
{
    if (!is_mtrr_fixed(value))
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->mtrr_fixed[mtrr_fixed_index(msr)] = value;
    return MODEL_DONE;
}

/* ---- machine checks: none ever happens, but the registers are there ---- */

static enum model_answer read_mcg_status(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                         uint64_t *value)
{
    *value = state_of(m, vcpu)->mcg_status;
    return MODEL_DONE;
}

static enum model_answer write_mcg_status(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                          uint64_t value)
{
    state_of(m, vcpu)->mcg_status = value;
    return MODEL_DONE;
}

/* Xen 4.17 bank_mce_rdmsr: the control register reads all ones. */
static enum model_answer read_mc_bank(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                      uint64_t *value)
{
    unsigned index = msr - row->first;

    *value = index % 4 == 0 ? UINT64_MAX : state_of(m, vcpu)->mc_bank[index];
    return MODEL_DONE;
}

/* SDM Vol. 3B, "Error-Reporting Register Banks": all but the control register may only be cleared. */
static enum model_answer write_mc_bank(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                       uint64_t value)
{
    unsigned index = msr - row->first;

    if (index % 4 == 0)
        return MODEL_DONE;
    if (value != 0)
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->mc_bank[index] = 0;
    return MODEL_DONE;
}

static enum model_answer read_mc_ctl2(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                      uint64_t *value)
{
    *value = state_of(m, vcpu)->mc_ctl2[msr - row->first];
    return MODEL_DONE;
}

static enum model_answer write_mc_ctl2(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                       uint64_t value)
{
    state_of(m, vcpu)->mc_ctl2[msr - row->first] = value;
    return MODEL_DONE;
}

/* ---- others ---- */

static enum model_answer read_debugctl(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                       uint64_t *value)
{
    *value = state_of(m, vcpu)->debugctl;
    return MODEL_DONE;
}

/* Xen accepts LBR and BTF, and refuses TR, BTS and BTINT. DEVIATION: with LBR no branch is recorded; reading the
   records ends the run UNMODELLED, and so does BTF. */
static enum model_answer write_debugctl(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                        uint64_t value)
{
    if (value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
        return MODEL_FAULT_GP;
    if (value & DEBUGCTL_BTF)
        return MODEL_NOT_MINE;
    state_of(m, vcpu)->debugctl = value;
    return MODEL_DONE;
}

static enum model_answer read_platform_info(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                            uint64_t *value)
{
    *value = processor_of(m)->cpuid_faulting ? PLATFORM_INFO_CPUID_FAULTING : 0;
    return MODEL_DONE;
}

static enum model_answer read_misc_features(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                            uint64_t *value)
{
    *value = state_of(m, vcpu)->misc_features;
    return MODEL_DONE;
}

static enum model_answer write_misc_features(struct machine *m, unsigned vcpu, uint32_t msr, const struct msr_row *row,
                                             uint64_t value)
{
    if (value & ~(processor_of(m)->cpuid_faulting ? MISC_FEATURES_CPUID_FAULTING : 0))
        return MODEL_FAULT_GP;
    state_of(m, vcpu)->misc_features = value;
    return MODEL_DONE;
}

/* Sorted by number. */
static const struct msr_row rows[] = {
    {0x000, 0x001, "IA32_P5_MC_ADDR, _TYPE", read_unmodelled, write_unmodelled, 0, "by vendor and version"},
    {0x010, 0x010, "IA32_TIME_STAMP_COUNTER", read_tsc, write_tsc, 0, "SDM Vol. 4"},
    {0x017, 0x017, "IA32_PLATFORM_ID", read_value, write_gp, 0, "Xen guest_rdmsr: the host's; ours is 0"},
    {0x033, 0x034, "TEST_CTRL, SMI_COUNT", read_gp, write_gp, 0, "Xen guest_rdmsr: refused"},
    {0x03a, 0x03a, "IA32_FEATURE_CONTROL", read_value, write_gp, FEATURE_CONTROL_LOCKED, "Xen: locked, no VMX"},
    {0x03b, 0x03b, "IA32_TSC_ADJUST", read_tsc_adjust, write_tsc_adjust, 0, "Xen hvm_set_guest_tsc_adjust"},
    {0x048, 0x049, "IA32_SPEC_CTRL, IA32_PRED_CMD", read_gp, write_gp, 0, "Xen: #GP without the CPUID bits"},
    {0x04e, 0x04f, "PPIN_CTL, PPIN", read_gp, write_gp, 0, "Xen: hardware domain only"},
    {0x079, 0x079, "IA32_BIOS_UPDT_TRIG", read_gp, write_gp, 0, "Xen guest_wrmsr: refused to guests"},
    {0x08b, 0x08b, "IA32_BIOS_SIGN_ID", read_value, write_same, 0, "Xen guest_wrmsr: 0 may be written, no more"},
    {0x0c1, 0x0c8, "IA32_PMC0-7", read_value, write_ignored, 0, "Xen vpmu_do_msr: off, reads 0"},
    {0x0ce, 0x0ce, "PLATFORM_INFO", read_platform_info, write_gp, 0, "Xen guest_rdmsr: CPUID faulting"},
    {0x0cf, 0x0cf, "IA32_CORE_CAPABILITIES", read_gp, write_gp, 0, "Xen guest_rdmsr: refused"},
    {0x0e2, 0x0e2, "PKG_CST_CONFIG_CONTROL", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x0e7, 0x0e8, "IA32_MPERF, IA32_APERF", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x0fe, 0x0fe, "IA32_MTRRCAP", read_value, write_gp, MTRR_CAP_VALUE, "SDM Vol. 3A, IA32_MTRRCAP"},
    {0x10a, 0x10b, "IA32_ARCH_CAPABILITIES, IA32_FLUSH_CMD", read_gp, write_gp, 0, "Xen: #GP without the CPUID bits"},
    {0x122, 0x123, "IA32_TSX_CTRL, MCU_OPT_CTRL", read_gp, write_gp, 0, "Xen guest_rdmsr: refused"},
    {0x140, 0x140, "MISC_FEATURES_ENABLES", read_misc_features, write_misc_features, 0, "Xen guest_wrmsr"},
    {0x174, 0x174, "IA32_SYSENTER_CS", read_engine, write_engine, 0, "SDM Vol. 4"},
    {0x175, 0x176, "IA32_SYSENTER_ESP, _EIP", read_engine, write_engine_canonical, 0, "SDM Vol. 2B, WRMSR"},
    {0x179, 0x179, "IA32_MCG_CAP", read_value, write_gp, MCG_CAP_VALUE, "Xen vmce_rdmsr; INTEL_GUEST_MCG_CAP"},
    {0x17a, 0x17a, "IA32_MCG_STATUS", read_mcg_status, write_mcg_status, 0, "Xen vmce_wrmsr"},
    {0x17b, 0x17b, "IA32_MCG_CTL", read_value, write_ignored, 0, "Xen vmce_rdmsr: 0 without MCG_CTL_P"},
    {0x186, 0x18d, "IA32_PERFEVTSEL0-7", read_value, write_ignored, 0, "Xen vpmu_do_msr: off, reads 0"},
    {0x198, 0x198, "IA32_PERF_STATUS", read_value, write_gp, 0, "Xen guest_rdmsr: 0"},
    {0x199, 0x199, "IA32_PERF_CTL", read_value, write_ignored, 0, "Xen guest_wrmsr: dropped"},
    {0x19c, 0x19c, "IA32_THERM_STATUS", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x1a0, 0x1a0, "IA32_MISC_ENABLE", read_value, write_same, MISC_ENABLE_VALUE, "Xen vmx_msr_read_intercept"},
    {0x1a2, 0x1a2, "TEMPERATURE_TARGET", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x1ad, 0x1ad, "TURBO_RATIO_LIMIT", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x1c8, 0x1c9, "LBR_SELECT, LASTBRANCH_TOS", read_unmodelled, write_unmodelled, 0, "Xen: its own with LBR"},
    {0x1d9, 0x1d9, "IA32_DEBUGCTL", read_debugctl, write_debugctl, 0, "Xen vmx_msr_write_intercept"},
    {0x1dd, 0x1de, "LER_FROM_LIP, LER_TO_LIP", read_unmodelled, write_unmodelled, 0, "Xen: its own with LBR"},
    {0x200, 0x20f, "IA32_MTRR_PHYSBASE0-PHYSMASK7", read_mtrr_variable, write_mtrr_variable, 0, "SDM Vol. 3A, MTRRs"},
    {0x250, 0x250, "IA32_MTRR_FIX64K_00000", read_mtrr_fixed, write_mtrr_fixed, 0, "SDM Vol. 3A, Fixed Range MTRRs"},
    {0x258, 0x259, "IA32_MTRR_FIX16K", read_mtrr_fixed, write_mtrr_fixed, 0, "SDM Vol. 3A, Fixed Range MTRRs"},
    {0x268, 0x26f, "IA32_MTRR_FIX4K", read_mtrr_fixed, write_mtrr_fixed, 0, "SDM Vol. 3A, Fixed Range MTRRs"},
    {0x277, 0x277, "IA32_PAT", read_pat, write_pat, 0, "SDM Vol. 3A, IA32_PAT MSR"},
    {0x280, 0x281, "IA32_MC0_CTL2, MC1_CTL2", read_mc_ctl2, write_mc_ctl2, 0, "Xen intel_mce_rdmsr"},
    {0x282, 0x29f, "IA32_MC2_CTL2-MC31_CTL2", read_value, write_ignored, 0, "Xen vmce_rdmsr: no such bank"},
    {0x2ff, 0x2ff, "IA32_MTRR_DEF_TYPE", read_mtrr_def_type, write_mtrr_def_type, 0, "SDM Vol. 3A, MTRRs"},
    {0x309, 0x30b, "IA32_FIXED_CTR0-2", read_value, write_ignored, 0, "Xen vpmu_do_msr: off, reads 0"},
    {0x345, 0x345, "IA32_PERF_CAPABILITIES", read_gp, write_gp, 0, "Xen: #GP without PDCM"},
    {0x38d, 0x390, "IA32_FIXED_CTR_CTRL-PERF_GLOBAL_OVF", read_value, write_ignored, 0, "Xen vpmu_do_msr: off"},
    {0x3f1, 0x3f1, "IA32_PEBS_ENABLE", read_value, write_ignored, 0, "Xen vpmu_do_msr: off, reads 0"},
    {0x400, 0x407, "IA32_MC0_CTL-MC1_MISC", read_mc_bank, write_mc_bank, 0, "Xen bank_mce_rdmsr, bank_mce_wrmsr"},
    {0x408, 0x47f, "IA32_MC2_CTL-MC31_MISC", read_value, write_ignored, 0, "Xen vmce_rdmsr: no such bank"},
    {0x480, 0x491, "IA32_VMX_*", read_gp, write_gp, 0, "Xen: no nested virtualisation"},
    {0x600, 0x600, "IA32_DS_AREA", read_value, write_ignored, 0, "Xen vpmu_do_msr: off, reads 0"},
    {0x606, 0x606, "RAPL_POWER_UNIT", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x611, 0x611, "PKG_ENERGY_STATUS", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x619, 0x619, "DRAM_ENERGY_STATUS", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x639, 0x639, "PP0_ENERGY_STATUS", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x641, 0x641, "PP1_ENERGY_STATUS", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x64d, 0x64e, "PLATFORM_ENERGY_STATUS, PPERF", read_gp, write_gp, 0, "Xen: not implemented"},
    {0x680, 0x68f, "LASTBRANCH_FROM_IP", read_unmodelled, write_unmodelled, 0, "Xen: its own with LBR"},
    {0x6c0, 0x6cf, "LASTBRANCH_TO_IP", read_unmodelled, write_unmodelled, 0, "Xen: its own with LBR"},
    {0xd90, 0xd90, "IA32_BNDCFGS", read_gp, write_gp, 0, "Xen: #GP without MPX"},
    {0xda0, 0xda0, "IA32_XSS", read_gp, write_gp, 0, "Xen: #GP without XSAVES"},
    {0xc0000080, 0xc0000080, "IA32_EFER", read_engine, write_efer, 0, "SDM Vol. 4; Xen hvm_set_efer"},
    {0xc0000081, 0xc0000081, "IA32_STAR", read_engine, write_engine, 0, "SDM Vol. 4"},
    {0xc0000082, 0xc0000083, "IA32_LSTAR, IA32_CSTAR", read_engine, write_engine_canonical, 0, "SDM Vol. 2B, WRMSR"},
    {0xc0000084, 0xc0000084, "IA32_FMASK", read_engine, write_engine_32, 0, "SDM Vol. 4: bits 63:32 reserved"},
    {0xc00000e7, 0xc00000e9, "AMD MPERF, APERF, IRPERF", read_gp, write_gp, 0, "Xen: AMD only"},
    {0xc0000100, 0xc0000102, "FS, GS, KERNEL_GS base", read_engine, write_engine_canonical, 0, "SDM Vol. 2B, WRMSR"},
    {0xc0000103, 0xc0000103, "IA32_TSC_AUX", read_engine, write_engine_32, 0, "SDM Vol. 4: bits 63:32 reserved"},
    {0xc0010010, 0xc0010010, "K8_SYSCFG", read_gp, write_gp, 0, "Xen: AMD only"},
    {0xc0010015, 0xc0010015, "K7_HWCR", read_gp, write_gp, 0, "Xen: AMD only"},
    {0xc0010280, 0xc0010280, "AMD PTSC", read_gp, write_gp, 0, "Xen: AMD only"},
    {0xc0011020, 0xc0011020, "AMD64_LS_CFG", read_gp, write_gp, 0, "Xen: AMD only"},
    {0xc0011029, 0xc0011029, "AMD64_DE_CFG", read_gp, write_gp, 0, "Xen: AMD only"},
};

static int compare_row(const void *key, const void *element)
{
    uint32_t msr = *(const uint32_t *)key;
    const struct msr_row *row = element;

    return msr < row->first ? -1 : msr > row->last;
}

static const struct msr_row *find_row(uint32_t msr)
{
    return bsearch(&msr, rows, COUNT(rows), sizeof(rows[0]), compare_row);
}

const char *msr_name(uint32_t msr)
{
    const struct msr_row *row = find_row(msr);

    return row ? row->name : NULL;
}

size_t msr_row_count(void)
{
    return COUNT(rows);
}

static enum model_answer unknown(const struct machine *m)
{
    return machine_config(m)->xen_version >= XEN_REFUSES_UNKNOWN ? MODEL_FAULT_GP : MODEL_NOT_MINE;
}

static enum model_answer msr_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    const struct msr_row *row = find_row(msr);

    return row ? row->read(m, vcpu, msr, row, value) : unknown(m);
}

static enum model_answer msr_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    const struct msr_row *row = find_row(msr);

    return row ? row->write(m, vcpu, msr, row, value) : unknown(m);
}

static enum emu_err msr_init(struct machine *m, struct diag *d)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        state_of(m, v)->pat = PAT_INITIAL;
        state_of(m, v)->mtrr_def_type = MTRR_DEF_TYPE_INITIAL;
    }
    return EMU_OK;
}

static bool registers_are_sound(const struct msr_vcpu *r)
{
    for (unsigned i = 0; i < 2 * MTRR_VARIABLE_COUNT; i++)
        if (!is_mtrr_variable(i, r->mtrr_variable[i]))
            return false;
    for (unsigned i = 0; i < MTRR_FIXED_COUNT; i++)
        if (!is_mtrr_fixed(r->mtrr_fixed[i]))
            return false;
    for (unsigned i = 0; i < 4 * MC_BANK_COUNT; i++)
        if (r->mc_bank[i])
            return false;
    return is_pat(r->pat) && is_mtrr_def_type(r->mtrr_def_type) && !(r->misc_features & ~MISC_FEATURES_CPUID_FAULTING);
}

static bool msr_is_sound(struct machine *m)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (!registers_are_sound(state_of(m, v)))
            return false;
    return true;
}

const struct model msr_model = {
    .name = "msr",
    .state_bytes = sizeof(struct msr_state),
    .is_sound = msr_is_sound,
    .init = msr_init,
    .msr_read = msr_msr_read,
    .msr_write = msr_msr_write,
};
