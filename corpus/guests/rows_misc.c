/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_misc: SCHEDOP_*, set_timer_op, time, HVMOP_* and HVM params, PHYSDEVOP_*, xen_version, vm_assist, multicall,
 * and hypercalls that an HVM guest does not have.
 * Source: Xen public/sched.h, hvm/hvm_op.h, hvm/params.h, physdev.h, version.h; seed facts M.5 and M.6.
 */
#include "rows.h"
#include <xen/features.h>
#include <xen/physdev.h>

static void rows_sched(void)
{
    ROW("sched.unknown_op", sched_op(99, BAD_POINTER));
    ROW("sched.yield", sched_op(SCHEDOP_yield, NULL));
    ROW("sched.shutdown.efault", sched_op(SCHEDOP_shutdown, BAD_POINTER));
    struct sched_watchdog dog = {.id = 3, .timeout = 10};
    ROW("sched.watchdog.efault", sched_op(SCHEDOP_watchdog, BAD_POINTER));
    ROW("sched.watchdog.id_3", sched_op(SCHEDOP_watchdog, &dog));
    dog.id = 1;
    ROW("sched.watchdog.not_in_use", sched_op(SCHEDOP_watchdog, &dog));
    dog = (struct sched_watchdog){.id = 0, .timeout = 100}; /* with timeout 0 it would bite at once */
    ROW("sched.watchdog.first", sched_op(SCHEDOP_watchdog, &dog));
    ROW("sched.watchdog.second", sched_op(SCHEDOP_watchdog, &dog));
    ROW("sched.watchdog.third", sched_op(SCHEDOP_watchdog, &dog));
    dog.id = 1;
    ROW("sched.watchdog.rearm", sched_op(SCHEDOP_watchdog, &dog));
    dog.timeout = 0;
    ROW("sched.watchdog.stop_1", sched_op(SCHEDOP_watchdog, &dog));
    dog.id = 2;
    ROW("sched.watchdog.stop_2", sched_op(SCHEDOP_watchdog, &dog));
    ROW("sched.watchdog.stop_2_again", sched_op(SCHEDOP_watchdog, &dog));
    struct sched_remote_shutdown remote = {.domain_id = BAD_DOMAIN};
    ROW("sched.remote_shutdown.bad_domain", sched_op(SCHEDOP_remote_shutdown, &remote));
    ROW("sched.shutdown_code.efault", sched_op(SCHEDOP_shutdown_code, BAD_POINTER));
    ROW("sched.pin_override.efault", sched_op(SCHEDOP_pin_override, BAD_POINTER));
    ROW("set_timer_op.0", hypercall(__HYPERVISOR_set_timer_op, 0, 0, 0, 0, 0));
}

static void rows_time(void)
{
    struct shared_info *shared = xen_shared_info();
    volatile struct vcpu_time_info *time = &shared->vcpu_info[0].time;
    uint64_t first = time->system_time;
    sched_op(SCHEDOP_yield, NULL);
    ROW_EFFECT("time.record", 0, "version %s, time %s, scale %s, never back %u", time->version & 1 ? "odd" : "even",
               first ? "set" : "0", time->tsc_to_system_mul ? "set" : "0", time->system_time >= first);
    struct xen_hvm_get_time get = {0};
    ROW_EFFECT("hvm.get_time", hvm_op(HVMOP_get_time, &get), "%s", get.now ? "set" : "0");
}

static long set_param(uint32_t index, uint64_t value)
{
    struct xen_hvm_param arg = {.domid = DOMID_SELF, .index = index, .value = value};
    return hvm_op(HVMOP_set_param, &arg);
}

static void row_get_param(const char *name, uint32_t index)
{
    struct xen_hvm_param arg = {.domid = DOMID_SELF, .index = index};
    long result = hvm_op(HVMOP_get_param, &arg);
    ROW_EFFECT(name, result, "%s", result ? "none" : arg.value ? "set" : "0");
}

static char text_of_version[1024];

static void rows_hvm(void)
{
    ROW("hvm.unknown_op", hvm_op(99, BAD_POINTER));
    ROW("hvm.set_param.efault", hvm_op(HVMOP_set_param, BAD_POINTER));
    ROW("hvm.set_param.unknown", set_param(1000, 0));
    ROW("hvm.set_param.deprecated_4", set_param(4, 0));
    ROW("hvm.set_param.ioreq_pfn", set_param(HVM_PARAM_IOREQ_PFN, 1));
    ROW("hvm.set_param.store_pfn", set_param(HVM_PARAM_STORE_PFN, 1));
    ROW("hvm.set_param.console_pfn", set_param(HVM_PARAM_CONSOLE_PFN, 1));
    ROW("hvm.set_param.deprecated_13", set_param(13, 0));
    ROW("hvm.set_param.callback_vector_0xf3", set_param(HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0xf3));
    row_get_param("hvm.get_param.callback", HVM_PARAM_CALLBACK_IRQ);
    ROW("hvm.set_param.callback_vector_0x0f", set_param(HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0x0f));
    ROW("hvm.set_param.callback_type_9", set_param(HVM_PARAM_CALLBACK_IRQ, 9ull << 56 | 1));
    ROW("hvm.set_param.callback_none", set_param(HVM_PARAM_CALLBACK_IRQ, 0));
    row_get_param("hvm.get_param.unknown", 1000);
    row_get_param("hvm.get_param.ioreq_pfn", HVM_PARAM_IOREQ_PFN);
    row_get_param("hvm.get_param.identity_pt", HVM_PARAM_IDENT_PT);
    struct xen_hvm_param bad = {.domid = BAD_DOMAIN, .index = HVM_PARAM_CALLBACK_IRQ};
    ROW("hvm.get_param.bad_domain", hvm_op(HVMOP_get_param, &bad));

    struct xen_hvm_evtchn_upcall_vector vector = {.vcpu = 0, .vector = 0x0f};
    ROW("hvm.upcall_vector.0x0f", hvm_op(HVMOP_set_evtchn_upcall_vector, &vector));
    vector.vector = 0x40;
    ROW("hvm.upcall_vector.0x40", hvm_op(HVMOP_set_evtchn_upcall_vector, &vector));
    vector.vcpu = BAD_VCPU;
    ROW("hvm.upcall_vector.bad_vcpu", hvm_op(HVMOP_set_evtchn_upcall_vector, &vector));
    ROW("hvm.flush_tlbs.arg", hvm_op(HVMOP_flush_tlbs, &vector));
    struct xen_hvm_get_mem_type type = {.domid = DOMID_SELF, .pfn = frame_of(text_of_version)};
    ROW("hvm.get_mem_type.efault", hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_mem_type, BAD_POINTER));
    long result_type = hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_mem_type, &type);
    ROW_EFFECT("hvm.get_mem_type.ram", result_type, "type %u", type.mem_type);
    type.pfn = BAD_GFN;
    result_type = hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_mem_type, &type);
    ROW_EFFECT("hvm.get_mem_type.hole", result_type, "type %u", type.mem_type);
    type.domid = BAD_DOMAIN;
    ROW("hvm.get_mem_type.bad_domain", hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_mem_type, &type));
    ROW("hvm.guest_request_vm_event.arg", hypercall2(__HYPERVISOR_hvm_op, HVMOP_guest_request_vm_event, BAD_POINTER));
    ROW("hvm.guest_request_vm_event", hypercall2(__HYPERVISOR_hvm_op, HVMOP_guest_request_vm_event, NULL));
    ROW("hvm.set_pci_intx_level.efault", hypercall2(__HYPERVISOR_hvm_op, 2, BAD_POINTER));
    ROW("hvm.set_isa_irq_level.efault", hypercall2(__HYPERVISOR_hvm_op, 3, BAD_POINTER));
    ROW("hvm.set_pci_link_route.efault", hypercall2(__HYPERVISOR_hvm_op, 4, BAD_POINTER));
    ROW("hvm.pagetable_dying", hvm_op(HVMOP_pagetable_dying, BAD_POINTER));
    ROW("hvm.set_mem_type.efault", hvm_op(8, BAD_POINTER));
}

static long version_op(unsigned op, const void *arg)
{
    return hypercall2(__HYPERVISOR_xen_version, op, arg);
}

static void rows_version(void)
{
    char *text = text_of_version;
    long version = version_op(XENVER_version, NULL);
    ROW_EFFECT("version.version", version, "%s",
               version == (long)xen_version_word() ? "as CPUID says" : "not as CPUID says");
    ROW("version.unknown", version_op(99, NULL));
    ROW("version.pagesize", version_op(XENVER_pagesize, NULL));
    ROW("version.pagesize.arg", version_op(XENVER_pagesize, text));
    ROW("version.extraversion.efault", version_op(XENVER_extraversion, BAD_POINTER));
    memset(text, 0, sizeof text_of_version);
    long result = version_op(XENVER_capabilities, text);
    ROW_EFFECT("version.capabilities", result, "%s", text[0] ? "text" : "empty");
    struct xen_feature_info feature = {.submap_idx = 0};
    result = version_op(XENVER_get_features, &feature);
    ROW_EFFECT("version.get_features.0", result, "%x", feature.submap);
    feature.submap_idx = 1;
    result = version_op(XENVER_get_features, &feature);
    ROW_EFFECT("version.get_features.1", result, "%x", feature.submap);
    struct xen_platform_parameters platform;
    result = version_op(XENVER_platform_parameters, &platform);
    ROW("version.platform_parameters", result);
    result = version_op(XENVER_guest_handle, text);
    ROW("version.guest_handle", result);
    ROW("version.compile_info.efault", version_op(XENVER_compile_info, BAD_POINTER));
    memset(text, 0, sizeof text_of_version);
    result = version_op(XENVER_compile_info, text);
    ROW_EFFECT("version.compile_info", result, "%s", text[0] ? "text" : "empty");
    ROW("version.changeset.efault", version_op(XENVER_changeset, BAD_POINTER));
    result = version_op(XENVER_changeset, text);
    ROW("version.changeset", result);
    ROW("version.build_id.efault", version_op(XENVER_build_id, BAD_POINTER));
    /* Texts with a length before them; without a buffer the length alone: extraversion2, capabilities2, changeset2 and
       commandline2. */
    static const char *const varbufs[] = {"version.11.length", "version.12.length", "version.13.length",
                                          "version.14.length"};
    for (unsigned i = 0; i < 4; i++) {
        long length = version_op(11 + i, NULL);

        ROW_EFFECT(varbufs[i], length > 0 ? 0 : length, "%s", length > 0 ? "positive" : "refused");
    }
    ROW("version.commandline", version_op(XENVER_commandline, text) >= 0);
}

static void rows_physdev(void)
{
#define PHYSDEV(op, arg) hypercall2(__HYPERVISOR_physdev_op, op, arg)
    ROW("physdev.unknown_op", PHYSDEV(99, BAD_POINTER));
    struct physdev_map_pirq map = {.domid = BAD_DOMAIN, .type = MAP_PIRQ_TYPE_GSI, .index = 4, .pirq = -1};
    ROW("physdev.map_pirq.bad_domain", PHYSDEV(PHYSDEVOP_map_pirq, &map));
    map.domid = DOMID_SELF;
    map.index = 100000;
    ROW("physdev.map_pirq.index_100000", PHYSDEV(PHYSDEVOP_map_pirq, &map));
    map.type = 99;
    map.index = 4;
    ROW("physdev.map_pirq.type_99", PHYSDEV(PHYSDEVOP_map_pirq, &map));
    static const struct {
        int type;
        const char *name;
    } types[] = {{MAP_PIRQ_TYPE_MSI, "physdev.map_pirq.msi"},
                 {MAP_PIRQ_TYPE_MSI_SEG, "physdev.map_pirq.msi_seg"},
                 {MAP_PIRQ_TYPE_MULTI_MSI, "physdev.map_pirq.multi_msi"}};
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        map = (struct physdev_map_pirq){.domid = DOMID_SELF, .type = types[i].type, .index = -1, .pirq = -1};
        ROW(types[i].name, PHYSDEV(PHYSDEVOP_map_pirq, &map));
    }
    ROW("physdev.map_pirq.efault", PHYSDEV(PHYSDEVOP_map_pirq, BAD_POINTER));
    struct physdev_unmap_pirq unmap = {.domid = DOMID_SELF, .pirq = 100000};
    ROW("physdev.unmap_pirq.100000", PHYSDEV(PHYSDEVOP_unmap_pirq, &unmap));
    struct physdev_eoi eoi = {.irq = 100000};
    ROW("physdev.eoi.100000", PHYSDEV(PHYSDEVOP_eoi, &eoi));
    struct physdev_irq_status_query query = {.irq = 100000};
    ROW("physdev.irq_status_query.100000", PHYSDEV(PHYSDEVOP_irq_status_query, &query));
    struct physdev_get_free_pirq free = {.type = MAP_PIRQ_TYPE_GSI};
    ROW("physdev.get_free_pirq", PHYSDEV(PHYSDEVOP_get_free_pirq, &free));
    struct physdev_set_iopl iopl = {.iopl = 1};
    ROW("physdev.set_iopl", PHYSDEV(PHYSDEVOP_set_iopl, &iopl));
}

static void rows_others(void)
{
#define VM_ASSIST(cmd, type) hypercall(__HYPERVISOR_vm_assist, cmd, type, 0, 0, 0)
    ROW("vm_assist.runstate_update_flag", VM_ASSIST(VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag));
    ROW("vm_assist.disable_runstate_update_flag", VM_ASSIST(VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag));
    ROW("vm_assist.writable_pagetables", VM_ASSIST(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
    ROW("vm_assist.type_31", VM_ASSIST(VMASST_CMD_enable, 31));
    ROW("vm_assist.command_9", VM_ASSIST(9, VMASST_TYPE_runstate_update_flag));

    ROW("hypercall.0_set_trap_table", hypercall(0, 0, 0, 0, 0, 0));
    ROW("hypercall.1_mmu_update", hypercall(1, 0, 0, 0, 0, 0));
    ROW("hypercall.2_set_gdt", hypercall(2, 0, 0, 0, 0, 0));
    ROW("hypercall.4_set_callbacks", hypercall(4, 0, 0, 0, 0, 0));
    ROW("hypercall.14_update_va_mapping", hypercall(14, 0, 0, 0, 0, 0));
    ROW("hypercall.30_callback_op", hypercall(30, 0, 0, 0, 0, 0));
    ROW("hypercall.31_xenoprof", hypercall(31, 0, 0, 0, 0, 0));
    ROW("hypercall.11", hypercall(11, 0, 0, 0, 0, 0));
    ROW("hypercall.47", hypercall(47, 0, 0, 0, 0, 0));
    ROW("hypercall.63", hypercall(63, 0, 0, 0, 0, 0));

    static const struct {
        unsigned number;
        const char *name;
    } numbers[] = {
        {3, "hypercall.3_stack_switch"},
        {5, "hypercall.5_fpu_taskswitch"},
        {6, "hypercall.6_sched_op_compat"},
        {7, "hypercall.7_platform_op"},
        {8, "hypercall.8_set_debugreg"},
        {9, "hypercall.9_get_debugreg"},
        {10, "hypercall.10_update_descriptor"},
        {16, "hypercall.16_event_channel_op_compat"},
        {19, "hypercall.19_physdev_op_compat"},
        {22, "hypercall.22_update_va_mapping_otherdomain"},
        {25, "hypercall.25_set_segment_base"},
        {27, "hypercall.27_xsm_op"},
        {28, "hypercall.28_nmi_op"},
        {35, "hypercall.35_sysctl"},
        {36, "hypercall.36_domctl"},
        {37, "hypercall.37_kexec_op"},
        {38, "hypercall.38_tmem_op"},
        {39, "hypercall.39_argo_op"},
        {40, "hypercall.40_xenpmu_op"},
        {41, "hypercall.41_dm_op"},
        {42, "hypercall.42_hypfs_op"},
        {43, "hypercall.43"},
    };
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ROW(numbers[i].name, hypercall(numbers[i].number, 99, (unsigned long)BAD_POINTER, 0, 0, 0));

    /* A toolstack's calls: command, interface version, domain. */
    static const struct {
        unsigned number;
        uint32_t argument[36];
        const char *name;
    } tools[] = {
        {__HYPERVISOR_platform_op, {0}, "platform_op.interface_0"},
        {__HYPERVISOR_platform_op, {99, 0x03000001}, "platform_op.unknown"},
        {__HYPERVISOR_sysctl, {0}, "sysctl.interface_0"},
        {__HYPERVISOR_sysctl, {99, 0x15}, "sysctl.4_17.unknown"},
        {__HYPERVISOR_domctl, {0}, "domctl.interface_0"},
        {__HYPERVISOR_domctl, {1, 0x15, BAD_DOMAIN}, "domctl.4_17.createdomain"},
        {__HYPERVISOR_domctl, {3, 0x15, 0}, "domctl.4_17.pausedomain_0"},
        {__HYPERVISOR_domctl, {3, 0x15, BAD_DOMAIN}, "domctl.4_17.pausedomain.bad_domain"},
        {__HYPERVISOR_domctl, {3, 0x15, DOMID_SELF}, "domctl.4_17.pausedomain.self"},
        {__HYPERVISOR_domctl, {5, 0x15, BAD_DOMAIN}, "domctl.4_17.getdomaininfo.bad_domain"},
    };
    for (unsigned i = 0; i < sizeof tools / sizeof tools[0]; i++)
        ROW(tools[i].name, hypercall(tools[i].number, (unsigned long)tools[i].argument, 0, 0, 0, 0));
    static const unsigned long flush[4] = {6}; /* MMUEXT_TLB_FLUSH_LOCAL */
    ROW("mmuext_op.self", hypercall(__HYPERVISOR_mmuext_op, (unsigned long)flush, 1, 0, DOMID_SELF, 0));
    ROW("mmuext_op.bad_domain", hypercall(__HYPERVISOR_mmuext_op, (unsigned long)flush, 1, 0, BAD_DOMAIN, 0));
    ROW("console_io.write.endless",
        hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 0x80000000u, (unsigned long)BAD_POINTER, 0, 0));
    ROW("console_io.read", hypercall(__HYPERVISOR_console_io, CONSOLEIO_read, 0, 0, 0, 0));

    struct multicall_entry calls[3] = {
        {.op = __HYPERVISOR_xen_version, .args = {XENVER_pagesize}},
        {.op = 63},
        {.op = __HYPERVISOR_sched_op, .args = {SCHEDOP_yield}},
    };
    long result = hypercall(__HYPERVISOR_multicall, (unsigned long)calls, 3, 0, 0, 0);
    ROW_EFFECT("multicall", result, "%ld, %ld, %ld", (long)calls[0].result, (long)calls[1].result,
               (long)calls[2].result);
    ROW("multicall.efault", hypercall(__HYPERVISOR_multicall, (unsigned long)BAD_POINTER, 1, 0, 0, 0));
    ROW("multicall.none", hypercall(__HYPERVISOR_multicall, (unsigned long)calls, 0, 0, 0, 0));
}

/* What a vCPU finds in Xen's leaves. */
static void rows_cpuid(void)
{
    uint32_t a, b, c, d, base = xen_cpuid_base();
    cpuid(base, &a, &b, &c, &d);
    ROW_EFFECT("cpuid.0", 0, "last leaf %x", a - base);
    cpuid(base + 1, &a, &b, &c, &d);
    ROW_EFFECT("cpuid.1", 0, "%x %x %x %x", a, b, c, d);
    cpuid(base + 2, &a, &b, &c, &d);
    ROW_EFFECT("cpuid.2", 0, "%x %x", a, b);
    c = 0;
    cpuid(base + 3, &a, &b, &c, &d);
    ROW_EFFECT("cpuid.3", 0, "incarnation %u", d);
    cpuid(base + 4, &a, &b, &c, &d);
    ROW_EFFECT("cpuid.4", 0, "vcpu id %s %u, upcall vector %s", a & 8 ? "present" : "absent", b,
               a & 64 ? "present" : "absent");
}

/* Every parameter, by its rule alone: those that a guest may set have rows of their own. */
static void rows_params(void)
{
    static const uint8_t settable[] = {HVM_PARAM_CALLBACK_IRQ,          HVM_PARAM_STORE_EVTCHN,
                                       HVM_PARAM_CONSOLE_EVTCHN,        HVM_PARAM_VM86_TSS,
                                       HVM_PARAM_ACPI_IOPORTS_LOCATION, HVM_PARAM_VM_GENERATION_ID_ADDR,
                                       HVM_PARAM_X87_FIP_WIDTH,         HVM_PARAM_VM86_TSS_SIZED};
    for (uint32_t index = 0; index < HVM_NR_PARAMS; index++) {
        char name[40];
        bool has_rows = false;
        for (unsigned i = 0; i < sizeof settable; i++)
            has_rows |= settable[i] == index;
        struct xen_hvm_param get = {.domid = DOMID_SELF, .index = index};
        rows_format(name, sizeof name, "hvm.get_param.%u", index);
        ROW(name, hvm_op(HVMOP_get_param, &get));
        rows_format(name, sizeof name, "hvm.set_param.%u", index);
        if (!has_rows)
            ROW(name, set_param(index, 1));
    }
    ROW("hvm.set_param.nr_params", set_param(HVM_NR_PARAMS, 0));
    struct xen_hvm_param store = {.domid = DOMID_SELF, .index = HVM_PARAM_STORE_EVTCHN};
    hvm_op(HVMOP_get_param, &store);
    ROW("hvm.set_param.store_evtchn", set_param(HVM_PARAM_STORE_EVTCHN, store.value));
    store.index = HVM_PARAM_CONSOLE_EVTCHN;
    hvm_op(HVMOP_get_param, &store);
    ROW("hvm.set_param.console_evtchn", set_param(HVM_PARAM_CONSOLE_EVTCHN, store.value));
    ROW("hvm.set_param.x87_fip_width_8", set_param(HVM_PARAM_X87_FIP_WIDTH, 8));
    ROW("hvm.set_param.x87_fip_width_4", set_param(HVM_PARAM_X87_FIP_WIDTH, 4));
    ROW("hvm.set_param.x87_fip_width_0", set_param(HVM_PARAM_X87_FIP_WIDTH, 0));
    ROW("hvm.set_param.vm86_tss_sized", set_param(HVM_PARAM_VM86_TSS_SIZED, 0x68ull << 32 | 0x1000));
    struct xen_hvm_param bad = {.domid = BAD_DOMAIN, .index = HVM_PARAM_CALLBACK_IRQ};
    ROW("hvm.set_param.bad_domain", hvm_op(HVMOP_set_param, &bad));
    ROW("hvm.get_param.efault", hvm_op(HVMOP_get_param, BAD_POINTER));
}

/* The layouts of what Xen and the guest share, as this guest's width has them; other rows show that Xen uses them. */
static void rows_layouts(void)
{
#define AT(s, f) (unsigned)offsetof(struct s, f)
    ROW_EFFECT("layout.vcpu_info", 0, "%u: selector %u, arch %u, time %u", (unsigned)sizeof(struct vcpu_info),
               AT(vcpu_info, evtchn_pending_sel), AT(vcpu_info, arch), AT(vcpu_info, time));
    ROW_EFFECT("layout.shared_info", 0, "%x: pending %x, mask %x, wall clock %x, arch %x",
               (unsigned)sizeof(struct shared_info), AT(shared_info, evtchn_pending), AT(shared_info, evtchn_mask),
               AT(shared_info, wc_version), AT(shared_info, arch));
    ROW_EFFECT("layout.runstate", 0, "%u: entry %u, times %u", (unsigned)sizeof(struct vcpu_runstate_info),
               AT(vcpu_runstate_info, state_entry_time), AT(vcpu_runstate_info, time));
    ROW_EFFECT("layout.vcpu_time_info", 0, "%u: tsc %u, time %u, mul %u, shift %u, flags %u",
               (unsigned)sizeof(struct vcpu_time_info), AT(vcpu_time_info, tsc_timestamp),
               AT(vcpu_time_info, system_time), AT(vcpu_time_info, tsc_to_system_mul), AT(vcpu_time_info, tsc_shift),
               AT(vcpu_time_info, flags));
    ROW_EFFECT("layout.slots", 0, "%u vcpu_info",
               (unsigned)(sizeof xen_shared_info()->vcpu_info / sizeof(struct vcpu_info)));
}

/* Xen's time by its record against Xen's time by asking. */
static void row_scaled_time(void)
{
    volatile struct vcpu_time_info *time = &xen_shared_info()->vcpu_info[0].time;
    struct xen_hvm_get_time get = {0};
    uint32_t low, high, version;
    uint64_t now;
    do {
        version = time->version;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        uint64_t delta = ((uint64_t)high << 32 | low) - time->tsc_timestamp;
        delta = time->tsc_shift < 0 ? delta >> -time->tsc_shift : delta << time->tsc_shift;
        now = time->system_time + (delta >> 32) * time->tsc_to_system_mul +
              ((delta & 0xffffffff) * time->tsc_to_system_mul >> 32);
    } while (version & 1 || version != time->version);
    hvm_op(HVMOP_get_time, &get);
    uint64_t apart = get.now > now ? get.now - now : now - get.now;
    ROW_EFFECT("time.scaled", 0, "%s", apart < 50000000 ? "agrees with HVMOP_get_time" : "is elsewhere");
}

static void rows_features(void)
{
    static const struct {
        unsigned bit;
        const char *name;
    } bits[] = {{XENFEAT_writable_page_tables, "version.feature.writable_page_tables"},
                {XENFEAT_auto_translated_physmap, "version.feature.auto_translated_physmap"},
                {XENFEAT_supervisor_mode_kernel, "version.feature.supervisor_mode_kernel"},
                {XENFEAT_hvm_callback_vector, "version.feature.hvm_callback_vector"},
                {XENFEAT_hvm_safe_pvclock, "version.feature.hvm_safe_pvclock"},
                {XENFEAT_hvm_pirqs, "version.feature.hvm_pirqs"}};
    struct xen_feature_info feature = {.submap_idx = 0};
    long result = version_op(XENVER_get_features, &feature);
    for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++)
        ROW_EFFECT(bits[i].name, result, "%u", feature.submap >> bits[i].bit & 1);
}

/* Last: a model may well not have them, and ends at the first. */
static void rows_rare_params(void)
{
    ROW("hvm.set_param.timer_mode", set_param(HVM_PARAM_TIMER_MODE, 1));
    ROW("hvm.set_param.ident_pt", set_param(HVM_PARAM_IDENT_PT, 0));
    ROW("hvm.set_param.vm86_tss", set_param(HVM_PARAM_VM86_TSS, 0));
    ROW("hvm.set_param.x87_fip_width_7", set_param(HVM_PARAM_X87_FIP_WIDTH, 7));
    ROW("hvm.set_param.generation_id", set_param(HVM_PARAM_VM_GENERATION_ID_ADDR, 0));
    ROW("hvm.set_param.acpi_ioports", set_param(HVM_PARAM_ACPI_IOPORTS_LOCATION, 0));
}

void guest_main(void)
{
    rows_begin("misc");
    rows_cpuid();
    rows_sched();
    rows_time();
    rows_hvm();
    rows_version();
    rows_physdev();
    rows_others();
    rows_layouts();
    row_scaled_time();
    rows_features();
    rows_params();
    rows_rare_params();
}
