/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/xen_words.h"

#include <stdio.h>
#include <string.h>

#include "emu/base/count.h"
#include "models/xen/xen_symbols.h"

#define PREFIX "(XEN) "
#define PANIC  "Panic on CPU "

/* Source: Xen drivers/char/console.c, panic(); common/shutdown.c; arch/x86/traps.c, fatal_trap(). */
static const struct row {
    const char *begins;
    enum guest_line line;
} rows[] = {
    {PANIC, GUEST_LINE_PANIC_NEXT},
    {"Reboot in ", GUEST_LINE_END},
    {"Manual reset required", GUEST_LINE_END},
    {"Xen version ", GUEST_LINE_ANEW},
};

/* "d1v0 Unhandled: vec 6, #UD[0000]" and, when all is printed, "Domain 1 (vcpu#0) crashed on cpu#0:". Source: Xen
   arch/x86/traps.c, pv_inject_event() and show_page_walk(); common/domain.c, __domain_crash(). */
static bool is_fault_of_guest(const char *said)
{
    unsigned domain, vcpu;
    int used = 0;

    return sscanf(said, "d%5uv%5u Unhandled: %n", &domain, &vcpu, &used) == 2 && used;
}

static bool is_end_of_guest(const char *said)
{
    unsigned domain, vcpu, cpu;
    int used = 0;

    return sscanf(said, "Domain %5u (vcpu#%5u) crashed on cpu#%5u:%n", &domain, &vcpu, &cpu, &used) == 3 && used;
}

static const char *const reporters[] = {"panic", "fatal_trap", "nmi_watchdog_tick", "__stack_chk_fail", "__bug"};

static enum guest_line read_line(const char *line, const char **said)
{
    const char *time_end;

    *said = line;
    if (strncmp(line, PREFIX, strlen(PREFIX)))
        return GUEST_LINE_OTHER;
    *said += strlen(PREFIX);
    if (**said == '[' && (time_end = strstr(*said, "] ")))
        *said = time_end + 2;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!strncmp(*said, rows[i].begins, strlen(rows[i].begins)))
            return rows[i].line;
    if (is_fault_of_guest(*said))
        return GUEST_LINE_REPORT;
    return is_end_of_guest(*said) ? GUEST_LINE_FATAL_AFTER : GUEST_LINE_OTHER;
}

static bool is_reporter(const char *symbol)
{
    for (size_t i = 0; i < COUNT(reporters); i++)
        if (!strcmp(symbol, reporters[i]))
            return true;
    return false;
}

static bool is_reporter_below(const char *symbol)
{
    return !strncmp(symbol, XEN_SYMBOLS_PREFIX, strlen(XEN_SYMBOLS_PREFIX)) &&
           is_reporter(symbol + strlen(XEN_SYMBOLS_PREFIX));
}

bool xen_words_are_of(const uint8_t *image, size_t bytes)
{
    return memmem(image, bytes, PREFIX, strlen(PREFIX)) && memmem(image, bytes, PANIC "%d", strlen(PANIC "%d"));
}

const struct guest_words xen_words = {
    .name = "Xen",
    .read_line = read_line,
    .is_reporter = is_reporter,
    .panic = "panic",
    .leave = "machine_kexec",
};

const struct guest_words xen_words_below = {
    .name = "Xen",
    .read_line = read_line,
    .is_reporter = is_reporter_below,
    .panic = XEN_SYMBOLS_PREFIX "panic",
    .leave = XEN_SYMBOLS_PREFIX "machine_kexec",
};
