/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes, with the checksums made right, are a snapshot file that gives exactly the machine whose digest it names,
 * or are refused with one sentence. A machine that loads, also one with another digest than the file names, runs, bears
 * every access to every device and every hypercall, and its state stays sound.
 *
 * An input that begins as a snapshot does is a file of a small machine. Any other is changes to a file of a whole
 * platform: a byte that says of which (bit 0: HVM), then for each change a byte that chooses the part (below), two for
 * the place in it, one for how many bytes follow (1 to 8), and these. Two thirds of the choices lead to bytes of the
 * part that are not zero, or to its beginning, so that few changes are lost in its unused room.
 */
#include "fuzz/targets/fuzz_target.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/model.h"
#include "emu/snapshot_file.h"
#include "fuzz/targets/fuzz_snapshot_file.h"

#define STEPS       1000u
#define CHANGES_MAX 16u
#define BEGINNING   256u
#define PARTS_MAX   (MODELS_MAX + 3)

struct part { /* of a file */
    size_t at, length;
    uint32_t *used; /* places that are not zero */
    size_t used_count;
};

/* Made when the first input needs it and never changed. */
struct base {
    uint8_t *bytes;
    size_t length;
    struct part part[PARTS_MAX];
    unsigned parts;
};

/* ---- the file to begin with ---- */

static struct part section(const struct base *b, const char *name)
{
    struct part p = {0};
    uint64_t place[2];
    size_t row = 0;

    while (strncmp((const char *)b->bytes + row, name, 8) != 0)
        ensure(++row < 1024);
    memcpy(place, b->bytes + row + 8, sizeof(place));
    p.at = place[0];
    p.length = place[1];
    return p;
}

static void add_part(struct base *b, size_t at, size_t length)
{
    struct part *p = &b->part[b->parts++];

    ensure(b->parts <= PARTS_MAX && at + length <= b->length);
    p->at = at;
    p->length = length;
    p->used = malloc(length * sizeof(*p->used));
    ensure(p->used);
    for (size_t i = 0; i < length; i++)
        if (b->bytes[at + i])
            p->used[p->used_count++] = (uint32_t)i;
}

/* The section `models`: of each its name, the length of its state, and that. */
static void add_models(struct base *b, const struct machine_config *c)
{
    struct part models = section(b, "models");
    size_t at = models.at;

    for (unsigned i = 0; i < c->model_count; i++) {
        size_t state = c->models[i]->state_bytes, name = strlen(c->models[i]->name);
        uint64_t length = 0;

        while (memcmp(b->bytes + at, c->models[i]->name, name) != 0)
            ensure(++at < models.at + models.length);
        at += name;
        memcpy(&length, b->bytes + at, sizeof(length));
        ensure(length == state);
        at += sizeof(length);
        if (state)
            add_part(b, at, state);
        at += state;
    }
    ensure(at == models.at + models.length);
}

static const struct base *base_of(unsigned mode)
{
    static const char *const others[] = {"run", "vcpus", "timers"};
    static struct base bases[2];
    struct base *b = &bases[mode];

    if (b->bytes)
        return b;
    b->bytes = fuzz_platform_file(mode, &b->length);
    add_models(b, &fuzz_platform_config[mode]);
    for (unsigned i = 0; i < COUNT(others); i++) {
        struct part p = section(b, others[i]);

        add_part(b, p.at, p.length);
    }
    return b;
}

static size_t place_in(const struct part *p, unsigned choice, unsigned number)
{
    if (choice % 3 == 0 && p->used_count)
        return p->used[number % p->used_count];
    if (choice % 3 == 1)
        return number % (p->length < BEGINNING ? p->length : BEGINNING);
    return number * 16u % p->length + number * 16u / p->length % 16 % p->length;
}

static void change(const struct base *b, uint8_t *file, const uint8_t *in, size_t size)
{
    for (unsigned i = 0; i < CHANGES_MAX && size >= 5; i++) {
        const struct part *p = &b->part[in[0] % b->parts];
        size_t place = place_in(p, in[0] / b->parts, in[1] | in[2] << 8), count = 1 + in[3] % 8u;

        in += 4;
        size -= 4;
        if (count > size)
            count = size;
        if (count > p->length - place)
            count = p->length - place;
        memcpy(file + p->at + place, in, count);
        in += count;
        size -= count;
    }
}

/* ---- the property ---- */

static void check_sentence(const struct diag *d)
{
    ensure(d->text[0] != '\0' && !strchr(d->text, '\n'));
}

/* Whether it was loaded. */
static bool load(const struct snapshot_file *f, const struct machine_config *c, bool is_named)
{
    struct machine *m;
    struct diag d;
    bool loaded;

    ensure(machine_new(c, &m, &d) == EMU_OK);
    diag_init(&d);
    loaded = snapshot_file_load(f, m, &d) == EMU_OK;
    if (loaded && is_named) {
        ensure(machine_digest(m) == snapshot_file_info(f)->digest);
        ensure(clock_now_ns(m) == snapshot_file_info(f)->now_ns);
    }
    if (loaded) {
        fuzz_run(m, STEPS);
        fuzz_touch_everything(m);
        fuzz_ensure_sound(m);
    } else {
        check_sentence(&d);
    }
    machine_free(m);
    return loaded;
}

static void try_file(uint8_t *bytes, size_t size, const struct machine_config *c)
{
    struct snapshot_file *f = NULL;
    struct diag d;

    snapshot_file_seal(bytes, size);
    diag_init(&d);
    if (snapshot_file_open_bytes("fuzz", bytes, size, &f, &d) == EMU_OK) {
        ensure(!strchr(snapshot_file_info(f)->build, '\n'));
        if (c != &fuzz_small_config || !load(f, c, true)) {
            snapshot_file_believe(f);
            (void)load(f, c, false);
        }
        snapshot_file_close(f);
    } else {
        ensure(!f);
        check_sentence(&d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool is_file = size && bytes[0] == 0x89;
    const struct base *b = is_file || !size ? NULL : base_of(bytes[0] & 1);
    size_t length = b ? b->length : size;
    uint8_t *file = malloc(length + 1);

    ensure(file);
    if (length)
        memcpy(file, b ? b->bytes : bytes, length);
    if (b)
        change(b, file, bytes + 1, size - 1);
    try_file(file, length, b ? &fuzz_platform_config[bytes[0] & 1] : &fuzz_small_config);
    free(file);
    return 0;
}
