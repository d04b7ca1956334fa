/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/divergence.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/image/symbols.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define LIST_BYTES     1024u
#define WORD_BYTES_MAX 8u

/* CF, PF, AF, ZF, SF, OF. SDM Vol. 1, "Status Flags". */
#define RFLAGS_STATUS 0x8d5ull

/* Source: Xen public/sched.h, SHUTDOWN_poweroff and SHUTDOWN_reboot: the guest ends as it means to. */
#define REASON_POWEROFF 0u
#define REASON_REBOOT   1u

/* ---- declarations ---- */

static enum emu_err parse_number(const char *text, uint64_t max, const char *what, uint64_t *value, struct diag *d)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)text[0]) || *end || errno || *value > max)
        return diag_set(d, EMU_EINPUT, "--same: %s is a number up to %" PRIu64 ", not '%s'", what, max, text);
    return EMU_OK;
}

static enum emu_err find_symbol(const char *name, const struct symbols *symbols, struct symbol *s, struct diag *d)
{
    size_t n;

    if (!symbols)
        return diag_set(d, EMU_EINPUT, "--same %s: the image has no symbols; give --system-map or --vmlinux", name);
    n = symbols_find_name(symbols, name, s);
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--same %s: %zu symbols have this name" : "--same %s: no symbol has this name", name, n);
    return EMU_OK;
}

/* SYMBOL[+OFFSET][:BYTES]; `text` is taken apart. */
static enum emu_err parse_range(char *text, const struct symbols *symbols, struct divergence_list *out, unsigned *total,
                                struct diag *d)
{
    struct divergence_range *r = &out->range[out->ranges];
    char *bytes_text = strchr(text, ':'), *offset_text;
    uint64_t offset = 0, bytes = 0;
    struct symbol s;
    enum emu_err err = EMU_OK;

    if (out->ranges == DIVERGENCE_RANGES_MAX)
        return diag_set(d, EMU_EINPUT, "--same takes at most %u ranges of memory", DIVERGENCE_RANGES_MAX);
    if (bytes_text)
        *bytes_text++ = '\0';
    snprintf(r->name, sizeof(r->name), "%s", text);
    offset_text = strchr(text, '+');
    if (offset_text)
        *offset_text++ = '\0';
    if (offset_text && !bytes_text)
        return diag_set(d, EMU_EINPUT, "--same %s: how many bytes? For example %s:4", r->name, r->name);
    err = find_symbol(text, symbols, &s, d);
    if (err == EMU_OK && offset_text)
        err = parse_number(offset_text, UINT32_MAX, "an offset", &offset, d);
    if (err == EMU_OK && bytes_text)
        err = parse_number(bytes_text, DIVERGENCE_BYTES_MAX, "a number of bytes", &bytes, d);
    if (err != EMU_OK)
        return err;
    if (!bytes_text)
        bytes = s.bytes;
    if (!bytes)
        return diag_set(d, EMU_EINPUT, "--same %s: how many bytes? For example %s:4", r->name, r->name);
    if (bytes > DIVERGENCE_BYTES_MAX - *total)
        return diag_set(d, EMU_EINPUT, "--same %s: together these are more than %u bytes", r->name,
                        DIVERGENCE_BYTES_MAX);
    r->gva = s.start_gva + offset;
    r->bytes = (unsigned)bytes;
    *total += r->bytes;
    out->ranges++;
    return EMU_OK;
}

enum emu_err divergence_parse(const char *text, const struct symbols *symbols, struct divergence_list *out,
                              struct diag *d)
{
    char list[LIST_BYTES], *rest = list, *one, *at;
    unsigned total = 0;
    enum emu_err err = EMU_OK;

    memset(out, 0, sizeof(*out));
    if (strlen(text) >= sizeof(list))
        return diag_set(d, EMU_EINPUT, "--same: the list is too long");
    strcpy(list, text);
    at = strchr(list, '@');
    if (at) {
        struct symbol s;

        *at++ = '\0';
        err = find_symbol(at, symbols, &s, d);
        if (err != EMU_OK)
            return err;
        out->at_gva = s.start_gva;
        snprintf(out->at, sizeof(out->at), "%s", at);
    }
    while (err == EMU_OK && (one = strsep(&rest, ","))) {
        if (!strcmp(one, "registers"))
            out->registers = true;
        else if (!strcmp(one, "cr2"))
            out->cr2 = true;
        else
            err = parse_range(one, symbols, out, &total, d);
    }
    return err;
}

/* ---- registers ---- */

struct part {
    const char *name;
    size_t offset;
    unsigned bytes;
    bool is_long; /* 64 bits only in 64-bit code */
};

#define PART(name, member) {name, offsetof(struct vcpu_regs, member), sizeof(((struct vcpu_regs *)NULL)->member), false}
#define LONG(name, member) {name, offsetof(struct vcpu_regs, member), 8, true}

/* What a handler has to put back; what it may set by itself (MSRs of the system calls, say) is not here. */
static const struct part parts[] = {
    LONG("rax", gpr[GPR_RAX]),
    LONG("rcx", gpr[GPR_RCX]),
    LONG("rdx", gpr[GPR_RDX]),
    LONG("rbx", gpr[GPR_RBX]),
    LONG("rsp", gpr[GPR_RSP]),
    LONG("rbp", gpr[GPR_RBP]),
    LONG("rsi", gpr[GPR_RSI]),
    LONG("rdi", gpr[GPR_RDI]),
    PART("r8", gpr[GPR_R8]),
    PART("r9", gpr[GPR_R9]),
    PART("r10", gpr[GPR_R10]),
    PART("r11", gpr[GPR_R11]),
    PART("r12", gpr[GPR_R12]),
    PART("r13", gpr[GPR_R13]),
    PART("r14", gpr[GPR_R14]),
    PART("r15", gpr[GPR_R15]),
    LONG("rflags", rflags),
    LONG("cr2", cr2),
    PART("cr0", cr0),
    PART("cr3", cr3),
    PART("cr4", cr4),
    PART("cr8", cr8),
    PART("es", seg[SEG_ES].selector),
    PART("cs", seg[SEG_CS].selector),
    PART("ss", seg[SEG_SS].selector),
    PART("ds", seg[SEG_DS].selector),
    PART("fs", seg[SEG_FS].selector),
    PART("gs", seg[SEG_GS].selector),
    PART("the base of FS", seg[SEG_FS].base),
    PART("the base of GS", seg[SEG_GS].base),
    PART("the kernel's base of GS", kernel_gs_base),
    PART("dr0", dr[0]),
    PART("dr1", dr[1]),
    PART("dr2", dr[2]),
    PART("dr3", dr[3]),
    PART("dr7", dr7),
    PART("mxcsr", mxcsr),
    PART("xmm0", xmm[0]),
    PART("xmm1", xmm[1]),
    PART("xmm2", xmm[2]),
    PART("xmm3", xmm[3]),
    PART("xmm4", xmm[4]),
    PART("xmm5", xmm[5]),
    PART("xmm6", xmm[6]),
    PART("xmm7", xmm[7]),
    PART("xmm8", xmm[8]),
    PART("xmm9", xmm[9]),
    PART("xmm10", xmm[10]),
    PART("xmm11", xmm[11]),
    PART("xmm12", xmm[12]),
    PART("xmm13", xmm[13]),
    PART("xmm14", xmm[14]),
    PART("xmm15", xmm[15]),
    PART("the x87 control word", fpcw),
    PART("the x87 status word", fpsw),
    PART("the x87 tags", fptag),
    PART("the x87 stack", st),
};

#undef PART
#undef LONG

/* Up to eight bytes as a number, more from their first difference on. */
static void print_bytes(char *text, size_t text_bytes, const uint8_t *at, unsigned bytes)
{
    uint64_t word = 0;

    memcpy(&word, at, bytes < WORD_BYTES_MAX ? bytes : WORD_BYTES_MAX);
    snprintf(text, text_bytes, "0x%0*" PRIx64, (int)(2 * (bytes < WORD_BYTES_MAX ? bytes : WORD_BYTES_MAX)), word);
}

static void print_difference(char text[DIVERGENCE_TEXT_BYTES], const char *name, const uint8_t *expected,
                             const uint8_t *found, unsigned bytes)
{
    char should[32], is[32];

    print_bytes(should, sizeof(should), expected, bytes);
    print_bytes(is, sizeof(is), found, bytes);
    snprintf(text, DIVERGENCE_TEXT_BYTES, "%.200s is %s, and %s in the undisturbed run", name, is, should);
}

bool divergence_registers_differ(const struct divergence_list *list, const struct divergence_values *expected,
                                 struct machine *m, char text[DIVERGENCE_TEXT_BYTES])
{
    struct vcpu_regs now;

    vcpu_get_regs(m, machine_current(m), &now);
    for (unsigned i = 0; i < COUNT(parts); i++) {
        const uint8_t *should = (const uint8_t *)&expected->regs + parts[i].offset;
        const uint8_t *is = (const uint8_t *)&now + parts[i].offset;
        unsigned bytes = parts[i].is_long && expected->code_bits != 64 ? 4 : parts[i].bytes, at = 0;
        bool is_cr2 = parts[i].offset == offsetof(struct vcpu_regs, cr2);

        if (!(is_cr2 ? list->cr2 : list->registers) || !memcmp(should, is, bytes))
            continue;
        while (bytes > WORD_BYTES_MAX && at + WORD_BYTES_MAX < bytes && should[at] == is[at])
            at++;
        print_difference(text, parts[i].name, should + at, is + at, bytes - at);
        return true;
    }
    return false;
}

void divergence_disturb_registers(struct machine *m)
{
    struct vcpu_regs r;
    unsigned bits = vcpu_code_bits(m);
    uint64_t all = bits == 64 ? UINT64_MAX : UINT32_MAX;

    vcpu_get_regs(m, machine_current(m), &r);
    for (unsigned i = 0; i < (bits == 64 ? GPR_COUNT : 8u); i++)
        if (i != GPR_RSP)
            r.gpr[i] ^= all;
    for (unsigned i = 0; i < (bits == 64 ? 16u : 8u); i++)
        for (unsigned b = 0; b < sizeof(r.xmm[i]); b++)
            r.xmm[i][b] ^= 0xff;
    r.rflags ^= RFLAGS_STATUS;
    r.cr2 ^= all;
    vcpu_set_regs(m, machine_current(m), &r);
}

/* ---- values ---- */

enum emu_err divergence_read(const struct divergence_list *list, struct machine *m, struct divergence_values *out,
                             struct diag *d)
{
    unsigned used = 0;

    if (list->registers || list->cr2)
        vcpu_get_regs(m, machine_current(m), &out->regs);
    out->code_bits = vcpu_code_bits(m);
    for (unsigned i = 0; i < list->ranges; i++) {
        const struct divergence_range *r = &list->range[i];
        uint64_t fault_gva;

        if (!vcpu_read_gva(m, machine_current(m), r->gva, out->memory + used, r->bytes, &fault_gva))
            return diag_set(d, EMU_EINPUT, "--same %s: nothing is mapped at 0x%" PRIx64, r->name, fault_gva);
        used += r->bytes;
    }
    return EMU_OK;
}

/* A short range is one number, of a long one the first word that differs is shown. */
static void describe_memory(const struct divergence_range *r, const uint8_t *should, const uint8_t *is,
                            char text[DIVERGENCE_TEXT_BYTES])
{
    char name[DIVERGENCE_NAME_BYTES + 64];
    unsigned at = 0, bytes = r->bytes;

    if (r->bytes > WORD_BYTES_MAX) {
        while (should[at] == is[at])
            at++;
        at &= ~3u;
        bytes = r->bytes - at < 4 ? r->bytes - at : 4;
    }
    if (r->bytes > WORD_BYTES_MAX)
        snprintf(name, sizeof(name), "%s, at its byte 0x%x (0x%" PRIx64 "),", r->name, at, r->gva + at);
    else
        snprintf(name, sizeof(name), "%s (0x%" PRIx64 ")", r->name, r->gva);
    print_difference(text, name, should + at, is + at, bytes);
}

bool divergence_differs(const struct divergence_list *list, const struct divergence_values *expected, struct machine *m,
                        char text[DIVERGENCE_TEXT_BYTES])
{
    uint8_t now[DIVERGENCE_BYTES_MAX];
    unsigned used = 0;

    if ((list->registers || list->cr2) && divergence_registers_differ(list, expected, m, text))
        return true;
    for (unsigned i = 0; i < list->ranges; i++) {
        const struct divergence_range *r = &list->range[i];
        uint64_t fault_gva;

        if (!vcpu_read_gva(m, machine_current(m), r->gva, now, r->bytes, &fault_gva)) {
            snprintf(text, DIVERGENCE_TEXT_BYTES, "%s is not mapped at 0x%" PRIx64 ", as in the undisturbed run it is",
                     r->name, fault_gva);
            return true;
        }
        if (memcmp(now, expected->memory + used, r->bytes)) {
            describe_memory(r, expected->memory + used, now, text);
            return true;
        }
        used += r->bytes;
    }
    return false;
}

/* ---- whole runs ---- */

struct state {
    uint32_t compared;
};

static void compare(struct divergence *x, struct machine *m)
{
    struct state *s = watch_state(m, &x->watcher);
    char text[DIVERGENCE_TEXT_BYTES];
    struct diag d;

    if (s->compared || !x->machine)
        return;
    s->compared = 1;
    if (!x->is_known) {
        if (divergence_read(&x->list, m, &x->expected, &d) == EMU_OK)
            x->is_known = true;
        else
            machine_set_verdict(m, VERDICT_ERROR, NULL, "%s", d.text);
        return;
    }
    if (divergence_differs(&x->list, &x->expected, m, text))
        machine_set_verdict(m, VERDICT_FAIL, "divergence", "divergence at %s: %s",
                            x->list.at_gva ? x->list.at : "the guest's end", text);
}

static void reached(struct machine *m, uint64_t rip_gva, void *context)
{
    compare(context, m);
}

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct divergence *x = context;

    if (fact->kind == TRACE_SHUTDOWN && !x->list.at_gva && (fact->a == REASON_POWEROFF || fact->a == REASON_REBOOT))
        compare(x, m);
}

enum emu_err divergence_attach(struct divergence *x, struct machine *m, const struct divergence_list *list,
                               struct diag *d)
{
    enum emu_err err;

    memset(x, 0, sizeof(*x));
    x->list = *list;
    if (list->registers || list->cr2 || !list->ranges)
        return diag_set(d, EMU_EINPUT,
                        "registers are compared where a handler returns, which only the exhaustive search looks "
                        "at: declare memory instead, like --same SYMBOL");
    x->watcher = (struct watcher){.reached = reached, .context = x, .state_bytes = sizeof(struct state)};
    err = watch_add(m, &x->watcher, d);
    if (err == EMU_OK && list->at_gva)
        err = watch_set_places(m, &x->watcher, &list->at_gva, 1, d);
    if (err != EMU_OK)
        return err;
    x->machine = m;
    trace_listen(m, listen, x);
    return EMU_OK;
}

void divergence_detach(struct divergence *x)
{
    if (x->machine)
        trace_unlisten(x->machine, listen, x);
    x->machine = NULL;
}

bool divergence_was_compared(const struct divergence *x)
{
    const struct state *s = watch_state(x->machine, &x->watcher);

    return s->compared;
}
