/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/run/parse.h"
#include "cli/run/snapshot_case.h"
#include "emu/base/plural.h"
#include "emu/snapshot_cache.h"

/* ---- the options ---- */

enum { KEY_CACHE = 0x2000, KEY_NO_CACHE };

static const struct argp_option options[] = {
    {"cache", KEY_CACHE, "DIR", 0,
     "Keep snapshots of places in boots in DIR (default: bootrace in $XDG_CACHE_HOME or "
     "~/.cache)",
     0},
    {"no-cache", KEY_NO_CACHE, NULL, 0, "Boot to the place every time, and keep no snapshot", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cache_options *o = state->input;

    switch (key) {
    case KEY_CACHE:
        o->folder = arg;
        return 0;
    case KEY_NO_CACHE:
        o->off = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

const struct argp cache_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

bool cache_find_folder(const struct cache_options *o, char folder[SNAPSHOT_CACHE_FOLDER_BYTES])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;

    if (o->folder)
        n = snprintf(folder, SNAPSHOT_CACHE_FOLDER_BYTES, "%s", o->folder);
    else if (cache && cache[0] == '/') /* the XDG base directory specification: others are to be ignored */
        n = snprintf(folder, SNAPSHOT_CACHE_FOLDER_BYTES, "%s/bootrace", cache);
    else if (home && home[0] == '/')
        n = snprintf(folder, SNAPSHOT_CACHE_FOLDER_BYTES, "%s/.cache/bootrace", home);
    return n >= 0 && n < SNAPSHOT_CACHE_FOLDER_BYTES;
}

/* ---- going to a place ---- */

static void say_unusable(const struct diag *d)
{
    fprintf(stderr, "bootrace: the cache can't be used: %s%s%s\n", d->file, d->file[0] ? " " : "", d->text);
}

enum emu_err cache_run_to(struct guest *g, const struct cache_options *o, const struct approach *a,
                          struct approach_place *place, enum machine_stop_reason *why, struct diag *d)
{
    char folder[SNAPSHOT_CACHE_FOLDER_BYTES], key[SNAPSHOT_CACHE_KEY_BYTES], where[64];
    struct snapshot_file *f = NULL;
    struct snapshot_cache cache;
    char *text = NULL;
    struct diag trouble;
    enum emu_err err = EMU_OK;
    bool usable = !o->off && !g->detect && cache_find_folder(o, folder);

    diag_init(&trouble);
    if (usable) {
        snprintf(where, sizeof(where), "before 0x%" PRIx64 " #%" PRIu64, place->gva, place->wanted);
        err = snapshot_cache_init(&cache, folder, SNAPSHOT_CACHE_BYTES_MAX_DEFAULT, &trouble);
        if (err == EMU_OK)
            err = snapshot_case_print(&g->options, &text, &trouble);
        if (err == EMU_OK) {
            snapshot_cache_key(text, where, key);
            err = snapshot_cache_get(&cache, key, &f, &trouble);
        }
        usable = err == EMU_OK;
        if (!usable)
            say_unusable(&trouble);
    }
    if (f) {
        *why = MACHINE_STOPPED_RIP;
        err = snapshot_file_load(f, g->machine, d);
        snapshot_file_close(f);
        free(text);
        return err;
    }
    *why = approach_run_to(a, g, place);
    if (usable && *why == MACHINE_STOPPED_RIP && snapshot_cache_put(&cache, key, g->machine, text, &trouble) != EMU_OK)
        say_unusable(&trouble);
    free(text);
    return EMU_OK;
}

/* ---- the sub-command ---- */

static const char command_doc[] =
    "Show, or empty, the folder of snapshots that searches keep.\v"
    "list shows each snapshot's size, last use, step and case. clear deletes all snapshots. "
    "trim deletes those that were not used for the longest time, until the others take at "
    "most SIZE.\n"
    "\n"
    "Examples:\n"
    "  bootrace cache list\n"
    "  bootrace cache trim 500M\n"
    "  bootrace cache clear\n"
    "\n"
    "Exit status: 0, 2 wrong input.";

static const struct argp_option command_options[] = {
    {"cache", KEY_CACHE, "DIR", 0, "The folder (default: bootrace in $XDG_CACHE_HOME or ~/.cache)", 0},
    {0},
};

struct command_input {
    struct cache_options cache;
    const char *what, *size;
};

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
    struct command_input *c = state->input;

    switch (key) {
    case KEY_CACHE:
        c->cache.folder = arg;
        break;
    case ARGP_KEY_ARG:
        if (!c->what)
            c->what = arg;
        else if (!c->size && !strcmp(c->what, "trim"))
            c->size = arg;
        else
            argp_error(state, "'%s' is one argument too many", arg);
        break;
    case ARGP_KEY_END:
        if (!c->what || (strcmp(c->what, "list") && strcmp(c->what, "clear") && strcmp(c->what, "trim")))
            argp_error(state, "which action? list, clear or trim SIZE");
        if (!strcmp(c->what, "trim") && !c->size)
            argp_error(state, "trim to which size? For example: bootrace cache trim 500M");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void print_entry(const struct snapshot_cache_entry *e)
{
    time_t used = (time_t)(e->used_ns / 1000000000u);
    struct snapshot_file *f;
    char day[32] = "";
    struct tm local;
    struct diag d;

    if (localtime_r(&used, &local))
        /* NOLINTNEXTLINE(cert-err33-c): a failure changes nothing here */
        strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &local);
    printf("%s  %7.1f MiB  %s  ", e->key, (double)e->bytes / (1 << 20), day);
    if (snapshot_file_open(e->path, &f, &d) != EMU_OK) {
        printf("%s\n", d.text);
        return;
    }
    printf("step %" PRIu64 " of %s\n", snapshot_file_info(f)->steps, snapshot_file_info(f)->case_text);
    snapshot_file_close(f);
}

static enum emu_err list(const struct snapshot_cache *cache, struct diag *d)
{
    struct snapshot_cache_entry *entries;
    uint64_t bytes = 0;
    size_t count;
    enum emu_err err = snapshot_cache_list(cache, &entries, &count, d);

    if (err != EMU_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        print_entry(&entries[i]);
        bytes += entries[i].bytes;
    }
    printf("%zu snapshot%s, %.1f MiB, in %s\n", count, plural(count), (double)bytes / (1 << 20), cache->folder);
    free(entries);
    return EMU_OK;
}

int cache_run(int argc, char **argv)
{
    static const struct argp argp = {
        command_options, parse_command, "list|clear|trim SIZE", command_doc, NULL, NULL, NULL};
    char folder[SNAPSHOT_CACHE_FOLDER_BYTES];
    struct command_input c = {0};
    struct snapshot_cache cache;
    uint64_t bytes_max = 0;
    size_t dropped = 0;
    struct diag d;
    enum emu_err err = EMU_OK;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &c);
    diag_init(&d);
    if (c.size && parse_bytes(c.size, &bytes_max, &d) != EMU_OK)
        err = diag_set(&d, EMU_EINPUT, "a size is a number like 500M or 2G, at least 16M, not '%s'", c.size);
    if (err == EMU_OK && !cache_find_folder(&c.cache, folder))
        err = diag_set(&d, EMU_EINPUT, "there is no home folder for a cache; give --cache DIR");
    if (err == EMU_OK)
        err = snapshot_cache_init(&cache, folder, SNAPSHOT_CACHE_BYTES_MAX_DEFAULT, &d);
    if (err == EMU_OK) {
        if (!strcmp(c.what, "list"))
            err = list(&cache, &d);
        else
            err = snapshot_cache_trim(&cache, bytes_max, &dropped, &d);
        if (err == EMU_OK && strcmp(c.what, "list"))
            printf("%zu snapshot%s dropped from %s\n", dropped, plural(dropped), cache.folder);
    }
    if (err != EMU_OK) {
        diag_print(&d, "bootrace cache", stderr);
        return COMMAND_INPUT;
    }
    return COMMAND_PASS;
}
