/*
 * The init of the test initramfs: says that user space runs, which CPUs are online, takes CPU 1 (when there is
 * one) offline and online again, and powers the guest off. Each line begins with "BOOTRACE-INIT: ".
 *
 * It writes to /dev/kmsg, since printk reaches every console that the kernel has, also one without a tty
 * (earlyprintk=xen), and a line appears on each of them once. `bootrace.console=/dev/hvc0` on the kernel's command line
 * names another file to write to, to exercise the guest's tty layer instead.
 *
 * It has no C library, so that it is a few KiB and its bytes depend on the compiler only. Built for x86-64 and
 * for i386 (then by int 0x80).
 *
 * Source: Linux Documentation/ABI/testing/dev-kmsg; Documentation/core-api/cpu_hotplug.rst; reboot(2).
 */
#include <asm/unistd.h>

#define LINE_BYTES 256
#define FILE_BYTES 4096

enum { OPEN_READ = 0, OPEN_WRITE = 1 };

static long system_call(long number, long a, long b, long c, long d, long e)
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

static long open_file(const char *path, int flags)
{
    return system_call(__NR_open, (long)path, flags, 0, 0, 0);
}

static unsigned text_bytes(const char *text)
{
    unsigned bytes = 0;
    while (text[bytes])
        bytes++;
    return bytes;
}

static unsigned append(char *line, unsigned at, const char *text)
{
    for (; *text && at < LINE_BYTES - 1; text++)
        line[at++] = *text;
    return at;
}

struct output {
    long file;
    int is_kmsg;
};

/* One line is one write: printk makes one record of it. */
static void print(const struct output *out, const char *what, const char *detail)
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

static void print_error(const struct output *out, const char *what, long result)
{
    char number[16];
    unsigned at = sizeof(number) - 1;
    unsigned long value = (unsigned long)-result;
    number[at] = '\0';
    do {
        number[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value && at);
    char what_failed[LINE_BYTES];
    unsigned end = append(what_failed, 0, "FAILED ");
    end = append(what_failed, end, what);
    end = append(what_failed, end, ", errno ");
    what_failed[end] = '\0';
    print(out, what_failed, number + at);
}

/* Reads the first line of a file; an empty text when it can't be read. */
static long read_line(const char *path, char *text, unsigned text_size)
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

static long write_text(const char *path, const char *text)
{
    long file = open_file(path, OPEN_WRITE);
    if (file < 0)
        return file;
    long wrote = system_call(__NR_write, file, (long)text, text_bytes(text), 0, 0);
    system_call(__NR_close, file, 0, 0, 0, 0);
    return wrote < 0 ? wrote : 0;
}

static void mount_at(const char *type, const char *path)
{
    system_call(__NR_mkdir, (long)path, 0755, 0, 0, 0);
    system_call(__NR_mount, (long)type, (long)path, (long)type, 0, 0);
}

/* The value of bootrace.console= on the kernel's command line, or NULL. */
static const char *find_console(char *command_line)
{
    static const char name[] = "bootrace.console=";
    for (char *word = command_line; *word;) {
        char *end = word;
        while (*end && *end != ' ')
            end++;
        int is_last = !*end;
        *end = '\0';
        unsigned at = 0;
        while (name[at] && word[at] == name[at])
            at++;
        if (!name[at])
            return word + at;
        if (is_last)
            return 0;
        word = end + 1;
    }
    return 0;
}

static struct output open_output(void)
{
    char command_line[FILE_BYTES];
    struct output out = {.file = -1, .is_kmsg = 0};
    read_line("/proc/cmdline", command_line, sizeof(command_line));
    const char *path = find_console(command_line);
    if (path)
        out.file = open_file(path, OPEN_WRITE);
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

void init_main(void);

void init_main(void)
{
    mount_at("devtmpfs", "/dev");
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    struct output out = open_output();
    print(&out, "started", "");
    print_online(&out);
    replug_cpu1(&out);
    print(&out, "done", "");
    /* LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF */
    long result = system_call(__NR_reboot, (long)0xfee1dead, 0x28121969, 0x4321fedc, 0, 0);
    print_error(&out, "to power off", result);
    for (;;)
        system_call(__NR_pause, 0, 0, 0, 0, 0);
}

/* The kernel enters with an aligned stack, as a caller of C must leave it before its call. */
__asm__(".globl _start\n_start: xorl %ebp, %ebp\n call init_main\n");
