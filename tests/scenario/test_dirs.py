"""`brig run --dir`: a program sees a directory of the host by way of brig-files, and leaves it as it is."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
import silent_fs
from harness import guest, program

PLAIN_FILES = 2000
WALK = """
import os
n = size = 0
for at, dirs, files in os.walk('/checkout'):
    for name in files:
        path = os.path.join(at, name)
        with open(path) as f:
            if f.read() == name:
                n += 1
        size += os.stat(path).st_size
print(n, size)
"""


def snapshot(root):
    """What is in a tree, down to the dates of changes: equal when nobody has touched it."""
    found = {}
    for at, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            found[path] = (st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)
    return found


class Trees:
    """A tree, a signed guest in a file, and the brig command."""

    GUEST = "tree"

    def setUp(self):
        super().setUp()
        self.home = tempfile.mkdtemp(prefix="brig-dirs-")
        self.addCleanup(shutil.rmtree, self.home)
        self.root = os.path.join(self.home, "root")
        os.mkdir(self.root)
        self.wasm = os.path.join(self.home, "guest.wasm")
        with open(self.wasm, "wb") as f:
            f.write(self.keys.sign(guest(self.GUEST)))

    def put(self, name, data="", root=None):
        path = os.path.join(root or self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return path

    def command(self, *args, dirs=None, options=()):
        line = [program("brig"), "run", "--socket", self.brigd.socket, *options]
        for d in dirs if dirs is not None else [self.root + "::/w"]:
            line += ["--dir", d]
        return [*line, self.wasm, *map(str, args)]

    def run_tree(self, *args, **more):
        return subprocess.run(self.command(*args, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.PATIENCE)

    def lines(self, *args, **more):
        done = self.run_tree(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode("utf-8", "surrogateescape").splitlines()


class Options(Trees, harness.Scenario):
    """What the command line says, and what becomes of it."""

    def assert_refused(self, dirs, *said, options=()):
        done = self.run_tree("walk", "/w", dirs=dirs, options=options)
        self.assertEqual(done.returncode, 125, done.stderr)
        for part in said:
            self.assertIn(part, done.stderr.decode())
        self.assertEqual(done.stdout, b"")

    def test_what_cannot_be_shown_is_refused_with_the_reason(self):
        plain = self.put("file")
        closed = os.path.join(self.root, "closed")
        os.mkdir(closed, 0)
        self.addCleanup(os.chmod, closed, 0o700)
        self.assert_refused([self.root + "/nothing"], "No such file")
        self.assert_refused([self.root + "/nothing:/w"], "behind \"::\"")
        self.assert_refused([plain], "Not a directory")
        self.assert_refused([closed], "read")
        self.assert_refused([self.root + "::w"], "does not begin with")
        self.assert_refused([self.root + "::/w/../x"], "..")
        self.assert_refused([self.root + "::/w", self.home + "::/w"], "two directories")
        self.assert_refused([self.root + "::/%d" % i for i in range(9)], "8 directories")

    def test_a_policy_of_the_users_must_have_the_mount(self):
        def document(fs):
            return self.put("policy.json", json.dumps({"version": 1, "args": True, "fs": fs}), self.home)
        lacking = document([{"mount": "/x", "kind": "dir", "rights": ["read"]}])
        self.assert_refused([self.root + "::/w"], '{"mount": "/w", "kind": "dir"', options=["-p", lacking])
        given = document([{"mount": "/w", "kind": "dir", "rights": ["read"]}])
        done = self.run_tree("put", "/w/new", "text", options=["-p", given])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"fs.create", done.stderr)

    def test_a_program_can_only_read_what_is_read_only(self):
        self.put("file", "text")
        done = self.run_tree("put", "/w/new", "text", dirs=[self.root + "::/w:ro"])
        self.assertIn(b"/w/new: ", done.stdout)
        self.assertIn(b"fs.create", done.stderr)
        self.assertNotIn(b"not applied", done.stderr)

    def test_what_dir_bytes_does_not_hold_is_told(self):
        for i in range(64):
            self.put("d/%02d" % i)
        done = self.run_tree("walk", "/w", options=["-l", "dir_bytes=10000"])
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, b"/w/d: Out of memory"), done.stderr)
        self.assertIn(b"brig run: /w/d: there is more in it than dir_bytes", done.stderr)
        self.assert_refused([self.root + "::/w"], "dir_bytes", options=["-l", "dir_bytes=0"])

    def test_eight_directories_at_once(self):
        for i in range(8):
            self.put("%d/name" % i, "in %d" % i)
        dirs = ["%s/%d::/d%d" % (self.root, i, i) for i in range(8)]
        self.assertEqual(self.lines("walk", "/d7", dirs=dirs), ['/d7/name: file 4 "in 7"'])

    def test_usage_names_the_directories(self):
        done = self.run_tree("put", "/w/new", "text", options=["-u"])
        self.assertRegex(done.stderr.decode(), r"directory   %s as /w" % self.root)


class Dirs(Trees, harness.Hostile):
    """What a program sees and does; nothing is left of it but what the result says."""

    def make_tree(self):
        self.put("file", "text")
        self.put("d/inner", "inner")
        self.put("secret", "outside", self.home)
        self.put("closed", "closed")
        os.chmod(os.path.join(self.root, "closed"), 0)
        os.link(os.path.join(self.root, "file"), os.path.join(self.root, "hard"))
        for name, target in (("link", "d/inner"), ("dangling", "nothing"), ("out", "../secret"), ("up", ".."),
                             ("absolute", os.path.join(self.home, "secret"))):
            os.symlink(target, os.path.join(self.root, name))
        os.mkfifo(os.path.join(self.root, "fifo"))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(self.root, "socket"))

    def test_a_program_walks_a_tree_and_never_leaves_it(self):
        self.make_tree()
        before = snapshot(self.root)
        found = dict(line.split(": ", 1) for line in self.lines("walk", "/w"))
        self.assertEqual(found, {
            "/w/file": 'file 4 "text"', "/w/hard": 'file 4 "text"', "/w/d": "dir", "/w/d/inner": 'file 5 "inner"',
            "/w/closed": "file 6 EACCES", "/w/link": 'link -> d/inner "inner"', "/w/dangling": "link -> nothing ENOENT",
            "/w/out": "link -> ../secret ENOTCAPABLE", "/w/up": "link -> .. ENOTCAPABLE",
            "/w/absolute": "link -> %s/secret ENOTCAPABLE" % self.home,
            "/w/fifo": "other ENXIO", "/w/socket": "other ENXIO"})
        self.assertEqual(snapshot(self.root), before)

    def test_a_directory_keeps_its_own_spelling(self):
        self.put("sub/file", "text")
        self.put("d/other")
        path = os.path.join(self.root, "sub")
        self.assertEqual(self.lines("walk", path, dirs=[self.root + "/./d/../sub/"]), ['%s/file: file 4 "text"' % path])

    def test_changes_are_told_and_not_made(self):
        self.put("file", "text")
        before = snapshot(self.root)
        for args in (("put", "/w/new", "text"), ("put", "/w/file", "other"), ("remove", "/w/file")):
            done = self.run_tree(*args)
            self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
            self.assertIn(("1 change to %s, not applied; --apply applies them" % self.root).encode(), done.stderr)
        done = self.run_tree("put", "/w/file", "other", options=["--json"])
        change = json.loads(done.stdout)["changes"][0]
        self.assertEqual((change["change"], change["path"], change["content"], change["base"]),
                         ("modified", "/w/file", "other", harness.digest(b"text")))
        self.assertEqual(snapshot(self.root), before)

    def start(self, *args):
        process = subprocess.Popen(self.command(*args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        return process

    def test_a_file_that_changes_meanwhile_cannot_be_read(self):
        path = self.put("file", "text")
        process = self.start("twice", "/w/file")
        self.assertEqual(process.stdout.readline(), b"4\n")
        with open(path, "r+") as f:
            f.write("TEXT")
        out, err = process.communicate(b"\n", timeout=harness.PATIENCE)
        self.assertEqual((out, process.returncode), (b" EIO\n", 0), err)
        self.assertIn(b"brig run: /w/file: it changed on the host", err)

    def test_a_run_goes_on_when_its_server_is_killed(self):
        self.put("file", "text")
        process = self.start("twice", "/w/file")
        self.assertEqual(process.stdout.readline(), b"4\n")
        servers = [pid for pid, name in harness.descendants(process.pid).items() if name == "brig-files"]
        self.assertEqual(len(servers), 1)
        os.kill(servers[0], signal.SIGKILL)
        out, err = process.communicate(b"\n", timeout=harness.PATIENCE)
        self.assertEqual((out, process.returncode), (b" EIO\n", 0), err)
        self.assertIn(b"brig run: /w: its server ended", err)

    def test_no_server_outlives_a_client_that_is_killed(self):
        self.put("file", "text")
        process = self.start("twice", "/w/file")
        self.assertEqual(process.stdout.readline(), b"4\n")
        servers = [pid for pid, name in harness.descendants(process.pid).items() if name == "brig-files"]
        process.kill()
        process.wait()
        left = harness.wait_for_orphans(keep=[self.brigd.process.pid])
        self.assertEqual(left, [] if isinstance(left, list) else {})
        self.assertEqual(len(servers), 1)

    def test_a_filesystem_that_does_not_answer_holds_no_run(self):
        """Its brig-files cannot even be killed; the run, and the command, come to their end nevertheless."""
        os.chmod(self.home, 0o711)
        silent = silent_fs.SilentFile(self.root, opened=False)
        self.addCleanup(silent.end)
        done = self.run_tree("sum", "/w/file", dirs=[os.fsdecode(silent.path) + "::/w"], options=["-t", "300ms"])
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn(b"wall_ms", done.stderr)

    def test_64_mib_are_read_whole(self):
        block = bytes(i * 7 % 251 for i in range(65536))
        self.put("large", block * 1024)
        total = sum(block[::4096]) * 1024
        self.assertEqual(self.lines("sum", "/w/large"), ["%d bytes, %d" % (64 << 20, total)])

    def test_holes_are_read_as_zeros(self):
        os.truncate(self.put("sparse", "x"), 64 << 20)
        self.assertEqual(self.lines("sum", "/w/sparse", 1 << 20), ["%d bytes, %d" % (64 << 20, ord("x"))])


class Python(Trees, harness.Scenario):
    GUEST = "python"

    def test_cpython_walks_a_checkout(self):
        size = 0
        for i in range(PLAIN_FILES):
            name = "file-%d.c" % i
            self.put("src/%d/%s" % (i % 40, name), name)
            size += len(name)
        done = self.run_tree("-c", WALK, dirs=[self.root + "::/checkout:ro"], options=["-t", "60s", "-m", "512M"])
        self.assertEqual((done.returncode, done.stdout.decode()), (0, "%d %d\n" % (PLAIN_FILES, size)), done.stderr)


if __name__ == "__main__":
    harness.main()
