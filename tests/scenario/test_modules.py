"""Hostile modules: each ends in its own way, which the answer says, and nothing is left of it."""

import unicodedata

import harness
import hostile_modules
import wasm

OPTIONAL = {"version": 1, "signature": {"module": "optional"}, "clock": "real", "random": "real"}


class Unsigned(harness.Hostile):
    """Modules are run as they are: who signs hostile ones is the same as for all others."""

    policy = OPTIONAL

    def unsigned(self, data, end=None):
        """A request. What ends by its limit of time gets little of it; for all else the machine may be slow."""
        limits = {"wall_ms": 100, "cpu_ms": 100} if end == hostile_modules.TIME else {"wall_ms": 60000, "cpu_ms": 60000}
        return {"module": {"wasm": harness.b64(data)}, "policy": dict(OPTIONAL, limits=limits)}

    def how(self, request):
        """How a run ended, as hostile_modules writes it, and the sentence that says more."""
        try:
            result = self.client.finish(request)
        except harness.RpcError as error:
            self.assertTrue(error.data["advice"])
            return error.name, error.message
        status = result["status"]
        detail = {"exited": lambda: result["exit_code"], "trapped": lambda: result["trap"]["kind"],
                  "limit": lambda: result["limit"], "failed": lambda: result["failure"]}[status]()
        if status == "trapped":
            self.assertTrue(result["trap"]["meaning"])
            for frame in result["trap"]["frames"]:
                self.assertLessEqual(len(frame.get("name", "").encode()), 256)
                self.assert_harmless(frame.get("name", ""))
            return "%s %s" % (status, detail), result["trap"]["message"]
        if status != "exited":
            self.assertTrue(result["reason"])
        return "%s %s" % (status, detail), result.get("reason", "")

    def assert_harmless(self, text):
        acting = [c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp") or
                  unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")]
        self.assertEqual(acting, [], text)

    def assert_end(self, request, end):
        """end: as in hostile_modules."""
        kind, _, part = end.partition(": ")
        found, text = self.how(request)
        verb, _, details = kind.partition(" ")
        self.assertIn(found, [(verb + " " + d).strip() for d in details.split("|")], text)
        self.assertIn(part, text)
        self.assert_harmless(text)


class Kinds(Unsigned):
    def check(self, group):
        cases = [(name, made() if callable(made) else made, end) for name, made, end in group]
        requests = [self.client.start("run", self.unsigned(data, end)) for _, data, end in cases]
        for (name, _, end), request in zip(cases, requests):
            with self.subTest(name):
                self.assert_end(request, end)
        self.assert_end(self.client.start("run", self.unsigned(wasm.program())), "exited 0")


def add_tests():
    for kind, group in hostile_modules.GROUPS.items():
        setattr(Kinds, "test_" + kind, lambda self, group=group: self.check(group))


add_tests()

if __name__ == "__main__":
    harness.main()
