"""brig bench: what it counts, and that it counts right."""

import json
import os
import signal
import subprocess
import unittest

import harness
import test_packs
from harness import brig, guest, must, program


ROOT = harness.IS_ROOT
FEW_CALLS = {"version": 1, "args": True, "limits": {"host_calls": 30}}


def walk(value):
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from walk(one)


class Bench(test_packs.Packs):
    more_options = ("--group", "root") if ROOT else ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hello = os.path.join(cls.directory, "hello.wasm")
        cls.guest = os.path.join(cls.directory, "guest.wasm")
        for path, name in ((cls.hello, "hello"), (cls.guest, "guest")):
            with open(path, "wb") as f:
                f.write(cls.keys.sign(guest(name)))
            os.chmod(path, 0o644)

    def bench(self, *args, code=0):
        done = brig("bench", "--socket", self.brigd.socket, "--json", *args)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def counted(self, result):
        """Every run that was sent is accounted for, and every answer is in one of the lists."""
        self.assertEqual(result["sent"], result["answered"] + result["given_up"] + result["unanswered"])
        self.assertEqual(result["answered"], sum(result["ended"].values()) + sum(result["refused"].values()))
        self.assertEqual(sum(n for _, n in result["latency_buckets"]), sum(result["ended"].values()))
        edges = [at for at, _ in result["latency_buckets"]]
        self.assertEqual(edges, sorted(set(edges)))
        return result

    def test_counts_as_many_runs_as_were_asked_for(self):
        result = self.counted(self.bench("--runs", 40, "--clients", 4, self.hello))
        self.assertEqual((result["sent"], result["ended"], result["clients"]), (40, {"exited": 40}, 4))
        self.assertEqual(sum(result["start"].values()), 40)
        self.assertLessEqual(set(result["start"]), {"cached", "template", "parked"})
        times = result["latency_us"]
        self.assertLessEqual(times["p50"], times["p99"])
        self.assertLessEqual(times["p99"], times["max"])

    def test_text_says_the_same(self):
        done = must(brig("bench", "--socket", self.brigd.socket, "--runs", 10, self.hello))
        self.assertIn(b"runs      10 sent, 10 answered, 0 given up, 0 without an answer\n", done.stdout)
        self.assertIn(b"ended     exited 10\n", done.stdout)
        self.assertEqual(done.stderr, b"")  # no terminal, no progress

    def test_arrivals_keep_their_rate_whatever_becomes_of_the_runs(self):
        """Runs that take long do not hold back those that are due: all are there when the first has not ended."""
        slow = {"wall_ms": 1500}
        with open(os.path.join(self.directory, "slow.json"), "w", encoding="utf-8") as f:
            json.dump({"version": 1, "args": True, "clock": "real", "random": "real", "env": [], "limits": slow}, f)
        result = self.counted(self.bench("--rate", 200, "--even", "--runs", 20, "--policy", f.name, "--arg", "loop",
                                         self.guest))
        self.assertEqual(result["ended"], {"limit": 20})
        self.assertEqual(result["rate_asked"], 200)
        self.assertGreaterEqual(result["latency_us"]["max"], 1.5e6)
        self.assertLess(result["seconds"], 20 * 1.5)  # one after the other they would take longer

    def test_waiting_is_counted(self):
        """20 runs due at once, in one place at a time: the last one's time holds those of all before it."""
        one = harness.Brigd(self.new_directory("one"), self.keys, None, ("--running-max", "1"))
        self.addCleanup(one.stop)
        done = must(brig("bench", "--socket", one.socket, "--json", "--rate", 100000, "--runs", 20, self.hello))
        result = self.counted(json.loads(done.stdout))
        self.assertEqual(result["ended"], {"exited": 20})
        self.assertGreater(result["latency_us"]["max"], 19 * result["cpu_us"]["p50"] / 2)
        self.assertGreater(result["queue_us"]["max"], 0)

    def test_mix_follows_the_weights(self):
        result = self.counted(self.bench("--runs", 200, "--clients", 8, "--arg", "exit", "--arg", "3", "9*" + self.guest,
                                         self.hello))
        self.assertEqual(sum(result["ended"].values()), 200)
        again = self.bench("--runs", 200, "--clients", 8, "--arg", "exit", "--arg", "3", "9*" + self.guest, self.hello)
        self.assertEqual(again["ended"], result["ended"])

    def written(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_what_stands_behind_a_program_is_its_own(self):
        """All trap, but the one with arguments of its own, and the one whose input is more than its policy lets it read."""
        policy, stdin = self.written("few.json", json.dumps(FEW_CALLS)), self.written("long", "text\n" * 20000)
        for own, ends in (((), {"trapped"}), (("--arg", "exit", "--arg", "0"), {"trapped", "exited"}),
                          (("--arg", "cat", "--stdin", stdin, "--policy", policy), {"trapped", "limit"}),
                          (("--arg", "cat", "--stdin", stdin), {"trapped", "exited"}),
                          (("--arg", "cat", "--policy", policy), {"trapped", "exited"})):
            result = self.counted(self.bench("--runs", 40, "--arg", "trap", self.guest, self.guest, *own))
            self.assertEqual(set(result["ended"]), ends, own)

    def test_what_is_given_to_all_is_given_to_all(self):
        policy, stdin = self.written("all.json", json.dumps(FEW_CALLS)), self.written("in", "text\n" * 20000)
        result = self.counted(self.bench("--runs", 20, "--arg", "cat", "--stdin", stdin, "--policy", policy, self.guest,
                                         "2*" + self.guest))
        self.assertEqual(result["ended"], {"limit": 20})

    def test_source_for_a_pack(self):
        path = self.written("source", "trap\n")
        for given, ends in ((("-c", "print it"), {"exited"}), (("--code", "trap"), {"trapped"}), ((path,), {"trapped"}),
                            ((path, self.hello), {"trapped", "exited"}), (("--arg", "x", "-c", "exit 0"), {"exited"})):
            result = self.counted(self.bench("--runs", 20, "--pack", "test", *given))
            self.assertEqual(set(result["ended"]), ends, given)
        result = self.bench("--runs", 20, "--pack", "test", "-c", "print it", "-c", "4")  # a pack has one source
        self.assertEqual((result["clients"], result["ended"]), (4, {"exited": 20}))
        counts = self.bench("--runs", 200, "-c", "8", "--pack", "9*test", "-c", "trap", "--pack", "test", "-c", "")["ended"]
        self.assertGreater(counts["trapped"], counts["exited"])

    def test_source_that_cannot_be_run_is_an_error(self):
        for args, part in ((("--pack", "nothing", "-c", "x"), b"nothing"), (("--pack", "test", "/nowhere"), b"/nowhere")):
            done = brig("bench", "--socket", self.brigd.socket, *args)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(part, done.stderr)

    def test_faults_are_done_and_counted(self):
        result = self.counted(self.bench("--runs", 60, "--rate", 200, "--arg", "loop", "--after", "20ms", "--fault",
                                         "cancel=50%", "--fault", "disconnect=50%", self.guest))
        self.assertEqual(result["unanswered"], 0)
        self.assertEqual(result["ended"]["cancelled"] + result["given_up"], 60)
        self.assertGreater(result["ended"]["cancelled"], 0)
        self.assertGreater(result["given_up"], 0)

    def test_what_is_refused_is_counted_by_name(self):
        few = harness.Brigd(self.new_directory("few"), self.keys, None,
                            ("--running-max", "1", "--queued-max", "1"))
        self.addCleanup(few.stop)
        result = self.counted(json.loads(must(brig("bench", "--socket", few.socket, "--json", "--rate", 100000, "--runs",
                                                   50, self.hello)).stdout))
        self.assertEqual(set(result["refused"]), {"overloaded"})
        self.assertEqual(result["ended"]["exited"] + result["refused"]["overloaded"], 50)

    def test_runs_without_an_answer_fail_it(self):
        result = self.counted(self.bench("--runs", 3, "--clients", 3, "--duration", "10ms", "--patience", "50ms",
                                         "--arg", "loop", self.guest, code=1))
        self.assertEqual(result["unanswered"], 3)

    def test_a_stored_program_by_digest(self):
        digest = must(brig("module", "put", "--socket", self.brigd.socket, self.hello)).stdout.decode().strip()
        self.assertEqual(self.bench("--runs", 5, digest)["ended"], {"exited": 5})

    @unittest.skipUnless(ROOT, "only root can connect as others")
    def test_owners_connect_in_turn(self):
        result = self.counted(self.bench("--runs", 30, "--owners", "0,12345", self.hello))
        self.assertEqual((result["ended"], result["clients"]), ({"exited": 30}, 2))
        owners = {r["user"]["uid"] for r in walk(self.brigd.audit_log()) if "user" in r}
        self.assertLessEqual({"0", "12345"}, owners)

    @unittest.skipIf(ROOT, "root can")
    def test_only_root_can_connect_as_others(self):
        done = brig("bench", "--socket", self.brigd.socket, "--owners", "1", self.hello)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"only root can", done.stderr)

    def test_a_server_that_goes_away_is_an_error_after_what_there_was(self):
        gone = harness.Brigd(self.new_directory("gone"), self.keys, None, ())
        running = subprocess.Popen([program("brig"), "bench", "--socket", gone.socket, "--json", "--arg", "loop",
                                    "--clients", "2", "--duration", "60s", self.guest], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with gone.client() as client:
            harness.wait_until(lambda: client.call("server.health")["running"] == 2, "both run")
        gone.stop(signal.SIGKILL)
        out, err = running.communicate(timeout=harness.PATIENCE)
        self.assertEqual(running.returncode, 1)
        self.assertEqual(json.loads(out)["unanswered"], 2)
        self.assertTrue(err.startswith(b"brig bench: "), err)

    def test_senseless_command_lines(self):
        for args, part in (((), b"which PROGRAM?"), (("--rate", "0", "x"), b"rate"), (("--clients", "0", "x"), b"1 to"),
                           (("--fault", "trap=3%", "x"), b"cancel=N%"), (("--fault", "cancel=200%", "x"), b"100"),
                           (("--duration", "1x", "x"), b"no time"), (("--bogus", "x"), b"--bogus"),
                           (("--owners", "1,,2", "x"), b"number"), (("--rate",), b"needs a value"),
                           (("--pack", "p"), b"which source?"), (("--pack", "p", "--pack", "q", "-c", ""), b"which source?"),
                           (("--code", "x"), b"--pack"), (("--pack", "p", "-c", "x", "--code", "y"), b"one source")):
            done = brig("bench", *args)
            self.assertEqual(done.returncode, 2, (args, done.stderr))
            self.assertIn(part, done.stderr)
        done = brig("bench", "--socket", self.brigd.socket, "/nowhere.wasm")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/nowhere.wasm", done.stderr)


if __name__ == "__main__":
    harness.main()
