/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/gdb_server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/debugger/gdb_link.h"
#include "cli/debugger/gdb_registers.h"
#include "cli/debugger/history.h"
#include "cli/debugger/monitor.h"
#include "cli/debugger/stops.h"
#include "cli/run/guest.h"
#include "emu/base/count.h"
#include "emu/vcpu.h"

#define SIGNAL_INTERRUPT 2u /* gdb's own numbers: SIGINT, SIGTRAP, SIGABRT */
#define SIGNAL_TRAP      5u
#define SIGNAL_ABORT     6u

/* Answers to what can't be done; gdb shows only that there was an error. */
#define ERROR_MALFORMED "E01"
#define ERROR_MEMORY    "E0e"
#define ERROR_REFUSED   "E22"

#define CONSOLE_LINE_MAX 1024u

struct gdb_server {
    struct guest *guest;
    struct machine *m;
    struct gdb_link *link;
    const volatile sig_atomic_t *stop;
    struct history *history;
    struct stops *stops;
    char *description; /* target.xml */
    unsigned bits;

    unsigned vcpu_general, vcpu_continue; /* chosen by H; a stop chooses the first */
    bool continue_any;                    /* no vCPU was chosen: the general one */
    bool swbreak, hwbreak;                /* gdb understands these stop reasons */
    struct stop last;
    bool ended;
    enum gdb_server_end end;

    bool alone;                  /* no gdb is there, and none is waited for */
    char line[CONSOLE_LINE_MAX]; /* of the guest's console, on its way to gdb */
    unsigned line_bytes;
    struct gdb_writer w;
};

/* ---- the console ---- */

static void send_output(struct gdb_server *s, const char *text, size_t bytes)
{
    struct gdb_writer w;

    while (bytes) {
        size_t chunk = bytes < sizeof(w.data) / 2 - 1 ? bytes : sizeof(w.data) / 2 - 1;

        gdb_write_nothing(&w);
        gdb_write_text(&w, "O");
        gdb_write_bytes(&w, text, chunk);
        gdb_link_send(s->link, &w);
        text += chunk;
        bytes -= chunk;
    }
}

static void flush_line(struct gdb_server *s)
{
    send_output(s, s->line, s->line_bytes);
    s->line_bytes = 0;
}

static void on_console(void *context, uint8_t byte)
{
    struct gdb_server *s = context;

    if (byte == '\r')
        return;
    putc(byte, stderr);
    s->line[s->line_bytes++] = (char)byte;
    if (byte == '\n' || s->line_bytes == sizeof(s->line))
        flush_line(s);
}

static bool on_time(void *context)
{
    struct gdb_server *s = context;

    return *s->stop || (!s->alone && gdb_link_interrupted(s->link));
}

/* ---- small things ---- */

static void reply(struct gdb_server *s, const char *text)
{
    gdb_write_nothing(&s->w);
    gdb_write_text(&s->w, "%s", text);
}

/* A thread of gdb: 0 is any, "-1" all. */
static bool read_thread(struct gdb_server *s, struct gdb_cursor *c, bool *any, unsigned *vcpu)
{
    uint64_t thread;

    *any = true;
    if (gdb_read_text(c, "-1"))
        return true;
    if (!gdb_read_number(c, &thread) || thread > machine_vcpus(s->m))
        return false;
    *any = thread == 0;
    if (thread)
        *vcpu = (unsigned)thread - 1;
    return true;
}

static bool read_range(struct gdb_cursor *c, uint64_t *gva, uint64_t *bytes)
{
    return gdb_read_number(c, gva) && gdb_read_text(c, ",") && gdb_read_number(c, bytes);
}

/* ---- stops ---- */

static void reply_stop(struct gdb_server *s)
{
    static const char *const watch_names[STOPS_POINT_COUNT] = {
        [STOPS_WATCH_WRITE] = "watch", [STOPS_WATCH_READ] = "rwatch", [STOPS_WATCH_ACCESS] = "awatch"};
    const struct verdict *v = machine_verdict(s->m);
    unsigned signal = SIGNAL_TRAP;

    if (s->last.kind == STOP_ASKED)
        signal = SIGNAL_INTERRUPT;
    else if (s->last.kind == STOP_END && v->kind != VERDICT_PASS)
        signal = SIGNAL_ABORT;
    gdb_write_nothing(&s->w);
    gdb_write_text(&s->w, "T%02xthread:%x;", signal, s->last.vcpu + 1);
    if (s->last.kind == STOP_BEGIN)
        gdb_write_text(&s->w, "replaylog:begin;");
    else if (s->last.kind == STOP_END && signal == SIGNAL_TRAP)
        gdb_write_text(&s->w, "replaylog:end;");
    else if (s->last.kind == STOP_POINT && watch_names[s->last.point])
        gdb_write_text(&s->w, "%s:%" PRIx64 ";", watch_names[s->last.point], s->last.gva);
    else if (s->last.kind == STOP_POINT && s->last.point == STOPS_BREAK_SOFTWARE && s->swbreak)
        gdb_write_text(&s->w, "swbreak:;");
    else if (s->last.kind == STOP_POINT && s->last.point == STOPS_BREAK_HARDWARE && s->hwbreak)
        gdb_write_text(&s->w, "hwbreak:;");
}

/* The guest has stopped: say what gdb has no word for, then what it waits for. */
static void stopped(struct gdb_server *s, struct stop stop)
{
    char text[DIAG_TEXT_BYTES + 64];
    const struct verdict *v = machine_verdict(s->m);

    s->last = stop;
    s->vcpu_general = stop.vcpu;
    flush_line(s);
    if (stop.kind == STOP_END)
        snprintf(text, sizeof(text), "bootrace: the run is over: %s: %s\n", verdict_kind_name(v->kind), v->text);
    else if (stop.kind == STOP_FAILED)
        snprintf(text, sizeof(text), "bootrace: %s\n", stop.why);
    if (stop.kind == STOP_END || stop.kind == STOP_FAILED)
        send_output(s, text, strlen(text));
    reply_stop(s);
}

static void handle_why(struct gdb_server *s, struct gdb_cursor *c)
{
    reply_stop(s);
}

/* ---- registers ---- */

static void handle_read_registers(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t bytes[GDB_REGISTER_BYTES_MAX];
    struct vcpu_regs r;

    vcpu_get_regs(s->m, s->vcpu_general, &r);
    gdb_write_nothing(&s->w);
    for (unsigned i = 0; i < gdb_registers_count(s->bits); i++) {
        gdb_register_get(s->bits, i, &r, bytes);
        gdb_write_bytes(&s->w, bytes, gdb_register_bytes(s->bits, i));
    }
}

/* Those that can't be changed keep their values: gdb writes back all that it has read. */
static void handle_write_registers(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t bytes[GDB_REGISTER_BYTES_MAX];
    struct vcpu_regs r;

    vcpu_get_regs(s->m, s->vcpu_general, &r);
    for (unsigned i = 0; i < gdb_registers_count(s->bits); i++) {
        if (!gdb_read_bytes(c, bytes, gdb_register_bytes(s->bits, i)))
            return reply(s, ERROR_MALFORMED);
        (void)gdb_register_set(s->bits, i, &r, bytes);
    }
    reply(s, history_set_regs(s->history, s->vcpu_general, &r) ? "OK" : ERROR_REFUSED);
}

static void handle_read_register(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t bytes[GDB_REGISTER_BYTES_MAX];
    struct vcpu_regs r;
    uint64_t number;

    if (!gdb_read_number(c, &number) || number >= gdb_registers_count(s->bits))
        return reply(s, ERROR_MALFORMED);
    vcpu_get_regs(s->m, s->vcpu_general, &r);
    gdb_register_get(s->bits, (unsigned)number, &r, bytes);
    gdb_write_nothing(&s->w);
    gdb_write_bytes(&s->w, bytes, gdb_register_bytes(s->bits, (unsigned)number));
}

static void handle_write_register(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t bytes[GDB_REGISTER_BYTES_MAX];
    struct vcpu_regs r;
    uint64_t number;

    if (!gdb_read_number(c, &number) || number >= gdb_registers_count(s->bits) || !gdb_read_text(c, "=") ||
        !gdb_read_bytes(c, bytes, gdb_register_bytes(s->bits, (unsigned)number)))
        return reply(s, ERROR_MALFORMED);
    vcpu_get_regs(s->m, s->vcpu_general, &r);
    reply(s, gdb_register_set(s->bits, (unsigned)number, &r, bytes) && history_set_regs(s->history, s->vcpu_general, &r)
                 ? "OK"
                 : ERROR_REFUSED);
}

/* ---- memory ---- */

static void handle_read_memory(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t content[PAGE_BYTES];
    uint64_t gva, bytes;

    if (!read_range(c, &gva, &bytes))
        return reply(s, ERROR_MALFORMED);
    if (bytes > sizeof(s->w.data) / 2)
        bytes = sizeof(s->w.data) / 2;
    gdb_write_nothing(&s->w);
    while (bytes) { /* what comes before a page that is not there is an answer */
        size_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1));

        if (chunk > bytes)
            chunk = bytes;
        if (!vcpu_read_gva(s->m, s->vcpu_general, gva, content, chunk, NULL))
            break;
        gdb_write_bytes(&s->w, content, chunk);
        gva += chunk;
        bytes -= chunk;
    }
    if (bytes && !s->w.length)
        reply(s, ERROR_MEMORY);
}

/* Through the page tables, whatever they say of writing: the user may change code. */
static bool write_memory(struct gdb_server *s, uint64_t gva, const uint8_t *content, uint64_t bytes)
{
    while (bytes) {
        uint64_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1)), gpa;

        if (chunk > bytes)
            chunk = bytes;
        if (!vcpu_translate(s->m, s->vcpu_general, gva, &gpa) || !history_write(s->history, gpa, content, chunk))
            return false;
        gva += chunk;
        content += chunk;
        bytes -= chunk;
    }
    return true;
}

static void handle_write_memory(struct gdb_server *s, struct gdb_cursor *c)
{
    uint8_t content[GDB_PACKET_BYTES_MAX / 2];
    uint64_t gva, bytes;

    if (!read_range(c, &gva, &bytes) || !gdb_read_text(c, ":") || bytes > sizeof(content) ||
        !gdb_read_bytes(c, content, bytes))
        return reply(s, ERROR_MALFORMED);
    reply(s, write_memory(s, gva, content, bytes) ? "OK" : ERROR_MEMORY);
}

static void handle_write_binary(struct gdb_server *s, struct gdb_cursor *c)
{
    uint64_t gva, bytes;

    if (!read_range(c, &gva, &bytes) || !gdb_read_text(c, ":") || gdb_left(c) != bytes)
        return reply(s, ERROR_MALFORMED);
    reply(s, write_memory(s, gva, (const uint8_t *)c->at, bytes) ? "OK" : ERROR_MEMORY);
}

/* ---- threads ---- */

static void handle_choose_thread(struct gdb_server *s, struct gdb_cursor *c)
{
    bool general = gdb_read_text(c, "g"), any;
    unsigned vcpu = s->last.vcpu;

    if ((!general && !gdb_read_text(c, "c")) || !read_thread(s, c, &any, &vcpu))
        return reply(s, ERROR_MALFORMED);
    if (general) {
        s->vcpu_general = vcpu;
    } else {
        s->vcpu_continue = vcpu;
        s->continue_any = any;
    }
    reply(s, "OK");
}

/* The vCPU that steps. */
static unsigned stepping(const struct gdb_server *s)
{
    return s->continue_any ? s->vcpu_general : s->vcpu_continue;
}

static void handle_thread_alive(struct gdb_server *s, struct gdb_cursor *c)
{
    bool any;
    unsigned vcpu;

    reply(s, read_thread(s, c, &any, &vcpu) && !any ? "OK" : ERROR_MALFORMED);
}

static void handle_current_thread(struct gdb_server *s, struct gdb_cursor *c)
{
    gdb_write_nothing(&s->w);
    gdb_write_text(&s->w, "QC%x", s->last.vcpu + 1);
}

static void handle_threads(struct gdb_server *s, struct gdb_cursor *c)
{
    gdb_write_nothing(&s->w);
    for (unsigned v = 0; v < machine_vcpus(s->m); v++)
        gdb_write_text(&s->w, "%c%x", v ? ',' : 'm', v + 1);
}

static void handle_more_threads(struct gdb_server *s, struct gdb_cursor *c)
{
    reply(s, "l");
}

static void handle_thread_text(struct gdb_server *s, struct gdb_cursor *c)
{
    char text[200];
    unsigned vcpu;
    bool any;

    if (!read_thread(s, c, &any, &vcpu) || any)
        return reply(s, ERROR_MALFORMED);
    monitor_describe_vcpu(s->m, vcpu, text, sizeof(text));
    gdb_write_nothing(&s->w);
    gdb_write_bytes(&s->w, text, strlen(text));
}

/* ---- going ---- */

static void handle_continue(struct gdb_server *s, struct gdb_cursor *c)
{
    if (gdb_left(c))
        return reply(s, ERROR_REFUSED); /* at an address: gdb sets the register instead */
    stopped(s, stops_continue(s->stops, s->last.vcpu));
}

static void handle_step(struct gdb_server *s, struct gdb_cursor *c)
{
    if (gdb_left(c))
        return reply(s, ERROR_REFUSED);
    stopped(s, stops_step(s->stops, stepping(s)));
}

/* A signal for the guest: there are none. */
static void handle_continue_signal(struct gdb_server *s, struct gdb_cursor *c)
{
    uint64_t signal;

    if (!gdb_read_number(c, &signal))
        return reply(s, ERROR_MALFORMED);
    handle_continue(s, c);
}

static void handle_step_signal(struct gdb_server *s, struct gdb_cursor *c)
{
    uint64_t signal;

    if (!gdb_read_number(c, &signal))
        return reply(s, ERROR_MALFORMED);
    handle_step(s, c);
}

static void handle_step_back(struct gdb_server *s, struct gdb_cursor *c)
{
    stopped(s, stops_step_back(s->stops, stepping(s)));
}

static void handle_continue_back(struct gdb_server *s, struct gdb_cursor *c)
{
    stopped(s, stops_continue_back(s->stops, s->last.vcpu));
}

/* "vCont;s:1;c": the leftmost action that fits a thread is its. One thread may step; whatever the others' action, they
   run as the schedule has it. */
static void handle_vcont(struct gdb_server *s, struct gdb_cursor *c)
{
    bool steps = false, goes = false;
    unsigned vcpu_stepping = s->last.vcpu;

    while (gdb_read_text(c, ";")) {
        bool step = gdb_read_text(c, "s") || gdb_read_text(c, "S"), any = true;
        unsigned vcpu = s->last.vcpu;
        uint64_t signal;

        if (!step && !gdb_read_text(c, "c") && !gdb_read_text(c, "C"))
            return reply(s, ERROR_MALFORMED);
        if ((c->at[-1] == 'C' || c->at[-1] == 'S') && !gdb_read_number(c, &signal))
            return reply(s, ERROR_MALFORMED);
        if (gdb_read_text(c, ":") && !read_thread(s, c, &any, &vcpu))
            return reply(s, ERROR_MALFORMED);
        if (step && !steps && !(goes && any)) {
            steps = true;
            vcpu_stepping = vcpu;
        }
        goes = true;
    }
    if (!goes || gdb_left(c))
        return reply(s, ERROR_MALFORMED);
    stopped(s, steps ? stops_step(s->stops, vcpu_stepping) : stops_continue(s->stops, s->last.vcpu));
}

static void handle_vcont_actions(struct gdb_server *s, struct gdb_cursor *c)
{
    reply(s, "vCont;c;C;s;S");
}

/* ---- points ---- */

static bool read_point(struct gdb_cursor *c, uint64_t *point, uint64_t *gva, uint64_t *bytes)
{
    return gdb_read_number(c, point) && *point < STOPS_POINT_COUNT && gdb_read_text(c, ",") &&
           read_range(c, gva, bytes);
}

static void handle_set_point(struct gdb_server *s, struct gdb_cursor *c)
{
    uint64_t point, gva, bytes;

    if (!read_point(c, &point, &gva, &bytes))
        return reply(s, ERROR_MALFORMED);
    reply(s, stops_set(s->stops, (enum stops_point)point, s->vcpu_general, gva, bytes) ? "OK" : ERROR_REFUSED);
}

static void handle_remove_point(struct gdb_server *s, struct gdb_cursor *c)
{
    uint64_t point, gva, bytes;

    if (!read_point(c, &point, &gva, &bytes))
        return reply(s, ERROR_MALFORMED);
    stops_remove(s->stops, (enum stops_point)point, gva, bytes);
    reply(s, "OK");
}

/* ---- the session ---- */

static void handle_supported(struct gdb_server *s, struct gdb_cursor *c)
{
    /* The packet ends with a zero byte of ours. */
    s->swbreak = strstr(c->at, "swbreak+") != NULL;
    s->hwbreak = strstr(c->at, "hwbreak+") != NULL;
    gdb_write_nothing(&s->w);
    gdb_write_text(&s->w,
                   "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;ReverseStep+;"
                   "ReverseContinue+;swbreak+;hwbreak+",
                   GDB_PACKET_BYTES_MAX);
}

static void handle_features(struct gdb_server *s, struct gdb_cursor *c)
{
    size_t length = strlen(s->description);
    uint64_t at, bytes;

    if (!gdb_read_text(c, "target.xml:"))
        return reply(s, "E00");
    if (!read_range(c, &at, &bytes))
        return reply(s, ERROR_MALFORMED);
    if (at > length)
        at = length;
    if (bytes > length - at)
        bytes = length - at;
    if (bytes > sizeof(s->w.data) / 2) /* each may need an escape */
        bytes = sizeof(s->w.data) / 2 - 1;
    gdb_write_nothing(&s->w);
    gdb_write_text(&s->w, at + bytes < length ? "m" : "l");
    (void)gdb_write_binary(&s->w, s->description + at, bytes);
}

static void handle_no_acknowledgement(struct gdb_server *s, struct gdb_cursor *c)
{
    gdb_link_stop_acknowledging(s->link);
    reply(s, "OK");
}

static void handle_attached(struct gdb_server *s, struct gdb_cursor *c)
{
    reply(s, "0"); /* started for this gdb: it ends with it */
}

static void handle_monitor(struct gdb_server *s, struct gdb_cursor *c)
{
    struct monitor monitor = {s->guest, s->history};
    char command[200], *text;
    size_t bytes = gdb_left(c) / 2;

    if (bytes >= sizeof(command) || gdb_left(c) % 2 || !gdb_read_bytes(c, command, bytes))
        return reply(s, ERROR_MALFORMED);
    command[bytes] = '\0';
    text = monitor_run(&monitor, command);
    if (!text)
        return reply(s, ERROR_REFUSED);
    flush_line(s);
    send_output(s, text, strlen(text));
    free(text);
    reply(s, "OK");
}

static void handle_kill(struct gdb_server *s, struct gdb_cursor *c)
{
    s->ended = true;
    s->end = GDB_SERVER_KILLED;
    reply(s, "OK");
}

static void handle_detach(struct gdb_server *s, struct gdb_cursor *c)
{
    s->ended = true;
    s->end = GDB_SERVER_DETACHED;
    reply(s, "OK");
}

typedef void(handler_fn)(struct gdb_server *s, struct gdb_cursor *c);

/* The first that the packet begins with has it. */
/* clang-format off */
static const struct packet {
    const char *begin;
    handler_fn *handler;
    const char *source; /* of the manual's chapter on the protocol */
} packets[] = {
    {"?", handle_why, "Packets"},
    {"C", handle_continue_signal, "Packets"},
    {"D", handle_detach, "Packets"},
    {"G", handle_write_registers, "Packets"},
    {"H", handle_choose_thread, "Packets"},
    {"M", handle_write_memory, "Packets"},
    {"P", handle_write_register, "Packets"},
    {"QStartNoAckMode", handle_no_acknowledgement, "General Query Packets"},
    {"S", handle_step_signal, "Packets"},
    {"T", handle_thread_alive, "Packets"},
    {"X", handle_write_binary, "Packets"},
    {"Z", handle_set_point, "Packets"},
    {"bc", handle_continue_back, "Packets"},
    {"bs", handle_step_back, "Packets"},
    {"c", handle_continue, "Packets"},
    {"g", handle_read_registers, "Packets"},
    {"k", handle_kill, "Packets"},
    {"m", handle_read_memory, "Packets"},
    {"p", handle_read_register, "Packets"},
    {"qAttached", handle_attached, "General Query Packets"},
    {"qC", handle_current_thread, "General Query Packets"},
    {"qRcmd,", handle_monitor, "General Query Packets"},
    {"qSupported", handle_supported, "General Query Packets"},
    {"qThreadExtraInfo,", handle_thread_text, "General Query Packets"},
    {"qXfer:features:read:", handle_features, "General Query Packets"},
    {"qfThreadInfo", handle_threads, "General Query Packets"},
    {"qsThreadInfo", handle_more_threads, "General Query Packets"},
    {"s", handle_step, "Packets"},
    {"vCont?", handle_vcont_actions, "Packets"},
    {"vCont", handle_vcont, "Packets"},
    {"vKill", handle_kill, "Packets"},
    {"z", handle_remove_point, "Packets"},
};
/* clang-format on */

/* What is not in the table has the empty answer, by which gdb knows that it is not understood. */
static void handle(struct gdb_server *s, const struct gdb_reader *packet)
{
    struct gdb_cursor c = {packet->data, packet->data + packet->length};

    reply(s, "");
    for (unsigned i = 0; i < COUNT(packets); i++)
        if (gdb_read_text(&c, packets[i].begin)) {
            packets[i].handler(s, &c);
            return;
        }
}

enum gdb_server_end gdb_server_run(struct gdb_server *s)
{
    s->ended = false;
    s->swbreak = s->hwbreak = false;
    s->continue_any = true;
    s->vcpu_general = s->last.vcpu;
    stops_remove_all(s->stops);
    while (!s->ended) {
        const struct gdb_reader *packet;

        if (*s->stop)
            return GDB_SERVER_SIGNAL;
        switch (gdb_link_receive(s->link, &packet)) {
        case GDB_LINK_PACKET:
            handle(s, packet);
            gdb_link_send(s->link, &s->w);
            break;
        case GDB_LINK_CLOSED:
            return GDB_SERVER_CLOSED;
        case GDB_LINK_INTERRUPT: /* the guest does not run */
        case GDB_LINK_PAUSE:
            break;
        }
    }
    gdb_link_close(s->link);
    stops_remove_all(s->stops);
    return s->end;
}

bool gdb_server_run_on(struct gdb_server *s)
{
    s->alone = true;
    return stops_continue(s->stops, s->last.vcpu).kind != STOP_ASKED;
}

/* By the image; a snapshot's guest may have none, and is then what it runs as. */
static unsigned bits_of(const struct guest *g)
{
    struct vcpu_regs r;

    if (g->image)
        return g->image->elf_class == 32 ? 32 : 64;
    vcpu_get_regs(g->machine, 0, &r);
    return r.efer & EFER_LMA ? 64 : 32;
}

enum emu_err gdb_server_new(struct guest *g, const struct player *player, struct gdb_link *l,
                            const volatile sig_atomic_t *stop, struct gdb_server **out, struct diag *d)
{
    struct gdb_server *s = calloc(1, sizeof(*s));
    struct history_ops ops = {on_console, on_time, s};
    enum emu_err err;

    if (!s)
        return diag_no_memory(d);
    s->guest = g;
    s->m = g->machine;
    s->link = l;
    s->stop = stop;
    s->bits = bits_of(g);
    err = history_new(s->m, player, &ops, &s->history, d);
    if (err == EMU_OK) {
        s->stops = stops_new(s->m, s->history);
        s->description = gdb_registers_description(s->bits);
        if (!s->stops || !s->description)
            err = diag_no_memory(d);
    }
    if (err != EMU_OK) {
        gdb_server_free(s);
        return err;
    }
    *out = s;
    return EMU_OK;
}

void gdb_server_free(struct gdb_server *s)
{
    if (!s)
        return;
    stops_free(s->stops);
    history_free(s->history);
    free(s->description);
    free(s);
}
