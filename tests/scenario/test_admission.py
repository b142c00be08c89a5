"""Who runs when: shares, priorities, limits of queues, deadlines, draining, reloading, a machine under pressure."""

import json
import os
import shutil
import signal
import tempfile

import harness
import wasm

OTHER = 23456  # another user, when the test is root
FOREVER = 3600000


class Admission(harness.Scenario):
    """Places that a test can keep taken while it fills the queue."""

    @classmethod
    def setUpClass(cls):
        cls.files = tempfile.mkdtemp(prefix="brig-test-")
        cls.addClassCleanup(shutil.rmtree, cls.files)
        os.chmod(cls.files, 0o755)
        cls.prepare()
        super().setUpClass()

    @classmethod
    def prepare(cls):
        """Writes files, and sets options."""

    @classmethod
    def write(cls, name, content):
        path = os.path.join(cls.files, name)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        return path

    def metrics(self):
        return self.client.call("server.metrics")

    def take_place(self):
        """Starts a run that goes on until it is cancelled."""
        request = self.client.start("run", self.params("loop", stream=True, limits={"wall_ms": FOREVER, "cpu_ms": FOREVER}))
        self.client.wait_notification("run.started", lambda p: p["request"] == request)
        return request

    def cancel(self, request, client=None):
        client = client or self.client
        client.call("run.cancel", {"request": request})
        return client.finish(request)

    def queue(self, count, client=None, **more):
        return [(client or self.client).start("run", self.params("exit", 0, **more)) for _ in range(count)]

    def wait_queued(self, count):
        harness.wait_until(lambda: self.metrics()["queued"] == count, "%d runs wait" % count)

    def sequence(self, result):
        """Where the outcome stands in the audit log: with one place, the order in which runs ran."""
        self.assert_exited(result)
        return result["audit"]["sequence"]


class Shares(Admission):
    @classmethod
    def prepare(cls):
        path = cls.write("shares.json", {"owners": {str(OTHER): {"weight": 1000}}})
        cls.options = ("--running-max", "1", "--shares", path, "--group", "root") if harness.IS_ROOT else \
            ("--running-max", "1", "--shares", path)

    def spin(self, count, client, ms, **more):
        """Runs that each hold a place for so long."""
        limits = {"wall_ms": ms, "cpu_ms": FOREVER}
        return [client.start("run", self.params("loop", limits=limits, **more)) for _ in range(count)]

    def order(self, requests):
        """Owners in the order in which their runs ran; requests: client -> (name, ids)."""
        ran = [(client.finish(i)["audit"]["sequence"], name) for client, (name, ids) in requests.items() for i in ids]
        return "".join(name for _, name in sorted(ran))

    def test_users_get_shares_by_their_weights(self):
        other = self.client_of(OTHER)
        blocker = self.take_place()
        requests = {self.client: ("a", self.spin(3, self.client, 50)), other: ("b", self.spin(9, other, 50))}
        self.wait_queued(12)
        weights = {o["uid"]: o["weight"] for o in self.metrics()["owners"]}
        self.cancel(blocker)
        order = self.order(requests)
        self.assertLess(order.rindex("b"), order.index("a", order.index("a") + 1), order)  # one of a's is worth 1000 of b's
        self.assertEqual((weights[0], weights.get(OTHER)), (1, 1000))

    def test_who_holds_places_longer_gets_fewer_starts(self):
        third = self.client_of(OTHER + 1)  # of the same weight as the test's own
        blocker = self.take_place()
        requests = {self.client: ("a", self.spin(3, self.client, 1000)), third: ("b", self.queue(20, third))}
        self.wait_queued(23)
        self.cancel(blocker)
        order = self.order(requests)
        self.assertGreater(order[:order.rindex("a")].count("b"), 5, order)  # 2 or 3, if they took turns

    def test_priorities_order_the_runs_of_one_user(self):
        blocker = self.take_place()
        asked = [5, 0, 9, None, 3, 9, 0, 5]
        requests = []
        for n, priority in enumerate(asked):
            more = {} if priority is None else {"priority": priority}
            requests += self.queue(1, **more)
            self.wait_queued(n + 1)
        self.cancel(blocker)
        ran = sorted((self.sequence(self.client.finish(i)), n) for n, i in enumerate(requests))
        expected = sorted(range(len(asked)), key=lambda n: (-(5 if asked[n] is None else asked[n]), n))
        self.assertEqual([n for _, n in ran], expected)

    def test_priorities_do_not_get_past_other_users(self):
        other = self.client_of(OTHER)
        blocker = self.take_place()
        requests = {self.client: ("a", self.spin(3, self.client, 50, priority=9)),
                    other: ("b", self.spin(9, other, 50, priority=0))}
        self.wait_queued(12)
        self.cancel(blocker)
        order = self.order(requests)
        self.assertLess(order.rindex("b"), order.index("a", order.index("a") + 1), order)

    def test_priorities_and_deadlines_out_of_range_are_refused(self):
        for name, values in (("priority", (-1, 10, 1.5, "5", None)), ("deadline_ms", (0, -1, 86400001, 1.5, "5", None))):
            for value in values:
                error = self.assert_rpc_error("invalid_params", "run", self.params("exit", 0, **{name: value}))
                self.assertIn(name, error.message)
        for name, values in (("priority", (0, 9)), ("deadline_ms", (86400000,))):
            for value in values:
                self.assert_exited(self.run_guest("exit", 0, **{name: value}))

    def test_a_run_can_be_cancelled_while_it_waits(self):
        blocker = self.take_place()
        first, second = self.queue(2)
        self.wait_queued(2)
        result = self.cancel(first)
        self.assertEqual((result["status"], result["usage"]["wall_us"]), ("cancelled", 0))
        self.assertEqual(self.metrics()["queued"], 1)
        self.cancel(blocker)
        self.assert_exited(self.client.finish(second))


class Deadlines(Admission):
    options = ("--running-max", "1")

    def test_a_run_whose_deadline_passes_while_it_waits_does_not_start(self):
        blocker = self.take_place()
        late = self.client.finish(self.client.start("run", self.params("exit", 0, deadline_ms=30)))
        self.assertEqual((late["status"], late["limit"], late["limit_value"]), ("limit", "deadline_ms", 30))
        self.assertEqual((late["usage"]["wall_us"], late["usage"]["host_calls"]), (0, {}))
        self.assertIn("before it could start", late["reason"])
        self.assertEqual(self.metrics()["queued"], 0)
        records = [r for r in self.brigd.audit_log() if late["run_id"] in json.dumps(r)]
        self.assertEqual(len(records), 2)  # intent and outcome
        self.cancel(blocker)

    def test_time_in_the_queue_counts(self):
        blocker = self.take_place()
        request = self.client.start("run", self.params("loop", deadline_ms=3000, limits={"wall_ms": FOREVER,
                                                                                         "cpu_ms": FOREVER}))
        self.wait_queued(1)
        self.cancel(blocker)
        result = self.client.finish(request)
        self.assertEqual((result["status"], result["limit"], result["limit_value"]), ("limit", "deadline_ms", 3000))
        if result["usage"]["wall_us"] > 0:  # on a very busy machine it may not have come to that
            self.assertIn("of which it had waited", result["reason"])
            self.assertLess(result["usage"]["wall_us"], 3000 * 1000 + 500000)

    def test_a_deadline_that_is_far_does_not_matter(self):
        result = self.run_guest("loop", deadline_ms=FOREVER, limits={"wall_ms": 50})
        self.assertEqual((result["status"], result["limit"], result["limit_value"]), ("limit", "wall_ms", 50))
        self.assert_exited(self.run_guest("exit", 0, deadline_ms=FOREVER))

    def test_a_deadline_that_passes_while_its_module_is_compiled_ends_it(self):
        result = self.run_guest("print(1)", deadline_ms=1, wasm=harness.guest("go"))
        self.assertEqual((result["status"], result["limit"]), ("limit", "deadline_ms"))
        self.assertEqual(result["usage"]["wall_us"], 0)


class Command(Admission):
    options = ("--running-max", "1")

    def test_brig_run_takes_a_deadline_and_a_priority(self):
        blocker = self.take_place()
        stored = self.client.call("module.put", self.module(harness.guest("guest")))["digest"]
        run = harness.brig("run", "--socket", self.brigd.socket, "--deadline", "30ms", "--priority", "9", stored, "exit", "0")
        self.assertEqual(run.returncode, 124, run.stderr)
        self.assertIn(b"more time: --deadline TIME", run.stderr)
        self.cancel(blocker)
        run = harness.brig("run", "--socket", self.brigd.socket, "--deadline", "1h", "--priority", "0", stored, "exit", "3")
        self.assertEqual(run.returncode, 3, run.stderr)

    def test_what_is_no_deadline_or_priority_is_said(self):
        for args in (("--deadline", "5"), ("--deadline", ""), ("--deadline", "5 parsecs"), ("--priority", "10"),
                     ("--priority", "-1"), ("--priority", "")):
            run = harness.brig("run", *args, "x.wasm")
            self.assertEqual(run.returncode, 125, run.stderr)
            self.assertIn(args[0].encode(), run.stderr)


class Limits(Admission):
    options = ("--running-max", "2", "--running-per-owner", "1", "--queued-max", "5", "--queued-per-owner", "3")

    def test_one_user_gets_so_many_places_and_no_more(self):
        blocker = self.take_place()
        waiting = self.queue(3)
        self.wait_queued(3)
        self.assertEqual(self.metrics()["running"], 1)  # of two places
        error = self.assert_rpc_error("overloaded", "run", self.params("exit", 0))
        self.assertEqual(error.data["setting"], "queued_per_owner")
        self.assertGreaterEqual(error.data["retry_after_ms"], 1)
        self.assertLessEqual(error.data["retry_after_ms"], 60000)
        self.cancel(waiting.pop())
        waiting += self.queue(1)
        self.wait_queued(3)
        self.cancel(blocker)
        for request in waiting:
            self.assert_exited(self.client.finish(request))

    def test_who_comes_back_gets_through(self):
        """More runs than there is room for, each tried again: all are run, none twice."""
        todo, done, again = list(range(20)), [], []
        before = self.metrics()["runs"]["exited"]
        blocker = self.take_place()
        while todo:
            requests = {n: self.client.start("run", self.params("exit", n, key="again-%d" % n)) for n in todo}
            todo = []
            if blocker:
                self.wait_queued(3)
                self.cancel(blocker)
                blocker = None
            for n, request in requests.items():
                try:
                    self.assert_exited(self.client.finish(request), n)
                    done.append(n)
                except harness.RpcError as error:
                    self.assertEqual(error.name, "overloaded")
                    again.append(error.data["retry_after_ms"])
                    todo.append(n)
        self.assertEqual(sorted(done), list(range(20)))
        self.assertEqual(self.metrics()["runs"]["exited"] - before, 20)
        self.assertGreaterEqual(len(again), 17)
        self.assertTrue(all(1 <= ms <= 60000 for ms in again), again)


class Total(Admission):
    options = ("--running-max", "1", "--queued-max", "2")

    def test_so_many_runs_wait_and_no_more(self):
        blocker = self.take_place()
        waiting = self.queue(2)
        self.wait_queued(2)
        error = self.assert_rpc_error("overloaded", "run", self.params("exit", 0))
        self.assertEqual(error.data["setting"], "queued_max")
        self.assertEqual(self.metrics()["queued"], 2)
        self.cancel(blocker)
        for request in waiting:
            self.assert_exited(self.client.finish(request))
        self.assert_exited(self.run_guest("exit", 0))


class NoQueue(Admission):
    options = ("--running-max", "1", "--queued-max", "0")

    def test_without_a_queue_a_run_starts_at_once_or_not_at_all(self):
        blocker = self.take_place()
        self.assertEqual(self.assert_rpc_error("overloaded", "run", self.params("exit", 0)).data["setting"], "queued_max")
        self.cancel(blocker)
        self.assert_exited(self.run_guest("exit", 0))


class Reload(Admission):
    @classmethod
    def prepare(cls):
        cls.config = cls.write("config.json", {"running_max": 1, "queued_per_owner": 2})
        cls.shares = cls.write("shares.json", {})
        cls.options = ("--config", cls.config, "--shares", cls.shares)

    def reload(self, config=None, shares=None, fails=False):
        if config is not None:
            self.write("config.json", config)
        if shares is not None:
            self.write("shares.json", shares)
        before = self.client.call("server.health")["reloads"]
        self.brigd.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.client.call("server.health")["reloads"] > before, "it was reloaded")
        self.assertEqual(self.client.call("server.health")["reload_failed"], fails, self.brigd.log()[-2000:])

    def setUp(self):
        super().setUp()
        self.reload({"running_max": 1, "queued_per_owner": 2}, {})

    def test_no_run_is_lost_and_limits_are_as_said(self):
        blocker = self.take_place()
        waiting = self.queue(2)
        self.wait_queued(2)
        self.assert_rpc_error("overloaded", "run", self.params("exit", 0))
        self.reload({"running_max": 1, "queued_per_owner": 4})
        waiting += self.queue(2)
        self.wait_queued(4)
        self.assertEqual(self.metrics()["running"], 1)
        self.reload({"running_max": 2, "queued_per_owner": 4})  # what waits is started
        for request in waiting:
            self.assert_exited(self.client.finish(request))
        self.assertEqual(self.metrics()["running"], 1)
        self.assertEqual(self.cancel(blocker)["status"], "cancelled")

    def test_fewer_places_end_no_run(self):
        self.reload({"running_max": 3})
        running = [self.take_place() for _ in range(3)]
        self.reload({"running_max": 1})
        self.assertEqual(self.metrics()["running"], 3)
        waiting = self.queue(1)
        self.wait_queued(1)
        self.cancel(running.pop())
        self.cancel(running.pop())
        self.assertEqual(self.metrics()["queued"], 1)
        self.cancel(running.pop())
        self.assert_exited(self.client.finish(waiting[0]))

    def test_shares_are_read_again(self):
        name = str(os.geteuid())
        self.reload({"running_max": 3}, {"owners": {name: {"running_per_owner": 1, "weight": 5, "queued_per_owner": 1}}})
        blocker = self.take_place()
        waiting = self.queue(1)
        self.wait_queued(1)
        mine = [o for o in self.metrics()["owners"] if o["uid"] == os.geteuid()]
        self.assertEqual((mine[0]["weight"], mine[0]["queued"]), (5, 1))
        error = self.assert_rpc_error("overloaded", "run", self.params("exit", 0))
        self.assertEqual(error.data["setting"], "queued_per_owner")
        self.reload(shares={})
        self.assert_exited(self.client.finish(waiting[0]))
        self.cancel(blocker)

    def test_what_is_wrong_changes_nothing(self):
        blocker = self.take_place()
        for config, shares in (({"running_max": 0}, None), ({"running_may": 1}, None), ("{", None),
                               (None, {"owners": {"5": {"weight": 0}}}), ({"running_max": 7}, "{")):
            self.reload({"running_max": 1}, {})
            self.reload(config, shares, fails=True)
            self.assertEqual(self.metrics()["limits"]["running_max"], 1)
        self.assertEqual(self.cancel(blocker)["status"], "cancelled")

    def test_the_command_line_still_wins_and_the_rest_stays(self):
        self.reload({"running_max": 4, "module_bytes": 5000, "pressure_memory_percent": 70})
        self.assertEqual(self.metrics()["limits"]["running_max"], 4)
        self.assertNotEqual(self.client.call("server.info")["module_bytes"], 5000)  # only a restart changes that


class Draining(Admission):
    options = ("--running-max", "1")

    def test_running_ones_end_and_waiting_ones_are_run(self):
        brigd = harness.Brigd(self.new_directory("drain"), self.keys, options=("--running-max", "1"))
        client = brigd.client()
        self.addCleanup(client.close)
        first = client.start("run", self.params("cat", stdin={"stream": True}))
        client.wait_notification("run.started")
        waiting = [client.start("run", self.params("exit", n)) for n in range(3)]
        harness.wait_until(lambda: client.call("server.metrics")["queued"] == 3, "they wait")
        brigd.process.send_signal(signal.SIGTERM)
        harness.wait_until(lambda: client.call("server.health")["status"] == "draining", "it drains")
        with self.assertRaises(harness.RpcError) as caught:
            client.call("run", self.params("exit", 0))
        self.assertEqual(caught.exception.name, "shutting_down")
        client.call("run.input", {"request": first, "data": "to the end", "end": True})
        self.assertEqual(client.finish(first)["stdout"], "to the end")
        for n, request in enumerate(waiting):
            self.assert_exited(client.finish(request), n)
        self.assertEqual(brigd.stop(), 0)

    def test_when_the_time_is_over_all_are_answered(self):
        brigd = harness.Brigd(self.new_directory("late"), self.keys, options=("--running-max", "1", "--drain-s", "0"))
        client = brigd.client()
        self.addCleanup(client.close)
        requests = [client.start("run", self.params("loop", stream=True, limits={"wall_ms": FOREVER}))]
        client.wait_notification("run.started")
        requests += [client.start("run", self.params("exit", 0)) for n in range(3)]
        harness.wait_until(lambda: client.call("server.metrics")["queued"] == 3, "they wait")
        brigd.process.send_signal(signal.SIGTERM)
        for request in requests:
            result = client.finish(request)
            self.assertEqual(result["status"], "failed")
            self.assertIn("drain_s", result["reason"])
        self.assertEqual(brigd.stop(), 0)


class Pressure(Admission):
    FORM = "some avg10=%05.2f avg60=0.00 avg300=0.00 total=0\n"

    @classmethod
    def prepare(cls):
        cls.cpu = cls.write("cpu", cls.FORM % 0)
        cls.memory = cls.write("memory", cls.FORM % 0)
        cls.options = ("--running-max", "2", "--pressure-cpu", cls.cpu, "--pressure-memory", cls.memory,
                       "--pressure-cpu-percent", "90", "--pressure-memory-percent", "20")

    def press(self, path, percent):
        """Has the file say so, in place, and waits until brigd has seen it."""
        with open(path, "r+", encoding="ascii") as f:
            f.write(self.FORM % percent)
        name = os.path.basename(path)
        harness.wait_until(lambda: self.metrics()["pressure"]["percent"][name] == percent, "brigd has looked")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.press, self.memory, 0)
        self.addCleanup(self.press, self.cpu, 0)

    def holds(self, path, below, from_on):
        self.press(path, below)
        self.assertFalse(self.metrics()["pressure"]["holding"])
        running = self.take_place()
        self.press(path, from_on)
        self.assertTrue(self.metrics()["pressure"]["holding"])
        waiting = self.queue(2)
        self.wait_queued(2)
        self.assertEqual(self.metrics()["running"], 1)
        self.press(path, below)
        for request in waiting:
            self.assert_exited(self.client.finish(request))
        self.assertFalse(self.metrics()["pressure"]["holding"])
        self.cancel(running)

    def test_short_of_memory_new_runs_wait(self):
        self.holds(self.memory, 19.99, 20)

    def test_short_of_processors_new_runs_wait(self):
        self.holds(self.cpu, 89.99, 90)

    def test_nothing_is_compiled_ahead_and_what_a_run_waits_for_is(self):
        self.press(self.memory, 99)
        compiling = lambda: self.client.call("server.health")["compiling"]
        self.client.call("module.put", self.module(wasm.module(extra=wasm.custom("n", b"ahead"))))
        harness.wait_until(lambda: compiling() == 1, "it waits to be compiled")
        for n in range(3):
            self.assert_exited(self.run_guest(wasm=wasm.module(extra=wasm.custom("n", b"%d" % n))))
            self.assertEqual(compiling(), 1)
        self.press(self.memory, 0)
        harness.wait_until(lambda: compiling() == 0, "it is compiled")

    def test_one_runs_in_any_case(self):
        self.press(self.memory, 99)
        for request in self.queue(5):
            self.assert_exited(self.client.finish(request))
        self.assertIn("pressure holds-runs-back", self.brigd.log())


class NoPressure(Admission):
    options = ("--pressure-cpu", "/nonexistent/cpu", "--pressure-memory", "/nonexistent/memory",
               "--pressure-memory-percent", "20")

    def test_where_the_kernel_does_not_tell_it_says_so_and_runs(self):
        self.assert_exited(self.run_guest("exit", 0))
        self.assertEqual(self.metrics()["pressure"], {"percent": {"cpu": None, "memory": None}, "holding": False})
        self.assertIn("pressure-unknown of=memory", self.brigd.log())
        self.assertNotIn("pressure-unknown of=cpu", self.brigd.log())  # nobody asked for that


class Kernel(Admission):
    options = ("--pressure-cpu-percent", "100")

    def test_the_kernels_own_word_is_shown(self):
        if not os.path.exists("/proc/pressure/cpu"):
            self.skipTest("this kernel has no /proc/pressure")
        percent = self.metrics()["pressure"]["percent"]
        self.assertGreaterEqual(percent["cpu"], 0)
        self.assertGreaterEqual(percent["memory"], 0)


del Admission  # is no test itself

if __name__ == "__main__":
    harness.main()
