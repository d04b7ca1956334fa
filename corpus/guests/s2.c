/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s2: kexec in a Xen guest. Seed S2. This is kernel A; kernel B (s2_kernel_b.c) is linked by itself, lies in A's image
 * as an ELF file, and is started without asking the firmware or Xen.
 *
 * A brings up its drivers (shared_info, vcpu_info, runstate and time areas, event channels, a ballooned page, a grant
 * table), stages B and a RAM disk, digests them, then copies them page by page to where they belong (`relocate`),
 * checks the digest (`purgatory`), and jumps. What Xen writes into a page of B's, because A once gave Xen that page,
 * spoils the digest, or, later, B.
 *
 * Parameters (for both kernels):
 *   variant=buggy             just go (default)
 *          =evtchn_reset_only EVTCHNOP_reset first
 *          =soft_reset        SHUTDOWN_soft_reset first (Xen 4.7); returns the ballooned page and stops the grant too
 *          =phys_area_unregister  areas by physical address, unregistered first (Xen 4.18; wants areas=phys); as nobody
 *                             can take a vcpu_info back, A does without one; EVTCHNOP_reset too, and the ballooned page
 *                             returns
 *   in=LIST       what A places in pages that B's RAM disk will occupy, joined by '+': vcpu_info, runstate, time,
 *                 shared_info, hole (default nothing; the rest lies in A's own memory)
 *   areas=linear|phys  (default linear)
 *   fifo=0|1      FIFO events (default 1)
 *   pirq=0|1      GSI 4 (serial) as an event (default 0; needs a domain with emulated devices)
 *   vcpu_info=0|1 register one (default 1), or stay in shared_info
 *   domid=N       the guest's own, where CPUID does not say (default 1)
 *   grant_version=1|2, pin=0|1 (one entry mapped and left so; default 0)
 *   period=NS     A's and B's tick (default 1000000)
 *   mismatch=loop|fail  what purgatory does about a wrong digest (default loop, without a word, as the real one)
 *   probe=0|1     B looks into what A has left behind: its hole, its shared_info's place, its grants (default 0)
 *   wait=N        rounds of PAUSE before a tick counts as missing (default 1000000)
 *   delay=N       rounds of PAUSE between relocate and purgatory (default 0)
 *
 * Ends: PASS by B; an endless loop in purgatory; FAIL 0x500 (digest, with mismatch=fail), 0x501 (a call of B's was
 * refused), 0x502 (B's memory was damaged after the digest), 0x503 (no tick in B), 0x504 (no serial interrupt in B),
 * 0x505 (A itself failed).
 *
 * Source: Linux 6.1, arch/x86/purgatory, kernel/kexec_core.c; Linux 0b34a166f291 (soft reset).
 */
#include "s2.h"
#include <xen/arch-x86/hvm/start_info.h>
#include <elf.h>

#define STAGING_BASE 0x1800000u /* 24 MiB: copies wait here */
#define SEGMENTS_MAX 4
#define FAIL_DIGEST  0x500
#define FAIL_FIRST   0x505

#ifdef __x86_64__
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_program;
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_program;
#endif

__asm__(".pushsection .module, \"a\"\n.balign 16\n.globl kernel_b_image\nkernel_b_image:\n.incbin \"" KERNEL_B_BLOB
        "\"\n.globl kernel_b_image_end\nkernel_b_image_end:\n.popsection\n");
extern const uint8_t kernel_b_image[], kernel_b_image_end[];

struct segment {
    uint8_t *from, *to;
    uint32_t bytes; /* whole pages */
};

static struct segment segments[SEGMENTS_MAX];
static unsigned segment_count;
static uint8_t *staging_next = (uint8_t *)STAGING_BASE;
static uint8_t digest[32];
static uintptr_t kernel_b_entry;
static struct hvm_start_info start_info_b;

static uint8_t own_shared_info[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t own_areas[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t own_grants[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t own_control[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t own_events[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t own_hole[PAGE_BYTES] __attribute__((aligned(4096)));

void relocate_page(uint8_t *to, const uint8_t *from);
void relocate(void);
void purgatory(void) __attribute__((noreturn));
void purgatory_mismatch(void) __attribute__((noreturn));

/* --- SHA-256 (FIPS 180-4, "SHA-256") ---------------------------------------------------------------------------- */

struct sha256 {
    uint32_t state[8];
};

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* One round; the caller turns the eight names instead of moving eight values. */
#define SHA256_ROUND(a, b, c, d, e, f, g, h, i)                                                                        \
    do {                                                                                                               \
        uint32_t t_ =                                                                                                  \
            (h) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (((e) & (f)) ^ (~(e) & (g))) + sha256_k[i] + w[i];  \
        (d) += t_;                                                                                                     \
        (h) = t_ + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));         \
    } while (0)

static void sha256_block(struct sha256 *sha, const uint8_t *block)
{
    uint32_t w[64], *s = sha->state;
    uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (unsigned i = 0; i < 16; i++)
        w[i] = __builtin_bswap32(((const uint32_t *)(const void *)block)[i]);
    for (unsigned i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (unsigned i = 0; i < 64; i += 8) {
        SHA256_ROUND(a, b, c, d, e, f, g, h, i);
        SHA256_ROUND(h, a, b, c, d, e, f, g, i + 1);
        SHA256_ROUND(g, h, a, b, c, d, e, f, i + 2);
        SHA256_ROUND(f, g, h, a, b, c, d, e, i + 3);
        SHA256_ROUND(e, f, g, h, a, b, c, d, i + 4);
        SHA256_ROUND(d, e, f, g, h, a, b, c, i + 5);
        SHA256_ROUND(c, d, e, f, g, h, a, b, i + 6);
        SHA256_ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
}

/* Over all segments, in the staging area or in their places. */
static void digest_segments(bool in_place, uint8_t out[32])
{
    struct sha256 sha = {
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
    uint64_t bits = 0;
    for (unsigned i = 0; i < segment_count; i++) {
        const uint8_t *data = in_place ? segments[i].to : segments[i].from;
        for (uint32_t at = 0; at < segments[i].bytes; at += OWNER_UNIT_BYTES) {
            sha256_block(&sha, data + at);
            if (in_place)
                s2_owner(OWNER_UNIT_DIGESTED, (uintptr_t)data + at);
        }
        bits += segments[i].bytes * 8ull;
    }
    /* Whole pages were digested, so that the padding is a block of its own. */
    uint8_t last[64] = {0x80};
    for (unsigned i = 0; i < 8; i++)
        last[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_block(&sha, last);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (uint8_t)(sha.state[i / 4] >> (24 - 8 * (i % 4)));
}

/* --- load, relocate, check, jump -------------------------------------------------------------------------------- */

static uint8_t *stage(uint8_t *to, uint32_t bytes)
{
    if (segment_count == SEGMENTS_MAX)
        guest_fail(FAIL_FIRST, "too many segments");
    bytes = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    segments[segment_count++] = (struct segment){.from = staging_next, .to = to, .bytes = bytes};
    staging_next += bytes;
    return segments[segment_count - 1].from;
}

static void load_kernel_b(void)
{
    const elf_header *header = (const void *)kernel_b_image;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const elf_program *program = (const void *)(kernel_b_image + header->e_phoff + i * header->e_phentsize);
        if (program->p_type != PT_LOAD)
            continue;
        uint8_t *copy = stage((uint8_t *)(uintptr_t)program->p_paddr, (uint32_t)program->p_memsz);
        memset(copy, 0, segments[segment_count - 1].bytes);
        memcpy(copy, kernel_b_image + program->p_offset, (size_t)program->p_filesz);
    }
    kernel_b_entry = (uintptr_t)header->e_entry;
    uint8_t *ramdisk = stage((uint8_t *)RAMDISK_BASE, RAMDISK_PAGES * PAGE_BYTES);
    for (unsigned i = 0; i < RAMDISK_PAGES * PAGE_BYTES; i++)
        ramdisk[i] = s2_pattern(i);
    start_info_b = (struct hvm_start_info){.magic = XEN_HVM_START_MAGIC_VALUE,
                                           .version = 1,
                                           .cmdline_paddr = (uintptr_t)guest_boot.cmdline,
                                           .rsdp_paddr = guest_boot.rsdp_pa,
                                           .memmap_paddr = guest_boot.memmap_pa,
                                           .memmap_entries = guest_boot.memmap_entries};
    digest_segments(false, digest);
}

/* In units that the emulator can be told of. */
__attribute__((noinline)) void relocate_page(uint8_t *to, const uint8_t *from)
{
    for (unsigned unit = 0; unit < PAGE_BYTES / OWNER_UNIT_BYTES; unit++) {
        uintptr_t at = (uintptr_t)to;
        size_t words = OWNER_UNIT_BYTES / 4;
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
        s2_owner(OWNER_UNIT_COPIED, at);
    }
}

__attribute__((noinline)) void relocate(void)
{
    for (unsigned i = 0; i < segment_count; i++)
        for (uint32_t at = 0; at < segments[i].bytes; at += PAGE_BYTES)
            relocate_page(segments[i].to + at, segments[i].from + at);
}

__attribute__((noinline)) void purgatory_mismatch(void)
{
    if (param_is("mismatch", "fail"))
        guest_fail(FAIL_DIGEST, "digest");
    for (;;)
        __asm__ volatile("");
}

__attribute__((noinline)) void purgatory(void)
{
    uint8_t found[32];
    digest_segments(true, found);
    if (memcmp(found, digest, sizeof digest) != 0)
        purgatory_mismatch();
    __asm__ volatile("jmp *%1" : : "D"(&start_info_b), "r"(kernel_b_entry) : "memory");
    __builtin_unreachable();
}

static void *place(const char *what, unsigned page, unsigned offset, void *own)
{
    return param_has("in", what) ? (uint8_t *)RAMDISK_BASE + page * PAGE_BYTES + offset : own;
}

static void balloon_back(void *hole)
{
    xen_pfn_t frame = (uintptr_t)hole >> 12;
    struct xen_memory_reservation arg = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(arg.extent_start, &frame);
    printk("A populate %ld\n", memory_op(XENMEM_populate_physmap, &arg));
}

static void reset_events(void)
{
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    printk("A evtchn_reset %ld\n", evtchn_op(EVTCHNOP_reset, &reset));
}

static void let_go(const struct s2_places *places)
{
    if (param_is("variant", "evtchn_reset_only")) {
        reset_events();
    } else if (param_is("variant", "phys_area_unregister")) {
        uint64_t none = ~0ull;
        vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
        printk("A runstate unregister %ld\n", vcpu_op(14, 0, &none));
        printk("A time unregister %ld\n", vcpu_op(15, 0, &none));
        reset_events();
        balloon_back(places->hole);
    } else if (param_is("variant", "soft_reset")) {
        struct sched_shutdown shutdown = {.reason = SHUTDOWN_soft_reset};
        vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
        balloon_back(places->hole);
        printk("A soft_reset %ld\n", sched_op(SCHEDOP_shutdown, &shutdown));
    }
}

void guest_main(void)
{
    if (!xen_present())
        guest_fail(FAIL_FIRST, "no Xen");
    struct s2_places places = {
        .shared_info = place("shared_info", PAGE_SHARED_INFO, 0, own_shared_info),
        .vcpu_info =
            param_is("variant", "phys_area_unregister") ? NULL : place("vcpu_info", PAGE_VCPU_INFO, 0x140, own_areas),
        .runstate = place("runstate", PAGE_RUNSTATE, 0x240, own_areas + 0x100),
        .time = place("time", PAGE_TIME, 0x340, own_areas + 0x200),
        .hole = place("hole", PAGE_HOLE, 0, own_hole),
        .grants = own_grants,
        .control = own_control,
        .events = own_events,
    };
    s2_drivers_init("A", &places);
    if (s2_drivers.refused)
        guest_fail(FAIL_FIRST, "A was refused a call");
    if (!s2_wait_tick())
        guest_fail(FAIL_FIRST, "no tick in A");
    if (param_u32("pirq", 0) && !s2_wait_serial())
        guest_fail(FAIL_FIRST, "no serial interrupt in A");
    load_kernel_b();
    printk("A loaded %u segments, digest %02x%02x%02x%02x\n", segment_count, digest[0], digest[1], digest[2],
           digest[3]);
    *(struct s2_letter *)S2_LETTER = (struct s2_letter){.shared_info = places.shared_info, .hole = places.hole};
    let_go(&places);
    relocate();
    for (uint32_t i = param_u32("delay", 0); i; i--)
        cpu_relax();
    purgatory();
}
