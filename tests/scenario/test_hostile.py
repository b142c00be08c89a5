"""Hostile clients, hostile modules, and processes that are killed: brigd goes on, and everybody else is served."""

import grp
import json
import os
import random
import resource
import signal
import threading
import time
import unittest

import harness
import wasm

REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "server.info"}


def slow_to_compile(tag=b""):
    """Tens of thousands of nested blocks: some tenths of a second for the compiler."""
    return wasm.module(b"\x02\x40" * 60000 + b"\x0b" * 60000, extra=wasm.custom("tag", tag))


class Compiling(harness.Scenario):
    def test_deep_nesting_is_only_slow(self):
        self.assert_exited(self.run_guest(wasm=slow_to_compile()))

    def test_compiler_killed_by_hand_is_not_the_modules_fault(self):
        data = slow_to_compile(b"killed")
        run = self.client.start("run", self.params(wasm=data))
        compilers = harness.wait_until(lambda: [p for p, n in self.brigd.children().items() if n == "brig-compiler"],
                                       "a compiler is at work")
        os.kill(compilers[0], signal.SIGKILL)
        with self.assertRaises(harness.RpcError) as caught:
            self.client.finish(run)
        self.assertEqual(caught.exception.name, "internal_error")
        self.assertIn("signal 9", caught.exception.message)
        self.assert_exited(self.run_guest(wasm=data))


class SmallCompiler(harness.Scenario):
    options = ("--compile-memory-bytes", str(64 << 20))

    def test_module_that_takes_too_much_memory_to_compile(self):
        error = self.assert_rpc_error("compile_limit", "run", self.params(wasm=wasm.module(b"", bodies=50000)))
        self.assertIn("compile_memory_bytes", error.message)
        self.assert_exited(self.run_guest("hello"))


class Clients(harness.Scenario):
    options = ("--input-bytes", "1000000", "--request-bytes", "950000")

    def alive(self):
        with self.brigd.client() as other:
            self.assertIn("result", other.ask(json.dumps(REQUEST).encode()))

    def test_json_that_would_fill_memory_is_not_unpacked(self):
        for item in (b"{},", b"[],", b"0,"):
            answer = self.client.ask(b"[" + item * 250000 + b"0]")
            self.assertEqual(answer["error"]["data"]["name"], "request_too_large", answer)
        self.alive()

    def test_damaged_lines(self):
        chance = random.Random(1)
        line = json.dumps(dict(REQUEST, method="run", params={"module": {"wasm": "AGFzbQ=="}, "args": ["a", "\u00e9"],
                                                              "env": {"A": "b"}, "stream": True})).encode()
        for _ in range(400):
            bad = bytearray(line)
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(bad))
                bad[place:place + chance.randrange(3)] = bytes([chance.randrange(256)]) * chance.randrange(3)
            self.client.send_bytes(bytes(bad) + b"\n")
        self.client.send_bytes(json.dumps(dict(REQUEST, id="end")).encode() + b"\n")
        while True:
            answer = self.client.receive()
            self.assertIsNotNone(answer, "brigd closed the connection")
            if isinstance(answer, dict) and answer.get("id") == "end":
                break

    def test_half_sent_requests_make_room_at_the_cost_of_the_largest(self):
        line = json.dumps(dict(REQUEST, id="x" * 60000)).encode()
        with self.brigd.client() as hog:
            hog.send_bytes(b" " * 900000)
            others = [self.brigd.client() for _ in range(10)]
            for other in others:
                other.send_bytes(line)
            error = hog.receive()["error"]["data"]
            self.assertEqual(error["name"], "overloaded")
            self.assertGreater(error["retry_after_ms"], 0)
            for other in others:
                self.assertIn("result", other.ask(b""))
                other.close()

    def test_too_many_descriptors_are_refused_and_closed(self):
        before = self.brigd.open_descriptors()
        fd = harness.sealed_memfd(b"x")
        for count in (17, 64, 253):
            with self.brigd.client() as other:
                other.send_bytes(b" ", [fd] * count)
                self.assertEqual(other.ask(b"")["error"]["data"]["name"], "bad_descriptor")
        os.close(fd)
        self.alive()
        if before is not None:
            harness.wait_until(lambda: self.brigd.open_descriptors() <= before, "the descriptors are closed")

    def test_requests_that_share_a_run_have_a_limit(self):
        params = self.params("sleep", 600000, key="shared", limits={"wall_ms": 600000})
        requests = [self.client.start("run", params) for _ in range(257)]
        with self.assertRaises(harness.RpcError) as caught:
            self.client.finish(requests.pop())
        self.assertEqual(caught.exception.name, "overloaded")
        self.assertGreater(caught.exception.data["retry_after_ms"], 0)
        self.client.call("run.cancel", {"key": "shared"})
        self.assertEqual({self.end_of(r) for r in requests}, {"cancelled"})

    def end_of(self, request):
        """How a run ended, and if it failed, why."""
        try:
            result = self.client.finish(request)
            return result["reason"] if result["status"] == "failed" else result["status"]
        except harness.RpcError as error:
            return error.name

    def test_cancelling_at_any_time(self):
        chance = random.Random(2)
        mine = [wasm.module(wasm.FOREVER), slow_to_compile(b"cancel"), harness.guest("guest")]
        for _ in range(4):
            requests = []
            for _ in range(10):
                limits = {"wall_ms": chance.randrange(1, 50)}
                params = self.params("cat", wasm=chance.choice(mine), limits=limits, stream=True, stdin={"stream": True})
                requests.append(self.client.start("run", params))
                self.client.start(chance.choice(["run.cancel", "run.get", "run.input"]),
                                  {"request": chance.choice(requests)})
                self.client.notify("run.cancel", {"request": chance.choice(requests)})
            ends = {self.end_of(r) for r in requests}
            self.assertLessEqual(ends, {"cancelled", "limit", "exited"})
        self.alive()

    def test_nothing_is_left_of_many_runs(self):
        def mixed(n):
            kinds = [("hello", {}), ("loop", {"limits": {"wall_ms": 10}}), ("flood", {"stream": True})]
            requests = [self.client.start("run", self.params(kinds[i % 3][0], **kinds[i % 3][1])) for i in range(n)]
            with self.brigd.client() as other:
                for _ in range(n // 10):
                    other.start("run", self.params("sleep", 600000))
            for request in requests:
                self.client.finish(request)
            harness.wait_until(lambda: self.client.call("server.health")["running"] == 0, "all runs have ended")

        def left():
            """What is there beside zygotes and the workers that wait for a run: other processes, workers, descriptors."""
            health = self.client.call("server.health")
            ready = health["zygotes"] + health["parked"]  # a socket for each
            names = sorted(self.brigd.children().values())
            others = [name for name in names if name != "brig-worker"]
            return others, len(names) - len(others) - ready, (self.brigd.open_descriptors() or ready) - ready
        mixed(30)
        others, _, descriptors = left()
        mixed(150)
        harness.wait_until(lambda: left()[:2] == (others, 0), "all workers are gone")
        harness.wait_until(lambda: left()[2] <= descriptors, "all descriptors are closed")


@unittest.skipUnless(harness.IS_ROOT, "several users need root")
class Owners(harness.Scenario):
    """Users who share one brigd. Its socket is open to a group, and a child process speaks for another user."""

    options = ("--running-max", "1", "--compilers", "1", "--connections-max", "20", "--connections-per-owner", "10",
               "--group", grp.getgrgid(0).gr_name)

    def as_user(self, uid, do):
        """What `do` returns, as JSON, when it is called in a process of that user."""
        pipe, end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([0])
                os.setresuid(uid, uid, uid)
                os.write(end, json.dumps(do()).encode())
            finally:
                os._exit(0)
        os.close(end)
        with os.fdopen(pipe, "rb") as f:
            said = f.read()
        os.waitpid(child, 0)
        self.assertTrue(said, "the other user's process failed")
        return json.loads(said.decode())

    def overtakes(self, many, one):
        """Whether one request of another user is answered while the many of the first still wait."""
        requests = [self.client.start("run", params) for params in many]
        self.client.call("server.health")  # read after all of them

        def other():
            with self.brigd.client() as client:
                client.call("run", one)
                return client.call("server.health")
        health = self.as_user(12345, other)
        for request in requests:
            self.client.start("run.cancel", {"request": request})
        for request in requests:
            try:
                self.client.finish(request)
            except harness.RpcError:
                pass
        return health["queued"] + health["compiling"] > 0

    def test_runs_of_one_do_not_keep_out_another(self):
        params = self.params("loop", limits={"wall_ms": 1000})
        self.assertTrue(self.overtakes([params] * 50, self.params("hello")))

    def test_connections_of_one_do_not_keep_out_another(self):
        clients = [self.brigd.client() for _ in range(12)]
        self.assertEqual(clients[-1].receive()["error"]["data"]["name"], "overloaded")
        self.assertIsNone(clients[-1].receive())

        def other():
            with self.brigd.client() as client:
                return "status" in client.call("server.health")
        self.assertTrue(self.as_user(12345, other))
        for client in clients:
            client.close()
        harness.wait_until(lambda: self.client.call("server.health")["connections"] == 1, "they are gone")

    def test_requests_on_many_connections_of_one_do_not_keep_another_waiting(self):
        """All are sent while brigd stands still. In which order it takes them, is in the audit log: each is refused."""
        line = json.dumps({"jsonrpc": "2.0", "method": "run"}).encode() + b"\n"
        mine = [self.brigd.client() for _ in range(8)]
        for client in mine:
            client.call("server.health")
        before = len(self.brigd.audit_log())
        self.brigd.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.brigd.process.send_signal, signal.SIGCONT)
        requests = []
        for client in mine:
            client.send_bytes(line * 500)
            requests.append(client.start("server.health"))
        sent, end = os.pipe()

        def go_on():
            os.read(sent, 1)
            self.brigd.process.send_signal(signal.SIGCONT)
        thread = threading.Thread(target=go_on)
        thread.start()

        def other():
            with self.brigd.client() as client:
                client.send_bytes(line)
                request = client.start("server.health")
                os.write(end, b"x")
                return client.finish(request)
        self.as_user(12345, other)
        thread.join()
        for client, request in zip(mine, requests):
            client.finish(request)
            client.close()
        self.assert_exited(self.run_guest("hello"))  # on record, as is all that was said before
        order = [int(r["actor"]["process"]["user"]["uid"]) for r in self.brigd.audit_log()[before:]
                 if "invalid_params" in str(r)]
        self.assertEqual(len(order), 8 * 500 + 1)
        self.assertLess(order.index(12345), len(order) // 2)
        os.close(sent)
        os.close(end)

    def test_compilations_of_one_do_not_keep_out_another(self):
        many = [self.params(wasm=slow_to_compile(b"%d" % i)) for i in range(12)]
        self.assertTrue(self.overtakes(many, self.params(wasm=wasm.module(b"\x01"))))


class Killed(harness.Scenario):
    """One process is killed while runs are under way. Everything goes, the log is whole, and the next start works."""

    def kill(self, name):
        directory = self.new_directory("killed-" + name)
        brigd = harness.Brigd(directory, self.keys)
        clients = [brigd.client() for _ in range(3)]
        answered = [clients[0].call("run", self.params("hello"))["audit"]["hash"] for _ in range(20)]
        for client in clients:
            client.start("run", self.params("sleep", 600000, stream=True, limits={"wall_ms": 600000}))
            client.wait_output(b"sleeping")
        pids = [brigd.process.pid] if name == "brigd" else [p for p, n in brigd.children().items() if n == name]
        os.kill(pids[0], signal.SIGKILL)
        for client in clients:
            with self.assertRaises((AssertionError, ConnectionError, harness.RpcError)):
                while True:
                    client.take()
            client.close()
        self.assertNotEqual(brigd.process.wait(harness.PATIENCE), 0)
        brigd.stop()  # checks that nothing is left
        log = os.path.join(brigd.state, "audit", "log.jsonl")
        harness.must(harness.brig("audit", "verify", log))
        with open(log, "rb") as f:
            self.assertLessEqual(set(answered), {harness.digest(line.rstrip(b"\n")) for line in f})
        again = harness.Brigd(directory, self.keys)
        with again.client() as client:
            self.assertEqual(client.call("run", self.params("exit", 7))["exit_code"], 7)
        self.assertEqual(again.stop(), 0)
        harness.must(harness.brig("audit", "verify", log))

    def test_brigd(self):
        self.kill("brigd")

    def test_launcher(self):
        self.kill("brig-launcher")

    def test_store(self):
        self.kill("brig-store")

    def test_logger(self):
        self.kill("brig-logger")

    def test_worker_takes_only_its_own_run_with_it(self):
        other = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True}))
        other_id = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.input", {"run_id": other_id, "data": "here"})
        self.client.wait_output(b"here")
        before = set(self.brigd.children())
        run = self.client.start("run", self.params("sleep", 600000, stream=True, limits={"wall_ms": 600000}))
        self.client.wait_output(b"sleeping")
        worker, = set(self.brigd.children()) - before
        os.kill(worker, signal.SIGKILL)
        result = self.client.finish(run)
        self.assertEqual(result["status"], "failed", result)
        self.assertIn("signal 9", result["reason"])
        self.client.call("run.input", {"run_id": other_id, "data": "on", "end": True})
        self.assert_exited(self.client.finish(other))


class Zygotes(harness.Scenario):
    options = ("--zygote-runs", "3")

    def test_zygotes_are_replaced_under_load(self):
        requests = [self.client.start("run", self.params("sleep", 20)) for _ in range(60)]
        for request in requests:
            self.assert_exited(self.client.finish(request))
        harness.wait_until(self.only_those_in_use_are_left, "the old ones are gone")

    def only_those_in_use_are_left(self):
        health = self.client.call("server.health")
        return health["zygotes"] == 1 + health["templates"]


class SlowZygote(harness.Scenario):
    """Its zygote alone knows how a worker ended. A slow one costs time: that is no reason to call anything failed."""

    def started(self, *args, **more):
        request = self.client.start("run", self.params(*args, stream=True, **more))
        return request, self.client.wait_notification("run.started", lambda p: p["request"] == request)["run_id"]

    def test_runs_end_right_when_it_stood_still(self):
        zygote, = [pid for pid, name in self.brigd.children().items() if name == "brig-worker"]
        ends, run_id = self.started("cat", stdin={"stream": True})
        self.client.call("run.input", {"run_id": run_id, "data": "here"})
        self.client.wait_output(b"here")
        cancelled, _ = self.started("sleep", 600000, limits={"wall_ms": 600000})
        self.client.wait_output(b"sleeping")
        limited, _ = self.started("loop", limits={"wall_ms": 1000})
        os.kill(zygote, signal.SIGSTOP)
        self.addCleanup(os.kill, zygote, signal.SIGCONT)
        self.client.call("run.input", {"run_id": run_id, "end": True})
        self.client.call("run.cancel", {"request": cancelled})
        waiting = self.client.start("run", self.params("hello"))
        time.sleep(3.5)  # how long it stands still is what this test is about: nothing else is waited for
        os.kill(zygote, signal.SIGCONT)
        self.assert_exited(self.client.finish(ends))
        self.assertEqual(self.client.finish(cancelled)["status"], "cancelled")
        self.assertEqual(self.client.finish(limited)["limit"], "wall_ms")
        self.assert_exited(self.client.finish(waiting))
        self.assertIn(zygote, self.brigd.children())


class Descriptors(harness.Scenario):
    def test_brigd_takes_as_many_descriptors_as_it_may(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        try:
            brigd = harness.Brigd(self.new_directory("few"), self.keys)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with open("/proc/%d/limits" % brigd.process.pid, encoding="utf-8") as f:
            line, = [line.split() for line in f if line.startswith("Max open files")]
        self.assertEqual(line[3], line[4])
        self.assertEqual(brigd.stop(), 0)


if __name__ == "__main__":
    harness.main()
