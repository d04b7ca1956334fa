#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel panics: each panic is told by its own line and place, whatever comes after it. Speaks TAP.

Usage: panic_debian.py BOOTRACE. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs (scripts/kernel,
scripts/initrd); without them there is nothing to test.
"""
import json
import os
import sys
import tempfile

from tap import expect, run, run_tests, skip_all

BOOTRACE = sys.argv[1]
KERNEL, INITRD = os.environ.get("BOOTRACE_KERNEL"), os.environ.get("BOOTRACE_INITRD")
STEPS_MAX = 2_000_000_000
NO_MEMORY = "Kernel panic - not syncing: System is deadlocked on memory"
NO_TIMER = "Kernel panic - not syncing: IO-APIC + timer doesn't work!"


def boot(*options, steps=STEPS_MAX):
    got = run(BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--mode", "hvm", "--vcpus", "1", "--json", "--steps-max",
              str(steps), *options)
    expect(got.stdout.startswith("{"), got.stderr[-2000:])
    return json.loads(got.stdout)


def expect_panic(told, line, function):
    expect(told["verdict"] == "FAIL", told["verdict"], told["reason"])
    expect(told["reason"].startswith(line), told["reason"])
    expect(told["place"]["detector"] == "crash" and told["place"]["symbol"].startswith(function), told["place"])


def a_guest_out_of_memory_that_panics_and_resets_fails_by_its_line():
    expect_panic(boot("--memory", "64M"), NO_MEMORY, "out_of_memory")


def starved(*options):
    """A timer check that starves panics long before the memory runs out: the three ends of a panic are seen there."""
    with tempfile.TemporaryDirectory() as folder:
        schedule = os.path.join(folder, "late")
        with open(schedule, "w", encoding="utf-8") as f:
            f.write("at 0:timer_irq_works late 2000000000\n")
        told = boot("--schedule", schedule, *options)
    expect_panic(told, NO_TIMER, "setup_IO_APIC")
    return told


def a_starved_timer_check_panics_with_another_line_at_another_place():
    starved()


def a_panic_that_stays_fails_by_its_line():
    told = starved("--cmdline", "console=ttyS0 earlyprintk=ttyS0 xen_nopv panic=0")
    expect(told["steps"] < STEPS_MAX, "the run goes on after the panic:", told["steps"])


def a_panic_that_waits_before_it_resets_fails_by_its_line():
    told = starved("--cmdline", "console=hvc0 earlyprintk=xen panic=30")
    expect(told["virtual_ns"] < 10_000_000_000, "the run waits with the guest:", told["virtual_ns"])


def a_command_line_that_says_panic_is_no_panic():
    told = boot("--cmdline", f'console=hvc0 earlyprintk=xen panic=-1 x="{NO_MEMORY}"', steps=150_000_000)
    expect(told["verdict"] == "BUDGET", told["verdict"], told["reason"])


if not KERNEL or not INITRD:
    skip_all("BOOTRACE_KERNEL and BOOTRACE_INITRD are not set")
run_tests([a_guest_out_of_memory_that_panics_and_resets_fails_by_its_line, a_panic_that_stays_fails_by_its_line,
           a_panic_that_waits_before_it_resets_fails_by_its_line,
           a_starved_timer_check_panics_with_another_line_at_another_place, a_command_line_that_says_panic_is_no_panic])
