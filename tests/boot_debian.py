#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel boots to user space with 1, 2, 4 and 8 vCPUs, and the state at the end is the same in a second process
under another address layout. Speaks TAP.

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
VCPUS = (1, 2, 4, 8)
# Far beyond what a boot needs, so that one that never ends is BUDGET and not this test's time limit.
STEPS_MAX = str(20_000_000_000)


def boot(vcpus, prefix=(), options=()):
    got = run(*prefix, BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--vcpus", str(vcpus), "--json", "--steps-max",
              STEPS_MAX, *options)
    return got, json.loads(got.stdout) if got.stdout.startswith("{") else {}


def online(mask_or_list):
    """How many CPUs "0-3,5" names."""
    return sum(int(b or a) - int(a) + 1 for a, b in re.findall(r"(\d+)(?:-(\d+))?", mask_or_list))


def problems_of(vcpus, first):
    got, told = boot(vcpus)
    if got.returncode != 0 or told.get("verdict") != "PASS":
        return [f"status {got.returncode}, {told.get('verdict')}: {told.get('reason')}"] + got.stderr.split("\n")[-30:]
    init = re.findall(r"^.*\bBOOTRACE-INIT: (.*?)\s*$", got.stderr, flags=re.M)
    counts = [online(line) for line in init for line in re.findall(r"online CPUs ([\d,-]+)", line)]
    if not init or not counts or counts[0] != vcpus:
        return [f"online CPUs {counts}, expected {vcpus} first"] + init
    if vcpus > 1 and counts != [vcpus, vcpus - 1, vcpus]:
        return [f"online CPUs {counts}, expected CPU 1 to go and come back"] + init
    first[vcpus] = told
    return []


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
