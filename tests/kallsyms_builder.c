/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/kallsyms_builder.h"

#include "emu/base/count.h"
#include "emu/base/ensure.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kallsyms_layout kallsyms_layouts[MADE_LAYOUTS] = {
    {"2.6 x86-64", 64, KALLSYMS_ABSOLUTE, true, 8, 8, 8, false, false},
    {"2.6 i386", 32, KALLSYMS_ABSOLUTE, true, 4, 4, 4, false, false},
    {"4.6 x86-64 SMP", 64, KALLSYMS_BASE_OR_PERCPU, true, 8, 8, 8, false, false},
    {"4.6 x86-64 UP", 64, KALLSYMS_BASE, true, 8, 8, 8, false, false},
    {"4.6 i386", 32, KALLSYMS_BASE, true, 4, 4, 4, false, false},
    {"4.20 x86-64 SMP", 64, KALLSYMS_BASE_OR_PERCPU, true, 4, 4, 8, false, false},
    {"4.20 x86-64 absolute", 64, KALLSYMS_ABSOLUTE, true, 4, 4, 8, false, false},
    {"6.1 x86-64 SMP", 64, KALLSYMS_BASE_OR_PERCPU, true, 4, 4, 8, true, false},
    {"6.2 x86-64 SMP", 64, KALLSYMS_BASE_OR_PERCPU, true, 4, 4, 8, true, true},
    {"6.2 x86-64 absolute", 64, KALLSYMS_ABSOLUTE, true, 4, 4, 8, true, true},
    {"6.2 i386", 32, KALLSYMS_BASE, true, 4, 4, 4, true, true},
    {"6.4 x86-64 SMP", 64, KALLSYMS_BASE_OR_PERCPU, false, 4, 4, 8, true, true},
    {"6.4 x86-64 absolute", 64, KALLSYMS_ABSOLUTE, false, 4, 4, 8, true, true},
    {"6.4 i386", 32, KALLSYMS_BASE, false, 4, 4, 4, true, true},
    {"6.15 x86-64", 64, KALLSYMS_BASE, false, 4, 4, 8, true, true},
    {"7.0 x86-64", 64, KALLSYMS_PLACE, false, 4, 4, 4, true, true},
    {"7.0 i386", 32, KALLSYMS_PLACE, false, 4, 4, 4, true, true},
};

static void put(struct kallsyms_made *m, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        m->bytes[m->size++] = (uint8_t)(value >> (8 * i));
}

static void pad(struct kallsyms_made *m, unsigned align)
{
    while (m->size % align)
        m->bytes[m->size++] = 0;
}

/* Tokens: printable characters stand for themselves; these make names shorter. */
static const char *const long_tokens[] = {"sys_", "func", "tion_", "Tsys_", "Dpercpu_", "tlocal_"};

static void put_names(struct kallsyms_made *m, const struct kallsyms_layout *l, uint32_t *markers)
{
    uint64_t names_at = m->size;
    m->names_at = names_at;
    for (unsigned i = 0; i < MADE_NAMES; i++) {
        char text[MADE_NAMES + 1];
        uint8_t codes[MADE_NAMES + 1];
        unsigned count = 0;
        snprintf(text, sizeof(text), "%c%s", m->kind[i], m->name[i]);
        for (const char *c = text; *c;) {
            unsigned code = (uint8_t)*c, bytes = 1;
            for (unsigned k = 0; k < COUNT(long_tokens); k++)
                if (strlen(long_tokens[k]) > bytes && !strncmp(c, long_tokens[k], strlen(long_tokens[k]))) {
                    code = 128 + k;
                    bytes = (unsigned)strlen(long_tokens[k]);
                }
            codes[count++] = (uint8_t)code;
            c += bytes;
        }
        if (i % 256 == 0)
            markers[i / 256] = (uint32_t)(m->size - names_at);
        if (count > 127) {
            ensure(l->long_names);
            put(m, (count & 0x7f) | 0x80, 1);
            put(m, count >> 7, 1);
        } else {
            put(m, count, 1);
        }
        for (unsigned k = 0; k < count; k++)
            put(m, codes[k], 1);
    }
    pad(m, l->align);
}

static void put_tokens(struct kallsyms_made *m, const struct kallsyms_layout *l)
{
    uint16_t index[256];
    m->token_table_at = m->size;
    for (unsigned i = 0; i < 256; i++) {
        index[i] = (uint16_t)(m->size - m->token_table_at);
        if (i >= 128 && i - 128 < COUNT(long_tokens))
            for (const char *c = long_tokens[i - 128]; *c; c++)
                put(m, (uint8_t)*c, 1);
        else if (i > ' ' && i < 127)
            put(m, i, 1);
        put(m, 0, 1);
    }
    pad(m, l->align);
    m->token_index_at = m->size;
    for (unsigned i = 0; i < 256; i++)
        put(m, index[i], 2);
    pad(m, l->align);
}

static void put_addresses(struct kallsyms_made *m, const struct kallsyms_layout *l)
{
    uint64_t base;

    m->addresses_at = m->size;
    /* Only the SMP form has two kinds of addresses; there the base is the lowest that is no per-CPU one. */
    base = l->addressing == KALLSYMS_BASE_OR_PERCPU ? m->text_gva : m->gva[0];
    for (unsigned i = 0; i < MADE_NAMES; i++)
        switch (l->addressing) {
        case KALLSYMS_ABSOLUTE:
            put(m, m->gva[i], l->bits / 8);
            break;
        case KALLSYMS_BASE:
            put(m, m->gva[i] - base, 4);
            break;
        case KALLSYMS_BASE_OR_PERCPU:
            put(m, m->gva[i] < base ? m->gva[i] : base - 1 - m->gva[i], 4);
            break;
        case KALLSYMS_PLACE:
            put(m, m->gva[i] - (m->text_gva + m->size - MADE_HEADERS_BYTES), 4);
            break;
        }
    pad(m, l->align);
    if (l->addressing == KALLSYMS_BASE || l->addressing == KALLSYMS_BASE_OR_PERCPU) {
        put(m, base, l->bits / 8);
        pad(m, l->align);
    }
}

static void put_seqs(struct kallsyms_made *m, const struct kallsyms_layout *l)
{
    for (unsigned i = 0; l->has_seqs && i < MADE_NAMES; i++) {
        unsigned seq = i * 7 % MADE_NAMES; /* 7 and 900 have no common factor: a permutation */
        put(m, seq >> 16, 1);
        put(m, seq >> 8 & 0xff, 1);
        put(m, seq & 0xff, 1);
    }
    pad(m, l->align);
}

static void choose_symbols(struct kallsyms_made *m, const struct kallsyms_layout *l)
{
    bool has_percpu = l->addressing == KALLSYMS_ABSOLUTE || l->addressing == KALLSYMS_BASE_OR_PERCPU;
    unsigned percpu = has_percpu && l->bits == 64 ? MADE_PERCPU : 0;
    m->text_gva = l->bits == 64 ? MADE_TEXT_GVA_64 : MADE_TEXT_GVA_32;
    for (unsigned i = 0; i < MADE_NAMES; i++) {
        m->kind[i] = i < percpu ? 'D' : i % 3 ? 'T' : 't';
        m->gva[i] = i < percpu ? i * 64 : m->text_gva + (i - percpu) / 2 * 32;
        if (i < percpu)
            snprintf(m->name[i], sizeof(m->name[i]), "percpu_%u", i);
        else if (i == percpu)
            snprintf(m->name[i], sizeof(m->name[i]), "_text");
        else
            snprintf(m->name[i], sizeof(m->name[i]), i % 3 ? "sys_function_%u" : "local_%u.constprop.0", i);
    }
    if (l->long_names)
        memset(m->name[MADE_LONG_NAME], 'x', 400);
}

static void put_headers(struct kallsyms_made *m, const struct kallsyms_layout *l)
{
    Elf64_Ehdr h64 = {.e_type = ET_EXEC,
                      .e_machine = EM_X86_64,
                      .e_version = EV_CURRENT,
                      .e_phoff = 64,
                      .e_ehsize = 64,
                      .e_phentsize = 56,
                      .e_phnum = 1};
    Elf32_Ehdr h32 = {.e_type = ET_EXEC,
                      .e_machine = EM_386,
                      .e_version = EV_CURRENT,
                      .e_phoff = 64,
                      .e_ehsize = 52,
                      .e_phentsize = 32,
                      .e_phnum = 1};
    uint64_t bytes = m->size - MADE_HEADERS_BYTES;
    Elf64_Phdr p64 = {.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_X,
                      .p_offset = MADE_HEADERS_BYTES,
                      .p_vaddr = m->text_gva,
                      .p_filesz = bytes,
                      .p_memsz = bytes + MADE_TEXT_BYTES};
    Elf32_Phdr p32 = {.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_X,
                      .p_offset = MADE_HEADERS_BYTES,
                      .p_vaddr = (uint32_t)m->text_gva,
                      .p_filesz = (uint32_t)bytes,
                      .p_memsz = (uint32_t)bytes + MADE_TEXT_BYTES};
    uint8_t ident[EI_NIDENT] = {0x7f, 'E', 'L', 'F', l->bits == 64 ? ELFCLASS64 : ELFCLASS32, ELFDATA2LSB, EV_CURRENT};
    memcpy(h64.e_ident, ident, sizeof(ident));
    memcpy(h32.e_ident, ident, sizeof(ident));
    if (l->bits == 64) {
        memcpy(m->bytes, &h64, sizeof(h64));
        memcpy(m->bytes + 64, &p64, sizeof(p64));
    } else {
        memcpy(m->bytes, &h32, sizeof(h32));
        memcpy(m->bytes + 64, &p32, sizeof(p32));
    }
}

struct kallsyms_made *kallsyms_make(const struct kallsyms_layout *l)
{
    struct kallsyms_made *m = calloc(1, sizeof(*m));
    uint32_t markers[MADE_NAMES / 256 + 1];
    ensure(m);
    m->bytes = calloc(1, MADE_IMAGE_ROOM);
    ensure(m->bytes);
    choose_symbols(m, l);
    m->size = MADE_HEADERS_BYTES + MADE_TEXT_BYTES;
    if (l->addresses_first)
        put_addresses(m, l);
    m->num_syms_at = m->size;
    put(m, MADE_NAMES, l->number_bytes);
    pad(m, l->align);
    put_names(m, l, markers);
    m->markers_at = m->size;
    for (unsigned i = 0; i < MADE_NAMES / 256 + 1; i++)
        put(m, markers[i], l->marker_bytes);
    pad(m, l->align);
    if (l->addresses_first)
        put_seqs(m, l);
    put_tokens(m, l);
    if (!l->addresses_first) {
        put_addresses(m, l);
        put_seqs(m, l);
    }
    for (unsigned i = 0; i < 256; i++)
        put(m, 0xcc, 1);
    put_headers(m, l);
    return m;
}

void kallsyms_made_free(struct kallsyms_made *m)
{
    free(m->bytes);
    free(m);
}
