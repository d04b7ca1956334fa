/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/platform_config.h"

#include "emu/machine.h"

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

const char *platform_mode_name(enum platform_mode mode)
{
    static const char *const names[] = {[PLATFORM_PVH] = "pvh",
                                        [PLATFORM_HVM] = "hvm",
                                        [PLATFORM_PV] = "pv",
                                        [PLATFORM_DOM0] = "dom0",
                                        [PLATFORM_MULTIBOOT] = "multiboot"};

    return names[mode];
}

bool platform_mode_is_pv(enum platform_mode mode)
{
    return mode == PLATFORM_PV || mode == PLATFORM_DOM0;
}

bool platform_has_xen(const struct machine *m)
{
    return platform_config(m)->mode != PLATFORM_MULTIBOOT;
}

bool platform_is_pvh(const struct machine *m)
{
    return platform_config(m)->mode != PLATFORM_HVM && platform_has_xen(m);
}
