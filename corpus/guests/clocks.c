/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clocks: a guest waits by reading a clock, by each way that there is. Between two readings it keeps nothing of what it
 * read, so that registers and memory repeat; the time does not. It must end PASS, and never as a hang. Its twins do
 * hang.
 *
 * Parameters:
 *   clock=KIND   (default tsc)
 *      tsc, tscp, tsc-msr      RDTSC, RDTSCP, RDMSR of IA32_TSC
 *      pm                      ACPI PM timer                             (these and the next need --mode hvm)
 *      pit, pit-latch          PIT counter of channel 0, read as it runs or latched
 *      refresh, pit-out        port 0x61: the refresh bit, and the output of PIT channel 2
 *      rtc, rtc-busy, rtc-flag RTC seconds, update in progress, update-ended flag
 *      rtc-alarm               HLT until the RTC's alarm interrupts, in 4 s
 *      lapic                   the local APIC's current count, its interrupt masked
 *      record, record-info     Xen's time record in shared_info, and in a registered vcpu_info
 *      record-area             ... in a registered time area
 *      runstate-area           how long this vCPU could have run and did not, in its registered runstate area
 *      runstate, get-time      the same by VCPUOP_get_runstate_info; the time by HVMOP_get_time
 *      flag                    no clock: a word of memory that nobody writes
 *   wait=US      how long (default 3000)
 *   gap=N        CPUIDs between two readings (default 0), a microsecond each
 *   never=1      the clock is read, and what it says is not looked at
 *   others=flag  all other vCPUs wait for a flag that is set in the end
 *
 * Expected: PASS. clock=flag: FAIL, hang. never=1: out of budget, since nobody can prove that a clock is not looked at;
 * and so the records and the runstate area where vCPUs don't take turns, since bootrace writes them at a switch only.
 */
#include "hypercall.h"

#define IA32_TSC      0x10
#define PM_TIMER_PORT 0xb008
#define PIT_HZ        1193182u
#define PM_HZ         3579545u
#define RTC_IRQ       8

enum clock {
    TSC,
    TSCP,
    TSC_MSR,
    PM,
    PIT,
    PIT_LATCH,
    REFRESH,
    PIT_OUT,
    RTC,
    RTC_BUSY,
    RTC_FLAG,
    RTC_ALARM,
    LAPIC,
    RECORD,
    RECORD_INFO,
    RECORD_AREA,
    RUNSTATE_AREA,
    RUNSTATE,
    GET_TIME,
    FLAG,
    CLOCKS,
};

static const char *const names[CLOCKS] = {
    "tsc",         "tscp",        "tsc-msr",       "pm",       "pit",       "pit-latch", "refresh",
    "pit-out",     "rtc",         "rtc-busy",      "rtc-flag", "rtc-alarm", "lapic",     "record",
    "record-info", "record-area", "runstate-area", "runstate", "get-time",  "flag",
};

static struct vcpu_time_info time_area __attribute__((aligned(64)));
static struct vcpu_info vcpu_info __attribute__((aligned(64)));
static struct vcpu_runstate_info runstate_area __attribute__((aligned(64)));
static const volatile struct vcpu_time_info *record;
static volatile uint32_t flag, alarms, waiting;
static struct vcpu_runstate_info runstate;
static uint64_t now;

static uint32_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return low;
}

static uint32_t rdtscp(void)
{
    uint32_t low, high, aux;

    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
    return low;
}

static uint32_t pm_timer(void)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"((uint16_t)PM_TIMER_PORT));
    return value;
}

static uint32_t pit_count(bool latch)
{
    uint32_t low;

    if (latch)
        outb(0x43, 0);
    low = inb(0x40);
    return low | (uint32_t)inb(0x40) << 8;
}

static uint8_t rtc(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

/* What the clock says, in its own unit; it only grows, but for those that are 0 and then 1. */
static inline __attribute__((always_inline)) uint32_t read_clock(enum clock clock)
{
    uint32_t value = 0;

    switch (clock) {
    case TSC:
        return rdtsc();
    case TSCP:
        return rdtscp();
    case TSC_MSR:
        return (uint32_t)rdmsr(IA32_TSC);
    case PM:
        return pm_timer();
    case PIT:
    case PIT_LATCH:
        return 0xffff - pit_count(clock == PIT_LATCH);
    case REFRESH:
        return inb(0x61) >> 4 & 1;
    case PIT_OUT:
        return inb(0x61) >> 5 & 1;
    case RTC:
        return rtc(0);
    case RTC_BUSY:
        return rtc(10) >> 7;
    case RTC_FLAG:
        return rtc(12) >> 4 & 1;
    case LAPIC:
        return ~lapic_read(0x390);
    case RECORD:
    case RECORD_INFO:
    case RECORD_AREA:
        return (uint32_t)record->system_time;
    case RUNSTATE_AREA:
        return (uint32_t)((volatile struct vcpu_runstate_info *)&runstate_area)->time[RUNSTATE_runnable];
    case RUNSTATE:
        vcpu_op(VCPUOP_get_runstate_info, 0, &runstate);
        value = (uint32_t)runstate.time[RUNSTATE_running];
        memset(&runstate, 0, sizeof runstate);
        return value;
    case GET_TIME:
        hvm_op(HVMOP_get_time, &now);
        value = (uint32_t)now;
        now = 0;
        return value;
    default:
        return flag;
    }
}

static uint32_t units(enum clock clock, uint32_t us)
{
    switch (clock) {
    case PM:
        return us * (PM_HZ / 1000) / 1000;
    case PIT:
    case PIT_LATCH:
        return us * (PIT_HZ / 1000) / 1000;
    case LAPIC:
        return us * 100;
    case REFRESH:
    case PIT_OUT:
    case RTC:
    case RTC_BUSY:
    case RTC_FLAG:
    case FLAG:
        return 1;
    default:
        return us * 1000;
    }
}

static void cpuid_leaf_0(void)
{
    __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx; cpuid" : : : "eax", "ebx", "ecx", "edx", "memory");
}

static void forget(void)
{
    __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; pause" : : : "eax", "ecx", "edx", "cc");
}

/* One function for each clock, so that nothing but the reading is in its loop. */
#define WAIT(clock)                                                                                                    \
    case clock:                                                                                                        \
        while (read_clock(clock) - start < for_units || never) {                                                       \
            forget();                                                                                                  \
            for (uint32_t i = 0; i < gap; i++)                                                                         \
                cpuid_leaf_0();                                                                                        \
        }                                                                                                              \
        break

static __attribute__((noinline)) void wait(enum clock clock, uint32_t start, uint32_t for_units, uint32_t gap,
                                           bool never)
{
    switch (clock) {
        WAIT(TSC);
        WAIT(TSCP);
        WAIT(TSC_MSR);
        WAIT(PM);
        WAIT(PIT);
        WAIT(PIT_LATCH);
        WAIT(REFRESH);
        WAIT(PIT_OUT);
        WAIT(RTC);
        WAIT(RTC_BUSY);
        WAIT(RTC_FLAG);
        WAIT(LAPIC);
        WAIT(RECORD);
        WAIT(RECORD_INFO);
        WAIT(RECORD_AREA);
        WAIT(RUNSTATE_AREA);
        WAIT(RUNSTATE);
        WAIT(GET_TIME);
        WAIT(FLAG);
    default:
        guest_fail(1, "no such clock");
    }
}

static void on_alarm(struct trap_regs *regs)
{
    alarms++;
    (void)rtc(12);
    pic_eoi(RTC_IRQ);
}

static void set_rtc(uint8_t reg, uint8_t value)
{
    outb(0x70, reg);
    outb(0x71, value);
}

static void wait_for_alarm(void)
{
    uint8_t seconds = rtc(0);

    pic_init();
    trap_set(PIC_VECTOR_BASE + RTC_IRQ, on_alarm);
    lapic_enable(true);
    pic_unmask(RTC_IRQ);
    set_rtc(1, (uint8_t)((seconds & 0xf) < 6 ? seconds + 4 : 0xff)); /* BCD; 0xff: every second */
    set_rtc(3, 0xff);
    set_rtc(5, 0xff);
    (void)rtc(12);
    set_rtc(11, 0x22); /* 24 hours, alarm interrupt */
    while (!alarms)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void ready(enum clock clock)
{
    struct vcpu_register_time_memory_area time = {.addr.p = (uintptr_t)&time_area};
    struct vcpu_register_runstate_memory_area area = {.addr.p = (uintptr_t)&runstate_area};
    struct vcpu_register_vcpu_info info = {.mfn = (uintptr_t)&vcpu_info >> 12, .offset = (uintptr_t)&vcpu_info & 0xfff};

    switch (clock) {
    case PIT:
    case PIT_LATCH:
        outb(0x43, 0x34); /* channel 0, low then high byte, mode 2 */
        outb(0x40, 0xff);
        outb(0x40, 0xff);
        break;
    case PIT_OUT:
        outb(0x61, 1);
        outb(0x43, 0xb0); /* channel 2, low then high byte, mode 0: the output rises at the end */
        outb(0x42, 0xff);
        outb(0x42, 0x0f); /* 3.4 ms */
        break;
    case LAPIC:
        lapic_enable(false);
        lapic_write(LAPIC_LVTT, 0x10000);
        lapic_write(LAPIC_TDCR, 0xb); /* divide by 1: 100 MHz */
        lapic_write(LAPIC_TMICT, 0xffffffff);
        break;
    case RECORD:
        record = &xen_shared_info()->vcpu_info[0].time;
        break;
    case RECORD_INFO:
        if (vcpu_op(VCPUOP_register_vcpu_info, 0, &info))
            guest_fail(2, "vcpu_info is not registered");
        record = &vcpu_info.time;
        break;
    case RECORD_AREA:
        if (vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time))
            guest_fail(3, "the time area is not registered");
        record = &time_area;
        break;
    case RUNSTATE_AREA:
        if (vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area))
            guest_fail(4, "the runstate area is not registered");
        break;
    default:
        break;
    }
}

static void wait_for_flag(void *arg)
{
    waiting++;
    while (!flag)
        forget();
}

void guest_main(void)
{
    uint32_t gap = param_u32("gap", 0), us = param_u32("wait", 3000), clock = 0, start;
    bool never = param_u32("never", 0);

    while (clock < CLOCKS && !param_is("clock", names[clock]))
        clock++;
    if (!param_find("clock"))
        clock = TSC;
    if (clock == CLOCKS)
        guest_fail(1, "no such clock");
    for (unsigned cpu = 0; param_is("others", "flag") && cpu < cpu_count(); cpu++)
        if (cpu != cpu_current()) {
            uint32_t before = waiting;

            cpu_start(cpu, wait_for_flag, NULL);
            while (waiting == before)
                cpu_relax();
        }
    ready(clock);
    if (clock == RTC_ALARM) {
        wait_for_alarm();
    } else {
        start = read_clock(clock);
        if (start <= 1 && units(clock, us) == 1)
            start = 0;
        wait(clock, start, units(clock, us), gap, never);
    }
    flag = 1;
    printk("waited by %s\n", names[clock]);
}
