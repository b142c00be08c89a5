"""Programs of four languages, built by their own toolchains and run unchanged."""

import json
import os

import harness
from harness import guest

PYTHON_LIMITS = {"wall_ms": 60000, "cpu_ms": 60000, "memory_bytes": 512 << 20}

FILES = [{"mount": "/w", "kind": "inline", "rights": ["read", "write", "create", "delete"]}]

WALK = """
import os
for top, dirs, files in os.walk('/'):
    dirs.sort()
    print(top, dirs, files)
print(os.stat('w/in').st_size)
try:
    os.rmdir('a')
except OSError as e:
    print(e.errno)
"""


class Languages(harness.Scenario):
    def test_c(self):
        result = self.run_guest(wasm=guest("hello"))
        self.assert_exited(result)
        self.assertEqual(result["stdout"], "hello from inside the brig\n")

    def test_go(self):
        result = self.run_guest("a", "b c", wasm=guest("go"), stdin="one two  three\n")
        self.assert_exited(result)
        self.assertEqual(result["stdout"].splitlines(),
                         ["hello from Go on wasip1/wasm", "arguments: [a b c]", "words: 3", "no files here",
                          "answer: 42"])

    def test_go_exit_code(self):
        self.assert_exited(self.run_guest(wasm=guest("go")), 3)

    def test_assemblyscript(self):
        result = self.run_guest("x", wasm=guest("assemblyscript"))
        self.assert_exited(result)
        self.assertEqual(result["stdout"], "hello from AssemblyScript\narguments: 1\n")
        self.assertIn("and on stderr", result["stderr"])

    def test_assemblyscript_abort(self):
        result = self.run_guest("abort", wasm=guest("assemblyscript"))
        self.assertNotEqual((result["status"], result.get("exit_code")), ("exited", 0))
        self.assertIn("asked to", result["stderr"])

    def python(self, *args, **more):
        fd = harness.sealed_memfd(guest("python"))
        self.addCleanup(os.close, fd)
        params = self.params(*args, wasm=guest("python"), limits=PYTHON_LIMITS, **more)
        params["module"] = {"descriptor": 0, "signature": params["module"]["signature"]}
        return self.client.call("run", params, fds=[fd])

    def test_cpython_runs_a_script_from_stdin(self):
        with open(os.path.join(harness.ROOT, "tests", "guests", "python", "words.py"), encoding="utf-8") as f:
            result = self.python(stdin=f.read())
        self.assert_exited(result)
        first, second = result["stdout"].splitlines()
        self.assertEqual(json.loads(first), {"the": 2, "words": 9, "version": [3, 12]})
        self.assertTrue(second.startswith("no files here"))

    def test_cpython_works_with_files(self):
        with open(os.path.join(harness.ROOT, "tests", "guests", "python", "files.py"), encoding="utf-8") as f:
            result = self.python("-c", f.read(), files={"/w/in.txt": "hello"}, policy={"fs": FILES})
        self.assert_exited(result)
        self.assertEqual(result["stdout"].split(), ["ok", "temporary_files", "ok", "trees", "ok", "archives", "ok", "data",
                                                    "ok", "links", "ok", "large_files", "ok", "state"])
        self.assertEqual([(c["change"], c["path"]) for c in result["changes"]],
                         [("created", "/w/c.csv"), ("modified", "/w/in.txt"), ("created", "/w/tar.tar.gz"),
                          ("created", "/w/z.zip")])

    def test_go_works_with_files(self):
        result = self.run_guest("files", wasm=guest("go"), policy={"fs": FILES})
        self.assertEqual(result["stdout"].splitlines()[-7:], [
            "files: 100 written, read, renamed and removed", "lines: 1000 written and read", "zip: 3 files, 30000 bytes",
            "csv: 2 records", "links: followed, read and removed", 'root: "second"', "checked: as io/fs wants it"], result)
        self.assert_exited(result)
        self.assertEqual(result["changes"], [])

    def test_c_works_with_files(self):
        result = self.run_guest(wasm=guest("work"), files={"/w/in.txt": "one\ntwo\nthree\n"}, policy={"fs": FILES})
        lines = result["stdout"].splitlines()
        self.assertEqual([line for line in lines if line.startswith("not ok")], [])
        self.assertEqual(lines[-1], "0 failed")
        self.assert_exited(result)
        self.assertEqual([(c["change"], c["path"], c.get("content")) for c in result["changes"]],
                         [("created", "/w/sorted.txt", "one\nthree\ntwo\n")])

    def test_cpython_walks_into_a_mount_inside_another(self):
        result = self.python("-c", WALK, files={"/w/in": "hello", "/f": "1"}, policy={"fs": [
            {"mount": mount, "kind": "inline", "rights": FILES[0]["rights"]} for mount in ("/", "/a/b", "/w")]})
        self.assert_exited(result)
        self.assertEqual(result["stdout"].splitlines(),
                         ["/ ['a', 'w'] ['f']", "/a ['b'] []", "/a/b [] []", "/w [] ['in']", "5", "55"])
        self.assertEqual(result["changes"], [])

    def test_cpython_command_line_and_exit_code(self):
        result = self.python("-c", "import sys; print('arg', sys.argv[1]); sys.exit(7)", "x")
        self.assert_exited(result, 7)
        self.assertEqual(result["stdout"], "arg x\n")

    def test_cpython_exception_goes_to_stderr(self):
        result = self.python("-c", "1/0")
        self.assert_exited(result, 1)
        self.assertIn("ZeroDivisionError", result["stderr"])


if __name__ == "__main__":
    harness.main()
