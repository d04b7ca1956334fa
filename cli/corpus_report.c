/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/corpus_report.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run/json_text.h"

const char *corpus_report_text(const struct corpus_entry *e, const char *key)
{
    const char *text = json_string_value(json_object_get(e->report, key));

    return text ? text : "";
}

/* ---- TAP ---- */

void corpus_print_tap_plan(size_t count, FILE *to)
{
    fprintf(to, "TAP version 13\n1..%zu\n", count);
}

void corpus_print_tap(const struct corpus_entry *e, size_t number, FILE *to)
{
    if (e->state == CORPUS_SKIPPED)
        fprintf(to, "ok %zu - %s # SKIP %s\n", number, e->id, e->message);
    else
        fprintf(to, "%s %zu - %s\n", e->state == CORPUS_EXPECTED ? "ok" : "not ok", number, e->id);
    if (e->state == CORPUS_DIFFERENT || e->state == CORPUS_ERROR)
        fprintf(to, "# %s%s\n", e->state == CORPUS_ERROR ? "ERROR: " : "", e->message);
    fflush(to);
}

/* ---- JUnit ---- */

static const xmlChar *xml_text(const char *t)
{
    return (const xmlChar *)t;
}

struct junit {
    xmlTextWriterPtr writer;
    bool bad;
};

static void begin(struct junit *j, const char *name)
{
    j->bad = j->bad || xmlTextWriterStartElement(j->writer, xml_text(name)) < 0;
}

static void end(struct junit *j)
{
    j->bad = j->bad || xmlTextWriterEndElement(j->writer) < 0;
}

static void attribute(struct junit *j, const char *name, const char *value)
{
    j->bad = j->bad || xmlTextWriterWriteAttribute(j->writer, xml_text(name), xml_text(value)) < 0;
}

static void number(struct junit *j, const char *name, size_t value)
{
    j->bad = j->bad || xmlTextWriterWriteFormatAttribute(j->writer, xml_text(name), "%zu", value) < 0;
}

static void seconds(struct junit *j, const char *name, double s)
{
    j->bad = j->bad || xmlTextWriterWriteFormatAttribute(j->writer, xml_text(name), "%.3f", s) < 0;
}

static void text(struct junit *j, const char *t)
{
    j->bad = j->bad || xmlTextWriterWriteString(j->writer, xml_text(t)) < 0;
}

static void write_testcase(struct junit *j, const struct corpus_entry *e)
{
    begin(j, "testcase");
    attribute(j, "name", e->id);
    attribute(j, "classname", "bootrace.corpus");
    attribute(j, "file", e->path);
    seconds(j, "time", e->host_s);
    if (e->state == CORPUS_DIFFERENT || e->state == CORPUS_ERROR) {
        begin(j, e->state == CORPUS_ERROR ? "error" : "failure");
        attribute(j, "message", e->message);
        attribute(j, "type", e->state == CORPUS_ERROR ? "ERROR" : corpus_report_text(e, "verdict"));
        text(j, corpus_report_text(e, "title"));
        end(j);
    }
    if (e->state == CORPUS_SKIPPED) {
        begin(j, "skipped");
        attribute(j, "message", e->message);
        end(j);
    }
    end(j);
}

/* libxml2's own writing to a file says nothing of a full disk. */
static enum emu_err write_whole(const char *path, xmlBufferPtr whole, struct diag *d)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return diag_set_at(d, EMU_EHOST, path, 0, "can't be written: %s", strerror(errno));
    /* NOLINTNEXTLINE(cert-err33-c): the stream keeps the failure, and whoever closes it asks */
    fwrite(xmlBufferContent(whole), 1, (size_t)xmlBufferLength(whole), f);
    return command_close_output(f, path, d);
}

enum emu_err corpus_write_junit(const char *path, const struct corpus_entry *e, size_t count, struct diag *d)
{
    xmlBufferPtr whole = xmlBufferCreate();
    struct junit j = {whole ? xmlNewTextWriterMemory(whole, 0) : NULL, false};
    size_t failures = 0, errors = 0, skipped = 0;
    double total_s = 0;
    enum emu_err err = EMU_OK;

    if (!j.writer) {
        xmlBufferFree(whole);
        return diag_no_memory(d);
    }
    for (size_t i = 0; i < count; i++) {
        failures += e[i].state == CORPUS_DIFFERENT;
        errors += e[i].state == CORPUS_ERROR;
        skipped += e[i].state == CORPUS_SKIPPED;
        total_s += e[i].host_s;
    }
    xmlTextWriterSetIndent(j.writer, 1);
    j.bad = xmlTextWriterStartDocument(j.writer, NULL, "UTF-8", NULL) < 0;
    begin(&j, "testsuites");
    begin(&j, "testsuite");
    attribute(&j, "name", "bootrace corpus");
    number(&j, "tests", count);
    number(&j, "failures", failures);
    number(&j, "errors", errors);
    number(&j, "skipped", skipped);
    seconds(&j, "time", total_s);
    for (size_t i = 0; i < count; i++)
        write_testcase(&j, &e[i]);
    j.bad = j.bad || xmlTextWriterEndDocument(j.writer) < 0 || xmlTextWriterFlush(j.writer) < 0;
    xmlFreeTextWriter(j.writer);
    if (!j.bad)
        err = write_whole(path, whole, d);
    xmlBufferFree(whole);
    return j.bad ? diag_no_memory(d) : err;
}

/* ---- SARIF 2.1.0 ---- */

/* One result a case: `pass` where it ended as expected, `fail` where not. */
static json_t *sarif_result(const struct corpus_entry *e)
{
    bool pass = e->state == CORPUS_EXPECTED || e->state == CORPUS_SKIPPED;
    const char *place = corpus_report_text(e, "place"), *detector = corpus_report_text(e, "detector");
    json_t *location = json_pack("{s:{s:{s:o}, s:{s:i}}}", "physicalLocation", "artifactLocation", "uri",
                                 json_text(e->path), "region", "startLine", 1);
    json_t *result;

    if (*place)
        json_object_set_new(
            location, "logicalLocations",
            json_pack("[{s:o, s:o}]", "fullyQualifiedName", json_text(place), "kind", json_text("function")));
    result = json_pack("{s:o, s:o, s:o, s:{s:o}, s:[o], s:{s:o}}", "ruleId",
                       json_text(e->state == CORPUS_ERROR ? "case-error" : "case-different"), "kind",
                       json_text(pass ? "pass" : "fail"), "level", json_text(pass ? "none" : "error"), "message",
                       "text", json_text(pass ? corpus_report_text(e, "title") : e->message), "locations", location,
                       "properties", "case", json_text(e->id));
    if (*detector)
        json_object_set_new(json_object_get(result, "properties"), "detector", json_text(detector));
    return result;
}

enum emu_err corpus_write_sarif(const char *path, const struct corpus_entry *e, size_t count, struct diag *d)
{
    json_t *rules =
        json_pack("[{s:o, s:{s:o}}, {s:o, s:{s:o}}]", "id", json_text("case-different"), "shortDescription", "text",
                  json_text("A case does not end as it expects"), "id", json_text("case-error"), "shortDescription",
                  "text", json_text("A case can't be run: the file is broken, or it does not fit its guest"));
    json_t *results = json_array(), *root;
    int bad;

    for (size_t i = 0; i < count; i++)
        json_array_append_new(results, sarif_result(&e[i]));
    root = json_pack("{s:o, s:o, s:[{s:{s:{s:o, s:o, s:o}}, s:o}]}", "$schema",
                     json_text("https://json.schemastore.org/sarif-2.1.0.json"), "version", json_text("2.1.0"), "runs",
                     "tool", "driver", "name", json_text("bootrace"), "version", json_text(BOOTRACE_VERSION), "rules",
                     rules, "results", results);
    errno = 0;
    bad = json_dump_file(root, path, JSON_INDENT(2));
    json_decref(root);
    return bad ? diag_set_at(d, EMU_EHOST, path, 0, "can't be written: %s", strerror(errno)) : EMU_OK;
}
