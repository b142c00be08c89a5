"""Hostile and greedy clients: whatever they do, brigd stays small, answers precisely, and serves the others."""

import os
import unittest

import harness


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
        os.seteuid(self.OTHER)  # what SO_PEERCRED tells; the group lets it through to the socket
        try:
            self.other = self.brigd.client()
        finally:
            os.seteuid(0)
        self.addCleanup(self.other.close)
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


if __name__ == "__main__":
    harness.main()
