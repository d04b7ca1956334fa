/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/targets/fuzz_schedule_guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/case/record.h"
#include "cli/run/file_digest.h"
#include "cli/run/program_folder.h"
#include "emu/base/ensure.h"
#include "emu/engine.h"
#include "emu/image/image.h"
#include "emu/image/symbols_elf.h"
#include "fuzz/search/search.h"
#include "models/image_formats.h"
#include "models/xen/pvh_loader.h"

#define COUNTERS          65536u
#define PLACES            4096u
#define RAM_BYTES         (32u << 20)
#define INPUT_MAX         192u /* bytes: 64 decisions */
#define PLACE_SHIFT       3
#define PATH_BYTES        CASE_PATH_BYTES
#define NAME_BYTES        64
#define GUEST_XEN_VERSION XEN_VERSION(4, 17)
#define HASH_MULTIPLY     0x9e3779b97f4a7c15ull

#ifdef BOOTRACE_LIBFUZZER
__attribute__((section("__libfuzzer_extra_counters")))
#endif
static uint8_t counters[COUNTERS];

struct ready { /* made by the first input, kept for the process */
    struct platform_config platform;
    struct machine_config config;
    struct machine *machine;
    uint64_t last_block;
    struct {
        uint64_t place;
        unsigned vcpu;
        bool wrote;
    } last[PLACES];
};

static void count(uint64_t what)
{
    uint8_t *c = &counters[what * HASH_MULTIPLY >> 48];

    *c += *c < UINT8_MAX;
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct ready *r = context;
    unsigned vcpu = machine_current(r->machine);
    uint64_t place = gpa >> PLACE_SHIFT;
    size_t slot = place * HASH_MULTIPLY >> 52;

    if (kind == ENGINE_FETCH) {
        uint64_t block = engine_access_block_gva(machine_engine(r->machine));

        count(block ^ r->last_block << 1);
        r->last_block = block;
        return;
    }
    if (kind == ENGINE_LEAVE)
        return;
    if (r->last[slot].place == place && r->last[slot].vcpu != vcpu && (r->last[slot].wrote || kind == ENGINE_WRITE))
        count(place << 16 | (uint64_t)kind << 8 | vcpu << 4 | r->last[slot].vcpu);
    r->last[slot].place = place;
    r->last[slot].vcpu = vcpu;
    r->last[slot].wrote = kind == ENGINE_WRITE;
}

/* Beside the program, where a fuzzing service has unpacked both. */
static bool find_beside(const char *image, char path[PATH_BYTES])
{
    char folder[PATH_BYTES];
    int bytes;

    if (!program_folder(folder, sizeof(folder)))
        return false;
    bytes = snprintf(path, PATH_BYTES, "%s/%s", folder, image);
    return bytes > 0 && (unsigned)bytes < PATH_BYTES && access(path, R_OK) == 0;
}

/* In $BOOTRACE_GUESTS, else beside the program, else where they were built. */
static void find_path(const struct fuzz_schedule_guest *guest, char path[PATH_BYTES])
{
    const char *folder = getenv("BOOTRACE_GUESTS");

    if (!folder && find_beside(guest->image, path))
        return;
    snprintf(path, PATH_BYTES, "%s/%s", folder ? folder : BOOTRACE_GUESTS_FOLDER, guest->image);
}

static void give_up(const struct diag *d)
{
    diag_print(d, "fuzz_schedule", stderr);
    exit(2);
}

/* The guest at its window's start. A file that is missing is the user's mistake, not a finding. */
static void get_ready(struct ready *r, const struct fuzz_schedule_guest *guest)
{
    struct symbols *symbols = symbols_new();
    struct machine_limits limits = {.steps_max = UINT64_MAX};
    struct image *image = NULL;
    struct symbol symbol;
    struct diag d;
    char path[PATH_BYTES];
    size_t found;

    diag_init(&d);
    find_path(guest, path);
    r->platform = (struct platform_config){.mode = guest->mode, .cmdline = guest->cmdline};
    r->config = (struct machine_config){.ram_bytes = RAM_BYTES,
                                        .vcpus = guest->vcpus,
                                        .xen_version = GUEST_XEN_VERSION,
                                        .models = platform_models,
                                        .model_count = platform_model_count,
                                        .platform = &r->platform};
    ensure(symbols);
    if (image_load_file(path, image_formats, &image, &d) != EMU_OK ||
        symbols_elf_read(image->bytes, image->size, symbols, &found, &d) != EMU_OK ||
        symbols_seal(symbols, &d) != EMU_OK || machine_new(&r->config, &r->machine, &d) != EMU_OK ||
        pvh_load(r->machine, image, &d) != EMU_OK)
        give_up(&d);
    ensure(symbols_find_name(symbols, guest->window, &symbol) == 1);
    limits.until_rip_gva = symbol.start_gva;
    ensure(machine_run(r->machine, &limits) == MACHINE_STOPPED_RIP);
    image_free(image);
    symbols_free(symbols);
    if (engine_watch_accesses(machine_engine(r->machine), on_access, r, &d) != EMU_OK)
        give_up(&d);
}

/* As a case: beside the input that libFuzzer keeps. */
static enum emu_err write_case(const struct fuzz_schedule_guest *guest, const struct search_failure *x,
                               const char *image_path, const char *path, struct diag *d)
{
    struct file_digest image = {0};
    struct test_case c;
    char name[NAME_BYTES], title[VERDICT_TEXT_BYTES + 16], *text = NULL;
    enum emu_err err;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    if (!f)
        return diag_no_memory(d);
    schedule_print(&x->schedule, f);
    fclose(f);
    case_init(&c);
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(guest->image, "."), guest->image);
    snprintf(title, sizeof(title), "%s: %s", verdict_kind_name(x->verdict.kind), x->verdict.text);
    c.title = title;
    c.prose.mechanism = "Not known yet: a fuzzer found this schedule, and nobody has looked into it.";
    c.prose.source = "Found by a libFuzzer target of bootrace " BOOTRACE_VERSION ".";
    c.prose.falsified_by = "A replay that ends in another state.";
    c.guest.free_standing = name;
    c.machine.cmdline = guest->cmdline;
    c.machine.mode = guest->mode;
    c.machine.vcpus = guest->vcpus;
    c.machine.xen_version = GUEST_XEN_VERSION;
    c.machine.memory_bytes = RAM_BYTES;
    c.schedule = text;
    c.expect.verdict = x->verdict.kind;
    c.expect.detector = x->verdict.detector;
    c.expect.digest = x->digest;
    err = file_digest(image_path, &image, d);
    c.guest.image_xxh3 = image.xxh3;
    if (err == EMU_OK)
        err = record_save(&c, path, d);
    free(text);
    return err;
}

static void tell(const struct fuzz_schedule_guest *guest, const struct search_failure *x)
{
    char name[NAME_BYTES], path[PATH_BYTES];
    struct diag d;

    find_path(guest, path);
    snprintf(name, sizeof(name), "found-%016" PRIx64 ".yaml", x->digest);
    diag_init(&d);
    fprintf(stderr, "FAIL: %s\n", x->verdict.text);
    if (write_case(guest, x, path, name, &d) != EMU_OK)
        diag_print(&d, "fuzz_schedule", stderr);
    else
        fprintf(stderr, "replay: bootrace replay --guests '%.*s' %s\n", (int)(strrchr(path, '/') - path), path, name);
}

int fuzz_schedule_guest_run(const struct fuzz_schedule_guest *guest, const uint8_t *bytes, size_t size)
{
    static struct ready ready;
    struct search_report *report = calloc(1, sizeof(*report));
    struct search_options o = {.strategy = &strategy_bytes,
                               .strategy_options = {.sources = guest->sources,
                                                    .interleave = guest->vcpus > 1,
                                                    .window_steps = guest->window_steps,
                                                    .bytes = bytes,
                                                    .byte_count = size < INPUT_MAX ? size : INPUT_MAX},
                               .end = {.steps_max = guest->run_steps},
                               .runs_max = 1};
    struct diag d;

    ensure(report);
    if (!ready.machine)
        get_ready(&ready, guest);
    memcpy(o.strategy_options.source, guest->source, sizeof(guest->source));
    o.machine = ready.machine;
    ready.last_block = 0;
    memset(ready.last, 0, sizeof(ready.last));
    diag_init(&d);
    if (search_run(&o, report, &d) != EMU_OK)
        give_up(&d);
    ensure(!report->by_kind[TRIAL_UNMODELLED]);
    if (report->failures) {
        tell(guest, &report->failure[0]);
        abort();
    }
    search_report_fini(report);
    free(report);
    return 0;
}
