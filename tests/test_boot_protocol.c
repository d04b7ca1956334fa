/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/image_builder.h"
#include "tests/played_machine.h"

#include "emu/image/image.h"
#include "models/boot_protocol.h"
#include "models/platform.h"

#include <string.h>

#include <asm/bootparam.h>

static const struct image_format *const no_formats[] = {NULL};

static struct image *image_of(const struct elf_recipe *recipe)
{
    struct built elf = build_elf(recipe);
    struct image *img = NULL;
    struct diag d;

    assert_int_equal(image_load_bytes(elf.bytes, elf.size, no_formats, &img, &d), EMU_OK);
    built_free(&elf);
    return img;
}

static struct machine *machine(const struct platform_config *platform)
{
    const struct machine_config config = {.ram_bytes = PLAYED_RAM_BYTES, .vcpus = 2, .platform = platform};

    return played_machine_new_config(&config);
}

static const struct elf_recipe kernel64 = {
    .elf_class = 64,
    .entry = 0x200000,
    .segments = {{.paddr = 0x200000, .vaddr = 0xffffffff81000000, .file_bytes = 0x1000, .memory_bytes = 0x3000}},
};

static uint64_t read_u64(struct machine *m, uint64_t gpa)
{
    uint64_t value = 0;

    assert_true(memory_read(machine_memory(m), gpa, &value, sizeof(value)));
    return value;
}

static void a_64_bit_kernel_starts_in_long_mode_on_an_identity_map(void **state)
{
    static const uint8_t initrd[] = "initrd";
    const struct platform_config platform = {
        .mode = PLATFORM_HVM, .cmdline = "panic=-1", .initrd = initrd, .initrd_bytes = sizeof(initrd)};
    struct machine *m = machine(&platform);
    struct image *img = image_of(&kernel64);
    const struct vcpu_regs *r = played_regs(m, 0);
    struct boot_params b;
    char text[16];
    struct diag d;

    assert_int_equal(boot_protocol_load(m, img, &d), EMU_OK);
    assert_int_equal(r->rip, 0x200000);
    assert_int_equal(r->efer, EFER_LME | EFER_LMA);
    assert_int_equal(regs_code_bits(r), 64);
    assert_int_equal(r->seg[SEG_CS].selector, 0x10);
    assert_int_equal(r->seg[SEG_DS].selector, 0x18);
    for (uint64_t gpa = 0; gpa < 4ull << 30; gpa += 0x1fe3f000) {
        uint64_t l3 = read_u64(m, r->cr3) & ~0xfffull, l2 = read_u64(m, l3 + (gpa >> 30) * 8) & ~0xfffull;

        assert_int_equal(read_u64(m, l2 + (gpa >> 21 & 511) * 8), (gpa & ~0x1fffffull) | 0x83);
    }
    assert_true(memory_read(machine_memory(m), 0x200000, text, 1));
    assert_int_equal(text[0], 1);

    assert_true(memory_read(machine_memory(m), r->gpr[GPR_RSI], &b, sizeof(b)));
    assert_int_equal(b.hdr.boot_flag, 0xaa55);
    assert_int_equal(b.hdr.type_of_loader, 0xff);
    assert_true(memory_read(machine_memory(m), b.hdr.cmd_line_ptr, text, 9));
    assert_string_equal(text, "panic=-1");
    assert_int_equal(b.hdr.ramdisk_size, sizeof(initrd));
    assert_int_equal(b.hdr.ramdisk_image % PAGE_BYTES, 0);
    assert_true(memory_read(machine_memory(m), b.hdr.ramdisk_image, text, sizeof(initrd)));
    assert_memory_equal(text, initrd, sizeof(initrd));
    assert_true(memory_read(machine_memory(m), b.acpi_rsdp_addr, text, 8));
    assert_memory_equal(text, "RSD PTR ", 8);
    assert_int_equal(b.screen_info.orig_video_cols, 80);
    assert_int_equal(b.screen_info.orig_video_lines, 25);
    assert_int_equal(b.e820_entries, 5);
    assert_int_equal(b.e820_table[3].addr, 0x100000);
    assert_int_equal(b.e820_table[3].size, PLAYED_RAM_BYTES - 0x100000);
    image_free(img);
    machine_free(m);
}

static void a_32_bit_kernel_starts_without_paging(void **state)
{
    static const struct elf_recipe recipe = {
        .elf_class = 32, .entry = 0x400000, .segments = {{.paddr = 0x400000, .file_bytes = 1, .memory_bytes = 1}}};
    static const struct platform_config platform = {.mode = PLATFORM_HVM};
    struct machine *m = machine(&platform);
    struct image *img = image_of(&recipe);
    const struct vcpu_regs *r = played_regs(m, 0);
    struct diag d;

    assert_int_equal(boot_protocol_load(m, img, &d), EMU_OK);
    assert_int_equal(r->rip, 0x400000);
    assert_int_equal(r->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    assert_int_equal(r->efer, 0);
    image_free(img);
    machine_free(m);
}

static void the_header_of_a_bzimage_is_the_guests(void **state)
{
    static const struct platform_config platform = {.mode = PLATFORM_HVM};
    struct machine *m = machine(&platform);
    struct image *img = image_of(&kernel64);
    uint8_t file[0x400] = {0};
    struct image bzimage = *img;
    struct boot_params b;
    struct diag d;

    file[0x1f1] = 0x1f;                   /* setup_sects */
    file[0x201] = 0x66;                   /* the header ends at 0x268 */
    file[0x206] = 0x0f, file[0x207] = 2;  /* version */
    file[0x260] = 0x99, file[0x268] = 77; /* init_size, and what is code already */
    bzimage.kind = IMAGE_BZIMAGE;
    bzimage.file = file;
    bzimage.file_bytes = sizeof(file);
    assert_int_equal(boot_protocol_load(m, &bzimage, &d), EMU_OK);
    assert_true(memory_read(machine_memory(m), played_regs(m, 0)->gpr[GPR_RSI], &b, sizeof(b)));
    assert_int_equal(b.hdr.setup_sects, 0x1f);
    assert_int_equal(b.hdr.version, 0x20f);
    assert_int_equal(b.hdr.init_size, 0x99);
    assert_int_equal(b.hdr.handover_offset, 0);
    file[0x201] = 0xff; /* a header that claims more than there is room for */
    assert_int_equal(boot_protocol_load(m, &bzimage, &d), EMU_OK);
    image_free(img);
    machine_free(m);
}

static void what_can_not_start_is_said_in_a_sentence(void **state)
{
    static uint8_t big[PLAYED_RAM_BYTES];
    static char long_line[0x10001];
    static const struct {
        struct elf_recipe recipe;
        size_t initrd_bytes;
        const char *cmdline, *text;
    } rows[] = {
        {{.elf_class = 64, .entry = 0xffffffff81000000, .segments = {{.paddr = 0x200000, .memory_bytes = 1}}},
         0,
         NULL,
         "not a physical address"},
        {{.elf_class = 64, .entry = 0x1000, .segments = {{.paddr = 0x1000, .memory_bytes = 1}}},
         0,
         NULL,
         "first megabyte"},
        {{.elf_class = 64, .entry = 0x200000, .segments = {{.paddr = 0x200000, .memory_bytes = PLAYED_RAM_BYTES}}},
         0,
         NULL,
         "--memory at least 19M"},
        {{.elf_class = 64, .entry = 0x200000, .segments = {{.paddr = 0x200000, .memory_bytes = 1}}},
         sizeof(big),
         NULL,
         "does not fit beside"},
        {{.elf_class = 64, .entry = 0x200000, .segments = {{.paddr = 0x200000, .memory_bytes = 1}}},
         0,
         long_line,
         "command line"},
    };

    memset(long_line, 'x', sizeof(long_line) - 1);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        const struct platform_config platform = {.mode = PLATFORM_HVM,
                                                 .cmdline = rows[i].cmdline,
                                                 .initrd = rows[i].initrd_bytes ? big : NULL,
                                                 .initrd_bytes = rows[i].initrd_bytes};
        struct machine *m = machine(&platform);
        struct image *img = image_of(&rows[i].recipe);
        struct diag d;

        diag_init(&d);
        assert_int_equal(boot_protocol_load(m, img, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[i].text))
            fail_msg("row %u says: %s", i, d.text);
        image_free(img);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_64_bit_kernel_starts_in_long_mode_on_an_identity_map),
        cmocka_unit_test(a_32_bit_kernel_starts_without_paging),
        cmocka_unit_test(the_header_of_a_bzimage_is_the_guests),
        cmocka_unit_test(what_can_not_start_is_said_in_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
