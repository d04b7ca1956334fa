/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "emu/base/plural.h"
#include "emu/machine_state.h"
#include "emu/memory_pages.h"
#include "emu/snapshot_state.h"
#include "emu/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BYTE_ORDER_MARK 0x01020304u
#define CHUNK_PAGES     256u
#define CHUNK_BYTES     ((size_t)CHUNK_PAGES * PAGE_BYTES)
#define ZSTD_LEVEL      1
#define FILE_BYTES_MAX  (1ull << 40)

static const uint8_t magic[8] = {0x89, 'b', 't', 's', 'n', 'a', 'p', '\n'};

enum section {
    SECTION_PAGES,
    SECTION_CASE,
    SECTION_MACHINE,
    SECTION_RUN,
    SECTION_VCPUS,
    SECTION_MODELS,
    SECTION_TIMERS,
    SECTION_RUNS,
    SECTION_COUNT
};

/* In the order of the file. */
static const char *const section_names[SECTION_COUNT] = {
    [SECTION_PAGES] = "pages", [SECTION_CASE] = "case",     [SECTION_MACHINE] = "machine", [SECTION_RUN] = "run",
    [SECTION_VCPUS] = "vcpus", [SECTION_MODELS] = "models", [SECTION_TIMERS] = "timers",   [SECTION_RUNS] = "runs",
};

#define SECTION_NAME_BYTES 8u
#define ROW_BYTES          (SECTION_NAME_BYTES + 3 * 8) /* name, offset, bytes, checksum */
#define FIXED_BYTES        (8u + 4 + 4 + 8 + 4 + 4 + BUILD_ID_BYTES)
#define HEADER_BYTES       (FIXED_BYTES + SECTION_COUNT * ROW_BYTES + 8u)

struct row {
    uint64_t offset, bytes, checksum;
};

struct snapshot_file {
    struct snapshot_file_info info;
    char name[DIAG_FILE_BYTES];
    uint8_t *bytes;
    size_t length;
    char *case_text;
    struct wire_in section[SECTION_COUNT];
    bool believed;
};

/* ---- writing ---- */

struct writer {
    int fd;
    const char *path; /* of the temporary file, for sentences */
    uint64_t offset;
    struct row row[SECTION_COUNT];
};

static enum emu_err put_bytes(struct writer *w, const void *bytes, size_t length, struct diag *d)
{
    const char *at = bytes;

    while (length) {
        ssize_t n = write(w->fd, at, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_set_at(d, EMU_EINPUT, w->path, 0, "can't be written: %s", strerror(errno));
        at += n;
        length -= (size_t)n;
        w->offset += (uint64_t)n;
    }
    return EMU_OK;
}

/* Writes and frees what is in `out`. */
static enum emu_err put_section(struct writer *w, enum section s, struct wire_out *out, struct diag *d)
{
    enum emu_err err = EMU_OK;

    w->row[s].offset = w->offset;
    w->row[s].bytes = out->length;
    w->row[s].checksum = XXH3_64bits(out->bytes, out->length);
    err = out->failed ? diag_no_memory(d) : put_bytes(w, out->bytes, out->length, d);
    free(out->bytes);
    memset(out, 0, sizeof(*out));
    return err;
}

/* Compress and write `list`, in chunks, and say in `runs` which pages they are and how long each chunk is. */
static enum emu_err put_pages(struct machine *m, struct writer *w, const uint64_t *list, uint64_t count,
                              struct wire_out *runs, struct diag *d)
{
    size_t room = ZSTD_compressBound(CHUNK_BYTES);
    uint8_t *raw = malloc(CHUNK_BYTES), *packed = malloc(room);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    XXH3_state_t *sum = XXH3_createState();
    enum emu_err err = EMU_OK;

    if (!raw || !packed || !zstd || !sum)
        err = diag_no_memory(d);
    else
        XXH3_64bits_reset(sum);
    w->row[SECTION_PAGES].offset = w->offset;
    for (uint64_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && list[next] == list[next - 1] + 1;)
            next++;
        wire_put_number(runs, list[i], 8);
        wire_put_number(runs, next - i, 8);
    }
    wire_put_number(runs, UINT64_MAX, 8);
    for (uint64_t i = 0; err == EMU_OK && i < count; i += CHUNK_PAGES) {
        uint64_t n = count - i < CHUNK_PAGES ? count - i : CHUNK_PAGES;
        size_t bytes;

        for (uint64_t k = 0; k < n; k++)
            memory_pages_read(m->mem, list[i + k], 1, raw + k * PAGE_BYTES);
        bytes = ZSTD_compressCCtx(zstd, packed, room, raw, n * PAGE_BYTES, ZSTD_LEVEL);
        if (ZSTD_isError(bytes)) {
            err = diag_set(d, EMU_EHOST, "the host can't compress: %s", ZSTD_getErrorName(bytes));
            break;
        }
        wire_put_number(runs, bytes, 4);
        XXH3_64bits_update(sum, packed, bytes);
        err = put_bytes(w, packed, bytes, d);
    }
    w->row[SECTION_PAGES].bytes = w->offset - w->row[SECTION_PAGES].offset;
    if (sum)
        w->row[SECTION_PAGES].checksum = XXH3_64bits_digest(sum);
    XXH3_freeState(sum);
    ZSTD_freeCCtx(zstd);
    free(raw);
    free(packed);
    return err;
}

static void put_header(struct writer *w, struct wire_out *out)
{
    char build[BUILD_ID_BYTES];

    build_id(build);
    wire_put(out, magic, sizeof(magic));
    wire_put_number(out, SNAPSHOT_FILE_FORMAT, 4);
    wire_put_number(out, BYTE_ORDER_MARK, 4);
    wire_put_number(out, w->offset, 8); /* the length of the file */
    wire_put_number(out, SECTION_COUNT, 4);
    wire_put_number(out, 0, 4);
    wire_put(out, build, sizeof(build));
    for (unsigned s = 0; s < SECTION_COUNT; s++) {
        char name[SECTION_NAME_BYTES] = {0};

        memcpy(name, section_names[s], strlen(section_names[s]));
        wire_put(out, name, sizeof(name));
        wire_put_number(out, w->row[s].offset, 8);
        wire_put_number(out, w->row[s].bytes, 8);
        wire_put_number(out, w->row[s].checksum, 8);
    }
    wire_put_number(out, out->failed ? 0 : XXH3_64bits(out->bytes, out->length), 8);
}

static enum emu_err put_all(struct machine *m, const char *case_text, struct writer *w, struct diag *d)
{
    uint64_t *list = calloc(memory_pages_count(m->mem) + 1, sizeof(*list)), pages;
    uint8_t no_header[HEADER_BYTES] = {0};
    struct wire_out out = {0}, runs = {0};
    enum emu_err err;

    if (!list)
        return diag_no_memory(d);
    pages = memory_pages_list(m->mem, list);
    err = put_bytes(w, no_header, sizeof(no_header), d);
    if (err == EMU_OK)
        err = put_pages(m, w, list, pages, &runs, d);
    free(list);
    if (err == EMU_OK) {
        wire_put(&out, case_text, strlen(case_text));
        err = put_section(w, SECTION_CASE, &out, d);
    }
    if (err == EMU_OK) {
        wire_put_number(&out, m->config.ram_bytes, 8);
        wire_put_number(&out, m->config.vcpus, 4);
        wire_put_number(&out, m->config.xen_version, 4);
        wire_put_number(&out, machine_digest(m), 8);
        wire_put_number(&out, machine_steps(m), 8);
        wire_put_number(&out, clock_now_ns(m), 8);
        wire_put_number(&out, pages, 8);
        err = put_section(w, SECTION_MACHINE, &out, d);
    }
    if (err == EMU_OK) {
        snapshot_state_put_run(m, &out);
        err = put_section(w, SECTION_RUN, &out, d);
    }
    if (err == EMU_OK) {
        snapshot_state_put_vcpus(m, &out);
        err = put_section(w, SECTION_VCPUS, &out, d);
    }
    if (err == EMU_OK) {
        snapshot_state_put_models(m, &out);
        err = put_section(w, SECTION_MODELS, &out, d);
    }
    if (err == EMU_OK) {
        snapshot_state_put_timers(m, &out);
        err = put_section(w, SECTION_TIMERS, &out, d);
    }
    if (err == EMU_OK)
        err = put_section(w, SECTION_RUNS, &runs, d);
    free(runs.bytes);
    if (err == EMU_OK) {
        put_header(w, &out);
        if (lseek(w->fd, 0, SEEK_SET) != 0)
            err = diag_set_at(d, EMU_EINPUT, w->path, 0, "can't be written: %s", strerror(errno));
        else
            err = out.failed ? diag_no_memory(d) : put_bytes(w, out.bytes, out.length, d);
        free(out.bytes);
    }
    return err;
}

/* The name is in the folder once the folder is synchronised; a file system that can't is left alone. */
static void sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

/* A new file, locked, so that it can be told from one that a killed process left behind. Who cleans up may have taken
   it for such a one before it was locked; then another is made. */
static int open_locked(char *path, size_t random_at)
{
    for (;;) {
        struct stat st;
        int fd;

        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the length is kept beside the text */
        memcpy(path + random_at, "XXXXXX", 6);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0 || st.st_nlink)
            return fd; /* where a file system has no locks, without */
        close(fd);
    }
}

enum emu_err snapshot_file_write(struct machine *m, const char *case_text, const char *path, struct diag *d)
{
    struct writer w = {0};
    enum emu_err err;
    char *temporary;
    struct stat st;
    mode_t mask;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: it exists and is not a regular file");
    if (strlen(case_text) > SNAPSHOT_FILE_CASE_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the case is too long for a snapshot (%zu bytes)", strlen(case_text));
    if (asprintf(&temporary, "%s%sXXXXXX", path, SNAPSHOT_FILE_TEMPORARY) < 0)
        return diag_no_memory(d);
    w.fd = open_locked(temporary, strlen(temporary) - 6);
    if (w.fd < 0) {
        free(temporary);
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(errno));
    }
    w.path = path;
    mask = umask(0);
    umask(mask);
    (void)!fchmod(w.fd, 0666 & ~mask);
    err = put_all(m, case_text, &w, d);
    if (err == EMU_OK && (fsync(w.fd) < 0 || rename(temporary, path) < 0))
        err = diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(errno));
    if (err == EMU_OK)
        sync_folder_of(path);
    else
        unlink(temporary);
    close(w.fd);
    free(temporary);
    return err;
}

/* ---- opening ---- */

#define say(f, d, ...) diag_set_at(d, EMU_EINPUT, (f)->name, 0, __VA_ARGS__)

static void get_rows(struct wire_in *w, struct row *row, bool *names_fit)
{
    *names_fit = true;
    for (unsigned s = 0; s < SECTION_COUNT; s++) {
        char name[SECTION_NAME_BYTES + 1] = {0};

        wire_get(w, name, SECTION_NAME_BYTES);
        if (strcmp(name, section_names[s]))
            *names_fit = false;
        row[s].offset = wire_get_number(w, 8);
        row[s].bytes = wire_get_number(w, 8);
        row[s].checksum = wire_get_number(w, 8);
    }
}

/* The sections are contiguous from the header to the end, so every byte is covered by a checksum. */
static bool rows_fit(const struct row *row, size_t length)
{
    uint64_t at = HEADER_BYTES;

    for (unsigned s = 0; s < SECTION_COUNT; s++) {
        if (row[s].offset != at || row[s].bytes > length - at)
            return false;
        at += row[s].bytes;
    }
    return at == length;
}

static enum emu_err check_machine(struct snapshot_file *f, struct diag *d)
{
    struct wire_in w = f->section[SECTION_MACHINE];

    f->info.ram_bytes = wire_get_number(&w, 8);
    f->info.vcpus = (unsigned)wire_get_number(&w, 4);
    f->info.xen_version = (unsigned)wire_get_number(&w, 4);
    f->info.digest = wire_get_number(&w, 8);
    f->info.steps = wire_get_number(&w, 8);
    f->info.now_ns = wire_get_number(&w, 8);
    f->info.ram_pages = wire_get_number(&w, 8);
    if (w.failed || w.at != w.end)
        return say(f, d, "is damaged: its section `machine` is too long or too short");
    return EMU_OK;
}

static enum emu_err check_header(struct snapshot_file *f, struct diag *d)
{
    struct wire_in w = {f->bytes, f->bytes + f->length, false};
    struct row row[SECTION_COUNT];
    char build[BUILD_ID_BYTES], theirs[BUILD_ID_BYTES + 1] = {0};
    uint32_t order, sections;
    uint64_t length, checksum;
    uint8_t start[8];
    bool names_fit;

    wire_get(&w, start, sizeof(start));
    if (memcmp(start, magic, sizeof(magic)))
        return say(f, d, "is not a bootrace snapshot: `bootrace boot --snapshot-at` makes one");
    f->info.format = (uint32_t)wire_get_number(&w, 4);
    order = (uint32_t)wire_get_number(&w, 4);
    if (w.failed)
        return say(f, d, "is cut off: a snapshot is longer than %zu bytes", f->length);
    if (order != BYTE_ORDER_MARK)
        return say(f, d, "is not a snapshot in little-endian byte order: its byte order mark is 0x%08x", order);
    if (f->info.format != SNAPSHOT_FILE_FORMAT)
        return say(f, d, "has the snapshot format %u, and this bootrace reads %u: make it again with --snapshot-at",
                   f->info.format, SNAPSHOT_FILE_FORMAT);
    length = wire_get_number(&w, 8);
    sections = (uint32_t)wire_get_number(&w, 4);
    wire_get_number(&w, 4);
    wire_get(&w, theirs, BUILD_ID_BYTES);
    get_rows(&w, row, &names_fit);
    checksum = wire_get_number(&w, 8);
    if (w.failed)
        return say(f, d, "is cut off: a snapshot is longer than %zu bytes", f->length);
    if (checksum != XXH3_64bits(f->bytes, HEADER_BYTES - 8))
        return say(f, d, "is damaged: its header does not match its checksum");
    if (length != f->length)
        return say(f, d, "is damaged: it has %zu of %" PRIu64 " bytes", f->length, length);
    if (sections != SECTION_COUNT || !names_fit || !rows_fit(row, f->length))
        return say(f, d, "is damaged: its sections are not where they should be");
    for (unsigned s = 0; s < SECTION_COUNT; s++) {
        if (XXH3_64bits(f->bytes + row[s].offset, row[s].bytes) != row[s].checksum)
            return say(f, d, "is damaged: its section `%s` does not match its checksum", section_names[s]);
        f->section[s] = (struct wire_in){f->bytes + row[s].offset, f->bytes + row[s].offset + row[s].bytes, false};
    }
    build_id(build);
    memcpy(f->info.build, theirs, BUILD_ID_BYTES);
    f->info.build[BUILD_ID_BYTES - 1] = '\0';
    for (char *c = f->info.build; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    if (memcmp(build, theirs, BUILD_ID_BYTES))
        return say(f, d, "was made by another build (%s) than this bootrace (%s): make it again with --snapshot-at",
                   f->info.build, build);
    return EMU_OK;
}

static enum emu_err check_case(struct snapshot_file *f, struct diag *d)
{
    struct wire_in w = f->section[SECTION_CASE];
    size_t length = (size_t)(w.end - w.at);

    if (length > SNAPSHOT_FILE_CASE_BYTES_MAX || (length && memchr(w.at, 0, length)))
        return say(f, d, "is damaged: its case is not text");
    f->case_text = strndup((const char *)w.at, length);
    if (!f->case_text)
        return diag_no_memory(d);
    f->info.case_text = f->case_text;
    return EMU_OK;
}

/* Takes `bytes` over. */
static enum emu_err open_owned(const char *name, uint8_t *bytes, size_t length, struct snapshot_file **out,
                               struct diag *d)
{
    struct snapshot_file *f = calloc(1, sizeof(*f));
    enum emu_err err;

    if (!f) {
        free(bytes);
        return diag_no_memory(d);
    }
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->bytes = bytes;
    f->length = length;
    f->info.file_bytes = length;
    err = check_header(f, d);
    if (err == EMU_OK)
        err = check_case(f, d);
    if (err == EMU_OK)
        err = check_machine(f, d);
    if (err != EMU_OK) {
        snapshot_file_close(f);
        return err;
    }
    *out = f;
    return EMU_OK;
}

enum emu_err snapshot_file_open_bytes(const char *name, const uint8_t *bytes, size_t length, struct snapshot_file **out,
                                      struct diag *d)
{
    uint8_t *copy = malloc(length + 1);

    if (!copy)
        return diag_no_memory(d);
    if (length)
        memcpy(copy, bytes, length);
    return open_owned(name, copy, length, out, d);
}

/* Read what is there, however long the file says it is: it may be a device, or change meanwhile. */
static enum emu_err read_all(int fd, const char *path, uint8_t **out, size_t *length, struct diag *d)
{
    struct stat st;
    uint8_t *bytes;
    size_t got = 0, room;

    if (fstat(fd, &st) < 0)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return diag_set_at(d, EMU_EINPUT, path, 0, "is not a file, so it can't be a snapshot");
    if ((uint64_t)st.st_size > FILE_BYTES_MAX)
        return diag_set_at(d, EMU_EINPUT, path, 0, "is too large for a snapshot");
    room = (size_t)st.st_size;
    bytes = malloc(room + 1);
    if (!bytes)
        return diag_set(d, EMU_EHOST, "the host has no memory left for a snapshot of %zu bytes", room);
    while (got < room) {
        ssize_t n = read(fd, bytes + got, room - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(bytes);
            return diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
        }
        if (!n)
            break;
        got += (size_t)n;
    }
    *out = bytes;
    *length = got;
    return EMU_OK;
}

enum emu_err snapshot_file_open(const char *path, struct snapshot_file **out, struct diag *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *bytes = NULL;
    size_t length = 0;
    enum emu_err err;

    if (fd < 0)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    err = read_all(fd, path, &bytes, &length, d);
    close(fd);
    return err == EMU_OK ? open_owned(path, bytes, length, out, d) : err;
}

void snapshot_file_close(struct snapshot_file *f)
{
    if (!f)
        return;
    free(f->bytes);
    free(f->case_text);
    free(f);
}

const struct snapshot_file_info *snapshot_file_info(const struct snapshot_file *f)
{
    return &f->info;
}

const char *snapshot_file_name(const struct snapshot_file *f)
{
    return f->name;
}

void snapshot_file_believe(struct snapshot_file *f)
{
    f->believed = true;
}

void snapshot_file_seal(uint8_t *bytes, size_t length)
{
    struct wire_in w = {bytes, bytes + length, false};
    struct row row[SECTION_COUNT];
    struct wire_out sum = {0};
    bool names_fit;

    if (length < HEADER_BYTES)
        return;
    w.at += FIXED_BYTES;
    get_rows(&w, row, &names_fit);
    if (!rows_fit(row, length))
        return;
    for (unsigned s = 0; s < SECTION_COUNT; s++)
        wire_put_number(&sum, XXH3_64bits(bytes + row[s].offset, row[s].bytes), 8);
    if (!sum.failed) {
        for (unsigned s = 0; s < SECTION_COUNT; s++)
            memcpy(bytes + FIXED_BYTES + (s + 1) * ROW_BYTES - 8, sum.bytes + s * 8, 8);
        sum.length = 0;
        wire_put_number(&sum, XXH3_64bits(bytes, HEADER_BYTES - 8), 8);
        memcpy(bytes + HEADER_BYTES - 8, sum.bytes, 8);
    }
    free(sum.bytes);
}

/* ---- loading ---- */

struct run { /* of pages */
    uint64_t first, count;
};

static enum emu_err get_runs(const struct snapshot_file *f, const struct machine *m, struct wire_in *w,
                             struct run **out, struct diag *d)
{
    uint64_t limit = memory_pages_count(m->mem), next = 0, pages = 0;
    size_t room = (size_t)(w->end - w->at) / 16 + 1, n = 0;
    struct run *run = calloc(room, sizeof(*run));

    if (!run)
        return diag_no_memory(d);
    *out = run;
    for (;;) {
        uint64_t first = wire_get_number(w, 8), count;

        if (w->failed || first == UINT64_MAX)
            break;
        count = wire_get_number(w, 8);
        if (w->failed || first < next || first >= limit || !count || count > limit - first)
            return say(f, d, "is damaged: it has pages where the machine has no memory");
        run[n++] = (struct run){first, count};
        next = first + count;
        pages += count;
    }
    if (w->failed || pages != f->info.ram_pages)
        return say(f, d, "is damaged: the list of its pages does not fit their number");
    return EMU_OK;
}

static enum emu_err load_pages(const struct snapshot_file *f, struct machine *m, struct diag *d)
{
    struct wire_in w = f->section[SECTION_RUNS], packed = f->section[SECTION_PAGES];
    uint8_t *raw = malloc(CHUNK_BYTES);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    struct run *runs = NULL, *run;
    uint64_t left = f->info.ram_pages;
    enum emu_err err = raw && zstd ? get_runs(f, m, &w, &runs, d) : diag_no_memory(d);

    memory_pages_clear(m->mem);
    for (run = runs; err == EMU_OK && run && left;) {
        uint64_t n = left < CHUNK_PAGES ? left : CHUNK_PAGES, bytes = wire_get_number(&w, 4), at = 0;
        size_t got = 0;

        if (!w.failed && bytes <= (size_t)(packed.end - packed.at))
            got = ZSTD_decompressDCtx(zstd, raw, CHUNK_BYTES, packed.at, bytes);
        if (got != n * PAGE_BYTES) {
            err = say(f, d, "is damaged: its pages can't be unpacked");
            break;
        }
        packed.at += bytes;
        left -= n;
        while (at < n) {
            uint64_t part = run->count < n - at ? run->count : n - at;

            memory_pages_write(m->mem, run->first, part, raw + at * PAGE_BYTES);
            run->first += part;
            run->count -= part;
            at += part;
            if (!run->count)
                run++;
        }
    }
    if (err == EMU_OK && (w.at != w.end || packed.at != packed.end))
        err = say(f, d, "is damaged: it has more pages than it says");
    free(runs);
    free(raw);
    ZSTD_freeDCtx(zstd);
    return err;
}

enum emu_err snapshot_file_load(const struct snapshot_file *f, struct machine *m, struct diag *d)
{
    const struct machine_config *c = &m->config;
    struct snapshot_state *state = NULL;
    struct snapshot_state_parts parts = {f->section[SECTION_RUN], f->section[SECTION_VCPUS], f->section[SECTION_MODELS],
                                         f->section[SECTION_TIMERS]};
    enum emu_err err;

    if (c->ram_bytes != f->info.ram_bytes || c->vcpus != f->info.vcpus || c->xen_version != f->info.xen_version)
        return say(f, d, "is of another machine: %u vCPU%s, %" PRIu64 " bytes of memory, Xen %u.%u", f->info.vcpus,
                   plural(f->info.vcpus), f->info.ram_bytes, f->info.xen_version >> 16, f->info.xen_version & 0xffff);
    err = snapshot_state_get(m, &parts, &state, d);
    if (err == EMU_OK)
        err = load_pages(f, m, d);
    if (err == EMU_OK)
        err = snapshot_state_apply(m, state, d);
    snapshot_state_free(state);
    if (err == EMU_OK && !f->believed && machine_digest(m) != f->info.digest)
        err = say(f, d,
                  "is damaged: the machine's digest after loading is %016" PRIx64 ", and %016" PRIx64 " was written",
                  machine_digest(m), f->info.digest);
    if (err == EMU_OK && !f->believed && (machine_steps(m) != f->info.steps || clock_now_ns(m) != f->info.now_ns))
        err = say(f, d,
                  "is damaged: it says step %" PRIu64 " and %" PRIu64 " ns, and the machine in it is at step %" PRIu64
                  " and %" PRIu64 " ns",
                  f->info.steps, f->info.now_ns, machine_steps(m), clock_now_ns(m));
    for (unsigned i = 0; err == EMU_OK && i < c->model_count; i++)
        if (c->models[i]->is_sound && !c->models[i]->is_sound(m))
            err = say(f, d, "is damaged: the state of its model '%s' can't be one", c->models[i]->name);
    if (err == EMU_OK) {
        hang_restored(m);
        machine_tell_models_restored(m);
    }
    if (err != EMU_OK)
        diag_add_place(d, f->name, 0);
    return err;
}
