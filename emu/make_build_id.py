#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hash the sources that decide what a guest does (emu/ and models/) into a C file that defines build_id_sources.

Usage: make_build_id.py SOURCE_ROOT OUTPUT DEPFILE
"""
import hashlib
import os
import sys

root, output, depfile = sys.argv[1:]
names, lists = [], []
for folder in ("emu", "models"):
    for at, folders, files in os.walk(os.path.join(root, folder)):
        folders.sort()
        names += [os.path.relpath(os.path.join(at, name), root) for name in files if name.endswith((".c", ".h"))]
        lists += [os.path.join(at, name) for name in files if name == "meson.build"]
digest = hashlib.sha256()
for name in sorted(names):
    with open(os.path.join(root, name), "rb") as f:
        content = f.read()
    digest.update(f"{name}\0{len(content)}\0".encode() + content)
with open(output, "w", encoding="ascii") as f:
    f.write(f'#include "emu/build_id.h"\n\nconst char build_id_sources[] = "{digest.hexdigest()[:32]}";\n')
# A new source comes with a change of a meson.build.
with open(depfile, "w", encoding="utf-8") as f:
    f.write(output + ": " + " ".join(lists + [os.path.join(root, name) for name in names]).replace("$", "$$") + "\n")
