/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/xen_words.h"

#include <string.h>

#include "emu/base/count.h"

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
    return GUEST_LINE_OTHER;
}

static bool is_reporter(const char *symbol)
{
    for (size_t i = 0; i < COUNT(reporters); i++)
        if (!strcmp(symbol, reporters[i]))
            return true;
    return false;
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
