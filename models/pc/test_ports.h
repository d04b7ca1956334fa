/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ports: what a PC without a hypervisor has for the images of unit tests: the test-exit port, which ends the run,
 * and of QEMU's firmware configuration device the number of processors. It also answers CPUID as a processor that no
 * hypervisor hides behind. Only machines of --mode multiboot have it.
 *
 * Source: QEMU hw/misc/debugexit.c (isa-debug-exit, iobase 0xf4, iosize 4) and docs/specs/fw_cfg.rst. An exit with 0 is
 * QEMU's exit status 1, which kvm-unit-tests takes for a success.
 */
#ifndef BOOTRACE_MODELS_PC_TEST_PORTS_H
#define BOOTRACE_MODELS_PC_TEST_PORTS_H

#include "emu/model.h"

extern const struct model test_ports_model;

#endif
