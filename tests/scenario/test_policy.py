"""Policies explain themselves: what `brig policy explain` says is what a guest gets; the schema is the parser's twin."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import brig, guest, must

RIGHTS = ["read", "write", "create", "delete"]
SEED = int(os.environ.get("BRIG_SEED", "5"))
WORLDS = int(os.environ.get("BRIG_WORLDS", "3"))  # each with requests of five signers


class Files(unittest.TestCase):
    """What needs no brigd."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="brig-policy-")
        self.addCleanup(shutil.rmtree, self.directory)

    def write(self, name, value):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        return path

    def explain(self, *args, code):
        done = brig("policy", "explain", *args)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return done.stdout.decode(), done.stderr.decode()


class Verbs(Files):
    def test_check_tells_all_that_is_wrong_by_line(self):
        path = self.write("mine.json", '{ "version": 1,\n  "limits": {\n    "wall_sm": 5 },\n  "env": ["A=B"] }\n')
        done = brig("policy", "check", path)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.decode().replace(path, "mine.json").splitlines(), [
            'brig policy: mine.json:3:5: $.limits.wall_sm is not known; did you mean "wall_ms"?',
            "brig policy: mine.json:4:11: $.env[0] is \"A=B\", but no name of a variable has '=' or a control character in it"])
        broken = self.write("broken.json", "{\n  x\n")
        self.assertIn("broken.json:2:", brig("policy", "check", broken).stderr.decode())

    def test_explain_answers_each_question_and_the_exit_code_says_all(self):
        ceiling = self.write("c.json", '{ "args": true,\n  "fs": [ { "under": "/", "rights": ["read"] } ] }')
        request = self.write("r.json", '{ "fs": [ { "mount": "/w",\n  "rights": ["read", "write"] } ] }')
        layers = ("--request", request, "--ceiling", ceiling)
        out, _ = self.explain(*layers, "fs", "read", "/w/a", "fs mount /w", code=0)
        self.assertEqual(out.count("allow: "), 2)
        out, _ = self.explain(*layers, "fs", "read", "/w/a", "fs", "write", "/w/a", code=1)
        self.assertIn('ceiling denies: $.fs[0].rights is ["read"] (%s:2:37)\n' % ceiling, out)
        self.assertIn('request allows: $.fs[0].rights is ["read", "write"] (%s:2:13)\n' % request, out)
        self.assertIn('{"fs": [{"paths": {"w": ["read", "write"]}, "under": "/"}]}', out)
        out, _ = self.explain("--json", *layers, "fs write /w/a", code=1)
        told, = json.loads(out)
        self.assertEqual((told["answer"], told["rule"]), ("deny", {
            "layer": "ceiling", "path": "$.fs[0].rights", "stated": True, "value": ["read"], "file": ceiling, "line": 2,
            "column": 37}))
        self.assertEqual([(l["layer"], l["answer"]) for l in told["layers"]], [("ceiling", "deny"), ("request", "allow")])

    def test_explain_of_nothing_but_the_built_in_ceiling(self):
        self.explain("args", "env HOME", "clock real", "random real", "limit wall_ms 10s", "limit fuel 5", code=0)
        for question in ("signature unsigned", "net example.com", "tool x", "fs read /a", "limit wall_ms 11s"):
            self.explain(question, code=1)

    def test_what_makes_no_sense_is_neither_yes_nor_no(self):
        good = self.write("good.json", {})
        for args in ((), ("evn",), ("fs", "read"), ("--ceiling", good + "x", "args"), ("--what", "args"),
                     ("--request", good, "--request", good, "args"), ("--server", "--ceiling", good, "args"), ("--ceiling", self.write("bad.json", []), "args")):
            with self.subTest(args=args):
                out, err = self.explain(*args, code=2)
                self.assertEqual(out, "")
                self.assertIn("brig policy", err)

    def test_diff_says_what_each_allows_and_the_exit_code_whether(self):
        a = self.write("a.json", {"limits": {"wall_ms": 1000}, "env": ["A*", "AB"], "args": False})
        b = self.write("b.json", '{ "version": 1, "limits": { "wall_ms": 2000 }, "env": [ "A*" ] }')
        done = brig("policy", "diff", a, b)
        self.assertEqual((done.returncode, done.stdout), (1, b"+ limits.wall_ms: 1 s in A, 2 s in B\n"))
        done = brig("policy", "diff", "--json", a, b)
        self.assertEqual(json.loads(done.stdout), [{"field": "limits.wall_ms", "more": "b", "a": 1000, "b": 2000,
                                                    "text": "limits.wall_ms: 1 s in A, 2 s in B"}])
        same = brig("policy", "diff", a, self.write("c.json", {"env": ["A*"], "limits": {"wall_ms": 1000}}))
        self.assertEqual((same.returncode, same.stdout), (0, b""))
        for args in ((a,), (a, b, b), (a, a + "x"), (a, self.write("bad.json", {"argz": 1}))):
            self.assertEqual(brig("policy", "diff", *args).returncode, 2)


# --- the schema ---------------------------------------------------------------------------------------------------------

JUNK = [None, True, False, 0, 1, -1, 3, 1.5, 2 ** 40, "", "x", "a b", "real", "fixed", "none", "seeded", "dir", "required",
        "end", "/", "/a", "a", "/a/", "//", "/a/..", "/a/.b", "..", "A=B", "A*", "*A", "A\nB", "read", ".t", "t" * 65, "n" * 256,
        "00" * 32, [], {}, [1], ["read"], ["x", "x"], ["/a"], [{}], {"mount": "/a"}, {"a": ["read"]}, {"/a": []}, {"..": []},
        {"a/b": ["x"]}, {"module": "optional"}, [{"mount": "/q", "paths": {"r": []}}], [{"under": "/q", "mount": "/q"}]]
FIELDS = ["version", "limits", "args", "env", "clock", "clock_fixed_ns", "random", "seed", "output", "signature", "fs", "tools",
          "net", "mode", "wall_ms", "fuel", "module", "source", "mount", "under", "kind", "rights", "paths", "evn"]


def containers(value):
    if isinstance(value, (dict, list)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def mutated(r, document):
    """The document with something in it changed, put in or left out; or with nothing."""
    for _ in range(r.choice((0, 1, 1, 1, 2))):
        spot = r.choice(list(containers(document)))
        junk = json.loads(json.dumps(r.choice(JUNK)))
        if isinstance(spot, list):
            if spot and r.random() < 0.5:
                spot[r.randrange(len(spot))] = junk
            else:
                spot.append(junk)
        else:
            name = r.choice(list(spot)) if spot and r.random() < 0.6 else r.choice(FIELDS)
            if name in spot and r.random() < 0.3:
                del spot[name]
            else:
                spot[name] = junk
    return document


class Schema(Files):
    def setUp(self):
        super().setUp()
        with open(os.path.join(harness.ROOT, "docs", "policy.schema.json"), encoding="utf-8") as f:
            self.schema = json.load(f)

    def validate(self, documents):
        """For each whether it is valid, by a Python that has jsonschema: this one, or the one of the system's packages."""
        text = json.dumps({"schema": self.schema, "documents": documents}).encode()
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "validate.py")
        for python in (sys.executable, "/usr/bin/python3"):
            if not os.access(python, os.X_OK):
                continue
            done = subprocess.run([python, "-B", script], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if b"No module named 'jsonschema'" not in done.stderr:
                return json.loads(must(done).stdout)
        return self.skipTest("no Python has jsonschema")

    def test_the_schema_takes_and_refuses_what_the_parser_does(self):
        r = random.Random(SEED)
        print("# seed %d (BRIG_SEED)" % SEED)
        documents = {}
        for i in range(1500):
            document = mutated(r, dict(random_policy(r, 0.5), tools=r.sample(["t", "u-v", "w.x"], r.randrange(3)), net=[]))
            documents[self.write("%d.json" % i, document)] = document
        done = brig("policy", "check", *documents)
        good = {line.rsplit(": good", 1)[0] for line in done.stdout.decode().splitlines()}
        problems = {}
        for line in done.stderr.decode().splitlines():
            problems.setdefault(line[len("brig policy: "):].split(":")[0], []).append(line)
        self.assertEqual(len(good) + len(problems), len(documents))
        for (path, document), valid in zip(documents.items(), self.validate(list(documents.values()))):
            beyond = path in problems and all("is there twice" in line for line in problems[path])
            self.assertEqual(valid, path in good or beyond, (document, problems.get(path)))
        self.assertGreater(len(good), 300)
        self.assertGreater(len(problems), 300)

    def test_defaults_and_examples_are_what_they_say(self):
        beside = {"clock_fixed_ns": {"clock": "fixed"}, "seed": {"random": "seeded"}}
        for name, field in self.schema["properties"].items():
            for value in [field["default"], *field["examples"]]:
                path = self.write("example.json", dict(beside.get(name, {}), **{name: value}))
                must(brig("policy", "check", path))
            if name not in beside:  # saying what holds anyway changes nothing
                same = brig("policy", "diff", self.write("empty.json", {}), self.write("d.json", {name: field["default"]}))
                self.assertEqual((same.returncode, same.stdout), (0, b""))
        entry = self.schema["properties"]["fs"]["items"]["properties"]
        for name, member in entry.items():
            for value in ([member["default"]] if "default" in member else []) + member["examples"]:
                one = {name: value} if name in ("mount", "under") else {"mount": "/m", name: value}
                must(brig("policy", "check", self.write("entry.json", {"fs": [one]})))


# --- layers and questions at random -------------------------------------------------------------------------------------

TOPS = ["/", "/a", "/a/b", "/a/bc", "/d"]
INNER = ["b", "b/c", "x", "x/y", "c"]
PLACES = ["/a", "/a/b", "/a/b/c", "/a/bc", "/a/x", "/a/x/y", "/d", "/d/x", "/e"]
NAMES = ["A", "AB", "ABC", "B", "LANG"]


def rights(r):
    return [word for word in RIGHTS if r.random() < 0.75]


def random_fs(r, mounts):
    """Entries for files; `mounts`: how often they are mounts."""
    entries, taken = [], set()
    for top in r.sample(TOPS, r.choice((1, 1, 2, 3))):
        entry = {"mount" if r.random() < mounts else "under": top, "kind": r.choice(("inline", "inline", "inline", "tmp")),
                 "rights": rights(r), "paths": {}}
        if top in taken:
            continue
        taken.add(top)
        for inner in r.sample(INNER, r.choice((0, 0, 1, 2))):
            whole = top.rstrip("/") + "/" + inner
            if whole not in taken and whole not in TOPS:
                taken.add(whole)
                entry["paths"][inner] = rights(r)
        entries.append(entry)
    return entries


def random_policy(r, mounts, generous=0.8):
    """A document that grants most things, but not all."""
    def likely():
        return r.random() < generous
    p = {"version": 1, "args": likely(), "signature": {"module": "optional" if likely() else "required"}}
    p["env"] = ["*"] if r.random() < 0.4 else r.sample(NAMES + ["A*", "L*"], 3)
    p["clock"] = r.choice(("real", "real", "coarse", "fixed", "none"))
    if p["clock"] == "fixed" and r.random() < 0.7:
        p["clock_fixed_ns"] = r.choice((1, 2))
    p["random"] = r.choice(("real", "real", "seeded", "none"))
    if p["random"] == "seeded" and r.random() < 0.7:
        p["seed"] = r.choice(("01", "02")) * 32
    if r.random() < 0.5:
        p["limits"] = {"memory_bytes": r.choice((4, 8, 16)) << 20}
    p["fs"] = random_fs(r, mounts) if r.random() < 0.6 else [{"under": "/", "kind": "inline", "rights": rights(r)}]
    return p


class Layers(harness.Scenario):
    """The same questions to `brig policy explain` and to a guest, under the same layers."""

    @classmethod
    def setUpClass(cls):
        cls.r = random.Random(SEED)
        print("# seed %d (BRIG_SEED)" % SEED)
        owners = tempfile.mkdtemp(prefix="brig-owners-")
        cls.addClassCleanup(shutil.rmtree, owners)
        os.chmod(owners, 0o755)
        cls.owner = os.path.join(owners, "%d.json" % os.geteuid())
        cls.write(cls.owner, {})
        cls.policy = {}
        cls.options = ("--owners", owners)
        super().setUpClass()
        cls.ceiling = os.path.join(cls.directory, "brigd", "policy.json")
        cls.signers = [(None, cls.keys.signer)]
        for name in ("one", "two", "three"):
            grant = os.path.join(cls.directory, name + ".json")
            cls.write(grant, random_policy(cls.r, 0.1))
            key = os.path.join(cls.keys.directory, name)
            must(brig("keygen", "-o", key))
            cls.keys.edit("add", "--name", name, "--key", key + ".pub", "--grant", grant)
            cls.signers.append((grant, key))
        cls.keys.edit("add", "--name", "another's", "--key", cls.keys.root + ".pub", "--owner", "54321", "--grant", grant)
        wasm = guest("asks")
        cls.wasm = [(None, {"wasm": harness.b64(wasm)})] + [
            (grant, {"wasm": harness.b64(wasm), "signature": cls.keys.sign(wasm, key=key, detached=True)})
            for grant, key in cls.signers]

    @staticmethod
    def write(path, value):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(value, f)

    def new_rules(self):
        """Another ceiling and another grant of this owner."""
        self.write(self.ceiling, random_policy(self.r, 0.1, 0.9))
        self.write(self.owner, random_policy(self.r, 0.2, 0.9))
        must(brig("server", "reload", "--socket", self.brigd.socket))

    def explained(self, grant, request, questions):
        """question -> its answer, under the layers that brigd has now."""
        path = os.path.join(self.directory, "request.json")
        self.write(path, request)
        done = brig("policy", "explain", "--json", "--ceiling", self.ceiling, "--owner", self.owner,
                    *(("--signer", grant) if grant else ()), "--request", path, *questions)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return dict(zip(questions, json.loads(done.stdout)))

    def run_or_refused(self, module, request, **more):
        """The result of a run, or the denial with which it was refused."""
        try:
            return self.client.call("run", dict(more, module=module, policy=request)), None
        except harness.RpcError as e:
            self.assertIn(e.name, ("denied", "unsigned_module"))
            return None, e.data["denial"]

    def assert_same(self, answer, denied, layer):
        """That explain said so, and named the same layer."""
        self.assertEqual(answer["answer"], "deny" if denied else "allow", answer)
        if denied:
            self.assertEqual(answer["rule"]["layer"], layer, answer)

    def check_refusals(self, module, request, answers, needs):
        """What is decided before the run, one thing at a time; `needs` is what every run of this module needs."""
        asked = {"args": {"args": ["x"]}, **{"env " + n: {"env": {n: "v"}} for n in NAMES},
                 **{"fs inline " + q[len("fs inline "):]: {"files": {q[len("fs inline "):]: ""}}
                    for q in answers if q.startswith("fs inline ")}}
        for question, params in asked.items():
            result, denial = self.run_or_refused(module, request, **params)
            if needs["answer"] == "deny" and "signature" not in module:
                self.assertEqual(denial["capability"], "signature.module")
                self.assert_same(needs, True, denial["rule"]["layer"])
            else:
                self.assert_same(answers[question], result is None, denial and denial["rule"]["layer"])
            self.cases += 1

    def guest_says(self, module, request, files, lines):
        """line -> whether it went well; and what random bytes it saw."""
        result, denial = self.run_or_refused(module, request, files=files, stdin="".join(l + "\n" for l in lines))
        self.assertIsNone(denial)
        self.assert_exited(result)
        said = [line.rsplit(": ", 1) for line in result["stdout"].splitlines()]
        return ({line[0]: line[1] == "OK" for line in said if len(line) == 2}, [line for line in said if len(line) == 1],
                result.get("denials", []))

    def check_guest(self, module, request, answers, mounts):
        files = {q[len("fs inline "):]: "x" for q, a in answers.items()
                 if q.startswith("fs inline ") and a["answer"] == "allow"}
        lines = {}
        for question in answers:
            word, _, rest = question.partition(" ")
            right, _, path = rest.partition(" ")
            if word == "fs" and right in ("read", "write", "delete") and \
                    (path in files or answers[question]["answer"] == "deny"):
                lines[question] = "%s %s" % ("unlink" if right == "delete" else right, path)
            elif word == "fs" and right == "create":
                above = os.path.dirname(path)
                if above in mounts or any(f.startswith(above + "/") for f in files) or answers[question]["answer"] == "deny":
                    lines[question] = "create " + path
            elif word in ("clock", "random"):
                lines[question] = {"clock": "clock-is " + rest, "random": "show-random " + rest}[word]
            elif word == "limit":
                lines[question] = "memory " + rest.split()[1]
        said, bytes_seen, denials = self.guest_says(module, request, files, lines.values())
        _, again, _ = self.guest_says(module, request, files, lines.values())
        layers = {(d["capability"], d["target"]): d["rule"]["layer"] for d in denials}
        for question, line in lines.items():
            went_well = said[line]
            if line == "show-random real":
                went_well = bytes_seen != [] and bytes_seen != again
            self.assertEqual(answers[question]["answer"] == "allow", went_well, (question, answers[question]))
            if question.startswith("fs "):
                told = layers.get((question.replace(" ", ".", 1).split()[0], question.split()[2]))
                if told is not None:
                    self.assertEqual(answers[question]["rule"]["layer"], told, answers[question])
                    self.told += 1
            self.cases += 1

    def test_brigd_explains_the_same_by_its_own_rules(self):
        r = random.Random(SEED)
        for _ in range(3):
            self.new_rules()
            with open(self.keys.keyring, encoding="utf-8") as f:
                kids = [None] + [key["kid"] for key in json.load(f)["keys"][1:]]
            for (grant, _), kid in zip(self.signers, kids):
                request = random_policy(r, 0.9)
                questions = ["fs %s %s/f" % (right, place) for right in RIGHTS for place in PLACES] + \
                    ["args", "clock real", "random real", "limit memory_bytes 6M"] + ["env " + n for n in NAMES]
                here = self.explained(grant, request, questions)
                path = os.path.join(self.directory, "request.json")
                done = brig("policy", "explain", "--socket", self.brigd.socket, "--json", "--request", path,
                            *(("--signer", kid) if kid else ()), *questions)
                self.assertIn(done.returncode, (0, 1), done.stderr)
                for question, answer in zip(questions, json.loads(done.stdout)):
                    self.assertEqual(answer["answer"], here[question]["answer"], question)
                    self.assertEqual(answer["grant"] is None, here[question]["grant"] is None)
                    if answer["rule"]["layer"] in ("ceiling", "owner"):  # with file, line and column
                        self.assertEqual(answer["rule"], here[question]["rule"])

    def test_questions_to_brigd_that_make_no_sense(self):
        for params in ({}, {"questions": []}, {"questions": "args"}, {"questions": ["args"] * 33}, {"questions": [1]},
                       {"questions": ["evn A"]}, {"questions": ["fs read a"]}, {"questions": ["args"], "policy": {"argz": 1}},
                       {"questions": ["args"], "policy": 1}, {"questions": ["args"], "signer": 5},
                       {"questions": ["args"], "ceiling": {}}):
            self.assert_rpc_error("invalid_params", "policy.explain", params)
        self.new_rules()
        with open(self.keys.keyring, encoding="utf-8") as f:
            another = json.load(f)["keys"][-1]["kid"]
        for kid in ("00" * 12, another):  # what another user's key is granted is nobody else's business
            self.assert_rpc_error("unknown_key", "policy.explain", {"questions": ["args"], "signer": kid})
        self.assertEqual(len(self.client.call("policy.explain", {"questions": ["args"] * 32})["answers"]), 32)

    def test_a_guest_gets_what_explain_says(self):
        self.cases = self.told = 0
        for _ in range(WORLDS):
            self.new_rules()
            for grant, module in self.wasm:
                request = random_policy(self.r, 0.9)
                questions = ["args", "signature unsigned", "clock fixed", "clock coarse", "clock real", "random seeded",
                             "random real", "limit memory_bytes %d" % (self.r.choice((3, 6, 12, 24)) << 20)]
                questions += ["env " + n for n in NAMES]
                for i, place in enumerate(self.r.sample(PLACES, 5)):
                    paths = {right: "%s/%s%d" % (place, right, i) for right in RIGHTS}
                    questions += ["fs %s %s" % item for item in paths.items()]
                    questions += ["fs inline " + path for right, path in paths.items() if right != "create"]
                questions += ["fs mount " + top for top in TOPS]
                answers = self.explained(grant, request, questions)
                unsigned = answers["signature unsigned"]
                self.check_refusals(module, request, answers, unsigned)
                if "signature" in module or unsigned["answer"] == "allow":
                    mounts = {top for top in TOPS if answers["fs mount " + top]["answer"] == "allow"}
                    self.check_guest(module, request, answers, mounts)
        print("# %d cases; %d denials at run time named the layer" % (self.cases, self.told))
        self.assertGreater(self.cases, 100 * WORLDS)
        self.assertGreater(self.told, 0)


class Examples(harness.Scenario):
    """examples/policies, as policies of requests under the built-in ceiling."""

    DIRECTORY = os.path.join(harness.ROOT, "examples", "policies")

    def document(self, name):
        with open(os.path.join(self.DIRECTORY, name), encoding="utf-8") as f:
            return json.load(f)

    def asked(self, name, lines, **more):
        """line -> "OK" or an error, as a guest finds it under an example."""
        result = self.client.call("run", dict(more, module=self.module(guest("asks")), policy=self.document(name),
                                              stdin="".join(line + "\n" for line in lines)))
        self.assert_exited(result)
        return dict(line.rsplit(": ", 1) for line in result["stdout"].splitlines() if ": " in line), result

    def assert_granted(self, name, granted, withheld, **more):
        said, result = self.asked(name, granted + withheld, **more)
        self.assertEqual([line for line in granted if said[line] != "OK"], [])
        self.assertEqual([line for line in withheld if said[line] == "OK"], [])
        return result

    def test_each_is_good_and_explained(self):
        names = sorted(n for n in os.listdir(self.DIRECTORY) if n.endswith(".json"))
        must(brig("policy", "check", *(os.path.join(self.DIRECTORY, n) for n in names)))
        with open(os.path.join(self.DIRECTORY, "README.md"), encoding="utf-8") as f:
            text = f.read()
        self.assertEqual([n for n in names if "| `%s` |" % n not in text], [])
        self.assertEqual(names, ["data-analysis.json", "edit-checkout.json", "pure-compute.json", "tool-using-agent.json"])

    def test_pure_compute(self):
        self.assert_granted("pure-compute.json", ["memory 67108864"], ["clock x", "random x", "read /etc/passwd",
                                                                       "memory 536870912"])
        self.assert_rpc_error("denied", "run", dict(module=self.module(guest("asks")), env={"HOME": "/"},
                                                    policy=self.document("pure-compute.json")))

    def test_data_analysis(self):
        result = self.assert_granted(
            "data-analysis.json", ["read /data/in.csv", "create /out/result.csv", "write /out/result.csv", "clock-is coarse",
                                   "env LANG"],
            ["write /data/in.csv", "create /data/other.csv", "unlink /data/in.csv", "clock-is real"],
            files={"/data/in.csv": "a,b\n1,2\n"}, env={"LANG": "C.UTF-8"})
        self.assertEqual([(c["change"], c["path"]) for c in result["changes"]], [("created", "/out/result.csv")])

    def test_edit_checkout(self):
        result = self.assert_granted(
            "edit-checkout.json", ["read /workspace/Makefile", "read /workspace/src/a.c", "write /workspace/src/a.c",
                                   "create /workspace/src/new.c", "unlink /workspace/src/old.c", "write /workspace/docs/a.md",
                                   "read /workspace/src/generated/g.c", "create /tmp/x"],
            ["write /workspace/Makefile", "read /workspace/.git/config", "write /workspace/.git/config",
             "create /workspace/.git/hooks", "write /workspace/src/generated/g.c", "create /workspace/docs/new.md",
             "unlink /workspace/docs/a.md", "create /workspace/new"],
            files={"/workspace/" + name: "" for name in ("Makefile", "src/a.c", "src/old.c", "src/generated/g.c", "docs/a.md",
                                                         ".git/config")})
        self.assertIn(("deleted", "/workspace/src/old.c"), [(c["change"], c["path"]) for c in result["changes"]])

    def test_tool_using_agent(self):
        self.assert_granted("tool-using-agent.json", ["create /scratch/notes", "clock-is coarse"],
                            ["read /dev/brig/tools/search_docs", "clock-is real"])
        example = os.path.join(self.DIRECTORY, "tool-using-agent.json")
        asked = ("tool search_docs", "tool other")
        told = json.loads(brig("policy", "explain", "--json", "--ceiling", example, *asked).stdout)
        self.assertEqual([a["answer"] for a in told], ["allow", "deny"])
        told = json.loads(brig("policy", "explain", "--json", "--request", example, *asked).stdout)
        self.assertEqual([(a["answer"], a["rule"]["layer"]) for a in told], [("deny", "ceiling")] * 2)


if __name__ == "__main__":
    harness.main()
