/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/torn_site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/image/symbols.h"
#include "emu/insn.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "fuzz/detect/code_version.h"

#define INT3       0xcc
#define NAME_BYTES 256u
#define ARROW      "->"

/* ---- the declaration ---- */

static enum emu_err parse_place(const char *text, size_t length, const struct symbols *symbols, uint64_t *gva,
                                struct diag *d)
{
    char name[NAME_BYTES], *plus, *end;
    uint64_t offset = 0;
    struct symbol s;

    if (length >= sizeof(name))
        return diag_set(d, EMU_EINPUT, "the place of a torn-code site is too long");
    memcpy(name, text, length);
    name[length] = '\0';
    if (!strncmp(name, "0x", 2)) {
        *gva = strtoull(name, &end, 16);
        return !*end && name[2] ? EMU_OK : diag_set(d, EMU_EINPUT, "'%s' is not an address", name);
    }
    plus = strchr(name, '+');
    if (plus) {
        offset = strtoull(plus + 1, &end, 0);
        if (*end || end == plus + 1 || plus[1] == '-')
            return diag_set(d, EMU_EINPUT, "the place of a torn-code site is like symbol+0x1c, not '%s'", name);
        *plus = '\0';
    }
    if (!symbols || symbols_find_name(symbols, name, &s) != 1)
        return diag_set(d, EMU_EINPUT, "the guest has %s symbol '%s' for the site of torn code",
                        symbols ? "not one" : "no", name);
    *gva = s.start_gva + offset;
    return EMU_OK;
}

/* One version: pairs of hexadecimal digits up to the arrow or the end. */
static bool parse_version(const char **text, uint8_t *version, unsigned *bytes)
{
    const char *at = *text;
    unsigned n = 0;

    for (;;) {
        char pair[3] = "";

        at += strspn(at, " \t");
        if (!*at || !strncmp(at, ARROW, 2))
            break;
        if (strspn(at, "0123456789abcdefABCDEF") != 2 || n == TORN_SITE_BYTES_MAX)
            return false;
        memcpy(pair, at, 2);
        version[n++] = (uint8_t)strtoul(pair, NULL, 16);
        at += 2;
    }
    *bytes = n;
    *text = *at ? at + strlen(ARROW) : at;
    return n;
}

enum emu_err torn_site_parse(const char *text, const struct symbols *symbols, struct torn_site *site, struct diag *d)
{
    const char *colon = strrchr(text, ':'), *at; /* a symbol may hold one too */
    enum emu_err err;

    memset(site, 0, sizeof(*site));
    if (!colon)
        return diag_set(d, EMU_EINPUT, "a torn-code site is SYMBOL+0xOFFSET: OLD BYTES -> NEW BYTES, not '%s'", text);
    at = colon + 1;
    err = parse_place(text, (size_t)(colon - text), symbols, &site->gva, d);
    if (err != EMU_OK)
        return err;
    do {
        unsigned bytes;

        if (site->versions == TORN_SITE_VERSIONS_MAX)
            return diag_set(d, EMU_EINPUT, "a torn-code site has at most %u versions", TORN_SITE_VERSIONS_MAX);
        if (!parse_version(&at, site->version[site->versions], &bytes))
            return diag_set(d, EMU_EINPUT, "version %u of the torn-code site is not 1 to %u bytes like 0f ae f0",
                            site->versions + 1, TORN_SITE_BYTES_MAX);
        if (site->versions && bytes != site->bytes)
            return diag_set(d, EMU_EINPUT, "version %u of the torn-code site has %u bytes, the first one %u",
                            site->versions + 1, bytes, site->bytes);
        site->bytes = bytes;
        site->versions++;
    } while (*at);
    if (site->versions < 2)
        return diag_set(d, EMU_EINPUT, "a torn-code site has two versions or more, with -> between them");
    return EMU_OK;
}

static size_t print_bytes(const uint8_t *bytes, unsigned count, char *text, size_t text_bytes)
{
    size_t used = 0;

    for (unsigned i = 0; i < count && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, " %02x", bytes[i]);
    return used < text_bytes ? used : text_bytes;
}

void torn_site_print(const struct torn_site *site, const struct symbols *symbols, char *text, size_t text_bytes)
{
    struct symbol s;
    size_t used;

    if (symbols && symbols_find_address(symbols, site->gva, &s))
        used = (size_t)snprintf(text, text_bytes, "%s+0x%" PRIx64 ":", s.name, site->gva - s.start_gva);
    else
        used = (size_t)snprintf(text, text_bytes, "0x%" PRIx64 ":", site->gva);
    for (unsigned i = 0; i < site->versions && used < text_bytes; i++) {
        if (i)
            used += (size_t)snprintf(text + used, text_bytes - used, " " ARROW);
        if (used < text_bytes)
            used += print_bytes(site->version[i], site->bytes, text + used, text_bytes - used);
    }
}

/* ---- the run ---- */

static void on_reached(struct machine *m, uint64_t rip_gva, void *context)
{
    const struct torn_site_detector *x = context;
    const struct torn_site *site = &x->site;
    struct decoder *dec = engine_decoder(machine_engine(m));
    unsigned vcpu = machine_current(m), bits = vcpu_code_bits(m);
    uint8_t code[INSN_BYTES_MAX], present[TORN_SITE_BYTES_MAX];
    const uint8_t *version[TORN_SITE_VERSIONS_MAX];
    char now[3 * TORN_SITE_BYTES_MAX + 1];
    struct insn insn;
    unsigned there = INSN_BYTES_MAX;

    if (rip_gva - site->gva >= site->bytes)
        return;
    while (there && !vcpu_read_gva(m, vcpu, rip_gva, code, there, NULL))
        there--;
    if (!there || !vcpu_read_gva(m, vcpu, site->gva, present, site->bytes, NULL))
        return;
    for (unsigned i = 0; i < site->versions; i++)
        version[i] = site->version[i];
    if (code[0] == INT3 && !code_version_leads_into_int3(dec, bits, present, site->bytes,
                                                         (unsigned)(rip_gva - site->gva), version, site->versions))
        return;
    if (!decoder_decode(dec, bits, code, there, &insn))
        insn.length = 1;
    for (unsigned i = 0; code[0] != INT3 && i < site->versions; i++)
        if (code_version_has(dec, bits, site->version[i], site->bytes, (int64_t)(rip_gva - site->gva), code,
                             insn.length))
            return;
    print_bytes(present, site->bytes, now, sizeof(now));
    machine_set_verdict(m, VERDICT_FAIL, "torn-code", "torn code:%s is none of the %u versions of the site", now,
                        site->versions);
}

enum emu_err torn_site_watch(struct torn_site_detector *x, const struct torn_site *site, struct diag *d)
{
    uint64_t gva[TORN_SITE_BYTES_MAX];
    unsigned count = site ? site->bytes : 0;

    if (site)
        x->site = *site;
    for (unsigned i = 0; i < count; i++)
        gva[i] = x->site.gva + i;
    return watch_set_places(x->machine, &x->watcher, gva, count, d);
}

enum emu_err torn_site_attach(struct torn_site_detector *x, struct machine *m, const struct torn_site *site,
                              struct diag *d)
{
    enum emu_err err;

    *x = (struct torn_site_detector){.machine = m, .watcher = {.reached = on_reached, .context = x}};
    err = watch_add(m, &x->watcher, d);
    return err == EMU_OK ? torn_site_watch(x, site, d) : err;
}
