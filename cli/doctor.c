/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/doctor.h"

#include <archive.h>
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libxml/xmlversion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <yaml.h>

#include "cli/cache.h"
#include "cli/case/case_guest.h"
#include "cli/command.h"
#include "cli/run/json_text.h"
#include "emu/engine.h"
#include "emu/snapshot_cache.h"

#define MEMORY_WORD       "MemAvailable:"
#define MEMORY_KIB_NEEDED (1u << 20) /* a guest of 512 MiB, its snapshots, and the engine's caches */
#define SELF_TEST_GUEST   "hello64"

static const char doc[] =
    "Check what bootrace needs on this machine, and say what to do about what is missing.\v"
    "A line begins with ok, with note (it works, but something is slower or missing) or with BAD.\n\n"
    "Examples:\n"
    "  bootrace doctor\n"
    "  bootrace doctor --json\n\n"
    "Exit status: 0 no line is BAD, 1 some are, 2 wrong input.";

enum { KEY_JSON = 256 };

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

enum grade { GRADE_OK, GRADE_NOTE, GRADE_BAD };

struct doctor {
    bool json, bad;
    json_t *checks;
    struct case_places places;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct doctor *doctor = state->input;

    if (key != KEY_JSON)
        return ARGP_ERR_UNKNOWN;
    doctor->json = true;
    return 0;
}

static void say(struct doctor *doctor, enum grade grade, const char *what, const char *fmt, ...) EMU_PRINTF(4, 5);
static void say(struct doctor *doctor, enum grade grade, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "note", "BAD"};
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    doctor->bad = doctor->bad || grade == GRADE_BAD;
    json_array_append_new(doctor->checks, json_pack("{s:o, s:o, s:o}", "check", json_text(what), "result",
                                                    json_text(words[grade]), "text", json_text(text)));
    if (!doctor->json)
        printf("%-5s %-12s %s\n", words[grade], what, text);
}

static void check_engine(struct doctor *doctor)
{
    unsigned major, minor, patch;

    engine_library_version(&major, &minor, &patch);
    if (major < 2 || (major == 2 && (minor < 1 || (minor == 1 && patch < 4))))
        say(doctor, GRADE_BAD, "engine",
            "Unicorn %u.%u.%u is too old: guest time would be host time; scripts/setup builds bootrace with 2.1.4",
            major, minor, patch);
    else
        say(doctor, GRADE_OK, "engine", "Unicorn %u.%u.%u", major, minor, patch);
}

static void check_libraries(struct doctor *doctor)
{
    say(doctor, GRADE_OK, "libraries", "libyaml %s, jansson %s, libxml2 %s, %s", yaml_get_version_string(),
        jansson_version_str(), LIBXML_DOTTED_VERSION, archive_version_string());
}

static void check_memory(struct doctor *doctor)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long kib = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f)) {
        if (!strncmp(line, MEMORY_WORD, strlen(MEMORY_WORD)))
            kib = strtoul(line + strlen(MEMORY_WORD), NULL, 10);
    }
    if (f)
        fclose(f);
    if (!kib)
        say(doctor, GRADE_NOTE, "memory", "/proc/meminfo does not say how much is free");
    else if (kib < MEMORY_KIB_NEEDED)
        say(doctor, GRADE_NOTE, "memory",
            "%lu MiB are free; a kernel with 512 MiB wants about %u: close something, or give guests less (--memory "
            "256M) "
            "and run fewer at a time (corpus run --jobs 1)",
            kib >> 10, MEMORY_KIB_NEEDED >> 10);
    else
        say(doctor, GRADE_OK, "memory", "%lu MiB are free", kib >> 10);
}

/* Linux 6.7's ioctl, for hosts with older headers; include/uapi/linux/fs.h, "PAGEMAP_SCAN". */
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL      _IOWR('f', 16, struct scan)
#define SCAN_IS_PRESENT 8u /* PAGE_IS_PRESENT */

static void check_pagemap(struct doctor *doctor)
{
    struct {
        uint64_t start, end, categories;
    } region;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uintptr_t page = (uintptr_t)&region & ~4095ul;
    struct scan scan = {.size = sizeof(scan),
                        .start = page,
                        .end = page + 4096,
                        .vec = (uintptr_t)&region,
                        .vec_len = 1,
                        .category_mask = SCAN_IS_PRESENT,
                        .return_mask = SCAN_IS_PRESENT};

    if (fd < 0)
        say(doctor, GRADE_NOTE, "pages",
            "/proc/self/pagemap can't be opened (%s): every page counts as written, which makes digests and snapshots "
            "slow; mount /proc, and allow it in the sandbox",
            strerror(errno));
    else if (ioctl(fd, SCAN_IOCTL, &scan) < 0)
        say(doctor, GRADE_NOTE, "pages",
            "the kernel has no PAGEMAP_SCAN (Linux 6.7 and later have it): written pages are found by reading the "
            "whole "
            "page map, which makes digests and snapshots slower");
    else
        say(doctor, GRADE_OK, "pages", "PAGEMAP_SCAN finds written pages");
    if (fd >= 0)
        close(fd);
}

static void check_processors(struct doctor *doctor)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (n < 2)
        say(doctor, GRADE_NOTE, "processors", "1: cases run one at a time");
    else
        say(doctor, GRADE_OK, "processors", "%ld: so many cases run at a time", n);
}

static void check_cache(struct doctor *doctor)
{
    const struct cache_options default_options = {.folder = NULL};
    char folder[SNAPSHOT_CACHE_FOLDER_BYTES];
    struct snapshot_cache cache;
    struct diag d;

    if (!cache_find_folder(&default_options, folder)) {
        say(doctor, GRADE_NOTE, "cache",
            "there is no home folder: each search boots from the start; --cache DIR names one");
        return;
    }
    if (snapshot_cache_init(&cache, folder, SNAPSHOT_CACHE_BYTES_MAX_DEFAULT, &d) != EMU_OK ||
        access(folder, R_OK | W_OK | X_OK))
        say(doctor, GRADE_NOTE, "cache",
            "%s can't be written to: each search boots from the start; make it writable, or say --cache DIR", folder);
    else
        say(doctor, GRADE_OK, "cache", "%s is writable", folder);
}

/* Kernels that cases may name, and the small initrd. */
static void check_kernels(struct doctor *doctor)
{
    char path[CASE_PATH_BYTES + 512], names[512] = "";
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/kernel", doctor->places.cache);
    dir = *doctor->places.cache ? opendir(path) : NULL;
    while (dir && (e = readdir(dir))) {
        size_t used = strlen(names);

        snprintf(path, sizeof(path), "%s/kernel/%s/vmlinuz", doctor->places.cache, e->d_name);
        if (e->d_name[0] != '.' && !access(path, R_OK))
            snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", e->d_name);
    }
    if (dir)
        closedir(dir);
    if (!*names)
        say(doctor, GRADE_NOTE, "kernels",
            "none is cached: cases about Debian's kernels can't run; in bootrace's source folder `scripts/kernel` "
            "fetches "
            "one and `scripts/initrd` makes an initrd");
    else
        say(doctor, GRADE_OK, "kernels", "cached: %s", names);
}

/* The last question is whether it works: a guest, twice, to the same state. */
static void check_run(struct doctor *doctor)
{
    char path[CASE_PATH_BYTES + 64];
    uint64_t digest[2] = {0, 0};
    struct diag d;

    snprintf(path, sizeof(path), "%s/" SELF_TEST_GUEST ".elf", doctor->places.guests);
    if (access(path, R_OK)) {
        say(doctor, GRADE_NOTE, "guests",
            "the free-standing guests are not in %s: the corpus can't run; build them (ninja), or say --guests FOLDER",
            doctor->places.guests);
        return;
    }
    say(doctor, GRADE_OK, "guests", "%s", doctor->places.guests);
    for (unsigned i = 0; i < 2; i++) {
        const struct guest_options o = {.kernel = path, .ram_bytes = 32ull << 20, .vcpus = 1, .vcpus_given = true};
        struct machine_limits limits = {.steps_max = 10000000};
        struct guest g;

        if (guest_init(&g, &o, &d) != EMU_OK) {
            say(doctor, GRADE_BAD, "run", "a small guest can't be started: %s", d.text);
            return;
        }
        (void)machine_run(g.machine, &limits);
        if (machine_verdict(g.machine)->kind != VERDICT_PASS) {
            say(doctor, GRADE_BAD, "run", "a small guest does not end with PASS but with %s: %s; please report it",
                verdict_kind_name(machine_verdict(g.machine)->kind), machine_verdict(g.machine)->text);
            guest_fini(&g);
            return;
        }
        digest[i] = machine_digest(g.machine);
        guest_fini(&g);
    }
    if (digest[0] != digest[1])
        say(doctor, GRADE_BAD, "run",
            "a small guest ended in two states, %016" PRIx64 " and %016" PRIx64 ": results can't be trusted; please "
            "report it",
            digest[0], digest[1]);
    else
        say(doctor, GRADE_OK, "run", "a small guest ran twice, to the same state %016" PRIx64, digest[0]);
}

int doctor_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct doctor doctor = {.checks = json_array()};

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &doctor);
    case_places_init(&doctor.places, NULL);
    say(&doctor, GRADE_OK, "bootrace", "version " BOOTRACE_VERSION);
    check_engine(&doctor);
    check_libraries(&doctor);
    check_memory(&doctor);
    check_processors(&doctor);
    check_pagemap(&doctor);
    check_cache(&doctor);
    check_kernels(&doctor);
    check_run(&doctor);
    if (doctor.json) {
        json_t *o = json_pack("{s:b, s:O}", "ok", !doctor.bad, "checks", doctor.checks);

        json_show(o);
        json_decref(o);
    } else {
        printf("%s\n",
               doctor.bad ? "Something is missing: see the lines that begin with BAD." : "bootrace can run here.");
    }
    json_decref(doctor.checks);
    return doctor.bad ? COMMAND_FAIL : COMMAND_PASS;
}
