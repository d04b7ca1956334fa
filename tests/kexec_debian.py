#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel starts itself by kexec_file_load, as PVH and as HVM guest with two vCPUs; it panics on a chosen vCPU and
its crash kernel boots there; and on a Xen without soft reset the domain ends instead. Speaks TAP.

Usage: kexec_debian.py BOOTRACE SOURCE-ROOT. BOOTRACE_KERNEL names the kernel (scripts/kernel); without it there is nothing to
test. The initramfs with that kernel inside is made by scripts/initrd. With BOOTRACE_LONG=1 it is five kexecs in a row, and
CPU 1 goes and comes twenty times, also under twenty random schedules; without, it is one kexec.
"""
import os
import re
import sys

from tap import run, run_checks, skip_all

BOOTRACE, ROOT = sys.argv[1:3]
KERNEL = os.environ.get("BOOTRACE_KERNEL")
LONG = bool(os.environ.get("BOOTRACE_LONG"))
KEXECS = 5 if LONG else 1
REPLUGS = 20
RUNS = 20
STEPS_MAX = str(80_000_000_000)


def boot(words, *options):
    got = run(BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--steps-max", STEPS_MAX, "--cmdline", "console=hvc0 " + words,
              *options, timeout=None)
    return got.returncode, got.stdout, re.findall(r"BOOTRACE-INIT: (.*?)\s*$", got.stdout, flags=re.M)


def kexec_problems(mode):
    status, text, init = boot(f"bootrace.kexec={KEXECS} bootrace.replug=0", "--mode", mode, "--detect",
                              "stale-owner,lost-event")
    left = [int(line.rsplit(" ", 1)[1]) for line in init if line.startswith("kexec, left")]
    if status or left != list(reversed(range(KEXECS))) or init.count("started") != KEXECS + 1 or init[-1] != "done":
        return [f"status {status}, kexecs left {left}"] + text.split("\n")[-20:]
    if init.count("online CPUs 0-1") != KEXECS + 1:
        return ["not every kernel has two CPUs"] + init
    return []


def panic_problems(mode, cpu):
    status, text, init = boot(f"crashkernel=160M bootrace.panic={cpu} bootrace.replug=0", "--mode", mode)
    if status or f"panic on CPU {cpu}" not in init or init[-2:] != ["this is the crash kernel", "done"]:
        return [f"status {status}"] + init + text.split("\n")[-20:]
    return []


def no_soft_reset_problems():
    status, text, init = boot("bootrace.kexec=1 bootrace.replug=0", "--mode", "hvm", "--xen", "4.4")
    if status != 1 or init.count("started") != 1 or "FAIL: the guest asked for a soft reset" not in text:
        return [f"status {status}"] + init + text.split("\n")[-20:]
    return []


def kept_areas_problems():
    """A kernel that does not ask for the soft reset: what it has given to Xen is written in the purgatory."""
    status, text, init = boot("bootrace.kexec=1 bootrace.replug=0", "--edit", "drop-call xen_hvm_shutdown xen_reboot",
                              "--detect", "stale-owner")
    if status != 1 or init.count("started") != 1 or not re.search("FAIL: the host writes .* nobody took it back", text):
        return [f"status {status}"] + init + text.split("\n")[-20:]
    return []


def pv_problems():
    """A PV kernel has no kexec: loading one maps its page tables by PV operations that don't know them."""
    status, text, init = boot("bootrace.kexec=1 bootrace.replug=0", "--mode", "pv", "--vcpus", "1", "--memory", "1G")
    if status != 1 or init.count("started") != 1 or "machine_kexec_prepare+" not in text or not re.search(
            r"FAIL: BUG: unable to handle page fault for address: \w+; vCPU 0, step \d+, at xen_page_pinned\+", text):
        return [f"status {status}"] + init + text.split("\n")[-40:]
    return []


def replug_problems(mode):
    status, text, init = boot(f"bootrace.replug={REPLUGS}", "--mode", mode)
    expected = ["online CPUs 0", "online CPUs 0-1"] * REPLUGS
    if status or [line for line in init if line.startswith("online")][1:] != expected:
        return [f"status {status}"] + init + text.split("\n")[-20:]
    return []


def random_replug_problems(mode):
    """The same under schedules that differ: timers early, upcalls without an event, turns given elsewhere."""
    plain = run(f"{ROOT}/scripts/initrd", check=True).stdout.strip()
    got = run(BOOTRACE, "fuzz", KERNEL, "--initrd", plain, "--mode", mode, "--no-cache", "--cmdline",
              f"console=hvc0 bootrace.replug={REPLUGS}", "--window", "takedown_cpu+100000000", "--strategy", "random",
              "--depth", "40", "--inject", "timer,upcall,nothing", "--runs", str(RUNS), "--run-steps-max", "1500000000",
              "--detect", "lost-event", timeout=None)
    if got.returncode or f"random: {RUNS} runs" not in got.stdout or "0 failing in 0 ways, 0 out of budget" not in got.stdout:
        return [f"status {got.returncode}"] + (got.stdout + got.stderr).split("\n")[-20:]
    return []


if not KERNEL:
    skip_all("BOOTRACE_KERNEL is not set")
INITRD = run(f"{ROOT}/scripts/initrd", "--kernel", KERNEL, check=True).stdout.strip()
points = [
    (f"{KEXECS} kexecs as PVH guest", lambda: kexec_problems("pvh")),
    (f"{KEXECS} kexecs as HVM guest", lambda: kexec_problems("hvm")),
    ("the crash kernel boots on vCPU 1 of a PVH guest", lambda: panic_problems("pvh", 1)),
    ("the crash kernel boots on vCPU 1 of an HVM guest", lambda: panic_problems("hvm", 1)),
    ("kexec on Xen 4.4, which knows no soft reset, ends the domain", no_soft_reset_problems),
    ("without the soft reset, the host's writes into the next kernel are seen", kept_areas_problems),
    ("a PV guest fails where it loads the next kernel", pv_problems),
    (f"CPU 1 goes and comes {REPLUGS} times in a PVH guest", lambda: replug_problems("pvh")),
    (f"CPU 1 goes and comes {REPLUGS} times in an HVM guest", lambda: replug_problems("hvm")),
    (f"CPU 1 goes and comes under {RUNS} random schedules in a PVH guest", lambda: random_replug_problems("pvh")),
    (f"CPU 1 goes and comes under {RUNS} random schedules in an HVM guest", lambda: random_replug_problems("hvm")),
]
# Half a minute of processor time each. What a Xen without soft reset does is in test_kexec_items.py, an HVM guest's CPU 1
# goes and comes in hotplug_debian.py.
if not LONG:
    points = points[:1]
run_checks(points)
