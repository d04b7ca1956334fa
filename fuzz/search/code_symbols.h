/* SPDX-License-Identifier: GPL-2.0-or-later */
/* code_symbols: where the functions of a guest lie now, by its symbols. */
#ifndef BOOTRACE_FUZZ_SEARCH_CODE_SYMBOLS_H
#define BOOTRACE_FUZZ_SEARCH_CODE_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct symbols;

/* Each function's extent, in parts that lie in one page and are mapped for `vcpu`: `bytes` at gva and gpa. False ends
   it. `symbols` may be NULL: then there is none. Returns false if a call did. */
typedef bool(code_symbols_fn)(void *context, uint64_t gva, uint64_t gpa, uint64_t bytes);
bool code_symbols_each(struct machine *m, unsigned vcpu, const struct symbols *symbols, code_symbols_fn *fn,
                       void *context);

#endif
