"""Hostile modules: each ends in its own way, which the answer says, and nothing is left of it."""

import collections
import itertools
import os
import signal
import unicodedata

import harness
import hostile_modules
import wasm

OPTIONAL = {"version": 1, "signature": {"module": "optional"}, "clock": "real", "random": "real"}


class Unsigned(harness.Hostile):
    """Modules are run as they are: who signs hostile ones is the same as for all others."""

    policy = OPTIONAL

    def unsigned(self, data, end=None):
        """A request. What ends by its limit of time gets little of it; for all else the machine may be slow."""
        limits = {"wall_ms": 100, "cpu_ms": 100} if end == hostile_modules.TIME else {"wall_ms": 60000, "cpu_ms": 60000}
        return {"module": {"wasm": harness.b64(data)}, "policy": dict(OPTIONAL, limits=limits)}

    def how(self, request):
        """How a run ended, as hostile_modules writes it, and the sentence that says more."""
        try:
            result = self.client.finish(request)
        except harness.RpcError as error:
            self.assertTrue(error.data["advice"])
            return error.name, error.message
        status = result["status"]
        self.start = result["usage"]["start"]
        if status == "exited":
            return "exited %d" % result["exit_code"], ""
        if status == "trapped":
            trap = result["trap"]
            self.assertTrue(trap["meaning"])
            for frame in trap["frames"]:
                self.assertLessEqual(len(frame.get("name", "").encode()), 256)
                self.assert_harmless(frame.get("name", ""))
            return "trapped " + trap["kind"], trap["message"]
        self.assertTrue(result["reason"])
        detail = {"limit": "limit", "failed": "failure", "cancelled": "status"}[status]
        return "%s %s" % (status, result[detail]), result["reason"]

    def assert_harmless(self, text):
        acting = [c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp") or
                  unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")]
        self.assertEqual(acting, [], text)

    def assert_end(self, request, end):
        """end: as in hostile_modules."""
        kind, _, part = end.partition(": ")
        found, text = self.how(request)
        verb, _, details = kind.partition(" ")
        self.assertIn(found, [(verb + " " + d).strip() for d in details.split("|")], text)
        self.assertIn(part, text)
        self.assert_harmless(text)


class Kinds(Unsigned):
    def check(self, group):
        cases = [(name, made() if callable(made) else made, end) for name, made, end in group]
        requests = [self.client.start("run", self.unsigned(data, end)) for _, data, end in cases]
        for (name, _, end), request in zip(cases, requests):
            with self.subTest(name):
                self.assert_end(request, end)
        self.assert_end(self.client.start("run", self.unsigned(wasm.program())), "exited 0")


class Ready(Unsigned):
    """What runs again and again is loaded, linked and instantiated ahead. That changes how nothing ends."""

    options = ("--templates-max", "16", "--parked-max", "8")

    def run_one(self, data, end):
        """Returns how it started."""
        self.start = None
        self.assert_end(self.client.start("run", self.unsigned(data, end)), end)
        return self.start

    def make_room(self):
        """For the next one's template."""
        os.kill(self.brigd.process.pid, signal.SIGHUP)

    def keep_ready(self, data, end, start):
        harness.wait_until(lambda: self.run_one(data, end) == start, "a run starts as " + start)
        self.make_room()

    def test_modules_end_the_same_when_they_are_kept_ready(self):
        self.keep_ready(wasm.program(), "exited 0", "parked")
        groups = hostile_modules.GROUPS
        for name, made, end in groups["traps"]:
            if name == "unreachable":
                self.keep_ready(made, end, "parked")
            if name == "unreachable in the start function":
                self.keep_ready(made, end, "template")
        starts = collections.Counter()
        for name, made, end in itertools.chain(*groups.values()):
            if end == hostile_modules.TIME:
                continue
            data = made() if callable(made) else made
            with self.subTest(name):
                for _ in range(10):
                    start = self.run_one(data, end)
                    starts[start] += 1
                    if start in (None, "parked"):
                        break
            self.make_room()
        print("# %s: %s" % (self.id(), dict(starts)))


class Bombs(Unsigned):
    """Small modules that a compiler would work on for minutes, or fill gigabytes with."""

    options = ("--compile-ms", "1500", "--compile-memory-bytes", str(128 << 20), "--results-kept", "16")

    def bomb(self, name, tag=b""):
        return self.unsigned(hostile_modules.BOMBS[name] + wasm.custom("tag", tag))

    def assert_bomb(self, request):
        self.assert_end(self.client.start("run", request), "compile_limit: compile_m")

    def test_bombs_are_bounded(self):
        for name in hostile_modules.BOMBS:
            with self.subTest(name):
                self.assert_bomb(self.bomb(name))
        self.assert_end(self.client.start("run", self.unsigned(wasm.program())), "exited 0")

    def test_bombs_are_not_tried_again(self):
        known = next(iter(hostile_modules.BOMBS))
        self.assert_bomb(self.bomb(known, b"known"))
        attempts = self.client.call("server.metrics")["compile"]["failed"]
        self.assert_bomb(self.bomb(known, b"known"))
        self.assertEqual(self.client.call("server.metrics")["compile"]["failed"], attempts)

    def compiler_ticks(self):
        """Processor time that the compiler at work has used; 0 when there is none."""
        for pid, name in self.brigd.children().items():
            if name == "brig-compiler":
                try:
                    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as f:
                        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
                except FileNotFoundError:
                    pass
        return 0

    def test_bombs_that_are_given_up_again_and_again_are_not_tried_for_ever(self):
        for _ in range(40):  # of 0.1 s and more each, and 1.5 s are to be had
            request = self.client.start("run", self.bomb("additions", b"given up"))
            harness.wait_until(lambda: self.client.call("server.health") and (
                request in self.client.answers or self.compiler_ticks() >= 10), "a compiler worked, or it is refused")
            self.client.start("run.cancel", {"request": request})
            how, _ = self.how(request)
            if how == "compile_limit":
                return
            self.assertIn(how, ("cancelled", "cancelled cancelled"))
        self.fail("it is tried for ever")


def add_tests():
    for kind, group in hostile_modules.GROUPS.items():
        setattr(Kinds, "test_" + kind, lambda self, group=group: self.check(group))


add_tests()

if __name__ == "__main__":
    harness.main()
