"""Parked workers: forked ahead of their runs by a template, jailed and instantiated, each for one run of one owner."""

import json
import os
import signal

import harness
import wasm
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

    def test_processor_time_is_without_that_of_waiting(self):
        """One thread cannot have used more than the time that passed since the job was given to it, and to say so."""
        runs = [self.run_parked(self.params("exit", 0))["usage"] for _ in range(20)]
        used = sum(u["user_us"] + u["system_us"] for u in runs)
        self.assertLessEqual(used, sum(u["wall_us"] + 100 for u in runs))

    def test_what_does_not_fit_one_message_is_forked(self):
        self.park(self.params("exit", 0))
        for _ in range(3):
            big = self.run_guest("cat", stdin="x" * 200000)
            self.assertEqual((big["stdout"], big["usage"]["start"]), ("x" * 200000, "template"))

    def test_owners_share_none(self):
        other = self.client_of(23456)
        params = self.params(wasm=guest("hello"))
        self.park(params, count=self.each)
        starts = [other.call("run", params)["usage"]["start"] for _ in range(HOT)]
        self.assertEqual(set(starts), {"cached"})
        self.assertEqual(self.run_parked(params, other)["stdout"], self.run_parked(params)["stdout"])

    def test_a_module_in_which_something_runs_before_start_is_forked(self):
        """There is no worker in which a guest has run before a run of it is on record."""
        plain = wasm.module()
        runs_first = plain[:8] + b"".join(
            s for number, s in sections(plain) if number <= 7) + wasm.section(8, wasm.leb(0)) + b"".join(
            s for number, s in sections(plain) if number > 8)
        starts = {self.client.call("run", self.params(wasm=runs_first))["usage"]["start"] for _ in range(40)}
        self.assertNotIn("parked", starts)
        self.park(self.params(wasm=plain))


def sections(module):
    """(number, bytes) of each section."""
    at = 8
    while at < len(module):
        size, shift, begin, number = 0, 0, at, module[at]
        while True:
            at += 1
            size |= (module[at] & 0x7F) << shift
            shift += 7
            if not module[at] & 0x80:
                break
        at += 1 + size
        yield number, module[begin:at]


class OneWaits(Parking):
    """One worker at a time."""

    options = ("--parked-max", "1", *Parking.options)

    def setUp(self):
        super().setUp()
        self.nothing = self.params("exit", 0)
        self.park(self.nothing)

    def the_waiting(self):
        harness.wait_until(lambda: self.health()["parked"] == 1 and len(self.waiting()) == 1, "one worker waits")
        return self.waiting().pop()


class One(OneWaits):
    def test_one_that_dies_as_it_is_given_its_run_costs_nothing(self):
        pid = self.the_waiting()
        os.kill(pid, signal.SIGSTOP)
        before = self.health()["runs"]
        request = self.client.start("run", self.params("args", "again"))
        with self.brigd.client() as other:
            harness.wait_until(lambda: other.call("server.health")["running"] == 1, "the worker was given the run")
        os.kill(pid, signal.SIGKILL)
        result = self.client.finish(request)
        self.assertEqual((result["status"], result["usage"]["start"]), ("exited", "template"), result)
        self.assertIn("again", result["stdout"])
        self.assertEqual(self.health()["runs"], before + 1)

    def test_a_run_that_is_cancelled_before_its_worker_wakes_up_is_cancelled(self):
        pid = self.the_waiting()
        os.kill(pid, signal.SIGSTOP)
        request = self.client.start("run", self.params("loop", stream=True))
        run_id = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run_id})
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.client.finish(request)["status"], "cancelled")

    def test_one_that_dies_waiting_is_replaced(self):
        pid = self.the_waiting()
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: pid not in self.waiting(), "it is gone")
        self.run_parked(self.nothing)

    def test_none_outlives_a_reload(self):
        """A key that was revoked, a policy that changed: what was ready before starts nothing any more."""
        pid = self.the_waiting()
        harness.must(harness.brig("server", "reload", "--socket", self.brigd.socket))
        harness.wait_until(lambda: pid not in harness.processes(), "it is gone")
        self.run_parked(self.nothing)


class Crashing(OneWaits):
    def test_one_that_crashes_waiting_takes_its_template_with_it(self):
        """Whoever crashes may have learned where things are in the memory of all that its template forks."""
        pid = self.the_waiting()
        zygote = harness.processes()[pid][0]
        os.kill(pid, signal.SIGSYS)
        harness.wait_until(lambda: zygote not in harness.processes(), "its template is gone")
        starts = [self.run_guest("exit", 0)["usage"]["start"] for _ in range(20)]
        self.assertNotIn("parked", starts)  # nor does it get another one


class Revoked(Parking):
    def test_a_module_whose_key_was_revoked_is_run_by_none(self):
        params = self.params("exit", 0)
        self.park(params)
        self.keys.edit("revoke", "signer")
        harness.must(harness.brig("server", "reload", "--socket", self.brigd.socket))
        self.assert_rpc_error("revoked", "run", params)
        harness.wait_until(lambda: self.health()["parked"] == 0, "none waits")


class Jailed(Parking):
    def test_those_that_wait_are_in_the_same_jail_as_one_that_was_forked(self):
        def jail(pid):
            with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            with open("/proc/%d/limits" % pid, encoding="utf-8") as f:
                limits = [line for line in f if not line.startswith(("Max data", "Max address"))]
            return ({name: value for name, value in status.items()
                     if name in ("NoNewPrivs", "Seccomp", "Seccomp_filters") or name.startswith("Cap")}, limits)
        many = {"memory_bytes": 2 << 20}
        asleep = self.client.start("run", self.params("sleep", 600000, stream=True, limits=many))
        self.client.wait_output(b"sleeping\n")
        forked = self.waiting()
        self.assertEqual(len(forked), 1)
        with self.brigd.client() as other:
            self.park(self.params("hello"), other)

            def all_are_locked():
                said = other.call("server.health")["parked"]
                found = self.waiting() - forked
                return found if len(found) == said > 0 else None
            parked = harness.wait_until(all_are_locked, "all that wait are locked")
            self.assertEqual([jail(pid) for pid in parked], [jail(*forked)] * len(parked))
            other.call("run.cancel", {"run_id": self.client.wait_notification("run.started")["run_id"]})
        self.client.finish(asleep)


class Changed(Parking):
    policy = {"version": 1, "limits": {"wall_ms": 60000, "cpu_ms": 60000, "memory_bytes": 64 << 20}, "args": True,
              "clock": "real", "random": "real", "signature": {"module": "required"}}

    def test_a_policy_that_changed_holds_from_then_on(self):
        self.park(self.params("exit", 0))
        changed = dict(self.policy, limits={"wall_ms": 60000, "cpu_ms": 200, "memory_bytes": 64 << 20}, random="none")
        with open(os.path.join(self.brigd.directory, "policy.json"), "w", encoding="utf-8") as f:
            json.dump(changed, f)
        harness.must(harness.brig("server", "reload", "--socket", self.brigd.socket))
        for run in (self.client.call, lambda _, params: self.run_parked(params)):
            result = run("run", self.params("loop"))
            self.assertEqual((result["status"], result["limit"]), ("limit", "cpu_ms"), result)
        self.assertEqual([d["capability"] for d in self.run_parked(self.params("random"))["denials"]], ["random"])


class Worn(Parking):
    options = ("--zygote-runs", "20")

    def test_they_go_with_a_template_that_has_forked_enough(self):
        before = self.health()["runs"]
        for _ in range(70):
            self.assert_exited(self.run_guest("exit", 0))
        health = self.health()
        self.assertEqual(health["runs"], before + 70)
        harness.wait_until(lambda: self.health()["zygotes"] <= 1 + self.health()["templates"], "the old ones are gone")
        harness.wait_until(lambda: len(self.waiting()) <= self.each, "and so are their workers")


class Off(Parking):
    options = ("--parked-max", "0")

    def test_without_them_runs_are_forked(self):
        starts = {self.run_guest("exit", 0)["usage"]["start"] for _ in range(40)}
        self.assertNotIn("parked", starts)
        self.assertEqual(self.health()["parked"], 0)


class Few(Parking):
    options = ("--parked-max", "8", "--parked-total", "3")

    def test_all_modules_together_have_no_more_than_allowed(self):
        for name in ("guest", "hello"):
            for _ in range(30):
                self.client.call("run", self.params("exit", 0, wasm=guest(name)))
                self.assertLessEqual(self.health()["parked"], 3)


if __name__ == "__main__":
    harness.main()
