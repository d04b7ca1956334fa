/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsdt: the AML that Xen's firmware gives a guest: its processors, whether they are there, and for HVM guests how the
 * device model says that this has changed: a general-purpose event, whose method compares a map of processors behind
 * ports with the MADT's entries, brings these up to date and notifies the processors concerned.
 *
 * Source: Xen 4.17 tools/libacpi/mk_dsdt.c; ACPI Specification 6.4, "Processor Device Notification Values".
 */
#ifndef BOOTRACE_MODELS_PC_DSDT_H
#define BOOTRACE_MODELS_PC_DSDT_H

#include <stdbool.h>

#include "models/pc/acpi_image.h"

/* Where the MADT is, in guest-physical memory: its checksum and its local APICs' entries. */
struct dsdt_madt {
    uint32_t checksum_gpa, lapics_gpa;
};

/* Append the DSDT; where it begins. */
size_t dsdt_put(struct acpi_image *im, unsigned vcpus, bool hvm, const struct dsdt_madt *madt);

#endif
