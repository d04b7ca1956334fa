#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seed S4 by enumeration: every order of the steps P, I, V, B of a CPU's bring-up with an event at every place between
them, and every variant of numbering vCPUs, with 1, 2, 4 and 33 of them. Prints the verdict tables. Speaks TAP.

Usage: test_vcpu_ids.py BOOTRACE FOLDER-OF-IMAGES
"""
import itertools
import re
import sys

import tap
from tap import run_checks

BOOTRACE, IMAGES = sys.argv[1:3]
PASS, OFFLINE, LOST, REFUSED = 0, "401", "402", "405"


def run(parameters, vcpus=2, image="s4-64", xen="4.17", detect="lost-event"):
    got = tap.run(BOOTRACE, "boot", f"{IMAGES}/{image}.elf", "--vcpus", str(vcpus), "--xen", xen, "--steps-max",
                  "300000000", "--cmdline", parameters, *(["--detect", detect] if detect else []))
    steps = dict(re.findall(r"^cpu (\d+ step \w|0 single-shot timer) (-?\d+)\r?$", got.stdout, flags=re.M))
    fail = re.search(r"VERDICT: FAIL (\d+)", got.stdout)
    if got.returncode not in (0, 1):
        return f"status {got.returncode}: {got.stderr[-200:]}", steps, got.stdout
    if "the host drops the event" in got.stdout:
        return LOST, steps, got.stdout
    return (fail.group(1) if fail else PASS if got.returncode == 0 else "?"), steps, got.stdout


# ---- the orders

def orders():
    """A pass with the event at the end says that the order is right; one that also keeps the event at every other place
    has no window in which it is lost."""
    problems, correct, safe, unset = [], [], [], 0
    for order in map("".join, itertools.permutations("PIVB")):
        ends = {at: run(f"order={order[:at]}E{order[at:]}U")[0] for at in range(5)}
        ends[5] = run(f"order={order}UE")[0]
        lost = [at for at, end in ends.items() if end == LOST]
        if ends[5] == PASS:
            correct.append(order)
            if not lost:
                safe.append(order)
        elif ends[5] == OFFLINE:
            unset += 1
        else:
            problems.append(f"{order}: {ends}")
        if order in correct and any(end not in (PASS, LOST) for end in ends.values()):
            problems.append(f"{order}: {ends}")
        places = ", ".join(f"behind {order[at - 1]}" for at in lost)
        print(f"# {order}U  {'right' if ends[5] == PASS else 'offline':8} {'event lost ' + places if lost else ''}")
    print(f"# {len(correct)} of 24 orders right: {' '.join(correct)}; {len(safe)} without a loss window: {' '.join(safe)}")
    if sorted(correct) != sorted("P" + "".join(rest) for rest in itertools.permutations("IVB")):
        problems.append(f"right are {correct}")
    if sorted(safe) != sorted(o for o in correct if o.index("I") < o.index("B")):
        problems.append(f"without a loss window are {safe}")
    if len(correct) != 6 or len(safe) != 3 or unset != 18:
        problems.append(f"{len(correct)} right, {len(safe)} safe, {unset} with an unset number")
    return problems


# ---- the variants: name, vCPUs, parameters, Xen, end, what a step answers or the detector says

def boot_cpus(n):
    """33 vCPUs that take turns cost fifty times the steps of two: only what is special about so many."""
    return sorted({0, 1 % n, n - 1} if n < 33 else {0, 31, 32})


def variants():
    for n, fifo in itertools.product((1, 2, 4, 33), (1, 0)):
        for b in boot_cpus(n):
            where = f"n={n} b={b} {'FIFO' if fifo else '2-level'}"
            words = f"boot={b} fifo={fifo}"
            if b == 0:
                yield f"id is the number, {where}", n, words, "4.17", PASS, {}
            else:
                yield (f"id is the number, {where}", n, words, "4.17", REFUSED,
                       {"0 step V": "-22", "0 single-shot timer": "-22"})
            yield f"id by CPUID and MADT, {where}", n, words + " id=madt", "4.17", PASS, {}
            if b and n < 33:
                refused = {"0 step V": "-22", "0 single-shot timer": "-22"}
                yield f"… without CPUID's bit, {where}", n, words + " id=madt cpuid=0", "4.17", REFUSED, refused
                yield f"… on Xen 4.4, {where}", n, words + " id=madt", "4.4", REFUSED, refused
    for n in (2, 4, 33):
        yield f"I before P, unset is U32_MAX, n={n}", n, "order=IPVBU", "4.17", OFFLINE, {"1 step I": "-2"}
        yield f"I before P, unset is 0, n={n}", n, "order=IPVBU default=0", "4.17", OFFLINE, {"1 step I": "-22"}
        yield f"P first, n={n}", n, "order=PIVBU default=0", "4.17", PASS, {}
        yield (f"B, event, then I, n={n}", n, "order=PVBEIU", "4.17", LOST, "the host drops the event of port")
        yield f"I, B, then event, n={n}", n, "order=PVIBEU", "4.17", PASS, {}
        yield f"B, event, then I, 2-level, n={n}", n, "order=PVBEIU fifo=0", "4.17", PASS, {}
    for n, fifo in itertools.product((3, 4, 33), (1, 0)):
        # Each that is brought up waits for its event in vain, while all that are up take turns.
        yield (f"MADT permuted, id is the index, n={n} fifo={fifo}", n,
               f"permute=1 fifo={fifo} wait=100000 bringup={min(n - 1, 8)}", "4.17", LOST,
               {} if (n, fifo) == (4, 0) else "lost-event: waits: ipi on port")  # there, a wrong vCPU takes it
        yield f"MADT permuted, id by MADT, n={n} fifo={fifo}", n, f"permute=1 id=madt fifo={fifo}", "4.17", PASS, {}


def variant_table():
    problems = []
    for name, vcpus, parameters, xen, end, more in variants():
        for image in ("s4-64", "s4-32") if vcpus < 33 else ("s4-64",):
            got, steps, text = run(parameters, vcpus, image, xen)
            told = "; ".join(f"{step} {answer}" for step, answer in more.items()) if isinstance(more, dict) else more
            if image == "s4-64":
                print(f"# {name:58} {'pass' if got == PASS else 'FAIL ' + got:9} {told}")
            if got != end:
                problems.append(f"{name}, {image}: ends with {got}, not {end}")
            if isinstance(more, str) and more not in text:
                problems.append(f"{name}, {image}: nobody says '{more}'")
            if isinstance(more, dict) and any(steps.get(step) != answer for step, answer in more.items()):
                problems.append(f"{name}, {image}: {steps}, not {more}")
    return problems


run_checks([("6 of 24 orders are right, and 3 of these lose no event", orders),
            ("each way to number vCPUs ends as it must", variant_table)])
