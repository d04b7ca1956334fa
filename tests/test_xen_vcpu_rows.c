/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include <inttypes.h>

#include "emu/base/count.h"

#define INFO_GFN 0x300ull
#define VCPUS    3u

static int64_t vcpu_op(struct machine *m, uint64_t op, uint64_t vcpu, uint64_t gva)
{
    return call(m, __HYPERVISOR_vcpu_op, op, vcpu, gva);
}

/* Answers that need no state and no structure, by version. */
static void every_row_answers_by_version(void **state)
{
    static const struct {
        unsigned version;
        unsigned op, vcpu;
        uint64_t gva;
        int64_t answer;
    } rows[] = {
        {V(1), VCPUOP_initialise, 1, 0, XEN_ENOSYS},
        {V(1), VCPUOP_up, 1, 0, XEN_ENOSYS},
        {V(1), VCPUOP_down, 1, 0, XEN_ENOSYS},
        {V(4), VCPUOP_is_up, 0, 0, XEN_ENOSYS},
        {V(7), VCPUOP_is_up, 0, 0, 1},
        {V(17), VCPUOP_is_up, 0, 0, 1},
        {V(17), VCPUOP_is_up, 1, 0, 0},
        {V(17), VCPUOP_is_up, VCPUS, 0, XEN_ENOENT},
        {V(17), VCPUOP_is_up, 8192, 0, XEN_ENOENT},
        {V(17), VCPUOP_is_up, UINT32_MAX, 0, XEN_ENOENT},
        {V(4), VCPUOP_stop_periodic_timer, VCPUS, 0, XEN_ENOENT},
        {V(4), VCPUOP_stop_periodic_timer, 8192, 0, XEN_EINVAL},
        {V(4), VCPUOP_stop_periodic_timer, UINT32_MAX, 0, XEN_EINVAL},
        {V(1), VCPUOP_stop_periodic_timer, 0, 0, 0},
        {V(17), VCPUOP_up, 1, 0, XEN_EINVAL},
        {V(17), VCPUOP_up, 0, 0, 0},
        {V(17), VCPUOP_down, 1, 0, 0},
        {V(17), VCPUOP_initialise, 1, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_get_runstate_info, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_register_runstate_memory_area, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_set_periodic_timer, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_set_singleshot_timer, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_set_singleshot_timer, 1, BAD_GVA, XEN_EINVAL},
        {V(17), VCPUOP_stop_singleshot_timer, 0, 0, 0},
        {V(17), VCPUOP_stop_singleshot_timer, 1, 0, XEN_EINVAL},
        {V(17), VCPUOP_register_vcpu_info, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_send_nmi, 1, ARG_GPA, XEN_EINVAL},
        {V(17), VCPUOP_send_nmi, 1, 0, 0},
        {V(1), VCPUOP_send_nmi, 1, 0, XEN_ENOSYS},
        {V(17), VCPUOP_get_physid, 0, ARG_GPA, XEN_EINVAL},
        {V(1), VCPUOP_register_vcpu_time_memory_area, 0, ARG_GPA, XEN_ENOSYS},
        {V(2), VCPUOP_register_vcpu_time_memory_area, 0, ARG_GPA, XEN_ENOSYS},
        {V(4), VCPUOP_register_vcpu_time_memory_area, 0, ARG_GPA, 0},
        {V(17), VCPUOP_register_vcpu_time_memory_area, 0, BAD_GVA, XEN_EFAULT},
        {V(17), VCPUOP_register_runstate_phys_area, 0, ARG_GPA, XEN_ENOSYS},
        {V(17), VCPUOP_register_vcpu_time_phys_area, 0, ARG_GPA, XEN_ENOSYS},
        {V(18), VCPUOP_register_runstate_phys_area, 0, BAD_GVA, XEN_EFAULT},
        {V(18), VCPUOP_register_vcpu_time_phys_area, 0, BAD_GVA, XEN_EFAULT},
        {V(17), 99, 0, 0, XEN_ENOSYS},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, VCPUS);
        int64_t answer = vcpu_op(m, rows[i].op, rows[i].vcpu, rows[i].gva);

        if (answer != rows[i].answer)
            print_message("row %u: answer %" PRId64 ", not %" PRId64 "\n", i, answer, rows[i].answer);
        assert_int_equal(answer, rows[i].answer);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

static struct vcpu_hvm_context context_64(void)
{
    struct vcpu_hvm_context c = {.mode = VCPU_HVM_MODE_64B};

    c.cpu_regs.x86_64.rip = 0xffffffff81000000ull;
    c.cpu_regs.x86_64.rsp = 0x8000;
    c.cpu_regs.x86_64.cr0 = CR0_PE | CR0_PG;
    c.cpu_regs.x86_64.cr3 = 0x5000;
    c.cpu_regs.x86_64.cr4 = CR4_PAE;
    c.cpu_regs.x86_64.efer = EFER_LME | EFER_LMA;
    return c;
}

static struct vcpu_hvm_context context_32(void)
{
    struct vcpu_hvm_context c = {.mode = VCPU_HVM_MODE_32B};
    struct vcpu_hvm_x86_32 *r = &c.cpu_regs.x86_32;

    r->eip = 0x100000;
    r->ebx = 0x1234;
    r->cr0 = CR0_PE;
    r->cs_limit = r->ds_limit = r->ss_limit = r->es_limit = UINT32_MAX;
    r->tr_limit = 0x67;
    r->cs_ar = 0xc9b;
    r->ds_ar = r->ss_ar = r->es_ar = 0xc93;
    r->tr_ar = 0x8b;
    return c;
}

static void contexts_are_checked(void **state)
{
    enum {
        BAD_MODE,
        BAD_PAD,
        RIP_NOT_CANONICAL,
        NO_PAGING,
        NO_LME,
        EIP_LIMIT,
        CS_DATA,
        SS_DPL,
        LMA_NO_LME,
        PAD_32,
        ALL
    };
    struct machine *m = guest_new(V(17), VCPUS);

    for (unsigned bad = 0; bad < ALL; bad++) {
        struct vcpu_hvm_context c = bad < EIP_LIMIT ? context_64() : context_32();
        struct vcpu_hvm_x86_32 *r = &c.cpu_regs.x86_32;

        switch (bad) {
        case BAD_MODE:
            c.mode = 2;
            break;
        case BAD_PAD:
            c.pad = 1;
            break;
        case RIP_NOT_CANONICAL:
            c.cpu_regs.x86_64.rip = 0x8000000000000000ull;
            break;
        case NO_PAGING:
            c.cpu_regs.x86_64.cr0 = CR0_PE;
            break;
        case NO_LME:
            c.cpu_regs.x86_64.efer = EFER_LMA;
            break;
        case EIP_LIMIT:
            r->cs_limit = 0xfff;
            r->cs_ar = 0x49b;
            break;
        case CS_DATA:
            r->cs_ar = 0xc93;
            break;
        case SS_DPL:
            r->ss_ar |= 3 << 5;
            break;
        case LMA_NO_LME:
            r->efer = EFER_LMA;
            break;
        case PAD_32:
            r->pad1 = 1;
            break;
        }
        if (CALL_VCPU(m, VCPUOP_initialise, 1, &c) != XEN_EINVAL)
            print_message("context %u is taken\n", bad);
        assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EINVAL);
    }
    assert_int_equal(vcpu_op(m, VCPUOP_up, 1, 0), XEN_EINVAL);
    machine_free(m);
}

static void a_vcpu_is_initialised_once_and_then_starts(void **state)
{
    struct machine *m = guest_new(V(17), VCPUS);
    struct vcpu_hvm_context c = context_64(), c32 = context_32();

    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    assert_int_equal(vcpu_op(m, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EEXIST);
    assert_int_equal(vcpu_op(m, VCPUOP_up, 1, 0), 0);
    assert_int_equal(vcpu_op(m, VCPUOP_up, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_RUNNABLE);
    assert_int_equal(vcpu_op(m, VCPUOP_is_up, 1, 0), 1);
    assert_int_equal(played_regs(m, 1)->rip, 0xffffffff81000000ull);
    assert_int_equal(regs_code_bits(played_regs(m, 1)), 64);
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 2, &c32), 0);
    assert_int_equal(vcpu_op(m, VCPUOP_up, 2, 0), 0);
    assert_int_equal(regs_code_bits(played_regs(m, 2)), 32);
    assert_int_equal(played_regs(m, 2)->gpr[GPR_RBX], 0x1234);
    assert_int_equal(vcpu_op(m, VCPUOP_down, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    assert_int_equal(vcpu_op(m, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(vcpu_op(m, VCPUOP_up, 1, 0), 0); /* still initialised */
    assert_int_equal(vcpu_op(m, VCPUOP_is_up, 1, 0), 1);
    machine_free(m);
}

/* ---- vcpu_info ---- */

static void registering_vcpu_info_is_checked_by_version(void **state)
{
    static const struct {
        unsigned version, vcpu;
        uint64_t gfn;
        uint32_t offset;
        int64_t answer;
    } rows[] = {
        {V(1), 0, INFO_GFN, 4096 - 63, XEN_EINVAL},
        {V(4), 0, INFO_GFN, 4096 - 63, XEN_EINVAL},
        {V(17), 0, INFO_GFN, 4096 - 63, XEN_ENXIO},
        {V(18), 0, INFO_GFN, 4096 - 63, XEN_ENXIO},
        {V(4), 0, INFO_GFN, 4, 0}, /* not asked for before 4.14 */
        {V(17), 0, INFO_GFN, 4, XEN_ENXIO},
        {V(17), 0, INFO_GFN, 4096 - 64, 0},
        {V(17), 0, INFO_GFN, 8, 0},
        {V(17), 0, PLAYED_RAM_BYTES >> PAGE_SHIFT, 0, XEN_EINVAL},
        {V(4), 0, UINT64_MAX, 0, XEN_EINVAL},
        {V(17), 0, UINT64_MAX, 0, XEN_EINVAL},
        {V(18), 0, UINT64_MAX, 0, XEN_EINVAL},
        {V(18), 0, UINT64_MAX, 4095, XEN_EINVAL}, /* the frame is looked at first */
        {V(17), 1, INFO_GFN, 0, 0},               /* it is down */
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 2);
        struct vcpu_register_vcpu_info info = {.mfn = rows[i].gfn, .offset = rows[i].offset};
        int64_t answer = CALL_VCPU(m, VCPUOP_register_vcpu_info, rows[i].vcpu, &info);

        if (answer != rows[i].answer)
            print_message("row %u: answer %" PRId64 ", not %" PRId64 "\n", i, answer, rows[i].answer);
        assert_int_equal(answer, rows[i].answer);
        machine_free(m);
    }
}

static void before_4_16_the_moved_time_record_is_stale(void **state)
{
    struct machine *m = guest_new(V(4), 1);
    struct vcpu_register_vcpu_info info = {.mfn = INFO_GFN};
    struct vcpu_info seen;

    played_advance(m, 5000);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &info), 0);
    get(m, INFO_GFN << PAGE_SHIFT, &seen, sizeof(seen));
    assert_int_equal(seen.time.system_time, 0);
    xen_model.vcpu_switched_in(m, 0);
    get(m, INFO_GFN << PAGE_SHIFT, &seen, sizeof(seen));
    assert_int_equal(seen.time.system_time, 5000);
    machine_free(m);
}

static void a_vcpu_without_a_slot_has_a_dummy_until_it_registers(void **state)
{
    struct machine *m = guest_new(V(18), 34), *new = guest_new(V(19), 34);
    struct vcpu_hvm_context c = context_64();
    struct vcpu_register_vcpu_info info = {.mfn = INFO_GFN};
    struct vcpu_info seen;

    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 31, &c), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 32, &c), XEN_EINVAL);
    assert_int_equal(CALL_VCPU(new, VCPUOP_initialise, 32, &c), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 32, &info), 0);
    get(m, INFO_GFN << PAGE_SHIFT, &seen, sizeof(seen));
    assert_int_equal(seen.evtchn_upcall_mask, 1);
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 32, &c), 0);
    machine_free(m);
    machine_free(new);
}

/* ---- runstate and time areas ---- */

static void runstate_counts_where_the_time_went(void **state)
{
    struct machine *m = guest_new(V(17), 2);
    struct vcpu_runstate_info r = {0};
    uint64_t area = 0x301000;

    put(m, ARG_GPA, &area, sizeof(area));
    assert_int_equal(vcpu_op(m, VCPUOP_register_runstate_memory_area, 0, ARG_GPA), 0);
    played_advance(m, 1000);
    played_set_state(m, 0, VCPU_HALTED);
    xen_model.vcpu_switched_out(m, 0);
    get(m, area, &r, sizeof(r));
    assert_int_equal(r.state, RUNSTATE_blocked);
    assert_int_equal(r.state_entry_time, 1000);
    played_advance(m, 500);
    played_set_state(m, 0, VCPU_RUNNABLE);
    xen_model.vcpu_switched_in(m, 0);
    played_advance(m, 30);
    assert_int_equal(CALL_VCPU(m, VCPUOP_get_runstate_info, 0, &r), 0);
    assert_int_equal(r.state, RUNSTATE_running);
    assert_int_equal(r.time[RUNSTATE_running], 1030);
    assert_int_equal(r.time[RUNSTATE_blocked], 500);
    assert_int_equal(r.time[RUNSTATE_runnable], 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_get_runstate_info, 1, &r), 0);
    assert_int_equal(r.state, RUNSTATE_offline);
    assert_int_equal(r.time[RUNSTATE_offline], 1530);
    machine_free(m);
}

static void physical_areas_are_checked_and_taken_away(void **state)
{
    static const struct {
        unsigned op;
        uint64_t gpa;
        int64_t answer;
    } rows[] = {
        {VCPUOP_register_runstate_phys_area, 0x301000, 0},
        {VCPUOP_register_runstate_phys_area, 0x301000 + 4096 - 48, 0},
        {VCPUOP_register_runstate_phys_area, 0x301000 + 4096 - 40, XEN_ENXIO},
        {VCPUOP_register_runstate_phys_area, 0x301004, XEN_ENXIO},
        {VCPUOP_register_runstate_phys_area, UINT64_MAX, 0},
        {VCPUOP_register_runstate_phys_area, PLAYED_RAM_BYTES, XEN_EINVAL},
        {VCPUOP_register_vcpu_time_phys_area, 0x301000 + 4096 - 32, 0},
        {VCPUOP_register_vcpu_time_phys_area, 0x301000 + 4096 - 24, XEN_ENXIO},
        {VCPUOP_register_vcpu_time_phys_area, 0x301004, XEN_ENXIO},
        {VCPUOP_register_vcpu_time_phys_area, UINT64_MAX, 0},
    };
    struct machine *m = guest_new(V(18), 1);
    struct vcpu_time_info t;
    uint64_t gpa = 0x302000;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t address = rows[i].gpa;

        assert_int_equal(CALL_VCPU(m, rows[i].op, 0, &address), rows[i].answer);
    }
    played_advance(m, 100);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_time_phys_area, 0, &gpa), 0);
    xen_model.vcpu_switched_in(m, 0);
    get(m, 0x302000, &t, sizeof(t));
    assert_int_equal(t.system_time, 100);
    gpa = UINT64_MAX;
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_time_phys_area, 0, &gpa), 0);
    played_advance(m, 100);
    xen_model.vcpu_switched_in(m, 0);
    get(m, 0x302000, &t, sizeof(t));
    assert_int_equal(t.system_time, 100);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_by_version),
        cmocka_unit_test(contexts_are_checked),
        cmocka_unit_test(a_vcpu_is_initialised_once_and_then_starts),
        cmocka_unit_test(registering_vcpu_info_is_checked_by_version),
        cmocka_unit_test(before_4_16_the_moved_time_record_is_stale),
        cmocka_unit_test(a_vcpu_without_a_slot_has_a_dummy_until_it_registers),
        cmocka_unit_test(runstate_counts_where_the_time_went),
        cmocka_unit_test(physical_areas_are_checked_and_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
