/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/linux_words.h"

#include <ctype.h>
#include <string.h>

#include "emu/base/count.h"

#define BANNER "Linux version "

/* Of the beginning of a line; the first that fits. Source: Linux kernel/panic.c, arch/x86/kernel/dumpstack.c, traps.c,
   head_64.S and early_fixup_exception(), arch/x86/mm/fault.c, kernel/printk, init/version.c, 2.6.18 to 6.12. */
static const struct row {
    const char *begins;
    enum guest_line line;
} rows[] = {
    {"Kernel panic - not syncing: Fatal exception", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing: Attempted to kill ", GUEST_LINE_PANIC_AFTER}, /* init, or the idle task */
    {"Kernel panic - not syncing: Aiee, killing interrupt handler", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing: panic_on_warn set", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing: kernel: panic_on_warn set", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing: softlockup: hung tasks", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing: hung_task: blocked tasks", GUEST_LINE_PANIC_AFTER},
    {"Kernel panic - not syncing", GUEST_LINE_PANIC},
    {"PANIC: early exception ", GUEST_LINE_FATAL},
    {"---[ end Kernel panic", GUEST_LINE_END},
    {"Rebooting in ", GUEST_LINE_END},
    {"BUG: ", GUEST_LINE_REPORT},
    {"watchdog: BUG: ", GUEST_LINE_REPORT},
    {"kernel BUG at ", GUEST_LINE_REPORT},
    {"WARNING: ", GUEST_LINE_REPORT},
    {"INFO: task ", GUEST_LINE_REPORT},
    {"Oops", GUEST_LINE_REPORT},
    {"Unable to handle ", GUEST_LINE_REPORT},
    {"general protection fault", GUEST_LINE_REPORT},
    {"traps: PANIC: double fault", GUEST_LINE_REPORT},
    {"PANIC: double fault", GUEST_LINE_REPORT},
    {"double fault", GUEST_LINE_REPORT},
    {"divide error: ", GUEST_LINE_REPORT},
    {"invalid opcode: ", GUEST_LINE_REPORT},
    {"invalid TSS: ", GUEST_LINE_REPORT},
    {"segment not present: ", GUEST_LINE_REPORT},
    {"stack segment: ", GUEST_LINE_REPORT},
    {"alignment check: ", GUEST_LINE_REPORT},
    {"int3: ", GUEST_LINE_REPORT},
    {"---[ end trace ", GUEST_LINE_REPORT_DONE},
    {"Code: ", GUEST_LINE_REPORT_DONE},
    {BANNER, GUEST_LINE_ANEW},
};

/* Source: as above, and kernel/exit.c, lib/string_helpers.c, include/linux/stackprotector.h. */
static const char *const reporters[] = {
    "__bad_area",
    "__bad_area_nosemaphore",
    "__die",
    "__die_body",
    "__do_page_fault",
    "__fortify_panic",
    "__stack_chk_fail",
    "__ubsan_handle_out_of_bounds",
    "__warn",
    "async_page_fault",
    "bad_area",
    "bad_area_nosemaphore",
    "check_panic_on_warn",
    "die",
    "die_addr",
    "die_nmi",
    "do_double_fault",
    "do_error_trap",
    "do_general_protection",
    "do_invalid_op",
    "do_page_fault",
    "do_trap",
    "do_user_addr_fault",
    "double_fault",
    "fixup_exception",
    "fortify_panic",
    "general_protection",
    "handle_bug",
    "handle_stack_overflow",
    "invalid_op",
    "kernelmode_fixup_or_oops",
    "make_task_dead",
    "nmi_panic",
    "no_context",
    "oops_begin",
    "oops_end",
    "oops_exit",
    "page_fault",
    "page_fault_oops",
    "panic",
    "report_bug",
    "rewind_stack_and_make_dead",
    "rewind_stack_do_exit",
    "search_exception_tables",
    "search_module_extables",
    "show_fault_oops",
    "vpanic",
    "warn_slowpath_common",
    "warn_slowpath_fmt",
};

/* "<4>[   12.345678][    T1] " and the like: level, time and caller. */
static const char *skip_prefix(const char *line)
{
    if (line[0] == '<' && isdigit((unsigned char)line[1]) && line[2] == '>')
        line += 3;
    while (*line == '[') {
        size_t n = 1 + strspn(line + 1, " ");

        if (isupper((unsigned char)line[n])) /* T1, C0 */
            n++;
        if (!isdigit((unsigned char)line[n]))
            break;
        n += strspn(line + n, "0123456789.");
        if (line[n] != ']')
            break;
        line += n + 1;
    }
    return line + strspn(line, " ");
}

static enum guest_line read_line(const char *line, const char **said)
{
    *said = skip_prefix(line);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!strncmp(*said, rows[i].begins, strlen(rows[i].begins)))
            return rows[i].line;
    return GUEST_LINE_OTHER;
}

/* The compiler makes parts of functions: "die.cold", "die.part.0". Entries of exceptions begin alike. */
static bool is_reporter(const char *symbol)
{
    size_t length = strcspn(symbol, ".");

    for (size_t i = 0; i < COUNT(reporters); i++)
        if (!strncmp(symbol, reporters[i], length) && !reporters[i][length])
            return true;
    return !strncmp(symbol, "exc_", 4) || !strncmp(symbol, "asm_exc_", 8);
}

bool linux_words_are_of(const uint8_t *image, size_t bytes)
{
    const size_t length = strlen(BANNER);

    for (const uint8_t *at = image, *end = image + bytes; (at = memmem(at, (size_t)(end - at), BANNER, length)); at++)
        if ((size_t)(end - at) > length && isdigit(at[length]))
            return true;
    return false;
}

const struct guest_words linux_words = {
    .name = "Linux",
    .read_line = read_line,
    .is_reporter = is_reporter,
    .panic = "panic",
    .crash_kernel = "kexec_crash_image",
    .leave = "machine_kexec",
};
