#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual page, bash completion and `--help` say the same, each sub-command's help has examples and exit statuses, and
`bootrace doctor` says what it found. Speaks TAP.

Usage: test_docs.py BOOTRACE MANUAL_PAGE COMPLETION README
"""
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import done, point, run, skip

BOOTRACE, PAGE, COMPLETION, README = sys.argv[1:5]


def help_of(*words):
    return run(BOOTRACE, *words, "--help", env={**os.environ, "ARGP_HELP_FMT": "rmargin=4000"}).stdout


def options_of(text):
    return set(re.findall(r"(?m)^ +(?:-\S,? +)?(--[a-z][a-z-]*)", text))


def complete(*words):
    """What bash would offer for the last of these words."""
    script = f"""source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bootrace; printf '%s\\n' "${{COMPREPLY[@]}}" """
    offered = run("bash", "-c", script, "bash", COMPLETION, BOOTRACE, *words).stdout
    return {w for w in offered.split("\n") if w}


commands = re.findall(r"(?m)^  ([a-z]+) +\S", help_of())
point("the program lists its commands", len(commands) >= 9 and {"boot", "corpus", "doctor", "replay"} <= set(commands), commands)
with open(PAGE, encoding="utf-8") as f:
    page = f.read().replace("\\-", "-")
if shutil.which("man"):
    got = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", PAGE, env={**os.environ, "LC_ALL": "C.UTF-8"})
    point("man has no warning about the page", got.returncode == 0 and not got.stderr.strip(), got.stderr)
else:
    skip("man has no warning about the page", "man is not here")
point("completion offers the commands", set(commands) <= complete("") and complete("bo") == {"boot"}, complete(""))
for name in commands:
    parts = re.match(r"Usage: bootrace [a-z]+ ([a-z]+(?:\|[a-z]+)+) \[OPTION", help_of(name))
    for words in [[name, p] for p in parts.group(1).split("|")] if parts else [[name]]:
        text = help_of(*words)
        said = " ".join(words)
        section = re.search(rf"(?ms)^\.SS bootrace {said}$(.*?)(?=^\.S[SH] )", page)
        options = options_of(text)
        point(f"`{said}` has its options in the manual page", section and options and
              all(re.search(rf"\\fB{re.escape(o)}\\fR", section.group(1)) for o in options), options)
        point(f"`{said}` has its options completed", {o.rstrip("=") for o in complete(*words, "--")} == options,
              complete(*words, "--"), options)
        shown = run(BOOTRACE, *words, "--help").stdout.partition("Examples:\n")[2].partition("\n\n")[0]
        point(f"`{said}` --help has examples that can be copied", shown and
              all(line.startswith("  ") and len(line) < 80 for line in shown.split("\n")), shown)
        point(f"`{said}` --help has examples and exit statuses", "Examples:" in text and "Exit status:" in text, text)
point("values are completed", complete("boot", "--mode", "=", "p") == {"pvh", "pv"} and complete("boot", "--mode", "h") == {"hvm"},
      complete("boot", "--mode", "=", "p"))
sources = re.search(r"--inject=LIST +(.*)", help_of("fuzz")).group(1)
sources = set(re.findall(r"(?:: |, |take )([a-z]+:?)(?=[A-Z]*[,.])", sources))
listed = set(re.findall(r"(?m)^  ([a-z]+:?)[A-Z]* ", help_of("fuzz").partition("Sources of --inject:\n")[2]))
point("the sources of --inject are the same in its text, in their list and in completion",
      {"timer", "vector:", "late:", "unplug:"} <= sources and listed == sources == complete("fuzz", "--inject", ""),
      sources, listed, complete("fuzz", "--inject", ""))
with open(README, encoding="utf-8") as f:
    readme = f.read()
point("the README names the commands that a new user looks for", all(f"bootrace {c}" in readme for c in
      ("boot", "replay", "fuzz", "corpus", "doctor", "elfnotes", "symbols")))

# ---- the script that the CI workflows call ----
CI = os.path.join(os.path.dirname(os.path.abspath(README)), "docs/ci")
GUESTS = os.path.join(os.path.dirname(os.path.abspath(BOOTRACE)), "../corpus/guests")
with tempfile.TemporaryDirectory(prefix="bootrace-test-") as folder:
    os.makedirs(os.path.join(folder, "bootrace"))
    with open(os.path.join(folder, "bootrace/h1-hello.yaml"), "w", encoding="utf-8") as f:
        f.write("title: Hello\nprose:\n  mechanism: None.\n  source: None.\n  falsified-by: Any other end.\n"
                "guest:\n  free-standing: hello64\nexpect:\n  verdict: PASS\n")
    env = {**os.environ, "BOOTRACE": os.path.abspath(BOOTRACE), "BOOTRACE_KERNEL": os.path.join(GUESTS, "hello64.elf"),
           "BOOTRACE_ARGUMENTS": "--vcpus 1", "BOOTRACE_INITRD": ""}
    got = run(os.path.join(CI, "run-bootrace"), "out", cwd=folder, env=env)
    made = sorted(os.listdir(os.path.join(folder, "out")))
    point("docs/ci/run-bootrace leaves what a CI system uploads", got.returncode == 0 and
          made == ["boot.json", "boot.yaml", "bootrace.sarif", "console.txt", "junit.xml"], got.stdout, got.stderr, made)
    got = run(BOOTRACE, "replay", "--check", "--quiet", os.path.join(folder, "out/boot.yaml"))
    point("its boot can be replayed", got.returncode == 0, got.stdout, got.stderr)
    env["BOOTRACE_KERNEL"] = os.path.join(GUESTS, "s4-64.elf")
    env["BOOTRACE_ARGUMENTS"] = "--vcpus 2 --cmdline boot=1"
    got = run(os.path.join(CI, "run-bootrace"), "bad", cwd=folder, env=env)
    point("a boot that fails is its status, and the cases still run", got.returncode == 1 and
          "junit.xml" in os.listdir(os.path.join(folder, "bad")), got.stdout, got.stderr)
for name in ("github-actions.yml", "gitlab-ci.yml"):
    with open(os.path.join(CI, name), encoding="utf-8") as f:
        text = f.read()
    point(f"docs/ci/{name} calls it and uploads its report", "docs/ci/run-bootrace bootrace-report" in text and
          ("junit: bootrace-report/junit.xml" in text or "bootrace-report/bootrace.sarif" in text))

got = run(BOOTRACE, "doctor", "--json")
report = json.loads(got.stdout)
checks = {c["check"]: c for c in report["checks"]}
point("doctor finds what the tests run with", got.returncode == 0 and report["ok"] and checks["run"]["result"] == "ok" and
      checks["engine"]["result"] == "ok", got.stdout)
lines = run(BOOTRACE, "doctor").stdout.rstrip("\n").split("\n")
point("doctor says a line a check and a last one", len(lines) == len(checks) + 1 and
      all(re.match(r"(ok|note|BAD) +[a-z]+ +\S", line) for line in lines[:-1]), lines)
got = run(BOOTRACE, "doctor", env={"PATH": os.environ["PATH"], "XDG_CACHE_HOME": "/proc/nowhere"})
point("doctor says what to do about a cache that can't be written to", got.returncode == 0 and
      re.search(r"(?m)^note +cache +.*can't be written to.*--cache DIR", got.stdout), got.stdout)
done()
