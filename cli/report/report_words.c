/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/report_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "emu/base/plural.h"
#include "emu/delivery.h"
#include "emu/exception.h"
#include "emu/image/symbols.h"
#include "models/xen/xen.h"

#define ERRNO_END 200

const char *words_time(uint64_t ns, char *text, size_t bytes)
{
    if (ns < 1000)
        snprintf(text, bytes, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(text, bytes, "%" PRIu64 ".%03" PRIu64 " µs", ns / 1000, ns % 1000);
    else if (ns < 1000000000)
        snprintf(text, bytes, "%" PRIu64 ".%06" PRIu64 " ms", ns / 1000000, ns % 1000000);
    else
        snprintf(text, bytes, "%" PRIu64 ".%09" PRIu64 " s", ns / 1000000000, ns % 1000000000);
    return text;
}

const char *words_number(uint64_t n, char *text, size_t bytes)
{
    char plain[32];
    int length = snprintf(plain, sizeof(plain), "%" PRIu64, n), out = 0;

    for (int i = 0; i < length && (size_t)out + 2 < bytes; i++) {
        if (i && (length - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = plain[i];
    }
    text[out] = '\0';
    return text;
}

const char *words_place(const struct symbols *s, uint64_t gva, char *text, size_t bytes)
{
    struct symbol found;

    if (!s || !symbols_find_address(s, gva, &found))
        snprintf(text, bytes, "0x%" PRIx64, gva);
    else if (gva == found.start_gva)
        snprintf(text, bytes, "%s", found.name);
    else
        snprintf(text, bytes, "%s+0x%" PRIx64, found.name, gva - found.start_gva);
    return text;
}

const char *words_bytes(const uint8_t *code, size_t n, char *text, size_t bytes)
{
    size_t out = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n && out + 4 < bytes; i++)
        out += (size_t)snprintf(text + out, bytes - out, "%s%02x", i ? " " : "", code[i]);
    return text;
}

const char *words_errno(uint64_t result)
{
    int64_t n = (int64_t)result;

    if (result <= UINT32_MAX) /* of a 32-bit guest */
        n = (int32_t)result;
    return n < 0 && n > -ERRNO_END ? strerrorname_np((int)-n) : NULL;
}

static const char *host_write_name(uint64_t what)
{
    const char *name = xen_host_write_name(what);

    return name ? name : "?";
}

/* NOLINTNEXTLINE(readability-function-size): a case for each kind of fact */
const char *words_fact(const struct symbols *s, const struct scene_fact *f, char *text, size_t bytes)
{
    const struct trace_fact *x = &f->fact;
    char place[160], name[128];

    words_place(s, f->interrupted_gva, place, sizeof(place));
    switch (x->kind) {
    case TRACE_INTERRUPT:
        snprintf(text, bytes, "interrupt 0x%" PRIx64 " delivered before %s", x->a, place);
        break;
    case TRACE_NMI:
        snprintf(text, bytes, "NMI delivered before %s", place);
        break;
    case TRACE_EXCEPTION: {
        const char *what = exception_meaning(x->a);

        if (x->a == VECTOR_PF)
            snprintf(text, bytes, "#PF (page fault, error 0x%" PRIx64 ") at %s, accessing 0x%" PRIx64, x->b, place,
                     x->c);
        else if (x->a < EXCEPTIONS)
            snprintf(text, bytes, "%s (%s) at %s", exception_name(x->a), what ? what : "reserved", place);
        else
            snprintf(text, bytes, "software interrupt 0x%" PRIx64 " at %s", x->a, place);
        break;
    }
    case TRACE_HYPERCALL:
        if (words_errno(x->c))
            snprintf(text, bytes, "hypercall %s = -%s", xen_operation_name(x->a, x->b, name, sizeof(name)),
                     words_errno(x->c));
        else
            snprintf(text, bytes, "hypercall %s = %" PRId64, xen_operation_name(x->a, x->b, name, sizeof(name)),
                     (int64_t)x->c);
        break;
    case TRACE_VCPU_STATE:
        snprintf(text, bytes, "becomes %s", vcpu_state_name((enum vcpu_state)x->a));
        break;
    case TRACE_EVENT:
        snprintf(text, bytes, "event-channel port %" PRIu64 " raised for vCPU %" PRIu64 "%s", x->a, x->b,
                 x->c == TRACE_EVENT_DROPPED ? ", and dropped"
                 : x->c                      ? ", upcall pending"
                                             : "");
        break;
    case TRACE_MSR_WRITE:
        snprintf(text, bytes, "writes 0x%" PRIx64 " to MSR 0x%" PRIx64, x->b, x->a);
        break;
    case TRACE_HOST_WRITE:
        snprintf(text, bytes, "the host writes %" PRIu64 " byte%s of guest memory at 0x%" PRIx64 " (%s)%s", x->b,
                 plural(x->b), x->a, host_write_name(x->c & TRACE_HOST_WRITE_WHAT),
                 x->c & TRACE_HOST_WRITE_SAME ? ", as they were" : "");
        break;
    case TRACE_HOST_AREA:
        if (x->b)
            snprintf(text, bytes, "the host may write %" PRIu64 " byte%s at 0x%" PRIx64 " from now on (%s)", x->b,
                     plural(x->b), x->a, host_write_name(x->c));
        else
            snprintf(text, bytes, "the host writes no more of this (%s)", host_write_name(x->c));
        break;
    case TRACE_OWNER:
        snprintf(text, bytes, "memory at 0x%" PRIx64 " now %s", x->a,
                 x->c == OWNER_NEXT ? "holds what the next kernel will find" : "has been digested");
        break;
    case TRACE_SHUTDOWN: {
        static const char *const reasons[] = {"poweroff", "reboot", "suspend", "crash", "watchdog", "soft reset"};

        snprintf(text, bytes, "shuts the guest down: %s", x->a < 6 ? reasons[x->a] : "unknown reason");
        break;
    }
    case TRACE_CONSOLE:
    case TRACE_KIND_COUNT:
        snprintf(text, bytes, "%s", trace_kind_name(x->kind));
        break;
    }
    return text;
}

const char *words_decision(const struct decision *d, char *text, size_t bytes)
{
    char to[POSITION_TEXT_BYTES];

    switch (d->kind) {
    case DECISION_RUN:
        snprintf(text, bytes, "vCPU %u got its turn", d->vcpu);
        break;
    case DECISION_RUN_TO:
        position_print(&d->to, to, sizeof(to));
        snprintf(text, bytes, "only vCPU %u ran, until it was at %s", d->vcpu, to);
        break;
    case DECISION_NMI:
        snprintf(text, bytes, "an NMI was sent to vCPU %u", d->vcpu);
        break;
    case DECISION_VECTOR:
        snprintf(text, bytes, "interrupt 0x%" PRIx64 " was sent to vCPU %u", d->value, d->vcpu);
        break;
    case DECISION_IPI:
        snprintf(text, bytes, "an IPI with vector 0x%" PRIx64 " arrived at vCPU %u", d->value, d->vcpu);
        break;
    case DECISION_IRQ:
        snprintf(text, bytes, "interrupt line %" PRIu64 " of the PC was raised", d->value);
        break;
    case DECISION_UPCALL:
        snprintf(text, bytes, "Xen made an upcall pending on vCPU %u", d->vcpu);
        break;
    case DECISION_EVENT:
        snprintf(text, bytes, "the other end raised event-channel port %" PRIu64, d->value);
        break;
    case DECISION_EXPIRE:
        if (d->vcpu == DECISION_ANY_VCPU)
            snprintf(text, bytes, "the host let time pass until the next timer expired");
        else
            snprintf(text, bytes, "the host let time pass until the next timer of vCPU %u expired", d->vcpu);
        break;
    case DECISION_LATE:
        snprintf(text, bytes, "the next timer was made %" PRIu64 " ns late", d->value);
        break;
    case DECISION_PASS:
        snprintf(text, bytes, "the host ran no vCPU for %" PRIu64 " ns", d->value);
        break;
    case DECISION_PLUG:
        snprintf(text, bytes, "the toolstack made vCPU %u available", d->vcpu);
        break;
    case DECISION_UNPLUG:
        snprintf(text, bytes, "the toolstack asked for vCPU %u back", d->vcpu);
        break;
    case DECISION_MARK:
    case DECISION_CHECK:
    case DECISION_KIND_COUNT:
        snprintf(text, bytes, "nothing was done");
        break;
    }
    return text;
}

static unsigned print_insn(const struct symbols *s, struct decoder *dec, unsigned bits, uint64_t gva,
                           const uint8_t *code, size_t n, struct words_insn *out)
{
    *out = (struct words_insn){.gva = gva};
    out->length = (unsigned)decoder_print(dec, bits, gva, code, n, out->text, sizeof(out->text));
    if (!out->length) {
        out->length = 1;
        snprintf(out->text, sizeof(out->text), "(no instruction)");
    }
    memcpy(out->code, code, out->length < n ? out->length : n);
    words_place(s, gva, out->place, sizeof(out->place));
    return out->length;
}

unsigned words_code(struct machine *m, const struct symbols *s, struct decoder *dec, unsigned bits, uint64_t gva,
                    const uint8_t *code, size_t n, struct words_insn *insn, unsigned most)
{
    unsigned count = 0;

    for (size_t at = 0; at < n && count < most; count++) {
        uint8_t bytes[INSN_BYTES_MAX];
        size_t have = n - at < sizeof(bytes) ? n - at : sizeof(bytes), total = sizeof(bytes);

        memcpy(bytes, code + at, have);
        if (have < total && !vcpu_read_gva(m, machine_current(m), gva + n, bytes + have, total - have, NULL))
            total = have;
        at += print_insn(s, dec, bits, gva + at, bytes, total, &insn[count]);
    }
    return count;
}

unsigned words_last_insns(const struct scene *sc, struct decoder *dec, struct words_insn *insn, uint64_t *position,
                          unsigned *vcpu, unsigned most)
{
    uint64_t blocks = sc->blocks < SCENE_BLOCKS ? sc->blocks : SCENE_BLOCKS;
    const struct scene_handler *cause = sc->cause == SCENE_NONE ? NULL : &sc->handler[sc->cause];
    unsigned count = 0;

    for (uint64_t i = sc->blocks - blocks; i < sc->blocks; i++) {
        const struct scene_block *b = &sc->block[i % SCENE_BLOCKS];
        const struct scene_block *next = i + 1 < sc->blocks ? &sc->block[(i + 1) % SCENE_BLOCKS] : NULL;
        uint64_t p = b->position;

        for (unsigned at = 0; at < b->bytes; p++) {
            /* A block may end early, and one that repeats an instruction is told again for every time. */
            if (next && next->vcpu == b->vcpu && p >= next->position)
                break;
            if (!next && cause && cause->vcpu == b->vcpu && p >= cause->from_position)
                break;
            if (count == most) {
                memmove(insn, insn + 1, (most - 1) * sizeof(*insn));
                memmove(position, position + 1, (most - 1) * sizeof(*position));
                memmove(vcpu, vcpu + 1, (most - 1) * sizeof(*vcpu));
                count--;
            }
            position[count] = p;
            vcpu[count] = b->vcpu;
            at += print_insn(sc->symbols, dec, b->bits, b->gva + at, b->code + at, b->bytes - at, &insn[count++]);
        }
    }
    return count;
}
