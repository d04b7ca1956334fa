/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/guest_panic.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/delivery.h"
#include "emu/exception.h"
#include "emu/guest_words.h"
#include "emu/image/symbols.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "emu/verdict.h"

#define LINE_BYTES      256u
#define CALLERS_MAX     256u    /* words of the stack that may be looked at */
#define FAULT_STEPS_MAX 200000u /* from a fault to the first line of its report */
#define SILENT_TEXT     "the kernel panics, and its console does not say why"
#define CALL_BYTES      5u /* E8 and a distance */

struct place {
    uint64_t rip_gva, position;
};

struct note {
    bool is_set;
    uint32_t vcpu;
    struct place at;
    char text[LINE_BYTES];
};

struct state { /* plain data, of the machine */
    char line[LINE_BYTES];
    uint32_t used;
    bool next_says_why;            /* the next line belongs to the panic's */
    bool is_reporting;             /* a report is under way */
    bool entered;                  /* the panic function */
    bool is_fatal;                 /* a fault was said to be, and there was one */
    bool crash_kernel;             /* … when another kernel was ready to run */
    bool has_left;                 /* into another kernel, whose symbols nobody knows */
    bool is_over;                  /* the guest says so */
    uint32_t vcpu;                 /* that entered first */
    struct place caller;           /* of the panic function */
    struct note report;            /* the last one's first line */
    struct note panic;             /* the first one's */
    uint64_t said_ns;              /* when the console was heard last */
    struct place fault[VCPUS_MAX]; /* the last exception of each */
};

static const char *name_of(const struct guest_panic *p, uint64_t gva, struct symbol *s)
{
    if (!p->symbols || !symbols_find_address(p->symbols, gva, s) || (s->kind != 'T' && s->kind != 't'))
        return NULL;
    return s->name;
}

/* ---- who panics ---- */

/* The call before this return address; 0 if there is none. */
static uint64_t call_before(struct machine *m, unsigned vcpu, uint64_t return_gva)
{
    uint8_t code[CALL_BYTES];

    if (!vcpu_read_gva(m, vcpu, return_gva - CALL_BYTES, code, sizeof(code), NULL) || code[0] != 0xe8)
        return 0;
    return return_gva - CALL_BYTES;
}

/* At the panic function's first instruction, the return address is on top of the stack. Farther up are other words too:
   those count that stand behind a call. */
static uint64_t find_caller(const struct guest_panic *p, struct machine *m, unsigned vcpu)
{
    unsigned width = vcpu_code_bits(m) == 64 ? 8 : 4;
    uint64_t sp = vcpu_gpr(m, GPR_RSP), first = 0;

    for (unsigned i = 0; i < CALLERS_MAX; i++, sp += width) {
        uint64_t word = 0, call;
        struct symbol s;
        const char *name;

        if (!vcpu_read_gva(m, vcpu, sp, &word, width, NULL))
            break;
        call = call_before(m, vcpu, word);
        if (!i)
            first = call ? call : word - 1;
        name = call || !i ? name_of(p, call ? call : word - 1, &s) : NULL;
        if (name && !p->words->is_reporter(name))
            return call ? call : word - 1;
    }
    return first;
}

static bool is_crash_kernel_ready(const struct guest_panic *p, struct machine *m, unsigned vcpu)
{
    uint64_t image = 0;

    return p->crash_kernel_gva &&
           vcpu_read_gva(m, vcpu, p->crash_kernel_gva, &image, vcpu_code_bits(m) == 64 ? 8 : 4, NULL) && image;
}

static void begin_anew(struct state *s)
{
    bool has_left = s->has_left;

    memset(s, 0, sizeof(*s));
    s->has_left = has_left;
}

static void reached(struct machine *m, uint64_t rip_gva, void *context)
{
    const struct guest_panic *p = context;
    struct state *s = watch_state(m, &p->watcher);
    unsigned vcpu = machine_current(m);

    if (rip_gva == p->leave_gva) {
        begin_anew(s);
        s->has_left = true;
        return;
    }
    if (s->entered)
        return;
    s->entered = true;
    s->vcpu = vcpu;
    s->caller = (struct place){find_caller(p, m, vcpu), vcpu_position(m, vcpu)};
    s->crash_kernel = is_crash_kernel_ready(p, m, vcpu);
}

/* ---- what it says ---- */

/* Of a report: the fault before it, if it was the kernel's. */
static struct place place_of_report(const struct guest_panic *p, struct machine *m, const struct state *s,
                                    unsigned vcpu)
{
    const struct place *fault = &s->fault[vcpu];
    struct symbol symbol;

    if (fault->rip_gva && vcpu_position(m, vcpu) - fault->position <= FAULT_STEPS_MAX &&
        name_of(p, fault->rip_gva, &symbol))
        return *fault;
    return (struct place){0, 0};
}

static void set_note(struct note *n, unsigned vcpu, struct place at, const char *text)
{
    n->is_set = true;
    n->vcpu = vcpu;
    n->at = at;
    snprintf(n->text, sizeof(n->text), "%s", text);
}

static void note_panic(const struct guest_panic *p, struct machine *m, struct state *s, const char *said, bool after)
{
    struct place at = s->entered ? s->caller : place_of_report(p, m, s, machine_current(m));
    unsigned vcpu = s->entered ? s->vcpu : machine_current(m);

    if (s->panic.is_set)
        return;
    if (!at.rip_gva)
        at = (struct place){vcpu_rip(m), vcpu_position(m, machine_current(m))};
    if (after && s->report.is_set) {
        s->panic = s->report;
        if (!s->panic.at.rip_gva) {
            s->panic.at = at;
            s->panic.vcpu = vcpu;
        }
        return;
    }
    set_note(&s->panic, vcpu, at, said);
}

static void read_line(const struct guest_panic *p, struct machine *m, struct state *s)
{
    const char *said;
    enum guest_line what = p->words->read_line(s->line, &said);
    size_t used;

    if (s->next_says_why) {
        s->next_says_why = false;
        used = strlen(s->panic.text);
        snprintf(s->panic.text + used, sizeof(s->panic.text) - used, " %s", said);
        return;
    }
    switch (what) {
    case GUEST_LINE_OTHER:
        return;
    case GUEST_LINE_REPORT:
        if (!s->is_reporting)
            set_note(&s->report, machine_current(m), place_of_report(p, m, s, machine_current(m)), said);
        s->is_reporting = true;
        return;
    case GUEST_LINE_REPORT_DONE:
        s->is_reporting = false;
        return;
    case GUEST_LINE_PANIC_NEXT:
        s->next_says_why = !s->panic.is_set;
        note_panic(p, m, s, said, false);
        return;
    case GUEST_LINE_FATAL:
        s->is_fatal |= place_of_report(p, m, s, machine_current(m)).rip_gva != 0;
        note_panic(p, m, s, said, false);
        return;
    case GUEST_LINE_FATAL_AFTER:
        s->is_fatal |= s->report.is_set && s->report.at.rip_gva != 0;
        note_panic(p, m, s, said, true);
        return;
    case GUEST_LINE_PANIC:
    case GUEST_LINE_PANIC_AFTER:
        note_panic(p, m, s, said, what == GUEST_LINE_PANIC_AFTER);
        return;
    case GUEST_LINE_END:
        s->is_over = s->panic.is_set;
        return;
    case GUEST_LINE_ANEW:
        begin_anew(s);
        return;
    }
}

static void hear(const struct guest_panic *p, struct machine *m, struct state *s, char byte)
{
    if (byte == '\r')
        return;
    if (byte == '\n') {
        s->line[s->used] = '\0';
        s->used = 0;
        read_line(p, m, s);
    } else if (s->used < LINE_BYTES - 1) {
        /* NOLINTNEXTLINE(bugprone-narrowing-conversions): the value fits: it was checked or is a character */
        s->line[s->used++] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
}

/* ---- the verdict ---- */

/* The vCPU has just entered the handler: where the exception was, as the handler finds it on its stack. */
static uint64_t fault_gva(struct machine *m, const struct trace_fact *fact)
{
    unsigned width = vcpu_code_bits(m) == 64 ? 8 : 4;
    uint64_t sp = vcpu_gpr(m, GPR_RSP) + (exception_has_error_code(fact->a) ? width : 0), rip_gva = 0;

    return vcpu_read_gva(m, fact->vcpu, sp, &rip_gva, width, NULL) ? rip_gva : 0;
}

/* Whether it is a PV kernel that asks the one below for the time or for CPUID, as it does while it reports a fault:
   RDTSC, RDTSCP, CPUID, or Xen's prefix for the latter. Source: Xen public/arch-x86/xen.h, XEN_EMULATE_PREFIX. */
static bool is_asking(struct machine *m, const struct trace_fact *fact, uint64_t gva)
{
    static const uint8_t asking[][6] = {
        {2, 0x0f, 0x31}, {3, 0x0f, 0x01, 0xf9}, {2, 0x0f, 0xa2}, {5, 0x0f, 0x0b, 0x78, 0x65, 0x6e}};
    uint64_t sp = vcpu_gpr(m, GPR_RSP) + (exception_has_error_code(fact->a) ? 8 : 0), cs = 0;
    uint8_t code[5];

    if (vcpu_code_bits(m) != 64 || !vcpu_read_gva(m, fact->vcpu, sp + 8, &cs, sizeof(cs), NULL) || (cs & 3) != 3 ||
        !vcpu_read_gva(m, fact->vcpu, gva, code, sizeof(code), NULL))
        return false;
    for (size_t i = 0; i < COUNT(asking); i++)
        if (!memcmp(code, asking[i] + 1, asking[i][0]))
            return true;
    return false;
}

/* Said where only a kernel that panics could say it. */
static bool has_said(const struct guest_panic *p, const struct state *s)
{
    return s->panic.is_set && (s->entered || s->is_fatal || !p->panic_gva || s->has_left);
}

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    const struct guest_panic *p = context;
    struct state *s = watch_state(m, &p->watcher);

    if (fact->kind == TRACE_CONSOLE) {
        hear(p, m, s, (char)fact->a);
        s->said_ns = fact->time_ns;
    } else if (fact->kind == TRACE_EXCEPTION) {
        uint64_t gva = fault_gva(m, fact);

        if (!is_asking(m, fact, gva))
            s->fault[fact->vcpu] = (struct place){gva, fact->position};
    }
    if (has_said(p, s) && !s->crash_kernel &&
        (s->is_over || (s->entered && fact->time_ns - s->said_ns > GUEST_PANIC_QUIET_NS)))
        watch_ask(m, &p->watcher);
}

static void asked(struct machine *m, void *context)
{
    const struct guest_panic *p = context;
    const struct state *s = watch_state(m, &p->watcher);

    machine_set_verdict(m, VERDICT_FAIL, "crash", "%s", s->panic.text);
}

static bool may_be_ours(const struct verdict *v)
{
    if (v->kind == VERDICT_FAIL)
        return v->detector && (!strcmp(v->detector, "crash") || !strcmp(v->detector, "hang"));
    return v->kind == VERDICT_BUDGET || v->kind == VERDICT_NONE;
}

static void judges(struct machine *m, struct verdict *v, void *context)
{
    const struct guest_panic *p = context;
    const struct state *s = watch_state(m, &p->watcher);
    bool said = has_said(p, s);

    if (!may_be_ours(v) || !(said || s->entered) || (v->kind != VERDICT_FAIL && s->crash_kernel))
        return;
    if (!said && s->has_left)
        return;
    v->kind = VERDICT_FAIL;
    v->detector = "crash";
    v->is_quote = true;
    v->vcpu = said ? s->panic.vcpu : s->vcpu;
    v->rip_gva = said ? s->panic.at.rip_gva : s->caller.rip_gva;
    v->position = said ? s->panic.at.position : s->caller.position;
    snprintf(v->text, sizeof(v->text), "%s", said ? s->panic.text : SILENT_TEXT);
}

static uint64_t find(const struct symbols *symbols, const char *name, bool is_code)
{
    struct symbol s;

    if (!symbols || !name || symbols_find_name(symbols, name, &s) != 1)
        return 0;
    return (s.kind == 'T' || s.kind == 't') == is_code ? s.start_gva : 0;
}

enum emu_err guest_panic_attach(struct guest_panic *p, struct machine *m, const struct guest_words *words,
                                const struct symbols *symbols, struct diag *d)
{
    uint64_t place[2];
    unsigned places = 0;
    enum emu_err err;

    static_assert(sizeof(struct state) <= WATCH_STATE_BYTES / 8, "others have room too");
    *p = (struct guest_panic){
        .words = words,
        .symbols = symbols,
        .panic_gva = find(symbols, words->panic, true),
        .leave_gva = find(symbols, words->leave, true),
        .crash_kernel_gva = find(symbols, words->crash_kernel, false),
        .watcher = {
            .reached = reached, .asked = asked, .judges = judges, .context = p, .state_bytes = sizeof(struct state)}};
    if (p->panic_gva)
        place[places++] = p->panic_gva;
    if (p->leave_gva)
        place[places++] = p->leave_gva;
    err = watch_add(m, &p->watcher, d);
    if (err == EMU_OK)
        err = watch_set_places(m, &p->watcher, place, places, d);
    if (err == EMU_OK)
        trace_listen(m, listen, p);
    return err;
}
