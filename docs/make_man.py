#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes bootrace(1) of what the program says of itself, so that the page can't differ from it; around that is what only a
person can say, in bootrace.1.in. Usage: make_man.py BOOTRACE TEMPLATE > bootrace.1"""
import os
import re
import subprocess
import sys

PROGRAM, TEMPLATE = sys.argv[1:3]
COLUMN = 29  # where argp begins the texts of options


def help_of(*words):
    """What `bootrace WORDS --help` prints, with every sentence on one line."""
    done = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "ARGP_HELP_FMT": "rmargin=4000", "LC_ALL": "C"})
    return done.stdout


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def commands():
    """All sub-commands as the program lists them; one with parts (`Usage: bootrace corpus run|list`) is its parts."""
    for name in re.findall(r"(?m)^  (\S+) +\S", help_of()):
        text = help_of(name)
        parts = re.match(r"Usage: bootrace \S+ ([a-z]+(?:\|[a-z]+)+) \[OPTION", text)
        if parts and "--help` explains one" in text:
            yield from ([name, part] for part in parts.group(1).split("|"))
        else:
            yield [name]


def option_line(line):
    """`  -k, --kernel=IMAGE   text` as a tagged paragraph; None if the line is no option."""
    if line[COLUMN - 1:COLUMN] == " " and re.search("[a-z]", line[COLUMN:]) and line[COLUMN] != " " and "  " not in line[4:COLUMN].strip():
        line = line[:COLUMN] + "  " + line[COLUMN:]  # a long option, with one blank before its text
    match = re.match(r" +((?:-\S, +)?--[a-z].*?|-\S)(?:  +(\S.*))?$", line)
    if not match:
        return None
    flags = re.sub(r"(--?[a-zA-Z?][a-z-]*)", lambda m: f"\\fB{escape(m.group(1))}\\fR", match.group(1))
    return f".TP\n{flags}\n{escape(match.group(2) or '')}".rstrip()


def section(words):
    lines = help_of(*words).rstrip("\n").split("\n")
    usage = re.sub(r"^Usage: ", "", lines[0])
    out = [f".SS {escape(' '.join(['bootrace', *words]))}", f".B {escape(usage)}", ".PP"]
    block = None
    waiting = False  # an option whose text is on the next line
    for line in lines[1:]:
        option = option_line(line) if re.match(r" +-", line) else None
        if option and not waiting:
            out.append(option)
            waiting = option.count("\n") == 1
            block = "options"
        elif waiting:
            out.append(escape(line.strip()))
            waiting = False
        elif re.match(r" \S.*:$", line):
            out += [".PP", f".I {escape(line.strip())}"]
        elif line.startswith("Mandatory or optional arguments"):
            continue
        elif line == "Examples:":
            out += [".PP", "Examples:", ".PP", ".nf"]
            block = "examples"
        elif not line:
            if block == "examples" and out[-1] != ".nf":
                out.append(".fi")
                block = None
            if out[-1] != ".PP":
                out.append(".PP")
        else:
            out.append(escape(line))
    if block == "examples":
        out.append(".fi")
    return "\n".join(out)


with open(TEMPLATE, encoding="utf-8") as f:
    template = f.read()
version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
summary = "\n".join(f".TP\n.B {escape(name)}\n{escape(text)}"
                    for name, text in re.findall(r"(?m)^  (\S+) +(\S.*)$", help_of()))
print(template.replace("@VERSION@", version).replace("@COMMANDS@", summary)
      .replace("@SECTIONS@", "\n".join(section(words) for words in commands())), end="")
