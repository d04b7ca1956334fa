/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xen: CPUID leaves, the hypercall page, and the call itself. */
#include "hypercall.h"

static uint32_t cpuid_base;
static uint32_t version_word;
static enum { CALL_PAGE, CALL_VMCALL, CALL_VMMCALL } call_by;
static uint8_t hypercall_page[4096] __attribute__((aligned(4096)));

bool xen_present(void)
{
    return cpuid_base != 0;
}

uint32_t xen_cpuid_base(void)
{
    return cpuid_base;
}

uint32_t xen_version_word(void)
{
    return version_word;
}

void xen_hypercall_page_init(void)
{
    uint32_t a, msr, c, d;
    cpuid(cpuid_base + 2, &a, &msr, &c, &d);
    wrmsr(msr, (uintptr_t)hypercall_page);
}

void xen_init(void)
{
    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        uint32_t a, b, c, d;
        cpuid(base, &a, &b, &c, &d);
        if (b != 0x566e6558 || c != 0x65584d4d || d != 0x4d4d566e) /* "XenVMMXenVMM" */
            continue;
        cpuid_base = base;
        cpuid(base + 1, &version_word, &b, &c, &d);
        if (param_is("hcall", "vmcall"))
            call_by = CALL_VMCALL;
        else if (param_is("hcall", "vmmcall"))
            call_by = CALL_VMMCALL;
        else
            xen_hypercall_page_init();
        return;
    }
}

struct shared_info *xen_shared_info(void)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));
    static bool is_mapped;
    if (!is_mapped) {
        struct xen_add_to_physmap map = {
            .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (uintptr_t)page >> 12};
        if (memory_op(XENMEM_add_to_physmap, &map) != 0)
            guest_fail(1, "shared_info");
        is_mapped = true;
    }
    return (struct shared_info *)page;
}

long hypercall(unsigned number, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
    long result;
#ifdef __x86_64__
    register unsigned long r10 __asm__("r10") = d;
    register unsigned long r8 __asm__("r8") = e;
#define REGISTERS "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
#define CLOBBERS  "memory", "cc", "rcx", "r9", "r11"
    if (call_by == CALL_PAGE)
        __asm__ volatile("call *%[to]" : "=a"(result), REGISTERS : [to] "r"(hypercall_page + 32 * number) : CLOBBERS);
#else
#define REGISTERS "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
#define CLOBBERS  "memory", "cc"
    if (call_by == CALL_PAGE)
        __asm__ volatile("call *%%eax" : "=a"(result), REGISTERS : "0"(hypercall_page + 32 * number) : CLOBBERS);
#endif
    else if (call_by == CALL_VMCALL)
        __asm__ volatile("vmcall" : "=a"(result), REGISTERS : "0"(number) : CLOBBERS);
    else
        __asm__ volatile("vmmcall" : "=a"(result), REGISTERS : "0"(number) : CLOBBERS);
    return result;
}
