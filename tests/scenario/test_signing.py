"""The verbs keygen, sign, verify and keys, with minisign and wasmsign2 as outside witnesses. No brigd is needed."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import brig, must

# (module (func (export "_start")))
MODULE = bytes.fromhex("0061736d01000000" "010401600000" "03020100" "070a01065f737461727400 00" "0a040102000b")


def tool(name):
    """The path of an outside tool, or a visible skip."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for path in (shutil.which(name), os.path.join(cache, "brig", "tools", "bin", name)):
        if path and os.access(path, os.X_OK):
            return path
    raise unittest.SkipTest(name + " is not installed")


def on_terminal(answers, command):
    """Runs a command on a terminal of its own and types an answer at each "assword". Returns exit code and output."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    output, answered = b"", 0
    while True:
        if not select.select([fd], [], [], harness.PATIENCE)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("%s waits for something: %r" % (command[0], output))
        try:
            data = os.read(fd, 4096)
        except OSError:  # the other side is gone
            break
        output += data
        while answered < len(answers) and output.count(b"assword") > answered and output.endswith(b": "):
            os.write(fd, answers[answered] + b"\n")
            answered += 1
            output += b"\n"
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output


class Signing(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="brig-test-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.env = {"HOME": self.directory, "XDG_CONFIG_HOME": ""}
        self.module = self.write("m.wasm", MODULE)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def brig(self, *args):
        return brig(*args, env=self.env)

    def must(self, *args):
        return must(self.brig(*args)).stdout.decode()

    def refused(self, message, *args, code=1):
        result = self.brig(*args)
        self.assertEqual(result.returncode, code, result)
        self.assertIn(message, result.stderr.decode())

    def outside(self, *command, code=0):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              check=False)
        self.assertEqual(done.returncode, code, done)

    def key(self, name, *options):
        self.must("keygen", "-o", self.path(name), *options)
        return self.path(name)


class Sign(Signing):
    def test_first_use_makes_the_users_own_key_and_keyring(self):
        self.must("sign", self.module)
        keys = self.path(".config/brig/keys")
        self.assertEqual(os.stat(keys).st_mode & 0o777, 0o700)
        for name in ("root.key", "user.key"):
            self.assertEqual(os.stat(os.path.join(keys, name)).st_mode & 0o777, 0o600)
        before = self.read(".config/brig/keys/user.key")
        self.assertIn("key name   user", self.must("verify", self.module))
        self.must("keygen")
        self.assertEqual(self.read(".config/brig/keys/user.key"), before)

    def test_inside_and_beside(self):
        key = self.key("a")
        self.must("sign", "-k", key + ".key", self.module, "-o", self.path("s.wasm"))
        self.assertEqual(self.read("m.wasm"), MODULE)
        self.assertIn("embedded, good", self.must("verify", "-p", key + ".pub", self.path("s.wasm")))
        self.must("sign", "-k", key + ".key", "--detached", self.module)
        self.assertEqual(self.read("m.wasm"), MODULE)
        self.assertIn("detached, good", self.must("verify", "-p", key + ".pub", self.module))
        self.must("sign", "-k", key + ".key", "--detached", self.path("s.wasm"))
        self.assertIn("both, good", self.must("verify", "-p", key + ".pub", self.path("s.wasm")))

    def test_a_signed_module_is_only_signed_again_when_asked(self):
        key = self.key("a")
        self.must("sign", "-k", key + ".key", self.module)
        self.refused("carries a signature already", "sign", "-k", key + ".key", self.module)
        other = self.key("b")
        self.must("sign", "-k", other + ".key", "--replace", self.module)
        self.must("verify", "-p", other + ".pub", self.module)

    def test_in_place_keeps_the_mode(self):
        os.chmod(self.module, 0o751)
        self.must("sign", self.module)
        self.assertEqual(os.stat(self.module).st_mode & 0o777, 0o751)

    def test_what_is_not_a_module_is_not_signed(self):
        self.refused("not a WebAssembly module", "sign", self.write("x.wasm", b"\x7fELF"))
        self.refused("No such file", "sign", self.path("absent.wasm"))

    def test_keygen_never_overwrites(self):
        key = self.key("a")
        before = self.read("a.key")
        self.refused("is there already", "keygen", "-o", key)
        self.assertEqual(self.read("a.key"), before)

    def test_one_key_in_both_formats(self):
        key = self.key("a")
        other = self.key("b", "--from", key + ".key", "--format", "wasmsign2")
        self.must("sign", "-k", other + ".key", self.module)
        self.must("verify", "-p", key + ".pub", self.module)
        self.must("verify", "-p", other + ".pub", self.module)


class Verify(Signing):
    def test_exit_codes(self):
        key, other = self.key("a"), self.key("b")
        self.refused("not signed", "verify", "-p", key + ".pub", self.module)
        self.must("sign", "-k", key + ".key", self.module)
        self.must("verify", "-p", key + ".pub", self.module)
        self.refused("not in the keyring", "verify", "-p", other + ".pub", self.module)
        self.refused("go together", "verify", "--keyring", "x", self.module, code=2)
        self.refused("missing", "verify", code=2)
        self.refused("--nonsense", "verify", "--nonsense", self.module, code=2)

    def test_tampered_module(self):
        key = self.key("a")
        self.must("sign", "-k", key + ".key", self.module)
        data = bytearray(self.read("m.wasm"))
        data[-2] ^= 1
        self.write("m.wasm", data)
        self.refused("changed after signing", "verify", "-p", key + ".pub", self.module)

    def test_tampered_detached_signature(self):
        key = self.key("a")
        self.must("sign", "-k", key + ".key", "-d", "-c", "build 17", self.module)
        text = self.read("m.wasm.minisig")
        self.write("m.wasm.minisig", text.replace(b"build 17", b"build 18"))
        self.refused("trusted comment was changed", "verify", "-p", key + ".pub", self.module)
        self.write("m.wasm.minisig", text + b"\n")
        self.refused("1 bytes follow", "verify", "-p", key + ".pub", self.module)


class Keys(Signing):
    def setUp(self):
        super().setUp()
        self.root, self.ci = self.key("root"), self.key("ci")
        self.keyring = self.path("keyring.json")
        self.edit("init")
        self.edit("add", "--name", "ci", "--key", self.ci + ".pub")
        self.must("sign", "-k", self.ci + ".key", self.module)

    def options(self):
        return ("--keyring", self.keyring, "--root-key", self.root + ".key")

    def edit(self, verb, *args):
        return self.must("keys", verb, *self.options(), *args)

    def against(self):
        return ("--keyring", self.keyring, "--root", self.root + ".pub")

    def document(self):
        return json.loads(self.read("keyring.json"))

    def test_added_key_counts(self):
        self.assertIn("key name   ci", self.must("verify", *self.against(), self.module))
        listed = self.must("keys", "list", *self.against())
        self.assertIn("version 2", listed)
        self.assertRegex(listed, r"(?m)^[0-9a-f]{24}  good .* ci$")
        shown = json.loads(self.must("keys", "show", *self.against(), "ci"))
        self.assertEqual(shown["owner"], None)

    def test_name_that_would_act_on_a_terminal_is_escaped(self):
        self.edit("add", "--name", "ok\u202e\u009b2J", "--key", self.key("b") + ".pub")
        self.must("sign", "-k", self.path("b.key"), "--replace", self.module)
        escaped = r"ok\xe2\x80\xae\xc2\x9b2J"
        self.assertIn("key name   " + escaped, self.must("verify", *self.against(), self.module))
        self.assertIn(" " + escaped, self.must("keys", "list", *self.against()))

    def test_key_with_owner_and_grant(self):
        grant = {"version": 1, "limits": {"wall_ms": 100}}
        path = self.write("grant.json", json.dumps(grant).encode())
        self.edit("add", "--name", "b", "--key", self.key("b") + ".pub", "--owner", "1000", "--grant", path,
                  "--valid-from", "2026-01-01", "--valid-to", "2099-12-31")
        entry = self.document()["keys"][1]
        self.assertEqual((entry["owner"], entry["grant"]), (1000, grant))
        self.assertEqual((entry["valid_from"], entry["valid_to"]), ("2026-01-01T00:00:00Z", "2099-12-31T00:00:00Z"))

    def test_grant_that_is_no_policy_is_refused(self):
        path = self.write("grant.json", b'{"version": 1, "limits": {"wall_sm": 100}}')
        self.refused("wall_ms", "keys", "add", *self.options(), "--name", "b", "--key", self.key("b") + ".pub",
                     "--grant", path)
        self.assertEqual(self.document()["version"], 2)

    def test_revoked_key(self):
        self.edit("revoke", "ci")
        self.refused("is revoked", "verify", *self.against(), self.module)
        self.assertIn("revoked", self.must("keys", "list", *self.against()))

    def test_revoked_module_however_signed(self):
        self.edit("revoke-module", self.module)
        other = self.key("other")
        self.edit("add", "--name", "other", "--key", other + ".pub")
        self.must("sign", "-k", other + ".key", "--replace", self.module)
        self.refused("module is revoked", "verify", *self.against(), self.module)

    def test_expired_key(self):
        self.edit("expire", "ci", "--at", "+1d")
        self.must("verify", *self.against(), self.module)
        self.edit("expire", "ci", "--at", "now")
        self.refused("expired at", "verify", *self.against(), self.module)

    def test_key_that_does_not_count_yet_can_be_expired(self):
        self.edit("add", "--name", "later", "--key", self.key("later") + ".pub", "--valid-from", "+10d")
        self.edit("expire", "later")
        self.assertRegex(self.must("keys", "list", *self.against()), r"(?m)^[0-9a-f]{24}  expired .* later$")

    def test_expired_keyring(self):
        self.edit("expire", "--keyring-expires", "now")
        self.refused("the keyring expired", "verify", *self.against(), self.module)
        self.assertIn("EXPIRED", self.must("keys", "list", *self.against()))
        self.edit("expire", "--keyring-expires", "+1d")
        self.must("verify", *self.against(), self.module)

    def test_rotated_key(self):
        new = self.key("new")
        self.edit("rotate", "ci", "--key", new + ".pub", "--name", "ci-2", "--overlap", "0")
        self.refused("expired at", "verify", *self.against(), self.module)
        self.must("sign", "-k", new + ".key", "--replace", self.module)
        self.assertIn("ci-2", self.must("verify", *self.against(), self.module))

    def test_rotation_leaves_the_old_key_some_days(self):
        self.edit("rotate", "ci", "--key", self.key("new") + ".pub")
        self.must("verify", *self.against(), self.module)
        self.refused("2 keys are named", "keys", "expire", *self.options(), "ci")

    def test_only_the_root_changes_the_keyring(self):
        before = self.read("keyring.json")
        self.refused("signature by the root key", "keys", "revoke", "--keyring", self.keyring, "--root-key",
                     self.ci + ".key", "ci")
        self.assertEqual(self.read("keyring.json"), before)

    def test_changed_by_hand_is_refused(self):
        self.write("keyring.json", self.read("keyring.json").replace(b'"ci"', b'"CI"'))
        self.refused("does not fit these bytes", "verify", *self.against(), self.module)
        self.refused("does not fit these bytes", "keys", "add", *self.options(), "--name", "x", "--key",
                     self.root + ".pub")

    def test_every_change_raises_the_version_by_one(self):
        self.assertEqual(self.document()["version"], 2)
        self.edit("revoke", "ci")
        self.assertEqual(self.document()["version"], 3)

    def test_changes_at_the_same_time_are_all_kept(self):
        keys = [self.key("k%d" % i) for i in range(6)]
        running = [subprocess.Popen([harness.program("brig"), "keys", "add", *self.options(), "--name", "k%d" % i,
                                     "--key", key + ".pub"], stdout=subprocess.DEVNULL) for i, key in enumerate(keys)]
        self.assertEqual([p.wait(harness.PATIENCE) for p in running], [0] * 6)
        self.assertEqual((self.document()["version"], len(self.document()["keys"])), (8, 7))

    def test_usage(self):
        self.refused("does not take --overlap", "keys", "add", *self.options(), "--overlap", "1", code=2)
        self.refused("did you mean \"revoke\"", "keys", "revok", code=2)
        self.refused("is not a time", "keys", "expire", *self.options(), "ci", "--at", "soon")
        self.refused("no key \"nobody\"", "keys", "expire", *self.options(), "nobody")
        self.refused("is there already", "keys", "init", *self.options())
        self.refused("in the keyring already", "keys", "add", *self.options(), "--name", "x", "--key", self.ci + ".pub")


class Minisign(Signing):
    def setUp(self):
        super().setUp()
        self.minisign = tool("minisign")

    def test_it_verifies_modules_and_keyrings_that_we_sign(self):
        key = self.key("a")
        self.must("sign", "-k", key + ".key", "-d", self.module)
        self.outside(self.minisign, "-Vm", self.module, "-p", key + ".pub")
        keyring = self.path("keyring.json")
        self.must("keys", "init", "--keyring", keyring, "--root-key", key + ".key")
        self.outside(self.minisign, "-Vm", keyring, "-p", key + ".pub")

    def test_it_signs_with_our_key(self):
        key = self.key("a")
        self.outside(self.minisign, "-Sm", self.module, "-s", key + ".key")
        self.must("verify", "-p", key + ".pub", self.module)

    def test_we_verify_what_it_signs_and_sign_with_its_key(self):
        self.outside(self.minisign, "-GW", "-p", self.path("t.pub"), "-s", self.path("t.key"))
        self.outside(self.minisign, "-Sm", self.module, "-s", self.path("t.key"))
        self.must("verify", "-p", self.path("t.pub"), self.module)
        os.unlink(self.path("m.wasm.minisig"))
        self.must("sign", "-k", self.path("t.key"), "-d", self.module)
        self.outside(self.minisign, "-Vm", self.module, "-p", self.path("t.pub"))
        self.must("sign", "-k", self.path("t.key"), self.module)

    def test_its_older_kind_of_signature_is_refused(self):
        self.outside(self.minisign, "-GW", "-p", self.path("t.pub"), "-s", self.path("t.key"))
        self.outside(self.minisign, "-Slm", self.module, "-s", self.path("t.key"))
        self.refused("old kind", "verify", "-p", self.path("t.pub"), self.module)

    def test_key_with_a_password(self):
        code, output = on_terminal([b"a b c", b"a b c"], [self.minisign, "-G", "-p", self.path("t.pub"), "-s",
                                                          self.path("t.key")])
        self.assertEqual(code, 0, output)
        command = [harness.program("brig"), "sign", "-k", self.path("t.key"), "-d", self.module]
        code, output = on_terminal([b"a b d"], command)
        self.assertEqual(code, 1, output)
        self.assertIn(b"does not open", output)
        code, output = on_terminal([b"a b c"], command)
        self.assertEqual(code, 0, output)
        self.assertNotIn(b"a b c", output)
        self.must("verify", "-p", self.path("t.pub"), self.module)


class Wasmsign2(Signing):
    def setUp(self):
        super().setUp()
        self.wasmsign2 = tool("wasmsign2")
        self.ours = self.key("ours", "--format", "wasmsign2")

    def test_it_verifies_what_we_sign(self):
        self.must("sign", "-k", self.ours + ".key", self.module)
        self.outside(self.wasmsign2, "verify", "-i", self.module, "-K", self.ours + ".pub")

    def test_with_the_same_key_the_files_are_the_same(self):
        self.must("sign", "-k", self.ours + ".key", self.module, "-o", self.path("a.wasm"))
        self.outside(self.wasmsign2, "sign", "-i", self.module, "-o", self.path("b.wasm"), "-k", self.ours + ".key",
                     "-K", self.ours + ".pub")
        self.assertEqual(self.read("a.wasm"), self.read("b.wasm"))

    def test_we_verify_what_it_signs_with_its_own_keys(self):
        self.outside(self.wasmsign2, "keygen", "-k", self.path("t.key"), "-K", self.path("t.pub"))
        self.outside(self.wasmsign2, "sign", "-i", self.module, "-o", self.path("s.wasm"), "-k", self.path("t.key"),
                     "-K", self.path("t.pub"))
        self.must("verify", "-p", self.path("t.pub"), self.path("s.wasm"))
        self.must("sign", "-k", self.path("t.key"), self.module)
        self.outside(self.wasmsign2, "verify", "-i", self.module, "-K", self.path("t.pub"))

    def test_without_key_id_only_when_there_is_one_key(self):
        self.outside(self.wasmsign2, "sign", "-i", self.module, "-o", self.path("s.wasm"), "-k", self.ours + ".key")
        self.must("verify", "-p", self.ours + ".pub", self.path("s.wasm"))
        root = self.key("root")
        keyring = ("--keyring", self.path("keyring.json"))
        self.must("keys", "init", *keyring, "--root-key", root + ".key")
        for name, key in (("ours", self.ours), ("other", self.key("other"))):
            self.must("keys", "add", *keyring, "--root-key", root + ".key", "--name", name, "--key", key + ".pub")
        self.refused("does not say which key", "verify", *keyring, "--root", root + ".pub", self.path("s.wasm"))

    def test_a_changed_header_that_it_lets_pass_is_refused(self):
        self.must("sign", "-k", self.ours + ".key", self.module)
        self.write("c.wasm", b"\0asm\x0d\0\1\0" + self.read("m.wasm")[8:])
        self.outside(self.wasmsign2, "verify", "-i", self.path("c.wasm"), "-K", self.ours + ".pub")
        self.refused("component", "verify", "-p", self.ours + ".pub", self.path("c.wasm"))

    def test_a_signature_of_a_part_is_refused(self):
        self.outside(self.wasmsign2, "split", "-i", self.module, "-o", self.path("p.wasm"), "-s", "^x")
        self.outside(self.wasmsign2, "sign", "-i", self.path("p.wasm"), "-o", self.path("q.wasm"), "-k",
                     self.ours + ".key", "-K", self.ours + ".pub")
        self.outside(self.wasmsign2, "verify", "-i", self.path("q.wasm"), "-K", self.ours + ".pub")
        self.refused("of a part of a module", "verify", "-p", self.ours + ".pub", self.path("q.wasm"))


if __name__ == "__main__":
    harness.main()
