# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests in Python share: a program run to its end, and what was found as TAP. Not a test itself.

A test says its points one by one as it goes (`point`, `skip`, and `done` at the end), or gives functions that raise what
is wrong (`run_tests`), or named functions that return lines of it (`run_checks`). The last two end the process.
"""
import subprocess
import sys

TIMEOUT_S = 600  # of one program; how long the whole test may take is meson's business
SEEN_CHARACTERS_MAX = 8000

_points = _bad = 0


class Skip(Exception):
    """Raised by a function of run_tests or run_checks: the reason why it can't be done here."""


def run(*command, **more):
    """The ended program; what it said is text. `more` is for subprocess.run."""
    return subprocess.run(command, **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                      "text": True, "errors": "replace", "timeout": TIMEOUT_S, "check": False} | more)


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def point(name, is_good, *seen):
    """One point; what was seen follows if it is bad."""
    global _points, _bad
    _points += 1
    print(f"{'ok' if is_good else 'not ok'} {_points} - {name}")
    if not is_good:
        _bad += 1
        for line in "\n".join(str(s) for s in seen)[:SEEN_CHARACTERS_MAX].rstrip("\n").split("\n"):
            print(f"# {line}")
    sys.stdout.flush()


def skip(name, why):
    point(f"{name} # SKIP {why}", True)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def done():
    print(f"1..{_points}")
    sys.exit(_bad != 0)


def run_checks(checks):
    """Pairs of a point's name and a function that returns, or yields, lines of what is wrong."""
    print(f"1..{len(checks)}", flush=True)
    for name, problems in checks:
        try:
            found = list(problems())
            point(name, not found, *found)
        except Skip as why:
            skip(name, why)
    sys.exit(_bad != 0)


def run_tests(tests):
    """Functions whose names are sentences, and which raise what is wrong."""
    def problems_of(test):
        try:
            test()
        except Skip:
            raise
        except Exception as problem:  # whatever it is, the next test is still worth its time
            yield f"{type(problem).__name__}: {problem}"

    run_checks([(test.__name__.replace("_", " "), lambda test=test: problems_of(test)) for test in tests])
