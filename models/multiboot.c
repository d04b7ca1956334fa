/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/multiboot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "emu/image/image.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"
#include "models/load_segments.h"
#include "models/pc/acpi.h"
#include "models/platform_config.h"

#define HEADER_MAGIC      0x1badb002u
#define HEADER_REACH      8192u     /* it lies in so many bytes of the file */
#define HEADER_FLAG_ALIGN (1u << 0) /* modules on page boundaries: they are */
#define HEADER_FLAG_MAP   (1u << 1) /* wants a memory map: it is given one */
#define HEADER_FLAG_VIDEO (1u << 2)
#define HEADER_FLAG_ADDRS (1u << 16)
#define LOADER_MAGIC      0x2badb002u /* in EAX */

enum { INFO_MEMORY = 1u << 0, INFO_CMDLINE = 1u << 2, INFO_MODULES = 1u << 3, INFO_MAP = 1u << 6, INFO_NAME = 1u << 9 };
enum { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };

#define INFO_GPA    0x80000ull
#define MODULES_GPA 0x80100ull
#define MAP_GPA     0x80400ull
#define NAME_GPA    0x80800ull
#define TEXTS_GPA   0x88000ull /* the kernel's command line, then the modules' */
#define TEXTS_END   0x98000ull
#define EBDA_GPA    0x9fc00ull
#define VIDEO_GPA   0xa0000ull
#define ACPI_GPA    0xf0000ull
#define ACPI_BYTES  0x10000ull
#define HIGH_GPA    0x100000ull

#define KERNEL_WORD "kernel"
#define LOADER_NAME "bootrace"

struct multiboot_info {
    uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device, cmdline, mods_count, mods_gpa, syms[4], mmap_bytes,
        mmap_gpa, drives_bytes, drives_gpa, config_table, boot_loader_name, apm_table;
};
static_assert(sizeof(struct multiboot_info) == 72, "Multiboot information up to apm_table");

struct multiboot_module {
    uint32_t start, end, text, reserved;
};

struct __attribute__((packed)) map_entry {
    uint32_t bytes; /* of what follows */
    uint64_t gpa, length;
    uint32_t type;
};

static bool find_header(const struct image *img, uint32_t *flags)
{
    uint32_t word[3];

    for (size_t at = 0; at + sizeof(word) <= img->size && at + sizeof(word) <= HEADER_REACH; at += 4) {
        memcpy(word, img->bytes + at, sizeof(word));
        if (word[0] != HEADER_MAGIC || word[0] + word[1] + word[2] != 0)
            continue;
        *flags = word[1];
        return true;
    }
    return false;
}

bool multiboot_is_kernel(const struct image *img)
{
    uint32_t flags;

    return find_header(img, &flags);
}

static enum emu_err check(const struct image *img, uint64_t low, uint64_t *end_gpa, struct diag *d)
{
    static const uint32_t known = HEADER_FLAG_ALIGN | HEADER_FLAG_MAP;
    uint32_t flags;
    size_t at;

    if (!find_header(img, &flags))
        return diag_set(d, EMU_EINPUT,
                        "the image has no Multiboot header in its first %u bytes; --mode pvh or --mode hvm may boot it",
                        HEADER_REACH);
    if ((flags & 0xffff & ~known) || (flags & HEADER_FLAG_ADDRS))
        return diag_set(d, EMU_EINPUT,
                        "the image's Multiboot header has flags 0x%" PRIx32
                        "; only ELF files that ask for no video mode "
                        "are loaded",
                        flags);
    if (img->entry > UINT32_MAX || !image_find_paddr(img, img->entry, 1, &at))
        return diag_set(d, EMU_EINPUT, "the image's entry 0x%" PRIx64 " is not in it as a physical address",
                        img->entry);
    *end_gpa = HIGH_GPA;
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (s->paddr < HIGH_GPA && s->paddr + s->memory_bytes > INFO_GPA)
            return diag_set(d, EMU_EINPUT,
                            "a segment of the image at 0x%" PRIx64
                            " lies where the PC has its boot information and devices",
                            s->paddr);
        if (s->paddr + s->memory_bytes > *end_gpa)
            *end_gpa = s->paddr + s->memory_bytes;
    }
    if (*end_gpa > low)
        return diag_set(d, EMU_EINPUT,
                        "the image needs memory up to 0x%" PRIx64 "; give --memory at least %" PRIu64 "M", *end_gpa,
                        (*end_gpa >> 20) + 1);
    return EMU_OK;
}

/* Where the next text goes. */
static bool put_text(struct machine *m, const char *first, const char *then, uint64_t *at_gpa, uint32_t *text_gpa)
{
    size_t first_bytes = strlen(first), then_bytes = strlen(then);

    if (first_bytes + then_bytes + 2 > TEXTS_END - *at_gpa)
        return false;
    *text_gpa = (uint32_t)*at_gpa;
    if (!memory_write(machine_memory(m), *at_gpa, first, first_bytes))
        return false;
    *at_gpa += first_bytes;
    if (*first && *then && !memory_write(machine_memory(m), (*at_gpa)++, " ", 1))
        return false;
    if (!memory_write(machine_memory(m), *at_gpa, then, then_bytes + 1))
        return false;
    *at_gpa += then_bytes + 1;
    return true;
}

static enum emu_err put_modules(struct machine *m, struct multiboot_info *info, uint64_t end_gpa, uint64_t low,
                                uint64_t *text_gpa, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    const struct platform_module initrd = {.bytes = p->initrd, .size = p->initrd_bytes};

    for (unsigned i = 0; i < p->modules + !!p->initrd; i++) {
        const struct platform_module *each = !p->initrd ? &p->module[i] : i ? &p->module[i - 1] : &initrd;
        struct multiboot_module entry = {0};

        end_gpa = (end_gpa + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
        if (end_gpa > low || each->size > low - end_gpa)
            return diag_set(d, EMU_EINPUT,
                            "module %u of %zu KiB does not fit behind the kernel; give --memory at least %" PRIu64 "M",
                            i, each->size >> 10, ((end_gpa + each->size) >> 20) + 1);
        entry.start = (uint32_t)end_gpa;
        entry.end = (uint32_t)(end_gpa + each->size);
        if (!put_text(m, "", each->cmdline ? each->cmdline : "", text_gpa, &entry.text))
            return diag_set(d, EMU_EINPUT, "the command lines are longer than %" PRIu64 " bytes",
                            (uint64_t)(TEXTS_END - TEXTS_GPA));
        if (!memory_write(machine_memory(m), end_gpa, each->bytes, each->size) ||
            !memory_write(machine_memory(m), MODULES_GPA + i * sizeof(entry), &entry, sizeof(entry)))
            return diag_set(d, EMU_EINPUT, "the machine's memory is too small for the boot information");
        end_gpa += each->size;
        info->flags |= INFO_MODULES;
        info->mods_gpa = MODULES_GPA;
        info->mods_count = i + 1;
    }
    return EMU_OK;
}

static bool put_map(struct machine *m, struct multiboot_info *info, uint64_t low)
{
    uint64_t ram = machine_config(m)->ram_bytes;
    const struct map_entry map[] = {
        {20, 0, EBDA_GPA, MAP_RAM},
        {20, EBDA_GPA, VIDEO_GPA - EBDA_GPA, MAP_RESERVED},
        {20, ACPI_GPA, ACPI_BYTES, MAP_ACPI},
        {20, HIGH_GPA, low - HIGH_GPA, MAP_RAM},
        {20, MEMORY_HIGH_RAM_GPA, ram - low, MAP_RAM},
    };
    size_t bytes = ram > low ? sizeof(map) : sizeof(map) - sizeof(map[0]);

    info->flags |= INFO_MEMORY | INFO_MAP | INFO_NAME;
    info->mem_lower_kib = (uint32_t)(EBDA_GPA >> 10);
    info->mem_upper_kib = (uint32_t)((low - HIGH_GPA) >> 10);
    info->mmap_gpa = MAP_GPA;
    info->mmap_bytes = (uint32_t)bytes;
    info->boot_loader_name = NAME_GPA;
    return memory_write(machine_memory(m), MAP_GPA, map, bytes) &&
           memory_write(machine_memory(m), NAME_GPA, LOADER_NAME, sizeof(LOADER_NAME));
}

enum emu_err multiboot_load(struct machine *m, const struct image *img, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    struct memory *mem = machine_memory(m);
    uint64_t ram = machine_config(m)->ram_bytes, low = ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;
    uint64_t end_gpa = HIGH_GPA, rsdp_gpa, text_gpa = TEXTS_GPA;
    struct multiboot_info info = {.flags = INFO_CMDLINE};
    struct vcpu_regs r;
    enum emu_err err = check(img, low, &end_gpa, d);

    if (err == EMU_OK)
        err = acpi_build(m, ACPI_GPA, ACPI_BYTES, &rsdp_gpa, d);
    if (err == EMU_OK && !put_text(m, KERNEL_WORD, p->cmdline ? p->cmdline : "", &text_gpa, &info.cmdline))
        err = diag_set(d, EMU_EINPUT, "the command lines are longer than %" PRIu64 " bytes",
                       (uint64_t)(TEXTS_END - TEXTS_GPA));
    if (err == EMU_OK)
        err = put_modules(m, &info, end_gpa, low, &text_gpa, d);
    if (err == EMU_OK)
        err = load_segments(m, img, d);
    if (err != EMU_OK)
        return err;
    if (!put_map(m, &info, low) || !memory_write(mem, INFO_GPA, &info, sizeof(info)))
        return diag_set(d, EMU_EINPUT, "the machine's memory is too small for the boot information");
    regs_init_protected32(&r, img->entry);
    r.gpr[GPR_RAX] = LOADER_MAGIC;
    r.gpr[GPR_RBX] = INFO_GPA;
    vcpu_set_regs(m, 0, &r);
    return EMU_OK;
}
