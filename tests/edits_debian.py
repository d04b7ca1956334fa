#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The edits of docs/edits.md fit the kernel that they are for, and those for another kernel are refused. Speaks TAP.

Usage: edits_debian.py BOOTRACE SOURCE-ROOT. BOOTRACE_KERNEL names the kernel (scripts/kernel); without it there is nothing to test.
Edits that count bytes are for the builds that the page names, and are asked of these only.
"""
import os
import re
import sys

from tap import done, point, run, skip_all

BOOTRACE, ROOT = sys.argv[1:3]
KERNEL = os.environ.get("BOOTRACE_KERNEL")
SUITES = (("12", "6.1."), ("13", "6.12."), ("testing", ""))

if not KERNEL:
    skip_all("BOOTRACE_KERNEL is not set")
version = os.path.basename(os.path.realpath(KERNEL)).removeprefix("vmlinuz-")
suite = next(name for name, start in SUITES if version.startswith(start))
with open(os.path.join(ROOT, "docs/edits.md"), encoding="utf-8") as f:
    page = f.read()
builds = [b for b in re.findall(r"(?:12|13|testing) is ([\w.+-]+)", page) if version.startswith(b)]
rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.split("\n") if re.match(r"\| .*`.* \|", line)]
rows = [(guard, re.findall("`([^`]+)`", edits), kernels.split(", ")) for guard, edits, kernels, *_ in rows]
rows = [row for row in rows if set(row[2]) <= {name for name, _ in SUITES}]
point("the page has edits, and names three builds", len(rows) >= 20 and len(re.findall(r"(?:12|13|testing) is \d", page)) == 3, rows)
for guard, edits, kernels in rows:
    if any(e.startswith("replace") for e in edits) and not builds:
        continue
    got = run(BOOTRACE, "edit", "--dry-run", KERNEL, *edits)
    changed = re.findall(r"(?m)^  \+ 0x\w+ +\w+ +(\S+)", got.stdout)
    if suite in kernels:
        point(f"{guard}: {edits[0]}", got.returncode == 0 and len(changed) >= len(edits) and
              (not edits[0].startswith("drop-call") or set(changed) <= {"nop", "ret"}), got.stdout, got.stderr)
    else:
        point(f"not for this kernel: {edits[0]}", got.returncode == 2 and "bootrace edit: " in got.stderr, got.stdout, got.stderr)
done()
