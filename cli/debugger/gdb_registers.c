/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/gdb_registers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"

/* SDM Vol. 1, "EFLAGS Register": CF to IOPL, NT, RF, AC, ID. VM would need other segments with it. */
#define RFLAGS_SETTABLE 0x257fd5ull

struct row {
    const char *name;
    const char *type; /* NULL: an integer */
    uint8_t bytes;    /* on the wire */
    uint8_t held;     /* of them in struct vcpu_regs; the rest is zero */
    bool settable;
    uint16_t offset; /* in struct vcpu_regs */
};

struct feature {
    const char *name;
    const char *group;
    const struct row *rows;
    unsigned count;
};

#define AT(field)         offsetof(struct vcpu_regs, field)
#define GPR(r, name, n)   {name, NULL, n, n, true, AT(gpr[r])}
#define PTR(r, name, n)   {name, "data_ptr", n, n, true, AT(gpr[r])}
#define SELECTOR(s, name) {name, NULL, 4, 2, false, AT(seg[s].selector)}
#define ST(i)             {"st" #i, "i387_ext", 10, 10, true, AT(st[i])}
#define X87(name, field)  {name, NULL, 4, 2, true, AT(field)}
#define X87_ABSENT(name)  {name, NULL, 4, 0, false, 0}
#define XMM(i)            {"xmm" #i, "vec128", 16, 16, true, AT(xmm[i])}
#define SYSTEM(name, f)   {name, NULL, 8, 8, false, AT(f)}
/* clang-format off */
#define SEGMENTS_AND_X87                                                                                               \
    SELECTOR(SEG_CS, "cs"), SELECTOR(SEG_SS, "ss"), SELECTOR(SEG_DS, "ds"), SELECTOR(SEG_ES, "es"),                    \
    SELECTOR(SEG_FS, "fs"), SELECTOR(SEG_GS, "gs"), ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),            \
    X87("fctrl", fpcw), X87("fstat", fpsw), X87("ftag", fptag), X87_ABSENT("fiseg"), X87_ABSENT("fioff"),              \
    X87_ABSENT("foseg"), X87_ABSENT("fooff"), X87_ABSENT("fop")

static const struct row core_64[] = {
    GPR(GPR_RAX, "rax", 8), GPR(GPR_RBX, "rbx", 8), GPR(GPR_RCX, "rcx", 8), GPR(GPR_RDX, "rdx", 8),
    GPR(GPR_RSI, "rsi", 8), GPR(GPR_RDI, "rdi", 8), PTR(GPR_RBP, "rbp", 8), PTR(GPR_RSP, "rsp", 8),
    GPR(GPR_R8, "r8", 8), GPR(GPR_R9, "r9", 8), GPR(GPR_R10, "r10", 8), GPR(GPR_R11, "r11", 8),
    GPR(GPR_R12, "r12", 8), GPR(GPR_R13, "r13", 8), GPR(GPR_R14, "r14", 8), GPR(GPR_R15, "r15", 8),
    {"rip", "code_ptr", 8, 8, true, AT(rip)},
    {"eflags", "i386_eflags", 4, 4, true, AT(rflags)},
    SEGMENTS_AND_X87,
};

static const struct row core_32[] = {
    GPR(GPR_RAX, "eax", 4), GPR(GPR_RCX, "ecx", 4), GPR(GPR_RDX, "edx", 4), GPR(GPR_RBX, "ebx", 4),
    PTR(GPR_RSP, "esp", 4), PTR(GPR_RBP, "ebp", 4), GPR(GPR_RSI, "esi", 4), GPR(GPR_RDI, "edi", 4),
    {"eip", "code_ptr", 4, 4, true, AT(rip)},
    {"eflags", "i386_eflags", 4, 4, true, AT(rflags)},
    SEGMENTS_AND_X87,
};

static const struct row sse_64[] = {
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
    XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
    {"mxcsr", "i386_mxcsr", 4, 4, true, AT(mxcsr)},
};

static const struct row sse_32[] = {
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
    {"mxcsr", "i386_mxcsr", 4, 4, true, AT(mxcsr)},
};

static const struct row segments_64[] = {
    {"fs_base", NULL, 8, 8, true, AT(seg[SEG_FS].base)},
    {"gs_base", NULL, 8, 8, true, AT(seg[SEG_GS].base)},
};

static const struct row system_rows[] = {
    SYSTEM("cr0", cr0), SYSTEM("cr2", cr2), SYSTEM("cr3", cr3), SYSTEM("cr4", cr4), SYSTEM("cr8", cr8),
    SYSTEM("efer", efer), SYSTEM("kernel_gs_base", kernel_gs_base),
    SYSTEM("gdtr_base", gdtr.base), SYSTEM("idtr_base", idtr.base), SYSTEM("tr_base", tr.base),
    SYSTEM("dr0", dr[0]), SYSTEM("dr1", dr[1]), SYSTEM("dr2", dr[2]), SYSTEM("dr3", dr[3]),
    SYSTEM("dr6", dr6), SYSTEM("dr7", dr7),
};

static const struct feature features_64[] = {
    {"org.gnu.gdb.i386.core", NULL, core_64, COUNT(core_64)},
    {"org.gnu.gdb.i386.sse", NULL, sse_64, COUNT(sse_64)},
    {"org.gnu.gdb.i386.segments", NULL, segments_64, COUNT(segments_64)},
    {"org.bootrace.system", "system", system_rows, COUNT(system_rows)},
};

static const struct feature features_32[] = {
    {"org.gnu.gdb.i386.core", NULL, core_32, COUNT(core_32)},
    {"org.gnu.gdb.i386.sse", NULL, sse_32, COUNT(sse_32)},
    {"org.bootrace.system", "system", system_rows, COUNT(system_rows)},
};
/* clang-format on */

static const struct feature *features_of(unsigned bits, unsigned *count)
{
    *count = bits == 64 ? COUNT(features_64) : COUNT(features_32);
    return bits == 64 ? features_64 : features_32;
}

static const struct row *row_of(unsigned bits, unsigned number)
{
    unsigned count;
    const struct feature *f = features_of(bits, &count);

    for (unsigned i = 0; i < count; number -= f[i++].count)
        if (number < f[i].count)
            return &f[i].rows[number];
    ensure(!"gdb's register number is checked before");
    return NULL;
}

unsigned gdb_registers_count(unsigned bits)
{
    unsigned count, sum = 0;
    const struct feature *f = features_of(bits, &count);

    for (unsigned i = 0; i < count; i++)
        sum += f[i].count;
    return sum;
}

size_t gdb_register_bytes(unsigned bits, unsigned number)
{
    return row_of(bits, number)->bytes;
}

void gdb_register_get(unsigned bits, unsigned number, const struct vcpu_regs *r, uint8_t bytes[GDB_REGISTER_BYTES_MAX])
{
    const struct row *row = row_of(bits, number);

    memset(bytes, 0, row->bytes);
    memcpy(bytes, (const uint8_t *)r + row->offset, row->held);
}

bool gdb_register_set(unsigned bits, unsigned number, struct vcpu_regs *r, const uint8_t *bytes)
{
    const struct row *row = row_of(bits, number);

    uint64_t rflags = r->rflags;

    if (!row->settable)
        return false;
    memcpy((uint8_t *)r + row->offset, bytes, row->held);
    r->rflags = (r->rflags & RFLAGS_SETTABLE) | (rflags & ~RFLAGS_SETTABLE);
    return true;
}

static const char vec128[] = "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
                             "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
                             "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
                             "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
                             "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
                             "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
                             "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
                             "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
                             "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
                             "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>"
                             "</union>";

struct flag {
    const char *name;
    unsigned bit;
};

static void print_flags(FILE *to, const char *id, const struct flag *flags, unsigned count)
{
    fprintf(to, "<flags id=\"%s\" size=\"4\">", id);
    for (unsigned i = 0; i < count; i++)
        fprintf(to, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name, flags[i].bit, flags[i].bit);
    fprintf(to, "</flags>");
}

/* SDM Vol. 1, "EFLAGS Register" and "MXCSR Control and Status Register". */
static void print_types(FILE *to, const struct feature *f)
{
    static const struct flag eflags[] = {{"CF", 0},  {"", 1},    {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},
                                         {"TF", 8},  {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
                                         {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};
    static const struct flag mxcsr[] = {{"IE", 0},  {"DE", 1},  {"ZE", 2},  {"OE", 3}, {"UE", 4},
                                        {"PE", 5},  {"DAZ", 6}, {"IM", 7},  {"DM", 8}, {"ZM", 9},
                                        {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}};

    if (strstr(f->name, ".core"))
        print_flags(to, "i386_eflags", eflags, COUNT(eflags));
    if (strstr(f->name, ".sse")) {
        fputs(vec128, to);
        print_flags(to, "i386_mxcsr", mxcsr, COUNT(mxcsr));
    }
}

char *gdb_registers_description(unsigned bits)
{
    unsigned count;
    const struct feature *f = features_of(bits, &count);
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    fprintf(to,
            "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
            "<architecture>%s</architecture>",
            bits == 64 ? "i386:x86-64" : "i386");
    for (unsigned i = 0; i < count; i++) {
        fprintf(to, "<feature name=\"%s\">", f[i].name);
        print_types(to, &f[i]);
        for (unsigned k = 0; k < f[i].count; k++) {
            const struct row *row = &f[i].rows[k];

            fprintf(to, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", row->name, row->bytes * 8u,
                    row->type         ? row->type
                    : row->bytes == 8 ? "int64"
                                      : "int32");
            fprintf(to, f[i].group ? " group=\"%s\"/>" : "/>", f[i].group);
        }
        fprintf(to, "</feature>");
    }
    fprintf(to, "</target>");
    if (fclose(to)) {
        free(text);
        return NULL;
    }
    return text;
}
