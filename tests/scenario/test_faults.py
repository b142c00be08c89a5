"""Calls that fail, full disks, no memory, descriptors or processes, a clock that jumps: refused work, never lost work.

A preloaded library (faults.c) has the Nth call of a function fail in one of brig's programs, while runs, compilations
and the store are at work. BRIG_FAULTS_SEED replays the choice of N; BRIG_FAULTS_ROUNDS is how often each is tried (1).
"""

import collections
import ctypes
import errno
import mmap
import os
import random
import struct
import unittest

import harness
import wasm

SEED = int(os.environ.get("BRIG_FAULTS_SEED", "20261121"))
ROUNDS = int(os.environ.get("BRIG_FAULTS_ROUNDS", "1"))

CONTROL = struct.Struct("<32s32siiiiiiq")
HITS = struct.Struct("<32s32siiiii")

# Program, call, errors. Calls of zygotes and workers are not reached: they start with an empty environment.
FAULTS = [
    ("brigd", "memfd_create", "ENOMEM"), ("brigd", "memfd_create", "EMFILE"), ("brigd", "mmap", "ENOMEM"),
    ("brigd", "socketpair", "EMFILE"), ("brigd", "socketpair", "ENOBUFS"), ("brigd", "fcntl", "EMFILE"),
    ("brigd", "sendmsg", "ENOBUFS"), ("brigd", "sendmsg", "EIO"), ("brigd", "recvmsg", "EIO"),
    ("brigd", "recvmsg", "ENOMEM"), ("brigd", "accept4", "EMFILE"), ("brigd", "accept4", "ENOMEM"),
    ("brigd", "malloc", "ENOMEM"),
    ("brig-store", "openat", "ENOSPC"), ("brig-store", "openat", "EMFILE"), ("brig-store", "openat", "EIO"),
    ("brig-store", "write", "ENOSPC"), ("brig-store", "write", "EIO"), ("brig-store", "fsync", "EIO"),
    ("brig-store", "mkdirat", "ENOSPC"), ("brig-store", "renameat", "EIO"), ("brig-store", "memfd_create", "ENOMEM"),
    ("brig-store", "mmap", "ENOMEM"), ("brig-store", "sendfile", "EIO"), ("brig-store", "fcntl", "EIO"),
    ("brig-store", "sendmsg", "ENOBUFS"), ("brig-store", "recvmsg", "EIO"), ("brig-store", "malloc", "ENOMEM"),
    ("brig-logger", "write", "ENOSPC"), ("brig-logger", "write", "EIO"), ("brig-logger", "fdatasync", "EIO"),
    ("brig-logger", "sendmsg", "ENOBUFS"), ("brig-logger", "recvmsg", "EIO"),  # it allocates nothing for a record
    ("brig-launcher", "clone", "EAGAIN"), ("brig-launcher", "clone", "ENOMEM"),
    ("brig-launcher", "socketpair", "EMFILE"),
    ("brig-launcher", "sendmsg", "ENOBUFS"), ("brig-launcher", "recvmsg", "EIO"), ("brig-launcher", "malloc", "ENOMEM"),
]


class Preloaded(harness.Scenario):
    """A brigd whose programs all have the library. start() also takes one up again on the state of the one before."""

    CEILING = {"version": 1, "args": True, "env": ["*"], "clock": "real", "random": "real",
               "signature": {"module": "optional"}}
    settings = ("--zygote-runs", "4", "--durability", "batch")

    @classmethod
    def setUpClass(cls):
        library = os.path.join(harness.BUILD, "tests", "scenario", "faults.so")
        if not os.path.exists(library):
            raise unittest.SkipTest("no " + library)
        super().setUpClass()
        cls.library = library
        cls.rng = random.Random(SEED)
        cls.unique = 0
        path = os.path.join(cls.directory, "faults")
        with open(path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(path, 0o666)
        cls.faults = path
        with open(path, "r+b") as f:
            cls.control = mmap.mmap(f.fileno(), 4096)

    def set(self, program="", call="", error=0, after=0, times=0, jump_s=0):
        CONTROL.pack_into(self.control, 0, program.encode(), call.encode(), error, after, times, 0, 0, 0, jump_s)

    def counts(self):
        """How often the call was made since it was set, and how often it failed."""
        return HITS.unpack_from(self.control)[5:7]

    def start(self, directory, *options, prefix=()):
        os.environ.update(LD_PRELOAD=self.library, BRIG_FAULTS=self.faults)
        try:
            return harness.Brigd(directory, self.keys, self.CEILING, (*self.settings, *options), prefix)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["BRIG_FAULTS"]

    def unlike_others(self):
        type(self).unique += 1
        return wasm.module(extra=wasm.custom("unique", b"%d" % self.unique))

    @staticmethod
    def answer_to(client, request):
        """Its result. Without memory a request cannot be read, not even its id: the error's is null then."""
        while request not in client.answers and None not in client.answers:
            client.take()
        if None in client.answers:
            raise harness.RpcError(client.answers.pop(None)["error"])
        return client.finish(request)

    def work(self, client):
        """One of each kind of work. Returns the answers, errors too, and whether the connection lasted."""
        module, big = self.unlike_others(), "x" * 100000
        ask = {"version": 1, "signature": {"module": "optional"}}
        told = []
        for method, params in (
                ("run", {"module": {"wasm": harness.b64(module)}, "policy": ask}),
                ("run", {"module": {"wasm": harness.b64(module)}, "policy": ask, "stdin": big}),
                ("module.put", {"wasm": harness.b64(module)}),
                ("module.list", {}),
                ("run", {"module": {"digest": harness.digest(module)}, "policy": ask}),
                ("server.health", {})):
            try:
                told.append((method, self.answer_to(client, client.start(method, params))))
            except harness.RpcError as e:
                self.assertTrue(e.message, e)
                told.append((method, e))
            except TimeoutError:
                self.fail("%s is never answered" % method)
            except (OSError, AssertionError):
                return told, False
        return told, True

    def assert_on_record(self, brigd, told):
        """What was acknowledged is there: both records of each run, and each module."""
        log = os.path.join(brigd.state, "audit", "log.jsonl")
        harness.must(harness.brig("audit", "verify", log))
        with open(log, "rb") as f:
            hashes = {harness.digest(line.rstrip(b"\n")) for line in f}
        with brigd.client() as client:
            for method, answer in told:
                if isinstance(answer, dict) and method == "run":
                    self.assertIn(answer["audit"]["hash"], hashes)
                elif isinstance(answer, dict) and method == "module.put":
                    kept = client.call("module.get", {"digest": answer["digest"]})
                    self.assertEqual(kept["digest"], answer["digest"])

    def connected(self, brigd):
        """A client of a brigd that may be about to stop; None when it has."""
        try:
            return brigd.client()
        except OSError:
            return None

    def serves(self, brigd):
        """Whether it does everything that it is asked to; the answers."""
        client = self.connected(brigd) if brigd.process.poll() is None else None
        if client is None:
            return False, []
        with client:
            told, whole = self.work(client)
        good = [a for m, a in told if isinstance(a, dict) and a.get("status", "exited") in ("exited", "ok")]
        return whole and len(good) == len(told), told


class Calls(Preloaded):
    def attack(self, brigd, fault, after, times):
        """One fault under work. Returns the brigd that serves then, and what was acknowledged."""
        program, call, error = fault
        client = self.connected(brigd)
        self.set(program, call, getattr(errno, error), after, times)
        try:
            told, _ = self.work(client)
            more = self.connected(brigd)  # accept, too
            if more:
                more.close()
            if call == "accept4" and more:  # no answer waits for it
                harness.wait_until(lambda: self.counts()[0], "brigd takes the connection")
            if call == "fdatasync":  # by a thread of the logger, once for all records of some time
                harness.wait_until(lambda: self.counts()[1], "the log is brought to the disk")
            seen, hits = self.counts()
            self.made[fault[:2]] += seen
        finally:
            self.set()
            client.close()
        good, more_told = self.serves(brigd)
        told += more_told
        if not good:
            brigd = self.restarted(brigd, more_told)
            good, more_told = self.serves(brigd)
            self.assertTrue(good, more_told)
            told += more_told
            self.assert_on_record(brigd, told)
        self.told += told
        return brigd, hits

    def test_the_order_to_kill_a_compiler_is_not_lost(self):
        """Neither its module nor the order to kill it can be sent: without it the run would never be answered."""
        brigd = self.start(self.new_directory("order"))
        self.told, self.made = [], collections.Counter()
        for times in (1, 2, 3):
            brigd, _ = self.attack(brigd, ("brigd", "sendmsg", "ENOBUFS"), 3, times)
        self.assertEqual(brigd.stop(), 0)

    def restarted(self, brigd, told):
        """One that does not serve has ended by itself, with the reason; or its log is broken, and it says so."""
        broken = [a for _, a in told if isinstance(a, harness.RpcError) and a.name == "audit_unavailable"]
        if broken:
            self.assertIn("audit-unavailable", brigd.log())
            brigd.stop()
        else:
            self.assertEqual(brigd.process.wait(harness.PATIENCE), 1, brigd.log())
            brigd.stop()
            self.assertRegex(brigd.log(), "lost service=")
        os.truncate(brigd.log_path, 0)
        return self.start(brigd.directory)

    def test_each_call_that_fails_is_survived_or_said(self):
        print("# seed %d, %d rounds of each" % (SEED, ROUNDS))
        brigd = self.start(self.new_directory("calls"))
        self.told, hits = [], 0
        self.made = collections.Counter()
        for fault in FAULTS:
            for i in range(ROUNDS * (4 if fault[1] == "malloc" else 1)):
                after = self.rng.choice((0, 1, 2, 3, 5, 8)) if fault[1] != "malloc" else self.rng.randrange(300)
                after = 0 if fault[1] == "fdatasync" else after
                times = self.rng.choice((1, 3))
                with self.subTest(fault=fault, after=after, times=times):
                    if brigd is None:
                        self.told = []
                        brigd = self.start(self.new_directory("calls%d" % hits))
                    current, brigd = brigd, None
                    try:
                        brigd, hit = self.attack(current, fault, after, times)
                        hits += hit
                    finally:
                        if brigd is None:
                            print("# " + "\n# ".join(current.log().splitlines()[-5:]))
                            current.process.kill()
                            current.stop()
        print("# %d calls failed" % hits)
        self.assertGreater(hits, len(FAULTS) // 2)
        self.assertEqual([fault for fault in FAULTS if not self.made[fault[:2]]], [], "calls that are never made")
        self.assert_on_record(brigd, self.told)
        self.assertEqual(brigd.stop(), 0)


class Limits(Preloaded):
    """What the kernel refuses when an operator's limits are reached."""

    def limited(self, *prefix):
        """As root with user ids that no other brigd has, since some limits count by user."""
        ids = ("--uid-base", str(1000000000 + os.getpid() % 50000 * 8192)) if harness.IS_ROOT else ()
        brigd = self.start(self.new_directory("limits-" + self.id().rsplit(".", 1)[1]), *ids, prefix=prefix)
        self.addCleanup(self.end, brigd)
        return brigd

    def end(self, brigd):
        self.set()
        self.assertEqual(brigd.stop(), 0, brigd.log())

    def assert_serves(self, brigd):
        good, told = self.serves(brigd)
        self.assertTrue(good, told)

    def run_with(self, client):
        try:
            return "run", client.call("run", self.params("hello"))
        except harness.RpcError as e:
            return "run", e

    def many_at_once(self, brigd, count):
        """What comes of that many runs at the same time."""
        params = self.params("sleep", 700)
        with brigd.client() as client:
            told = []
            for request in [client.start("run", params) for _ in range(count)]:
                try:
                    told.append(("run", client.finish(request)))
                except harness.RpcError as e:
                    told.append(("run", e))
        return told

    def refused(self, told, words):
        """How many were refused, each with one of these words in its reason; the others did what they were to do."""
        count = 0
        for _, answer in told:
            if isinstance(answer, harness.RpcError) or answer.get("status") == "failed":
                reason = answer.message if isinstance(answer, harness.RpcError) else answer["reason"]
                self.assertTrue(any(word in reason for word in words), reason)
                count += 1
            else:
                self.assert_exited(answer)
        return count

    def test_no_descriptors_left(self):
        brigd = self.limited("prlimit", "--nofile=48:48")
        self.assert_serves(brigd)
        with brigd.client() as client:
            client.call("server.health")
            others = [brigd.client() for _ in range(60)]
            harness.wait_until(lambda: "accept-failed" in brigd.log(), "it has no descriptors left")
            told = [self.run_with(client) for _ in range(5)]
            for other in others:
                other.close()
        count = self.refused(told, ("Too many open files",))
        print("# EMFILE: %d of %d runs refused" % (count, len(told)))
        self.assertEqual(count, len(told))
        self.assert_serves(brigd)
        self.assert_on_record(brigd, told)

    def test_no_processes_left(self):
        if not harness.IS_ROOT:
            self.skipTest("a user's limit counts all that the user runs; as root zygotes have users of their own")
        brigd = self.limited("prlimit", "--nproc=4:4")
        self.assert_serves(brigd)
        told = self.many_at_once(brigd, 20)
        count = self.refused(told, ("Resource temporarily unavailable",))
        print("# no more processes: %d of %d runs refused" % (count, len(told)))
        self.assertGreater(count, 0)
        self.assert_serves(brigd)
        self.assert_on_record(brigd, told)

    def test_clock_that_jumps(self):
        """Runs under way do not notice. What is not in force at the new time is refused, and nothing else."""
        brigd = self.limited()
        self.assert_serves(brigd)
        for jump in (86400 * 365 * 20, -86400 * 365 * 20, 3600, -3600):
            with self.subTest(seconds=jump):
                self.set()
                with brigd.client() as client:
                    run = client.start("run", self.params("sleep", 50, stream=True))
                    client.wait_output(b"sleeping")
                    self.set(jump_s=jump)
                    self.assert_exited(client.finish(run))
                    self.assertLess(abs(client.call("server.health")["uptime_s"]), 3600)
                good, told = self.serves(brigd)
                if jump == 86400 * 365 * 20:
                    self.assertEqual({a.name for _, a in told if isinstance(a, harness.RpcError)} -
                                     {"module_not_found"}, {"expired"})
                else:
                    self.assertTrue(good, told)
        self.set()
        self.assert_serves(brigd)
        harness.must(harness.brig("audit", "verify", os.path.join(brigd.state, "audit", "log.jsonl")))


class FullDisk(Preloaded):
    """A small file system for the state, in a mount namespace of this process's own."""

    @classmethod
    def setUpClass(cls):
        if not harness.IS_ROOT:
            raise unittest.SkipTest("only root may mount")
        super().setUpClass()
        libc = ctypes.CDLL(None, use_errno=True)
        clone_newns, ms_rec, ms_private = 0x20000, 0x4000, 1 << 18
        cls.small = cls.new_directory("small")
        state = os.path.join(cls.small, "state")
        os.mkdir(state, 0o711)
        if libc.unshare(clone_newns) != 0 or libc.mount(b"none", b"/", None, ms_rec | ms_private, None) != 0 or \
                libc.mount(b"small", state.encode(), b"tmpfs", 0, b"size=2m,mode=711") != 0:
            raise unittest.SkipTest("mounting is not possible here: " + os.strerror(ctypes.get_errno()))
        cls.addClassCleanup(libc.umount2, state.encode(), 2)

    def test_full_disk_refuses_and_room_brings_it_back(self):
        brigd = self.start(self.small)
        good, told = self.serves(brigd)
        self.assertTrue(good, told)
        ballast = os.path.join(self.small, "state", "ballast")
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(fd, bytes(4096)):
                continue
        except OSError as e:
            self.assertEqual(e.errno, errno.ENOSPC)
        os.close(fd)
        refused = []
        for _ in range(20):
            self.assertNotIn("lost service", brigd.log())
            with brigd.client() as client:
                more, whole = self.work(client)
            self.assertTrue(whole, brigd.log())
            told += more
            refused += [a for _, a in more if isinstance(a, harness.RpcError)]
        self.assertLessEqual({"audit_unavailable", "store_unavailable"}, {a.name for a in refused})
        os.unlink(ballast)
        good, more = self.serves(brigd)
        self.assertTrue(good, more)
        self.assert_on_record(brigd, told + more)
        self.assertEqual(brigd.stop(), 0)
        print("# full disk: %d refused of %d" % (len(refused), len(told)))


if __name__ == "__main__":
    harness.main()
