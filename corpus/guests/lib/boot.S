/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PVH entry, the switch to long mode in 64-bit guests, the start of other vCPUs, and the trap stubs.
 *
 * PVH hands over 32-bit protected mode: paging off, ebx = physical address of hvm_start_info, no stack, GDT or IDT.
 * Source: Xen docs, "x86/HVM direct boot ABI"; SDM Vol. 3A, "Initializing IA-32e Mode" and "MP Initialization".
 */
    .file "boot.S" /* else the name of gcc's temporary file becomes a symbol */

#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18

    .section .note.Xen, "a", @note
    .balign 4
    .long 4
    .long 2f - 1f
    .long 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
#ifdef __x86_64__
1:  .quad _start
#else
1:  .long _start
#endif
2:

    .section .text.start, "ax"
    .code32
    .globl _start
    .type _start, @function
_start:
    cld
    lgdt gdt_descriptor
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $boot_stack_end, %esp
    xor %ebp, %ebp

#ifdef __x86_64__
    /* All 4 GiB identically, by 2 MiB pages: the start info may lie anywhere. Accessed and dirty from the start, as in
       start.c. */
    mov $page_directories, %edi
    mov $0xe3, %eax
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b
    movl $(page_directories + 0x0023), page_pointers
    movl $(page_directories + 0x1023), page_pointers + 8
    movl $(page_directories + 0x2023), page_pointers + 16
    movl $(page_directories + 0x3023), page_pointers + 24
    movl $(page_pointers + 0x23), page_root
    call long_mode_enable
    ljmp $CODE64, $1f
    .code64
1:  mov $boot_stack_end, %rsp
    mov %ebx, %edi
#else
    /* FXSAVE is told to exist, as any kernel of its time would. */
    mov %cr4, %eax
    or $0x600, %eax
    mov %eax, %cr4
    push %ebx
#endif
    call guest_start
    ud2
    .size _start, . - _start

/* For a guest that another guest starts: entered in the guest's own mode, flat, with paging on, all that it needs mapped
 * identically, IF=0; (r|e)di = physical address of hvm_start_info. */
    .globl _start_native
    .type _start_native, @function
_start_native:
#ifdef __x86_64__
    .code64
    cld
    lgdt gdt_descriptor
    mov $boot_stack_end, %rsp
    push $CODE64
    push $1f
    lretq
1:  mov $DATA, %eax
#else
    cld
    lgdt gdt_descriptor
    mov $boot_stack_end, %esp
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
#endif
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    xor %ebp, %ebp
#ifndef __x86_64__
    push %edi
#endif
    call guest_start
    ud2
    .size _start_native, . - _start_native

#ifdef __x86_64__
    .code32
    .type long_mode_enable, @function
long_mode_enable:
    mov %cr4, %eax
    or $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $page_root, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* EFER */
    rdmsr
    or $0x100, %eax /* LME */
    wrmsr
    mov %cr0, %eax
    and $~0x4, %eax /* EM */
    or $0x80010003, %eax /* PG, WP, MP, PE */
    mov %eax, %cr0
    ret
    .size long_mode_enable, . - long_mode_enable
#endif

/* Copied to a page below 1 MiB; SIPI starts here in real mode with CS = page >> 4, IP = 0. */
    .section .text, "ax"
    .globl ap_trampoline
    .globl ap_trampoline_end
    .code16
ap_trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl ap_gdt_descriptor - ap_trampoline
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $CODE32, $ap_start32
    .balign 4
ap_gdt_descriptor:
    .word gdt_end - gdt - 1
    .long gdt
ap_trampoline_end:

    .code32
    .globl ap_start32
    .type ap_start32, @function
ap_start32:
    cli
    lgdt %cs:gdt_descriptor /* DS still is real mode's, or a hypercall's */
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    xor %ebp, %ebp
    cld
#ifdef __x86_64__
    mov ap_stack_top, %esp
    call long_mode_enable
    ljmp $CODE64, $1f
    .code64
1:  mov ap_stack_top(%rip), %rsp
#else
    mov ap_stack_top, %esp
    mov %cr4, %eax
    or $0x600, %eax
    mov %eax, %cr4
#endif
    call ap_main
1:  cli
    hlt
    jmp 1b
    .size ap_start32, . - ap_start32

#ifndef __x86_64__
    .code32
#endif

/* One stub a vector: error code (real or 0), vector, then the common tail. */
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .type trap_common, @function
trap_common:
    cld
#ifdef __x86_64__
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $~15, %rsp
    call trap_dispatch
    mov %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq
#else
    pusha
    mov %esp, %ebx
    and $~15, %esp
    sub $12, %esp
    push %ebx
    call trap_dispatch
    mov %ebx, %esp
    popa
    add $8, %esp
    iret
#endif
    .size trap_common, . - trap_common

    .section .data, "aw"
    .balign 8
    .globl gdt
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* CODE32 */
    .quad 0x00cf93000000ffff /* DATA */
    .quad 0x00af9b000000ffff /* CODE64 */
gdt_end:
    .word 0
gdt_descriptor:
    .word gdt_end - gdt - 1
    .long gdt

    .section .bss, "aw", @nobits
    .balign 4096
#ifdef __x86_64__
    .globl page_root
    .globl page_pointers
    .globl page_directories
page_root:
    .skip 4096
page_pointers:
    .skip 4096
page_directories:
    .skip 4 * 4096
#else
    .globl page_root
page_root:
    .skip 4096
#endif
    .globl page_low
page_low: /* 4 KiB pages of the first 2 MiB (4 MiB in 32-bit guests) */
    .skip 4096
    .globl boot_stack
boot_stack:
    .skip 16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
