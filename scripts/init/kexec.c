/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kexec: starts /boot/vmlinuz, at once or by a panic, with an initramfs that this file makes from what lies in its own:
 * an archive can't hold itself, but it can be made again from its parts, as often as there are kernels to start.
 *
 * kexec_file_load is for x86-64 only.
 *
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst (the newc archive); kexec_file_load(2);
 * Documentation/admin-guide/kdump/kdump.rst; Documentation/admin-guide/sysrq.rst.
 */
#include "init.h"

#ifdef __NR_kexec_file_load

#define KEXEC_FILE_ON_CRASH 2
#define SEEK_TO_START       0
#define SEEK_TO_END         2
#define KERNEL_PATH         "/boot/vmlinuz"
#define INIT_PATH           "/init"
#define HEADER_FIELDS       13u
#define HEADER_BYTES        (6 + 8 * HEADER_FIELDS)
#define COPY_BYTES          65536

struct entry {
    const char *name;
    unsigned mode;
    unsigned device_major, device_minor;
    const char *content_path; /* NULL if it has none */
};

struct archive {
    long file;
    unsigned long bytes;
    unsigned long inode;
    long error; /* the first negative errno */
};

static void archive_write(struct archive *a, const char *data, unsigned long bytes)
{
    while (bytes && !a->error) {
        long wrote = system_call(__NR_write, a->file, (long)data, (long)bytes, 0, 0);
        if (wrote <= 0) {
            a->error = wrote ? wrote : -5;
            return;
        }
        data += wrote;
        bytes -= (unsigned long)wrote;
        a->bytes += (unsigned long)wrote;
    }
}

static void archive_align(struct archive *a)
{
    static const char zero[4];
    archive_write(a, zero, (4 - a->bytes % 4) % 4);
}

static void archive_copy(struct archive *a, long from)
{
    static char buffer[COPY_BYTES];
    long got;
    while (!a->error && (got = system_call(__NR_read, from, (long)buffer, sizeof(buffer), 0, 0)) != 0) {
        if (got < 0)
            a->error = got;
        else
            archive_write(a, buffer, (unsigned long)got);
    }
}

static void archive_add(struct archive *a, const struct entry *e)
{
    static const char digits[] = "0123456789abcdef";
    long content = -1, content_bytes = 0;
    if (e->content_path) {
        content = open_file(e->content_path, OPEN_READ);
        content_bytes = content < 0 ? content : system_call(__NR_lseek, content, 0, SEEK_TO_END, 0, 0);
        if (content_bytes < 0) {
            a->error = content_bytes;
            return;
        }
        system_call(__NR_lseek, content, 0, SEEK_TO_START, 0, 0);
    }
    /* inode, mode, owner, group, links, time, size, device, device of a device file, bytes of the name, checksum */
    unsigned long field[HEADER_FIELDS] = {a->inode++,
                                          e->mode,
                                          0,
                                          0,
                                          1,
                                          0,
                                          (unsigned long)content_bytes,
                                          0,
                                          0,
                                          e->device_major,
                                          e->device_minor,
                                          text_bytes(e->name) + 1};
    char header[HEADER_BYTES] = "070701";
    for (unsigned i = 0; i < HEADER_FIELDS; i++)
        for (unsigned d = 0; d < 8; d++)
            header[6 + 8 * i + d] = digits[field[i] >> (28 - 4 * d) & 15];
    archive_write(a, header, sizeof(header));
    archive_write(a, e->name, text_bytes(e->name) + 1);
    archive_align(a);
    if (content >= 0) {
        archive_copy(a, content);
        archive_align(a);
        system_call(__NR_close, content, 0, 0, 0, 0);
    }
}

/* The file that holds the new initramfs, or a negative errno. */
static long make_initramfs(int with_kernel)
{
    static const struct entry entries[] = {
        {"dev", 040755, 0, 0, 0}, {"dev/console", 020600, 5, 1, 0}, {"proc", 040755, 0, 0, 0},
        {"sys", 040755, 0, 0, 0}, {"boot", 040755, 0, 0, 0},        {"init", 0100755, 0, 0, INIT_PATH},
    };
    static const struct entry kernel = {"boot/vmlinuz", 0100644, 0, 0, KERNEL_PATH};
    static const struct entry module[] = {{"lib", 040755, 0, 0, 0}, {"lib/xen-evtchn.ko", 0100644, 0, 0, MODULE_PATH}};
    static const struct entry end = {"TRAILER!!!", 0, 0, 0, 0};
    struct archive a = {.file = system_call(__NR_memfd_create, (long)"initramfs", 0, 0, 0, 0)};
    if (a.file < 0)
        return a.file;
    for (unsigned i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        archive_add(&a, &entries[i]);
    if (with_kernel)
        archive_add(&a, &kernel);
    long file = open_file(MODULE_PATH, OPEN_READ);
    for (unsigned i = 0; file >= 0 && i < 2; i++)
        archive_add(&a, &module[i]);
    system_call(__NR_close, file, 0, 0, 0, 0);
    archive_add(&a, &end);
    return a.error ? a.error : a.file;
}

/* `from` without the words that begin with one of `drop`, then `more`. Returns the bytes with the final 0. */
static unsigned make_command_line(char *to, const char *from, const char *const *drop, const char *more)
{
    unsigned at = 0;
    while (*from) {
        int keep = 1;
        for (const char *const *d = drop; *d; d++)
            keep &= find_word(from, *d) != from + text_bytes(*d);
        for (; *from && *from != ' '; from++)
            if (keep && at < FILE_BYTES - LINE_BYTES)
                to[at++] = *from;
        while (*from == ' ')
            from++;
        if (keep)
            to[at++] = ' ';
    }
    for (; *more; more++)
        to[at++] = *more;
    to[at++] = '\0';
    return at;
}

static long load_kernel(const char *command_line, unsigned command_line_bytes, int with_kernel, long flags)
{
    long kernel = open_file(KERNEL_PATH, OPEN_READ);
    if (kernel < 0)
        return kernel;
    long initramfs = make_initramfs(with_kernel);
    if (initramfs < 0)
        return initramfs;
    long result = system_call(__NR_kexec_file_load, kernel, initramfs, command_line_bytes, (long)command_line, flags);
    system_call(__NR_close, initramfs, 0, 0, 0, 0);
    system_call(__NR_close, kernel, 0, 0, 0, 0);
    return result;
}

static void kexec(const struct output *out, const char *command_line, unsigned left)
{
    static const char *const drop[] = {"bootrace.kexec=", 0};
    static char next[FILE_BYTES];
    char number[NUMBER_BYTES], more[LINE_BYTES] = "bootrace.kexec=";
    const char *digits = number_text(left - 1, number);
    for (unsigned at = text_bytes(more); *digits; digits++)
        more[at++] = *digits;
    unsigned bytes = make_command_line(next, command_line, drop, more);
    long result = load_kernel(next, bytes, left > 1, 0);
    if (result < 0) {
        print_error(out, "to load the next kernel", result);
        return;
    }
    print(out, "kexec, left after this one: ", number_text(left - 1, number));
    result = reboot(REBOOT_KEXEC);
    print_error(out, "to execute the next kernel", result);
}

/* The crash kernel's command line is what Debian's kdump-tools adds, without what it adds for systemd. */
static void panic_on(const struct output *out, const char *command_line, unsigned cpu)
{
    static const char *const drop[] = {"bootrace.panic=", "crashkernel=", 0};
    static char next[FILE_BYTES];
    char number[NUMBER_BYTES];
    unsigned bytes = make_command_line(next, command_line, drop,
                                       "nr_cpus=1 irqpoll reset_devices bootrace.replug=0 bootrace.crash_kernel");
    long result = load_kernel(next, bytes, 0, KEXEC_FILE_ON_CRASH);
    if (result < 0) {
        print_error(out, "to load the crash kernel", result);
        return;
    }
    result = move_to_cpu(cpu);
    if (result < 0) {
        print_error(out, "to move to the CPU that is to panic", result);
        return;
    }
    print(out, "panic on CPU ", number_text(cpu, number));
    result = write_text("/proc/sysrq-trigger", "c");
    print_error(out, "to panic", result);
}

#endif

void start_next_kernel(const struct output *out, const char *command_line)
{
    unsigned kexecs = find_number(command_line, "bootrace.kexec=", 0);
    int panics = find_word(command_line, "bootrace.panic=") != 0;
    if (find_word(command_line, "bootrace.crash_kernel"))
        print(out, "this is the crash kernel", "");
#ifdef __NR_kexec_file_load
    if (kexecs)
        kexec(out, command_line, kexecs);
    else if (panics)
        panic_on(out, command_line, find_number(command_line, "bootrace.panic=", 0));
#else
    if (kexecs || panics)
        print(out, "FAILED to load another kernel: kexec_file_load is for x86-64 only", "");
#endif
}
