#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of snapshots as a user meets it: the second search of a window starts there at once. Speaks TAP.

Usage: test_cache.py BOOTRACE GUEST_FOLDER
"""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import TIMEOUT_S, expect, run_tests

BOOTRACE, GUESTS = sys.argv[1], sys.argv[2]
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")
SEARCH = ["fuzz", os.path.join(GUESTS, "s1.elf"), "--mode", "hvm", "--vcpus", "1", "--inject", "timer", "--json"]
# The first third of the window has failures of each kind; most of the rest is guests that spin.
WINDOW = ["--window", "alternative_instructions", "--window-steps-max", "1130"]
ONE, OTHER = ["--cmdline", "variant=buggy memcpy=byte"], ["--cmdline", "variant=fixed2006 memcpy=byte"]


def path(name):
    return os.path.join(folder.name, name)


def start(*arguments, **environment):
    environment = {**{k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "HOME")}, **environment}
    return subprocess.Popen([BOOTRACE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment)


def run(*arguments, **environment):
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k != "host_s"}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def search(*options, **environment):
    """What a search finds, and what it says on standard error that is no report."""
    status, out, err = run(*SEARCH, *WINDOW, *options, **environment)
    expect(status in (0, 1), status, err)
    said = [line for line in err.split("\n") if line.startswith("bootrace")]
    return (status, without_times(json.loads(out))), said


def entries(where):
    return sorted(os.listdir(where)) if os.path.exists(where) else []


def the_second_search_finds_the_same():
    where = path("second")
    fresh = search("--no-cache", *ONE)
    expect(fresh[0][1]["failing"] > 0, fresh)
    expect(search("--cache", where, *ONE) == fresh, "cold")
    first = entries(where)
    expect(len(first) == 1 and re.fullmatch("[0-9a-f]{32}\\.snap", first[0]), first)
    expect(search("--cache", where, *ONE) == fresh, "warm")
    expect(entries(where) == first, "the second search added", entries(where))


def what_matters_makes_another_entry():
    where = path("other")
    search("--cache", where, *ONE)
    fixed = search("--no-cache", *OTHER)
    expect(search("--cache", where, *OTHER) == fixed, "another command line")
    expect(len(entries(where)) == 2, entries(where))
    search("--cache", where, *ONE, "--xen", "4.18")
    search("--cache", where, *ONE, "--memory", "256M")
    expect(len(entries(where)) == 4, entries(where))
    search("--cache", where, *ONE, "--inject", "nmi")  # the same way to the window
    expect(len(entries(where)) == 4, entries(where))


def a_damaged_entry_is_made_again():
    where = path("damaged")
    whole = search("--cache", where, *ONE)
    file = os.path.join(where, entries(where)[0])
    os.truncate(file, 1000)
    expect(search("--cache", where, *ONE) == whole, "differs")
    expect(os.path.getsize(file) > 1000, "not made again")


def racing_searches_find_the_same():
    where = path("race")
    fresh = search("--no-cache", *ONE)[0]
    processes = [start(*SEARCH, *WINDOW, *ONE, "--cache", where) for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=TIMEOUT_S)
        expect((process.returncode, without_times(json.loads(out))) == fresh, err)
    expect(len(entries(where)) == 1, entries(where))


def without_a_usable_cache_it_searches_nevertheless():
    fresh = search("--no-cache", *ONE)[0]
    file = path("file")
    with open(file, "w", encoding="ascii") as f:
        f.write("no folder")
    got, said = search("--cache", os.path.join(file, "below"), *ONE)
    expect(got == fresh and len(said) == 1 and "the cache can't be used: " in said[0], said)
    expect(search(*ONE) == (fresh, []), "without a home")


def the_cache_is_where_the_user_keeps_caches():
    search(*ONE, HOME=path("home"))
    expect(len(entries(path("home/.cache/bootrace"))) == 1, "home")
    search(*ONE, HOME=path("home"), XDG_CACHE_HOME=path("xdg"))
    expect(len(entries(path("xdg/bootrace"))) == 1, "XDG_CACHE_HOME")


def the_cache_is_shown_and_emptied():
    where = path("shown")
    search("--cache", where, *ONE)
    search("--cache", where, *OTHER)
    status, out, err = run("cache", "list", "--cache", where)
    lines = out.rstrip("\n").split("\n")
    expect(status == 0 and len(lines) == 3 and not err, out, err)
    expect("variant=fixed2006" in lines[0] and "variant=buggy" in lines[1], "the one used last comes first:", out)
    expect(re.search("step [0-9]+ of ", lines[0]), out)
    expect(lines[2].startswith("2 snapshots, "), out)
    expect(run("cache", "trim", "1G", "--cache", where)[1].startswith("0 snapshots dropped"), "trim")
    expect(run("cache", "clear", "--cache", where)[1].startswith("2 snapshots dropped"), "clear")
    expect(entries(where) == [], entries(where))
    search("--cache", where, *ONE)
    expect(run("cache", "list", "--cache", where)[1].split("\n")[1].startswith("1 snapshot, "), "one is no plural")
    for bad in (["cache"], ["cache", "eat"], ["cache", "trim"], ["cache", "trim", "x"], ["cache", "list", "x"]):
        status, out, err = run(*bad, "--cache", where)
        expect(status == 2 and err.startswith("bootrace cache: ") and not out, bad, status, err)


TESTS = [
    the_second_search_finds_the_same,
    what_matters_makes_another_entry,
    a_damaged_entry_is_made_again,
    racing_searches_find_the_same,
    without_a_usable_cache_it_searches_nevertheless,
    the_cache_is_where_the_user_keeps_caches,
    the_cache_is_shown_and_emptied,
]

run_tests(TESTS)
