#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows that begin where a function is executed for the N-th time: what is found there, how it is kept, and what is
refused. Arguments: the program, the folder of the guests. Speaks TAP."""
import json
import os
import re
import sys
import tempfile

from tap import done, point, run

program, guests = sys.argv[1:3]
folder = tempfile.mkdtemp()
S1 = [os.path.join(guests, "s1.elf"), "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--cmdline",
      "variant=buggy memcpy=byte delay=200 after=200"]
S0 = [os.path.join(guests, "s0-64.elf"), "--vcpus", "2", "--memory", "32M", "--cmdline",
      "order=late-ticketlock vcpus=2 spin=16", "--strategy", "preempt", "--depth", "1"]
cache = ["--cache", os.path.join(folder, "cache")]


def path(name):
    return os.path.join(folder, name)


def fuzz(guest, window, *options):
    got = run(program, "fuzz", *guest, "--window", window, "--json", *options)
    return got.returncode, json.loads(got.stdout) if got.stdout else {}, got.stderr


def outcomes(r):
    """Of each boundary. How many bytes are torn depends on how much of the change is in the window."""
    return {b: (c["verdict"], c["reason"].partition("; then ")[2], c["at"]) for c in r["cases"] for b in range(c["first"], c["last"] + 1)}


# Each execution is a part of the window around all of them, and fails where that fails.
status, whole, _ = fuzz(S1, "alternative_instructions", "--no-cache")
for n in (1, 3, 7):
    status, r, err = fuzz(S1, f"patch_copy_byte#{n}", *cache)
    source = r["sources"][0]
    inside = {b: o for b, o in outcomes(whole).items() if source["first"] <= b < source["last"]}
    # The last copied bytes are torn only against what the executions behind it write.
    point(f"execution {n} fails where the whole window fails in it",
          status == 1 and r["complete"] and len(outcomes(r)) >= 12 and outcomes(r).items() <= inside.items() and r["window"] == f"patch_copy_byte#{n}",
          inside, r, err)
starts = [fuzz(S1, f"patch_copy_byte#{n}+20", "--no-cache")[1]["sources"][0]["first"] for n in (1, 2, 3)]
point("one begins behind the other", starts == sorted(set(starts)), starts)
point("#1 need not be written", fuzz(S1, "patch_copy_byte+20", "--no-cache")[1]["sources"][0]["first"] == starts[0])
entries = len(os.listdir(path("cache")))
again = fuzz(S1, "patch_copy_byte#3", *cache)[1]
point("the cache keeps each, and starts there again", entries == 3 == len(os.listdir(path("cache"))) and
      again["sources"][0]["first"] == starts[2] and
      outcomes(again) == outcomes(fuzz(S1, "patch_copy_byte#3", "--no-cache")[1]), entries)

# Counts of one.
got = run(program, "fuzz", *S1, "--window", "patch_copy_byte#3+1", *cache)
point("one is no plural", "window: 1 step; interrupts would be taken at 1 boundary and not at 0; by itself 0 interrupts"
      in got.stdout and re.search("^timer: 1 boundary covered, 1 run of the handler .*, 0 failing boundaries$", got.stdout, re.M),
      got.stdout)
got = run(program, "cache", "trim", "1G", *cache)
point("and nothing is one", got.stdout.startswith("0 snapshots dropped"), got.stdout)

# In parts, and gone on with.
parts = [path("part1"), path("part2")]
for k, part in enumerate(parts):
    fuzz(S1, "patch_copy_byte#3", *cache, "--shard", f"{k + 1}/2", "--out", part)
got = run(program, "merge", "--json", *parts)
point("shards of it are joined to the same", outcomes(json.loads(got.stdout)) == outcomes(again), got.stdout, got.stderr)
status, r, err = fuzz(S1, "patch_copy_byte#3", *cache, "--out", parts[0])
point("the same command goes on", status == 1 and r["complete"] and outcomes(r) == outcomes(again), err)
status, r, err = fuzz(S1, "patch_copy_byte#4", *cache, "--out", parts[0])
point("that of another execution does not", status == 2 and "of different searches: window is" in err, err)

# Whole runs, from the N-th time that a vCPU is there.
status, r, err = fuzz(S0, "critical_section#2+6000", *cache, "--out", path("two"))
point("the second critical section hangs with one preemption", status == 1 and r["cases"][0]["detector"] == "hang" and
      r["cases"][0]["decisions"] == 1 and "2 vCPUs with at most 1 preemption in" in r["assumptions"] and
      " to 1 decision in " in err, r, err)
point("a decision at the mark's own place is an anchor too",
      r["cases"][0]["schedule"] == "at 0:critical_section#2 mark\nthen run 1\n", r["cases"][0]["schedule"])
status, r, err = fuzz(S1, "patch_copy_byte#5", *cache, "--strategy", "random", "--runs", "40", "--out", path("two"))
point("so is one of a random search", status == 1 and r["cases"] and all(
    c["schedule"].startswith("at 0:patch_copy_byte#5 mark\n") for c in r["cases"]), r, err)

cases = [os.path.join(where, name) for where in (*parts, path("two")) for name in os.listdir(where) if name.endswith(".yaml")]
point("each search has kept cases, whose names are plain", len(cases) >= 4 and not any("#" in name for name in cases), cases)
for name in cases:
    got = run(program, "replay", name)
    with open(name, encoding="utf-8") as f:
        point(f"{os.path.basename(name)} replays from its mark", "as the case expects" in got.stdout and "mark" in f.read(),
              got.stdout[-300:] + got.stderr[-300:])
with open(path("search.yaml"), "w", encoding="utf-8") as f:
    f.write("""title: The third copy
prose: {mechanism: m, source: s, falsified-by: f}
guest:
  free-standing: s1
machine:
  mode: hvm
  vcpus: 1
  memory: 32M
  cmdline: variant=buggy memcpy=byte delay=200 after=200
search:
  window: patch_copy_byte#3
expect:
  verdict: FAIL
  failing: %d
""" % again["failing"])
got = run(program, "replay", "--check", "--guests", guests, path("search.yaml"))
point("a case may search there", got.returncode == 0, got.stdout, got.stderr)

# A window named by what it is for: in a search, as the start of a found schedule, in a case, and where it is not there.
_, named, err = fuzz(S1, "@alternatives#1+300", *cache)
_, by_function, _ = fuzz(S1, "alternative_instructions#1+300", *cache)
point("a window named by its meaning is the function's", len(outcomes(named)) == 110 and
      named["window"] == "@alternatives#1+300" and outcomes(named) == outcomes(by_function) and
      "@alternatives of this kernel is alternative_instructions" in err, named, by_function, err)
with open(path("search.yaml"), encoding="utf-8") as f:
    text = f.read().replace("patch_copy_byte#3", "'@alternatives#1+300'")
with open(path("named.yaml"), "w", encoding="utf-8") as f:
    f.write(re.sub("failing: .*", f"failing: {named['failing']}", text))
got = run(program, "replay", "--check", "--guests", guests, path("named.yaml"))
point("a case may search there too", got.returncode == 0, got.stdout, got.stderr)
digests = set()
for name in ("@alternatives", "alternative_instructions"):
    with open(path("schedule"), "w", encoding="utf-8") as f:
        f.write(f"at 0:{name}~100 nmi 0\n")
    for option in ("--schedule", path("schedule")), ("--until", name):
        got = run(program, "boot", *S1, *option, "--json")
        digests.add(json.loads(got.stdout)["digest"])
point("so may a schedule and --until", len(digests) == 2, digests)
got = run(program, "boot", *S1, "--until", "@text-poke")
point("--until says which there are", got.returncode == 2 and
      "'@text-poke'; of such names it has @alternatives (alternative_instructions)" in got.stderr, got.stderr)

for window, says in (("@text-poke", "no such window; of the named ones it has @alternatives (alternative_instructions)"),
                     ("@", "no such window; of the named ones it has @alternatives"),
                     ("patch_copy_byte#0", "is a number from 1 to 4294967295, not '0'"),
                     ("patch_copy_byte#4294967296", "is a number from 1 to 4294967295"),
                     ("patch_copy_byte#", "is a number from 1"),
                     ("patch_copy_byte#2#3", "is a number from 1"),
                     ("patch_copy_byte+50#2", "a window is SYMBOL[#N][+STEPS], with #N before +STEPS"),
                     ("no_such#2", "no symbol has this name"),
                     ("patch_copy_byte#1000", "vCPU 0 executes it 34 times: PASS: the guest asked for poweroff"),
                     ("nmi_handler#2", "does not reach nmi_handler#2: PASS: ")):
    status, r, err = fuzz(S1, window, "--no-cache")
    point(f"{window} is refused", status == 2 and not r and says in err, status, err)
status, r, err = fuzz(S0, "critical_section#5", "--no-cache")
point("of several vCPUs the one that comes nearest is named",
      status == 2 and "vCPU 0 executes it 2 times, none more often: PASS" in err, err)

done()
