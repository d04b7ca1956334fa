/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s2: what kernel A and kernel B have in common: the drivers that each brings up, and where B's memory is.
 */
#ifndef S2_H
#define S2_H

#include "hypercall.h"

/* Kernel B is linked here; its RAM disk, a pattern, lies behind it. */
#define KERNEL_B_BASE 0x800000u
#define RAMDISK_BASE  0xa00000u
#define RAMDISK_PAGES 12
#define PAGE_BYTES    4096u

/* Pages of the RAM disk's place that kernel A uses for itself, when told to (parameter `in`). */
enum { PAGE_VCPU_INFO = 1, PAGE_RUNSTATE = 3, PAGE_TIME = 5, PAGE_SHARED_INFO = 7, PAGE_HOLE = 9 };

/* What A tells B about what it leaves behind, in a page that is neither's. */
#define S2_LETTER 0x9ff000u
struct s2_letter {
    void *shared_info, *hole;
};

struct s2_places {
    void *shared_info; /* a page */
    void *vcpu_info;   /* 64 bytes in one page; NULL to stay in shared_info */
    void *runstate;
    void *time;
    void *hole;    /* a page to balloon out */
    void *grants;  /* a page for the grant table */
    void *control; /* FIFO */
    void *events;
};

struct s2_drivers {
    unsigned refused; /* calls that did not do what a kernel expects */
    evtchn_port_t timer_port;
    volatile struct vcpu_info *vcpu_info;
    volatile uint32_t ticks, serials;
    evtchn_port_t serial_port;
};
extern struct s2_drivers s2_drivers;

/* Brings everything up as a kernel does at boot; prints `NAME step RESULT` for each call. */
void s2_drivers_init(const char *name, const struct s2_places *places);
/* Waits for one tick with interrupts on; false if none comes. */
bool s2_wait_tick(void);
/* Makes the serial port want attention on GSI 4 and waits for its event. */
bool s2_wait_serial(void);

/* Says that memory changed hands; what listens for it is the emulator alone (port 0xB0E0, models/pc/owner_port.h). */
#define OWNER_UNIT_BYTES 64u
enum { OWNER_UNIT_COPIED = 1, OWNER_UNIT_DIGESTED, OWNER_ALL };
static inline void s2_owner(uint32_t what, uintptr_t address)
{
    outl(0xb0e0, what << 26 | (uint32_t)(address >> 6));
}

static inline uint8_t s2_pattern(unsigned i)
{
    return (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
}

#endif
