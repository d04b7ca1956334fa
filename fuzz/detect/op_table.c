/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/op_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "emu/watch.h"
#include "fuzz/detect/detector.h"

#define DETECTOR          "op-table"
#define REPORT_BYTES      8192u
#define RANGES_MAX        32u
#define RANGE_ENTRIES_MAX 65536u /* of one table of sites */
#define PATCHING_MAX      4u     /* patching functions within each other */
#define SITE_BYTES_MAX    16u
#define SITES_NAMED_MAX   8u
#define INLINED           1u /* instead of a function's address */

struct held { /* a lock that a vCPU called for */
    uint64_t lock_gva, function_gva;
    uint32_t vcpu, protocol;
};

struct state {
    uint32_t armed; /* the slots are watched, value[] is what they hold */
    uint32_t range_count, patching_count, held_count, held_next, waited_count;
    uint64_t value[OP_TABLE_SLOTS_MAX];
    uint64_t patched_to[OP_TABLE_SLOTS_MAX]; /* function, INLINED, or 0 if no site was patched yet */
    struct {
        uint64_t first_gva, end_gva;
    } range[RANGES_MAX];
    struct {
        uint64_t return_gva, sp, first_gva, end_gva; /* end_gva 0: the boot patcher */
    } patching[PATCHING_MAX];
    struct held held[OP_TABLE_HELD_MAX];
    uint64_t waited[OP_TABLE_HELD_MAX]; /* queued locks whose release must wake */
};

struct op_table {
    struct machine *m;
    struct op_table_config c;
    const struct symbols *symbols;
    unsigned checks;
    struct watcher watcher;
    bool has_watched;
    char report[REPORT_BYTES];
};

static_assert(sizeof(struct state) <= WATCH_STATE_BYTES, "the state of a watcher");

/* ---- text ---- */

EMU_PRINTF(3, 4) static void append(char *text, size_t bytes, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + used, bytes - used, fmt, args);
    va_end(args);
}

struct place_text {
    char text[160];
};

static struct place_text name(const struct op_table *o, uint64_t gva)
{
    struct place_text p;
    struct symbol s;

    if (gva == INLINED)
        snprintf(p.text, sizeof(p.text), "inlined code");
    else if (!o->symbols || !symbols_find_address(o->symbols, gva, &s))
        snprintf(p.text, sizeof(p.text), "0x%" PRIx64, gva);
    else if (s.start_gva == gva)
        snprintf(p.text, sizeof(p.text), "%.120s", s.name);
    else
        snprintf(p.text, sizeof(p.text), "%.120s+0x%" PRIx64, s.name, gva - s.start_gva);
    return p;
}

/* The first finding is the verdict; its report is not overwritten by a later run of the same machine. */
static void find(struct op_table *o, const char *sentence, const char *report)
{
    if (machine_verdict(o->m)->kind != VERDICT_NONE)
        return;
    if (!o->report[0])
        snprintf(o->report, sizeof(o->report), "%s", report);
    machine_set_verdict(o->m, VERDICT_FAIL, DETECTOR, "%s", sentence);
}

/* ---- sites ---- */

static unsigned word_bytes(const struct op_table *o)
{
    return o->c.bits / 8;
}

static bool read_gva(struct op_table *o, uint64_t gva, void *dst, size_t bytes)
{
    return vcpu_read_gva(o->m, machine_current(o->m), gva, dst, bytes, NULL);
}

/* The address of the function that a site calls, INLINED, or 0: it is not patched, or not there. */
static uint64_t read_site(struct op_table *o, const struct op_table_site *site)
{
    uint8_t code[SITE_BYTES_MAX];
    unsigned bytes = site->bytes < sizeof(code) ? site->bytes : sizeof(code), at = 0;
    int32_t distance;
    uint64_t target;

    if (bytes < 2 || !read_gva(o, site->site_gva, code, bytes))
        return 0;
    while (at + 2 < bytes && (code[at] == 0x2e || code[at] == 0x3e || code[at] == 0x66))
        at++;
    if (code[at] == 0xff && (code[at + 1] >> 3 & 7) == 2)
        return 0;
    if (code[at] != 0xe8 || bytes - at < 5)
        return INLINED;
    memcpy(&distance, code + at + 1, sizeof(distance));
    target = site->site_gva + at + 5 + (uint64_t)(int64_t)distance;
    return o->c.bits == 64 ? target : (uint32_t)target;
}

#define PARAVIRT_NUMBERS 2u /* bytes behind the address: operation and length; then clobbers and padding */

static bool read_entry(struct op_table *o, uint64_t entry_gva, struct op_table_site *site)
{
    uint8_t raw[16] = {0};
    unsigned word = word_bytes(o);

    if (!read_gva(o, entry_gva, raw, word + PARAVIRT_NUMBERS))
        return false;
    memcpy(&site->site_gva, raw, word);
    site->slot = raw[word];
    site->bytes = raw[word + 1];
    return site->slot < o->c.slot_count;
}

typedef void(site_fn)(struct op_table *o, const struct op_table_site *site, void *context);

static void for_range(struct op_table *o, uint64_t first_gva, uint64_t end_gva, site_fn *fn, void *context)
{
    struct op_table_site site = {.site_gva = 0};
    unsigned entry = 2 * word_bytes(o), count = 0;

    /* The last entry may lack its padding: the kernel goes on while it is before the end. */
    for (uint64_t at = first_gva;
         at < end_gva && end_gva - at >= word_bytes(o) + PARAVIRT_NUMBERS && count < RANGE_ENTRIES_MAX;
         at += entry, count++)
        if (read_entry(o, at, &site))
            fn(o, &site, context);
}

static void for_all_sites(struct op_table *o, site_fn *fn, void *context)
{
    const struct state *s = watch_state(o->m, &o->watcher);

    for (size_t i = 0; i < o->c.site_count; i++)
        if (o->c.sites[i].slot < o->c.slot_count)
            fn(o, &o->c.sites[i], context);
    for (unsigned i = 0; i < s->range_count; i++)
        for_range(o, s->range[i].first_gva, s->range[i].end_gva, fn, context);
}

/* ---- switch ---- */

struct stale { /* by slot: how many patched sites do not do what the slot says, and the first few */
    const uint64_t *holds;
    bool inline_is_stale; /* inlined code is that of an earlier function, whatever it is */
    unsigned count[OP_TABLE_SLOTS_MAX];
    struct {
        uint64_t site_gva, does_gva;
    } site[OP_TABLE_SLOTS_MAX][SITES_NAMED_MAX];
};

static void note_stale(struct op_table *o, const struct op_table_site *site, void *context)
{
    struct stale *x = context;
    uint64_t does = read_site(o, site), holds = x->holds[site->slot];
    uint64_t native = o->c.slots[site->slot].native_gva;
    unsigned n = x->count[site->slot];

    if (!does || does == holds || (does == INLINED && !x->inline_is_stale && (holds == native || !native)))
        return;
    if (n < SITES_NAMED_MAX) {
        x->site[site->slot][n].site_gva = site->site_gva;
        x->site[site->slot][n].does_gva = does;
    }
    x->count[site->slot]++;
}

static void report_sites(struct op_table *o, const struct stale *x, unsigned slot, char *report, size_t bytes)
{
    for (unsigned k = 0; k < x->count[slot] && k < SITES_NAMED_MAX; k++)
        append(report, bytes, "    %s: %s\n", name(o, x->site[slot][k].site_gva).text,
               name(o, x->site[slot][k].does_gva).text);
    if (x->count[slot] > SITES_NAMED_MAX)
        append(report, bytes, "    and %u more\n", x->count[slot] - SITES_NAMED_MAX);
}

static void check_switch(struct op_table *o, const struct watch_write *write)
{
    struct state *s = watch_state(o->m, &o->watcher);
    struct stale *x = calloc(1, sizeof(*x));
    char *report = calloc(1, REPORT_BYTES), sentence[400] = "";
    uint64_t now[OP_TABLE_SLOTS_MAX];
    unsigned found = 0;

    if (!x || !report) {
        machine_set_verdict(o->m, VERDICT_ERROR, NULL, "the host has no memory left");
        free(x);
        free(report);
        return;
    }
    for (unsigned i = 0; i < o->c.slot_count; i++) {
        now[i] = 0;
        if (!read_gva(o, o->c.slots[i].slot_gva, &now[i], word_bytes(o)))
            now[i] = s->value[i];
    }
    x->holds = now;
    x->inline_is_stale = true;
    if (memcmp(now, s->value, o->c.slot_count * sizeof(*now)))
        for_all_sites(o, note_stale, x);
    for (unsigned i = 0; i < o->c.slot_count; i++) {
        const struct op_table_slot *slot = &o->c.slots[i];

        if (now[i] == s->value[i])
            continue;
        if (x->count[i] && !found++)
            append(sentence, sizeof(sentence),
                   "%s.%s changes from %s to %s (by %s) behind the back of %u call site%s patched before, as %s",
                   slot->table, slot->name, name(o, s->value[i]).text, name(o, now[i]).text,
                   name(o, write->rip_gva).text, x->count[i], x->count[i] > 1 ? "s" : "",
                   name(o, x->site[i][0].site_gva).text);
        append(report, REPORT_BYTES, "  %s.%s: %s, was %s; stale patched sites: %u\n", slot->table, slot->name,
               name(o, now[i]).text, name(o, s->value[i]).text, x->count[i]);
        report_sites(o, x, i, report, REPORT_BYTES);
    }
    memcpy(s->value, now, o->c.slot_count * sizeof(*now));
    if (found > 1)
        append(sentence, sizeof(sentence), "; so do%s %u more slot%s", found == 2 ? "es" : "", found - 1,
               plural(found - 1));
    if (found && (o->checks & OP_TABLE_SWITCH))
        find(o, sentence, report);
    free(report);
    free(x);
}

/* Patching is over: does each site do what its slot says? */
static void check_patched(struct op_table *o)
{
    struct state *s = watch_state(o->m, &o->watcher);
    struct stale *x = calloc(1, sizeof(*x));
    char *report = calloc(1, REPORT_BYTES), sentence[400] = "";
    unsigned found = 0;

    if (!x || !report) {
        machine_set_verdict(o->m, VERDICT_ERROR, NULL, "the host has no memory left");
        free(x);
        free(report);
        return;
    }
    x->holds = s->value;
    for_all_sites(o, note_stale, x);
    for (unsigned i = 0; i < o->c.slot_count; i++) {
        const struct op_table_slot *slot = &o->c.slots[i];

        if (!x->count[i])
            continue;
        if (!found++)
            append(sentence, sizeof(sentence),
                   "patching is over, but %u call site%s of %s.%s, which holds %s, do%s something else: %s has %s",
                   x->count[i], x->count[i] > 1 ? "s" : "", slot->table, slot->name, name(o, s->value[i]).text,
                   x->count[i] > 1 ? "" : "es", name(o, x->site[i][0].site_gva).text,
                   name(o, x->site[i][0].does_gva).text);
        append(report, REPORT_BYTES, "  %s.%s: %s; stale patched sites: %u\n", slot->table, slot->name,
               name(o, s->value[i]).text, x->count[i]);
        report_sites(o, x, i, report, REPORT_BYTES);
    }
    if (found && (o->checks & OP_TABLE_SWITCH))
        find(o, sentence, report);
    free(report);
    free(x);
}

/* ---- sites that disagree ---- */

struct compared {
    struct state *s;
    unsigned differing;
    unsigned slot;
    uint64_t site_gva, does_gva;
    char report[REPORT_BYTES];
};

static void compare_site(struct op_table *o, const struct op_table_site *site, void *context)
{
    struct compared *x = context;
    uint64_t does = read_site(o, site), *before = &x->s->patched_to[site->slot];

    if (!does)
        return;
    if (!*before)
        *before = does;
    if (does == *before)
        return;
    if (!x->differing++) {
        x->slot = site->slot;
        x->site_gva = site->site_gva;
        x->does_gva = does;
    }
    append(x->report, sizeof(x->report), "  %s.%s: %s was patched to %s, those before to %s\n",
           o->c.slots[site->slot].table, o->c.slots[site->slot].name, name(o, site->site_gva).text, name(o, does).text,
           name(o, *before).text);
}

static void check_sites(struct op_table *o, uint64_t first_gva, uint64_t end_gva)
{
    struct state *s = watch_state(o->m, &o->watcher);
    struct compared *x = calloc(1, sizeof(*x));
    char sentence[400] = "";

    if (!x) {
        machine_set_verdict(o->m, VERDICT_ERROR, NULL, "the host has no memory left");
        return;
    }
    x->s = s;
    for_range(o, first_gva, end_gva, compare_site, x);
    if (x->differing && (o->checks & OP_TABLE_SITES)) {
        append(sentence, sizeof(sentence),
               "the call sites of %s.%s disagree: %s was patched to %s, those before it to %s; %u such site%s",
               o->c.slots[x->slot].table, o->c.slots[x->slot].name, name(o, x->site_gva).text,
               name(o, x->does_gva).text, name(o, s->patched_to[x->slot]).text, x->differing,
               x->differing > 1 ? "s" : "");
        find(o, sentence, x->report);
    }
    free(x);
}

/* ---- locks ---- */

static void note_lock(struct op_table *o, const struct op_table_function *f, uint64_t lock_gva)
{
    struct state *s = watch_state(o->m, &o->watcher);
    unsigned vcpu = machine_current(o->m), at = 0;

    while (at < s->held_count && !(s->held[at].vcpu == vcpu && s->held[at].lock_gva == lock_gva))
        at++;
    if (at == s->held_count) {
        if (s->held_count < OP_TABLE_HELD_MAX)
            s->held_count++;
        else
            at = s->held_next++ % OP_TABLE_HELD_MAX;
    }
    s->held[at] =
        (struct held){.lock_gva = lock_gva, .function_gva = f->function_gva, .vcpu = vcpu, .protocol = f->protocol};
}

static void check_release(struct op_table *o, const struct op_table_function *f, uint64_t lock_gva)
{
    struct state *s = watch_state(o->m, &o->watcher);
    unsigned vcpu = machine_current(o->m), found = 0;
    char sentence[400] = "", report[2048] = "";

    for (unsigned i = 0; i < s->held_count; i++) {
        const struct held *h = &s->held[i];

        if (h->lock_gva != lock_gva || h->protocol == f->protocol)
            continue;
        append(report, sizeof(report), "  lock %s: vCPU %u %s %s (%s), vCPU %u releases it by %s (%s)\n",
               name(o, lock_gva).text, h->vcpu, h->vcpu == vcpu ? "took it by" : "called for it by",
               name(o, h->function_gva).text, o->c.protocols[h->protocol], vcpu, name(o, f->function_gva).text,
               o->c.protocols[f->protocol]);
        if (!found++)
            append(sentence, sizeof(sentence), "the lock %s %s vCPU %u by %s (%s) is released by %s (%s)",
                   name(o, lock_gva).text, h->vcpu == vcpu ? "taken on" : "waited for on", h->vcpu,
                   name(o, h->function_gva).text, o->c.protocols[h->protocol], name(o, f->function_gva).text,
                   o->c.protocols[f->protocol]);
    }
    for (unsigned i = 0; i < s->held_count; i++)
        if (s->held[i].vcpu == vcpu && s->held[i].lock_gva == lock_gva) {
            s->held[i] = s->held[--s->held_count];
            break;
        }
    if (found)
        find(o, sentence, report);
}

static uint64_t first_argument(const struct op_table *o)
{
    return o->c.bits == 64 ? vcpu_gpr(o->m, GPR_RDI) : (uint32_t)vcpu_gpr(o->m, GPR_RAX);
}

static uint64_t second_argument(const struct op_table *o)
{
    return o->c.bits == 64 ? vcpu_gpr(o->m, GPR_RSI) : (uint32_t)vcpu_gpr(o->m, GPR_RDX);
}

static void forget_waited(struct state *s, uint64_t lock_gva)
{
    for (unsigned i = 0; i < s->waited_count; i++)
        if (s->waited[i] == lock_gva) {
            s->waited[i] = s->waited[--s->waited_count];
            return;
        }
}

static bool is_waited(const struct state *s, uint64_t lock_gva)
{
    for (unsigned i = 0; i < s->waited_count; i++)
        if (s->waited[i] == lock_gva)
            return true;
    return false;
}

static void check_queued_release(struct op_table *o, const struct op_table_site *site)
{
    struct state *s = watch_state(o->m, &o->watcher);
    uint64_t lock_gva = first_argument(o), does = read_site(o, site), holds = s->value[site->slot];
    char sentence[400] = "", report[800] = "";

    if (!is_waited(s, lock_gva))
        return;
    forget_waited(s, lock_gva);
    if (!does || does == holds)
        return;
    append(sentence, sizeof(sentence),
           "the lock %s, for which a vCPU waits by %s.%s to be woken, is released by %s at %s, which wakes nobody; %s "
           "holds %s",
           name(o, lock_gva).text, o->c.slots[o->c.wait_slot].table, o->c.slots[o->c.wait_slot].name,
           name(o, does).text, name(o, site->site_gva).text, o->c.slots[site->slot].name, name(o, holds).text);
    append(report, sizeof(report), "  lock %s: waited for by %s, released at %s by %s instead of %s\n",
           name(o, lock_gva).text, name(o, s->value[o->c.wait_slot]).text, name(o, site->site_gva).text,
           name(o, does).text, name(o, holds).text);
    find(o, sentence, report);
}

/* ---- places ---- */

static bool has_queued_locks(const struct op_table *o)
{
    return (o->checks & OP_TABLE_LOCKS) && o->c.wait_slot < o->c.slot_count && o->c.release_slot < o->c.slot_count;
}

static void set_places(struct op_table *o)
{
    const struct state *s = watch_state(o->m, &o->watcher);
    uint64_t place[WATCH_PLACES_MAX];
    unsigned n = 0, releases = 0;
    struct diag d;

    static_assert(4 + OP_TABLE_FUNCTIONS_MAX + PATCHING_MAX + OP_TABLE_RELEASES_MAX <= WATCH_PLACES_MAX, "places");
    if (o->c.patcher_gva)
        place[n++] = o->c.patcher_gva;
    if (o->c.boot_patcher_gva)
        place[n++] = o->c.boot_patcher_gva;
    for (unsigned i = 0; i < s->patching_count; i++)
        place[n++] = s->patching[i].return_gva;
    for (unsigned i = 0; (o->checks & OP_TABLE_LOCKS) && i < o->c.function_count; i++)
        place[n++] = o->c.functions[i].function_gva;
    if (has_queued_locks(o) && s->armed && s->value[o->c.wait_slot] != o->c.slots[o->c.wait_slot].native_gva) {
        place[n++] = s->value[o->c.wait_slot];
        if (o->c.release_gva)
            place[n++] = o->c.release_gva;
        for (size_t i = 0; s->waited_count && i < o->c.site_count && releases < OP_TABLE_RELEASES_MAX; i++)
            if (o->c.sites[i].slot == o->c.release_slot) {
                place[n++] = o->c.sites[i].site_gva;
                releases++;
            }
    }
    if (watch_set_places(o->m, &o->watcher, place, n, &d) != EMU_OK)
        machine_set_verdict(o->m, VERDICT_ERROR, NULL, "%s", d.text);
}

/* The first patching function is called: what do the slots hold? */
static void arm(struct op_table *o)
{
    struct state *s = watch_state(o->m, &o->watcher);

    o->has_watched = true;
    if (s->armed)
        return;
    s->armed = 1;
    for (unsigned i = 0; i < o->c.slot_count; i++) {
        uint64_t gpa;

        if (!vcpu_translate(o->m, machine_current(o->m), o->c.slots[i].slot_gva, &gpa) || gpa != o->c.slots[i].slot_gpa)
            o->has_watched = false; /* the guest has moved its table */
        if (!read_gva(o, o->c.slots[i].slot_gva, &s->value[i], word_bytes(o)))
            s->value[i] = 0;
    }
}

/* Before the run: to watch memory drops cached translations, which a guest could notice. Neighbours count as one. */
static enum emu_err watch_slots(struct op_table *o, struct diag *d)
{
    enum emu_err err = EMU_OK;
    unsigned next;

    for (unsigned i = 0; err == EMU_OK && i < o->c.slot_count; i = next) {
        for (next = i + 1; next < o->c.slot_count; next++)
            if (o->c.slots[next].slot_gpa != o->c.slots[next - 1].slot_gpa + word_bytes(o))
                break;
        err = watch_memory(o->m, o->c.slots[i].slot_gpa, (uint64_t)(next - i) * word_bytes(o), d);
    }
    return err;
}

static void enter_patcher(struct op_table *o, uint64_t first_gva, uint64_t end_gva)
{
    struct state *s = watch_state(o->m, &o->watcher);
    uint64_t sp = vcpu_gpr(o->m, GPR_RSP), return_gva = 0;

    arm(o);
    for (unsigned i = 0; i < s->patching_count; i++)
        if (s->patching[i].sp == sp + word_bytes(o) && s->patching[i].first_gva == first_gva)
            return; /* told again */
    if (s->patching_count == PATCHING_MAX || !read_gva(o, sp, &return_gva, word_bytes(o)))
        return;
    s->patching[s->patching_count].return_gva = return_gva;
    s->patching[s->patching_count].sp = sp + word_bytes(o);
    s->patching[s->patching_count].first_gva = first_gva;
    s->patching[s->patching_count++].end_gva = end_gva;
}

static void leave_patcher(struct op_table *o, unsigned i)
{
    struct state *s = watch_state(o->m, &o->watcher);
    uint64_t first_gva = s->patching[i].first_gva, end_gva = s->patching[i].end_gva;

    s->patching_count = i; /* and those that did not come back */
    if (!end_gva) {
        check_patched(o);
        return;
    }
    if (first_gva != o->c.known_table_gva && s->range_count < RANGES_MAX) {
        s->range[s->range_count].first_gva = first_gva;
        s->range[s->range_count++].end_gva = end_gva;
    }
    check_sites(o, first_gva, end_gva);
}

static void on_reached(struct machine *m, uint64_t rip_gva, void *context)
{
    struct op_table *o = context;
    struct state *s = watch_state(m, &o->watcher);

    for (unsigned i = s->patching_count; i-- > 0;)
        if (s->patching[i].return_gva == rip_gva && s->patching[i].sp == vcpu_gpr(m, GPR_RSP)) {
            leave_patcher(o, i);
            break;
        }
    if (rip_gva == o->c.patcher_gva) {
        uint64_t stack[2] = {0}, first = first_argument(o), end = second_argument(o);

        if (o->c.patcher_on_stack) {
            for (unsigned i = 0; i < 2; i++)
                if (!read_gva(o, vcpu_gpr(m, GPR_RSP) + (i + 1) * word_bytes(o), &stack[i], word_bytes(o)))
                    return;
            first = stack[0];
            end = stack[1];
        }
        if (end > first)
            enter_patcher(o, first, end);
    } else if (rip_gva == o->c.boot_patcher_gva) {
        enter_patcher(o, 0, 0);
    }
    for (unsigned i = 0; i < o->c.function_count; i++)
        if (o->c.functions[i].function_gva == rip_gva && (o->checks & OP_TABLE_LOCKS)) {
            if (o->c.functions[i].releases)
                check_release(o, &o->c.functions[i], first_argument(o));
            else
                note_lock(o, &o->c.functions[i], first_argument(o));
            break;
        }
    if (has_queued_locks(o) && s->armed) {
        if (rip_gva == s->value[o->c.wait_slot] && (uint8_t)second_argument(o) == o->c.wait_value &&
            !is_waited(s, first_argument(o)) && s->waited_count < OP_TABLE_HELD_MAX)
            s->waited[s->waited_count++] = first_argument(o);
        else if (rip_gva == o->c.release_gva)
            forget_waited(s, first_argument(o));
        for (size_t i = 0; s->waited_count && i < o->c.site_count; i++)
            if (o->c.sites[i].slot == o->c.release_slot && o->c.sites[i].site_gva == rip_gva)
                check_queued_release(o, &o->c.sites[i]);
    }
    set_places(o);
}

static void on_written(struct machine *m, const struct watch_write *first, void *context)
{
    struct op_table *o = context;
    const struct state *s = watch_state(m, &o->watcher);

    if (!s->armed)
        return;
    check_switch(o, first);
    set_places(o);
}

static void on_restored(struct machine *m, void *context)
{
    set_places(context);
}

/* ---- life ---- */

enum emu_err op_table_new(struct machine *m, const struct op_table_config *config, const struct symbols *symbols,
                          unsigned checks, struct op_table **out, struct diag *d)
{
    struct op_table *o = calloc(1, sizeof(*o));
    enum emu_err err;

    ensure(config->bits == 32 || config->bits == 64);
    ensure(config->slot_count <= OP_TABLE_SLOTS_MAX);
    ensure(config->function_count <= OP_TABLE_FUNCTIONS_MAX);
    if (!o)
        return diag_no_memory(d);
    o->m = m;
    o->c = *config;
    o->symbols = symbols;
    o->checks = checks;
    o->watcher = (struct watcher){.reached = on_reached,
                                  .written = on_written,
                                  .restored = on_restored,
                                  .context = o,
                                  .state_bytes = sizeof(struct state)};
    err = watch_slots(o, d);
    if (err == EMU_OK)
        err = watch_add(m, &o->watcher, d);
    if (err != EMU_OK) {
        free(o);
        return err;
    }
    set_places(o);
    *out = o;
    return EMU_OK;
}

void op_table_free(struct op_table *o)
{
    free(o);
}

const char *op_table_report(const struct op_table *o)
{
    return o->report;
}

bool op_table_has_watched(const struct op_table *o)
{
    return o->has_watched;
}

static void count_site(struct op_table *o, const struct op_table_site *site, void *context)
{
    ++*(size_t *)context;
}

void op_table_count(struct op_table *o, unsigned *slots, size_t *sites)
{
    *slots = o->c.slot_count;
    *sites = 0;
    for_all_sites(o, count_site, sites);
}

/* ---- the row ---- */

static enum emu_err attach(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d)
{
    return op_table_new(m, input->op_table, input->symbols, parts, (struct op_table **)state, d);
}

static void print(void *state, struct machine *m, FILE *to)
{
    struct op_table *o = state;
    unsigned slots;
    size_t sites;

    op_table_count(o, &slots, &sites);
    if (!op_table_has_watched(o))
        fprintf(to, "op-table: the guest never came to its patching functions where its symbols have them; a kernel "
                    "that moves itself needs nokaslr on its command line\n");
    else if (op_table_report(o)[0])
        fprintf(to, "op-table:\n%s", op_table_report(o));
    else
        fprintf(to, "op-table: nothing found; %u slots and %zu call sites were watched\n", slots, sites);
}

static const char *report(const void *state)
{
    return op_table_report(state);
}

static void free_state(void *state)
{
    op_table_free(state);
}

const struct detector op_table_detector = {
    .name = DETECTOR,
    .what = "operation tables (locks) that change after their callers were patched",
    .needs = DETECTOR_NEEDS_OP_TABLE,
    .part = {{"switch", OP_TABLE_SWITCH}, {"sites", OP_TABLE_SITES}, {"locks", OP_TABLE_LOCKS}},
    .attach = attach,
    .print = print,
    .report = report,
    .free = free_state,
};
