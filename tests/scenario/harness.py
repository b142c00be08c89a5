"""What every scenario test uses: a brigd of its own, keys, a client of the socket, and a check that nothing is left.

Python's standard library only. A test file ends with `harness.main()`, runs alone (`python3 tests/scenario/test_run.py
[NAME...]`), prints TAP, and finds the programs in $BRIG_BUILD (default: build) and the guests in $BRIG_BUILD/guests.
$BRIGD_OPTIONS are options of each brigd that a test does not set itself (`BRIGD_OPTIONS="--templates-max 0"`).
"""

import array
import base64
import collections
import ctypes
import fcntl
import functools
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import wasm

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BRIG_BUILD", os.path.join(ROOT, "build")))
GUESTS = os.path.join(BUILD, "guests")
IS_ROOT = os.geteuid() == 0
PATIENCE = 300  # seconds before a test that waits for something gives up and fails

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE \
    if hasattr(fcntl, "F_SEAL_SEAL") else 15
F_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)
PR_SET_CHILD_SUBREAPER = 36


def program(name):
    return os.path.join(BUILD, name)


def guest(name):
    """The bytes of a guest that scripts/guests.sh made; the test is skipped, visibly, when it is not there."""
    path = os.path.join(GUESTS, name + ".wasm")
    if not os.path.exists(path):
        raise unittest.SkipTest("no guest " + path)
    with open(path, "rb") as f:
        return f.read()


def b64(data):
    return base64.b64encode(data).decode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sealed_memfd(data, seals=SEALS):
    fd = os.memfd_create("test-module", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(fd), "wb") as f:
        f.write(data)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def brig(*args, env=None, **kwargs):
    """Runs the brig command; output captured."""
    full = dict(os.environ)
    full.update(env or {})
    kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
    if kwargs["stdin"] is None:
        del kwargs["stdin"]
    kwargs.setdefault("timeout", PATIENCE)
    return subprocess.run([program("brig"), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=full, **kwargs)


def must(result):
    """A command's result, when it went well."""
    if result.returncode != 0:
        raise AssertionError("%s: exit %d\n%s%s" % (" ".join(map(str, result.args)), result.returncode,
                                                    result.stdout.decode("utf-8", "replace"),
                                                    result.stderr.decode("utf-8", "replace")))
    return result


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data") or {}
        self.name = self.data.get("name")


class Client:
    """One connection. Answers and notifications that come while waiting for something else are kept."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.buffer = bytearray()
        self.next_id = 0
        self.answers = {}
        self.notifications = []

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def send_bytes(self, data, fds=()):
        if fds:
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            data = data[sent:]
        self.socket.sendall(data)

    def receive(self):
        """The next line, as JSON; None at the end of the connection."""
        looked_at = 0
        while (end := self.buffer.find(b"\n", looked_at)) < 0:
            looked_at = len(self.buffer)
            more = self.socket.recv(1 << 16)
            if not more:
                return None
            self.buffer += more
        line = self.buffer[:end].decode("utf-8")
        del self.buffer[:end + 1]
        return json.loads(line)

    def ask(self, line):
        """Sends one raw line and returns the next line that comes back."""
        self.send_bytes(line + b"\n")
        return self.receive()

    def start(self, method, params=None, fds=()):
        """Sends a request; its answer is had by finish()."""
        self.next_id += 1
        request = {"jsonrpc": "2.0", "id": self.next_id, "method": method}
        if params is not None:
            request["params"] = params
        self.send_bytes(json.dumps(request).encode() + b"\n", fds)
        return self.next_id

    def notify(self, method, params):
        self.send_bytes(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def take(self):
        message = self.receive()
        if message is None:
            raise AssertionError("brigd closed the connection")
        if "method" in message:
            self.notifications.append(message)
        else:
            self.answers[message["id"]] = message
        return message

    def finish(self, request):
        while request not in self.answers:
            self.take()
        answer = self.answers.pop(request)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def call(self, method, params=None, fds=()):
        return self.finish(self.start(method, params, fds))

    def wait_notification(self, method, accept=lambda params: True):
        """The params of the first notification of that method that is accepted, past or to come."""
        seen = 0
        while True:
            for n in self.notifications[seen:]:
                if n["method"] == method and accept(n["params"]):
                    return n["params"]
            seen = len(self.notifications)
            self.take()

    def output(self, stream="stdout"):
        """All that came by run.output so far, as bytes."""
        parts = []
        for n in self.notifications:
            if n["method"] == "run.output" and n["params"]["stream"] == stream:
                data = n["params"]["data"]
                parts.append(base64.b64decode(data) if n["params"].get("encoding") == "base64" else data.encode())
        return b"".join(parts)

    def wait_output(self, text, stream="stdout"):
        while text not in self.output(stream):
            self.take()


class Keys:
    """A root key, a keyring and one signer, made with the brig command in a directory of their own."""

    def __init__(self, directory):
        self.directory = directory
        self.keyring = os.path.join(directory, "keyring.json")
        self.root = os.path.join(directory, "root")
        self.signer = os.path.join(directory, "signer")
        must(brig("keygen", "-o", self.root))
        must(brig("keygen", "-o", self.signer))
        must(brig("keys", "init", "--keyring", self.keyring, "--root-key", self.root + ".key"))
        self.edit("add", "--name", "signer", "--key", self.signer + ".pub")

    def edit(self, verb, *args):
        return must(brig("keys", verb, "--keyring", self.keyring, "--root-key", self.root + ".key", *args))

    def sign(self, wasm, key=None, detached=False):
        """The signed module, or with detached the text of its signature."""
        with tempfile.TemporaryDirectory(dir=self.directory) as d:
            path = os.path.join(d, "m.wasm")
            with open(path, "wb") as f:
                f.write(wasm)
            args = ["sign", "-k", (key or self.signer) + ".key"]
            if detached:
                must(brig(*args, "--detached", path))
                with open(path + ".minisig", encoding="utf-8") as f:
                    return f.read()
            must(brig(*args, path, "-o", path + ".signed"))
            with open(path + ".signed", "rb") as f:
                return f.read()


class Brigd:
    """A brigd with its own socket, state and keyring. stop() also checks that it left nothing behind."""

    running = set()  # pids

    def __init__(self, directory, keys=None, policy=None, options=(), prefix=()):
        self.directory = directory
        self.socket = os.path.join(directory, "run", "s")  # brigd makes the directory, so that it can tidy it
        self.state = os.path.join(directory, "state")
        self.log_path = os.path.join(directory, "brigd.stderr")
        args = [*prefix, program("brigd"), "--socket", self.socket, "--state", self.state]
        if keys:
            args += ["--keyring", keys.keyring, "--root-key", keys.root + ".pub"]
        if policy is not None:
            path = os.path.join(directory, "policy.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(policy, f)
            args += ["--policy", path]
        ready, ready_end = os.pipe()
        # A machine that is busy with others takes its time, and holds no run back unless a test wants that.
        args += ["--ready-fd", str(ready_end), "--compile-ms", "600000", "--pressure-memory-percent", "0"]
        args += [*os.environ.get("BRIGD_OPTIONS", "").split(), *options]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=(ready_end,))
        os.close(ready_end)
        Brigd.running.add(self.process.pid)
        try:
            if not select.select([ready], [], [], PATIENCE)[0] or os.read(ready, 1) == b"":
                self.process.wait(PATIENCE)
                Brigd.running.discard(self.process.pid)
                raise AssertionError("brigd did not start:\n" + self.log())
        finally:
            os.close(ready)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def client(self):
        return Client(self.socket)

    def children(self):
        """pid -> name of every process below brigd."""
        return descendants(self.process.pid)

    def open_descriptors(self):
        """How many brigd has; None when the kernel does not show it to us."""
        try:
            return len(os.listdir("/proc/%d/fd" % self.process.pid))
        except PermissionError:
            return None

    def stop(self, with_signal=signal.SIGTERM):
        """Ends brigd. Returns its exit code once every process below it is gone too."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE)
        Brigd.running.discard(self.process.pid)
        left = wait_for_orphans(Brigd.running)
        assert not left, "left running after brigd ended: %s" % left
        return code

    def audit_log(self):
        """The records of the audit log, oldest first."""
        for directory, _, names in os.walk(self.state):
            if "log.jsonl" in names:
                with open(os.path.join(directory, "log.jsonl"), encoding="utf-8") as f:
                    return [json.loads(line) for line in f]
        return []


def processes():
    """pid -> (parent, name) of all that /proc shows."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, encoding="utf-8", errors="replace") as f:
                    stat = f.read()
            except OSError:
                continue
            name, rest = stat[stat.index("(") + 1:].rsplit(")", 1)
            if rest.split()[0] != "Z":
                found[int(entry)] = (int(rest.split()[1]), name)
    return found


def descendants(pid):
    table = processes()
    found = {}
    level = {pid}
    while level:
        level = {p for p, (parent, _) in table.items() if parent in level}
        found.update((p, table[p][1]) for p in level)
    return found


def become_subreaper():
    """Orphans below us become our children, so that none can be overlooked."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_CHILD_SUBREAPER failed")


def wait_for_orphans(keep=()):
    """Waits until no process is left below this one but `keep` and those below them; kills and returns the others."""
    deadline = time.monotonic() + PATIENCE / 4
    while True:
        left = descendants(os.getpid())
        for pid in keep:
            for kept in [pid, *descendants(pid)]:
                left.pop(kept, None)
        if not left:
            return {}
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return left
        time.sleep(0.01)  # between looks at the process table; nothing depends on its length


def wait_until(condition, what):
    """Looks again and again until condition() is true; fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "gave up waiting until " + what
        time.sleep(0.01)


class Scenario(unittest.TestCase):
    """A test case with one brigd and one set of keys for the class, and a client for each test.

    A class sets `policy` (the ceiling; None: the built-in one) and `options` (more options of brigd). In the built-in
    ceiling a module has to be signed: signed(NAME) gives a guest that is.
    """

    policy = None
    options = ()
    signatures = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="brig-test-")
        os.chmod(cls.directory, 0o711)  # as root: what brigd becomes must get through
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.keys = Keys(cls.new_directory("keys"))
        cls.brigd = Brigd(cls.new_directory("brigd"), cls.keys, cls.policy, cls.options)
        cls.signatures = {}

    @classmethod
    def tearDownClass(cls):
        try:
            code = cls.brigd.stop()
            assert code == 0, "brigd ended with %d:\n%s" % (code, cls.brigd.log())
            assert not os.path.exists(cls.brigd.socket), "brigd left its socket"
        finally:
            super().tearDownClass()

    @classmethod
    def new_directory(cls, name):
        path = os.path.join(cls.directory, name)
        os.mkdir(path, 0o711)
        os.chmod(path, 0o711)
        return path

    def setUp(self):
        self.client = self.brigd.client()
        self.addCleanup(self.client.close)

    def client_of(self, uid):
        """A client of another user (SO_PEERCRED tells), closed after the test; without root the test is skipped."""
        if not IS_ROOT:
            self.skipTest("needs root, to be several users")
        os.seteuid(uid)
        try:
            client = self.brigd.client()
        finally:
            os.seteuid(0)
        self.addCleanup(client.close)
        return client

    @classmethod
    def module(cls, wasm):
        """The "module" parameter for these bytes, with a detached signature, made once for each module."""
        name = digest(wasm)
        if name not in cls.signatures:
            cls.signatures[name] = cls.keys.sign(wasm, detached=True)
        return {"wasm": b64(wasm), "signature": cls.signatures[name]}

    def stored(self, wasm):
        """The same by digest, put into the store first."""
        return {"digest": self.client.call("module.put", self.module(wasm))["digest"]}

    # What a request asks for when the test does not say otherwise: in a document, absent means denied.
    ASK = {"version": 1, "args": True, "env": ["*"], "clock": "real", "random": "real"}

    def params(self, *args, wasm=None, policy=None, limits=None, **more):
        asked = dict(self.ASK, **(policy or {}))
        if limits:
            asked["limits"] = limits
        params = {"module": self.module(wasm if wasm is not None else guest("guest")), "args": list(map(str, args)),
                  "policy": asked}
        params.update(more)
        return params

    def run_guest(self, *args, **more):
        """Runs the C guest with these arguments (or `wasm=`) and returns the result."""
        return self.client.call("run", self.params(*args, **more))

    def assert_rpc_error(self, name, method, params, fds=()):
        with self.assertRaises(RpcError) as caught:
            self.client.call(method, params, fds)
        self.assertEqual(caught.exception.name, name, caught.exception)
        return caught.exception

    def assert_exited(self, result, code=0):
        self.assertEqual((result["status"], result.get("exit_code")), ("exited", code), result)


class Traces:
    """What a brigd that has nothing to do has: processes, their open descriptors, files, and the broker's memory."""

    RSS_TOLERANCE = 1.05
    RSS_SLACK = 0  # KiB that it may be more in any case
    GROWING = ("log.jsonl", "brigd.stderr")  # by what is written there, and nothing is taken out again
    KEPT = ".cwasm"                          # whole artifacts: the store's to keep

    def __init__(self, brigd):
        family = dict(brigd.children())
        self.processes = collections.Counter(family.values())
        family[brigd.process.pid] = "brigd"
        self.descriptors = collections.Counter()
        for pid, name in family.items():
            self.descriptors[name] += self._descriptors(pid)
        self.files = {os.path.join(d, n) for d, _, names in os.walk(brigd.directory) for n in names
                      if n not in self.GROWING and not n.endswith(self.KEPT)}
        with open("/proc/%d/statm" % brigd.process.pid, encoding="ascii") as f:
            self.rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024  # KiB

    @staticmethod
    def _descriptors(pid):
        """How many it has; 0 where the kernel does not show it (to other users than root) or it is gone."""
        try:
            return len(os.listdir("/proc/%d/fd" % pid))
        except (PermissionError, FileNotFoundError):
            return 0

    def more_than(self, before):
        """What there is more of than before, in words."""
        more = ["%d more %s" % (n, name) for name, n in (self.processes - before.processes).items()]
        more += ["%d more descriptors in %s" % (n, name) for name, n in (self.descriptors - before.descriptors).items()]
        more += ["the file " + path for path in sorted(self.files - before.files)]
        if self.rss > max(before.rss * self.RSS_TOLERANCE, before.rss + self.RSS_SLACK):
            more.append("memory: %d KiB, before %d KiB" % (self.rss, before.rss))
        return more

    def less_than(self, before):
        """Processes that are missing, in words. Workers kept ready for a module may go when that is not run any more."""
        missing = before.processes - self.processes
        if self.processes["brig-worker"] > 0:
            missing.pop("brig-worker", None)
        return ["%d %s missing" % (n, name) for name, n in missing.items()]


def settled(brigd, before, patience, kind=Traces):
    """The traces, once there is nothing more than before (if there is a before) and all processes are there."""
    deadline = time.monotonic() + patience
    same, last = 0, None
    while True:
        traces = kind(brigd)
        if before:
            if (not traces.more_than(before) and not traces.less_than(before)) or time.monotonic() > deadline:
                return traces
        else:
            same = same + 1 if last and vars(traces) == vars(last) else 0
            if same == 20:
                return traces
            assert time.monotonic() < deadline, "brigd does not come to rest"
            last = traces
        time.sleep(0.01)  # between looks


class Hostile(Scenario):
    """A Scenario that checks after each of its tests that nothing is left: process, descriptor, file, memory.

    It looks when the test's cleanups are done, and waits for what goes by itself. Caches and remembered failures may fill:
    so when something is there that was not, the test is done again, up to ROUNDS times. What grows each time is a leak,
    and fails the test. A test here must therefore be one that can be done again; what it opens it closes by addCleanup.
    """

    ROUNDS = 4
    # So that results of runs, and workers that wait for one, are soon as many as they will ever be.
    options = ("--results-kept", "16", "--parked-max", "1")
    traces = None

    def __init__(self, name="runTest"):
        super().__init__(name)
        test = getattr(self, name)

        @functools.wraps(test)
        def tidy_test():
            test()
            self.doCleanups()
            self._assert_nothing_left(test)
        setattr(self, name, tidy_test)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.traces = None

    def setUp(self):
        super().setUp()
        if self.traces is None:
            self.warm_up()
            self.doCleanups()
            type(self).traces = settled(self.brigd, None, PATIENCE)
            super().setUp()

    def warm_up(self):
        """What brings brigd to the size that it has in ordinary use."""
        for _ in range(40):
            self.client.call("run", self.params(wasm=wasm.module()))

    def _assert_nothing_left(self, test, patience=PATIENCE / 4):
        """Compares with what there was; whatever the test leaves only once or twice was a cache that filled."""
        first = before = self.traces
        after, more = None, []
        for again in range(self.ROUNDS):
            after = settled(self.brigd, before, 2 if again < self.ROUNDS - 1 else patience)
            more = after.more_than(before)
            if not more:
                break
            before = after
            if again < self.ROUNDS - 1:
                self.setUp()
                test()
                self.doCleanups()
        missing = after.less_than(first)
        type(self).traces = after
        print("# %s: RSS of brigd %d KiB, before %d KiB" % (self.id().replace("__main__.", ""), after.rss, first.rss),
              flush=True)
        self.assertFalse(more + missing, "left behind each time")


class TapResult(unittest.TestResult):
    """Prints one TAP line a test; a failure's story in lines that begin with #."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def say(self, verdict, test, note=""):
        self.count += 1
        name = test.id() if hasattr(test, "id") else str(test)
        print("%s %d - %s%s" % (verdict, self.count, name.replace("__main__.", ""), note), flush=True)

    def story(self, text):
        for line in text.rstrip().splitlines():
            print("# " + line, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("ok", test, " # SKIP " + reason)

    def _bad(self, test, err):
        self.say("not ok", test)
        self.story(self._exc_info_to_string(err, test))
        brigd = getattr(test, "brigd", None)
        if brigd:
            self.story("brigd's log ends:\n" + "\n".join(brigd.log().splitlines()[-15:]))

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(subtest, err)


def main():
    become_subreaper()
    module = sys.modules["__main__"]
    suite = unittest.TestLoader().loadTestsFromModule(module)
    wanted = sys.argv[1:]
    if wanted:
        flat = [t for group in suite for t in group if any(w in t.id() for w in wanted)]
        suite = unittest.TestSuite(flat)
    print("TAP version 13")
    result = TapResult()
    suite.run(result)
    print("1..%d" % result.count, flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
