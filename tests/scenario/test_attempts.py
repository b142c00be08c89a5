"""Native code in the guest's place, in a worker that a real brigd had started: each attempt ends its run, and only that.

tests/scenario/attempt.c makes the attempts; tests/unit/test_attempts.c shows that they are possible without a jail, and
which layers stop them.
"""

import os

import harness


def attempts():
    """name -> whether the filter is among what stops it; written by scripts/tables.c."""
    with open(os.path.join(harness.BUILD, "tests", "scenario", "attempts.txt"), encoding="ascii") as f:
        return {name: by == "filter" for name, by in (line.split() for line in f)}


class Native(harness.Scenario):
    settings = ()

    @classmethod
    def setUpClass(cls):
        directory = harness.tempfile.mkdtemp(prefix="brig-attempts-")
        os.chmod(directory, 0o711)
        cls.addClassCleanup(harness.shutil.rmtree, directory)
        for name in ("brig-launcher", "brig-store", "brig-logger", "brig-compiler"):
            harness.shutil.copy(harness.program(name), directory)
        harness.shutil.copy(os.path.join(harness.BUILD, "tests", "scenario", "attempt"),
                            os.path.join(directory, "brig-worker"))
        cls.options = ("--libexec", directory, *cls.settings)
        super().setUpClass()


class Attempts(Native):
    """Most are made by workers that were parked, since one module is run so often."""

    def test_guest_runs_when_nothing_is_attempted(self):
        result = self.run_guest("args", "no-attempt")
        self.assert_exited(result)
        self.assertIn("no-attempt", result["stdout"])

    def test_each_attempt_ends_its_run_with_the_reason(self):
        names = attempts()
        self.assertGreater(len(names), 100)
        for name, filtered in names.items():
            with self.subTest(name):
                result = self.run_guest("args", name, limits={"memory_bytes": 1 << 20})
                self.assertEqual(result["status"], "failed", result)
                self.assertEqual(result["stdout"], "", result)
                if filtered:
                    self.assertIn("killed by the seccomp filter", result["reason"])
                else:  # refused with an errno; a fault may lead to the engine's handler, and so to the filter
                    self.assertRegex(result["reason"], r"exit status [1-9]|killed by ")
                    self.assertNotRegex(result["reason"], r"exit status 25[0-9]")
        self.assert_exited(self.run_guest("hello"))

    def test_attempt_leaves_other_runs_alone(self):
        """Even those of the same zygote, which it can name."""
        for name in ("kill_beside", "kill_zygote", "kill_all", "setpriority_beside", "ptrace_beside"):
            with self.brigd.client() as sleeping, self.brigd.client() as other:
                request = sleeping.start("run", self.params("sleep", 600000, stream=True))
                sleeping.wait_output(b"sleeping\n")
                run_id = sleeping.wait_notification("run.started")["run_id"]
                self.assertEqual(other.call("run", self.params("args", name))["status"], "failed")
                sleeping.call("run.cancel", {"run_id": run_id})
                self.assertEqual(sleeping.finish(request)["status"], "cancelled")


class Costs(Native):
    settings = ("--templates-max", "0")  # so that one zygote forks all

    def test_worker_that_the_filter_killed_is_counted_logged_and_costs_its_zygote(self):
        def zygote():
            self.assert_exited(self.run_guest("hello"))
            return max(pid for pid, name in self.brigd.children().items() if name == "brig-worker")
        before, first = self.client.call("server.health"), zygote()
        result = self.run_guest("args", "socket_vsock")
        self.assertIn("killed by the seccomp filter", result["reason"])
        self.assertNotEqual(zygote(), first)
        after = self.client.call("server.health")
        self.assertEqual((after["crashes"], after["filtered"]), (before["crashes"] + 1, before["filtered"] + 1))
        self.assertRegex(self.brigd.log(), "worker-crashed run=%s .*signal=31 by=filter" % result["run_id"])
        last = zygote()
        self.assertEqual(self.run_guest("args", "no-attempt")["status"], "exited")
        self.assertEqual(zygote(), last)


if __name__ == "__main__":
    harness.main()
