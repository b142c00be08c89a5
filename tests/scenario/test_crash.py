"""kill -9 of each of brig's processes, again and again, under load: nothing outlives it, nothing acknowledged is lost.

BRIG_KILLS is how often each is killed (8; 3 when not root). BRIG_KILLS_SEED replays the moments, as far as the
scheduler lets it.
"""

import os
import random
import select
import signal
import threading
import time
import unittest

import harness
import wasm

KILLS = int(os.environ.get("BRIG_KILLS", "8" if harness.IS_ROOT else "3"))
SEED = int(os.environ.get("BRIG_KILLS_SEED", "20261121"))
LONG = {"wall_ms": 600000}


class Exits:
    """Tells when processes end, to the moment, also of those that are somebody else's children."""

    def __init__(self, pids):
        self.fds = {}
        for pid in pids:
            try:
                self.fds[os.pidfd_open(pid)] = pid
            except ProcessLookupError:
                pass

    def wait(self, start):
        """Seconds from `start` until the last of them was gone; fails for one that does not go."""
        poll = select.poll()
        for fd in self.fds:
            poll.register(fd, select.POLLIN)
        left, last = set(self.fds), 0.0
        while left:
            ready = poll.poll(harness.PATIENCE * 1000)
            assert ready, "still there: %s" % sorted(self.fds[fd] for fd in left)
            last = time.monotonic() - start
            for fd, _ in ready:
                poll.unregister(fd)
                left.discard(fd)
        for fd in self.fds:
            os.close(fd)
        return last


class Load(threading.Thread):
    """One client that does the same thing again and again, until it is cut off. What was answered is kept."""

    def __init__(self, brigd, act):
        super().__init__(daemon=True)
        self.client = brigd.client()
        self.act = act
        self.answered = []
        self.trouble = None
        self.start()

    def run(self):
        try:
            while True:
                self.answered.append(self.act(self.client, len(self.answered)))
        except (harness.RpcError, OSError, AssertionError) as e:
            self.trouble = e
        finally:
            self.client.close()


class Restarted(harness.Scenario):
    policy = {"version": 1, "signature": {"module": "optional"}}

    def test_store_with_many_modules_starts_again(self):
        directory = self.new_directory("many")
        brigd = harness.Brigd(directory, self.keys, self.policy)
        with brigd.client() as client:
            for i in range(200):
                module = wasm.module(extra=wasm.custom("unique", b"%d" % i))
                client.call("module.put", {"wasm": harness.b64(module)})
        self.assertEqual(brigd.stop(), 0)
        brigd = harness.Brigd(directory, self.keys, self.policy)
        with brigd.client() as client:
            self.assertEqual(len(client.call("module.list")["modules"]), 200)
        self.assertEqual(brigd.stop(), 0)


class Killed(harness.Scenario):
    """One brigd after the other on the same state; each ends by a kill, and the next finds everything."""

    CEILING = {"version": 1, "args": True, "env": ["*"], "clock": "real", "random": "real",
               "signature": {"module": "optional"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rng = random.Random(SEED)
        print("# seed %d, %d kills of each" % (SEED, KILLS))

    def run_once(self, client, _):
        result = client.call("run", self.params("hello"))
        return result["run_id"], result["audit"]["hash"], result["status"] + " " + result.get("reason", "")

    def put_once(self, client, _):
        module = wasm.module(extra=wasm.custom("unique", os.urandom(16)))
        return client.call("module.put", {"wasm": harness.b64(module)})["digest"]

    def assert_all_there(self, brigd, runs, modules):
        """Every run that was answered has its records, and every module that was is in the store."""
        harness.must(harness.brig("audit", "verify", os.path.join(brigd.state, "audit", "log.jsonl")))
        with open(os.path.join(brigd.state, "audit", "log.jsonl"), "rb") as f:
            hashes = {harness.digest(line.rstrip(b"\n")) for line in f}
        records = {}
        for r in brigd.audit_log():
            if r["class_uid"] == 1007:
                records.setdefault(r["process"]["uid"], []).append(r["activity_id"])
        for run_id, audit_hash, _ in runs:
            self.assertIn(audit_hash, hashes, run_id)
            self.assertEqual(records[run_id], [1, 2])
        for run_id, activities in records.items():
            self.assertEqual(sorted(activities), [1, 2], "records of " + run_id)
        with brigd.client() as client:
            for module in modules:
                self.assertEqual(client.call("module.get", {"digest": module})["digest"], module)

    def victim_of(self, brigd, name):
        return brigd.process.pid if name == "brigd" else next(p for p, n in brigd.children().items() if n == name)

    def kill_under_load(self, brigd, name, waiting):
        """Kills it at some moment; returns what was answered before, and how long the others outlived it."""
        loads = [Load(brigd, self.run_once) for _ in range(3)]
        puts = Load(brigd, self.put_once)
        wanted = self.rng.randrange(1, 25)
        harness.wait_until(lambda: sum(len(load.answered) for load in loads) >= wanted or any(
            load.trouble for load in loads), "there is load")
        victim = self.victim_of(brigd, name)
        family = brigd.children()
        table = harness.processes()
        workers = Exits([p for p in family if p in table and family.get(table[p][0]) == "brig-worker"])  # not zygotes
        others = Exits([brigd.process.pid, *family])
        started = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        took = workers.wait(started), others.wait(started)
        for load in [*loads, puts]:
            load.join(harness.PATIENCE)
            self.assertFalse(load.is_alive(), "a client still waits")
            if name != "brigd":
                self.assertIsInstance(load.trouble, (harness.RpcError, OSError, AssertionError))
        said = []
        for client, request in waiting:
            said.append(self.last_word(client, request))
        return [r for load in loads for r in load.answered], puts.answered, took, said

    @staticmethod
    def last_word(client, request):
        """What a client is told of its run: a result, an error, or None when it was cut off."""
        try:
            return client.finish(request)
        except harness.RpcError as e:
            return e
        except (OSError, AssertionError):
            return None
        finally:
            client.close()

    def long_runs(self, brigd, count):
        waiting = []
        for _ in range(count):
            client = brigd.client()
            request = client.start("run", self.params("sleep", 600000, stream=True, limits=LONG))
            client.wait_output(b"sleeping")
            waiting.append((client, request))
        return waiting

    def kill_again_and_again(self, name):
        directory = self.new_directory("of-" + name)
        runs, modules, worker, last, clean = [], [], 0.0, 0.0, 0.0
        for kill in range(KILLS + 1):
            brigd = harness.Brigd(directory, self.keys, self.CEILING)
            log = brigd.log()
            if kill > 0 and name == "brigd":
                self.assertIn("found service=logger", log)
                self.assertIn("found what=", log)
            self.assert_all_there(brigd, runs, modules[-20:])
            if kill == KILLS:
                break
            os.truncate(brigd.log_path, 0)
            waiting = self.long_runs(brigd, 2)
            started = time.monotonic()
            more_runs, more_modules, took, said = self.kill_under_load(brigd, name, waiting)
            self.assertNotEqual(brigd.process.wait(harness.PATIENCE), 0)
            brigd.stop()  # checks that nothing is left
            clean = max(clean, time.monotonic() - started)
            runs += more_runs
            modules += more_modules
            worker, last = max(worker, took[0]), max(last, took[1])
            self.check_said(name, said, brigd)
        self.assertEqual(brigd.stop(), 0)
        self.assertNotIn("without an outcome", harness.Brigd.log(brigd).split("serving")[-1])
        for _, _, status in runs:
            self.assertTrue(status == "exited " or "brigd lost its" in status, status)
        print("# %s: %d kills, %d runs and %d modules answered; longest until the last worker was gone %.1f ms, the "
              "last process %.0f ms, clean %.0f ms" % (name, KILLS, len(runs), len(modules), worker * 1000, last * 1000,
                                                  clean * 1000))

    def check_said(self, name, said, brigd):
        """Clients whose runs were under way: none hears of a success, and all hear why when somebody is left to say."""
        for told in said:
            if name == "brigd":
                self.assertIsNone(told)
            elif name == "brig-logger":
                self.assertEqual(told.name, "audit_unavailable")
            else:
                self.assertEqual(told["status"], "failed", told)
                self.assertIn("brigd lost its %s" % name.removeprefix("brig-"), told["reason"])
        if name != "brigd":
            self.assertIn("lost service=%s" % name.removeprefix("brig-"), brigd.log())

    def test_brigd(self):
        self.kill_again_and_again("brigd")

    def test_launcher(self):
        self.kill_again_and_again("brig-launcher")

    def test_store(self):
        self.kill_again_and_again("brig-store")

    def test_logger(self):
        self.kill_again_and_again("brig-logger")


class Replaced(harness.Hostile):
    """What brigd replaces: it serves on."""

    policy = Killed.CEILING

    def children_named(self, name):
        return [p for p, n in self.brigd.children().items() if n == name]

    def test_a_worker_that_the_kernel_kills_has_the_likely_reason_told(self):
        request = self.client.start("run", self.params("sleep", 600000, stream=True, limits=LONG))
        self.client.wait_notification("run.output", lambda p: "sleeping" in p["data"])
        self.client.notifications.clear()
        table, family = harness.processes(), self.children_named("brig-worker")
        for pid in family:
            if table.get(pid, (0, ""))[0] in family:  # no zygote
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # one that had waited for a run
        told = self.client.finish(request)
        self.assertEqual(told["status"], "failed", told)
        self.assertIn("no memory left", told["reason"])
        self.assertIn("cgroup_memory_bytes", told["reason"])

    def test_zygote(self):
        longest = back = 0.0
        for _ in range(KILLS):
            asleep = self.params("sleep", 600000, stream=True, limits=LONG)
            requests = [self.client.start("run", asleep) for _ in range(2)]
            for request in requests:
                self.client.wait_notification("run.output", lambda p: "sleeping" in p["data"])
                self.client.notifications.clear()
            family = self.children_named("brig-worker")
            table = harness.processes()
            zygotes = [p for p in family if table[p][0] not in family]
            workers = Exits(set(family) - set(zygotes))
            started = time.monotonic()
            for zygote in zygotes:
                os.kill(zygote, signal.SIGKILL)
            longest = max(longest, workers.wait(started))
            for request in requests:
                told = self.client.finish(request)
                self.assertEqual(told["status"], "failed", told)
                self.assertIn("zygote was killed by signal 9", told["reason"])
            self.assert_exited(self.run_guest("hello"))
            back = max(back, time.monotonic() - started)
        print("# zygote: %d kills; longest until the last worker was gone %.1f ms, until another served %.0f ms" % (
            KILLS, longest * 1000, back * 1000))


class Compilers(harness.Scenario):
    policy = Killed.CEILING

    def test_compiler(self):
        for kill in range(KILLS):
            module = wasm.module(b"\x01" * 20 + b"\x41\x00\x1a" * 3000, bodies=400,
                                 extra=wasm.custom("unique", os.urandom(16)))
            with self.subTest(kill=kill):
                request = self.client.start("run", self.params(wasm=module))
                compiler, = harness.wait_until(lambda: [p for p, n in self.brigd.children().items()
                                                         if n == "brig-compiler"], "it is compiled")
                os.kill(compiler, signal.SIGKILL)
                with self.assertRaises(harness.RpcError) as caught:
                    self.client.finish(request)
                self.assertEqual(caught.exception.name, "internal_error")
                self.assertIn("killed by signal 9", caught.exception.message)
        self.assert_exited(self.run_guest(wasm=module))  # it is not held against the module


if __name__ == "__main__":
    harness.main()
