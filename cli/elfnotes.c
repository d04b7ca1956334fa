/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/elfnotes.h"

#include "cli/command.h"
#include "cli/image_argument.h"
#include "cli/run/json_text.h"
#include "models/image_formats.h"
#include "models/xen/elfnote.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_XEN = 'x', OPTION_TYPE = 't', OPTION_FEATURES = 'f', OPTION_JSON = 'j' };

static const struct argp_option options[] = {
    {"xen", OPTION_XEN, "VERSION", 0, "The Xen version: 4.1, 4.2, 4.4, 4.17 or all (default: all)", 0},
    {"type", OPTION_TYPE, "TYPE", 0, "The guest type that IMAGE has to be accepted as: pv, pvh or any (default: any)",
     0},
    {"features", OPTION_FEATURES, "STRING", 0, "The features= of the domain's configuration", 0},
    {"json", OPTION_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

static const char doc[] = "Say for each Xen version whether its toolstack would load IMAGE (a vmlinuz, a vmlinux "
                          "or a bare ELF guest) as an unprivileged guest, which features the image requires and "
                          "supports, and why.\v"
                          "Examples:\n"
                          "  bootrace elfnotes /boot/vmlinuz\n"
                          "  bootrace elfnotes --xen 4.1 --type pv vmlinuz\n"
                          "  bootrace elfnotes --json vmlinuz | jq '.versions[] | {xen, accepted}'\n"
                          "\n"
                          "Exit status: 0 every version asked for accepts the image as at least one of the types "
                          "asked for, 1 some version does not, 2 wrong input.";

struct request {
    const char *path;
    const char *config_features;
    const struct elfnote_rules *only; /* NULL: all versions */
    bool types[ELFNOTE_PVH + 1];
    bool json;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &r->path;
        return 0;
    case OPTION_XEN:
        r->only = elfnote_rules_find(arg);
        if (!r->only && strcmp(arg, "all"))
            argp_error(state, "there is no Xen version '%s' here; known are 4.1, 4.2, 4.4, 4.17 and all", arg);
        return 0;
    case OPTION_TYPE:
        r->types[ELFNOTE_PV] = !strcmp(arg, "pv") || !strcmp(arg, "any");
        r->types[ELFNOTE_PVH] = !strcmp(arg, "pvh") || !strcmp(arg, "any");
        if (!r->types[ELFNOTE_PV] && !r->types[ELFNOTE_PVH])
            argp_error(state, "there is no guest type '%s'; known are pv, pvh and any", arg);
        return 0;
    case OPTION_FEATURES:
        r->config_features = arg;
        return 0;
    case OPTION_JSON:
        r->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&image_argument_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {options, parse_option, "IMAGE", doc, children, NULL, NULL};

static void print_verdict(const struct elfnote_rules *rules, enum elfnote_guest guest, const struct elfnote_verdict *v)
{
    char names[1024];

    printf("Xen %-5s %-4s %s: %s\n", rules->version, elfnote_guest_name(guest), v->accepted ? "accepted" : "REJECTED",
           v->why);
    if (!v->has_notes)
        return;
    printf("  required:  %s\n", elfnote_features_print(v->note.required, names, sizeof(names)));
    printf("  supported: %s\n", elfnote_features_print(v->note.supported, names, sizeof(names)));
    if (v->requested)
        printf("  requested: %s\n", elfnote_features_print(v->requested, names, sizeof(names)));
}

static json_t *json_features(uint32_t mask)
{
    json_t *names = json_array();

    for (unsigned bit = 0; bit < 32; bit++) {
        char number[16];

        snprintf(number, sizeof(number), "bit %u", bit);
        if (mask >> bit & 1)
            json_array_append_new(names, json_text(elfnote_feature_name(bit) ? elfnote_feature_name(bit) : number));
    }
    return names;
}

static json_t *json_verdict(enum elfnote_guest guest, const struct elfnote_verdict *v)
{
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "type", json_text(elfnote_guest_name(guest)), "accepted",
                     v->accepted, "why", json_text(v->why), "required", json_features(v->note.required), "supported",
                     json_features(v->note.supported), "requested", json_features(v->requested));
}

/* True if the version accepts the image. With `json` the verdicts are added to it, else they are printed. */
static bool check_version(const struct request *r, const struct elfnote_rules *rules, const struct image *img,
                          json_t *json)
{
    json_t *guests = json_array();
    bool accepted = false;

    for (enum elfnote_guest guest = ELFNOTE_PV; guest <= ELFNOTE_PVH; guest++) {
        struct elfnote_verdict v;

        if (!r->types[guest])
            continue;
        if (!elfnote_guest_is_known(rules, guest)) {
            if (!r->types[ELFNOTE_PV] && !r->json)
                printf("Xen %-5s %-4s REJECTED: this version has no such guests\n", rules->version,
                       elfnote_guest_name(guest));
            continue;
        }
        elfnote_check(rules, img, guest, r->config_features, &v);
        accepted |= v.accepted;
        if (r->json)
            json_array_append_new(guests, json_verdict(guest, &v));
        else
            print_verdict(rules, guest, &v);
    }
    if (r->json)
        json_array_append_new(json, json_pack("{s:o, s:b, s:O}", "xen", json_text(rules->version), "accepted", accepted,
                                              "guests", guests));
    json_decref(guests);
    return accepted;
}

static const char *source_name(const struct image *img)
{
    struct image_note_cursor c = image_notes_of(img, ELFNOTE_OWNER);
    const struct image_note *n = image_note_next(&c);

    return !n ? "none" : n->source == IMAGE_NOTE_SEGMENT ? "segment" : "section";
}

int elfnotes_run(int argc, char **argv)
{
    struct request r = {.types = {true, true}};
    struct image *img;
    struct diag d;
    bool accepted = true;
    json_t *versions;
    enum emu_err err;

    argp_err_exit_status = COMMAND_INPUT;
    if (argp_parse(&argp, argc, argv, 0, NULL, &r) != 0)
        return COMMAND_INPUT;
    diag_init(&d);
    err = image_load_file(r.path, image_formats, &img, &d);
    if (err != EMU_OK)
        return command_fail("bootrace elfnotes", err, &d);

    versions = json_array();
    if (!r.json)
        printf("%s: %s, %s, Xen notes: %s\n", r.path, img->kind == IMAGE_BZIMAGE ? "bzImage" : "ELF",
               image_machine_name(img->machine), source_name(img));
    for (const struct elfnote_rules *rules = elfnote_rules; rules->version; rules++)
        if (!r.only || r.only == rules)
            accepted &= check_version(&r, rules, img, versions);
    if (r.json) {
        json_t *root = json_pack(
            "{s:o, s:i, s:o, s:b, s:O}", "kind", json_text(img->kind == IMAGE_BZIMAGE ? "bzImage" : "ELF"), "class",
            (int)img->elf_class, "notes", json_text(source_name(img)), "accepted", accepted, "versions", versions);
        json_show(root);
        json_decref(root);
    }
    json_decref(versions);
    image_free(img);
    return accepted ? COMMAND_PASS : COMMAND_FAIL;
}
