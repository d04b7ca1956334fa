#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seed S2, item by item: what the second kernel is answered by each version of Xen when the first has cleaned up nothing,
has reset its event channels, or has asked for a soft reset. Prints the verdict table. Speaks TAP.

Usage: test_kexec_items.py BOOTRACE FOLDER-OF-IMAGES
"""
import re
import sys

import tap
from tap import run_checks

BOOTRACE, IMAGES = sys.argv[1:3]
EINVAL, EBUSY, EEXIST, ENOSYS = -22, -16, -17, -38
VERSIONS = ("4.1", "4.2", "4.4", "4.7", "4.17", "4.18")


def run(xen, words, image="s2-64", detect=None):
    """The exit status, the code of a FAIL, and what each of kernel B's steps answered."""
    got = tap.run(BOOTRACE, "boot", f"{IMAGES}/{image}.elf", "--mode", "hvm", "--vcpus", "1", "--memory", "64M", "--xen",
                  xen, "--steps-max", "300000000", "--cmdline", words, *(["--detect", detect] if detect else []))
    text = got.stdout.replace("\r", "")
    fail = re.search(r"VERDICT: FAIL (\d+)", text)
    return got.returncode, fail.group(1) if fail else "", dict(re.findall(r"^B (\w+) (-?\w+)$", text, flags=re.M)), text


def buggy(xen):
    version = tuple(map(int, xen.split(".")))
    return {"shared_info": 0, "vcpu_info": EBUSY if version >= (4, 18) else EINVAL, "runstate_area": 0,
            "time_area": ENOSYS if version < (4, 4) else 0, "init_control": ENOSYS if version < (4, 4) else EINVAL,
            "bind_virq": EEXIST, "bind_ipi": 0, "map_pirq": 0, "bind_pirq": 0, "balloon_extents": 1,
            "old_hole_reads": "ff", "old_hole_decrease": 0, "old_shared_info_reads": "ff", "set_version_2": EBUSY,
            "tick": "missing", "serial": "missing"}


def events_reset(xen):
    """Without a vcpu_info of A's: EVTCHNOP_reset helps the tick (from 4.5 on with FIFO too), not the serial port."""
    version = tuple(map(int, xen.split(".")))
    expected = buggy(xen) | {"bind_virq": 0, "tick": "arrives"}
    del expected["vcpu_info"]
    if version >= (4, 7):
        expected["init_control"] = 0
    elif version >= (4, 4):
        expected["tick"] = "missing"
    return expected


def soft_reset(xen):
    return {"shared_info": 0, "vcpu_info": 0, "runstate_area": 0, "time_area": 0, "init_control": 0, "bind_virq": 0,
            "bind_ipi": 0, "map_pirq": 0, "bind_pirq": 0, "balloon_extents": 1, "tick": "arrives", "serial": "arrives"}


def difference(expected, answers):
    return [f"{step} is {answers.get(step)}, not {value}" for step, value in expected.items()
            if answers.get(step) != str(value)]


def print_table(title, columns):
    print(f"# {title}")
    print("#   " + f"{'Xen':22}" + "".join(f"{xen:>9}" for xen in columns))
    for step in dict.fromkeys(step for answers in columns.values() for step in answers):
        if step not in ("starts", "callback", "periodic_timer", "set_version", "grant_table", "expand_array", "pin_grant"):
            print(f"#   {step:22}" + "".join(f"{answers.get(step, '-'):>9}" for answers in columns.values()))


def check(title, words, expected_of, versions, passes, code):
    problems, columns = [], {}
    for xen in versions:
        for image in ("s2-64", "s2-32"):
            status, fail, answers, text = run(xen, words, image)
            if image == "s2-64":
                columns[xen] = answers
            found = difference(expected_of(xen), answers)
            if status != (0 if passes else 1) or (code and fail not in code):
                found.append(f"ends with status {status}, {fail}")
            problems += [f"{image} on Xen {xen}: {line}" for line in found]
            if found and status > 1:
                problems += text.split("\n")[-5:]
    print_table(title, columns)
    return problems


def no_soft_reset_ends_the_domain():
    problems = []
    for image in ("s2-64", "s2-32"):
        status, _, answers, text = run("4.4", "variant=soft_reset", image)
        if status != 1 or answers or "FAIL: the guest asked for a soft reset" not in text:
            problems += [f"{image}: status {status}, kernel B says {answers}"] + text.split("\n")[-5:]
    return problems


def trap_is_named():
    """The emulated device's pirq: the call succeeds, the line waits for the first kernel's pirq."""
    status, _, _, text = run("4.17", "pirq=1 wait=5000000 variant=evtchn_reset_only vcpu_info=0", detect="lost-event")
    return [] if status == 1 and "GSI 4: the pirq that it is mapped to has no event channel" in text else text.split("\n")[-5:]


def writes_are_named():
    problems = []
    for words in ("in=vcpu_info fifo=0", "in=vcpu_info"):
        status, _, _, text = run("4.17", words, detect="stale-owner")
        if status != 1 or "gave it as vcpu_info" not in text or "nobody took it back" not in text:
            problems += [words] + text.split("\n")[-5:]
    for words in ("variant=soft_reset in=vcpu_info+runstate+time fifo=0", "variant=soft_reset in=vcpu_info+runstate+time"):
        status, _, _, text = run("4.17", words, detect="stale-owner,lost-event")
        if status != 0:
            problems += [words] + text.split("\n")[-5:]
    return problems


run_checks([
    ("nothing cleaned up: each item fails as its version of Xen lets it", lambda: check(
        "variant=buggy", "variant=buggy pirq=1 probe=1 pin=1", buggy, VERSIONS, False, ("501",))),
    ("only the event channels reset", lambda: check(
        "variant=evtchn_reset_only, no vcpu_info", "variant=evtchn_reset_only pirq=1 probe=1 pin=1 vcpu_info=0", events_reset,
        VERSIONS, False, ("501", "504"))),
    ("a soft reset repairs all items", lambda: check(
        "variant=soft_reset", "variant=soft_reset pirq=1", soft_reset, ("4.7", "4.17", "4.18"), True, None)),
    ("a Xen that knows no soft reset ends the domain instead", no_soft_reset_ends_the_domain),
    ("an interrupt that a second kernel's pirq never gets is named", trap_is_named),
    ("the host's writes into the second kernel are named, and a soft reset ends them", writes_are_named),
])
