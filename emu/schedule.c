/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/schedule.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/base/ensure.h"
#include "emu/base/read_file.h"
#include "emu/base/vec.h"
#include "emu/machine.h"

#define LINE_BYTES_MAX  1024
#define FILE_BYTES_MAX  (64u << 20)
#define WORDS_MAX       8
#define LATE_NS_MAX     10000000000ull   /* ten seconds: no host is later */
#define PASS_NS_MAX     3600000000000ull /* an hour */
#define PORTS_END       (1u << 17)       /* of FIFO event channels, public/event_channel.h */
#define PC_LINES        16               /* ISA's */
#define VECTOR_MIN      16
#define VECTOR_END      256
#define OCCURRENCES_MAX UINT32_MAX

/* What follows the action's name. */
enum arguments { ARG_NONE, ARG_VCPU, ARG_VCPU_TO, ARG_VCPU_VALUE, ARG_VALUE, ARG_VCPU_OR_NOT };

struct action {
    const char *name;
    enum arguments arguments;
    const char *value_name;
    uint64_t value_min, value_max;
    bool hex;
};

static const struct action actions[DECISION_KIND_COUNT] = {
    [DECISION_MARK] = {.name = "mark"},
    [DECISION_RUN] = {.name = "run", .arguments = ARG_VCPU_TO},
    [DECISION_RUN_TO] = {.name = "run", .arguments = ARG_VCPU_TO},
    [DECISION_NMI] = {.name = "nmi", .arguments = ARG_VCPU},
    [DECISION_VECTOR] = {"vector", ARG_VCPU_VALUE, "a vector", VECTOR_MIN, VECTOR_END - 1, true},
    [DECISION_IPI] = {"ipi", ARG_VCPU_VALUE, "a vector", VECTOR_MIN, VECTOR_END - 1, true},
    [DECISION_IRQ] = {"irq", ARG_VALUE, "an interrupt line", 0, PC_LINES - 1, false},
    [DECISION_UPCALL] = {.name = "upcall", .arguments = ARG_VCPU},
    [DECISION_EVENT] = {"event", ARG_VALUE, "an event-channel port", 1, PORTS_END - 1, false},
    [DECISION_EXPIRE] = {.name = "expire", .arguments = ARG_VCPU_OR_NOT},
    [DECISION_LATE] = {"late", ARG_VALUE, "a time in ns", 1, LATE_NS_MAX, false},
    [DECISION_PASS] = {"pass", ARG_VALUE, "a time in ns", 1, PASS_NS_MAX, false},
    [DECISION_PLUG] = {.name = "plug", .arguments = ARG_VCPU},
    [DECISION_UNPLUG] = {.name = "unplug", .arguments = ARG_VCPU},
    [DECISION_CHECK] = {"check", ARG_VALUE, "a digest", 0, UINT64_MAX, true},
};

const char *decision_kind_name(enum decision_kind kind)
{
    return kind < DECISION_KIND_COUNT ? actions[kind].name : "?";
}

/* ---- the list ---- */

bool decision_names_vcpu(const struct decision *d)
{
    switch (actions[d->kind].arguments) {
    case ARG_NONE:
    case ARG_VALUE:
        return false;
    case ARG_VCPU:
    case ARG_VCPU_TO:
    case ARG_VCPU_VALUE:
        return true;
    case ARG_VCPU_OR_NOT:
        break;
    }
    return d->vcpu != DECISION_ANY_VCPU;
}

void schedule_init(struct schedule *s)
{
    memset(s, 0, sizeof(*s));
}

void schedule_fini(struct schedule *s)
{
    free(s->decision);
    schedule_init(s);
}

enum emu_err schedule_append(struct schedule *s, const struct decision *d, struct diag *diag)
{
    if (s->count == SCHEDULE_DECISIONS_MAX)
        return diag_set(diag, EMU_EINPUT, "a schedule has at most %u decisions", SCHEDULE_DECISIONS_MAX);
    if (!vec_reserve(&s->decision, &s->room, s->count + 1, 16, sizeof(*s->decision)))
        return diag_no_memory(diag);
    s->decision[s->count++] = *d;
    return EMU_OK;
}

enum emu_err schedule_copy(struct schedule *to, const struct schedule *from, struct diag *diag)
{
    enum emu_err err = EMU_OK;

    schedule_init(to);
    for (size_t i = 0; err == EMU_OK && i < from->count; i++)
        err = schedule_append(to, &from->decision[i], diag);
    if (err != EMU_OK)
        schedule_fini(to);
    return err;
}

void schedule_forget_checks(struct schedule *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->decision[i].kind == DECISION_CHECK)
            s->decision[i].kind = DECISION_MARK;
    }
}

static bool position_equal(const struct position *a, const struct position *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == POSITION_HERE)
        return true;
    if (a->vcpu != b->vcpu || a->steps != b->steps)
        return false;
    return a->kind == POSITION_STEPS ||
           (a->offset == b->offset && a->occurrence == b->occurrence && !strcmp(a->symbol, b->symbol));
}

bool decision_equal(const struct decision *a, const struct decision *b)
{
    if (a->kind != b->kind || !position_equal(&a->at, &b->at))
        return false;
    if (a->kind == DECISION_RUN_TO && !position_equal(&a->to, &b->to))
        return false;
    switch (actions[a->kind].arguments) {
    case ARG_NONE:
        return true;
    case ARG_VALUE:
        return a->value == b->value;
    case ARG_VCPU_VALUE:
        return a->vcpu == b->vcpu && a->value == b->value;
    case ARG_VCPU:
    case ARG_VCPU_TO:
    case ARG_VCPU_OR_NOT:
        break;
    }
    return a->vcpu == b->vcpu;
}

/* ---- words to numbers ---- */

static bool parse_u64(const char *text, int base, uint64_t *value, const char **end)
{
    char *stop;

    if (!isxdigit((unsigned char)text[0]) || (base != 16 && !isdigit((unsigned char)text[0])))
        return false;
    errno = 0;
    *value = strtoull(text, &stop, base);
    *end = stop;
    return errno == 0;
}

static enum emu_err parse_vcpu(const char *text, unsigned *vcpu, struct diag *diag)
{
    const char *end;
    uint64_t n;

    if (!parse_u64(text, 10, &n, &end) || *end || n >= VCPUS_MAX)
        return diag_set(diag, EMU_EINPUT, "a vCPU is a number from 0 to %d, not '%s'", VCPUS_MAX - 1, text);
    *vcpu = (unsigned)n;
    return EMU_OK;
}

static enum emu_err parse_value(const struct action *action, const char *text, uint64_t *value, struct diag *diag)
{
    const char *end;
    bool digest = action == &actions[DECISION_CHECK];

    if (!parse_u64(text, digest ? 16 : 0, value, &end) || *end || *value < action->value_min ||
        *value > action->value_max)
        return diag_set(diag, EMU_EINPUT, "%s: %s is a number from %" PRIu64 " to %" PRIu64 ", not '%s'", action->name,
                        action->value_name, action->value_min, action->value_max, text);
    return EMU_OK;
}

static bool is_symbol_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '.' || c == '$' || c == '@';
}

static enum emu_err bad_position(const char *text, struct diag *diag)
{
    return diag_set(diag, EMU_EINPUT,
                    "a position is VCPU:STEPS or VCPU:SYMBOL[+OFFSET][#OCCURRENCE][~STEPS], like 0:48211 or "
                    "0:alternative_instructions+0x1c#2~5, not '%s'",
                    text);
}

enum emu_err position_parse(const char *text, struct position *p, struct diag *diag)
{
    const char *at;
    uint64_t vcpu;
    size_t n;

    memset(p, 0, sizeof(*p));
    if (!parse_u64(text, 10, &vcpu, &at) || *at != ':')
        return bad_position(text, diag);
    if (vcpu >= VCPUS_MAX)
        return diag_set(diag, EMU_EINPUT, "a vCPU is a number from 0 to %d, not %" PRIu64, VCPUS_MAX - 1, vcpu);
    p->vcpu = (unsigned)vcpu;
    at++;
    if (isdigit((unsigned char)*at)) {
        p->kind = POSITION_STEPS;
        return parse_u64(at, 10, &p->steps, &at) && !*at ? EMU_OK : bad_position(text, diag);
    }
    if (!is_symbol_start(*at))
        return bad_position(text, diag);
    p->kind = POSITION_ANCHOR;
    p->occurrence = 1;
    n = strcspn(at, "+#~");
    if (n >= sizeof(p->symbol))
        return diag_set(diag, EMU_EINPUT, "a symbol has at most %zu characters", sizeof(p->symbol) - 1);
    memcpy(p->symbol, at, n);
    at += n;
    if (*at == '+' && !parse_u64(at + 1, 0, &p->offset, &at))
        return bad_position(text, diag);
    if (*at == '#' &&
        (!parse_u64(at + 1, 10, &p->occurrence, &at) || !p->occurrence || p->occurrence > OCCURRENCES_MAX))
        return bad_position(text, diag);
    if (*at == '~' && !parse_u64(at + 1, 10, &p->steps, &at))
        return bad_position(text, diag);
    return *at ? bad_position(text, diag) : EMU_OK;
}

void position_print(const struct position *p, char *text, size_t bytes)
{
    size_t used;

    switch (p->kind) {
    case POSITION_HERE:
        snprintf(text, bytes, "here");
        return;
    case POSITION_STEPS:
        snprintf(text, bytes, "%u:%" PRIu64, p->vcpu, p->steps);
        return;
    case POSITION_ANCHOR:
        break;
    }
    used = (size_t)snprintf(text, bytes, "%u:%s", p->vcpu, p->symbol);
    if (p->offset && used < bytes)
        used += (size_t)snprintf(text + used, bytes - used, "+0x%" PRIx64, p->offset);
    if (p->occurrence != 1 && used < bytes)
        used += (size_t)snprintf(text + used, bytes - used, "#%" PRIu64, p->occurrence);
    if (p->steps && used < bytes)
        snprintf(text + used, bytes - used, "~%" PRIu64, p->steps);
}

/* ---- lines ---- */

static enum emu_err wrong_count(const struct action *action, const char *wants, struct diag *diag)
{
    return diag_set(diag, EMU_EINPUT, "%s is followed by %s", action->name, wants);
}

static enum emu_err unknown_action(const char *word, struct diag *diag)
{
    char known[LINE_BYTES_MAX] = "";

    if (!strcmp(word, "choose"))
        return diag_set(diag, EMU_EINPUT,
                        "'choose' is not a decision any more: no choice of the host's was ever taken from it; take the "
                        "line away, and the run is the same");
    for (unsigned k = 0; k < DECISION_KIND_COUNT; k++) {
        size_t used = strlen(known);
        const char *separator = !k ? "" : k == DECISION_KIND_COUNT - 1 ? " and " : ", ";

        if (k != DECISION_RUN_TO) /* has the name of the one before */
            snprintf(known + used, sizeof(known) - used, "%s%s", separator, actions[k].name);
    }
    return diag_set(diag, EMU_EINPUT, "'%s' is not a decision; there are %s", word, known);
}

static enum emu_err parse_action(char **word, unsigned words, struct decision *d, struct diag *diag)
{
    const struct action *action = NULL;
    enum emu_err err;

    for (unsigned k = 0; k < DECISION_KIND_COUNT && !action; k++)
        if (!strcmp(word[0], actions[k].name)) {
            action = &actions[k];
            d->kind = (enum decision_kind)k;
        }
    if (!action)
        return unknown_action(word[0], diag);
    switch (action->arguments) {
    case ARG_NONE:
        return words == 1 ? EMU_OK : wrong_count(action, "nothing", diag);
    case ARG_VCPU:
        return words == 2 ? parse_vcpu(word[1], &d->vcpu, diag) : wrong_count(action, "a vCPU", diag);
    case ARG_VCPU_OR_NOT:
        d->vcpu = DECISION_ANY_VCPU;
        if (words > 2)
            return wrong_count(action, "a vCPU or nothing", diag);
        return words == 2 ? parse_vcpu(word[1], &d->vcpu, diag) : EMU_OK;
    case ARG_VALUE:
        if (words != 2)
            return wrong_count(action, action->value_name, diag);
        return parse_value(action, word[1], &d->value, diag);
    case ARG_VCPU_VALUE:
        if (words != 3)
            return diag_set(diag, EMU_EINPUT, "%s is followed by a vCPU and %s", action->name, action->value_name);
        err = parse_vcpu(word[1], &d->vcpu, diag);
        return err == EMU_OK ? parse_value(action, word[2], &d->value, diag) : err;
    case ARG_VCPU_TO:
        break;
    }
    if (words == 2)
        return parse_vcpu(word[1], &d->vcpu, diag);
    if (words != 4 || strcmp(word[2], "to"))
        return wrong_count(action, "a vCPU, or by a vCPU, 'to' and a position", diag);
    d->kind = DECISION_RUN_TO;
    err = parse_vcpu(word[1], &d->vcpu, diag);
    if (err == EMU_OK)
        err = position_parse(word[3], &d->to, diag);
    if (err == EMU_OK && d->to.vcpu != d->vcpu)
        err = diag_set(diag, EMU_EINPUT, "vCPU %u can't run to a position of vCPU %u", d->vcpu, d->to.vcpu);
    return err;
}

/* Words of one line, which is changed; a comment begins at a '#' that begins a word. */
static unsigned split(char *line, char **word)
{
    unsigned n = 0;
    char *rest = NULL;

    for (char *w = strtok_r(line, " \t\r", &rest); w && w[0] != '#'; w = strtok_r(NULL, " \t\r", &rest)) {
        if (n < WORDS_MAX)
            word[n] = w;
        n++;
    }
    return n;
}

/* *empty if there is nothing on the line. */
static enum emu_err parse_line(char *line, struct decision *d, bool *empty, struct diag *diag)
{
    char *word[WORDS_MAX];
    unsigned words = split(line, word), skip = 1;
    enum emu_err err = EMU_OK;

    memset(d, 0, sizeof(*d));
    *empty = words == 0;
    if (*empty)
        return EMU_OK;
    if (words > WORDS_MAX)
        return diag_set(diag, EMU_EINPUT, "a decision has at most %d words, this line has %u", WORDS_MAX, words);
    if (!strcmp(word[0], "at") && words >= 2) {
        err = position_parse(word[1], &d->at, diag);
        skip = 2;
    } else if (!strcmp(word[0], "then")) {
        d->at.kind = POSITION_HERE;
    } else {
        return diag_set(diag, EMU_EINPUT,
                        "a line begins with 'at POSITION' or, for the same boundary as the line before, with 'then'");
    }
    if (err == EMU_OK && words == skip)
        return diag_set(diag, EMU_EINPUT, "what is decided there? For example: at 0:48211 nmi 0");
    return err == EMU_OK ? parse_action(word + skip, words - skip, d, diag) : err;
}

enum emu_err decision_parse(const char *text, struct decision *d, struct diag *diag)
{
    char line[LINE_BYTES_MAX];
    enum emu_err err;
    bool empty;

    if (strlen(text) >= sizeof(line))
        return diag_set(diag, EMU_EINPUT, "a decision has at most %d characters", LINE_BYTES_MAX - 1);
    strcpy(line, text);
    err = parse_line(line, d, &empty, diag);
    return err == EMU_OK && empty ? diag_set(diag, EMU_EINPUT, "there is no decision") : err;
}

enum emu_err schedule_parse(const char *text, size_t bytes, const char *file, unsigned first_line, struct schedule *s,
                            struct diag *diag)
{
    unsigned line_number = first_line;
    enum emu_err err = EMU_OK;

    schedule_init(s);
    for (size_t at = 0; err == EMU_OK && at < bytes; line_number++) {
        const char *newline = memchr(text + at, '\n', bytes - at);
        size_t n = newline ? (size_t)(newline - (text + at)) : bytes - at;
        char line[LINE_BYTES_MAX];
        struct decision d;
        bool empty;

        if (n >= sizeof(line)) {
            err = diag_set(diag, EMU_EINPUT, "a line has at most %d characters", LINE_BYTES_MAX - 1);
        } else if (memchr(text + at, '\0', n)) {
            err = diag_set(diag, EMU_EINPUT, "a NUL byte is in this line: is this a schedule?");
        } else {
            memcpy(line, text + at, n);
            line[n] = '\0';
            err = parse_line(line, &d, &empty, diag);
            d.line = line_number;
            if (err == EMU_OK && !empty)
                err = schedule_append(s, &d, diag);
        }
        at += n + 1;
    }
    if (err != EMU_OK) {
        schedule_fini(s);
        diag_add_place(diag, file ? file : "schedule", line_number - 1);
    }
    return err;
}

enum emu_err schedule_read(const char *path, struct schedule *s, struct diag *diag)
{
    uint8_t *text;
    size_t bytes;
    enum emu_err err = read_file(path, FILE_BYTES_MAX, "is too large for a schedule", &text, &bytes, diag);

    schedule_init(s);
    if (err != EMU_OK)
        return err;
    err = schedule_parse((const char *)text, bytes, path, 1, s, diag);
    free(text);
    return err;
}

void decision_print(const struct decision *d, char *text, size_t bytes)
{
    const struct action *action = &actions[d->kind];
    char at[POSITION_TEXT_BYTES] = "", to[POSITION_TEXT_BYTES] = "", vcpu[32] = "", value[48] = "";

    ensure(d->kind < DECISION_KIND_COUNT);
    position_print(&d->at, at, sizeof(at));
    if (action->arguments != ARG_NONE && action->arguments != ARG_VALUE && d->vcpu != DECISION_ANY_VCPU)
        snprintf(vcpu, sizeof(vcpu), " %u", d->vcpu);
    if (d->kind == DECISION_CHECK)
        snprintf(value, sizeof(value), " %016" PRIx64, d->value);
    else if (action->arguments == ARG_VALUE || action->arguments == ARG_VCPU_VALUE)
        snprintf(value, sizeof(value), action->hex ? " 0x%" PRIx64 : " %" PRIu64, d->value);
    if (d->kind == DECISION_RUN_TO)
        position_print(&d->to, to, sizeof(to));
    snprintf(text, bytes, "%s%s %s%s%s%s%s", d->at.kind == POSITION_HERE ? "then" : "at ",
             d->at.kind == POSITION_HERE ? "" : at, action->name, vcpu, value, *to ? " to " : "", to);
}

void schedule_print_last_words(const struct schedule *s, size_t count, int fd)
{
    static const char title[] = "bootrace: the decisions so far, as a schedule:\n",
                      none[] = "bootrace: nothing was decided before\n";
    char text[DECISION_TEXT_BYTES + 1];

    (void)!write(fd, count ? title : none, strlen(count ? title : none));
    for (size_t i = 0; i < count && i < s->count; i++) {
        size_t length;

        decision_print(&s->decision[i], text, DECISION_TEXT_BYTES);
        length = strlen(text);
        text[length++] = '\n';
        (void)!write(fd, text, length);
    }
}

void schedule_print(const struct schedule *s, FILE *to)
{
    char text[DECISION_TEXT_BYTES];

    for (size_t i = 0; i < s->count; i++) {
        decision_print(&s->decision[i], text, sizeof(text));
        fprintf(to, "%s\n", text);
    }
}
