/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/story.h"
#include "emu/base/plural.h"
#include "emu/delivery.h"
#include "emu/exception.h"
#include "emu/image/symbols.h"

#define DECISIONS_TOLD     3u
#define CONSOLE_LINES      3u
#define BAD_BYTES_SHOWN    4u /* of what is no instruction */
#define CONSOLE_LINE_SHOWN 120u
#define SPIN_SHARE         8u /* spinning for more than 1/8 of the last scene is worth a sentence */

EMU_PRINTF(2, 3)
static void say(struct story *s, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (s->paragraphs < STORY_PARAGRAPHS_MAX && vasprintf(&text, fmt, ap) >= 0)
        s->paragraph[s->paragraphs++] = text;
    va_end(ap);
}

static const struct symbols *symbols_of(const struct report *r)
{
    return r->timeline->session->guest.symbols;
}

static const struct machine_config *config_of(const struct report *r)
{
    return machine_config(r->timeline->session->guest.machine);
}

static const char *place_of(const struct report *r, uint64_t gva, char text[static 160])
{
    return words_place(symbols_of(r), gva, text, 160);
}

/* The first handler that was entered at or behind the anchor. */
static const struct scene_handler *first_handler(const struct report *r)
{
    const struct timeline *t = r->timeline;
    const struct scene *sc = &t->scene[0];

    for (size_t i = 0; t->anchor && i < sc->handlers; i++)
        if (sc->handler[i].from_ns >= t->anchor->time_ns && sc->handler[i].kind != TRACE_EXCEPTION)
            return &sc->handler[i];
    return NULL;
}

static const struct scene_torn *first_torn(const struct scene *sc)
{
    for (unsigned i = 0; i < sc->torns; i++)
        if (sc->torn[i].executed)
            return &sc->torn[i];
    return NULL;
}

/* How long the vCPU has done nothing but spin when the last scene ended, and where. */
static uint64_t last_spin(const struct scene *sc, unsigned vcpu, uint64_t *symbol_gva)
{
    uint64_t spun = 0;

    *symbol_gva = 0;
    for (size_t i = sc->spans; i-- > 0;) {
        const struct scene_span *s = &sc->span[i];

        if (s->vcpu != vcpu)
            continue;
        if (s->kind != SCENE_SPINNING)
            break;
        if (!*symbol_gva)
            *symbol_gva = s->symbol_gva;
        spun += s->to_ns - s->from_ns;
    }
    return spun;
}

static void tell_headline(struct story *s, const struct report *r)
{
    const struct verdict *v = &r->timeline->verdict;
    char place[160];

    switch (v->kind) {
    case VERDICT_PASS:
        snprintf(s->headline, sizeof(s->headline), "The run passed: %s.", v->text);
        break;
    case VERDICT_FAIL:
        snprintf(s->headline, sizeof(s->headline), "The run failed: %s.", v->text);
        break;
    case VERDICT_UNMODELLED:
        snprintf(s->headline, sizeof(s->headline), "The guest asked for what the model does not know: %s.", v->text);
        break;
    case VERDICT_BUDGET:
        snprintf(s->headline, sizeof(s->headline), "The run had not ended when %s.", v->text);
        break;
    case VERDICT_INTERRUPTED:
        snprintf(s->headline, sizeof(s->headline), "The run was interrupted by the user.");
        break;
    case VERDICT_ERROR:
    case VERDICT_NONE:
        snprintf(s->headline, sizeof(s->headline), "bootrace itself failed: %s.", v->text);
        break;
    }
    if (session_has_place(v))
        snprintf(s->place, sizeof(s->place), "%s, on vCPU %u before its step %" PRIu64, place_of(r, v->rip_gva, place),
                 v->vcpu, v->position);
}

/* Who executed code that was half changed: the interrupt's handler, another vCPU. */
static const char *torn_by(const struct report *r, const struct scene_torn *t, char text[static 64])
{
    const struct scene_handler *h = first_handler(r);

    if (t->vcpu != r->timeline->site[t->site].vcpu)
        snprintf(text, 64, "vCPU %u", t->vcpu);
    else
        snprintf(text, 64, "%s",
                 h && h->kind == TRACE_NMI ? "the NMI's handler"
                 : h                       ? "the interrupt's handler"
                                           : "the same vCPU");
    return text;
}

static void tell_lead(struct story *s, const struct report *r)
{
    const struct timeline *t = r->timeline;
    const struct scene_torn *torn = first_torn(&t->scene[0]);
    const struct scene *sc = &t->scene[t->scenes - 1];
    char place[160], who[64], time[64];

    if (t->verdict.kind == VERDICT_PASS)
        return;
    if (torn) {
        snprintf(s->lead, sizeof(s->lead),
                 "While vCPU %u was changing code at %s, %s executed it: an instruction, half old and half new, that "
                 "nobody ever wrote.",
                 t->site[torn->site].vcpu, place_of(r, t->site[torn->site].gva, place), torn_by(r, torn, who));
        return;
    }
    if (t->scene[0].cause != SCENE_NONE) {
        const struct scene_handler *h = &t->scene[0].handler[t->scene[0].cause];

        snprintf(s->lead, sizeof(s->lead), "vCPU %u raised %s at %s and never came back from it.", h->vcpu,
                 exception_name(h->vector), place_of(r, h->interrupted_gva, place));
        return;
    }
    for (unsigned v = 0; v < machine_vcpus(sc->machine); v++) {
        uint64_t where, spun = last_spin(sc, v, &where);

        if (vcpu_state(sc->machine, v) != VCPU_RUNNABLE || spun * 2 < sc->to_ns - sc->from_ns)
            continue;
        snprintf(s->lead, sizeof(s->lead), "vCPU %u spins in %s for ever: for the last %s it did nothing else.", v,
                 scene_symbol_name(symbols_of(r), where, place, sizeof(place)), words_time(spun, time, sizeof(time)));
        return;
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void tell_setting(struct story *s, const struct report *r)
{
    const struct timeline *t = r->timeline;
    const struct guest_options *o = &t->session->guest.options;
    const struct machine_config *c = config_of(r);
    char time[64], steps[32];

    say(s,
        "The guest %s ran as %s guest of a modelled Xen %u.%u with %u vCPU%s%s. It made %s steps (a step is one "
        "instruction, or the delivery of one interrupt or exception) in %s of virtual time.",
        base_name(r->image),
        o->mode == PLATFORM_HVM   ? "an HVM"
        : o->mode == PLATFORM_PVH ? "a PVH"
                                  : "a PV",
        c->xen_version >> 16, c->xen_version & 0xffff, c->vcpus, plural(c->vcpus),
        o->edits ? ", its code edited before the start as the command below says" : "",
        words_number(t->end_steps, steps, sizeof(steps)), words_time(t->end_ns, time, sizeof(time)));
}

static void tell_decision(struct story *s, const struct report *r, const struct timeline_decision *d)
{
    const struct decision *what = &r->timeline->session->options.schedule->decision[d->number];
    char place[160], words[WORDS_BYTES], line[DECISION_TEXT_BYTES], step[32], time[64];

    decision_print(what, line, sizeof(line));
    say(s,
        "At %s, when vCPU %u had made %s steps and was about to execute the instruction at %s, the schedule interfered "
        "(“%s”): %s.",
        words_time(d->time_ns, time, sizeof(time)), d->vcpu, words_number(d->position, step, sizeof(step)),
        place_of(r, d->rip_gva, place), line, words_decision(what, words, sizeof(words)));
}

static void tell_decisions(struct story *s, const struct report *r)
{
    const struct timeline *t = r->timeline;
    unsigned first = t->decisions > DECISIONS_TOLD ? t->decisions - DECISIONS_TOLD : 0;
    char n[32];

    if (!t->decisions) {
        say(s, "No decision of a schedule interfered: interrupts and the vCPUs' turns followed the "
               "default.");
        return;
    }
    if (t->decisions_made > DECISIONS_TOLD)
        say(s, "The schedule interfered %s times; these are the last.", words_number(t->decisions_made, n, sizeof(n)));
    for (unsigned i = first; i < t->decisions; i++)
        tell_decision(s, r, &t->decision[i]);
}

static void tell_delivery(struct story *s, const struct report *r, const struct scene_handler *h)
{
    char at[160], handler[160], what[64];

    if (!h)
        return;
    if (h->kind == TRACE_NMI)
        snprintf(what, sizeof(what), "an NMI");
    else
        snprintf(what, sizeof(what), "interrupt 0x%" PRIx64, h->vector);
    say(s, "So vCPU %u took %s between two instructions, before %s, and went on in the handler at %s.", h->vcpu, what,
        place_of(r, h->interrupted_gva, at), place_of(r, h->handler_gva, handler));
}

/* "f0 83 04 24 00 (lock add dword ptr [esp], 0)" */
static void code_text(const struct report *r, struct decoder *dec, unsigned bits, uint64_t gva, const uint8_t *code,
                      unsigned n, char *text, size_t bytes)
{
    struct words_insn insn[8];
    unsigned count = words_code(r->timeline->session->guest.machine, symbols_of(r), dec, bits, gva, code, n, insn, 8);
    size_t at = strlen(words_bytes(code, n, text, bytes));

    for (unsigned i = 0; i < count && at + 4 < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", i ? "; " : " (", insn[i].text);
    if (at + 2 < bytes)
        snprintf(text + at, bytes - at, ")");
}

static unsigned code_bits_of(const struct report *r)
{
    const struct scene *sc = &r->timeline->scene[0];

    return sc->blocks ? sc->block[(sc->blocks - 1) % SCENE_BLOCKS].bits : 64;
}

static void tell_site(struct story *s, const struct report *r, struct decoder *dec)
{
    const struct timeline *t = r->timeline;
    const struct scene_site *site = &t->site[0];
    unsigned bits = code_bits_of(r), changed = 0, left = 0;
    char place[160], writer[160], before[WORDS_BYTES], after[WORDS_BYTES], during[WORDS_BYTES];

    if (!t->sites)
        return;
    for (unsigned i = 0; i < site->bytes; i++) {
        changed += site->before[i] != site->during[i];
        left += site->during[i] != site->after[i];
    }
    code_text(r, dec, bits, site->gva, site->before, site->bytes, before, sizeof(before));
    code_text(r, dec, bits, site->gva, site->after, site->bytes, after, sizeof(after));
    words_bytes(site->during, site->bytes, during, sizeof(during));
    say(s,
        "Just then vCPU %u was changing code at %s, in stores of %u byte%s. Before, it was %s. It was to become "
        "%s. When the interruption came it was %s: %u byte%s changed already, %u still to be written. The last store "
        "was "
        "made by %s; left alone, the vCPU would have finished with its step %" PRIu64 ".%s",
        site->vcpu, place_of(r, site->gva, place), site->store_bytes, plural(site->store_bytes), before, after, during,
        changed, plural(changed), left, place_of(r, site->writer_gva, writer), site->last_position,
        t->sites > 1 ? " (Other code was being changed at the same time, too: see below.)" : "");
}

/* The run was stopped before the torn instruction, by the detector that watches its site. */
static bool tell_torn_next(struct story *s, const struct report *r, struct decoder *dec)
{
    const struct verdict *v = &r->timeline->verdict;
    struct machine *m = r->timeline->session->guest.machine;
    struct words_insn insn;
    uint8_t code[INSN_BYTES_MAX];
    char place[160], bytes[64];

    if (!v->detector || strcmp(v->detector, "torn-code") != 0 ||
        !vcpu_read_gva(m, v->vcpu, v->rip_gva, code, sizeof(code), NULL))
        return false;
    if (!words_code(m, symbols_of(r), dec, vcpu_code_bits(m), v->rip_gva, code, sizeof(code), &insn, 1))
        return false;
    say(s,
        "Then vCPU %u came to %s, where it would have executed %s (%s): neither the old nor the new code. There the "
        "run "
        "was stopped.",
        v->vcpu, place_of(r, v->rip_gva, place), words_bytes(code, insn.length, bytes, sizeof(bytes)), insn.text);
    return true;
}

static void tell_torn(struct story *s, const struct report *r, struct decoder *dec)
{
    const struct scene_torn *t = first_torn(&r->timeline->scene[0]);
    struct words_insn insn;
    char place[160], bytes[64], who[64];
    unsigned shown;
    bool is_insn;

    if (!t) {
        if (!tell_torn_next(s, r, dec) && r->timeline->sites)
            say(s, "No vCPU was seen executing the half-changed code in the time around this.");
        return;
    }
    if (!words_code(r->timeline->session->guest.machine, symbols_of(r), dec, t->bits, t->gva, t->code, t->length, &insn,
                    1))
        return;
    is_insn = insn.text[0] != '(';
    shown = is_insn || t->length < BAD_BYTES_SHOWN ? t->length : BAD_BYTES_SHOWN;
    say(s,
        "Then %s executed that half-changed code: at %s it took the bytes %s for %s%s%s. This is neither an "
        "instruction "
        "of the old code nor one of the new: nobody ever wrote it.",
        torn_by(r, t, who), place_of(r, t->gva, place), words_bytes(t->code, shown, bytes, sizeof(bytes)),
        is_insn ? "“" : "", is_insn ? insn.text : "an instruction, which they are not", is_insn ? "”" : "");
}

static void tell_exception(struct story *s, const struct report *r)
{
    const struct scene *sc = &r->timeline->scene[0];
    const struct scene_torn *torn = first_torn(sc);
    const struct scene_handler *h = sc->cause == SCENE_NONE ? NULL : &sc->handler[sc->cause];
    char place[160], fact[WORDS_BYTES], later[96] = "";

    if (!h)
        return;
    for (size_t i = 0; i < sc->facts; i++) {
        const struct scene_fact *f = &sc->fact[i];

        if (f->fact.kind != TRACE_EXCEPTION || f->fact.vcpu != h->vcpu || f->fact.position != h->from_position)
            continue;
        words_fact(symbols_of(r), f, fact, sizeof(fact));
        if (torn && torn->vcpu == h->vcpu && h->from_position > torn->position)
            snprintf(later, sizeof(later), "%" PRIu64 " step%s after that, ", h->from_position - 1 - torn->position,
                     plural(h->from_position - 1 - torn->position));
        if (torn && torn->vcpu == h->vcpu && torn->gva == h->interrupted_gva)
            say(s, "The processor refused it: %s. The exception's handler at %s never returned from it.", fact,
                place_of(r, h->handler_gva, place));
        else
            say(s, "%svCPU %u raised %s, and the exception's handler at %s never returned from it.",
                later[0] ? later : "", h->vcpu, fact, place_of(r, h->handler_gva, place));
        return;
    }
}

static void tell_end(struct story *s, const struct report *r)
{
    const struct timeline *t = r->timeline;
    const struct scene *sc = &t->scene[t->scenes - 1];
    struct machine *m = t->session->guest.machine;

    if (t->verdict.kind == VERDICT_PASS)
        return;
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        uint64_t where, spun = last_spin(sc, v, &where);
        const char *reason = vcpu_wait_reason(m, v);
        enum vcpu_state state = vcpu_state(m, v);
        struct vcpu_regs regs;
        char name[160], time[64];

        if (state == VCPU_OFFLINE)
            continue;
        vcpu_get_regs(m, v, &regs);
        if (state != VCPU_RUNNABLE)
            say(s, "At the end vCPU %u was %s%s%s, with interrupts %s.", v, vcpu_state_name(state), reason ? ": " : "",
                reason ? reason : "", regs.rflags & RFLAGS_IF ? "enabled" : "disabled");
        else if (spun * SPIN_SHARE > sc->to_ns - sc->from_ns)
            say(s,
                "At the end vCPU %u had been spinning in %s for %s%s, with interrupts %s: the same few instructions, "
                "without writing anything.",
                v, scene_symbol_name(symbols_of(r), where, name, sizeof(name)), words_time(spun, time, sizeof(time)),
                spun + (sc->to_ns - sc->from_ns) / 64 > sc->to_ns - sc->from_ns ? " and longer" : "",
                regs.rflags & RFLAGS_IF ? "enabled" : "disabled");
    }
}

/* Code that led to the exception, and had been changed shortly before. */
static void tell_changed(struct story *s, const struct report *r, struct decoder *dec)
{
    const struct scene *sc = &r->timeline->scene[0];
    const struct scene_write *last = NULL;
    struct words_insn insn[2];
    uint64_t position[2];
    unsigned vcpu[2], count;
    char at[160], by[160], before[64], after[64], steps[32];

    if (sc->cause == SCENE_NONE || first_torn(sc))
        return;
    count = words_last_insns(sc, dec, insn, position, vcpu, 2);
    for (size_t i = 0; count && i < sc->writes; i++) {
        const struct scene_write *x = &sc->write[i];

        if (memcmp(x->before, x->after, x->bytes) && x->gva < insn[count - 1].gva + insn[count - 1].length &&
            insn[count - 1].gva < x->gva + x->bytes && x->time_ns <= sc->handler[sc->cause].from_ns)
            last = x;
    }
    if (!last)
        return;
    say(s,
        "The last instruction before it, “%s” at %s, had been changed shortly before: when vCPU %u had made %s steps, "
        "the instruction at %s wrote %s where %s had been.",
        insn[count - 1].text, place_of(r, insn[count - 1].gva, at), last->vcpu,
        words_number(last->position, steps, sizeof(steps)), words_place(symbols_of(r), last->rip_gva, by, sizeof(by)),
        words_bytes(last->after, last->bytes, after, sizeof(after)),
        words_bytes(last->before, last->bytes, before, sizeof(before)));
}

static void tell_refusals(struct story *s, const struct report *r)
{
    const struct timeline *t = r->timeline;
    char fact[WORDS_BYTES], time[64], n[32];

    if (!t->refusals || t->verdict.kind == VERDICT_PASS)
        return;
    say(s, "Xen refused %s hypercall%s; the last such, at %s, was by vCPU %u: %s.",
        words_number(t->refusals, n, sizeof(n)), plural(t->refusals),
        words_time(t->refused.fact.time_ns, time, sizeof(time)), t->refused.fact.vcpu,
        words_fact(symbols_of(r), &t->refused, fact, sizeof(fact)));
}

/* The guest's own last words: the last lines that say something. */
static void tell_console(struct story *s, const struct report *r)
{
    const char *end = r->timeline->console + strlen(r->timeline->console), *from = end;
    char text[CONSOLE_LINES * (CONSOLE_LINE_SHOWN + 8)];
    size_t at = 0;

    if (r->timeline->verdict.kind == VERDICT_PASS)
        return;
    for (unsigned lines = 0; from > r->timeline->console && lines < CONSOLE_LINES;) {
        const char *line = from - 1;

        while (line > r->timeline->console && line[-1] != '\n')
            line--;
        if (*line != '\n')
            lines++;
        from = line;
    }
    text[0] = '\0';
    while (from < end && at + CONSOLE_LINE_SHOWN + 8 < sizeof(text)) {
        size_t length = strcspn(from, "\n"), shown = length < CONSOLE_LINE_SHOWN ? length : CONSOLE_LINE_SHOWN;

        if (shown)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s%s", at ? " / " : "", (int)shown, from,
                                   shown < length ? "…" : "");
        from += length + (from + length < end);
    }
    if (text[0])
        say(s, "The last line that the guest wrote on its console: “%s”.", text);
}

static void tell_finding(struct story *s, const struct report *r)
{
    const struct case_search_failure *f = r->finding;

    if (f)
        say(s, "The case is a search, and this is failure %" PRIu64 " of %" PRIu64 " that it finds. There it says: %s.",
            f->number, f->count, f->text);
}

enum emu_err story_tell(struct story *s, const struct report *r, struct diag *d)
{
    struct decoder *dec;
    enum emu_err err = decoder_new(&dec, d);

    memset(s, 0, sizeof(*s));
    if (err != EMU_OK)
        return err;
    tell_headline(s, r);
    tell_lead(s, r);
    tell_finding(s, r);
    tell_setting(s, r);
    tell_decisions(s, r);
    tell_delivery(s, r, first_handler(r));
    tell_site(s, r, dec);
    tell_torn(s, r, dec);
    tell_exception(s, r);
    tell_changed(s, r, dec);
    tell_refusals(s, r);
    tell_end(s, r);
    tell_console(s, r);
    decoder_free(dec);
    return EMU_OK;
}

void story_fini(struct story *s)
{
    for (unsigned i = 0; i < s->paragraphs; i++)
        free(s->paragraph[i]);
    s->paragraphs = 0;
}
