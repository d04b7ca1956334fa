/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exception: what the architecture says about each exception, in one table. Source: SDM Vol. 3A, "Protected-Mode
 * Exceptions and Interrupts" and "Interrupt and Exception Classes".
 */
#ifndef BOOTRACE_EMU_EXCEPTION_H
#define BOOTRACE_EMU_EXCEPTION_H

#include <stdbool.h>
#include <stdint.h>

enum exception_vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_XM = 19,
    VECTOR_VE = 20,
    VECTOR_CP = 21,
};

#define EXCEPTIONS 32u /* vectors below are the architecture's */

/* Two of a kind, one while the other is delivered, may be a double fault. */
enum exception_class { EXCEPTION_BENIGN, EXCEPTION_CONTRIBUTORY, EXCEPTION_PAGE_FAULT };

/* Whether `vector` pushes an error code; false if `vector` is no exception. */
bool exception_has_error_code(uint64_t vector);
enum exception_class exception_class(uint64_t vector);
/* Whether a kernel's interrupt handler has failed if it raises this exception. A handler may need a page fault, a
   breakpoint, or #NM to load the FPU; it needs no other exceptions. */
bool exception_is_fatal(uint64_t vector);
/* "#PF", "#GP", …; "vector 0x9" for a reserved vector, "an interrupt" if it is no exception. */
const char *exception_name(uint64_t vector);
/* "page fault", …; NULL for a reserved vector, and if it is no exception. */
const char *exception_meaning(uint64_t vector);

#endif
