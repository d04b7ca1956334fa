/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/engine_jump.h"

/* clang links its ASan into the program, where no symbol goes before its own. */
#if defined(__SANITIZE_ADDRESS__) && !defined(__clang__)

#include <dlfcn.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/ensure.h"

typedef void(jump_fn)(struct __jmp_buf_tag *to, int value);

static jump_fn *libc_jump; /* the same in every process of a build, and of no run */

static jump_fn *find_libc_jump(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    return libc ? (jump_fn *)dlsym(libc, "__longjmp_chk") : NULL;
}

/* A symbol of the program goes before those of all libraries (ld.so(8)), ASan's too. */
_Noreturn void __longjmp_chk(struct __jmp_buf_tag *to, int value);

_Noreturn void __longjmp_chk(struct __jmp_buf_tag *to, int value)
{
    ensure(libc_jump);
    libc_jump(to, value);
    __builtin_unreachable();
}

bool engine_jump_is_plain(void)
{
    if (!libc_jump)
        libc_jump = find_libc_jump();
    return libc_jump && (uintptr_t)dlsym(RTLD_DEFAULT, "__longjmp_chk") == (uintptr_t)__longjmp_chk;
}

#else

bool engine_jump_is_plain(void)
{
    return true;
}

#endif
