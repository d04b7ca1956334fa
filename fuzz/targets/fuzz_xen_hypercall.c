/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any hypercalls, with any arguments and structures, from any vCPU, by 32-bit and 64-bit code, under any version, with
 * time passing and devices and host acting in between:
 * - the host neither fails nor writes outside of its state;
 * - the same calls again leave the same state.
 */
#include "fuzz/targets/fuzz_target.h"

#include "emu/base/ensure.h"
#include "tests/played_machine.h"

#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"
#include "models/platform.h"
#include "models/xen/state.h"

#include <stdlib.h>
#include <string.h>

#define ARG_GPA    0x10000ull
#define CALLS_MAX  64
#define VCPUS_HERE 3

struct input {
    const uint8_t *bytes;
    size_t size;
};

static void take(struct input *in, void *dst, size_t bytes)
{
    size_t count = bytes < in->size ? bytes : in->size;

    memset(dst, 0, bytes);
    memcpy(dst, in->bytes, count);
    in->bytes += count;
    in->size -= count;
}

static uint8_t take_byte(struct input *in)
{
    uint8_t byte;

    take(in, &byte, 1);
    return byte;
}

static void set_bits(struct machine *m, unsigned vcpu, bool wide)
{
    struct vcpu_regs *r = played_regs(m, vcpu);

    r->cr0 = CR0_PE | CR0_ET;
    r->efer = wide ? EFER_LMA | EFER_LME : 0;
    r->seg[SEG_CS].attributes = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | (wide ? SEG_ATTR_L : SEG_ATTR_DB);
}

/* A structure in memory, small numbers and any numbers are all likely as arguments. */
static uint64_t argument(struct machine *m, struct input *in, unsigned slot)
{
    uint8_t how = take_byte(in), data[64] = {0};
    uint64_t value = 0;

    if (how < 96)
        return how % 48;
    if (how < 128) {
        take(in, &value, sizeof(value));
        return value;
    }
    take(in, data, how - 127u < sizeof(data) ? how - 127u : sizeof(data));
    ensure(memory_write(machine_memory(m), ARG_GPA + slot * 0x1000, data, sizeof(data)));
    return ARG_GPA + slot * 0x1000;
}

static void hypercall(struct machine *m, struct input *in)
{
    static const enum gpr wide[] = {GPR_RDI, GPR_RSI, GPR_RDX, GPR_R10},
                          narrow[] = {GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI};
    bool is_wide = vcpu_code_bits(m) == 64;

    vcpu_set_gpr(m, GPR_RAX, take_byte(in) % 56);
    for (unsigned i = 0; i < 4; i++)
        vcpu_set_gpr(m, is_wide ? wide[i] : narrow[i], argument(m, in, i));
    ensure(played_hypercall(m) == MODEL_DONE);
}

static void *play(struct input in)
{
    static const struct model *const models[] = {&xen_model, &lapic_model, &pic_model, &ioapic_model};
    uint8_t choice = take_byte(&in);
    struct platform_config platform = {.mode = choice & 1 ? PLATFORM_HVM : PLATFORM_PVH};
    struct machine_config config = {
        .ram_bytes = 1u << 20,
        .vcpus = VCPUS_HERE,
        .xen_version = xen_traits_rows[(choice >> 1) % xen_traits_count].version,
        .models = models,
        .model_count = 4,
        .platform = &platform,
    };
    struct machine *m = played_machine_new_config(&config);
    struct xen_state *copy = malloc(sizeof(*copy));

    ensure(copy);
    for (unsigned i = 0; i < CALLS_MAX && in.size; i++) {
        uint8_t what = take_byte(&in);

        played_set_current(m, what % VCPUS_HERE);
        set_bits(m, what % VCPUS_HERE, what & 0x40);
        if (what < 0xe0)
            hypercall(m, &in);
        else if (what < 0xe8)
            played_advance(m, 1000000ull * take_byte(&in));
        else if (what < 0xf0)
            xen_model.vcpu_switched_out(m, what % VCPUS_HERE);
        else if (what < 0xf4)
            xen_model.vcpu_switched_in(m, what % VCPUS_HERE);
        else if (what < 0xf8)
            (void)played_mmio_write(m, 0xfeffc000ull + (take_byte(&in) & 3) * 0x1000 + take_byte(&in) * 16u, 4,
                                    take_byte(&in));
        else if (what < 0xfc)
            (void)xenstore_host_write(m, "cpu/1/availability", "offline");
        else
            (void)xen_console_input(m, (const uint8_t *)"typed", 5);
        for (unsigned v = 0; v < VCPUS_HERE; v++)
            (void)played_pending_vector(m, v);
    }
    memcpy(copy, xen_state(m), sizeof(*copy));
    machine_free(m);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    void *first = play(in), *second = play(in);

    ensure(!memcmp(first, second, sizeof(struct xen_state)));
    free(first);
    free(second);
    return 0;
}
