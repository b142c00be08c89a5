"""What policy withholds from a guest: who withheld it, and that the grant which a denial names is just what was missing."""

import copy
import json
import os

import harness
from harness import guest

ALL = ["read", "write", "create", "delete"]
FILES = {"/w/f": "text", "/w/d/g": "text", "/w/d/e/h": "text"}


def merged(document, grant):
    """The document with the grant in it, as docs/policy.md says how: at the path that it names, of files."""
    out = copy.deepcopy(document)
    for field, value in grant.items():
        if field == "fs":
            for entry in value:
                merge_entry(out.setdefault("fs", []), entry)
        elif field == "env":
            out["env"] = out.get("env", []) + value
        elif field == "limits":
            out.setdefault("limits", {}).update(value)
        else:
            out[field] = value
    return out


def merge_entry(entries, new):
    path = new.get("mount") or new.get("under")
    for old in entries:
        top = old.get("mount") or old.get("under")
        inside = path[len(top.rstrip("/")) + 1:]
        if top == path:
            old.setdefault("paths", {}).update(new.get("paths", {}))
            old.update({k: v for k, v in new.items() if k in ("kind", "rights")})
            return
        if path.startswith(top.rstrip("/") + "/") and inside in old.get("paths", {}):
            old["paths"][inside] = new["rights"]
            return
    entries.append(new)


class Denials(harness.Scenario):
    # No more than what each test grants: the ceiling is theirs.
    policy = {"version": 1, "args": True, "env": ["*"], "clock": "real", "random": "real",
              "fs": [{"under": "/", "kind": "inline", "rights": ALL}], "signature": {"module": "optional"}}

    def asks(self, document, *asked, **more):
        params = self.params(*asked, wasm=guest("asks"), **more)
        params["policy"] = document
        return self.client.call("run", params)

    def until_granted(self, document, *asked, steps=6, **more):
        """Runs, takes the grant from the first denial, runs again, until nothing is withheld. Returns what was granted."""
        granted = []
        for _ in range(steps):
            result = self.asks(document, *asked, **more)
            self.assert_exited(result)
            if not result["denials"]:
                return granted, document, result
            d = result["denials"][0]
            self.assertEqual(d["rule"]["layer"], "request", d)
            self.assertIn(json.dumps(d["grant"]), d["message"])
            granted.append((d["capability"], d["target"], d["grant"]))
            document = merged(document, d["grant"])
        self.fail("%s: still withheld after %s" % (asked, granted))

    def fs(self, *entries):
        return {"version": 1, "args": True, "fs": list(entries)}

    def test_each_capability_is_granted_by_what_its_denial_says(self):
        mount = {"mount": "/w", "kind": "inline", "rights": []}
        cases = [
            (("clock", "-"), ["clock"]), (("random", "-"), ["random"]),
            (("read", "/w/f"), ["fs.read"]), (("write", "/w/f"), ["fs.write"]), (("create", "/w/new"), ["fs.create"]),
            (("mkdir", "/w/d/new"), ["fs.create"]), (("unlink", "/w/d/e/h"), ["fs.delete"]),
            (("list", "/w/d"), ["fs.read"]), (("list-mount", "-"), ["fs.read"]),
            (("rename", "/w/f"), ["fs.delete", "fs.create"]), (("rename", "/w/d"), ["fs.delete", "fs.create"]),
            (("link", "/w/d/g"), ["fs.create"]),
        ]
        for asked, capabilities in cases:
            with self.subTest(asked=asked):
                granted, document, result = self.until_granted(self.fs(mount), *asked, files=FILES)
                self.assertEqual([c for c, _, _ in granted], capabilities)
                self.assertEqual(result["stdout"], "%s %s: OK\n" % asked)

    def test_rights_by_path_are_granted_where_they_are_missing_and_nowhere_else(self):
        mount = {"mount": "/w", "kind": "inline", "rights": ["read"],
                 "paths": {"d": ["create"], "d/e/h": ["delete"], "f": []}}
        cases = [("/w/d/g", "write", {"paths": {"d": ["write", "create"]}}),
                 ("/w/d/e/h", "write", {"paths": {"d/e/h": ["write", "delete"]}}),
                 ("/w/d/e/i", "unlink", {"paths": {"d/e": ["create", "delete"]}}),
                 ("/w/f", "read", {"paths": {"f": ["read"]}}), ("/w/g", "write", {"rights": ["read", "write"]})]
        files = dict(FILES, **{"/w/g": "", "/w/d/e/i": ""})
        for path, verb, grant in cases:
            with self.subTest(path=path):
                granted, _, _ = self.until_granted(self.fs(mount), verb, path, files=files)
                self.assertEqual([g for _, _, g in granted], [{"fs": [dict({"mount": "/w"}, **grant)]}])

    def test_paths_that_no_document_can_hold_are_granted_above_them(self):
        long = "/w/" + "/".join(["n" * 200] * 6) + "/f"  # longer than a path of policy
        for path in (long, "/w/d/new\nline/f", "/w/d/e\x7f/f"):
            with self.subTest(path=path[:20]):
                directory = os.path.dirname(path)
                names = directory.split("/")[2:]
                made = [a for i in range(len(names)) for a in ("mkdir", "/w/" + "/".join(names[:i + 1]))]
                mount = {"mount": "/w", "kind": "inline", "rights": ["create"]}
                granted, _, result = self.until_granted(self.fs(mount), *made, "create", path, "unlink", path, steps=2)
                self.assertEqual([c for c, _, _ in granted], ["fs.delete"])
                self.assertTrue(result["stdout"].endswith(": OK\n"), result["stdout"][-40:])

    def test_two_clocks_that_contradict_leave_the_first(self):
        fixed = {"version": 1, "args": True, "clock": "fixed", "clock_fixed_ns": 5}
        granted, document, _ = self.until_granted(dict(self.fs(), random="seeded", seed="11" * 32), "clock", "-")
        self.assertEqual(granted[0][2], {"clock": "coarse"})
        directory = self.new_directory("fixed")
        other = harness.Brigd(directory, self.keys, dict(self.policy, clock="fixed", clock_fixed_ns=7, random="seeded",
                                                         seed="22" * 32))
        self.addCleanup(other.stop)
        self.client.close()
        self.client = other.client()
        self.addCleanup(self.client.close)
        granted, document, _ = self.until_granted(dict(fixed, random="seeded", seed="11" * 32), "clock", "-", "random", "-")
        self.assertEqual([g for _, _, g in granted],
                         [{"clock": "fixed", "clock_fixed_ns": 7}, {"random": "seeded", "seed": "22" * 32}])

    def test_what_is_decided_before_the_run_is_granted_the_same_way(self):
        cases = [({"env": {"SECRET": "x"}}, "env"), ({"files": {"/w/f": "text"}}, "fs.inline"),
                 ({"stdin": "12345"}, "limits.stdin_bytes")]
        for more, capability in cases:
            with self.subTest(capability=capability):
                document = dict(self.fs(), limits={"stdin_bytes": 4})
                params = self.params("clock", "-", wasm=guest("asks"), **more)
                params["policy"] = document
                told = self.assert_rpc_error("denied", "run", params).data["denial"]
                self.assertEqual((told["capability"], told["rule"]["layer"], told["call"]), (capability, "request", None))
                params["policy"] = merged(document, told["grant"])
                self.assert_exited(self.client.call("run", params))

    def test_64_denials_are_told_and_more_are_counted(self):
        mount = self.fs({"mount": "/w", "rights": []})
        at = self.asks(mount, "flood", 64)
        self.assertEqual(len(at["denials"]), 64)
        self.assertNotIn("denials_omitted", at)
        past = self.asks(mount, "flood", 65)
        self.assertEqual((len(past["denials"]), past["denials_omitted"]), (64, 1))

    def test_a_guest_cannot_flood_the_log(self):
        result = self.asks(self.fs({"mount": "/w", "rights": []}), "flood", 100000)
        self.assert_exited(result)
        self.assertEqual((len(result["denials"]), result["denials_omitted"]), (64, 100000 - 64))
        record = self.outcome_of(result)
        self.assertLessEqual(len(json.dumps(record)), 65535)
        ours = record["unmapped"]["brig"]
        self.assertEqual(ours["denials"], result["denials"][:len(ours["denials"])])
        self.assertEqual(sum(d["count"] for d in ours["denials"]) + ours["denials_omitted"], 100000)

    def test_long_denials_are_cut_to_the_size_of_a_record_and_counted(self):
        deep = "/w/" + "/".join(["n" * 200] * 4)
        asked = [a for i in range(64) for a in ("mkdir", "%s/%d" % (deep, i))]
        result = self.asks(self.fs({"mount": "/w", "kind": "inline"}), *asked, files={deep + "/f": ""})
        self.assertEqual(len(result["denials"]), 64)
        ours = self.outcome_of(result)["unmapped"]["brig"]
        self.assertLess(len(ours["denials"]), 64)
        self.assertGreater(len(ours["denials"]), 10)
        self.assertEqual(len(ours["denials"]) + ours["denials_omitted"], 64)
        self.assertEqual(ours["denials_digest"], harness.digest(
            json.dumps(result["denials"], separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()))

    def outcome_of(self, result):
        return [r for r in self.brigd.audit_log() if r.get("process", {}).get("uid") == result["run_id"]][-1]


class Layers(harness.Scenario):
    """Several layers withhold the same: the first is named, and once it grants, the next."""

    def test_each_layer_is_named_in_its_turn(self):
        uid = str(os.geteuid())
        none = {"version": 1, "args": True, "clock": "none", "fs": [{"under": "/", "kind": "inline", "rights": ["read"]}],
                "signature": {"module": "optional"}}
        documents = {"ceiling": dict(none), "owner": dict(none), "signer": dict(none),
                     "request": {"version": 1, "args": True, "fs": [{"mount": "/w", "kind": "inline", "rights": ["read"]}]}}
        named = {"clock": [], "fs.write": []}
        for step in range(5):
            result = self.run_under(step, uid, documents)
            denials = {d["capability"]: d for d in result["denials"]}
            for capability, order in named.items():
                if capability not in denials:
                    continue
                d = denials[capability]
                layer = d["rule"]["layer"]
                order.append(layer)
                self.assertEqual("under" in json.dumps(d["grant"]), capability != "clock" and layer != "request")
                documents[layer] = merged(documents[layer], d["grant"])
        self.assertEqual(named, {c: ["ceiling", "owner", "signer", "request"] for c in named})
        self.assertEqual(result["stdout"], "clock -: OK\nwrite /w/f: OK\n")

    def run_under(self, step, uid, documents):
        directory = self.new_directory("layers%d" % step)
        owners = os.path.join(directory, "owners")
        os.mkdir(owners)
        os.chmod(owners, 0o711)
        with open(os.path.join(owners, uid + ".json"), "w", encoding="utf-8") as f:
            json.dump(documents["owner"], f)
        grant = os.path.join(directory, "grant.json")
        with open(grant, "w", encoding="utf-8") as f:
            json.dump(documents["signer"], f)
        keys = harness.Keys(directory)
        signer = os.path.join(directory, "narrowed")
        harness.must(harness.brig("keygen", "-o", signer))
        keys.edit("add", "--name", "narrowed", "--key", signer + ".pub", "--grant", grant)
        brigd = harness.Brigd(directory, keys, documents["ceiling"], ("--owners", owners))
        try:
            with brigd.client() as client:
                wasm = guest("asks")
                params = {"module": {"wasm": harness.b64(wasm), "signature": keys.sign(wasm, signer, detached=True)},
                          "args": ["clock", "-", "write", "/w/f"], "files": {"/w/f": "x"}, "policy": documents["request"]}
                return client.call("run", params)
        finally:
            brigd.stop()


if __name__ == "__main__":
    harness.main()
