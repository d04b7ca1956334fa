/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi: the tables that Xen's toolstack leaves in guest memory: RSDP, XSDT, FADT, MADT, DSDT, and a FACS for HVM.
 *
 * They are written once, before the guest starts, and are ordinary memory then. A PVH guest gets hardware-reduced ACPI
 * and local APICs only; an HVM guest the fixed hardware, the IO-APIC and the interrupt overrides of a PC. All vCPUs of
 * the machine are listed, those that are available from the start as enabled: processor ID = vCPU number, APIC ID = 2 *
 * vCPU number.
 *
 * Source: ACPI Specification 6.4, chapters "ACPI Software Programming Model" and "ACPI Machine Language (AML)
 * Specification"; Xen 4.17 tools/libacpi for the contents.
 */
#ifndef BOOTRACE_MODELS_PC_ACPI_H
#define BOOTRACE_MODELS_PC_ACPI_H

#include <stdint.h>

#include "emu/base/diag.h"

struct machine;

/* Where Xen's firmware puts the fixed hardware of an HVM guest. Xen 4.17 public/hvm/ioreq.h, "V1" addresses. */
#define ACPI_PM1A_EVENT_PORT   0xb000
#define ACPI_PM1A_CONTROL_PORT 0xb004
#define ACPI_PM_TIMER_PORT     0xb008
#define ACPI_GPE0_PORT         0xafe0
#define ACPI_SCI_GSI           9
/* Which processors there are, one bit each, and the event that says that this has changed. public/hvm/ioreq.h,
   XEN_ACPI_CPU_MAP, XEN_ACPI_GPE0_CPUHP_BIT. */
#define ACPI_CPU_MAP_PORT  0xaf00
#define ACPI_CPU_MAP_BYTES 32
#define ACPI_GPE_CPUS      2
/* SLP_TYP of \_S5 in the DSDT. */
#define ACPI_S5_SLEEP_TYPE 0

/* Room that the tables of any machine fit in. */
#define ACPI_BYTES_MAX 32768u

/* Write the tables into the guest's RAM from `gpa` (16-byte aligned), at most `bytes_max` bytes, and say where the RSDP
   is. EMU_EINPUT if they don't fit there or it is no RAM. */
enum emu_err acpi_build(struct machine *m, uint64_t gpa, uint64_t bytes_max, uint64_t *rsdp_gpa,
                        struct diag *d) EMU_MUST_CHECK;

#endif
