"""The brig command, used as a person uses it."""

import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import brig, guest, must, program

VERBS = ("run", "apply", "keygen", "sign", "verify", "keys", "policy", "module", "server", "bench", "audit", "doctor")


class Fresh(unittest.TestCase):
    """A user of whom brig knows nothing yet: an empty home directory."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="brig-home-")
        cls.addClassCleanup(shutil.rmtree, cls.home)
        runtime = os.path.join(cls.home, "run")
        os.mkdir(runtime, 0o700)
        cls.env = {"HOME": cls.home, "XDG_RUNTIME_DIR": runtime, "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "",
                   "XDG_CACHE_HOME": "", "BRIG_SOCKET": ""}
        for name in ("guest", "hello"):
            with open(os.path.join(cls.home, name + ".wasm"), "wb") as f:
                f.write(guest(name))
        cls.first = brig("run", cls.wasm("hello"), env=cls.clean_env())

    @classmethod
    def clean_env(cls):
        return {k: v for k, v in cls.env.items() if v}

    @classmethod
    def tearDownClass(cls):
        for pid, name in harness.descendants(os.getpid()).items():
            if name == "brigd":
                os.kill(pid, signal.SIGTERM)
        left = harness.wait_for_orphans()
        assert not left, "left running: %s" % left

    @classmethod
    def wasm(cls, name="guest"):
        return os.path.join(cls.home, name + ".wasm")

    def run_brig(self, *args, **more):
        return brig("run", *args, env=self.clean_env(), **more)

    def brigds(self):
        return [pid for pid, name in harness.descendants(os.getpid()).items() if name == "brigd"]


class Home(Fresh):
    def test_first_run_makes_key_keyring_and_brigd_and_says_so(self):
        self.assertEqual((self.first.returncode, self.first.stdout), (0, b"hello from inside the brig\n"),
                         self.first.stderr)
        self.assertIn(b"brigd", self.first.stderr)
        keys = [os.path.join(d, n) for d, _, names in os.walk(os.path.join(self.home, ".config", "brig"))
                for n in names if n.endswith(".key")]
        self.assertTrue(keys)
        for path in keys:
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600, path)

    def test_second_run_says_nothing_of_its_own(self):
        done = self.run_brig(self.wasm("hello"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"hello from inside the brig\n", b""))
        self.assertEqual(len(self.brigds()), 1)

    def test_several_first_runs_at_once_start_one_brigd(self):
        home = os.path.join(self.home, "crowd")
        os.makedirs(os.path.join(home, "run"), 0o700)
        env = dict(os.environ, **dict(self.clean_env(), HOME=home, XDG_RUNTIME_DIR=os.path.join(home, "run")))
        before = set(self.brigds())
        crowd = [subprocess.Popen([program("brig"), "run", self.wasm("hello")], env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)]
        for one in crowd:
            out, err = one.communicate(timeout=harness.PATIENCE)
            self.assertEqual((one.returncode, out), (0, b"hello from inside the brig\n"), err)
        self.assertEqual(len(set(self.brigds()) - before), 1)

    def test_arguments_input_output_and_exit_code_pass_through(self):
        done = self.run_brig(self.wasm(), "args", "--not-ours", "x y")
        self.assertEqual(done.stdout.splitlines()[1:], [b"4:args", b"10:--not-ours", b"3:x y"])
        self.assertEqual(self.run_brig(self.wasm(), "exit", "42").returncode, 42)
        blob = bytes(range(256)) * 4000
        done = self.run_brig(self.wasm(), "cat", input=blob)
        self.assertEqual((done.returncode, done.stdout == blob), (0, True), done.stderr)
        done = self.run_brig(self.wasm(), "both", "x")
        self.assertEqual((done.stdout, done.stderr), (b"out x\n", b"err x\n"))

    def test_module_from_standard_input(self):
        done = self.run_brig("-", input=guest("hello"))
        self.assertEqual((done.returncode, done.stdout), (0, b"hello from inside the brig\n"), done.stderr)

    def test_environment_is_what_was_asked_for(self):
        done = brig("run", "--env", "A=1", "--env", "B", self.wasm(), "env",
                    env=dict(self.clean_env(), B="two", C="three"))
        self.assertEqual(sorted(done.stdout.splitlines()), [b"3:A=1", b"5:B=two"])

    def test_json_is_the_whole_result(self):
        done = self.run_brig("--json", self.wasm(), "exit", "3")
        result = json.loads(done.stdout)
        self.assertEqual((result["status"], result["exit_code"]), ("exited", 3))
        self.assertIn("usage", result)

    def test_json_of_a_refusal_is_the_error(self):
        done = self.run_brig("--json", "--no-sign", self.wasm("hello"))
        error = json.loads(done.stdout)["error"]
        self.assertEqual((done.returncode, error["data"]["name"]), (126, "unsigned_module"))
        self.assertIn(error["message"].encode(), done.stderr)

    def test_usage_goes_to_stderr(self):
        done = self.run_brig("--usage", self.wasm("hello"))
        self.assertEqual(done.stdout, b"hello from inside the brig\n")
        self.assertRegex(done.stderr.decode(), "(?i)memory")

    def test_limit_is_exit_124_and_says_how_to_raise_it(self):
        done = self.run_brig("--limit", "wall_ms=100ms", self.wasm(), "loop")
        self.assertEqual((done.returncode, done.stdout), (124, b"looping\n"), done.stderr)
        self.assertIn(b"wall_ms", done.stderr)

    def test_a_time_names_its_unit_and_memory_has_an_option(self):
        done = self.run_brig("-t", "1", self.wasm(), "loop")
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertIn(b"1s or 1ms", done.stderr)
        done = self.run_brig("-t", "100ms", self.wasm(), "loop")
        self.assertEqual((done.returncode, b"100 ms" in done.stderr), (124, True), done.stderr)
        for option in (["-m", "64K"], ["--memory", "65536"], ["-l", "memory_bytes=64K"]):
            done = self.run_brig("--json", *option, self.wasm("hello"))
            self.assertIn("memory", done.stdout.decode())
            self.assertNotEqual(done.returncode, 0, option)
        must(self.run_brig("-m", "64M", self.wasm("hello")))

    def test_limits_of_the_command_line_take_the_place_of_the_policy_files_wherever_they_stand(self):
        path = os.path.join(self.home, "policy.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"version": 1, "args": True, "limits": {"wall_ms": 60000}}, f)
        for args in (["-p", path, "-t", "100ms"], ["-t", "5m", "-l", "wall_ms=100", "-p", path]):
            done = self.run_brig(*args, self.wasm(), "loop")
            self.assertEqual((done.returncode, b"100 ms" in done.stderr), (124, True), done.stderr)

    def test_what_was_learned_is_printed_or_written_and_serves_as_a_policy(self):
        done = self.run_brig("--learn", "-e", "LANG=C", self.wasm(), "both")
        self.assertEqual(done.returncode, 0, done.stderr)
        policy = json.loads(done.stdout)
        self.assertEqual((policy["args"], policy["env"], policy["clock"]), (True, ["LANG"], "none"))
        said = done.stderr.decode()
        plain = self.run_brig(self.wasm(), "both")
        self.assertIn(plain.stdout.decode(), said)  # the program's own, which makes room for the policy
        self.assertIn("env LANG: the request sets it", said)
        self.assertIn("limits memory_bytes: ", said)
        path = os.path.join(self.home, "learned.json")
        done = self.run_brig("--learn", "-o", path, self.wasm(), "both")
        self.assertEqual(done.stdout, plain.stdout)
        must(brig("policy", "check", path))
        with open(path, encoding="utf-8") as f:
            policy = json.load(f)
        policy["limits"].update(wall_ms=60000, cpu_ms=60000)  # what it took this once is no promise
        with open(path, "w", encoding="utf-8") as f:
            json.dump(policy, f)
        done = self.run_brig("--policy", path, self.wasm(), "both")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, plain.stdout, plain.stderr))
        learned = json.loads(self.run_brig("--learn", "--json", self.wasm(), "exit", 3).stdout)
        self.assertEqual((learned["exit_code"], learned["learned"]["complete"]), (3, True))
        self.assertEqual(self.run_brig("--learn", self.wasm(), "exit", 3).returncode, 3)
        self.assertEqual(self.run_brig("-o", path, self.wasm()).returncode, 125)
        done = self.run_brig("--learn", "-o", "/no/such/place", self.wasm(), "hello")
        self.assertEqual(done.returncode, 125)
        done = self.run_brig("--learn", "-t", "50ms", self.wasm(), "loop")
        self.assertEqual(done.returncode, 124)
        self.assertIn("did not come to its end", done.stderr.decode())

    def test_json_takes_more_input_than_a_request_could_hold(self):
        chunk = bytes(range(256)) * 4096
        with self.start("--json", "-t", "1m", "-l", "output_bytes=1K", self.wasm(), "cat", stdin=subprocess.PIPE) as one:
            def feed():
                for _ in range(17):
                    one.stdin.write(chunk)
                one.stdin.close()
            feeder = threading.Thread(target=feed)
            feeder.start()
            result = json.loads(one.stdout.read())
            feeder.join()
            one.stdin = None
            one.communicate(timeout=harness.PATIENCE)
        self.assertEqual((result["status"], result["usage"]["stdout_bytes"]), ("exited", 17 * len(chunk)), result)
        self.assertEqual(result["truncated"]["stdout"], True)

    def test_trap_is_exit_134_and_names_the_functions(self):
        done = self.run_brig(self.wasm(), "trap")
        self.assertEqual(done.returncode, 134)
        self.assertIn(b"innermost_frame", done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_unsigned_file_that_we_must_not_sign_is_exit_126(self):
        done = self.run_brig("--no-sign", self.wasm("hello"))
        self.assertEqual((done.returncode, done.stdout), (126, b""))
        self.assertEqual(done.stderr.count(b"brig sign"), 1, done.stderr)

    def test_missing_file_and_wrong_option_are_exit_125(self):
        for args in (["no-such-file.wasm"], ["--no-such-option", self.wasm()], ["--limit", "wall_sm=1", self.wasm()],
                     []):
            with self.subTest(args):
                done = self.run_brig(*args)
                self.assertEqual(done.returncode, 125, done.stderr)
                self.assertTrue(done.stderr)

    def test_what_is_no_module_is_named(self):
        for data, said in ((b"", b"empty"), (b"\x7fELF\x02\x01", b"native program"), (b"#!/bin/sh\n", b"script"),
                           (b"(module)", b"text form"), (b"int main", b"does not start with")):
            path = os.path.join(self.home, "no-module")
            with open(path, "wb") as f:
                f.write(data)
            done = self.run_brig(path)
            self.assertEqual((done.returncode, said in done.stderr), (125, True), done.stderr)

    def shell(self, line):
        """Runs a line of sh, in which $brig and $wasm stand for what they say."""
        env = dict(os.environ, **dict(self.clean_env(), brig=program("brig"), wasm=self.wasm()))
        return subprocess.run(["sh", "-c", line], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.PATIENCE)

    def test_closed_standard_streams_are_not_taken_for_others(self):
        must(self.run_brig(self.wasm("hello")))
        done = self.shell('"$brig" run "$wasm" cat <&-')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        done = self.shell('"$brig" run "$wasm" both x >&-')
        self.assertEqual((done.returncode, b"Bad file descriptor" in done.stderr), (125, True), done.stderr)
        done = self.shell('"$brig" run "$wasm" both x 2>&-')
        self.assertEqual(done.stdout, b"out x\n")

    def test_output_that_cannot_be_written_is_a_failure(self):
        for line in ("--help", "run --help", "module list", "policy limits", "keys list"):
            done = self.shell('"$brig" module put "$wasm" >/dev/null; "$brig" %s >/dev/full' % line)
            self.assertEqual((done.returncode, b"No space left" in done.stderr), (1, True), (line, done.stderr))
        done = self.shell('"$brig" run "$wasm" both x >/dev/full')
        self.assertEqual((done.returncode, b"No space left" in done.stderr), (125, True), done.stderr)

    def test_a_reader_that_has_enough_ends_it_without_a_word(self):
        done = self.shell('"$brig" run "$wasm" flood 900000 | head -c 5')
        self.assertEqual((len(done.stdout), done.stderr), (5, b""))

    def start(self, *args, stdin=subprocess.DEVNULL):
        env = dict(os.environ, **self.clean_env())
        return subprocess.Popen([program("brig"), "run", *args], env=env, stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_interrupt_cancels(self):
        with self.start(self.wasm(), "loop") as one:
            self.assertEqual(one.stdout.readline(), b"looping\n")
            one.send_signal(signal.SIGINT)
            one.communicate(timeout=harness.PATIENCE)
        self.assertEqual(one.returncode, 130)

    def test_a_reader_that_stops_early_ends_it(self):
        with self.start(self.wasm(), "flood", "1000000") as one:
            one.stdout.readline()
            one.stdout.close()
            one.stdout = None
            one.communicate(timeout=harness.PATIENCE)
        self.assertNotEqual(one.returncode, 0)

    def test_in_a_terminal_typed_lines_arrive(self):
        ours, its = pty.openpty()
        env = dict(os.environ, **self.clean_env())
        with subprocess.Popen([program("brig"), "run", self.wasm(), "lines"], env=env, stdin=its,
                              stdout=subprocess.PIPE) as one:
            os.write(ours, b"typed\n")
            self.assertEqual(one.stdout.readline(), b"got typed\n")
            os.write(ours, b"\x04")
            self.assertEqual(one.wait(harness.PATIENCE), 0)
        os.close(ours)
        os.close(its)


class Keys(Fresh):
    """What becomes of a private brigd whose keys are thrown away."""

    def forget(self):
        shutil.rmtree(os.path.join(self.home, ".config", "brig"))

    def other_key(self):
        must(brig("keygen", "-o", os.path.join(self.home, "other")))
        return os.path.join(self.home, "other.pub")

    def test_keys_thrown_away_are_made_again_and_count_in_the_next_brigd(self):
        done = must(brig("keys", "add", "--name", "other", "--owner", "no-such-user", "--key", self.other_key(),
                         env=self.clean_env()))
        self.assertIn(b'no user "no-such-user"', done.stderr)
        must(brig("keys", "expire", "--keyring-expires", "+100d", env=self.clean_env()))  # a version that the new has not
        must(self.run_brig(self.wasm("hello")))
        self.forget()
        done = self.run_brig(self.wasm("hello"))
        self.assertEqual(done.returncode, 126)
        self.assertIn(b"brig server stop", done.stderr)
        put = brig("module", "put", self.wasm("hello"), env=self.clean_env())
        self.assertEqual((put.returncode, b"brig server stop" in put.stderr), (1, True), put.stderr)
        must(brig("server", "stop", env=self.clean_env()))
        self.assertEqual(must(self.run_brig(self.wasm("hello"))).stdout, b"hello from inside the brig\n")

    def test_why_brigd_does_not_start_is_said_in_its_own_words(self):
        state = os.path.join(self.home, 'my "own" state\n')
        os.mkdir(state)
        os.mkdir(os.path.join(state, "brig"))
        os.chmod(os.path.join(state, "brig"), 0o777)
        runtime = os.path.join(self.home, "other-run")
        os.mkdir(runtime, 0o700)
        done = brig("run", self.wasm("hello"), env=dict(self.clean_env(), XDG_STATE_HOME=state, XDG_RUNTIME_DIR=runtime))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b'brigd did not start: ' + os.path.join(state, "brig").replace("\n", "\n").encode(), done.stderr)
        self.assertIn(b"can be written by others", done.stderr)


class Stopping(Fresh):
    """What ends the brigd that a first run started."""

    def test_stop_waits_until_it_has_gone_and_the_next_run_starts_another(self):
        before = self.brigds()
        must(self.run_brig(self.wasm("hello")))
        # Started by root, it is another user by then, who cannot look into this home: it says so, and stays.
        self.assertEqual(brig("server", "reload", env=self.clean_env()).returncode, 1 if harness.IS_ROOT else 0)
        self.assertEqual(self.brigds(), before)
        must(brig("server", "stop", env=self.clean_env()))
        self.assertNotIn(before[0], harness.descendants(os.getpid()))
        self.assertEqual(brig("server", "stop", env=self.clean_env()).returncode, 1)
        must(self.run_brig(self.wasm("hello")))

    def test_audit_without_a_file_names_the_log_it_reads(self):
        log = os.path.join(self.home, ".local/state/brig/audit/log.jsonl")
        if harness.IS_ROOT and os.path.exists("/var/lib/brig/audit/log.jsonl"):
            self.skipTest("this machine has a log of its own")
        for verb in ("show", "verify"):
            done = must(brig("audit", verb, env=self.clean_env()))
            self.assertIn(log.encode(), done.stderr)
            self.assertNotIn(b" \n", done.stdout)
            self.assertEqual(must(brig("audit", verb, log, env=self.clean_env())).stderr, b"")
        done = brig("audit", "show", "--run", "run-of-another", log)
        self.assertEqual((done.returncode, b"run-of-another" in done.stderr), (1, True), done.stderr)

    def test_a_key_that_is_added_counts_in_the_next_run(self):
        name, path = os.path.join(self.home, "other"), os.path.join(self.home, "theirs.wasm")
        must(brig("keygen", "-o", name))
        must(brig("sign", "-k", name + ".key", "-o", path, self.wasm("hello")))
        self.assertEqual(self.run_brig(path).returncode, 126)
        done = must(brig("keys", "add", "--name", "other", "--key", name + ".pub", env=self.clean_env()))
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertIn(b"stopped your own brigd", done.stderr)
        must(self.run_brig(path))
        done = must(brig("keys", "revoke", "other", env=self.clean_env()))
        self.assertEqual(self.run_brig(path).returncode, 126)


class Verbs(unittest.TestCase):
    def test_every_verb_has_help(self):
        listed = must(brig("--help")).stdout.decode()
        for verb in VERBS:
            with self.subTest(verb):
                self.assertIn(verb, listed)
                self.assertIn("brig " + verb, must(brig(verb, "--help")).stdout.decode())
                self.assertEqual(must(brig("help", verb)).stdout, must(brig(verb, "--help")).stdout)

    def test_the_verbs_of_verbs_have_help(self):
        for verb, sub in (("keys", "add"), ("module", "put"), ("server", "stop"), ("policy", "check"), ("audit", "show")):
            for option in ("--help", "-h"):
                done = must(brig(verb, sub, option))
                self.assertIn(b"brig %s %s" % (verb.encode(), sub.encode()), done.stdout)
                self.assertEqual(done.stderr, b"")

    def test_version(self):
        self.assertRegex(must(brig("--version")).stdout.decode(), r"^brig \d+\.\d+")

    def test_unknown_verb_gets_the_nearest(self):
        done = brig("rnu")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"run", done.stderr)

    def test_doctor_reports_every_layer(self):
        done = brig("doctor", "--json")
        report = json.loads(done.stdout)
        names = [layer["name"] for layer in report["layers"]]
        for name in ("user_ns", "pid_ns", "net_ns", "capabilities", "no_new_privs", "seccomp", "landlock", "rlimits"):
            self.assertIn(name, names)
        missing = [l["name"] for l in report["layers"] if l["required"] and not l["present"]]
        self.assertEqual(done.returncode, 1 if missing else 0)
        self.assertEqual(missing, [])
        self.assertTrue(must(brig("doctor")).stdout)

    def test_policy_check_and_meet(self):
        with tempfile.TemporaryDirectory() as d:
            def document(name, value):
                path = os.path.join(d, name)
                with open(path, "w", encoding="utf-8") as f:
                    json.dump(value, f)
                return path
            a = document("a.json", {"version": 1, "limits": {"wall_ms": 100, "fuel": 7}, "env": ["A*"], "args": True})
            b = document("b.json", {"version": 1, "limits": {"wall_ms": 50}, "env": ["AB", "C"], "args": False})
            wrong = document("wrong.json", {"version": 1, "limits": {"wall_sm": 50}})
            must(brig("policy", "check", a, b))
            met = json.loads(must(brig("policy", "meet", a, b)).stdout)
            self.assertEqual((met["limits"]["wall_ms"], met["limits"]["fuel"], met["env"], met["args"]),
                             (50, 7, ["AB"], False))
            done = brig("policy", "check", wrong)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"wrong.json:1:27: $.limits.wall_sm", done.stderr)
            self.assertIn(b"wall_ms", done.stderr + done.stdout)


class Server(harness.Scenario):
    """Verbs that ask a running brigd."""

    def test_server_and_module(self):
        env = {"BRIG_SOCKET": self.brigd.socket}
        must(brig("server", "info", env=env))
        must(brig("server", "health", env=env))
        path = os.path.join(self.directory, "m.wasm")
        with open(path, "wb") as f:
            f.write(self.keys.sign(guest("hello")))
        name = harness.digest(self.keys.sign(guest("hello")))
        self.assertIn(name, must(brig("module", "put", path, env=env)).stdout.decode())
        self.assertRegex(must(brig("module", "list", env=env)).stdout.decode(), name + r" .* bytes  stored 20..-..-..T")
        done = must(brig("run", name, "argument", env=env))
        self.assertEqual((done.stdout, done.stderr), (b"hello from inside the brig\n", b""))
        must(brig("module", "remove", name, env=env))
        self.assertEqual(brig("run", name, env=env).returncode, 125)
        self.assertEqual(brig("run", name[:-1], env=env).returncode, 125)
        self.assertNotIn(name, must(brig("module", "list", env=env)).stdout.decode())

    def test_run_at_a_shared_server_needs_a_known_key(self):
        with tempfile.TemporaryDirectory() as home:
            env = {"BRIG_SOCKET": self.brigd.socket, "HOME": home}
            path = os.path.join(home, "m.wasm")
            with open(path, "wb") as f:
                f.write(guest("hello"))
            done = brig("run", path, env=env)
            self.assertEqual(done.returncode, 126, done.stderr)
            for said in (os.path.join(home, ".config/brig/keys/user.pub"), "`brig keys add`", "--no-sign"):
                self.assertIn(said.encode(), done.stderr)
            must(brig("sign", "-k", self.keys.signer + ".key", path))
            done = must(brig("run", path, env=env))
            self.assertEqual(done.stdout, b"hello from inside the brig\n")


if __name__ == "__main__":
    harness.main()
