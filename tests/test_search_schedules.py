#!/usr/bin/env python3
"""The strategies that make whole runs, on the free-standing guests: they find what is broken, minimise it to a case that
replays, and find nothing in the repaired twin. Arguments: the program, the folder of the guests. Speaks TAP."""
import json
import os
import subprocess
import sys
import tempfile

program, guests = sys.argv[1:3]
count = 0
failed = 0


def report(ok, what, why=""):
    global count, failed
    count += 1
    failed += not ok
    print(("ok" if ok else "not ok") + f" {count} {what}" + (f" # {why}" if why and not ok else ""), flush=True)


def fuzz(guest, cmdline, *options):
    run = subprocess.run([program, "fuzz", os.path.join(guests, guest), "--cmdline", cmdline, "--json", *options],
                         capture_output=True, text=True)
    if run.returncode not in (0, 1):
        return run.returncode, {"error": run.stderr}
    return run.returncode, json.loads(run.stdout)


def replay(path):
    return subprocess.run([program, "replay", path], capture_output=True, text=True)


def decisions(case):
    return [line for line in case["schedule"].splitlines() if not line.endswith(" mark")]


out = tempfile.mkdtemp()
S1 = ("--mode", "hvm", "--vcpus", "1", "--window", "alternative_instructions")
BUGGY = "variant=buggy memcpy=byte delay=200 after=200"
FIXED = "variant=fixed2006 memcpy=byte delay=200 after=200"

for strategy in ("random", "pct"):
    status, r = fuzz("s1.elf", BUGGY, *S1, "--strategy", strategy, "--runs", "60", "--out", out)
    report(status == 1 and r["failing"] > 0, f"{strategy} finds the race of 2006", str(r)[:300])
    report(all(len(decisions(c)) == 1 for c in r.get("cases", [{"schedule": ""}])),
           f"{strategy}: one decision is enough", str(r.get("cases")))
    status, again = fuzz("s1.elf", BUGGY, *S1, "--strategy", strategy, "--runs", "60", "--out", out)
    report(again.get("failing") == r.get("failing") and again["cases"] == r["cases"],
           f"{strategy}: the same seed finds the same")
    status, r = fuzz("s1.elf", FIXED, *S1, "--strategy", strategy, "--runs", "60")
    report(status == 0 and r["failing"] == 0, f"{strategy} finds nothing in the repaired twin", str(r)[:300])

PREEMPT = ("--vcpus", "2", "--window", "work+20000", "--strategy", "preempt")
status, r = fuzz("s0-64.elf", "order=late-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "0")
report(status == 0 and r["failing"] == 0 and r["exhausted"], "class B needs a preemption", str(r)[:300])
status, r = fuzz("s0-64.elf", "order=late-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "1", "--out", out)
report(status == 1 and r["failing"] > 0 and r["exhausted"], "class B is found with one preemption, and all are run",
       str(r)[:300])
report(r.get("cases") and all(len(decisions(c)) == 1 and c["detector"] == "hang" for c in r["cases"]),
       "class B: one preemption is enough, and the hang is proved", str(r.get("cases")))
status, r = fuzz("s0-64.elf", "order=early-ticketlock vcpus=2 spin=16", *PREEMPT, "--depth", "1")
report(status == 0 and r["failing"] == 0 and r["exhausted"], "ticket locks set before patching pass the same search",
       str(r)[:300])

# Events raised for a vCPU while it is brought up: seed S4's orders with and without a window in which Xen drops them.
BRING_UP = ("--vcpus", "2", "--memory", "32M", "--detect", "lost-event", "--window", "step+30000", "--strategy", "random",
            "--inject", ",".join(f"event:{port}" for port in range(1, 9)), "--depth", "8", "--runs", "200",
            "--run-steps-max", "10000000")
status, r = fuzz("s4-64.elf", "order=PVBIEU id=madt", *BRING_UP, "--out", out)
report(status == 1 and r["failing"] > 0 and {c["detector"] for c in r["cases"]} == {"lost-event"},
       "an event that comes before its vCPU's queue is found, and named by the detector", str(r)[:300])
report(all(len(decisions(c)) == 1 for c in r.get("cases", [{"schedule": ""}])), "one event is enough", str(r)[:300])
status, r = fuzz("s4-64.elf", "order=PVIBEU id=madt", *BRING_UP)
report(status == 0 and r["failing"] == 0, "the order without that window loses none", str(r)[:300])

cases = sorted(os.path.join(out, name) for name in os.listdir(out))
report(len(cases) >= 3, "each failure is a file", str(cases))
for path in cases:
    run = replay(path)
    report("as the case expects" in run.stdout, f"{os.path.basename(path)} replays",
           run.stdout[-300:] + run.stderr[-300:])

print(f"1..{count}")
sys.exit(1 if failed else 0)
