/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/pv_traps.h"

#include "emu/exception.h"

const struct pv_trap pv_traps[PV_TRAPS] = {
    {"xen_asm_exc_divide_error", VECTOR_DE},       {"xen_asm_exc_bounds", VECTOR_BR},
    {"xen_asm_exc_invalid_op", VECTOR_UD},         {"xen_asm_xenpv_exc_double_fault", VECTOR_DF},
    {"xen_asm_exc_invalid_tss", VECTOR_TS},        {"xen_asm_exc_segment_not_present", VECTOR_NP},
    {"xen_asm_exc_general_protection", VECTOR_GP}, {"xen_asm_exc_stack_segment", VECTOR_SS},
};
