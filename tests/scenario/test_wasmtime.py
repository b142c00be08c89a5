"""The guests that check their host, under Wasmtime: where it differs from brig, this says why. docs/wasi.md has it too.

Needs PyPI's wasmtime, which `make bench` puts into the cache; skipped, visibly, without it.
"""

import glob
import os
import subprocess
import tempfile
import unittest

import harness

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "brig")

PEER = """
import sys, wasmtime
module, out, *mounts = sys.argv[1:]
engine = wasmtime.Engine()
linker = wasmtime.Linker(engine)
linker.define_wasi()
config = wasmtime.WasiConfig()
config.stdout_file = out
for mount in mounts:
    host, path, mutable = mount.split("=")
    config.preopen_dir(host, path, mutable == "rw")
store = wasmtime.Store(engine)
store.set_wasi(config)
try:
    linker.instantiate(store, wasmtime.Module.from_file(engine, module)).exports(store)["_start"](store)
except wasmtime.ExitTrap:
    pass
"""

PERM = "Wasmtime says EPERM where the specification has ENOTCAPABLE"
POLICY = "Wasmtime has no rights by path, and refuses before it looks what is there"
RIGHTS = "Wasmtime keeps no rights of descriptors"
SHORT = "Wasmtime reads and writes one buffer of several at a time"
DIFFERENCES = {
    "readv scatters": SHORT,
    "pread leaves the position": SHORT,
    "pwrite leaves the position": SHORT,
    "posix_fallocate extends": "Wasmtime does not support fd_allocate",
    "posix_fallocate never cuts": "Wasmtime does not support fd_allocate",
    "a larger one is EFBIG": "the largest size is the machine's",
    "readdir finds 300 entries, once each": "Wasmtime's cookies are positions: it skips entries when others are removed",
    "then it can be removed": "the same",
    "from mount to mount is EXDEV": POLICY,
    "directories count what is inside": "file systems differ in what st_nlink of a directory is",
    "mounts differ": "the machine's device is shown",
    "it is not opened for writing": PERM,
    "nor emptied": PERM,
    "nothing is made there": PERM,
    "no directory either": PERM,
    "nothing is removed": PERM,
    "nothing is renamed": PERM,
    "where a path has rights of its own, they count": POLICY,
    "what is missing is missing": POLICY,
    "what exists exists": POLICY,
    "rights are those asked for": RIGHTS,
    "tell needs a right": RIGHTS,
    "rights do not grow": RIGHTS,
    "rights can be dropped": RIGHTS,
    "a directory is not read": "Wasmtime says EBADF, POSIX EISDIR",
    "absolute paths are refused": PERM,
}


class Wasmtime(unittest.TestCase):
    def setUp(self):
        found = glob.glob(os.path.join(CACHE, "wasmtime-*", "bin", "python"))
        if not found:
            raise unittest.SkipTest("no wasmtime in %s; `make bench` puts it there" % CACHE)
        self.python = found[0]

    def test_what_differs_is_explained(self):
        harness.guest("files")
        with tempfile.TemporaryDirectory() as top:
            for path, text in (("w/in.txt", "hello"), ("w/d/one", ""), ("ro/f", "data"), ("ro/out/old", "old")):
                os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
                with open(os.path.join(top, path), "w", encoding="utf-8") as f:
                    f.write(text)
            out = os.path.join(top, "out")
            subprocess.run([self.python, "-c", PEER, os.path.join(harness.GUESTS, "files.wasm"), out, top + "/ro=/ro=ro",
                            top + "/w=/w=rw"], check=True, timeout=harness.PATIENCE)
            with open(out, encoding="utf-8") as f:
                lines = f.read().splitlines()
        self.assertGreater(len(lines), 100)
        differ = [line.split(":")[0][len("not ok "):] for line in lines if line.startswith("not ok ")]
        self.assertEqual([name for name in differ if name not in DIFFERENCES], [])


if __name__ == "__main__":
    harness.main()
