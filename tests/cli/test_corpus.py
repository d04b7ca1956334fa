#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases and the corpus as a user meets them: every broken file gets its sentence; a case that no longer fits its guest is
an error, not a pass; TAP, JUnit and SARIF say the same. Speaks TAP.

Usage: test_corpus.py BOOTRACE GUEST_FOLDER SOURCE_FOLDER
"""
import json
import os
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap
from tap import done, point, skip

BOOTRACE, GUESTS, SOURCE = sys.argv[1:4]
BOOTRACE = os.path.abspath(BOOTRACE)  # some commands run in another folder
BROKEN = os.path.join(SOURCE, "tests/cases_broken")
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")

HELLO = """title: A guest that says hello
prose:
  mechanism: None.
  source: None.
  falsified-by: Any other end.
guest:
  free-standing: hello64
machine:
  vcpus: 1
expect:
  verdict: PASS
  console: hello from a 64-bit guest
"""


def run(*arguments):
    return tap.run(BOOTRACE, *arguments, cwd=folder.name)


def write(name, text):
    path = os.path.join(folder.name, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


# ---- broken files ----
with open(os.path.join(BROKEN, "sentences"), encoding="utf-8") as f:
    sentences = dict(line.rstrip("\n").split("|", 1) for line in f if not line.startswith("#"))
files = {name[:-5] for name in os.listdir(BROKEN) if name.endswith(".yaml")}
point("there are at least 20 broken files, each with its sentence", files == set(sentences) and len(files) >= 20,
      files ^ set(sentences))
for name in sorted(files):
    path = os.path.join(BROKEN, name + ".yaml")
    got = run("replay", path)
    want = f"bootrace replay: {path}:{sentences.get(name)}\n"
    point(f"the broken file {name} gets its sentence", got.returncode == 2 and got.stderr == want and not got.stdout,
          got.returncode, got.stderr, want)
got = run("replay", os.path.join(folder.name, "nowhere.yaml"))
point("a file that is not there is one sentence", got.returncode == 2 and "nowhere.yaml: can't be opened: No such file"
      in got.stderr, got.stderr)

# ---- one case ----
hello = write("good/h1-hello.yaml", HELLO)
got = run("replay", hello)
point("a replay shows the console, the verdict, and that it is as expected",
      got.returncode == 0 and "hello from a 64-bit guest" in got.stdout and "\nPASS: " in got.stdout and
      "as the case expects: A guest that says hello" in got.stdout, got.returncode, got.stdout, got.stderr)
got = run("replay", "--json", "--quiet", hello)
report = json.loads(got.stdout)
point("--json says it for machines", report["expected"] and report["verdict"] == "PASS" and not got.stderr.strip()
      .startswith("hello"), got.stdout, got.stderr)
steps, digest = report["steps"], report["digest"]
exact = write("good/h1-exact.yaml", HELLO + f"  steps: {steps}\n  digest: '{digest}'\n")
point("a second run has the same steps and digest", run("replay", "--check", exact).returncode == 0)
for wrong in ("0,1,2x", "0,0,5", "5,1,0", "-1,1,5", "18446744073709551616,1,5"):
    got = run("replay", f"--digests={wrong}", exact)
    point(f"--digests={wrong} is refused", got.returncode == 2 and "takes three numbers" in got.stderr, got.stderr)
wrong = write("bad/h1-wrong.yaml", HELLO.replace("verdict: PASS", "verdict: FAIL") + "  detector: hang\n  steps: 7\n"
              "  place: guest_main\n  text: no such text\n")
got = run("replay", "--json", "--check", "--quiet", wrong)
differences = json.loads(got.stdout)["differences"]
point("every difference is said", got.returncode == 1 and len(differences) == 5 and any("not FAIL" in d for d in differences) and
      f"the number of steps is {steps}, not 7" in differences, got.stdout)
point("without --check the status is the run's", run("replay", "--quiet", wrong).returncode == 0)
got = run("replay", "--check", write("bad/h1-regex.yaml", HELLO.replace("hello from a", "goodbye from a")))
point("what the console does not say is a difference", got.returncode == 1 and "no line of the console matches" in got.stdout,
      got.stdout)

# ---- cases that no longer fit their guest ----
os.makedirs(os.path.join(folder.name, "misfit"))
shutil.copy(os.path.join(GUESTS, "hello64.elf"), os.path.join(folder.name, "misfit/kernel.elf"))
image = HELLO.replace("free-standing: hello64", "kernel: kernel.elf\n  image-xxh3: '{}'")
got = run("replay", "--check", write("misfit/h1-digest.yaml", image.format("0123456789abcdef")))
match = re.search(r"has the digest ([0-9a-f]{16}), and the case says 0123456789abcdef", got.stderr)
point("another image is an error that says both digests", got.returncode == 5 and match, got.returncode, got.stderr)
got = run("replay", "--check", write("good/h1-digest.yaml", image.format(match.group(1) if match else "").replace(
    "kernel.elf", "../misfit/kernel.elf")))
point("the image of the case is found relative to it, and its digest fits", got.returncode == 0, got.stdout, got.stderr)
search = """search:
  window: no_such_function
"""
got = run("replay", "--check", write("misfit/h1-window.yaml", HELLO.replace("  console: hello from a 64-bit guest\n", "") + search))
point("a window that the guest does not have is an error", got.returncode == 5 and "no_such_function: no symbol has this name"
      in got.stderr, got.returncode, got.stderr)
got = run("replay", "--check", write("misfit/h1-until.yaml", HELLO + "limits:\n  until: no_such_place\n"))
point("so is a place to stop at that is not there", got.returncode == 5 and "no_such_place: no symbol" in got.stderr,
      got.returncode, got.stderr)
got = run("replay", write("misfit/h1-guest.yaml", HELLO.replace("hello64", "nobody")))
point("a guest that was never built is named", got.returncode == 2 and "there is no free-standing guest 'nobody'" in got.stderr,
      got.stderr)
got = run("replay", "--guests", folder.name, hello)
point("--guests says where guests are", got.returncode == 2 and folder.name in got.stderr, got.stderr)

# ---- record and replay ----
def record(name, *arguments):
    """A boot that is recorded; where, and what it said."""
    path = os.path.join(folder.name, name)
    return path, run("boot", *arguments, "--record", path)


smp = os.path.join(GUESTS, "smp64.elf")
plain = re.search(r"digest ([0-9a-f]{16})", run("boot", smp, "--vcpus", "3").stdout).group(1)
os.makedirs(os.path.join(folder.name, "record"))
path, got = record("record/r1-smp.yaml", smp, "--vcpus", "3")
with open(path, encoding="utf-8") as f:
    text = f.read()
point("recording does not change the run", got.returncode == 0 and f"digest {plain}" in got.stdout, got.stdout, got.stderr)
point("the record is a case with checkpoints", len(re.findall(r"^  at \d+:\d+ check [0-9a-f]{16}$", text, re.M)) >= 2 and
      f"digest: '{plain}'" in text, text)
got = run("replay", "--check", "--quiet", path)
point("its replay is as expected", got.returncode == 0, got.stdout, got.stderr)
number, line = next((n, l) for n, l in enumerate(text.split("\n"), 1) if " check " in l)
got = run("replay", "--check", write("record/r1-check.yaml", text.replace(line, line[:-16] + "0" * 16)))
point("a digest that differs is an error with its line", got.returncode == 5 and
      f"r1-check.yaml:{number}: the run is not the recorded one any more" in got.stderr, got.returncode, got.stderr)

late = write("late.schedule", "at 0:20000 pass 5000\n")
path, got = record("record/r2-late.yaml", smp, "--vcpus", "3", "--schedule", late)
with open(path, encoding="utf-8") as f:
    text = f.read()
point("a schedule is part of the record", got.returncode == 0 and "  at 0:20000 pass 5000\n" in text and plain not in text,
      got.stderr, text)
point("and is replayed", run("replay", "--check", "--quiet", path).returncode == 0)
# A blank at the end of a line can't be written in a block.
blank = write("record/r2-blank.yaml", re.sub(r"^schedule: \|\n((?:  .*\n)+)", lambda m: "schedule: " + json.dumps(
    re.sub("^  ", "", m.group(1), flags=re.M) + "# and on \n") + "\n", text, flags=re.M))
got = run("replay", "--check", "--quiet", blank)
point("a schedule in double quotes is the same", got.returncode == 0, got.stdout, got.stderr)
# A "build" that makes another state: this one, given the case without that line.
path_other = write("record/r2-other.yaml", re.sub(r"  at 0:20000 pass 5000\n", "", text).replace(
    "\nexpect:", "\n  at 0:21000 check 0123456789abcdef\nexpect:"))
other = write("other-build", f"""#!/bin/sh
for a; do
    shift
    [ "$a" = "{path_other}" ] && a="{path}"
    set -- "$@" "$a"
done
exec "{BOOTRACE}" "$@"
""")
os.chmod(other, 0o755)
got = run("replay", "--quiet", "--against", other, path_other)
match = re.search(r"step (\d+) is the first to differ from \S+: made from 0:(\d+) \S+, it leads to ([0-9a-f]{16}) here and to "
                  r"([0-9a-f]{16}) there", got.stderr)
point("--against names the first step that differs", got.returncode == 5 and match and match.group(3) != match.group(4) and
      int(match.group(2)) in (19999, 20000), got.returncode, got.stderr)
got = run("replay", "--quiet", "--against", BOOTRACE, path_other)
point("and says when the other program differs as well", "runs it as this program does" in got.stderr, got.stderr)
got = run("replay", write("record/r3-illegal.yaml", HELLO + "schedule: |\n  at 0:100 mark\n  at 0:200 expire 0\n"))
point("an illegal decision is an error with its line and reason", got.returncode == 5 and "r3-illegal.yaml:15: " in got.stderr and
      "timer" in got.stderr, got.returncode, got.stderr)
got = run("replay", write("record/r3-unreached.yaml", HELLO + "schedule: |\n  at 0:100000000 mark\n"))
point("so is one that is never reached", got.returncode == 5 and "r3-unreached.yaml:14: " in got.stderr, got.stderr)
got = run("replay", write("record/r3-anchor.yaml", HELLO + "schedule: |\n  at 0:no_such_symbol+0x3 mark\n"))
point("and one at a symbol that the guest does not have", got.returncode == 5 and "no symbol named 'no_such_symbol'" in got.stderr,
      got.stderr)

# ---- a found failure becomes a case ----
locks = os.path.join(GUESTS, "r-locks.elf")
found_schedule = write("found/locks.schedule", "at 1:slow_enter mark\nat 1:slow_enter run 0 to 0:b_released\nthen run 1\n")
path, got = record("found/0001.yaml", locks, "--vcpus", "2", "--memory", "32M", "--cmdline", "bug=nested", "--schedule",
                   found_schedule)
os.makedirs(os.path.join(folder.name, "mine"))
got = run("corpus", "add", path, "--as", "r10-nested", "--to", "mine", "--title", "Two locks")
with open(os.path.join(folder.name, "mine/r10-nested.yaml"), encoding="utf-8") as f:
    text = f.read()
point("corpus add writes what a rebuilt guest and a changed model keep", got.returncode == 0 and "free-standing: r-locks" in text and
      "title: Two locks" in text and " check " not in text and "digest" not in text and "xxh3" not in text and
      "detector: hang" in text and "at 1:slow_enter run 0 to 0:b_released" in text, got.returncode, got.stderr, text)
point("and it passes there", run("corpus", "run", "mine").returncode == 0)
# Where blanks stand together, libyaml's folding is not exact.
odd = "a line " + "of words " * 20 + "  and blanks"
with open(path, encoding="utf-8") as f:
    found = re.sub(r'^  mechanism:.*\n(?:    .*\n|\n)*', f'  mechanism: "{odd}"\n', f.read(), flags=re.M)
got = run("corpus", "add", write("found/odd.yaml", found), "--as", "r10-odd", "--to", "mine")
with open(os.path.join(folder.name, "mine/r10-odd.yaml"), encoding="utf-8") as f:
    text = f.read()
point("prose is written as it was", f"    {odd}\n" in text, got.stderr, text)
os.remove(os.path.join(folder.name, "mine/r10-odd.yaml"))
got = run("corpus", "add", path, "--as", "r10-nested", "--to", "mine")
point("a name that is taken is refused", got.returncode == 2 and "is there already" in got.stderr, got.stderr)
got = run("corpus", "add", path, "--as", "r10-nested", "--to", "mine", "--force", "--exact")
with open(os.path.join(folder.name, "mine/r10-nested.yaml"), encoding="utf-8") as f:
    text = f.read()
point("--force replaces it, --exact keeps digests", got.returncode == 0 and "digest:" in text and "image-xxh3" in text, got.stderr, text)
got = run("corpus", "add", path, "--as", "nested", "--to", "mine")
point("a name without an id is refused", got.returncode == 2 and "not 'nested'" in got.stderr, got.stderr)
got = run("corpus", "add", wrong, "--as", "h1-wrong", "--to", "mine")
point("a case that does not end as it says is not added", got.returncode == 1 and "does not end as it says" in got.stderr and
      not os.path.exists(os.path.join(folder.name, "mine/h1-wrong.yaml")), got.returncode, got.stderr)

# ---- many ----
got = run("corpus", "run", "--jobs", "3", "good")
point("a corpus that is as expected ends with 0", got.returncode == 0 and
      re.search(r"^3 cases: 3 as expected, 0 different, 0 errors; ", got.stdout, re.M), got.returncode, got.stdout, got.stderr)
order = re.findall(r"^ok +(\S+)", got.stdout, re.M)
point("its lines come in the order of the names", order == sorted(order) and len(order) == 3, order)
got = run("corpus", "run", "--tap", "good", "bad", "misfit", BROKEN, "--junit", "j.xml", "--sarif", "s.json")
lines = re.findall(r"^(ok|not ok) (\d+) - (\S+)$", got.stdout, re.M)
all_cases = 3 + 2 + 4 + len(files)
point("TAP has a point a case and status 1", got.returncode == 1 and f"1..{all_cases}" in got.stdout and
      [int(n) for _, n, _ in lines] == list(range(1, all_cases + 1)) and sum(w == "ok" for w, _, _ in lines) == 3,
      got.returncode, got.stdout)
point("an error is marked", "# ERROR: " in got.stdout and "# the verdict is PASS" in got.stdout, got.stdout)
with open(os.path.join(folder.name, "j.xml"), encoding="utf-8") as f:
    suite = ET.fromstring(f.read()).find("testsuite")
point("JUnit counts the same", [suite.get(k) for k in ("tests", "failures", "errors")] ==
      [str(all_cases), "2", str(4 + len(files))] and len(suite.findall("testcase/failure")) == 2 and
      len(suite.findall("testcase/error")) == 4 + len(files), suite.attrib)
if shutil.which("xmllint"):
    got = tap.run("xmllint", "--noout", "--schema", os.path.join(SOURCE, "tests/junit.xsd"), "j.xml", cwd=folder.name)
    point("JUnit validates against its schema", got.returncode == 0, got.stderr)
else:
    skip("JUnit validates against its schema", "xmllint is not here")
with open(os.path.join(folder.name, "s.json"), encoding="utf-8") as f:
    sarif = json.load(f)
results = sarif["runs"][0]["results"]
rules = {r["id"] for r in sarif["runs"][0]["tool"]["driver"]["rules"]}
point("SARIF has a result a case, by its rules", sarif["version"] == "2.1.0" and len(results) == all_cases and
      all(r["ruleId"] in rules and r["message"]["text"] for r in results) and
      sum(r["kind"] == "pass" for r in results) == 3 and
      all((r["kind"] == "pass") == (r["level"] == "none") for r in results), results[:2])
for option in ("--junit", "--sarif"):
    got = run("corpus", "run", "good", option, "/dev/full")
    point(f"{option} on a full disk is no success", got.returncode == 2 and "/dev/full: " in got.stderr, got.returncode, got.stderr)
    got = run("corpus", "run", "good", option, "no/where")
    point(f"{option} where nothing can be written is refused before a case runs", got.returncode == 2 and not got.stdout and
          "can't be written" in got.stderr, got.stdout, got.stderr)
got = run("corpus", "run", "misfit")
point("errors alone end with 5", got.returncode == 5, got.returncode, got.stdout)
got = run("corpus", "run", "nowhere")
point("a folder that is not there is one sentence", got.returncode == 2 and got.stderr.count("\n") == 1, got.stderr)
os.makedirs(os.path.join(folder.name, "void"))
got = run("corpus", "run", "void")
point("so is one without cases", got.returncode == 2 and "there is no case" in got.stderr, got.stderr)
got = run("corpus", "list", "good", "--json")
point("list names all", [c["id"] for c in json.loads(got.stdout)] == ["h1-digest", "h1-exact", "h1-hello"], got.stdout)
got = run("corpus", "show", hello)
point("show says what a case is and how to run it", got.returncode == 0 and "free-standing hello64" in got.stdout and
      f"Run it: bootrace replay {hello}" in got.stdout, got.stdout)
for action in ("run", "list", "show", "add"):
    got = run("corpus", action, "--help")
    point(f"corpus {action} --help has examples", got.returncode == 0 and "Examples:" in got.stdout, got.stdout)
for name in sorted(os.listdir(os.path.join(SOURCE, "corpus"))):
    if name.endswith(".yaml") and not re.match(r"[a-z][0-9]+[a-z]?-[a-z0-9-]+\.yaml$", name):
        point(f"corpus/{name} begins with the id of its seed or bug", False)
done()
