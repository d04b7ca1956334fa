#include "models/platform.h"

#include "emu/machine.h"
#include "emu/model.h"
#include "models/pc/cpuid.h"
#include "models/pc/lapic.h"
#include "models/pc/msr.h"
#include "models/pc/ports.h"

const struct model *const platform_models[] = {
    &lapic_model,
    &msr_model,
    &cpuid_model,
    &ports_model,
};
const unsigned platform_model_count = sizeof(platform_models) / sizeof(platform_models[0]);

const struct platform_config *platform_config(const struct machine *m)
{
    static const struct platform_config none;
    const struct platform_config *c = machine_config(m)->platform;

    return c ? c : &none;
}

uint64_t platform_wallclock_s(const struct machine *m)
{
    uint64_t s = platform_config(m)->wallclock_s;

    return s ? s : PLATFORM_WALLCLOCK_DEFAULT_S;
}
