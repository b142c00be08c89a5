"""One brigd and what is measured with it, for `make bench`: requests, memory, limits, host calls. Used by run.py.

Every figure is from one run, on this machine: a brigd of its own, with its log, jail and signatures as they come.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import harness
import wasm
from measures import TASK, Measures
from peers import peers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")


def say(text):
    print("  " + text, file=sys.stderr, flush=True)


def at_rest(client):
    """Waits until the pack has been compiled and started, which takes brigd some processor time once it serves."""
    def rests():
        metrics = client.call("server.metrics")
        return metrics["templates"] and not metrics["compile"]["running"] + metrics["compile"]["queued"]
    harness.wait_until(rests, "the language pack is ready")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def output_of(*command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout.decode()


class Table:
    """One table of the page."""

    def __init__(self, *columns):
        self.columns = columns
        self.rows = []

    def add(self, *cells):
        self.rows.append(cells + ("",) * (len(self.columns) - len(cells)))
        say("  ".join(str(cell).ljust(width) for cell, width in zip(cells, (72, 12, 12, 12))))

    def text(self):
        lines = ["| %s |" % " | ".join(self.columns),
                 "|---|%s" % "".join("---|" if name == "note" else "---:|" for name in self.columns[1:])]
        return "\n".join(lines + ["| %s |" % " | ".join(row) for row in self.rows])


def us(value):
    if value < 10000:
        return "%.0f us" % value
    return "%.1f ms" % (value / 1000) if value < 1e6 else "%.2f s" % (value / 1e6)


def ns_text(value):
    return "%.0f ns" % value if value < 10000 else us(value / 1000)


class Bench(Measures):
    """share: how many of the usual runs; less than 1 only shows that all of it works."""

    us, say, percentile = staticmethod(us), staticmethod(say), staticmethod(percentile)

    def __init__(self, build, directory, plots, share):
        self.build, self.directory, self.plots, self.share = build, directory, plots, share
        self.table = Table("what", "median", "p99", "note")
        self.others = {name: Table("what", "median", "p99", "times brig", "note") for name in ("hello", "Python")}
        self.load = os.path.join(build, "tests", "bench", "load")
        self.native = os.path.join(directory, "hello")
        output_of("cc", "-O2", "-o", self.native, os.path.join(ROOT, "examples", "hello.c"))
        guests = [os.path.join(harness.GUESTS, name + ".wasm") for name in ("hello", "python")]
        self.places = peers.Places(os.path.join(build, "peers"), self.make("wazero"), self.native, *guests, TASK)
        self.keys = harness.Keys(self.make("keys"))
        self.packs = self.make_packs()
        self.start_brigd("batch")

    def times(self, count):
        return max(int(count * self.share), 1)

    def make(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path, 0o711)
        return path

    def make_packs(self):
        """The pack `python`, signed; options of a brigd that has it. None where `make python-pack` was not made."""
        source = os.path.join(self.build, "packs", "python")
        if not os.path.isdir(source):
            return ()
        packer = os.path.join(self.keys.directory, "packer")
        harness.must(harness.brig("keygen", "-o", packer))
        self.keys.edit("add", "--name", "packer", "--key", packer + ".pub", "--packs")
        directory = self.make("packs")
        path = shutil.copytree(source, os.path.join(directory, "python"))
        harness.must(harness.brig("pack", "sign", "-k", packer + ".key", path))
        output_of("chmod", "-R", "a+rX", directory)
        return ("--packs", directory)

    def start_brigd(self, durability):
        self.brigd = harness.Brigd(self.make("brigd-" + durability), self.keys,
                                   options=("--durability", durability, *self.packs))
        self.client = self.brigd.client()
        if self.packs:
            at_rest(self.client)

    @contextlib.contextmanager
    def another(self, name, options, policy=None):
        """A brigd of its own beside the one that there is, and a client of it."""
        brigd = harness.Brigd(self.make("brigd-" + name), self.keys, policy, options)
        try:
            with brigd.client() as client:
                if "--packs" in options:
                    at_rest(client)
                yield brigd, client
        finally:
            brigd.stop()

    def stored(self, wasm_bytes, client=None):
        module = {"signature": self.keys.sign(wasm_bytes, detached=True), "descriptor": 0}
        fd = harness.sealed_memfd(wasm_bytes)
        try:
            return {"digest": (client or self.client).call("module.put", module, fds=[fd])["digest"]}
        finally:
            os.close(fd)

    def request_file(self, name, params):
        path = os.path.join(self.directory, name + ".json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "run", "params": params}) + "\n")
        return path

    def load_socket(self, clients, requests, path):
        found = json.loads(output_of(self.load, "socket", self.brigd.socket, clients, max(requests, clients), path))
        if found["failed"]:
            raise RuntimeError("%d of %d runs failed" % (found["failed"], found["count"]))
        return found

    def load_exec(self, count, *command):
        return json.loads(output_of(self.load, "exec", count, *command))

    @staticmethod
    def cpu_of(pid):
        """All processor time of a process and of its children that have ended, in seconds; 0 once it is gone."""
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15])) / TICK
        except (FileNotFoundError, ProcessLookupError):
            return 0

    # --- what is measured ---------------------------------------------------------------------------------------------

    def hello(self):
        """The fastest request there is; its median and p99 in us."""
        params = {"module": self.stored(harness.guest("hello"))}
        path = self.request_file("hello", params)
        self.load_socket(1, self.times(200), path)
        one = self.load_socket(1, self.times(3000), path)
        results = [self.client.call("run", params)["usage"] for _ in range(self.times(200))]
        starts = {usage["start"] for usage in results}
        self.table.add("hello, one client: whole request", us(one["p50_us"]), us(one["p99_us"]),
                       "how runs started: " + ", ".join("`%s`" % name for name in sorted(starts)))
        self.table.add("of that: from its process, or its job, to its first instruction",
                       us(statistics.median(u["start_us"] for u in results)),
                       us(percentile([u["start_us"] for u in results], 0.99)))
        return one["p50_us"], one["p99_us"]

    def strict(self):
        self.client.close()
        self.brigd.stop()
        self.start_brigd("strict")
        path = self.request_file("strict", {"module": self.stored(harness.guest("hello"))})
        self.load_socket(1, self.times(300), path)
        found = self.load_socket(1, self.times(1000), path)
        self.table.add("hello, one client, `--durability strict`", us(found["p50_us"]), us(found["p99_us"]),
                       "each record on disk before the run")
        self.sixteen("strict")

    def cold(self):
        times = []
        for i in range(max(self.times(100), 10)):
            salted = harness.guest("hello") + wasm.custom("salt", str(i).encode() + os.urandom(8))
            params = {"module": {"wasm": harness.b64(salted), "signature": self.keys.sign(salted, detached=True)}}
            began = time.perf_counter()
            self.client.call("run", params)
            times.append((time.perf_counter() - began) * 1e6)
        self.table.add("hello, never seen before: verify, compile, run", us(statistics.median(times)),
                       us(percentile(times, 0.99)))

    def memory(self):
        """Of each process that a brigd has when it has nothing to do."""
        if not harness.IS_ROOT:
            self.table.add("memory (PSS) of brigd and its processes", "not measured", "", "needs root")
            return
        with self.another("idle", ()) as (brigd, _):
            harness.settled(brigd, None, harness.PATIENCE)
            for pid, name in [(brigd.process.pid, "brigd"), *sorted(brigd.children().items())]:
                name = "a zygote" if name == "brig-worker" else name
                self.table.add("memory (PSS) of %s, nothing to do" % name, "%.1f MB" % (self.pss_of(pid) / 1024))

    def limits(self):
        for name, wasm, args in (("a loop", "guest", ["loop"]), ("one memory.fill of 512 MiB", "fill", ["512"])):
            params = {"module": self.stored(harness.guest(wasm)), "args": args,
                      "policy": {"version": 1, "args": True, "limits": {"wall_ms": 50, "memory_bytes": 1 << 30}}}
            over = []
            for _ in range(max(self.times(50), 5)):
                result = self.client.call("run", params)
                if result["status"] != "limit":
                    raise RuntimeError(str(result))
                over.append(result["usage"]["wall_us"] - 50000)
            self.table.add("past a wall limit of 50 ms: " + name, us(statistics.median(over)), us(max(over)),
                           "p99: the worst of all; the whole process is gone by then")

    def host_calls(self):
        path = os.path.join(self.directory, "files.wasm")
        output_of("clang", "--target=wasm32-wasi", "-O2", "-o", path, os.path.join(HERE, "guest", "files.c"))
        fs = [{"mount": "/w", "rights": ["read", "write", "create", "delete"]}]
        limits = {"wall_ms": 60000, "cpu_ms": 60000, "fs_bytes": 256 << 20, "changes_bytes": 0}
        with open(path, "rb") as f:
            params = {"module": self.stored(f.read()),
                      "policy": {"version": 1, "clock": "real", "fs": fs, "limits": limits}}
        ours, theirs = {}, {}
        for _ in range(3):
            peer = self.wasmtime(path, directory=tempfile.mkdtemp(dir=self.directory))
            mine = self.client.call("run", params)["stdout"]
            for into, text in ((ours, mine), (theirs, peer["output"] if peer else "")):
                for line in text.splitlines():
                    name, ns = line.split()
                    into.setdefault(name, []).append(float(ns))
        for name, times in ours.items():
            mine = statistics.median(times)
            note = "" if name not in theirs else "Wasmtime: %s" % ns_text(statistics.median(theirs[name]))
            self.table.add("host call: " + name.replace("_", " "), ns_text(mine), "", note)

    def host_directory(self):
        """What a program waits for when it first looks at files that its client serves."""
        path = os.path.join(self.directory, "dir.wasm")
        output_of("clang", "--target=wasm32-wasi", "-O2", "-o", path, os.path.join(HERE, "guest", "dir.c"))
        with open(path, "rb") as f:
            signed = self.keys.sign(f.read())
        with open(path, "wb") as f:
            f.write(signed)
        root = self.make("root")
        os.mkdir(os.path.join(root, "many"))
        for i in range(1000):
            with open(os.path.join(root, "many", str(i)), "w", encoding="utf-8") as f:
                f.write("some text\n" * 100)
        with open(os.path.join(root, "large"), "wb") as f:
            f.write(os.urandom(64 << 20))
        found = {}
        for _ in range(5):
            told = output_of(os.path.join(self.build, "brig"), "run", "--socket", self.brigd.socket, "--dir",
                             root + "::/d:ro", path)
            for line in told.splitlines():
                name, ns = line.split()
                found.setdefault(name, []).append(float(ns))
        for name, times in found.items():
            mine = statistics.median(times)
            note = "" if name != "first_read_of_64_MiB" else "%.0f MB/s" % ((64 << 20) / mine * 1000)
            self.table.add("directory of the host: " + name.replace("_", " "), ns_text(mine), "", note)

    def compare(self, name, list_of_peers, mine):
        """The others do the same; `mine` is brig's median and p99 in us."""
        table = self.others[name]
        table.add("**brig**, request to answer", us(mine[0]), us(mine[1]), "1",
                  "a process of its own, all layers of the jail, on record")
        for peer in list_of_peers:
            found = peers.times_of(peer, self.places, self.load, self.share)
            if isinstance(found, str):
                table.add(peer.what, found)
                continue
            median = statistics.median(found)
            table.add(peer.what, us(median), us(percentile(found, 0.99)), "%.2f" % (median / mine[0]),
                      peer.note + (", " if peer.note else "") + "%d times" % len(found))

    def everything(self):
        """All of it; the names of the plots that there are."""
        hello = self.hello()
        curves = self.starts()
        rate = self.sixteen("batch")
        self.workers_alone()
        plots = self.draw(curves, self.offered_load(rate))
        self.memory()
        self.idle_sandboxes()
        self.cold()
        self.limits()
        self.many_modules()
        python = self.python()
        self.compute()
        self.host_calls()
        self.host_directory()
        self.strict()
        self.compare("hello", peers.HELLO, hello)
        self.compare("Python", peers.PYTHON, python)
        return plots
