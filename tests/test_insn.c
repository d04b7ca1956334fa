/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instructions the machine must know about: a table of encodings, and the promise of the quick look.
 */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/base/count.h"
#include "emu/insn.h"

struct vector {
    const char *name;
    unsigned bits;
    uint8_t bytes[INSN_BYTES_MAX];
    uint8_t length;
    enum insn_kind kind;
};

/* clang-format off */
static const struct vector vectors[] = {
    {"nop", 64, {0x90}, 1, INSN_PLAIN},
    {"pause", 64, {0xf3, 0x90}, 2, INSN_PAUSE},
    {"pause", 16, {0xf3, 0x90}, 2, INSN_PAUSE},
    {"rdtsc", 64, {0x0f, 0x31}, 2, INSN_RDTSC},
    {"rdtscp", 64, {0x0f, 0x01, 0xf9}, 3, INSN_RDTSC},
    {"cpuid", 32, {0x0f, 0xa2}, 2, INSN_CPUID},
    {"hlt", 32, {0xf4}, 1, INSN_HLT},
    {"vmcall", 64, {0x0f, 0x01, 0xc1}, 3, INSN_VMCALL},
    {"vmmcall", 32, {0x0f, 0x01, 0xd9}, 3, INSN_VMCALL},
    {"in al, imm8", 64, {0xe4, 0x60}, 2, INSN_IN},
    {"in eax, dx", 64, {0xed}, 1, INSN_IN},
    {"in ax, dx", 64, {0x66, 0xed}, 2, INSN_IN},
    {"out imm8, al", 32, {0xe6, 0x80}, 2, INSN_OUT},
    {"out dx, al", 16, {0xee}, 1, INSN_OUT},
    {"insb", 64, {0x6c}, 1, INSN_INS},
    {"rep insd", 64, {0xf3, 0x6d}, 2, INSN_INS},
    {"rep outsb", 32, {0xf3, 0x6e}, 2, INSN_OUTS},
    {"gs outsd with addr32", 64, {0x65, 0x67, 0x6f}, 3, INSN_OUTS},
    {"rdmsr", 64, {0x0f, 0x32}, 2, INSN_RDMSR},
    {"wrmsr", 32, {0x0f, 0x30}, 2, INSN_WRMSR},
    {"rdpmc", 64, {0x0f, 0x33}, 2, INSN_RDPMC},
    {"rdrand rax", 64, {0x48, 0x0f, 0xc7, 0xf0}, 4, INSN_RDRAND},
    {"rdseed ecx", 32, {0x0f, 0xc7, 0xf9}, 3, INSN_RDRAND},
    {"rdrand cx", 64, {0x66, 0x0f, 0xc7, 0xf1}, 4, INSN_RDRAND},
    {"rdpid is not rdseed", 64, {0xf3, 0x0f, 0xc7, 0xf8}, 4, INSN_PLAIN},
    {"cmpxchg8b", 64, {0x0f, 0xc7, 0x0f}, 3, INSN_PLAIN},
    {"lock cmpxchg16b", 64, {0xf0, 0x48, 0x0f, 0xc7, 0x0f}, 5, INSN_PLAIN},
    {"monitor", 64, {0x0f, 0x01, 0xc8}, 3, INSN_MONITOR},
    {"mwait", 64, {0x0f, 0x01, 0xc9}, 3, INSN_MONITOR},
    {"mov cr8, rax", 64, {0x44, 0x0f, 0x22, 0xc0}, 4, INSN_CR8},
    {"mov rax, cr8", 64, {0x44, 0x0f, 0x20, 0xc0}, 4, INSN_CR8},
    {"mov cr0, rax", 64, {0x0f, 0x22, 0xc0}, 3, INSN_WRITE_CR},
    {"mov cr3, r8", 64, {0x41, 0x0f, 0x22, 0xd8}, 4, INSN_PAGING},
    {"mov cr4, eax", 32, {0x0f, 0x22, 0xe0}, 3, INSN_WRITE_CR},
    {"mov rax, cr3", 64, {0x0f, 0x20, 0xd8}, 3, INSN_PLAIN},
    {"mov cr9, rax", 64, {0x44, 0x0f, 0x22, 0xc8}, 4, INSN_WRITE_CR},
    {"mov cr4, rax with mod 0", 64, {0x0f, 0x22, 0x20}, 3, INSN_WRITE_CR},
    {"lock mov cr0, eax", 32, {0xf0, 0x0f, 0x22, 0xc0}, 4, INSN_WRITE_CR},
    {"wrfsbase rax", 64, {0xf3, 0x48, 0x0f, 0xae, 0xd0}, 5, INSN_WRITE_BASE},
    {"wrgsbase r9d", 64, {0xf3, 0x41, 0x0f, 0xae, 0xd9}, 5, INSN_WRITE_BASE},
    {"rdgsbase eax", 64, {0xf3, 0x0f, 0xae, 0xc8}, 4, INSN_PLAIN},
    {"mfence", 64, {0x0f, 0xae, 0xf0}, 3, INSN_PLAIN},
    {"invlpg [rax]", 64, {0x0f, 0x01, 0x38}, 3, INSN_PAGING},
    {"lmsw ax", 32, {0x0f, 0x01, 0xf0}, 3, INSN_TLB},
    {"lmsw [eax]", 32, {0x0f, 0x01, 0x30}, 3, INSN_TLB},
    {"invpcid", 64, {0x66, 0x0f, 0x38, 0x82, 0x00}, 5, INSN_TLB},
    {"swapgs", 64, {0x0f, 0x01, 0xf8}, 3, INSN_PLAIN},
    {"stac", 64, {0x0f, 0x01, 0xcb}, 3, INSN_PLAIN},
    {"lgdt", 64, {0x0f, 0x01, 0x10}, 3, INSN_SERIALISE},
    {"lidt", 32, {0x0f, 0x01, 0x18}, 3, INSN_SERIALISE},
    {"sgdt", 64, {0x0f, 0x01, 0x00}, 3, INSN_PLAIN},
    {"xgetbv", 64, {0x0f, 0x01, 0xd0}, 3, INSN_PLAIN},
    {"lldt ax", 64, {0x0f, 0x00, 0xd0}, 3, INSN_SERIALISE},
    {"ltr ax", 64, {0x0f, 0x00, 0xd8}, 3, INSN_SERIALISE},
    {"str ax", 64, {0x0f, 0x00, 0xc8}, 3, INSN_PLAIN},
    {"invd", 64, {0x0f, 0x08}, 2, INSN_SERIALISE},
    {"wbinvd", 64, {0x0f, 0x09}, 2, INSN_SERIALISE},
    {"mov dr7, rax", 64, {0x0f, 0x23, 0xf8}, 3, INSN_WRITE_DR},
    {"mov rax, dr7", 64, {0x0f, 0x21, 0xf8}, 3, INSN_READ_DR},
    {"sti", 64, {0xfb}, 1, INSN_STI},
    {"cli", 64, {0xfa}, 1, INSN_PLAIN},
    {"mov ss, eax", 64, {0x8e, 0xd0}, 2, INSN_LOAD_SS},
    {"mov ds, eax", 64, {0x8e, 0xd8}, 2, INSN_PLAIN},
    {"mov ss, [rbx]", 64, {0x8e, 0x13}, 2, INSN_LOAD_SS},
    {"pop ss", 32, {0x17}, 1, INSN_LOAD_SS},
    {"lss esp, [eax]", 32, {0x0f, 0xb2, 0x20}, 3, INSN_LOAD_SS},
    {"popf", 64, {0x9d}, 1, INSN_POPF},
    {"popfw", 32, {0x66, 0x9d}, 2, INSN_POPF},
    {"pushf", 64, {0x9c}, 1, INSN_PLAIN},
    {"iretq", 64, {0x48, 0xcf}, 2, INSN_IRET},
    {"iret", 16, {0xcf}, 1, INSN_IRET},
    {"sysretq", 64, {0x48, 0x0f, 0x07}, 3, INSN_SYSRET},
    {"sysexit", 32, {0x0f, 0x35}, 2, INSN_SYSRET},
    {"int3", 64, {0xcc}, 1, INSN_INT},
    {"int 0x80", 64, {0xcd, 0x80}, 2, INSN_INT},
    {"into", 32, {0xce}, 1, INSN_INT},
    {"int1", 32, {0xf1}, 1, INSN_ICEBP},
    {"rep movsb", 64, {0xf3, 0xa4}, 2, INSN_REP},
    {"rep movsq", 64, {0xf3, 0x48, 0xa5}, 3, INSN_REP},
    {"repne scasb", 32, {0xf2, 0xae}, 2, INSN_REP},
    {"repe cmpsb", 32, {0xf3, 0xa6}, 2, INSN_REP},
    {"rep stosd with addr16", 32, {0x67, 0xf3, 0xab}, 3, INSN_REP},
    {"rep lodsw", 16, {0xf3, 0xad}, 2, INSN_REP},
    {"movsb", 64, {0xa4}, 1, INSN_PLAIN},
    {"ret", 64, {0xc3}, 1, INSN_PLAIN},
    {"rep ret", 64, {0xf3, 0xc3}, 2, INSN_PLAIN},
    {"popcnt eax, ecx", 64, {0xf3, 0x0f, 0xb8, 0xc1}, 4, INSN_PLAIN},
    {"mov eax, 0xf4fbccf4", 64, {0xb8, 0xf4, 0xcc, 0xfb, 0xf4}, 5, INSN_PLAIN},
    {"vzeroupper", 64, {0xc5, 0xf8, 0x77}, 3, INSN_PLAIN},
    {"call", 32, {0xe8, 0xf4, 0xf4, 0xf4, 0xf4}, 5, INSN_PLAIN},
    {"inc eax, which 64-bit code has as a prefix", 32, {0x40}, 1, INSN_PLAIN},
};
/* clang-format on */

static struct decoder *decoder;

static int setup(void **state)
{
    struct diag d;

    return decoder_new(&decoder, &d);
}

static int teardown(void **state)
{
    decoder_free(decoder);
    return 0;
}

static void every_encoding_has_its_kind_and_length(void **state)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < COUNT(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct insn insn;
        bool ok = decoder_decode(decoder, v->bits, v->bytes, sizeof(v->bytes), &insn);

        if (!ok || insn.kind != v->kind || insn.length != v->length) {
            print_error("# %s (%u bits): expected kind %d, %u bytes; got kind %d, %u bytes\n", v->name, v->bits,
                        v->kind, v->length, insn.kind, insn.length);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
}

/* SDM Vol. 3A, "Serializing Instructions". */
static void serialising_instructions_say_so(void **state)
{
    static const bool serialises[INSN_KIND_COUNT] = {
        [INSN_CPUID] = true,    [INSN_IRET] = true,     [INSN_PAGING] = true,
        [INSN_WRITE_CR] = true, [INSN_WRITE_DR] = true, [INSN_SERIALISE] = true};

    for (unsigned i = 0; i < COUNT(vectors); i++) {
        struct insn insn;

        assert_true(decoder_decode(decoder, vectors[i].bits, vectors[i].bytes, sizeof(vectors[i].bytes), &insn));
        if (!!(insn.flags & INSN_F_SERIALISES) != serialises[insn.kind])
            fail_msg("%s: %u", vectors[i].name, insn.flags);
    }
}

static void port_instructions_know_their_operands(void **state)
{
    static const struct {
        unsigned bits;
        uint8_t bytes[4];
        uint8_t operand_bytes, port, address_bytes, segment;
        bool immediate, repeated;
    } ports[] = {
        {64, {0xe4, 0x60}, 1, 0x60, 8, SEG_DS, true, false},
        {64, {0xe5, 0x61}, 4, 0x61, 8, SEG_DS, true, false},
        {64, {0x66, 0xe7, 0x62}, 2, 0x62, 8, SEG_DS, true, false},
        {64, {0xee}, 1, 0, 8, SEG_DS, false, false},
        {32, {0xef}, 4, 0, 4, SEG_DS, false, false},
        {32, {0x66, 0xef}, 2, 0, 4, SEG_DS, false, false},
        {16, {0xef}, 2, 0, 2, SEG_DS, false, false},
        {16, {0x66, 0xef}, 4, 0, 2, SEG_DS, false, false},
        {64, {0x48, 0xed}, 4, 0, 8, SEG_DS, false, false},
        {64, {0xf3, 0x67, 0x6c}, 1, 0, 4, SEG_DS, false, true},
        {32, {0xf2, 0x67, 0x66, 0x6f}, 2, 0, 2, SEG_DS, false, true},
        {16, {0x67, 0x64, 0x6e}, 1, 0, 4, SEG_FS, false, false},
        {32, {0x2e, 0xf3, 0x6f}, 4, 0, 4, SEG_CS, false, true},
    };

    for (unsigned i = 0; i < COUNT(ports); i++) {
        struct insn insn;

        print_message("# row %u\n", i);
        assert_true(decoder_decode(decoder, ports[i].bits, ports[i].bytes, sizeof(ports[i].bytes), &insn));
        assert_int_equal(insn.operand_bytes, ports[i].operand_bytes);
        assert_int_equal(insn.port, ports[i].port);
        assert_int_equal(insn.immediate, ports[i].immediate);
        assert_int_equal(insn.repeated, ports[i].repeated);
        assert_int_equal(insn.address_bytes, ports[i].address_bytes);
        assert_int_equal(insn.segment, ports[i].segment);
        assert_true(insn.flags & INSN_F_ALONE);
    }
}

static void too_few_bytes_are_no_instruction(void **state)
{
    for (unsigned i = 0; i < COUNT(vectors); i++)
        for (unsigned n = 0; n < vectors[i].length; n++) {
            struct insn insn;

            if (decoder_decode(decoder, vectors[i].bits, vectors[i].bytes, n, &insn))
                assert_in_range(insn.length, 1, n);
            else
                assert_int_equal(insn.length, 0);
        }
}

static void the_quick_look_misses_no_encoding_of_the_table(void **state)
{
    for (unsigned i = 0; i < COUNT(vectors); i++)
        if (vectors[i].kind != INSN_PLAIN && !insn_may_be_special(vectors[i].bytes, vectors[i].length))
            fail_msg("%s (%u bits)", vectors[i].name, vectors[i].bits);
}

/* xorshift64 (Marsaglia 2003). */
static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* A quarter of the strings get a prefix or two and a two-byte opcode, where most special instructions are. */
static void make_bytes(uint64_t *random, uint8_t bytes[INSN_BYTES_MAX])
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x48, 0x44, 0x41};
    uint64_t r = next_random(random);
    unsigned at = 0;

    for (unsigned k = 0; k < INSN_BYTES_MAX; k++)
        bytes[k] = (uint8_t)(next_random(random) >> 24);
    if (r & 1)
        bytes[at++] = prefixes[(r >> 8) % sizeof(prefixes)];
    if (r & 2)
        bytes[at++] = prefixes[(r >> 16) % sizeof(prefixes)];
    if (r & 4)
        bytes[at] = 0x0f;
}

static void the_quick_look_misses_nothing_in_half_a_million_random_instructions(void **state)
{
    static const unsigned modes[3] = {16, 32, 64};
    uint64_t random = 0x243f6a8885a308d3;
    unsigned special = 0;

    for (unsigned i = 0; i < 500000; i++) {
        uint8_t bytes[INSN_BYTES_MAX];
        struct insn insn;

        make_bytes(&random, bytes);
        if (!decoder_decode(decoder, modes[i % 3], bytes, sizeof(bytes), &insn) || insn.kind == INSN_PLAIN)
            continue;
        special++;
        if (!insn_may_be_special(bytes, insn.length))
            fail_msg("kind %d in %u-bit code: %02x %02x %02x %02x %02x", insn.kind, modes[i % 3], bytes[0], bytes[1],
                     bytes[2], bytes[3], bytes[4]);
    }
    assert_in_range(special, 10000, 500000); /* or the test tests nothing */
}

static void text_is_printed_even_of_what_is_no_instruction(void **state)
{
    static const uint8_t out[] = {0xe6, 0x80}, bad[] = {0x0f, 0xff, 0xff};
    char text[64];

    assert_int_equal(decoder_print(decoder, 64, 0x1000, out, sizeof(out), text, sizeof(text)), 2);
    assert_string_equal(text, "out 0x80, al");
    assert_int_equal(decoder_print(decoder, 64, 0x1000, bad, 1, text, sizeof(text)), 0);
    assert_string_equal(text, "(not an instruction)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_encoding_has_its_kind_and_length),
        cmocka_unit_test(serialising_instructions_say_so),
        cmocka_unit_test(port_instructions_know_their_operands),
        cmocka_unit_test(too_few_bytes_are_no_instruction),
        cmocka_unit_test(the_quick_look_misses_no_encoding_of_the_table),
        cmocka_unit_test(the_quick_look_misses_nothing_in_half_a_million_random_instructions),
        cmocka_unit_test(text_is_printed_even_of_what_is_no_instruction),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
