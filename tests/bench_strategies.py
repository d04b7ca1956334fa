#!/usr/bin/env python3
"""Strategies beside each other on the seeded bugs: in which run each finds the first failure, over ten seeds, PCT's hit
rate beside its bound, and what the searches that leave nothing out take. Never a test; `scripts/bench strategies` runs it.
Arguments: the program, the folder of the guests. Exit status 1 if PCT hits a bug more rarely than its bound allows: three
standard deviations of so many runs below it."""
import json
import math
import os
import statistics
import subprocess
import sys

program, guests = sys.argv[1:3]
SEEDS = range(1, 11)
S1 = ["s1.elf", "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--window", "alternative_instructions"]
S0 = ["s0-64.elf", "--vcpus", "2", "--memory", "32M", "--window", "work+12000"]
R11 = ["r-locks.elf", "--vcpus", "3", "--memory", "32M", "--window", "wait_enter+4000"]
X1 = ["cross64.elf", "--vcpus", "2", "--memory", "32M", "--window", "tail_written+200", "--detect", "unsynchronised-code"]
# Name, options, command line, what is injected, the search that leaves nothing out and its options (None: there is none),
# and PCT's depth.
BUGS = [
    ("S1, byte copies", S1, "variant=buggy memcpy=byte delay=200 after=200", "timer", "exhaustive", [], 2),
    ("S1, rep movsb", S1, "variant=buggy memcpy=movsb delay=200 after=200", "timer", "exhaustive", [], 2),
    ("S0 class B", S0, "order=late-ticketlock vcpus=2 spin=16", "nothing", "preempt", ["--depth", "1"], 2),
    ("r11, stale kick", R11, "bug=stale", "nothing", None, [], 3),
    ("x1, first synchronisation left out", X1, "way=int3 skip=1", "nothing", None, [], 1),
]
refuted = False


def fuzz(options, cmdline, inject, *more):
    done = subprocess.run([program, "fuzz", os.path.join(guests, options[0]), *options[1:], "--cmdline", cmdline, "--inject",
                           inject, "--json", "--no-cache", *more], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return json.loads(done.stdout)


for name, options, cmdline, inject, complete, depth, pct_depth in BUGS:
    if complete == "exhaustive":
        r = fuzz(options, cmdline, inject)
        print(f"{name}: exhaustive: {r['runs']} runs are all; {r['failing']} of {r['boundaries']} boundaries fail")
    elif complete:
        r = fuzz(options, cmdline, inject, "--strategy", complete, *depth)
        print(f"{name}: {complete}: {r['runs']} runs are all; the first failure in run {r['first_failing_run']}, "
              f"{r['failing']} fail")
    else:
        print(f"{name}:")
    for strategy in ("random", "pct"):
        first = []
        hits = runs = 0
        for seed in SEEDS:
            r = fuzz(options, cmdline, inject, "--strategy", strategy, "--runs", "100", "--search-seed", str(seed),
                     "--run-steps-max", "3000000", *(["--depth", str(pct_depth)] if strategy == "pct" else []))
            hits += r["failing"]
            runs += r["runs"]
            first.append(r["first_failing_run"] or 101)
        said = ""
        if strategy == "pct":
            # vCPUs, and a source as one that runs.
            entities = int(options[options.index("--vcpus") + 1]) + (inject != "nothing")
            bound = 1 / (entities * r["window_steps"] ** (pct_depth - 1))
            is_below = hits < bound * runs - 3 * math.sqrt(bound * (1 - bound) * runs)
            refuted = refuted or is_below
            said = f", bound of PCT {bound:.2g} (d = {pct_depth}){': BELOW IT' if is_below else ''}"
        print(f"  {strategy}: first failure in run {min(first)} to {max(first)} (median {statistics.median(first):g}) over "
              f"{len(first)} seeds; {hits} of {runs} runs fail, rate {hits / runs:.3g}{said}", flush=True)
sys.exit(1 if refuted else 0)
