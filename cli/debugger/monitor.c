/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/monitor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/debugger/history.h"
#include "cli/run/guest.h"
#include "cli/run/post_mortem.h"
#include "emu/base/count.h"
#include "emu/base/plural.h"
#include "emu/model.h"
#include "emu/player.h"
#include "emu/timer.h"
#include "emu/vcpu.h"
#include "models/xen/pv_frame.h"
#include "models/xen/xen.h"

#define PLACE_BYTES 160

void monitor_describe_vcpu(const struct machine *m, unsigned vcpu, char *text, size_t bytes)
{
    const char *reason = vcpu_wait_reason(m, vcpu);

    snprintf(text, bytes, "vCPU %u, %s%s%s%s", vcpu, vcpu_state_name(vcpu_state(m, vcpu)), reason ? " (" : "",
             reason ? reason : "", reason ? ")" : "");
}

static void print_position(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;

    fprintf(to, "step %" PRIu64 " of all vCPUs, %" PRIu64 ".%09" PRIu64 " s virtual\n", machine_steps(m),
            clock_now_ns(m) / 1000000000u, clock_now_ns(m) % 1000000000u);
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        fprintf(to, "vCPU %u: step %" PRIu64 "\n", v, vcpu_position(m, v));
}

static void print_history(const struct monitor *monitor, const char *argument, FILE *to)
{
    fprintf(to, "the history begins at step %" PRIu64 " and has %u snapshot%s\n", history_begin(monitor->history),
            history_snapshots(monitor->history), plural(history_snapshots(monitor->history)));
}

static void print_schedule(const struct monitor *monitor, const char *argument, FILE *to)
{
    const struct player *p = history_player(monitor->history);
    char text[DECISION_TEXT_BYTES];

    if (!p) {
        fprintf(to, "there is no schedule: all is as by default\n");
        return;
    }
    fprintf(to, "%zu of %zu decisions were carried out\n", p->next, p->schedule->count);
    if (!player_is_done(p)) {
        decision_print(&p->schedule->decision[p->next], text, sizeof(text));
        fprintf(to, "%s: %s\n", p->on_the_way ? "begun" : "next", text);
    }
}

static void print_digest(const struct monitor *monitor, const char *argument, FILE *to)
{
    fprintf(to, "%016" PRIx64 "\n", machine_digest(monitor->guest->machine));
}

static void print_vcpus(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;
    char text[PLACE_BYTES];

    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        struct vcpu_regs r, guest;

        monitor_describe_vcpu(m, v, text, sizeof(text));
        fprintf(to, "%c %s", v == machine_current(m) ? '*' : ' ', text);
        if (vcpu_state(m, v) != VCPU_OFFLINE) {
            vcpu_get_regs(m, v, &r);
            post_mortem_place(monitor->guest->symbols, r.rip, text, sizeof(text));
            fprintf(to, ", at %s, interrupts %s", text, r.rflags & RFLAGS_IF ? "on" : "off");
            if (pv_frame_read(m, v, &r, &guest)) {
                post_mortem_place(monitor->guest->symbols, guest.rip, text, sizeof(text));
                fprintf(to, ", its guest at %s", text);
            }
        }
        fprintf(to, ", %" PRIu64 " step%s\n", vcpu_position(m, v), plural(vcpu_position(m, v)));
    }
}

/* In pv mode a vCPU is Xen's while Xen has it; gdb's registers are those, and here are the guest's. */
static void print_guest(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;
    struct vcpu_regs r, guest;
    bool found = false;

    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        if (vcpu_state(m, v) == VCPU_OFFLINE)
            continue;
        vcpu_get_regs(m, v, &r);
        if (!pv_frame_read(m, v, &r, &guest))
            continue;
        found = true;
        post_mortem_print_vcpu(m, v, monitor->guest->symbols, to);
    }
    if (!found)
        fprintf(to, "no vCPU is in a Xen that has a guest under it\n");
}

static void print_events(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;
    struct xen_port_description p;

    if (!platform_has_xen(m)) {
        fprintf(to, "there is no Xen\n");
        return;
    }
    for (uint32_t port = 1; xen_describe_port(m, port, &p); port++) {
        if (!p.state)
            continue;
        fprintf(to, "port %u: %s", port, p.state);
        if (p.has_number)
            fprintf(to, " %u", p.number);
        if (p.has_remote)
            fprintf(to, " with domain %u port %u", p.remote_domid, p.remote_port);
        fprintf(to, ", vCPU %u%s%s\n", p.vcpu, p.pending ? ", pending" : "", p.masked ? ", masked" : "");
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (xen_describe_upcall(m, v))
            fprintf(to, "vCPU %u: an upcall is pending\n", v);
}

static void print_timers(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;
    const struct machine_config *config = machine_config(m);
    uint64_t now = clock_now_ns(m);
    unsigned armed = 0;

    for (unsigned i = 0; i < config->model_count; i++)
        for (unsigned kind = 0; kind < TIMER_KINDS_MAX; kind++)
            for (unsigned v = 0; v < config->vcpus; v++) {
                uint64_t deadline = timer_deadline_ns(m, config->models[i], kind, v);
                const char *name = config->models[i] == &xen_model ? xen_describe_timer(kind) : NULL;

                if (deadline == TIMER_NEVER)
                    continue;
                armed++;
                fprintf(to, "%s", config->models[i]->name);
                if (name)
                    fprintf(to, " %s", name);
                else if (kind)
                    fprintf(to, " %u", kind);
                fprintf(to, ", vCPU %u: at %" PRIu64 " ns, ", v, deadline);
                if (deadline >= now)
                    fprintf(to, "in %" PRIu64 " ns\n", deadline - now);
                else
                    fprintf(to, "due\n");
            }
    fprintf(to, "%u timer%s armed; it is %" PRIu64 " ns\n", armed, armed == 1 ? " is" : "s are", now);
}

static void print_hypercalls(const struct monitor *monitor, const char *argument, FILE *to)
{
    const struct history *h = monitor->history;

    for (unsigned i = 0; i < history_hypercalls(h); i++) {
        const struct history_hypercall *c = history_hypercall(h, i);
        char name[80], place[PLACE_BYTES];

        post_mortem_place(monitor->guest->symbols, c->rip_gva, place, sizeof(place));
        fprintf(to, "step %" PRIu64 ", vCPU %u: %s = %" PRId64 ", at %s\n", c->step, c->vcpu,
                xen_operation_name(c->number, c->argument, name, sizeof(name)), (int64_t)c->result, place);
    }
    if (!history_hypercalls(h))
        fprintf(to, "there was no hypercall so far\n");
}

static void go_to(const struct monitor *monitor, const char *argument, FILE *to)
{
    struct machine *m = monitor->guest->machine;
    char *end;
    uint64_t step = strtoull(argument, &end, 0);

    if (*argument < '0' || *argument > '9' || *end || step < history_begin(monitor->history)) {
        fprintf(to, "goto takes a step, from %" PRIu64 " on, as `monitor position` shows it\n",
                history_begin(monitor->history));
        return;
    }
    if (!history_go(monitor->history, step))
        fprintf(to, "interrupted on the way\n");
    fprintf(to,
            "step %" PRIu64 "%s; gdb does not know yet: type `maintenance flush register-cache` (`flushregs` before "
            "gdb 12)\n",
            machine_steps(m), machine_steps(m) < step ? ", where the run ends" : "");
}

static void print_help(const struct monitor *monitor, const char *argument, FILE *to);

static const struct command_row {
    const char *name, *summary;
    void (*run)(const struct monitor *monitor, const char *argument, FILE *to);
} commands[] = {
    {"digest", "the digest of the whole state", print_digest},
    {"events", "Xen's event channels: each port's state", print_events},
    {"goto", "goto STEP: go to that step of the run, back or forth", go_to},
    {"guest", "with --mode pv: the vCPUs that the inner Xen has, and where its guest stands there", print_guest},
    {"help", "this list", print_help},
    {"history", "from where one can go back", print_history},
    {"hypercalls", "the last 64 hypercalls with their results", print_hypercalls},
    {"position", "which step of the run this is", print_position},
    {"schedule", "which decision of the schedule comes next", print_schedule},
    {"timers", "the armed timers of the host and its devices", print_timers},
    {"vcpus", "each vCPU's state, place and steps", print_vcpus},
};

#define COMMANDS COUNT(commands)

static void print_help(const struct monitor *monitor, const char *argument, FILE *to)
{
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(to, "monitor %-10s %s\n", commands[i].name, commands[i].summary);
}

char *monitor_run(const struct monitor *monitor, const char *command)
{
    size_t length = strcspn(command, " "), bytes;
    const char *argument = command + length + strspn(command + length, " ");
    char *text = NULL;
    FILE *to = open_memstream(&text, &bytes);
    unsigned i = 0;

    if (!to)
        return NULL;
    while (i < COMMANDS && (strlen(commands[i].name) != length || memcmp(commands[i].name, command, length)))
        i++;
    if (i < COMMANDS)
        commands[i].run(monitor, argument, to);
    else
        fprintf(to, "there is no monitor command '%.*s'; `monitor help` lists them\n", (int)length, command);
    if (fclose(to)) {
        free(text);
        return NULL;
    }
    return text;
}
