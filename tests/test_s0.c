/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seed S0 on the free-standing guest, against the table of classes: which prior-use counts hang, and the facts of the
 * trace: what was sent, where the last instruction is, what the lock's word holds. And the detector on each variant.
 *
 *   test_s0 FOLDER-OF-IMAGES DECLARATION        a few counts
 *   test_s0 FOLDER-OF-IMAGES DECLARATION 64     the same of the 64-bit guest alone
 *   test_s0 FOLDER-OF-IMAGES DECLARATION all    all 256, printed as a table
 *
 * Source: Linux 3.0 and 3.12, arch/x86/xen/spinlock.c; commits f10cd522c5fb, 816434ec4a67, 26a799952737.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/image/symbols_elf.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "fuzz/detect/op_table.h"
#include "fuzz/detect/op_table_text.h"
#include "models/image_formats.h"
#include "models/platform.h"
#include "models/xen/pvh_loader.h"

#define RAM_BYTES     (64ull << 20)
#define STEPS_MAX     500000000ull
#define XEN_4_17      (4u << 16 | 17)
#define EVENT_CHANNEL 32 /* __HYPERVISOR_event_channel_op */
#define EVENT_SEND    4  /* EVTCHNOP_send */
#define COUNTS        256

struct result {
    struct verdict verdict;
    unsigned sends;
    char place[80]; /* the function of the last instruction */
    uint32_t lock_word;
};

struct guest {
    struct image *image;
    struct symbols *symbols;
    unsigned bits;
};

static struct guest guests[2]; /* 32 and 64 bits */
static char declaration[8192];
static unsigned tests, failures;

static void die(const struct diag *d)
{
    printf("Bail out! %s\n", d->text);
    exit(1);
}

static void load(struct guest *g, const char *folder, unsigned bits)
{
    char path[512];
    struct diag d;
    size_t found;

    snprintf(path, sizeof(path), "%s/s0-%u.elf", folder, bits);
    g->bits = bits;
    g->symbols = symbols_new();
    if (image_load_file(path, image_formats, &g->image, &d) != EMU_OK ||
        symbols_elf_read(g->image->bytes, g->image->size, g->symbols, &found, &d) != EMU_OK ||
        symbols_seal(g->symbols, &d) != EMU_OK)
        die(&d);
}

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct result *r = context;

    if (fact->kind == TRACE_HYPERCALL && fact->a == EVENT_CHANNEL && fact->b == EVENT_SEND)
        r->sends++;
}

static struct op_table *attach(const struct guest *g, struct machine *m, unsigned checks)
{
    struct op_table_config *c = calloc(1, sizeof(*c));
    struct op_table *o;
    struct diag d;

    diag_init(&d);
    if (!c || op_table_parse(declaration, g->symbols, g->bits, c, &d) != EMU_OK)
        die(&d);
    for (unsigned i = 0; i < c->slot_count; i++)
        c->slots[i].slot_gpa = c->slots[i].slot_gva;
    if (op_table_new(m, c, g->symbols, checks, &o, &d) != EMU_OK)
        die(&d);
    free(c);
    return o;
}

static struct result run(const struct guest *g, unsigned vcpus, const char *parameters, unsigned checks)
{
    struct platform_config platform = {.mode = PLATFORM_PVH, .cmdline = parameters};
    struct machine_config config = {.ram_bytes = RAM_BYTES,
                                    .vcpus = vcpus,
                                    .xen_version = XEN_4_17,
                                    .models = platform_models,
                                    .model_count = platform_model_count,
                                    .platform = &platform};
    struct result r = {.sends = 0};
    struct op_table *o = NULL;
    struct machine *m;
    struct symbol s;
    struct diag d;

    diag_init(&d);
    if (machine_new(&config, &m, &d) != EMU_OK || pvh_load(m, g->image, &d) != EMU_OK)
        die(&d);
    trace_listen(m, listen, &r);
    if (checks)
        o = attach(g, m, checks);
    machine_run(m, &(struct machine_limits){.steps_max = STEPS_MAX});
    r.verdict = *machine_verdict(m);
    if (symbols_find_address(g->symbols, r.verdict.rip_gva, &s))
        snprintf(r.place, sizeof(r.place), "%s", s.name);
    if (symbols_find_name(g->symbols, "locks", &s) != 1 ||
        !memory_read(machine_memory(m), s.start_gva, &r.lock_word, sizeof(r.lock_word)))
        r.lock_word = UINT32_MAX;
    op_table_free(o);
    machine_free(m);
    return r;
}

static void check(bool ok, const struct guest *g, const char *parameters, const char *expected, const struct result *r)
{
    printf("%s %u - s0-%u %s: %s\n", ok ? "ok" : "not ok", ++tests, g->bits, parameters, expected);
    if (ok)
        return;
    failures++;
    printf("# %s %s: %s; at %s, lock word %04x, %u sends\n", verdict_kind_name(r->verdict.kind),
           r->verdict.detector ? r->verdict.detector : "", r->verdict.text, r->place, r->lock_word, r->sends);
}

static bool is_hang(const struct result *r, const char *place)
{
    return r->verdict.kind == VERDICT_FAIL && r->verdict.detector && !strcmp(r->verdict.detector, "hang") &&
           !strncmp(r->place, place, strlen(place));
}

/* ---- the classes of one vCPU, by prior-use count ---- */

/* What the run with h prior uses must be: *place, where it hangs, is "" if it passes. */
struct class
{
    const char *name, *parameters;
    bool (*hangs)(unsigned h);
    const char *place;
    uint32_t (*lock_word)(unsigned h); /* of a run that hangs */
};

static bool all_but_the_last(unsigned h)
{
    return h != COUNTS - 1;
}

static bool all_but_none(unsigned h)
{
    return h != 0;
}

static bool never(unsigned h)
{
    return false;
}

/* Head as the module left it, tail behind the second ticket. */
static uint32_t word_of_a(unsigned h)
{
    return (h + 2) % COUNTS << 8;
}

/* Held for ever by nobody, and one more than h spinners. */
static uint32_t word_of_c(unsigned h)
{
    return (h + 1) % COUNTS << 8 | 1;
}

static uint32_t word_of_c_spinning(unsigned h)
{
    return h << 8 | 1;
}

static const struct class classes[] = {
    {"A: module unlocks", "order=late", all_but_the_last, "ticket_spin_lock", word_of_a},
    {"A without inlining", "order=late inline_unlock=0", never, "", NULL},
    {"A without module", "order=late module=0", never, "", NULL},
    {"C: blocks", "order=early-no-layout-fix", all_but_none, "hypercall_page", word_of_c},
    {"C: spins, no kicker yet", "order=early-no-layout-fix use=early kicker=0", all_but_none, "xen_spin_lock",
     word_of_c_spinning},
    {"D: held over the switch", "order=late held=1 rounds=1", all_but_the_last, "ticket_spin_lock", word_of_a},
    {"fixed as in 3.1", "order=pv-never", never, "", NULL},
    {"fixed as in 3.12", "order=early-ticketlock", never, "", NULL},
};

static bool run_count(const struct guest *g, const struct class *c, unsigned h, struct result *r)
{
    char parameters[128];

    snprintf(parameters, sizeof(parameters), "%s h=%u", c->parameters, h);
    *r = run(g, 1, parameters, 0);
    if (!c->hangs(h))
        return r->verdict.kind == VERDICT_PASS && !r->sends;
    return is_hang(r, c->place) && r->lock_word == c->lock_word(h) && !r->sends;
}

static void test_class(const struct guest *g, const struct class *c, bool all)
{
    static const unsigned few[] = {0, 1, 127, 254, 255};
    unsigned count = all ? COUNTS : COUNT(few), hung = 0, expected = 0;
    struct result r = {.sends = 0}, bad = {.sends = 0};
    char text[160];
    bool ok = true;

    for (unsigned i = 0; i < count; i++) {
        unsigned h = all ? i : few[i];
        bool good = run_count(g, c, h, &r);

        if (ok && !good)
            bad = r;
        ok = ok && good;
        hung += r.verdict.kind == VERDICT_FAIL;
        expected += c->hangs(h);
    }
    snprintf(text, sizeof(text), "%u of %u counts hang, proved%s%s, nothing is sent", expected, count,
             *c->place ? ", last in " : "", c->place);
    check(ok, g, c->parameters, text, &bad);
    if (all)
        printf("# | %-24s | s0-%u | %3u of %u hang |\n", c->name, g->bits, hung, count);
}

/* The one with h = 0 of the table: the lock's word is 0x0200 after the second try. More vCPUs change nothing. */
static void test_more_vcpus(const struct guest *g)
{
    for (unsigned vcpus = 1; vcpus <= 4; vcpus++) {
        char parameters[64];
        struct result r;

        snprintf(parameters, sizeof(parameters), "order=late vcpus=%u", vcpus);
        r = run(g, vcpus, parameters, 0);
        check(r.verdict.kind == VERDICT_FAIL && r.verdict.detector && !strcmp(r.verdict.detector, "hang") &&
                  !strcmp(r.place, "ticket_spin_lock") && r.lock_word == 0x0100 + 0x0100 * vcpus && !r.sends,
              g, parameters, "hangs in the ticket loop, each vCPU with a ticket", &r);
        snprintf(parameters, sizeof(parameters), "order=pv-never h=9 vcpus=%u", vcpus);
        r = run(g, vcpus, parameters, 0);
        check(r.verdict.kind == VERDICT_PASS, g, parameters, "passes", &r);
    }
}

/* ---- class B: the waiter's last look against the release ---- */

static void test_class_b(const struct guest *g)
{
    static const unsigned holds[] = {1, 10, 100, 300, 1000, 10000, 100000};
    bool hung_before = false, ok = true, passed = false;
    struct result r = {.sends = 0}, bad = {.sends = 0};
    char parameters[128];

    for (unsigned i = 0; i < COUNT(holds); i++) {
        bool hung;

        snprintf(parameters, sizeof(parameters), "order=late-ticketlock vcpus=2 spin=16 hold=%u", holds[i]);
        r = run(g, 2, parameters, 0);
        hung = r.verdict.kind == VERDICT_FAIL && r.verdict.detector && !strcmp(r.verdict.detector, "hang");
        if (!hung && (hung_before || r.verdict.kind != VERDICT_PASS)) {
            bad = r;
            ok = false;
        }
        hung_before = hung_before || hung;
        passed = passed || r.verdict.kind == VERDICT_PASS;
        printf("# hold=%u: %s, %u sends\n", holds[i], hung ? "hangs" : "passes", r.sends);
    }
    check(ok && passed && hung_before, g, "order=late-ticketlock vcpus=2",
          "a release before the waiter's last look passes, any later one hangs", &bad);
    for (unsigned i = 0; i < COUNT(holds); i++) {
        snprintf(parameters, sizeof(parameters), "order=early-ticketlock vcpus=2 spin=16 hold=%u", holds[i]);
        r = run(g, 2, parameters, 0);
        check(r.verdict.kind == VERDICT_PASS, g, parameters, "passes wherever the release is", &r);
    }
    check(r.sends > 0, g, parameters, "the waiter is kicked", &r);
}

/* ---- the detector ---- */

static const struct {
    unsigned checks, vcpus;
    const char *parameters, *says, *place; /* says: "" if the run passes */
} detections[] = {
    {OP_TABLE_ALL, 1, "order=late", "pv_lock_ops.spin_is_locked changes from ticket_spin_is_locked", "guest_main"},
    {OP_TABLE_ALL, 1, "order=late h=255", "so do 5 more slots", "guest_main"},
    {OP_TABLE_ALL, 1, "order=late module=0", "behind the back of 1 call site patched before", "guest_main"},
    {OP_TABLE_SITES, 1, "order=late", "the call sites of pv_lock_ops.spin_unlock disagree", ""},
    {OP_TABLE_SITES, 1, "order=late module=0", "", ""},
    {OP_TABLE_LOCKS, 1, "order=late",
     "taken on vCPU 0 by ticket_spin_lock (ticket) is released by xen_spin_unlock (byte)", "xen_spin_unlock"},
    {OP_TABLE_LOCKS, 1, "order=late h=255", "released by xen_spin_unlock (byte)", "xen_spin_unlock"},
    {OP_TABLE_LOCKS, 1, "order=late held=1", "released by xen_spin_unlock (byte)", "xen_spin_unlock"},
    {OP_TABLE_LOCKS, 1, "order=late inline_unlock=0", "", ""},
    {OP_TABLE_LOCKS, 1, "order=late module=0", "", ""},
    {OP_TABLE_ALL, 2, "order=late-ticketlock vcpus=2 spin=16 hold=10000", "by xen_init_spinlocks", "guest_main"},
    {OP_TABLE_LOCKS, 2, "order=late-ticketlock vcpus=2 spin=16 hold=10000",
     "waited for on vCPU 1 by pvticket_xen_spin_lock (xen) is released by pvticket_native_spin_unlock (native)",
     "pvticket_native_spin_unlock"},
    {OP_TABLE_ALL, 1, "order=early-no-layout-fix", "", ""},
    {OP_TABLE_ALL, 2, "order=pv-never h=9 vcpus=2", "", ""},
    {OP_TABLE_ALL, 2, "order=early-ticketlock vcpus=2 spin=16 hold=300", "", ""},
    {OP_TABLE_ALL, 4, "order=early-ticketlock vcpus=4 spin=16 hold=10000", "", ""},
};

static void test_detector(const struct guest *g)
{
    for (unsigned i = 0; i < COUNT(detections); i++) {
        const char *says = detections[i].says, *place = detections[i].place;
        struct result r = run(g, detections[i].vcpus, detections[i].parameters, detections[i].checks);
        bool found = r.verdict.kind == VERDICT_FAIL && r.verdict.detector && !strcmp(r.verdict.detector, "op-table") &&
                     strstr(r.verdict.text, says) && (!*place || !strcmp(r.place, place));

        check(*says ? found : r.verdict.kind == VERDICT_PASS, g, detections[i].parameters,
              *says ? says : "nothing is found", &r);
    }
}

int main(int argc, char **argv)
{
    bool all = argc == 4 && !strcmp(argv[3], "all"), only_64 = argc == 4 && !strcmp(argv[3], "64");
    FILE *f = argc == 3 || all || only_64 ? fopen(argv[2], "r") : NULL;

    if (!f) {
        fprintf(stderr, "usage: test_s0 FOLDER-OF-IMAGES DECLARATION [64|all]\n");
        return 2;
    }
    declaration[fread(declaration, 1, sizeof(declaration) - 1, f)] = '\0';
    fclose(f);
    for (unsigned i = only_64; i < 2; i++) {
        struct guest *g = &guests[i];

        load(g, argv[1], i ? 64 : 32);
        for (unsigned c = 0; c < COUNT(classes); c++)
            test_class(g, &classes[c], all);
        test_more_vcpus(g);
        test_class_b(g);
        test_detector(g);
        image_free(g->image);
        symbols_free(g->symbols);
    }
    printf("1..%u\n", tests);
    return failures > 0;
}
