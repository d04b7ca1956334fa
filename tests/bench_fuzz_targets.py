#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The schedule targets of libFuzzer from an empty corpus: executions to the first find over ten seeds, beside the same
program given random bytes (as many decisions, uniformly chosen, no feedback), and whether `bootrace replay` finds each
failure again from the case that is written beside. Never a test; `scripts/bench fuzz-targets` runs it.
Arguments: the folder of the targets, the program, the folder of the guests. Exit status 1 if a seed finds nothing."""
import glob
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

targets, program, guests = (os.path.abspath(a) for a in sys.argv[1:4])
SEEDS = range(1, 11)
EXECUTIONS_MAX = 3000
SECONDS_MAX = 120
INPUT_MAX = 192  # as in the targets' options
DECISION_BYTES = 3
environment = dict(os.environ, BOOTRACE_GUESTS=guests, ASAN_OPTIONS="symbolize=0:detect_leaks=0")


def execute(target, folder, *arguments):
    """What libFuzzer says, or None if it ended without a failure."""
    done = subprocess.run([os.path.join(targets, target), f"-max_len={INPUT_MAX}", *arguments], cwd=folder,
                          env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    if "FAIL: " not in done.stderr:
        return None if done.returncode == 0 else sys.exit(f"{target}: {done.stderr[-2000:]}")
    case, = glob.glob(os.path.join(folder, "found-*.yaml"))
    again = subprocess.run([program, "replay", "--check", "--quiet", "--guests", guests, case], capture_output=True,
                           text=True)
    if again.returncode:
        sys.exit(f"{case} does not end as it says: {again.stdout}{again.stderr}")
    return done.stderr


def by_feedback(target, seed):
    with tempfile.TemporaryDirectory(prefix="bootrace-bench-") as folder:
        said = execute(target, folder, f"-seed={seed}", "-len_control=0", f"-runs={EXECUTIONS_MAX}",
                       f"-max_total_time={SECONDS_MAX}", "-print_final_stats=1", "-handle_abrt=1", folder)
        return int(re.search(r"number_of_executed_units: (\d+)", said).group(1)) if said else None


def by_chance(target, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="bootrace-bench-") as folder:
        inputs = os.path.join(folder, "inputs")
        os.mkdir(inputs)
        names = [os.path.join(inputs, f"{i:06}") for i in range(EXECUTIONS_MAX)]
        for name in names:
            with open(name, "wb") as f:
                f.write(rng.randbytes(DECISION_BYTES * rng.randint(1, INPUT_MAX // DECISION_BYTES)))
        said = execute(target, folder, *names)
        return said.count("\nRunning: ") if said else None


def told(executions):
    found = sorted(e for e in executions if e)
    return (f"{len(found)} of {len(executions)} seeds; " +
            (f"in {' '.join(str(e or '-') for e in executions)} executions (median {statistics.median(found):g})"
             if found else "nothing"))


missed = False
for target in ("fuzz_schedule_s1", "fuzz_schedule_s0"):
    feedback = [by_feedback(target, seed) for seed in SEEDS]
    print(f"{target}: libFuzzer: {told(feedback)}", flush=True)
    print(f"{target}: random bytes: {told([by_chance(target, seed) for seed in SEEDS])}", flush=True)
    missed = missed or None in feedback
sys.exit(1 if missed else 0)
