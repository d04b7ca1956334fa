/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The init of the test initramfs: says that user space runs, which CPUs are online, takes CPU 1 (when there is
 * one) offline and online again, and powers the guest off. Each line begins with "BOOTRACE-INIT: ".
 *
 * It writes to /dev/kmsg, since printk reaches every console that the kernel has, also one without a tty
 * (earlyprintk=xen), and a line appears on each of them once. `bootrace.console=/dev/hvc0` on the kernel's command line
 * names another file to write to, to exercise the guest's tty layer instead.
 *
 * More words of the kernel's command line:
 *   bootrace.replug=N  take CPU 1 offline and online N times instead of once
 *   bootrace.hotplug=N then bring CPUs online that the host plugs, as udev does, until the set of online CPUs has
 *                      changed N times
 *   bootrace.load=K,L  then let every other CPU do this kind of work until CPU 0 has done bootrace.do= (load.c)
 *   bootrace.do=V,W    let CPU 0 do this, one after the other, between a line "begin ..." and a line "end ..." (do.c)
 *   bootrace.kexec=N   then start /boot/vmlinuz of this initramfs by kexec, which does the same with N - 1, and so on
 *   bootrace.panic=K   then load /boot/vmlinuz as crash kernel (the command line needs crashkernel= too) and panic on
 *                      CPU K; the crash kernel's init says so and powers off
 *
 * It has no C library, so that it is a few KiB and its bytes depend on the compiler only. Built for x86-64 and
 * for i386 (then by int 0x80).
 *
 * Source: Linux Documentation/ABI/testing/dev-kmsg; Documentation/core-api/cpu_hotplug.rst; reboot(2).
 */
#include "init.h"

unsigned text_bytes(const char *text)
{
    unsigned bytes = 0;
    while (text[bytes])
        bytes++;
    return bytes;
}

unsigned append(char *line, unsigned at, const char *text)
{
    for (; *text && at < LINE_BYTES - 1; text++)
        line[at++] = *text;
    return at;
}

/* One line is one write: printk makes one record of it. */
void print(const struct output *out, const char *what, const char *detail)
{
    char line[LINE_BYTES];
    unsigned at = 0;
    if (out->is_kmsg)
        at = append(line, at, "<1>"); /* KERN_ALERT, so that `quiet` on the command line does not hide it */
    at = append(line, at, "BOOTRACE-INIT: ");
    at = append(line, at, what);
    at = append(line, at, detail);
    line[at++] = '\n';
    system_call(__NR_write, out->file, (long)line, at, 0, 0);
}

const char *number_text(unsigned long value, char text[NUMBER_BYTES])
{
    unsigned at = NUMBER_BYTES - 1;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value && at);
    return text + at;
}

void print_error(const struct output *out, const char *what, long result)
{
    char number[NUMBER_BYTES], what_failed[LINE_BYTES];
    unsigned end = append(what_failed, 0, "FAILED ");
    end = append(what_failed, end, what);
    end = append(what_failed, end, ", errno ");
    what_failed[end] = '\0';
    print(out, what_failed, number_text((unsigned long)-result, number));
}

/* Reads the first line of a file; an empty text when it can't be read. */
long read_line(const char *path, char *text, unsigned text_size)
{
    text[0] = '\0';
    long file = open_file(path, OPEN_READ);
    if (file < 0)
        return file;
    long got = system_call(__NR_read, file, (long)text, text_size - 1, 0, 0);
    system_call(__NR_close, file, 0, 0, 0, 0);
    if (got < 0)
        return got;
    text[got] = '\0';
    for (char *c = text; *c; c++) {
        if (*c == '\n') {
            *c = '\0';
            break;
        }
    }
    return 0;
}

long write_text(const char *path, const char *text)
{
    long file = open_file(path, OPEN_WRITE);
    if (file < 0)
        return file;
    long wrote = system_call(__NR_write, file, (long)text, text_bytes(text), 0, 0);
    system_call(__NR_close, file, 0, 0, 0, 0);
    return wrote < 0 ? wrote : 0;
}

void mount_at(const char *type, const char *path)
{
    system_call(__NR_mkdir, (long)path, 0755, 0, 0, 0);
    system_call(__NR_mount, (long)type, (long)path, (long)type, 0, 0);
}

const char *find_word(const char *command_line, const char *name)
{
    for (const char *word = command_line; *word; word++) {
        unsigned at = 0;
        while (name[at] && word[at] == name[at])
            at++;
        if (!name[at] && (word == command_line || word[-1] == ' '))
            return word + at;
    }
    return 0;
}

unsigned find_number(const char *command_line, const char *name, unsigned otherwise)
{
    const char *value = find_word(command_line, name);
    unsigned number = 0;
    if (!value || *value < '0' || *value > '9')
        return otherwise;
    while (*value >= '0' && *value <= '9')
        number = number * 10 + (unsigned)(*value++ - '0');
    return number;
}

const char *next_of_list(const char *list, char word[LINE_BYTES])
{
    unsigned bytes = 0;
    if (!*list || *list == ' ')
        return 0;
    for (; *list && *list != ' ' && *list != ','; list++)
        if (bytes < LINE_BYTES - 1)
            word[bytes++] = *list;
    word[bytes] = '\0';
    return *list == ',' ? list + 1 : list;
}

static struct output open_output(const char *command_line)
{
    struct output out = {.file = -1, .is_kmsg = 0};
    const char *value = find_word(command_line, "bootrace.console=");
    if (value) {
        char path[LINE_BYTES];
        unsigned bytes = 0;
        for (; value[bytes] && value[bytes] != ' ' && bytes < sizeof(path) - 1; bytes++)
            path[bytes] = value[bytes];
        path[bytes] = '\0';
        out.file = open_file(path, OPEN_WRITE);
    }
    if (out.file < 0) {
        /* The kernel limits the rate of user space's messages unless told not to. */
        write_text("/proc/sys/kernel/printk_devkmsg", "on\n");
        out.file = open_file("/dev/kmsg", OPEN_WRITE);
        out.is_kmsg = out.file >= 0;
    }
    if (out.file < 0)
        out.file = open_file("/dev/console", OPEN_WRITE);
    return out;
}

static void print_online(const struct output *out)
{
    char mask[FILE_BYTES];
    long result = read_line("/sys/devices/system/cpu/online", mask, sizeof(mask));
    if (result < 0)
        print_error(out, "to read the online CPUs", result);
    else
        print(out, "online CPUs ", mask);
}

static void replug_cpu1(const struct output *out)
{
    static const char path[] = "/sys/devices/system/cpu/cpu1/online";
    char now[16];
    if (read_line(path, now, sizeof(now)) < 0 || now[0] != '1') {
        print(out, "no CPU 1 to take offline", "");
        return;
    }
    long result = write_text(path, "0");
    if (result < 0)
        print_error(out, "to take CPU 1 offline", result);
    else
        print(out, "CPU 1 taken offline", "");
    print_online(out);
    result = write_text(path, "1");
    if (result < 0)
        print_error(out, "to bring CPU 1 online", result);
    else
        print(out, "CPU 1 brought online", "");
    print_online(out);
}

#define HOTPLUG_WAIT_MS 10
#define HOTPLUG_WAITS   6000

void cpu_path(char *path, unsigned cpu)
{
    char number[3] = {(char)('0' + cpu / 10), (char)('0' + cpu % 10), '\0'};
    unsigned end = append(path, 0, "/sys/devices/system/cpu/cpu");
    end = append(path, end, cpu < 10 ? number + 1 : number);
    end = append(path, end, "/online");
    path[end] = '\0';
}

static void bring_new_cpus_online(const struct output *out, char *was_there)
{
    for (unsigned cpu = 1; cpu < CPUS_MAX; cpu++) {
        char path[LINE_BYTES], now[16];
        cpu_path(path, cpu);
        int is_there = read_line(path, now, sizeof(now)) >= 0;
        if (is_there && !was_there[cpu] && now[0] == '0') {
            long result = write_text(path, "1");
            if (result < 0)
                print_error(out, "to bring a new CPU online", result);
        }
        was_there[cpu] = (char)is_there;
    }
}

int is_same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int cpu_is_online(unsigned cpu)
{
    char path[LINE_BYTES], now[16];
    cpu_path(path, cpu);
    return read_line(path, now, sizeof(now)) >= 0 && now[0] == '1';
}

void sleep_ns(long ns)
{
    long pause[2] = {0, ns};
    system_call(__NR_nanosleep, (long)pause, 0, 0, 0, 0);
}

long move_to_cpu(unsigned cpu)
{
    unsigned char mask[CPUS_MAX / 8] = {0};
    mask[cpu / 8 % sizeof(mask)] = (unsigned char)(1 << cpu % 8);
    return system_call(__NR_sched_setaffinity, 0, sizeof(mask), (long)mask, 0, 0);
}

static void follow_hotplug(const struct output *out, unsigned changes)
{
    static const char path[] = "/sys/devices/system/cpu/online";
    static char was_there[CPUS_MAX];
    char before[LINE_BYTES], now[LINE_BYTES];
    read_line(path, before, sizeof(before));
    for (unsigned waits = 0; changes && waits < HOTPLUG_WAITS; waits++) {
        bring_new_cpus_online(out, was_there);
        read_line(path, now, sizeof(now));
        if (!is_same(before, now)) {
            print(out, "online CPUs ", now);
            for (unsigned at = 0; at < sizeof(before); at++)
                before[at] = now[at];
            changes--;
        }
        sleep_ns(HOTPLUG_WAIT_MS * 1000000);
    }
    if (changes)
        print(out, "FAILED to see the online CPUs change", "");
}

void init_main(void);

void init_main(void)
{
    static char command_line[FILE_BYTES];
    mount_at("devtmpfs", "/dev");
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    read_line("/proc/cmdline", command_line, sizeof(command_line));
    struct output out = open_output(command_line);
    print(&out, "started", "");
    print_online(&out);
    for (unsigned left = find_number(command_line, "bootrace.replug=", 1); left; left--)
        replug_cpu1(&out);
    follow_hotplug(&out, find_number(command_line, "bootrace.hotplug=", 0));
    do_actions(&out, command_line);
    start_next_kernel(&out, command_line);
    print(&out, "done", "");
    long result = reboot(REBOOT_POWER_OFF);
    print_error(&out, "to power off", result);
    for (;;)
        system_call(__NR_pause, 0, 0, 0, 0, 0);
}

/* The kernel enters with an aligned stack, as a caller of C must leave it before its call. */
__asm__(".globl _start\n_start: xorl %ebp, %ebp\n call init_main\n");
