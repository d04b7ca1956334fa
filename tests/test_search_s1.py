#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The search finds the race of 2006 in the guest s1, and nothing in its repaired variants; and the pruned search says
exactly what the search of every boundary says. Speaks TAP. Arguments: the program, the guest."""
import json
import sys

from tap import done, point, run

program, guest = sys.argv[1:3]


def search(variant, source="timer", more=(), window="alternative_instructions", words="memcpy=byte"):
    """The report of one search."""
    command = [program, "fuzz", guest, "--mode", "hvm", "--vcpus", "1", "--memory", "32M", "--json",
               "--cmdline", f"variant={variant} {words} delay=200 after=200", "--window", window,
               "--inject", source, *more]
    got = run(*command)
    report = json.loads(got.stdout)
    report["status"] = got.returncode
    report["boundaries_failing"] = {b for c in report["cases"] for b in range(c["first"], c["last"] + 1)}
    return report


def kind(reason):
    """How a torn state ends, told by what follows it. A loop may be proved a hang before the search gives it up."""
    end = reason.partition("; then ")[2]
    return (end.split(",")[0] if end.startswith("#") else
            "loop" if end.startswith(("it does not return", "all that the guest uses repeats")) else
            "registers" if end.startswith("it returns, and wrong_registers") else
            "memory" if end.startswith("it returns, and wrong_memory") else end)


# S1.1, for every site: what an interrupt does that comes after so many bytes were written (by bytes that differ). What
# is not here is right. `registers` and `memory` are silent: the handler returns, and only the guest's own counters, which
# are declared to stay the same, show it.
BARRIER = {1: "#PF", 2: "#GP", 3: "registers", 4: "memory"}
SPIN_LOCK = {1: "#UD", 2: "loop", 4: "loop", 5: "loop", 6: "loop", 7: "#PF", 8: "loop", 9: "loop", 10: "#UD",
             11: "registers", 12: "registers"}
VERDICTS = {
    "site_mb": BARRIER,
    "site_mb2": {1: "#PF", 2: "#PF", 3: "registers", 4: "#PF"},
    "site_rmb": BARRIER,
    "site_wmb": BARRIER | {2: "#PF"},
    "site_prefetch": {1: "registers", 2: "registers", 3: "registers"},
    "site_prefetch2": {1: "#PF", 2: "#PF", 3: "#PF"},
    "site_spin_lock": SPIN_LOCK,
    "site_spin_lock2": SPIN_LOCK,
    "site_read_lock": {1: "#PF", 2: "memory", 3: "memory", 5: "loop", 6: "registers", 7: "registers"},
    "site_write_lock": {1: "#PF", 2: "#PF", 3: "#PF", 4: "#PF", 6: "registers", 7: "registers", 8: "registers"},
}
SAME = ("--same", "wrong_registers,wrong_memory")

buggy = search("buggy", more=SAME)
point("the 2006 code has failing boundaries", buggy["failing"] > 0 and buggy["complete"] and buggy["status"] == 1, buggy)
table = {}
for c in buggy["cases"]:
    table.setdefault(c["at"].split("+")[0], {})[int(c["reason"].split()[2])] = kind(c["reason"])
for site in sorted(VERDICTS | table):
    print(f"# {site}:", ", ".join(f"{w} {k}" for w, k in sorted(table.get(site, {}).items())))
    point(f"the verdicts of {site}, by bytes written", table.get(site) == VERDICTS.get(site), table.get(site))
point("sites of a LOCK prefix alone, and those that never run, are never wrong", set(table) == set(VERDICTS), set(table))
window = buggy["sources"][0]["window"]
point("the window says who changes code, and where interrupts are taken",
      [w["function"] for w in window["writers"]] == ["patch_copy_byte"] and window["code_bytes"] == 96 and
      window["open"] + window["closed"] == window["steps"] == buggy["boundaries"], window)
for variant in ("fixed2006", "fixed-nmi", "buffered", "int3", "no-replacement"):
    r = search(variant, more=SAME)
    point(f"variant {variant} has none under the timer", r["failing"] == 0 and r["complete"] and r["status"] == 0, r)
for words in ("memcpy=movsb", "memcpy=movsl"):
    r = search("buggy", words=words)
    torn = {c["detector"] for c in r["cases"]}
    point(f"{words}: torn code is found", r["failing"] > 0 and "torn-code" in torn, torn)
mb = "memcpy=byte nmi=mb"
for variant, count in (("buggy", 4), ("fixed2006", 4), ("fixed-nmi", 0), ("int3", 0)):
    r = search(variant, source="nmi", words=mb)
    written = {c["reason"].split()[2] for c in r["cases"] if c["detector"] == "torn-code"}
    point(f"variant {variant} fails under an NMI that executes mb() after {count} different bytes",
          len(written) == count and r["complete"] and (r["failing"] > 0) == (count > 0), written, r["failing"])
# By what holds the NMIs off, in the window and around it: the patching itself runs in an NMI, or their source is stopped.
for hold in ("self", "source"):
    r = search("fixed-nmi", source="timer,nmi", window="calibrate_delay+6000",
               words=f"memcpy=byte nmi=mb+mb2+spin_lock nmihold={hold}", more=SAME)
    point(f"variant fixed-nmi, nmihold={hold}, has none under the timer and none under NMIs",
          r["failing"] == 0 and r["complete"] and len(r["sources"]) == 2 and all(s["runs"] for s in r["sources"]), r)
# The tick by another way: an edge on its line, its vector from nowhere or at the local APIC; and a line that is masked.
for source, words in (("irq:0", "memcpy=byte"), ("vector:0x20", "memcpy=byte tick=lapic period=1000000"),
                      ("ipi:0x20", "memcpy=byte tick=lapic period=1000000")):
    r = search("buggy", source=source, words=words)
    point(f"{source} fails where the timer does", r["failing"] == buggy["failing"] and r["complete"], r["failing"])
r = search("buggy", source="irq:5")
point("a masked line is taken nowhere", r["failing"] == r["runs"] == 0 and r["complete"], r)
part = ("--window-steps-max", "900")
point("irq:0, pruned and unpruned, fails at the same boundaries",
      search("buggy", source="irq:0", more=part)["boundaries_failing"] ==
      search("buggy", source="irq:0", more=(*part, "--every-boundary"))["boundaries_failing"] != set())
first = min(buggy["boundaries_failing"])
part = search("buggy", more=SAME, window=f"0:{first - 100}-0:{first + 500}")
point("a window between two positions has the failing boundaries of its part",
      part["boundaries_failing"] == {b for b in buggy["boundaries_failing"] if b < first + 500} and
      part["boundaries"] == 600, part["boundaries"])
again = search("buggy", more=SAME)
point("a second search says the same", again["boundaries_failing"] == buggy["boundaries_failing"] and
      again["runs"] == buggy["runs"], again["runs"], buggy["runs"])
small = ("--window-steps-max", "700")
pruned = search("buggy", more=(*SAME, *small))
every = search("buggy", more=(*SAME, *small, "--every-boundary"))
point("pruned and unpruned fail at the same boundaries",
      pruned["boundaries_failing"] == every["boundaries_failing"] and pruned["boundaries"] == every["boundaries"],
      sorted(pruned["boundaries_failing"] ^ every["boundaries_failing"]))
point("and the pruned search runs the handler less often", pruned["runs"] < every["runs"], pruned["runs"], every["runs"])
done()
