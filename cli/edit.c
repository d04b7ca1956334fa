/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootrace edit: what an edit by meaning would change in a kernel, instruction by instruction and entry by entry. */
#include "cli/edit.h"

#include "cli/command.h"
#include "cli/run/kernel.h"
#include "emu/insn.h"
#include "models/linux/edit.h"

#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 4352 /* a longest name and its offset */

struct options {
    const char *image;
    char **edits;
    unsigned count;
    bool dry_run;
};

struct report {
    const struct kernel *kernel;
    struct decoder *decoder;
};

static const struct argp_option argp_options[] = {
    {"dry-run", 'n', NULL, 0, "Only say what would change in memory; images are never changed", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'n':
        o->dry_run = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!o->image) {
            o->image = value;
            return 0;
        }
        o->edits = state->argv + state->next - 1;
        o->count = (unsigned)(state->argc - (state->next - 1));
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (!o->image)
            argp_error(state, "which IMAGE?");
        if (!o->count)
            argp_error(state, "which EDIT?");
        if (!o->dry_run)
            argp_error(state, "bootrace edit never changes an image: give --dry-run");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    argp_options,
    parse_option,
    "IMAGE EDIT...",
    "Say what edits would change in a kernel, in order. Each EDIT is one argument:\n"
    "  'drop-call FUNCTION CALLEE|+OFFSET [OCCURRENCE]'\n"
    "  'call-after FUNCTION CALLEE NEW [OCCURRENCE]'\n"
    "  'unguard FUNCTION'\n"
    "  'replace FUNCTION+OFFSET PATTERN BYTES'\n"
    "  'skip-entry TABLE FUNCTION+OFFSET'\v"
    "Examples:\n"
    "  bootrace edit --dry-run vmlinuz 'unguard text_poke_early'\n"
    "  bootrace edit --dry-run vmlinuz \\\n"
    "      'drop-call alternative_instructions stop_nmi'\n"
    "\n"
    "Exit status: 0 all fit, 2 one does not, 5 bootrace or the host failed.",
    NULL,
    NULL,
    NULL,
};

static void print_code(const struct report *r, char sign, uint64_t gva, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        char text[160], hex[2 * INSN_BYTES_MAX + 1];
        size_t length =
            decoder_print(r->decoder, r->kernel->view.bits, gva + at, bytes + at, size - at, text, sizeof(text));
        if (!length)
            length = 1;
        for (size_t i = 0; i < length; i++)
            snprintf(hex + 2 * i, 3, "%02x", bytes[at + i]);
        printf("  %c 0x%" PRIx64 " %-*s %s\n", sign, gva + at, 2 * INSN_BYTES_MAX / 2, hex, text);
        at += length;
    }
}

static void print_raw(char sign, const uint8_t *bytes, size_t size)
{
    printf("  %c ", sign);
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

static void print_change(void *context, const struct edit_change *c)
{
    const struct report *r = context;
    char place[TEXT_BYTES];
    if (c->table == PATCH_KINDS) {
        symbols_print(r->kernel->symbols, c->gva, place, sizeof(place));
        printf("  code at %s:\n", place);
        print_code(r, '-', c->gva, c->old_bytes, c->bytes);
        print_code(r, '+', c->gva, c->new_bytes, c->bytes);
    } else {
        symbols_print(r->kernel->symbols, c->site_gva, place, sizeof(place));
        printf("  entry at 0x%" PRIx64 " of %s, for %s:\n", c->gva, patch_kind_name(c->table), place);
        print_raw('-', c->old_bytes, c->bytes);
        print_raw('+', c->new_bytes, c->bytes);
    }
}

static enum emu_err run_edits(const struct options *o, const struct kernel *k, struct report *r, uint8_t *bytes,
                              struct diag *d)
{
    struct edit_copy copy = {.view = &k->view, .bytes = bytes};
    struct edit_memory memory = edit_memory_copy(&copy);
    const struct edit_kernel kernel = {
        .view = &k->view, .symbols = k->symbols, .tables = &k->tables, .decoder = r->decoder};
    for (unsigned i = 0; i < o->count; i++) {
        char text[EDIT_LINE_BYTES];
        struct edit e;
        enum emu_err err = edit_parse(o->edits[i], 0, &e, d);
        if (err != EMU_OK)
            return err;
        edit_print(&e, text, sizeof(text));
        printf("%s\n", text);
        err = edit_apply(&e, &kernel, &memory, print_change, r, d);
        if (err != EMU_OK)
            return err;
    }
    return EMU_OK;
}

static enum emu_err run_all(const struct options *o, struct diag *d)
{
    struct report r = {.decoder = NULL};
    struct kernel k;
    enum emu_err err = kernel_init(&k, o->image, d);
    uint8_t *bytes;

    if (err != EMU_OK)
        return err;
    bytes = malloc(k.view.size);
    r.kernel = &k;
    if (bytes) {
        memcpy(bytes, k.view.bytes, k.view.size);
        err = decoder_new(&r.decoder, d);
    } else {
        err = diag_set(d, EMU_EHOST, "there is not enough memory");
    }
    if (err == EMU_OK)
        err = run_edits(o, &k, &r, bytes, d);
    decoder_free(r.decoder);
    free(bytes);
    kernel_fini(&k);
    return err;
}

int edit_run(int argc, char **argv)
{
    struct options o = {.image = NULL};
    struct diag d;
    enum emu_err err;

    diag_init(&d);
    argp_err_exit_status = COMMAND_INPUT;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o))
        return COMMAND_INPUT;
    err = run_all(&o, &d);
    if (err == EMU_OK)
        return COMMAND_PASS;
    fflush(stdout);
    return command_fail(argv[0], err, &d);
}
