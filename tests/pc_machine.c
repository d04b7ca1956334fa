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
    const struct machine_config config = {.ram_bytes = PLAYED_RAM_BYTES,
                                          .vcpus = vcpus,
                                          .models = models,
                                          .model_count = model_count,
                                          .platform = platform};

    return played_machine_new_config(&config);
}

void port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
    assert_int_equal(played_port_write(m, port, bytes, value), MODEL_DONE);
}

uint32_t port_read(struct machine *m, uint16_t port, unsigned bytes)
{
    uint32_t value = 0;

    assert_int_equal(played_port_read(m, port, bytes, &value), MODEL_DONE);
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

/* ---- hostile accesses ---- */

uint64_t pc_hostile_port(struct machine *m, uint64_t random, const uint16_t *ports, size_t count)
{
    uint16_t number = ports[(random >> 8) % count];
    unsigned bytes = 1u << (random >> 1 & 3) % 3;
    uint32_t value = 0;
    enum model_answer answer = random & 1 ? played_port_read(m, number, bytes, &value)
                                          : played_port_write(m, number, bytes, (uint32_t)(random >> 32));

    if (bytes < 4)
        assert_int_equal(value >> 8 * bytes, 0);
    return (uint64_t)answer << 32 | value;
}

static void all_are_sound(struct machine *m)
{
    const struct machine_config *c = machine_config(m);

    for (unsigned i = 0; i < c->model_count; i++) {
        if (c->models[i]->state_bytes) {
            assert_non_null(c->models[i]->is_sound);
            if (!c->models[i]->is_sound(m))
                fail_msg("the state of %s is not sound", c->models[i]->name);
        }
    }
}

static uint64_t join(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x100000001b3ull;
}

/* A digest of all that the guest saw, and of the machine at the end. */
static uint64_t hostile_run(const struct pc_hostile *h)
{
    struct machine *m = h->make();
    uint64_t sum = 0xcbf29ce484222325ull, random = 1;

    for (unsigned i = 0; i < PC_HOSTILE_ACCESSES; i++) {
        uint64_t r = played_random(&random);

        sum = join(sum, h->access(m, r));
        if (r & 0x40) {
            int vector = played_accept(m, machine_current(m));

            if (vector != MODEL_NO_VECTOR)
                assert_in_range(vector, h->vector_min, 255);
            sum = join(sum, (uint64_t)vector);
        }
        played_advance(m, r >> 24 & h->time_mask);
        if (i % 1024 == 0)
            all_are_sound(m);
        if (!h->may_end && machine_verdict(m)->kind != VERDICT_NONE)
            fail_msg("the run ended: %s", machine_verdict(m)->text);
    }
    all_are_sound(m);
    h->check(m);
    sum = join(sum, machine_digest(m));
    machine_free(m);
    return sum;
}

void pc_hostile_accesses(const struct pc_hostile *h)
{
    uint64_t first = hostile_run(h), second = hostile_run(h);

    assert_true(first == second);
}
