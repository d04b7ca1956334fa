/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/snapshot.h"

#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run/attach.h"
#include "cli/run/guest.h"
#include "cli/run/json_text.h"
#include "cli/run/post_mortem.h"
#include "emu/base/plural.h"
#include "emu/snapshot_file.h"
#include "emu/vcpu.h"

static const char doc[] = "Say what a snapshot file contains: its case, its step, its vCPUs and its size.\v"
                          "IMAGE, which must be the one that was booted, gives the symbols.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace snapshot show here.snap\n"
                          "  bootrace snapshot show here.snap vmlinuz\n"
                          "  bootrace snapshot show here.snap --json\n"
                          "\n"
                          "Exit status: 0, 2 not a snapshot of this build.";

enum { KEY_JSON = 256 };

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

struct show {
    const char *what, *file, *image;
    bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct show *s = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (!s->what)
            s->what = arg;
        else if (!s->file)
            s->file = arg;
        else if (!s->image)
            s->image = arg;
        else
            argp_error(state, "'%s' is one argument too many", arg);
        break;
    case KEY_JSON:
        s->json = true;
        break;
    case ARGP_KEY_END:
        if (!s->what || strcmp(s->what, "show") || !s->file)
            argp_error(state, "show which file? For example: bootrace snapshot show here.snap");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static json_t *vcpu_json(const struct guest *g, unsigned v)
{
    const char *waits = vcpu_wait_reason(g->machine, v);
    bool is_somewhere = vcpu_state(g->machine, v) != VCPU_OFFLINE;
    struct vcpu_regs r;
    char place[160], rip[32];

    vcpu_get_regs(g->machine, v, &r);
    post_mortem_place(g->symbols, r.rip, place, sizeof(place));
    snprintf(rip, sizeof(rip), "0x%" PRIx64, r.rip);
    return json_pack("{s:o, s:o*, s:I, s:o*, s:o*}", "state", json_text(vcpu_state_name(vcpu_state(g->machine, v))),
                     "waits_for", json_text(waits), "steps", (json_int_t)vcpu_position(g->machine, v), "rip",
                     json_text(is_somewhere ? rip : NULL), "place", json_text(is_somewhere ? place : NULL));
}

static void print_json(const struct guest *g, const struct snapshot_file_info *i)
{
    json_t *vcpus = json_array(), *o;
    char digest[17];

    for (unsigned v = 0; v < i->vcpus; v++)
        json_array_append_new(vcpus, vcpu_json(g, v));
    snprintf(digest, sizeof(digest), "%016" PRIx64, i->digest);
    o = json_pack("{s:i, s:o, s:I, s:I, s:o, s:I, s:I, s:i, s:o, s:o*}", "format", (int)i->format, "build",
                  json_text(i->build), "bytes", (json_int_t)i->file_bytes, "ram_pages", (json_int_t)i->ram_pages,
                  "digest", json_text(digest), "steps", (json_int_t)i->steps, "virtual_ns", (json_int_t)i->now_ns,
                  "current", (int)machine_current(g->machine), "vcpus", vcpus, "case",
                  json_loads(i->case_text, 0, NULL));
    json_show(o);
    json_decref(o);
}

static void print_text(const struct guest *g, const struct snapshot_file_info *i)
{
    printf("case:   %s\n", i->case_text);
    printf("build:  %s\n", i->build);
    printf("where:  step %" PRIu64 ", %.6f s virtual, digest %016" PRIx64 "\n", i->steps, (double)i->now_ns / 1e9,
           i->digest);
    for (unsigned v = 0; v < i->vcpus; v++) {
        const char *waits = vcpu_wait_reason(g->machine, v);
        struct vcpu_regs r;
        char place[160];

        vcpu_get_regs(g->machine, v, &r);
        post_mortem_place(g->symbols, r.rip, place, sizeof(place));
        printf("vCPU %u: %s%s%s%s, %" PRIu64 " step%s", v, vcpu_state_name(vcpu_state(g->machine, v)),
               waits ? " (" : "", waits ? waits : "", waits ? ")" : "", vcpu_position(g->machine, v),
               plural(vcpu_position(g->machine, v)));
        if (vcpu_state(g->machine, v) != VCPU_OFFLINE)
            printf(", %u-bit code at %s", regs_code_bits(&r), place);
        printf("%s\n", v == machine_current(g->machine) ? ", the current one" : "");
    }
    printf("size:   %.1f MiB, for %.1f MiB of RAM that is not zero, of %.1f MiB\n", (double)i->file_bytes / (1 << 20),
           (double)i->ram_pages / 256, (double)i->ram_bytes / (1 << 20));
}

int snapshot_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "show FILE [IMAGE]", doc, NULL, NULL, NULL};
    struct guest_options guest_options = {0};
    struct snapshot_file *file = NULL;
    struct show s = {0};
    struct guest g;
    struct diag d;
    enum emu_err err;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    diag_init(&d);
    err = snapshot_file_open(s.file, &file, &d);
    if (err == EMU_OK) {
        guest_options.snapshot = file;
        guest_options.kernel = s.image;
        err = attach_guest_init(&g, &guest_options, &d);
    }
    if (err != EMU_OK) {
        diag_print(&d, "bootrace snapshot", stderr);
        snapshot_file_close(file);
        return COMMAND_INPUT;
    }
    if (s.json)
        print_json(&g, snapshot_file_info(file));
    else
        print_text(&g, snapshot_file_info(file));
    guest_fini(&g);
    snapshot_file_close(file);
    return COMMAND_PASS;
}
