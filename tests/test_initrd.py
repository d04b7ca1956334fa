#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The test initramfs has the same bytes wherever and whenever it is built, and holds the kernel and the module that it was
asked for. Speaks TAP.

Usage: test_initrd.py BOOTRACE SOURCE-ROOT, of which the first is not needed.
"""
import os
import shutil
import sys
import tempfile

from tap import done, point, run

ROOT = sys.argv[2]
folder = tempfile.mkdtemp()
RELEASE = "6.1.0-0-test"


def build(name, *options):
    """What a project in the folder `name` builds, from nothing."""
    root = os.path.join(folder, name)
    if not os.path.exists(root):
        os.makedirs(os.path.join(root, "scripts"))
        for entry in ("initrd", "lib.sh"):
            shutil.copy(os.path.join(ROOT, "scripts", entry), os.path.join(root, "scripts"))
        shutil.copytree(os.path.join(ROOT, "scripts", "init"), os.path.join(root, "scripts", "init"))
    got = run(os.path.join(root, "scripts", "initrd"), *options, env={k: v for k, v in os.environ.items() if k != "BOOTRACE_LOCKED"})
    if got.returncode:
        return got.returncode, b"", got.stderr
    with open(got.stdout.strip(), "rb") as f:
        return 0, f.read(), got.stdout.strip()


def make_kernel(*modules):
    """A file that scripts/initrd takes for a kernel's image, with these modules of its package beside it."""
    root = tempfile.mkdtemp(dir=folder)
    image = os.path.join(root, "boot", "vmlinuz-" + RELEASE)
    os.makedirs(os.path.dirname(image))
    with open(image, "wb") as f:
        f.write(b"an image")
    where = os.path.join(root, "usr/lib/modules", RELEASE, "kernel/drivers/xen")
    os.makedirs(where)
    for name in modules:
        with open(os.path.join(where, name.removesuffix(".xz")), "wb") as f:
            f.write(b"a module " * 100)
        if name.endswith(".xz"):
            run("xz", os.path.join(where, name.removesuffix(".xz")), check=True)
    return image


status, first, what = build("one")
again = build("two")[1]
point("two builds have the same bytes", status == 0 and len(first) > 4096 and first == again, what,
      [i for i, (a, b) in enumerate(zip(first, again)) if a != b][:8])
listed = run("bsdtar", "-tf", what).stdout.split()
point("it holds the init and nothing more", [e.rstrip("/") for e in listed] == ["./dev", "./dev/console", "./proc", "./sys", "./init"],
      listed)
status, packed, what = build("one", "--module", make_kernel("xen-evtchn.ko.xz"))
point("a packed module is unpacked", status == 0 and b"a module a module" in packed, what)
status, plain, what = build("two", "--module", make_kernel("xen-evtchn.ko"))
point("one that is not packed gives the same", status == 0 and plain == packed, what)
status, both, what = build("one", "--kernel", make_kernel(), "--module", make_kernel("xen-evtchn.ko"))
point("a kernel and a module may be in one", status == 0 and b"an image" in both and b"a module" in both and
      what.endswith(f"amd64-vmlinuz-{RELEASE}-module-{RELEASE}/initrd.cpio"), what)
status, _, what = build("one", "--module", make_kernel("xen-gntdev.ko"))
point("a package without the module is refused", status != 0 and "is no module xen-evtchn; scripts/kernel" in what, what)
status, _, what = build("one", "--module", os.path.join(folder, "nothing"))
point("so is no kernel", status != 0 and "there is no kernel" in what, what)
done()
