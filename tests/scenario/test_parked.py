"""Parked workers: forked ahead of their runs by a template, jailed and instantiated, each for one run of one owner."""

import os

import harness
from harness import guest

HOT = 3  # runs from which on a module is worth a template


class Parking(harness.Scenario):
    options = ("--group", "root") if harness.IS_ROOT else ()
    each = 8  # parked at most, as brigd has it by itself

    def health(self):
        return self.client.call("server.health")

    def park(self, params, client=None, count=1):
        """Runs it until workers are parked for it. Returns how the last result said that its run started."""
        client = client or self.client

        def is_parked():
            result = client.call("run", params)
            self.assertNotIn(result["status"], ("failed", "cancelled"), result)
            return result["usage"]["start"] == "parked" and self.health()["parked"] >= count
        harness.wait_until(is_parked, "%d workers are parked" % count)

    def run_parked(self, params, client=None):
        """A run by a parked worker, and what is in its result."""
        client = client or self.client
        results = []

        def came_from_a_parked_one():
            results.append(client.call("run", params))
            return results[-1]["usage"]["start"] == "parked"
        harness.wait_until(came_from_a_parked_one, "a run by a parked worker")
        return results[-1]

    def waiting(self):
        """The pids of workers: children of zygotes."""
        found = harness.processes()
        return {pid for pid, name in self.brigd.children().items()
                if name == "brig-worker" and found.get(found.get(pid, (0, ""))[0], (0, ""))[1] == "brig-worker"}


class Parked(Parking):
    def test_a_run_by_one_is_like_any_other(self):
        params = self.params("args", "one", "two")
        first = self.client.call("run", params)
        self.assertNotEqual(first["usage"]["start"], "parked")
        again = self.run_parked(params)
        for member in ("status", "exit_code", "stdout", "stderr", "denials", "module", "policy"):
            self.assertEqual(again[member], first[member])
        self.assertEqual(again["usage"]["host_calls"], first["usage"]["host_calls"])
        self.assertEqual(again["usage"]["peak_memory_bytes"], first["usage"]["peak_memory_bytes"])

    def test_each_takes_one_run_with_its_own_randomness_arguments_and_input(self):
        self.park(self.params("exit", 0))
        seen = [self.run_parked(self.params("random", 16))["stdout"] for _ in range(8)]
        self.assertEqual(len(set(seen)), 8)
        for word in ("one", "two"):
            self.assertIn(word, self.run_parked(self.params("args", word))["stdout"])
            self.assertEqual(self.run_parked(self.params("cat", stdin=word))["stdout"], word)

    def test_limits_that_come_with_the_job_hold(self):
        self.park(self.params("exit", 0))
        for args, limit, more in ((("loop",), "wall_ms", {"wall_ms": 30}), (("sleep", 60000), "wall_ms", {"wall_ms": 30}),
                                  (("exit", 0), "host_calls", {"host_calls": 1})):
            result = self.run_parked(self.params(*args, limits=more))
            self.assertEqual((result["status"], result["limit"]), ("limit", limit), result)

    def test_other_limits_of_memory_or_processor_time_take_a_worker_with_those(self):
        self.park(self.params("exit", 0))
        first = self.run_guest("loop", limits={"cpu_ms": 30})
        self.assertEqual((first["status"], first["limit"], first["usage"]["start"]), ("limit", "cpu_ms", "template"))
        again = self.run_parked(self.params("loop", limits={"cpu_ms": 30}))
        self.assertEqual((again["status"], again["limit"]), ("limit", "cpu_ms"))

    def test_what_does_not_fit_one_message_is_forked(self):
        self.park(self.params("exit", 0))
        for _ in range(3):
            big = self.run_guest("cat", stdin="x" * 200000)
            self.assertEqual((big["stdout"], big["usage"]["start"]), ("x" * 200000, "template"))

    def test_owners_share_none(self):
        if not harness.IS_ROOT:
            self.skipTest("needs root, to be several users")
        params = self.params(wasm=guest("hello"))
        self.park(params, count=self.each)
        os.seteuid(23456)
        try:
            other = self.brigd.client()
        finally:
            os.seteuid(0)
        self.addCleanup(other.close)
        starts = [other.call("run", params)["usage"]["start"] for _ in range(HOT)]
        self.assertEqual(set(starts), {"cached"})
        self.assertEqual(self.run_parked(params, other)["stdout"], self.run_parked(params)["stdout"])


if __name__ == "__main__":
    harness.main()
