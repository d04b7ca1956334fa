/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello: the least guest. Says its width, whether Xen is there, and its command line; passes. */
#include "hypercall.h"

void guest_main(void)
{
    printk("hello from a %u-bit guest\n", (unsigned)sizeof(void *) * 8);
    if (xen_present())
        printk("Xen %u.%u by CPUID\n", xen_version_word() >> 16, xen_version_word() & 0xffff);
    else
        printk("no Xen\n");
    printk("command line: %s\n", guest_boot.cmdline);
}
