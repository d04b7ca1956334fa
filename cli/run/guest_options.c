/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/guest_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/parse.h"
#include "cli/run/status.h"
#include "emu/base/count.h"
#include "emu/machine.h"
#include "fuzz/detect/detector.h"
#include "models/processor.h"

enum {
    KEY_CMDLINE = 0x1000,
    KEY_CPU,
    KEY_MODE,
    KEY_XEN,
    KEY_EDIT,
    KEY_SYSTEM_MAP,
    KEY_VMLINUX,
    KEY_DETECT,
    KEY_OP_TABLE,
    KEY_TORN_SITE,
    KEY_SAME,
    KEY_ONLINE,
    KEY_MODULE,
    KEY_XEN_IMAGE,
    KEY_XEN_CMDLINE
};

static const struct argp_option options[] = {
    {"kernel", 'k', "IMAGE", 0, "The same as the argument IMAGE", 0},
    {"initrd", 'i', "FILE", 0, "Initial RAM disk", 0},
    {"cmdline", KEY_CMDLINE, "TEXT", 0, "Kernel command line (default: '" GUEST_CMDLINE_DEFAULT "')", 0},
    {"vcpus", 'c', "N", 0, "Number of vCPUs, 1 to 64 (default: 2)", 0},
    {"online", KEY_ONLINE, "M", 0,
     "How many of them are available from the start; the others can be plugged (default: all)", 0},
    {"cpu", KEY_CPU, "NAME[,+FEATURE][,-FEATURE]", 0,
     "The processor that the guest sees (default: intel); features are cpuid-faulting, invariant-tsc and x2apic", 0},
    {"memory", 'm', "SIZE", 0, "Guest memory, like 512M or 2G (default: 512M)", 0},
    {"mode", KEY_MODE, "pvh|hvm|pv|dom0|multiboot", 0,
     "How the guest is started (default: pvh). With pv and dom0 the machine starts a Xen, "
     "which runs the kernel as a PV guest: as a shim (pv), or as a hypervisor whose first "
     "domain the kernel is (dom0). multiboot is a bare PC with the usual test-exit port 0xf4, for images of unit tests",
     0},
    {"module", KEY_MODULE, "FILE[,CMDLINE]", 0, "Another module for a PVH guest, after the initrd; may be repeated", 0},
    {"xen-image", KEY_XEN_IMAGE, "FILE", 0,
     "The Xen that --mode pv and dom0 start (default: the one that `scripts/xen` fetched)", 0},
    {"xen-cmdline", KEY_XEN_CMDLINE, "TEXT", 0, "Text to add to that Xen's command line", 0},
    {"edit", KEY_EDIT, "EDIT", 0,
     "Change the loaded kernel, like 'unguard text_poke_early' (`bootrace edit --help`); may "
     "be repeated",
     0},
    {"detect", KEY_DETECT, "NAME,...", 0,
     "Detectors that watch the run, separated by commas (crash and hang always do): ", 0},
    {"op-table", KEY_OP_TABLE, "TEXT|@FILE", 0,
     "The operations table of a free-standing guest, for --detect op-table: table=, slots=, patcher=, lock=, unlock=",
     0},
    {"torn-site", KEY_TORN_SITE, "SYMBOL+0xOFFSET: BYTES -> BYTES...", 0,
     "Fail when a vCPU executes, in this site of code, an instruction that belongs to none of "
     "these versions",
     0},
    {"same", KEY_SAME, "LIST[@SYMBOL]", 0,
     "What must be as in the undisturbed run when the guest ends or reaches SYMBOL: SYMBOL, "
     "SYMBOL:BYTES or SYMBOL+OFFSET:BYTES, separated by commas",
     0},
    {"xen", KEY_XEN, "VERSION", 0, "Xen version of the host, 4.1 to 4.20 (default: 4.17)", 0},
    {"system-map", KEY_SYSTEM_MAP, "FILE", 0, "Symbols from a System.map", 0},
    {"vmlinux", KEY_VMLINUX, "FILE", 0, "Symbols and lines from a vmlinux with debug data", 0},
    {0},
};

void guest_options_complete(struct guest_options *o)
{
    if (!o->vcpus_given)
        o->vcpus = GUEST_VCPUS_DEFAULT;
    if (!o->ram_bytes)
        o->ram_bytes = GUEST_RAM_BYTES_DEFAULT;
    if (!o->cmdline)
        o->cmdline = GUEST_CMDLINE_DEFAULT;
    if (!o->xen_version)
        o->xen_version = XEN_VERSION(4, 17);
}

void guest_options_each(const struct guest_options *o, guest_option_fn *tell, void *context)
{
    char vcpus[16], online[16], memory[32], xen[32];
    const char *const single[][2] = {
        {"--initrd", o->initrd},
        {"--mode", platform_mode_name(o->mode)},
        {"--vcpus", o->vcpus ? vcpus : NULL},
        {"--online", o->online ? online : NULL},
        {"--memory", o->ram_bytes ? memory : NULL},
        {"--xen", o->xen_version ? xen : NULL},
        {"--cpu", o->cpu},
        {"--cmdline", o->cmdline},
        {"--xen-image", o->xen_image},
        {"--xen-cmdline", o->xen_cmdline},
        {"--system-map", o->system_map},
        {"--vmlinux", o->vmlinux},
        {"--detect", o->detect},
        {"--op-table", o->op_table},
        {"--torn-site", o->torn_site},
        {"--same", o->same},
    };
    bool is_whole = o->ram_bytes % (1 << 20) == 0;

    snprintf(vcpus, sizeof(vcpus), "%u", o->vcpus);
    snprintf(online, sizeof(online), "%u", o->online);
    snprintf(memory, sizeof(memory), "%" PRIu64 "%s", is_whole ? o->ram_bytes >> 20 : o->ram_bytes,
             is_whole ? "M" : "");
    snprintf(xen, sizeof(xen), "%u.%u", o->xen_version >> 16, o->xen_version & 0xffff);
    for (unsigned i = 0; i < COUNT(single); i++)
        if (single[i][1])
            tell(context, single[i][0], single[i][1]);
    for (unsigned i = 0; i < o->edits; i++)
        tell(context, "--edit", o->edit[i]);
    for (unsigned i = 0; i < o->modules; i++)
        tell(context, "--module", o->module[i]);
}

enum emu_err guest_add_edit(struct guest_options *o, const char *edit, struct diag *d)
{
    if (o->edits == GUEST_EDITS_MAX)
        return diag_set(d, EMU_EINPUT, "more than %d edits", GUEST_EDITS_MAX);
    o->edit[o->edits++] = edit;
    return EMU_OK;
}

/* NOLINTNEXTLINE(readability-function-size): a case for each option */
static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct guest_options *o = state->input;
    enum emu_err err = EMU_OK;
    struct processor processor;
    struct diag d;
    uint64_t n;

    for (const struct argp_option *x = options; x->name; x++)
        if (x->key == key && key != 'k')
            o->option_given = x->name;
    switch (key) {
    case ARGP_KEY_ARG:
    case 'k':
        if (o->kernel)
            argp_error(state, "one IMAGE is enough: '%s' is too many", arg);
        o->kernel = arg;
        break;
    case 'i':
        o->initrd = arg;
        break;
    case KEY_CMDLINE:
        o->cmdline = arg;
        break;
    case 'c':
        err = parse_number("the number of vCPUs", arg, 1, VCPUS_MAX, &n, &d);
        o->vcpus = (unsigned)n;
        o->vcpus_given = true;
        break;
    case KEY_CPU:
        err = processor_parse(arg, &processor, &d);
        o->cpu = arg;
        break;
    case KEY_ONLINE:
        err = parse_number("the number of available vCPUs", arg, 1, VCPUS_MAX, &n, &d);
        o->online = (unsigned)n;
        break;
    case 'm':
        err = parse_bytes(arg, &o->ram_bytes, &d);
        break;
    case KEY_MODE:
        err = parse_mode(arg, &o->mode, &d);
        break;
    case KEY_XEN:
        err = parse_xen_version(arg, &o->xen_version, &d);
        break;
    case KEY_MODULE:
        if (o->modules == PLATFORM_MODULES_MAX)
            argp_error(state, "more than %u modules", PLATFORM_MODULES_MAX);
        o->module[o->modules++] = arg;
        break;
    case KEY_XEN_IMAGE:
        o->xen_image = arg;
        break;
    case KEY_XEN_CMDLINE:
        o->xen_cmdline = arg;
        break;
    case KEY_EDIT:
        err = guest_add_edit(o, arg, &d);
        break;
    case KEY_SYSTEM_MAP:
        o->system_map = arg;
        break;
    case KEY_VMLINUX:
        o->vmlinux = arg;
        break;
    case KEY_DETECT:
        o->detect = arg;
        break;
    case KEY_OP_TABLE:
        o->op_table = arg;
        break;
    case KEY_TORN_SITE:
        o->torn_site = arg;
        break;
    case KEY_SAME:
        o->same = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (err != EMU_OK) {
        diag_print(&d, state->name, stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

/* The names of detectors are printed from their table. */
static char *complete_help(int key, const char *text, void *input)
{
    char names[256], *all;

    if (key != KEY_DETECT || !text)
        return (char *)(uintptr_t)text;
    detector_print_names(names, sizeof(names));
    return asprintf(&all, "%s%s", text, names) < 0 ? NULL : all;
}

const struct argp guest_argp = {options, parse, NULL, NULL, NULL, complete_help, NULL};
