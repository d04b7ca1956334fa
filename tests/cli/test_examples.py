#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every example of every `--help` works as it is written: with the files that it names it is run for a short time, and
is neither wrong input nor an error of ours. Speaks TAP.

Usage: test_examples.py BOOTRACE GUEST_FOLDER SOURCE_FOLDER. BOOTRACE_KERNEL and BOOTRACE_INITRD name the kernel and the
initramfs of the examples.
"""
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import done, point, run, skip_all

BOOTRACE, GUESTS, SOURCES = (os.path.abspath(a) for a in sys.argv[1:4])
if not {"BOOTRACE_KERNEL", "BOOTRACE_INITRD"} <= set(os.environ):
    skip_all("BOOTRACE_KERNEL and BOOTRACE_INITRD are not set")
WRONG_INPUT, ERROR, INTERRUPTED = 2, 5, 130
PROCESSOR_S = 0.25 # of an example that would go on; by then it has long read its kernel
CLOCK_S = 60       # of one that only waits
CASES = ("s0-late-module", "s1-timer-byte")  # those that the examples name


def examples_of(words):
    """The commands `bootrace …` among the examples of a help, each as its words, in their order."""
    text = run(BOOTRACE, *words, "--help").stdout.partition("Examples:\n")[2].partition("\n\n")[0]
    for line in text.replace("\\\n", " ").split("\n"):
        for command in re.split(r" (?:&&|\|) (?=(?:[^']*'[^']*')*[^']*$)", line):
            if command.split()[:1] == ["bootrace"]:
                yield shlex.split(command)[1:]


def commands():
    for name in re.findall(r"(?m)^  ([a-z]+) +\S", run(BOOTRACE, "--help").stdout):
        parts = re.match(r"Usage: bootrace [a-z]+ ([a-z]+(?:\|[a-z]+)+) ", run(BOOTRACE, name, "--help").stdout)
        yield from ([name, p] for p in parts.group(1).split("|")) if parts else [[name]]


def prepare(folder):
    """What the examples name and no example makes."""
    def path(*names):
        return os.path.join(folder, *names)

    def record(name, *guest):
        got = run(BOOTRACE, "boot", os.path.join(GUESTS, guest[0]), *guest[1:], "--record", path(name))
        point(f"{name} is recorded", os.path.exists(path(name)), got.returncode, got.stderr)

    os.makedirs(path("corpus"))
    os.makedirs(path("found"))
    os.makedirs(path("regressions"))
    os.makedirs(path("../bootrace-0.1"))
    os.symlink(BOOTRACE, path("../bootrace-0.1/bootrace"))
    os.symlink(os.environ["BOOTRACE_KERNEL"], path("vmlinuz"))
    os.symlink(os.environ["BOOTRACE_INITRD"], path("initrd.img"))
    for guest, name in (("s1", "guest"), ("s0-64", "s0-64")):
        os.symlink(os.path.join(GUESTS, guest + ".elf"), path(name + ".elf"))
    for case in CASES:
        shutil.copy(os.path.join(SOURCES, "corpus", case + ".yaml"), path("corpus"))
    for name, text in (("script", "1000000 plug 2\n"), ("race.txt", "at 0:5000 nmi 0\n")):
        with open(path(name), "w", encoding="utf-8") as f:
            f.write(text)
    record("boot.yaml", "hello64.elf", "--vcpus", "1")
    for name in ("found.yaml", "old.yaml", "found/0001.yaml"):
        record(name, "s4-64.elf", "--vcpus", "2", "--cmdline", "boot=1")
    got = run(BOOTRACE, "boot", "vmlinuz", "--snapshot-at", "100000", "here.snap", "--steps-max", "100001",
              cwd=folder)
    point("here.snap is made", os.path.exists(path("here.snap")), got.returncode, got.stderr)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def here(word):
    """What an example names outside of its folder is taken from within."""
    word = word.replace("/boot/vmlinuz", "vmlinuz").replace("/tmp/gdb.socket", "./gdb.socket")
    return word.replace(":1234", ":" + free_port())


def limit():
    """Of the program itself, and in whole seconds of the processes that it makes."""
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_S)
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))


def play(words, folder, env):
    """Status and standard error of an example, interrupted once it waits for gdb."""
    with open(os.path.join(folder, "stderr"), "w+", encoding="utf-8", errors="replace") as seen:
        child = subprocess.Popen([BOOTRACE, *map(here, words)], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=seen, preexec_fn=limit)
        until = time.monotonic() + CLOCK_S
        told = False
        while child.poll() is None:
            time.sleep(0.02)
            seen.seek(0)
            if not told and (words[0] == "debug" and "waiting for gdb" in seen.read() or time.monotonic() > until):
                told = True
                child.send_signal(signal.SIGINT)
        seen.seek(0)
        return child.returncode, seen.read()


with tempfile.TemporaryDirectory(prefix="bootrace-test-") as outer:
    folder = os.path.join(outer, "here")
    os.makedirs(folder)
    env = {**os.environ, "XDG_CACHE_HOME": os.path.join(outer, "cache")}
    prepare(folder)
    seen = set()
    for words in commands():
        examples = list(examples_of(words))
        point(f"`{' '.join(words)}` has examples of itself", any(e[:len(words)] == words for e in examples), examples)
        for example in examples:
            if tuple(example) in seen:
                continue
            seen.add(tuple(example))
            status, said = play(example, folder, env)
            # One that would go on was taken as it is: its processor time is used up, or it was interrupted.
            point(f"bootrace {shlex.join(example)}", status in (-signal.SIGPROF, INTERRUPTED) or
                  status >= 0 and status not in (WRONG_INPUT, ERROR), status, said[-600:])
done()
