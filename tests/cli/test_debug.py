#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
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

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import TIMEOUT_S, Skip, expect, run, run_tests, skip_all

BOOTRACE, GUESTS = sys.argv[1], sys.argv[2]
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")


def guest(name):
    return os.path.join(GUESTS, name + ".elf")


@contextlib.contextmanager
def debugged(image, *options, address=None):
    """A waiting `bootrace debug`, and the address that it says."""
    path = os.path.join(folder.name, "gdb")
    process = subprocess.Popen([BOOTRACE, "debug", *([image] if image else []), "--gdb", address or path, *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        before = []
        first = process.stderr.readline()
        while first.startswith(("failure ", "its schedule: ")):  # of a case with a search
            before.append(first)
            first = process.stderr.readline()
        match = re.fullmatch(r"waiting for gdb at (\S+)\n", first)
        expect(match, "it says:", first, process.stderr.read() if not match else "")
        process.address = match.group(1)
        process.finding = "".join(before)
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
    got = run("gdb", "-nx", "-nh", "-batch", "-x", script, *([symbols] if symbols else []), stderr=subprocess.STDOUT,
              env={**os.environ, "LC_ALL": "C"})
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
        return out, process.finding + said


def marked(text, name):
    """What is between `echo <name\\n` and `echo >`."""
    match = re.search(rf"^<{name}\n(.*?)^>", text, flags=re.S | re.M)
    expect(match, "no part", name, "in:", text)
    return match.group(1)


def mark(name, *commands):
    return [f"echo <{name}\\n", *commands, "echo >\\n"]


STATE = ["info registers", "monitor digest", "monitor position"]


class Raw:
    """gdb's end of the protocol by hand."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def packet(self, content):
        content = content.encode("latin-1")
        self.send(b"$" + content + b"#%02x" % (sum(content) & 255))

    def receive(self):
        """The next packet; acknowledgements are skipped."""
        while not (match := re.match(rb"[+-]*\$([^#]*)#[0-9a-f]{2}", self.rest, flags=re.S)):
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"the connection ends: {self.rest}")
            self.rest += more
        self.rest = self.rest[match.end():]
        return match.group(1).decode("latin-1")

    def ask(self, content):
        self.packet(content)
        return self.receive()


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
            expect(re.search("^[0-9a-f]{16}$", marked(out, f"f{i}"), flags=re.M), "no digest", marked(out, f"f{i}"))
        expect("the run is over: PASS" in out and "guest" in said, out, said)


def a_debugged_run_ends_as_an_undebugged_one():
    plain = run(BOOTRACE, "boot", guest("smp64"), "--vcpus", "3", "--digest", check=True).stdout.strip()
    out, said = session(guest("smp64"), ["break printk", "watch *(int*)&arrived", "continue", "continue", "stepi", "stepi",
                                         "reverse-stepi", "continue", "delete", "continue", "reverse-stepi", "reverse-stepi",
                                         "continue", *mark("digest", "monitor digest"), "kill"], "--vcpus", "3")
    expect(marked(out, "digest").strip() == plain, plain, out)
    for line in ("cpu 0: apic id 0, processor id 0, of 3", "3 vCPUs run"):
        for text in (out, said):
            expect(text.count(line) == 1, "the console says", text.count(line), "times", line)


def vcpus_are_threads():
    out, _ = session(guest("smp64"), [
        *mark("first", "info threads"), "break secondary", "continue", *mark("second", "info threads"),
        *mark("of 0", "thread 1", "p $rip == (long)&secondary"), *mark("of 1", "thread 2", "p $rip == (long)&secondary"),
        "continue", *mark("third", "thread"), "kill"], "--vcpus", "3")
    expect(re.search(r"\* 1 +Thread 1 \(vCPU 0, runnable\)", marked(out, "first")), out)
    expect(re.search(r"  3 +Thread 3 \(vCPU 2, offline\)", marked(out, "first")), out)
    expect(re.search(r"\* 2 +Thread 2 \(vCPU 1, runnable\).* secondary", marked(out, "second")), out)
    expect("= 0" in marked(out, "of 0") and "= 1" in marked(out, "of 1"), out)
    expect("Current thread is 3 " in marked(out, "third"), out)


def a_vcpu_that_has_made_no_step_takes_none_back():
    out, _ = session(guest("smp64"), [
        "break secondary", "continue", *mark("before", "monitor position"), "thread 3", "set scheduler-locking step",
        "reverse-stepi",
        *mark("after", "monitor position"), "kill"], "--vcpus", "3")
    expect("No more reverse-execution history" in out and "vCPU 2: step 0" in marked(out, "before"), out)
    expect(marked(out, "before") == marked(out, "after"), out)


def a_variable_is_watched_to_its_writer_and_back():
    where = ["thread", "info symbol $pc", "p *(int*)&arrived"]
    out, _ = session(guest("smp64"), [
        "watch *(int*)&arrived", "continue", *mark("first", *where), "continue", *mark("second", *where),
        "reverse-continue", *mark("back", *where, "monitor position"), "reverse-continue", *mark("back again", *where),
        "stepi", *mark("forth", *where), "kill"], "--vcpus", "3")
    for name, thread, value in (("first", 2, 1), ("second", 3, 2), ("back", 3, 1), ("back again", 2, 0), ("forth", 2, 1)):
        part = marked(out, name)
        expect(f"Current thread is {thread} " in part and "secondary" in part and f"= {value}\n" in part, name, out)
    expect("Old value = 0\nNew value = 1" in out and "Old value = 2\nNew value = 1" in out, out)


def reads_are_watched_and_hardware_breakpoints_hit():
    out, _ = session(guest("smp64"), [
        "rwatch *(int*)&arrived", "continue", *mark("read", "info symbol $pc"), "delete", "awatch *(int*)&arrived",
        "continue", *mark("access", "info symbol $pc"), "delete", "hbreak secondary", "continue",
        *mark("hbreak", "info symbol $pc"), "kill"], "--vcpus", "3")
    expect("guest_main" in marked(out, "read") and "Hardware read watchpoint" in out, out)
    expect("secondary" in marked(out, "access") and "Hardware access (read/write) watchpoint" in out, out)
    expect("secondary in section" in marked(out, "hbreak"), out)


def a_torn_instruction_leads_back_to_the_store_that_tore_it():
    schedule = os.path.join(folder.name, "schedule")
    with open(schedule, "w", encoding="utf-8") as f:
        f.write("at 0:alternative_instructions mark\nat 0:patch_copy_byte+0x24#7 expire\n")
    out, _ = session(guest("s1"), [
        *mark("schedule", "monitor schedule"), "break panic_trap", "continue", *mark("schedule behind", "monitor schedule"), "delete",
        *mark("panic", "monitor digest"),
        "break *&site_mb2", "reverse-continue", *mark("torn", "x/1i $pc", "x/5xb $pc"), "delete",
        "watch *(long long*)&site_mb2", "reverse-continue",
        *mark("store", "info symbol $pc", "x/1i $pc", "p $edx - 1 - (int)&site_mb2", "x/5xb &site_mb2"), "delete",
        "stepi", *mark("stored", "x/5xb &site_mb2"),
        "break panic_trap", "continue", *mark("again", "monitor digest"), "kill"],
        "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--schedule", schedule,
        "--cmdline", "variant=buggy memcpy=byte delay=200 after=200")
    # lock addl $0, (%esp) is f0 83 04 24 00, mfence is 0f ae f0: two of its three bytes are there.
    expect("0x0f\t0xae\t0x04\t0x24\t0x00" in marked(out, "torn"), out)
    expect("patch_copy_byte + 33" in marked(out, "store") and "mov    %cl,-0x1(%edx)" in marked(out, "store"), out)
    expect("= 1\n" in marked(out, "store") and "0x0f\t0x83\t0x04\t0x24\t0x00" in marked(out, "store"), out)
    expect("0x0f\t0xae\t0x04\t0x24\t0x00" in marked(out, "stored"), out)
    expect(marked(out, "panic") == marked(out, "again"), out)
    expect("0 of 2 decisions" in marked(out, "schedule") and "next: at 0:alternative_instructions mark" in marked(out, "schedule"),
           out)
    expect("2 of 2 decisions" in marked(out, "schedule behind"), out)


def what_the_user_changes_is_changed_on_every_visit():
    value = 'printf "= %d\\n", *(int*)&arrived'
    out, said = session(guest("smp64"), [
        "break guest_main", "continue", "set {int}&arrived = 5", "set $r15 = 1234", "delete", "continue",
        *mark("end", value, "monitor digest"), "reverse-continue",
        *mark("begin", value), "break guest_main", "continue", *mark("main", value, 'printf "= %x\\n", $r15'),
        "delete", "continue", *mark("end again", value, "monitor digest"), "kill"], "--vcpus", "3")
    expect("8 vCPUs run" in said, said)
    expect("= 7\n" in marked(out, "end") and marked(out, "end") == marked(out, "end again"), out)
    expect("= 0\n" in marked(out, "begin"), out)
    expect("= 5\n" in marked(out, "main") and "= 4d2\n" in marked(out, "main"), out)


def monitor_commands_tell_of_the_host():
    out, _ = session(guest("hello64"), [
        *mark("help", "monitor help"), *mark("unknown", "monitor frobnicate"), *mark("empty", "monitor hypercalls"), "continue",
        *mark("events", "monitor events"), *mark("timers", "monitor timers"), *mark("hypercalls", "monitor hypercalls"),
        *mark("vcpus", "monitor vcpus"), *mark("history", "monitor history"), *mark("end", "monitor position"),
        *mark("bad", "monitor goto x"), *mark("goto", "monitor goto 1000", "maintenance flush register-cache"),
        *mark("there", "monitor position", "monitor hypercalls"), "kill"])
    for word in ("digest", "events", "goto", "hypercalls", "position", "schedule", "timers", "vcpus"):
        expect(f"monitor {word}" in marked(out, "help"), out)
    expect("there is no monitor command 'frobnicate'" in marked(out, "unknown"), out)
    expect("no hypercall" in marked(out, "empty") and "no hypercall" in marked(out, "there"), out)
    expect("port 1: interdomain with domain 0" in marked(out, "events"), out)
    expect("timers are armed" in marked(out, "timers"), out)
    expect(re.search(r"vCPU 0: sched_op\(shutdown\) = 0, at hypercall_page", marked(out, "hypercalls")), out)
    expect("* vCPU 0, runnable, at" in marked(out, "vcpus") and "begins at step 0" in marked(out, "history"), out)
    expect("goto takes a step" in marked(out, "bad"), out)
    expect("step 1000 of all vCPUs" in marked(out, "there"), out)


def a_case_is_debugged_under_its_schedule():
    case = os.path.join(folder.name, "found.yaml")
    run(BOOTRACE, "boot", guest("smp64"), "--record", case, check=True)
    plain = run(BOOTRACE, "boot", guest("smp64"), "--digest", check=True).stdout.strip()
    out, _ = session(case, ["continue", *mark("digest", "monitor digest"), "kill"], symbols=guest("smp64"))
    expect(marked(out, "digest").strip() == plain, plain, out)


def a_case_with_a_search_is_debugged_at_a_failure_that_it_finds():
    def searching(variant):
        path = os.path.join(folder.name, f"search-{variant}.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"title: A search\nprose:\n  mechanism: None.\n  source: None.\n  falsified-by: None.\nguest:\n"
                    f"  kernel: {os.path.abspath(guest('s1'))}\nmachine:\n  mode: hvm\n  vcpus: 1\n  memory: 32M\n"
                    f"  cmdline: variant={variant} memcpy=byte delay=200 after=200\nsearch:\n"
                    "  window: alternative_instructions\n  inject: timer\nexpect:\n  verdict: FAIL\n")
        return path

    case = searching("buggy")
    decisions = []
    for options in ((), ("--failure", "2")):
        out, said = session(case, [*mark("begin", "monitor schedule"), "break panic_trap", "continue",
                                   *mark("panic", "monitor schedule", "monitor digest"), "kill"], *options, symbols=guest("s1"))
        expect(re.search(rf"failure {options[-1] if options else 1} of \d+ that the search finds: torn code", said), said)
        decision = re.search(r"its schedule: (at 0:\d+ expire)", said).group(1)
        expect("0 of 1 decisions" in marked(out, "begin") and decision in marked(out, "begin"), out, said)
        expect("1 of 1 decisions" in marked(out, "panic"), out)
        decisions.append(decision)
    expect(decisions[0] != decisions[1], decisions)

    for path, options, says in ((searching("fixed2006"), (), "it finds no failure: there is no run to show"),
                                (case, ("--failure", "9999"), "--failure 9999: the search finds only "),
                                (guest("hello64"), ("--failure", "1"), None)):
        got = run(BOOTRACE, "debug", path, "--gdb", os.path.join(folder.name, "gdb"), *options)
        expect(got.returncode == 2 and (says or "--failure is for a case with a search") in got.stderr, got.returncode, got.stderr)


def the_history_may_begin_at_a_snapshot_file():
    snapshot = os.path.join(folder.name, "here.snap")
    made = run(BOOTRACE, "boot", guest("smp64"), "--snapshot-at", "40000", snapshot, "--digest", check=True)
    for image in (guest("smp64"), None):
        out, _ = session(image, [
            *mark("begin", "monitor position"), "stepi", "reverse-continue", *mark("back", "monitor position"), "continue",
            *mark("end", "monitor digest"), "kill"], "--from", snapshot, symbols=guest("smp64"))
        expect("step 40000 of all vCPUs" in marked(out, "begin"), out)
        expect(marked(out, "begin") == marked(out, "back"), out)
        expect(marked(out, "end") == made.stdout, out, made.stdout)


def whatever_comes_over_the_line_is_answered_or_dropped():
    bad = ("", "g", "p", "pzz", "pffffffffffffffff", "p40", "P", "P0", "P0=", "P0=zz", "P12=00000000", "G", "G00", "m", "m0",
           "m0,", "m,1", "m0,ffffffffffffffff", "mffffffffffffffff,10", "M0,1", "M0,1:", "M0,2:00", "M0,1:zz",
           "M0,ffffffffffffffff:00", "X0,1:", "X0,1:aa", "Xffffffffffffffff,0:", "H", "Hq0", "Hg", "Hgffff", "Hc99", "Hg-1", "T",
           "T0", "T99", "T1", "qThreadExtraInfo,", "qThreadExtraInfo,99", "qXfer:features:read:", "qXfer:features:read:x:0,1",
           "qXfer:features:read:target.xml:0", "qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff",
           "qXfer:features:read:target.xml:0,0", "qRcmd,", "qRcmd,0", "qRcmd,zz", "qRcmd," + "41" * 500, "vCont", "vCont;",
           "vCont;x", "vCont;s:99", "vCont;S", "vCont;szz", "vCont;c;", "Z", "Z0", "Z9,0,1", "Z0,,", "Z2,0,0", "Z2,0,100000",
           "Z2,ffffffffffffff,1", "z", "z2,0", "c1", "s1", "C", "Czz", "S", "vMustReplyEmpty", "qOffsets", "qSymbol::", "vFile:open",
           "\x01\x02", "!" * 3000, "m" + "0" * 15000 + ",1", "qSupported:" + "x" * 3000)
    with debugged(guest("hello64")) as process, Raw(process.address) as gdb:
        before = gdb.ask("g")
        for packet in bad:
            gdb.packet(packet)
            gdb.receive()
        for junk in (b"$m0,1#00", b"$" + b"a" * 40000 + b"#00", b"$abc$def$", b"#####", b"+-+-", bytes(range(256)) * 4, b"\x03\x03"):
            gdb.send(junk)
        gdb.send(b"+")
        gdb.packet("qC")
        while (answer := gdb.receive()) != "QC1":
            expect(answer is not None, answer)
        gdb.packet("g")
        while (answer := gdb.receive()) != before:
            expect(len(answer) < len(before), "the registers have changed", answer, before)
        gdb.packet("k")
        process.communicate(timeout=TIMEOUT_S)
        expect(process.returncode == 0, process.returncode)


def an_interrupt_stops_the_guest_and_another_gdb_may_come():
    options = ("--mode", "hvm", "--vcpus", "1", "--cmdline", "delay=4000000000 tick=none")
    with debugged(guest("s1"), *options) as process:
        with Raw(process.address) as gdb:
            gdb.packet("c")
            gdb.send(b"\x03")
            expect(gdb.receive() == "T02thread:1;", "Ctrl-C")
            gdb.packet("c")
            gdb.send(b"+")
        with Raw(process.address) as gdb:
            expect(gdb.ask("?") == "T02thread:1;", "the second gdb")
            expect(gdb.ask("Z0,0,1") == "OK", "a breakpoint")
            gdb.packet("bc")
            gdb.send(b"\x03")
            expect(re.fullmatch("T(02thread:1;|05thread:1;replaylog:begin;)", gdb.receive()), "going back")
            gdb.packet("c")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=TIMEOUT_S)
        expect(process.returncode == 130, process.returncode)
    expect(not os.path.exists(os.path.join(folder.name, "gdb")), "the socket stays behind")


def a_guest_that_is_left_alone_runs_to_its_end():
    with debugged(guest("hello64")) as process:
        gdb_run(process.address, guest("hello64"), ["break guest_main", "continue", "detach"])
        out, said = process.communicate(timeout=TIMEOUT_S)
        expect(process.returncode == 0 and out.startswith("PASS: "), process.returncode, out, said)
        expect("hello from a 64-bit guest" in said, said)


def only_the_loopback_is_listened_on():
    for address, says in (("0.0.0.0:1234", "loopback"), ("10.0.0.1:0", "loopback"), ("example.org:1", "loopback"),
                          ("1234", "PORT"), (":x", "port"), (":70000", "port"), (":", "port"), ("/nowhere/there/gdb", "listen"),
                          ("/" + "x" * 300, "characters")):
        got = run(BOOTRACE, "debug", guest("hello64"), "--gdb", address)
        expect(got.returncode == 2 and says in got.stderr and got.stderr.count("\n") == 1, address, got.returncode, got.stderr)
    for address in ("127.0.0.1:0", ":0", "localhost:0"):
        with debugged(guest("hello64"), address=address) as process:
            expect(re.fullmatch(r"127\.0\.0\.1:\d+", process.address), process.address)
            out = gdb_run(process.address, guest("hello64"), ["info registers rip", "kill"])
            expect("<_start>" in out, out)


def debians_kernel_is_stepped_back_and_forth():
    kernel = os.environ.get("BOOTRACE_KERNEL")
    if not kernel:
        raise Skip("BOOTRACE_KERNEL is not set")
    symbols = os.path.join(folder.name, "symbols")
    run(BOOTRACE, "symbols", kernel, "--elf", symbols, check=True)
    out, _ = session(kernel, [
        "break alternative_instructions", "continue", *mark("place", "info symbol $pc"), *mark("before", *STATE), "stepi", "stepi",
        "stepi", "stepi", "reverse-stepi", "reverse-stepi", "reverse-stepi", "reverse-stepi", *mark("after", *STATE),
        # The first place that is patched, and who patches it.
        "delete", "break text_poke_early", "continue", "set $at = $rdi", "finish", "delete",
        "watch *(char*)$at", "reverse-continue", *mark("store", "backtrace 2"), "kill"], symbols=symbols)
    expect("alternative_instructions in section .text" in marked(out, "place"), out)
    expect(marked(out, "before") == marked(out, "after"), marked(out, "before"), marked(out, "after"))
    expect("text_poke_early" in marked(out, "store"), out)


TESTS = (
    stepping_back_comes_to_the_same_registers_and_digest,
    a_debugged_run_ends_as_an_undebugged_one,
    vcpus_are_threads,
    a_vcpu_that_has_made_no_step_takes_none_back,
    a_variable_is_watched_to_its_writer_and_back,
    reads_are_watched_and_hardware_breakpoints_hit,
    a_torn_instruction_leads_back_to_the_store_that_tore_it,
    what_the_user_changes_is_changed_on_every_visit,
    monitor_commands_tell_of_the_host,
    a_case_is_debugged_under_its_schedule,
    a_case_with_a_search_is_debugged_at_a_failure_that_it_finds,
    the_history_may_begin_at_a_snapshot_file,
    whatever_comes_over_the_line_is_answered_or_dropped,
    an_interrupt_stops_the_guest_and_another_gdb_may_come,
    a_guest_that_is_left_alone_runs_to_its_end,
    only_the_loopback_is_listened_on,
    debians_kernel_is_stepped_back_and_forth,
)

if not shutil.which("gdb"):
    skip_all("there is no gdb")
run_tests(TESTS)
