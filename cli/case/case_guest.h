/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * case_guest: where on this host the guest of a case is, and whether it still is the one that the case was written for.
 * Paths in a case are relative to its file; free-standing guests and cached kernels have names instead.
 */
#ifndef BOOTRACE_CLI_CASE_CASE_GUEST_H
#define BOOTRACE_CLI_CASE_CASE_GUEST_H

#include <stdint.h>

#include "cli/case/case.h"
#include "cli/run/guest.h"
#include "emu/base/diag.h"
#include "emu/schedule.h"

/* Where free-standing guests, the corpus and cached kernels are. Empty text: not found. */
#define CASE_PATH_BYTES 4096
struct case_places {
    char guests[CASE_PATH_BYTES];
    char corpus[CASE_PATH_BYTES]; /* ./corpus, or the one that was installed */
    char cache[CASE_PATH_BYTES];
};
/* Beside this program (in its build folder, or as installed), or `guests` if that is given. */
void case_places_init(struct case_places *p, const char *guests);

/* The guest of a case, as the options of a guest. The text is the case's and that of `o`. */
struct case_guest {
    struct guest_options options;
    char kernel[CASE_PATH_BYTES], initrd[CASE_PATH_BYTES], system_map[CASE_PATH_BYTES], vmlinux[CASE_PATH_BYTES];
    char op_table[CASE_PATH_BYTES], xen_image[CASE_PATH_BYTES];
    char module[PLATFORM_MODULES_MAX][CASE_PATH_BYTES];
};
enum emu_err case_find_guest(const struct test_case *c, const struct case_places *p, struct case_guest *g,
                             struct diag *d) EMU_MUST_CHECK;

/* Read a case's schedule into `s`, which stays as it is if there is none, and find its guest: in `guests` or, if that
   is NULL, beside this program. */
enum emu_err case_prepare(const struct test_case *c, const char *guests, struct case_guest *g, struct schedule *s,
                          struct diag *d) EMU_MUST_CHECK;

/* EMU_EINPUT: the case's guest is not the one that the case was written for. */
enum emu_err case_check_image(const struct test_case *c, const struct case_guest *g, struct diag *d) EMU_MUST_CHECK;

#endif
