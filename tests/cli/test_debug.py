#!/usr/bin/env python3
"""`bootrace debug` under the real gdb: break, step and watch, forwards and backwards. Speaks TAP.

Usage: test_debug.py BOOTRACE GUEST_FOLDER. With BOOTRACE_KERNEL in the environment Debian's kernel is debugged too.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

BOOTRACE, GUESTS = sys.argv[1], sys.argv[2]
TIMEOUT_S = 240
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")


class Skip(Exception):
    pass


def guest(name):
    return os.path.join(GUESTS, name + ".elf")


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


@contextlib.contextmanager
def debugged(image, *options, address=None):
    """A waiting `bootrace debug`, and the address that it says."""
    path = os.path.join(folder.name, "gdb")
    process = subprocess.Popen([BOOTRACE, "debug", image, "--gdb", address or path, *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        first = process.stderr.readline()
        match = re.fullmatch(r"waiting for gdb at (\S+)\n", first)
        expect(match, "it says:", first, process.stderr.read() if not match else "")
        process.address = match.group(1)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def gdb_run(address, symbols, commands):
    """What gdb says to a list of its commands."""
    script = os.path.join(folder.name, "script")
    with open(script, "w", encoding="utf-8") as f:
        f.write("\n".join(["set pagination off", "set confirm off", "set width 0", "set debuginfod enabled off",
                           f"target remote {address}", *commands, ""]))
    got = subprocess.run(["gdb", "-nx", "-nh", "-batch", "-x", script, *([symbols] if symbols else [])],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace", timeout=TIMEOUT_S, check=False, env={**os.environ, "LC_ALL": "C"})
    expect(got.returncode == 0, "gdb ends with", got.returncode, got.stdout)
    return got.stdout


def session(image, commands, *options, symbols=None, status=0):
    """gdb's output, and what bootrace said to standard error."""
    with debugged(image, *options) as process:
        out = gdb_run(process.address, symbols or image, commands)
        try:
            _, said = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"bootrace does not end: {out}") from None
        expect(process.returncode == status, "status", process.returncode, said, out)
        return out, said


def marked(text, name):
    """What is between `echo <name\\n` and `echo >`."""
    match = re.search(rf"^<{name}\n(.*?)^>", text, flags=re.S | re.M)
    expect(match, "no part", name, "in:", text)
    return match.group(1)


def mark(name, *commands):
    return [f"echo <{name}\\n", *commands, "echo >\\n"]


STATE = ["info registers", "monitor digest", "monitor position"]


def stepping_back_comes_to_the_same_registers_and_digest():
    for name in ("hello64", "hello32"):
        forth, back = [], []
        for i in range(12):
            forth += mark(f"f{i}", *STATE) + ["stepi"]
        for i in reversed(range(12)):
            back += ["reverse-stepi"] + mark(f"b{i}", *STATE)
        out, said = session(guest(name), ["break guest_main", "continue", *forth, *back, "continue", "kill"])
        for i in range(12):
            expect(marked(out, f"f{i}") == marked(out, f"b{i}"), name, i, marked(out, f"f{i}"), marked(out, f"b{i}"))
        expect("the run is over: PASS" in out and "guest" in said, out, said)


def a_debugged_run_ends_as_an_undebugged_one():
    plain = subprocess.run([BOOTRACE, "boot", guest("smp64"), "--vcpus", "3", "--digest"], capture_output=True, text=True,
                           timeout=TIMEOUT_S, check=True).stdout.strip()
    out, said = session(guest("smp64"), ["break printk", "watch *(int*)&arrived", "continue", "continue", "stepi", "stepi",
                                         "reverse-stepi", "continue", "delete", "continue", "reverse-stepi", "reverse-stepi",
                                         "continue", *mark("digest", "monitor digest"), "kill"], "--vcpus", "3")
    expect(marked(out, "digest").strip() == plain, plain, out)
    for line in ("cpu 0: apic id 0, processor id 0, of 3", "3 vCPUs run"):
        expect(said.count(line) == 1, "the console says", said.count(line), "times", line)


TESTS = (
    stepping_back_comes_to_the_same_registers_and_digest,
    a_debugged_run_ends_as_an_undebugged_one,
)

if not shutil.which("gdb"):
    print("1..0 # SKIP there is no gdb")
    sys.exit(0)
print(f"1..{len(TESTS)}")
status = 0
for n, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {n} - {test.__name__}", flush=True)
    except Skip as reason:
        print(f"ok {n} - {test.__name__} # SKIP {reason}")
    except (AssertionError, subprocess.TimeoutExpired, ValueError, OSError) as problem:
        status = 1
        print(f"not ok {n} - {test.__name__}")
        for line in str(problem)[:8000].rstrip("\n").split("\n"):
            print(f"# {line}", flush=True)
sys.exit(status)
