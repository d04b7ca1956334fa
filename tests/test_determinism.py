#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded runs under an unfair host replay to the same digest: in another process, with extra stops, and from a
snapshot taken on the way; every free-standing guest that ends by itself, with several vCPUs.
Arguments: the program, the folder of the guests, the number of seeds a guest, the corpus. Speaks TAP."""
import os
import re
import sys
import tempfile

import tap
from tap import done, point

program, guests, seeds = sys.argv[1], sys.argv[2], int(sys.argv[3])
RUNS = [
    ("hello64.elf", "pvh", 1, ""),
    ("hello32.elf", "hvm", 1, ""),
    ("smp64.elf", "pvh", 4, ""),
    ("smp32.elf", "hvm", 3, ""),
    ("s0-64.elf", "hvm", 4, "order=early-ticketlock vcpus=4 rounds=20"),
    ("s0-32.elf", "hvm", 2, "order=pv-never vcpus=2 rounds=20"),
    ("s1.elf", "hvm", 1, "variant=fixed2006 memcpy=movsb delay=200 after=200"),
    ("s4-64.elf", "hvm", 2, ""),
]
folder = tempfile.mkdtemp()


def run(*arguments):
    got = tap.run(program, *arguments)
    digest = re.search(r"digest ([0-9a-f]{16})", got.stdout)
    return (digest.group(1) if digest else None), got.stdout[-400:] + got.stderr[-400:]


for guest, mode, vcpus, cmdline in RUNS:
    options = [os.path.join(guests, guest), "--mode", mode, "--vcpus", str(vcpus), "--memory", "32M", "--cmdline", cmdline,
               "--steps-max", "3000000"]
    good = 0
    seen = set()
    why = ""
    for seed in range(1, seeds + 1):
        case = os.path.join(folder, "case.yaml")
        snapshot = os.path.join(folder, "here.snap")
        recorded, text = run("boot", *options, "--disturb", f"{seed}:{50 + 137 * seed % 3000}", "--record", case)
        replayed, text2 = run("replay", case)
        stopped, text3 = run("boot", *options, "--disturb", f"{seed}:{50 + 137 * seed % 3000}", "--extra-stops", "97")
        if recorded and recorded == replayed == stopped:
            good += 1
            seen.add(recorded)
        else:
            why += f"seed {seed}: {recorded} {replayed} {stopped}\n{text}{text2}{text3}\n"
    point(f"{guest} {mode} {vcpus} vCPUs: {good} of {seeds} recorded runs replay, {len(seen)} different",
          good == seeds, why[:3000])
    first, text = run("boot", *options)
    _, _ = run("boot", *options, "--snapshot-at", "1500", snapshot)
    again, text2 = run("boot", "--from", snapshot, "--steps-max", "3000000")
    point(f"{guest} {mode}: goes on from a snapshot file to the same digest",
          first is not None and first == again, f"{first} {again} {text} {text2}")

# Every case of the corpus that is a run of a free-standing guest: the same digest in another process, at other addresses.
folder = sys.argv[4]
same = []
different = []
for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name)
    if not name.endswith(".yaml"):
        continue
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if any(key in text for key in ("\nsearch:", "\nload:", "\n  debian:")):
        continue
    digests = set()
    for prefix in ([], ["setarch", "-R"]):
        got = tap.run(*prefix, program, "replay", "--json", "--guests", guests, path)
        digest = re.search(r'"digest": "([0-9a-f]{16})"', got.stdout)
        digests.add(digest.group(1) if digest else got.stderr[-200:])
    (same if len(digests) == 1 and len(digests.pop()) == 16 else different).append(name)
point(f"{len(same)} cases of the corpus end in the same digest twice", not different and len(same) > 40, different)

done()
