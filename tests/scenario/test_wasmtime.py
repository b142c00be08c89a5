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
config.stdin_file = "/dev/null"
config.argv = [module, "portable"]
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
ALLOCATE = "Wasmtime does not support fd_allocate"
COOKIES = "Wasmtime's cookies are positions: it skips entries when others are removed"
KIND = "Wasmtime says EBADF of a descriptor of the wrong kind, POSIX what is wrong with it"
LIMIT = "the largest size and offset are the machine's"
LINUX = "the machine decides: Linux does not do as POSIX says"
APPEND = "Wasmtime says ESPIPE for pwrite to a file opened for appending, and what depends on it"
SYNC = "Wasmtime does not support the sync flags"
CPU = "Wasmtime has no processor time"
POLL = "Wasmtime fails the call where one subscription fails, and polls no files"
SLASH = "Wasmtime does not mind every slash behind a name"
DOWN = "Wasmtime keeps a directory that is removed while it is open, and what depends on it"
FILES = {
    "readv scatters": SHORT,
    "pread leaves the position": SHORT,
    "pwrite leaves the position": SHORT,
    "posix_fallocate extends": ALLOCATE,
    "posix_fallocate never cuts": ALLOCATE,
    "a larger one is EFBIG": LIMIT,
    "readdir finds 300 entries, once each": COOKIES,
    "then it can be removed": COOKIES,
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
    "a directory is not read": KIND,
    "absolute paths are refused": PERM,
}
RULES = {
    "seek past the largest offset is EOVERFLOW": LIMIT,
    "pwrite at the largest offset is EFBIG": LIMIT,
    "seek in a directory is refused": KIND,
    "reading a directory is EISDIR": KIND,
    "pread in a directory is EISDIR": KIND,
    "writing to a directory is EISDIR": KIND,
    "set_size of a directory is EISDIR": KIND,
    "advice about a pipe is ESPIPE": KIND,
    "sync of a directory": KIND,
    "sync of a pipe is EINVAL": KIND,
    "datasync of a pipe is EINVAL": KIND,
    "open below a pipe is ENOTDIR": KIND,
    "a file lists nothing": KIND,
    "reading fills buffers in order": SHORT,
    "reading moves the position": SHORT,
    "reading at the end reads nothing": SHORT,
    "writing takes buffers in order": SHORT,
    "writing past the end leaves a hole of zeros": LIMIT,
    "append writes nothing without moving": APPEND,
    "pwrite writes where it is told all the same": APPEND,
    "append can be switched off": APPEND,
    "append can be switched on": APPEND,
    "allocate extends": ALLOCATE,
    "allocate does not cut": ALLOCATE,
    "what was allocated is zero": ALLOCATE,
    "allocate of nothing is EINVAL": ALLOCATE,
    "allocate at a negative offset is EINVAL": ALLOCATE,
    "allocate past the largest size is EFBIG": ALLOCATE,
    "allocate in a directory is EISDIR": ALLOCATE,
    "advice leaves the size": ALLOCATE,
    "creat behind a slash is ENOENT": LINUX,
    "as a directory neither": LINUX,
    "rename of a dot is EINVAL": LINUX,
    "rename onto two dots is EINVAL": LINUX,
    "advice at a negative offset is EINVAL": LINUX,
    "a path may not begin with a slash": PERM,
    "a path may not lead up and out": PERM,
    "nor in the middle": PERM,
    "nor at its end": PERM,
    "an absolute link is refused": PERM,
    "but leads nowhere": PERM,
    "it does not open for writing": PERM,
    "nor to be emptied": PERM,
    "no file is made beside it": PERM,
    "no link either": PERM,
    "no second name": PERM,
    "its name stays": PERM,
    "its times too": PERM,
    "it does not go": PERM,
    "link from mount to mount is EXDEV": POLICY,
    "rename from mount to mount is EXDEV": POLICY,
    "what is not there is still ENOENT": POLICY,
    "a file has none behind a slash": SLASH,
    "before a slash it is too": SLASH,
    "and so is the link that it leads to": SLASH,
    "rename of a file to a name with a slash neither": SLASH,
    "an empty one goes, with a slash": SLASH,
    "one that is open goes too": DOWN,
    "then nothing can be made in it": DOWN,
    "no directory either": DOWN,
    "its name can be used again": DOWN,
    "a directory that is removed lists nothing": DOWN,
    "removing each as it comes removes all": COOKIES,
    "the process's time is told": CPU,
    "the process's time has a resolution": CPU,
    "the thread's time is told": CPU,
    "the thread's time has a resolution": CPU,
    "work takes the thread's time": CPU,
    "processor time cannot be waited for": CPU,
    "input that ended is ready and hung up": POLL,
    "what is not open is told in its event": POLL,
    "a file is ready for both": POLL,
    "with what is left to read": POLL,
    "without the right to poll it is told so": POLL,
    "a name with a NUL is not found cut": "Wasmtime says EINVAL; the specification leaves it open",
    "a file opens with all sync flags": SYNC,
    "and has them": SYNC,
    "link of where a link leads, which is nothing": "Wasmtime does not follow links for path_link",
    "an entry tells type and inode": "entries come in another order",
}


class Wasmtime(unittest.TestCase):
    def setUp(self):
        found = glob.glob(os.path.join(CACHE, "wasmtime-*", "bin", "python"))
        if not found:
            raise unittest.SkipTest("no wasmtime in %s; `make bench` puts it there" % CACHE)
        self.python = found[0]

    def lines(self, name, files):
        """What a guest prints that has the mounts /ro, to be read, and /w."""
        harness.guest(name)
        with tempfile.TemporaryDirectory() as top:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
                with open(os.path.join(top, path), "w", encoding="utf-8") as f:
                    f.write(text)
            out = os.path.join(top, "out")
            subprocess.run([self.python, "-c", PEER, os.path.join(harness.GUESTS, name + ".wasm"), out, top + "/ro=/ro=ro",
                            top + "/w=/w=rw"], check=True, timeout=harness.PATIENCE)
            with open(out, encoding="utf-8") as f:
                return f.read().splitlines()

    def assert_explained(self, lines, explained):
        """Each check that fails is explained, and each explanation is of a check that fails; but for what depends on which
        of several things Wasmtime sees first, and on its clocks."""
        differ = [line.split(":")[0][len("not ok "):] for line in lines if line.startswith("not ok ")]
        self.assertEqual([name for name in differ if name not in explained], [])
        self.assertEqual([name for name, why in explained.items() if name not in differ and why not in (POLL, CPU)], [])

    def test_what_differs_in_files_is_explained(self):
        lines = self.lines("files", {"w/in.txt": "hello", "w/d/one": "", "ro/f": "data", "ro/out/old": "old"})
        self.assertGreater(len(lines), 100)
        self.assert_explained(lines, FILES)

    def test_what_differs_in_rules_is_explained(self):
        lines = self.lines("rules", {"w/f": "hello", "w/d/x": "", "ro/f": "data"})
        self.assertGreater(len(lines), 310)
        self.assert_explained(lines, RULES)


if __name__ == "__main__":
    harness.main()
