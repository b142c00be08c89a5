"""What is in the memory of a worker, read by root: its own run, and no key, no secret, nothing of any other run."""

import os
import unittest

import harness
import wasm


def memory_of(pid):
    """All that a process has in memory and could read, piece by piece."""
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as f:
        areas = [line.split(None, 5) for line in f]
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as f:
        for area in areas:
            first, end = (int(n, 16) for n in area[0].split("-"))
            if area[1][0] != "r" or area[-1].strip() in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                continue
            tail = b""
            while first < end:
                f.seek(first)
                piece = f.read(min(end - first, 1 << 24))
                if not piece:
                    raise AssertionError("process %d: no memory at %#x" % (pid, first))
                yield tail + piece
                tail = piece[-100:]
                first += len(piece)


def found_in(pid, needles):
    """The names of the needles that are somewhere in the memory of a process."""
    found = set()
    for piece in memory_of(pid):
        found.update(name for name, needle in needles.items() if needle in piece)
    return found


def canary():
    return "canary" + os.urandom(16).hex()


@unittest.skipUnless(harness.IS_ROOT, "only root can read the memory of a worker")
class Secrets(harness.Scenario):
    @classmethod
    def setUpClass(cls):
        os.environ["BRIG_TEST_CANARY"] = cls.environment = canary()
        cls.addClassCleanup(os.environ.pop, "BRIG_TEST_CANARY")
        super().setUpClass()

    def sleeper(self):
        """A run that waits, with secrets of its own. Returns them, and its worker's pid."""
        secrets = {part: canary() for part in ("argument", "variable", "input")}
        before = set(self.workers())
        client = self.brigd.client()
        self.addCleanup(client.close)
        client.start("run", self.params("sleep", 600000, secrets["argument"], stream=True, stdin=secrets["input"],
                                        env={"SECRET": secrets["variable"]}))
        client.wait_output(b"sleeping\n")
        worker, = set(self.workers()) - before
        return {part: text.encode() for part, text in secrets.items()}, worker

    def workers(self):
        """The workers, which are children of zygotes."""
        table = harness.processes()
        return [pid for pid, name in self.brigd.children().items() if name == "brig-worker"
                and table.get(pid, (0, ""))[0] in table and table[table[pid][0]][1] == "brig-worker"]

    def of(self, name):
        return [pid for pid, found in self.brigd.children().items() if found == name]

    def finished_run(self):
        """A run that is over: what was in its module, what it was given and what it printed."""
        data = canary().encode()
        module = wasm.program(memories=[wasm.limits(1)], data=[b"\0" + wasm.i32(0) + wasm.END + wasm.name(data)])
        self.assert_exited(self.run_guest(wasm=module))
        printed = canary()
        self.assert_exited(self.run_guest("cat", stdin=printed))
        return {"module of a run that is over": data, "input and output of a run that is over": printed.encode()}

    def mac_key(self):
        for directory, _, names in os.walk(self.brigd.state):
            if "mac.key" in names:
                with open(os.path.join(directory, "mac.key"), "rb") as f:
                    return f.read()
        raise AssertionError("the store has no key")

    def test_worker_has_its_own_run_in_memory_and_nothing_else(self):
        strangers = self.finished_run()
        other, other_worker = self.sleeper()
        strangers.update(("%s of another run" % part, needle) for part, needle in other.items())
        strangers.update(self.finished_run())
        key = self.mac_key()
        self.assertGreaterEqual(len(key), 32)
        strangers["key of the store"] = key[:16]
        strangers["environment of brigd"] = self.environment.encode()
        own, worker = self.sleeper()

        # what is looked for is found where it is
        self.assertEqual(found_in(worker, own), set(own))
        self.assertEqual(found_in(other_worker, other), set(other))
        self.assertEqual(found_in(self.of("brig-store")[0], {"key": key[:16]}), {"key"})
        self.assertEqual(found_in(self.brigd.process.pid, {"environment": self.environment.encode()}), {"environment"})

        self.assertEqual(found_in(worker, strangers), set())
        zygotes = set(self.of("brig-worker")) - {worker, other_worker}
        self.assertTrue(zygotes)
        for pid in zygotes:  # what they have, every worker has
            self.assertEqual(found_in(pid, dict(strangers, **own)), set())


if __name__ == "__main__":
    harness.main()
