/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/platform.h"

#include "emu/machine.h"
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
    &msr_model,
    &cpuid_model,
    &owner_port_model,
    &ports_model, /* last: what is there answers first */
};
/* clang-format on */
const unsigned platform_model_count = sizeof(platform_models) / sizeof(platform_models[0]);

const struct platform_config *platform_config(const struct machine *m)
{
    static const struct platform_config none;
    const struct platform_config *c = machine_config(m)->platform;

    return c ? c : &none;
}

unsigned platform_vcpus_online(const struct machine *m)
{
    unsigned online = platform_config(m)->vcpus_online;

    return online && online < machine_vcpus(m) ? online : machine_vcpus(m);
}

uint64_t platform_wallclock_s(const struct machine *m)
{
    uint64_t s = platform_config(m)->wallclock_s;

    return s ? s : PLATFORM_WALLCLOCK_DEFAULT_S;
}
