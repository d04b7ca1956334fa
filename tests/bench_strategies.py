#!/usr/bin/env python3
"""Strategies beside each other on the seeded bugs: in which run each finds the first failure, over ten seeds, PCT's hit
rate beside its bound, and what the searches that leave nothing out take. Never a test; `scripts/bench strategies` runs it.
Arguments: the program, the folder of the guests."""
import json
import os
import statistics
import subprocess
import sys

program, guests = sys.argv[1:3]
SEEDS = range(1, 11)
S1 = ["s1.elf", "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--window", "alternative_instructions"]
S0 = ["s0-64.elf", "--vcpus", "2", "--memory", "32M", "--window", "work+12000"]
BUGS = [
    ("S1, byte copies", S1, "variant=buggy memcpy=byte delay=200 after=200", "timer", "exhaustive", []),
    ("S1, rep movsb", S1, "variant=buggy memcpy=movsb delay=200 after=200", "timer", "exhaustive", []),
    ("S0 class B", S0, "order=late-ticketlock vcpus=2 spin=16", "nothing", "preempt", ["--depth", "1"]),
]


def fuzz(options, cmdline, inject, *more):
    done = subprocess.run([program, "fuzz", os.path.join(guests, options[0]), *options[1:], "--cmdline", cmdline, "--inject",
                           inject, "--json", "--no-cache", *more], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return json.loads(done.stdout)


for name, options, cmdline, inject, complete, depth in BUGS:
    if complete == "exhaustive":
        r = fuzz(options, cmdline, inject)
        print(f"{name}: exhaustive: {r['runs']} runs are all; {r['failing']} of {r['boundaries']} boundaries fail")
    else:
        r = fuzz(options, cmdline, inject, "--strategy", complete, *depth)
        print(f"{name}: {complete}: {r['runs']} runs are all; the first failure in run {r['first_failing_run']}, "
              f"{r['failing']} fail")
    for strategy in ("random", "pct"):
        first = []
        hits = runs = 0
        for seed in SEEDS:
            r = fuzz(options, cmdline, inject, "--strategy", strategy, "--runs", "100", "--search-seed", str(seed),
                     "--run-steps-max", "3000000")
            hits += r["failing"]
            runs += r["runs"]
            first.append(r["first_failing_run"] or 101)
        bound = f", bound of PCT {1 / (2 * r['window_steps']):.2g}" if strategy == "pct" else ""
        print(f"  {strategy}: first failure in run {min(first)} to {max(first)} (median {statistics.median(first):g}) over "
              f"{len(first)} seeds; {hits} of {runs} runs fail, rate {hits / runs:.3g}{bound}", flush=True)
