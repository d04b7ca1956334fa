#!/usr/bin/env python3
"""Debian's kernel takes a vCPU that the host plugs, and gives back one that it unplugs, as PVH and as HVM guest. Speaks
TAP.

An HVM guest starts with 2 of 3 vCPUs and gets the third by ACPI, as from QEMU. A PVH guest has no ACPI events; Linux looks
at xenstore there, and can bring online only what the MADT had enabled at the start, so all 3 begin online.

Usage: hotplug_debian.py BOOTRACE. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the test initramfs.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

BOOTRACE = sys.argv[1]
KERNEL, INITRD = os.environ.get("BOOTRACE_KERNEL"), os.environ.get("BOOTRACE_INITRD")
CMDLINE = "console=hvc0 earlyprintk=xen panic=-1 bootrace.replug=0 bootrace.hotplug=2"
# Behind the start of user space, which then waits; 3 vCPUs that wait make few steps.
FIRST, SECOND, STEPS_MAX = 1_400_000_000, 1_550_000_000, 6_000_000_000


def problems_of(mode, options, first, second, expected):
    with tempfile.NamedTemporaryFile("w", suffix=".hotplug") as script:
        script.write(f"# the toolstack's part\n{FIRST} {first} 2\n{SECOND} {second} 2\n")
        script.flush()
        got = subprocess.run([BOOTRACE, "boot", KERNEL, "--initrd", INITRD, "--vcpus", "3", "--mode", mode, *options,
                              "--cmdline", CMDLINE, "--hotplug", script.name, "--json", "--steps-max", str(STEPS_MAX)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    told = json.loads(got.stdout) if got.stdout.startswith("{") else {}
    online = re.findall(r"BOOTRACE-INIT: online CPUs ([\d,-]+)", got.stderr)
    if got.returncode != 0 or online != expected:
        return [f"status {got.returncode}, {told.get('verdict')}: {told.get('reason')}",
                f"online CPUs {online}, expected {expected}"] + got.stderr.split("\n")[-30:]
    return []


if not KERNEL or not INITRD:
    print("1..0 # SKIP BOOTRACE_KERNEL and BOOTRACE_INITRD are not set")
    sys.exit(0)
ROWS = (("a third vCPU is plugged into an HVM guest and comes online, is unplugged and goes",
         ("hvm", ("--online", "2"), "plug", "unplug", ["0-1", "0-2", "0-1"])),
        ("a vCPU is unplugged from a PVH guest and goes offline, is plugged and comes back",
         ("pvh", (), "unplug", "plug", ["0-2", "0-1", "0-2"])))
print(f"1..{len(ROWS)}")
status = 0
for number, (name, row) in enumerate(ROWS, 1):
    found = problems_of(*row)
    print(f"{'not ok' if found else 'ok'} {number} - {name}", flush=True)
    for line in found:
        print(f"# {line}", flush=True)
    status |= bool(found)
sys.exit(status)
