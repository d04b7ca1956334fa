/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * platform_config: what the user has chosen for the world around the vCPUs, for the models to read.
 * machine_config.platform points to a struct platform_config. platform.h says which models there are.
 */
#ifndef BOOTRACE_MODELS_PLATFORM_CONFIG_H
#define BOOTRACE_MODELS_PLATFORM_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct machine;

enum platform_mode {
    PLATFORM_PVH, /* Xen's toolstack starts the kernel by its PVH entry; no devices but the local APICs */
    PLATFORM_HVM, /* a PC with PIC, PIT, IO-APIC, RTC and serial port, and Xen's CPUID leaves */
};

#define XEN_VERSION(major, minor) ((unsigned)(major) << 16 | (unsigned)(minor))

/* The wall clock of a machine at its virtual time 0 unless the case says otherwise: 2024-01-01 00:00:00 UTC. */
#define PLATFORM_WALLCLOCK_DEFAULT_S 1704067200ull

/* Read-only while the machine lives; what pointers point to belongs to the caller and outlives the machine. The Xen
   version is machine_config.xen_version. */
struct platform_config {
    enum platform_mode mode;
    const char *cmdline; /* NULL is the empty string */
    const void *initrd;  /* NULL if none */
    size_t initrd_bytes;
    unsigned vcpus_online; /* available from the start, the others can be plugged; 0: all */
    uint64_t wallclock_s;  /* seconds since 1970 at virtual time 0; 0 stands for PLATFORM_WALLCLOCK_DEFAULT_S */
};

/* The configuration of this machine; all zero (PVH, empty command line) if the program gave none. */
const struct platform_config *platform_config(const struct machine *m);
/* How many vCPUs are available from the start: 1 to all. */
unsigned platform_vcpus_online(const struct machine *m);
uint64_t platform_wallclock_s(const struct machine *m);

#endif
