#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`bootrace boot` as a user meets it: bad input is one clear sentence and status 2; options; signals. Speaks TAP.

Usage: test_boot.py BOOTRACE GUEST_FOLDER. With BOOTRACE_KERNEL in the environment a real kernel image is truncated too.
"""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap
from tap import Skip, expect, run_tests

BOOTRACE, GUESTS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
HELLO32 = os.path.join(GUESTS, "hello32.elf")
HELLO, SMP = os.path.join(GUESTS, "hello64.elf"), os.path.join(GUESTS, "smp64.elf")
SPIN_STEPS = "30000000000"  # nobody waits for so many
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")


def run(*arguments):
    return tap.run(BOOTRACE, *arguments)


def file_with(name, content):
    path = os.path.join(folder.name, name)
    with open(path, "wb") as f:
        f.write(content)
    return path


def refused(what, *arguments, says=None, hint_lines=0):
    """One sentence on standard error, nothing on standard output, status 2."""
    got = run("boot", *arguments)
    lines = got.stderr.rstrip("\n").split("\n")
    expect(got.returncode == 2, what, "- status", got.returncode, got.stderr)
    expect(got.stdout == "", what, "- standard output:", got.stdout)
    # argp adds one line, which is where to find help, to what it refuses.
    expect(1 <= len(lines) <= 1 + hint_lines, what, "- not one sentence:", got.stderr)
    expect(re.match(r"bootrace boot: \S.*\w", lines[0]), what, "- sentence:", got.stderr)
    if says:
        expect(re.search(says, lines[0]), what, "- says:", lines[0])


def elf(machine=62, bits=64, payload=b"\x90" * 64):
    """A static ELF executable with one loadable segment and no notes."""
    if bits == 64:
        header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, machine, 1, 0x100000, 64, 0, 0, 64, 56, 1, 64, 0, 0)
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, 0x100000, 0x100000, len(payload), len(payload), 0x1000)
    else:
        header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, machine, 1, 0x100000, 52, 0, 0, 52, 32, 1, 40, 0, 0)
        segment = struct.pack("<IIIIIIII", 1, 0x1000, 0x100000, 0x100000, len(payload), len(payload), 5, 0x1000)
    return (header + segment).ljust(0x1000, b"\0") + payload


def a_vmlinux_without_debug_data_still_has_its_symbols():
    """Of the image itself, so that only the options can name the symbol's place."""
    bare, names = os.path.join(folder.name, "bare.elf"), os.path.join(folder.name, "names")
    subprocess.run(["objcopy", "--strip-all", HELLO, bare], check=True)
    subprocess.run(["objcopy", "--strip-debug", HELLO, names], check=True)
    symbol = next(line.split()[2] for line in subprocess.run(["nm", HELLO], check=True, capture_output=True,
                                                             text=True).stdout.split("\n") if " T " in line)
    got = run("boot", bare, "--until", symbol, "--steps-max", "100000000")
    expect(got.returncode == 2 and "no symbol" in got.stderr, got.stderr)
    got = run("boot", bare, "--vmlinux", names, "--until", symbol, "--steps-max", "100000000")
    expect(got.returncode == 0 and f"reached {symbol}" in got.stdout + got.stderr, got.stderr)
    got = run("boot", bare, "--vmlinux", bare)
    expect(got.returncode == 2 and "has no symbols" in got.stderr, got.stderr)


def an_empty_file_is_refused():
    refused("empty", file_with("empty", b""), says="empty")


def what_is_no_image_is_refused():
    refused("text", file_with("text", b"this is no kernel\n" * 100))
    refused("zeros", file_with("zeros", bytes(100000)))
    refused("folder", folder.name)
    refused("missing", os.path.join(folder.name, "nowhere"), says="No such file")


def kernels_of_other_processors_are_refused():
    refused("ARM", file_with("arm", elf(machine=40, bits=32)), says="ARM")
    refused("AArch64", file_with("aarch64", elf(machine=183)), says="(?i)arm")
    # An arm64 Image: its magic is at 0x38.
    refused("arm64 Image", file_with("Image", b"MZ".ljust(0x38, b"\0") + b"ARM\x64" + bytes(4096)), says="(?i)arm")
    # A zImage: its magic is at 0x24.
    refused("ARM zImage", file_with("zImage", bytes(0x24) + struct.pack("<III", 0x016f2818, 0, 4096) + bytes(4096)),
            says="(?i)arm")


def an_elf_file_without_a_xen_note_is_refused():
    refused("no note, 64 bits", file_with("no-note", elf()), says="(?i)note|entry")
    refused("no note, 32 bits", file_with("no-note-32", elf(machine=3, bits=32)), says="(?i)note|entry")


def an_elf_file_without_a_xen_note_starts_as_linux_in_mode_hvm():
    for bits, machine in ((64, 62), (32, 3)):
        got = run("boot", file_with("plain", elf(machine=machine, bits=bits, payload=b"\xfa\xf4")), "--mode", "hvm")
        expect(got.returncode == 0 and got.stdout.split("\n")[-2].startswith("2 steps"), bits, "runs to its HLT:", got.stdout[-300:], got.stderr)
    refused("an entry that is no physical address", file_with("virtual", elf(payload=b"")), "--mode", "hvm", says="entry 0x100000|loadable")
    refused("no note in pvh mode", file_with("plain", elf()), says="or --mode hvm")


# Code that ends with the number of processors that it did not expect, then a Multiboot header.
MULTIBOOT = bytes((
    0x3d, 0x02, 0xb0, 0xad, 0x2b,  # cmp eax, the loader's magic
    0x75, 0x14,  # jne to the last OUT
    0x66, 0xba, 0x10, 0x05, 0x66, 0xb8, 0x05, 0x00, 0x66, 0xef,  # select the number of processors
    0x66, 0xba, 0x11, 0x05, 0xec,  # in al, 0x511
    0x2c, 0x03, 0x0f, 0xb6, 0xc0,  # less 3
    0xe7, 0xf4, 0xf4)).ljust(32, b"\xf4")


def multiboot(flags=0):
    return MULTIBOOT + struct.pack("<III", 0x1BADB002, flags, (-0x1BADB002 - flags) & 0xffffffff)


def a_multiboot_image_ends_by_the_test_exit_port():
    image = file_with("multiboot", elf(machine=3, bits=32, payload=multiboot(flags=3)))
    got = run("boot", image, "--mode", "multiboot", "--vcpus", "3")
    expect(got.returncode == 0 and "PASS: the guest wrote 0 to the test-exit port" in got.stdout, got.stdout, got.stderr)
    got = run("boot", image, "--mode", "multiboot", "--vcpus", "5")
    expect(got.returncode == 1 and "FAIL: the guest wrote 2 to the test-exit port" in got.stdout, got.stdout, got.stderr)
    refused("an image that wants a video mode", file_with("video", elf(machine=3, bits=32, payload=multiboot(flags=4))),
            "--mode", "multiboot", says="flags 0x4")
    refused("an image without a header", HELLO, "--mode", "multiboot", says="no Multiboot header")
    refused("a checksum that is wrong", file_with("sum", elf(machine=3, bits=32, payload=multiboot()[:-1] + b"\0")),
            "--mode", "multiboot", says="no Multiboot header")


def a_truncated_elf_file_is_refused_at_every_length():
    whole = open(HELLO, "rb").read()
    headers = 64 + 56 * 4
    for length in sorted({1, 4, 16, 52, 63, 64, 65, 100, headers, len(whole) // 16, len(whole) // 8}):
        refused(f"{length} bytes", file_with("short.elf", whole[:length]))


def a_truncated_kernel_is_refused_at_a_hundred_lengths():
    kernel = os.environ.get("BOOTRACE_KERNEL")
    if not kernel:
        raise Skip("BOOTRACE_KERNEL is not set")
    whole = open(kernel, "rb").read()
    start = (whole[0x1f1] + 1) * 512 + struct.unpack_from("<I", whole, 0x248)[0]
    end = start + struct.unpack_from("<I", whole, 0x24c)[0]
    lengths = [1 + i * 37 for i in range(30)] + [start - 1, start, start + 1, end - 5, end - 100]
    lengths += [start + (end - start) * (i + 1) // 66 for i in range(65)]
    for length in lengths:
        refused(f"{length} bytes of {len(whole)}", file_with("short", whole[:length]))


def an_unknown_payload_compression_is_refused():
    kernel = os.environ.get("BOOTRACE_KERNEL")
    if not kernel:
        raise Skip("BOOTRACE_KERNEL is not set")
    whole = bytearray(open(kernel, "rb").read())
    start = (whole[0x1f1] + 1) * 512 + struct.unpack_from("<I", whole, 0x248)[0]
    whole[start:start + 8] = b"\xde\xad\xbe\xefwhat"
    refused("compression", file_with("strange", whole), says="(?i)compress|pack|payload")


def memory_that_is_no_size_or_too_small_is_refused():
    for size in ("0", "4M", "x", "", "-1", "512MM", "99999999999G", "17000001", "1e9"):
        refused(f"--memory {size!r}", HELLO, "--memory", size, says="memory")
    refused("memory that is no whole pages", HELLO, "--memory", "300001K", says="a multiple of 4K: '300001K' is not")


def an_initrd_that_can_not_be_loaded_is_refused():
    refused("missing", HELLO, "--initrd", os.path.join(folder.name, "nowhere"), says="No such file")
    refused("folder", HELLO, "--initrd", folder.name)
    refused("empty", HELLO, "--initrd", file_with("empty", b""), says="empty")
    large = os.path.join(folder.name, "large")
    with open(large, "wb") as f:
        f.truncate(40 << 20)
    refused("larger than memory", HELLO, "--memory", "32M", "--initrd", large, says="memory")
    with open(large, "wb") as f:
        f.truncate(32 << 20)
    refused("as large as memory", HELLO, "--memory", "32M", "--initrd", large, says="(?i)memory|room|fit")


def numbers_out_of_range_are_refused():
    for vcpus in ("0", "5000", "65", "-1", "two", "", "1.5", "99999999999999999999"):
        refused(f"--vcpus {vcpus!r}", HELLO, "--vcpus", vcpus, says="vCPUs")
    for version in ("4.0", "4", "3.4", "4.17.1", "new", "99.1", "4.4294967313", "-4294967292.17", " 4.17"):
        refused(f"--xen {version}", HELLO, "--xen", version, says="4\\.")
    for steps in ("0", "-5", "many"):
        refused(f"--steps-max {steps}", HELLO, "--steps-max", steps, says="steps")
    refused("--mode", HELLO, "--mode", "warp", says="warp")


def a_console_file_that_can_not_be_written_is_refused():
    refused("no folder", HELLO, "--console", os.path.join(folder.name, "no", "where"), says="can't be written")
    refused("a folder", HELLO, "--console", folder.name, says="can't be written")


def what_can_not_be_written_at_the_end_is_refused_at_the_start():
    for option in (("--record",), ("--snapshot-at", "5")):
        refused("no folder", HELLO, *option, os.path.join(folder.name, "no", "where"), says="can't be written")
        refused("a folder", HELLO, *option, folder.name, says="can't be written")
        refused("a device", HELLO, *option, "/dev/null", says="not a regular file")
    path = os.path.join(folder.name, "untouched")
    refused("another mistake", HELLO, "--record", path, "--until", "no_such_symbol_anywhere")
    expect(not os.path.exists(path), "an empty file is left")


def a_full_disk_is_no_success():
    for options in (("--console", "/dev/full"), ("--calls", "/dev/full")):
        got = run("boot", HELLO, *options)
        expect(got.returncode == 5 and "/dev/full: not all of it could be written" in got.stderr, options, got.stderr)
    for arguments in (("boot", HELLO), ("boot", HELLO, "--json"), ("operations",)):
        with open("/dev/full", "w", encoding="ascii") as full:
            got = subprocess.run([BOOTRACE, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        expect(got.returncode == 5 and "standard output: not all of it could be written" in got.stderr, arguments, got.stderr)


def bad_places_to_stop_at_are_refused():
    for step in ("-3", "99999999999999999999999", "12x"):
        refused(f"step {step}", HELLO, f"--until={step}", says="step")
    refused("no such symbol", HELLO, "--until", "no_such_symbol_anywhere", says="symbol")
    refused("bad expression", HELLO, "--until", "console:[", says="console:")


def unknown_options_and_missing_arguments_are_refused():
    refused("bad option", HELLO, "--frobnicate", hint_lines=1)
    refused("no argument", hint_lines=1, says="IMAGE")
    refused("two images", HELLO, SMP, hint_lines=1)
    refused("two things on standard output", HELLO, "--json", "--digest", hint_lines=1, says="digest")
    refused("option without value", HELLO, "--vcpus", hint_lines=1)
    for arguments in ((), ("frobnicate",)):
        got = run(*arguments)
        expect(got.returncode == 2 and not got.stdout and got.stderr, arguments, got.returncode)


def help_and_version_are_no_errors():
    got = run("boot", "--help")
    expect(got.returncode == 0 and not got.stderr, got.returncode, got.stderr)
    for word in ("--kernel", "--initrd", "--cmdline", "--vcpus", "--online", "--hotplug", "--memory", "--mode", "--xen", "--until", "--steps-max",
                 "--digest", "--json", "--console", "--calls", "Exit status", "130"):
        expect(word in got.stdout, "--help does not say", word)
    got = run("--help")
    expect(got.returncode == 0 and "boot" in got.stdout, got.stdout)
    got = run("--version")
    expect(got.returncode == 0 and re.fullmatch(r"bootrace \d+\.\d+\.\d+\n", got.stdout), got.stdout)


def a_guest_that_passes_is_status_0_and_its_console_is_shown():
    got = run("boot", HELLO, "--cmdline", "one two")
    expect(got.returncode == 0, got.returncode, got.stdout, got.stderr)
    expect("hello from a 64-bit guest" in got.stdout and "one two" in got.stdout, got.stdout)
    expect(re.search(r"^PASS: ", got.stdout, flags=re.M), got.stdout)


def json_ends_with_one_object_that_tells_all():
    for guest, extra, status, verdict in ((HELLO, (), 0, "PASS"), (SMP, ("--steps-max", "1000"), 4, "BUDGET")):
        got = run("boot", guest, "--json", "--vcpus", "3", *extra)
        expect(got.returncode == status, got.returncode, got.stderr)
        told = json.loads(got.stdout)
        for key, kind in (("verdict", str), ("digest", str), ("steps", int), ("virtual_ns", int), ("host_s", float),
                          ("vcpus", int)):
            expect(isinstance(told.get(key), kind), key, told)
        expect(told["verdict"] == verdict and told["vcpus"] == 3, told)
        expect(re.fullmatch("[0-9a-f]{16}", told["digest"]), told)
        expect(guest != SMP or told["steps"] == 1000, told)


def json_and_the_log_count_the_guests_hypercalls():
    path = os.path.join(folder.name, "calls")
    told = json.loads(run("boot", SMP, "--json", "--vcpus", "2", "--calls", path).stdout)
    with open(path, encoding="ascii") as f:
        log = f.read()
    expect(told["operations"].get("sched_op(shutdown)") == 1, told["operations"])
    for name, count in told["operations"].items():
        expect(log.count(f": {name} = ") == count, name, count, "calls by --json, not so many in", log)
    refused("calls", SMP, "--calls", os.path.join(folder.name, "nowhere", "calls"), says="No such file")


def hotplug_scripts_are_checked_and_their_places_told():
    for line, says in (("10 plug", "STEPS plug VCPU"), ("plug 1", "STEPS plug VCPU"), ("-5 plug 1", "STEPS plug VCPU"),
                       ("5 plug 1 2", "STEPS plug VCPU"), ("5 plug 4294967297", "from 1 to"), ("18446744073709551617 plug 1", "STEPS plug VCPU"),
                       ("5 plug1", "STEPS plug VCPU"), ("5plug 1", "STEPS plug VCPU"), ("5 insert 1", "STEPS plug VCPU"), ("5 plug 0", "from 1 to"),
                       ("5 unplug 64", "from 1 to"), ("1000 unplug 2 # late\n999 plug 2", ":3: .*before the line above"),
                       ("x" * 300, "too long")):
        path = file_with("hotplug", f"# a comment\n{line}\n".encode())
        refused(line, SMP, "--hotplug", path, says=says)
        refused(line, SMP, "--hotplug", path, says=re.escape(path) + ":")
    refused("missing script", SMP, "--hotplug", os.path.join(folder.name, "nowhere"), says="No such file")
    refused("more than there are", SMP, "--vcpus", "2", "--online", "3", says="--vcpus 3")
    for script, says in ((b"1000 unplug 2\n1000 unplug 2\n", ":2: .*offline already"), (b"1000 unplug 3\n", ":1: .*vCPU 3"),
                         (b"99999999999 unplug 2\n", ":1: .*has ended")):
        got = run("boot", SMP, "--vcpus", "3", "--hotplug", file_with("hotplug", script))
        expect(got.returncode == 2 and re.search(says, got.stderr), script, got.returncode, got.stderr)


def a_recorded_hotplug_is_replayed():
    record = os.path.join(folder.name, "hotplug.yaml")
    script = file_with("hotplug", b"2000 unplug 2 # while it runs\n3001 plug 2\n3001 plug 1\n")
    first = run("boot", SMP, "--vcpus", "3", "--online", "3", "--hotplug", script, "--record", record, "--digest")
    expect(first.returncode == 2 and "already" in first.stderr, first.stderr)
    script = file_with("hotplug", b"2000 unplug 2\n3001 plug 2\n")
    first = run("boot", SMP, "--vcpus", "3", "--online", "3", "--hotplug", script, "--record", record, "--digest")
    with open(record, encoding="ascii") as f:
        text = f.read()
    expect(first.returncode == 0 and " unplug 2" in text and " plug 2" in text, first.returncode, first.stderr, text)
    got = run("replay", record)
    expect(got.returncode == 0, got.returncode, got.stdout, got.stderr, text)
    script = file_with("hotplug", b"2000 unplug 2\n")
    other = run("boot", SMP, "--vcpus", "3", "--hotplug", script, "--digest")
    expect(other.returncode == 0 and other.stdout != first.stdout, "unplugging changes nothing")


def the_digest_alone_is_the_digest_of_json_and_the_same_again():
    a, b = run("boot", SMP, "--digest"), run("boot", SMP, "--digest")
    told = json.loads(run("boot", SMP, "--json").stdout)
    expect(a.returncode == 0 and re.fullmatch("[0-9a-f]{16}\n", a.stdout), a.stdout, a.stderr)
    expect(a.stdout == b.stdout and a.stdout.strip() == told["digest"], a.stdout, b.stdout, told)
    other = run("boot", SMP, "--digest", "--vcpus", "3")
    expect(other.stdout != a.stdout, "2 and 3 vCPUs have one digest")


def a_run_until_a_place_stops_there():
    told = json.loads(run("boot", HELLO, "--json", "--until", "777").stdout)
    expect(told["verdict"] == "PASS" and told["steps"] == 777, told)
    told = json.loads(run("boot", HELLO, "--json", "--until", "guest_main").stdout)
    whole = json.loads(run("boot", HELLO, "--json").stdout)
    expect(told["verdict"] == "PASS" and 0 < told["steps"] < whole["steps"], told, whole)
    got = run("boot", HELLO, "--json", "--until", "console:hello from a [0-9]+-bit")
    told = json.loads(got.stdout)
    expect(told["verdict"] == "PASS" and told["steps"] < whole["steps"], told, whole)
    expect("command line" not in got.stderr, got.stderr)


def a_budget_is_status_4():
    got = run("boot", HELLO, "--steps-max", "500")
    expect(got.returncode == 4 and "BUDGET" in got.stdout and "vCPU 0" in got.stdout, got.returncode, got.stdout)


def the_registers_shown_are_those_that_the_vcpu_has():
    for image, steps, names, digits in ((HELLO32, 500, "eax ecx edx ebx esp ebp esi edi", 8),
                                        (HELLO, 28000, "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15", 16)):
        out = run("boot", image, "--steps-max", str(steps), "--vcpus", "1").stdout
        shown = re.findall(r"^   (?=.{3} [0-9a-f]{8})(.*)$", out, flags=re.M)
        registers = re.findall(r"(\w+) +([0-9a-f]+)", " ".join(shown))
        expect(" ".join(name for name, _ in registers) == names and all(len(value) == digits for _, value in registers),
               image, out)
        expect(re.search(rf"^   {names[0]}ip .*  {names[0]}flags 0x", out, flags=re.M), out)


def the_console_goes_to_its_file():
    path = os.path.join(folder.name, "console.txt")
    got = run("boot", HELLO, "--console", path)
    expect(got.returncode == 0 and "hello from" not in got.stdout, got.stdout)
    expect("hello from a 64-bit guest\n" in open(path).read(), path)


def endless_guest():
    """hello, made to wait at guest_main for ever: JMP to itself, with the flags read so that its state changes not."""
    table = tap.run("nm", HELLO, check=True).stdout
    address = int(re.search(r"^([0-9a-f]+) T guest_main$", table, flags=re.M).group(1), 16)
    image = bytearray(open(HELLO, "rb").read())
    offset, count = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
    for i in range(count):
        kind, _, at, start, _, size = struct.unpack_from("<IIQQQQ", image, offset + 56 * i)
        if kind == 1 and start <= address < start + size:
            # 1: inc rax; jmp 1b - the state never repeats, so it is no hang that could be proved
            image[at + address - start:at + address - start + 5] = b"\x48\xff\xc0\xeb\xfb"
            return file_with("endless.elf", image)
    raise AssertionError("guest_main is in no segment")


def an_interrupt_ends_the_run_with_the_state_so_far():
    image = endless_guest()
    for number in (signal.SIGINT, signal.SIGTERM):
        path = os.path.join(folder.name, "console-" + number.name)
        process = subprocess.Popen([BOOTRACE, "boot", image, "--json", "--steps-max", SPIN_STEPS, "--console", path],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            process.communicate(timeout=4)
            raise AssertionError(f"it ended by itself: {process.returncode}")
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        out, err = process.communicate(timeout=tap.TIMEOUT_S)
        expect(process.returncode == 130, number.name, "- status", process.returncode, err)
        told = json.loads(out)
        expect(told["verdict"] == "INTERRUPTED" and told["steps"] > 1000, told)
        expect("vCPU 0" in err and "guest_main" in err, err)


def the_cpu_engine_takes_its_time_from_the_program():
    got = tap.run(BOOTRACE, "boot", HELLO, env=os.environ | {"LD_DEBUG": "bindings", "LD_BIND_NOW": "1"})
    bound = re.findall(r"binding file \S*/libunicorn\S* \[\d+\] to (\S+) \[\d+\]: normal symbol `gettimeofday'", got.stderr)
    if "binding file" not in got.stderr or "libunicorn" not in got.stderr:
        raise Skip("the loader does not tell, or Unicorn is no shared library")
    expect([os.path.basename(b) for b in bound] == ["bootrace"], "gettimeofday() of libunicorn is bound to", bound)


def what_is_no_text_is_refused_and_never_lost_from_a_case():
    for command in (("boot", HELLO), ("fuzz", HELLO, "--window", "guest_main"), ("replay",), ("corpus", "run")):
        got = run(*command, "--cmdline", b"name=caf\xe9")
        expect(got.returncode == 2 and "is not UTF-8 text" in got.stderr and "caf\\xe9" in got.stderr, command, got.stderr)
    # Nor is the name of a folder that nobody typed.
    inside = os.path.join(os.fsencode(folder.name), b"caf\xe9")
    os.makedirs(inside)
    shutil.copy(HELLO, os.path.join(inside, b"hello64.elf"))
    case = os.path.join(folder.name, "no-text.yaml")
    for command in (("boot", "hello64.elf", "--record", case),
                    ("fuzz", "hello64.elf", "--vcpus", "1", "--window", "guest_main+100", "--inject", "nmi", "--out", folder.name)):
        got = tap.run(BOOTRACE, *command, cwd=inside)
        expect(got.returncode == 2 and "the path from the case" in got.stderr and "is not UTF-8 text" in got.stderr,
               command, got.returncode, got.stderr)
    expect(not os.path.exists(case), "a case was written")
    got = tap.run(BOOTRACE, "boot", "hello64.elf", "--vcpus", "1", "--record", "beside.yaml", cwd=inside)
    expect(got.returncode == 0, got.stderr)
    with open(os.path.join(inside, b"beside.yaml"), encoding="utf-8") as f:
        expect("kernel: hello64.elf" in f.read(), "the kernel is in the case")


def checksum(content):
    value = 0x811c9dc5
    for byte in content:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return f"{value:08x}"


def modules_are_listed_in_order():
    one, two, initrd = (file_with("one", b"1" * 4097), file_with("two", b"two"), file_with("initrd", b"i" * 10))
    for guest in ("modules32", "modules64"):
        image = os.path.join(GUESTS, guest + ".elf")
        got = run("boot", image, "--initrd", initrd, "--module", one + ",root=/dev/x, quiet", "--module", two,
                  "--cmdline", "main", "--memory", "16M")
        for line in ("3 modules; command line: main",
                     f"module 0: +0x0, 10 bytes, checksum {checksum(b'i' * 10)}, no command line",
                     f"module 1: +0x0, 4097 bytes, checksum {checksum(b'1' * 4097)}, root=/dev/x, quiet",
                     f"module 2: +0x0, 3 bytes, checksum {checksum(b'two')}, no command line"):
            expect(line in got.stdout, got.stdout, got.stderr)
        expect("0 modules;" in run("boot", image, "--memory", "16M").stdout, "no module is listed where none is given")
    case = os.path.join(folder.name, "modules.yaml")
    got = run("boot", image, "--memory", "16M", "--module", one + ",root=/dev/x", "--record", case)
    again = tap.run(BOOTRACE, "replay", case)
    expect("checksum " + checksum(b"1" * 4097) + ", root=/dev/x" in again.stdout, again.stdout, again.stderr)
    expect(got.stdout.split("digest ")[1][:16] == again.stdout.split("digest ")[1][:16], "the replay is the same run")


def modules_that_can_not_be_are_refused():
    image = os.path.join(GUESTS, "modules64.elf")
    small = file_with("small", b"x")
    refused("a module that is not there", image, "--module", "/nowhere", says="/nowhere: can't be opened")
    refused("an empty module", image, "--module", file_with("empty-module", b""), says="the module is empty")
    refused("too many modules", image, *(9 * ("--module", small)), says="more than 8 modules", hint_lines=1)
    refused("modules of an HVM guest", image, "--mode", "hvm", "--module", small, says="--module is for PVH guests")
    refused("modules larger than memory", image, "--memory", "16M", "--module", file_with("large", b"x" * (15 << 20)),
            says="give --memory at least")


def a_pv_kernel_needs_a_xen():
    refused("a free-standing guest as PV kernel", HELLO, "--mode", "pv", says="can't be booted as a PV guest")
    refused("a Xen in another mode", HELLO, "--xen-image", HELLO, says="are for --mode pv")
    refused("an unknown mode", HELLO, "--mode", "pvx", says="the mode is pvh, hvm, pv, dom0 or multiboot, not 'pvx'")
    kernel = os.environ.get("BOOTRACE_KERNEL")
    if not kernel:
        raise Skip("BOOTRACE_KERNEL names no kernel")
    refused("a Xen that is not there", kernel, "--mode", "pv", "--xen-image", "/nowhere", says="/nowhere: can't be opened")
    refused("a Xen that is a kernel", kernel, "--mode", "pv", "--xen-image", kernel, says="is a Linux kernel")
    refused("an ELF file that is no Xen", kernel, "--mode", "pv", "--xen-image", file_with("plain.elf", elf()),
            says="is no Xen; --mode pv needs one there")


TESTS = (
    a_vmlinux_without_debug_data_still_has_its_symbols,
    an_empty_file_is_refused,
    what_is_no_image_is_refused,
    kernels_of_other_processors_are_refused,
    an_elf_file_without_a_xen_note_is_refused,
    an_elf_file_without_a_xen_note_starts_as_linux_in_mode_hvm,
    a_multiboot_image_ends_by_the_test_exit_port,
    a_truncated_elf_file_is_refused_at_every_length,
    a_truncated_kernel_is_refused_at_a_hundred_lengths,
    an_unknown_payload_compression_is_refused,
    memory_that_is_no_size_or_too_small_is_refused,
    an_initrd_that_can_not_be_loaded_is_refused,
    numbers_out_of_range_are_refused,
    a_console_file_that_can_not_be_written_is_refused,
    what_can_not_be_written_at_the_end_is_refused_at_the_start,
    a_full_disk_is_no_success,
    what_is_no_text_is_refused_and_never_lost_from_a_case,
    bad_places_to_stop_at_are_refused,
    unknown_options_and_missing_arguments_are_refused,
    help_and_version_are_no_errors,
    a_guest_that_passes_is_status_0_and_its_console_is_shown,
    json_ends_with_one_object_that_tells_all,
    json_and_the_log_count_the_guests_hypercalls,
    hotplug_scripts_are_checked_and_their_places_told,
    a_recorded_hotplug_is_replayed,
    the_digest_alone_is_the_digest_of_json_and_the_same_again,
    a_run_until_a_place_stops_there,
    a_budget_is_status_4,
    the_registers_shown_are_those_that_the_vcpu_has,
    the_console_goes_to_its_file,
    an_interrupt_ends_the_run_with_the_state_so_far,
    the_cpu_engine_takes_its_time_from_the_program,
    modules_are_listed_in_order, modules_that_can_not_be_are_refused, a_pv_kernel_needs_a_xen,
)

run_tests(TESTS)
