/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/report_html.h"

#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/post_mortem.h"
#include "cli/run/utf8.h"
#include "emu/base/count.h"
#include "emu/base/plural.h"

#define EVENTS_SHOWN   60u
#define DECODED        REPORT_INSNS
#define SCHEDULE_SHOWN 65536u /* bytes of its text */

/* ---- the writer ---- */

/* A copy in valid UTF-8 without what HTML and XML can't hold. */
static xmlChar *clean(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = malloc(strlen(text) * (sizeof(replacement) - 1) + 1), *to = out;

    while (out && *text) {
        unsigned char c = (unsigned char)*text;
        size_t bytes = utf8_character(text);

        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || !bytes) {
            memcpy(to, replacement, sizeof(replacement) - 1);
            to += sizeof(replacement) - 1;
            text++;
        } else {
            memcpy(to, text, bytes);
            to += bytes;
            text += bytes;
        }
    }
    if (out)
        *to = '\0';
    return (xmlChar *)out;
}

static const xmlChar *xml(const char *text)
{
    return (const xmlChar *)text;
}

static void write_attribute(struct html *h, const char *name, const char *value)
{
    xmlChar *safe = clean(value);

    h->failed = h->failed || !safe || xmlTextWriterWriteAttribute(h->writer, xml(name), safe) < 0;
    free(safe);
}

void html_open(struct html *h, const char *name, ...)
{
    const char *attribute;
    va_list ap;

    h->failed = h->failed || xmlTextWriterStartElement(h->writer, xml(name)) < 0;
    va_start(ap, name);
    while ((attribute = va_arg(ap, const char *)))
        write_attribute(h, attribute, va_arg(ap, const char *));
    va_end(ap);
}

void html_attribute(struct html *h, const char *name, const char *fmt, ...)
{
    char *value;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&value, fmt, ap) < 0) {
        h->failed = true;
    } else {
        write_attribute(h, name, value);
        free(value);
    }
    va_end(ap);
}

void html_text(struct html *h, const char *text)
{
    xmlChar *safe = clean(text);

    h->failed = h->failed || !safe || xmlTextWriterWriteString(h->writer, safe) < 0;
    free(safe);
}

void html_print(struct html *h, const char *fmt, ...)
{
    char *text;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0) {
        h->failed = true;
    } else {
        html_text(h, text);
        free(text);
    }
    va_end(ap);
}

void html_raw(struct html *h, const char *text)
{
    h->failed = h->failed || xmlTextWriterWriteRaw(h->writer, xml(text)) < 0;
}

void html_close(struct html *h)
{
    /* With an end tag always: HTML does not know <div/>. */
    h->failed = h->failed || xmlTextWriterFullEndElement(h->writer) < 0;
}

void html_element(struct html *h, const char *name, const char *class, const char *text)
{
    html_open(h, name, NULL);
    if (class)
        write_attribute(h, "class", class);
    html_text(h, text);
    html_close(h);
}

/* Elements without content, which have no end tag in HTML. */
static void write_meta(struct html *h, const char *name, const char *value, const char *content)
{
    h->failed = h->failed || xmlTextWriterStartElement(h->writer, xml("meta")) < 0;
    write_attribute(h, name, value);
    if (content)
        write_attribute(h, "content", content);
    h->failed = h->failed || xmlTextWriterEndElement(h->writer) < 0;
}

/* ---- the parts ---- */

static const struct symbols *symbols_of(const struct report *r)
{
    return r->timeline->session->guest.symbols;
}

static void section(struct html *h, const char *id, const char *name)
{
    html_open(h, "section", "id", id, NULL);
    html_element(h, "h2", NULL, name);
}

/* Can be scrolled by keys. */
static void write_pre(struct html *h, const char *class, const char *text)
{
    html_open(h, "pre", "tabindex", "0", NULL);
    if (class)
        html_attribute(h, "class", "%s", class);
    html_text(h, text);
    html_close(h);
}

static void write_head(struct html *h, const struct report *r)
{
    const struct verdict *v = &r->timeline->verdict;

    html_open(h, "head", NULL);
    write_meta(h, "charset", "utf-8", NULL);
    write_meta(h, "name", "viewport", "width=device-width, initial-scale=1");
    write_meta(h, "name", "color-scheme", "light dark");
    write_meta(h, "http-equiv", "Content-Security-Policy",
               "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'");
    html_open(h, "title", NULL);
    html_print(h, "%s: %s", verdict_kind_name(v->kind), r->test_case ? r->test_case->title : v->text);
    html_close(h);
    html_open(h, "style", NULL);
    html_raw(h, html_style);
    html_close(h);
    html_close(h);
}

static void definition(struct html *h, const char *term, const char *text)
{
    html_element(h, "dt", NULL, term);
    html_element(h, "dd", NULL, text);
}

static void write_top(struct html *h, const struct report *r)
{
    static const char *const links[][2] = {
        {"story", "What happened"}, {"bytes", "The bytes"}, {"timeline", "Timelines"}, {"last", "Last instructions"},
        {"vcpus", "vCPUs"},         {"events", "Events"},   {"console", "Console"},    {"again", "Run it again"},
    };
    const struct timeline *t = r->timeline;
    char digest[32], text[128], number[32], time[64];

    html_open(h, "header", "class", "top", NULL);
    html_open(h, "span", NULL);
    html_attribute(h, "class", "badge %s", verdict_kind_name(t->verdict.kind));
    html_text(h, verdict_kind_name(t->verdict.kind));
    html_close(h);
    html_element(h, "h1", NULL, r->story.headline);
    if (r->story.lead[0])
        html_element(h, "p", "lead", r->story.lead);
    if (r->test_case)
        html_element(h, "p", NULL, r->test_case->title);
    html_open(h, "dl", "class", "facts", NULL);
    if (t->verdict.detector)
        definition(h, "Detector", t->verdict.detector);
    if (r->story.place[0])
        definition(h, "Place", r->story.place);
    definition(h, "Guest", r->image);
    snprintf(text, sizeof(text), "%s steps, %s of virtual time", words_number(t->end_steps, number, sizeof(number)),
             words_time(t->end_ns, time, sizeof(time)));
    definition(h, "Run", text);
    snprintf(digest, sizeof(digest), "%016" PRIx64, t->digest);
    definition(h, "Digest", digest);
    html_close(h);
    html_open(h, "nav", "aria-label", "Contents", NULL);
    html_open(h, "ul", NULL);
    for (unsigned i = 0; i < COUNT(links); i++) {
        if (i == 1 && !t->sites)
            continue;
        html_open(h, "li", NULL);
        html_open(h, "a", NULL);
        html_attribute(h, "href", "#%s", links[i][0]);
        html_text(h, links[i][1]);
        html_close(h);
        html_close(h);
    }
    html_close(h);
    html_close(h);
    html_close(h);
}

static void write_story(struct html *h, const struct report *r)
{
    section(h, "story", "What happened");
    html_open(h, "div", "class", "story", NULL);
    for (unsigned i = 0; i < r->story.paragraphs; i++)
        html_element(h, "p", NULL, r->story.paragraph[i]);
    html_close(h);
    if (r->timeline->detectors[0]) {
        html_element(h, "h3", NULL, "What the detectors say");
        write_pre(h, "wrap", r->timeline->detectors);
    }
    if (r->test_case && r->test_case->prose.mechanism) {
        html_open(h, "details", "open", "open", NULL);
        html_element(h, "summary", NULL, "What the case says of itself");
        html_element(h, "h3", NULL, "Mechanism");
        html_element(h, "p", NULL, r->test_case->prose.mechanism);
        if (r->test_case->prose.source) {
            html_element(h, "h3", NULL, "Source");
            html_element(h, "p", NULL, r->test_case->prose.source);
        }
        if (r->test_case->prose.falsified_by) {
            html_element(h, "h3", NULL, "What would falsify it");
            html_element(h, "p", NULL, r->test_case->prose.falsified_by);
        }
        html_close(h);
    }
    html_close(h);
}

/* Places count from `base_gva`. */
static void write_insns(struct html *h, const struct words_insn *insn, unsigned count, uint64_t base_gva)
{
    html_open(h, "div", "class", "scroll", NULL);
    html_open(h, "table", NULL);
    for (unsigned i = 0; i < count; i++) {
        char bytes[64];

        html_open(h, "tr", NULL);
        html_open(h, "td", "class", "code soft", NULL);
        html_print(h, "+0x%" PRIx64, insn[i].gva - base_gva);
        html_close(h);
        html_element(h, "td", "code", words_bytes(insn[i].code, insn[i].length, bytes, sizeof(bytes)));
        html_element(h, "td", "code", insn[i].text);
        html_close(h);
    }
    html_close(h);
    html_close(h);
}

/* Byte by byte: those that the change is about stand out, and those already written stand out most. */
static void write_strip(struct html *h, const struct scene_site *s, const uint8_t *bytes)
{
    html_open(h, "div", "class", "strip mono", NULL);
    for (unsigned i = 0; i < s->bytes; i++) {
        char text[4];

        snprintf(text, sizeof(text), "%02x", bytes[i]);
        html_element(h, "span", s->before[i] == s->after[i] ? "same" : bytes[i] == s->after[i] ? "new" : "old", text);
    }
    html_close(h);
}

static void write_version(struct html *h, const struct report *r, struct decoder *dec, const struct scene_site *s,
                          const uint8_t *bytes, const char *name, const char *class)
{
    const struct scene *sc = &r->timeline->scene[0];
    unsigned bits = sc->blocks ? sc->block[(sc->blocks - 1) % SCENE_BLOCKS].bits : 64;
    struct words_insn insn[DECODED];

    html_open(h, "div", "class", class, NULL);
    html_element(h, "h3", NULL, name);
    write_strip(h, s, bytes);
    write_insns(h, insn,
                words_code(r->timeline->session->guest.machine, symbols_of(r), dec, bits, s->gva, bytes, s->bytes, insn,
                           DECODED),
                s->gva);
    html_close(h);
}

static void write_bytes(struct html *h, const struct report *r, struct decoder *dec)
{
    const struct timeline *t = r->timeline;

    if (!t->sites)
        return;
    section(h, "bytes", "The bytes that were being changed");
    html_element(h, "p", "soft",
                 "Underlined bytes already have their new value; dashed bytes still have their old value; "
                 "the others are the same in both.");
    for (unsigned i = 0; i < t->sites; i++) {
        const struct scene_site *s = &t->site[i];
        char place[160];

        html_open(h, "h3", NULL);
        html_print(h, "%s, %u byte%s", words_place(symbols_of(r), s->gva, place, sizeof(place)), s->bytes,
                   plural(s->bytes));
        html_close(h);
        html_open(h, "div", "class", "bytes", NULL);
        write_version(h, r, dec, s, s->before, "Before", "card");
        write_version(h, r, dec, s, s->during, "When it was interrupted", "card");
        write_version(h, r, dec, s, s->after, "As it was to become", "card");
        for (unsigned k = 0; k < t->scene[0].torns; k++) {
            const struct scene_torn *x = &t->scene[0].torn[k];
            struct words_insn insn;

            if (x->site != i || !x->executed)
                continue;
            html_open(h, "div", "class", "card bad", NULL);
            html_open(h, "h3", NULL);
            html_print(h, "Executed by vCPU %u, its step %" PRIu64, x->vcpu, x->position);
            html_close(h);
            html_element(h, "p", NULL, "Neither old nor new:");
            write_insns(h, &insn,
                        words_code(t->session->guest.machine, symbols_of(r), dec, x->bits, x->gva, x->code, x->length,
                                   &insn, 1),
                        s->gva);
            html_close(h);
        }
        html_close(h);
    }
    html_close(h);
}

static void write_last_insns(struct html *h, const struct report *r, struct decoder *dec)
{
    const struct scene *sc = timeline_last_insns(r->timeline);
    struct words_insn insn[DECODED];
    uint64_t position[DECODED];
    unsigned vcpu[DECODED], count = words_last_insns(sc, dec, insn, position, vcpu, DECODED);

    section(h, "last",
            sc->cause == SCENE_NONE ? "The last instructions" : "The last instructions before the exception");
    html_open(h, "div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", "Last instructions", NULL);
    html_open(h, "table", NULL);
    html_open(h, "tr", NULL);
    html_element(h, "th", "num", "vCPU: step");
    html_element(h, "th", NULL, "Place");
    html_element(h, "th", NULL, "Bytes as executed");
    html_element(h, "th", NULL, "Instruction");
    html_close(h);
    for (unsigned i = count > DECODED / 2 ? count - DECODED / 2 : 0; i < count; i++) {
        char text[64];

        html_open(h, "tr", NULL);
        if (i + 1 == count && sc->cause != SCENE_NONE)
            html_attribute(h, "class", "here");
        snprintf(text, sizeof(text), "%u: %" PRIu64, vcpu[i], position[i]);
        html_element(h, "td", "num", text);
        html_element(h, "td", "code", insn[i].place);
        html_element(h, "td", "code", words_bytes(insn[i].code, insn[i].length, text, sizeof(text)));
        html_element(h, "td", "code", insn[i].text);
        html_close(h);
    }
    html_close(h);
    html_close(h);
    html_close(h);
}

static void write_vcpus(struct html *h, const struct report *r)
{
    struct machine *m = r->timeline->session->guest.machine;

    section(h, "vcpus", "The vCPUs at the end");
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        char *text = NULL;
        size_t bytes;
        FILE *to = open_memstream(&text, &bytes);

        if (!to) {
            h->failed = true;
            break;
        }
        post_mortem_print_vcpu(m, v, symbols_of(r), to);
        if (fclose(to))
            h->failed = true;
        else
            write_pre(h, NULL, text);
        free(text);
    }
    html_close(h);
}

static void write_facts(struct html *h, const struct report *r, const struct scene_fact *fact, unsigned from,
                        unsigned to, const char *name)
{
    html_open(h, "div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", name, NULL);
    html_open(h, "table", NULL);
    html_open(h, "tr", NULL);
    html_element(h, "th", "num", "Time");
    html_element(h, "th", "num", "vCPU: step");
    html_element(h, "th", NULL, name);
    html_close(h);
    for (unsigned i = from; i < to; i++) {
        char text[WORDS_BYTES];

        html_open(h, "tr", NULL);
        html_element(h, "td", "num", words_time(fact[i].fact.time_ns, text, sizeof(text)));
        snprintf(text, sizeof(text), "%u: %" PRIu64, fact[i].fact.vcpu, fact[i].fact.position);
        html_element(h, "td", "num", text);
        html_element(h, "td", NULL, words_fact(symbols_of(r), &fact[i], text, sizeof(text)));
        html_close(h);
    }
    html_close(h);
    html_close(h);
}

static void write_events(struct html *h, const struct report *r)
{
    const struct timeline *t = r->timeline;
    unsigned shown = t->events > EVENTS_SHOWN ? EVENTS_SHOWN : t->events;
    uint64_t all = 0;
    char number[2][32];

    for (unsigned k = 0; k < TRACE_KIND_COUNT; k++)
        all += k == TRACE_CONSOLE ? 0 : t->count[k];
    section(h, "events", "The last events");
    html_open(h, "p", "class", "soft", NULL);
    html_print(h, "%s of %s in the whole run.", words_number(shown, number[0], sizeof(number[0])),
               words_number(all, number[1], sizeof(number[1])));
    html_close(h);
    write_facts(h, r, t->event, t->events - shown, t->events, "Event");
    if (t->events > shown) {
        html_open(h, "details", NULL);
        html_element(h, "summary", NULL, "Those before");
        write_facts(h, r, t->event, 0, t->events - shown, "Event");
        html_close(h);
    }
    html_open(h, "details", NULL);
    html_element(h, "summary", NULL, "The last hypercalls");
    write_facts(h, r, t->hypercall, 0, t->hypercalls, "Hypercall");
    html_close(h);
    html_close(h);
}

static void write_console(struct html *h, const struct report *r)
{
    section(h, "console", "The end of the console");
    if (r->timeline->console[0]) {
        write_pre(h, "wrap", r->timeline->console);
    } else {
        html_element(h, "p", NULL, "The guest wrote nothing.");
    }
    html_close(h);
}

static void write_again(struct html *h, const struct report *r)
{
    size_t bytes = strlen(r->schedule);

    section(h, "again", "Run it again");
    html_element(h, "p", NULL, "The same run, to the last bit (its state's digest says so):");
    write_pre(h, "wrap", r->command);
    html_element(h, "p", NULL, "The same report:");
    write_pre(h, "wrap", r->command_report);
    html_element(h, "h3", NULL, "The schedule");
    if (!bytes) {
        html_element(h, "p", NULL, "There is no schedule: the run follows the documented default.");
    } else {
        const char *from = r->schedule;

        if (bytes > SCHEDULE_SHOWN) { /* whole lines */
            const char *newline = strchr(r->schedule + bytes - SCHEDULE_SHOWN, '\n');

            from = newline ? newline + 1 : r->schedule + bytes - SCHEDULE_SHOWN;
        }
        if (from > r->schedule)
            html_element(h, "p", "soft", "This is its end; the file has all of it.");
        write_pre(h, NULL, from);
    }
    html_close(h);
}

static void write_body(struct html *h, const struct report *r, struct decoder *dec)
{
    html_open(h, "body", NULL);
    html_raw(h, html_shapes);
    write_top(h, r);
    html_open(h, "main", NULL);
    write_story(h, r);
    write_bytes(h, r, dec);
    section(h, "timeline", "Timelines");
    html_timelines(h, r);
    html_close(h);
    write_last_insns(h, r, dec);
    write_vcpus(h, r);
    write_events(h, r);
    write_console(h, r);
    write_again(h, r);
    html_close(h);
    html_open(h, "footer", NULL);
    html_print(h,
               "Written by bootrace %s. Time is virtual: a nanosecond a step, and more for slow instructions and for "
               "waiting. All of this is derived from the facts of the run.",
               BOOTRACE_VERSION);
    html_close(h);
    html_open(h, "script", NULL);
    html_raw(h, "//<![CDATA[\n");
    html_raw(h, html_script);
    html_raw(h, "//]]>\n");
    html_close(h);
    html_close(h);
}

enum emu_err report_write_html(const struct report *r, FILE *to, struct diag *d)
{
    xmlBufferPtr buffer = xmlBufferCreate();
    struct html h = {.writer = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL};
    struct decoder *dec = NULL;
    enum emu_err err = decoder_new(&dec, d);

    if (err == EMU_OK && !h.writer)
        err = diag_no_memory(d);
    if (err == EMU_OK) {
        html_raw(&h, "<!DOCTYPE html>\n");
        html_open(&h, "html", "lang", "en", "xmlns", "http://www.w3.org/1999/xhtml", NULL);
        write_head(&h, r);
        write_body(&h, r, dec);
        html_close(&h);
        if (h.failed || xmlTextWriterFlush(h.writer) < 0)
            err = diag_set(d, EMU_EHOST, "the HTML library can't write the report");
    }
    if (h.writer)
        xmlFreeTextWriter(h.writer);
    if (err == EMU_OK) {
        /* NOLINTNEXTLINE(cert-err33-c): the stream keeps the failure, and whoever closes it asks */
        fwrite(xmlBufferContent(buffer), 1, (size_t)xmlBufferLength(buffer), to);
        putc('\n', to);
    }
    if (buffer)
        xmlBufferFree(buffer);
    decoder_free(dec);
    return err;
}
