/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s3: hello with the ELF notes of a paravirtualised Linux, for seed S3: which toolstack would load it. S3_FEATURES is
 * the string of note FEATURES; with S3_IN_NOTE there is a note SUPPORTED_FEATURES with the vector too. Every Xen that
 * has PVH (PHYS32_ENTRY, in lib/boot.S) can run it.
 *
 * Source: Xen public header elfnote.h (4.17); Linux 3.14, arch/x86/xen/xen-head.S, for the set of notes.
 */
#include "hypercall.h"

#include <xen/elfnote.h>
#include <xen/features.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/* One note: name "Xen" (4 bytes with its NUL), the type, and a description. */
#define NOTE(type, description)                                                                                        \
    asm(".pushsection .note.Xen, \"a\", @note\n.balign 4\n.long 4, 2f - 1f, " TEXT(                                    \
        type) "\n.asciz \"Xen\"\n1: " description "\n2: .balign 4\n.popsection")

NOTE(XEN_ELFNOTE_GUEST_OS, ".asciz \"linux\"");
NOTE(XEN_ELFNOTE_XEN_VERSION, ".asciz \"xen-3.0\"");
NOTE(XEN_ELFNOTE_VIRT_BASE, ".quad 0");
NOTE(XEN_ELFNOTE_ENTRY, ".quad _start");
NOTE(XEN_ELFNOTE_HYPERCALL_PAGE, ".quad s3_hypercall_page");
NOTE(XEN_ELFNOTE_PAE_MODE, ".asciz \"yes\"");
NOTE(XEN_ELFNOTE_FEATURES, ".asciz \"" S3_FEATURES "\"");
#ifdef S3_IN_NOTE
NOTE(
    XEN_ELFNOTE_SUPPORTED_FEATURES, ".long 1 << " TEXT(XENFEAT_writable_page_tables) " | 1 << " TEXT(XENFEAT_writable_descriptor_tables) " | 1 << " TEXT(XENFEAT_auto_translated_physmap) " | 1 << " TEXT(
                                        XENFEAT_supervisor_mode_kernel) " | 1 << " TEXT(XENFEAT_pae_pgdir_above_4gb) " "
                                                                                                                     "|"
                                                                                                                     " "
                                                                                                                     "1"
                                                                                                                     " "
                                                                                                                     "<"
                                                                                                                     "<"
                                                                                                                     " " TEXT(XENFEAT_hvm_callback_vector) " | 1 << " TEXT(
                                                                                                                         XENFEAT_dom0));
#endif

/* Where a PV domain's loader would put its hypercall page. */
extern char s3_hypercall_page[4096];
char s3_hypercall_page[4096] __attribute__((aligned(4096), used));

void guest_main(void)
{
    printk("loaded with the features \"%s\"\n", S3_FEATURES);
    printk("Xen %u.%u by CPUID\n", xen_version_word() >> 16, xen_version_word() & 0xffff);
}
