/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv32: a 32-bit PV guest by itself, for a Xen that is the machine's guest (--mode pv). Linux has been none since 5.9. It says
 * which ring it runs in and what its start_info is called, makes a page read-only and writable again by a
 * hypercall, and powers off. It uses nothing of lib/, which is for PVH guests. FEATURES is the string of the note FEATURES.
 *
 * Source: Xen public/xen.h, struct start_info; public/elfnote.h; public/arch-x86/xen-x86_32.h.
 */
#define VIRT_BASE               0xc0000000
#define HYPERCALL(number)       call hypercall_page + 32 * (number)
#define UPDATE_VA_MAPPING       14
#define SCHED_OP                29
#define EVENT_CHANNEL_OP        32
#define EVTCHNOP_SEND           4
#define SCHEDOP_SHUTDOWN        2
#define PAGE                    4096
#define START_INFO_CONSOLE_MFN  52 /* of 32-bit guests */
#define START_INFO_CONSOLE_PORT 56
#define START_INFO_MFN_LIST     68
#define RING_OUT                1024 /* struct xencons_interface */
#define RING_OUT_BYTES          2048
#define RING_OUT_PROD           3084

    .text
    .globl _start
_start:
    cld
    mov %esi, start_info
    mov START_INFO_CONSOLE_PORT(%esi), %eax
    mov %eax, console_port
    mov START_INFO_CONSOLE_MFN(%esi), %eax
    mov $console, %ebx
    mov $0x63, %ecx /* present, writable, accessed, dirty */
    call map_frame
    test %eax, %eax
    jnz crash
    mov %cs, %eax
    and $3, %eax
    add $'0', %al
    mov %al, ring
    mov $said_ring, %edx
    mov $said_ring_end - said_ring, %ecx
    call say
    mov start_info, %edx /* it begins with its name, 32 bytes */
    xor %ecx, %ecx
1:  cmpb $0, (%edx, %ecx)
    je 2f
    inc %ecx
    cmp $32, %ecx
    jb 1b
2:  call say
    mov $line_end, %edx
    mov $1, %ecx
    call say

    mov $0x21, %ecx /* present, accessed */
    call map_page
    test %eax, %eax
    jnz failed
    mov page, %eax
    mov $0x63, %ecx /* writable, too */
    call map_page
    test %eax, %eax
    jnz failed
    movl $1, page
    mov $said_mapped, %edx
    mov $said_mapped_end - said_mapped, %ecx
    call say
    jmp power_off

failed:
    mov $said_failed, %edx
    mov $said_failed_end - said_failed, %ecx
    call say
crash:
    movl $3, reason /* SHUTDOWN_crash */
power_off:
    mov $SCHEDOP_SHUTDOWN, %ebx
    mov $reason, %ecx
    HYPERCALL(SCHED_OP)
    ud2

/* ecx bytes at edx, into the console's ring, which has room for all that is said here */
say:
    mov %edx, %esi
    mov console + RING_OUT_PROD, %edi
1:  mov %edi, %ebx
    and $RING_OUT_BYTES - 1, %ebx
    lodsb
    mov %al, console + RING_OUT(%ebx)
    inc %edi
    loop 1b
    mov %edi, console + RING_OUT_PROD
    mov $EVTCHNOP_SEND, %ebx
    mov $console_port, %ecx
    HYPERCALL(EVENT_CHANNEL_OP)
    ret

/* update_va_mapping of `page` with the flags ecx */
map_page:
    mov start_info, %eax
    mov START_INFO_MFN_LIST(%eax), %edx
    mov $page - VIRT_BASE, %eax
    shr $12, %eax
    mov (%edx, %eax, 4), %eax /* its machine frame */
    mov $page, %ebx
/* … of the machine frame eax at ebx; INVLPG behind it */
map_frame:
    mov %eax, %edx
    shl $12, %eax
    or %eax, %ecx
    shr $20, %edx
    mov $2, %esi /* UVMF_INVLPG */
    HYPERCALL(UPDATE_VA_MAPPING)
    ret

    .balign PAGE
    .globl hypercall_page
    .type hypercall_page, @function
    .size hypercall_page, PAGE
hypercall_page:
    .skip PAGE

    .data
said_ring:
    .ascii "pv32: ring "
ring:
    .ascii "?, "
said_ring_end:
line_end:
    .ascii "\n"
said_mapped:
    .ascii "pv32: a page was made read-only and writable again\n"
said_mapped_end:
said_failed:
    .ascii "pv32: update_va_mapping failed\n"
said_failed_end:
    .balign 4
start_info:
    .long 0
reason:
    .long 0
console_port:
    .long 0
    .balign PAGE
page:
    .skip PAGE
console:
    .skip PAGE

    .macro note type, text:vararg
    .balign 4
    .long 2f - 1f, 4f - 3f, \type
1:  .asciz "Xen"
2:  .balign 4
3:  \text
4:  .balign 4
    .endm

    .section .note.Xen, "a", @note
    note 6, .asciz "bootrace"      /* GUEST_OS */
    note 5, .asciz "xen-3.0"       /* XEN_VERSION */
    note 3, .long VIRT_BASE
    note 4, .long 0                /* PADDR_OFFSET */
    note 1, .long _start
    note 2, .long hypercall_page
    note 9, .asciz "yes"           /* PAE_MODE */
    note 8, .asciz "generic"       /* LOADER */
#ifdef FEATURES
    note 10, .asciz FEATURES
#endif
    .section .note.GNU-stack, "", @progbits
