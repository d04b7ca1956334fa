/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_map: which bytes of guest-physical memory a watched run has executed, and at which virtual addresses. A write to
 * memory has a physical address; a reader wants to know which code it changes.
 */
#ifndef BOOTRACE_CLI_REPORT_CODE_MAP_H
#define BOOTRACE_CLI_REPORT_CODE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/machine.h"

struct symbols;
struct code_page;

struct code_map {
    struct machine *machine;
    const struct symbols *symbols; /* may be NULL */
    struct code_page *page;
    size_t pages;
    uint64_t text_gva, text_gpa; /* of a place in the kernel's code; text_gva 0: none is known */
};

/* False if the host has no memory; code_map_fini() accepts that map then, and a zeroed one. */
bool code_map_init(struct code_map *c, struct machine *m, const struct symbols *symbols);
void code_map_fini(struct code_map *c);

/* Note that `bytes` at `gpa`, all on one page, were executed at `gva`. Does nothing when the map is full. */
void code_map_add(struct code_map *c, uint64_t gpa, unsigned bytes, uint64_t gva);

/* Whether any of these bytes was executed. */
bool code_map_was_executed(const struct code_map *c, uint64_t gpa, unsigned bytes);

/* The virtual address of code at `gpa`, as it was executed, or as the kernel's code elsewhere suggests. UINT64_MAX if
   it is not known. */
uint64_t code_map_gva(struct code_map *c, uint64_t gpa);

/* Whether the symbols call `gva` code. */
bool code_map_is_code(const struct code_map *c, uint64_t gva);

#endif
