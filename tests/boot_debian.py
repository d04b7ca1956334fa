#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel boots to user space with 1, 2 and 4 vCPUs (with BOOTRACE_LONG=1 also with 8), and the state at the end is
the same in a second process under another address layout. In one of the boots the test init changes the kernel's code
while the other CPUs are busy. Speaks TAP.

Usage: boot_debian.py BOOTRACE. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs (scripts/kernel,
scripts/initrd); without them there is nothing to test.
"""
import json
import os
import re
import shutil
import sys

from tap import run, run_checks, skip_all

BOOTRACE = sys.argv[1]
KERNEL, INITRD = os.environ.get("BOOTRACE_KERNEL"), os.environ.get("BOOTRACE_INITRD")
VCPUS = (1, 2, 4, 8) if os.environ.get("BOOTRACE_LONG") else (1, 2, 4)
# Far beyond what a boot needs, so that one that never ends is BUDGET and not this test's time limit.
STEPS_MAX = str(20_000_000_000)
# In one of the boots the test init also works (docs/verbs.md): what is done, and what nobody knows.
WORKING_VCPUS = 4
WORDS = "console=hvc0 bootrace.load=all,nonsense bootrace.do=static-key,contend,module,nothing"


def boot(vcpus, prefix=(), options=()):
    got = run(*prefix, BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--vcpus", str(vcpus), "--json", "--steps-max",
              STEPS_MAX, *options)
    return got, json.loads(got.stdout) if got.stdout.startswith("{") else {}


def online(mask_or_list):
    """How many CPUs "0-3,5" names."""
    return sum(int(b or a) - int(a) + 1 for a, b in re.findall(r"(\d+)(?:-(\d+))?", mask_or_list))


def work_problems(init):
    """Each action begins and ends, on every other CPU something was done meanwhile, and nothing is left out silently."""
    wanted = [f"{moment} {action}" for action in ("static-key on", "static-key off", "contend for locks")
              for moment in ("begin", "end")]
    wanted += [f"begin load on CPU {cpu}" for cpu in range(1, WORKING_VCPUS)]
    wanted += ["FAILED: no kind of load is called nonsense", "FAILED: bootrace.do= knows no nothing",
               "not in this initramfs: /lib/xen-evtchn.ko; scripts/initrd --module VMLINUZ puts it there"]
    rounds = {int(cpu): int(n) for line in init for cpu, n in re.findall(r"^end load on CPU (\d+), rounds (\d+)$", line)}
    return ([f"the init does not say: {line}" for line in wanted if line not in init] +
            [f"rounds on CPU {cpu}: {rounds.get(cpu)}" for cpu in range(1, WORKING_VCPUS) if rounds.get(cpu, 0) < 2])


def problems_of(vcpus, first):
    got, told = boot(vcpus, options=("--cmdline", WORDS) if vcpus == WORKING_VCPUS else ())
    if got.returncode != 0 or told.get("verdict") != "PASS":
        return [f"status {got.returncode}, {told.get('verdict')}: {told.get('reason')}"] + got.stderr.split("\n")[-30:]
    init = re.findall(r"^.*\bBOOTRACE-INIT: (.*?)\s*$", got.stderr, flags=re.M)
    counts = [online(line) for line in init for line in re.findall(r"online CPUs ([\d,-]+)", line)]
    if not init or not counts or counts[0] != vcpus:
        return [f"online CPUs {counts}, expected {vcpus} first"] + init
    if vcpus > 1 and counts != [vcpus, vcpus - 1, vcpus]:
        return [f"online CPUs {counts}, expected CPU 1 to go and come back"] + init
    first[vcpus] = told
    return work_problems(init) + init if vcpus == WORKING_VCPUS and work_problems(init) else []


def layout_problems_of(vcpus, first):
    """The first boot had a random address layout, if the host does that; this one has none, and detectors watch it."""
    setarch = shutil.which("setarch")
    if vcpus not in first:
        return ["there is no first boot to compare with"]
    _, told = boot(vcpus, (setarch, "-R") if setarch else (), ("--detect", "unsynchronised-code,lost-event"))
    return [f"{key}: {first[vcpus][key]} and {told.get(key)}" for key in ("digest", "steps", "virtual_ns")
            if first[vcpus][key] != told.get(key)]


if not KERNEL or not INITRD:
    skip_all("BOOTRACE_KERNEL and BOOTRACE_INITRD are not set")
first_boots = {}
run_checks([*((f"Debian boots with {n} vCPUs and powers off", lambda n=n: problems_of(n, first_boots)) for n in VCPUS),
            ("the digest is the same in a second process under another address layout, with detectors watching",
             lambda: layout_problems_of(2, first_boots))])
