"""Templates: zygotes that hold the module of one owner which is run often."""

import os
import signal

import harness
import wasm
from harness import guest

HOT = 3  # runs from which on a module is worth a template


class Templates(harness.Scenario):
    options = ("--templates-max", "2", "--parked-max", "0") + (("--group", "root") if harness.IS_ROOT else ())

    def zygotes(self):
        """pids of zygotes: their workers are their children."""
        found = harness.processes()
        return {pid for pid, name in self.brigd.children().items()
                if name == "brig-worker" and found.get(found.get(pid, (0, ""))[0], (0, ""))[1] != "brig-worker"}

    def heat_up(self, params, client=None):
        """Runs it until it comes from a template; how the results say that they started."""
        client = client or self.client
        starts = []
        while not starts or starts[-1] != "template":
            result = client.call("run", params)
            self.assertEqual(result["status"], "exited", result)
            starts.append(result["usage"]["start"])
            self.assertLess(len(starts), 5000, "it never gets a template")
        return starts

    def templates(self):
        return self.client.call("server.health")["templates"]

    def test_a_module_that_is_run_often_gets_one(self):
        starts = self.heat_up(self.params("exit", 0))
        self.assertGreaterEqual(len(starts), HOT + 1)
        self.assertNotIn("template", starts[:HOT])
        self.assertLessEqual(set(starts), {"cold", "cached", "template"})

    def test_a_run_from_it_is_like_any_other(self):
        params = self.params("args", "one", "two")
        first = self.client.call("run", params)
        self.heat_up(params)
        again = self.client.call("run", params)
        self.assertEqual(again["usage"]["start"], "template")
        for member in ("status", "exit_code", "stdout", "stderr", "denials", "module", "policy"):
            self.assertEqual(again[member], first[member])
        self.assertEqual(again["usage"]["host_calls"], first["usage"]["host_calls"])
        self.assertEqual(again["usage"]["peak_memory_bytes"], first["usage"]["peak_memory_bytes"])

    def test_each_run_has_its_own_memory_randomness_limits_and_input(self):
        self.heat_up(self.params("exit", 0))
        seen = {self.run_guest("random", 16)["stdout"] for _ in range(8)}
        self.assertEqual(len(seen), 8)
        slow = self.run_guest("loop", limits={"wall_ms": 30})
        self.assertEqual((slow["status"], slow["limit"], slow["usage"]["start"]), ("limit", "wall_ms", "template"))
        few = self.run_guest("exit", 0, limits={"host_calls": 1})
        self.assertEqual((few["status"], few["limit"]), ("limit", "host_calls"))
        big = self.run_guest("cat", stdin="x" * 200000)  # too much for one message
        self.assertEqual((big["stdout"], big["usage"]["start"]), ("x" * 200000, "template"))

    def test_what_is_run_more_takes_the_place_of_what_is_run_less(self):
        for name in ("guest", "hello"):
            self.heat_up(self.params("exit", 0, wasm=guest(name)))
        self.assertEqual(self.templates(), 2)
        starts = self.heat_up(self.params(wasm=wasm.module()))
        self.assertGreater(len(starts), HOT)  # the others were hot
        self.assertLessEqual(self.templates(), 2)

    def test_owners_share_none(self):
        other = self.client_of(23456)
        params = self.params(wasm=guest("hello"))
        self.heat_up(params)
        starts = self.heat_up(params, other)
        self.assertNotIn("template", starts[:HOT])

    def test_one_user_does_not_take_all(self):
        other = self.client_of(23456)
        for params in (self.params("exit", 0), self.params(wasm=guest("hello"))):
            requests = [self.client.start("run", params) for _ in range(60)]
            for request in requests:
                self.assert_exited(self.client.finish(request))
        params = self.params("exit", 0)
        requests = [other.start("run", params) for _ in range(2 * HOT)]  # far from as many
        for request in requests:
            self.assert_exited(other.finish(request))
        owners = lambda: sorted(t["uid"] for t in self.client.call("server.metrics")["templates"])
        harness.wait_until(lambda: owners() == [0, 23456], "each has one")

    def test_one_that_dies_costs_its_runs_and_no_others(self):
        before = self.zygotes()
        params = self.params("exit", 0)
        self.heat_up(params)
        for pid in self.zygotes():
            os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: not self.zygotes() & before, "they are gone")
        starts = self.heat_up(params)
        self.assertEqual(starts[-1], "template")

    def test_fuel_has_its_own(self):
        params = self.params("exit", 0, limits={"fuel": 10 ** 9})
        self.heat_up(self.params("exit", 0))
        starts = self.heat_up(params)
        self.assertNotIn("template", starts[:HOT])
        first, again = (self.client.call("run", params)["usage"]["fuel"] for _ in range(2))
        self.assertEqual(first, again)


class Worn(harness.Scenario):
    options = ("--zygote-runs", "20")

    def test_is_replaced_after_so_many_runs(self):
        requests = [self.client.start("run", self.params("exit", 0)) for _ in range(200)]
        for request in requests:
            self.assert_exited(self.client.finish(request))
        harness.wait_until(lambda: self.client.call("server.health")["zygotes"] <=
                           1 + self.client.call("server.health")["templates"], "the old ones are gone")


class Off(harness.Scenario):
    options = ("--templates-max", "0")

    def test_without_templates_there_are_none(self):
        starts = {self.run_guest("exit", 0)["usage"]["start"] for _ in range(30)}
        self.assertEqual(starts, {"cold", "cached"})
        self.assertEqual(self.client.call("server.health")["templates"], 0)


if __name__ == "__main__":
    harness.main()
