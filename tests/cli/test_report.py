#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`bootrace report`: what a reader gets to see of a failure, as text, as a page, as a trace. Speaks TAP.

Usage: test_report.py BOOTRACE GUEST_FOLDER CORPUS_FOLDER. With a Chromium on the PATH the page is opened in it, too.
"""
import html.parser
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap
from tap import Skip, expect, run_tests

BOOTRACE, GUESTS, CORPUS = sys.argv[1:4]
S1 = [os.path.join(GUESTS, "s1.elf"), "--mode", "hvm", "--vcpus", "1"]
BUGGY = ["--cmdline", "variant=buggy memcpy=byte delay=200 after=200"]
SEARCH = os.path.join(CORPUS, "s1-timer-byte.yaml")
HANG = os.path.join(CORPUS, "s0-late-module.yaml")
folder = tempfile.TemporaryDirectory(prefix="bootrace-test-")


def run(*arguments):
    return tap.run(BOOTRACE, *arguments)


def path(name, content=None):
    p = os.path.join(folder.name, name)
    if content is not None:
        with open(p, "w", encoding="utf-8") as f:
            f.write(content)
    return p


def once(function):
    made = []

    def get():
        if not made:
            made.append(function())
        return made[0]
    return get


@once
def race():
    """A schedule that lets the timer expire inside a patch, found by the search."""
    got = run("fuzz", *S1, *BUGGY, "--window", "alternative_instructions", "--inject", "timer", "--json")
    cases = json.loads(got.stdout)["cases"]
    # The first byte of the first site is written, the others are not.
    return path("race.txt", f"at 0:{cases[0]['first']} expire\n")


def report(*arguments, name=None):
    output = ["-o", path(name)] if name else []
    got = run("report", *arguments, *output)
    expect(got.returncode == 0, "status", got.returncode, got.stderr)
    if not name:
        return got.stdout
    with open(path(name), encoding="utf-8") as f:
        return f.read()


@once
def page():
    return report(*S1, *BUGGY, "--schedule", race(), name="race.html")


def words(text):
    return re.sub(r"\s+", " ", text)


def the_text_says_what_went_wrong():
    text = words(report(*S1, *BUGGY, "--schedule", race()))
    for part in ("FAIL (crash)", "the schedule interfered", "took interrupt 0x20", "was changing code at site_",
                 "the interrupt's handler executed that half-changed code", "nobody ever wrote it",
                 "never returned from it", "CLOSE UP", "THE WHOLE RUN", "at 0:", "RUN IT AGAIN"):
        expect(part in text, "the text lacks:", part, "\n", text[:3000])


def the_story_has_the_bytes_of_the_source():
    """site_mb is `lock addl $0, (%esp)`, to become `mfence` and a two-byte NOP of Intel's table."""
    text = words(report(*S1, *BUGGY, "--schedule", race()))
    expect("Before, it was f0 83 04 24 00 (lock add" in text, text[:3000])
    expect("It was to become 0f ae f0 89 f6 (mfence; mov esi, esi)" in text, text[:3000])
    expect("1 byte changed already, 4 still to be written" in text, text[:3000])


def a_run_that_no_decision_disturbs_is_told_too():
    text = words(report(*S1, "--cmdline", "variant=fixed2006 memcpy=byte delay=200 after=200"))
    expect(text.startswith("PASS"), text[:200])
    expect("No decision of a schedule interfered" in text, text[:2000])
    expect("half" not in text, "nothing was half-changed:", text[:2000])


def a_repaired_guest_shows_no_torn_code():
    """The same decision in the repaired variant is delivered only when the patching is over."""
    at = open(race(), encoding="utf-8").read()
    got = run("report", *S1, "--cmdline", "variant=fixed2006 memcpy=byte delay=200 after=200", "--schedule",
              path("same.txt", at))
    expect(got.returncode == 0, got.stderr)
    expect(got.stdout.startswith("PASS"), got.stdout[:200])
    expect("nobody ever wrote" not in words(got.stdout), got.stdout[:3000])


def a_hang_says_who_spins_where():
    text = words(report(HANG, "--guests", GUESTS))
    expect("FAIL (hang)" in text, text[:300])
    expect(re.search(r"vCPU 0 spins in \w*spin_lock for ever", text), text[:1000])
    expect("with interrupts disabled" in text, text[:2000])
    expect(f"bootrace replay {HANG}" in text, text[-500:])


def what_the_search_writes_can_be_reported():
    found = path("found")
    run("fuzz", *S1, *BUGGY, "--window", "alternative_instructions", "--inject", "timer", "--strategy", "random",
        "--failures", "1", "--out", found)
    case = os.path.join(found, next(f for f in sorted(os.listdir(found)) if f.endswith(".yaml")))
    text = words(report(case))
    expect(text.startswith("FAIL"), text[:300])
    expect("patch_copy_byte" in text and "was changing code at site_" in text, text[:3000])
    expect(f"bootrace replay {case}" in text, text[-500:])


def a_case_with_a_search_is_told_by_a_failure_that_it_finds():
    first = report(SEARCH, "--guests", GUESTS)
    for part in ("FAIL (crash)", "this is failure 1 of ", "There it says: torn code", "was changing code at site_",
                 "the interrupt's handler executed it", "at 0:"):
        expect(part in words(first), "the text lacks:", part, "\n", first[:3000])
    second = report(SEARCH, "--guests", GUESTS, "--failure", "2")
    expect("this is failure 2 of " in words(second), second[:1000])
    command, digest = re.search(r"RUN IT AGAIN\n  (.*)\n  digest ([0-9a-f]{16})", second).groups()
    expect(shlex.split(command)[:2] == ["bootrace", "report"] and "--failure 2" in command, command)
    again = report(*shlex.split(command)[2:])
    expect(f"digest {digest}" in again, again[-600:])
    expect(digest not in first, "both failures are the same run", digest)
    # The failure is the search's, even where the guest gets away with it.
    lucky = words(report(os.path.join(CORPUS, "r2-nops-in-place.yaml"), "--guests", GUESTS))
    expect(lucky.startswith("PASS") and "There it says: torn code" in lucky, lucky[:1000])


class Tags(html.parser.HTMLParser):
    VOID = {"meta", "br", "hr", "img", "input", "link"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.seen, self.text, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"])
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        expect(self.stack and self.stack[-1] == tag, "end of", tag, "within", self.stack[-3:])
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1] not in ("script", "style"):
            self.text.append(data)


def parsed(text):
    tags = Tags()
    tags.feed(text)
    tags.close()
    expect(not tags.stack, "left open:", tags.stack)
    return tags


def the_page_is_well_formed_as_html_and_as_xml():
    parsed(page())
    xml.etree.ElementTree.fromstring(page())


def the_page_needs_nothing_from_elsewhere():
    tags = parsed(page())
    for tag, attributes in tags.seen:
        expect(tag not in ("link", "img", "iframe", "object", "embed"), "there is a", tag)
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            expect(value is None or value.startswith("#"), tag, name, value)
            expect(value is None or name != "href" or value[1:] in tags.ids, "nothing has the id", value)
    without = page().replace("http://www.w3.org/1999/xhtml", "")
    expect(not re.search(r"https?://|@import|url\((?!#)", without), "a reference to elsewhere")
    expect(len(tags.ids) == len(set(tags.ids)), "an id twice")


def the_page_says_what_the_text_says():
    text = words("".join(parsed(page()).text))
    for part in ("FAIL", "was changing code at site_mb", "nobody ever wrote it", "Neither old nor new", "Run it again",
                 "mfence", "Around the last decision", "The whole run"):
        expect(part in text, "the page lacks:", part)


def the_page_can_be_used_by_keyboard_and_read_aloud():
    tags = parsed(page()).seen
    expect(("html", {"lang": "en", "xmlns": "http://www.w3.org/1999/xhtml"}) in tags, tags[:2])
    lanes = [a for t, a in tags if a.get("class") == "lanes"]
    expect(lanes and all(a.get("tabindex") == "0" and "Keys:" in a.get("aria-label", "") for a in lanes), lanes)
    buttons = [a for t, a in tags if t == "button"]
    expect(buttons and all(a.get("aria-label") for a in buttons), buttons)
    expect("prefers-color-scheme:dark" in page() and "@media print" in page(), "the schemes, and print")


def what_the_user_and_the_guest_say_is_escaped():
    evil = "</script><b id=\"x\">&amp;'\x01"
    text = report(*S1, "--cmdline", "variant=no-replacement delay=200 after=200 x=" + evil, name="evil.html")
    tags = parsed(text)
    xml.etree.ElementTree.fromstring(text)
    expect(all(t != "b" for t, a in tags.seen), "an element of the user's")
    expect("</script><b id=\"x\">&amp;" in "".join(tags.text), "the text itself is not there")


def every_vcpu_has_a_lane():
    text = report(os.path.join(GUESTS, "smp64.elf"), "--vcpus", "4", name="smp.html")
    figures = re.findall(r'<figure class="tl">.*?</figure>', text, re.S)
    expect(figures, "no timeline")
    for figure in figures:
        expect(len(re.findall(r'class="lane" role="img"', figure)) == 4, figure[:300])


def the_command_of_a_report_names_every_option_of_the_guest():
    machine = ("--vcpus", "3", "--online", "2", "--memory", "33M", "--xen", "4.4", "--mode", "hvm")
    text = report(os.path.join(GUESTS, "smp64.elf"), *machine)
    command = shlex.split(re.search(r"RUN IT AGAIN\n  (.*)\n", text).group(1))
    for option, value in zip(machine[::2], machine[1::2]):
        expect(option in command and command[command.index(option) + 1] == value, option, "in", command)


def the_command_of_a_report_makes_the_same_run():
    text = report(*S1, *BUGGY, "--schedule", race())
    command, digest = re.search(r"RUN IT AGAIN\n  (.*)\n  digest ([0-9a-f]{16})", text).groups()
    got = run(*shlex.split(command)[1:], "--digest")
    expect(got.returncode == 1, got.returncode, got.stderr)
    expect(got.stdout.strip() == digest, got.stdout, "is not", digest)


def the_same_run_gives_the_same_report():
    again = report(*S1, *BUGGY, "--schedule", race(), name="again.html")
    expect(again.replace("again.html", "race.html") == page(), "the reports differ")


def a_smaller_window_gives_the_same_story():
    small = words(report(*S1, *BUGGY, "--schedule", race(), "--around", "20000"))
    large = words(report(*S1, *BUGGY, "--schedule", race(), "--around", "3000000"))
    story = re.compile(r"Just then .* nobody ever wrote it\.")
    expect(story.search(small).group() == story.search(large).group(), small[:2000])


def the_trace_is_one_that_viewers_read():
    trace = json.loads(report(*S1, *BUGGY, "--schedule", race(), name="race.json"))
    events = trace["traceEvents"]
    slices = {}
    for e in events:
        expect(e["ph"] in "MXiC", e)
        expect(isinstance(e["pid"], int), e)
        if e["ph"] != "M":
            expect(e["ts"] >= 0, e)
        if e["ph"] == "X":
            slices.setdefault((e["pid"], e["tid"]), []).append((round(e["ts"] * 1e3), round(e["dur"] * 1e3)))
    for track, all_of_it in slices.items():
        ends = []
        for at, wide in sorted(all_of_it, key=lambda s: (s[0], -s[1])):
            while ends and ends[-1] <= at:
                ends.pop()
            expect(not ends or at + wide <= ends[-1], "slices of", track, "overlap at", at)
            ends.append(at + wide)
    names = {e["name"] for e in events if e["ph"] == "i"}
    expect(any("code changed at site_mb" in n for n in names), "no code changed")
    expect(any(n.startswith("at 0:") for n in names), "no decision")
    expect({e["cat"] for e in events if e["ph"] == "X"} >= {"running", "handler"}, "no handler")


def refused(*arguments, says):
    got = run("report", *arguments)
    expect(got.returncode == 2, arguments, "status", got.returncode, got.stderr)
    expect(got.stdout == "", arguments, "standard output:", got.stdout[:200])
    expect(re.search(says, got.stderr), arguments, "says:", got.stderr)


def wrong_input_is_a_sentence_and_status_2():
    refused(says="which CASE or IMAGE")
    refused("/nowhere/x.elf", says="No such file")
    refused("/nowhere/x.yaml", says="(?i)no such file|opened")
    refused(*S1, "--format", "pdf", says="html, text or perfetto")
    refused(*S1, "--around", "1", says="time around")
    refused(*S1, *BUGGY, "-o", "/nowhere/x.html", says="can't be written")
    refused(*S1, *BUGGY, "--schedule", path("late.txt", "at 0:99999999999 nmi 0\n"), says="ended before this decision")
    refused(HANG, "--vcpus", "3", says="--vcpus: a case describes its whole guest")
    refused(HANG, "--output", os.path.join("no", "where.html"), says="can't be written")
    refused(HANG, "--schedule", race(), says="contains its schedule")
    refused(os.path.join(CORPUS, "s1-timer-byte-repaired.yaml"), "--guests", GUESTS, says="it finds no failure: there is no run")
    refused(SEARCH, "--guests", GUESTS, "--failure", "9999", says="--failure 9999: the search finds only [0-9]+$")
    refused(SEARCH, "--guests", GUESTS, "--failure", "0", says="number of the failure")
    refused(HANG, "--guests", GUESTS, "--failure", "1", says="--failure is for a case with a search")
    refused(*S1, "--failure", "1", says="--failure is for a case with a search")


def open_in_browser(file, *options):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        raise Skip("there is no Chromium on the PATH")
    with tempfile.TemporaryDirectory(dir=folder.name) as profile:
        return tap.run(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                       "--disable-background-networking", "--disable-component-update", "--disable-sync",
                       "--enable-logging=stderr", "--virtual-time-budget=3000", f"--user-data-dir={profile}", *options,
                       "file://" + file)


def a_browser_runs_the_page_without_an_error():
    page()
    got = open_in_browser(path("race.html"), "--dump-dom")
    expect("CONSOLE" not in got.stderr, [line for line in got.stderr.split("\n") if "CONSOLE" in line])
    expect(re.search(r'<html[^>]*class="js"', got.stdout), "the script has not run:", got.stdout[:300])
    ranges = re.findall(r'class="range"[^>]*>([^<]+)<', got.stdout)
    expect(len(ranges) >= 3 and all(" to " in r for r in ranges), "no timeline was drawn:", ranges)


def keys_zoom_a_timeline_in_a_browser():
    keys = """<script>var l=document.querySelector('.lanes'),said=[];['+','ArrowRight','-','Home'].forEach(function(k){
        l.dispatchEvent(new KeyboardEvent('keydown',{key:k,bubbles:true,cancelable:true}));
        said.push(document.querySelector('.range').textContent)});document.title=said.join('|')</script></body>"""
    got = open_in_browser(path("keys.html", page().replace("</body>", keys)), "--dump-dom")
    expect("CONSOLE" not in got.stderr, got.stderr)
    said = re.search(r"<title>(.*?)</title>", got.stdout).group(1).split("|")
    expect(len(said) == 4 and said[0] != said[1], "ranges:", said)
    expect("(all)" not in said[0] and "(all)" not in said[1], "plus does not zoom:", said)
    expect(said[3].endswith("(all)"), "Home does not show all:", said)


def a_browser_shows_it_light_dark_and_narrow():
    page()
    for name, options in (("light", ["--window-size=1200,2000", "--blink-settings=preferredColorScheme=1"]),
                          ("dark", ["--window-size=1200,2000", "--blink-settings=preferredColorScheme=0"]),
                          ("narrow", ["--window-size=400,3000"])):
        picture = path(name + ".png")
        got = open_in_browser(path("race.html"), *options, "--screenshot=" + picture)
        expect("CONSOLE" not in got.stderr, name, got.stderr)
        expect(os.path.exists(picture) and os.path.getsize(picture) > 20000, name, "is empty", got.stderr[-500:])


TESTS = [the_text_says_what_went_wrong, the_story_has_the_bytes_of_the_source,
         a_run_that_no_decision_disturbs_is_told_too, a_repaired_guest_shows_no_torn_code, a_hang_says_who_spins_where,
         what_the_search_writes_can_be_reported,
         a_case_with_a_search_is_told_by_a_failure_that_it_finds,
         the_page_is_well_formed_as_html_and_as_xml, the_page_needs_nothing_from_elsewhere,
         the_page_says_what_the_text_says, the_page_can_be_used_by_keyboard_and_read_aloud,
         what_the_user_and_the_guest_say_is_escaped, every_vcpu_has_a_lane, the_command_of_a_report_makes_the_same_run,
         the_command_of_a_report_names_every_option_of_the_guest,
         the_same_run_gives_the_same_report, a_smaller_window_gives_the_same_story, the_trace_is_one_that_viewers_read,
         wrong_input_is_a_sentence_and_status_2, a_browser_runs_the_page_without_an_error,
         keys_zoom_a_timeline_in_a_browser, a_browser_shows_it_light_dark_and_narrow]

run_tests(TESTS)
