"""The others that brig is compared with: how each is started, how often. Used by tests/bench/run.py.

DIR/peers holds what scripts/bench-deps.sh could get. What is not there is named as missing.
"""

import collections
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
JAIL = ["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--cap-drop", "ALL"]
NO_LIMITS = "no seccomp filter, no limits, no record"
IN_PROCESS = "in its caller's process, compiled before"

# what: as the table calls it. needs: names in DIR/peers. times: how often it is run. command(p, n): how, p being a
# Places; is_library: it does so n times and prints how long each took, else a process is started and waited for.
Peer = collections.namedtuple("Peer", "what needs times command note is_library", defaults=("", False))

HELLO = [
    Peer("native program, fork and exec", [], 1000, lambda p, _: [p.native], "no jail"),
    Peer("bubblewrap, native program", ["bwrap"], 300, lambda p, _: [p.at("bwrap"), *JAIL, p.native], NO_LIMITS),
    Peer("Wasmtime, a library", ["wasmtime"], 1000, lambda p, n: p.wasmtime(n, p.hello), IN_PROCESS, True),
    Peer("wazero, a library", ["wazero"], 1000, lambda p, n: p.wazero(n, p.hello), IN_PROCESS, True),
    Peer("wazero, a command", ["wazero"], 200, lambda p, _: p.wazero(0, p.hello), "its cache of compiled code is warm"),
    Peer("Node's WASI", ["node"], 40, lambda p, _: p.node(p.hello)),
    Peer("Deno", ["deno"], 40, lambda p, _: [p.at("deno"), "run", "--no-config", os.path.join(HERE, "hello.js")],
         "the same in JavaScript, since it has no WASI"),
    Peer("workerd, to its first answer", ["workerd"], 20, lambda p, n: p.workerd("cold", n),
         "the same in JavaScript, since it has no WASI", True),
    Peer("workerd, one that runs: request to answer", ["workerd"], 3000, lambda p, n: p.workerd("warm", n),
         "the same process and the same JavaScript heap for all requests", True),
]

PYTHON = [
    Peer("native python3", ["python3"], 100, lambda p, _: [p.at("python3"), "-c", p.code], "no jail"),
    Peer("bubblewrap, native python3", ["bwrap", "python3"], 100,
         lambda p, _: [p.at("bwrap"), *JAIL, p.at("python3"), "-c", p.code], NO_LIMITS),
    Peer("Wasmtime, a library, CPython", ["wasmtime"], 20,
         lambda p, n: p.wasmtime(n, p.python, "-c", p.code), IN_PROCESS, True),
    Peer("wazero, a library, CPython", ["wazero"], 20,
         lambda p, n: p.wazero(n, p.python, "-c", p.code), IN_PROCESS, True),
    Peer("wazero, a command, CPython", ["wazero"], 10, lambda p, _: p.wazero(0, p.python, "-c", p.code),
         "its cache of compiled code is warm"),
    Peer("Node's WASI, CPython", ["node"], 10, lambda p, _: p.node(p.python, "-c", p.code)),
    Peer("Pyodide in Node", ["node", "pyodide"], 5,
         lambda p, _: [p.at("node"), os.path.join(HERE, "pyodide_run.mjs"), p.at("pyodide"), p.code]),
]


class Places:
    """Where peers and programs are, and the commands of those that are used more than once."""

    def __init__(self, directory, cache, native, hello, python, code):
        self.directory, self.cache = directory, cache
        self.native, self.hello, self.python, self.code = native, hello, python, code

    def at(self, name):
        return os.path.join(self.directory, name)

    def wasmtime(self, count, *arguments, directory=""):
        return [os.path.join(self.at("wasmtime"), "bin", "python3"), os.path.join(HERE, "wasmtime_wasi.py"), str(count),
                directory, *arguments]

    def wazero(self, count, *arguments):
        return [self.at("wazero"), self.cache, str(count), *arguments]

    def workerd(self, how, count):
        return [sys.executable, os.path.join(HERE, "workerd_serve.py"), self.at("workerd"), how, str(count)]

    def node(self, *arguments):
        return [self.at("node"), "--no-warnings", os.path.join(HERE, "node_wasi.mjs"), *arguments]


def times_of(peer, places, load, share):
    """us of each run, `share` of the usual number of times. A list is the answer, or why there is none, in words.

    `load`: the program tests/bench/load.
    """
    missing = [name for name in peer.needs if not os.path.exists(places.at(name))]
    if missing:
        return "missing: " + ", ".join(missing)
    count = max(int(peer.times * share), 3)
    command = peer.command(places, count)
    if not peer.is_library:
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)  # caches get warm
        if said.returncode != 0:
            return "does not run here: " + said.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:80]
        command = [load, "exec", str(count), *command]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if said.returncode != 0:
        return "does not run here"
    found = json.loads(said.stdout)
    return found if isinstance(found, list) else found["whole_us"] if peer.is_library else found["us"]
