/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/source.h"

#include <assert.h>
#include <string.h>

#include "emu/base/count.h"

#define VALUE_CHARACTERS_MAX 40u

/* One a line but for the words. */
static const struct source_kind kinds[] = {
    {"timer", DECISION_EXPIRE, SOURCE_VALUE_NONE, false, "the earliest armed timer expires: the host let time pass",
     "no timer is armed wherever an interrupt would be taken; --mode hvm has a PIT, and --inject nmi or vector:N needs "
     "no timer"},
    {"nmi", DECISION_NMI, SOURCE_VALUE_NONE, false, "an NMI",
     "no boundary of the window takes an NMI (an NMI's handler keeps out others); another "
     "--window may"},
    {"vector", DECISION_VECTOR, SOURCE_VALUE_VECTOR, false, "an external interrupt with this vector, from no device",
     "it would be taken at no boundary of the window"},
    {"irq", DECISION_IRQ, SOURCE_VALUE_LINE, true, "an edge on this line of the PC, if it is not masked",
     "the line is masked wherever an interrupt would be taken, or this mode has no lines (only --mode hvm does); "
     "--inject vector:N needs no line"},
    {"ipi", DECISION_IPI, SOURCE_VALUE_VECTOR, false, "an IPI with this vector, where the local APIC would take it",
     "the local APIC takes it at no boundary; --inject vector:N does not need it to"},
    {"upcall", DECISION_UPCALL, SOURCE_VALUE_NONE, false, "Xen's upcall, without an event", NULL},
    {"event", DECISION_EVENT, SOURCE_VALUE_PORT, false, "the other end of this event-channel port raises it", NULL},
    {"late", DECISION_LATE, SOURCE_VALUE_NS, false, "the earliest armed timer expires this many ns late", NULL},
    {"pass", DECISION_PASS, SOURCE_VALUE_NS, false, "this many ns pass while no vCPU runs", NULL},
    {"plug", DECISION_PLUG, SOURCE_VALUE_VCPU, false, "the toolstack makes this vCPU available", NULL},
    {"unplug", DECISION_UNPLUG, SOURCE_VALUE_VCPU, false, "the toolstack asks the guest to give this vCPU back", NULL},
};
static_assert(COUNT(kinds) < SOURCES_MAX, "each row has an index");

/* How a value is written: behind the name in the list, in an example, and before it in a decision. */
static const struct value_words {
    const char *letter, *what, *example, *before;
} values[] = {
    [SOURCE_VALUE_NONE] = {"", "", "", ""},
    [SOURCE_VALUE_VECTOR] = {":N", "a vector", "0x30", "0 "}, /* of vCPU 0: any is as good */
    [SOURCE_VALUE_LINE] = {":N", "an interrupt line", "0", ""},
    [SOURCE_VALUE_PORT] = {":N", "an event-channel port", "1", ""},
    [SOURCE_VALUE_NS] = {":NS", "a time in ns", "1000", ""},
    [SOURCE_VALUE_VCPU] = {":V", "a vCPU", "1", ""},
};

const struct source_kind *source_at(unsigned index)
{
    return index < COUNT(kinds) ? &kinds[index] : NULL;
}

unsigned source_index(enum decision_kind decision)
{
    for (unsigned i = 0; i < COUNT(kinds); i++)
        if (kinds[i].decision == decision)
            return i;
    return SOURCES_MAX;
}

unsigned source_index_named(const char *name)
{
    for (unsigned i = 0; i < COUNT(kinds); i++)
        if (!strcmp(kinds[i].name, name))
            return i;
    return SOURCES_MAX;
}

/* The schedule's own parser knows which values are legal. */
static enum emu_err parse_value(const struct source_kind *kind, const char *text, struct source *source, struct diag *d)
{
    const struct value_words *words = &values[kind->value];
    struct decision decision;
    char line[96];

    if (strlen(text) > VALUE_CHARACTERS_MAX)
        return diag_set(d, EMU_EINPUT, "--inject %s needs %s, not '%.40s...'", kind->name, words->what, text);
    snprintf(line, sizeof(line), "then %s %s%s", decision_kind_name(kind->decision), words->before, text);
    if (decision_parse(line, &decision, d) != EMU_OK)
        return EMU_EINPUT;
    source->value = decision.value;
    if (kind->value == SOURCE_VALUE_VCPU)
        source->vcpu = decision.vcpu;
    return EMU_OK;
}

enum emu_err source_parse(const char *text, struct source *source, struct diag *d)
{
    size_t bytes = strcspn(text, ":");
    const struct source_kind *kind = NULL;
    char names[SOURCE_NAMES_BYTES];

    for (unsigned i = 0; i < COUNT(kinds) && !kind; i++)
        if (strlen(kinds[i].name) == bytes && !strncmp(text, kinds[i].name, bytes))
            kind = &kinds[i];
    if (!kind) {
        source_print_names(SOURCES_ALL, names, sizeof(names));
        return diag_set(d, EMU_EINPUT, "--inject takes %s, not '%s'", names, text);
    }
    *source = (struct source){.kind = kind->decision, .vcpu = DECISION_ANY_VCPU};
    if (kind->value == SOURCE_VALUE_NONE && text[bytes])
        return diag_set(d, EMU_EINPUT, "--inject %s takes no number", kind->name);
    if (kind->value == SOURCE_VALUE_NONE)
        return EMU_OK;
    if (!text[bytes])
        return diag_set(d, EMU_EINPUT, "--inject %s needs %s, like %s:%s", kind->name, values[kind->value].what,
                        kind->name, values[kind->value].example);
    return parse_value(kind, text + bytes + 1, source, d);
}

void source_print_names(enum source_set set, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < COUNT(kinds) && used < bytes; i++)
        if (set == SOURCES_ALL || (set == SOURCES_EXHAUSTIVE) == (kinds[i].why_nothing != NULL))
            used += (size_t)snprintf(text + used, bytes - used, "%s%s%s", used ? ", " : "", kinds[i].name,
                                     values[kinds[i].value].letter);
}

void source_print_list(FILE *to)
{
    char name[32];

    for (unsigned i = 0; i < COUNT(kinds); i++) {
        snprintf(name, sizeof(name), "%s%s", kinds[i].name, values[kinds[i].value].letter);
        fprintf(to, "  %-10s %s%s\n", name, kinds[i].what, kinds[i].needs_hvm ? " (--mode hvm)" : "");
    }
}
