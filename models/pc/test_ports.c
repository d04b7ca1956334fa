/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/test_ports.h"

#include "emu/base/count.h"
#include "emu/machine.h"
#include "models/pc/cpuid.h"

#define PORT_EXIT   0xf4u
#define PORT_SELECT 0x510u
#define PORT_DATA   0x511u

#define CPUID_1_ECX_HYPERVISOR (1u << 31)

enum { ITEM_SIGNATURE = 0x00, ITEM_ID = 0x01, ITEM_RAM_BYTES = 0x03, ITEM_CPUS = 0x05, ITEM_CPUS_MAX = 0x0f };

struct test_ports_state {
    uint32_t item, at; /* what is selected, and how many bytes of it were read */
};

static struct test_ports_state *state_of(struct machine *m)
{
    return machine_model_state(m, &test_ports_model);
}

/* Little-endian; what is not there, and what is behind an item's end, reads as zeros. */
static uint8_t item_byte(struct machine *m, uint32_t item, uint32_t at)
{
    uint64_t value = item == ITEM_SIGNATURE                       ? 0x554d4551 /* "QEMU" */
                     : item == ITEM_ID                            ? 1          /* the interface by ports */
                     : item == ITEM_RAM_BYTES                     ? machine_config(m)->ram_bytes
                     : item == ITEM_CPUS || item == ITEM_CPUS_MAX ? machine_vcpus(m)
                                                                  : 0;

    return at < sizeof(value) ? value >> (8 * at) & 0xff : 0;
}

static enum model_answer test_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                        uint32_t *value)
{
    struct test_ports_state *s = state_of(m);

    if (port != PORT_DATA || bytes != 1)
        return MODEL_NOT_MINE;
    *value = item_byte(m, s->item, s->at);
    if (s->at < sizeof(uint64_t))
        s->at++;
    return MODEL_DONE;
}

static enum model_answer test_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                         uint32_t value)
{
    if (port == PORT_EXIT) {
        machine_set_verdict(m, value ? VERDICT_FAIL : VERDICT_PASS, value ? "crash" : NULL,
                            "the guest wrote %u to the test-exit port", value);
        return MODEL_DONE;
    }
    if (port == PORT_SELECT && bytes == 2) {
        *state_of(m) = (struct test_ports_state){.item = value};
        return MODEL_DONE;
    }
    return MODEL_NOT_MINE;
}

/* Leaves out of range are zero here as for Xen's guests (cpuid.c); a hypervisor's are such. */
static enum model_answer test_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf,
                                    struct cpuid_regs *r)
{
    enum model_answer answer;

    if (leaf >= CPUID_HYPERVISOR_FIRST && leaf <= CPUID_HYPERVISOR_LAST) {
        *r = (struct cpuid_regs){0};
        return MODEL_DONE;
    }
    answer = cpuid_model.cpuid(m, vcpu, leaf, subleaf, r);
    if (answer == MODEL_DONE && leaf == 1)
        r->ecx &= ~CPUID_1_ECX_HYPERVISOR;
    return answer;
}

static bool test_ports_is_sound(struct machine *m)
{
    return state_of(m)->item <= UINT16_MAX && state_of(m)->at <= sizeof(uint64_t);
}

const struct model test_ports_model = {
    .name = "test-ports",
    .state_bytes = sizeof(struct test_ports_state),
    .is_sound = test_ports_is_sound,
    .port_read = test_port_read,
    .port_write = test_port_write,
    .cpuid = test_cpuid,
};
