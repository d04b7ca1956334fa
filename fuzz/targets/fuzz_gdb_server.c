/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what a gdb sends to `bootrace debug`, with a small guest behind it. The first byte says how they come:
 * as they are on the line, or (odd) a line each is the content of a well-formed packet.
 * - What is framed is read again as it was.
 * - Every answer is one frame that a reader takes.
 * - The state at the beginning is found again afterwards, unless gdb wrote to the guest.
 */
#include "fuzz/targets/fuzz_target.h"

#include <stdlib.h>
#include <string.h>

#include "cli/debugger/gdb_link.h"
#include "cli/debugger/gdb_server.h"
#include "cli/run/guest.h"
#include "emu/base/ensure.h"
#include "emu/image/image.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"

#define RAM_BYTES   (4u << 20)
#define CODE_GPA    0x100000u
#define PACKETS_MAX 48u
#define HLT         0xf4

/* gdb's end of the line. */
struct gdb_link {
    const uint8_t *at, *end;
    bool lines;
    unsigned packets;
    struct gdb_reader reader, answers;
    struct gdb_writer writer;
    char frame[GDB_FRAME_BYTES_MAX];
};

static enum gdb_input feed_frame(struct gdb_reader *r, const char *frame, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i++)
        ensure(gdb_reader_feed(r, (uint8_t)frame[i]) == GDB_INPUT_NONE);
    return gdb_reader_feed(r, (uint8_t)frame[bytes - 1]);
}

static enum gdb_link_event next_line(struct gdb_link *l, const struct gdb_reader **packet)
{
    const uint8_t *end = memchr(l->at, '\n', (size_t)(l->end - l->at));
    size_t bytes = (size_t)((end ? end : l->end) - l->at);

    gdb_write_nothing(&l->writer);
    bytes = gdb_write_binary(&l->writer, l->at, bytes);
    ensure(feed_frame(&l->reader, l->frame, gdb_frame(&l->writer, l->frame)) == GDB_INPUT_PACKET);
    ensure(l->reader.length == bytes && !memcmp(l->reader.data, l->at, bytes));
    l->at = end ? end + 1 : l->end;
    *packet = &l->reader;
    return GDB_LINK_PACKET;
}

enum gdb_link_event gdb_link_receive(struct gdb_link *l, const struct gdb_reader **packet)
{
    while (l->at < l->end && l->packets < PACKETS_MAX) {
        if (l->lines) {
            l->packets++;
            return next_line(l, packet);
        }
        if (gdb_reader_feed(&l->reader, *l->at++) == GDB_INPUT_PACKET) {
            ensure(l->reader.length <= GDB_PACKET_BYTES_MAX && !l->reader.data[l->reader.length]);
            l->packets++;
            *packet = &l->reader;
            return GDB_LINK_PACKET;
        }
    }
    return GDB_LINK_CLOSED;
}

void gdb_link_send(struct gdb_link *l, const struct gdb_writer *w)
{
    ensure(w->length <= GDB_PACKET_BYTES_MAX);
    ensure(feed_frame(&l->answers, l->frame, gdb_frame(w, l->frame)) == GDB_INPUT_PACKET);
}

bool gdb_link_interrupted(struct gdb_link *l)
{
    return true;
}

void gdb_link_stop_acknowledging(struct gdb_link *l)
{
}

void gdb_link_close(struct gdb_link *l)
{
}

/* Stores, a call, a string instruction; then vCPU 0 waits for what never comes. */
/* clang-format off */
static const uint8_t code[] = {
    0xbc, 0x00, 0x00, 0x20, 0x00,                               /*    mov $0x200000, %esp */
    0xb9, 0x05, 0x00, 0x00, 0x00,                               /*    mov $5, %ecx */
    0xc7, 0x05, 0x00, 0x00, 0x30, 0x00, 0x01, 0x00, 0x00, 0x00, /* 1: movl $1, 0x300000 */
    0xe8, 0x0c, 0x00, 0x00, 0x00,                               /*    call 2f */
    0x49, 0x75, 0xee,                                           /*    dec %ecx; jnz 1b */
    0xbf, 0x00, 0x00, 0x31, 0x00,                               /*    mov $0x310000, %edi */
    0xf3, 0xaa, 0xfa, 0xf4,                                     /*    rep stosb; cli; hlt */
    0xff, 0x05, 0x04, 0x00, 0x30, 0x00, 0xc3,                   /* 2: incl 0x300004; ret */
};
/* clang-format on */

struct world {
    struct machine *m;
    struct snapshot *start;
    uint64_t digest;
};

/* Built once; every input finds it as it was built. RAM is full of HLT, since a guest that gdb sends astray through
   zeros executes an instruction every two bytes of it, again and again when gdb goes back. */
static const struct world *world(void)
{
    static uint8_t ram[RAM_BYTES];
    static struct platform_config platform;
    static struct world w;
    struct machine_config config = {.ram_bytes = RAM_BYTES,
                                    .vcpus = 2,
                                    .xen_version = XEN_VERSION(4, 17),
                                    .models = platform_models,
                                    .model_count = platform_model_count,
                                    .platform = &platform};
    struct vcpu_regs r;
    struct diag d;

    if (w.m)
        return &w;
    ensure(machine_new(&config, &w.m, &d) == EMU_OK);
    memset(ram, HLT, sizeof(ram));
    memcpy(ram + CODE_GPA, code, sizeof(code));
    ensure(memory_write(machine_memory(w.m), 0, ram, sizeof(ram)));
    regs_init_protected32(&r, CODE_GPA);
    vcpu_set_regs(w.m, 0, &r);
    ensure(snapshot_take(w.m, NULL, &w.start, &d) == EMU_OK);
    w.digest = machine_digest(w.m);
    return &w;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const volatile sig_atomic_t stop;
    const struct world *w = world();
    struct image image = {.elf_class = 32};
    struct guest guest = {.image = &image, .machine = w->m};
    struct gdb_link *l = calloc(1, sizeof(*l));
    struct gdb_server *s;
    struct diag d;

    ensure(l);
    if (!size) {
        free(l);
        return 0;
    }
    l->lines = bytes[0] & 1;
    l->at = bytes + 1;
    l->end = bytes + size;
    ensure(gdb_server_new(&guest, NULL, l, &stop, &s, &d) == EMU_OK);
    (void)gdb_server_run(s);
    gdb_server_free(s);
    snapshot_restore(w->m, w->start);
    ensure(machine_digest(w->m) == w->digest);
    free(l);
    return 0;
}
