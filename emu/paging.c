/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/paging.h"

#include "emu/memory.h"
#include "emu/regs.h"

#define PTE_P   (1ull << 0)
#define PTE_RW  (1ull << 1)
#define PTE_US  (1ull << 2)
#define PTE_PS  (1ull << 7)
#define PTE_NX  (1ull << 63)
#define PTE_GPA 0x000ffffffffff000ull

#define PDE_4M_RESERVED (1ull << 21)

static struct paging_result fault(uint32_t present, unsigned access, const struct paging *p)
{
    bool nx_reported = (p->efer & EFER_NXE) && (p->cr4 & CR4_PAE);

    return (struct paging_result){.error_code = present | (access & PAGING_WRITE ? PF_ERROR_W : 0) |
                                                (access & PAGING_USER ? PF_ERROR_U : 0) |
                                                (nx_reported && (access & PAGING_FETCH) ? PF_ERROR_ID : 0)};
}

/* Rights gathered over the levels, in the form of a page-table entry. */
static struct paging_result check(uint64_t gpa, uint64_t rights, unsigned access, const struct paging *p)
{
    if ((access & PAGING_USER) && !(rights & PTE_US))
        return fault(PF_ERROR_P, access, p);
    if ((access & PAGING_WRITE) && !(rights & PTE_RW) && ((access & PAGING_USER) || (p->cr0 & CR0_WP)))
        return fault(PF_ERROR_P, access, p);
    if ((access & PAGING_FETCH) && (rights & PTE_NX) && (p->efer & EFER_NXE))
        return fault(PF_ERROR_P, access, p);
    return (struct paging_result){.ok = true, .gpa = gpa};
}

static bool read_entry(const struct memory *mem, uint64_t gpa, unsigned bytes, uint64_t *entry)
{
    *entry = 0;
    return memory_peek(mem, gpa, entry, bytes); /* little-endian on both sides */
}

static struct paging_result walk_32(const struct memory *mem, const struct paging *p, uint32_t gva, unsigned access)
{
    uint64_t pde, pte;

    if (!read_entry(mem, (p->cr3 & 0xfffff000u) + (gva >> 22) * 4, 4, &pde) || !(pde & PTE_P))
        return fault(0, access, p);
    if ((pde & PTE_PS) && (p->cr4 & CR4_PSE)) {
        if (pde & PDE_4M_RESERVED)
            return fault(PF_ERROR_P | PF_ERROR_RSVD, access, p);
        return check((pde & 0xffc00000u) | ((pde >> 13 & 0xff) << 32) | (gva & 0x3fffff), pde & (PTE_RW | PTE_US),
                     access, p);
    }
    if (!read_entry(mem, (pde & 0xfffff000u) + (gva >> 12 & 0x3ff) * 4, 4, &pte) || !(pte & PTE_P))
        return fault(0, access, p);
    return check((pte & 0xfffff000u) | (gva & 0xfff), pde & pte & (PTE_RW | PTE_US), access, p);
}

/* Bits that must be zero in an entry of `level` (0 is a page's); SDM Vol. 3A, "Reserved Bits" of each paging mode. Bit
   12 of a large page is PAT. */
static bool is_reserved(uint64_t entry, int level, const struct paging *p)
{
    if ((entry & PTE_NX) && !(p->efer & EFER_NXE))
        return true;
    if (!(entry & PTE_PS) || level == 0)
        return false;
    return level == 3 || (entry & ((1ull << (12 + 9 * level)) - 1) & ~0x1fffull);
}

static struct paging_result walk_64(const struct memory *mem, const struct paging *p, uint64_t gva, unsigned access)
{
    bool long_mode = p->efer & EFER_LMA;
    uint64_t table = long_mode ? p->cr3 & PTE_GPA : p->cr3 & 0xffffffe0u;
    uint64_t rights = PTE_RW | PTE_US, nx = 0;

    if (!long_mode)
        gva &= 0xffffffffu;
    else if ((int64_t)(gva << 16) >> 16 != (int64_t)gva)
        return fault(0, access, p);
    for (int level = long_mode ? 3 : 2; level >= 0; level--) {
        unsigned shift = 12 + 9 * (unsigned)level;
        unsigned index = (unsigned)(gva >> shift) & (!long_mode && level == 2 ? 3 : 511);
        bool pdpte = !long_mode && level == 2; /* PAE: no rights and no PS there */
        uint64_t entry;

        if (!read_entry(mem, table + index * 8, 8, &entry) || !(entry & PTE_P))
            return fault(0, access, p);
        if (!pdpte) {
            if (is_reserved(entry, level, p))
                return fault(PF_ERROR_P | PF_ERROR_RSVD, access, p);
            rights &= entry;
            nx |= entry & PTE_NX;
        }
        if (level == 0 || ((entry & PTE_PS) && level < 3 && !pdpte)) {
            uint64_t mask = (1ull << shift) - 1;

            return check((entry & PTE_GPA & ~mask) | (gva & mask), rights | nx, access, p);
        }
        table = entry & PTE_GPA;
    }
    return fault(0, access, p);
}

struct paging_result paging_walk(const struct memory *mem, const struct paging *p, uint64_t gva, unsigned access)
{
    if (!(p->cr0 & CR0_PG))
        return (struct paging_result){.ok = true, .gpa = gva & 0xffffffffu};
    if (p->cr4 & CR4_PAE)
        return walk_64(mem, p, gva, access);
    return walk_32(mem, p, (uint32_t)gva, access);
}
