/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/ports.h"

#include "emu/base/count.h"
#include "emu/machine.h"

struct absent_ports {
    uint16_t first, last;
    const char *name; /* what a PC has there, and who looks */
};

/* Sorted. Source of the ranges: Intel 8 Series PCH datasheet, "Register and Memory Mapping", "I/O Map"; the guest
 * named. */
static const struct absent_ports absent_ports[] = {
    {0x0000, 0x001f, "DMA controller 1; Linux's ISA DMA and Xen's unplug protocol (0x10)"},
    {0x0020, 0x0021, "PIC 1"},
    {0x002e, 0x002f, "Super I/O"},
    {0x0040, 0x0043, "PIT"},
    {0x004e, 0x004f, "Super I/O, TPM"},
    {0x0060, 0x0060, "keyboard controller data"},
    {0x0061, 0x0061, "NMI status, PIT gate and speaker"},
    {0x0064, 0x0064, "keyboard controller status"},
    {0x0070, 0x0077, "CMOS and RTC"},
    {0x0080, 0x008f, "DMA page registers; 0x80: POST codes, written by Linux as a delay"},
    {0x0092, 0x0092, "fast A20 and reset"},
    {0x00a0, 0x00a1, "PIC 2"},
    {0x00b2, 0x00b3, "APM control: SMI"},
    {0x00c0, 0x00df, "DMA controller 2"},
    {0x00ed, 0x00ed, "Linux's other delay port"},
    {0x00f0, 0x00f1, "coprocessor error"},
    {0x0170, 0x0177, "IDE 2"},
    {0x01f0, 0x01f7, "IDE 1"},
    {0x0200, 0x0207, "game port"},
    {0x0208, 0x0277, "ISA plug and play: Linux tries 0x213, 0x223 … as the port to read from"},
    {0x0278, 0x027a, "parallel port 2; 0x279: ISA plug and play"},
    {0x02e8, 0x02ef, "COM4"},
    {0x02f8, 0x02ff, "COM2"},
    {0x0376, 0x0377, "IDE 2 control"},
    {0x0378, 0x037a, "parallel port 1"},
    {0x0393, 0x03a3, "ISA plug and play, as at 0x213"},
    {0x03b0, 0x03df, "VGA, parallel port 3"},
    {0x03e8, 0x03ef, "COM3"},
    {0x03f0, 0x03f7, "floppy disk, IDE 1 control"},
    {0x03f8, 0x03ff, "COM1"},
    {0x0402, 0x0402, "firmware debug console"},
    {0x04d0, 0x04d1, "PIC edge/level"},
    {0x0510, 0x0511, "firmware configuration"},
    {0x0a79, 0x0a79, "ISA plug and play"},
    {0x0cf8, 0x0cff, "PCI configuration; 0xcf9: reset"},
    {0x5658, 0x5659, "VMware backdoor"},
    {0xaf00, 0xaf1f, "ACPI map of processors, as Xen's DSDT names it"},
    {0xafe0, 0xafe3, "ACPI general-purpose events, as Xen's firmware places them"},
    {0xb000, 0xb00b, "ACPI PM1 and PM timer, as Xen's firmware places them"},
    {0xb010, 0xb015, "ACPI processor block, as Xen's DSDT names it"},
};

struct absent_window {
    uint64_t first_gpa, last_gpa;
    const char *name;
};

static const struct absent_window absent_windows[] = {
    {0xfec00000, 0xfec00fff, "IO-APIC"},
    {0xfed00000, 0xfed003ff, "HPET"},
    {0xfed40000, 0xfed44fff, "TPM"},
};

/* The first byte decides, as Xen looks for the device there. */
static bool is_absent_port(uint16_t port)
{
    for (size_t i = 0; i < COUNT(absent_ports); i++)
        if (port >= absent_ports[i].first && port <= absent_ports[i].last)
            return true;
    return false;
}

static enum model_answer ports_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                         uint32_t *value)
{
    /* Xen denies input from the debug port, so that it reads as nothing. */
    if (port != PORT_DEBUG && !is_absent_port(port))
        return MODEL_NOT_MINE;
    *value = UINT32_MAX >> (32 - 8 * bytes);
    return MODEL_DONE;
}

static enum model_answer ports_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                          uint32_t value)
{
    if (port != PORT_DEBUG)
        return is_absent_port(port) ? MODEL_DONE : MODEL_NOT_MINE;
    if (bytes == 1) /* a wider access is not the debug port's in Xen, and lost */
        machine_console(m, (uint8_t)value);
    return MODEL_DONE;
}

static bool is_absent_window(uint64_t gpa, unsigned bytes)
{
    for (size_t i = 0; i < COUNT(absent_windows); i++)
        if (gpa >= absent_windows[i].first_gpa && gpa <= absent_windows[i].last_gpa &&
            bytes - 1 <= absent_windows[i].last_gpa - gpa)
            return true;
    return false;
}

static enum model_answer ports_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                         uint64_t *value)
{
    if (!is_absent_window(gpa, bytes))
        return MODEL_NOT_MINE;
    *value = UINT64_MAX >> (64 - 8 * bytes);
    return MODEL_DONE;
}

static enum model_answer ports_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                          uint64_t value)
{
    return is_absent_window(gpa, bytes) ? MODEL_DONE : MODEL_NOT_MINE;
}

const struct model ports_model = {
    .name = "ports",
    .port_read = ports_port_read,
    .port_write = ports_port_write,
    .mmio_read = ports_mmio_read,
    .mmio_write = ports_mmio_write,
};
