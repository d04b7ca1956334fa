/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/platform.h"

#include "emu/base/count.h"
#include "emu/model.h"
#include "models/pc/cpuid.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/msr.h"
#include "models/pc/owner_port.h"
#include "models/pc/pic.h"
#include "models/pc/pit.h"
#include "models/pc/ports.h"
#include "models/pc/power.h"
#include "models/pc/rtc.h"
#include "models/pc/serial.h"
#include "models/pc/test_ports.h"
#include "models/xen/xen.h"

/* One a line. */
/* clang-format off */
const struct model *const platform_models[] = {
    &xen_model,
    &pic_model,
    &lapic_model,
    &ioapic_model,
    &pit_model,
    &rtc_model,
    &serial_model,
    &power_model,
    &msr_model, /* behind all others that have MSRs: what it does not know, Xen refuses */
    &cpuid_model,
    &owner_port_model,
    &ports_model, /* last: what is there answers first */
};

const struct model *const platform_bare_models[] = {
    &test_ports_model, /* before CPUID, of which it hides what tells of a hypervisor, and before absent ports */
    &pic_model,
    &lapic_model,
    &ioapic_model,
    &pit_model,
    &rtc_model,
    &serial_model,
    &power_model,
    &msr_model,
    &cpuid_model,
    &ports_model,
};
/* clang-format on */
const unsigned platform_model_count = COUNT(platform_models);
const unsigned platform_bare_model_count = COUNT(platform_bare_models);
