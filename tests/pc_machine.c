/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

struct machine *pc_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM};

    return pc_machine_new_platform(vcpus, models, model_count, &hvm);
}

struct machine *pc_machine_new_platform(unsigned vcpus, const struct model *const *models, unsigned model_count,
                                        const struct platform_config *platform)
{
    const struct machine_config config = {.ram_bytes = FAKE_RAM_BYTES,
                                          .vcpus = vcpus,
                                          .models = models,
                                          .model_count = model_count,
                                          .platform = platform};

    return fake_machine_new_config(&config);
}

void port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
    assert_int_equal(fake_port_write(m, port, bytes, value), MODEL_DONE);
}

uint32_t port_read(struct machine *m, uint16_t port, unsigned bytes)
{
    uint32_t value = 0;

    assert_int_equal(fake_port_read(m, port, bytes, &value), MODEL_DONE);
    return value;
}

void out(struct machine *m, uint16_t port, uint8_t value)
{
    port_write(m, port, 1, value);
}

uint8_t in(struct machine *m, uint16_t port)
{
    return (uint8_t)port_read(m, port, 1);
}

void pc_program_pics(struct machine *m, uint8_t icw4)
{
    static const struct {
        uint16_t command, data;
        uint8_t vector, cascade;
    } pics[] = {{0x20, 0x21, 0x30, 0x04}, {0xa0, 0xa1, 0x38, 0x02}};

    for (unsigned i = 0; i < 2; i++) {
        out(m, pics[i].command, 0x11);
        out(m, pics[i].data, pics[i].vector);
        out(m, pics[i].data, pics[i].cascade);
        out(m, pics[i].data, 0x01 | icw4);
    }
}

void pc_hostile_accesses(struct machine *m, const uint16_t *ports, size_t count,
                         void (*also)(struct machine *m, uint64_t random))
{
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t r = fake_hostile_access(m, ports, count);

        if (also)
            also(m, r);
        if (r & 0x40)
            (void)fake_accept(m, 0);
        fake_advance(m, r >> 24 & 0xffff);
    }
    assert_true(clock_now_ns(m) > 0);
}
