"""Hostile and greedy clients: whatever they do, brigd stays small, answers precisely, and serves the others."""

import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import unittest

import harness
import silent_fs
import wasm

MIB = 1 << 20


class Owners(harness.Scenario):
    """Several users at one brigd, one of whom takes all that can be had."""

    options = ("--group", "root", "--running-max", "4", "--running-per-owner", "3", "--queued-per-owner", "5",
               "--held-bytes-per-owner", str(1 << 20))
    OTHER = 23456  # a uid

    @classmethod
    def setUpClass(cls):
        if not harness.IS_ROOT:
            raise unittest.SkipTest("needs root, to be several users")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.other = self.client_of(self.OTHER)  # the group lets it through to the socket
        self.assertEqual(self.other.call("server.info")["uid"], self.OTHER)

    def start_loops(self, count):
        params = self.params("loop", limits={"wall_ms": 60000, "cpu_ms": 60000})
        params["module"] = self.stored(harness.guest("guest"))
        for _ in range(count):
            self.client.start("run", params)

    def wait_for(self, **counts):
        harness.wait_until(lambda: counts.items() <= self.other.call("server.health").items(), "there are %s" % counts)

    def test_one_owner_does_not_get_all_places(self):
        self.start_loops(8)
        self.wait_for(running=3, queued=5)
        self.assertEqual(self.other.call("run", self.params("hello"))["status"], "exited")
        refused = self.assert_rpc_error("overloaded", "run", self.params("hello"))
        self.assertEqual(refused.data["setting"], "queued_per_owner")
        self.assertGreater(refused.data["retry_after_ms"], 0)
        self.client.close()
        self.wait_for(running=0, queued=0)

    def test_one_owner_does_not_get_all_memory(self):
        run = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True}))
        run_id = self.client.wait_notification("run.started")["run_id"]
        large = self.params("hello", stdin="x" * (1 << 20))
        refused = self.assert_rpc_error("overloaded", "run", large)
        self.assertEqual(refused.data["setting"], "held_bytes_per_owner")
        self.assertEqual(self.other.call("run", large)["status"], "exited")
        self.client.call("run.input", {"run_id": run_id, "end": True})
        self.client.finish(run)

    def test_runs_of_another_owner_are_not_there(self):
        run = self.client.call("run", self.params("hello", key="mine"))
        for params in ({"run_id": run["run_id"]}, {"key": "mine"}):
            for method in ("run.get", "run.cancel"):
                with self.assertRaises(harness.RpcError) as caught:
                    self.other.call(method, params)
                self.assertEqual(caught.exception.name, "run_not_found")


class Attack:
    """Each test prints how much memory brigd had at most, and fails past what docs/configuration.md says it may have."""

    lowest = None  # memory of brigd at the begin of a test

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lowest = None

    def setUp(self):
        self.start = self.peak = self.rss()
        super().setUp()
        if self.lowest:
            harness.wait_until(lambda: self.rss() < self.lowest + 4 * MIB, "brigd has given memory back")
        type(self).lowest = self.start = self.peak = self.rss()

    def rss(self):
        """Of brigd, in bytes."""
        with open("/proc/%d/statm" % self.brigd.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def look(self):
        """Notes how large brigd is now; that the others are served is part of it."""
        self.peak = max(self.peak, self.rss())
        self.assertEqual(self.client.call("server.health")["status"], "ok")

    def assert_grew_at_most(self, allowed):
        print("# %s: brigd before %.1f MiB, at most %.1f MiB, allowed %.1f MiB more" % (
            self.id().replace("__main__.", ""), self.start / MIB, self.peak / MIB, allowed / MIB), flush=True)
        self.assertLess(self.peak - self.start, allowed)

    def connect(self):
        def attempt():
            try:
                return self.brigd.client()
            except BlockingIOError:  # it has not accepted those before yet
                return None
        client = harness.wait_until(attempt, "brigd accepts")
        self.addCleanup(client.close)
        return client

    def flood(self, client, block, times):
        """Sends a block again and again, looking in between. Returns how many bytes went; fewer when brigd ended it."""
        sent = 0
        for i in range(times):
            try:
                client.send_bytes(block)
            except (BrokenPipeError, ConnectionResetError):
                return sent
            sent += len(block)
            self.peak = max(self.peak, self.rss())
            if i % 16 == 0:
                self.look()
        return sent

    def answer_then_end(self, client):
        """The one line that came, and that the connection ended behind it."""
        answer = client.receive()
        try:
            self.assertIsNone(client.receive())
        except ConnectionResetError:
            pass
        return answer["error"]["data"]["name"], answer["id"]


class Lines(Attack, harness.Hostile):
    options = harness.Hostile.options + ("--request-bytes", str(8 * MIB), "--input-bytes", str(24 * MIB))

    def test_line_of_a_gibibyte(self):
        client = self.connect()
        sent = self.flood(client, b'{"a":"' + b"x" * MIB, 1024)
        self.look()
        self.assertLess(sent, 32 * MIB)  # no more is taken than the limit and what the socket holds
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(self.answer_then_end(client), ("request_too_large", None))
        self.assert_grew_at_most(16 * MIB)

    def test_half_lines_of_many_clients(self):
        clients = [self.connect() for _ in range(40)]
        for client in clients:
            client.socket.setblocking(False)
        for _ in range(64):
            for client in clients:
                try:
                    client.socket.send(b"[" * (64 << 10))
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    pass
            self.look()
        self.assert_grew_at_most(2 * 24 * MIB)
        refused = 0
        for client in clients:
            client.socket.setblocking(True)
            client.socket.settimeout(0.1)
            try:
                refused += client.receive()["error"]["data"]["name"] == "overloaded"
            except (OSError, TypeError):
                pass
        self.assertGreater(refused, 0)

    def test_one_byte_at_a_time(self):
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server.info"}).encode() + b"\n"
        clients = [self.connect() for _ in range(100)]
        for byte in line:
            for client in clients:
                client.send_bytes(bytes([byte]))
            self.look()
        for client in clients:
            self.assertIn("result", client.receive())
        self.assert_grew_at_most(16 * MIB)

    def test_long_lines_of_every_kind(self):
        """What is parsed, decoded and hashed at length. The same client gets all answers; others are served meanwhile."""
        client = self.connect()
        size = 7 * MIB
        request = b'{"jsonrpc":"2.0","id":1,"method":"run","params":{"module":{"wasm":"%s"}}}'
        for name, line in (
                ("parse_error", b'"' + b"x" * size), ("invalid_request", b'"' + b"x" * size + b'"'),
                ("parse_error", b"[" * size), ("request_too_large", b"[" + b"1," * (size // 2) + b"1]"),
                ("parse_error", b'"' + b"\\u00e" * (size // 6)), ("invalid_request", b'"' + b"\\u0000" * (size // 6) + b'"'),
                ("invalid_params", request % (b"!" * size)), ("module_invalid", request % (b"AAAA" * (size // 4))),
                ("parse_error", b"\0" * size), ("parse_error", b" " * size), ("parse_error", b"1" * size)):
            with self.subTest(name, line=line[:20]):
                client.send_bytes(line + b"\n")
                self.look()
                self.assertEqual(client.receive()["error"]["data"]["name"], name)
                self.look()
        self.assert_grew_at_most(8 * 8 * MIB)

    def test_client_that_goes_while_its_long_line_is_taken_in(self):
        for _ in range(8):
            with self.brigd.client() as client:
                client.send_bytes(b'{"a":"' + b"x" * (7 * MIB) + b'"}\n')
            self.look()
        self.assert_grew_at_most(3 * 24 * MIB)


class Readers(Attack, harness.Hostile):
    options = harness.Hostile.options + ("--backlog-bytes", str(4 * MIB))

    def test_client_that_never_reads(self):
        client = self.connect()
        batch = json.dumps([{"jsonrpc": "2.0", "id": i, "method": "server.info"} for i in range(500)]).encode() + b"\n"
        self.assertLess(self.flood(client, batch, 2000), 2000 * len(batch))
        self.assert_grew_at_most(3 * 4 * MIB)

    def test_largest_batch_with_equal_ids(self):
        client = self.connect()
        batch = [{"jsonrpc": "2.0", "id": 7, "method": "server.health"}] * 1000
        answers = client.ask(json.dumps(batch).encode())
        self.assertEqual({a["id"] for a in answers}, {7})
        self.assertEqual(len(answers), 1000)
        refused = client.ask(json.dumps(batch + batch).encode())
        self.assertEqual((refused["error"]["data"]["name"], refused["id"]), ("invalid_request", None))
        self.look()
        self.assert_grew_at_most(16 * MIB)

    def test_client_that_closes_in_mid_run(self):
        clients = [self.connect() for _ in range(4)]
        params = self.params("loop", limits={"wall_ms": 60000, "cpu_ms": 60000})
        params["module"] = self.stored(harness.guest("guest"))
        keys = [{"key": os.urandom(8).hex()} for _ in clients]
        for client, key in zip(clients, keys):
            client.start("run", params)
            client.start("run", dict(params, **key))
        harness.wait_until(lambda: self.client.call("server.health")["running"] == 8, "all runs run")
        self.look()
        for client in clients:
            client.close()
        harness.wait_until(lambda: self.client.call("server.health")["running"] == 4, "runs without a key have ended")
        for key in keys:
            self.assertEqual(self.client.call("run.get", key)["state"], "running")
            self.assertTrue(self.client.call("run.cancel", key)["cancelled"])
            harness.wait_until(lambda k=key: self.client.call("run.get", k)["state"] == "ended", "it has ended")
            self.assertEqual(self.client.call("run.get", key)["result"]["status"], "cancelled")
        self.assert_grew_at_most(16 * MIB)


class Connections(Attack, harness.Hostile):
    MANY = 1000

    def setUp(self):
        need = self.MANY + 200
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if 0 <= hard < need:
            self.skipTest("this user may have only %d descriptors" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        super().setUp()

    def test_a_thousand_connections(self):
        clients = [self.connect() for _ in range(self.MANY - 1)]  # and self.client
        for client in clients:
            client.start("server.info")
        for client in clients:
            self.assertIn("version", client.finish(1))
        self.look()
        with self.brigd.client() as one_more:
            self.assertEqual(self.answer_then_end(one_more), ("overloaded", None))
        self.look()
        self.assert_grew_at_most(32 * MIB)


class Queue(Attack, harness.Scenario):
    MANY = 10000
    options = harness.Hostile.options + ("--running-max", "2", "--queued-max", str(MANY), "--queued-per-owner", str(2 * MANY))

    def test_ten_thousand_queued_runs(self):
        client = self.connect()
        params = self.params("loop", limits={"wall_ms": 600000, "cpu_ms": 600000})
        params["module"] = self.stored(harness.guest("guest"))
        before = self.brigd.open_descriptors()
        for i in range(self.MANY + 2):
            client.start("run", params)
            if i % 1000 == 0:
                self.look()
        harness.wait_until(lambda: self.client.call("server.health")["queued"] == self.MANY, "they all wait")
        self.look()
        refused = self.assert_rpc_error("overloaded", "run", params)
        self.assertEqual(refused.data["setting"], "queued_max")
        if before is not None:
            self.assertLess(self.brigd.open_descriptors(), before + 100)
        client.close()
        harness.wait_until(lambda: self.client.call("server.health")["queued"] == 0, "they are cancelled")
        self.look()
        self.assert_grew_at_most(self.MANY * 16384)
        harness.wait_until(lambda: self.rss() < self.start + 4 * MIB, "brigd has given the memory back")


class Descriptors(Attack, harness.Hostile):
    """Whatever is passed with a line is refused precisely, and closed."""

    def refused(self, fd):
        """What run says of that descriptor as a module."""
        params = {"module": {"descriptor": 0}}
        error = self.assert_rpc_error("bad_descriptor", "run", params, [fd])
        self.assert_rpc_error("bad_descriptor", "module.put", params["module"], [fd])
        return error.message

    def closing(self, fd):
        self.addCleanup(os.close, fd)
        return fd

    def test_what_is_no_memory_file(self):
        directory = self.closing(os.open(self.directory, os.O_RDONLY))
        path = os.path.join(self.directory, "some-file")
        regular = self.closing(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        os.unlink(path)
        os.write(regular, wasm.module())
        os.mkfifo(path)
        fifo = self.closing(os.open(path, os.O_RDWR))
        os.unlink(path)
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        reading, writing = os.pipe()
        for what, fd in (("directory", directory), ("file", regular), ("FIFO", fifo), ("socket", pair[0].fileno()),
                         ("pipe", self.closing(reading)), ("other end", self.closing(writing)),
                         ("device", self.closing(os.open("/dev/zero", os.O_RDONLY))),
                         ("path", self.closing(os.open("/", os.O_PATH)))):
            with self.subTest(what):
                self.assertIn("not a memory file", self.refused(fd))

    def test_descriptor_whose_close_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            lingering = socket.create_connection(listener.getsockname())
            reader = listener.accept()[0]
        self.addCleanup(reader.close)  # which ends the wait
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        lingering.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                lingering.send(bytes(65536))  # what closing it waits for
        client = self.connect()
        os.kill(self.brigd.process.pid, signal.SIGSTOP)
        client.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"run","params":{"module":{"descriptor":0}}}\n',
                          [lingering.fileno()])
        lingering.close()  # so that brigd's is the last
        os.kill(self.brigd.process.pid, signal.SIGCONT)
        self.assertIn("not a memory file", client.receive()["error"]["message"])
        self.assertIn("result", self.connect().ask(b'{"jsonrpc":"2.0","id":1,"method":"server.info"}'))

    @unittest.skipUnless(harness.IS_ROOT, "mounting needs root")
    def test_file_whose_file_system_does_not_answer(self):
        silent = silent_fs.SilentFile(self.directory)
        self.addCleanup(silent.end)
        for place in ({"module": {"descriptor": 0}}, {"module": {"descriptor": 1}}, {"module": {"digest": "sha256:" + 64 * "0"}}):
            with self.subTest(place=place):
                error = self.assert_rpc_error(
                    "module_not_found" if "digest" in place["module"] else "bad_descriptor", "run", place, [silent.fd])
                self.assertTrue(error.message)
        self.client.send_bytes(b'{"jsonrpc":"2.0","id":1,"meth', [silent.fd] * 5)
        self.client.close()  # with half a line
        with self.brigd.client() as other:
            for _ in range(5):
                self.assert_exited(other.call("run", self.params(wasm=wasm.module())))

    def test_memory_file_that_can_still_change(self):
        for seals in range(16):
            if seals == harness.SEALS:
                continue
            with self.subTest(seals=seals):
                fd = self.closing(harness.sealed_memfd(wasm.module(), seals))
                self.assertIn("can still change", self.refused(fd))
        self.assertIn("can still change", self.refused(self.closing(os.memfd_create("unsealable", 0))))

    def test_memory_file_changed_after_sending(self):
        """It must be sealed when brigd looks, and can then not be changed any more: what was checked is what runs."""
        fd = self.closing(os.memfd_create("late", os.MFD_ALLOW_SEALING))
        module = wasm.module()
        signature = self.module(module)["signature"]
        os.write(fd, module)
        request = {"module": {"descriptor": 0, "signature": signature}, "policy": {"version": 1}}
        line = json.dumps({"jsonrpc": "2.0", "id": "late", "method": "run", "params": request}).encode()
        self.client.send_bytes(line, [fd])  # but not its end
        os.pwrite(fd, b"\xff", 8)
        fcntl.fcntl(fd, harness.F_ADD_SEALS, harness.SEALS)
        self.client.send_bytes(b"\n")
        with self.assertRaises(harness.RpcError) as caught:
            self.client.finish("late")
        self.assertIn(caught.exception.name, ("bad_signature", "module_invalid"))
        with self.assertRaises(PermissionError):
            os.pwrite(fd, module, 0)

    def test_memory_file_of_huge_pages(self):
        try:
            fd = self.closing(os.memfd_create("huge", os.MFD_ALLOW_SEALING | os.MFD_HUGETLB))
        except OSError as e:
            self.skipTest("no huge pages here: %s" % e)
        os.ftruncate(fd, 2 * MIB)
        fcntl.fcntl(fd, harness.F_ADD_SEALS, harness.SEALS)
        self.assertIn("huge pages", self.refused(fd))

    def test_empty_and_too_large_memory_files(self):
        empty = self.closing(harness.sealed_memfd(b""))
        self.assert_rpc_error("module_invalid", "run", {"module": {"descriptor": 0}}, [empty])
        fd = self.closing(os.memfd_create("large", os.MFD_ALLOW_SEALING))
        os.ftruncate(fd, 1 << 40)  # it takes no memory
        fcntl.fcntl(fd, harness.F_ADD_SEALS, harness.SEALS)
        self.assert_rpc_error("module_too_large", "run", {"module": {"descriptor": 0}}, [fd])
        self.look()

    def test_as_many_as_a_message_can_carry(self):
        fd = self.closing(harness.sealed_memfd(wasm.module()))
        for line in (b'{"jsonrpc":"2.0","id":1,"method":"server.info"}', b"{", b"[]"):
            client = self.connect()
            client.send_bytes(line + b"\n", [fd] * 253)
            answer = client.receive()
            self.assertEqual((answer["error"]["data"]["name"], answer["id"]), ("bad_descriptor", None))
            self.assertIn("result", client.ask(b'{"jsonrpc":"2.0","id":1,"method":"server.info"}'))

    def test_descriptors_without_a_request(self):
        fd = self.closing(harness.sealed_memfd(wasm.module()))
        for _ in range(20):
            client = self.connect()
            for _ in range(20):
                client.send_bytes(b" ", [fd] * 253)  # of a line that has not come yet
            client.send_bytes(b"\n")
            self.assertEqual(client.receive()["error"]["data"]["name"], "bad_descriptor")
            client.send_bytes(b"\n", [fd])  # an empty line
            client.send_bytes(b'{"jsonrpc":"2.0","method":"run"}\n', [fd])
            client.send_bytes(b"nonsense\n", [fd])
            self.assertEqual(client.receive()["error"]["data"]["name"], "parse_error")
            client.send_bytes(b"[1,2]\n", [fd])
            self.assertEqual(len(client.receive()), 2)
            client.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ru', [fd])  # half a line, and the end
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.receive()["error"]["data"]["name"], "parse_error")
            self.assertIsNone(client.receive())

    def test_index_past_what_came(self):
        fd = self.closing(harness.sealed_memfd(wasm.module()))
        for index in (1, 4, -1, 1 << 40, "0", None, 0.0):
            with self.subTest(index):
                error = self.assert_rpc_error("bad_descriptor", "run", {"module": {"descriptor": index}}, [fd])
                self.assertIn("1 came with this line", error.message)


if __name__ == "__main__":
    harness.main()
