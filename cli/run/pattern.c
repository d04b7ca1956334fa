/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct group {
    unsigned atoms; /* so far, what is repeated counted as often as it is copied */
    unsigned last;  /* of them, those of the last one, which a repetition is of */
};

static void add(struct group *g, unsigned atoms)
{
    g->atoms += atoms;
    g->last = atoms;
}

/* A repetition that makes `times` of the last. */
static void repeat(struct group *g, unsigned long times)
{
    unsigned long more = times > PATTERN_ATOMS_MAX ? PATTERN_ATOMS_MAX + 1 : times > 1 ? g->last * (times - 1) : 0;

    g->atoms += (unsigned)more;
    g->last += (unsigned)more;
}

/* Behind a bracket expression, of which `p` is the first character. */
static const char *skip_bracket(const char *p)
{
    p += *p == '^';
    p += *p == ']';
    while (*p && *p != ']') {
        /* NOLINTNEXTLINE(bugprone-narrowing-conversions): the value fits: it was checked or is a character */
        char kind = p[0] == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=') ? p[1] : '\0';

        for (p += kind ? 2 : 1; kind && *p && !(p[0] == kind && p[1] == ']'); p++)
            ;
        p += kind && *p ? 2 : 0;
    }
    return p + (*p == ']');
}

/* The larger number of {n}, {n,} and {n,m}, of which `p` is behind the brace; each optional one counts. */
static unsigned long times_of(const char *p)
{
    char *end;
    unsigned long least = strtoul(p, &end, 10), most = *end == ',' ? strtoul(end + 1, NULL, 10) : least;

    return (most > least ? most : least) + (*end == ',' && most <= least);
}

static bool is_small(const char *text)
{
    static const struct group none = {0, 0};
    struct group outer[PATTERN_ATOMS_MAX + 1], g = none;
    unsigned depth = 0;

    for (const char *p = text; *p;) {
        char c = *p++;

        if (c == '(') {
            outer[depth++] = g;
            g = (struct group){g.atoms + 1, 0};
        } else if (c == ')' && depth) {
            unsigned before = outer[--depth].atoms;

            g.last = g.atoms - before;
        } else if (c == '+') {
            repeat(&g, 2);
        } else if (c == '{') {
            repeat(&g, times_of(p));
        } else if (c != '*' && c != '?' && c != '|') {
            add(&g, 1);
            if (c == '[')
                p = skip_bracket(p);
            else if (c == '\\' && *p)
                p++;
        }
        if (g.atoms > PATTERN_ATOMS_MAX)
            return false;
    }
    return true;
}

bool pattern_compile(regex_t *re, const char *text, int flags, char why[PATTERN_WHY_BYTES])
{
    int bad;

    if (!is_small(text)) {
        snprintf(why, PATTERN_WHY_BYTES, "it is too long, or repeats too much");
        return false;
    }
    bad = regcomp(re, text, REG_EXTENDED | REG_NOSUB | flags);
    if (bad)
        regerror(bad, re, why, PATTERN_WHY_BYTES);
    return !bad;
}
