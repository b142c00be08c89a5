"""Processes that lie: brigd ends workers, zygotes and compilers, says why, and goes on serving; without a launcher, store
or logger it can believe it stops, says why, and answers everybody. liar.c speaks for them.

Every message that a worker may send, with every field at its extremes; every message that it may not; floods, halves,
descriptors, silence. BRIG_LIES_SEED replays the random values.
"""

import os
import random
import struct

import harness
import wasm
from files_server import FilesServer

SEED = int(os.environ.get("BRIG_LIES_SEED", "20261121"))

SPAWNED, SPAWN_FAILED, CHILD_EXITED = 2, 3, 5
STORE_DONE, STORE_DATA, STORE_LISTED, STORE_FAILED, LOG_FAILED = 44, 45, 46, 47, 52
READY, FAILED, RUN, RUN_EXITED, JOB, OUTPUT, DENIAL, RESULT, COMPILED, LOG_DONE = 10, 11, 12, 14, 20, 22, 23, 24, 31, 51
CHANGE, CONTENT, CHANGES, TROUBLE, LEARNED = 25, 26, 27, 28, 29
TYPES = (1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 40, 41, 42, 43, 44, 45, 46, 47, 50, 51, 52)
U32, U64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
CALLS = 46

# Structures of base/proto.h: fields and their sizes.
FIELDS = {
    "output": [("stream", "I"), ("reserved", "I")],
    "denial": [("call", "I"), ("capability", "I"), ("count", "Q")],
    "frame": [("function", "I"), ("name_length", "I"), ("module_offset", "Q")],
    "result": [("status", "I"), ("exit_code", "I"), ("trap", "I"), ("limit", "I"), ("fuel_used", "Q"),
               ("peak_memory_bytes", "Q"), ("stdout_bytes", "Q"), ("stderr_bytes", "Q"), ("start_us", "Q"),
               ("guest_us", "Q"), ("fs_bytes", "Q"), ("fs_nodes", "Q"), ("denials_omitted", "Q")] + [("call%d" % i, "Q") for i in range(CALLS)] +
              [("text_length", "I"), ("frame_count", "I"), ("failure", "I"), ("phase", "I")],
    "exited": [("wait_status", "i"), ("killed", "I"), ("phase", "I"), ("call", "I"), ("user_us", "Q"),
               ("system_us", "Q"), ("wall_us", "Q"), ("minor_faults", "Q")],
    "compiled": [("size", "Q"), ("compile_us", "Q")],
    "change": [("change", "I"), ("kind", "I"), ("size", "Q"), ("has_content", "I"), ("path_length", "I"),
               ("target_length", "I"), ("was", "I"), ("base_state", "I"), ("reserved", "I"), ("base", "Q"),
               ("base1", "Q"), ("base2", "Q"), ("base3", "Q")],
    "trouble": [("kind", "I"), ("reserved", "I"), ("count", "Q")],
    "changes": [("omitted", "Q")],
    "spawned": [("pid", "i"), ("reserved", "I")],
    "store_done": [("code", "i"), ("existed", "I"), ("size", "Q"), ("stored_at", "Q")],
    "store_entry": [("digest%d" % i, "Q") for i in range(4)] + [("size", "Q"), ("stored_at", "Q")],
    "log_done": [("sequence", "Q")] + [("hash%d" % i, "Q") for i in range(4)],
    "learned": [("call", "I"), ("capability", "I"), ("rights", "I"), ("extent", "I"), ("count", "Q")],
}


def pack(structure, **values):
    fields = FIELDS[structure]
    return struct.pack("<" + "".join(f for _, f in fields), *[values.get(name, 0) for name, _ in fields])


def extremes(form, rng):
    top = U64 if form == "Q" else U32
    if form == "i":
        return [0, 1, -1, 2**31 - 2, 2**31 - 1, -2**31, rng.randrange(-2**31, 2**31)]
    return [0, 1, top - 1, top, rng.randrange(top), top // 2, top // 2 + 1]


# What a worker says is written as acts of liar.c.
def say(kind, payload=b"", delta=0, fds=0):
    return "say %d %d %d %s" % (kind, delta, fds, payload.hex())


def flood(kind, payload=b"", delta=0, fds=0):
    return "flood %d %d %d %s" % (kind, delta, fds, payload.hex())


def result(**values):
    return pack("result", **dict({"status": 1}, **values))


def output(text, stream=1):
    return pack("output", stream=stream) + text


def change(path=b"/w/f", target=b"", **values):
    return pack("change", **dict({"path_length": len(path), "target_length": len(target)}, **values)) + path + target


def learned(path=b"/w/f", **values):
    return say(LEARNED, pack("learned", **dict({"call": 32, "rights": 1, "count": 1}, **values)) + path)


GOOD = say(RESULT, result())
TRUTH = [say(OUTPUT, output(b"true\n")), say(RESULT, result(stdout_bytes=5))]


class Liar(harness.Hostile):
    """The liar is in the place of brig-worker. The module is any: what its guest does is in the arguments."""

    stands_in_for = ("brig-worker",)
    settings = ()

    @classmethod
    def setUpClass(cls):
        directory = harness.tempfile.mkdtemp(prefix="brig-liar-")
        os.chmod(directory, 0o711)
        cls.addClassCleanup(harness.shutil.rmtree, directory)
        for name in ("brig-launcher", "brig-store", "brig-logger", "brig-compiler", "brig-worker"):
            source = "tests/scenario/liar" if name in cls.stands_in_for else name
            harness.shutil.copy(os.path.join(harness.BUILD, source), os.path.join(directory, name))
        cls.options = ("--libexec", directory, *harness.Hostile.options, *cls.settings)
        super().setUpClass()

    def warm_up(self):
        for _ in range(20):
            self.tell(TRUTH)

    def tell(self, acts, wall_ms=20000, **more):
        return self.run_guest(*acts, wasm=wasm.module(), limits={"wall_ms": wall_ms, "output_bytes": 1 << 17}, **more)

    def assert_still_serving(self):
        result = self.tell(TRUTH)
        self.assertEqual(result["stdout"], "true\n", result)

    def assert_failed(self, told, reason):
        self.assertEqual(told["status"], "failed", told)
        self.assertIn(reason, told["reason"])


class Workers(Liar):
    BREACHES = {
        "type that is in no catalogue": ([say(999)], "message 999"),
        "message of another process": ([say(LOG_DONE, b"\0" * 40)], "message 51"),
        "packet shorter than a header": (["raw 16"], "malformed packet"),
        "empty packet": (["raw "], "closed its socket and stayed"),
        "closed socket": (["close"], "closed its socket and stayed"),
        "header without its payload": (["cut %d 60000 " % OUTPUT], "malformed packet"),
        "half a payload": (["cut %d 100 %s" % (RESULT, "00" * 50)], "malformed packet"),
        "more payload than the header says": (["cut %d 2 %s" % (OUTPUT, "00" * 50)], "malformed packet"),
        "length of 2^32-1": (["cut %d 4294967295 " % OUTPUT], "malformed packet"),
        "result of another run": ([say(RESULT, result(), delta=1)], "another run"),
        "result of the run before": ([say(RESULT, result(), delta=-1)], "another run"),
        "output for another run": ([say(OUTPUT, output(b"x"), delta=2**40)], "another run"),
        "output without its head": ([say(OUTPUT, b"\1")], "without bytes"),
        "output without bytes": ([say(OUTPUT, output(b""))], "without bytes"),
        "flood of output": ([flood(OUTPUT, output(b"x" * 8192))], "more output than the limit"),
        "flood of small output": ([flood(OUTPUT, output(b"x"))], "more output than the limit"),
        "one descriptor": ([say(RESULT, result(), fds=1)], "sent a descriptor"),
        "four descriptors": ([say(OUTPUT, output(b"x"), fds=4)], "sent a descriptor"),
        "flood of descriptors": ([flood(OUTPUT, output(b"x"), fds=4)], "sent a descriptor"),
        "short result": ([say(RESULT, result()[:-1])], "result has"),
        "empty result": ([say(RESULT)], "result has"),
        "long result": ([say(RESULT, result() + b"\0")], "backtrace"),
        "trap without a trap": ([say(RESULT, result(status=2))], "trap 0"),
        "limit without a limit": ([say(RESULT, result(status=3))], "limit 0"),
        "text that is not UTF-8": ([say(RESULT, result(status=4, failure=7, text_length=2) + b"\xff\xfe")], "UTF-8"),
        "text longer than the message": ([say(RESULT, result(text_length=10) + b"x")], "bytes of text"),
        "frame without bytes": ([say(RESULT, result(frame_count=1))], "backtrace"),
        "33 frames": ([say(RESULT, result(frame_count=33) + pack("frame") * 33)], "33 frames"),
        "frame's name is not UTF-8": ([say(RESULT, result(frame_count=1) + pack("frame", name_length=2) + b"\xff\xfe")],
                                      "backtrace"),
        "denial without bytes": ([say(DENIAL)], "denial of 0 bytes"),
        "denial of no call": ([say(DENIAL, pack("denial", call=1000, capability=1))], "denial of call 1000"),
        "denial of what is granted": ([say(DENIAL, pack("denial", call=6, capability=1, count=1))], "granted"),
        "learning that nobody asked for": ([learned()], "not in learn mode"),
        "two results": ([GOOD, GOOD], "after its result"),
        "output after the result": ([GOOD, say(OUTPUT, output(b"x"))], "after its result"),
        "flood after the result": ([GOOD, flood(OUTPUT, output(b"x"))], "after its result"),
        "flood of results": ([flood(RESULT, result())], "after its result"),
        "flood of failures": ([flood(FAILED, b"again")], "failed twice"),
        "flood of an unknown type": ([flood(999)], "message 999"),
        "memory beyond the limit": ([say(RESULT, result(peak_memory_bytes=U64))], "of memory, more than its limit"),
        "fuel where there is none": ([say(RESULT, result(fuel_used=1))], "of fuel, more than its limit"),
        "files beyond the limit": ([say(RESULT, result(fs_bytes=U64))], "more than its limits"),
        "more files than the limit": ([say(RESULT, result(fs_nodes=U64))], "more than its limits"),
        "phase that there is not": ([say(RESULT, result(phase=6))], "phase 6"),
        "longer than it was there": ([say(RESULT, result(guest_us=10**12))], "longer than it has been there"),
        "sum of times that wraps": ([say(RESULT, result(start_us=1, guest_us=U64))], "longer than it has been there"),
        "calls beyond the limit": ([say(RESULT, result(call7=10**12))], "more host calls"),
        "sum of calls that wraps": ([say(RESULT, result(call7=2**63, call8=2**63))], "more host calls"),
        "less output than it sent": ([say(OUTPUT, output(b"1234")), say(RESULT, result())], "less output"),
    }
    # In a run that has a mount at /w and may send 10 bytes of changed files.
    CHANGE_BREACHES = {
        "short change": ([say(CHANGE, change()[:71])], "change of 71 bytes"),
        "longer path than there is": ([say(CHANGE, change(path_length=5))], "path of 5 bytes in 4"),
        "shorter path": ([say(CHANGE, change(path_length=3))], "path of 3 bytes in 4"),
        "lengths that wrap": ([say(CHANGE, change(path_length=U32, target_length=5))], "a path of"),
        "no path": ([say(CHANGE, change(b""))], "path of 0 bytes"),
        "path of 4,096 bytes": ([say(CHANGE, change(b"/w/" + b"a" * 4093))], "path of 4096 bytes"),
        "path outside of the mount": ([say(CHANGE, change(b"/x/f"))], "where there can be none"),
        "path of the mount itself": ([say(CHANGE, change(b"/w"))], "where there can be none"),
        "path beside the mount": ([say(CHANGE, change(b"/ww"))], "where there can be none"),
        "relative path": ([say(CHANGE, change(b"w/f"))], "where there can be none"),
        "NUL in a path": ([say(CHANGE, change(b"/w/a\0b"))], "where there can be none"),
        "path that is not UTF-8": ([say(CHANGE, change(b"/w/\xff"))], "where there can be none"),
        "target that is not UTF-8": ([say(CHANGE, change(b"/w/l", b"\xff", kind=2))], "where there can be none"),
        "change of no kind": ([say(CHANGE, change(kind=4))], "change 0 of kind 4"),
        "device made": ([say(CHANGE, change(kind=3))], "change 0 of kind 3"),
        "something before what is new": ([say(CHANGE, change(was=1))], "what was of kind 1"),
        "another kind than was deleted": ([say(CHANGE, change(change=2, was=1, base_state=1))], "what was of kind 1"),
        "something that was of no kind": ([say(CHANGE, change(change=1, was=4))], "what was of kind 4"),
        "base of what is new": ([say(CHANGE, change(base_state=1))], "base of kind 1"),
        "base of what was a directory": ([say(CHANGE, change(change=1, was=1, base_state=1))], "base of kind 1"),
        "no base of what was a file": ([say(CHANGE, change(change=1))], "base of kind 0"),
        "base of no kind": ([say(CHANGE, change(change=1, base_state=3))], "base of kind 3"),
        "trouble without a directory of the host": ([say(TROUBLE, pack("trouble", kind=1, count=1) + b"/w")], "a trouble 1"),
        "trouble of no bytes": ([say(TROUBLE, pack("trouble", kind=1))], "a trouble of 16 bytes"),
        "kind of no change": ([say(CHANGE, change(change=3))], "change 3 of kind 0"),
        "target of a file": ([say(CHANGE, change(b"/w/f", b"t"))], "target of 1 bytes"),
        "link without target": ([say(CHANGE, change(kind=2))], "target of 0 bytes"),
        "size of a directory": ([say(CHANGE, change(kind=1, size=1))], "contents of what has none"),
        "content of what was deleted": ([say(CHANGE, change(change=2, has_content=1))], "contents of what has none"),
        "file of 2^64-1 bytes": ([say(CHANGE, change(size=U64))], "more content than the limit"),
        "content beyond the limit": ([say(CHANGE, change(size=11, has_content=1))], "more content than the limit"),
        "content of nothing": ([say(CONTENT, b"x")], "nobody waits for"),
        "content of a file that has none": ([say(CHANGE, change(size=1)), say(CONTENT, b"x")], "nobody waits for"),
        "more content than was said": ([say(CHANGE, change(size=1, has_content=1)), say(CONTENT, b"xy")], "nobody waits"),
        "no content": ([say(CHANGE, change(size=1, has_content=1)), say(CONTENT)], "nobody waits for"),
        "change before the content": ([say(CHANGE, change(size=1, has_content=1)), say(CHANGE, change())], "too many"),
        "end before the content": ([say(CHANGE, change(size=1, has_content=1)), say(CHANGES, pack("changes"))],
                                   "end of changes"),
        "short end": ([say(CHANGES, b"\0" * 7)], "end of changes"),
        "two ends": ([say(CHANGES, pack("changes"))] * 2, "end of changes"),
        "change after the end": ([say(CHANGES, pack("changes")), say(CHANGE, change())], "too many"),
        "flood of long paths": ([flood(CHANGE, change(b"/w/" + b"a/" * 2000))], "bytes of paths"),
        "flood of changes": ([flood(CHANGE, change())], "after 4096"),
        "denial without a path": ([say(DENIAL, pack("denial", call=32, capability=4, count=1))], "which is granted"),
        "denial of a right that is granted": ([say(DENIAL, pack("denial", call=32, capability=3, count=1) + b"/w/f")],
                                              "which is granted"),
        "denial at a relative path": ([say(DENIAL, pack("denial", call=32, capability=4, count=1) + b"w/f")],
                                      "which is granted"),
        "denial at a path that is not UTF-8": ([say(DENIAL, pack("denial", call=32, capability=4, count=1) + b"/w/\xff")],
                                               "which is granted"),
    }
    ENDS = {
        "says nothing and exits": ([], "without a result"),
        "half a run": ([say(OUTPUT, output(b"half"))], "without a result"),
        "exits with another code": ([GOOD, "exit 3"], "exit status 3"),
        "crashes": (["abort"], "signal 6"),
        "crashes after its result": ([GOOD, "abort"], "signal 6"),
        "closes its socket and exits": (["close"], "without a result"),
        "leaves one who holds its socket": (["hold", "exit 5"], "exit status 5"),
    }

    def test_each_breach_ends_its_run_with_the_reason(self):
        for name, (acts, reason) in self.BREACHES.items():
            with self.subTest(lie=name):
                told = self.tell([*acts, "pause"])
                self.assert_failed(told, reason)
                self.assertIn("broke the protocol", told["reason"])
        self.assert_still_serving()

    # In learn mode, with a mount at /w; randomness is none.
    LEARN_BREACHES = {
        "short use": ([say(LEARNED, pack("learned")[:-1])], "learned of 23 bytes"),
        "use of 4,096 bytes": ([learned(b"/w/" + b"a" * 4093)], "learned of 4120 bytes"),
        "call that there is not": ([learned(call=0)], "call 0 that cannot be"),
        "call past the last": ([learned(call=CALLS + 1)], "call 47 that cannot be"),
        "nothing used": ([learned(count=0)], "cannot be"),
        "rights that there are not": ([learned(rights=16)], "cannot be"),
        "extent that there is not": ([learned(extent=3)], "cannot be"),
        "NUL in a path": ([learned(b"/w/a\0b")], "cannot be"),
        "path that is not UTF-8": ([learned(b"/w/\xff")], "cannot be"),
        "no path": ([learned(b"")], "not granted"),
        "relative path": ([learned(b"w/f")], "not granted"),
        "path outside of the mount": ([learned(b"/x/f")], "not granted"),
        "path that leads out": ([learned(b"/w/../x")], "not granted"),
        "path with nothing in it": ([learned(b"/w//f")], "not granted"),
        "path with a slash at its end": ([learned(b"/w/f/")], "not granted"),
        "no rights": ([learned(rights=0)], "not granted"),
        "clock with a path": ([learned(capability=1, rights=0)], "not granted"),
        "clock with rights": ([learned(b"", capability=1)], "not granted"),
        "randomness that is withheld": ([learned(b"", capability=2, rights=0)], "not granted"),
        "capability that is none": ([learned(b"", capability=9, rights=0)], "not granted"),
        "files by another capability": ([learned(capability=3)], "not granted"),
        "flood of uses": ([flood(LEARNED, pack("learned", call=32, rights=1, count=1) + b"/w/f")], "after 704 uses"),
        "flood of long paths": ([flood(LEARNED, pack("learned", call=32, rights=1, count=1) + b"/w/" + b"a/" * 2000 + b"a")],
                                "too much learned"),
    }

    def learn(self, acts):
        return self.run_guest(*acts, wasm=wasm.module(), policy={"mode": "learn", "random": "seeded", "fs": [{"mount": "/w"}]})

    def test_lies_about_what_was_used_end_the_run_with_the_reason(self):
        brigd = harness.Brigd(harness.tempfile.mkdtemp(dir=self.directory), self.keys,
                              dict(self.LEARN_CEILING, signature={"module": "optional"}), self.options)
        self.addCleanup(harness.shutil.rmtree, brigd.directory)
        self.addCleanup(brigd.stop)
        os.chmod(brigd.directory, 0o711)
        self.client.close()
        self.client = brigd.client()
        self.addCleanup(self.client.close)
        for name, (acts, reason) in self.LEARN_BREACHES.items():
            with self.subTest(lie=name):
                self.assert_failed(self.learn([*acts, GOOD, "exit 0"]), reason)
        told = self.learn([learned(rights=1), learned(b"/w/d", rights=15, extent=1, count=U64), learned(b"/w", rights=0, extent=2),
                           learned(b"", capability=1, rights=0), learned(b"/w/a\nb"), GOOD, "exit 0"])
        self.assert_exited(told)
        self.assertEqual(told["learned"]["policy"]["fs"], [{"mount": "/w", "kind": "tmp", "rights": ["read"], "paths": {}}])
        for field, value in self.extremes_of("learned"):
            with self.subTest(learned=field, value=value):
                self.assertIn(self.learn([learned(**{field: value}), GOOD, "exit 0"])["status"], ("exited", "failed"))

    # Reads only: a worker that claims more is not believed, or what it claims is cut to that.
    LEARN_CEILING = {"mode": "learn", "args": True, "clock": "real", "fs": [{"under": "/w", "rights": ["read"]}]}

    def tell_with_files(self, acts):
        return self.run_guest(*acts, wasm=wasm.module(), limits={"changes_bytes": 10},
                              policy={"fs": [{"mount": "/w", "rights": ["read"]}]})

    def test_lies_about_files_end_the_run_with_the_reason(self):
        for name, (acts, reason) in self.CHANGE_BREACHES.items():
            with self.subTest(lie=name):
                self.assert_failed(self.tell_with_files([*acts, GOOD, "exit 0"]), reason)
        told = self.tell_with_files([say(CHANGE, change(b"/w/b", size=2, has_content=1)), say(CONTENT, b"x"),
                                     say(CONTENT, b"y"), say(CHANGE, change(b"/w/a", kind=1)),
                                     say(CHANGE, change(b"/w/a", kind=1)), say(CHANGES, pack("changes", omitted=U64)),
                                     say(DENIAL, pack("denial", call=32, capability=4, count=1) + b"/w/b"), GOOD, "exit 0"])
        self.assert_exited(told)
        self.assertEqual([(c["path"], c.get("content")) for c in told["changes"]], [("/w/a", None), ("/w/b", "xy")])
        self.assertEqual(told["denials"][0]["grant"], {"fs": [{"mount": "/w", "rights": ["read", "write"]}]})
        told = self.tell_with_files([say(CHANGE, change(b"/w/b")), GOOD, "exit 0"])
        self.assertNotIn("changes", told)  # it did not say that these were all
        for field, value in self.extremes_of("change"):
            with self.subTest(change=field, value=value):
                told = self.tell_with_files([say(CHANGE, change(**{field: value})), say(CHANGES, pack("changes")), GOOD,
                                             "exit 0"])
                self.assertIn(told["status"], ("exited", "failed"), told)
        self.assert_still_serving()

    # In a run that has a directory of the host.
    TROUBLES = {
        "no kind": ([say(TROUBLE, pack("trouble", count=1) + b"/w")], "a trouble 0"),
        "kind unknown": ([say(TROUBLE, pack("trouble", kind=5, count=1) + b"/w")], "a trouble 5"),
        "short": ([say(TROUBLE, pack("trouble", kind=1)[:15])], "a trouble of 15 bytes"),
        "no path": ([say(TROUBLE, pack("trouble", kind=1, count=1))], "a trouble of 16 bytes"),
        "path of 4,096 bytes": ([say(TROUBLE, pack("trouble", kind=1, count=1) + b"/" * 4096)], "a trouble 1"),
        "count past what JSON holds": ([say(TROUBLE, pack("trouble", kind=1, count=2**63) + b"/w")], "a trouble 1"),
        "flood": ([flood(TROUBLE, pack("trouble", kind=1, count=1) + b"/w")], "after 32 others"),
        "descriptor": ([say(TROUBLE, pack("trouble", kind=1, count=1) + b"/w", fds=1)], "sent a descriptor"),
    }

    def tell_with_dir(self, acts):
        with FilesServer("/") as server:
            params = self.params(*acts, wasm=wasm.module(), policy={"fs": [{"mount": "/w", "kind": "dir"}], "args": True},
                                 dirs={"/w": {"descriptor": 0}})
            return self.client.call("run", params, [server.theirs.fileno()])

    def test_lies_about_troubles_end_the_run_with_the_reason(self):
        for name, (acts, reason) in self.TROUBLES.items():
            with self.subTest(lie=name):
                self.assert_failed(self.tell_with_dir([*acts, GOOD, "exit 0"]), reason)
        told = self.tell_with_dir([say(TROUBLE, pack("trouble", kind=1, count=3) + b"/w/a\xff\0b"), GOOD, "exit 0"])
        self.assert_exited(told)
        self.assertEqual([(w["kind"], w["path"], w["count"]) for w in told["warnings"]], [("changed", "/w/a", 3)])
        self.assert_still_serving()

    def test_each_way_to_end_without_a_result_is_told(self):
        for name, (acts, reason) in self.ENDS.items():
            with self.subTest(end=name):
                self.assert_failed(self.tell(acts), reason)
        self.assert_still_serving()

    def test_truth_is_believed(self):
        told = self.tell([say(OUTPUT, output(b"true\n")), say(RESULT, result(stdout_bytes=5, exit_code=7, call0=3))])
        self.assert_exited(told, 7)
        self.assertEqual(told["stdout"], "true\n")

    def test_result_said_before_it_was_killed_counts(self):
        """It was cancelled, had ended, and was killed for giving its memory back too slowly."""
        acts = ["linger", say(OUTPUT, output(b"here")), "told", say(RESULT, result(stdout_bytes=4)), "killed"]
        request = self.client.start("run", self.params(*acts, wasm=wasm.module(), stream=True))
        self.client.wait_output(b"here")
        self.client.call("run.cancel", {"request": request})
        self.assert_exited(self.client.finish(request))
        self.client.notifications.clear()

    def test_only_its_own_messages_are_taken_from_a_worker(self):
        mine = (FAILED, OUTPUT, DENIAL, RESULT, CHANGE, CONTENT, CHANGES, TROUBLE, LEARNED)
        for kind in [0, *TYPES, 53, 100, 65535, U32 - 1, U32]:
            for payload in (b"", b"\0" * 24, b"\xff" * 72, b"\0" * 65000):
                with self.subTest(type=kind, bytes=len(payload)):
                    told = self.tell([say(kind, payload), "exit 0"])
                    self.assertEqual(told["status"], "failed", told)
                    if kind not in mine:
                        self.assertIn("message %d of %d bytes" % (kind, len(payload)), told["reason"])
        self.assert_still_serving()

    def own_directory(self):
        directory = harness.tempfile.mkdtemp(dir=self.directory)
        self.addCleanup(harness.shutil.rmtree, directory)
        os.chmod(directory, 0o711)
        return directory

    def served_by(self, directory):
        brigd = harness.Brigd(directory, self.keys, self.policy, self.options)
        self.addCleanup(brigd.stop)
        client = brigd.client()
        self.addCleanup(client.close)
        return brigd, client

    def test_input_that_a_worker_has_is_not_missing_in_another(self):
        """Code that does not load is compiled anew, and the run starts again: but not when its input would be lost."""
        directory = self.own_directory()
        brigd, client = self.served_by(directory)
        self.assert_exited(client.finish(client.start("run", self.params(GOOD, wasm=wasm.module()))))
        brigd.stop()  # the next one has the code from the store, and does not know whether it loads
        brigd, client = self.served_by(directory)
        request = client.start("run", self.params("hear", say(RESULT, result(status=5)), wasm=wasm.module(),
                                                  stdin={"stream": True}))
        run = client.wait_notification("run.started")["run_id"]
        client.call("run.input", {"run_id": run, "data": "once"})
        self.assert_failed(client.finish(request), "run it again")
        self.assert_exited(client.finish(client.start("run", self.params(GOOD, wasm=wasm.module()))))

    def test_code_that_no_longer_fits_is_compiled_again_from_the_store(self):
        """The module came with the request and was let go, since its code had been loaded before."""
        stale = ["first " + say(RESULT, result(status=5)), GOOD]
        brigd, client = self.served_by(self.own_directory())
        params = self.params(*stale, wasm=wasm.module(extra=wasm.custom("tag", b"kept")))
        self.assert_exited(client.call("run", dict(params, args=[GOOD])))
        self.assert_failed_error(client, params, "run it again")
        client.call("module.put", params["module"])
        brigd.stop()
        brigd, client = self.served_by(os.path.dirname(brigd.state))
        self.assert_exited(client.call("run", dict(params, args=[GOOD])))
        told = client.call("run", params)
        self.assert_exited(told)
        self.assertGreater(told["usage"]["compile_us"], 0)

    def assert_failed_error(self, client, params, reason):
        with self.assertRaises(harness.RpcError) as caught:
            client.call("run", params)
        self.assertIn(reason, caught.exception.message)

    def extremes_of(self, kind, skip=()):
        rng = random.Random(SEED)
        for field, form in FIELDS[kind]:
            for value in extremes(form, rng):
                if field not in skip:
                    yield field, value

    # Values of a result's fields that are believed; any other of the extremes ends the run as failed.
    BELIEVED = {"status": (1,), "exit_code": None, "trap": (0,), "limit": (0,), "fuel_used": (0,), "stdout_bytes": None,
                "peak_memory_bytes": (0, 1), "stderr_bytes": None,
                "text_length": (0,), "frame_count": (0,), "failure": (0,), "denials_omitted": None}

    def test_every_field_of_a_result_at_its_extremes(self):
        print("# seed %d" % SEED)
        few = {"call%d" % i for i in range(CALLS)} - {"call0", "call%d" % (CALLS // 2), "call%d" % (CALLS - 1)}
        for field, value in self.extremes_of("result", few):
            with self.subTest(field=field, value=value):
                told = self.tell([say(RESULT, result(**{field: value})), "exit 0"])
                believed = self.BELIEVED.get(field, (0, 1))
                if believed is None or value in believed:
                    self.assert_exited(told, value if field == "exit_code" else 0)
                else:
                    self.assertEqual(told["status"], "failed", told)
                    self.assertTrue(told["reason"], told)
        self.assert_still_serving()

    def test_every_field_of_output_frames_and_denials_at_its_extremes(self):
        for field, value in self.extremes_of("output"):
            with self.subTest(output=field, value=value):
                told = self.tell([say(OUTPUT, pack("output", **dict({"stream": 1}, **{field: value})) + b"x"),
                                  say(RESULT, result(stdout_bytes=1)), "exit 0"])
                self.assertEqual(told["status"], "exited" if field == "reserved" or value == 1 else "failed", told)
        for field, value in self.extremes_of("frame"):
            with self.subTest(frame=field, value=value):
                trapped = result(status=2, trap=1, frame_count=1)
                told = self.tell([say(RESULT, trapped + pack("frame", **{field: value})), "exit 0"])
                self.assertEqual(told["status"], "failed" if field == "name_length" and value else "trapped", told)
        for field, value in self.extremes_of("denial"):
            with self.subTest(denial=field, value=value):
                told = self.tell([say(DENIAL, pack("denial", **dict({"call": 6, "capability": 1}, **{field: value}))),
                                  GOOD, "exit 0"])
                self.assertEqual(told["status"], "failed", told)  # all that denials are for is granted here
        self.assert_still_serving()

    def test_denials_of_what_is_withheld(self):
        def denied(acts):
            return self.run_guest(*acts, wasm=wasm.module(), policy={"clock": "none"})
        clock = next(c for c in range(1, 16) if denied(
            [say(DENIAL, pack("denial", call=6, capability=c, count=1)), GOOD, "exit 0"])["status"] == "exited")
        for count in (0, 1, U64 - 1, U64):
            with self.subTest(count=count):
                told = denied([say(DENIAL, pack("denial", call=6, capability=clock, count=count)), GOOD, "exit 0"])
                self.assert_exited(told)
                self.assertEqual(len(told["denials"]), 1)
        one = pack("denial", call=6, capability=clock, count=1)
        self.assert_exited(denied([say(DENIAL, one)] * 64 + [GOOD, "exit 0"]))
        self.assert_failed(denied([flood(DENIAL, one)]), "after 64 others")
        self.assert_still_serving()

    def test_both_records_are_there_for_each(self):
        told = self.tell([say(RESULT, result(status=77))])
        events = [r for r in self.brigd.audit_log() if told["run_id"] in str(r)]
        self.assertEqual(len(events), 2)


# Orders for the zygote of liar.c.
DIE, HANG, IGNORE, EXIT_AT_RUN, DIE_AT_RUN, HANG_AT_RUN, CANNOT_FORK = range(1, 8)


class Zygotes(Liar):
    """A worker has its zygote lie: that of the real ones never can, but a hole in the kernel might let it."""

    settings = ("--templates-max", "0")  # so that all runs are in one zygote

    BREACHES = {
        "ready twice": ([say(READY, b"\xff" * 72)], "ready twice"),
        "short ready": ([say(READY, b"\xff" * 71)], "message 10 of 71 bytes"),
        "a run that nobody has": ([say(RUN_EXITED, pack("exited"), delta=5)], "not given"),
        "a run that has ended": ([say(RUN_EXITED, pack("exited"), delta=-1)], "not given"),
        "short end of a run": ([say(RUN_EXITED, pack("exited")[:-1])], "message 14 of 47 bytes"),
        "more time than there was": ([say(RUN_EXITED, pack("exited", user_us=U64))], "more processor time"),
        "sum of times that wraps": ([say(RUN_EXITED, pack("exited", user_us=1, system_us=U64))], "more processor time"),
        "a descriptor": ([say(RUN_EXITED, pack("exited"), fds=1)], "sent a descriptor"),
        "flood of descriptors": ([flood(READY, b"", fds=4)], "sent a descriptor"),
        "half a packet": (["raw 0a"], "malformed packet"),
        "header that lies": (["cut 14 60000 "], "malformed packet"),
        "cannot go on": ([say(FAILED, b"I give up", delta=2**40)], "I give up"),
        "cannot go on, and on": ([flood(FAILED, b"again", delta=2**40)], "again"),
        "flood of ends": ([flood(RUN_EXITED, pack("exited"), delta=9)], "not given"),
        "orders for a launcher": ([flood(4)], "message 4"),
    }

    def zygotes(self):
        return [pid for pid, name in self.brigd.children().items() if name == "brig-worker"]

    def as_zygote(self, acts):
        return ["zygote " + act for act in acts]

    def tell_end(self, **fields):
        """Lies about how the run ended. The true end follows and is one too many: waits until its zygote went for it."""
        told = self.tell([*self.as_zygote([say(RUN_EXITED, pack("exited", **fields))]), "exit 0"])
        harness.wait_until(lambda: not self.zygotes(), "the zygote that lied is gone")
        return told

    def test_each_breach_ends_its_runs_with_the_reason_and_it_is_replaced(self):
        for name, (acts, reason) in self.BREACHES.items():
            with self.subTest(lie=name):
                self.assert_failed(self.tell([*self.as_zygote(acts), "pause"]), reason)
                self.assert_still_serving()

    def test_only_its_own_messages_are_taken_from_a_zygote(self):
        for kind in [0, *TYPES, 53, U32]:
            if kind not in (FAILED, RUN_EXITED):
                with self.subTest(type=kind):
                    self.assert_failed(self.tell([*self.as_zygote([say(kind, b"\0" * 24)]), "pause"]),
                                       "message %d of 24 bytes" % kind)
        self.assert_still_serving()

    def test_every_field_of_a_runs_end_at_its_extremes(self):
        rng = random.Random(SEED)
        print("# seed %d" % SEED)
        for field, form in FIELDS["exited"]:
            for value in extremes(form, rng):
                with self.subTest(field=field, value=value):
                    told = self.tell_end(**{field: value})
                    self.assertIn(told["status"], ("failed", "limit"), told)
                    self.assertTrue(told["reason"], told)
        self.assert_still_serving()

    def test_a_run_that_was_killed_says_where(self):
        """As a zygote tells of a worker, which is all that is known of it."""
        cases = [(31, 4, 28, "killed by the seccomp filter during path_create_directory", "running"),
                 (31, 2, 0, "killed by the seccomp filter while its module was instantiated", "instantiating"),
                 (6, 4, 27, "killed by signal 6 (Aborted) during fd_write", "running"),
                 (11, 4, 0, "killed by signal 11 (Segmentation fault) in its own code", "running"),
                 (9, 1, 0, "killed by signal 9 (Killed) while its module was loaded", "loading"),
                 (7 << 8, 0, 0, "without a result before it began (exit status 7)", "starting"),
                 (31, U32, U32, "killed by the seccomp filter at a place that is none", "?")]
        for status, phase, call, reason, name in cases:
            with self.subTest(status=status, phase=phase, call=call):
                told = self.tell_end(wait_status=status, phase=phase, call=call)
                self.assert_failed(told, reason)
                self.assertEqual(told["phase"], name)
                self.assertEqual(told.get("during"), reason.split("during ")[1] if "during" in reason else None)
        self.assert_still_serving()

    def test_run_that_could_not_be_forked_ends_alone(self):
        zygotes = self.zygotes()
        self.tell(["order %d" % CANNOT_FORK, GOOD])
        self.assert_failed(self.tell(TRUTH), "no fork")
        self.assert_still_serving()
        self.assertEqual(self.zygotes(), zygotes)

    def test_death_under_a_run_ends_it_and_the_next_one_starts(self):
        self.assert_failed(self.tell(["order %d" % DIE, "pause"]), "the zygote")
        self.assert_still_serving()

    def test_death_at_a_run_ends_that_one(self):
        for order, reason in ((EXIT_AT_RUN, "the zygote ended"), (DIE_AT_RUN, "signal")):
            with self.subTest(order=order):
                self.tell(["order %d" % order, GOOD])
                self.assert_failed(self.tell(TRUTH), reason)
                self.assert_still_serving()

    def test_killed_one_takes_its_runs_with_it_and_only_those(self):
        self.tell(["order %d" % IGNORE, GOOD])
        held = [self.client.start("run", self.params("x", wasm=wasm.module(), limits={"wall_ms": 600000}))
                for _ in range(5)]
        with self.brigd.client() as other:
            harness.wait_until(lambda: other.call("server.health")["running"] == 5, "it holds them")
        for pid in self.zygotes():
            os.kill(pid, 9)
        for request in held:
            self.assert_failed(self.client.finish(request), "signal 9")
        self.assert_still_serving()


PARKED = 32
WAITS = say(PARKED, struct.pack("<Q", 7))


class Parked(Liar):
    """Workers that wait for a run, and a template, lie: about waiting, about the run that they are given, about its end."""

    settings = ("--zygote-ms", "2000", "--templates-max", "16", "--parked-max", "8")

    # Said before there is a run. Its runs are forked from then on, and it is not asked to park again.
    BEFORE = {
        "short": [say(PARKED, b"\0" * 7)],
        "long": [say(PARKED, b"\0" * 9)],
        "empty": [say(PARKED)],
        "descriptor": [say(PARKED, b"\0" * 8, fds=1)],
        "flood": [flood(PARKED, b"\0" * 8)],
        "waits twice": [WAITS, WAITS],
        "result": [GOOD],
        "result while it waits": [WAITS, GOOD],
        "output": [say(OUTPUT, output(b"x"))],
        "flood of output while it waits": [WAITS, flood(OUTPUT, output(b"x" * 1000))],
        "end of a run": [say(RUN_EXITED, pack("exited"))],
        "half a packet": ["raw 20"],
        "header that lies": ["cut 32 60000 "],
        "cannot": [say(FAILED, b"no")],
        "cannot, in no language": [say(FAILED, b"\xff\0" * 400)],
        "says nothing and exits": ["exit 0"],
        "closes its socket": ["close"],
        "leaves one who holds its socket": ["hold", say(FAILED, b"no"), "exit 0"],
    }
    # Done once it has a run: how that ends, (status, what is in the reason), and how it started.
    TAKEN = {
        "waited for longer than there was": ([say(PARKED, struct.pack("<Q", U64)), "job"], ("exited", None)),
        "waited for no time": ([say(PARKED, b"\0" * 8), "job"], ("exited", None)),
        "waits again": ([WAITS, "hear", WAITS], ("failed", "another run")),
        "result of another run": ([WAITS, "hear", GOOD], ("failed", "another run")),
        "no result": ([WAITS, "hear", say(OUTPUT, output(b"x")), "exit 0"], ("failed", "another run")),
        "half a packet": ([WAITS, "hear", "raw 16"], ("failed", "malformed packet")),
        "descriptor": ([WAITS, "hear", say(RESULT, result(), fds=1)], ("failed", "sent a descriptor")),
        "closes its socket and stays": ([WAITS, "hear", "close"], ("failed", "closed its socket and stayed")),
        "never answers": ([WAITS, "hear"], ("failed", "did not end a run")),
        "never hears": ([WAITS], ("failed", "did not end a run")),
    }
    # Said by the template of one that waits, or done when it is given a run: the run fails that was under way, if one was.
    TEMPLATE = {
        "has ended, and lives": [WAITS, "zygote " + say(RUN_EXITED, pack("exited")), "job"],
        "has ended twice": [WAITS, "zygote " + say(RUN_EXITED, pack("exited")), "zygote " + say(RUN_EXITED, pack("exited"))],
        "more time than there was": [WAITS, "zygote " + say(RUN_EXITED, pack("exited", user_us=U64))],
        "crash of one that lives": [WAITS, "zygote " + say(RUN_EXITED, pack("exited", wait_status=31))],
        "end of the next": [WAITS, "zygote " + say(RUN_EXITED, pack("exited"), delta=1)],
        "waits, in its place": [WAITS, "zygote " + WAITS],
        "loaded again": [WAITS, "zygote " + say(17)],
        "exits": ["order 8", WAITS, "job"],
        "hangs": ["order 9", WAITS, "job"],
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = os.path.join(cls.options[1], "parked")
        cls.number = 0

    def park(self, acts):
        """From now on, and for a module of its own, parked workers do this."""
        with open(self.file + ".new", "w", encoding="ascii") as f:
            f.write("".join(act + "\n" for act in acts))
        os.chmod(self.file + ".new", 0o644)
        os.rename(self.file + ".new", self.file)
        type(self).number += 1
        self.module_bytes = wasm.module(extra=wasm.custom("n", b"%d" % self.number))

    def one(self, wall_ms=20000):
        return self.run_guest(*TRUTH, wasm=self.module_bytes, limits={"wall_ms": wall_ms, "output_bytes": 1 << 17})

    def _assert_nothing_left(self, test):
        """Each lie has a module of its own, whose code and template are kept: that is no leak."""

    def zygotes(self):
        found = harness.processes()
        return {pid for pid, name in self.brigd.children().items()
                if name == "brig-worker" and found.get(found.get(pid, (0, ""))[0], (0, ""))[1] != "brig-worker"}

    def template(self, module):
        for t in self.client.call("server.metrics")["templates"]:
            if t["module"] == module:
                return t
        return {"forks": 0, "hits": 0}

    def parked_so_far(self, module):
        """How many workers its template was asked for beyond its runs."""
        t = self.template(module)
        return t["forks"] - t["hits"]

    def assert_still_serving(self):
        self.park([WAITS, "job"])
        harness.wait_until(lambda: self.assert_true(self.one())["usage"]["start"] == "parked", "one that waits is given a run")

    def assert_true(self, told):
        self.assert_exited(told)
        self.assertEqual(told["stdout"], "true\n")
        return told

    def test_lies_before_the_run_harm_none(self):
        for name, acts in self.BEFORE.items():
            with self.subTest(lie=name):
                self.park([*acts, "pause"])
                told = self.assert_true(self.one())
                harness.wait_until(lambda: self.assert_true(self.one()) and self.parked_so_far(told["module"]["digest"]) > 0, "it was asked")

                def is_asked_no_more():
                    before = self.parked_so_far(told["module"]["digest"])
                    for _ in range(3):
                        self.assertNotEqual(self.assert_true(self.one())["usage"]["start"], "parked")
                    return self.parked_so_far(told["module"]["digest"]) == before
                harness.wait_until(is_asked_no_more, "it is asked to park no more")
        self.assert_still_serving()

    def test_lies_about_the_run_end_it_with_the_reason(self):
        for name, (acts, (status, reason)) in self.TAKEN.items():
            with self.subTest(lie=name):
                self.park([*acts, "pause"])

                def was_taken():
                    told = self.one(wall_ms=50 if reason == "did not end a run" else 20000)
                    if told["usage"]["start"] != "parked":
                        self.assertIn(told["status"], ("exited", "limit"), told)
                        return False
                    self.assertEqual(told["status"], status, told)
                    self.assertIn(reason or "", told.get("reason", ""))
                    return True
                harness.wait_until(was_taken, "one that waits was given a run")
        self.assert_still_serving()

    def test_one_that_ends_as_it_is_given_its_run_costs_nothing(self):
        self.park([WAITS, "hear", "exit 0"])
        runs = []

        def ended_some_times():
            runs.append(self.assert_true(self.one())["module"]["digest"])
            return self.template(runs[0])["hits"] > len(runs) + 3  # such a run has two workers
        harness.wait_until(ended_some_times, "some runs have had two workers")
        self.assert_still_serving()

    def test_lies_of_the_template_end_what_is_in_it_and_it_is_replaced(self):
        for name, acts in self.TEMPLATE.items():
            with self.subTest(lie=name):
                self.park([*acts, "pause"])
                before, seen = self.zygotes(), set()

                def is_another():
                    told = self.one(wall_ms=2000)
                    if told["status"] != "exited":
                        self.assertEqual(told["status"], "failed", told)
                        self.assertTrue(told["reason"], told)
                    seen.update(self.zygotes() - before)
                    return len(seen) > 1
                harness.wait_until(is_another, "there is another template")
        self.assert_still_serving()


class SilentZygotes(Liar):
    """A zygote that does not say that a run has ended is given zygote_ms, and then up."""

    settings = ("--zygote-ms", "2000")

    def test_silence_ends(self):
        """That the deadline is kept is for the zygote to see to, which is the liar here: so it is the backstop's."""
        for acts in (["pause"], [GOOD, "pause"]):
            with self.subTest(acts=acts):
                self.assert_failed(self.tell(acts, wall_ms=50), "did not end a run")
        self.assert_still_serving()

    def test_runs_that_it_never_answers_end_at_the_backstop(self):
        for order, reason in ((IGNORE, "did not end a run"), (HANG_AT_RUN, "did not end a run")):
            with self.subTest(order=order):
                self.tell(["order %d" % order, GOOD])
                requests = [self.client.start("run", self.params("x", wasm=wasm.module(), limits={"wall_ms": 20}))
                            for _ in range(4)]
                for request in requests:
                    self.assert_failed(self.client.finish(request), reason)
                self.assert_still_serving()

    def test_cancelling_does_not_wait_for_one_that_hangs(self):
        request = self.client.start("run", self.params("order %d" % HANG, "pause", wasm=wasm.module(), stream=True,
                                                       limits={"wall_ms": 600000}))
        run_id = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run_id})
        told = self.client.finish(request)
        self.assertEqual(told["status"], "cancelled", told)
        self.assert_still_serving()


class Compilers(Liar):
    """The compiler says what the module tells it to; the worker is the real one."""

    stands_in_for = ("brig-compiler",)
    settings = ("--compile-ms", "500", "--module-bytes", "100000")

    DONE = say(COMPILED, pack("compiled", size=64))
    LIES = {
        "garbage as an artifact": (64, 1, "garbage", [DONE], None),
        "empty artifact": (0, 1, "-", [DONE], None),
        "artifact that is not sealed": (64, 0, "x", [DONE], "seal"),
        "huge artifact": (1 << 40, 1, "x", [DONE], "bytes"),
        "two artifacts": (64, 1, "x", [DONE, DONE], "after its last"),
        "artifact, then failure": (64, 1, "x", [DONE, say(FAILED, b"no")], "after its last"),
        "failure, then artifact": (64, 1, "x", [say(FAILED, b"no"), DONE], "after its last"),
        "flood of artifacts": (64, 1, "x", [flood(COMPILED, pack("compiled"))], "after its last"),
        "another size than it says": (64, 1, "x", [say(COMPILED, pack("compiled", size=U64))], "bytes"),
        "more time than there was": (64, 1, "x", [say(COMPILED, pack("compiled", size=64, compile_us=U64))], "longer"),
        "short answer": (64, 1, "x", [say(COMPILED, b"\0" * 15), "pause"], "message 31 of 15 bytes"),
        "a descriptor": (64, 1, "x", [say(COMPILED, pack("compiled", size=64), fds=1), "pause"], "descriptor"),
        "half a packet": (64, 1, "x", ["raw 1f", "pause"], "malformed packet"),
        "header that lies": (64, 1, "x", ["cut 31 60000 ", "pause"], "malformed packet"),
        "ready twice": (64, 1, "x", [flood(READY, b"\0" * 72)], "message 10"),
        "orders for a launcher": (64, 1, "x", [say(4), "pause"], "message 4"),
        "message of a worker": (64, 1, "x", [say(RESULT, result()), "pause"], "message 24"),
        "no answer": (64, 1, "x", [], "without an answer"),
        "exits": (64, 1, "x", ["exit 3"], "exit status 3"),
        "crashes": (64, 1, "x", ["abort"], "compile_memory_bytes"),
        "never answers": (64, 1, "x", ["pause"], "compile_ms"),
        "answers and stays": (64, 1, "x", [DONE, "pause"], None),
        "no reason": (64, 1, "x", [say(FAILED)], ""),
        "reason of 64 KB that is not text": (64, 1, "x", [say(FAILED, b"\xff\x00\x1b\n" * 400)], ""),
    }

    def warm_up(self):
        for name in self.LIES:
            self.lie(name)

    def lie(self, name):
        """What comes of running a module whose compiler tells this lie; a result, or the error."""
        size, sealed, content, acts, _ = self.LIES[name]
        text = "\n%d %d %s\n%s\n" % (size, sealed, content, "\n".join(acts))
        module = b"\0asm\1\0\0\0" + wasm.custom("lie", text.encode())
        try:
            return self.run_guest("x", wasm=module)
        except harness.RpcError as e:
            return e

    def test_each_lie_ends_with_the_reason(self):
        for name, (_, _, _, _, reason) in self.LIES.items():
            with self.subTest(lie=name):
                told = self.lie(name)
                if isinstance(told, harness.RpcError):
                    self.assertIn(told.name, ("internal_error", "compile_limit", "module_invalid"), told)
                    self.assertIn(reason or "", told.message)
                else:
                    self.assertIsNone(reason, told)
                    self.assertEqual(told["status"], "failed", told)
                    self.assertTrue(told["reason"], told)
        self.assertEqual(self.client.call("server.health")["compiling"], 0)


class Services(harness.Scenario):
    """Launcher, store and logger are the real ones; what one of them says of a certain type is replaced by a lie.

    A lie that is a breach of the protocol ends brigd: with the reason in its log, an answer to everybody, and no process
    left. One that could be true is taken for true: then all goes on.
    """

    # In place of what, said when: each message that brigd's work makes the real one say.
    MOMENTS = {
        "launcher": [("run", SPAWNED), ("run", CHILD_EXITED)],
        "store": [("run", STORE_FAILED), ("put", STORE_DONE), ("get", STORE_DATA), ("list", STORE_LISTED),
                  ("remove", STORE_DONE)],
        "logger": [("run", LOG_DONE), ("put", LOG_DONE)],
    }
    # Whatever it is, and whatever was asked.
    BREACHES = {
        "type that is in no catalogue": [say(999)],
        "message of a worker": [say(RESULT, result())],
        "order of brigd's": [say(1, b"\0" * 24)],
        "ready again": [say(READY, b"\0" * 72)],
        "short ready": [say(READY, b"\0" * 71)],
        "found after ready": [say(15, b"x")],
        "packet shorter than a header": ["raw 2c"],
        "header without its payload": ["cut 44 60000 "],
        "length of 2^32-1": ["cut 51 4294967295 "],
        "half a payload": ["cut 45 100 %s" % ("00" * 50)],
        "empty packet": ["raw "],
        "closed socket": ["close"],
        "exit": ["exit 0"],
        "crash": ["abort"],
        "descriptors that nobody asked for": ["pass", say(2, b"\0" * 8, fds=4)],
        "flood of descriptors": [flood(999, b"x", fds=4)],
        "flood of an unknown type": [flood(999, b"x" * 1000)],
        "flood of its own": ["pass", flood(51, b"\0" * 40)],
        "the truth, and the same again": ["pass", say(2, b"\0" * 8), say(44, b"\0" * 24), say(51, b"\0" * 40)],
        "for another": [say(5, b"\0" * 48, delta=7)],
        "for the one before": [say(44, b"\0" * 24, delta=-1)],
        "for nobody": [say(51, b"\0" * 40, delta=2**40)],
        "it cannot go on": [say(FAILED, b"I give up")],
        "it cannot go on, and says so in no language": [say(FAILED, b"\xff\x00\x1b\n" * 400)],
        "silence": ["silent"],
    }

    @classmethod
    def setUpClass(cls):
        cls.libexec = harness.tempfile.mkdtemp(prefix="brig-liar-")
        os.chmod(cls.libexec, 0o711)
        cls.addClassCleanup(harness.shutil.rmtree, cls.libexec)
        for name in ("launcher", "store", "logger"):
            program = os.path.join(cls.libexec, "brig-" + name)
            harness.shutil.copy(os.path.join(harness.BUILD, "tests/scenario/liar"), program)
            os.symlink(os.path.join(harness.BUILD, "brig-" + name), program + ".real")
        for name in ("brig-compiler", "brig-worker"):
            os.symlink(os.path.join(harness.BUILD, name), os.path.join(cls.libexec, name))
        # Nothing ahead: the store is asked for what the test asks for, and for nothing else.
        cls.options = ("--libexec", cls.libexec, "--service-s", "1", "--drain-s", "1", "--compile-on-put", "0")
        super().setUpClass()
        cls.directories = 0

    def setUp(self):
        super().setUp()
        self.number = 0
        self.serve()

    def serve(self):
        """A brigd to lie to, with nothing in its store and no lie told yet."""
        self.lie("", 0, [])
        type(self).directories += 1
        self.mine = harness.Brigd(self.new_directory("mine-%d" % self.directories), self.keys, self.policy, self.options)
        self.addCleanup(self.mine.stop)

    def lie(self, who, kind, acts):
        with open(os.path.join(self.libexec, "lies"), "w", encoding="ascii") as f:
            f.write("".join(line + "\n" for line in ["brig-%s %d" % (who, kind), *acts]))

    def ask(self, what, who="", kind=0, acts=()):
        """Asks for something that makes every service do something new, and has one lie. Returns the answer, as it came."""
        self.number += 1
        data = wasm.module(extra=wasm.custom("n", b"%d" % self.number))
        name = {"digest": harness.digest(data)}
        params = {"run": self.params(wasm=data), "put": self.module(data), "get": name, "list": {}, "remove": name}[what]
        with self.mine.client() as client:
            if what in ("get", "list", "remove"):
                client.call("module.put", self.module(data))
            client.call("module.list")  # the store has answered all that was asked for before
            self.lie(who, kind, acts)
            request = client.start(what if what == "run" else "module." + what, params)
            while request not in client.answers:
                client.take()
            return client.answers[request]

    def assert_lost(self, who, what, kind, acts):
        answer = self.ask(what, who, kind, acts)
        code = self.mine.process.wait(harness.PATIENCE)
        log = self.mine.log()
        self.assertEqual(code, 1, log)
        self.assertIn("lost service=" + who, log)
        self.assertNotIn("AddressSanitizer", log)
        told = answer.get("error", {}).get("message") or answer["result"].get("reason") or answer["result"]
        self.assertTrue(told, answer)
        self.mine.stop()  # checks that nothing is left
        harness.must(harness.brig("audit", "verify", os.path.join(self.mine.state, "audit", "log.jsonl")))

    def assert_goes_on(self):
        after = self.ask("run")
        self.assertEqual(after.get("result", after).get("status"), "exited", after)

    def breaches(self, who, lies):
        moments = self.MOMENTS[who]
        for i, name in enumerate(lies):
            acts = self.BREACHES[name]
            what, kind = moments[i % len(moments)]
            with self.subTest(lie=name, asked=what, instead=kind):
                self.assert_lost(who, what, kind, acts)
            self.mine.stop()
            self.serve()

    def test_breaches_of_the_launcher(self):
        self.breaches("launcher", self.BREACHES)

    def test_breaches_of_the_store(self):
        self.breaches("store", self.BREACHES)

    def test_breaches_of_the_logger(self):
        self.breaches("logger", list(self.BREACHES)[::4] + ["silence"])  # brigd listens to it as to the store

    # What may be said, with every field at its extremes: (who, when, in place of what, structure, what it is said as).
    FIELDS_OF = [
        ("launcher", "run", SPAWNED, "spawned", SPAWNED),
        ("launcher", "run", CHILD_EXITED, "exited", CHILD_EXITED),
        ("store", "put", STORE_DONE, "store_done", STORE_DONE),
        ("store", "remove", STORE_DONE, "store_done", STORE_DONE),
        ("store", "run", STORE_FAILED, "store_done", STORE_FAILED),
        ("store", "get", STORE_DATA, "store_done", STORE_FAILED),
        ("store", "list", STORE_LISTED, "store_entry", STORE_LISTED),
        ("logger", "run", LOG_DONE, "log_done", LOG_DONE),
    ]

    def test_every_field_at_its_extremes(self):
        rng = random.Random(SEED)
        print("# seed %d" % SEED)
        for who, what, instead, structure, kind in self.FIELDS_OF:
            for field, form in FIELDS[structure]:
                for value in extremes(form, rng):
                    with self.subTest(who=who, asked=what, field=field, value=value):
                        answer = self.ask(what, who, instead, [say(kind, pack(structure, **{field: value}))])
                        self.assertTrue("result" in answer or "error" in answer, answer)
            self.assert_goes_on()

    def test_what_could_be_true_is_taken_for_true(self):
        done = pack("store_done", size=1)
        good = {
            "store's reason is no text": ("store", "put", STORE_DONE, [say(STORE_FAILED, done + b"\xff\0\n" * 90)]),
            "logger's reason is no text": ("logger", "run", LOG_DONE, [say(LOG_FAILED, b"\xff\0\n" * 90)]),
            "logger's reason is none": ("logger", "put", LOG_DONE, [say(LOG_FAILED)]),
            "another module": ("store", "get", STORE_DATA, ["memfd 8 1 45 " + done.hex()]),
            "no module": ("store", "get", STORE_DATA, ["memfd 0 1 45 " + done.hex()]),
            "module that is not sealed": ("store", "get", STORE_DATA, ["memfd 8 0 45 " + done.hex()]),
            "module of 2^40 bytes": ("store", "get", STORE_DATA, ["memfd 1099511627776 1 45 " + done.hex()]),
            "signature of zeros": ("store", "get", STORE_DATA, ["memfd 8 1 45 " + done.hex() + "00" * 1000]),
            "code of zeros": ("store", "run", STORE_FAILED, ["memfd 4096 1 45 " + done.hex()]),
            "code that is not sealed": ("store", "run", STORE_FAILED, ["memfd 4096 0 45 " + done.hex()]),
            "code of 2^40 bytes": ("store", "run", STORE_FAILED, ["memfd 1099511627776 1 45 " + done.hex()]),
            "empty list": ("store", "list", STORE_LISTED, [say(STORE_LISTED)]),
            "long list": ("store", "list", STORE_LISTED, [say(STORE_LISTED, pack("store_entry", digest0=1) * 20)]),
            "no compiler": ("launcher", "run", SPAWNED, ["pass"]),
        }
        for name, lie in good.items():
            with self.subTest(lie=name):
                answer = self.ask(lie[1], lie[0], *lie[2:])
                self.assertTrue("result" in answer or "error" in answer, answer)
                self.assert_goes_on()


if __name__ == "__main__":
    harness.main()
