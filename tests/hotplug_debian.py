#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel takes a vCPU that the host plugs, and gives back one that it unplugs, as PVH and as HVM guest. Before
that, the HVM guest itself takes CPU 1 offline and online three times. Speaks TAP.

An HVM guest starts with 2 of 3 vCPUs and gets the third by ACPI, as from QEMU. A PVH guest has no ACPI events; Linux looks
at xenstore there, and can bring online only what the MADT had enabled at the start, so all 3 begin online.

Usage: hotplug_debian.py BOOTRACE. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs.
"""
import json
import os
import re
import sys
import tempfile

from tap import run, run_checks, skip_all

BOOTRACE = sys.argv[1]
KERNEL, INITRD = os.environ.get("BOOTRACE_KERNEL"), os.environ.get("BOOTRACE_INITRD")
CMDLINE = "console=hvc0 earlyprintk=xen panic=-1 bootrace.hotplug=2 bootrace.replug="
# Behind the start of user space, which takes CPU 1 off and on and then waits; 3 vCPUs that wait make few steps.
FIRST_AFTER, SECOND_AFTER, STEPS_MAX = 50_000_000, 200_000_000, 6_000_000_000
REPLUGS = {"hvm": 3, "pvh": 0}


def boot(mode, options):
    got = run(BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--vcpus", "3", "--mode", mode, *options, "--cmdline",
              CMDLINE + str(REPLUGS[mode]), "--json", "--steps-max", str(STEPS_MAX))
    return got, json.loads(got.stdout) if got.stdout.startswith("{") else {}


def problems_of(mode, options, first, second, expected):
    _, told = boot(mode, (*options, "--until", "console:BOOTRACE-INIT: online CPUs"))
    user_space = told.get("steps", 0)
    with tempfile.NamedTemporaryFile("w", suffix=".hotplug") as script:
        script.write("# the toolstack's part\n"
                     f"{user_space + FIRST_AFTER} {first} 2\n{user_space + SECOND_AFTER} {second} 2\n")
        script.flush()
        got, told = boot(mode, (*options, "--hotplug", script.name))
    online = re.findall(r"BOOTRACE-INIT: online CPUs ([\d,-]+)", got.stderr)
    if got.returncode != 0 or online != expected:
        return [f"status {got.returncode}, {told.get('verdict')}: {told.get('reason')}",
                f"online CPUs {online}, expected {expected}"] + got.stderr.split("\n")[-30:]
    return []


if not KERNEL or not INITRD:
    skip_all("BOOTRACE_KERNEL and BOOTRACE_INITRD are not set")
run_checks([("CPU 1 of an HVM guest goes and comes, a third vCPU is plugged and comes online, is unplugged and goes",
             lambda: problems_of("hvm", ("--online", "2"), "plug", "unplug", ["0-1"] + ["0", "0-1"] * REPLUGS["hvm"] + ["0-2", "0-1"])),
            ("a vCPU is unplugged from a PVH guest and goes offline, is plugged and comes back",
             lambda: problems_of("pvh", (), "unplug", "plug", ["0-2", "0-1", "0-2"]))])
