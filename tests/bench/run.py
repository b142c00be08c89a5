#!/usr/bin/env python3
"""tests/bench/run.py [--build DIR] [--output FILE] [--share N]: measures brig and others; writes docs/benchmarks.md.

--share 0.01 does a hundredth of the runs: that all of it works, not what it costs.
"""

import argparse
import os
import platform
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def machine():
    model = "processor unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith(("model name", "Model")):
                model = line.split(":", 1)[1].strip()
                break
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    return "%d x %s, Linux %s, as %s, load %.1f at the start" % (
        os.cpu_count(), model, platform.release(), user, os.getloadavg()[0])


PAGE = """# Benchmarks

Written by `make bench`; every figure is from the same run. Requests travel over the socket and pass the whole path:
signature, policy, audit log (`--durability batch` unless it says otherwise), a process of its own in the whole jail.

To repeat it: `make bench-deps` gets what brig is compared with, at pinned versions, into the user's cache; `make bench`
measures, and writes this page with its plots. It wants an idle machine and a quarter of an hour. `brig bench` measures
a brigd that runs already.

%s, %s.

## brig

%s

## Plots

%s

## Others

"hello" prints one line: the same WASI program, unless it says otherwise. The Python task imports json, re, math,
datetime, collections, dataclasses, typing and random, and prints 1. Each is started and waited for from outside, except
where it says library. What isolates a run differs: the notes say what is not there.

%s

%s
"""

PLOTS = {
    "latency.svg": "How long requests of one client took, by how their process came about:",
    "load.svg": "What %d clients are answered as more runs arrive than before, and how long they wait then:",
}


def page(where, bench, plots, directory, clients):
    pictures = []
    for name in plots or []:
        text = PLOTS[name] % clients if "%d" in PLOTS[name] else PLOTS[name]
        pictures.append("%s\n\n![%s](%s/%s)" % (text, name, directory, name))
    return PAGE % (time.strftime("%Y-%m-%d"), where, bench.table.text(),
                   "\n\n".join(pictures) or "Not drawn: gnuplot is missing.",
                   *(bench.others[name].text() for name in ("hello", "Python")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--output", default=os.path.join(ROOT, "docs", "benchmarks.md"))
    parser.add_argument("--share", type=float, default=1)
    a = parser.parse_args()
    os.environ["BRIG_BUILD"] = os.path.abspath(a.build)
    sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "scenario")]
    import bench
    import harness
    import measures
    harness.become_subreaper()
    where = machine() + (", %g of the usual number of runs" % a.share if a.share != 1 else "")
    pictures = os.path.splitext(os.path.abspath(a.output))[0]
    with tempfile.TemporaryDirectory(prefix="brig-bench-") as directory:
        os.chmod(directory, 0o711)
        one = bench.Bench(os.path.abspath(a.build), directory, pictures, a.share)
        try:
            plots = one.everything()
        except BaseException:
            bench.say("brigd's log:\n" + one.brigd.log())
            raise
        finally:
            one.brigd.stop()
    with open(a.output, "w", encoding="utf-8") as f:
        f.write(page(where, one, plots, os.path.basename(pictures), measures.CLIENTS))


if __name__ == "__main__":
    main()
