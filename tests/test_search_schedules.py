#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The strategies that make whole runs, on the free-standing guests: they find what is broken, minimise it to a case that
replays, and find nothing in the repaired twin. Arguments: the program, the folder of the guests. Speaks TAP."""
import json
import os
import sys
import tempfile

from tap import done, point, run

program, guests = sys.argv[1:3]


def fuzz(guest, cmdline, *options):
    got = run(program, "fuzz", os.path.join(guests, guest), "--cmdline", cmdline, "--json", *options)
    return got.returncode, json.loads(got.stdout) if got.returncode in (0, 1, 4) else {"error": got.stderr}


def decisions(case):
    return [line for line in case["schedule"].splitlines() if not line.endswith(" mark")]


out = tempfile.mkdtemp()
S1 = ("--mode", "hvm", "--vcpus", "1", "--window", "alternative_instructions")
BUGGY = "variant=buggy memcpy=byte delay=200 after=200"
FIXED = "variant=fixed2006 memcpy=byte delay=200 after=200"

for options, says in ((("--runs", "5"), "--runs is for"), (("--jobs", "2", "--strategy", "pct"), "--jobs is for"),
                      (("--shard", "1/2", "--strategy", "random"), "--shard is for"),
                      (("--window", "0:5-0:3"), "the first before the last")):
    status, r = fuzz("s1.elf", BUGGY, *S1, *options)
    point(f"{' '.join(options)} is refused", "error" in r and status == 2 and says in r["error"], status, r)
for strategy in ("random", "pct"):
    status, r = fuzz("s1.elf", BUGGY, *S1, "--strategy", strategy, "--runs", "60", "--out", out)
    point(f"{strategy} finds the race of 2006", status == 1 and r["failing"] > 0, r)
    point(f"{strategy}: one decision is enough",
          all(len(decisions(c)) == 1 for c in r.get("cases", [{"schedule": ""}])), r.get("cases"))
    status, again = fuzz("s1.elf", BUGGY, *S1, "--strategy", strategy, "--runs", "60", "--out", out)
    point(f"{strategy}: the same seed finds the same",
          again.get("failing") == r.get("failing") and again["cases"] == r["cases"])
    status, r = fuzz("s1.elf", FIXED, *S1, "--strategy", strategy, "--runs", "60")
    point(f"{strategy} finds nothing in the repaired twin", status == 0 and r["failing"] == 0, r)

PREEMPT = ("--vcpus", "2", "--window", "work+20000", "--strategy", "preempt")
status, r = fuzz("s0-64.elf", "order=late-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "0")
point("class B needs a preemption", status == 0 and r["failing"] == 0 and r["exhausted"], r)
status, r = fuzz("s0-64.elf", "order=late-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "1", "--out", out)
point("class B is found with one preemption, and all are run", status == 1 and r["failing"] > 0 and r["exhausted"], r)
point("class B: one preemption is enough, and the hang is proved",
      r.get("cases") and all(len(decisions(c)) == 1 and c["detector"] == "hang" for c in r["cases"]), r.get("cases"))
status, r = fuzz("s0-64.elf", "order=early-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "1")
point("ticket locks set before patching pass the same search", status == 0 and r["failing"] == 0 and r["exhausted"], r)

# PCT runs whoever is highest, also when a lower one has just woken it: this bug is not found otherwise.
NESTED = ("--vcpus", "2", "--memory", "32M", "--window", "slow_enter+12000", "--inject", "nothing", "--strategy", "pct",
          "--depth", "2", "--run-steps-max", "3000000")
status, r = fuzz("r-locks.elf", "bug=nested", *NESTED, "--runs", "100", "--out", out)
point("pct finds the waiter that an interrupt's handler makes forgotten",
      status == 1 and r["failing"] > 0 and {c["detector"] for c in r["cases"]} == {"hang"}, r)
status, r = fuzz("r-locks.elf", "bug=nested fixed=1", *NESTED, "--runs", "100")
point("pct finds nothing where it is remembered", status == 0 and r["failing"] == 0, r)

# Events raised for a vCPU while it is brought up: seed S4's orders with and without a window in which Xen drops them.
BRING_UP = ("--vcpus", "2", "--memory", "32M", "--detect", "lost-event", "--window", "step+30000", "--strategy", "random",
            "--inject", ",".join(f"event:{port}" for port in range(1, 9)), "--depth", "8", "--runs", "200",
            "--run-steps-max", "10000000")
status, r = fuzz("s4-64.elf", "order=PVBIEU id=madt", *BRING_UP, "--out", out)
point("an event that comes before its vCPU's queue is found, and named by the detector",
      status == 1 and r["failing"] > 0 and {c["detector"] for c in r["cases"]} == {"lost-event"}, r)
point("one event is enough", all(len(decisions(c)) == 1 for c in r.get("cases", [{"schedule": ""}])), r)
status, r = fuzz("s4-64.elf", "order=PVIBEU id=madt", *BRING_UP)
point("the order without that window loses none", status == 0 and r["failing"] == 0, r)

# What crashes nothing: an invariant that the guest declares is compared with the undisturbed run.
CR2 = ("--vcpus", "1", "--memory", "32M", "--window", "touch_all", "--inject", "nmi", "--strategy", "random", "--runs", "100")
COUNT = ("--vcpus", "2", "--memory", "32M", "--window", "count_up+400", "--strategy", "preempt", "--depth", "1")
for bug, same, options in (("cr2", "seen", CR2), ("count", "total", COUNT)):
    status, r = fuzz("r-silent.elf", f"bug={bug}", *options)
    point(f"r-silent, bug={bug}: nothing fails by itself", status == 0 and r["failing"] == 0, str(r)[:300])
    status, r = fuzz("r-silent.elf", f"bug={bug}", *options, "--same", same, "--out", out)
    point(f"r-silent, bug={bug}: but it diverges, and one decision is enough",
          status == 1 and {c["detector"] for c in r["cases"]} == {"divergence"} and
          all(len(decisions(c)) == 1 and c["reason"].startswith(f"divergence at the guest's end: {same}")
              for c in r["cases"]), str(r)[:300])
    status, r = fuzz("r-silent.elf", f"bug={bug} fixed=1", *options, "--same", same)
    point(f"r-silent, bug={bug}, repaired: nothing diverges", status == 0 and r["failing"] == 0, str(r)[:300])
for same, sentence in (("registers", "only the exhaustive search looks at"), ("nobody", "no symbol has this name"),
                       ("seen@guest_fail", "does not come to guest_fail")):
    status, r = fuzz("r-silent.elf", "bug=cr2", *CR2, "--same", same)
    point(f"--same {same} is refused", status == 2 and sentence in r["error"], str(r)[:300])

# Code that is changed under a running vCPU: the protocol of the breakpoint, with and without its first synchronisation.
CROSS = ("--vcpus", "2", "--memory", "32M", "--detect", "unsynchronised-code")
for strategy, depth, runs, window in (("random", "1", "40", "tail_next+60"), ("pct", "2", "40", "tail_next+60"),
                                      ("preempt", "1", "12", "patch_by_breakpoint"),
                                      # In this window only one vCPU runs by itself.
                                      ("preempt", "1", "60", "tail_next+60")):
    options = (*CROSS, "--strategy", strategy, "--depth", depth, "--runs", runs, "--window", window)
    status, r = fuzz("cross64.elf", "way=int3 skip=1", *options, "--failures", "1", "--out", out)
    point(f"{strategy} finds code that is executed unsynchronised",
          status == 1 and {c["detector"] for c in r["cases"]} == {"unsynchronised-code"}, r)
    point(f"{strategy}: one turn is enough", all(len(decisions(c)) == 1 for c in r.get("cases", [{"schedule": ""}])), r)
    status, r = fuzz("cross64.elf", "way=int3", *options)
    point(f"{strategy} finds nothing in the whole protocol", status in (0, 4) and r.get("failing") == 0, r)

# Every source of whole runs does something real: it finds the race of 2006, or is carried out where it is legal.
LAPIC = "variant=buggy memcpy=byte tick=lapic period=1000000 delay=200 after=200"
for source, cmdline in (("irq:0", BUGGY), ("pass:2000000", BUGGY), ("ipi:0x20", LAPIC), ("vector:0x20", LAPIC)):
    status, r = fuzz("s1.elf", cmdline, *S1, "--strategy", "random", "--runs", "40", "--inject", source)
    point(f"{source} finds the race of 2006", status == 1 and r["failing"] > 0 and r["refused"] == 0, str(r)[:300])
for source, guest, cmdline, options in (
        ("late:5000", "s1.elf", BUGGY, S1),
        ("upcall", "s4-64.elf", "order=PVIBEU id=madt", ("--vcpus", "2", "--window", "step+30000")),
        ("plug:2", "smp64.elf", "", ("--vcpus", "3", "--online", "2", "--window", "guest_main+3000")),
        ("unplug:2", "smp64.elf", "", ("--vcpus", "3", "--window", "guest_main+3000"))):
    status, r = fuzz(guest, cmdline, *options, "--memory", "32M", "--strategy", "random", "--runs", "40", "--inject", source)
    point(f"{source} is carried out, and harms nobody here",
          status == 0 and r["failing"] == 0 and r["decisions"] > r["refused"], str(r)[:300])

# Most edges are refused here: the lines are masked, or IF is clear. What is recorded replays nevertheless (below).
status, r = fuzz("s1.elf", BUGGY, "--mode", "hvm", "--vcpus", "1", "--window", "pic_init+20000", "--strategy", "random",
                 "--inject", "irq:0,irq:5", "--runs", "40", "--depth", "6", "--out", out)
point("a search in which most decisions are refused finds what it can replay",
      status == 1 and r["failing"] > 0 and r["refused"] > 100 * (r["decisions"] - r["refused"]), str(r)[:300])

# That nothing can be delivered is an answer: no timer is armed, a line is masked, interrupts are off or NMIs are blocked.
PVH = ("--vcpus", "1", "--window", "alternative_instructions+200")
OFF = ("--mode", "hvm", "--vcpus", "1", "--window", "patch_copy_byte")  # fixed2006 patches with interrupts off
IN_NMI = "variant=fixed-nmi memcpy=byte nmi=mb+mb2+spin_lock nmihold=self delay=200 after=200"
for source, cmdline, options, why in (
        ("timer", FIXED, PVH, "no timer is armed"),
        ("irq:0", FIXED, PVH, "this mode has no lines"),
        ("irq:5", BUGGY, ("--mode", "hvm", *PVH), "the line is masked"),
        ("timer", FIXED, OFF, "no boundary of the window takes interrupts"),
        ("irq:0", FIXED, OFF, "no boundary of the window takes interrupts"),
        ("ipi:0x20", FIXED, OFF, "no boundary of the window takes interrupts"),
        ("vector:0x20", FIXED, OFF, "no boundary of the window takes interrupts"),
        ("nmi", IN_NMI, OFF, "no boundary of the window takes an NMI")):
    got = run(program, "fuzz", os.path.join(guests, "s1.elf"), "--cmdline", cmdline, *options, "--inject", source)
    point(f"{source} that can't be delivered in {options[-1]} ({why}) is 0 failing, with the reason and a hint",
          got.returncode == 0 and "0 failing" in got.stdout and "nothing can be delivered in the window" in got.stdout and
          why in got.stdout and ("--inject" in got.stdout or "--window" in got.stdout), got.returncode, got.stdout, got.stderr)
point("the statement ends at the handler's return", "each run ends where the handler returns" in got.stdout, got.stdout)

cases = sorted(os.path.join(out, name) for name in os.listdir(out))
point("each failure is a file", len(cases) >= 3, cases)
for path in cases:
    got = run(program, "replay", path)
    point(f"{os.path.basename(path)} replays", "as the case expects" in got.stdout, got.stdout[-300:] + got.stderr[-300:])

done()
