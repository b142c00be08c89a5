"""Language packs: source that an interpreter runs which the operator approved."""

import base64
import json
import os
import shutil

import harness
from harness import b64, brig, digest, guest, must
from wasm import custom

SOURCE = os.path.join(harness.ROOT, "runtime", "packs", "python")
FILES = [{"mount": "/w", "kind": "inline", "rights": ["read", "write", "create", "delete"]}]


class Packs(harness.Scenario):
    """A brigd with a directory for packs, and a key that may sign them."""

    @classmethod
    def setUpClass(cls):
        cls.packs = None
        super().setUpClass()
        cls.packer = os.path.join(cls.keys.directory, "packer")
        must(brig("keygen", "-o", cls.packer))
        cls.keys.edit("add", "--name", "packer", "--key", cls.packer + ".pub", "--packs")
        cls.add_packs()
        cls.reload()

    @classmethod
    def new_directory(cls, name):
        path = super().new_directory(name)
        if name == "brigd":  # before it starts
            cls.packs = os.path.join(cls.directory, "packs")
            os.mkdir(cls.packs, 0o755)
            os.chmod(cls.packs, 0o755)
            cls.options = (*cls.more_options, "--packs", cls.packs)
        return path

    more_options = ()

    @classmethod
    def add_packs(cls):
        cls.make_pack("test")

    @classmethod
    def make_pack(cls, name, args=("name",), key=None, wasm=None, **manifest):
        """Puts a signed pack of the C guest there."""
        path = os.path.join(cls.packs, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
        with open(os.path.join(path, "pack.wasm"), "wb") as f:
            f.write(wasm or guest("pack"))
        with open(os.path.join(path, "boot"), "w", encoding="ascii") as f:
            f.write("noise")
        cls.sign_pack(path, key, dict({"version": 1, "name": name, "release": "1", "module": {"file": "pack.wasm"},
                                       "bootstrap": {"file": "boot"}, "args": list(args)}, **manifest))
        return path

    @classmethod
    def sign_pack(cls, path, key, manifest):
        with open(os.path.join(path, "pack.json"), "w", encoding="utf-8") as f:
            json.dump(manifest, f)
        must(brig("pack", "sign", "-k", (key or cls.packer) + ".key", path))

    @classmethod
    def reload(cls, works=True):
        done = brig("server", "reload", "--socket", cls.brigd.socket)
        assert (done.returncode == 0) == works, (done.stderr, cls.brigd.log())

    def source(self, code, *args, pack="test", policy=None, limits=None, signature=None, **more):
        """The parameters of a run of this code."""
        module = {"pack": pack, "code": code if isinstance(code, str) else {"base64": b64(code)}}
        if signature:
            module["signature"] = signature
        asked = dict(self.ASK, signature={"source": "optional"})
        asked.update(policy or {})
        if limits:
            asked["limits"] = limits
        return dict({"module": module, "args": list(args), "policy": asked}, **more)

    def run_source(self, code, *args, **more):
        return self.client.call("run", self.source(code, *args, **more))

    def lines(self, code, *args, **more):
        result = self.run_source(code, *args, **more)
        self.assert_exited(result)
        return result["stdout"].splitlines()

    def pack(self, name="test"):
        return [p for p in self.client.call("pack.list")["packs"] if p["name"] == name][0]


class Runs(Packs):
    """What a run through a pack gets, and what becomes of it: each starts the pack anew."""

    more_options = ("--templates-max", "0")

    @classmethod
    def add_packs(cls):
        cls.make_pack("test", env={"OF": "the pack"})
        for how in ("noise", "stdin", "twice", "never", "loop"):
            cls.make_pack(how, args=("name", how))
        cls.make_pack("booted", args=("name", "{bootstrap}"))
        cls.make_pack("granted", grant={"version": 1, "signature": {"source": "optional"}, "args": False})

    def test_it_gets_source_arguments_environment_and_input(self):
        self.assertEqual(self.lines("print it runs\nstdin\n", "one", "two words", name="prog", env={"A": "1", "B": "2=3"},
                                    stdin="in\n"),
                         ["arg prog", "arg one", "arg two words", "env A=1", "env B=2=3", "it runs", "in",
                          "started as name"])
        self.assertEqual(self.lines(""), ["arg main", "started as name"])

    def test_input_can_be_streamed(self):
        run = self.client.start("run", self.source("stdin\nprint end", stdin={"stream": True}, stream=True))
        run_id = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.input", {"run_id": run_id, "data": "a line\n", "end": True})
        self.assert_exited(self.client.finish(run))
        self.assertEqual(self.client.output().splitlines(), [b"arg main", b"a line", b"end", b"started as name"])

    def test_files_are_there_and_changes_come_back(self):
        code = "cat /w/in\nsave /w/out\ncat /w/out\ncat /nothing\ncat /"
        result = self.run_source(code, files={"/w/in": "given\n"}, policy={"fs": FILES})
        self.assert_exited(result)
        self.assertEqual(result["stdout"].splitlines()[1:5],
                         ["given", "saved", "open: No such file or directory", "open: Capabilities insufficient"])
        self.assertEqual([(c["change"], c["path"], c["content"]) for c in result["changes"]],
                         [("created", "/w/out", "saved\n")])
        self.assertEqual([(d["capability"], d["target"]) for d in result["denials"]], [("fs.read", "/")])

    def test_a_mount_at_the_root_is_the_root(self):
        result = self.run_source("cat /in\nsave /out", files={"/in": "given\n"}, policy={"fs": [dict(FILES[0], mount="/")]})
        self.assertEqual([(c["change"], c["path"]) for c in result["changes"]], [("created", "/out")])
        self.assertIn("given", result["stdout"])

    def test_the_result_and_the_log_say_what_ran(self):
        code = "print it"
        result = self.run_source(code)
        pack = self.pack()
        self.assertEqual(result["pack"], {"name": "test", "digest": pack["digest"]})
        self.assertEqual(result["source"], {"digest": digest(code.encode()), "signer": None})
        self.assertEqual(result["module"], {"digest": digest(guest("pack")), "signer": pack["signer"],
                                            "signature": "detached"})
        with open(os.path.join(self.packs, "test", "pack.json"), "rb") as f:
            self.assertEqual(pack["digest"], digest(f.read()))
        ours = [r["unmapped"]["brig"] for r in self.brigd.audit_log()
                if r.get("process", {}).get("uid") == result["run_id"]]
        self.assertEqual(len(ours), 2)
        for record in ours:
            self.assertEqual(record["pack"], result["pack"])
            self.assertEqual(record["source"], {"digest": result["source"]["digest"]})

    def test_limits_traps_and_exit_codes_are_those_of_any_run(self):
        self.assert_exited(self.run_source("exit 7"), 7)
        self.assertEqual(self.run_source("trap")["status"], "trapped")
        slow = self.run_source("loop", limits={"wall_ms": 300})
        self.assertEqual((slow["status"], slow["limit"]), ("limit", "wall_ms"))
        few = self.run_source("loop", limits={"host_calls": 100})
        self.assertEqual((few["status"], few["limit"]), ("limit", "host_calls"))
        self.assertEqual(sum(few["usage"]["host_calls"].values()), 101)

    def test_what_is_not_granted_is_withheld_from_the_run_alone(self):
        self.assertEqual(self.lines("clock\nrandom")[1:3], ["clock: 0", "random: 0"])
        params = self.source("clock\nrandom")
        del params["policy"]["clock"], params["policy"]["random"]
        result = self.client.call("run", params)
        self.assertEqual(result["stdout"].splitlines()[1:3], ["clock: Capabilities insufficient",
                                                              "random: Capabilities insufficient"])
        self.assertEqual(sorted(d["capability"] for d in result["denials"]), ["clock", "random"])

    def test_the_job_is_read_once(self):
        self.assertEqual(self.lines("again\nrest\nwrite\nseek\nstat\nclose 4\nrest\nagain")[1:-1],
                         ["again: No such file or directory", "rest: 0", "write: Bad file descriptor",
                          "seek: Invalid seek", "stat: 0", "close: 0", "rest: Bad file descriptor",
                          "again: No such file or directory"])

    def test_code_that_closes_what_it_has(self):
        result = self.run_source("close 0\nclose 3\nclose 4\nsave /w/x\nclose 1\nprint unseen",
                                 policy={"fs": FILES})
        self.assertEqual(result["status"], "exited")

    def test_what_the_pack_does_before_is_not_the_runs(self):
        result = self.run_source("print it", pack="noise")
        self.assert_exited(result)
        self.assertIn("it", result["stdout"].splitlines())
        self.assertEqual(result["stderr"], "it starts\n")
        self.assertEqual(self.lines("stdin", pack="stdin", stdin="whole\n"),
                         ["stdin: 0", "arg main", "whole", "started as name"])
        self.assertIn("args_sizes_get", self.run_guest("exit", 0)["usage"]["host_calls"])
        self.assertNotIn("args_sizes_get", result["usage"]["host_calls"])

    def test_a_pack_that_does_not_ask_as_it_must(self):
        twice = self.run_source("print it", pack="twice")
        self.assertEqual((twice["status"], twice["failure"]), ("failed", "not_started"))
        self.assertIn("descriptor", twice["reason"])
        self.assert_exited(self.run_source("print it", pack="never"), 5)
        loop = self.run_source("print it", pack="loop", limits={"wall_ms": 200})
        self.assertEqual((loop["status"], loop["limit"]), ("limit", "wall_ms"))

    def test_the_bootstrap_is_an_argument(self):
        self.assertEqual(self.run_source("", pack="booted")["stderr"], "it starts\n")

    def test_the_grant_of_a_pack_narrows(self):
        self.assert_exited(self.run_source("", pack="granted"))
        error = self.assert_rpc_error("denied", "run", self.source("", "argument", pack="granted"))
        self.assertEqual(error.data["denial"]["rule"], {"layer": "pack", "field": "args"})

    def test_what_a_pack_grants_is_explained(self):
        explain = lambda **params: self.client.call("policy.explain", dict(params, questions=["args"]))["answers"][0]
        answer = explain(pack="granted")
        self.assertEqual((answer["answer"], answer["rule"]["layer"]), ("deny", "pack"))
        self.assertEqual((explain(pack="test")["answer"], explain()["answer"]), ("allow", "allow"))
        narrow = explain(pack="test", policy={"version": 1, "args": False})
        self.assertEqual((narrow["answer"], narrow["rule"]["layer"]), ("deny", "request"))
        done = brig("policy", "explain", "--server", "--socket", self.brigd.socket, "--pack", "granted", "args")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the grant of the language pack", done.stdout.decode())
        self.assert_rpc_error("pack_not_found", "policy.explain", {"questions": ["args"], "pack": "none"})
        self.assert_rpc_error("invalid_params", "policy.explain", {"questions": ["args"], "pack": 1})

    def test_learning_what_source_needs(self):
        policy = {"mode": "learn", "fs": FILES}
        result = self.run_source("cat /w/in\nclock", files={"/w/in": "x"}, policy=policy)
        self.assert_exited(result)
        learned = result["learned"]["policy"]
        self.assertEqual(learned["signature"]["source"], "optional")
        self.assertEqual([f["mount"] for f in learned["fs"]], ["/w"])
        again = self.client.call("run", dict(self.source("cat /w/in\nclock", files={"/w/in": "x"}), policy=learned))
        self.assert_exited(again)

    def test_bytes_of_every_kind_are_source(self):
        result = self.run_source(b"print \xff\xfe\n")
        self.assertEqual((result["encoding"], base64.b64decode(result["stdout"]).splitlines()[1]), ("base64", b"\xff\xfe"))
        self.assertEqual(self.lines(b"print a\0print b")[1], "a")

    def test_a_key_names_one_request(self):
        first = self.client.call("run", self.source("print 1", key="k"))
        self.assertEqual(self.client.call("run", self.source("print 1", key="k"))["run_id"], first["run_id"])
        self.assert_rpc_error("key_in_use", "run", self.source("print 2", key="k"))
        self.assert_rpc_error("key_in_use", "run", self.source("print 1", key="k", pack="noise"))


class Snapshots(Packs):
    """Packs that are kept started: their runs are copies of one process, made where it asks for its job."""

    more_options = ("--group", "root") if harness.IS_ROOT else ()

    @classmethod
    def add_packs(cls):
        for how in ("test", "noise", "twice", "never", "endless"):
            cls.make_pack(how, args=("name", how))
        cls.make_pack("cold", warm=False)

    def heat_up(self, client=None, **more):
        """Runs it until it is a copy; that run's result."""
        for _ in range(5000):
            result = (client or self.client).call("run", self.source("print it", **more))
            self.assert_exited(result)
            if result["usage"]["start"] == "snapshot":
                return result
        self.fail("it never is a copy")

    def test_a_run_is_like_any_other(self):
        params = self.source("print it\nstdin\ncat /w/in\nsave /w/out\nclock\nrandom\nagain", "a", env={"A": "1"},
                             stdin="in\n", files={"/w/in": "x\n"}, policy={"fs": FILES})
        first = self.client.call("run", params)
        self.heat_up()
        again = self.client.call("run", params)
        self.assertEqual(again["usage"]["start"], "snapshot")
        for member in ("status", "exit_code", "stdout", "stderr", "denials", "module", "policy", "pack", "source"):
            self.assertEqual(again[member], first[member])
        for member in ("host_calls", "fs_nodes", "peak_memory_bytes"):
            self.assertEqual(again["usage"][member], first["usage"][member])
        self.assertEqual([(c["path"], c["content"]) for c in again["changes"]], [("/w/out", "saved\n")])

    def test_each_run_has_its_own_limits(self):
        self.heat_up()
        slow = self.run_source("loop", limits={"wall_ms": 300})
        self.assertEqual((slow["status"], slow["limit"], slow["usage"]["start"]), ("limit", "wall_ms", "snapshot"))
        few = self.run_source("loop", limits={"host_calls": 100})
        self.assertEqual((few["status"], few["limit"], few["usage"]["start"]), ("limit", "host_calls", "snapshot"))
        small = self.run_source("print it", limits={"memory_bytes": 65536})
        self.assertEqual((small["status"], small["limit"], small["usage"]["start"]), ("limit", "memory_bytes", "snapshot"))
        self.assertEqual(self.run_source("trap")["status"], "trapped")
        self.assert_exited(self.run_source("exit 9"), 9)

    def test_what_is_withheld_from_a_run(self):
        self.heat_up()
        params = self.source("clock\nrandom\ncat /")
        del params["policy"]["clock"], params["policy"]["random"]
        result = self.client.call("run", params)
        self.assertEqual(result["usage"]["start"], "snapshot")
        self.assertEqual(sorted(d["capability"] for d in result["denials"]), ["clock", "fs.read", "random"])

    def test_streams_and_large_jobs(self):
        self.heat_up()
        result = self.run_source("stdin\n" + "#" * 200000, stdin="x" * 200000)
        self.assertEqual((len(result["stdout"]), result["usage"]["start"]), (200000 + len("arg main\nstarted as name\n"),
                                                                             "snapshot"))
        run = self.client.start("run", self.source("stdin", stdin={"stream": True}, stream=True))
        run_id = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.input", {"run_id": run_id, "data": "a line\n", "end": True})
        self.assertEqual(self.client.finish(run)["usage"]["start"], "snapshot")
        self.assertIn(b"a line", self.client.output())

    def test_users_share_it_and_nothing_else(self):
        other = self.client_of(23456)
        self.heat_up()
        result = other.call("run", self.source("print it"))
        self.assertEqual(result["usage"]["start"], "snapshot")

    def test_a_pack_that_may_not_be_kept_is_not(self):
        starts = {self.run_source("print it", pack="cold")["usage"]["start"] for _ in range(20)}
        self.assertNotIn("snapshot", starts)

    def test_what_a_pack_says_while_it_starts_is_nobodys(self):
        self.assertEqual(self.heat_up(pack="noise")["stderr"], "")

    def test_a_pack_whose_rehearsal_does_not_end_is_kept_without(self):
        self.assertIn("it", self.heat_up(pack="endless")["stdout"].splitlines())

    def test_what_a_rehearsal_does_is_seen_by_no_run(self):
        """It has been through the guest with an empty source, which printed, by the time there is a copy."""
        result = self.heat_up()
        self.assertEqual(result["stdout"], "arg main\nit\nstarted as name\n")
        self.assertEqual(result["usage"]["stdout_bytes"], len(result["stdout"]))

    def test_packs_that_never_ask(self):
        for _ in range(20):
            self.assertEqual(self.run_source("", pack="twice")["status"], "failed")
            self.assert_exited(self.run_source("", pack="never"), 5)

    def test_a_revoked_pack_has_no_runs_and_a_new_one_its_own(self):
        self.make_pack("changes")
        self.reload()
        self.heat_up(pack="changes")
        self.make_pack("changes", args=("renamed",))
        self.reload()
        result = self.run_source("", pack="changes")
        self.assertIn("started as renamed", result["stdout"])
        self.assertNotEqual(result["usage"]["start"], "snapshot")
        self.keys.edit("revoke-module", self.pack("changes")["digest"])
        self.reload()
        self.assert_rpc_error("revoked", "run", self.source("", pack="changes"))


class Ahead(Packs):
    """Packs are compiled and started before anybody has run one."""

    @classmethod
    def add_packs(cls):
        cls.make_pack("test")
        cls.make_pack("cold", warm=False, args=("cold",), wasm=guest("pack") + custom("other", b"module"))

    def kept(self):
        """Which packs have a template."""
        modules = [t["module"] for t in self.client.call("server.metrics")["templates"]]
        return {p["name"] for p in self.client.call("pack.list")["packs"] if p["digest"] in modules}

    def test_packs_are_there_before_their_first_run_and_only_those_that_may(self):
        harness.wait_until(lambda: self.kept() == {"test"}, "the pack is kept started")
        self.assertEqual(self.client.call("server.health")["runs"], 0)
        harness.wait_until(lambda: self.client.call("server.metrics")["compile"]["done"] == 2, "both are compiled")
        self.keys.edit("revoke-module", self.pack("test")["digest"])
        self.reload()
        self.make_pack("new", args=("new",))
        self.reload()
        harness.wait_until(lambda: self.kept() == {"new"}, "the new one is")
        result = harness.wait_until(lambda: self.snapshot("new"), "it has started")
        self.assertIn("started as new", result["stdout"])

    def snapshot(self, pack):
        result = self.run_source("", pack=pack)
        self.assert_exited(result)
        return result if result["usage"]["start"] == "snapshot" else None


class Python(Packs):
    """CPython, as it is shipped: compiled once, which takes its time."""

    more_options = ("--compile-ms", "600000", "--source-bytes", str(32 << 20))
    LIMITS = {"wall_ms": 60000, "cpu_ms": 60000, "memory_bytes": 256 << 20}

    @classmethod
    def add_packs(cls):
        path = os.path.join(cls.packs, "python")
        shutil.copytree(SOURCE, path)
        with open(os.path.join(path, "python.wasm"), "wb") as f:
            f.write(guest("python"))
        must(brig("pack", "sign", "-k", cls.packer + ".key", path))

    def setUp(self):
        super().setUp()
        self.client.socket.settimeout(600)  # for the compiler, where many share a machine

    def source(self, code, *args, pack="python", limits=None, **more):
        return super().source(code, *args, pack=pack, limits=dict(self.LIMITS, **(limits or {})), **more)

    def printed(self, code, *args, **more):
        result = self.run_source(code, *args, **more)
        self.assert_exited(result)
        return result["stdout"]

    def fails(self, code, **more):
        """The lines of standard error of code that ends with an exception."""
        result = self.run_source(code, **more)
        self.assert_exited(result, 1)
        return result["stderr"].splitlines()

    def test_arguments_environment_input_and_files(self):
        code = """if True:
            import os, sys
            print(__name__, sys.argv, os.environ["A"], os.getenv("PATH"), sys.stdin.read())
            with open("/w/in") as f, open("/w/out", "w") as g:
                g.write(f.read().upper())
            print(os.listdir("/w"))
        """
        result = self.run_source(code, "x", "é", name="prog", env={"A": "ü"}, stdin="typed", files={"/w/in": "text"},
                                 policy={"fs": FILES})
        self.assert_exited(result)
        self.assertEqual(result["stdout"], "__main__ ['prog', 'x', 'é'] ü None typed\n['in', 'out']\n")
        self.assertEqual([(c["path"], c["content"]) for c in result["changes"]], [("/w/out", "TEXT")])
        self.assertEqual(result["denials"], [])

    def test_exit_codes(self):
        for code, expected in (("", 0), ("import sys; sys.exit()", 0), ("raise SystemExit(7)", 7), ("exit(3)", 3),
                               ("import os; os._exit(9)", 9), ("raise SystemExit(-1)", 0xffffffff),
                               ("raise SystemExit('no')", 1), ("raise SystemExit(True)", 1)):
            with self.subTest(code):
                self.assert_exited(self.run_source(code), expected)
        self.assertEqual(self.run_source("raise SystemExit('why')")["stderr"], "why\n")

    def test_tracebacks_show_the_source_alone(self):
        lines = self.fails("def f():\n    return 1 / 0\n\nf()\n")
        self.assertEqual([line for line in lines if "^" not in line and "~" not in line],
                         ["Traceback (most recent call last):", '  File "<code>", line 4, in <module>', "    f()",
                          '  File "<code>", line 2, in f', "    return 1 / 0", "ZeroDivisionError: division by zero"])
        lines = self.fails("a = 1\nb = = 2\n")
        self.assertEqual((lines[0], lines[1], lines[-1]), ('  File "<code>", line 2', "    b = = 2",
                                                           "SyntaxError: invalid syntax"))
        chained = self.fails("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError(1) from e")
        self.assertNotIn("<string>", "\n".join(chained))
        self.assertEqual(self.fails("import sys\nsys.excepthook = lambda *a: sys.stderr.write('mine')\n1 / 0"), ["mine"])

    def test_source_that_is_no_python(self):
        self.assertIn("null bytes", self.fails(b"print(1)\0")[-1])
        self.assertIn("SyntaxError", self.fails(b"x = '\xff'")[-1])
        self.assertEqual(self.printed(b"\xef\xbb\xbfprint(1)\n"), "1\n")
        self.assertEqual(self.printed(b"# coding: latin-1\nprint('\xe9')\n"), "é\n")
        self.assertEqual(self.printed("#" * (16 << 20) + "\nprint(2)"), "2\n")

    def test_what_is_printed_is_there_when_it_is_ended(self):
        result = self.run_source("print('before')\nwhile True: pass", limits={"wall_ms": 20000, "cpu_ms": 5000})
        self.assertEqual((result["status"], result["stdout"]), ("limit", "before\n"))

    def test_memory_is_bounded(self):
        self.assertEqual(self.fails("x = []\nwhile True: x.append(bytearray(1 << 20))",
                                    limits={"memory_bytes": 64 << 20})[-1], "MemoryError")

    def test_at_exit_and_output_left_in_buffers(self):
        self.assertEqual(self.printed("import atexit, sys; atexit.register(print, 'last'); sys.stdout.write('half ')"),
                         "half last\n")

    def test_code_that_breaks_what_it_stands_on(self):
        for code in ("import os\nfor i in range(64):\n    try: os.close(i)\n    except OSError: pass",
                     "import sys; sys.stdout = sys.stderr = None", "import sys; sys.modules.clear()",
                     "import builtins; builtins.__dict__.clear()", "del __builtins__", "import sys; sys.stdout.close()",
                     "import os; os.environ.clear(); os._exit = None", "def f(): f()\nf()"):
            with self.subTest(code):
                self.assertIn(self.run_source(code)["status"], ("exited", "trapped"))
        self.assertEqual(self.printed("print(1)"), "1\n")

    def test_two_runs_share_nothing_that_is_to_be_fresh(self):
        code = """if True:
            import random, secrets, tempfile, uuid
            print(random.random(), random.getrandbits(64), uuid.uuid4(), secrets.token_hex(8),
                  next(tempfile._get_candidate_names()), sep="\\n")
        """
        seen = []
        while len(seen) < 2:  # from one template
            result = self.run_source(code)
            self.assert_exited(result)
            if result["usage"]["start"] == "snapshot":
                seen.append(result["stdout"].split())
        self.assertEqual([a for a, b in zip(*seen) if a == b], [])

    def test_classes_and_pickles_know_their_module(self):
        self.assertEqual(self.printed("import pickle, dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\n"
                                      "print(pickle.loads(pickle.dumps(A(2))))"), "A(x=2)\n")


class Refusals(Packs):
    """What is no request, no pack, or none that counts."""

    more_options = ("--source-bytes", "4096")

    def test_requests_that_make_no_sense(self):
        for module in ({"pack": "test"}, {"code": ""}, {"pack": 1, "code": ""}, {"pack": "test", "code": 1},
                       {"pack": "test", "code": "", "wasm": ""}, {"pack": "test", "code": {"base64": "?"}}):
            self.assert_rpc_error("invalid_params", "run", {"module": module})
        self.assert_rpc_error("invalid_params", "module.put", {"pack": "test", "code": ""})
        self.assert_rpc_error("pack_not_found", "run", {"module": {"pack": "tset", "code": ""}})
        self.assert_rpc_error("invalid_params", "pack.list", {"x": 1})

    def test_source_has_a_largest_size(self):
        self.assert_exited(self.run_source("print " + 4089 * "x" + "\n"))
        self.assert_rpc_error("source_too_large", "run", self.source(4097 * "x"))

    def test_source_that_has_to_be_signed(self):
        code = "print signed"
        params = self.source(code)
        params["policy"]["signature"]["source"] = "required"
        error = self.assert_rpc_error("unsigned_source", "run", params)
        self.assertIn("brig sign --detached", error.message)
        params["module"]["signature"] = self.keys.sign(code.encode(), detached=True)
        result = self.client.call("run", params)
        self.assert_exited(result)
        self.assertIsNotNone(result["source"]["signer"])
        params["module"]["code"] = "print forged"
        self.assert_rpc_error("bad_signature", "run", params)

    def test_a_signature_that_is_there_must_hold(self):
        signature = self.keys.sign(b"print a", detached=True)
        self.assert_exited(self.run_source("print a", signature=signature))
        self.assert_rpc_error("bad_signature", "run", self.source("print b", signature=signature))
        self.assert_rpc_error("bad_signature", "run", self.source("print a", signature="nonsense"))

    def test_revoked_source(self):
        self.assert_exited(self.run_source("print bad"))
        self.keys.edit("revoke-module", digest(b"print bad"))
        self.reload()
        self.assert_rpc_error("revoked", "run", self.source("print bad"))
        self.assert_exited(self.run_source("print good"))

    def test_only_a_key_that_may_sign_packs_does(self):
        self.make_pack("wrong", key=self.keys.signer)
        self.addCleanup(self.remove, "wrong")
        self.reload()
        error = self.assert_rpc_error("unknown_key", "run", self.source("", pack="wrong"))
        self.assertIn("--packs", error.message)
        self.assertFalse(self.pack("wrong")["usable"])
        self.assertTrue(self.pack("test")["usable"])

    def remove(self, name):
        shutil.rmtree(os.path.join(self.packs, name))
        self.reload()

    def test_a_pack_by_an_unknown_or_a_revoked_key(self):
        key = os.path.join(self.keys.directory, "stranger")
        must(brig("keygen", "-o", key))
        self.make_pack("strange", key=key)
        self.addCleanup(self.remove, "strange")
        self.reload()
        self.assert_rpc_error("unknown_key", "run", self.source("", pack="strange"))
        self.keys.edit("add", "--name", "stranger", "--key", key + ".pub", "--packs")
        self.reload()
        self.assert_exited(self.run_source("", pack="strange"))
        self.keys.edit("revoke", "stranger")
        self.reload()
        self.assert_rpc_error("revoked", "run", self.source("", pack="strange"))

    def test_a_revoked_manifest(self):
        self.make_pack("old")
        self.addCleanup(self.remove, "old")
        self.reload()
        self.assert_exited(self.run_source("", pack="old"))
        self.keys.edit("revoke-module", self.pack("old")["digest"])
        self.reload()
        self.assert_rpc_error("revoked", "run", self.source("", pack="old"))

    def test_a_pack_that_is_not_whole_keeps_the_rules_that_were(self):
        def change(name, data):
            def do(path):
                with open(os.path.join(path, name), "wb") as f:
                    f.write(data)
            return do

        def unsign(path):
            os.remove(os.path.join(path, "pack.json.minisig"))

        for what, do in (("module", change("pack.wasm", b"other")), ("bootstrap", change("boot", b"other")),
                         ("no signature", unsign), ("manifest", change("pack.json", b"{}"))):
            with self.subTest(what):
                do(self.make_pack("broken", wasm=guest("pack") + b"\0\2\1x"))
                self.reload(works=False)
                self.assert_exited(self.run_source("print it"))
                self.remove("broken")
        with self.subTest("forged manifest"):
            path = self.make_pack("forged")
            with open(os.path.join(path, "pack.json"), encoding="utf-8") as f:
                text = f.read()
            change("pack.json", text.replace('"1"', '"2"').encode())(path)
            self.reload()
            self.assert_rpc_error("bad_signature", "run", self.source("", pack="forged"))
            self.remove("forged")

    def test_manifests_that_say_nonsense(self):
        good = {"version": 1, "name": "odd", "release": "1", "module": {"file": "pack.wasm"},
                "bootstrap": {"file": "boot"}, "args": ["x"]}
        path = self.make_pack("odd")
        self.addCleanup(self.remove, "odd")
        for change in ({"version": 2}, {"name": "A"}, {"name": ""}, {"release": 1}, {"args": []}, {"args": [1]},
                       {"env": []}, {"env": {"A=B": ""}}, {"env": {"A": 1}}, {"warm": 1}, {"grant": 1},
                       {"grant": {"nonsense": 1}}, {"modul": 1}, {"module": {"file": "../odd/pack.wasm"}},
                       {"module": {"file": "absent"}}, {"name": "test"}):
            with self.subTest(change):
                with open(os.path.join(path, "pack.json"), "w", encoding="utf-8") as f:
                    json.dump(dict(good, **change), f)
                if "test" not in change.values():  # only brigd can know that there are two
                    self.assertNotEqual(brig("pack", "sign", "-k", self.packer + ".key", path).returncode, 0)
                self.reload(works=False)
        self.sign_pack(path, None, good)
        self.reload()
        self.assert_exited(self.run_source("", pack="odd"))


class Command(Packs):
    """The brig command."""

    def brig(self, *args, **more):
        env = {"HOME": self.directory, "XDG_CONFIG_HOME": os.path.join(self.directory, "config"),
               "BRIG_SOCKET": self.brigd.socket}
        return brig(*args, env=env, **more)

    def test_run(self):
        path = os.path.join(self.directory, "source")
        with open(path, "w", encoding="utf-8") as f:
            f.write("print it\nexit 3")
        result = self.brig("run", "--pack", "test", path, "one", "--two")
        self.assertEqual((result.returncode, result.stdout),
                         (3, b"arg source\narg one\narg --two\nit\n".replace(b"source", os.path.basename(path).encode())))
        result = self.brig("run", "--pack", "test", "-c", "stdin", "one", input=b"typed\n")
        self.assertEqual(result.stdout, b"arg -c\narg one\ntyped\nstarted as name\n")
        result = self.brig("run", "--pack", "test", "-", input=b"print piped")
        self.assertEqual(result.stdout, b"arg main\npiped\nstarted as name\n")
        must(self.brig("sign", "--detached", "-k", self.keys.signer + ".key", path))
        result = self.brig("run", "--json", "--pack", "test", path)
        self.assertIsNotNone(json.loads(result.stdout)["source"]["signer"])

    def test_list(self):
        lines = must(self.brig("pack", "list")).stdout.decode().splitlines()
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith("test "), lines)
        self.assertEqual(json.loads(must(self.brig("pack", "list", "--json")).stdout)["packs"][0]["name"], "test")

    def test_command_lines_that_make_no_sense(self):
        for args in (("--pack", "test"), ("-c", "x"), ("--pack", "test", "/nonexistent")):
            self.assertEqual(self.brig("run", *args).returncode, 125, args)
        self.assertEqual(self.brig("pack", "sign").returncode, 2)
        refused = self.brig("run", "--pack", "absent", "-c", "x")
        self.assertEqual(refused.returncode, 125)
        self.assertIn(b"brig pack list", refused.stderr)


if __name__ == "__main__":
    harness.main()
