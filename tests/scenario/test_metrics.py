"""server.metrics, brig metrics and brig top: what they count, who is told, and how it is shown."""

import json
import os
import re

import harness
import wasm
from harness import guest

OTHER = 23456  # another user, when the test is root


class Metrics(harness.Scenario):
    options = ("--group", "root") if harness.IS_ROOT else ()

    def metrics(self, client=None):
        return (client or self.client).call("server.metrics")

    def client_of(self, uid):
        if not harness.IS_ROOT:
            self.skipTest("needs root, to be several users")
        os.seteuid(uid)
        try:
            client = self.brigd.client()
        finally:
            os.seteuid(0)
        self.addCleanup(client.close)
        return client

    def test_counts_runs_by_how_they_ended(self):
        before = self.metrics()["runs"]
        self.run_guest("exit", 3)
        self.run_guest("exit", 4)
        self.run_guest("trap", "unreachable")
        self.run_guest("loop", limits={"wall_ms": 20})
        after = self.metrics()["runs"]
        more = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        self.assertEqual(more, {"exited": 2, "trapped": 1, "limit": 1})

    def test_counts_requests_that_could_not_run_apart(self):
        before = self.metrics()
        self.assert_rpc_error("module_not_found", "run", {"module": {"digest": "sha256:" + 64 * "0"}})
        self.assert_rpc_error("invalid_params", "run", {"module": {}})
        after = self.metrics()
        self.assertEqual(after["refused"] - before["refused"], 2)
        self.assertEqual(after["runs"], before["runs"])

    def test_measures_each_run_once(self):
        before = self.metrics()["times"]
        results = [self.run_guest("exit", 0) for _ in range(5)]
        after = self.metrics()["times"]
        for name, of in after.items():
            self.assertEqual(of["count"] - before[name]["count"], 5, name)
        for name, member in (("queue_us", "queue_us"), ("start_us", "start_us"), ("run_us", "wall_us")):
            self.assertEqual(after[name]["sum"] - before[name]["sum"], sum(r["usage"][member] for r in results), name)
        for of in after.values():
            self.assertLessEqual(of["p50"], of["p90"])
            self.assertLessEqual(of["p90"], of["p99"])
            self.assertLessEqual(of["p99"], of["p999"])
            self.assertLessEqual(of["p999"], of["max"])

    def test_says_how_processes_came_to_be(self):
        before = self.metrics()["starts"]
        seen = {}
        for _ in range(30):
            start = self.run_guest("exit", 0)["usage"]["start"]
            seen[start] = seen.get(start, 0) + 1
        after = self.metrics()["starts"]
        self.assertEqual({name: after[name] - before[name] for name in after if after[name] != before[name]}, seen)

    def test_shows_what_runs_and_waits(self):
        requests = [self.client.start("run", self.params("loop", stream=True)) for _ in range(3)]
        for request in requests:
            self.client.wait_notification("run.started", lambda p, r=request: p["request"] == r)
        now = self.metrics()
        self.assertEqual((now["running"], now["active"], now["queued"]), (3, 3, 0))
        for request in requests:
            self.client.call("run.cancel", {"request": request})
            self.assertEqual(self.client.finish(request)["status"], "cancelled")
        now = self.metrics()
        self.assertEqual((now["running"], now["active"], now["queued"]), (0, 0, 0))

    def test_shows_templates(self):
        params = self.params("exit", 0, wasm=guest("hello"))
        digest = self.client.call("run", params)["module"]["digest"]
        while self.client.call("run", params)["usage"]["start"] != "template":
            pass
        mine = [t for t in self.metrics()["templates"] if t["module"] == digest]
        self.assertEqual(len(mine), 1)
        self.assertEqual((mine[0]["engine"], mine[0]["uid"], mine[0]["running"]), ("plain", os.geteuid(), 0))
        self.assertGreaterEqual(mine[0]["forks"], 1)
        self.assertGreater(mine[0]["heat"], 0)
        self.assertGreater(mine[0]["memory_bytes"], 1 << 20)

    def test_tells_the_operator_of_brigd_itself(self):
        self.stored(wasm.module())
        now = self.metrics()
        self.assertEqual(now["scope"], "all")
        self.assertGreater(now["broker"]["rss_bytes"], 1 << 20)
        self.assertGreaterEqual(now["store"]["modules"], 1)
        self.assertGreater(now["store"]["bytes"], 0)
        self.assertEqual(now["compile"], {"running": 0, "queued": 0})
        self.assertEqual(set(now["audit"]), {"waiting", "lag_ms"})
        self.assertEqual(now["limits"]["running_max"], 32)
        self.assertIn(os.geteuid(), [o["uid"] for o in now["owners"]])

    def test_tells_others_only_of_their_own_runs(self):
        other = self.client_of(OTHER)
        self.run_guest("exit", 0)
        before = self.metrics(other)
        self.assertEqual((before["scope"], before["uid"]), ("owner", OTHER))
        for name in ("owners", "limits", "compile", "audit", "store", "broker"):
            self.assertNotIn(name, before)
        self.assertEqual([t for t in before["templates"] if t["uid"] != OTHER], [])
        all_before = self.metrics()
        other.call("run", self.params("exit", 0))
        self.run_guest("exit", 0)
        after = self.metrics(other)
        self.assertEqual(after["runs"]["exited"] - before["runs"]["exited"], 1)
        self.assertEqual(after["times"]["total_us"]["count"] - before["times"]["total_us"]["count"], 1)
        self.assertEqual(self.metrics()["runs"]["exited"] - all_before["runs"]["exited"], 2)
        owners = {o["uid"]: o for o in self.metrics()["owners"]}
        self.assertEqual(owners[OTHER]["runs"], after["runs"])

    def test_is_printed_for_people_programs_and_prometheus(self):
        self.run_guest("exit", 0)
        flat = harness.must(harness.brig("metrics", "--socket", self.brigd.socket)).stdout.decode()
        self.assertRegex(flat, r"(?m)^runs\.exited: [1-9]")
        told = json.loads(harness.must(harness.brig("metrics", "--json", "--socket", self.brigd.socket)).stdout)
        self.assertEqual(set(told), set(self.metrics()))
        text = harness.must(harness.brig("metrics", "--prometheus", "--socket", self.brigd.socket)).stdout.decode()
        sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+')
        named = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                self.assertNotIn(line.split()[2], named)
                named.add(line.split()[2])
            elif not line.startswith("# HELP "):
                self.assertIsNotNone(sample.fullmatch(line), line)
        self.assertIn('brig_runs_total{status="exited"} %d' % told["runs"]["exited"], text.splitlines())
        both = harness.brig("metrics", "--json", "--prometheus", "--socket", self.brigd.socket)
        self.assertEqual(both.returncode, 2)

    def test_takes_no_parameters(self):
        self.assert_rpc_error("invalid_params", "server.metrics", {"all": True})


if __name__ == "__main__":
    harness.main()
