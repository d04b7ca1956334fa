/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The detector of lost events, on facts made by hand and a model that holds one event. */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "fuzz/detect/lost_event.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/model.h"
#include "emu/trace.h"

#define PATIENCE_NS 1000u

static unsigned held_one(struct machine *m, struct held_event *out, unsigned max)
{
    assert_true(max > 0);
    out[0] = (struct held_event){.what = "virq", .number = 0, .port = 3, .vcpu = 1, .why = "nobody comes for it"};
    return 1;
}

static const struct model holder = {.name = "holder", .held_events = held_one};
static const struct model *const models[] = {&holder};

struct step {
    uint64_t after_ns;
    enum trace_kind kind;
    unsigned vcpu;
    uint64_t a, b, c;
};

/* clang-format off */
static const struct row {
    const char *name;
    struct step step[5];
    uint64_t dropped, overdue;
    const char *text; /* in the verdict; NULL: there is none */
} rows[] = {
    {"an event that is dropped is lost at once",
     {{1, TRACE_EVENT, 0, 6, 1, TRACE_EVENT_DROPPED}}, 1, 0, "no FIFO control block"},
    {"an upcall that is taken is none",
     {{1, TRACE_EVENT, 0, 3, 1, 1}, {10, TRACE_INTERRUPT, 1, 0xf3, 0, 0}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 0, NULL},
    {"one that is not taken is overdue",
     {{1, TRACE_EVENT, 0, 3, 1, 1}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 1, "virq 0 on port 3 for vCPU 1: nobody comes for it"},
    {"… and told once",
     {{1, TRACE_EVENT, 0, 3, 1, 1}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 1, "virq 0"},
    {"not before its time",
     {{1, TRACE_EVENT, 0, 3, 1, 1}, {PATIENCE_NS - 1, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 0, NULL},
    {"an upcall for which nothing is held was taken without an interrupt",
     {{1, TRACE_EVENT, 0, 3, 0, 1}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 0, NULL},
    {"an interrupt of another vCPU changes nothing",
     {{1, TRACE_EVENT, 0, 3, 1, 1}, {10, TRACE_INTERRUPT, 0, 0xf3, 0, 0}, {5000, TRACE_CONSOLE, 0, 'x', 0, 0}}, 0, 1, "vCPU 1"},
};
/* clang-format on */

static void run_row(const struct row *row, bool is_verdict)
{
    struct machine_config config = {.ram_bytes = 1 << 20, .vcpus = 2, .models = models, .model_count = 1};
    struct lost_event_options options = {.fail = is_verdict, .patience_ns = PATIENCE_NS};
    struct lost_event l;
    struct machine *m;
    struct diag d;

    assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
    assert_int_equal(lost_event_attach(&l, m, &options, &d), EMU_OK);
    for (unsigned i = 0; i < 5 && row->step[i].after_ns; i++) {
        const struct step *s = &row->step[i];

        clock_charge(m, s->after_ns);
        trace_add(m, s->kind, s->vcpu, s->a, s->b, s->c);
    }
    if (lost_event_report(&l, m)->dropped != row->dropped || lost_event_report(&l, m)->overdue != row->overdue)
        fail_msg("%s: %u dropped, %u overdue", row->name, (unsigned)lost_event_report(&l, m)->dropped,
                 (unsigned)lost_event_report(&l, m)->overdue);
    if (!is_verdict || !row->text) {
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    } else {
        assert_string_equal(machine_verdict(m)->detector, "lost-event");
        if (!strstr(machine_verdict(m)->text, row->text))
            fail_msg("%s: %s", row->name, machine_verdict(m)->text);
    }
    machine_free(m);
}

static void lost_events_are_counted(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        run_row(&rows[i], false);
}

static void the_first_lost_event_is_the_verdict_and_says_why(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        run_row(&rows[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_events_are_counted),
        cmocka_unit_test(the_first_lost_event_is_the_verdict_and_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
