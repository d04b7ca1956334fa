/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * platform_config: what the user has chosen for the host, for the models to read.
 * machine_config.platform points to a struct platform_config. platform.h says which models there are.
 */
#ifndef BOOTRACE_MODELS_PLATFORM_CONFIG_H
#define BOOTRACE_MODELS_PLATFORM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;
struct processor;

enum platform_mode {
    PLATFORM_PVH, /* Xen's toolstack starts the kernel by its PVH entry; no devices but the local APICs */
    PLATFORM_HVM, /* a PC with PIC, PIT, IO-APIC, RTC and serial port, and Xen's CPUID leaves */
    /* As PLATFORM_PVH, for a guest that is a Xen itself and starts the user's kernel. */
    PLATFORM_PV,        /* xen-shim, and the kernel as its only PV domain */
    PLATFORM_DOM0,      /* xen-shim as a hypervisor, and the kernel as its first domain */
    PLATFORM_MULTIBOOT, /* as PLATFORM_HVM without Xen: a bare PC */
};

#define XEN_VERSION(major, minor) ((unsigned)(major) << 16 | (unsigned)(minor))

/* The wall clock of a machine at its virtual time 0 unless the case says otherwise: 2024-01-01 00:00:00 UTC. */
#define PLATFORM_WALLCLOCK_DEFAULT_S 1704067200ull

#define PLATFORM_MODULES_MAX 8u

/* A file that the toolstack puts beside the kernel. */
struct platform_module {
    const void *bytes;
    size_t size;         /* of `bytes`, not 0 */
    const char *cmdline; /* of its own; NULL: none */
};

/* Read-only while the machine lives. What its pointers point to belongs to the caller and must outlive the machine. The
   Xen version is machine_config.xen_version. */
struct platform_config {
    enum platform_mode mode;
    const char *cmdline; /* NULL is the empty string */
    const void *initrd;  /* NULL if none */
    size_t initrd_bytes;
    /* What follows the initrd in the module list of a PVH guest. */
    struct platform_module module[PLATFORM_MODULES_MAX];
    unsigned modules;
    const struct processor *processor; /* NULL: processor_default */
    unsigned vcpus_online; /* how many vCPUs are available from the start; the others can be plugged; 0: all */
    uint64_t wallclock_s;  /* seconds since 1970 at virtual time 0; 0 stands for PLATFORM_WALLCLOCK_DEFAULT_S */
};

/* The configuration of this machine; all zero (PVH, empty command line) if the program gave none. */
const struct platform_config *platform_config(const struct machine *m);
/* How many vCPUs are available from the start: 1 to all. */
unsigned platform_vcpus_online(const struct machine *m);
uint64_t platform_wallclock_s(const struct machine *m);
/* Whether the guest is a Xen that starts the user's kernel. */
bool platform_mode_is_pv(enum platform_mode mode);
/* "pvh", "hvm", "pv", "dom0", "multiboot". */
const char *platform_mode_name(enum platform_mode mode);
/* Whether there is a Xen below the guest. */
bool platform_has_xen(const struct machine *m);
/* Whether the guest is a PVH one for the models: it is no PC. */
bool platform_is_pvh(const struct machine *m);

#endif
