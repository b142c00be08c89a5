#!/usr/bin/env python3
"""tests/bench/run.py [--build DIR] [--output FILE]: measures brig and its peers, and writes docs/benchmarks.md.

Every figure is from this one run, on this machine: a brigd of its own, with its durable log, jail and signatures as
they come. Peers that are not there are left out, visibly.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WASMTIME = "48.0.0"  # PyPI's package: the release that the engine is of
TICK = os.sysconf("SC_CLK_TCK")

harness = None  # tests/scenario/harness.py, imported once the build directory is known


def say(text):
    print("  " + text, file=sys.stderr, flush=True)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def output_of(*command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout.decode()


class Table:
    """The page's one table: what, median, p99, note."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, tail="", note=""):
        self.rows.append((what, value, tail, note))
        say("%-58s %14s %14s  %s" % (what, value, tail, note))

    def text(self):
        lines = ["| what | median | p99 | note |", "|---|---:|---:|---|"]
        return "\n".join(lines + ["| %s | %s | %s | %s |" % row for row in self.rows])


def us(value):
    return "%.0f us" % value if value < 10000 else "%.1f ms" % (value / 1000) if value < 1e6 else "%.2f s" % (value / 1e6)


def ns_text(value):
    return "%.0f ns" % value if value < 10000 else us(value / 1000)


class Bench:
    def __init__(self, build, directory):
        self.build = build
        self.directory = directory
        self.table = Table()
        self.load = os.path.join(build, "tests", "bench", "load")
        self.keys = harness.Keys(self.make("keys"))
        self.start_brigd("batch")

    def make(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path, 0o711)
        return path

    def start_brigd(self, durability):
        self.brigd = harness.Brigd(self.make("brigd-" + durability), self.keys,
                                   options=("--durability", durability))
        self.client = self.brigd.client()

    def stored(self, wasm):
        module = {"signature": self.keys.sign(wasm, detached=True), "descriptor": 0}
        fd = harness.sealed_memfd(wasm)
        try:
            return {"digest": self.client.call("module.put", module, fds=[fd])["digest"]}
        finally:
            os.close(fd)

    def request_file(self, name, params):
        path = os.path.join(self.directory, name + ".json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "run", "params": params}) + "\n")
        return path

    def load_socket(self, clients, requests, path):
        found = json.loads(output_of(self.load, "socket", self.brigd.socket, clients, requests, path))
        if found["failed"]:
            raise RuntimeError("%d of %d runs failed" % (found["failed"], found["count"]))
        return found

    def load_exec(self, count, *command):
        return json.loads(output_of(self.load, "exec", count, *command))

    def cpu_seconds(self):
        """All processor time of brigd and everything below it, ended children included."""
        ticks = 0
        for pid in [self.brigd.process.pid, *self.brigd.children()]:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15]))
        return ticks / TICK

    # --- what is measured ---------------------------------------------------------------------------------------------

    def hello(self):
        params = {"module": self.stored(harness.guest("hello"))}
        path = self.request_file("hello", params)
        self.load_socket(1, 200, path)
        one = self.load_socket(1, 3000, path)
        self.table.add("hello, cached, one client: whole request", us(one["p50_us"]), us(one["p99_us"]))
        usage = [self.client.call("run", params)["usage"] for _ in range(200)]
        self.table.add("of that: fork to first guest instruction", us(statistics.median(u["start_us"] for u in usage)),
                       us(percentile([u["start_us"] for u in usage], 0.99)))
        before = self.cpu_seconds()
        many = self.load_socket(8, 8000, path)
        cpu = (self.cpu_seconds() - before) / many["count"] * 1e6
        self.table.add("hello, cached, 8 clients: whole request", us(many["p50_us"]), us(many["p99_us"]))
        self.table.add("hello, cached, 8 clients: runs a second", "%.0f" % (many["count"] / many["seconds"]))
        self.table.add("hello: processor time a run, all processes", us(cpu), "", "over %d runs" % many["count"])
        return one

    def strict(self):
        self.client.close()
        self.brigd.stop()
        self.start_brigd("strict")
        path = self.request_file("strict", {"module": self.stored(harness.guest("hello"))})
        self.load_socket(1, 50, path)
        found = self.load_socket(1, 500, path)
        self.table.add("hello, cached, `--durability strict`", us(found["p50_us"]), us(found["p99_us"]),
                       "each record on disk before the run")

    def cold(self):
        sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))
        import wasm
        times = []
        for i in range(20):
            salted = harness.guest("hello") + wasm.custom("salt", str(i).encode() + os.urandom(8))
            params = {"module": {"wasm": harness.b64(salted), "signature": self.keys.sign(salted, detached=True)}}
            began = time.perf_counter()
            self.client.call("run", params)
            times.append((time.perf_counter() - began) * 1e6)
        self.table.add("hello, never seen before: verify, compile, run", us(statistics.median(times)),
                       us(percentile(times, 0.99)))

    def memory(self):
        if not harness.IS_ROOT:
            self.table.add("memory (PSS) of brigd, zygote, worker", "not measured", "", "needs root")
            return
        request = self.client.start("run", {"module": self.stored(harness.guest("guest")),
                                            "args": ["sleep", "600000"], "stream": True})
        self.client.wait_output(b"sleeping\n")
        table = harness.processes()
        for pid, name in sorted(self.brigd.children().items()) + [(self.brigd.process.pid, "brigd")]:
            if name.startswith("brig-worker"):
                is_worker = table[table[pid][0]][1].startswith("brig-worker")
                name = "a worker, its guest running" if is_worker else "zygote"
            with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as f:
                kib = [int(line.split()[1]) for line in f if line.startswith("Pss:")][0]
            self.table.add("memory (PSS) of " + name, "%.1f MB" % (kib / 1024))
        run = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run})
        self.client.finish(request)

    def limits(self):
        for name, wasm, args in (("a loop", "guest", ["loop"]), ("one memory.fill of 512 MiB", "fill", ["512"])):
            params = {"module": self.stored(harness.guest(wasm)), "args": args,
                      "policy": {"version": 1, "args": True, "limits": {"wall_ms": 50, "memory_bytes": 1 << 30}}}
            over = []
            for _ in range(50):
                result = self.client.call("run", params)
                if result["status"] != "limit":
                    raise RuntimeError(str(result))
                over.append(result["usage"]["wall_us"] - 50000)
            self.table.add("past a wall limit of 50 ms: " + name, us(statistics.median(over)), us(max(over)),
                           "the worst of 50, not p99; the whole process is gone by then")

    def python(self):
        params = {"module": self.stored(harness.guest("python")), "args": ["-c", "print(1)"],
                  "policy": {"version": 1, "args": True, "clock": "real", "random": "real"}}
        first = self.client.call("run", params)
        if first["stdout"] != "1\n":
            raise RuntimeError(str(first))
        self.table.add("CPython (26 MB): compiled, once", us(first["usage"]["compile_us"]))
        times = []
        for _ in range(50):
            began = time.perf_counter()
            self.client.call("run", params)
            times.append((time.perf_counter() - began) * 1e6)
        self.table.add("CPython, cached: start to print(1) and its end", us(statistics.median(times)),
                       us(percentile(times, 0.99)))

    def peers(self, hello):
        native = os.path.join(self.directory, "hello")
        output_of("cc", "-O2", "-o", native, os.path.join(ROOT, "examples", "hello.c"))
        self.table.add("peer: native hello, fork and exec", *self.both(self.load_exec(1000, native)))
        if shutil.which("bwrap"):
            jail = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--cap-drop", "ALL", native]
            found = self.load_exec(300, *jail)
            if found["failed"]:
                self.table.add("peer: bubblewrap, native hello", "does not run here")
            else:
                self.table.add("peer: bubblewrap, native hello", *self.both(found),
                               "%.1f times brig's request; no seccomp filter, no limits, no record" %
                               (found["p50_us"] / hello["p50_us"]))
        else:
            self.table.add("peer: bubblewrap", "not installed")

    @staticmethod
    def both(found):
        return us(found["p50_us"]), us(found["p99_us"])

    def wasmtime(self, count, *arguments):
        """What peer_wasmtime.py says in its venv; None when the package cannot be had."""
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "brig")
        venv = os.path.join(cache, "wasmtime-" + WASMTIME)
        python = os.path.join(venv, "bin", "python3")
        try:
            if not os.path.exists(os.path.join(venv, "complete")):
                output_of(sys.executable, "-m", "venv", venv)
                output_of(python, "-m", "pip", "install", "-q", "wasmtime==" + WASMTIME)
                with open(os.path.join(venv, "complete"), "w", encoding="utf-8"):
                    pass
            return json.loads(output_of(python, os.path.join(HERE, "peer_wasmtime.py"), count,
                                        *arguments))
        except subprocess.CalledProcessError as error:
            say("PyPI's wasmtime: %s" % error)
            return None

    def compute(self):
        source = os.path.join(HERE, "guest", "compute.c")
        native, wasm = (os.path.join(self.directory, "compute" + end) for end in ("", ".wasm"))
        output_of("clang", "-O2", "-o", native, source)
        output_of("clang", "--target=wasm32-wasi", "-O2", "-o", wasm, source)
        with open(wasm, "rb") as f:
            params = {"module": self.stored(f.read()),
                      "policy": {"version": 1, "limits": {"wall_ms": 60000, "cpu_ms": 60000}}}
        ours, theirs, natives = [], [], []
        version = None
        for _ in range(7):  # interleaved, so that a busy moment strikes all three
            usage = self.client.call("run", params)["usage"]
            ours.append(usage["wall_us"])
            natives.append(self.load_exec(1, native)["p50_us"])
            peer = self.wasmtime(1, wasm)
            if peer:
                theirs.append(peer["whole_us"][0])
                version = peer["version"]
        mine, bare = statistics.median(ours), statistics.median(natives)
        self.table.add("computing (sieve, matrices, hash): native", us(bare), "", "clang -O2")
        if theirs:
            other = statistics.median(theirs)
            self.table.add("computing: Wasmtime %s from PyPI" % version, us(other), "", "%.2f times native" % (other / bare))
            note = "%.2f times native, %.3f times Wasmtime" % (mine / bare, mine / other)
        else:
            note = "%.2f times native" % (mine / bare)
        self.table.add("computing: brig, its process included", us(mine), "", note)

    def host_calls(self):
        wasm = os.path.join(self.directory, "files.wasm")
        output_of("clang", "--target=wasm32-wasi", "-O2", "-o", wasm, os.path.join(HERE, "guest", "files.c"))
        fs = [{"mount": "/w", "rights": ["read", "write", "create", "delete"]}]
        limits = {"wall_ms": 60000, "cpu_ms": 60000, "fs_bytes": 256 << 20, "changes_bytes": 0}
        with open(wasm, "rb") as f:
            params = {"module": self.stored(f.read()),
                      "policy": {"version": 1, "clock": "real", "fs": fs, "limits": limits}}
        ours, theirs = {}, {}
        for _ in range(3):
            peer = self.wasmtime(1, wasm, tempfile.mkdtemp(dir=self.directory))
            for into, text in ((ours, self.client.call("run", params)["stdout"]), (theirs, peer["output"] if peer else "")):
                for line in text.splitlines():
                    name, ns = line.split()
                    into.setdefault(name, []).append(float(ns))
        for name, times in ours.items():
            mine = statistics.median(times)
            note = "" if name not in theirs else "Wasmtime: %s" % ns_text(statistics.median(theirs[name]))
            self.table.add("host call: " + name.replace("_", " "), ns_text(mine), "", note)

    def host_directory(self):
        """What a program waits for when it first looks at files that its client serves."""
        wasm = os.path.join(self.directory, "dir.wasm")
        output_of("clang", "--target=wasm32-wasi", "-O2", "-o", wasm, os.path.join(HERE, "guest", "dir.c"))
        with open(wasm, "rb") as f:
            signed = self.keys.sign(f.read())
        with open(wasm, "wb") as f:
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
                             root + "::/d:ro", wasm)
            for line in told.splitlines():
                name, ns = line.split()
                found.setdefault(name, []).append(float(ns))
        for name, times in found.items():
            mine = statistics.median(times)
            note = "" if name != "first_read_of_64_MiB" else "%.0f MB/s" % ((64 << 20) / mine * 1000)
            self.table.add("directory of the host: " + name.replace("_", " "), ns_text(mine), "", note)

    def everything(self):
        hello = self.hello()
        self.memory()
        self.cold()
        self.limits()
        self.python()
        self.peers(hello)
        self.compute()
        self.host_calls()
        self.host_directory()
        self.strict()


def machine():
    model = "processor unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith(("model name", "Model")):
                model = line.split(":", 1)[1].strip()
                break
    return "%d x %s, Linux %s, as %s, load %.1f at the start" % (
        os.cpu_count(), model, platform.release(), "root" if os.geteuid() == 0 else "an ordinary user", os.getloadavg()[0])


PAGE = """# Benchmarks

Written by `make bench`; every figure is from the same run. Requests travel over the socket and pass the whole path:
signature, policy, audit log (`--durability batch` unless it says otherwise), a process of its own in the whole jail.

%s, %s.

%s
"""


def main():
    global harness
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--output", default=os.path.join(ROOT, "docs", "benchmarks.md"))
    a = parser.parse_args()
    os.environ["BRIG_BUILD"] = os.path.abspath(a.build)
    sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))
    import harness as scenario_harness
    harness = scenario_harness
    harness.become_subreaper()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="brig-bench-") as directory:
        os.chmod(directory, 0o711)
        bench = Bench(os.path.abspath(a.build), directory)
        try:
            bench.everything()
        except BaseException:
            say("brigd's log:\n" + bench.brigd.log())
            raise
        finally:
            bench.brigd.stop()
    with open(a.output, "w", encoding="utf-8") as f:
        f.write(PAGE % (time.strftime("%Y-%m-%d"), where, bench.table.text()))


if __name__ == "__main__":
    main()
