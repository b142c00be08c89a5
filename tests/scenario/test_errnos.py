"""Each errno that a function can give, provoked by a guest under the whole jail: tests/guests/c/errnos.h has the calls."""

import contextlib
import os
import shutil
import struct
import tempfile

import files_server
import harness
from files_server import FilesServer
from harness import guest

ALL = ["read", "write", "create", "delete"]
MOUNTS = [{"mount": "/ro", "kind": "inline", "rights": ["read"], "paths": {"e": ["read", "create"]}},
          {"mount": "/w", "kind": "inline", "rights": ALL}, {"mount": "/w/in", "kind": "tmp", "rights": ALL}]
FILES = {"/ro/f": "data", "/ro/e/x": "", "/w/f": "hello", "/w/d/x": ""}
MADE = ["/ro/e/n", "/w/e", "/w/l", "/w/ld", "/w/loop", "/w/nothing", "/w/out"]  # by the guest's preparations


class Errnos(harness.Scenario):
    def ask(self, part, mounts=(), **more):
        return self.params(part, wasm=guest("errnos"), files=FILES, env={"A": "B"}, policy={"fs": [*MOUNTS, *mounts]}, **more)

    def assert_provoked(self, result, least, made=()):
        """That all went as it should, and that no failing call had changed anything."""
        lines = result["stdout"].splitlines()
        self.assertEqual([line for line in lines if line.startswith("not ok")], [])
        self.assertEqual(lines[-1], "0 failed")
        self.assertGreater(len(lines), least)
        self.assert_exited(result)
        self.assertEqual([c["path"] for c in result["changes"]], sorted([*MADE, *made]))

    def test_calls_give_their_errnos(self):
        self.assert_provoked(self.client.call("run", self.ask("usual")), 550)

    def test_what_policy_withholds_is_enotcapable(self):
        asked = self.ask("bare")
        del asked["policy"]["clock"], asked["policy"]["random"]
        self.assert_provoked(self.client.call("run", asked), 4)

    def test_input_that_has_not_come_is_eagain(self):
        request = self.client.start("run", self.ask("input", stream=True, stdin={"stream": True}))
        self.client.wait_output(b"failed\n")
        self.assert_exited(self.client.finish(request))
        self.assertEqual(self.client.output().count(b"ok "), 1)

    def test_limits_give_their_errnos(self):
        result = self.client.call("run", self.ask("narrow", limits={"fs_bytes": 1 << 20, "open_files": 24}))
        result["changes"] = [c for c in result["changes"] if not c["path"].startswith("/w/z")]
        self.assert_provoked(result, 10, ["/w/full"])

    def serve(self, stack, lie):
        """A server that asks `lie` first: a code, None to answer as it is, or False to go away."""
        def tell(kind, path):
            code = lie(kind, path)
            if code is None or code is False:
                return code
            server.done(code)
            return []

        server = stack.enter_context(FilesServer(self.root, tell))
        return server

    def fill(self):
        self.root = tempfile.mkdtemp(prefix="brig-errnos-")
        self.addCleanup(shutil.rmtree, self.root)
        for name in ("shut", "changed"):
            with open(os.path.join(self.root, name), "wb") as f:
                f.write(b"x" * 200000)
        for name in ("huge", "locked"):
            with open(os.path.join(self.root, name), "wb"):
                pass
        os.mkdir(os.path.join(self.root, "d"))
        os.mkfifo(os.path.join(self.root, "fifo"))
        os.symlink(b"\xff", os.path.join(os.fsencode(self.root), b"strange"))

    def test_directories_of_the_host_give_their_errnos(self):
        seen = set()

        def late(kind, path):
            """What was opened well cannot be read further."""
            if kind == files_server.STAT and path == "huge":
                version = struct.pack("<QQQqq", 1, 1, (1 << 40) + 1, 1, 1)
                servers["/host"].say(files_server.NODE, version + struct.pack("<qIIII", 1, 1, 0, 0o644, 0))
                return files_server.OK
            if kind != files_server.READ or (path not in seen and path != "locked"):
                seen.add(path if kind == files_server.READ else None)
                return None
            return {"shut": files_server.DENIED, "locked": files_server.DENIED, "changed": files_server.CHANGED}[path]

        self.fill()
        with contextlib.ExitStack() as stack:
            servers = {
                "/closed": self.serve(stack, lambda kind, path: files_server.DENIED),
                "/missing": self.serve(stack, lambda kind, path: files_server.MISSING),
                "/large": self.serve(stack, lambda kind, path: files_server.LIMIT),
                "/lost": self.serve(stack, lambda kind, path: False),
                "/host": self.serve(stack, late),
            }
            asked = self.ask("host", [{"mount": path, "kind": "dir", "rights": ALL} for path in servers],
                             dirs={path: {"descriptor": i} for i, path in enumerate(servers)})
            result = self.client.call("run", asked, [s.theirs.fileno() for s in servers.values()])
        self.assert_provoked(result, 75)
        self.assertEqual({(w["kind"], w["path"]) for w in result["warnings"]},
                         {("lost", "/lost"), ("changed", "/host/changed"), ("limit", "/large")})


if __name__ == "__main__":
    harness.main()
