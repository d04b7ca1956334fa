/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/exception.h"

#include <stddef.h>

static const struct exception {
    const char *name, *meaning;
    bool has_error_code;
    bool is_fatal;
    enum exception_class class;
} exceptions[EXCEPTIONS] = {
    [VECTOR_DE] = {"#DE", "divide error", false, true, EXCEPTION_CONTRIBUTORY},
    [VECTOR_DB] = {"#DB", "debug", false, false, EXCEPTION_BENIGN},
    [VECTOR_NMI] = {"NMI", "NMI", false, false, EXCEPTION_BENIGN},
    [VECTOR_BP] = {"#BP", "breakpoint", false, false, EXCEPTION_BENIGN},
    [VECTOR_OF] = {"#OF", "overflow", false, false, EXCEPTION_BENIGN},
    [VECTOR_BR] = {"#BR", "BOUND range exceeded", false, true, EXCEPTION_BENIGN},
    [VECTOR_UD] = {"#UD", "invalid opcode", false, true, EXCEPTION_BENIGN},
    [VECTOR_NM] = {"#NM", "device not available", false, false, EXCEPTION_BENIGN},
    [VECTOR_DF] = {"#DF", "double fault", true, true, EXCEPTION_BENIGN},
    [9] = {"vector 0x9", NULL, false, false, EXCEPTION_BENIGN},
    [VECTOR_TS] = {"#TS", "invalid TSS", true, true, EXCEPTION_CONTRIBUTORY},
    [VECTOR_NP] = {"#NP", "segment not present", true, true, EXCEPTION_CONTRIBUTORY},
    [VECTOR_SS] = {"#SS", "stack fault", true, true, EXCEPTION_CONTRIBUTORY},
    [VECTOR_GP] = {"#GP", "general protection", true, true, EXCEPTION_CONTRIBUTORY},
    [VECTOR_PF] = {"#PF", "page fault", true, false, EXCEPTION_PAGE_FAULT},
    [15] = {"vector 0xf", NULL, false, false, EXCEPTION_BENIGN},
    [VECTOR_MF] = {"#MF", "x87 floating-point error", false, false, EXCEPTION_BENIGN},
    [VECTOR_AC] = {"#AC", "alignment check", true, true, EXCEPTION_BENIGN},
    [VECTOR_MC] = {"#MC", "machine check", false, false, EXCEPTION_BENIGN},
    [VECTOR_XM] = {"#XM", "SIMD floating-point error", false, false, EXCEPTION_BENIGN},
    [VECTOR_VE] = {"#VE", "virtualization exception", false, true, EXCEPTION_PAGE_FAULT},
    [VECTOR_CP] = {"#CP", "control protection", true, true, EXCEPTION_CONTRIBUTORY},
};

static const struct exception *find(uint64_t vector)
{
    return vector < EXCEPTIONS && exceptions[vector].name ? &exceptions[vector] : NULL;
}

bool exception_has_error_code(uint64_t vector)
{
    const struct exception *x = find(vector);

    return x && x->has_error_code;
}

enum exception_class exception_class(uint64_t vector)
{
    const struct exception *x = find(vector);

    return x ? x->class : EXCEPTION_BENIGN;
}

bool exception_is_fatal(uint64_t vector)
{
    const struct exception *x = find(vector);

    return x && x->is_fatal;
}

const char *exception_name(uint64_t vector)
{
    const struct exception *x = find(vector);

    return x ? x->name : "an interrupt";
}

const char *exception_meaning(uint64_t vector)
{
    const struct exception *x = find(vector);

    return x ? x->meaning : NULL;
}
