#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A search that is killed, or asked to end, half-way has kept what it had found, and the same command comes to the same
end as one that nobody disturbed. And a search that meets two panics keeps them apart. Speaks TAP.

Usage: test_search_killed.py BOOTRACE FOLDER-OF-IMAGES
"""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import tap
from tap import done, point

BOOTRACE, IMAGES = sys.argv[1:3]
INTERRUPTED = 130
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")


def fuzz(guest, *options):
    return [BOOTRACE, "fuzz", os.path.join(IMAGES, guest + ".elf"), "--memory", "32M", "--json", *options]


def run(command):
    got = tap.run(*command)
    return got.returncode, json.loads(got.stdout) if got.stdout.startswith("{") else {"cases": []}, got.stderr


def kept(out):
    return sorted(glob.glob(os.path.join(out, "*.yaml")))


def replays(path):
    got = tap.run(BOOTRACE, "replay", path)
    return "as the case expects" in got.stdout


# ---- two panics

PANICS = ("--vcpus", "1", "--window", "change_list+500", "--inject", "nmi", "--strategy", "random", "--runs", "300")
LINES = {"Kernel panic - not syncing: the list is torn": "check_list",
         "Kernel panic - not syncing: the count is torn": "check_count"}
out = os.path.join(folder.name, "panics")
status, whole, err = run(fuzz("r-panics", *PANICS, "--failures", "3", "--out", out))
point("two panics are two failures, each by its line and its caller",
      status == 1 and {c["reason"]: c["place"].split("+")[0] for c in whole["cases"]} == LINES and len(whole["cases"]) == 2 and
      whole["runs"] == 300, status, whole, err)
point("each is a file that replays", len(kept(out)) == 2 and all(map(replays, kept(out))), kept(out))
for failures in (1, 2):
    status, r, err = run(fuzz("r-panics", *PANICS, "--failures", str(failures)))
    point(f"--failures {failures} ends with that many different ones",
          status == 1 and len(r["cases"]) == failures and r["runs"] < 300, status, r, err)
status, r, err = run(fuzz("r-panics", *PANICS, "--cmdline", "fixed=1"))
point("the repaired twin has none", status == 0 and not r["cases"] and r["runs"] == 300, status, r, err)


# ---- half-way

def parts_with_failures(out):
    """Parts of an exhaustive search that have found something."""
    found = []
    for path in glob.glob(os.path.join(out, "*.part.json")):
        try:
            with open(path, encoding="utf-8") as f:
                found += [path] if json.load(f).get("cases") else []
        except FileNotFoundError:  # it has been replaced
            pass
    return found


def outcome(r):
    """What does not depend on how often the search was begun."""
    cases = sorted((c["detector"], c["reason"], c.get("at") or c.get("place"), c.get("schedule", "")) for c in r["cases"])
    return cases, r["failing"], r.get("exhausted"), r.get("complete"), r.get("boundaries")


S1 = ("--mode", "hvm", "--vcpus", "1", "--window", "alternative_instructions", "--cmdline",
      "variant=buggy memcpy=byte delay=200 after=200")
SEARCHES = {
    "exhaustive": fuzz("s1", *S1, "--window-steps-max", "700", "--every-boundary"),
    "random": fuzz("s1", *S1, "--strategy", "random", "--runs", "60"),
    "preempt": fuzz("s0-64", "--vcpus", "2", "--window", "work+20000", "--cmdline",
                    "order=late-ticketlock vcpus=2 spin=16", "--strategy", "preempt", "--depth", "1"),
}
for name, command in SEARCHES.items():
    status, whole, err = run(command)
    point(f"{name}: in one go it fails", status == 1 and whole["cases"], status, err)
    for number in (signal.SIGKILL, signal.SIGTERM):
        what = f"{name}, {number.name}"
        out = os.path.join(folder.name, what)
        process = subprocess.Popen([*command, "--out", out], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        while process.poll() is None and not kept(out) and not parts_with_failures(out):
            time.sleep(0.002)
        process.send_signal(number)
        said = process.communicate()[0]
        point(f"{what}: it was still at work", process.returncode == (-number if number == signal.SIGKILL else INTERRUPTED),
              process.returncode, said[-300:])
        found = kept(out)
        point(f"{what}: what it had found is on disk and replays",
              (found or parts_with_failures(out)) and all(map(replays, found)), os.listdir(out))
        status, r, err = run([*command, "--out", out])
        point(f"{what}: the same command comes to the same end", status == 1 and outcome(r) == outcome(whole),
              outcome(r), outcome(whole), err)
        again = kept(out)
        # What was kept as found gives way to the same failure minimised.
        point(f"{what}: nothing that was kept is lost, and all of it replays",
              len(again) >= len(found) and {f for f in found if "-as-found" not in f} <= set(again) and
              again and all(map(replays, again)), found, again)
done()
