/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_snapshot_file_seeds DIRECTORY: snapshot files of a small machine: as made, running, halted, with a verdict; and
   changes to files of a platform, one for each part of it. */
#include <stdio.h>
#include <string.h>

#include "emu/snapshot_file.h"
#include "emu/timer.h"
#include "emu/vcpu.h"
#include "fuzz/targets/fuzz_snapshot_file.h"

static bool write_seed(struct machine *m, const char *folder, const char *name)
{
    char path[4096];
    struct diag d;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (snapshot_file_write(m, "{\"seed\":true}", path, &d) == EMU_OK)
        return true;
    diag_print(&d, "fuzz_snapshot_file_seeds", stderr);
    return false;
}

static bool write_changes(const char *folder)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < 90; i++) {
        const uint8_t bytes[] = {i & 1, (uint8_t)i, (uint8_t)(i * 7), 0, 3, 0xff, 0xff, 0xff, 0xff};
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/change-%u", folder, i);
        f = fopen(path, "wb");
        ok = f && fwrite(bytes, sizeof(bytes), 1, f) == 1;
        if (f)
            ok = fclose(f) == 0 && ok;
    }
    return ok;
}

int main(int argc, char **argv)
{
    /* 32-bit code: inc eax; jmp back */
    static const uint8_t code[] = {0x40, 0xeb, 0xfd};
    struct vcpu_regs r;
    struct machine *m;
    struct diag d;
    bool ok;

    if (argc != 2 || machine_new(&fuzz_small_config, &m, &d) != EMU_OK)
        return 2;
    ok = write_seed(m, argv[1], "new");
    regs_init_protected32(&r, 0x1000);
    vcpu_set_regs(m, 0, &r);
    ok = ok && memory_write(machine_memory(m), 0x1000, code, sizeof(code));
    timer_arm(m, &fuzz_small_model, 3, 1, 1000000);
    (void)machine_run(m, &(struct machine_limits){.steps_max = 100});
    ok = ok && write_seed(m, argv[1], "running");
    for (uint64_t gpa = 0x20000; gpa < 0x80000; gpa += 0x3000)
        ok = ok && memory_write(machine_memory(m), gpa, code, sizeof(code));
    vcpu_halt(m, 0, "a reason");
    vcpu_raise_nmi(m, 1);
    ok = ok && write_seed(m, argv[1], "halted");
    machine_set_verdict(m, VERDICT_FAIL, "crash", "a sentence");
    ok = ok && write_seed(m, argv[1], "failed");
    machine_free(m);
    ok = ok && write_changes(argv[1]);
    return ok ? 0 : 5;
}
