#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the code that no compiler checks: who includes whom, no hidden state, no host time. Speaks TAP.

Usage: test_rules.py SOURCE_FOLDER COMPILER UNICORN_INCLUDES STATIC_LIBRARY...
"""
import os
import re
import shutil
import subprocess
import sys

from tap import Skip, run_checks

SOURCE, COMPILER, UNICORN_INCLUDES, LIBRARIES = sys.argv[1], sys.argv[2].split(), sys.argv[3], sys.argv[4:]
FOLDERS = ("emu", "models", "fuzz", "cli", "corpus", "tests")
LICENSE = "SPDX-License-Identifier: GPL-2.0-or-later"

# A writable static that must be, with the reason. (library member's symbol: reason)
STATICS_ALLOWED = {"ensure_reporter": "the last words of a process; it enters no state of a run"}

# What would make a run depend on more than its inputs.
BANNED = (r"time|gettimeofday|clock_gettime|ftime|clock|localtime|gmtime|rand|srand|random|srandom|rand_r|drand48|"
          r"getrandom|getentropy|arc4random\w*|getenv|secure_getenv|getpid|gethostname|sleep|usleep|nanosleep|pthread_\w+|"
          r"thrd_\w+|fork|setlocale|sysconf|alloca")

# Who takes such a thing away from the libraries has to name it. (file: function)
BANNED_BUT_DEFINED = {"emu/engine_clock.c": "gettimeofday"}

# Models ask the time by clock_read_ns(), which counts, so that no hang is proved of a guest that reads a clock. Where what
# is asked for is no answer and decides nothing, clock_now_ns() will do; here is where, and why. Besides, ..._is_sound() looks
# at a state that comes from a file.
TIME_NOT_COUNTED = {
    "models/pc/lapic_timer.c": {
        "lapic_timer_write_divide": "a deadline",
        "lapic_timer_write_initial": "a stamp and a deadline",
        "lapic_timer_lvt_written": "a stamp and a deadline",
    },
    "models/pc/pit.c": {"now_ticks": "stamps and deadlines; what is read of them is read_ticks()"},
    "models/pc/power.c": {"now_ticks": "an overflow comes once in 10 minutes; who looks for it reads the timer"},
    "models/pc/rtc.c": {
        "arm": "a deadline",
        "rtc_timer_expired": "every second and every period are the same, but for an alarm",
    },
    "models/pc/serial.c": {"start_timeout": "a deadline"},
    "models/pc/tsc.h": {
        "tsc_now": "how far the vCPU's counter is from the time, which is counted beside it",
        "tsc_to_ns": "a deadline",
    },
    "models/xen/sched_op.c": {"op_watchdog": "a deadline"},
    "models/xen/time.c": {
        "time_record": "how far the vCPU's counter is from the time; who reads the record is seen there",
        "xen_time_update": "a stamp in memory; who reads it is seen there",
        "xen_runstate_change": "a stamp",
        "periodic_work": "only how long ago the last one was, and a deadline",
    },
}

# The rooms, and what each may include besides itself. A file belongs to the deepest room that holds it.
LOW = ("emu/base", "emu/image", "emu")
MODELS = ("models/config", "models/linux", "models/pc", "models/xen", "models")
SEARCH = LOW + MODELS + ("fuzz/detect", "fuzz/search")
MAY_INCLUDE = {
    "emu/base": (),
    "emu/image": ("emu/base",),
    "emu": ("emu/base",),
    "models/config": LOW,
    "models/linux": LOW,
    "models/pc": LOW + ("models/config",),
    "models/xen": LOW + ("models/config", "models/pc"),
    "models": LOW + MODELS,
    "fuzz/detect": LOW,
    "fuzz/search": LOW + ("fuzz/detect",),
    "cli/run": SEARCH,
    "cli/case": SEARCH + ("cli/run",),
    "cli/report": SEARCH + ("cli/run", "cli/case"),
    "cli/debugger": SEARCH + ("cli/run", "cli/case"),
    "cli/campaign": SEARCH + ("cli/run", "cli/case"),
    "cli": SEARCH + ("cli/run", "cli/case", "cli/report", "cli/debugger", "cli/campaign"),
}
# Files that are the bottom of their folder while the others are its top. (path: room)
ROOM_OF_FILE = {"models/load_segments.h": "models/config", "models/load_segments.c": "models/config",
                "models/platform_config.h": "models/config", "models/platform_config.c": "models/config",
                "models/processor.h": "models/config", "models/processor.c": "models/config"}
# Programs, with main or libFuzzer's entry, and what they share: they may see all.
FREE_ROOMS = ("fuzz/targets", "tests", "corpus")


def room_of(path):
    if path in ROOM_OF_FILE:
        return ROOM_OF_FILE[path]
    folder = os.path.dirname(path)
    while folder and folder not in MAY_INCLUDE and folder not in FREE_ROOMS:
        folder = os.path.dirname(folder)
    return folder


def files(suffixes, folders_of_ours=FOLDERS):
    found = []
    for folder in folders_of_ours:
        for place, folders, names in os.walk(os.path.join(SOURCE, folder)):
            folders.sort()
            found += [os.path.join(place, n) for n in sorted(names) if n.endswith(suffixes)]
    return [os.path.relpath(f, SOURCE) for f in found]


def text_of(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        return f.read()


def code_of(path):
    """The text with comments and strings blanked, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text_of(path), flags=re.S)


def includes(path):
    for number, line in enumerate(text_of(path).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def includes_go_one_way():
    for path in files((".c", ".h")):
        room = room_of(path)
        if room in FREE_ROOMS:
            continue
        for number, ours, target in includes(path):
            if not ours or target.split("/")[0] not in FOLDERS:
                continue
            other = room_of(target)
            if other != room and other not in MAY_INCLUDE[room]:
                yield f"{path}:{number}: {room}/ includes {target}, which is of {other}/"


def the_header_of(name, only):
    users = [p for p in files((".c", ".h")) for _, _, target in includes(p) if target == name]
    if users != [only]:
        yield f"<{name}> is included by {', '.join(users) or 'nobody'}, not by {only} alone"


def the_cpu_engine_is_behind_one_header():
    yield from the_header_of("unicorn/unicorn.h", "emu/engine_state.h")
    for path in files((".c", ".h")):
        for number, ours, target in includes(path):
            if target == "emu/engine_state.h" and not re.match(r"emu/engine(_\w+)?\.c$", path):
                yield f"{path}:{number}: the engine's insides are for emu/engine*.c"


def the_disassembler_is_behind_one_file():
    yield from the_header_of("capstone/capstone.h", "emu/insn.c")


def nothing_in_the_libraries_is_writable():
    symbols = 0
    for library in LIBRARIES:
        table = subprocess.run(["objdump", "-tw", library], capture_output=True, text=True, check=True).stdout
        member = ""
        for line in table.split("\n"):
            match = re.match(r"(\S+):\s+file format", line)
            if match:
                member = match.group(1)
            # value, seven flag characters, section, size, name
            match = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+) (?:\.hidden )?(\S+)$", line)
            if not match or "O" not in match.group(1):
                continue
            symbols += 1
            section, name = match.group(2), match.group(4)
            # Constants that contain addresses are written by the loader, before the program starts.
            constant = section.startswith((".rodata", ".data.rel.ro"))
            if not constant and name not in STATICS_ALLOWED:
                yield f"{os.path.basename(library)}, {member}: {name} is in {section}"
    if symbols < 100:
        yield f"{', '.join(LIBRARIES)}: only {symbols} objects; are these the right libraries?"


def every_header_compiles_alone():
    headers = [h for h in files((".h",)) if not h.startswith("corpus/")]  # those are the guests', for another compiler
    run = subprocess.run(COMPILER + ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", "-I.", "-x", "c",
                                     "-Wno-unused-function", "-isystem", UNICORN_INCLUDES] + headers,
                         cwd=SOURCE, capture_output=True, text=True)
    if run.returncode:
        yield from [line for line in run.stderr.split("\n") if "error" in line][:20] or [run.stderr]


def every_header_is_guarded_by_its_path():
    for path in files((".h",)):
        if path.startswith("corpus/"):
            continue
        guard = "BOOTRACE_" + re.sub(r"[^A-Z0-9]", "_", path.upper())
        if not re.search(rf"^#ifndef {guard}\n#define {guard}\n", text_of(path), flags=re.M):
            yield f"{path}: no include guard {guard}"


def the_machine_and_the_models_ask_the_host_nothing():
    call = re.compile(rf"(?<![\w.>])({BANNED})\s*\(")
    for path in files((".c", ".h")):
        if path.split("/")[0] not in ("emu", "models"):
            continue
        for number, line in enumerate(code_of(path).split("\n"), 1):
            match = call.search(line)
            if match and match.group(1) != BANNED_BUT_DEFINED.get(path):
                yield f"{path}:{number}: {match.group(1)}() makes a run depend on the host"


def models_count_their_time_reads_or_say_why_not():
    found = set()
    for path in files((".c", ".h")):
        if path.split("/")[0] != "models":
            continue
        function = ""
        for number, line in enumerate(code_of(path).split("\n"), 1):
            begins = re.match(r"[a-z].*?\b(\w+)\(", line)
            if begins:
                function = begins.group(1)
            if re.search(r"\b(engine_now_ns|machine_engine)\(", line):
                yield f"{path}:{number}: a model asks the engine, which counts nothing"
            if "clock_now_ns(" not in line:
                continue
            if function.endswith("_is_sound"):
                continue
            if function not in TIME_NOT_COUNTED.get(path, {}):
                yield f"{path}:{number}: {function}() asks the time and doesn't count it (clock_read_ns)"
            found.add((path, function))
    for path, functions in TIME_NOT_COUNTED.items():
        for function in functions:
            if (path, function) not in found:
                yield f"{path}: {function}() does not ask the time; TIME_NOT_COUNTED says it does"


def no_floating_point_in_the_machine_and_the_models():
    for path in files((".c", ".h")):
        if path.split("/")[0] not in ("emu", "models"):
            continue
        for number, line in enumerate(code_of(path).split("\n"), 1):
            if re.search(r"\b(float|double)\b", line):
                yield f"{path}:{number}: floating point"


def the_pinned_formatter_has_nothing_to_say():
    formatter = shutil.which("clang-format-19")
    if not formatter:
        raise Skip("no clang-format-19")
    run = subprocess.run([formatter, "--dry-run", "--Werror"] + files((".c", ".h")), cwd=SOURCE, capture_output=True,
                         text=True)
    yield from sorted({line.split(":")[0] + ": not as clang-format has it" for line in run.stderr.split("\n")
                       if "clang-formatted" in line})


# One way to write each thing. (what is not written, where it is looked for, what is)
DIALECT = (
    (r"\b_Static_assert\b", code_of, "static_assert"),
    (r"%[-+ #0-9*.]*ll[diouxX]", text_of, "PRIu64 and its kin of <inttypes.h>, without a cast"),
    (r"^(static |extern )*EMU_MUST_CHECK\b", code_of, "EMU_MUST_CHECK behind the declaration"),
    (r"\bsizeof\(?([\w.>-]+)\)? / sizeof\(?\s*(\*\1|\1\[0\])", code_of, "COUNT() of emu/base/count.h"),
    (r"(?<![\w.>])!err\b|\b(if|while) \(err\)|(\(|= |return |&& |\|\| )err (\?|&&|\|\|)", code_of,
     "err != EMU_OK, err == EMU_OK"),
)


def c_has_one_dialect():
    rules = [(re.compile(pattern, flags=re.M), where, instead) for pattern, where, instead in DIALECT]
    for path in files((".c", ".h")):
        if path.startswith("corpus/"):  # programs without a library, for another compiler
            continue
        for pattern, where, instead in rules:
            text = where(path)
            for match in pattern.finditer(text):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)}; we write {instead}"


def every_source_names_its_license():
    sources = 0
    for path in files(("",), FOLDERS + ("docs", "scripts", ".ci")) + ["meson.build", "meson_options.txt"]:
        with open(os.path.join(SOURCE, path), "rb") as f:
            lines = f.read(1000).decode(errors="replace").split("\n")
        is_script = lines[0].startswith("#!")
        if path.endswith((".c", ".h", ".S", ".lds")):
            expected = f"/* {LICENSE} */"
        elif is_script or path.endswith((".py", ".sh", ".bash", "meson.build", "meson_options.txt")):
            expected = f"# {LICENSE}"
        else:
            continue
        sources += 1
        if lines[is_script:][:1] != [expected]:
            yield f"{path}: the first line{' after #!' if is_script else ''} is not `{expected}`"
    if sources < 500:
        yield f"only {sources} sources; is this the right folder?"


def no_text_is_lost_from_json():
    """Jansson drops what is not UTF-8, silently; json_text() does not."""
    for path in files((".c", ".h")):
        if path.endswith("json_text.c"):
            continue
        text = text_of(path)
        for match in re.finditer(r'\bjson_(?:v?sprintf|stringn?(?:_nocheck)?|pack)\(\s*((?:"[^"]*"\s*)*)', text):
            # In a format, a string that no colon follows is a value.
            if "json_pack" not in match.group(0) or re.search(r"s(?!:)", re.sub(r'["\s]', "", match.group(1))):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: text goes into JSON by json_text()"


def nothing_is_left_to_do():
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")  # apart, or this line is one
    for path in files((".c", ".h", ".S", ".py", "meson.build")):
        for number, line in enumerate(text_of(path).split("\n"), 1):
            if word.search(line):
                yield f"{path}:{number}: {line.strip()}"


def lines_end_where_their_text_ends():
    for path in files((".c", ".h", ".S", ".py", "meson.build")):
        text = text_of(path)
        if not text.endswith("\n") or text.endswith("\n\n"):
            yield f"{path}: does not end with one newline"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end"


RULES = (
    includes_go_one_way,
    the_cpu_engine_is_behind_one_header,
    the_disassembler_is_behind_one_file,
    nothing_in_the_libraries_is_writable,
    every_header_compiles_alone,
    every_header_is_guarded_by_its_path,
    the_machine_and_the_models_ask_the_host_nothing,
    models_count_their_time_reads_or_say_why_not,
    no_floating_point_in_the_machine_and_the_models,
    the_pinned_formatter_has_nothing_to_say,
    c_has_one_dialect,
    every_source_names_its_license,
    no_text_is_lost_from_json,
    nothing_is_left_to_do,
    lines_end_where_their_text_ends,
)

run_checks([(rule.__name__, rule) for rule in RULES])
