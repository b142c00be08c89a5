"""The processes of a real brigd, looked at from outside, and what becomes of the rest when one of them dies."""

import os
import signal

import harness

CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts")


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as f:
        return dict((line.split(":", 1)[0], line.split(":", 1)[1].strip()) for line in f)


class Jail(harness.Scenario):
    options = ("--parked-max", "0")  # so that there is one worker; test_parked looks at those that wait

    def setUp(self):
        super().setUp()
        self.request = self.client.start("run", self.params("sleep", 600000, stream=True))
        self.client.wait_output(b"sleeping\n")
        self.run_id = self.client.wait_notification("run.started")["run_id"]

    def tearDown(self):
        if self.request is not None:
            self.client.call("run.cancel", {"run_id": self.run_id})
            self.client.finish(self.request)
        super().tearDown()

    def of(self, name):
        return [pid for pid, found in self.brigd.children().items() if found.startswith(name)]

    def worker(self):
        """The pid of the worker that now sleeps: the one whose parent is a zygote."""
        table = harness.processes()
        workers = [pid for pid in self.of("brig-worker") if table[pid][1].startswith("brig-worker")
                   and table.get(table[pid][0], (0, ""))[1].startswith("brig-worker")]
        self.assertEqual(len(workers), 1, table)
        return workers[0]

    def test_worker_has_no_privilege_and_is_filtered(self):
        status = status_of(self.worker())
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        for name in CAPABILITY_SETS:
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["Groups"].split(), [] if harness.IS_ROOT else status["Groups"].split())

    def test_every_process_of_ours_gave_up_privilege(self):
        for pid, name in self.brigd.children().items():
            with self.subTest(name):
                self.assertEqual(status_of(pid)["NoNewPrivs"], "1")

    def test_every_process_but_brigd_is_filtered(self):
        for name in ("brig-launcher", "brig-store", "brig-logger", "brig-worker"):
            with self.subTest(name):
                self.assertEqual(status_of(self.of(name)[0])["Seccomp"], "2")

    def test_started_as_root_each_kind_has_a_uid_of_its_own(self):
        if not harness.IS_ROOT:
            self.skipTest("not started as root")
        uids = {}
        for pid, name in list(self.brigd.children().items()) + [(self.brigd.process.pid, "brigd")]:
            uid = status_of(pid)["Uid"].split()
            self.assertEqual(len(set(uid)), 1, name)
            self.assertNotEqual(uid[0], "0", name)
            uids.setdefault(name, set()).add(uid[0])
        self.assertEqual(len(uids), 5, uids)
        everyone = [uid for kind in uids.values() for uid in kind]
        self.assertEqual(len(set(everyone)), len(everyone), uids)

    def test_worker_is_in_namespaces_of_its_own(self):
        if not harness.IS_ROOT:
            self.skipTest("only root sees another process's namespaces")
        for kind in NAMESPACES:
            ours, its = (os.readlink("/proc/%s/ns/%s" % (pid, kind)) for pid in ("self", self.worker()))
            self.assertNotEqual(ours, its, kind)

    def test_worker_has_no_files(self):
        if not harness.IS_ROOT:
            self.skipTest("only root sees another process's root")
        pid = self.worker()
        self.assertEqual(os.listdir("/proc/%d/root/" % pid), [])
        targets = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        self.assertEqual([t for t in targets if not t.startswith(("socket:", "/memfd:"))], [], targets)
        self.assertEqual(len([t for t in targets if t.startswith("socket:")]), 1, targets)

    def test_worker_has_no_code_pages_that_can_be_written(self):
        if not harness.IS_ROOT:
            self.skipTest("only root sees another process's memory map")
        with open("/proc/%d/maps" % self.worker(), encoding="utf-8") as f:
            for line in f:
                self.assertFalse("w" in line.split()[1] and "x" in line.split()[1], line)

    def test_worker_leaves_no_core_and_opens_no_files(self):
        with open("/proc/%d/limits" % self.worker(), encoding="utf-8") as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        self.assertEqual(limits["Max core file size"], ["0", "0"])
        self.assertEqual(limits["Max file size"], ["0", "0"])
        self.assertEqual(limits["Max processes"], ["0", "0"])

    def test_a_killed_worker_is_a_failed_run_with_a_reason(self):
        if not harness.IS_ROOT:
            self.skipTest("only root can name the worker of another user namespace")
        os.kill(self.worker(), signal.SIGKILL)
        result = self.client.finish(self.request)
        self.request = None
        self.assertEqual(result["status"], "failed", result)
        self.assertTrue(result["reason"])
        self.assert_exited(self.run_guest("hello"))

    def test_a_killed_zygote_takes_its_workers_along_and_is_replaced(self):
        table = harness.processes()
        zygote = table[self.worker()][0]
        os.kill(zygote, signal.SIGKILL)
        result = self.client.finish(self.request)
        self.request = None
        self.assertEqual(result["status"], "failed", result)
        self.assert_exited(self.run_guest("hello"))


class Deaths(harness.Scenario):
    """brigd stops rather than going on without one of its processes; nothing survives it."""

    def setUp(self):
        if self.brigd.process.poll() is not None:
            type(self).brigd = harness.Brigd(self.brigd.directory, self.keys)
        super().setUp()
        self.client.start("run", self.params("sleep", 600000, stream=True))
        self.client.wait_output(b"sleeping\n")

    @classmethod
    def tearDownClass(cls):
        cls.brigd = harness.Brigd(cls.brigd.directory, cls.keys)
        super().tearDownClass()

    def test_killed_brigd_leaves_no_process(self):
        self.brigd.stop(signal.SIGKILL)

    def test_interrupted_brigd_stops_in_good_order(self):
        self.assertEqual(self.brigd.stop(signal.SIGINT), 0)

    def test_brigd_stops_when_one_of_its_processes_dies(self):
        for name in ("brig-launcher", "brig-store", "brig-logger"):
            with self.subTest(name):
                if self.brigd.process.poll() is not None:
                    type(self).brigd = harness.Brigd(self.brigd.directory, self.keys)
                pid = [p for p, found in self.brigd.children().items() if found == name][0]
                os.kill(pid, signal.SIGKILL)
                self.assertNotEqual(self.brigd.process.wait(harness.PATIENCE), 0)
                self.brigd.stop()
                self.assertIn(name[5:], self.brigd.log())

    def test_a_second_brigd_on_the_same_state_is_refused(self):
        second = os.path.join(self.directory, "second")
        os.makedirs(second, exist_ok=True)
        with self.assertRaises(AssertionError) as caught:
            harness.Brigd(second, self.keys, options=("--state", self.brigd.state))
        self.assertIn("another brigd", str(caught.exception).lower())
        self.assertIn("version", self.brigd.client().call("server.info"))


if __name__ == "__main__":
    harness.main()
