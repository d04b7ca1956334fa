/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/story.h"
#include "cli/report/timeline_axis.h"
#include "cli/run/post_mortem.h"

#define COLUMNS      72u
#define TEXT_COLUMNS 100u
#define EVENTS_SHOWN 30u

/* Fill paragraphs to the terminal's usual width; a continuation byte of UTF-8 takes no column. */
static void print_filled(const char *text, FILE *to)
{
    unsigned column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");
        unsigned wide = 0;

        for (size_t i = 0; i < word; i++)
            wide += ((unsigned char)text[i] & 0xc0) != 0x80;
        if (column && column + 1 + wide > TEXT_COLUMNS) {
            putc('\n', to);
            column = 0;
        }
        fprintf(to, "%s%.*s", column ? " " : "", (int)word, text);
        column += (column ? 1 : 0) + wide;
        text += word + (text[word] == ' ');
    }
    fputs("\n\n", to);
}

struct row {
    char cell[COLUMNS + 1];
    uint64_t covered[COLUMNS]; /* how long its sign lasts */
    uint64_t from, to;         /* of the axis if there is one, else nanoseconds */
    const struct timeline_axis *axis;
};

static uint64_t place_on(const struct row *row, uint64_t time_ns)
{
    return row->axis ? timeline_axis_at(row->axis, time_ns) : time_ns;
}

static unsigned column_of(const struct row *row, uint64_t time_ns)
{
    uint64_t at = place_on(row, time_ns);

    if (at <= row->from || row->to <= row->from)
        return 0;
    if (at >= row->to)
        return COLUMNS - 1;
    return (unsigned)((__uint128_t)(at - row->from) * COLUMNS / (row->to - row->from));
}

static void draw(struct row *row, uint64_t from_ns, uint64_t to_ns, char sign)
{
    uint64_t from = place_on(row, from_ns), to = place_on(row, to_ns), wide = row->to - row->from;

    if (to < row->from || from > row->to)
        return;
    for (unsigned c = column_of(row, from_ns); c <= column_of(row, to_ns); c++) {
        uint64_t low = row->from + (uint64_t)((__uint128_t)wide * c / COLUMNS);
        uint64_t high = row->from + (uint64_t)((__uint128_t)wide * (c + 1) / COLUMNS);

        low = low > from ? low : from;
        high = high < to ? high : to;
        if (high > low && (row->cell[c] == sign || high - low > row->covered[c])) {
            row->covered[c] = high - low + (row->cell[c] == sign ? row->covered[c] : 0);
            row->cell[c] = sign;
        }
    }
}

static void begin_row(struct row *row, const struct timeline_axis *axis, uint64_t from_ns, uint64_t to_ns)
{
    *row = (struct row){.axis = axis};
    row->from = place_on(row, from_ns);
    row->to = place_on(row, to_ns);
    memset(row->cell, ' ', COLUMNS);
}

static const char state_sign[TIMELINE_STATE_COUNT] = {' ', '#', '.', '-', '~'};

static void draw_wait(void *context, unsigned vcpu, uint64_t from_ns, uint64_t to_ns, enum timeline_state state)
{
    (void)vcpu;
    draw(context, from_ns, to_ns, state_sign[state]);
}

static void print_scale(uint64_t from_ns, uint64_t to_ns, FILE *to)
{
    char a[64], b[64];

    words_time(from_ns, a, sizeof(a));
    words_time(to_ns, b, sizeof(b));
    fprintf(to, "          %-*s%s\n", (int)(COLUMNS - 12), a, b);
}

static void mark(struct row *row, uint64_t time_ns, char sign)
{
    uint64_t at = place_on(row, time_ns);

    if (row->axis && (time_ns < row->axis->from_ns || time_ns > row->axis->to_ns))
        return;
    if (at >= row->from && at <= row->to)
        row->cell[column_of(row, time_ns)] = sign;
}

static void draw_lane(struct row *row, const struct scene *sc, const struct timeline_axis *axis, unsigned vcpu,
                      uint64_t from_ns, uint64_t to_ns)
{
    begin_row(row, axis, from_ns, to_ns);
    timeline_each_wait(sc, vcpu, draw_wait, row);
    for (size_t i = 0; i < sc->spans; i++)
        if (sc->span[i].vcpu == vcpu)
            draw(row, sc->span[i].from_ns, sc->span[i].to_ns, sc->span[i].kind == SCENE_SPINNING ? '@' : '#');
    for (unsigned i = 0; i < axis->gaps; i++)
        mark(row, axis->gap[i].from_ns + (axis->gap[i].to_ns - axis->gap[i].from_ns) / 2, '/');
}

/* The later a sign is put down, the more it matters. */
static void draw_marks(struct row *row, const struct timeline *t, const struct scene *sc,
                       const struct timeline_axis *axis, unsigned vcpu, uint64_t from_ns, uint64_t to_ns)
{
    begin_row(row, axis, from_ns, to_ns);
    for (size_t i = 0; i < sc->facts; i++)
        if (sc->fact[i].fact.vcpu == vcpu && sc->fact[i].fact.kind == TRACE_HYPERCALL)
            mark(row, sc->fact[i].fact.time_ns, 'h');
    for (size_t i = 0; i < sc->writes; i++)
        if (sc->write[i].vcpu == vcpu)
            mark(row, sc->write[i].time_ns, 'w');
    for (size_t i = 0; i < sc->facts; i++) {
        const struct trace_fact *f = &sc->fact[i].fact;

        if (f->vcpu == vcpu && (f->kind == TRACE_INTERRUPT || f->kind == TRACE_NMI || f->kind == TRACE_EXCEPTION))
            /* NOLINTNEXTLINE(bugprone-narrowing-conversions): the value fits: it was checked or is a character */
            mark(row, f->time_ns, f->kind == TRACE_INTERRUPT ? 'i' : f->kind == TRACE_NMI ? 'n' : 'x');
    }
    for (unsigned i = 0; i < t->decisions; i++)
        if (t->decision[i].vcpu == vcpu)
            mark(row, t->decision[i].time_ns, 'D');
    if (session_has_place(&t->verdict) && t->verdict.vcpu == vcpu)
        mark(row, t->end_ns, '!');
}

static void print_scene(const struct report *r, const struct scene *sc, const struct timeline_axis *axis,
                        uint64_t from_ns, uint64_t to_ns, FILE *to)
{
    struct row row;

    print_scale(from_ns, to_ns, to);
    for (unsigned v = 0; v < machine_vcpus(sc->machine); v++) {
        draw_lane(&row, sc, axis, v, from_ns, to_ns);
        fprintf(to, "vCPU %-3u  %s\n", v, row.cell);
        draw_marks(&row, r->timeline, sc, axis, v, from_ns, to_ns);
        fprintf(to, "          %s\n", row.cell);
    }
    putc('\n', to);
}

static void print_overview(const struct report *r, FILE *to)
{
    const struct timeline *t = r->timeline;
    struct row row;

    print_scale(0, t->end_ns, to);
    for (unsigned v = 0; v < machine_vcpus(t->session->guest.machine); v++) {
        begin_row(&row, NULL, 0, t->end_ns);
        for (unsigned i = 0; i < t->bins; i++)
            draw(&row, i * t->bin_ns, (i + 1) * t->bin_ns, state_sign[timeline_bin_state(t, i, v)]);
        fprintf(to, "vCPU %-3u  %s\n", v, row.cell);
    }
    begin_row(&row, NULL, 0, t->end_ns);
    for (unsigned i = 0; i < t->scenes; i++)
        for (unsigned c = column_of(&row, t->scene[i].from_ns); c <= column_of(&row, t->scene[i].to_ns); c++)
            row.cell[c] = '^';
    fprintf(to, "          %s\n", row.cell);
}

static void print_insns(const struct words_insn *insn, unsigned count, const char *indent, FILE *to)
{
    for (unsigned i = 0; i < count; i++) {
        char bytes[64];

        fprintf(to, "%s%-36s %-32s %s\n", indent, insn[i].place,
                words_bytes(insn[i].code, insn[i].length, bytes, sizeof(bytes)), insn[i].text);
    }
}

static void print_sites(const struct report *r, struct decoder *dec, FILE *to)
{
    static const char *const names[] = {"before", "when it was interrupted", "as it was to become"};
    const struct timeline *t = r->timeline;
    struct machine *m = t->session->guest.machine;
    const struct scene *sc = &t->scene[0];
    unsigned bits = sc->blocks ? sc->block[(sc->blocks - 1) % SCENE_BLOCKS].bits : 64;

    for (unsigned i = 0; i < t->sites; i++) {
        const struct scene_site *s = &t->site[i];

        fputs(i ? "\n" : "CODE THAT WAS BEING CHANGED\n", to);
        for (unsigned k = 0; k < 3; k++) {
            struct words_insn insn[REPORT_INSNS];

            fprintf(to, "  %s\n", names[k]);
            print_insns(insn,
                        words_code(m, t->session->guest.symbols, dec, bits, s->gva,
                                   k == 0   ? s->before
                                   : k == 1 ? s->during
                                            : s->after,
                                   s->bytes, insn, REPORT_INSNS),
                        "    ", to);
        }
    }
    for (unsigned i = 0; i < sc->torns; i++) {
        struct words_insn insn;

        if (!sc->torn[i].executed)
            continue;
        fprintf(to, "  executed by vCPU %u, its step %" PRIu64 "\n", sc->torn[i].vcpu, sc->torn[i].position);
        print_insns(&insn,
                    words_code(m, t->session->guest.symbols, dec, sc->torn[i].bits, sc->torn[i].gva, sc->torn[i].code,
                               sc->torn[i].length, &insn, 1),
                    "    ", to);
    }
    if (t->sites)
        putc('\n', to);
}

static void print_last_insns(const struct report *r, struct decoder *dec, FILE *to)
{
    const struct scene *sc = timeline_last_insns(r->timeline);
    struct words_insn insn[REPORT_INSNS];
    uint64_t position[REPORT_INSNS];
    unsigned vcpu[REPORT_INSNS], count = words_last_insns(sc, dec, insn, position, vcpu, REPORT_INSNS);

    fprintf(to, "LAST INSTRUCTIONS BEFORE THE %s\n", sc->cause == SCENE_NONE ? "END" : "EXCEPTION");
    for (unsigned i = count > 12 ? count - 12 : 0; i < count; i++) {
        char bytes[64];

        fprintf(to, "  %u:%-12" PRIu64 " %-36s %-32s %s\n", vcpu[i], position[i], insn[i].place,
                words_bytes(insn[i].code, insn[i].length, bytes, sizeof(bytes)), insn[i].text);
    }
    putc('\n', to);
}

static void print_events(const struct report *r, FILE *to)
{
    const struct timeline *t = r->timeline;

    fputs("LAST EVENTS\n", to);
    for (unsigned i = t->events > EVENTS_SHOWN ? t->events - EVENTS_SHOWN : 0; i < t->events; i++) {
        char text[WORDS_BYTES], time[64];

        fprintf(to, "  %16s  vCPU %-3u %s\n", words_time(t->event[i].fact.time_ns, time, sizeof(time)),
                t->event[i].fact.vcpu, words_fact(t->session->guest.symbols, &t->event[i], text, sizeof(text)));
    }
    putc('\n', to);
}

enum emu_err report_write_text(const struct report *r, FILE *to, struct diag *d)
{
    const struct timeline *t = r->timeline;
    struct timeline_axis axis;
    uint64_t from_ns, to_ns;
    struct decoder *dec;
    enum emu_err err = decoder_new(&dec, d);

    if (err != EMU_OK)
        return err;
    fprintf(to, "%s%s%s%s\n", verdict_kind_name(t->verdict.kind), t->verdict.detector ? " (" : "",
            t->verdict.detector ? t->verdict.detector : "", t->verdict.detector ? ")" : "");
    print_filled(r->story.headline, to);
    if (r->story.lead[0])
        print_filled(r->story.lead, to);
    if (r->story.place[0])
        fprintf(to, "Place: %s\n\n", r->story.place);
    for (unsigned i = 0; i < r->story.paragraphs; i++)
        print_filled(r->story.paragraph[i], to);
    if (t->detectors[0])
        fprintf(to, "WHAT THE DETECTORS SAY\n%s\n", t->detectors);
    print_sites(r, dec, to);
    print_last_insns(r, dec, to);
    for (unsigned i = 0; i < t->scenes; i++) {
        static const char *const names[] = {"THE LAST DECISION", "THE EXCEPTION", "THE END"};

        timeline_axis_init(&axis, &t->scene[i]);
        if (!i && timeline_close_up(t, &axis, &from_ns, &to_ns)) {
            fprintf(to, "CLOSE UP\n");
            print_scene(r, &t->scene[i], &axis, from_ns, to_ns, to);
        }
        fprintf(to, "AROUND %s\n", names[t->focus[i]]);
        print_scene(r, &t->scene[i], &axis, t->scene[i].from_ns, t->scene[i].to_ns, to);
    }
    fputs("THE WHOLE RUN (^ what is shown above)\n", to);
    print_overview(r, to);
    fputs("\n# running  @ spinning  . ready, not run  - blocked  ~ polling  blank: offline\n"
          "i interrupt  n NMI  x exception  h hypercall  w code changed  D decision  ! the end  / cut: no vCPU ran\n\n",
          to);
    print_events(r, to);
    fputs("AT THE END\n", to);
    post_mortem_print(t->session->guest.machine, t->session->guest.symbols, to);
    fprintf(to, "\nSCHEDULE\n%s\nRUN IT AGAIN\n  %s\n  digest %016" PRIx64 "\n",
            r->schedule[0] ? r->schedule : "(empty: the run follows the default)\n", r->command, t->digest);
    decoder_free(dec);
    return EMU_OK;
}
