/*
 * The tables are built here as each version's scripts/kallsyms writes them, put into a small ELF file, and read back.
 * BOOTRACE_KERNEL=<vmlinuz> adds a real kernel.
 */
#include "tests/cmocka_tap.h"

#include "emu/image.h"
#include "models/linux/bzimage.h"
#include "models/linux/kallsyms.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_GVA_64   0xffffffff81000000u
#define TEXT_GVA_32   0xc1000000u
#define HEADERS_BYTES 0x1000u
#define TEXT_BYTES    0x8000u
#define IMAGE_ROOM    (1u << 20)
#define NAMES         900u
#define PERCPU        20u
#define LONG_NAME     300u /* this symbol's name needs a length of two bytes where they exist */

struct layout {
    const char *title;
    unsigned bits;
    enum kallsyms_addressing addressing;
    bool addresses_first;
    unsigned number_bytes, marker_bytes, align;
    bool long_names, has_seqs;
};

static const struct layout layouts[] = {
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
#define LAYOUTS (sizeof(layouts) / sizeof(*layouts))

struct made {
    uint8_t *bytes;
    size_t size;
    uint64_t gva[NAMES];
    char name[NAMES][NAMES];
    char kind[NAMES];
    uint64_t names_at, markers_at, token_table_at, token_index_at, addresses_at, num_syms_at;
    uint64_t text_gva;
};

static void put(struct made *m, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        m->bytes[m->size++] = (uint8_t)(value >> (8 * i));
}

static void pad(struct made *m, unsigned align)
{
    while (m->size % align)
        m->bytes[m->size++] = 0;
}

/* Tokens: printable characters stand for themselves; these make names shorter. */
static const char *const long_tokens[] = {"sys_", "func", "tion_", "Tsys_", "Dpercpu_", "tlocal_"};

static void put_names(struct made *m, const struct layout *l, uint32_t *markers)
{
    uint64_t names_at = m->size;
    m->names_at = names_at;
    for (unsigned i = 0; i < NAMES; i++) {
        char text[NAMES + 1];
        uint8_t codes[NAMES + 1];
        unsigned count = 0;
        snprintf(text, sizeof(text), "%c%s", m->kind[i], m->name[i]);
        for (const char *c = text; *c;) {
            unsigned code = (uint8_t)*c, bytes = 1;
            for (unsigned k = 0; k < sizeof(long_tokens) / sizeof(*long_tokens); k++)
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
            assert_true(l->long_names);
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

static void put_tokens(struct made *m, const struct layout *l)
{
    uint16_t index[256];
    m->token_table_at = m->size;
    for (unsigned i = 0; i < 256; i++) {
        index[i] = (uint16_t)(m->size - m->token_table_at);
        if (i >= 128 && i - 128 < sizeof(long_tokens) / sizeof(*long_tokens))
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

static void put_addresses(struct made *m, const struct layout *l)
{
    m->addresses_at = m->size;
    /* Only the SMP form has two kinds of addresses; there the base is the lowest that is no per-CPU one. */
    uint64_t base = l->addressing == KALLSYMS_BASE_OR_PERCPU ? m->text_gva : m->gva[0];
    for (unsigned i = 0; i < NAMES; i++)
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
            put(m, m->gva[i] - (m->text_gva + m->size - HEADERS_BYTES), 4);
            break;
        }
    pad(m, l->align);
    if (l->addressing == KALLSYMS_BASE || l->addressing == KALLSYMS_BASE_OR_PERCPU) {
        put(m, base, l->bits / 8);
        pad(m, l->align);
    }
}

static void put_seqs(struct made *m, const struct layout *l)
{
    for (unsigned i = 0; l->has_seqs && i < NAMES; i++) {
        unsigned seq = i * 7 % NAMES; /* 7 and 900 have no common factor: a permutation */
        put(m, seq >> 16, 1);
        put(m, seq >> 8 & 0xff, 1);
        put(m, seq & 0xff, 1);
    }
    pad(m, l->align);
}

static void choose_symbols(struct made *m, const struct layout *l)
{
    bool has_percpu = l->addressing == KALLSYMS_ABSOLUTE || l->addressing == KALLSYMS_BASE_OR_PERCPU;
    unsigned percpu = has_percpu && l->bits == 64 ? PERCPU : 0;
    m->text_gva = l->bits == 64 ? TEXT_GVA_64 : TEXT_GVA_32;
    for (unsigned i = 0; i < NAMES; i++) {
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
        memset(m->name[LONG_NAME], 'x', 400);
}

static void put_headers(struct made *m, const struct layout *l)
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
    uint64_t bytes = m->size - HEADERS_BYTES;
    Elf64_Phdr p64 = {.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_X,
                      .p_offset = HEADERS_BYTES,
                      .p_vaddr = m->text_gva,
                      .p_filesz = bytes,
                      .p_memsz = bytes + TEXT_BYTES};
    Elf32_Phdr p32 = {.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_X,
                      .p_offset = HEADERS_BYTES,
                      .p_vaddr = (uint32_t)m->text_gva,
                      .p_filesz = (uint32_t)bytes,
                      .p_memsz = (uint32_t)bytes + TEXT_BYTES};
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

static struct made *make(const struct layout *l)
{
    struct made *m = calloc(1, sizeof(*m));
    uint32_t markers[NAMES / 256 + 1];
    assert_non_null(m);
    m->bytes = calloc(1, IMAGE_ROOM);
    assert_non_null(m->bytes);
    choose_symbols(m, l);
    m->size = HEADERS_BYTES + TEXT_BYTES;
    if (l->addresses_first)
        put_addresses(m, l);
    m->num_syms_at = m->size;
    put(m, NAMES, l->number_bytes);
    pad(m, l->align);
    put_names(m, l, markers);
    m->markers_at = m->size;
    for (unsigned i = 0; i < NAMES / 256 + 1; i++)
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

static void made_free(struct made *m)
{
    free(m->bytes);
    free(m);
}

static enum emu_err find(const struct made *m, size_t size, struct kallsyms_tables *t, struct diag *d)
{
    struct kernel_view v;
    diag_init(d);
    enum emu_err err = kernel_view_init(&v, m->bytes, size, d);
    return err ? err : kallsyms_find(&v, t, d);
}

static void every_layout_is_read_back_exactly(void **state)
{
    for (unsigned i = 0; i < LAYOUTS; i++) {
        const struct layout *l = &layouts[i];
        struct made *m = make(l);
        struct kernel_view v;
        struct kallsyms_tables t;
        struct diag d;
        struct symbols *s = symbols_new();
        diag_init(&d);
        if (kernel_view_init(&v, m->bytes, m->size, &d) || kallsyms_read(&v, s, &t, &d) || symbols_seal(s, &d))
            fail_msg("%s: %s", l->title, d.text);
        if (t.addressing != l->addressing || t.addresses_first != l->addresses_first)
            fail_msg("%s: read as %s", l->title, kallsyms_describe(&t));
        assert_int_equal(t.count, NAMES);
        assert_int_equal(t.marker_bytes, l->marker_bytes);
        assert_int_equal(t.has_seqs, l->has_seqs);
        assert_int_equal(t.names_at, m->names_at);
        assert_int_equal(t.token_table_at, m->token_table_at);
        assert_int_equal(t.addresses_at, m->addresses_at);
        assert_int_equal(symbols_count(s), NAMES);
        for (unsigned k = 0; k < NAMES; k++) {
            struct symbol found;
            if (symbols_find_name(s, m->name[k], &found) != 1)
                fail_msg("%s: %s is not there once", l->title, m->name[k]);
            assert_int_equal(found.start_gva, m->gva[k]);
            assert_int_equal(found.kind, m->kind[k]);
        }
        symbols_free(s);
        made_free(m);
    }
}

static void per_cpu_symbols_do_not_slide(void **state)
{
    struct made *m = make(&layouts[2]);
    struct kernel_view v;
    struct diag d;
    struct symbol found;
    struct symbols *s = symbols_new();
    assert_int_equal(kernel_view_init(&v, m->bytes, m->size, &d), EMU_OK);
    assert_int_equal(kallsyms_read(&v, s, NULL, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    symbols_set_slide(s, 0x12000000);
    assert_int_equal(symbols_find_name(s, "percpu_3", &found), 1);
    assert_int_equal(found.start_gva, 3 * 64);
    assert_int_equal(symbols_find_name(s, "_text", &found), 1);
    assert_int_equal(found.start_gva, TEXT_GVA_64 + 0x12000000u);
    symbols_free(s);
    made_free(m);
}

/* One damage to each table, and nothing of it is believed. */
static void tables_that_disagree_are_refused(void **state)
{
    for (unsigned i = 0; i < LAYOUTS; i++)
        for (unsigned damage = 0; damage < 6; damage++) {
            const struct layout *l = &layouts[i];
            struct made *m = make(l);
            struct kallsyms_tables t;
            struct diag d;
            unsigned address_bytes = l->addressing == KALLSYMS_ABSOLUTE ? l->bits / 8 : 4;
            uint8_t swapped[8];
            uint8_t *hundredth = m->bytes + m->addresses_at + 100 * address_bytes;
            switch (damage) {
            case 0: /* a marker that points elsewhere */
                m->bytes[m->markers_at + 2 * l->marker_bytes] ^= 1;
                break;
            case 1: /* one symbol more than there are names */
                m->bytes[m->num_syms_at]++;
                break;
            case 2: /* an index entry between two tokens */
                m->bytes[m->token_index_at + 2 * 130] ^= 1;
                break;
            case 3: /* two addresses out of order */
                memcpy(swapped, hundredth, address_bytes);
                memcpy(hundredth, hundredth + 10 * address_bytes, address_bytes);
                memcpy(hundredth + 10 * address_bytes, swapped, address_bytes);
                break;
            case 4: /* a kind that nm does not know */
                m->bytes[m->names_at + 1] = '7';
                break;
            case 5: /* a name with no tokens */
                m->bytes[m->names_at] = 0;
                break;
            }
            if (find(m, m->size, &t, &d) != EMU_EINPUT)
                fail_msg("%s: damage %u is not noticed", l->title, damage);
            assert_true(d.text[0]);
            made_free(m);
        }
}

/* The loader has checked the segments; the decoder must live with a file that ends in the middle of any table. */
static void a_kernel_cut_anywhere_is_refused(void **state)
{
    for (unsigned i = 0; i < LAYOUTS; i += 5) {
        struct made *m = make(&layouts[i]);
        for (size_t size = 0; size < m->token_index_at + 512; size += 61) {
            struct kallsyms_tables t;
            struct diag d;
            uint8_t *exact = malloc(size ? size : 1);
            struct made cut = {.bytes = exact};
            memcpy(exact, m->bytes, size);
            uint64_t left = size > HEADERS_BYTES ? size - HEADERS_BYTES : 0;
            if (left) /* p_filesz */
                memcpy(exact + 64 + (layouts[i].bits == 64 ? 32 : 16), &left, layouts[i].bits / 8);
            assert_int_equal(find(&cut, size, &t, &d), EMU_EINPUT);
            free(exact);
        }
        made_free(m);
    }
}

static void a_kernel_without_tables_is_one_sentence(void **state)
{
    struct made *m = make(&layouts[0]);
    struct kallsyms_tables t;
    struct diag d;
    memset(m->bytes + HEADERS_BYTES, 0, m->size - HEADERS_BYTES);
    assert_int_equal(find(m, m->size, &t, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "no kallsyms tables"));
    made_free(m);
}

static const char *const kernel_names[] = {
    "_text",
    "_stext",
    "_etext",
    "start_kernel",
    "schedule",
    "do_idle",
    "panic",
    "printk_safe_enter",
    "vprintk",
    "kernel_init",
    "rest_init",
    "cpu_startup_entry",
    "__schedule",
    "wake_up_process",
    "do_exit",
    "kernel_clone",
    "vfs_read",
    "vfs_write",
    "kfree",
    "__kmalloc",
    "memcpy",
    "memset",
    "strlen",
    "strcmp",
    "sprintf",
    "snprintf",
    "mutex_lock",
    "mutex_unlock",
    "down_read",
    "up_read",
    "queue_work_on",
    "call_rcu",
    "synchronize_rcu",
    "register_netdev",
    "device_register",
    "kobject_put",
    "sysfs_create_group",
    "tick_handle_periodic",
};

static void a_real_kernel_is_read(void **state)
{
    static const struct image_format *const formats[] = {&bzimage_format, NULL};
    const char *path = getenv("BOOTRACE_KERNEL");
    struct diag d;
    struct image *img;
    struct kernel_view v;
    struct kallsyms_tables t;
    struct symbols *s = symbols_new();
    unsigned known = 0, all = sizeof(kernel_names) / sizeof(*kernel_names);
    diag_init(&d);
    if (image_load_file(path, formats, &img, &d) || kernel_view_init(&v, img->bytes, img->size, &d) ||
        kallsyms_read(&v, s, &t, &d) || symbols_seal(s, &d))
        fail_msg("%s", d.text);
    assert_true(t.count > 10000);
    for (unsigned i = 0; i < all; i++) {
        struct symbol found, back;
        if (!symbols_find_name(s, kernel_names[i], &found))
            continue;
        known++;
        assert_true(kernel_view_holds(&v, found.start_gva, false));
        if (found.bytes) {
            assert_true(symbols_find_address(s, found.start_gva, &back));
            assert_int_equal(back.start_gva, found.start_gva);
        }
    }
    /* Versions rename a few of these; most are there in every one. */
    assert_true(known * 10 >= all * 8);
    struct symbol previous = {0}, next;
    for (size_t i = 0; i < symbols_count(s); i++, previous = next) {
        symbols_get(s, i, &next);
        assert_true(next.start_gva >= previous.start_gva);
        assert_true(i == 0 || next.start_gva > previous.start_gva || strcmp(next.name, previous.name));
    }
    symbols_free(s);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_is_read_back_exactly),       cmocka_unit_test(per_cpu_symbols_do_not_slide),
        cmocka_unit_test(tables_that_disagree_are_refused),        cmocka_unit_test(a_kernel_cut_anywhere_is_refused),
        cmocka_unit_test(a_kernel_without_tables_is_one_sentence), cmocka_unit_test(a_real_kernel_is_read),
    };
    /* The last one needs a kernel. cmocka 1.1 reports a skipped test as failed, so it is left out without one. */
    const char *path = getenv("BOOTRACE_KERNEL");
    size_t count = sizeof(tests) / sizeof(*tests) - (path && *path ? 0 : 1);
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
