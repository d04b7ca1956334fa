/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc_machine: a played machine that is an HVM guest's PC, made of the models that a test names, and what
 * a guest does with it before all else. It is for the devices of models/pc that have ports and an interrupt line.
 */
#ifndef BOOTRACE_TESTS_PC_MACHINE_H
#define BOOTRACE_TESTS_PC_MACHINE_H

#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include "models/platform.h"

/* As played_machine_new(), in HVM mode, and with another configuration of the platform. `models` and `platform` outlive
   the machine. */
struct machine *pc_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count);
struct machine *pc_machine_new_platform(unsigned vcpus, const struct model *const *models, unsigned model_count,
                                        const struct platform_config *platform);

/* What the guest writes or reads; some model must answer. The short names are for a byte. */
void port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value);
uint32_t port_read(struct machine *m, uint16_t port, unsigned bytes);
void out(struct machine *m, uint16_t port, uint8_t value);
uint8_t in(struct machine *m, uint16_t port);

/* The pair of 8259As as Linux programs it: IRQ 0 is vector 0x30, IRQ 8 is vector 0x38; nothing is masked, which ICW1
   alone sees to. `icw4` is set in ICW4 of both, besides the 8086's mode. */
void pc_program_pics(struct machine *m, uint8_t icw4);

#define PC_HOSTILE_ACCESSES 200000

/* A guest that does anything. */
struct pc_hostile {
    struct machine *(*make)(void);
    /* One access, chosen by `random`, of which bit 6 and bits 24 to 47 choose what happens behind it; returns what the
       guest saw. */
    uint64_t (*access)(struct machine *m, uint64_t random);
    /* What must be true of the registers at the end whatever was written: reserved bits above all. */
    void (*check)(struct machine *m);
    uint64_t time_mask;  /* of the nanoseconds between two accesses */
    unsigned vector_min; /* no lower vector may be delivered */
    bool may_end;        /* the device can end the run */
};

/* PC_HOSTILE_ACCESSES of them, while time passes and interrupts are taken, twice from the same seed: what the guest
   sees and what the machine is afterwards are the same; no verdict unless the device can give one; every state is
   sound. */
void pc_hostile_accesses(const struct pc_hostile *h);

/* An access of some size to one of the ports, for the above. */
uint64_t pc_hostile_port(struct machine *m, uint64_t random, const uint16_t *ports, size_t count);

#endif
