/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/op_table_text.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX 8192u

struct parser {
    struct op_table_config *c;
    const struct symbols *symbols;
    struct diag *d;
    char table[OP_TABLE_NAME_BYTES];
    uint64_t table_gva;
};

static enum emu_err find_symbol(struct parser *p, const char *name, uint64_t *gva)
{
    struct symbol s;
    size_t count = symbols_find_name(p->symbols, name, &s);

    if (count != 1)
        return diag_set(p->d, EMU_EINPUT,
                        count ? "the operations table: %s is ambiguous among the guest's symbols"
                              : "the operations table: the guest has no symbol %.80s",
                        name);
    *gva = s.start_gva;
    return EMU_OK;
}

static enum emu_err copy_name(struct parser *p, char *dst, const char *name)
{
    if (!*name || strlen(name) >= OP_TABLE_NAME_BYTES)
        return diag_set(p->d, EMU_EINPUT, "the operations table: '%.80s' is not a name of 1 to %u characters", name,
                        OP_TABLE_NAME_BYTES - 1);
    strcpy(dst, name);
    return EMU_OK;
}

static enum emu_err parse_table(struct parser *p, char *value)
{
    enum emu_err err = copy_name(p, p->table, value);

    if (err == EMU_OK && p->table_gva)
        err = diag_set(p->d, EMU_EINPUT, "the operations table: table= is given twice");
    return err == EMU_OK ? find_symbol(p, value, &p->table_gva) : err;
}

static enum emu_err parse_slots(struct parser *p, char *value)
{
    struct op_table_config *c = p->c;
    enum emu_err err = EMU_OK;
    char *name;

    if (c->slot_count)
        return diag_set(p->d, EMU_EINPUT, "the operations table: slots= is given twice");
    while (err == EMU_OK && (name = strsep(&value, ","))) {
        if (c->slot_count == OP_TABLE_SLOTS_MAX)
            return diag_set(p->d, EMU_EINPUT, "the operations table: more than %u slots", OP_TABLE_SLOTS_MAX);
        err = copy_name(p, c->slots[c->slot_count++].name, name);
    }
    return err;
}

static enum emu_err parse_patcher(struct parser *p, char *value)
{
    char *slash = strchr(value, '/');

    if (slash && strcmp(slash, "/stack"))
        return diag_set(p->d, EMU_EINPUT, "the operations table: a patcher is FUNCTION or FUNCTION/stack, not '%.80s'",
                        value);
    if (slash)
        *slash = '\0';
    p->c->patcher_on_stack = slash && p->c->bits == 32;
    return find_symbol(p, value, &p->c->patcher_gva);
}

static enum emu_err find_protocol(struct parser *p, const char *name, unsigned *protocol)
{
    unsigned i = 0;

    while (i < OP_TABLE_PROTOCOLS_MAX && p->c->protocols[i][0] && strcmp(p->c->protocols[i], name))
        i++;
    if (i == OP_TABLE_PROTOCOLS_MAX)
        return diag_set(p->d, EMU_EINPUT, "the operations table: more than %u protocols", OP_TABLE_PROTOCOLS_MAX);
    *protocol = i;
    return copy_name(p, p->c->protocols[i], name);
}

static enum emu_err parse_functions(struct parser *p, char *value, bool releases)
{
    char *name, *functions = strchr(value, ':');
    unsigned protocol = 0;
    enum emu_err err;

    if (!functions)
        return diag_set(p->d, EMU_EINPUT, "the operations table: write lock=PROTOCOL:FUNCTION,… not '%.80s'", value);
    *functions++ = '\0';
    err = find_protocol(p, value, &protocol);
    while (err == EMU_OK && (name = strsep(&functions, ","))) {
        struct op_table_function *f = &p->c->functions[p->c->function_count];

        if (p->c->function_count == OP_TABLE_FUNCTIONS_MAX)
            return diag_set(p->d, EMU_EINPUT, "the operations table: more than %u lock functions",
                            OP_TABLE_FUNCTIONS_MAX);
        *f = (struct op_table_function){.protocol = protocol, .releases = releases};
        err = find_symbol(p, name, &f->function_gva);
        p->c->function_count++;
    }
    return err;
}

static enum emu_err parse_word(struct parser *p, char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    if (value && !strcmp(word, "table"))
        return parse_table(p, value);
    if (value && !strcmp(word, "slots"))
        return parse_slots(p, value);
    if (value && !strcmp(word, "patcher"))
        return parse_patcher(p, value);
    if (value && !strcmp(word, "lock"))
        return parse_functions(p, value, false);
    if (value && !strcmp(word, "unlock"))
        return parse_functions(p, value, true);
    return diag_set(p->d, EMU_EINPUT,
                    "the operations table: '%.80s' is none of table=, slots=, patcher=, lock= and unlock=", word);
}

static void drop_comments(char *text)
{
    for (char *at = text; (at = strchr(at, '#'));)
        while (*at && *at != '\n')
            *at++ = ' ';
}

enum emu_err op_table_parse(const char *text, const struct symbols *symbols, unsigned bits, struct op_table_config *c,
                            struct diag *d)
{
    struct parser p = {.c = c, .symbols = symbols, .d = d};
    enum emu_err err = EMU_OK;
    char *copy, *rest, *word;

    *c = (struct op_table_config){.bits = bits};
    if (strlen(text) > TEXT_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the declaration of the operations table is longer than %u bytes",
                        TEXT_BYTES_MAX);
    copy = rest = strdup(text);
    if (!copy)
        return diag_no_memory(d);
    drop_comments(copy);
    while (err == EMU_OK && (word = strsep(&rest, " \t\r\n")))
        if (*word)
            err = parse_word(&p, word);
    free(copy);
    if (err != EMU_OK)
        return err;
    if (!p.table_gva || !c->slot_count || !c->patcher_gva)
        return diag_set(d, EMU_EINPUT, "the operations table: %s is missing",
                        !p.table_gva    ? "table="
                        : c->slot_count ? "patcher="
                                        : "slots=");
    for (unsigned i = 0; i < c->slot_count; i++) {
        c->slots[i].slot_gva = p.table_gva + (uint64_t)i * (bits / 8);
        strcpy(c->slots[i].table, p.table);
    }
    c->wait_slot = c->release_slot = c->slot_count;
    return EMU_OK;
}
