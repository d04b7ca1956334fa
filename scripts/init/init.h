/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * init: what the files of the test init share: system calls without a C library, and its lines of output.
 */
#ifndef BOOTRACE_SCRIPTS_INIT_H
#define BOOTRACE_SCRIPTS_INIT_H

#include <asm/unistd.h>

#define LINE_BYTES   256
#define FILE_BYTES   4096
#define NUMBER_BYTES 16
#define CPUS_MAX     64

/* What scripts/initrd --module puts into the initramfs. */
#define MODULE_PATH "/lib/xen-evtchn.ko"
#define MODULE_NAME "xen_evtchn"

enum { OPEN_READ = 0, OPEN_WRITE = 1 };

/* LINUX_REBOOT_CMD_*; reboot(2). */
#define REBOOT_POWER_OFF 0x4321fedc
#define REBOOT_KEXEC     0x45584543

struct output {
    long file;
    int is_kmsg;
};

static inline long system_call(long number, long a, long b, long c, long d, long e)
{
    long result;
#ifdef __x86_64__
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
#else
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
#endif
    return result;
}

static inline long open_file(const char *path, int flags)
{
    return system_call(__NR_open, (long)path, flags, 0, 0, 0);
}

/* `command` is one of REBOOT_*; returns only when the kernel refuses. */
static inline long reboot(long command)
{
    return system_call(__NR_reboot, (long)0xfee1dead, 0x28121969, command, 0, 0);
}

unsigned text_bytes(const char *text);
/* The decimal number, somewhere within `text`. */
const char *number_text(unsigned long value, char text[NUMBER_BYTES]);
void print(const struct output *out, const char *what, const char *detail);
/* `result` is a negative errno. */
void print_error(const struct output *out, const char *what, long result);
/* The first line of a file; an empty text and a negative errno when it can't be read. */
long read_line(const char *path, char *text, unsigned text_size);
long write_text(const char *path, const char *text);
/* What follows `name` (which ends with '=') at the start of a word, or NULL. */
const char *find_word(const char *command_line, const char *name);
unsigned find_number(const char *command_line, const char *name, unsigned otherwise);

int is_same(const char *a, const char *b);
unsigned append(char *line, unsigned at, const char *text);
/* The first word of a list with commas, which ends at a blank, and where the next one begins; NULL if there is none. */
const char *next_of_list(const char *list, char word[LINE_BYTES]);
/* The file that says whether a CPU is online; there while the CPU is plugged, but never for CPU 0. */
void cpu_path(char *path, unsigned cpu);
int cpu_is_online(unsigned cpu);
void sleep_ns(long ns);
/* The calling thread runs on this CPU only. */
long move_to_cpu(unsigned cpu);
void mount_at(const char *type, const char *path);

/* do.c: CPU 0 does what bootrace.do= asks for, while the other CPUs do what bootrace.load= asks for; returns at once
   when they ask for nothing. */
void do_actions(const struct output *out, const char *command_line);

/* load.c: starts the kinds of `list` on each online CPU but CPU 0. Returns whether there is anything to stop. */
int start_load(const struct output *out, const char *list);
void stop_load(const struct output *out);
/* The calling CPU takes the locks for which the loads contend, so many times each. */
void contend(unsigned rounds);

/* kexec.c: does what bootrace.kexec= and bootrace.panic= ask for; returns when they ask for nothing, or after having
   said what failed. */
void start_next_kernel(const struct output *out, const char *command_line);

#endif
