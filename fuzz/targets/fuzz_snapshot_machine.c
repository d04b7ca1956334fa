/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/targets/fuzz_snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/model.h"
#include "emu/snapshot_file.h"
#include "emu/timer.h"
#include "emu/vcpu.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/platform.h"
#include "models/xen/public.h"

#define CODE_GPA     0x1000u
#define ARGUMENT_GPA 0x3000u
#define PAGES_GPA    0x8000u /* FIFO control block and event words, runstate areas */

/* ---- the machines ---- */

static void ignore_timer(struct machine *m, unsigned kind, unsigned vcpu)
{
}

static bool anything_is_sound(struct machine *m)
{
    return true;
}

const struct model fuzz_small_model = {
    .name = "fuzz", .state_bytes = 40, .is_sound = anything_is_sound, .timer_expired = ignore_timer};
static const struct model *const small_models[] = {&fuzz_small_model};
const struct machine_config fuzz_small_config = {
    .ram_bytes = 1 << 20, .vcpus = 2, .xen_version = 4 << 16 | 17, .models = small_models, .model_count = 1};

static const struct platform_config pvh = {.mode = PLATFORM_PVH}, hvm = {.mode = PLATFORM_HVM};
#define PLATFORM(p)                                                                                                    \
    {.ram_bytes = 2 << 20,                                                                                             \
     .vcpus = 2,                                                                                                       \
     .xen_version = XEN_VERSION(4, 17),                                                                                \
     .models = platform_models,                                                                                        \
     .model_count = 12,                                                                                                \
     .platform = &(p)}
const struct machine_config fuzz_platform_config[2] = {PLATFORM(pvh), PLATFORM(hvm)};

/* ---- what a guest may do ---- */

static uint64_t next_value(uint64_t *random)
{
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    return *random >> 33;
}

static void port(struct machine *m, uint16_t number, unsigned bytes, bool is_write, uint32_t value)
{
    const struct machine_config *c = machine_config(m);
    enum model_answer answer = MODEL_NOT_MINE;

    for (unsigned i = 0; answer == MODEL_NOT_MINE && i < c->model_count; i++) {
        const struct model *model = c->models[i];

        if (is_write && model->port_write)
            answer = model->port_write(m, machine_current(m), number, bytes, value);
        else if (!is_write && model->port_read)
            answer = model->port_read(m, machine_current(m), number, bytes, &value);
    }
}

static void mmio(struct machine *m, uint64_t gpa, unsigned bytes, bool is_write, uint64_t value)
{
    const struct machine_config *c = machine_config(m);
    enum model_answer answer = MODEL_NOT_MINE;

    for (unsigned i = 0; answer == MODEL_NOT_MINE && i < c->model_count; i++) {
        const struct model *model = c->models[i];

        if (is_write && model->mmio_write)
            answer = model->mmio_write(m, machine_current(m), gpa, bytes, value);
        else if (!is_write && model->mmio_read)
            answer = model->mmio_read(m, machine_current(m), gpa, bytes, &value);
    }
}

static void msr(struct machine *m, uint32_t number, bool is_write, uint64_t value)
{
    const struct machine_config *c = machine_config(m);
    enum model_answer answer = MODEL_NOT_MINE;

    for (unsigned i = 0; answer == MODEL_NOT_MINE && i < c->model_count; i++) {
        const struct model *model = c->models[i];

        if (is_write && model->msr_write)
            answer = model->msr_write(m, machine_current(m), number, value);
        else if (!is_write && model->msr_read)
            answer = model->msr_read(m, machine_current(m), number, &value);
    }
}

static void cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf)
{
    const struct machine_config *c = machine_config(m);
    enum model_answer answer = MODEL_NOT_MINE;
    struct cpuid_regs r;

    for (unsigned i = 0; answer == MODEL_NOT_MINE && i < c->model_count; i++)
        if (c->models[i]->cpuid)
            answer = c->models[i]->cpuid(m, machine_current(m), leaf, subleaf, &r);
}

/* From 32-bit code: the arguments are where both conventions look for them. */
static void hypercall(struct machine *m, uint32_t number, uint32_t operation, uint32_t second, uint32_t third)
{
    static const enum gpr where[3][2] = {{GPR_RBX, GPR_RDI}, {GPR_RCX, GPR_RSI}, {GPR_RDX, GPR_RDX}};
    const uint32_t arguments[3] = {operation, second, third};
    const struct machine_config *c = machine_config(m);

    vcpu_set_gpr(m, GPR_RAX, number);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 2; k++)
            vcpu_set_gpr(m, where[i][k], arguments[i]);
    for (unsigned i = 0; i < c->model_count; i++)
        if (c->models[i]->hypercall)
            (void)c->models[i]->hypercall(m, machine_current(m));
}

static void argument(struct machine *m, unsigned at, const void *bytes, size_t count)
{
    ensure(memory_write(machine_memory(m), ARGUMENT_GPA + at, bytes, count));
}

/* ---- a file to begin with ---- */

static void use_event_channels(struct machine *m)
{
    const struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = 0};
    const struct evtchn_bind_ipi ipi = {.vcpu = 1};
    const struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    const struct evtchn_init_control control = {.control_gfn = PAGES_GPA >> PAGE_SHIFT};
    const struct evtchn_expand_array array = {.array_gfn = (PAGES_GPA >> PAGE_SHIFT) + 1};
    const struct evtchn_bind_interdomain interdomain = {.remote_dom = DOMID_SELF, .remote_port = 5};

    argument(m, 0, &virq, sizeof(virq));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, ARGUMENT_GPA, 0);
    argument(m, 0, &ipi, sizeof(ipi));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ARGUMENT_GPA, 0);
    argument(m, 0, &unbound, sizeof(unbound));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, ARGUMENT_GPA, 0);
    argument(m, 0, &control, sizeof(control));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, ARGUMENT_GPA, 0);
    argument(m, 0, &array, sizeof(array));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, ARGUMENT_GPA, 0);
    argument(m, 0, &interdomain, sizeof(interdomain));
    hypercall(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, ARGUMENT_GPA, 0);
}

static void use_devices(struct machine *m)
{
    static const struct {
        uint16_t number;
        uint8_t value;
    } writes[] = {
        {0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01},  {0xa0, 0x11},  {0xa1, 0x38},  {0xa1, 0x02},
        {0xa1, 0x01}, {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x10},  {0x43, 0xb0},  {0x42, 0x10},  {0x42, 0x20},
        {0x61, 0x01}, {0x70, 0x0b}, {0x71, 0x72}, {0x3fa, 0xc7}, {0x3f9, 0x0f}, {0x3fc, 0x1f}, {0x3f8, 'a'},
    };

    for (size_t i = 0; i < COUNT(writes); i++)
        port(m, writes[i].number, 1, true, writes[i].value);
    port(m, 0xb002, 2, true, 1);
    mmio(m, LAPIC_GPA + 0xf0, 4, true, 0x1ff);
    mmio(m, LAPIC_GPA + 0x320, 4, true, 0x20040); /* periodic */
    mmio(m, LAPIC_GPA + 0x380, 4, true, 100000);
    mmio(m, IOAPIC_GPA, 4, true, 0x12);
    mmio(m, IOAPIC_GPA + 0x10, 4, true, 0x8041);
}

static void start_guest(struct machine *m)
{
    /* 32-bit code: mov $32,%eax; mov $4,%ebx; mov $0x3000,%ecx; vmcall (EVTCHNOP_send); in $0x40,%al; jmp back */
    static const uint8_t code[] = {0xb8, 0x20, 0, 0, 0,    0xbb, 4,    0,    0,    0,    0xb9,
                                   0,    0x30, 0, 0, 0x0f, 0x01, 0xc1, 0xe4, 0x40, 0xeb, 0xea};
    const uint32_t send = 4;
    struct vcpu_regs r;

    regs_init_protected32(&r, CODE_GPA);
    vcpu_set_regs(m, 0, &r);
    ensure(memory_write(machine_memory(m), CODE_GPA, code, sizeof(code)));
    use_event_channels(m);
    use_devices(m);
    argument(m, 0, &send, sizeof(send));
    fuzz_run(m, 100);
    ensure(machine_verdict(m)->kind == VERDICT_NONE);
}

static uint8_t *read_file(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes;
    long end;

    ensure(f && fseek(f, 0, SEEK_END) == 0);
    end = ftell(f);
    ensure(end > 0 && fseek(f, 0, SEEK_SET) == 0);
    bytes = malloc((size_t)end);
    ensure(bytes && fread(bytes, 1, (size_t)end, f) == (size_t)end);
    fclose(f);
    *length = (size_t)end;
    return bytes;
}

uint8_t *fuzz_platform_file(unsigned mode, size_t *length)
{
    char folder[] = "/tmp/fuzz-snapshot-XXXXXX", path[64];
    struct machine *m;
    uint8_t *bytes;
    struct diag d;

    ensure(platform_model_count == fuzz_platform_config[mode].model_count);
    ensure(machine_new(&fuzz_platform_config[mode], &m, &d) == EMU_OK);
    start_guest(m);
    ensure(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/snapshot", folder);
    ensure(snapshot_file_write(m, "{\"case\":true}", path, &d) == EMU_OK);
    machine_free(m);
    bytes = read_file(path, length);
    unlink(path);
    rmdir(folder);
    return bytes;
}

/* ---- what is done to a machine ---- */

void fuzz_run(struct machine *m, uint64_t steps)
{
    /* Pinned: where all wait, the time until a timer wakes one is short. */
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (vcpu_state(m, v) == VCPU_RUNNABLE)
            (void)machine_run(
                m, &(struct machine_limits){.steps_max = machine_steps(m) + steps, .vcpu = v, .pinned = true});
}

static void touch_ports(struct machine *m, uint64_t *random)
{
    static const struct {
        uint16_t first, last;
    } ranges[] = {{0x20, 0x21}, {0x40, 0x43},     {0x61, 0x61},     {0xa0, 0xa1},     {0x3f8, 0x3ff},  {0x4d0, 0x4d1},
                  {0xe9, 0xe9}, {0xaf00, 0xaf1f}, {0xafe0, 0xafe3}, {0xb000, 0xb003}, {0xb008, 0xb00b}};

    for (size_t i = 0; i < COUNT(ranges); i++)
        for (unsigned number = ranges[i].first; number <= ranges[i].last; number++)
            for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
                port(m, (uint16_t)number, bytes, false, 0);
                port(m, (uint16_t)number, bytes, true, (uint32_t)next_value(random));
                port(m, (uint16_t)number, bytes, false, 0);
            }
    for (unsigned reg = 0; reg < 128; reg++)
        for (unsigned is_write = 0; is_write < 2; is_write++) {
            port(m, 0x70, 1, true, reg);
            port(m, 0x71, 1, is_write, (uint32_t)next_value(random));
        }
    for (unsigned number = 0; number < 0x100; number++)
        port(m, (uint16_t)number, 1, false, 0);
}

static void touch_windows(struct machine *m, uint64_t *random)
{
    for (unsigned at = 0; at < 0x400; at += 16)
        for (unsigned is_write = 0; is_write < 2; is_write++)
            mmio(m, LAPIC_GPA + at, 4, is_write, next_value(random));
    for (unsigned reg = 0; reg < 0x80; reg++)
        for (unsigned is_write = 0; is_write < 2; is_write++) {
            mmio(m, IOAPIC_GPA, 4, true, reg);
            mmio(m, IOAPIC_GPA + 0x10, 4, is_write, next_value(random));
        }
    for (uint64_t gpa = 0xfeff8000; gpa < 0xff000000; gpa += 0x200)
        for (unsigned is_write = 0; is_write < 2; is_write++)
            mmio(m, gpa, 8, is_write, next_value(random));
}

static void touch_registers(struct machine *m, uint64_t *random)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x4ff}, {0x600, 0x6ff}, {0x800, 0x8ff}, {0x40000000, 0x40000002}, {0xc0000080, 0xc0000103}};

    for (size_t i = 0; i < COUNT(ranges); i++)
        for (uint32_t number = ranges[i].first; number <= ranges[i].last; number++) {
            msr(m, number, false, 0);
            if (number < 0xc0000000) /* those are the engine's */
                msr(m, number, true, next_value(random) & 0x0606060606060606);
        }
    for (uint32_t leaf = 0; leaf < 0x20; leaf++)
        for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
            cpuid(m, leaf, subleaf);
            cpuid(m, 0x40000000 + leaf, subleaf);
            cpuid(m, 0x80000000 + leaf, subleaf);
        }
}

/* Families with operations, and what their second argument is. */
static const struct {
    uint8_t number, operations;
    bool second_is_number, ends; /* may end the run */
} families[] = {
    {.number = __HYPERVISOR_memory_op, .operations = 24},
    {.number = __HYPERVISOR_multicall, .operations = 1},
    {.number = __HYPERVISOR_set_timer_op, .operations = 2},
    {.number = __HYPERVISOR_xen_version, .operations = 11},
    {.number = __HYPERVISOR_console_io, .operations = 2, .second_is_number = true},
    {.number = __HYPERVISOR_grant_table_op, .operations = 13},
    {.number = __HYPERVISOR_vm_assist, .operations = 2, .second_is_number = true},
    {.number = __HYPERVISOR_vcpu_op, .operations = 16, .second_is_number = true},
    {.number = __HYPERVISOR_event_channel_op, .operations = 15},
    {.number = __HYPERVISOR_physdev_op, .operations = 24},
    {.number = __HYPERVISOR_hvm_op, .operations = 25},
    {.number = __HYPERVISOR_sched_op, .operations = 8, .ends = true},
};

/* Small numbers as arguments: ports, vCPUs, frames. Twice each. */
static void touch_hypercalls(struct machine *m, uint64_t *random, bool ends)
{
    for (size_t f = 0; f < COUNT(families); f++)
        for (uint32_t i = 0; families[f].ends == ends && i < 2u * families[f].operations; i++) {
            uint32_t words[16], number = (uint32_t)next_value(random) % 4;

            for (size_t k = 0; k < COUNT(words); k++)
                words[k] = (uint32_t)(next_value(random) % (i & 1 ? 8 : 512));
            argument(m, 0, words, sizeof(words));
            hypercall(m, families[f].number, i / 2, families[f].second_is_number ? number : ARGUMENT_GPA,
                      families[f].number == __HYPERVISOR_grant_table_op ? 1 : ARGUMENT_GPA);
        }
}

void fuzz_touch_everything(struct machine *m)
{
    static const uint16_t ends[] = {0x64, 0xcf9, 0xb004, 0xb005};
    uint64_t random = 1;

    touch_ports(m, &random);
    touch_windows(m, &random);
    touch_registers(m, &random);
    touch_hypercalls(m, &random, false);
    fuzz_run(m, 100);
    touch_hypercalls(m, &random, true);
    for (size_t i = 0; i < COUNT(ends); i++)
        for (uint32_t value = 0; value < 256; value++)
            port(m, ends[i], 1, true, value);
}

void fuzz_ensure_sound(struct machine *m)
{
    const struct machine_config *c = machine_config(m);

    for (unsigned i = 0; i < c->model_count; i++)
        ensure(!c->models[i]->is_sound || c->models[i]->is_sound(m));
}
