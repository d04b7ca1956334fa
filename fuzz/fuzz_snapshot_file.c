/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes, with the checksums made right, are a snapshot file that gives exactly the machine whose digest it names,
 * or are refused with one sentence.
 */
#include "fuzz/fuzz_target.h"

#include <stdlib.h>
#include <string.h>

#include "emu/ensure.h"
#include "emu/snapshot_file.h"
#include "fuzz/fuzz_snapshot_file.h"

static void check_sentence(const struct diag *d)
{
    ensure(d->text[0] != '\0' && !strchr(d->text, '\n'));
}

static void load(const struct snapshot_file *f)
{
    struct machine *m;
    struct diag d;

    ensure(machine_new(&fuzz_config, &m, &d) == EMU_OK);
    diag_init(&d);
    if (snapshot_file_load(f, m, &d) == EMU_OK) {
        ensure(machine_digest(m) == snapshot_file_info(f)->digest);
        ensure(clock_now_ns(m) == snapshot_file_info(f)->now_ns);
    } else {
        check_sentence(&d);
    }
    machine_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t *sealed = malloc(size + 1);
    struct snapshot_file *f = NULL;
    struct diag d;

    ensure(sealed);
    if (size)
        memcpy(sealed, bytes, size);
    snapshot_file_seal(sealed, size);
    diag_init(&d);
    if (snapshot_file_open_bytes("fuzz", sealed, size, &f, &d) == EMU_OK) {
        ensure(!strchr(snapshot_file_info(f)->build, '\n'));
        load(f);
        snapshot_file_close(f);
    } else {
        ensure(!f);
        check_sentence(&d);
    }
    free(sealed);
    return 0;
}
