#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel as a PV guest of Debian's xen-shim, which is the machine's PVH guest. Speaks TAP.

Usage: pv_debian.py BOOTRACE GUEST_FOLDER. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs, BOOTRACE_XEN_SHIM
the xen-shim. By default up to where the kernel says what it runs on; with BOOTRACE_LONG in the environment to the init's
power-off, with 1, 2 and 4 vCPUs.
"""
import json
import os
import re
import sys
import tempfile

from tap import run, run_checks, skip_all

BOOTRACE, GUESTS = sys.argv[1:3]
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
    expected = "Panic on CPU 0: dom0 kernel not specified"
    caller = told.get("place", {}).get("symbol", "")
    return [] if told.get("reason", "").startswith(expected) and caller.startswith("__start_xen+") else [str(told)]


def a_crash_of_the_kernel_shows_both_sides():
    """The kernel's first function is a UD2 for which it has no handler yet: the inner Xen takes it down."""
    got, told = boot("--vcpus", "1", "--edit", "replace xen_start_kernel ???? 0f0b")
    problems = [] if told.get("reason", "").startswith("d1v0 Unhandled: vec 6, #UD") else [f"{told.get('reason')}"]
    if not told.get("place", {}).get("symbol", "").startswith("xen_start_kernel+0x0/"):
        problems.append(f"at {told.get('place')}")
    for said in (r"rip xen:pv_shim_shutdown\+0x", r"Xen's stack \(likely callers\): xen:",
                 r"the guest under this Xen: rip xen_start_kernel\+0x0/\S+ \(0xffffffff\w+\) .* cs 0xe033"):
        if not re.search(said, got.stderr):
            problems.append(f"{said} is not said")
    return problems


def a_snapshot_of_a_started_shim_knows_both_kernels():
    """Taken before the shim builds its guest: the same end from there, at once, and its functions have their names."""
    image = os.path.join(GUESTS, "pv32.elf")
    options = ("--mode", "pv", "--xen-image", SHIM, "--vcpus", "1", "--json")
    with tempfile.TemporaryDirectory() as folder:
        snapshot = os.path.join(folder, "s")
        whole = json.loads(run(BOOTRACE, "boot", image, *options, "--snapshot-at", "69000000", snapshot).stdout)
        rest = json.loads(run(BOOTRACE, "boot", image, "--from", snapshot, *options).stdout)
        there = run(BOOTRACE, "boot", image, "--from", snapshot, *options, "--until", "xen:pv_shim_shutdown")
    problems = [] if whole["verdict"] == "PASS" and whole["digest"] == rest["digest"] else [f"{whole}, and from the snapshot {rest}"]
    return problems if "reached xen:pv_shim_shutdown" in there.stdout else problems + [there.stdout + there.stderr]


def an_edit_of_the_wrong_side_is_one_sentence():
    problems = []
    for mode, edit, says in (("pvh", "unguard xen:alternative_branches", "there is no Xen to change"),
                             ("pv", "unguard xen:no_such_function", "the kernel has no symbol no_such_function"),
                             ("pv", "unguard alternative_branches", "the kernel has no symbol alternative_branches"),
                             ("pv", "unguard xen:panic", "panic neither disables nor enables interrupts")):
        got = run(BOOTRACE, "boot", KERNEL, "--mode", mode, "--edit", edit,
                  *(("--xen-image", SHIM) if mode == "pv" else ()))
        if got.returncode != 2 or says not in got.stderr or got.stderr.count("\n") != 1:
            problems.append(f"{mode}, {edit}: {got.returncode}, {got.stderr}")
    return problems


def what_is_no_guest_or_no_xen_is_one_sentence():
    problems = []
    pv32, hello = (os.path.join(GUESTS, name + ".elf") for name in ("pv32-s3", "hello64"))
    for says, image, *options in (
            ("is no Xen; --mode pv needs one there", KERNEL, "--mode", "pv", "--xen-image", hello),
            ("is a Linux kernel; --mode dom0 needs a Xen there", KERNEL, "--mode", "dom0", "--xen-image", KERNEL),
            ("not a kernel image", KERNEL, "--mode", "pv", "--xen-image", __file__),
            ("can't be booted as a PV guest", SHIM, "--mode", "pv", "--xen-image", SHIM),
            ("can't be booted as a PV guest", hello, "--mode", "pv", "--xen-image", SHIM),
            ("one IMAGE is enough", KERNEL, KERNEL, "--mode", "pv", "--xen-image", SHIM),
            ("--xen-image and --xen-cmdline are for --mode pv", KERNEL, "--xen-cmdline", "quiet"),
            ("--module is for PVH guests", KERNEL, "--mode", "hvm", "--module", INITRD),
            ('"hvm_callback_vector", is no feature that Xen 4.1 knows', pv32, "--mode", "pv", "--xen-image", SHIM, "--xen", "4.1"),
            ("which a host of Xen 4.9 or later has", pv32, "--mode", "pv", "--xen-image", SHIM, "--xen", "4.4")):
        got = run(BOOTRACE, "boot", image, *options)
        if got.returncode != 2 or says not in got.stderr or got.stdout or len(got.stderr.splitlines()) > 2:
            problems.append(f"{says}: {got.returncode}, {got.stderr}")
    return problems


def search(window, inject, *edits):
    got = run(BOOTRACE, "fuzz", KERNEL, "--initrd", INITRD, "--mode", "pv", "--xen-image", SHIM, "--vcpus", "1", "--window", window,
              "--inject", inject, *(f"--edit={edit}" for edit in edits), "--json")
    told = json.loads(got.stdout)
    return got.returncode, told["sources"][0]


def xens_own_patching_takes_no_interrupt():
    """As shipped it takes none where code is being changed; without its guard, NMIs find the console's lock half taken."""
    problems = []
    moved = ("drop-call xen:_alternative_instructions self_nmi",
             "call-after xen:_alternative_instructions set_nmi_callback nmi_apply_alternatives")
    for window, inject, edits, status in (("xen:nmi_apply_alternatives", "nmi", (), 0), ("xen:_alternative_instructions", "nmi", (), 0),
                                          ("xen:_alternative_instructions", "timer", (), 0),
                                          ("xen:_alternative_instructions", "nmi", moved, 1),
                                          ("xen:alternative_branches", "vector:250", (*moved, "unguard xen:alternative_branches"), 0)):
        returned, told = search(window, inject, *edits)
        if returned != status or not told["complete"] or bool(told["failing"]) != bool(status):
            problems.append(f"{window}, {inject}, {edits}: {returned}, {told}")
        if window == "xen:nmi_apply_alternatives" and told["window"]["nmi_closed"] != told["boundaries"]:
            problems.append(f"NMIs are open at {told['window']}")
    return problems


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
          ("a shim without a kernel is its panic", a_shim_without_a_kernel_is_its_panic),
          ("a snapshot of a started shim knows both kernels", a_snapshot_of_a_started_shim_knows_both_kernels),
          ("what is no guest or no Xen is one sentence", what_is_no_guest_or_no_xen_is_one_sentence),
          ("an edit of the wrong side is one sentence", an_edit_of_the_wrong_side_is_one_sentence),
          ("a crash of the kernel shows both sides", a_crash_of_the_kernel_shows_both_sides)]
if os.environ.get("BOOTRACE_LONG"):
    checks.append(("Xen's own patching takes no interrupt", xens_own_patching_takes_no_interrupt))
    checks += [(f"with {n} vCPUs to the init, CPU 1 off and on", lambda n=n: a_kernel_boots_to_its_init(n)) for n in (1, 2, 4)]
run_checks(checks)
