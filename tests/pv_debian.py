#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel as a PV guest of Debian's xen-shim, which is the machine's PVH guest. Speaks TAP.

Usage: pv_debian.py BOOTRACE. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs, BOOTRACE_XEN_SHIM
the xen-shim. By default up to where the kernel says what it runs on; with BOOTRACE_LONG in the environment to the init's
power-off, with 1, 2 and 4 vCPUs.
"""
import json
import os
import re
import sys

from tap import run, run_checks, skip_all

BOOTRACE = sys.argv[1]
KERNEL, INITRD, SHIM = (os.environ.get("BOOTRACE_" + name) for name in ("KERNEL", "INITRD", "XEN_SHIM"))
LANDMARKS = (r"\(XEN\) Xen version 4\.\d+", r"\(XEN\) ELF: addresses:|\(XEN\)  Xen  kernel: 64-bit", r"Linux version 6\.",
             r"Hypervisor detected: Xen PV")


def boot(*options, around=()):
    got = run(*around, BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--mode", "pv", "--xen-image", SHIM, *options, "--json")
    return got, json.loads(got.stdout) if got.stdout.startswith("{") else {}


def a_kernel_finds_itself_a_pv_guest():
    options = ("--vcpus", "2", "--until", "console:Hypervisor detected: Xen PV")
    got, told = boot(*options)
    if told.get("verdict") != "PASS":
        return [f"{told.get('verdict')}: {told.get('reason')}"] + got.stderr.split("\n")[-30:]
    at = [re.search(landmark, got.stderr) for landmark in LANDMARKS]
    problems = [f"the console does not say {LANDMARKS[i]}" for i, found in enumerate(at) if not found]
    if not problems and [m.start() for m in at] != sorted(m.start() for m in at):
        problems.append("the landmarks are out of order")
    _, again = boot(*options, around=("setarch", "-R"))
    if again.get("digest") != told.get("digest"):
        problems.append(f"digest {told.get('digest')}, and {again.get('digest')} under another address layout")
    return problems


def too_little_memory_is_the_panic_of_the_inner_xen():
    got, told = boot("--vcpus", "1", "--memory", "64M")
    if told.get("verdict") == "FAIL" and told.get("reason", "").startswith("Panic on CPU 0: Not enough memory"):
        return []
    return [f"{told.get('verdict')}: {told.get('reason')}"] + got.stderr.split("\n")[-10:]


def a_shim_without_a_kernel_is_its_panic():
    got = run(BOOTRACE, "boot", SHIM, "--vcpus", "1", "--cmdline", "pv-shim console=xen", "--json")
    told = json.loads(got.stdout) if got.stdout.startswith("{") else {}
    return [] if told.get("reason", "").startswith("Panic on CPU 0: dom0 kernel not specified") else [str(told)]


def a_kernel_boots_to_its_init(vcpus):
    got, told = boot("--vcpus", str(vcpus))
    online = re.findall(r"BOOTRACE-INIT: online CPUs ([\d,-]+)", got.stderr)
    expected = ["0"] if vcpus == 1 else [f"0-{vcpus - 1}", "0" if vcpus == 2 else f"0,2-{vcpus - 1}", f"0-{vcpus - 1}"]
    if told.get("verdict") == "PASS" and online == expected:
        return []
    return [f"{told.get('verdict')}: {told.get('reason')}", f"online CPUs {online}, expected {expected}"]


if not KERNEL or not INITRD or not SHIM:
    skip_all("BOOTRACE_KERNEL, BOOTRACE_INITRD and BOOTRACE_XEN_SHIM are not set")
checks = [("Debian's kernel finds itself a PV guest, twice in the same state", a_kernel_finds_itself_a_pv_guest),
          ("too little memory is the panic of the inner Xen", too_little_memory_is_the_panic_of_the_inner_xen),
          ("a shim without a kernel is its panic", a_shim_without_a_kernel_is_its_panic)]
if os.environ.get("BOOTRACE_LONG"):
    checks += [(f"with {n} vCPUs to the init, CPU 1 off and on", lambda n=n: a_kernel_boots_to_its_init(n)) for n in (1, 2, 4)]
run_checks(checks)
