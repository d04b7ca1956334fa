/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * do: what CPU 0 does when bootrace.do= says so: each verb is a few actions, most of them a text written to a file of
 * the kernel, by which it changes its own code. Each action is one line "begin VERB ACTION" and one "end VERB ACTION";
 * what the kernel does not have is "not offered by this kernel", and the rest of the verb is left.
 *
 * Source: Linux Documentation/admin-guide/sysctl/kernel.rst (sched_schedstats); Documentation/trace/ftrace.rst,
 * kprobetrace.rst, events.rst; kernel/sched/debug.c (sched/preempt of debugfs); Documentation/core-api/cpu_hotplug.rst;
 * init_module(2), delete_module(2).
 */
#include "init.h"

#define TRACING        "/sys/kernel/tracing/"
#define O_NONBLOCK     04000
#define ERRNO_NO_FILE  2
#define WAIT_NS        10000000
#define CONTEND_ROUNDS 50

typedef long action_fn(void);

struct action {
    const char *verb;
    const char *what;             /* NULL: makes the next ones possible; no line tells of it */
    const char *path;             /* NULL: `act` */
    const char *text, *otherwise; /* what is written, and what if the kernel refuses that; NULL: nothing else */
    action_fn *act;
};

static long load_module(void)
{
    long file = open_file(MODULE_PATH, OPEN_READ);
    if (file < 0)
        return file;
    long result = system_call(__NR_finit_module, file, (long)"", 0, 0, 0);
    system_call(__NR_close, file, 0, 0, 0, 0);
    return result;
}

static long unload_module(void)
{
    return system_call(__NR_delete_module, (long)MODULE_NAME, O_NONBLOCK, 0, 0, 0);
}

static long contend_for_locks(void)
{
    contend(CONTEND_ROUNDS);
    return 0;
}

static long wait(void)
{
    sleep_ns(WAIT_NS);
    return 0;
}

#define SCHEDSTATS "/proc/sys/kernel/sched_schedstats"
#define PREEMPT    "/sys/kernel/debug/sched/preempt"
#define FILTER     TRACING "set_ftrace_filter"
#define TRACER     TRACING "current_tracer"
#define EVENT      TRACING "events/sched/sched_wakeup/enable"
#define PROBES     TRACING "kprobe_events"
#define PROBE      TRACING "events/kprobes/bootrace/enable"
#define CPU1       "/sys/devices/system/cpu/cpu1/online"

/* What is traced is executed by every load with "syscalls". Behind the call of the tracer, 9 bytes from the start with
   ENDBR64 and 5 without, a probe is a breakpoint; at the start it goes by the tracer. */
static const struct action actions[] = {
    {"static-key", "on", SCHEDSTATS, "1", 0, 0},
    {"static-key", "off", SCHEDSTATS, "0", 0, 0},
    {"static-call", "preempt=full", PREEMPT, "full", 0, 0},
    {"static-call", "preempt back", PREEMPT, "voluntary", "lazy", 0},
    {"tracepoint", "on", EVENT, "1", 0, 0},
    {"tracepoint", "off", EVENT, "0", 0, 0},
    {"ftrace", 0, FILTER, "vfs_write vfs_read", 0, 0},
    {"ftrace", "on", TRACER, "function", 0, 0},
    {"ftrace", "off", TRACER, "nop", 0, 0},
    {"ftrace-all", "on", TRACER, "function", 0, 0},
    {"ftrace-all", "off", TRACER, "nop", 0, 0},
    {"kprobe", "added", PROBES, "p:bootrace vfs_write+9", "p:bootrace vfs_write+5", 0},
    {"kprobe", "on", PROBE, "1", 0, 0},
    {"kprobe", "off", PROBE, "0", 0, 0},
    {"kprobe", "removed", PROBES, "-:bootrace", 0, 0},
    {"kprobe-ftrace", "added", PROBES, "p:bootrace vfs_write", 0, 0},
    {"kprobe-ftrace", "on", PROBE, "1", 0, 0},
    {"kprobe-ftrace", "off", PROBE, "0", 0, 0},
    {"kprobe-ftrace", "removed", PROBES, "-:bootrace", 0, 0},
    {"module", "loaded", 0, 0, 0, load_module},
    {"module", "unloaded", 0, 0, 0, unload_module},
    {"cpu", "off", CPU1, "0", 0, 0},
    {"cpu", "on", CPU1, "1", 0, 0},
    {"contend", "for locks", 0, 0, 0, contend_for_locks},
    {"wait", "10 ms", 0, 0, 0, wait},
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void print_action(const struct output *out, const char *moment, const struct action *a)
{
    char line[LINE_BYTES];
    unsigned end = append(line, 0, moment);
    end = append(line, end, a->verb);
    end = append(line, end, " ");
    line[end] = '\0';
    print(out, line, a->what);
}

static long act(const struct action *a)
{
    long result;
    if (!a->path)
        return a->act();
    result = write_text(a->path, a->text);
    return result < 0 && result != -ERRNO_NO_FILE && a->otherwise ? write_text(a->path, a->otherwise) : result;
}

/* Whether the verb can go on. */
static int do_action(const struct output *out, const struct action *a)
{
    char line[LINE_BYTES];
    unsigned end;
    long result;
    if (a->what)
        print_action(out, "begin ", a);
    result = act(a);
    if (result == -ERRNO_NO_FILE && a->act == load_module) {
        print(out, "not in this initramfs: " MODULE_PATH "; scripts/initrd --module VMLINUZ puts it there", "");
        return 0;
    }
    if (result == -ERRNO_NO_FILE && a->path) {
        end = append(line, 0, "not offered by this kernel: ");
        end = append(line, end, a->verb);
        line[append(line, end, ", there is no ")] = '\0';
        print(out, line, a->path);
        return 0;
    }
    if (result < 0) {
        end = append(line, 0, "at ");
        end = append(line, end, a->verb);
        end = append(line, end, " ");
        line[append(line, end, a->what ? a->what : "prepared")] = '\0';
        print_error(out, line, result);
        return 0;
    }
    if (a->what)
        print_action(out, "end ", a);
    return 1;
}

static void do_verb(const struct output *out, const char *verb)
{
    int known = 0;
    for (unsigned i = 0; i < ACTIONS; i++) {
        if (!is_same(verb, actions[i].verb))
            continue;
        known = 1;
        if (!do_action(out, &actions[i]))
            return;
    }
    if (!known) {
        print(out, "FAILED: bootrace.do= knows no ", verb);
        print(out,
              "it knows static-key, static-call, tracepoint, ftrace, ftrace-all, kprobe, kprobe-ftrace, module, cpu, "
              "contend and wait",
              "");
    }
}

void do_actions(const struct output *out, const char *command_line)
{
    const char *list = find_word(command_line, "bootrace.do="), *loads = find_word(command_line, "bootrace.load=");
    char verb[LINE_BYTES];
    int loaded = 0;
    long result;
    if (!list && !loads)
        return;
    mount_at("tracefs", "/sys/kernel/tracing");
    mount_at("debugfs", "/sys/kernel/debug");
    result = move_to_cpu(0);
    if (result < 0)
        print_error(out, "to move to CPU 0", result);
    if (loads)
        loaded = start_load(out, loads);
    if (!list)
        list = "wait";
    while ((list = next_of_list(list, verb)) != 0)
        do_verb(out, verb);
    if (loaded)
        stop_load(out);
}
