"""Compiling: ahead of the first run, on request, with progress; given up when nobody wants it any more."""

import itertools
import os
import pty
import select
import signal
import subprocess

import harness
import hostile_modules
import wasm

OPTIONAL = {"version": 1, "signature": {"module": "optional"}, "args": True, "clock": "real", "random": "real"}


class Compiling(harness.Scenario):
    """Modules that take longer to compile than a test waits, none like another: they are to be given up."""

    policy = OPTIONAL
    numbers = itertools.count()

    def long_one(self):
        return hostile_modules.BOMBS["additions"] + wasm.custom("number", b"%d" % next(self.numbers))

    def new_one(self):
        return wasm.program() + wasm.custom("number", b"%d" % next(self.numbers))

    def put(self, data, **more):
        return self.client.call("module.put", {"wasm": harness.b64(data), **more})["digest"]

    def compilers(self):
        return [pid for pid, name in self.brigd.children().items() if name == "brig-compiler"]

    def wait_compiling(self):
        return harness.wait_until(self.compilers, "a compiler is at work")

    def wait_given_up(self):
        harness.wait_until(lambda: self.client.call("server.health")["compiling"] == 0 and not self.compilers(),
                           "nothing is compiled any more")

    def artifacts(self, brigd=None):
        return {name for _, _, names in os.walk((brigd or self.brigd).state) for name in names if name.endswith(".cwasm")}

    def run_one(self, digest):
        result = self.client.call("run", {"module": {"digest": digest}, "policy": OPTIONAL})
        self.assert_exited(result)
        return result["usage"]


class Ahead(Compiling):
    def test_what_is_stored_is_compiled_before_it_is_run(self):
        digest = self.put(self.new_one())
        harness.wait_until(lambda: digest[7:] + ".cwasm" in self.artifacts(), "it is compiled")
        usage = self.run_one(digest)
        self.assertEqual((usage["compile"], usage["start"], usage["compile_us"]), ("hit", "cached", 0))

    def test_who_is_removed_is_not_compiled_any_further(self):
        digest, other = self.put(self.long_one()), self.put(self.long_one())
        self.wait_compiling()
        self.client.call("module.remove", {"digest": other})
        self.client.call("module.remove", {"digest": digest})
        self.wait_given_up()

    def test_runs_do_not_wait_for_it(self):
        long_one = self.put(self.long_one())
        self.wait_compiling()
        other = self.new_one()
        result = self.client.call("run", {"module": {"wasm": harness.b64(other)}, "policy": OPTIONAL})
        self.assert_exited(result)
        self.assertEqual(result["usage"]["compile"], "miss")
        self.assertEqual(self.client.call("server.health")["compiling"], 1)
        self.client.call("module.remove", {"digest": long_one})
        self.wait_given_up()

    def test_a_compiler_that_dies_leaves_nothing_and_the_next_begins(self):
        self.put(self.long_one())
        os.kill(self.wait_compiling()[0], signal.SIGKILL)
        digest = self.put(self.new_one())
        harness.wait_until(lambda: digest[7:] + ".cwasm" in self.artifacts(), "the next is compiled")
        self.wait_given_up()

    def test_a_run_takes_over_what_is_compiled_ahead(self):
        digest = self.put(self.long_one())
        self.wait_compiling()
        run = self.client.start("run", {"module": {"digest": digest}, "policy": OPTIONAL, "stream": True})
        self.client.wait_notification("run.progress", lambda p: p["phase"] == "compiling" and p["request"] == run)
        self.assertEqual(len(self.compilers()), 1)
        self.client.call("module.remove", {"digest": digest})
        self.assertEqual(len(self.compilers()), 1)
        self.client.call("run.cancel", {"request": run})
        self.assertEqual(self.client.finish(run)["status"], "cancelled")
        self.wait_given_up()


class Revoked(Compiling):
    policy = None

    def test_what_is_revoked_is_not_compiled_any_further(self):
        data = self.long_one()
        digest = self.client.call("module.put", self.module(data))["digest"]
        self.wait_compiling()
        self.keys.edit("revoke-module", digest)
        harness.must(harness.brig("server", "reload", "--socket", self.brigd.socket))
        self.wait_given_up()
        self.assert_rpc_error("revoked", "module.compile", {"digest": digest})
        self.assertEqual(self.compilers(), [])


class Asked(Compiling):
    options = ("--compile-on-put", "0")

    def test_it_is_compiled_once_and_its_runs_find_it(self):
        digest = self.put(self.new_one())
        self.assertNotIn(digest[7:] + ".cwasm", self.artifacts())
        first = self.client.call("module.compile", {"digest": digest})
        self.assertEqual((first["digest"], first["compile"]), (digest, "miss"))
        self.assertGreater(first["compile_us"], 0)
        again = self.client.call("module.compile", {"digest": digest})
        self.assertEqual((again["compile"], again["compile_us"]), ("hit", first["compile_us"]))
        usage = self.run_one(digest)
        self.assertEqual((usage["compile"], usage["artifact_bytes"]), ("hit", first["artifact_bytes"]))
        self.assertIn("module.compile", [r.get("api", {}).get("operation") for r in self.brigd.audit_log()])

    def test_without_it_the_first_run_compiles(self):
        digest = self.put(self.new_one())
        usage = self.run_one(digest)
        self.assertEqual(usage["compile"], "miss")
        self.assertGreater(usage["artifact_bytes"], 0)

    def test_runs_with_fuel_have_an_artifact_of_their_own(self):
        digest = self.put(self.new_one())
        self.assertEqual(self.client.call("module.compile", {"digest": digest, "fuel": True})["compile"], "miss")
        self.assertEqual(self.client.call("module.compile", {"digest": digest})["compile"], "miss")
        result = self.client.call("run", {"module": {"digest": digest}, "policy": dict(OPTIONAL, limits={"fuel": 10**6})})
        self.assertEqual(result["usage"]["compile"], "hit")

    def test_what_cannot_be_is_said(self):
        self.assert_rpc_error("module_not_found", "module.compile", {"digest": "sha256:" + "0" * 64})
        self.assert_rpc_error("invalid_params", "module.compile", {})
        self.assert_rpc_error("invalid_params", "module.compile", {"digest": "sha256:" + "0" * 64, "fuel": 1})
        broken = self.put(wasm.module(b"\xff"))
        self.assert_rpc_error("module_invalid", "module.compile", {"digest": broken})

    def test_who_asked_hears_how_far_it_is_and_going_away_ends_it(self):
        digest = self.put(self.long_one())
        other = self.brigd.client()
        self.addCleanup(other.close)
        request = other.start("module.compile", {"digest": digest, "progress": True})
        told = other.wait_notification("module.progress", lambda p: p["phase"] == "compiling")
        self.assertEqual(told["request"], request)
        self.assertGreater(told["expected_ms"], 0)
        other.close()
        self.wait_given_up()

    def test_of_two_who_ask_one_may_go(self):
        data = self.long_one()
        digest = self.put(data)
        run = self.client.start("run", {"module": {"wasm": harness.b64(data)}, "policy": OPTIONAL, "stream": True})
        self.wait_compiling()
        with self.brigd.client() as other:
            other.start("module.compile", {"digest": digest, "progress": True})
            other.wait_notification("module.progress")
        self.client.wait_notification("run.progress", lambda p: p["phase"] == "compiling")
        self.assertEqual(len(self.compilers()), 1)
        self.client.call("run.cancel", {"request": run})
        self.client.finish(run)
        self.wait_given_up()


class Known(Compiling):
    """What was verified and compiled is run without its bytes, of which there is room for one module here."""

    options = ("--module-cache-bytes", "1048576")

    def setUp(self):
        super().setUp()
        self.modules = [self.put(self.new_one() + wasm.custom("large", bytes(700000))) for _ in range(3)]
        for digest in self.modules:
            self.run_stored(digest)

    def run_stored(self, digest, **limits):
        return self.client.call("run", {"module": {"digest": digest}, "policy": dict(OPTIONAL, limits=limits)})

    def test_the_store_is_not_asked_again(self):
        store = [pid for pid, name in self.brigd.children().items() if name == "brig-store"][0]
        os.kill(store, signal.SIGSTOP)
        try:
            for digest in 2 * self.modules:
                result = self.run_stored(digest)
                self.assertEqual((result["status"], result["module"]["digest"]), ("exited", digest))
        finally:
            os.kill(store, signal.SIGCONT)

    def test_bytes_that_are_needed_after_all_come_from_the_store(self):
        for digest in self.modules:
            result = self.run_stored(digest, fuel=1000000)  # which takes another artifact
            self.assertEqual((result["status"], result["usage"]["start"]), ("exited", "cold"))
            self.assert_exited(self.run_stored(digest))

    def test_what_is_removed_is_not_known_any_more(self):
        self.client.call("module.remove", {"digest": self.modules[0]})
        with self.assertRaises(harness.RpcError) as caught:
            self.run_stored(self.modules[0])
        self.assertEqual(caught.exception.name, "module_not_found")
        self.assert_exited(self.run_stored(self.modules[1]))


class Killed(Compiling):
    def test_a_brigd_that_is_killed_leaves_nothing_half_compiled(self):
        brigd = harness.Brigd(self.new_directory("killed%d" % next(self.numbers)), policy=OPTIONAL)
        with brigd.client() as client:
            client.call("module.put", {"wasm": harness.b64(self.long_one())})
            harness.wait_until(lambda: "brig-compiler" in brigd.children().values(), "a compiler is at work")
        brigd.stop(signal.SIGKILL)
        self.assertEqual(self.artifacts(brigd), set())
        again = harness.Brigd(brigd.directory, policy=OPTIONAL)
        self.assertNotIn("found", again.log().split("serving")[-1])
        self.assertEqual(again.stop(), 0)


class Command(Compiling):
    options = ("--compile-on-put", "0")

    def file(self, data):
        path = os.path.join(self.directory, "program%d.wasm" % next(self.numbers))
        with open(path, "wb") as f:
            f.write(data)
        self.addCleanup(os.remove, path)
        return path

    def brig(self, *args):
        return harness.must(harness.brig(*args[:2], "--socket", self.brigd.socket, *args[2:])).stdout.decode()

    def test_module_compile_takes_a_file_or_a_digest(self):
        data = self.new_one()
        said = self.brig("module", "compile", "--no-sign", self.file(data))
        self.assertRegex(said, "^%s  compiled in [0-9.]+ ms, [0-9.]+ MiB\n$" % harness.digest(data))
        self.assertRegex(self.brig("module", "compile", harness.digest(data)), "was compiled already, in [0-9.]+ ms")
        self.assertIn('"compile": "miss"', self.brig("module", "compile", "--fuel", "--json", harness.digest(data)))

    def wait_line(self, *args):
        """Runs brig with a terminal as its standard error until that says how far it is; then ends it. What it said."""
        ours, its = pty.openpty()
        process = subprocess.Popen([harness.program("brig"), *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=its)
        os.close(its)
        said = b""
        try:
            while b" of about " not in said:
                self.assertTrue(select.select([ours], [], [], harness.PATIENCE)[0], said)
                said += os.read(ours, 4096)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        self.wait_given_up()
        return said.decode()

    def test_a_terminal_sees_how_far_it_is(self):
        path = self.file(self.long_one())
        for verb, args in (("run", ["run"]), ("module", ["module", "compile"])):
            said = self.wait_line(*args, "--socket", self.brigd.socket, "--no-sign", path)
            self.assertRegex(said, "brig %s: compiling the program, [0-9]+ s of about [0-9]+ s" % verb)

    def test_what_is_no_terminal_sees_nothing(self):
        path = self.file(self.long_one())
        process = subprocess.Popen([harness.program("brig"), "run", "--socket", self.brigd.socket, "--no-sign", path],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with self.brigd.client() as other:  # as many ticks as it takes until another has been told twice
            digest = self.put(open(path, "rb").read())
            self.wait_compiling()
            other.start("module.compile", {"digest": digest, "progress": True})
            for _ in range(2):
                other.wait_notification("module.progress")
                other.notifications.clear()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        self.assertNotIn(b"compiling the program", err)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.wait_given_up()


if __name__ == "__main__":
    harness.main()
