"""A worker that lies: brigd ends it, says why, and goes on serving. tests/scenario/liar.c tells the lies."""

import os
import unittest

import harness
import wasm


class Liar(harness.Scenario):
    """Each lie ends its run as `failed` with the reason; the next run, through the same zygote, is told the truth."""

    LIES = {
        "unknown-type": "message 999",
        "of-another-process": "message 51",
        "short-packet": "malformed packet",
        "length": "malformed packet",
        "other-run": "another run",
        "stream": "stream 3",
        "empty-output": "without bytes",
        "too-much-output": "more output than the limit",
        "descriptor": "sent a descriptor",
        "many-descriptors": "sent a descriptor",
        "short-result": "result has",
        "status": "status 77",
        "trap": "trap 4000000000",
        "limit": "limit 0",
        "text-length": "bytes of text",
        "frame-count": "frames",
        "frame-name": "backtrace",
        "denial": "denial of call 1000",
        "granted-denial": "granted",
        "second-result": "after its result",
        "after-result": "after its result",
        "silence": "without a result",
        "exit-code": "exit status 3",
        "crash": "signal 6",
    }

    @classmethod
    def setUpClass(cls):
        directory = harness.tempfile.mkdtemp(prefix="brig-liar-")
        os.chmod(directory, 0o711)
        cls.addClassCleanup(harness.shutil.rmtree, directory)
        for name in ("brig-launcher", "brig-store", "brig-logger", "brig-compiler"):
            harness.shutil.copy(harness.program(name), directory)
        harness.shutil.copy(os.path.join(harness.BUILD, "tests", "scenario", "liar"),
                            os.path.join(directory, "brig-worker"))
        cls.options = ("--libexec", directory)
        super().setUpClass()

    def tell(self, lie):
        return self.run_guest(lie, wasm=wasm.module(b""))

    def assert_still_serving(self):
        self.assertEqual(self.tell("truth")["stdout"], "true\n")

    def test_truth_is_believed(self):
        result = self.tell("truth")
        self.assert_exited(result)
        self.assertEqual(result["stdout"], "true\n")

    def test_each_lie_ends_its_run_with_the_reason(self):
        for lie, reason in self.LIES.items():
            with self.subTest(lie=lie):
                result = self.tell(lie)
                self.assertEqual(result["status"], "failed", result)
                self.assertIn(reason, result["reason"])
        self.assert_still_serving()

    def test_worker_that_closes_its_socket_and_stays_is_ended(self):
        result = self.run_guest("closed", wasm=wasm.module(b""), limits={"wall_ms": 100})
        self.assertIn(result["status"], ("failed", "limit"), result)
        self.assert_still_serving()

    def test_impossible_usage_does_no_harm(self):
        result = self.tell("usage")
        self.assert_exited(result)
        self.assertLess(result["usage"]["user_us"], 1000000)  # the kernel's word, not the worker's

    def test_lies_leave_no_descriptor_behind(self):
        self.tell("truth")
        before = self.brigd.open_descriptors()
        for lie in ("descriptor", "many-descriptors", "unknown-type", "silence"):
            self.tell(lie)
        harness.wait_until(lambda: self.brigd.open_descriptors() == before, "the descriptors are closed")

    def test_both_records_are_there_for_each(self):
        result = self.tell("status")
        events = [r for r in self.brigd.audit_log() if result["run_id"] in str(r)]
        self.assertEqual(len(events), 2)


if __name__ == "__main__":
    harness.main()
