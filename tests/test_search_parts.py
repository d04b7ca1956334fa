#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An exhaustive search in parts says what it says in one: by processes, by shards that are merged, after an interruption,
after a part that was killed; and parts of different searches are refused. Arguments: program, guest s1. Speaks TAP."""
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time

import tap
from tap import done, point

program, guest = sys.argv[1:3]


def command(*options, variant="buggy", delay=200, after=200):
    # The first third of the window has failures of each kind; most of the rest is guests that spin.
    return [program, "fuzz", guest, "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--window",
            "alternative_instructions", "--window-steps-max", "1130", "--json", "--cmdline",
            f"variant={variant} memcpy=byte delay={delay} after={after}", *options]


def run(arguments):
    got = tap.run(*arguments)
    return got.returncode, (json.loads(got.stdout) if got.stdout else {}), got.stderr


def said(r):
    """What must be the same: counts of boundaries, and the outcome of each boundary."""
    source = r["sources"][0]
    outcome = {}
    for c in r["cases"]:
        for b in range(c["first"], c["last"] + 1):
            outcome[b] = (c["verdict"], c["detector"], c["reason"], c["at"])
    return source["boundaries"], source["failing"], outcome


folder = tempfile.mkdtemp()
status, whole, _ = run(command())
point("in one piece", status == 1 and whole["complete"] and whole["failing"] > 0, whole)

status, r, err = run(command("--jobs", "3"))
point("three processes say the same", status == 1 and r["complete"] and said(r) == said(whole), err)

# What is torn late in a long window is kept as what it is, too.
late = os.path.join(folder, "late")
got = tap.run(program, "fuzz", guest, "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--no-cache", "--out", late, "--json",
              "--window", "calibrate_delay+502000", "--cmdline", "variant=buggy memcpy=byte delay=250000 after=200")
kept = [n for n in os.listdir(late) if n.endswith(".yaml")]
point("torn code half a million steps into the window is kept as such", len(kept) == 8 and all("torn-code" in n for n in kept),
      kept, got.stderr)
point("the report names their files", sorted(os.path.basename(c["file"]) for c in json.loads(got.stdout)["cases"] if "file" in c) ==
      sorted(kept), got.stdout[-600:])
point("it is said that not all are kept", "8 cases are kept of a source at most" in got.stdout + got.stderr, got.stdout, got.stderr)

parts = [os.path.join(folder, f"shard{k}") for k in range(1, 9)]
statuses = [run(command("--shard", f"{k + 1}/8", "--out", part))[0] for k, part in enumerate(parts)]
status, r, err = run([program, "merge", "--json", *parts])
point("eight shards, merged, say the same",
      set(statuses) <= {0, 1} and status == 1 and r["complete"] and said(r) == said(whole), (statuses, err))
point("with the same words", all(r[k] == whole[k] for k in ("window", "boundaries", "failing", "assumptions")) and
      r.keys() == whole.keys() and
      {c["schedule"] for c in whole["cases"]} <= {c["schedule"] for c in r["cases"]}, r.keys(), r["cases"][:2], whole["cases"][:2])
status, r, err = run([program, "merge", "--json", *parts[:3], *parts[4:]])
point("a missing shard is missed", not r["complete"] and r["sources"][0]["boundaries"] < whole["boundaries"], err)
status, r, err = run([program, "merge", parts[0], parts[0]])
point("a shard given twice is refused", status == 2 and "were done twice" in err, err)
other = os.path.join(folder, "other")
run(command("--out", other, variant="fixed2006"))
status, r, err = run([program, "merge", parts[0], other])
point("parts of different searches are refused", status == 2 and "of different searches: guest is" in err, err)
status, r, err = run(command("--out", other))
point("so are they when a search goes on", status == 2 and "of different searches" in err, err)
nothing = os.path.join(folder, "nothing")
halves = [os.path.join(folder, f"half{k}") for k in (1, 2)]
run(command("--shard", "1/2", "--out", halves[0], variant="fixed2006"))
for what in ("was never made", "is empty"):
    if what == "is empty":
        os.mkdir(nothing)
    status, r, err = run([program, "merge", "--json", halves[0], nothing])
    first, last = (r["sources"][0][k] for k in ("first", "last"))
    middle = first + (last - first) // 2
    point(f"a folder that {what} is named: its shard is not done",
          status == 4 and r["complete"] is False and r["sources"][0]["missing"] == [[middle, last]] and
          f"{nothing}: there is no part" in err and f"boundaries {middle} to {last - 1} are in no part" in err, err)
    status, r, err = run([program, "merge", "--json", nothing])
    point(f"so it is where a folder that {what} is the only one",
          status == 4 and r["complete"] is False and f"{nothing}: there is no part" in err, err)
run(command("--shard", "2/2", "--out", halves[1], variant="fixed2006"))
status, r, err = run([program, "merge", "--json", *halves])
point("run again it is done", status == 0 and r["complete"] and "in no part" not in err, err)
broken = os.path.join(folder, "broken")
os.mkdir(broken)
with open(os.path.join(broken, "timer-1-2.part.json"), "w") as f:
    f.write('{"search": "x", "from": -1}')
status, r, err = run([program, "merge", broken])
point("a file that is no part is refused", status == 2 and "this is not a part of a search" in err, err)
with open(os.path.join(broken, "timer-1-2.part.json"), "w") as f:
    f.write('{"search": \n')
status, r, err = run([program, "merge", broken])
point("a broken file is named with its line", status == 2 and ".part.json:" in err, err)

for name, number in (("SIGINT", signal.SIGINT), ("SIGKILL", signal.SIGKILL)):
    out = os.path.join(folder, name)
    # Every boundary is slow enough to be interrupted.
    process = subprocess.Popen(command("--every-boundary", "--out", out), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(0.4)
    process.send_signal(number)
    process.wait()
    status, r, err = run(command("--every-boundary", "--out", out))
    point(f"after {name} the same command goes on to the same end",
          status == 1 and r["complete"] and said(r)[:2] == said(whole)[:2], (process.returncode, err))

# The time is used up: what is done is kept, and the same command goes on.
out = os.path.join(folder, "budget")
slow = command("--every-boundary", "--window-steps-max", "4000", "--out", out, variant="int3")
status, r, err = run([*slow, "--budget", "1s"])
point("a search that its budget stops says so, and ends with 4",
      status == 4 and not r["complete"] and "the budget of 1 s is used up; the same command resumes it" in err, (status, err))
covered = r["boundaries"]
status, r, err = run([*slow, "--budget", "10m", "--jobs", "2"])
point("the same command goes on to the end", status == 0 and r["complete"] and r["boundaries"] > covered, (status, err))
status, r, err = run(command("--strategy", "random", "--runs", "100000000", "--budget", "1s", variant="int3"))
point("so with strategies that have no end", status == 4 and r["stopped"] and "another --search-seed" in err, (status, err))
for wrong in ("0s", "10x", "m", "1d", "999999h", "-1", "1 s", "4294967297s"):
    status, r, err = run(command("--budget", wrong))
    point(f"--budget {wrong} is refused", status == 2 and "is a time like 90s, 10m or 2h" in err, err)
for wrong in ("0/8", "9/8", "1/8x", "4294967297/8", "-4294967295/8", "1/4294967304", " 1/8"):
    status, r, err = run(command("--shard", wrong))
    point(f"--shard {wrong} is refused", status == 2 and "a shard is K/N" in err, err)

# A folder that can't be made is known before the search.
# On the way to the window, which the guest would reach after minutes.
far = command("--no-cache", delay=2000000000)
process = subprocess.Popen(far, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
time.sleep(1)
process.send_signal(signal.SIGINT)
try:
    err = process.communicate(timeout=10)[1]
except subprocess.TimeoutExpired:
    process.kill()
    err = process.communicate()[1]
point("Ctrl-C ends a search on the way to its window", process.returncode == 130 and "interrupted before" in err,
      process.returncode, err)
got = tap.run(*far, "--budget", "1s")
point("so does its budget", got.returncode == 4 and "budget of time is used up" in got.stderr, got.returncode, got.stderr)


# What a declared invariant is learned from: a run that nobody disturbs, which is long here.
learning = command("--no-cache", "--strategy", "random", "--run-steps-max", "4000000000", "--same", "wrong_memory",
                   after=2000000000)
terminal, end = pty.openpty()
process = subprocess.Popen(learning, stdout=subprocess.DEVNULL, stderr=end)
os.close(end)
shown, interrupted = "", False
while select.select([terminal], [], [], 60)[0]:
    try:
        shown += os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # the process has ended
        break
    if "learning" in shown and not interrupted:
        process.send_signal(signal.SIGINT)
        interrupted = True
else:
    process.kill()
process.wait()
os.close(terminal)
point("it is shown that the undisturbed run is made", "s] learning from the undisturbed run what must stay the same: " in shown,
      repr(shown[-600:]))
point("Ctrl-C ends that", process.returncode == 130 and "stopped before the undisturbed run was made" in shown,
      process.returncode, repr(shown[-600:]))
got = tap.run(*learning, "--budget", "1s")
point("so does the budget", got.returncode == 4 and "stopped before the undisturbed run was made" in got.stderr, got.returncode,
      got.stderr)

got = tap.run(program, "fuzz", guest, "--mode", "hvm", "--vcpus", "1", "--no-cache", "--budget", "1s", "--window",
              "calibrate_delay", "--cmdline", "delay=2000000000")
point("its budget ends the recording of a window", got.returncode == 4 and "stopped while the window" in got.stderr,
      got.returncode, got.stderr)

status, r, err = run(command("--out", os.path.join(folder, "A", "B")))
point("--out in a folder that is not there is refused at once",
      status == 2 and err.count("\n") == 1 and "A/B: can't be made" in err, err)
status, r, err = run(command("--out", os.path.join(broken, "timer-1-2.part.json")))
point("--out that is a file is refused at once", status == 2 and err.count("\n") == 1 and "can't be made" in err, err)

done()
