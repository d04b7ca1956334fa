/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/pvh_loader.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "emu/image/image.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/load_segments.h"
#include "models/pc/acpi.h"
#include "models/platform_config.h"
#include "models/xen/elfnote.h"

#define MODULES_MAX (1 + PLATFORM_MODULES_MAX)

struct layout {
    uint64_t kernel_start_gpa, kernel_end_gpa;
    uint64_t info_gpa; /* start_info, module list and memory map in one page, then the command lines */
    uint64_t cmdline_gpa;
    uint64_t low_ram_bytes;
    unsigned modules; /* the initrd, if there is one, and the others */
    struct {
        const struct platform_module *file;
        uint64_t gpa, cmdline_gpa; /* cmdline_gpa: 0 if it has none */
    } module[MODULES_MAX];
};

static uint64_t page_up(uint64_t gpa)
{
    return (gpa + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static enum emu_err plan_kernel(const struct machine *m, const struct image *img, struct layout *l, struct diag *d)
{
    uint64_t ram = machine_config(m)->ram_bytes;

    l->low_ram_bytes = ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;
    l->kernel_start_gpa = UINT64_MAX;
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (s->paddr < l->kernel_start_gpa)
            l->kernel_start_gpa = s->paddr;
        if (s->paddr + s->memory_bytes > l->kernel_end_gpa)
            l->kernel_end_gpa = s->paddr + s->memory_bytes;
        if (s->paddr < PVH_ACPI_GPA + PVH_ACPI_BYTES && s->paddr + s->memory_bytes > PVH_ACPI_GPA)
            return diag_set(d, EMU_EINPUT,
                            "a segment of the image at 0x%" PRIx64 " lies over the ACPI tables at 0x%" PRIx64, s->paddr,
                            (uint64_t)PVH_ACPI_GPA);
    }
    l->info_gpa = page_up(l->kernel_end_gpa);
    l->cmdline_gpa = l->info_gpa + PAGE_BYTES;
    return EMU_OK;
}

/* The command lines lie one behind the other; returns the end of the last one. */
static uint64_t plan_command_lines(const struct platform_config *p, struct layout *l)
{
    uint64_t next_gpa = l->cmdline_gpa + (p->cmdline ? strlen(p->cmdline) : 0) + 1;

    for (unsigned i = 0; i < l->modules; i++) {
        if (l->module[i].file->cmdline) {
            l->module[i].cmdline_gpa = next_gpa;
            next_gpa += strlen(l->module[i].file->cmdline) + 1;
        }
    }
    return page_up(next_gpa);
}

/* The modules lie at the end of low RAM, the first one highest. */
static enum emu_err plan(const struct machine *m, const struct image *img, const struct platform_module *initrd,
                         struct layout *l, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    uint64_t ram = machine_config(m)->ram_bytes, needed, end_gpa, all = 0;
    enum emu_err err;

    memset(l, 0, sizeof(*l));
    err = plan_kernel(m, img, l, d);
    if (err != EMU_OK)
        return err;
    if (initrd->bytes)
        l->module[l->modules++].file = initrd;
    for (unsigned i = 0; i < p->modules; i++)
        l->module[l->modules++].file = &p->module[i];
    needed = plan_command_lines(p, l);
    if (l->kernel_end_gpa > l->low_ram_bytes || needed > l->low_ram_bytes)
        return diag_set(d, EMU_EINPUT,
                        "the image needs memory up to 0x%" PRIx64 ", and the machine has %" PRIu64
                        " MiB; give --memory at least %" PRIu64 "M",
                        needed, ram >> 20, (needed >> 20) + 1);
    end_gpa = l->low_ram_bytes;
    for (unsigned i = 0; i < l->modules; i++) {
        all += page_up(l->module[i].file->size);
        if (all > l->low_ram_bytes - needed)
            return diag_set(d, EMU_EINPUT,
                            "the %s of %" PRIu64 " KiB %s not fit beside the kernel into %" PRIu64
                            " MiB; give --memory at least %" PRIu64 "M",
                            l->modules > 1 ? "modules" : "initrd", all >> 10, l->modules > 1 ? "do" : "does", ram >> 20,
                            ((needed + all) >> 20) + 1);
        end_gpa -= page_up(l->module[i].file->size);
        l->module[i].gpa = end_gpa;
    }
    return EMU_OK;
}

uint32_t pvh_memory_map(const struct machine *m, struct hvm_memmap_table_entry *e)
{
    uint64_t ram = machine_config(m)->ram_bytes, low = ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;
    const struct hvm_memmap_table_entry all[PVH_MEMMAP_ENTRIES_MAX] = {
        {.addr = 0, .size = PVH_ACPI_GPA, .type = XEN_HVM_MEMMAP_TYPE_RAM},
        {.addr = PVH_ACPI_GPA, .size = PVH_ACPI_BYTES, .type = XEN_HVM_MEMMAP_TYPE_ACPI},
        {.addr = PVH_ACPI_END_GPA, .size = low - PVH_ACPI_END_GPA, .type = XEN_HVM_MEMMAP_TYPE_RAM},
        {.addr = PVH_SPECIAL_GPA, .size = MEMORY_HIGH_RAM_GPA - PVH_SPECIAL_GPA, .type = XEN_HVM_MEMMAP_TYPE_RESERVED},
        {.addr = MEMORY_HIGH_RAM_GPA, .size = ram - low, .type = XEN_HVM_MEMMAP_TYPE_RAM},
    };

    memcpy(e, all, sizeof(all));
    return ram > low ? PVH_MEMMAP_ENTRIES_MAX : PVH_MEMMAP_ENTRIES_MAX - 1;
}

static bool write_text(struct machine *m, uint64_t gpa, const char *text)
{
    return memory_write(machine_memory(m), gpa, text, strlen(text) + 1);
}

static bool write_info(struct machine *m, const struct layout *l, uint64_t rsdp_gpa)
{
    const struct platform_config *p = platform_config(m);
    struct {
        struct hvm_start_info info;
        struct hvm_modlist_entry module[MODULES_MAX];
        struct hvm_memmap_table_entry memmap[PVH_MEMMAP_ENTRIES_MAX];
    } page = {0};
    bool ok = true;

    static_assert(sizeof(page) <= PAGE_BYTES, "the command line lies behind the first page");
    page.info = (struct hvm_start_info){
        .magic = XEN_HVM_START_MAGIC_VALUE,
        .version = 1,
        .nr_modules = l->modules,
        .modlist_paddr = l->modules ? l->info_gpa + ((char *)page.module - (char *)&page) : 0,
        .cmdline_paddr = l->cmdline_gpa,
        .rsdp_paddr = rsdp_gpa,
        .memmap_paddr = l->info_gpa + ((char *)page.memmap - (char *)&page),
        .memmap_entries = pvh_memory_map(m, page.memmap),
    };
    for (unsigned i = 0; ok && i < l->modules; i++) {
        const struct platform_module *x = l->module[i].file;

        page.module[i] = (struct hvm_modlist_entry){
            .paddr = l->module[i].gpa, .size = x->size, .cmdline_paddr = l->module[i].cmdline_gpa};
        ok = memory_write(machine_memory(m), l->module[i].gpa, x->bytes, x->size) &&
             (!x->cmdline || write_text(m, l->module[i].cmdline_gpa, x->cmdline));
    }
    return ok && memory_write(machine_memory(m), l->info_gpa, &page, sizeof(page)) &&
           write_text(m, l->cmdline_gpa, p->cmdline ? p->cmdline : "");
}

enum emu_err pvh_load(struct machine *m, const struct image *img, struct diag *d)
{
    const struct platform_config *p = platform_config(m);
    struct platform_module initrd = {.bytes = p->initrd, .size = p->initrd_bytes};
    struct vcpu_regs r;
    struct layout l;
    uint64_t rsdp_gpa;
    uint32_t entry_gpa;
    enum emu_err err = elfnote_phys32_entry(img, &entry_gpa, d);

    if (err == EMU_OK)
        err = plan(m, img, &initrd, &l, d);
    if (err == EMU_OK)
        err = acpi_build(m, PVH_ACPI_GPA, PVH_ACPI_BYTES, &rsdp_gpa, d);
    if (err != EMU_OK)
        return err;
    if (entry_gpa < l.kernel_start_gpa || entry_gpa >= l.kernel_end_gpa)
        return diag_set(d, EMU_EINPUT, "the PVH entry 0x%" PRIx32 " is outside the image's segments", entry_gpa);
    err = load_segments(m, img, d);
    if (err != EMU_OK)
        return err;
    if (!write_info(m, &l, rsdp_gpa))
        return diag_set(d, EMU_EINPUT, "the machine's memory is too small for the boot information");
    regs_init_protected32(&r, entry_gpa);
    r.gpr[GPR_RBX] = l.info_gpa;
    vcpu_set_regs(m, 0, &r);
    return EMU_OK;
}
