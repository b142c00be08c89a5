"""Directories of the host, from the request to the guest and back: what it sees, what it changes, what goes wrong."""

import os
import shutil
import socket
import tempfile

import files_server
import harness
import wasm
from files_server import FilesServer
from harness import digest, guest

ALL = ["read", "write", "create", "delete"]
MOUNT = {"mount": "/w", "kind": "dir", "rights": ALL}
READ_ONLY = {"mount": "/ro", "kind": "dir", "rights": ["read"], "paths": {"out": ALL}}


def fill(root, files):
    for path, data in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)


def state(root):
    """All names below with what they hold and when they changed."""
    found = {}
    for at, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            found[path] = (st.st_mode, st.st_mtime_ns, st.st_ctime_ns, st.st_size)
    return found


class WithDirs:
    def setUp(self):
        super().setUp()
        self.root = tempfile.mkdtemp(prefix="brig-dir-")
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def run_dirs(self, servers, *args, fs=None, **more):
        """Runs a guest with a directory for each path of `servers`."""
        params = self.params(*args, policy={"fs": fs or [MOUNT], "clock": "real", "args": True},
                             dirs={path: {"descriptor": i} for i, path in enumerate(servers)}, **more)
        return self.client.call("run", params, [s.theirs.fileno() for s in servers.values()])


class LargeFiles(WithDirs, harness.Scenario):
    def test_a_large_file_arrives_whole(self):
        data = os.urandom(1 << 20) * 5 + b"end"
        fill(self.root, {"in": data})
        with FilesServer(self.root) as server:
            result = self.run_dirs({"/w": server}, wasm=guest("copy"), limits={"changes_bytes": 8 << 20})
        self.assert_exited(result)
        self.assertEqual([(c["path"], c["size"], c["digest"]) for c in result["changes"]],
                         [("/w/out", len(data), digest(data))])


class DirMounts(WithDirs, harness.Hostile):
    def test_libc_finds_files_of_the_host_as_it_finds_its_own(self):
        fill(self.root, {"w/in.txt": b"hello", "w/d/one": b"", "ro/f": b"data", "ro/out/old": b"old"})
        before = state(self.root)
        with FilesServer(self.root + "/w") as w, FilesServer(self.root + "/ro") as ro:
            result = self.run_dirs({"/w": w, "/ro": ro}, fs=[MOUNT, READ_ONLY], wasm=guest("files"))
        self.assertEqual([line for line in result["stdout"].splitlines() if line.startswith("not ok")], [])
        self.assertEqual(result["stdout"].splitlines()[-1], "0 failed")
        self.assert_exited(result)
        self.assertEqual([(c["change"], c["path"], c.get("content"), c.get("base")) for c in result["changes"]],
                         [("created", "/ro/out/x", "y", None), ("modified", "/w/in.txt", "hello", digest(b"hello"))])
        self.assertEqual(state(self.root), before)

    def test_each_function_follows_its_rules_on_files_of_the_host(self):
        fill(self.root, {"w/f": b"hello", "w/d/x": b"", "ro/f": b"data"})
        with FilesServer(self.root + "/w") as w, FilesServer(self.root + "/ro") as ro:
            result = self.run_dirs({"/w": w, "/ro": ro}, fs=[MOUNT, {"mount": "/ro", "kind": "dir", "rights": ["read"]}],
                                   wasm=guest("rules"))
        self.assertEqual([line for line in result["stdout"].splitlines() if line.startswith("not ok")], [])
        self.assertEqual(result["stdout"].splitlines()[-1], "0 failed")

    def test_a_mount_inside_covers_what_the_host_has_there(self):
        fill(self.root, {"in": b"x", "d/hidden": b"", "e": b""})
        with FilesServer(self.root) as server:
            result = self.run_dirs({"/w": server}, wasm=guest("copy"), files={"/w/d/f": "in the request"},
                                   fs=[MOUNT, {"mount": "/w/d", "kind": "inline", "rights": ALL}])
        self.assert_exited(result)
        self.assertEqual([c["path"] for c in result["changes"]], ["/w/out"])

    def test_a_server_that_is_lost_is_told_and_the_run_goes_on(self):
        fill(self.root, {"in": b"x" * 1000})
        for name, lie, asked in (("goes", lambda kind, path: False if kind == files_server.READ else None, 3),
                                 ("lies", lambda kind, path: [b"nonsense"], 1)):
            with self.subTest(server=name), FilesServer(self.root, lie) as server:
                result = self.run_dirs({"/w": server}, wasm=guest("copy"))
                self.assertEqual(result["status"], "exited")
                self.assertNotEqual(result["exit_code"], 0)
                self.assertEqual([(w["kind"], w["path"]) for w in result["warnings"]], [("lost", "/w")])
                self.assertEqual(len(server.asked), asked)

    def test_a_server_that_says_nothing_is_waited_for_until_the_limit(self):
        with FilesServer(self.root, lambda kind, path: []) as server:
            result = self.run_dirs({"/w": server}, wasm=guest("copy"), limits={"wall_ms": 300})
            self.assertEqual((result["status"], result["limit"]), ("limit", "wall_ms"))
            result = self.run_dirs({"/w": server}, wasm=guest("copy"), limits={"wall_ms": 300},
                                   fs=[MOUNT, {"mount": "/w/d", "rights": ALL}])  # asked before the guest starts
            self.assertEqual((result["status"], result["limit"]), ("limit", "wall_ms"))

    def test_a_file_that_changes_is_an_error_and_told(self):
        fill(self.root, {"in": b"x" * 1000})

        def change(kind, path):
            if kind == files_server.READ:
                with open(self.root + "/in", "ab") as f:
                    f.write(b"more")

        with FilesServer(self.root, change) as server:
            result = self.run_dirs({"/w": server}, wasm=guest("copy"))
        self.assertNotEqual(result["exit_code"], 0)
        self.assertEqual([(w["kind"], w["path"]) for w in result["warnings"]], [("changed", "/w/in")])
        self.assertIn("changed on the host", result["warnings"][0]["message"])

    def test_names_past_dir_bytes_are_an_error_and_told(self):
        fill(self.root, {"in": b"", **{"n%d" % i: b"" for i in range(100)}})
        with FilesServer(self.root) as server:
            result = self.run_dirs({"/w": server}, wasm=guest("copy"), limits={"dir_bytes": 10000})
            self.assertEqual([(w["kind"], w["path"]) for w in result["warnings"]], [("limit", "/w")])
            self.assert_exited(self.run_dirs({"/w": server}, wasm=guest("copy"), limits={"dir_bytes": 100000}))

    def test_only_ends_of_own_socket_pairs_are_taken(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.root + "/s")
        listener.listen()
        pairs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) + socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        tcp = socket.socket()
        pipe = os.pipe()
        files = [os.open(self.root, os.O_RDONLY), os.open("/dev/null", os.O_RDWR), os.open("/proc/self/exe", os.O_RDONLY),
                 harness.sealed_memfd(b"x")]
        fds = [listener.fileno(), tcp.fileno(), *(s.fileno() for s in pairs), *pipe, *files]
        for fd in fds:
            with self.subTest(fd=os.readlink("/proc/self/fd/%d" % fd)):
                self.assert_rpc_error("bad_descriptor", "run", self.params(
                    wasm=wasm.module(), policy={"fs": [MOUNT]}, dirs={"/w": {"descriptor": 0}}), [fd])
        for s in (listener, tcp, *pairs):
            s.close()
        for fd in (*pipe, *files):
            os.close(fd)

    def test_directories_need_a_mount_of_kind_dir(self):
        for fs in ([], [{"mount": "/w", "kind": "inline"}], [{"mount": "/", "kind": "dir"}], [{"under": "/w", "kind": "dir"}]):
            with self.subTest(fs=fs), FilesServer(self.root) as server:
                told = self.assert_rpc_error("denied", "run", self.params(
                    wasm=wasm.module(), policy={"fs": fs}, dirs={"/w": {"descriptor": 0}}), [server.theirs.fileno()])
                self.assertEqual(told.data["denial"]["capability"], "fs.dir")
                grant = told.data["denial"]["grant"]["fs"][0]
                self.assertEqual((grant["mount"], grant["kind"]), ("/w", "dir"))

    def test_eight_directories_travel_with_a_large_blob(self):
        paths = ["/d%d" % i for i in range(8)]
        fill(self.root, {"in": b"x"})
        servers = [FilesServer(self.root) for _ in paths]
        params = self.params(wasm=guest("copy"), policy={"fs": [dict(MOUNT, mount=p) for p in [*paths[:7], "/w"]],
                                                         "clock": "real", "args": True},
                             dirs={p: {"descriptor": i} for i, p in enumerate([*paths[:7], "/w"])}, stdin="x" * 100000)
        try:
            result = self.client.call("run", params, [s.theirs.fileno() for s in servers])
        finally:
            for s in servers:
                s.__exit__()
        self.assert_exited(result)
        self.assertEqual([c["path"] for c in result["changes"]], ["/w/out"])


if __name__ == "__main__":
    harness.main()
