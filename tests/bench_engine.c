/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_engine: steps a second of the engine, with all its counting, beside those of the bare library on the same code:
 * a big-number multiplication loop like the one in which a kernel's boot spends most of its time. Not a test: figures
 * of a noisy machine are not judged. The two take turns, and the medians of the ratios is what counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"

#define RAM_BYTES  0x200000u
#define CODE_GPA   0x10000u
#define ROUNDS     9
#define ITERATIONS 20000000u

/* mov ecx, N; mov esi, A; mov edi, B; 1: mov eax, [esi]; mul edx; add eax, [edi]; adc edx, 0; mov [edi], eax;
   lea esi, [esi+4]; and esi, M; test cl, 7; jnz 2f; inc ebx; 2: dec ecx; jnz 1b; hlt */
static const uint8_t code[] = {
    0xb9,
    ITERATIONS & 0xff,
    ITERATIONS >> 8 & 0xff,
    ITERATIONS >> 16 & 0xff,
    ITERATIONS >> 24,
    0xbe,
    0x00,
    0x00,
    0x02,
    0x00,
    0xbf,
    0x00,
    0x00,
    0x03,
    0x00,
    0x8b,
    0x06,
    0xf7,
    0xe2,
    0x03,
    0x07,
    0x83,
    0xd2,
    0x00,
    0x89,
    0x07,
    0x8d,
    0x76,
    0x04,
    0x81,
    0xe6,
    0xfc,
    0x0f,
    0x02,
    0x00,
    0xf6,
    0xc1,
    0x07,
    0x75,
    0x01,
    0x43,
    0x49,
    0x75,
    0xe3,
    0xf4,
};

static bool no_read(void *context, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    return false;
}

static bool no_write(void *context, uint64_t gpa, unsigned bytes, uint64_t value)
{
    return false;
}

static uint64_t no_tsc(void *context)
{
    return 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    static const struct engine_ops ops = {.mmio_read = no_read, .mmio_write = no_write, .rdtsc = no_tsc};
    double ratio[ROUNDS], ours[ROUNDS], bare[ROUNDS];
    uint64_t steps = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct memory *mem;
        struct engine *e;
        struct diag d;
        struct vcpu_regs r;
        double t;

        if (memory_new(RAM_BYTES, &mem, &d) != EMU_OK || engine_new(mem, 1, &ops, NULL, &e, &d) != EMU_OK ||
            !memory_write(mem, CODE_GPA, code, sizeof(code))) {
            diag_print(&d, "bench_engine", stderr);
            return 1;
        }
        engine_switch(e, 0);
        regs_init_protected32(&r, CODE_GPA);
        engine_set_regs(e, &r);
        t = seconds();
        if (engine_run(e, UINT64_MAX, UINT64_MAX).kind != ENGINE_EXIT_HLT)
            return 1;
        ours[i] = seconds() - t;
        steps = engine_steps(e, 0);
        t = seconds();
        if (engine_run_bare(mem, CODE_GPA, &d) != EMU_OK) {
            diag_print(&d, "bench_engine", stderr);
            return 1;
        }
        bare[i] = seconds() - t;
        ratio[i] = bare[i] / ours[i];
        engine_free(e);
        memory_free(mem);
    }
    qsort(ratio, ROUNDS, sizeof(ratio[0]), by_value);
    qsort(ours, ROUNDS, sizeof(ours[0]), by_value);
    qsort(bare, ROUNDS, sizeof(bare[0]), by_value);
    printf("engine: %.0f M steps/s, bare library: %.0f M steps/s, ratio %.2f (medians of %d turns, %" PRIu64
           " steps)\n",
           (double)steps / ours[ROUNDS / 2] / 1e6, (double)steps / bare[ROUNDS / 2] / 1e6, ratio[ROUNDS / 2], ROUNDS,
           steps);
    return 0;
}
