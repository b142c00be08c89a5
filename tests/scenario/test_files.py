"""What programs do with files: through libc, under the whole jail; what the client gets back; what policy withholds."""

import harness
import wasm
from harness import b64, digest, guest

ALL = ["read", "write", "create", "delete"]
MOUNTS = [{"mount": "/w", "kind": "inline", "rights": ALL},
          {"mount": "/ro", "kind": "inline", "rights": ["read"], "paths": {"out": ALL}}]
FILES = {"/w/in.txt": "hello", "/w/d/one": "", "/ro/f": {"base64": b64(b"data")}, "/ro/out/old": "old"}


class Files(harness.Scenario):
    def files_guest(self, **more):
        return self.run_guest(wasm=guest("files"), files=FILES, policy={"fs": MOUNTS}, **more)

    def test_libc_finds_files_as_they_should_be(self):
        result = self.files_guest()
        lines = result["stdout"].splitlines()
        self.assertEqual([line for line in lines if line.startswith("not ok")], [])
        self.assertEqual(lines[-1], "0 failed")
        self.assertGreaterEqual(len(lines), 100)
        self.assert_exited(result)
        self.assertEqual([(c["change"], c["path"], c.get("content")) for c in result["changes"]],
                         [("created", "/ro/out/x", "y"), ("modified", "/w/in.txt", "hello")])
        self.assertEqual(result["changes"][0]["digest"], digest(b"y"))
        withheld = [(d["call"], d["target"], d["capability"]) for d in result["denials"]]
        self.assertEqual(withheld, [("path_open", "/ro/f", "fs.write"), ("path_open", "/ro/x", "fs.create"),
                                    ("path_create_directory", "/ro/x", "fs.create"),
                                    ("path_unlink_file", "/ro/f", "fs.delete"), ("path_rename", "/ro/f", "fs.delete")])
        self.assertEqual(result["denials"][0]["count"], 2)
        self.assertEqual(result["denials"][0]["rule"], {"layer": "request", "field": "fs.write"})
        self.assertEqual(result["denials"][0]["grant"], {"fs": [{"mount": "/ro", "rights": ["read", "write"]}]})

    def test_each_function_follows_its_rules(self):
        result = self.run_guest(wasm=guest("rules"), files={"/w/f": "hello", "/w/d/x": "", "/ro/f": "data"},
                                policy={"fs": [dict(MOUNTS[0]), {"mount": "/ro", "kind": "inline", "rights": ["read"]}]})
        lines = result["stdout"].splitlines()
        self.assertEqual([line for line in lines if line.startswith("not ok")], [])
        self.assertEqual(lines[-1], "0 failed")
        self.assertGreaterEqual(len(set(lines)), 380)
        self.assert_exited(result)
        self.assertEqual([(d["call"], d["target"], d["capability"], d["count"]) for d in result["denials"]],
                         [("path_open", "/ro/f", "fs.write", 2), ("path_open", "/ro/n", "fs.create", 1),
                          ("path_symlink", "/ro/n", "fs.create", 1), ("path_link", "/ro/n", "fs.create", 1),
                          ("path_rename", "/ro/f", "fs.delete", 1), ("path_filestat_set_times", "/ro/f", "fs.write", 1),
                          ("path_unlink_file", "/ro/f", "fs.delete", 1)])

    def test_files_need_a_mount_that_takes_them(self):
        for fs, files in (([], {"/f": ""}), ([{"mount": "/w", "rights": ALL}], {"/w/f": ""}),
                          (MOUNTS, {"/x/f": ""}), (MOUNTS, {"/ww/f": ""})):
            with self.subTest(fs=fs, files=files):
                told = self.assert_rpc_error("denied", "run", self.params(wasm=wasm.module(), files=files,
                                                                          policy={"fs": fs}))
                self.assertEqual(told.data["denial"]["capability"], "fs.inline")
                self.assertEqual(told.data["denial"]["target"], list(files)[0])

    def test_malformed_files_are_refused(self):
        for files in (["/w/f"], {"w/f": ""}, {"/w/../f": ""}, {"/w//f": ""}, {"/w/f/": ""}, {"/": ""}, {"": ""},
                      {"/w/" + "n" * 256: ""}, {"/w/f": 1}, {"/w/f": {"base64": "!"}}, {"/w/f": "", "/w/f/g": ""},
                      {"/w/f/g": "", "/w/f-": "", "/w/f": ""}):
            with self.subTest(files=str(files)[:60]):
                self.assert_rpc_error("invalid_params", "run", self.params(wasm=wasm.module(), files=files,
                                                                           policy={"fs": MOUNTS}))
        told = self.assert_rpc_error("denied", "run", self.params(
            wasm=wasm.module(), files={"/w/f": "12345"}, policy={"fs": MOUNTS}, limits={"files_bytes": 4}))
        self.assertEqual(told.data["denial"]["capability"], "limits.files_bytes")

    def test_a_run_has_what_its_ceiling_and_its_request_both_grant(self):
        result = self.run_guest(wasm=guest("files"), files=FILES,
                                policy={"fs": MOUNTS}, limits={"fs_nodes": 20, "changes_bytes": 0})
        self.assertIn("not ok readdir finds 300 entries", result["stdout"])  # ENOSPC
        self.assertNotIn("content", result["changes"][0])
        result = self.run_guest(wasm=guest("wasi"), stdin="abc", policy={"fs": []})
        self.assertIn("ok no descriptor is preopened", result["stdout"])
        self.assertNotIn("changes", result)

    def test_large_files_travel_both_ways(self):
        data = bytes(range(256)) * 16384
        result = self.run_guest(wasm=guest("copy"), files={"/w/in": {"base64": b64(data)}}, policy={"fs": MOUNTS},
                                limits={"changes_bytes": 8 << 20})
        self.assert_exited(result)
        self.assertEqual([(c["path"], c["size"], c["digest"], c["encoding"]) for c in result["changes"]],
                         [("/w/out", len(data), digest(data), "base64")])
        self.assertEqual(result["changes"][0]["content"], b64(data))

    def test_what_is_told_of_files_has_memory_of_its_own(self):
        """As much as changes_bytes says, however little the program may have for itself."""
        calls = [("path_open", "iiiiiIIii:i"), ("fd_filestat_set_size", "iI:i")]
        code = b"".join([wasm.i32(3), wasm.i32(0), wasm.i32(0), wasm.i32(1), wasm.i32(1), wasm.i64(1 << 22), wasm.i64(0),
                         wasm.i32(0), wasm.i32(16), wasm.call(0), wasm.DROP,
                         wasm.i32(4), wasm.i64(64 << 20), wasm.call(1), wasm.DROP])
        result = self.run_guest(wasm=wasm.wasi_program(calls, code, data=[wasm.active(0, b"f")]),
                                policy={"fs": [{"mount": "/w", "rights": ALL}]},
                                limits={"memory_bytes": 65536, "table_elements": 1, "open_files": 8, "fs_nodes": 8,
                                        "fs_bytes": 4096, "changes_bytes": 64 << 20})
        self.assert_exited(result)
        self.assertEqual([(c["path"], c["size"], "content" in c) for c in result["changes"]], [("/w/f", 64 << 20, True)])

    def test_many_files_travel_both_ways(self):
        """By the hundreds, which the worker has to sort under its filter."""
        files = {"/w/%d/%03d" % (i % 7, i * 37 % 500): str(i) for i in range(500)}
        result = self.run_guest(wasm=guest("copy"), files=dict(files, **{"/w/in": "x"}), policy={"fs": MOUNTS})
        self.assert_exited(result)
        self.assertEqual([(c["change"], c["path"]) for c in result["changes"]], [("created", "/w/out")])

    def test_a_run_that_reaches_a_limit_tells_no_changes(self):
        result = self.run_guest(wasm=guest("copy"), files={"/w/in": "x"}, policy={"fs": MOUNTS}, limits={"host_calls": 12})
        self.assertEqual((result["status"], result["limit"]), ("limit", "host_calls"))
        self.assertNotIn("changes", result)


if __name__ == "__main__":
    harness.main()
