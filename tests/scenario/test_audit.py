"""The audit log: an intent and an outcome for each run, refusals too, each line chained to the one before."""

import hashlib
import json
import os
import shutil

import harness
from harness import b64, brig, guest

ZEROS = "sha256:" + "0" * 64


class Audit(harness.Scenario):
    def path(self):
        for directory, _, names in os.walk(self.brigd.state):
            if "log.jsonl" in names:
                return os.path.join(directory, "log.jsonl")
        self.fail("there is no log below " + self.brigd.state)
        return None

    def lines(self):
        with open(self.path(), "rb") as f:
            data = f.read()
        self.assertTrue(data.endswith(b"\n"))
        return data[:-1].split(b"\n")

    def records_of(self, text):
        return [json.loads(line) for line in self.lines() if text.encode() in line]

    def test_a_run_has_its_intent_before_its_outcome(self):
        result = self.run_guest("exit", 5)
        records = self.records_of(result["run_id"])
        self.assertGreaterEqual(len(records), 2)
        intent, outcome = records[0], records[-1]
        self.assertLess(intent["metadata"]["sequence"], outcome["metadata"]["sequence"])
        self.assertNotIn("exit_code", json.dumps(intent))
        self.assertEqual((outcome["status_code"], outcome["exit_code"]), ("exited", 5))
        self.assertEqual(outcome["unmapped"]["brig"]["usage"], result["usage"])
        for record in (intent, outcome):
            self.assertIn(record["class_uid"], (6003, 1007))
            self.assertEqual(record["category_uid"], record["class_uid"] // 1000)
            self.assertEqual(record["type_uid"], record["class_uid"] * 100 + record["activity_id"])
            self.assertIn(result["module"]["digest"], json.dumps(record))
            self.assertIn(result["policy"]["digest"], json.dumps(record))
            self.assertGreater(record["time"], 1600000000000)
            self.assertGreaterEqual(record["metadata"]["logged_time"], record["time"])
            self.assertEqual(record["process"]["uid"], result["run_id"])
            self.assertEqual(record["process"]["file"]["name"], result["module"]["digest"])
            self.assertEqual(record["unmapped"]["brig"]["policy"], result["policy"]["digest"])
            self.assertEqual(record["actor"]["process"]["pid"], os.getpid())
        self.assertIn("wall_ms", intent["unmapped"]["brig"]["limits"])

    def test_outputs_are_there_by_digest_only(self):
        result = self.run_guest("both", "a-secret-word")
        text = json.dumps(self.records_of(result["run_id"]))
        self.assertNotIn("a-secret-word", text)
        self.assertIn(hashlib.sha256(b"out a-secret-word\n").hexdigest(), text)
        self.assertIn(hashlib.sha256(b"err a-secret-word\n").hexdigest(), text)

    def test_a_refused_request_is_recorded_with_its_reason(self):
        before = len(self.lines())
        self.assert_rpc_error("unsigned_module", "run", {"module": {"wasm": b64(guest("hello"))}})
        self.run_guest("hello")  # whose answer comes after its record, and that after the refusal's
        new = b"\n".join(self.lines()[before:]).decode()
        self.assertIn("unsigned_module", new)
        self.assertIn(harness.digest(guest("hello")), new)

    def test_every_line_carries_the_hash_of_the_one_before(self):
        self.run_guest("hello")
        previous = ZEROS
        for number, line in enumerate(self.lines()):
            self.assertLessEqual(len(line), 65535)
            self.assertTrue(line.startswith(b'{"metadata":{'))
            chained = json.loads(line)["metadata"]
            self.assertEqual((chained["sequence"], chained["previous"]), (number, previous))
            previous = "sha256:" + hashlib.sha256(line).hexdigest()

    def test_the_chain_goes_on_after_a_restart(self):
        before = len(self.lines())
        self.brigd.stop()
        type(self).brigd = harness.Brigd(self.brigd.directory, self.keys)
        self.client = self.brigd.client()
        self.run_guest("hello")
        self.assertGreater(len(self.lines()), before)
        self.test_every_line_carries_the_hash_of_the_one_before()

    def verify(self, lines, end=b"\n"):
        path = os.path.join(self.directory, "copy.jsonl")
        with open(path, "wb") as f:
            f.write(b"\n".join(lines) + end)
        return brig("audit", "verify", path)

    def test_verify_accepts_the_log_as_it_is(self):
        self.run_guest("hello")
        done = self.verify(self.lines())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_verify_names_the_line_that_is_altered_missing_or_moved(self):
        for _ in range(3):
            self.run_guest("hello")
        good = self.lines()
        altered = list(good)
        altered[2] = altered[2].replace(b'"time":1', b'"time":2', 1)
        self.assertNotEqual(altered, good)
        missing = good[:2] + good[3:]
        moved = [good[0], good[2], good[1]] + good[3:]
        doubled = list(good)
        doubled[2] = doubled[2][:-1] + b',"metadata":{}}'
        self.assertEqual(json.loads(doubled[2])["metadata"], {})  # as a reader that takes the last of two would have it
        cases = (("altered", altered), ("missing", missing), ("moved", moved), ("metadata twice", doubled))
        for what, lines in cases:
            with self.subTest(what):
                done = self.verify(lines)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex((done.stdout + done.stderr).decode(), "[234]")

    def test_show_lists_a_run(self):
        result = self.run_guest("hello")
        path = os.path.join(self.directory, "shown.jsonl")
        shutil.copy(self.path(), path)
        done = harness.must(brig("audit", "show", "--run", result["run_id"], path))
        self.assertIn(result["run_id"][:8], done.stdout.decode())

    def test_records_are_there_when_the_answer_is(self):
        for _ in range(5):
            result = self.run_guest("hello")
            self.assertGreaterEqual(len(self.records_of(result["run_id"])), 2)


class Strict(harness.Scenario):
    options = ("--durability", "strict")

    def test_runs_as_usual(self):
        for _ in range(3):
            self.assert_exited(self.run_guest("hello"))
        self.assertGreaterEqual(len(self.brigd.audit_log()), 6)


if __name__ == "__main__":
    harness.main()
