"""Learn mode: what a run used becomes a policy, under which the same run passes; who may ask for it; what is on record."""

import json
import os

import harness
import wasm
from harness import brig, guest, must

ALL = ["read", "write", "create", "delete"]
W = [{"mount": "/w", "kind": "inline"}]
PYTHON_LIMITS = {"wall_ms": 60000, "cpu_ms": 60000, "memory_bytes": 512 << 20}
LEARN = {"version": 1, "mode": "learn"}


def source(*path):
    with open(os.path.join(harness.ROOT, "tests", "guests", *path), encoding="utf-8") as f:
        return f.read()


class Learn(harness.Scenario):
    # What is run: guest, arguments, more of the request, mounts.
    RUNS = {
        "hello, the example": ("hello", (), {}, []),
        "arguments": ("guest", ("args", "a", "b"), {}, []),
        "environment": ("guest", ("env",), {"env": {"LANG": "C", "LC_ALL": "C"}}, []),
        "input": ("guest", ("cat",), {"stdin": "some text\n"}, []),
        "an exit code": ("guest", ("exit", 3), {}, []),
        "output on both": ("guest", ("both",), {}, []),
        "memory": ("guest", ("touch", 20), {}, []),
        "checks of the host": ("wasi", (), {"stdin": "abc"}, []),
        "a copy": ("copy", (), {"files": {"/w/in": "x" * 100000}}, W),
        "checks of files": ("files", (), {"files": {"/w/in.txt": "hello", "/w/d/one": "", "/ro/f": "data", "/ro/out/old": "o"}},
                            [{"mount": "/w", "kind": "inline"}, {"mount": "/ro", "kind": "inline"}]),
        "assemblyscript": ("assemblyscript", ("x",), {}, []),
        "go": ("go", ("a", "b c"), {"stdin": "one two  three\n"}, []),
        "go, with files": ("go", ("files",), {}, W),
    }
    PYTHON = {
        "python": ((), {"stdin": source("python", "words.py")}, []),
        "python, with files": (("-c", source("python", "files.py")), {"files": {"/w/in.txt": "hello"}}, W),
    }

    def run_under(self, policy, name, args, more):
        params = dict(self.params(*args, wasm=guest(name), **more), policy=policy)
        if name != "python":
            return self.client.call("run", params)
        fd = harness.sealed_memfd(guest(name))
        self.addCleanup(os.close, fd)
        params["module"] = {"descriptor": 0, "signature": params["module"]["signature"]}
        return self.client.call("run", params, fds=[fd])

    def learn(self, name, args=(), more=None, fs=(), **stated):
        result = self.run_under(dict(LEARN, fs=list(fs), **stated), name, args, more or {})
        self.assertTrue("learned" in result, (result["status"], result.get("reason")))
        return result

    def told(self, result, contents=True):
        """What a run did; without `contents` files that have the time of the run in them count by their names."""
        told = {k: result.get(k) for k in ("status", "exit_code", "stdout", "stderr", "truncated", "changes")}
        if not contents:
            told["changes"] = [(c["path"], c["change"], c["kind"]) for c in told["changes"] or ()]
        return told

    def must_pass(self, learned, name, args, more, contents=True):
        """The learned policy is a good document, and under it the same run does the same."""
        policy = learned["learned"]["policy"]
        path = os.path.join(self.directory, "learned.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(policy, f)
        self.assertIn(learned["learned"]["digest"], must(brig("policy", "check", path)).stdout.decode())
        self.assertNotEqual(policy.get("mode"), "learn")
        self.assertEqual(learned["denials"], [])
        self.assertIs(learned["learned"]["complete"], True)
        again = self.run_under(policy, name, args, more)
        self.assertEqual(again["denials"], [])
        self.assertEqual(self.told(again, contents), self.told(learned, contents))
        self.assertNotIn("learned", again)

    def test_each_guest_passes_under_what_it_taught(self):
        for title, (name, args, more, fs) in self.RUNS.items():
            with self.subTest(title):
                self.must_pass(self.learn(name, args, more, fs), name, args, more)

    def test_python_passes_under_what_it_taught(self):
        for title, (args, more, fs) in self.PYTHON.items():
            with self.subTest(title):
                self.must_pass(self.learn("python", args, more, fs, limits=PYTHON_LIMITS), "python", args, more,
                               contents=False)  # it writes archives

    def asks(self, *asked, files=None, fs=None, **stated):
        more = {"files": files} if files else {}
        result = self.learn("asks", asked, more, fs if fs is not None else W, **stated)
        self.assertNotRegex(result["stdout"], ": (?!OK)")
        self.must_pass(result, "asks", asked, more)
        return result["learned"]

    def rules(self, learned):
        """path -> rights, of a learned policy."""
        found = {}
        for mount in learned["policy"]["fs"]:
            found[mount["mount"]] = mount["rights"]
            for path, rights in mount["paths"].items():
                found[mount["mount"] + "/" + path] = rights
        return found

    def test_only_what_was_used_is_in_the_policy(self):
        learned = self.asks("read", "/w/f", files={"/w/f": "text"})
        self.assertEqual(self.rules(learned), {"/w": [], "/w/f": ["read"]})
        p = learned["policy"]
        self.assertEqual((p["clock"], p["random"], p["args"], p["env"]), ("none", "none", True, []))
        self.assertNotIn("tools", p)
        self.assertEqual(p["signature"]["module"], "required")
        evidence = [e for e in learned["evidence"] if e["field"] == "fs"]
        self.assertEqual(evidence, [{"field": "fs", "rule": "/w/f", "target": "/w/f", "rights": ["read"], "extent": "path",
                                     "call": "path_open", "count": 1}])
        self.assertEqual({e["field"] for e in learned["evidence"]}, {"fs", "args", "limits"})

    def test_clock_and_randomness_are_learned_when_they_are_used(self):
        learned = self.asks("clock", "-", "random", "-")
        self.assertEqual((learned["policy"]["clock"], learned["policy"]["random"]), ("real", "real"))
        self.assertEqual([(e["field"], e["call"], e["count"]) for e in learned["evidence"] if e["field"] in ("clock", "random")],
                         [("clock", "clock_time_get", 1), ("random", "random_get", 1)])
        seed = "ab" * 32
        p = self.asks("clock", "-", "random", "-", clock="fixed", clock_fixed_ns=77, random="seeded", seed=seed)["policy"]
        self.assertEqual((p["clock"], p["clock_fixed_ns"], p["random"], p["seed"]), ("fixed", 77, "seeded", seed))

    def test_rights_are_those_used_where_they_were_used(self):
        files = {"/w/in": "", "/w/d/old": "", "/w/d/log": "", "/w/d/e/deep": ""}
        learned = self.asks("read", "/w/in", "unlink", "/w/d/old", "write", "/w/d/log", "list", "/w/d/e", files=files)
        self.assertEqual(self.rules(learned), {"/w": [], "/w/in": ["read"], "/w/d/old": ["delete"], "/w/d/log": ["write"],
                                               "/w/d/e": ["read"]})
        learned = self.asks("read", "/w/in", "create", "/w/d/new", "unlink", "/w/d/old", "mkdir", "/w/e/t", "create", "/w/e/t/f",
                            "unlink", "/w/e/t/f", files=dict(files, **{"/w/e/x": ""}))
        self.assertEqual(self.rules(learned), {"/w": [], "/w/in": ["read"], "/w/d": ["create"],
                                               "/w/d/old": ["create", "delete"], "/w/e": ["create", "delete"]})

    def test_many_files_of_a_directory_are_the_directory(self):
        for n, rules in ((4, {"/w": [], **{"/w/d/%d" % i: ["read"] for i in range(4)}}), (5, {"/w": [], "/w/d": ["read"]}),
                         (50, {"/w": [], "/w/d": ["read"]})):
            with self.subTest(files=n):
                files = {"/w/d/%d" % i: "" for i in range(n)}
                learned = self.asks(*[a for f in sorted(files) for a in ("read", f)], files=files)
                self.assertEqual(self.rules(learned), rules)
                counts = [e["count"] for e in learned["evidence"] if e["field"] == "fs"]
                self.assertEqual(sum(counts), n)
                self.assertLessEqual(len(counts), 9)

    def test_many_directories_are_the_one_above(self):
        files = {"/w/%d/%d" % (i, k): "" for i in range(6) for k in range(6)}
        learned = self.asks(*[a for f in sorted(files) for a in ("read", f)], files=files)
        self.assertEqual(self.rules(learned), {"/w": ["read"]})

    def test_what_moves_gets_one_rule_above_both_places(self):
        learned = self.asks("create", "/w/d/f", "rename", "/w/d/f", "read", "/w/d/f.new", "read", "/w/in",
                            files={"/w/d/x": "", "/w/in": ""})
        self.assertEqual(self.rules(learned), {"/w": [], "/w/d": ["read", "create", "delete"], "/w/in": ["read"]})
        learned = self.asks("mkdir", "/w/t", "create", "/w/t/f", "rename", "/w/t", "unlink", "/w/t.new/f")
        self.assertEqual(self.rules(learned), {"/w": ["create", "delete"]})
        learned = self.asks("link", "/w/d/f", "write", "/w/d/f.new", files={"/w/d/f": "", "/w/e/g": ""})
        self.assertEqual(self.rules(learned), {"/w": [], "/w/d": ["write", "create"]})

    def test_what_descriptors_do_without_a_path_is_learned_for_the_mount(self):
        self.assertEqual(self.rules(self.asks("list-mount", "-")), {"/w": ["read"]})
        self.assertEqual(self.rules(self.asks("touch", "/w/f", files={"/w/f": ""})), {"/w": ["write"], "/w/f": ["read", "write"]})

    def test_names_that_no_document_can_hold_are_learned_above_them(self):
        long = ["/w/" + "/".join(["n" * 200] * k) for k in range(1, 7)]
        made = [a for d in long for a in ("mkdir", d)]
        rules = self.rules(self.asks(*made, "create", long[-1] + "/f", "read", long[-1] + "/f"))
        self.assertLessEqual(max(map(len, rules)), 1023)
        rules = self.rules(self.asks("mkdir", "/w/new\nline", "create", "/w/new\nline/f", "unlink", "/w/new\nline/f"))
        self.assertEqual(rules, {"/w": ["create", "delete"]})

    def test_a_flood_of_uses_stays_bounded_and_says_no_less(self):
        """Each in a directory of its own, so that siblings do not take their place."""
        asked = []
        for i in range(1500):
            asked += ["mkdir", "/w/%d" % i, "create", "/w/%d/f" % i]
        learned = self.asks(*asked, "read", "/w/7/f", limits={"fs_nodes": 5000, "host_calls": 100000})
        rights = self.rules(learned)
        self.assertEqual(rights["/w"], ["create"] if "/w/7/f" in rights else ["read", "create"])
        self.assertLess(len(learned["evidence"]), 1024)
        self.assertEqual(sum(e["count"] for e in learned["evidence"] if e["field"] == "fs"), 3001)

    def test_limits_are_twice_what_was_used_and_round(self):
        result = self.learn("guest", ("touch", 20), {})
        p, usage = result["learned"]["policy"]["limits"], result["usage"]
        self.assertEqual(p["memory_bytes"], 64 << 20)  # of somewhat more than 20 MiB
        self.assertEqual((p["host_calls"], p["wall_ms"] >= 1000), (1000, True))
        used = {e["target"]: e.get("used") for e in result["learned"]["evidence"] if e["field"] == "limits"}
        self.assertEqual(used["memory_bytes"], usage["peak_memory_bytes"])
        self.assertEqual(used["host_calls"], sum(usage["host_calls"].values()))
        self.assertNotIn("open_files", p)
        stated = self.learn("guest", ("hello",), {}, limits={"open_files": 9, "memory_bytes": 1 << 20, "host_calls": 500})
        p = stated["learned"]["policy"]["limits"]
        self.assertEqual((p["open_files"], p["memory_bytes"], p["host_calls"]), (9, 1 << 20, 500))

    def test_a_run_that_did_not_come_to_its_end_says_so(self):
        result = self.learn("guest", ("loop",), {}, limits={"wall_ms": 50})
        self.assertEqual(result["status"], "limit")
        self.assertIs(result["learned"]["complete"], False)

    def test_what_a_request_cannot_have_in_any_other_mode_it_cannot_learn(self):
        told = self.assert_rpc_error("denied", "run", dict(
            self.params("env", env={"A": "1"}, files={"/elsewhere/f": ""}), policy=LEARN))
        self.assertEqual(told.data["denial"]["capability"], "fs.inline")

    def test_a_run_that_does_not_ask_does_not_learn(self):
        for policy in ({"version": 1, "args": True}, {"version": 1, "args": True, "mode": "enforce"}, None):
            with self.subTest(policy=policy):
                params = self.params("hello")
                params["policy"] = policy
                if policy is None:
                    del params["policy"]
                self.assertNotIn("learned", self.client.call("run", params))

    def test_mode_and_what_was_learned_are_on_record(self):
        result = self.learn("hello")
        ours = [r["unmapped"]["brig"] for r in self.brigd.audit_log() if r.get("process", {}).get("uid") == result["run_id"]]
        self.assertEqual([o["mode"] for o in ours], ["learn", "learn"])
        self.assertEqual([o.get("learned") for o in ours], [None, result["learned"]["digest"]])
        result = self.run_guest("hello")
        ours = [r["unmapped"]["brig"] for r in self.brigd.audit_log() if r.get("process", {}).get("uid") == result["run_id"]]
        self.assertEqual([("mode" in o, "learned" in o) for o in ours], [(False, False)] * 2)


class Granted(harness.Scenario):
    """Learn mode runs inside what the other layers grant, and only when they grant learn mode itself."""

    policy = {"version": 1, "mode": "learn", "args": True, "env": ["LANG"], "clock": "coarse", "random": "none",
              "fs": [{"under": "/w", "kind": "inline", "rights": ["read", "create"], "paths": {"secret": []}}],
              "limits": {"memory_bytes": 64 << 20}, "signature": {"module": "required"}}

    def test_no_more_is_granted_or_learned_than_the_ceiling_has(self):
        result = self.client.call("run", dict(self.params(
            "clock", "-", "random", "-", "read", "/w/f", "write", "/w/f", "read", "/w/secret/s", "create", "/w/new",
            wasm=guest("asks"), files={"/w/f": "", "/w/secret/s": ""}), policy=dict(LEARN, fs=W)))
        self.assert_exited(result)
        self.assertEqual({(d["capability"], d["rule"]["layer"]) for d in result["denials"]},
                         {("random", "ceiling"), ("fs.write", "ceiling"), ("fs.read", "ceiling")})
        p = result["learned"]["policy"]
        self.assertEqual((p["clock"], p["random"]), ("coarse", "none"))
        self.assertEqual(p["fs"], [{"mount": "/w", "kind": "inline", "rights": ["create"],
                                    "paths": {"f": ["read", "create"], "secret": []}}])
        self.assertLessEqual(p["limits"]["memory_bytes"], 64 << 20)
        told = self.assert_rpc_error("denied", "run", dict(self.params(env={"SECRET": "x"}), policy=LEARN))
        self.assertEqual(told.data["denial"]["rule"]["layer"], "ceiling")

    def test_learn_mode_is_withheld_where_a_layer_does_not_grant_it(self):
        ceiling = {k: v for k, v in self.policy.items() if k != "mode"}
        brigd = harness.Brigd(self.new_directory("enforcing"), self.keys, ceiling)
        self.addCleanup(brigd.stop)
        with brigd.client() as client:
            with self.assertRaises(harness.RpcError) as caught:
                client.call("run", dict(self.params("hello"), policy=LEARN))
            denial = caught.exception.data["denial"]
            self.assertEqual((denial["capability"], denial["rule"]["layer"], denial["grant"]),
                             ("mode", "ceiling", {"mode": "learn"}))
            self.assert_exited(client.call("run", dict(self.params("hello"), policy={"version": 1, "args": True})))


if __name__ == "__main__":
    harness.main()
