/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "emu/image/image.h"
#include "models/image_formats.h"
#include "models/linux/bzimage.h"
#include "tests/image_builder.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct elf_recipe two_segments(unsigned elf_class)
{
    return (struct elf_recipe){
        .elf_class = elf_class,
        .entry = 0x100010,
        .segments = {{0x100000, 0xc0100000, 256, 0x1000}, {0x200000, 0xc0200000, 64, 64}},
    };
}

static struct image *load_ok(const struct built *b)
{
    struct image *img;
    struct diag d;

    diag_init(&d);
    if (image_load_bytes(b->bytes, b->size, image_formats, &img, &d) != EMU_OK)
        fail_msg("expected an image, got: %s", d.text);
    return img;
}

static void assert_refused(const uint8_t *bytes, size_t size, const char *part)
{
    struct image *img;
    struct diag d;

    diag_init(&d);
    assert_int_equal(image_load_bytes(bytes, size, image_formats, &img, &d), EMU_EINPUT);
    assert_null(img);
    if (!strstr(d.text, part))
        fail_msg("expected a sentence with '%s', got: %s", part, d.text);
    assert_null(strchr(d.text, '\n'));
}

static void an_elf_of_both_classes_loads_with_its_segments(void **state)
{
    for (unsigned elf_class = 32; elf_class <= 64; elf_class += 32) {
        struct elf_recipe r = two_segments(elf_class);
        struct built b = build_elf(&r);
        struct image *img = load_ok(&b);

        assert_int_equal(img->kind, IMAGE_ELF);
        assert_int_equal(img->elf_class, elf_class);
        assert_int_equal(img->machine, elf_class == 32 ? EM_386 : EM_X86_64);
        assert_int_equal(img->entry, 0x100010);
        assert_int_equal(img->segments_count, 2);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(img->segments[i].paddr, r.segments[i].paddr);
            assert_int_equal(img->segments[i].vaddr, r.segments[i].vaddr);
            assert_int_equal(img->segments[i].memory_bytes, r.segments[i].memory_bytes);
            assert_int_equal(img->segments[i].file_bytes, r.segments[i].file_bytes);
            assert_int_equal(img->bytes[img->segments[i].offset], i + 1);
        }
        image_free(img);
        built_free(&b);
    }
}

/* The recipe has no executable section: its segments say what is code. */
static void code_is_the_executable_segments_of_a_file_without_executable_sections(void **state)
{
    struct elf_recipe r = two_segments(64);
    struct built b = build_elf(&r);
    struct image *img = load_ok(&b);
    size_t expected = 0;

    for (size_t i = 0; i < img->segments_count; i++) {
        if (!(img->segments[i].flags & PF_X))
            continue;
        assert_int_equal(img->code[expected].vaddr, img->segments[i].vaddr);
        assert_int_equal(img->code[expected].bytes, img->segments[i].memory_bytes);
        expected++;
    }
    assert_true(expected);
    assert_int_equal(img->code_count, expected);
    image_free(img);
    built_free(&b);
}

static void an_address_is_found_in_the_file_only_with_all_its_bytes(void **state)
{
    struct elf_recipe r = two_segments(64);
    struct built b = build_elf(&r);
    struct image *img = load_ok(&b);
    size_t at;

    assert_true(image_find_vaddr(img, 0xc0200010, 4, &at));
    assert_int_equal(at, img->segments[1].offset + 0x10);
    assert_true(image_find_vaddr(img, 0xc0200000, 64, &at));
    assert_false(image_find_vaddr(img, 0xc0200000, 65, &at));
    assert_false(image_find_vaddr(img, 0xc0100100, 1, &at)); /* memory, but not in the file */
    assert_false(image_find_vaddr(img, UINT64_MAX, SIZE_MAX, &at));
    assert_true(image_find_paddr(img, 0x1000ff, 1, &at));
    assert_int_equal(at, img->segments[0].offset + 0xff);
    assert_false(image_find_paddr(img, 0xfffff, 1, &at));
    image_free(img);
    built_free(&b);
}

static void notes_of_segments_hide_those_of_sections_and_only_of_the_same_owner(void **state)
{
    static const struct {
        const char *in_segment, *in_section;
        int offset_is_zero;
        uint32_t type; /* of the one note of "Xen" that is seen; 0: none */
    } vectors[] = {
        {"Xen", "Xen", 0, 1}, {"GNU", "Xen", 0, 2}, {"Xen", NULL, 0, 1},
        {NULL, "Xen", 0, 2},  {"Xen", "Xen", 1, 2}, {"GNU", "Xe", 0, 0},
    };

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct built segment = {0}, section = {0};
        struct elf_recipe r = two_segments(i % 2 ? 32 : 64);
        struct built b;
        struct image *img;
        struct image_note_cursor c;
        const struct image_note *n;

        if (vectors[i].in_segment)
            build_note(&segment, vectors[i].in_segment, 1, "seg", 3);
        if (vectors[i].in_section)
            build_note(&section, vectors[i].in_section, 2, "sect", 5);
        r.segment_notes = vectors[i].in_segment ? &segment : NULL;
        r.section_notes = vectors[i].in_section ? &section : NULL;
        r.note_offset_is_zero = vectors[i].offset_is_zero;
        b = build_elf(&r);
        img = load_ok(&b);
        c = image_notes_of(img, "Xen");
        n = image_note_next(&c);

        assert_int_equal(n ? n->type : 0, vectors[i].type);
        if (n) {
            assert_int_equal(n->source, n->type == 1 ? IMAGE_NOTE_SEGMENT : IMAGE_NOTE_SECTION);
            assert_int_equal(n->desc_bytes, n->type == 1 ? 3 : 5);
            assert_memory_equal(n->desc, "sect", n->type == 1 ? 2 : 5);
            assert_null(image_note_next(&c));
        }
        assert_false(img->notes_damaged);
        image_free(img);
        built_free(&b);
        built_free(&segment);
        built_free(&section);
    }
}

static void a_note_that_points_outside_ends_the_notes(void **state)
{
    struct built notes = {0};
    struct elf_recipe r = two_segments(64);
    struct built b;
    struct image *img;

    build_note_u32(&notes, 1, 7);
    built_append(&notes, &(Elf64_Nhdr){.n_namesz = 4, .n_descsz = 0xfffffff0u, .n_type = 2}, sizeof(Elf64_Nhdr));
    built_append(&notes, "Xen", 4);
    r.segment_notes = &notes;
    b = build_elf(&r);
    img = load_ok(&b);

    assert_true(img->notes_damaged);
    assert_int_equal(img->notes_count, 1);
    image_free(img);
    built_free(&b);
    built_free(&notes);
}

static void a_bzimage_of_every_compression_loads_its_vmlinux(void **state)
{
    for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_ZSTD; kind++) {
        struct elf_recipe r = two_segments(64);
        struct built elf = build_elf(&r);
        struct built payload = build_payload(kind, elf.bytes, elf.size);
        struct built b = build_bzimage(&payload);
        struct image *img = load_ok(&b);
        struct setup_header h;

        assert_int_equal(img->kind, IMAGE_BZIMAGE);
        assert_int_equal(img->size, elf.size);
        assert_memory_equal(img->bytes, elf.bytes, elf.size);
        assert_int_equal(img->file_bytes, b.size);
        assert_int_equal(img->linux_boot.protocol, 0x20f);
        assert_int_equal(img->linux_boot.protected_offset, 1024);
        assert_int_equal(img->linux_boot.protected_bytes, b.size - 1024);
        bzimage_setup_header(img, &h);
        assert_int_equal(h.payload_length, payload.size);
        assert_int_equal(h.kernel_info_offset, 0); /* 0x268, the last field before the end that the jump gives */
        image_free(img);
        built_free(&b);
        built_free(&payload);
        built_free(&elf);
    }
}

static void a_compressed_elf_loads(void **state)
{
    struct elf_recipe r = two_segments(64);
    struct built elf = build_elf(&r);
    struct built packed = build_payload(UNPACK_GZIP, elf.bytes, elf.size);
    struct image *img = load_ok(&packed);

    assert_int_equal(img->kind, IMAGE_ELF);
    assert_int_equal(img->size, elf.size);
    image_free(img);
    built_free(&packed);
    built_free(&elf);
}

static void a_bzimage_cut_anywhere_is_refused(void **state)
{
    struct elf_recipe r = two_segments(64);
    struct built elf = build_elf(&r);
    struct built payload = build_payload(UNPACK_XZ, elf.bytes, elf.size);
    struct built b = build_bzimage(&payload);

    for (size_t i = 0; i < 100; i++)
        assert_refused(b.bytes, b.size * i / 100, i == 0 ? "empty" : "cut short");
    assert_refused(b.bytes, b.size - 1, "cut short");
    built_free(&b);
    built_free(&payload);
    built_free(&elf);
}

static void an_elf_cut_anywhere_is_refused(void **state)
{
    struct elf_recipe r = two_segments(32);
    struct built b = build_elf(&r);

    for (size_t size = 0; size < b.size; size++)
        assert_refused(b.bytes, size, size == 0 ? "empty" : "cut short");
    built_free(&b);
}

/* A bzImage around `bytes` as they are. */
static void assert_payload_refused(const void *bytes, size_t size, const char *part)
{
    struct built payload = {0};
    struct built b;

    built_append(&payload, bytes, size);
    b = build_bzimage(&payload);
    assert_refused(b.bytes, b.size, part);
    built_free(&b);
    built_free(&payload);
}

static void a_bad_payload_is_refused_with_its_reason(void **state)
{
    struct elf_recipe r = two_segments(64);
    struct built elf = build_elf(&r);
    struct built payload = build_payload(UNPACK_ZSTD, elf.bytes, elf.size);
    struct built text = build_payload(UNPACK_GZIP, (const uint8_t *)"not a kernel", 12);

    assert_payload_refused("\x12\x34\x56\x78 and more", 14, "12 34 56 78");
    assert_payload_refused("\x89LZO\0\r\n\x1a\n and more", 18, "lzo, which is not supported");
    assert_payload_refused("\x1f\x8b\x08 and more", 12, "damaged");
    assert_payload_refused(text.bytes, text.size, "not an ELF file");
    payload.bytes[payload.size - 4] ^= 1; /* the appended size */
    assert_payload_refused(payload.bytes, payload.size, "but should have");
    built_free(&text);
    built_free(&payload);
    built_free(&elf);
}

static void a_setup_header_that_is_wrong_is_refused(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        size_t bytes;
        const char *part;
    } vectors[] = {
        {0x248, 0x7fffffff, 4, "damaged"},   {0x24c, 0xffffffff, 4, "damaged"}, {0x24c, 4, 4, "damaged"},
        {0x1f4, 0xffffffff, 4, "cut short"}, {0x1f1, 0xff, 1, "cut short"},
    };
    struct elf_recipe r = two_segments(64);
    struct built elf = build_elf(&r);
    struct built payload = build_payload(UNPACK_GZIP, elf.bytes, elf.size);

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct built b = build_bzimage(&payload);

        memcpy(b.bytes + vectors[i].offset, &vectors[i].value, vectors[i].bytes);
        assert_refused(b.bytes, b.size, vectors[i].part);
        built_free(&b);
    }
    built_free(&payload);
    built_free(&elf);
}

static void an_old_kernel_without_a_gzip_stream_is_refused(void **state)
{
    struct built payload = build_payload(UNPACK_XZ, (const uint8_t *)"not a kernel", 12);
    struct built b = build_bzimage(&payload);

    memcpy(b.bytes + 0x206, &(uint16_t){0x0207}, 2);
    assert_refused(b.bytes, b.size, "boot protocol 2.07");
    b.bytes[0x201] = 0; /* the header ends before its version */
    assert_refused(b.bytes, b.size, "boot protocol 0.00");
    built_free(&b);
    built_free(&payload);
}

/* Setup code, a decompressor that has what looks like a stream, `part`, and bytes behind it. */
static struct built flat_bzimage(uint16_t version, const struct built *part)
{
    static const uint8_t stub[] = {0xeb, 0xfe, 0x1f, 0x8b, 0x08, 0x55, 0xaa}, behind[] = {1, 2, 3, 4, 5};
    struct built all = {0}, b;

    built_append(&all, stub, sizeof(stub));
    built_append(&all, part->bytes, part->size);
    built_append(&all, behind, sizeof(behind));
    b = build_bzimage(&all);
    memcpy(b.bytes + 0x206, &version, sizeof(version));
    memset(b.bytes + 0x248, 0, 8); /* payload_offset, payload_length */
    built_free(&all);
    return b;
}

static void a_kernel_before_2_6_26_is_the_flat_one_in_its_gzip_stream(void **state)
{
    static const uint8_t kernel[] = "a flat kernel";
    struct built stream = build_payload(UNPACK_GZIP, kernel, sizeof(kernel));
    static const uint16_t versions[] = {0x0204, 0x0207, 0x0202};

    for (size_t i = 0; i < COUNT(versions); i++) {
        struct built b = flat_bzimage(versions[i], &stream);
        struct image *img;

        if (versions[i] < 0x0204) /* half of it means something else there */
            memset(b.bytes + 0x1f6, 0xff, 2);
        img = load_ok(&b);
        assert_int_equal(img->kind, IMAGE_BZIMAGE);
        assert_int_equal(img->entry, 0x100000);
        assert_int_equal(img->machine, EM_386);
        assert_int_equal(img->segments_count, 1);
        assert_int_equal(img->segments[0].paddr, 0x100000);
        assert_int_equal(img->segments[0].file_bytes, sizeof(kernel));
        assert_memory_equal(img->bytes + img->segments[0].offset, kernel, sizeof(kernel));
        image_free(img);
        built_free(&b);
    }
    built_free(&stream);
}

static void what_has_no_compressed_kernel_is_run_as_it_is(void **state)
{
    struct built part = {0}, b;
    struct image *img;

    built_append(&part, "memory test", 11);
    b = flat_bzimage(0x020c, &part);
    memcpy(b.bytes + 0x260, &(uint32_t){0x30000}, 4); /* init_size */
    /* Rounded up to paragraphs, it may lack the last bytes. */
    b.size -= 8;
    img = load_ok(&b);
    assert_int_equal(img->entry, 0x100000);
    assert_int_equal(img->segments[0].file_bytes, b.size - 1024);
    assert_int_equal(img->segments[0].memory_bytes, 0x30000);
    assert_memory_equal(img->bytes + img->segments[0].offset, b.bytes + 1024, b.size - 1024);
    image_free(img);
    assert_refused(b.bytes, b.size - 8, "cut short");
    built_free(&b);
    built_free(&part);
}

static void an_elf_that_cannot_be_a_guest_is_refused_with_its_reason(void **state)
{
    static const struct {
        struct elf_recipe r;
        const char *part;
    } vectors[] = {
        {{.elf_class = 64, .segments = {{0}}}, "no loadable segment"},
        {{.elf_class = 32, .machine = EM_ARM, .segments = {{0, 0, 1, 1}}}, "ELF file for ARM (32-bit)"},
        {{.elf_class = 64, .machine = EM_AARCH64, .segments = {{0, 0, 1, 1}}}, "ELF file for arm64"},
        {{.elf_class = 64, .machine = 0x4242, .segments = {{0, 0, 1, 1}}}, "machine number 16962"},
        {{.elf_class = 64, .type = ET_REL, .segments = {{0, 0, 1, 1}}}, "kernel module"},
        {{.elf_class = 64, .type = ET_CORE, .segments = {{0, 0, 1, 1}}}, "core dump"},
        {{.elf_class = 64, .segments = {{0, 0, 2, 1}}}, "larger in the file than in memory"},
        {{.elf_class = 64, .segments = {{UINT64_MAX - 1, 0, 1, 3}}}, "beyond the address space"},
        {{.elf_class = 64, .segments = {{0, UINT64_MAX - 1, 1, 3}}}, "beyond the address space"},
        {{.elf_class = 64, .segments = {{1, 1, 1, UINT64_MAX}}}, "beyond the address space"},
        {{.elf_class = 32, .segments = {{0xfffff000, 0, 1, 0x1001}}}, "beyond the address space"},
        {{.elf_class = 64, .segments = {{0x1000, 0, 16, 16}, {0x100f, 0x9000, 1, 1}}},
         "overlap at physical address 0x100f"},
        {{.elf_class = 64, .segments = {{0x1000, 0, 16, 16}, {0xf00, 0x9000, 0, 0x200}}}, "overlap"},
    };

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct built b = build_elf(&vectors[i].r);

        assert_refused(b.bytes, b.size, vectors[i].part);
        built_free(&b);
    }
}

static void zeroes_may_overlap_zeroes(void **state)
{
    struct elf_recipe r = {.elf_class = 32, .segments = {{0x1000, 0, 16, 0x100}, {0x1080, 0x9000, 0, 0x100}}};
    struct built b = build_elf(&r);

    image_free(load_ok(&b));
    built_free(&b);
}

static void the_top_page_of_both_spaces_may_be_used(void **state)
{
    struct elf_recipe r = {.elf_class = 32, .segments = {{0xfffff000, 0xfffff000, 16, 0x1000}}};
    struct built b = build_elf(&r);

    image_free(load_ok(&b));
    built_free(&b);
}

static void a_foreign_file_is_named(void **state)
{
    static const struct {
        size_t offset;
        const char *magic;
        size_t magic_bytes;
        const char *part;
    } vectors[] = {
        {0x24, "\x18\x28\x6f\x01", 4, "zImage for ARM"},
        {0x38, "ARM\x64", 4, "kernel for arm64"},
        {0x30, "RISCV\0\0\0", 8, "kernel for RISC-V"},
        {0, "\x27\x05\x19\x56", 4, "U-Boot"},
        {0, "#!/b", 4, "23 21 2f 62"},
        {0, "MZ", 2, "begins like an EFI program"},
        {0, "BZh9", 4, "begins like bzip2"},
    };
    uint8_t efi[4096] = {'M', 'Z'};

    for (size_t i = 0; i < COUNT(vectors); i++) {
        uint8_t file[4096] = {0};

        memcpy(file + vectors[i].offset, vectors[i].magic, vectors[i].magic_bytes);
        assert_refused(file, sizeof(file), vectors[i].part);
    }

    efi[0x3c] = 0x80;
    memcpy(efi + 0x80, "PE\0\0\x64\xaa", 6);
    assert_refused(efi, sizeof(efi), "EFI program for arm64");
    memcpy(efi + 4, "zimg", 4);
    assert_refused(efi, sizeof(efi), "Linux kernel for arm64");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct image *img;
    struct diag d;

    diag_init(&d);
    assert_int_equal(image_load_file("/nonexistent/vmlinuz", image_formats, &img, &d), EMU_EINPUT);
    assert_string_equal(d.file, "/nonexistent/vmlinuz");
    assert_int_equal(image_load_file("/", image_formats, &img, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "a directory"));
    assert_null(img);
}

static void the_distributions_kernel_loads(void **state)
{
    const char *path = getenv("BOOTRACE_KERNEL");
    struct image *img;
    struct diag d;
    struct image_note_cursor c;
    size_t notes = 0;

    diag_init(&d);
    if (image_load_file(path, image_formats, &img, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_int_equal(img->kind, IMAGE_BZIMAGE);
    assert_int_equal(img->machine, EM_X86_64);
    assert_in_range(img->segments_count, 2, 16);

    c = image_notes_of(img, "Xen");
    while (image_note_next(&c))
        notes++;
    assert_in_range(notes, 10, 32);
    /* Cut at 100 places: only the container is looked at, so this is quick. */
    for (size_t i = 0; i < 100; i++)
        assert_refused(img->file, img->file_bytes * i / 100, i == 0 ? "empty" : "cut short");
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_elf_of_both_classes_loads_with_its_segments),
        cmocka_unit_test(code_is_the_executable_segments_of_a_file_without_executable_sections),
        cmocka_unit_test(an_address_is_found_in_the_file_only_with_all_its_bytes),
        cmocka_unit_test(notes_of_segments_hide_those_of_sections_and_only_of_the_same_owner),
        cmocka_unit_test(a_note_that_points_outside_ends_the_notes),
        cmocka_unit_test(a_bzimage_of_every_compression_loads_its_vmlinux),
        cmocka_unit_test(a_compressed_elf_loads),
        cmocka_unit_test(a_bzimage_cut_anywhere_is_refused),
        cmocka_unit_test(an_old_kernel_without_a_gzip_stream_is_refused),
        cmocka_unit_test(a_kernel_before_2_6_26_is_the_flat_one_in_its_gzip_stream),
        cmocka_unit_test(what_has_no_compressed_kernel_is_run_as_it_is),
        cmocka_unit_test(an_elf_cut_anywhere_is_refused),
        cmocka_unit_test(a_bad_payload_is_refused_with_its_reason),
        cmocka_unit_test(a_setup_header_that_is_wrong_is_refused),
        cmocka_unit_test(an_elf_that_cannot_be_a_guest_is_refused_with_its_reason),
        cmocka_unit_test(zeroes_may_overlap_zeroes),
        cmocka_unit_test(the_top_page_of_both_spaces_may_be_used),
        cmocka_unit_test(a_foreign_file_is_named),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(the_distributions_kernel_loads),
    };
    return RUN_KERNEL_TEST_LAST("image", tests);
}
