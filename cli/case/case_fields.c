/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/case_fields.h"

#define AT(member) offsetof(struct test_case, member)

static const struct case_field prose_fields[] = {
    {"mechanism", CASE_FIELD_TEXT, AT(prose.mechanism), true, NULL, 0, 0, 0},
    {"source", CASE_FIELD_TEXT, AT(prose.source), true, NULL, 0, 0, 0},
    {"falsified-by", CASE_FIELD_TEXT, AT(prose.falsified_by), true, NULL, 0, 0, 0},
    {0},
};

static const struct case_field guest_fields[] = {
    {"kernel", CASE_FIELD_WORD, AT(guest.kernel), false, NULL, 0, 0, 0},
    {"free-standing", CASE_FIELD_WORD, AT(guest.free_standing), false, NULL, 0, 0, 0},
    {"debian", CASE_FIELD_WORD, AT(guest.debian), false, NULL, 0, 0, 0},
    {"initrd", CASE_FIELD_INITRD, AT(guest.initrd), false, NULL, 0, 0, 0},
    {"system-map", CASE_FIELD_WORD, AT(guest.system_map), false, NULL, 0, 0, 0},
    {"vmlinux", CASE_FIELD_WORD, AT(guest.vmlinux), false, NULL, 0, 0, 0},
    {"image-xxh3", CASE_FIELD_HEX, AT(guest.image_xxh3), false, NULL, 0, 0, 0},
    {"edits", CASE_FIELD_LIST, AT(guest.edit), false, NULL, 0, GUEST_EDITS_MAX, AT(guest.edits)},
    {"modules", CASE_FIELD_LIST, AT(guest.module), false, NULL, 0, PLATFORM_MODULES_MAX, AT(guest.modules)},
    {"xen-image", CASE_FIELD_WORD, AT(guest.xen_image), false, NULL, 0, 0, 0},
    {"xen-xxh3", CASE_FIELD_HEX, AT(guest.xen_xxh3), false, NULL, 0, 0, 0},
    {0},
};

static const struct case_field machine_fields[] = {
    {"mode", CASE_FIELD_MODE, AT(machine.mode), false, NULL, 0, 0, 0},
    {"vcpus", CASE_FIELD_NUMBER, AT(machine.vcpus), false, NULL, 1, VCPUS_MAX, 0},
    {"online", CASE_FIELD_NUMBER, AT(machine.online), false, NULL, 1, VCPUS_MAX, 0},
    {"cpu", CASE_FIELD_CPU, AT(machine.cpu), false, NULL, 0, 0, 0},
    {"memory", CASE_FIELD_BYTES, AT(machine.memory_bytes), false, NULL, 0, 0, 0},
    {"xen", CASE_FIELD_XEN, AT(machine.xen_version), false, NULL, 0, 0, 0},
    {"cmdline", CASE_FIELD_WORD, AT(machine.cmdline), false, NULL, 0, 0, 0},
    {"xen-cmdline", CASE_FIELD_WORD, AT(machine.xen_cmdline), false, NULL, 0, 0, 0},
    {0},
};

static const struct case_field load_fields[] = {
    {"as", CASE_FIELD_LOAD, AT(load.as), true, NULL, 0, 0, 0},
    {"features", CASE_FIELD_WORD, AT(load.features), false, NULL, 0, 0, 0},
    {0},
};

static const struct case_field search_fields[] = {
    {"window", CASE_FIELD_WORD, AT(search.window), true, NULL, 0, 0, 0},
    {"inject", CASE_FIELD_WORD, AT(search.inject), false, NULL, 0, 0, 0},
    {"strategy", CASE_FIELD_WORD, AT(search.strategy), false, NULL, 0, 0, 0},
    {"runs", CASE_FIELD_NUMBER, AT(search.runs), false, NULL, 1, UINT64_MAX / 4, 0},
    {"depth", CASE_FIELD_NUMBER, AT(search.depth), false, NULL, 0, UINT64_MAX / 4, 0},
    {"search-seed", CASE_FIELD_NUMBER, AT(search.search_seed), false, NULL, 0, UINT64_MAX - 1, 0},
    {"run-steps-max", CASE_FIELD_NUMBER, AT(search.run_steps_max), false, NULL, 1, UINT64_MAX / 4, 0},
    {"reach", CASE_FIELD_WORD, AT(search.reach), false, NULL, 0, 0, 0},
    {"failures", CASE_FIELD_NUMBER, AT(search.failures), false, NULL, 1, UINT64_MAX / 4, 0},
    {"window-steps-max", CASE_FIELD_NUMBER, AT(search.window_steps_max), false, NULL, 1, UINT64_MAX / 4, 0},
    {"every-boundary", CASE_FIELD_YES, AT(search.every_boundary), false, NULL, 0, 0, 0},
    {0},
};

static const struct case_field expect_fields[] = {
    {"verdict", CASE_FIELD_VERDICT, AT(expect.verdict), true, NULL, 0, 0, 0},
    {"detector", CASE_FIELD_DETECTOR, AT(expect.detector), false, NULL, 0, 0, 0},
    {"place", CASE_FIELD_PLACE, AT(expect.place), false, NULL, 0, 0, 0},
    {"text", CASE_FIELD_REGEX, AT(expect.text), false, NULL, 0, 0, 0},
    {"console", CASE_FIELD_REGEX, AT(expect.console), false, NULL, 0, 0, 0},
    {"digest", CASE_FIELD_HEX, AT(expect.digest), false, NULL, 0, 0, 0},
    {"steps", CASE_FIELD_NUMBER, AT(expect.steps), false, NULL, 0, UINT64_MAX - 1, 0},
    {"failing", CASE_FIELD_NUMBER, AT(expect.failing), false, NULL, 0, UINT64_MAX - 1, 0},
    {"covered", CASE_FIELD_NUMBER, AT(expect.covered), false, NULL, 0, UINT64_MAX - 1, 0},
    {0},
};

static const struct case_field limits_fields[] = {
    {"steps-max", CASE_FIELD_NUMBER, AT(limits.steps_max), false, NULL, 1, UINT64_MAX - 1, 0},
    {"until", CASE_FIELD_WORD, AT(limits.until), false, NULL, 0, 0, 0},
    {0},
};

const struct case_field case_fields[] = {
    {"title", CASE_FIELD_WORD, AT(title), true, NULL, 0, 0, 0},
    {"prose", CASE_FIELD_SECTION, 0, true, prose_fields, 0, 0, 0},
    {"guest", CASE_FIELD_SECTION, 0, true, guest_fields, 0, 0, 0},
    {"machine", CASE_FIELD_SECTION, 0, false, machine_fields, 0, 0, 0},
    {"detect", CASE_FIELD_WORD, AT(detect), false, NULL, 0, 0, 0},
    {"op-table", CASE_FIELD_TEXT, AT(op_table), false, NULL, 0, 0, 0},
    {"torn-site", CASE_FIELD_WORD, AT(torn_site), false, NULL, 0, 0, 0},
    {"same", CASE_FIELD_WORD, AT(same), false, NULL, 0, 0, 0},
    {"schedule", CASE_FIELD_BLOCK, AT(schedule), false, NULL, 0, 0, 0},
    {"load", CASE_FIELD_SECTION, 0, false, load_fields, 0, 0, 0},
    {"search", CASE_FIELD_SECTION, 0, false, search_fields, 0, 0, 0},
    {"expect", CASE_FIELD_SECTION, 0, true, expect_fields, 0, 0, 0},
    {"limits", CASE_FIELD_SECTION, 0, false, limits_fields, 0, 0, 0},
    {0},
};

bool case_field_is_number(enum case_field_type type)
{
    return type == CASE_FIELD_NUMBER || type == CASE_FIELD_HEX || type == CASE_FIELD_BYTES;
}

void *case_field_member(const struct test_case *c, const struct case_field *f)
{
    return (char *)(uintptr_t)c + f->offset;
}
