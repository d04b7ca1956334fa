/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/foreign_image.h"

#include <string.h>

#include "emu/base/count.h"

/*
 * Source: Linux Documentation: arch/arm64/booting.rst and arch/riscv/boot-image-header.rst; the headers of ARM's
 * zImage, LoongArch's and MIPS's boot images; the U-Boot legacy image header.
 */
static const struct foreign_row {
    size_t offset;
    uint8_t bytes;
    uint8_t magic[8];
    const char *what;
} foreign_rows[] = {
    {0x24, 4, {0x18, 0x28, 0x6f, 0x01}, "a Linux zImage for ARM (32-bit)"},
    {0x24, 4, {0x01, 0x6f, 0x28, 0x18}, "a Linux zImage for ARM (32-bit, big-endian)"},
    {0x38, 4, {'A', 'R', 'M', 0x64}, "a Linux kernel for arm64"},
    {0x30, 8, {'R', 'I', 'S', 'C', 'V', 0, 0, 0}, "a Linux kernel for RISC-V"},
    {0x38, 4, {0xcd, 0x23, 0x82, 0x81}, "a Linux kernel for LoongArch"},
    {0x00, 4, {0x27, 0x05, 0x19, 0x56}, "a U-Boot image"},
};

/* Source: Microsoft PE Format, "Machine Types". */
static const struct pe_machine {
    uint16_t machine;
    const char *name;
} pe_machines[] = {
    {0x014c, "x86"},   {0x8664, "x86-64"}, {0x01c0, "ARM (32-bit)"}, {0x01c2, "ARM (32-bit)"},
    {0xaa64, "arm64"}, {0x5032, "RISC-V"}, {0x5064, "RISC-V"},       {0x6264, "LoongArch"},
};

static uint32_t le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static const struct foreign_row *find_row(const uint8_t *file, size_t file_bytes)
{
    for (size_t i = 0; i < COUNT(foreign_rows); i++) {
        const struct foreign_row *r = &foreign_rows[i];

        if (file_bytes >= r->offset + r->bytes && !memcmp(file + r->offset, r->magic, r->bytes))
            return r;
    }
    return NULL;
}

static bool is_pe(const uint8_t *file, size_t file_bytes)
{
    return file_bytes >= 0x40 && file[0] == 'M' && file[1] == 'Z';
}

static bool recognise(const uint8_t *file, size_t file_bytes)
{
    return find_row(file, file_bytes) || is_pe(file, file_bytes);
}

static enum emu_err refuse_pe(const uint8_t *file, size_t file_bytes, struct diag *d)
{
    size_t header = le32(file + 0x3c);
    const char *machine = "an unknown machine";

    if (file_bytes < 6 || header > file_bytes - 6 || memcmp(file + header, "PE\0\0", 4))
        return diag_set(d, EMU_EINPUT,
                        "the file begins like an EFI program or a bzImage but is cut short or damaged; fetch the "
                        "kernel again");
    for (size_t i = 0; i < COUNT(pe_machines); i++)
        if ((le32(file + header + 2) >> 16) == pe_machines[i].machine)
            machine = pe_machines[i].name;
    if (!memcmp(file + 4, "zimg", 4))
        return diag_set(d, EMU_EINPUT,
                        "this is a Linux kernel for %s, packed for EFI; only x86 and x86-64 guests can be booted",
                        machine);
    return diag_set(d, EMU_EINPUT,
                    "this is an EFI program for %s, not a Linux bzImage; if it is a unified kernel image, take the "
                    "kernel out of it with objcopy --dump-section .linux=vmlinuz",
                    machine);
}

static enum emu_err refuse(const uint8_t *file, size_t file_bytes, uint8_t **elf, size_t *elf_bytes,
                           enum image_kind *kind, struct image_linux_boot *boot, struct diag *d)
{
    const struct foreign_row *r = find_row(file, file_bytes);

    if (r)
        return diag_set(d, EMU_EINPUT, "this is %s; only x86 and x86-64 guests can be booted", r->what);
    return refuse_pe(file, file_bytes, d);
}

const struct image_format foreign_image_format = {.name = "foreign", .recognise = recognise, .unpack = refuse};
