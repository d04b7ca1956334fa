/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What models say of states that come from a file: each that has a state looks at it; what a machine makes of itself is
 * sound; a state that would be an index out of bounds is not; and whatever is said to be sound bears every access.
 */
#include "tests/pc_machine.h"

#include <inttypes.h>
#include <string.h>

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic_state.h"
#include "models/xen/state.h"

#define V(minor) XEN_VERSION(4, minor)

static struct machine *machine(unsigned version, unsigned vcpus, enum platform_mode mode)
{
    static const struct platform_config platforms[] = {{.mode = PLATFORM_PVH}, {.mode = PLATFORM_HVM}};
    const struct machine_config config = {.ram_bytes = PLAYED_RAM_BYTES,
                                          .vcpus = vcpus,
                                          .xen_version = version,
                                          .models = platform_models,
                                          .model_count = platform_model_count,
                                          .platform = &platforms[mode == PLATFORM_HVM]};

    return played_machine_new_config(&config);
}

static void every_model_with_a_state_looks_at_it(void **state)
{
    for (unsigned i = 0; i < platform_model_count; i++)
        if (platform_models[i]->state_bytes && !platform_models[i]->is_sound)
            fail_msg("%s has a state and no is_sound()", platform_models[i]->name);
}

static void a_new_machine_is_sound(void **state)
{
    static const unsigned vcpus[] = {1, 2, 33, 64};

    for (unsigned t = 0; t < xen_traits_count; t++)
        for (unsigned i = 0; i < COUNT(vcpus); i++)
            for (unsigned mode = 0; mode < 2; mode++) {
                struct machine *m = machine(xen_traits_rows[t].version, vcpus[i], mode ? PLATFORM_HVM : PLATFORM_PVH);

                for (unsigned k = 0; k < platform_model_count; k++)
                    if (platform_models[k]->is_sound && !platform_models[k]->is_sound(m))
                        fail_msg("a new %s is not sound", platform_models[k]->name);
                machine_free(m);
            }
}

/* ---- single fields ---- */

struct row {
    const char *field;
    size_t offset, bytes;
    uint64_t value;
};

#define XEN(field, value)   {#field, offsetof(struct xen_state, field), sizeof(((struct xen_state *)0)->field), value}
#define LAPIC(field, value) {#field, offsetof(struct lapic, field), sizeof(((struct lapic *)0)->field), value}

static void each_is_refused(const struct model *model, const struct row *row, size_t rows)
{
    struct machine *m = machine(V(17), 2, PLATFORM_HVM);
    uint8_t *bytes = machine_model_state(m, model);

    for (size_t i = 0; i < rows; i++) {
        uint64_t was = 0;

        memcpy(&was, bytes + row[i].offset, row[i].bytes);
        memcpy(bytes + row[i].offset, &row[i].value, row[i].bytes);
        if (model->is_sound(m))
            fail_msg("%s takes %s = %#" PRIx64, model->name, row[i].field, row[i].value);
        memcpy(bytes + row[i].offset, &was, row[i].bytes);
        assert_true(model->is_sound(m));
    }
    machine_free(m);
}

static void a_xen_state_out_of_bounds_is_refused(void **state)
{
    static const struct row rows[] = {
        XEN(traits, 0),
        XEN(traits, UINT32_MAX),
        XEN(compat, 2),
        XEN(callback_type, CALLBACK_VECTOR + 1),
        XEN(callback_type, CALLBACK_GSI), /* of GSI 0 */
        XEN(callback_asserted, 1),
        XEN(shutting_down, 2),
        XEN(shutdown_reason_known, 2),
        XEN(watchdogs_used, 4),
        XEN(fifo, 2),
        XEN(grant_version, 0),
        XEN(grant_version, 3),
        XEN(vm_assist, 1),
        XEN(ports_valid, 0),
        XEN(ports_valid, 63),
        XEN(ports_valid, PORTS_MAX + PORTS_BUCKET),
        XEN(port_max, PORTS_MAX),
        XEN(fifo_ports, FIFO_WORDS_PER_PAGE),
        XEN(grant_frames, 0),
        XEN(grant_frames, GRANT_FRAMES_MAX + 1),
        XEN(status_frames, 1),
        XEN(store_port, PORTS_MAX),
        XEN(console_port, PORTS_BUCKET),
        XEN(hole_count, HOLES_MAX + 1),
        XEN(console_input_bytes, CONSOLE_INPUT_BYTES + 1),
        XEN(gsi_levels, 1ull << IOAPIC_PINS),
        XEN(fifo_gfn[3], UINT64_MAX),
        XEN(port[0].state, PORT_FREE),
        XEN(port[1].state, PORT_IPI + 1),
        XEN(port[1].priority, FIFO_PRIORITIES),
        XEN(port[1].last_priority, FIFO_PRIORITIES),
        XEN(port[1].last_vcpu, 2),
        XEN(port[1].vcpu, 2),
        XEN(port[1].pending, 2),
        XEN(port[1].xen_consumer, 2),
        XEN(port[1].remote_port, PORTS_BUCKET),
        XEN(port[1].remote_port, 0),
        XEN(port[PORTS_MAX - 1].state, PORT_IPI),
        XEN(pirq_port[7], PORTS_BUCKET),
        XEN(pirq_gsi[7], IOAPIC_PINS),
        XEN(pirq_gsi[7], (uint32_t)-2),
        XEN(pirq_used[7], 4),
        XEN(vcpu[0].info_place, INFO_DUMMY + 1),
        XEN(vcpu[0].initialised, 2),
        XEN(vcpu[1].up, 2),
        XEN(vcpu[1].upcall_vector, 15),
        XEN(vcpu[1].runstate, RUNSTATE_offline + 1),
        XEN(vcpu[1].runstate_entry_ns, 1),
        XEN(vcpu[1].time_stamp_ns, UINT64_MAX),
        XEN(vcpu[1].periodic_period_ns, 1),
        XEN(vcpu[1].periodic_last_ns, UINT64_MAX),
        XEN(vcpu[1].runstate_area.kind, AREA_PHYSICAL + 1),
        XEN(vcpu[1].time_area.compat, 2),
        XEN(vcpu[1].virq_port[0], PORTS_BUCKET),
        XEN(vcpu[1].fifo.control_gpa, 4),
        XEN(vcpu[1].fifo.control_gpa, PAGE_BYTES - 8),
        XEN(page_gfn[PAGE_GRANT], 1ull << 52),
        XEN(page_gfn[PAGE_GRANT], 0xfeffc), /* xenstore's */
        XEN(memory_map_entries, 1025),
        XEN(memory_map_is_set, 2),
        XEN(store.request_bytes, STORE_MESSAGE_BYTES),
        XEN(store.queue_bytes, STORE_QUEUE_BYTES + 1),
        XEN(store.node[0].value_bytes, STORE_VALUE_BYTES + 1),
        XEN(store.node[0].guest_writes, 2),
        XEN(store.node[0].path[0], 'x'),
    };

    each_is_refused(&xen_model, rows, COUNT(rows));
}

static void texts_without_an_end_are_refused(void **state)
{
    struct machine *m = machine(V(17), 1, PLATFORM_HVM);
    struct xen_store *s = &xen_state(m)->store;
    struct {
        char *at;
        size_t bytes;
    } texts[] = {{s->node[0].path, STORE_PATH_BYTES},
                 {s->watch[0].path, STORE_PATH_BYTES},
                 {s->watch[0].token, STORE_TOKEN_BYTES}};

    for (size_t i = 0; i < COUNT(texts); i++) {
        char was[STORE_PATH_BYTES];

        memcpy(was, texts[i].at, texts[i].bytes);
        memset(texts[i].at, '/', texts[i].bytes);
        assert_false(xen_model.is_sound(m));
        memcpy(texts[i].at, was, texts[i].bytes);
        assert_true(xen_model.is_sound(m));
    }
    machine_free(m);
}

static void a_local_apic_out_of_bounds_is_refused(void **state)
{
    static const struct row rows[] = {
        LAPIC(base_msr, 0),
        LAPIC(base_msr, LAPIC_GPA | 1u << 11), /* not the first processor */
        LAPIC(isr[0], 1u << 15),
        LAPIC(irr[0], 1u << 2),
        LAPIC(tmr[0], 1),
        LAPIC(tpr, 0x100),
        LAPIC(ldr, 1),
        LAPIC(dfr, 0),
        LAPIC(svr, 0x400),
        LAPIC(svr, 0xff), /* off, but LINT0 is open */
        LAPIC(esr, 1),
        LAPIC(esr_latched, 0x100),
        LAPIC(icr_low, 1u << 12),
        LAPIC(icr_high, 1),
        LAPIC(lvt[LVT_TIMER], LVT_MASKED | LVT_MODE),
        LAPIC(timer_divide, 4),
        LAPIC(lint_level[1], 2),
        LAPIC(wait_for_sipi, 2),
    };

    each_is_refused(&lapic_model, rows, COUNT(rows));
}

/* A periodic timer that would have to expire 2^62 / 100000 times before the guest's next instruction. */
static void a_timer_that_is_centuries_behind_is_refused(void **state)
{
    struct machine *m = machine(V(17), 1, PLATFORM_HVM);
    struct lapic *l = lapic_of(m, 0);

    l->lvt[LVT_TIMER] = LVT_MASKED | 1u << LVT_TIMER_SHIFT;
    l->timer_initial = 1;
    assert_true(lapic_model.is_sound(m));
    l->timer_start_ns -= 1ull << 62;
    assert_false(lapic_model.is_sound(m));
    machine_free(m);
}

/* ---- whatever is taken ---- */

static void use_ports(struct machine *m)
{
    static const uint16_t ranges[][2] = {{0x20, 0x71}, {0xa0, 0xa1}, {0x3f8, 0x3ff}, {0x4d0, 0x4d1}, {0xaf00, 0xb00b}};

    for (size_t i = 0; i < COUNT(ranges); i++)
        for (uint16_t number = ranges[i][0]; number <= ranges[i][1]; number++) {
            uint32_t value = 0;

            (void)played_port_read(m, number, 1, &value);
            (void)played_port_write(m, number, 1, 0x35);
        }
}

/* Of every byte of the small states, two values. What is taken is used, and sound afterwards. */
static void what_is_taken_bears_every_access(void **state)
{
    static const struct {
        const char *model;
        unsigned refused_min;
    } rows[] = {{"pic", 40}, {"ioapic", 400}, {"pit", 60}, {"rtc", 30}, {"serial", 15}, {"power", 25}};
    struct machine *m = machine(V(17), 1, PLATFORM_HVM);

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct model *model = platform_models[0];
        unsigned refused = 0;
        uint8_t *bytes, was[1024];

        for (unsigned k = 0; strcmp(model->name, rows[i].model) != 0;)
            model = platform_models[++k];
        bytes = machine_model_state(m, model);
        assert_in_range(model->state_bytes, 1, sizeof(was));
        memcpy(was, bytes, model->state_bytes);
        for (size_t at = 0; at < 2 * model->state_bytes; at++) {
            bytes[at / 2] = at % 2 ? 0xff : 0x40;
            if (!model->is_sound(m)) {
                refused++;
            } else {
                use_ports(m);
                assert_true(model->is_sound(m));
            }
            for (unsigned k = 0; k < TIMER_KINDS_MAX; k++)
                timer_disarm(m, model, k, 0);
            memcpy(bytes, was, model->state_bytes);
        }
        assert_in_range(refused, rows[i].refused_min, 2 * model->state_bytes);
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_with_a_state_looks_at_it),
        cmocka_unit_test(a_new_machine_is_sound),
        cmocka_unit_test(a_xen_state_out_of_bounds_is_refused),
        cmocka_unit_test(texts_without_an_end_are_refused),
        cmocka_unit_test(a_local_apic_out_of_bounds_is_refused),
        cmocka_unit_test(a_timer_that_is_centuries_behind_is_refused),
        cmocka_unit_test(what_is_taken_bears_every_access),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
