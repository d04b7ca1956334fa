/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/patch_builder.h"

#include "emu/base/ensure.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#define TEXT_AT     0x1000u /* in the file */
#define DATA_AT     0x2000u
#define SECTIONS_AT 0x4000u
#define NAMES_AT    0x4c00u

struct __attribute__((packed)) alt_2_6_18_32 {
    uint32_t instr, replacement;
    uint8_t cpuid, instrlen, replacementlen, pad;
};
struct __attribute__((packed)) alt_2_6_18_64 {
    uint64_t instr, replacement;
    uint8_t cpuid, instrlen, replacementlen, pad[5];
};
struct __attribute__((packed)) alt_2_6_36_32 {
    uint32_t instr, replacement;
    uint16_t cpuid;
    uint8_t instrlen, replacementlen;
};
struct __attribute__((packed)) alt_2_6_36_64 {
    uint64_t instr, replacement;
    uint16_t cpuid;
    uint8_t instrlen, replacementlen;
    uint32_t pad2;
};
struct __attribute__((packed)) alt_3_1 {
    int32_t instr_offset, repl_offset;
    uint16_t cpuid;
    uint8_t instrlen, replacementlen;
};
struct __attribute__((packed)) alt_4_1 {
    int32_t instr_offset, repl_offset;
    uint16_t cpuid;
    uint8_t instrlen, replacementlen, padlen;
};
struct __attribute__((packed)) alt_6_3 {
    int32_t instr_offset, repl_offset;
    uint16_t cpuid, flags;
    uint8_t instrlen, replacementlen;
};

void patched_init(struct patched *p, unsigned bits)
{
    *p = (struct patched){.bits = bits};
    p->text_gva = bits == 64 ? PATCHED_TEXT_GVA_64 : PATCHED_TEXT_GVA_32;
    p->data_gva = p->text_gva + PATCHED_TEXT_BYTES;
    memset(p->bytes + TEXT_AT, 0x90, PATCHED_TEXT_BYTES);
}

uint8_t *patched_at(struct patched *p, uint64_t gva)
{
    ensure(gva >= p->text_gva);
    ensure(gva - p->text_gva < PATCHED_TEXT_BYTES + PATCHED_DATA_BYTES);
    return p->bytes + TEXT_AT + (gva - p->text_gva);
}

void patched_table(struct patched *p, const char *section)
{
    ensure(p->tables < PATCHED_TABLES_MAX);
    p->data_used = (p->data_used + 63) & ~(size_t)63;
    snprintf(p->table[p->tables].name, sizeof(p->table[0].name), "%s", section);
    p->table[p->tables].gva = p->data_gva + p->data_used;
    p->tables++;
}

void patched_raw(struct patched *p, const void *bytes, size_t size)
{
    ensure(p->tables > 0);
    ensure(p->data_used + size <= PATCHED_OTHER_AT);
    memcpy(patched_at(p, p->data_gva + p->data_used), bytes, size);
    p->data_used += size;
    p->table[p->tables - 1].bytes += size;
}

static uint64_t here(const struct patched *p)
{
    return p->data_gva + p->data_used;
}

static int32_t from(uint64_t gva, uint64_t place_gva)
{
    return (int32_t)(uint32_t)(gva - place_gva);
}

void patched_alternative(struct patched *p, enum alternative_layout layout, const struct alternative *a)
{
    uint64_t at = here(p);
    int32_t site = from(a->site_gva, at), replacement = from(a->replacement_gva, at + 4);
    const struct alt_2_6_18_32 a18_32 = {(uint32_t)a->site_gva, (uint32_t)a->replacement_gva, (uint8_t)a->feature,
                                         a->site_bytes,         a->replacement_bytes,         0};
    const struct alt_2_6_18_64 a18_64 = {a->site_gva,   a->replacement_gva,   (uint8_t)a->feature,
                                         a->site_bytes, a->replacement_bytes, {0}};
    const struct alt_2_6_36_32 a36_32 = {(uint32_t)a->site_gva, (uint32_t)a->replacement_gva, a->feature, a->site_bytes,
                                         a->replacement_bytes};
    const struct alt_2_6_36_64 a36_64 = {a->site_gva,   a->replacement_gva,   a->feature,
                                         a->site_bytes, a->replacement_bytes, 0};
    const struct alt_3_1 a31 = {site, replacement, a->feature, a->site_bytes, a->replacement_bytes};
    const struct alt_4_1 a41 = {site, replacement, a->feature, a->site_bytes, a->replacement_bytes, a->padding_bytes};
    const struct alt_6_3 a63 = {site, replacement, a->feature, a->flags, a->site_bytes, a->replacement_bytes};
    switch (layout) {
    case ALT_2_6_18:
        patched_raw(p, p->bits == 64 ? (const void *)&a18_64 : &a18_32, p->bits == 64 ? 24 : 12);
        return;
    case ALT_2_6_36:
        patched_raw(p, p->bits == 64 ? (const void *)&a36_64 : &a36_32, p->bits == 64 ? 24 : 12);
        return;
    case ALT_3_1:
        patched_raw(p, &a31, sizeof(a31));
        return;
    case ALT_4_1:
        patched_raw(p, &a41, sizeof(a41));
        return;
    case ALT_6_3:
    case ALT_LAYOUTS:
        patched_raw(p, &a63, sizeof(a63));
        return;
    }
}

static void word(struct patched *p, uint64_t value)
{
    patched_raw(p, &value, p->bits / 8);
}

void patched_paravirt(struct patched *p, uint64_t site_gva, uint8_t type, uint8_t site_bytes)
{
    uint8_t rest[8] = {type, site_bytes};
    word(p, site_gva);
    patched_raw(p, rest, p->bits / 8);
}

void patched_site(struct patched *p, bool relative, uint64_t site_gva)
{
    int32_t offset = from(site_gva, here(p));
    if (relative)
        patched_raw(p, &offset, sizeof(offset));
    else
        word(p, site_gva);
}

void patched_jump_label(struct patched *p, bool relative, uint64_t site_gva, uint64_t target_gva, uint64_t key_gva)
{
    patched_site(p, relative, site_gva);
    patched_site(p, relative, target_gva);
    word(p, relative ? key_gva - here(p) : key_gva);
}

void patched_static_call(struct patched *p, uint64_t site_gva, uint64_t key_gva)
{
    patched_site(p, true, site_gva);
    patched_site(p, true, key_gva);
}

/* Both classes have the same fields in other widths and order. */
#define FINISH(N)                                                                                                      \
    static void finish_##N(struct patched *p, unsigned count)                                                          \
    {                                                                                                                  \
        Elf##N##_Ehdr e = {.e_type = ET_EXEC, .e_version = EV_CURRENT, .e_phoff = sizeof(e), .e_phnum = 2};            \
        Elf##N##_Phdr h[2] = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X}, {.p_type = PT_LOAD, .p_flags = PF_R}};      \
        char *names = (char *)p->bytes + NAMES_AT;                                                                     \
        size_t used = 1;                                                                                               \
        memcpy(e.e_ident, ELFMAG, SELFMAG);                                                                            \
        e.e_ident[EI_CLASS] = ELFCLASS##N;                                                                             \
        e.e_ident[EI_DATA] = ELFDATA2LSB;                                                                              \
        e.e_ident[EI_VERSION] = EV_CURRENT;                                                                            \
        e.e_machine = N == 64 ? EM_X86_64 : EM_386;                                                                    \
        e.e_ehsize = sizeof(e);                                                                                        \
        e.e_phentsize = sizeof(*h);                                                                                    \
        e.e_shentsize = sizeof(Elf##N##_Shdr);                                                                         \
        for (unsigned i = 0; i < 2; i++) {                                                                             \
            h[i].p_offset = i ? DATA_AT : TEXT_AT;                                                                     \
            h[i].p_vaddr = (Elf##N##_Addr)(i ? p->data_gva : p->text_gva);                                             \
            h[i].p_paddr = 0x1000000 + h[i].p_offset;                                                                  \
            h[i].p_filesz = h[i].p_memsz = i ? PATCHED_DATA_BYTES : PATCHED_TEXT_BYTES;                                \
        }                                                                                                              \
        if (count) {                                                                                                   \
            e.e_shoff = SECTIONS_AT;                                                                                   \
            e.e_shnum = (uint16_t)(count + 2);                                                                         \
            e.e_shstrndx = (uint16_t)(count + 1);                                                                      \
        }                                                                                                              \
        for (unsigned i = 1; count && i <= count + 1; i++) {                                                           \
            bool last = i == count + 1;                                                                                \
            Elf##N##_Shdr s = {.sh_name = (uint32_t)used, .sh_type = last ? SHT_STRTAB : SHT_PROGBITS};                \
            const char *title = last ? ".shstrtab" : p->table[i - 1].name;                                             \
            memcpy(names + used, title, strlen(title) + 1);                                                            \
            used += strlen(title) + 1;                                                                                 \
            if (!last) {                                                                                               \
                s.sh_flags = SHF_ALLOC;                                                                                \
                s.sh_addr = (Elf##N##_Addr)p->table[i - 1].gva;                                                        \
                s.sh_offset = (Elf##N##_Off)(DATA_AT + (p->table[i - 1].gva - p->data_gva));                           \
                s.sh_size = (Elf##N##_Word)p->table[i - 1].bytes;                                                      \
            } else {                                                                                                   \
                s.sh_offset = NAMES_AT;                                                                                \
                s.sh_size = PATCHED_ROOM - NAMES_AT;                                                                   \
            }                                                                                                          \
            memcpy(p->bytes + SECTIONS_AT + i * sizeof(s), &s, sizeof(s));                                             \
        }                                                                                                              \
        memcpy(p->bytes, &e, sizeof(e));                                                                               \
        memcpy(p->bytes + sizeof(e), h, sizeof(h));                                                                    \
    }
FINISH(32)
FINISH(64)

void patched_finish(struct patched *p, bool sections)
{
    p->size = PATCHED_ROOM;
    if (p->bits == 64)
        finish_64(p, sections ? p->tables : 0);
    else
        finish_32(p, sections ? p->tables : 0);
}
