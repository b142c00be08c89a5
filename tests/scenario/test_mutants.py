"""Mutated modules, thousands of them, through validation, compiler and jail: each ends with an answer that says how.

    python3 tests/scenario/test_mutants.py [--seed N] [--count N] [--only K]

The same seed gives the same mutants (mutants.py); --only K runs number K alone and prints what comes back. Defaults:
$BRIG_SEED or 1, $BRIG_MUTANTS or 20000.
"""

import collections
import json
import os
import select
import sys

import harness
import mutants
import test_modules

CONNECTIONS, WINDOW = 8, 8  # requests on the way on each connection
SIGNED = 100                # one in so many has a signature
SETTLED = 1500              # after so many, brigd's caches are about as full as they get
GROWTH = 1.1                # what memory may still grow by; 100 bytes lost in each run would be more
CACHED = 50                 # descriptors more or less that hold the same number of bytes in artifacts

# How a mutant may end. internal_error is none of these; nor are a worker or a compiler that died.
ERRORS = {"module_invalid", "bad_signature", "compile_limit"}
FAILURES = {"unknown_import", "import_type", "no_start", "start_type", "no_memory", "too_many_tables"}
LIMITS = {"wall_ms", "cpu_ms", "memory_bytes", "table_elements"}
TRAPS = {"stack_overflow", "memory_out_of_bounds", "heap_misaligned", "table_out_of_bounds", "indirect_call_to_null",
         "bad_signature", "integer_overflow", "integer_division_by_zero", "bad_conversion_to_integer", "unreachable",
         "null_reference", "signal"}


def option(name, otherwise):
    """The number after --name on the command line, which it is taken from."""
    if name not in sys.argv:
        return otherwise
    at = sys.argv.index(name)
    value = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return value


SEED = option("--seed", int(os.environ.get("BRIG_SEED") or 1))
COUNT = option("--count", int(os.environ.get("BRIG_MUTANTS") or 20000))
ONLY = option("--only", None)


def how_it_ended(answer):
    """("error", its name), or status and detail; None for what no mutant may come to."""
    if "error" in answer:
        name = answer["error"]["data"]["name"]
        return ("error", name) if name in ERRORS and answer["error"]["data"]["advice"] else None
    result = answer["result"]
    status = result["status"]
    if status == "exited":
        return ("exited", "") if 0 <= result["exit_code"] < 2**32 else None
    detail = {"trapped": lambda: result["trap"]["kind"], "limit": lambda: result["limit"],
              "failed": lambda: result["failure"]}.get(status, lambda: None)()
    known = {"trapped": TRAPS, "limit": LIMITS, "failed": FAILURES}.get(status, ())
    return (status, detail) if detail in known and (status == "trapped" or result["reason"]) else None


class Mutants(harness.Scenario):
    policy = test_modules.OPTIONAL
    options = ("--compilers", "2", "--running-max", "8", "--results-kept", "16", "--artifact-cache-bytes", "1048576",
               "--module-cache-bytes", "1048576", "--store-bytes", "67108864")

    def setUp(self):
        super().setUp()
        self.modules = mutants.corpus()
        self.kinds = collections.Counter()
        self.ends = collections.Counter()
        self.unstructured = []
        self.signed = 0
        self.open = {}  # (connection, request) -> number and kind

    def params(self, number):
        kind, data = mutants.mutant(SEED, number, self.modules)
        module = {"wasm": harness.b64(data)}
        if number % SIGNED == 0:
            try:
                module["signature"] = self.keys.sign(data, detached=True)
                self.signed += 1
            except AssertionError:
                pass  # `brig sign` signs nothing that is no module by its outline
        asked = dict(test_modules.OPTIONAL, limits={"wall_ms": 20, "cpu_ms": 20, "output_bytes": 1000})
        return kind, {"module": module, "policy": asked}

    def begin(self, client, numbers):
        for number in numbers:
            kind, params = self.params(number)
            self.open[client, client.start("run", params)] = number, kind
            return

    def take(self, client, numbers):
        """One answer of this connection is counted, and the next mutant takes its place."""
        answer = client.take()
        del client.answers[answer["id"]]
        number, kind = self.open.pop((client, answer["id"]))
        how = how_it_ended(answer)
        self.kinds[kind] += 1
        self.ends[how] += 1
        if how is None:
            self.unstructured.append(number)
        if how is None and len(self.unstructured) < 10 or number == ONLY:
            print("# mutant %d of seed %d: %s" % (number, SEED, json.dumps(answer)[:2000]), flush=True)
        self.begin(client, numbers)

    def run_all(self, numbers):
        clients = [self.brigd.client() for _ in range(CONNECTIONS)]
        for client in clients:
            for _ in range(WINDOW):
                self.begin(client, numbers)
        while self.open:
            ready = select.select([c.socket for c in clients], [], [], harness.PATIENCE)[0]
            self.assertTrue(ready, "brigd does not answer")
            for client in clients:
                if client.socket in ready:
                    self.take(client, numbers)
                    while b"\n" in client.buffer:
                        self.take(client, numbers)
        for client in clients:
            client.close()

    def traces(self, before=None):
        """What brigd has, when it has come to rest."""
        harness.wait_until(lambda: self.client.call("server.health")["running"] == 0, "all runs have ended")
        found = [harness.Traces(self.brigd)]

        def at_rest():
            found.append(harness.Traces(self.brigd))
            return found[-1].processes == (before or found[-2]).processes
        harness.wait_until(at_rest, "all processes are gone that have to")
        return found[-1]

    def test_every_mutant_ends_with_an_answer(self):
        numbers = range(COUNT) if ONLY is None else [ONLY]
        self.run_all(iter(numbers[:SETTLED]))
        before = self.traces()
        before.descriptors["brigd"] += CACHED
        before.rss *= GROWTH
        self.run_all(iter(numbers[SETTLED:]))
        after = self.traces(before)
        self.tell()
        self.assertEqual(self.unstructured, [], "replay: --seed %d --only K" % SEED)
        self.assertEqual(sum(self.ends.values()), len(numbers))
        self.assertFalse(after.more_than(before), "left behind")

    def tell(self):
        kinds = ", ".join("%d %s" % (n, k) for k, n in sorted(self.kinds.items()))
        print("# seed %d, %d mutants: %s; %d of them signed" % (SEED, sum(self.ends.values()), kinds, self.signed))
        for how, count in self.ends.most_common():
            print("# %7d %s" % (count, " ".join(how).strip() if how else "UNSTRUCTURED"), flush=True)


if __name__ == "__main__":
    harness.main()
