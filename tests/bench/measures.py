"""What `make bench` measures of load, memory, many modules, Python and computing: a part of Bench in bench.py."""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import random
import select
import statistics
import subprocess
import tempfile
import time

import harness
import plots
import wasm

TASK = "import json, re, math, datetime, collections, dataclasses, typing, random; print(1)"
WAITS = TASK.replace("print(1)", "import sys; print('sleeping', flush=True); sys.stdin.read()")
ASK = {"version": 1, "args": True, "clock": "real", "random": "real"}
PACK_ASK = dict(ASK, signature={"source": "optional"})
CLIENTS = 16
PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE = 53, 0, 8
IDLE = 8           # sandboxes of which one more's memory is the mean
LOAD_STEPS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3)
STARTS = [         # how a run's process comes about, and the options with which it does so when nothing else does
    ("cached", ("--templates-max", "0", "--parked-max", "0")),
    ("template", ("--parked-max", "0")),
    ("parked", ()),
]

MICRO = """
import json, time
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def floats():
    s = 0.0
    for i in range(400000): s += i * 0.5 - s / (i + 1)
    return s
def dicts():
    d = {}
    for i in range(200000): d[str(i % 5000)] = d.get(str(i % 5000), 0) + i
    return len(d)
def texts(): return len(json.loads(json.dumps([{"a": i, "b": "x" * 20} for i in range(8000)])))
def sorting(): return sorted((i * 7919) % 100003 for i in range(120000))[5]
for f in (lambda: fib(23), floats, dicts, texts, sorting): f()
"""


def calm():
    """Has the processor not guess whether loads need earlier stores, in this process, where the kernel can say so to it."""
    ctypes.CDLL(None).prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, 0, 0)


class Measures:
    """Needs of Bench: build, directory, table, client, brigd, keys, share and its helpers."""

    # --- latency by how a run's process comes about; throughput -----------------------------------------------------

    def bench(self, brigd, *options):
        """What `brig bench --json` says."""
        said = harness.brig("bench", "--socket", brigd.socket, "--json", *options, timeout=600)
        return json.loads(harness.must(said).stdout)

    def starts(self):
        """Latencies of one client, nothing kept ready, with templates, with parked workers; the curves of a plot."""
        curves = []
        for start, options in STARTS:
            with self.another(start, options) as (brigd, client):
                module = self.stored(harness.guest("hello"), client)["digest"]
                self.bench(brigd, "--runs", 300, module)
                found = self.bench(brigd, "--runs", self.times(3000), module)
            ended = max(found["start"], key=found["start"].get)
            if ended != start:
                self.table.add("hello, `%s`, one client" % start, "not measured", "", "most runs were `%s`" % ended)
                continue
            self.table.add("hello, `%s`, one client: whole request" % start, self.us(found["latency_us"]["p50"]),
                           self.us(found["latency_us"]["p99"]), "%d of %d runs started so" % (
                               found["start"][start], found["answered"]))
            curves.append((start, found["latency_buckets"]))
        return curves

    def cpu_by_part(self):
        """Processor seconds so far of (zygotes with the workers that have ended, everything)."""
        parts = {"brig-worker": 0, "all": 0}
        for pid, name in [(self.brigd.process.pid, "brigd"), *self.brigd.children().items()]:
            seconds = self.cpu_of(pid)
            parts["all"] += seconds
            if name == "brig-worker":
                parts[name] += seconds
        return parts["brig-worker"], parts["all"]

    def sixteen(self, durability):
        """16 clients; then what of a run's processor time is not of client and broker, and how many runs that makes."""
        path = self.request_file("sixteen-" + durability, {"module": self.stored(harness.guest("hello"))})
        self.load_socket(CLIENTS, self.times(2000), path)
        jail, everything = self.cpu_by_part()
        found = self.load_socket(CLIENTS, self.times(16000), path)
        jail, everything = [(now - before) / found["count"] * 1e6
                            for now, before in zip(self.cpu_by_part(), (jail, everything))]
        rate = found["count"] / found["seconds"]
        name = "hello, %d clients, `--durability %s`" % (CLIENTS, durability)
        self.table.add(name + ": whole request", self.us(found["p50_us"]), self.us(found["p99_us"]))
        self.table.add(name + ": runs a second", "%.0f" % rate)
        if durability == "batch":
            self.table.add("hello: processor time a run, all processes", self.us(everything), "",
                           "over %d runs, the client's own not counted" % found["count"])
            self.table.add("of that: zygotes and workers", self.us(jail))
        return rate

    def workers_alone(self):
        """Launcher, zygotes and workers, asked by a program that does nothing else: what brigd's runs cannot exceed."""
        hello = os.path.join(harness.GUESTS, "hello.wasm")
        best = {}
        for _ in range(3):
            for start, _ in STARTS:
                for flight in (2 * os.cpu_count(), CLIENTS):
                    said = subprocess.run([os.path.join(self.build, "tests", "bench", "workers"), self.build, hello, start,
                                           str(flight), str(max(self.times(5000), flight)), str(os.cpu_count())],
                                          stdout=subprocess.PIPE, check=True)
                    found = dict(json.loads(said.stdout), flight=flight)
                    best[start] = max(best.get(start, found), found, key=lambda one: one["rate"])
        for start, found in best.items():
            self.table.add("hello, `%s`, workers alone: runs a second" % start, "%.0f" % found["rate"], "",
                           "no client, broker or log; %d at a time from %d zygotes, %d us a run for who asks; "
                           "best of 6" % (found["flight"], os.cpu_count(), found["driver_us"]))

    def offered_load(self, rate):
        """Throughput and latency as more and more runs arrive; a plot's points."""
        module = self.stored(harness.guest("hello"))["digest"]
        points = []
        for step in LOAD_STEPS:
            found = self.bench(self.brigd, "--rate", "%.1f" % (rate * step), "--clients", CLIENTS, "--duration",
                               "%dms" % max(self.times(8000), 1000), "--patience", "60s", module)
            points.append((rate * step, found["rate"], found["latency_us"]["p50"] / 1000,
                           found["latency_us"]["p99"] / 1000))
            self.say("%.0f arrive a second: %.0f answered, p50 %.2f ms, p99 %.2f ms" % points[-1])
        return points

    def draw(self, curves, points):
        """The SVG plots beside the page; their names. None when there is no gnuplot."""
        if not plots.available():
            return None
        os.makedirs(self.plots, exist_ok=True)
        plots.latency(curves, os.path.join(self.plots, "latency.svg"), self.directory)
        plots.load(points, os.path.join(self.plots, "load.svg"), self.directory)
        return ["latency.svg", "load.svg"]

    # --- memory -----------------------------------------------------------------------------------------------------

    def pss(self, brigd):
        """KiB of brigd and everything below it."""
        return sum(map(self.pss_of, [brigd.process.pid, *brigd.children()]))

    @staticmethod
    def pss_of(pid):
        """KiB; 0 of a process that is gone."""
        try:
            with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as f:
                return [int(line.split()[1]) for line in f if line.startswith("Pss:")][0]
        except (FileNotFoundError, ProcessLookupError):
            return 0

    @staticmethod
    def memory_files(brigd):
        """MB of the memory files that brigd or a process below it has open: modules and artifacts, mapped or not."""
        sizes = {}
        for pid in [brigd.process.pid, *brigd.children()]:
            directory = "/proc/%d/fd" % pid
            for fd in os.listdir(directory) if os.path.isdir(directory) else ():
                try:
                    if os.readlink(os.path.join(directory, fd)).startswith("/memfd:"):
                        found = os.stat(os.path.join(directory, fd))
                        sizes[found.st_ino] = found.st_blocks * 512
                except FileNotFoundError:
                    continue
        return sum(sizes.values()) / (1 << 20)

    def idle_sandboxes(self):
        """What one more costs whose guest waits: the sum of all processes, divided. None is parked beforehand."""
        self.idle_sandbox("C", {"args": ["sleep", "600000"]}, "guest")
        self.idle_sandbox("Python, 8 modules imported", {"args": ["-c", WAITS]}, "python")
        if self.packs:
            self.idle_sandbox("Python by its pack", {"module": {"pack": "python", "code": WAITS}})

    def idle_sandbox(self, what, params, name=None):
        title = "memory (PSS) of one more sandbox whose guest waits: " + what
        if not harness.IS_ROOT:
            self.table.add(title, "not measured", "", "needs root")
            return
        with self.another("idle-" + (name or "pack"), ("--parked-max", "0", *self.packs)) as (brigd, client):
            if name:
                params["module"] = self.stored(harness.guest(name), client)
            params.update(policy=PACK_ASK if "pack" in params["module"] else ASK, stream=True, stdin={"stream": True})
            requests = [client.start("run", params) for _ in range(4)]  # so that it has a template
            self.wait_asleep(client, len(requests))
            before = self.pss(brigd)
            requests += [client.start("run", params) for _ in range(IDLE)]
            self.wait_asleep(client, len(requests))
            more = self.pss(brigd) - before
            for request in requests:
                client.notify("run.cancel", {"request": request})
                client.finish(request)
        self.table.add(title, "%.1f MB" % (more / IDLE / 1024), "", "all processes with %d, less those with %d" % (
            len(requests), len(requests) - IDLE))

    @staticmethod
    def wait_asleep(client, count):
        while client.output().count(b"sleeping\n") < count:
            client.take()

    # --- many modules -----------------------------------------------------------------------------------------------

    def many_modules(self):
        """Modules that nobody signed, stored, compiled, then run uniformly; in turn with one that no template is made for."""
        count, hello = self.times(10000), harness.guest("hello")
        optional = {**ASK, "signature": {"module": "optional"}}
        with self.another("one", STARTS[0][1], optional) as (_, client), self.in_memory(count), \
                self.another("many", (), optional) as (brigd, many):
            one = {"module": {"digest": client.call("module.put", {"wasm": harness.b64(hello)})["digest"]}}
            began, before = time.monotonic(), self.pss(brigd) if harness.IS_ROOT else 0
            modules = self.store_many(brigd, hello, count)
            self.say("%d modules stored and run once in %.0f s" % (count, time.monotonic() - began))
            chance, alone, times = random.Random(1), [], []
            for _ in range(max(self.times(50), 5)):  # in turn, so that what else the machine does is the same for both
                alone += [self.timed(client, one) for _ in range(40)]
                times += [self.timed(many, chance.choice(modules)) for _ in range(100)]
            more = self.pss(brigd) - before if harness.IS_ROOT else 0
            files = self.memory_files(brigd) if harness.IS_ROOT else 0
        mine, other = statistics.median(times), statistics.median(alone)
        self.table.add("one module, nothing kept ready", self.us(other), self.us(self.percentile(alone, 0.99)))
        self.table.add("%d modules, run uniformly" % count, self.us(mine), self.us(self.percentile(times, 0.99)),
                       "%.2f times that of one" % (mine / other))
        self.table.add("memory (PSS) of all processes, for these modules", "%.1f MB" % (more / 1024) if more else
                       "not measured", "", "more than with none; %.0f MB of modules and artifacts are kept open" % files
                       if more else "needs root")

    def store_many(self, brigd, wasm_bytes, count):
        """Stores and runs so many modules that differ in a custom section; how a request names each."""
        def store(numbers):
            with brigd.client() as client:
                for i in numbers:
                    salted = harness.b64(wasm_bytes + wasm.custom("salt", b"%d" % i))
                    modules[i] = {"module": {"digest": client.call("module.put", {"wasm": salted})["digest"]}}
                    client.call("run", modules[i])
        modules, workers = [None] * count, 2 * os.cpu_count()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(store, (range(first, count, workers) for first in range(workers))))
        return modules

    @contextlib.contextmanager
    def in_memory(self, count):
        """New directories are in memory, if there is enough: so that a slow disk does not make storing last for minutes."""
        usual, need = self.directory, count * (128 << 10)
        room = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
        if room is None or room.f_bavail * room.f_frsize < 2 * need:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="brig-bench-", dir="/dev/shm") as self.directory:
            os.chmod(self.directory, 0o711)
            try:
                yield
            finally:
                self.directory = usual

    @staticmethod
    def timed(client, params):
        began = time.perf_counter()
        result = client.call("run", params)
        if result["status"] != "exited":
            raise RuntimeError(str(result))
        return (time.perf_counter() - began) * 1e6

    # --- Python -----------------------------------------------------------------------------------------------------

    def python_params(self):
        """[what, params of a run] for each way to run Python here."""
        ways = [("CPython as a module", {"module": self.stored(harness.guest("python")), "args": ["-c", TASK],
                                         "policy": ASK})]
        if self.packs:
            ways.append(("the pack `python`", {"module": {"pack": "python", "code": TASK}, "policy": PACK_ASK}))
        else:
            self.table.add("Python, the pack `python`", "not measured", "", "there is no such pack")
        return ways

    def python(self):
        """The same task each way; median and p99 of the fastest, in us."""
        best, every = (1e12, 0), self.python_params()
        for what, params in every:
            first = self.client.call("run", params)
            if first["stdout"] != "1\n":
                raise RuntimeError(str(first))
            if first["usage"]["compile_us"]:
                self.table.add("Python, %s: compiled, once" % what, self.us(first["usage"]["compile_us"]))
            for _ in range(10):  # so that what is kept ready for it is there
                self.client.call("run", params)
            times = [self.timed(self.client, params) for _ in range(max(self.times(100), 5))]
            started = self.client.call("run", params)["usage"]["start"]
            self.table.add("Python, %s: start to print(1) and its end" % what, self.us(statistics.median(times)),
                           self.us(self.percentile(times, 0.99)), "`%s`" % started)
            best = min(best, (statistics.median(times), self.percentile(times, 0.99)))
        self.python_rate(*every[-1], best[0])
        return best

    def python_rate(self, what, params, alone_us, rate=100):
        """100 Python runs a second for a minute, whatever became of those before."""
        name = "Python, %s: %d runs a second" % (what, rate)
        if alone_us * rate > os.cpu_count() * 1e6:
            self.table.add(name, "not measured", "", "one takes %s, so %d processors cannot do it" % (
                self.us(alone_us), os.cpu_count()))
            return
        due, times, failed = {}, [], 0
        with self.brigd.client() as client:
            began, sent, count = time.perf_counter(), 0, max(self.times(60), 2) * rate
            while len(times) + failed < count:
                at = began + sent / rate
                if sent < count and at <= time.perf_counter():
                    due[client.start("run", params)] = at
                    sent += 1
                elif sent == count or select.select([client.socket], [], [], at - time.perf_counter())[0]:
                    message = client.take()
                    failed += message.get("result", {}).get("status") != "exited"
                    times.append((time.perf_counter() - due[message["id"]]) * 1e6)
        self.table.add(name, self.us(statistics.median(times)), self.us(self.percentile(times, 0.99)),
                       "for %d s; %d failed" % (count / rate, failed))

    # --- computing --------------------------------------------------------------------------------------------------

    def wasmtime(self, *arguments, directory="", preexec=None):
        """What peers/wasmtime_wasi.py says of one run; None when the package could not be had."""
        if not os.path.exists(self.places.at("wasmtime")):
            return None
        command = self.places.wasmtime(1, *arguments, directory=directory)
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=preexec)
        return json.loads(said.stdout)

    def against_wasmtime(self, what, params, path, *arguments, native=None):
        """One long computation in turn natively, by brig and by Wasmtime, so that a busy moment strikes all."""
        ours, version = [], ""
        others = {"native": [], "Wasmtime": [], "Wasmtime, store bypass disabled as in the jail": []}
        for _ in range(max(self.times(7), 2)):
            result = self.client.call("run", params)
            if result["status"] != "exited" or result["exit_code"] != 0:
                raise RuntimeError(str(result))
            ours.append(result["usage"]["wall_us"])
            if native:
                others["native"].append(self.load_exec(1, *native)["p50_us"])
            for name, preexec in (("Wasmtime", None), ("Wasmtime, store bypass disabled as in the jail", calm)):
                peer = self.wasmtime(path, *arguments, preexec=preexec)
                if peer:
                    others[name].append(peer["whole_us"][0])
                    version = "release %s, from PyPI" % peer["version"]
        mine = min(ours)
        for name, times in others.items():
            if times:
                self.table.add("%s: %s" % (what, name), self.us(min(times)), "", "" if name == "native" else version)
        ratios = ["%.3f times %s" % (mine / min(times), name) for name, times in others.items() if times]
        self.table.add(what + ": brig, its process included", self.us(mine), "",
                       ", ".join(["the least of %d each" % len(ours), *ratios]))

    def compute(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "compute.c")
        native, path = (os.path.join(self.directory, "compute" + end) for end in ("", ".wasm"))
        subprocess.run(["clang", "-O2", "-o", native, source], check=True)
        subprocess.run(["clang", "--target=wasm32-wasi", "-O2", "-o", path, source], check=True)
        limits = {"wall_ms": 60000, "cpu_ms": 60000}
        with open(path, "rb") as f:
            params = {"module": self.stored(f.read()), "policy": {"version": 1, "limits": limits}}
        self.against_wasmtime("computing in C (sieve, matrices, hash)", params, path, native=[native])
        python = os.path.join(harness.GUESTS, "python.wasm")
        params = {"module": self.stored(harness.guest("python")), "args": ["-c", MICRO],
                  "policy": dict(ASK, limits=limits)}
        self.against_wasmtime("computing in Python (calls, numbers, dicts, JSON, sorting)", params, python, "-c", MICRO)
