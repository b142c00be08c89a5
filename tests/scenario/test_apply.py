"""brig apply: what a program did to its files, brought to a directory of the host: all or none, whoever hinders it."""

import json
import os
import pty
import random
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import b64, brig, digest

TEMP = ".brig-apply-"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where syncing costs nothing
OLD = "".join("line %d\n" % n for n in range(30))
NEW = OLD.replace("line 3\n", "LINE 3\nmore\n").replace("line 20\n", "")


def created(path, content=None, target=None):
    """A change that makes a file, or with `target` a link, or with neither a directory."""
    if target is not None:
        return {"path": "/w/" + path, "change": "created", "kind": "link", "target": target}
    if content is None:
        return {"path": "/w/" + path, "change": "created", "kind": "directory"}
    data = content.encode() if isinstance(content, str) else content
    return {"path": "/w/" + path, "change": "created", "kind": "file", "size": len(data), "digest": digest(data),
            "content": content if isinstance(content, str) else b64(data),
            "encoding": "utf-8" if isinstance(content, str) else "base64"}


def modified(path, content, base):
    return dict(created(path, content), change="modified", base=digest(base.encode()))


def modified_link(path, target, base):
    return dict(created(path, target=target), change="modified", base=digest(base.encode()))


def deleted(path, base=None, kind="file"):
    change = {"path": "/w/" + path, "change": "deleted", "kind": kind}
    return dict(change, base=digest(base.encode())) if base is not None else change


def snapshot(top):
    """path -> (mode, what it holds) of all that is below a directory."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            holds = None
            if stat.S_ISLNK(mode):
                holds = os.readlink(path)
            elif stat.S_ISREG(mode):
                with open(path, "rb") as f:
                    holds = f.read()
            found[os.path.relpath(path, top)] = (mode, holds)
    return found


class Apply(unittest.TestCase):
    place = MEMORY  # where its home directory is made; None: among temporary files

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="brig-apply-", dir=self.place)
        self.addCleanup(shutil.rmtree, self.home)
        self.host = os.path.join(self.home, "tree")
        self.env = {"HOME": self.home, "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
        self.fill({})

    def fill(self, files):
        """Makes the tree anew: {path: text}, None for a directory, ("link", target) for a link."""
        shutil.rmtree(self.host, ignore_errors=True)
        os.mkdir(self.host)
        for path, text in files.items():
            whole = os.path.join(self.host, path)
            os.makedirs(whole if text is None else os.path.dirname(whole), exist_ok=True)
            if isinstance(text, tuple):
                os.symlink(text[1], whole)
            elif text is not None:
                with open(whole, "w", encoding="utf-8") as f:
                    f.write(text)

    def result(self, changes, **more):
        path = os.path.join(self.home, "result.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(dict({"status": "exited", "exit_code": 0, "changes": changes}, **more), f)
        return path

    def arguments(self, changes, *options, **more):
        return ["apply", *options, "--dir", self.host + "::/w", self.result(changes, **more)]

    def apply(self, changes, *options, env=None, **more):
        return brig(*self.arguments(changes, *options, **more), env=dict(self.env, **(env or {})))

    def recover(self, *options):
        return brig("apply", *options, env=self.env)

    def state(self):
        """What is kept for applying."""
        return sorted(os.listdir(os.path.join(self.home, ".local", "state", "brig", "apply")))

    def assert_applied(self, changes, *options, **more):
        done = self.apply(changes, *options, **more)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assert_tidy()
        return done.stderr.decode()

    def assert_refused(self, changes, expected, *options, **more):
        """The set is refused, with this among what is said, and nothing is another than before."""
        before = snapshot(self.host)
        done = self.apply(changes, *options, **more)
        text = done.stderr.decode()
        self.assertEqual(done.returncode, 1, text)
        self.assertIn(expected, text)
        self.assertEqual(snapshot(self.host), before)
        self.assert_tidy()
        return text

    def assert_tidy(self):
        self.assertEqual([path for path in snapshot(self.host) if TEMP in path], [])
        self.assertIn(self.state(), ([], ["lock"]))


# Something of every kind: files, directories and links that come, change, go, and become something else.
BEFORE = {"a.txt": OLD, "gone.txt": "x\n", "sub/deep/f": "f", "sub/keep": "k", "ln": ("link", "a.txt"), "tolink": "z",
          "todir": "d", "tofile/in": "i", "relink": ("link", "a.txt")}
CHANGES = [
    modified("a.txt", NEW, OLD), deleted("gone.txt", "x\n"), deleted("sub/deep", kind="directory"),
    deleted("sub/deep/f", "f"), created("n"), created("n/m"), created("n/m/q.bin", bytes(range(256))), created("n/m/e", ""),
    created("ln2", target="n/m/q.bin"), created("n/up", target="../sub/keep"), deleted("ln", kind="link"),
    dict(created("tolink", target="a.txt"), change="modified", was="file", base=digest(b"z")),
    dict(created("todir"), change="modified", was="file", base=digest(b"d")), created("todir/in", "new"),
    dict(created("tofile", "file now"), change="modified", was="directory"), deleted("tofile/in", "i"),
    dict(created("relink", target="sub"), change="modified"),
]
AFTER = {"a.txt": NEW, "sub": None, "sub/keep": "k", "n": None, "n/m": None, "n/m/q.bin": bytes(range(256)), "n/m/e": "",
         "ln2": "n/m/q.bin", "n/up": "../sub/keep", "tolink": "a.txt", "todir": None, "todir/in": "new",
         "tofile": "file now", "relink": "sub"}


def plain(tree):
    """A snapshot without modes."""
    return {path: holds for path, (_, holds) in tree.items()}


EXPECTED = {path: text.encode() if isinstance(text, str) and path not in ("ln2", "n/up", "tolink", "relink") else text
            for path, text in AFTER.items()}


class Disk(Apply):
    place = None

    def test_every_kind_of_change_is_made_on_a_disk(self):
        self.fill(BEFORE)
        self.assert_applied(CHANGES)
        self.assertEqual(plain(snapshot(self.host)), EXPECTED)


class Making(Apply):
    def test_every_kind_of_change_is_made(self):
        self.fill(BEFORE)
        self.assert_applied(CHANGES)
        self.assertEqual(plain(snapshot(self.host)), EXPECTED)

    def test_dry_run_shows_and_changes_nothing(self):
        self.fill(BEFORE)
        before = snapshot(self.host)
        shown = self.apply(CHANGES, "--dry-run").stderr
        self.assertEqual(snapshot(self.host), before)
        self.assertEqual(self.assert_applied(CHANGES), shown.decode())

    def test_new_files_obey_umask_and_changed_ones_keep_their_mode_without_setuid(self):
        self.fill({"s": "s", "x": "x"})
        os.chmod(os.path.join(self.host, "s"), 0o6755)
        os.chmod(os.path.join(self.host, "x"), 0o740)
        old = os.umask(0o027)
        self.addCleanup(os.umask, old)
        self.assert_applied([modified("s", "t", "s"), modified("x", "y", "x"), created("n"), created("n/f", "f")])
        modes = {path: mode & 0o7777 for path, (mode, _) in snapshot(self.host).items()}
        self.assertEqual(modes, {"s": 0o755, "x": 0o740, "n": 0o750, "n/f": 0o640})

    def test_what_holds_the_same_afterwards_is_not_touched(self):
        self.fill({"a": "a"})
        before = os.stat(os.path.join(self.host, "a"))
        self.assertIn("nothing to change", self.assert_applied([modified("a", "a", "a")]))
        now = os.stat(os.path.join(self.host, "a"))
        self.assertEqual((now.st_ino, now.st_ctime_ns), (before.st_ino, before.st_ctime_ns))

    def test_changes_elsewhere_are_left_out_and_several_directories_go_together(self):
        self.fill({"one": None, "two/f": "f"})
        elsewhere = dict(created("x", "x"), path="/tmp/x")
        args = ["apply", "-d", os.path.join(self.host, "one") + "::/w", "-d", os.path.join(self.host, "two") + "::/w/in",
                self.result([created("in/g", "g"), created("h", "h"), deleted("in/f", "f"), elsewhere])]
        done = brig(*args, env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"none of the directories named: 1, like /tmp/x; --dir HOST::GUEST", done.stderr)
        self.assertEqual(plain(snapshot(self.host)), {"one": None, "two": None, "one/h": b"h", "two/g": b"g"})

    def test_result_from_standard_input_and_directory_by_its_own_spelling(self):
        self.fill({})
        change = dict(created("f", "f"), path=self.host + "/f")
        done = brig("apply", "--dir", self.host + "/", "-", env=self.env, input=json.dumps({"changes": [change]}).encode())
        self.assertEqual((done.returncode, plain(snapshot(self.host))), (0, {"f": b"f"}), done.stderr)

    def test_more_directories_than_can_be_open_are_refused_with_advice(self):
        self.fill({"d%d" % n: None for n in range(100)})
        before = snapshot(self.host)
        done = brig(*self.arguments([created("d%d/f" % n, "") for n in range(100)]), env=self.env,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        self.assertEqual((done.returncode, snapshot(self.host)), (1, before))
        self.assertIn(b"ulimit -n", done.stderr)

    def test_4096_changes_in_as_many_directories_as_can_be(self):
        self.fill({"d%d/f" % n: "x" for n in range(512)})
        changes = [modified("d%d/f" % n, "y", "x") for n in range(512)]
        changes += [created("d%d/n%d" % (n % 512, n), "new") for n in range(512, 4096)]
        self.assert_applied(changes)
        self.assertEqual(sum(holds in (b"y", b"new") for _, holds in snapshot(self.host).values()), 4096)


class Refusing(Apply):
    def test_paths_of_hostile_archives(self):
        self.fill({"f": "f", "ln": ("link", "/tmp"), "in": ("link", "."), "d": None})
        many = [("../x", "empty, . or .."), ("a/../x", ". or .."), ("./x", ". or .."), ("a//x", "empty"), ("x/", "empty"),
                ("n" * 256, "too long"), ("/".join(["n" * 200] * 21), "too long"), ("a\nb", "do not show"),
                ("a\x1b[2J", "do not show"), ("a\u202eb", "do not show"), ("a\u200bb", "do not show"),
                ("a\x00b", "NUL"), (TEMP + "x", "brig's own"), ("ln/x", "link above it"), ("in/x", "link above it"),
                ("f/x", "no directory"), ("no/x", "not there"), ("f", "there already"), ("d", "there already")]
        for path, expected in many:
            with self.subTest(path=path[:40]):
                self.assert_refused([created("ok", "ok"), created(path, "x")], expected)

    def test_a_path_twice_or_below_what_is_no_directory(self):
        self.fill({"d/f": "f", "e": None})
        for changes, expected in (
                ([created("x", "1"), created("x", "2")], "twice"),
                ([created("x", "1"), created("x/y", "2")], "above it is no directory"),
                ([created("x", target="d"), created("x/y", "2")], "above it is no directory"),
                ([deleted("e", kind="directory"), created("e/x", "2")], "above it is deleted"),
                ([deleted("d", kind="directory")], "not empty: it holds f"),
                ([dict(created("d", "now a file"), change="modified", was="directory")], "not empty"),
                ([created("n"), deleted("n/x", "x")], "is new"),
                ([deleted("e", "x")], "no file any more"),
                ([deleted("d/f", kind="directory")], "no directory any more")):
            with self.subTest(expected=expected, changes=str(changes)[:80]):
                self.assert_refused([created("ok", "ok"), *changes], expected)

    def test_links_that_lead_out(self):
        self.fill({"d": None, "out": ("link", "/etc"), "up": ("link", "..")})
        for path, target in (("l", "/etc/passwd"), ("l", "../x"), ("d/l", "../../x"), ("l", "d/../../x"), ("l", "d/.."),
                             ("l", ""), ("l", "x" * 4096), ("l", "a\u2066b"), ("l", "out/passwd"), ("d/l", "../out/x"),
                             ("l", "up/x"), ("l", "./out/x"), ("l", "n" * 256), ("l", "..")):
            with self.subTest(path=path, target=target[:20]):
                self.assert_refused([created(path, target=target)], "link")
        self.assert_applied([created("l", target="d/missing"), created("d/l", target="../d"), created("d/m", target=".././d")])

    def test_links_through_other_links(self):
        self.fill({"sub/out": ("link", "/etc"), "sub/f": "f", "was": ("link", "/etc"), "d": None})
        through = created("a", target="b/out/passwd")
        self.assert_refused([through, created("b", target="sub")], "\"a\": the link leads out")
        self.assert_refused([through, created("b", target="c"), created("c", target="d/e"), created("d/e", target="../sub")],
                            "\"a\": the link leads out")
        self.assert_refused([created("a", target="was/passwd"), modified_link("was", "sub/out", "/etc")], "\"was\": the link")
        self.assert_refused([created("a%d" % n, target="a%d/%s" % (n + 1, "n" * 255)) for n in range(39)], "too long a path")
        self.assert_applied([created("a", target="b/f"), created("b", target="sub"), created("loop", target="loop"),
                             created("x", target="y"), created("y", target="x"), created("gone", target="d/no/more"),
                             dict(created("was"), change="modified", was="link"), created("z", target="was/passwd")])

    def test_what_was_changed_meanwhile(self):
        self.fill({"a": "mine now", "d": None, "l": ("link", "a")})
        os.mkfifo(os.path.join(self.host, "p"))
        for change, expected in (
                (modified("a", "new", "theirs"), "changed since"), (deleted("a", "theirs"), "changed since"),
                (dict(modified("a", "new", "mine now"), base_changed=True), "while the program ran"),
                (modified("b", "new", "theirs"), "not there any more"), (deleted("b", "theirs"), "not there any more"),
                (dict(created("a", "x"), change="modified"), "does not say what it held"),
                (deleted("a"), "does not say what it held"),
                (modified("d", "x", "theirs"), "no file any more"),
                (dict(created("a", target="d"), change="modified"), "no link any more"),
                (dict(created("a"), change="modified", was="directory"), "no directory any more"),
                (dict(created("a", "x"), change="modified", was="directory"), "no directory any more"),
                (dict(created("d"), change="modified", was="directory", base=digest(b"")), "was a directory"),
                (dict(created("a", "x"), change="modified", was="other"), "special file"),
                (deleted("a", kind="other"), "special file"), (modified("p", "x", "x"), "special file"),
                (deleted("p", "x"), "special file"), (created("p", "x"), "special file"),
                (dict(deleted("l", kind="link"), base=digest(b"b")), "changed since"),
                (dict(created("x", "x"), base=digest(b"")), "new and has a base")):
            with self.subTest(change=change["change"] + change["path"], expected=expected):
                self.assert_refused([created("ok", "ok"), change], expected)

    def test_all_conflicts_are_named(self):
        self.fill({"f%d" % n: "mine" for n in range(120)})
        text = self.assert_refused([modified("f%d" % n, "x", "theirs") for n in range(120)], "nothing is changed")
        self.assertEqual(text.count("changed since"), 100)
        self.assertIn("and 20 more", text)

    def test_contents_that_are_missing_or_wrong(self):
        whole = created("f", "abc")
        without = {k: v for k, v in whole.items() if k not in ("content", "encoding", "digest")}
        for change, expected in (
                (without, "--limit changes_bytes=64M"), (dict(whole, digest=digest(b"x")), "do not match"),
                (dict(whole, size=4), "malformed"), (dict(whole, encoding="x"), "malformed"),
                (dict(whole, encoding="base64", content="a"), "malformed"), (dict(whole, digest="sha256:0"), "malformed"),
                (dict(whole, content=1), "malformed"), (dict(created("l", target=""), target=None), "no target"),
                (dict(modified("f", "x", "y"), base="x"), "not a digest")):
            with self.subTest(expected=expected, change=str(change)[:60]):
                self.assert_refused([change], expected)
        self.assert_refused([whole], "more than a result holds", changes_omitted=3)

    def test_what_is_no_result(self):
        for text in ("", "{", "[]", "{}", '{"changes": {}}', '{"changes": [1]}', '{"changes": [{"path": 1}]}',
                     '{"changes": [{"path": "/w/f", "change": "x", "kind": "file"}]}',
                     '{"changes": [{"path": "/w/f", "change": "created", "kind": "device"}]}',
                     '{"changes": [], "changes": []}'):
            with self.subTest(text=text):
                done = brig("apply", "--dir", self.host + "::/w", "-", env=self.env, input=text.encode())
                self.assertEqual(done.returncode, 1)
                self.assertTrue(done.stderr)

    def test_files_that_may_not_be_written(self):
        if harness.IS_ROOT:
            self.skipTest("root may write to everything")
        self.fill({"a": "a", "d/x": "x"})
        os.chmod(os.path.join(self.host, "a"), 0o444)
        self.assert_refused([modified("a", "b", "a")], "may not be written")
        os.chmod(os.path.join(self.host, "d"), 0o555)
        self.assert_refused([created("ok", ""), modified("d/x", "y", "x")], "nothing is changed")
        os.chmod(os.path.join(self.host, "d"), 0o755)

    def test_another_filesystem_below(self):
        if not harness.IS_ROOT:
            self.skipTest("mounting takes root")
        other = tempfile.mkdtemp(prefix="brig-apply-")
        self.addCleanup(shutil.rmtree, other)
        self.fill({"m": None})
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        arguments = self.arguments([created("m/x", "x")])
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", other, os.path.join(self.host, "m"),
                               harness.program("brig"), *arguments], env=dict(os.environ, **self.env), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(b"another filesystem", done.stderr)
        self.assertEqual((done.returncode, os.listdir(other)), (1, []))


class Guarding(Apply):
    def test_paths_that_are_run_later_have_to_be_named(self):
        self.fill({"d": None, ".git": None, ".git/hooks": None})
        for path in (".git/hooks/pre-commit", ".git/config", ".GIT/config", ".g\u0131t", ".envrc", ".ENVRC", "d/.envrc",
                     "Makefile", "d/maKefile", "ma\u212aefile", "setup.py", "package.json", ".bashrc", "d/x.pth",
                     "Makefile.", "Makefile ", "GIT~1", "vite.config.mjs", "\ufb01x.pth", "d/build.rs", "d/HEAD"):
            with self.subTest(path=path):
                if path in (".GIT/config", ".g\u0131t"):
                    continue
                text = self.assert_refused([created(path, "x")], "--allow-path '%s'" % path)
                self.assertIn("refused, as it matches", text)
        for path in (".vscode", ".ssh", ".github", ".config"):
            with self.subTest(path=path):
                self.assert_refused([created(path), created(path + "/x", "x")], "--allow-path '%s/x'" % path)
        self.assert_refused([created(".git", target="d")], "refused")
        self.assert_refused([deleted(".git/config", "x")], "refused")

    def test_what_is_in_a_bare_repository_has_to_be_named(self):
        self.fill({"r/HEAD": "ref: refs/heads/main\n", "r/config": "", "r/hooks": None, "r/objects/aa": None})
        for change in (created("r/hooks/update", "x"), modified("r/config", "x", ""), created("r/l", target="config")):
            with self.subTest(change=change["path"]):
                path = change["path"][len("/w/"):]
                self.assert_refused([change], "--allow-path '%s'" % path, "--allow-path", "r/other")
        os.rename(os.path.join(self.host, "r/HEAD"), os.path.join(self.host, "HEAD"))
        self.assert_refused([created("r/objects/aa/x", "x")], "repository")
        self.assert_applied([created("r/hooks/update", "x"), created("r/d")], "--allow-path", "r/hooks/update")
        self.configure('{"version": 1, "allow": ["head"]}')
        self.assert_applied([created("r/x", "x")])

    def test_a_directory_in_the_place_of_one_is_refused_too(self):
        self.fill({".npmrc": "x", ".envrc": ("link", "d"), ".git": None})
        for path, was in ((".npmrc", "file"), (".envrc", "link")):
            for change in ("modified", "deleted"):
                with self.subTest(path=path, change=change):
                    one = dict(created(path), change=change, was=was)
                    if was == "file":
                        one["base"] = digest(b"x")
                    self.assert_refused([one], "refused, as it matches")
        self.assert_applied([deleted(".git", kind="directory")])

    def test_what_is_to_be_named_can_be_pasted_into_a_shell(self):
        self.fill({})
        text = self.assert_refused([created(".envrc'; touch x; '", "x")], "--allow-path PATTERN")
        self.assertNotIn("--allow-path '", text)

    def test_one_that_is_named_is_changed_and_no_other(self):
        self.fill({})
        changes = [created("Makefile", "m"), created("d"), created("d/Makefile", "n")]
        self.assert_refused(changes, "\"d/Makefile\": refused", "--allow-path", "Makefile")
        self.assert_refused(changes, "\"Makefile\": refused", "--allow-path", "*/Makefile")
        self.assert_refused(changes, "refused", "--allow-path", "makefile", "--allow-path", "d/m*")
        self.assert_refused(changes, "names with a slash", "--allow-path", "/Makefile")
        self.assert_refused(changes, "names with a slash", "--allow-path", "../Makefile")
        self.assert_applied(changes, "--allow-path", "Makefile", "--allow-path", "d/M*e")

    def configure(self, text, mode=0o600):
        path = os.path.join(self.home, ".config", "brig", "apply.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def test_the_list_is_configured(self):
        self.fill({})
        self.configure('{"version": 1, "allow": ["makefile*"], "refuse": ["Secrets/*.TXT"]}')
        self.assert_applied([created("Makefile", "m"), created("secrets"), created("secrets/x", "")])
        self.assert_refused([created("SECRETS"), created("SECRETS/a.txt", "")], "apply.json refuses it")
        self.assert_refused([created("GNUmakefile", "m")], "refused")
        for text, expected in (('{"version": 1, "allow": ["makefil*"]}', "did you mean \"makefile*\""),
                               ('{"version": 2}', "version"), ("{}", "version"), ("[]", "object"), ("{", "line 1"),
                               ('{"version": 1, "alow": []}', "there is no"), ('{"version": 1, "refuse": [1]}', "strings"),
                               ('{"version": 1, "refuse": "x"}', "list"), ('{"version": 1, "refuse": ["a//b"]}', "a//b"),
                               ('{"version": 1, "allow": [1]}', "strings"), ('{"version": 1, "refuse": [""]}', "empty")):
            with self.subTest(text=text):
                self.configure(text)
                self.assertIn("apply.json", self.assert_refused([created("x", "")], expected))
        self.configure('{"version": 1}', 0o620)
        self.assert_refused([created("x", "")], "only you can write to")

    def test_keys_and_settings_of_brig_are_never_changed(self):
        """Wherever the tree has them, by whatever links, also when they are not there yet."""
        env = {"XDG_CONFIG_HOME": os.path.join(self.host, "conf"), "XDG_RUNTIME_DIR": os.path.join(self.host, "run")}

        def refused(*changes):
            paths = [option for c in changes for option in ("--allow-path", c["path"][len("/w/"):])]
            with self.subTest(paths=paths[1::2]):
                self.assert_refused(list(changes), "brig keeps its own", *paths, env=env)

        settings = '{"version": 1, "allow": [".git"]}'
        for tree in ({"d": None}, {"d": None, "conf": None, "run": None}, {"d": None, "conf/brig/keys": None, "run/brig": None}):
            self.fill(tree)
            parents = [created(d) for d in ("conf", "conf/brig", "conf/brig/keys", "run", "run/brig") if
                       not os.path.isdir(os.path.join(self.host, d))]
            for path in ("conf/brig/apply.json", "conf/brig/keys/key", "run/brig/brigd.sock", "conf/brig/x", "conf/BRIG/x"):
                refused(*parents, *([created("conf/BRIG")] if "BRIG" in path else []), created(path, settings))
            if "conf" not in tree and "conf/brig/keys" not in tree:
                refused(created("conf", target="d"))
        self.fill({"conf/brig": None, "conf/other": "x"})
        refused(dict(created("conf/brig", target="other"), change="modified", was="directory"))
        self.assert_applied([modified("conf/other", "y", "x"), created("conf/more")], env=env)
        self.fill({"conf": ("link", "dot/config"), "dot/config/brig/apply.json": ("link", "../../files/apply"),
                   "dot/files/x": "x", "e": None})
        for path in ("dot/config/brig/apply.json", "dot/files/apply", "dot/config/brig/x"):
            refused(created(path, settings))
        refused(modified_link("conf", "e", "dot/config"))
        self.assert_applied([created("dot/files/y", "y"), created("dot/config/y", "y")], env=env)

    def test_state_of_brig_is_never_changed(self):
        self.fill({})
        self.apply([])  # makes the directories
        state = os.path.join(self.home, ".local", "state", "brig", "apply")
        for host, path in ((self.home, ".local/state/brig/apply/journal"), (state, "journal"),
                           (os.path.dirname(state), "apply/x")):
            with self.subTest(host=host):
                result = self.result([created(path, "{}")])
                done = brig("apply", "--dir", host + "::/w", "--allow-path", path, result, env=self.env)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"brig keeps its own state there", done.stderr)
                self.assertEqual(self.state(), ["lock"])


class Journal(Apply):
    """Each call that changes a file, in turn: the program is killed there, the call fails, the disk is full from there."""

    @classmethod
    def setUpClass(cls):
        cls.library = os.path.join(harness.BUILD, "tests", "scenario", "stop.so")
        if not os.path.exists(cls.library):
            raise unittest.SkipTest("no " + cls.library)

    def stopped(self, what, number, *arguments):
        return brig(*arguments, env=dict(self.env, LD_PRELOAD=self.library, BRIG_STOP="%s:%d" % (what, number)))

    def assert_old_or_new(self, before, after, said):
        now = snapshot(self.host)
        if now != before:
            self.assertEqual(plain(now), after, said)
        self.assert_tidy()
        return now != before

    def every(self, what):
        """Applies the set, stopped at each call; yields (number, process) as long as the call is reached."""
        for number in range(1000):
            self.fill(BEFORE)
            before = snapshot(self.host)
            done = self.stopped(what, number, *self.arguments(CHANGES))
            yield number, done, before
            if done.returncode == 0 and plain(snapshot(self.host)) == EXPECTED and \
                    not done.stderr.count(b"but:"):
                self.assertGreater(number, 40)
                return
        self.fail("it does not come to an end")

    def test_killed_at_any_call_the_tree_is_the_old_or_the_new_one(self):
        ends = set()
        for number, done, before in self.every("kill"):
            with self.subTest(number=number):
                self.assertIn(done.returncode, (0, -signal.SIGKILL))
                again = self.recover()
                self.assertEqual(again.returncode, 0, again.stderr)
                ends.add(self.assert_old_or_new(before, EXPECTED, again.stderr))
                self.assertEqual(self.recover().returncode, 0)
        self.assertEqual(ends, {False, True})

    def test_killed_while_it_recovers_too(self):
        reached = 0
        for first in (45, 70):
            for number in range(1000):
                self.fill(BEFORE)
                before = snapshot(self.host)
                self.assertEqual(self.stopped("kill", first, *self.arguments(CHANGES)).returncode, -signal.SIGKILL)
                again = self.stopped("kill", number, "apply")
                if again.returncode == 0:
                    break
                reached += 1
                with self.subTest(first=first, number=number):
                    self.assertEqual(self.recover().returncode, 0)
                    self.assert_old_or_new(before, EXPECTED, again.stderr)
        self.assertGreater(reached, 30)

    def test_any_call_that_fails_and_a_disk_that_fills_up(self):
        for what in ("fail", "full"):
            for number, done, before in self.every(what):
                with self.subTest(what=what, number=number):
                    self.assertIn(done.returncode, (0, 1))
                    again = self.recover()
                    self.assertEqual(again.returncode, 0, again.stderr)
                    new = self.assert_old_or_new(before, EXPECTED, done.stderr + again.stderr)
                    self.assertTrue(new or done.returncode == 1)
                    if b"nothing is changed" in done.stderr:
                        self.assertFalse(new)

    def crash(self, number=45):
        """Leaves half of the changes made."""
        self.fill(BEFORE)
        before = snapshot(self.host)
        self.assertEqual(self.stopped("kill", number, *self.arguments(CHANGES)).returncode, -signal.SIGKILL)
        self.assertNotEqual(snapshot(self.host), before)
        return before

    def test_the_next_apply_makes_good_first(self):
        before = self.crash()
        done = self.apply([created("more", "more")])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"did not come to its end", done.stderr)
        now = snapshot(self.host)
        self.assertEqual(now.pop("more")[1], b"more")
        self.assertEqual(now, before)
        self.assert_tidy()

    def test_what_others_changed_since_is_kept(self):
        """Half made, edited by someone, undone: nothing that anybody wrote is lost."""
        for number in range(30, 90, 2):
            self.fill(BEFORE)
            if self.stopped("kill", number, *self.arguments(CHANGES)).returncode == 0:
                break
            edited = [p for p, (mode, _) in snapshot(self.host).items() if stat.S_ISREG(mode) and TEMP not in p]
            for path in edited:
                with open(os.path.join(self.host, path), "a", encoding="utf-8") as f:
                    f.write("edited")
            wrote = {path: snapshot(self.host)[path] for path in edited}
            with self.subTest(number=number):
                done = self.recover()
                self.assertEqual(done.returncode, 0, done.stderr)
                now = snapshot(self.host)
                for path, (mode, holds) in wrote.items():
                    self.assertEqual(now[path], (mode, holds), path)

    def test_a_tree_that_is_gone_can_be_forgotten(self):
        self.crash()
        shutil.move(self.host, self.host + ".away")
        os.mkdir(self.host)
        done = self.recover()
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"brig apply --forget", done.stderr)
        self.assertEqual(self.recover("--forget").returncode, 0)
        self.assertIn(b"nothing to finish or undo", self.recover().stderr)
        self.assertEqual(self.state(), ["lock"])

    def test_a_journal_that_is_none_is_refused(self):
        self.apply([])
        path = os.path.join(self.home, ".local", "state", "brig", "apply", "journal")
        for text in ("", "x", "{}\n", '{"version":1,"id":"x"}\n', '{"version":1,"id":"%s","steps":[{}]}\n' % ("0" * 32)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            with self.subTest(text=text):
                done = self.recover()
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"no journal that this brig wrote", done.stderr)
        self.assertEqual(self.recover("--forget").returncode, 0)
        os.chmod(os.path.dirname(path), 0o750)
        done = self.recover()
        self.assertEqual((done.returncode, b"closed to others" in done.stderr), (1, True), done.stderr)


class Races(Apply):
    ROUNDS = 30

    def test_a_directory_that_becomes_a_link_leads_nowhere(self):
        """Someone exchanges a directory and a link to the outside all the time: nothing is ever written there."""
        outside = os.path.join(self.home, "outside")
        os.mkdir(outside)
        with open(os.path.join(outside, "f"), "w", encoding="utf-8") as f:
            f.write("f")
        stop = threading.Event()

        def exchange():
            d, away = os.path.join(self.host, "d"), os.path.join(self.host, "away")
            while not stop.is_set():
                os.rename(d, away)
                os.symlink(outside, d)
                os.unlink(d)
                os.rename(away, d)
        ends = set()
        for _ in range(self.ROUNDS):
            self.fill({"d/f": "f", "g": "g"})
            stop.clear()
            thread = threading.Thread(target=exchange)
            thread.start()
            try:
                done = self.apply([created("d/new", "x"), modified("d/f", "y", "f"), modified("g", "h", "g")])
            finally:
                stop.set()
                thread.join()
            made = {"d": None, "d/f": b"y", "d/new": b"x", "g": b"h"}
            if done.returncode != 0:
                made = {"d": None, "d/f": b"f", "g": b"g"}
            self.assertEqual(plain(snapshot(self.host)), made, done.stderr)
            self.assertEqual(plain(snapshot(outside)), {"f": b"f"})
            self.assert_tidy()
            ends.add(done.returncode)
        self.assertIn(1, ends)

    def test_of_many_at_once_one_wins(self):
        for _ in range(5):
            self.fill({"f": "0", "g": "0"})
            results = []
            for n in range(6):
                path = os.path.join(self.home, "result-%d.json" % n)
                with open(path, "w", encoding="utf-8") as f:
                    json.dump({"changes": [modified("f", "by %d" % n, "0"), modified("g", "by %d" % n, "0")]}, f)
                results.append(path)
            crowd = [subprocess.Popen([harness.program("brig"), "apply", "--dir", self.host + "::/w", path],
                                      env=dict(os.environ, **self.env), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
                     for path in results]
            codes = []
            for one in crowd:
                err = one.communicate(timeout=harness.PATIENCE)[1]
                codes.append(one.returncode)
                if one.returncode != 0:
                    self.assertTrue(b"another brig" in err or b"changed since" in err, err)
            self.assertEqual(sorted(codes), [0, 1, 1, 1, 1, 1])
            now = plain(snapshot(self.host))
            self.assertEqual(now["f"], now["g"])
            self.assertEqual(now["f"], b"by %d" % codes.index(0))
            self.assert_tidy()

    def test_an_edit_at_that_moment_is_kept(self):
        """Someone writes to the file, by replacing it, as an editor does, while it is being changed."""
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        for _ in range(self.ROUNDS):
            self.fill({"f": "old", **{"x%d" % n: "x" for n in range(20)}})
            path = os.path.join(self.host, "f")
            one = subprocess.Popen([harness.program("brig"), *self.arguments(
                [modified("f", "new", "old")] + [modified("x%d" % n, "y", "x") for n in range(20)])],
                env=dict(os.environ, **self.env), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(rng.randrange(2000)):
                os.stat(path)
            with open(path + ".mine", "w", encoding="utf-8") as f:
                f.write("mine")
            os.rename(path + ".mine", path)
            err = one.communicate(timeout=harness.PATIENCE)[1]
            now = plain(snapshot(self.host))
            self.assertEqual(now["f"], b"mine", "seed %d: %s" % (seed, err))
            self.assertEqual({now["x%d" % n] for n in range(20)}, {b"y" if one.returncode == 0 else b"x"})


class Showing(Apply):
    def test_golden(self):
        self.fill({"a.txt": OLD, "b.bin": "\0", "end": "no newline", "gone": "x\n", "bom": "a\n"})
        shown = self.assert_applied([
            modified("a.txt", NEW, OLD), dict(modified("b.bin", b"\0\1", "\0")), modified("end", "no newline\n", "no newline"),
            deleted("gone", "x\n"), created("new", "one\ntwo\x1b[2J\u202e\n\ttab\r\n"), created("dir"),
            created("link", target="dir"), modified("bom", "", "a\n")])
        self.assertEqual(shown, """in %s (/w in the program)
modified  a.txt, 227 bytes, before 230 bytes
@@ -1,7 +1,8 @@
 line 0
 line 1
 line 2
-line 3
+LINE 3
+more
 line 4
 line 5
 line 6
@@ -18,7 +19,6 @@
 line 17
 line 18
 line 19
-line 20
 line 21
 line 22
 line 23
modified  b.bin, 2 bytes, before 1 bytes, no text, %s
modified  bom, 0 bytes, before 2 bytes
@@ -1,1 +0,0 @@
-a
created   dir/
modified  end, 11 bytes, before 10 bytes
@@ -1,1 +1,1 @@
-no newline
\\ no newline at the end
+no newline
deleted   gone, before 2 bytes
created   link -> dir
created   new, 21 bytes
@@ -0,0 +1,3 @@
+one
+two\\x1b[2J\\xe2\\x80\\xae
+\ttab\\x0d
""" % (self.host, digest(b"\0\1")))

    def test_long_texts_that_have_nothing_in_common_are_shown_in_bounded_time(self):
        before = "".join("a%d\n" % n for n in range(20000))
        after = "".join("b%d\n" % n for n in range(20000))
        self.fill({"f": before})
        shown = self.assert_applied([modified("f", after, before)])
        self.assertIn("... and 30000 lines more", shown)

    def terminal(self, answer, *options):
        """Runs it on a terminal on which this is typed once it asks. Its exit code, and what it wrote."""
        self.fill({"f": "f"})
        master, slave = pty.openpty()
        one = subprocess.Popen([harness.program("brig"), *self.arguments([modified("f", "g", "f")], *options)],
                               env=dict(os.environ, TERM="xterm", **self.env), stdin=slave, stderr=slave, stdout=slave)
        os.close(slave)
        output = b""
        while True:
            try:
                more = os.read(master, 4096)
            except OSError:
                break
            if not more:
                break
            output += more
            if b"[y/N]" in output and answer is not None:
                os.write(master, answer)
                answer = None
        os.close(master)
        return one.wait(harness.PATIENCE), output

    def test_on_a_terminal_it_asks_first(self):
        for answer, code in ((b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1), (b"yo\n", 1)):
            with self.subTest(answer=answer):
                done, output = self.terminal(answer)
                self.assertEqual((done, plain(snapshot(self.host))), (code, {"f": b"g" if code == 0 else b"f"}))
                self.assertIn(b"\x1b[32m+g", output)
        done, output = self.terminal(None, "--yes")
        self.assertEqual((done, b"[y/N]" in output, plain(snapshot(self.host))), (0, False, {"f": b"g"}))

    def test_command_lines_that_make_no_sense(self):
        for arguments, expected in ((["x.json"], "--dir"), (["--dir", "/tmp"], "RESULT.json"), (["--dir"], "needs a value"),
                                    (["--dir", "x::w", "r"], "the program's path"), (["--dir", "/x::/a/../b", "r"], "the program's path"),
                                    (["--dirr"], "not an option"), (["--dir", "/tmp", "a", "b"], "one result"),
                                    (["--forget", "x"], "without a result")):
            with self.subTest(arguments=arguments):
                done = brig("apply", *arguments, env=self.env)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(expected, done.stderr.decode())
        done = brig("apply", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        done = brig("apply", "--dir", "/nowhere::/w", self.result([]), env=self.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/nowhere", done.stderr)
        done = brig("apply", "--dir", "/tmp::/w", "/nowhere", env=self.env)
        self.assertEqual((done.returncode, done.stderr), (1, b"brig apply: /nowhere: No such file or directory\n"))


class Running(Apply):
    """brig run --apply: a program in the jail, with a brigd of the user's own."""

    @classmethod
    def setUpClass(cls):
        cls.user = tempfile.mkdtemp(prefix="brig-home-")
        cls.addClassCleanup(shutil.rmtree, cls.user)
        os.mkdir(os.path.join(cls.user, "run"), 0o700)
        cls.edit = os.path.join(cls.user, "edit.wasm")
        with open(cls.edit, "wb") as f:
            f.write(harness.guest("edit"))

    @classmethod
    def tearDownClass(cls):
        for pid, name in harness.descendants(os.getpid()).items():
            if name == "brigd":
                os.kill(pid, signal.SIGTERM)
        left = harness.wait_for_orphans()
        assert not left, "left running: %s" % left

    def setUp(self):
        super().setUp()
        self.env = {"HOME": self.user, "XDG_RUNTIME_DIR": os.path.join(self.user, "run"), "XDG_CONFIG_HOME": "",
                    "XDG_STATE_HOME": "", "BRIG_SOCKET": ""}

    def run_edit(self, *words, options=("--apply",), dirs=None):
        dirs = dirs or [self.host + "::/w"]
        shown = [word for d in dirs for word in ("--dir", d)]
        env = {k: v for k, v in self.env.items() if v}
        return brig("run", *options, *shown, self.edit, *words, env=env)

    def test_changes_are_shown_and_made_when_the_program_exits_with_0(self):
        self.fill({"old": "old"})
        done = self.run_edit("mkdir", "/w/d", "put", "/w/d/new", "text\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stderr.decode().endswith(
            "in %s (/w in the program)\ncreated   d/\ncreated   d/new, 5 bytes\n@@ -0,0 +1,1 @@\n+text\n" % self.host))
        self.assertEqual(plain(snapshot(self.host)), {"old": b"old", "d": None, "d/new": b"text\n"})

    def test_files_of_the_host_are_changed_and_removed(self):
        self.fill({"old": OLD, "gone": "x", "d/in": "i", "kept": "k"})
        done = self.run_edit("append", "/w/old", "more\n", "remove", "/w/gone", "remove", "/w/d/in", "remove", "/w/d",
                             "put", "/w/d", "a file now")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(plain(snapshot(self.host)), {"old": OLD.encode() + b"more\n", "d": b"a file now", "kept": b"k"})
        self.assertIn(b" line 29\n+more\n", done.stderr)

    def test_a_file_that_was_changed_while_the_program_ran_is_not_overwritten(self):
        """The program waits for its input, which comes when the file is another."""
        self.fill({"f": "theirs", "g": "g"})
        env = dict(os.environ, **{k: v for k, v in self.env.items() if v})
        one = subprocess.Popen([harness.program("brig"), "run", "--apply", "--dir", self.host + "::/w", self.edit, "append",
                                "/w/f", "!", "say", "ready", "wait", "x", "append", "/w/g", "!"], env=env,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(one.stdout.readline(), b"ready\n")
        with open(os.path.join(self.host, "f"), "w", encoding="utf-8") as f:
            f.write("mine")
        err = one.communicate(b"x", timeout=harness.PATIENCE)[1]
        self.assertEqual(one.returncode, 125, err)
        self.assertIn(b"\"f\": it was changed", err)
        self.assertEqual(plain(snapshot(self.host)), {"f": b"mine", "g": b"g"})

    def test_nothing_is_made_without_it_or_when_the_program_fails(self):
        for options, words, code in (((), [], 0), (("--apply",), ["exit", "3"], 3)):
            done = self.run_edit(*words, "put", "/w/new", "text", options=options)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(b"1 change to %s, not applied" % self.host.encode(), done.stderr)
            self.assertEqual(snapshot(self.host), {})

    def test_what_is_refused_is_exit_125_and_can_be_named(self):
        done = self.run_edit("put", "/w/Makefile", "x")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--allow-path 'Makefile'", done.stderr)
        self.assertEqual(snapshot(self.host), {})
        done = self.run_edit("put", "/w/Makefile", "x", options=("--apply", "--allow-path", "Makefile"))
        self.assertEqual((done.returncode, plain(snapshot(self.host))), (0, {"Makefile": b"x"}), done.stderr)

    def test_the_result_that_json_gives_can_be_applied_later(self):
        done = self.run_edit("put", "/w/new", "x", options=("--json",))
        self.assertEqual((done.returncode, snapshot(self.host)), (0, {}), done.stderr)
        done = brig("apply", "--dir", self.host + "::/w", "-", env=self.env, input=done.stdout)
        self.assertEqual((done.returncode, plain(snapshot(self.host))), (0, {"new": b"x"}), done.stderr)

    def test_directories_by_their_own_path_several_and_read_only_ones(self):
        self.fill({"one": None, "two": None})
        one, two = os.path.join(self.host, "one"), os.path.join(self.host, "two")
        done = self.run_edit("put", one + "/a", "a", "put", "/w/b", "b", dirs=[one, two + "::/w"])
        self.assertEqual((done.returncode, plain(snapshot(self.host))),
                         (0, {"one": None, "two": None, "one/a": b"a", "two/b": b"b"}), done.stderr)
        done = self.run_edit("put", "/w/c", "c", dirs=[two + "::/w:ro"])
        self.assertEqual(done.returncode, 99, done.stderr)

    def test_command_lines_that_make_no_sense(self):
        for options, expected in ((("--yes",), b"--apply"), (("--allow-path", "x"), b"--apply")):
            done = self.run_edit(options=options)
            self.assertEqual((done.returncode, expected in done.stderr), (125, True), done.stderr)
        done = brig("run", "--apply", self.edit, env=self.env)
        self.assertEqual((done.returncode, b"--dir HOST" in done.stderr), (125, True), done.stderr)


del Apply  # has no tests of its own

if __name__ == "__main__":
    harness.main()
