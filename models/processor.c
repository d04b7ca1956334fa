/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/processor.h"

#include "emu/base/count.h"
#include "models/platform_config.h"

#include <stdio.h>
#include <string.h>

/* What Xen 4.17 offers to an HVM or PVH guest on such a host, as far as the engine executes it: x2APIC and CPUID
   faulting always, the invariant TSC only to a domain that can't migrate. */
const struct processor processor_default = {.name = "intel", .x2apic = true, .cpuid_faulting = true};

static const struct processor *const processors[] = {&processor_default};

static const struct feature {
    const char *name;
    size_t at;
} features[] = {
    {"cpuid-faulting", offsetof(struct processor, cpuid_faulting)},
    {"invariant-tsc", offsetof(struct processor, invariant_tsc)},
    {"x2apic", offsetof(struct processor, x2apic)},
};

const struct processor *processor_of(const struct machine *m)
{
    const struct processor *p = platform_config(m)->processor;

    return p ? p : &processor_default;
}

static const struct processor *find(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT(processors); i++)
        if (strlen(processors[i]->name) == length && !memcmp(processors[i]->name, name, length))
            return processors[i];
    return NULL;
}

static bool *feature_of(struct processor *p, const struct feature *f)
{
    return (bool *)((char *)p + f->at);
}

static bool has(const struct processor *p, const struct feature *f)
{
    return *(const bool *)((const char *)p + f->at);
}

static enum emu_err refuse(const char *text, struct diag *d)
{
    char known[256];
    size_t used = 0;

    for (size_t i = 0; i < COUNT(processors); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? " or " : "", processors[i]->name);
    used += (size_t)snprintf(known + used, sizeof(known) - used, ", then with or without");
    for (size_t i = 0; i < COUNT(features); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s %s", i ? "," : "", features[i].name);
    return diag_set(d, EMU_EINPUT, "a processor is %s, like intel,-x2apic, not '%s'", known, text);
}

enum emu_err processor_parse(const char *text, struct processor *out, struct diag *d)
{
    size_t length = strcspn(text, ",");
    const struct processor *p = find(text, length);
    const char *at = text + length;

    if (!p)
        return refuse(text, d);
    *out = *p;
    while (*at) {
        const struct feature *found = NULL;
        bool on = at[1] == '+';

        if (at[1] != '+' && at[1] != '-')
            return refuse(text, d);
        at += 2;
        length = strcspn(at, ",");
        for (size_t i = 0; i < COUNT(features); i++)
            if (strlen(features[i].name) == length && !memcmp(features[i].name, at, length))
                found = &features[i];
        if (!found)
            return refuse(text, d);
        *feature_of(out, found) = on;
        at += length;
    }
    return EMU_OK;
}

const char *processor_print(const struct processor *p, char text[PROCESSOR_TEXT_BYTES])
{
    const struct processor *plain = find(p->name, strlen(p->name));
    size_t used = (size_t)snprintf(text, PROCESSOR_TEXT_BYTES, "%s", p->name);

    for (size_t i = 0; i < COUNT(features); i++)
        if (!plain || has(p, &features[i]) != has(plain, &features[i]))
            used += (size_t)snprintf(text + used, PROCESSOR_TEXT_BYTES - used, ",%c%s",
                                     has(p, &features[i]) ? '+' : '-', features[i].name);
    return text;
}
