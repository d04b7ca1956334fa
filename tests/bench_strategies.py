#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Strategies beside each other on the seeded bugs: in which run each finds the first failure, over ten seeds, PCT's hit
rate beside its bound, and what the searches that leave nothing out take. Never a test; `scripts/bench strategies` runs it.
Arguments: the program, the folder of the guests, and parts of names, to measure only those bugs. A rate is said with
its 95 % interval (Clopper and Pearson), and whether all of that is above the bound. Exit status 1 if PCT hits a bug more
rarely than its bound allows: if the bound is above the interval."""
import json
import math
import os
import statistics
import subprocess
import sys

program, guests = sys.argv[1:3]
only = sys.argv[3:]
SEEDS = range(1, 11)
CHANCE = 0.05  # that a rate is outside its interval
S1 = ["s1.elf", "--mode", "hvm", "--vcpus", "1", "--window", "alternative_instructions"]
S0 = ["s0-64.elf", "--vcpus", "2", "--window", "work+12000"]
PATCHING = ["r-patching.elf", "--vcpus", "1", "--window", "patch_all"]
R10 = ["r-locks.elf", "--vcpus", "2", "--window", "slow_enter+12000"]
R11 = ["r-locks.elf", "--vcpus", "3", "--window", "wait_enter+4000"]
CR2 = ["r-silent.elf", "--vcpus", "1", "--window", "touch_all"]
COUNT = ["r-silent.elf", "--vcpus", "2", "--window", "count_up+400", "--same", "total"]
X1 = ["--vcpus", "2", "--detect", "unsynchronised-code"]
ALL = ["exhaustive"]
# Name; options; command line; what is injected; the search that leaves nothing out, with its options (None: there is
# none); options of the others; PCT's depth; runs for each seed.
BUGS = [
    ("S1, byte copies", S1, "variant=buggy memcpy=byte delay=200 after=200", "timer", ALL, [], 2, 100),
    ("S1, rep movsb", S1, "variant=buggy memcpy=movsb delay=200 after=200", "timer", ALL, [], 2, 100),
    ("S1, rep movsl", S1, "variant=buggy memcpy=movsl delay=200 after=200", "timer", ALL, [], 2, 100),
    ("S1, repair of 2006, NMI", S1, "variant=fixed2006 memcpy=byte nmi=mb+mb2+spin_lock delay=200 after=200", "nmi", ALL,
     [], 2, 100),
    ("S0 class B", S0, "order=late-ticketlock vcpus=2 spin=16", "nothing", ["preempt", "--depth", "1"], [], 2, 100),
    ("r1, nested alternative", PATCHING, "bug=nested", "timer", ALL, [], 2, 100),
    ("r2, NOPs in place", PATCHING, "bug=nops", "timer", ALL, [], 2, 100),
    ("r3, INT3 without a handler", S1, "variant=int3-nohandler memcpy=byte delay=200 after=200", "timer", ALL, [], 2, 100),
    ("r10, nested lock taker", R10, "bug=nested", "nothing", None, [], 2, 1000),
    ("r11, stale kick", R11, "bug=stale", "nothing", ["preempt", "--depth", "1"], [], 3, 100),
    ("r28, NMI clobbers CR2", CR2, "bug=cr2", "nmi", [*ALL, "--same", "cr2,seen"], ["--same", "seen"], 2, 100),
    ("lost update", COUNT, "bug=count", "nothing", ["preempt", "--depth", "1"], [], 2, 100),
    ("x1, first synchronisation left out", ["cross64.elf", *X1, "--window", "tail_written+200"], "way=int3 skip=1",
     "nothing", None, [], 1, 100),
    ("x1, second synchronisation left out", ["cross64.elf", *X1, "--window", "tail_next+200"], "way=int3 skip=2",
     "nothing", None, [], 3, 100),
]
# What fails under any schedule that was tried, so that `fuzz` refuses to look for one: name, options, command line.
ALWAYS = [
    ("x1, flag", ["cross64.elf", *X1], "way=flag"),
    ("x1, flag, 32 bits", ["cross32.elf", *X1], "way=flag"),
]
refuted = False


def call(command, options, cmdline, *more):
    done = subprocess.run([program, command, os.path.join(guests, options[0]), *options[1:], "--memory", "32M",
                           "--cmdline", cmdline, *more], capture_output=True, text=True, errors="replace")
    return done if done.returncode in (0, 1) else sys.exit(done.stderr)


def fuzz(options, cmdline, inject, *more):
    return json.loads(call("fuzz", options, cmdline, "--inject", inject, "--no-cache", "--json", *more).stdout)


def boot_fails(options, cmdline, *more):
    return call("boot", options, cmdline, *more).returncode == 1


def chance_of_at_most(hits, runs, rate):
    if rate <= 0 or rate >= 1:
        return float(rate <= 0 or hits == runs)
    return math.fsum(math.exp(math.lgamma(runs + 1) - math.lgamma(i + 1) - math.lgamma(runs - i + 1) +
                              i * math.log(rate) + (runs - i) * math.log1p(-rate)) for i in range(hits + 1))


def rate_where(holds):
    """The largest rate for which it holds."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def interval(hits, runs):
    return (rate_where(lambda rate: hits > 0 and 1 - chance_of_at_most(hits - 1, runs, rate) < CHANCE / 2),
            rate_where(lambda rate: chance_of_at_most(hits, runs, rate) > CHANCE / 2))


def beside_bound(low, high, bound, runs):
    if low >= bound:
        return "above it"
    if high < bound:
        return "BELOW IT"
    # So many runs without a hit would put the interval below the bound.
    needed = math.ceil(math.log(CHANCE / 2) / math.log1p(-bound))
    return f"within the interval{f', of too few runs: {needed} are needed' if runs < needed else ''}"


for name, options, cmdline, inject, complete, others, pct_depth, runs_each in BUGS:
    if only and not any(part in name for part in only):
        continue
    if complete and complete[0] == "exhaustive":
        r = fuzz(options, cmdline, inject, *complete[1:])
        print(f"{name}: exhaustive: {r['runs']} runs are all; {r['failing']} of {r['boundaries']} boundaries fail")
    elif complete:
        r = fuzz(options, cmdline, inject, "--strategy", *complete)
        print(f"{name}: {' '.join(complete)}: {r['runs']} runs are all; the first failure in run "
              f"{r['first_failing_run']}, {r['failing']} fail")
    else:
        print(f"{name}:")
    for strategy in ("random", "pct"):
        first = []
        hits = runs = 0
        for seed in SEEDS:
            r = fuzz(options, cmdline, inject, *others, "--strategy", strategy, "--runs", str(runs_each), "--search-seed",
                     str(seed), "--run-steps-max", "3000000", *(["--depth", str(pct_depth)] if strategy == "pct" else []))
            hits += r["failing"]
            runs += r["runs"]
            first.append(r["first_failing_run"] or runs_each + 1)
        low, high = interval(hits, runs)
        said = ""
        if strategy == "pct":
            # vCPUs, and a source as one that runs.
            entities = int(options[options.index("--vcpus") + 1]) + (inject != "nothing")
            bound = 1 / (entities * r["window_steps"] ** (pct_depth - 1))
            refuted = refuted or high < bound
            said = f"; bound of PCT {bound:.2g} (d = {pct_depth}), {beside_bound(low, high, bound, runs)}"
        print(f"  {strategy}: first failure in run {min(first)} to {max(first)} (median {statistics.median(first):g}) over "
              f"{len(first)} seeds of {runs_each} runs; {hits} of {runs} runs fail, rate {hits / runs:.3g} "
              f"({low:.2g} to {high:.2g}){said}", flush=True)
for name, options, cmdline in ALWAYS:
    if not only or any(part in name for part in only):
        failing = sum(boot_fails(options, cmdline, "--disturb", str(seed)) for seed in range(1, 101))
        print(f"{name}: {failing} of 100 boots on an unfair host fail, and the undisturbed one "
              f"{'too' if boot_fails(options, cmdline) else 'does not'}")
sys.exit(1 if refuted else 0)
