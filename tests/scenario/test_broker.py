"""brigd itself: reloading, stopping, keys that name runs, clients that vanish, processes that die under it."""

import os
import signal

import harness
import wasm

FLOOD = 4 << 20  # bytes of output: more than the broker queues for a client before its guest waits


class Runs(harness.Scenario):
    def wait_for_sleep(self):
        """Until no process below brigd has been seen at work for some looks in a row."""
        looks = [0]

        def asleep():
            states = []
            for pid in self.brigd.children():
                try:
                    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                        states.append(f.read().rsplit(")", 1)[1].split()[0])
                except OSError:
                    pass
            looks[0] = 0 if "R" in states else looks[0] + 1
            return looks[0] > 20
        harness.wait_until(asleep, "the worker waits")

    def test_key_of_a_refused_request_is_free_again(self):
        bad = self.params("hello", key="again")
        bad["module"] = {"wasm": harness.b64(harness.guest("guest"))}
        self.assert_rpc_error("unsigned_module", "run", bad)
        self.assertEqual(self.client.call("run", self.params("hello", key="again"))["status"], "exited")

    def test_run_with_a_key_goes_on_when_its_slow_client_vanishes(self):
        with self.brigd.client() as slow:
            slow.start("run", self.params("flood", FLOOD, stream=True, key="slow",
                                          limits={"output_bytes": FLOOD * 2, "wall_ms": 60000}))
            slow.wait_notification("run.started")
            slow.wait_notification("run.output")
            self.wait_for_sleep()  # the client reads no more, so at last its guest has to wait

        def state():
            return self.client.call("run.get", {"key": "slow"})
        harness.wait_until(lambda: state()["state"] == "ended", "the run has ended")
        result = state()["result"]
        self.assertEqual((result["status"], result["usage"]["stdout_bytes"]), ("exited", FLOOD), result)

    def test_too_much_input_at_once_is_refused_and_the_run_goes_on(self):
        run = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True}))
        run_id = self.client.wait_notification("run.started")["run_id"]
        self.assert_rpc_error("request_too_large", "run.input", {"run_id": run_id, "data": "x" * (8 * 1024 * 1024 + 1)})
        self.client.call("run.input", {"run_id": run_id, "data": "small", "end": True})
        self.assertEqual(self.client.finish(run)["status"], "exited")
        self.assertEqual(self.client.output(), b"small")

    def test_result_counts_though_the_guest_left_its_input_unread(self):
        for _ in range(20):
            run = self.client.start("run", self.params("exit", 5, stream=True, stdin={"stream": True}))
            run_id = self.client.wait_notification("run.started")["run_id"]
            self.client.start("run.input", {"run_id": run_id, "data": "x" * 1000000})
            result = self.client.finish(run)
            self.client.notifications.clear()
            self.assertEqual((result["status"], result.get("exit_code")), ("exited", 5), result)

    def test_what_module_methods_answer(self):
        stored = self.client.call("module.put", self.module(harness.guest("guest")))
        self.assertEqual(set(stored), {"digest", "size", "signer", "signature", "existed"})
        listed = self.client.call("module.list")["modules"]
        self.assertIn(stored["digest"], [m["digest"] for m in listed])
        self.assertEqual(self.client.call("module.list", {"after": listed[-1]["digest"]}), {"modules": []})
        known = self.client.call("module.get", {"digest": stored["digest"]})
        self.assertEqual(set(known), {"digest", "size", "signer", "signature", "stored_at"})
        self.assertEqual(self.client.call("module.remove", {"digest": stored["digest"]}),
                         {"digest": stored["digest"], "removed": True})
        self.assert_rpc_error("invalid_params", "module.get", {"digest": stored["digest"], "wasm": "yes"})

    def test_names_in_the_guests_own_words_stay_utf8(self):
        module = wasm.module(imports=[("env", "\u20ac" * 400, wasm.function_type())])
        try:
            answer = str(self.client.call("run", self.params(wasm=module)))
        except harness.RpcError as e:
            answer = str(e)
            self.assertNotEqual(e.name, "internal_error")
        self.assertIn("\u20ac", answer.encode().decode("unicode_escape") if "\\u" in answer else answer)

    def test_dead_zygote_is_passed_over(self):
        """While the launcher cannot say yet that it died, brigd finds out by talking to it."""
        self.client.call("run", self.params("hello"))
        children = self.brigd.children()
        launcher = [pid for pid, name in children.items() if name == "brig-launcher"][0]
        zygotes = [pid for pid, name in children.items() if name == "brig-worker"]
        done = self.client.call("server.health")["runs"]
        os.kill(launcher, signal.SIGSTOP)
        try:
            for pid in zygotes:
                os.kill(pid, signal.SIGKILL)
            harness.wait_until(lambda: not set(zygotes) & set(harness.processes()), "the zygote is gone")
            run = self.client.start("run", self.params("hello"))

            def has_begun():
                health = self.client.call("server.health")
                return health["running"] + health["runs"] > done
            harness.wait_until(has_begun, "the run has been given to a zygote")
        finally:
            os.kill(launcher, signal.SIGCONT)
        self.assertEqual(self.client.finish(run)["status"], "exited")


class Room(harness.Scenario):
    options = ("--held-bytes", str(1 << 20))

    def test_modules_and_input_of_open_runs_have_a_limit(self):
        run = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True}))
        run_id = self.client.wait_notification("run.started")["run_id"]
        large = self.params("hello", stdin="x" * (1 << 20))
        refused = self.assert_rpc_error("overloaded", "run", large)
        self.assertIn("retry_after_ms", refused.data)
        self.assertEqual(self.client.call("run", self.params("hello"))["status"], "exited")
        self.client.call("run.input", {"run_id": run_id, "end": True})
        self.client.finish(run)
        self.assertEqual(self.client.call("run", large)["status"], "exited")


class Reloading(harness.Scenario):
    def reload(self):
        return harness.brig("server", "reload", "--socket", self.brigd.socket)

    def test_a_newer_keyring_comes_into_force(self):
        harness.must(self.reload())
        other = os.path.join(self.directory, "other")
        harness.must(harness.brig("keygen", "-o", other))
        self.keys.edit("add", "--name", "other", "--key", other + ".pub")
        harness.must(self.reload())
        guest = harness.guest("guest")
        params = self.params("hello")
        params["module"] = {"wasm": harness.b64(guest), "signature": self.keys.sign(guest, other, detached=True)}
        self.assertEqual(self.client.call("run", params)["status"], "exited")

    def test_the_reload_command_tells_whether_it_worked(self):
        harness.must(self.reload())
        with open(self.keys.keyring, "rb") as f:
            good = f.read()
        with open(self.keys.keyring, "wb") as f:
            f.write(good.replace(b"signer", b"singer"))
        done = self.reload()
        self.assertEqual((done.returncode, b"could not read" in done.stderr), (1, True), done.stderr)
        self.assertEqual(self.client.call("server.health")["reload_failed"], True)
        with open(self.keys.keyring, "wb") as f:
            f.write(good)
        harness.must(self.reload())
        self.assertEqual(self.client.call("server.health")["reload_failed"], False)


class Stopping(harness.Scenario):
    options = ("--drain-s", "1")

    def test_stopping_does_not_wait_for_ever_for_a_run(self):
        self.client.start("run", self.params("loop", stream=True, limits={"wall_ms": 30000, "cpu_ms": 30000}))
        self.client.wait_notification("run.started")
        os.kill(self.brigd.process.pid, signal.SIGTERM)
        said = []
        while True:
            message = self.client.receive()
            if message is None:
                break
            said.append(message)
        answer, = [m for m in said if "method" not in m]
        self.assertEqual(answer["result"]["status"], "failed", answer)
        self.assertIn("drain_s", answer["result"]["reason"])
        self.assertEqual(self.brigd.process.wait(harness.PATIENCE), 0)
        self.assertIn("stopping reason=SIGTERM", self.brigd.log())


class StoppingAtOnce(harness.Scenario):
    def test_a_second_signal_ends_runs_and_the_log_says_why(self):
        self.client.start("run", self.params("loop", stream=True, limits={"wall_ms": 600000, "cpu_ms": 600000}))
        self.client.wait_notification("run.started")
        os.kill(self.brigd.process.pid, signal.SIGTERM)
        harness.wait_until(lambda: "stopping" in self.brigd.log(), "brigd stops")
        os.kill(self.brigd.process.pid, signal.SIGTERM)
        self.assertEqual(self.brigd.process.wait(harness.PATIENCE), 0)
        self.assertEqual(self.brigd.audit_log()[-1].get("status_detail"), "brigd is stopping")
        self.assertNotIn("audit-unavailable", self.brigd.log())


class OutOfReach(harness.Scenario):
    """What root could read at the start, and who brigd is then cannot."""

    def setUp(self):
        if not harness.IS_ROOT:
            self.skipTest("an ordinary user stays who they are")
        super().setUp()

    def test_it_is_said_at_the_start_and_at_the_reload_what_to_do(self):
        os.chmod(self.keys.directory, 0o700)
        self.addCleanup(os.chmod, self.keys.directory, 0o711)
        other = harness.Brigd(self.new_directory("other"), self.keys)
        try:
            for event in ("reload-cannot-work", "reload-failed"):
                line = harness.wait_until(lambda: [l for l in other.log().splitlines() if event in l], event)[0]
                for said in (self.keys.keyring, "user 1900000000", "chmod", "restart"):
                    self.assertIn(said, line)
                os.kill(other.process.pid, signal.SIGHUP)
        finally:
            self.assertEqual(other.stop(), 0)
        self.assertNotIn("reload", self.brigd.log())


class NoKeyring(harness.Scenario):
    def test_a_brigd_without_a_keyring_says_so_at_the_start_and_to_clients(self):
        bare = harness.Brigd(self.new_directory("bare"))
        try:
            self.assertIn("no-keyring reason=", bare.log())
            with bare.client() as client, self.assertRaises(harness.RpcError) as caught:
                client.call("run", self.params("hello"))
            self.assertEqual(caught.exception.name, "unknown_key")
            self.assertIn("no keyring", str(caught.exception))
            self.assertNotIn("keys add", caught.exception.message)
        finally:
            self.assertEqual(bare.stop(), 0)
        self.assertNotIn("no-keyring", self.brigd.log())


class Rollback(harness.Scenario):
    def again(self, keys):
        self.assertEqual(self.brigd.stop(), 0)
        type(self).brigd = harness.Brigd(self.brigd.directory, keys)

    def test_an_older_keyring_is_refused_but_that_of_another_root_is_not_older(self):
        old = {}
        for name in (self.keys.keyring, self.keys.keyring + ".minisig"):
            with open(name, "rb") as f:
                old[name] = f.read()
        self.keys.edit("expire", "--keyring-expires", "+100d")
        self.again(self.keys)
        self.again(harness.Keys(self.new_directory("others")))
        self.again(self.keys)
        for name, data in old.items():
            with open(name, "wb") as f:
                f.write(data)
        with self.assertRaises(AssertionError) as caught:
            self.again(self.keys)
        self.assertIn("which was seen before", str(caught.exception))
        self.keys.edit("expire", "--keyring-expires", "+100d")
        self.again(self.keys)


class Finishing(harness.Scenario):
    def test_stopping_lets_runs_end_and_answers_be_read(self):
        run = self.client.start("run", self.params("sleep", 300))
        flood = self.client.start("run", self.params("flood", FLOOD, limits={"output_bytes": FLOOD * 2}))
        harness.wait_until(lambda: self.brigd.children(), "there are processes")
        with self.brigd.client() as other:
            harness.wait_until(lambda: other.call("server.health")["running"] + other.call("server.health")["runs"] >= 2,
                               "both runs have started")
        os.kill(self.brigd.process.pid, signal.SIGTERM)
        harness.wait_until(lambda: "stopping" in self.brigd.log(), "brigd stops")
        with self.assertRaises(OSError):
            self.brigd.client()
        self.assert_rpc_error("shutting_down", "run", self.params("hello"))
        self.assertEqual(self.client.finish(run)["status"], "exited")
        self.assertEqual(len(self.client.finish(flood)["stdout"]), FLOOD)
        self.client.close()
        self.assertEqual(self.brigd.process.wait(harness.PATIENCE), 0)


if __name__ == "__main__":
    harness.main()
