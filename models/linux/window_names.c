/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/window_names.h"

#include "emu/base/count.h"

#define FUNCTIONS_MAX 3

/* The first function that is there is meant. Source: Linux arch/x86/kernel/alternative.c, ftrace.c;
   kernel/jump_label.c, static_call_inline.c, kprobes.c, cpu.c, module/main.c (kernel/module.c before 5.19). */
static const struct {
    const char *name, *meaning, *functions[FUNCTIONS_MAX];
} rows[] = {
    {"@alternatives", "the boot's patching", {"alternative_instructions"}},
    {"@cpu-down", "a CPU goes offline", {"_cpu_down"}},
    {"@cpu-up", "a CPU comes online", {"_cpu_up"}},
    {"@ftrace", "calls of the function tracer change", {"arch_ftrace_update_code", "ftrace_modify_all_code"}},
    {"@kprobe", "a probe is armed", {"arm_kprobe"}},
    {"@module", "a module is loaded", {"load_module"}},
    {"@static-call", "a static call is updated", {"__static_call_update"}},
    {"@static-key", "the branches of a static key change", {"jump_label_update", "__jump_label_update"}},
    {"@text-poke", /* 6.16, 5.0 and before them */
     "code is patched by breakpoints",
     {"smp_text_poke_batch_finish", "text_poke_bp_batch", "text_poke_bp"}},
};

void window_names_add(struct symbols *s)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        for (unsigned f = 0; f < FUNCTIONS_MAX && rows[i].functions[f]; f++)
            if (symbols_add_alias(s, rows[i].name, rows[i].functions[f]))
                break;
}

void window_names_print_list(FILE *to)
{
    for (unsigned i = 0; i < COUNT(rows); i++)
        fprintf(to, "  %-14s %s\n", rows[i].name, rows[i].meaning);
}
