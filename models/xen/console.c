/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: the console ring, with the console daemon at its other end, and console_io.
 *
 * The host takes output out of the ring at once, and tells the guest so by the console's event channel.
 *
 * Source: Xen public/io/console.h; drivers/char/console.c, do_console_io(); tools/console/daemon.
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "emu/trace.h"
#include "models/platform_config.h"

#define CONSOLE_PIECE_BYTES 127u /* guest_console_write(), kbuf */

void xen_console_init(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    x->console_port = xen_port_backend(m);
    x->hvm_param[HVM_PARAM_CONSOLE_EVTCHN] = x->console_port;
}

static uint32_t ring_index(struct machine *m, size_t offset)
{
    uint32_t index;

    xen_page_read(m, PAGE_CONSOLE, (unsigned)offset, &index, sizeof(index));
    return index;
}

static void set_ring_index(struct machine *m, size_t offset, uint32_t index)
{
    xen_page_write(m, PAGE_CONSOLE, (unsigned)offset, &index, sizeof(index), XEN_WRITE_CONSOLE);
}

#define OUT_BYTES sizeof(((struct xencons_interface *)0)->out)
#define IN_BYTES  sizeof(((struct xencons_interface *)0)->in)

/* Input that did not fit moves up when the guest has made room. */
static bool push_input(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    uint32_t prod = ring_index(m, offsetof(struct xencons_interface, in_prod));
    uint32_t cons = ring_index(m, offsetof(struct xencons_interface, in_cons));
    uint32_t count = 0;

    while (count < x->console_input_bytes && prod - cons < IN_BYTES) {
        xen_page_write(m, PAGE_CONSOLE, (unsigned)(offsetof(struct xencons_interface, in) + prod % IN_BYTES),
                       &x->console_input[count], 1, XEN_WRITE_CONSOLE);
        prod++;
        count++;
    }
    if (!count)
        return false;
    memmove(x->console_input, x->console_input + count, x->console_input_bytes - count);
    x->console_input_bytes -= count;
    memset(x->console_input + x->console_input_bytes, 0, count);
    set_ring_index(m, offsetof(struct xencons_interface, in_prod), prod);
    return true;
}

void xen_console_notified(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    uint32_t cons = ring_index(m, offsetof(struct xencons_interface, out_cons));
    uint32_t prod = ring_index(m, offsetof(struct xencons_interface, out_prod));
    bool work = cons != prod;

    if (prod - cons > OUT_BYTES) { /* nonsense; the daemon ignores it */
        return;
    }
    for (; cons != prod; cons++) {
        uint8_t byte;

        xen_page_read(m, PAGE_CONSOLE, (unsigned)(offsetof(struct xencons_interface, out) + cons % OUT_BYTES), &byte,
                      1);
        trace_add(m, TRACE_CONSOLE, machine_current(m), byte, XEN_CONSOLE_RING, 0);
    }
    if (work)
        set_ring_index(m, offsetof(struct xencons_interface, out_cons), cons);
    work = push_input(m) || work;
    if (work && x->port[x->console_port].state == PORT_INTERDOMAIN)
        xen_port_raise(m, x->console_port);
}

unsigned xen_console_input(struct machine *m, const uint8_t *bytes, unsigned count)
{
    struct xen_state *x = xen_state(m);
    unsigned room = CONSOLE_INPUT_BYTES - x->console_input_bytes;

    if (count > room)
        count = room;
    memcpy(x->console_input + x->console_input_bytes, bytes, count);
    x->console_input_bytes += count;
    if (push_input(m) && x->port[x->console_port].state == PORT_INTERDOMAIN)
        xen_port_raise(m, x->console_port);
    return count;
}

/* A guest's lines go to Xen's own console where it is built to show them, as here; guest_loglvl is "all". Copied in
   pieces: what lies before the first one that is not mapped has been written. The pieces end where the guest's memory
   does. Up to 4.12 the count has a sign, and what is negative is nothing to do. */
static int64_t op_write(struct xen_call *c)
{
    uint32_t count = (uint32_t)c->arg[1], bytes;
    uint64_t gva = c->arg[2];
    uint8_t piece[CONSOLE_PIECE_BYTES];

    if (c->t->console_count_signed && count > INT32_MAX)
        return 0;
    for (; count; count -= bytes, gva += bytes) {
        bytes = count < sizeof(piece) ? count : sizeof(piece);
        if (!xen_copy_in(c, gva, piece, bytes))
            return XEN_EFAULT;
        for (uint32_t i = 0; i < bytes; i++)
            trace_add(c->m, TRACE_CONSOLE, c->vcpu, piece[i], XEN_CONSOLE_HYPERCALL, 0);
    }
    return 0;
}

/* Input is for domain 0. */
static int64_t op_read(struct xen_call *c)
{
    return XEN_EPERM;
}

/* clang-format off */
const struct xen_op xen_console_ops[] = {
    {.number = CONSOLEIO_write, .name = "write", .handler = op_write, .source = "guest_console_write"},
    {.number = CONSOLEIO_read, .name = "read", .handler = op_read, .source = "CONSOLEIO_read"},
};
/* clang-format on */
const unsigned xen_console_op_count = COUNT(xen_console_ops);
