#!/usr/bin/env python3
"""tests/fuzz/run.py: runs the fuzz targets that `make fuzz` built; a line each; fails on any finding.

    tests/fuzz/run.py [--build DIR] [--time SECONDS] [--jobs N] [--merge] [NAME...]

A target begins with the inputs of tests/fuzz/seeds.py and tests/fuzz/corpus/NAME. What it finds new it keeps in
DIR/corpus/NAME, for the next time; an input that breaks it, in DIR/findings, and says so: `DIR/tests/fuzz/fuzz_NAME
FILE` tries that input again. With --merge, instead of fuzzing, the inputs that reach what no other does are put into
tests/fuzz/corpus/NAME, which `make check` replays together with the seeds.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
INPUT_SECONDS = 20  # an input that takes longer is a finding
MEMORY_MB = 2048    # as is one that takes more


class Target:
    def __init__(self, build, name):
        self.name = name
        self.program = os.path.join(build, "tests", "fuzz", "fuzz_" + name)
        self.committed = os.path.join(HERE, "corpus", name)
        self.corpus = os.path.join(build, "corpus", name)
        self.findings = os.path.join(build, "findings")
        for directory in (self.committed, self.corpus, self.findings):
            os.makedirs(directory, exist_ok=True)

    def run(self, *options):
        """Runs it with a directory of its own for temporary files, in memory where there is such a place."""
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="brig-fuzz-", dir=memory) as directory:
            env = dict(os.environ, TMPDIR=directory, ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
                       UBSAN_OPTIONS="print_stacktrace=1")
            done = subprocess.run([self.program, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, env=env, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def fuzz(self, seconds):
        code, output = self.run(
            "-max_total_time=%d" % seconds, "-timeout=%d" % INPUT_SECONDS, "-rss_limit_mb=%d" % MEMORY_MB,
            "-print_final_stats=1", "-artifact_prefix=%s/%s-" % (self.findings, self.name), self.corpus, self.committed)
        stats = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", output)}
        line = "%-12s %9d runs %7d/s %5d new units %5d MiB" % (
            self.name, stats.get("number_of_executed_units", 0), stats.get("average_exec_per_sec", 0),
            stats.get("new_units_added", 0), stats.get("peak_rss_mb", 0))
        return code, line, output

    def merge(self):
        """Makes the committed corpus anew: of what there is, so few inputs that all the code that was reached is."""
        with tempfile.TemporaryDirectory(prefix="brig-merge-") as merged:
            code, output = self.run("-set_cover_merge=1", "-use_counters=0", merged, self.committed, self.corpus)
            names = os.listdir(merged)
            size = sum(os.path.getsize(os.path.join(merged, name)) for name in names)
            if code == 0:
                shutil.rmtree(self.committed, ignore_errors=True)
                shutil.copytree(merged, self.committed)
        return code, "%-12s %4d inputs, %d bytes" % (self.name, len(names), size), output


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build-fuzz"))
    parser.add_argument("--time", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    known = sorted(os.path.basename(p)[len("fuzz_"):-2] for p in glob.glob(os.path.join(HERE, "fuzz_*.c")))
    for name in a.names:
        if name not in known:
            sys.exit("there is no fuzz target %s; there are: %s" % (name, " ".join(known)))
    targets = [Target(os.path.abspath(a.build), name) for name in a.names or known]
    subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), os.path.join(os.path.abspath(a.build), "corpus")],
                   check=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        started = [pool.submit(t.merge) if a.merge else pool.submit(t.fuzz, a.time) for t in targets]
        for done in concurrent.futures.as_completed(started):
            code, line, output = done.result()
            print(line, flush=True)
            if code != 0:
                bad += 1
                told = [text for text in output.splitlines() if not re.match(r"#\d+\t|INFO:", text)]
                print("".join("# %s\n" % text for text in told[-60:]), flush=True)
    print("%d targets, %d with findings" % (len(targets), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
