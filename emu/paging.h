/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paging: from guest-virtual to guest-physical by the guest's own tables; SDM Vol. 3A, "Paging". No paging, 32-bit
 * (two levels, with PSE), PAE, and 4-level. Walks read memory only: they set no accessed or dirty bits. Reserved bits
 * are those that depend on no CPU model: address bits are not counted against MAXPHYADDR.
 */
#ifndef BOOTRACE_EMU_PAGING_H
#define BOOTRACE_EMU_PAGING_H

#include <stdbool.h>
#include <stdint.h>

struct memory;

struct paging { /* what a walk depends on */
    uint64_t cr0, cr3, cr4, efer;
};

#define PAGING_WRITE 1u
#define PAGING_USER  2u
#define PAGING_FETCH 4u

/* #PF error code bits; SDM Vol. 3A, "Page-Fault Exceptions". */
#define PF_ERROR_P    (1u << 0)
#define PF_ERROR_W    (1u << 1)
#define PF_ERROR_U    (1u << 2)
#define PF_ERROR_RSVD (1u << 3)
#define PF_ERROR_ID   (1u << 4)

struct paging_result {
    bool ok;
    uint64_t gpa;        /* when ok */
    uint32_t error_code; /* for the #PF when not */
};

/* `access` is a set of PAGING_*. */
struct paging_result paging_walk(const struct memory *mem, const struct paging *p, uint64_t gva, unsigned access);

#endif
