/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r_panics: two bugs that end alike. The handler of an NMI looks at what the guest changes and finds it half done;
 * which half it is tells which check fails, and each check panics as Linux does: by one function, with a sentence of
 * its own, and a shutdown with reason crash. A search has to keep the two apart.
 *
 * Parameters: fixed=0|1 (default 0): the handler looks at nothing while something is changed.
 * Ends: PASS; else a crash behind "Kernel panic - not syncing: the list is torn" or "... the count is torn".
 */
#include "hypercall.h"

static bool fixed;
static volatile uint32_t changing, list[2], count[2];

void panic(const char *why);
void check_list(void);
void check_count(void);
void change_list(void);
void change_count(void);

/* Never inlined and never copied for one caller: its caller is what is told. */
__attribute__((noinline, noclone, noreturn)) void panic(const char *why)
{
    struct sched_shutdown crash = {.reason = SHUTDOWN_crash};

    printk("Kernel panic - not syncing: %s\n", why);
    for (;;)
        sched_op(SCHEDOP_shutdown, &crash);
}

__attribute__((noinline)) void check_list(void)
{
    if (list[0] != list[1])
        panic("the list is torn");
}

__attribute__((noinline)) void check_count(void)
{
    if (count[0] != count[1])
        panic("the count is torn");
}

static void nmi_handler(struct trap_regs *regs)
{
    if (fixed && changing)
        return;
    check_list();
    check_count();
}

__attribute__((noinline)) void change_list(void)
{
    changing = 1;
    list[0]++;
    list[1]++;
    changing = 0;
}

__attribute__((noinline)) void change_count(void)
{
    changing = 1;
    count[0]++;
    count[1]++;
    changing = 0;
}

void guest_main(void)
{
    fixed = param_u32("fixed", 0) != 0;
    printk("Linux version 0, or nearly\n"); /* its panics are told by their lines */
    trap_set(2, nmi_handler);
    for (unsigned i = 0; i < 4; i++) {
        change_list();
        change_count();
    }
    printk("done\n");
}
