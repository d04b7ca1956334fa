#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshot files as a user meets them: `bootrace boot --snapshot-at POSITION FILE` and `--from FILE`. Speaks TAP.

Usage: test_snapshot.py BOOTRACE GUEST_FOLDER. With BOOTRACE_KERNEL in the environment (and BOOTRACE_INITRD) the same is
done with a real kernel, unless --no-kernel follows.
"""
import json
import os
import random
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap
from tap import expect, run_tests

BOOTRACE, GUESTS = sys.argv[1], sys.argv[2]
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")
dice = random.Random(4)


def guest(name):
    return os.path.join(GUESTS, name + ".elf")


def path(name):
    return os.path.join(folder.name, name)


def run(*arguments):
    return tap.run(BOOTRACE, *arguments)


def refused(*arguments, says):
    """One sentence on standard error, nothing on standard output, status 2."""
    got = run("boot", *arguments)
    lines = got.stderr.rstrip("\n").split("\n")
    expect(got.returncode == 2, arguments, "- status", got.returncode, got.stderr)
    expect(got.stdout == "", "standard output:", got.stdout)
    expect(len(lines) == 1 and re.match(r"bootrace boot: \S.*\w", lines[0]), "not one sentence:", got.stderr)
    expect(re.search(says, lines[0]), "does not say", says, "-", lines[0])


def end_of(*arguments):
    """Status and what of the JSON object is a function of the case."""
    got = run("boot", "--json", *arguments)
    expect(got.returncode in (0, 1), got.stderr)
    result = json.loads(got.stdout)
    del result["host_s"]
    result.pop("operations", None)  # they are counted from where the run begins
    return got.returncode, result


def snapshot_everywhere(options, positions, until=()):
    """Snapshots change nothing, and what goes on from each ends as the whole run."""
    whole = end_of(*options, *until)
    files, arguments = [], []
    for n in positions(whole[1]["steps"]):
        files.append(path(f"{n}.snap"))
        arguments += ["--snapshot-at", str(n), files[-1]]
    expect(end_of(*options, *until, *arguments) == whole, options, "- snapshots change the run")
    for file in files:
        got = end_of("--from", file, *until)
        if "place" in whole[1]:  # without the image there are no symbols
            whole[1]["place"]["symbol"] = got[1]["place"]["symbol"]
        expect(got == whole, options, file, "- goes on as", got, "not", whole)
        os.unlink(file)


def some_positions(count):
    return lambda steps: sorted(dice.sample(range(steps), min(count, steps)))


def guests_of_one_vcpu_go_on_from_anywhere():
    for name in ("hello32", "hello64", "smp32", "rows-memory-64"):  # the last one makes holes in its memory
        snapshot_everywhere((guest(name), "--vcpus", "1"), some_positions(16))


def guests_of_two_vcpus_go_on_from_anywhere():
    for name in ("smp32", "smp64"):
        for mode in ("pvh", "hvm"):
            snapshot_everywhere((guest(name), "--vcpus", "2", "--mode", mode), some_positions(16))


def a_guest_that_patches_itself_goes_on_from_anywhere():
    for variant in ("buggy", "fixed2006"):
        snapshot_everywhere((guest("s1"), "--mode", "hvm", "--vcpus", "1", "--cmdline", f"variant={variant} memcpy=byte"),
                            some_positions(16))


def positions_of_one_vcpu_are_its_own():
    snapshot_everywhere((guest("smp64"), "--vcpus", "3"), lambda steps: ["1:1", "1:7", "0:100", "1:50", 5])


def a_snapshot_of_a_snapshot_goes_on():
    whole = end_of(guest("smp64"))
    first, second = path("first"), path("second")
    end_of(guest("smp64"), "--snapshot-at", "100", first)
    end_of("--from", first, "--snapshot-at", "200", second)
    expect(end_of("--from", second) == whole, "differs")


def the_image_gives_the_symbols():
    file = path("symbols")
    end_of(guest("smp64"), "--snapshot-at", "10", file)
    refused("--from", file, "--until", "guest_main", says="has no symbols")
    got = run("boot", "--from", file, guest("smp64"), "--until", "guest_main")
    expect(got.returncode == 0 and "PASS: reached guest_main" in got.stdout, got.stdout, got.stderr)


def a_file_is_shown():
    file = path("shown")
    end_of(guest("smp64"), "--snapshot-at", "1:40", file)
    got = run("snapshot", "show", file, guest("smp64"))
    expect(got.returncode == 0 and re.search("vCPU 1: runnable, 40 steps, (16|32|64)-bit code at ", got.stdout), got)
    shown = json.loads(run("snapshot", "show", file, "--json").stdout)
    expect(shown["vcpus"][1]["rip"] == shown["vcpus"][1]["place"] and re.match("0x[0-9a-f]+$", shown["vcpus"][1]["rip"]), shown)
    expect(shown["vcpus"][1]["steps"] == 40 and shown["bytes"] == os.path.getsize(file), shown)
    expect(shown["steps"] == sum(v["steps"] for v in shown["vcpus"]) and shown["case"]["vcpus"] == 2, shown)
    for bad in (["snapshot"], ["snapshot", "eat", file], ["snapshot", "show"], ["snapshot", "show", guest("smp64")],
                ["snapshot", "show", file, guest("smp32")]):
        got = run(*bad)
        expect(got.returncode == 2 and got.stderr.startswith("bootrace snapshot: ") and not got.stdout, bad, got)


def what_the_user_says_has_to_fit():
    file = path("fits")
    initrd = path("initrd")
    with open(initrd, "wb") as f:
        f.write(b"an initrd")
    options = (guest("hello64"), "--cmdline", "a b", "--vcpus", "2", "--memory", "64M", "--xen", "4.18",
               "--online", "1")
    whole = end_of(*options)
    end_of(*options, "--snapshot-at", "10", file)
    expect(end_of("--from", file, *options) == whole, "the same options")
    expect(end_of("--from", file) == whole, "no options")
    refused("--from", file, "--cmdline", "c", says="another case: its command line is 'a b', not 'c'")
    refused("--from", file, "--vcpus", "3", says="it has 2 vCPUs, not 3")
    refused("--from", file, "--online", "2", says="--online was 1, not 2")
    refused("--from", file, "--memory", "128M", says="67108864 bytes of memory, not 134217728")
    refused("--from", file, "--xen", "4.17", says="its Xen version is '4.18', not '4.17'")
    refused("--from", file, "--mode", "hvm", says="its mode is 'pvh', not 'hvm'")
    refused("--from", file, "--initrd", initrd, says="its initrd has the digest .none., and")
    refused("--from", file, guest("hello32"), says="its image has the digest [0-9a-f]{32}, and .*hello32.elf has")
    refused("--from", file, "--edit", "unguard text_poke_early", says="its edits are different")


def bad_positions_are_refused():
    file = path("never")
    image = guest("hello64")
    refused(image, "--snapshot-at", "x", file, says="is a number")
    refused(image, "--snapshot-at", "-1", file, says="is a number")
    refused(image, "--snapshot-at", "9:5", file, says="the machine has 2 vCPUs")
    refused(image, "--snapshot-at", "0:x", file, says="is a number")
    refused(image, "--snapshot-at", "99:1", file, says="is a number from 0 to 63")
    got = run("boot", image, "--snapshot-at", "5")
    expect(got.returncode == 2 and "to which file" in got.stderr, got.stderr)
    got = run("boot", image, "--snapshot-at", "1000000000", file)
    expect(got.returncode == 2 and "the run ended before" in got.stderr, got.returncode, got.stderr)
    got = run("boot", image, "--snapshot-at", "10", "/nowhere/at/all")
    expect(got.returncode == 2 and "/nowhere/at/all: can't be written" in got.stderr, got.returncode, got.stderr)
    expect(not os.path.exists(file), "nothing was to be written")
    end_of(image, "--snapshot-at", "50", file)
    refused("--from", file, "--snapshot-at", "40", path("x"), says="begins after that")
    expect(sorted(os.listdir(folder.name)).count("never") == 1, os.listdir(folder.name))


def a_schedule_begins_with_the_boot():
    file = path("scheduled")
    end_of(guest("hello64"), "--snapshot-at", "10", file)
    for options in (("--from", file, "--record", path("r")), ("--from", file, "--schedule", path("r")),
                    ("--from", file, "--hotplug", path("r")), ("--from", file, "--detect", "op-table"),
                    (guest("hello64"), "--snapshot-at", "10", file, "--schedule", path("r"))):
        got = run("boot", *options)
        expect(got.returncode == 2 and "can't be combined with" in got.stderr, got.stderr)


def what_is_no_snapshot_is_refused():
    refused("--from", path("missing"), says="No such file")
    refused("--from", folder.name, says="is not a file|Is a directory")
    refused("--from", guest("hello64"), says="is not a bootrace snapshot")


def damaged_files_are_refused():
    whole = path("whole")
    end_of(guest("smp64"), "--snapshot-at", "300", whole)
    with open(whole, "rb") as f:
        content = f.read()
    damaged = path("damaged")
    for i in range(200):
        at = dice.randrange(len(content)) if i % 4 else dice.randrange(500)
        if i % 2:
            bad = content[:at]
        else:
            bad = content[:at] + bytes([content[at] ^ dice.randrange(1, 256)]) + content[at + 1:]
        with open(damaged, "wb") as f:
            f.write(bad)
        refused("--from", damaged, says="damaged|no snapshot|cut off|format|byte order")


def a_real_kernel_goes_on_from_anywhere():
    options = [os.environ["BOOTRACE_KERNEL"]]
    if "BOOTRACE_INITRD" in os.environ:
        options += ["--initrd", os.environ["BOOTRACE_INITRD"]]
    snapshot_everywhere(tuple(options), lambda steps: sorted(dice.sample(range(steps), 3)) + ["1:1000"],
                        until=("--until", "200000000"))  # vCPU 1 has long begun


TESTS = [
    guests_of_one_vcpu_go_on_from_anywhere,
    guests_of_two_vcpus_go_on_from_anywhere,
    a_guest_that_patches_itself_goes_on_from_anywhere,
    positions_of_one_vcpu_are_its_own,
    a_snapshot_of_a_snapshot_goes_on,
    the_image_gives_the_symbols,
    a_file_is_shown,
    what_the_user_says_has_to_fit,
    bad_positions_are_refused,
    a_schedule_begins_with_the_boot,
    what_is_no_snapshot_is_refused,
    damaged_files_are_refused,
]
if "BOOTRACE_KERNEL" in os.environ and "--no-kernel" not in sys.argv:
    TESTS.append(a_real_kernel_goes_on_from_anywhere)

run_tests(TESTS)
