#!/usr/bin/env python3
"""soak.py [--seconds N] [--seed N]: all that clients do, right and wrong, at 80 % of what this machine can do.

First a burst, in which as many runs as possible are under way, measures what the machine can do with this very mix.
Then runs arrive at random moments. When a part of the time is over (a minute, or a quarter) the load stops for a
moment, and what brigd has at rest is noted: memory, descriptors, processes, files. At the end there must be no more
than that; each run must have been answered once, as its kind demands; and the audit log must hold an intent and an
outcome of each, and verify. Prints a line now and then, a table by kind, and each thing that is wrong; exits with 1 if
there is any. `make soak`; tests/scenario/test_soak.py does the same for some seconds.
"""

import argparse
import collections
import copy
import heapq
import json
import os
import random
import selectors
import shutil
import socket
import sys
import tempfile
import time

import harness

SHARE = 0.8       # of what was measured is the load
WINDOW = 256      # runs under way in the burst, and at most
CONNECTIONS = 4   # of each owner, kept all the time
OTHER_OWNERS = (12345, 23456)
SHOWN = 3         # of each sort of problem
TELL_S = 10       # seconds between two lines
KEPT = ("hello", "guest")

# What a kind of run is sent with, and how it may end. gone: the client closes its connection within so many seconds;
# cancelled: it cancels within so many. A run of a client that is gone may end in any way.
Kind = collections.namedtuple("Kind", "name share module args limits stream ends gone cancelled")
KINDS = [
    Kind("good", 55, "hello", [], {}, False, {"exited"}, 0, 0),
    Kind("slow", 5, "guest", ["sleep", "50"], {}, False, {"exited"}, 0, 0),
    Kind("trapping", 10, "guest", ["trap"], {}, False, {"trapped"}, 0, 0),
    Kind("hanging", 3, "guest", ["loop"], {"wall_ms": 100}, False, {"limit"}, 0, 0),
    Kind("flooding", 5, "guest", ["flood", "500000"], {"output_bytes": 65536}, False, {"limit"}, 0, 0),
    Kind("streaming", 5, "guest", ["flood", "16000"], {}, True, {"exited"}, 0, 0),
    Kind("cancelled", 10, "guest", ["sleep", "600000"], {}, False, {"cancelled"}, 0, 0.02),
    Kind("disconnecting", 5, "guest", ["sleep", "600000"], {}, False, None, 0.02, 0),
    Kind("deaf", 2, "guest", ["flood", "5000000"], {}, True, None, 0.3, 0),
]

# Of the brigd that is soaked. However slow the machine is, no run ends by the clock that should end otherwise.
LONG_MS = 300000
CEILING = {**harness.Scenario.ASK, "limits": {"wall_ms": LONG_MS}}


def options():
    """Also of it: the results that it keeps are soon all there; and as root, other owners may connect."""
    return ("--results-kept", "64", *(("--group", "root") if harness.IS_ROOT else ()))


class Problems:
    """What is wrong, in words: of each sort the first, and how many more."""

    def __init__(self):
        self.sorts = {}

    def add(self, sort, detail=""):
        self.sorts.setdefault(sort, []).append(detail)

    def all(self):
        texts = []
        for sort, details in self.sorts.items():
            texts += ["%s: %s" % (sort, detail) if detail else sort for detail in details[:SHOWN]]
            if len(details) > SHOWN:
                texts.append("%s: %d more" % (sort, len(details) - SHOWN))
        return texts


class Connection:
    """A client's connection that never blocks: requests go out and lines come in when the socket is ready."""

    def __init__(self, path, owner, for_one):
        self.for_one = for_one
        self.pending = {}  # request id -> (kind, when it was due)
        self.next_id = 0
        self.out = bytearray()
        self.buffer = bytearray()
        os.seteuid(owner)
        try:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(path)
        finally:
            os.seteuid(os.getuid())
        self.socket.setblocking(False)

    def flush(self):
        try:
            while self.out:
                del self.out[:self.socket.send(self.out)]
        except BlockingIOError:
            pass

    def lines(self):
        """Whole lines that are there; raises at the end of the connection."""
        try:
            more = self.socket.recv(1 << 20)
        except BlockingIOError:
            return []
        if not more:
            raise ConnectionError("brigd closed a connection")
        self.buffer += more
        *lines, self.buffer = self.buffer.split(b"\n")
        return lines


class Load:
    """Runs of all kinds at one brigd, by several owners when this is root, and what became of them."""

    def __init__(self, brigd, keys, problems, seed):
        self.brigd = brigd
        self.problems = problems
        self.random = random.Random(seed)
        self.owners = [os.getuid(), *(OTHER_OWNERS if harness.IS_ROOT else ())]
        self.selector = selectors.DefaultSelector()
        self.timed = []  # heap of (when, number, connection, request id to cancel; 0: close it)
        self.count = collections.Counter()  # (kind, how it ended) -> runs
        self.sent = self.given_up = self.refused = self.done = 0
        self.answered = {}  # run id -> status
        self.waits = []  # seconds of each good run since the last clear
        modules = {name: self._store(keys, harness.guest(name)) for name in KEPT}
        self.params = {kind.name: json.dumps(self._params(kind, modules)) for kind in KINDS}
        self.kept = [self._connect(owner, False) for owner in self.owners * CONNECTIONS]

    def _store(self, keys, wasm):
        """Stored by each owner, and run once, so that it is compiled."""
        module = {"wasm": harness.b64(wasm), "signature": keys.sign(wasm, detached=True)}
        for owner in self.owners:
            os.seteuid(owner)
            try:
                client = self.brigd.client()
            finally:
                os.seteuid(os.getuid())
            with client:
                digest = client.call("module.put", module)["digest"]
                ended = client.call("run", {"module": {"digest": digest}})
                self.answered[ended["run_id"]] = ended["status"]
        return {"digest": digest}

    @staticmethod
    def _params(kind, modules):
        limits = {"wall_ms": LONG_MS, **kind.limits}
        policy = {**harness.Scenario.ASK, "output": "end", "limits": limits}
        return {"module": modules[kind.module], "args": kind.args, "policy": policy, "stream": kind.stream}

    def _connect(self, owner, for_one):
        connection = Connection(self.brigd.socket, owner, for_one)
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def close(self, connection):
        self.selector.unregister(connection.socket)
        connection.socket.close()
        self.given_up += len(connection.pending)

    def close_all(self):
        for key in list(self.selector.get_map().values()):
            self.close(key.data)
        self.selector.close()

    def pending(self):
        return self.sent - self.done - self.given_up

    # --- what clients do ----------------------------------------------------------------------------------------------

    def send(self, due):
        """One run of a kind by chance, with what its client does wrong."""
        kind, = self.random.choices(KINDS, [k.share for k in KINDS])
        if kind.gone:
            connection = self._connect(self.random.choice(self.owners), True)
        else:
            connection = self.random.choice(self.kept)
        connection.next_id += 1
        request = connection.next_id
        connection.pending[request] = (kind, due)
        connection.out += b'{"jsonrpc":"2.0","id":%d,"method":"run","params":%s}\n' % (
            request, self.params[kind.name].encode())
        self.sent += 1
        if kind.gone or kind.cancelled:
            when = time.monotonic() + self.random.uniform(0, kind.gone or kind.cancelled)
            heapq.heappush(self.timed, (when, self.sent, connection, 0 if kind.gone else request))
        self._flush(connection)

    def _flush(self, connection):
        connection.flush()
        events = selectors.EVENT_READ if not connection.for_one else 0
        events |= selectors.EVENT_WRITE if connection.out else 0
        self.selector.modify(connection.socket, events or selectors.EVENT_WRITE, connection)

    def _do_what_is_due(self):
        while self.timed and self.timed[0][0] <= time.monotonic():
            _, _, connection, request = heapq.heappop(self.timed)
            if request == 0:
                self.count.update((kind.name, "given up") for kind, _ in connection.pending.values())
                self.close(connection)
            elif request in connection.pending:
                connection.out += b'{"jsonrpc":"2.0","method":"run.cancel","params":{"request":%d}}\n' % request
                self._flush(connection)

    # --- what comes back ----------------------------------------------------------------------------------------------

    def _take(self, connection, line):
        message = json.loads(line)
        if "method" in message:
            return  # output of a run
        kind, due = connection.pending.pop(message.get("id"), (None, 0))
        if kind is None:
            self.problems.add("an answer to no run, or a second one", "%.300s" % line.decode())
            return
        self.done += 1
        if "error" in message:
            self._take_refusal(kind, message["error"])
            return
        result = message["result"]
        run, status = result["run_id"], result["status"]
        self.count[kind.name, status] += 1
        if run in self.answered:
            self.problems.add("one run is the answer to two requests", run)
        self.answered[run] = status
        if status not in kind.ends:
            self.problems.add("a %s run ended as %s" % (kind.name, status), json.dumps(result))
        if kind.name == "good":
            self.waits.append(time.monotonic() - due)

    def _take_refusal(self, kind, error):
        """brigd may say that it has too much to do; and what was cancelled early was never a run."""
        name = error.get("data", {}).get("name")
        self.refused += 1
        self.count[kind.name, name] += 1
        if name != "overloaded" and (kind.name, name) != ("cancelled", "cancelled"):
            self.problems.add("a %s run was refused" % kind.name, json.dumps(error))

    def step(self, until):
        """Waits until something comes, or is to be done, at the latest at that moment."""
        if self.timed:
            until = min(until, self.timed[0][0])
        for key, events in self.selector.select(max(until - time.monotonic(), 0)):
            connection = key.data
            if events & selectors.EVENT_WRITE and connection.out:
                self._flush(connection)
            if events & selectors.EVENT_READ:
                for line in connection.lines():
                    self._take(connection, line)
        self._do_what_is_due()

    # --- phases -------------------------------------------------------------------------------------------------------

    def burst(self, seconds):
        """As many at once as WINDOW; how many a second are done with."""
        began = time.monotonic()
        before = self.done + self.given_up
        while time.monotonic() < began + seconds:
            while self.pending() < WINDOW:
                self.send(time.monotonic())
            self.step(began + seconds)
        rate = (self.done + self.given_up - before) / (time.monotonic() - began)
        self.drain()
        return rate

    def arrive(self, rate, seconds, tell):
        """At random moments, `rate` a second, whatever became of those before, while these are not more than WINDOW."""
        due = time.monotonic()
        end, next_told = due + seconds, due + TELL_S
        while due < end and time.monotonic() < end + harness.PATIENCE:
            while due <= time.monotonic() and due < end and self.pending() < WINDOW:
                self.send(due)
                due += self.random.expovariate(rate)
            self.step(min(due, end) if self.pending() < WINDOW else end)
            if time.monotonic() >= next_told:
                tell()
                next_told += TELL_S
        self.drain()

    def drain(self):
        """Waits for all answers; a run without one is lost."""
        deadline = time.monotonic() + harness.PATIENCE
        while (self.pending() or self.timed) and time.monotonic() < deadline:
            self.step(deadline)
        if self.pending():
            self.problems.add("%d runs were not answered within %d s" % (self.pending(), harness.PATIENCE))
        with self.brigd.client() as client:
            harness.wait_until(lambda: client.call("server.health")["running"] == 0, "no run is left")


def log_problems(lines, answered, others_max, problems):
    """Each run has one intent and then one outcome, which says what its client was told; and no run is missing."""
    seen = {}  # run id -> records of it
    strangers = 0
    for line in lines:
        record = json.loads(line)
        if record["class_uid"] != 1007:
            continue
        run, is_outcome = record["process"]["uid"], record["activity_id"] == 2
        before = seen.get(run, "")
        seen[run] = before + ("o" if is_outcome else "i")
        strangers += before == "" and run not in answered
        if is_outcome and run in answered and record["status_code"] != answered[run]:
            problems.add("the log says another end than the client was told",
                         "%s: %s, %s" % (run, record["status_code"], answered[run]))
    for run, records in seen.items():
        if records != "io":
            problems.add("the log has not one intent and then one outcome of a run", "%s has %d and %d" % (
                run, records.count("i"), records.count("o")))
    for run in answered:
        if run not in seen:
            problems.add("a run was answered and is not in the log", run)
    if strangers > others_max:
        problems.add("the log has %d runs that nobody was answered for; %d can be" % (strangers, others_max))
    return len(seen)


class Rest(harness.Traces):
    """What there is at rest. What is kept ready for runs comes and goes, as brigd tells; so may what belongs to it."""

    RSS_SLACK = 4096  # in a process that has just started some memory more says nothing
    DESCRIPTORS = 8   # of one template or parked worker, in all processes of one name

    def __init__(self, brigd, client):
        super().__init__(brigd)
        health = client.call("server.health")
        self.ready = health["templates"] + health["parked"]

    def more_than(self, before):
        added = self.ready - before.ready
        if added > 0:
            before = copy.copy(before)
            before.processes = before.processes + collections.Counter({"brig-worker": added})
            before.descriptors = collections.Counter({name: n + added * self.DESCRIPTORS
                                                      for name, n in before.descriptors.items()})
        return super().more_than(before)

    def less_than(self, before):
        return []


class Soak:
    """A soak of `seconds` at a brigd, told by say(text). problems: what is wrong when check() is done."""

    SERVICES = ("brig-launcher", "brig-store", "brig-logger")

    def __init__(self, brigd, keys, seconds, seed, say):
        self.brigd = brigd
        self.seconds = seconds
        self.say = say
        self.found = Problems()
        self.load = Load(brigd, keys, self.found, seed)

    def run(self):
        """The whole load; then brigd still runs, and check() can be called."""
        rate = SHARE * self.load.burst(max(self.seconds / 20, 2))
        self.say("%.0f runs a second are %.0f %% of what this machine does" % (rate, SHARE * 100))
        first = min(self.seconds / 4, 60)
        began = time.monotonic()

        def tell():
            waits, self.load.waits = sorted(self.load.waits), []
            self.say("%5.0f s %8d runs, %4d under way; good ones since then: p50 %.1f ms, p99 %.1f ms" % (
                time.monotonic() - began, self.load.sent, self.load.pending(),
                *(waits[int(len(waits) * p)] * 1e3 if waits else 0 for p in (0.5, 0.99))))
        self.load.arrive(rate, first, tell)
        before, memory = self._rest(None), self._memory()
        self.load.arrive(rate, self.seconds - first, tell)
        self._compare(before, memory, self._rest(before))
        self.load.close_all()

    def _rest(self, before):
        """With one client, as ever; it waits until there is no more than before, or no more changes."""
        with self.brigd.client() as client:
            return harness.settled(self.brigd, before, harness.PATIENCE, lambda brigd: Rest(brigd, client))

    def _memory(self):
        """KiB that are resident, of each helper process that lives as long as brigd."""
        found = {}
        for pid, name in self.brigd.children().items():
            if name in self.SERVICES:
                with open("/proc/%d/statm" % pid, encoding="ascii") as f:
                    found[name] = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        return found

    def _compare(self, before, memory, after):
        for more in after.more_than(before):
            self.found.add("at the end there is", more)
        now = self._memory()
        for name, kib in memory.items():
            if name not in now:
                self.found.add(name + " is gone")
            elif now[name] > max(kib * Rest.RSS_TOLERANCE, kib + Rest.RSS_SLACK):
                self.found.add("memory of " + name, "%d KiB, before %d KiB" % (now[name], kib))
        self.say("at rest: %d processes, %d descriptors, brigd %d KiB; after the first part: %d, %d, %d KiB" % (
            sum(after.processes.values()), sum(after.descriptors.values()), after.rss,
            sum(before.processes.values()), sum(before.descriptors.values()), before.rss))

    def check(self):
        """When brigd has ended: what its log says. Returns what is wrong with all of it, in words."""
        load = self.load
        path = os.path.join(self.brigd.state, "audit", "log.jsonl")
        with open(path, encoding="utf-8") as f:
            runs = log_problems(f, load.answered, load.given_up + load.refused, self.found)
        verified = harness.brig("audit", "verify", path, timeout=self.seconds + harness.PATIENCE)
        if verified.returncode != 0:
            self.found.add("brig audit verify", (verified.stdout + verified.stderr).decode("utf-8", "replace")[-500:])
        self.say("%d sent, %d answered, %d refused, %d given up by their clients; %d runs in the log" % (
            load.sent, load.done - load.refused, load.refused, load.given_up, runs))
        for kind in KINDS:
            ends = sorted((end, n) for (name, end), n in load.count.items() if name == kind.name)
            self.say("  %-14s %s" % (kind.name, ", ".join("%s %d" % pair for pair in ends)))
            if not ends:
                self.found.add("no %s run was sent" % kind.name)
        return self.found.all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    a = parser.parse_args()
    harness.become_subreaper()
    directory = tempfile.mkdtemp(prefix="brig-soak-")
    try:
        os.chmod(directory, 0o711)
        for name in ("keys", "brigd"):
            os.mkdir(os.path.join(directory, name), 0o711)
        keys = harness.Keys(os.path.join(directory, "keys"))
        brigd = harness.Brigd(os.path.join(directory, "brigd"), keys, CEILING, options())
        print("seed %d" % a.seed, flush=True)
        soak = Soak(brigd, keys, a.seconds, a.seed, lambda text: print(text, flush=True))
        try:
            soak.run()
        finally:
            code = brigd.stop()
        problems = soak.check()
        if code != 0 or problems:
            print("brigd ended with %d; its log:\n%s" % (code, brigd.log()[-2000:]))
    finally:
        shutil.rmtree(directory)
    for text in problems:
        print("WRONG: " + text)
    print("nothing lost, nothing left" if not problems and code == 0 else "%d wrong" % len(problems))
    return 1 if problems or code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
