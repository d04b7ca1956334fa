#!/usr/bin/env python3
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
    report["boundaries_failing"] = {b for s in report["sources"] for c in s["cases"]
                                    for b in range(c["first"], c["last"] + 1)}
    return report


buggy = search("buggy")
point("the 2006 code has failing boundaries", buggy["failing"] > 0 and buggy["complete"] and buggy["status"] == 1, buggy)
mb = [c for s in buggy["sources"] for c in s["cases"] if "at site_mb+" in c["reason"] or "f0 83 04 24 00 (old)" in c["reason"]]
written = {c["reason"].split()[2] for c in mb if c["detector"] == "torn-code"}
point("torn code: mb() fails after 1, 2, 3 and 4 of its 5 bytes", written == {"1", "2", "3", "4"}, written)
window = buggy["sources"][0]["window"]
point("the window says who changes code, and where interrupts are taken",
      [w["function"] for w in window["writers"]] == ["patch_copy_byte"] and window["code_bytes"] == 96 and
      window["open"] + window["closed"] == window["steps"] == buggy["boundaries"], window)
for variant in ("fixed2006", "buffered", "int3", "no-replacement"):
    r = search(variant)
    point(f"variant {variant} has none under the timer", r["failing"] == 0 and r["complete"] and r["status"] == 0, r)
for words in ("memcpy=movsb", "memcpy=movsl"):
    r = search("buggy", words=words)
    torn = {c["detector"] for s in r["sources"] for c in s["cases"]}
    point(f"{words}: torn code is found", r["failing"] > 0 and "torn-code" in torn, torn)
mb = "memcpy=byte nmi=mb"
for variant, count in (("buggy", 4), ("fixed2006", 4), ("fixed-nmi", 0), ("int3", 0)):
    r = search(variant, source="nmi", words=mb)
    written = {c["reason"].split()[2] for s in r["sources"] for c in s["cases"] if c["detector"] == "torn-code"}
    point(f"variant {variant} fails under an NMI that executes mb() after {count} different bytes",
          len(written) == count and r["complete"] and (r["failing"] > 0) == (count > 0), written, r["failing"])
first = min(buggy["boundaries_failing"])
part = search("buggy", window=f"0:{first - 100}-0:{first + 500}")
point("a window between two positions has the failing boundaries of its part",
      part["boundaries_failing"] == {b for b in buggy["boundaries_failing"] if b < first + 500} and
      part["boundaries"] == 600, part["boundaries"])
again = search("buggy")
point("a second search says the same", again["boundaries_failing"] == buggy["boundaries_failing"] and
      again["runs"] == buggy["runs"], again["runs"], buggy["runs"])
small = ("--window-steps-max", "700")
pruned = search("buggy", more=small)
every = search("buggy", more=(*small, "--every-boundary"))
point("pruned and unpruned fail at the same boundaries",
      pruned["boundaries_failing"] == every["boundaries_failing"] and pruned["boundaries"] == every["boundaries"],
      sorted(pruned["boundaries_failing"] ^ every["boundaries_failing"]))
point("and the pruned search runs the handler less often", pruned["runs"] < every["runs"], pruned["runs"], every["runs"])
done()
