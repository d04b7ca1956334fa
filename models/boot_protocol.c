/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/boot_protocol.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include <asm/bootparam.h>

#include "emu/image/image.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/load_segments.h"
#include "models/pc/acpi.h"
#include "models/platform_config.h"

/* Where a boot loader's data lies below the video memory, and the tables where the kernel looks for them. */
#define BOOT_PARAMS_GPA 0x10000ull
#define CMDLINE_GPA     0x20000ull
#define CMDLINE_BYTES   0x10000ull
#define PAGE_TABLES_GPA 0x30000ull
#define EBDA_GPA        0x9fc00ull
#define VIDEO_GPA       0xa0000ull
#define ACPI_GPA        0xf0000ull
#define ACPI_BYTES      0x10000ull
#define HIGH_GPA        0x100000ull
/* From here to 4 GiB: device windows. */
#define SPECIAL_GPA 0xfc000000ull

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

#define SETUP_HEADER_OFFSET 0x1f1
#define BOOT_FLAG           0xaa55
#define HEADER_MAGIC        0x53726448 /* "HdrS" */
#define PROTOCOL            0x020f
#define LOADER_UNDEFINED    0xff
#define JUMP_OFFSET         0x201 /* the header ends this byte's value behind the next */

/* The protocol's code and data segments. */
#define BOOT_CS 0x10
#define BOOT_DS 0x18

#define SCREEN_COLUMNS 80
#define SCREEN_LINES   25
#define FONT_LINES     16

#define PTE_PRESENT_WRITABLE 0x3ull
#define PTE_LARGE            0x80ull
#define MAPPED_GIB           4u
#define ENTRIES              512u

static bool is_in_image(const struct image *img, uint64_t gpa)
{
    for (size_t i = 0; i < img->segments_count; i++)
        if (gpa >= img->segments[i].paddr && gpa - img->segments[i].paddr < img->segments[i].memory_bytes)
            return true;
    return false;
}

static enum emu_err check_kernel(const struct image *img, struct diag *d)
{
    if (img->entry > UINT32_MAX)
        return diag_set(d, EMU_EINPUT,
                        "the image's entry 0x%" PRIx64 " is not a physical address: is it a Linux kernel?", img->entry);
    if (!is_in_image(img, img->entry))
        return diag_set(d, EMU_EINPUT,
                        "the image's entry 0x%" PRIx64 " is not in it as a physical address: is it a Linux kernel?",
                        img->entry);
    for (size_t i = 0; i < img->segments_count; i++)
        if (img->segments[i].paddr < HIGH_GPA)
            return diag_set(d, EMU_EINPUT, "a segment of the image at 0x%" PRIx64 " lies in the PC's first megabyte",
                            img->segments[i].paddr);
    return EMU_OK;
}

static uint64_t low_ram_bytes(const struct machine *m)
{
    uint64_t ram = machine_config(m)->ram_bytes;

    return ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;
}

static enum emu_err place_initrd(const struct machine *m, const struct image *img, uint64_t *gpa, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    uint64_t low = low_ram_bytes(m), end = 0, room;

    for (size_t i = 0; i < img->segments_count; i++)
        if (img->segments[i].paddr + img->segments[i].memory_bytes > end)
            end = img->segments[i].paddr + img->segments[i].memory_bytes;
    if (end > low)
        return diag_set(d, EMU_EINPUT,
                        "the image needs memory up to 0x%" PRIx64 "; give --memory at least %" PRIu64 "M", end,
                        (end >> 20) + 1);
    room = (low - end) & ~(uint64_t)(PAGE_BYTES - 1);
    *gpa = 0;
    if (!p->initrd)
        return EMU_OK;
    if (p->initrd_bytes > room || room - p->initrd_bytes < 2 * PAGE_BYTES)
        return diag_set(d, EMU_EINPUT,
                        "the initrd of %zu KiB does not fit beside the kernel; give --memory at least %" PRIu64 "M",
                        p->initrd_bytes >> 10, ((end + p->initrd_bytes) >> 20) + 1);
    *gpa = (low - p->initrd_bytes) & ~(uint64_t)(PAGE_BYTES - 1);
    return EMU_OK;
}

static void add_e820(struct boot_params *b, uint64_t gpa, uint64_t end_gpa, uint32_t type)
{
    b->e820_table[b->e820_entries++] = (struct boot_e820_entry){.addr = gpa, .size = end_gpa - gpa, .type = type};
}

/* The header that the kernel itself brings, or what a loader may assume of one. */
static void fill_header(struct boot_params *b, const struct image *img)
{
    if (img->kind == IMAGE_BZIMAGE && img->file_bytes > SETUP_HEADER_OFFSET + sizeof(b->hdr)) {
        size_t end = JUMP_OFFSET + 1 + img->file[JUMP_OFFSET], bytes = sizeof(b->hdr);

        if (end - SETUP_HEADER_OFFSET < bytes)
            bytes = end - SETUP_HEADER_OFFSET;
        memcpy(&b->hdr, img->file + SETUP_HEADER_OFFSET, bytes);
    } else {
        b->hdr.boot_flag = BOOT_FLAG;
        b->hdr.header = HEADER_MAGIC;
        b->hdr.version = PROTOCOL;
        b->hdr.loadflags = LOADED_HIGH;
        b->hdr.kernel_alignment = 1u << 21;
    }
    b->hdr.type_of_loader = LOADER_UNDEFINED;
    b->hdr.code32_start = (uint32_t)img->entry;
}

static bool write_boot_params(struct machine *m, const struct image *img, uint64_t initrd_gpa, uint64_t rsdp_gpa)
{
    const struct platform_config *p = platform_config(m);
    const char *cmdline = p->cmdline ? p->cmdline : "";
    uint64_t ram = machine_config(m)->ram_bytes, low = low_ram_bytes(m);
    struct boot_params b = {0};

    fill_header(&b, img);
    b.hdr.cmd_line_ptr = CMDLINE_GPA;
    b.hdr.ramdisk_image = (uint32_t)initrd_gpa;
    b.hdr.ramdisk_size = (uint32_t)p->initrd_bytes;
    b.acpi_rsdp_addr = rsdp_gpa;
    b.screen_info.orig_video_mode = 3; /* text, as the set-up code finds it */
    b.screen_info.orig_video_cols = SCREEN_COLUMNS;
    b.screen_info.orig_video_lines = SCREEN_LINES;
    b.screen_info.orig_video_points = FONT_LINES;
    add_e820(&b, 0, EBDA_GPA, E820_RAM);
    add_e820(&b, EBDA_GPA, VIDEO_GPA, E820_RESERVED);
    add_e820(&b, ACPI_GPA, ACPI_GPA + ACPI_BYTES, E820_ACPI);
    add_e820(&b, HIGH_GPA, low, E820_RAM);
    add_e820(&b, SPECIAL_GPA, MEMORY_HIGH_RAM_GPA, E820_RESERVED);
    if (ram > low)
        add_e820(&b, MEMORY_HIGH_RAM_GPA, MEMORY_HIGH_RAM_GPA + ram - low, E820_RAM);
    return memory_write(machine_memory(m), BOOT_PARAMS_GPA, &b, sizeof(b)) &&
           memory_write(machine_memory(m), CMDLINE_GPA, cmdline, strlen(cmdline) + 1);
}

/* One table of level 4, one of level 3, and one of level 2 with 2 MiB pages for each GiB. */
static bool write_identity_map(struct machine *m)
{
    uint64_t table[ENTRIES] = {PTE_PRESENT_WRITABLE | (PAGE_TABLES_GPA + PAGE_BYTES)};

    if (!memory_write(machine_memory(m), PAGE_TABLES_GPA, table, sizeof(table)))
        return false;
    for (unsigned i = 0; i < MAPPED_GIB; i++)
        table[i] = PTE_PRESENT_WRITABLE | (PAGE_TABLES_GPA + (2 + i) * PAGE_BYTES);
    if (!memory_write(machine_memory(m), PAGE_TABLES_GPA + PAGE_BYTES, table, sizeof(table)))
        return false;
    for (unsigned g = 0; g < MAPPED_GIB; g++) {
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = PTE_PRESENT_WRITABLE | PTE_LARGE | (uint64_t)(g * ENTRIES + i) << 21;
        if (!memory_write(machine_memory(m), PAGE_TABLES_GPA + (2 + g) * PAGE_BYTES, table, sizeof(table)))
            return false;
    }
    return true;
}

static void set_entry_regs(struct machine *m, const struct image *img)
{
    struct vcpu_regs r;

    regs_init_protected32(&r, img->entry);
    r.gpr[GPR_RSI] = BOOT_PARAMS_GPA;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        r.seg[s].selector = s == SEG_CS ? BOOT_CS : BOOT_DS;
    if (img->machine == EM_X86_64) {
        r.cr0 |= CR0_PG;
        r.cr3 = PAGE_TABLES_GPA;
        r.cr4 = CR4_PAE;
        r.efer = EFER_LME | EFER_LMA;
        r.seg[SEG_CS].attributes = (r.seg[SEG_CS].attributes & ~SEG_ATTR_DB) | SEG_ATTR_L;
    }
    vcpu_set_regs(m, 0, &r);
}

enum emu_err boot_protocol_load(struct machine *m, const struct image *img, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    struct memory *mem = machine_memory(m);
    uint64_t initrd_gpa, rsdp_gpa;
    enum emu_err err = check_kernel(img, d);

    if (err == EMU_OK)
        err = place_initrd(m, img, &initrd_gpa, d);
    if (err == EMU_OK && p->cmdline && strlen(p->cmdline) >= CMDLINE_BYTES)
        err = diag_set(d, EMU_EINPUT, "the command line is longer than %" PRIu64 " bytes", (uint64_t)CMDLINE_BYTES - 1);
    if (err == EMU_OK)
        err = acpi_build(m, ACPI_GPA, ACPI_BYTES, &rsdp_gpa, d);
    if (err == EMU_OK)
        err = load_segments(m, img, d);
    if (err != EMU_OK)
        return err;
    if (!write_boot_params(m, img, initrd_gpa, rsdp_gpa) || !write_identity_map(m) ||
        (p->initrd && !memory_write(mem, initrd_gpa, p->initrd, p->initrd_bytes)))
        return diag_set(d, EMU_EINPUT, "the machine's memory is too small for the boot information");
    set_entry_regs(m, img);
    return EMU_OK;
}
