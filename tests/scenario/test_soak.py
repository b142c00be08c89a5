"""The soak of `make soak`, for some seconds; and that it finds what is lost."""

import json
import random
import unittest

import harness
import soak

SECONDS = 12


def record(run, activity, status="exited"):
    return json.dumps({"class_uid": 1007, "activity_id": activity, "process": {"uid": run}, "status_code": status})


class Soak(harness.Scenario):
    policy = soak.CEILING
    options = soak.options()

    def test_nothing_is_lost_and_nothing_is_left(self):
        seed = random.randrange(1 << 31)
        print("# seed %d" % seed, flush=True)
        self.client.close()
        one = soak.Soak(self.brigd, self.keys, SECONDS, seed, lambda text: print("# " + text, flush=True))
        one.run()
        self.assertEqual(self.brigd.stop(), 0)
        self.assertEqual(one.check(), [])
        self.assertGreater(one.load.sent, 100)


class Found(unittest.TestCase):
    """What the check of the log says when there is something wrong."""

    def problems(self, records, answered, others_max=0):
        found = soak.Problems()
        soak.log_problems(records, answered, others_max, found)
        return found.all()

    def test_all_is_well(self):
        self.assertEqual(self.problems([record("a", 1), record("b", 1), record("b", 2, "limit"), record("a", 2)],
                                       {"a": "exited", "b": "limit"}), [])

    def test_each_fault_of_the_log_is_found(self):
        for records, part in (([record("a", 1)], "a has 1 and 0"), ([record("a", 2)], "a has 0 and 1"),
                              ([record("a", 2), record("a", 1)], "a has 1 and 1"),
                              ([record("a", 1), record("a", 2), record("a", 2)], "a has 1 and 2"),
                              ([record("a", 1), record("a", 2, "limit")], "a: limit, exited"), ([], "not in the log: a")):
            self.assertIn(part, "\n".join(self.problems(records, {"a": "exited"})))

    def test_a_run_that_nobody_was_answered_for_is_found(self):
        records = [record("a", 1), record("a", 2)]
        self.assertEqual(self.problems(records, {}, 1), [])
        self.assertIn("1 runs that nobody", self.problems(records, {}, 0)[0])


class Answers(harness.Scenario):
    """What the load says of answers that are wrong."""

    options = soak.options()

    def test_a_second_answer_a_wrong_end_and_a_run_told_twice_are_found(self):
        found = soak.Problems()
        load = soak.Load(self.brigd, self.keys, found, 1)
        self.addCleanup(load.close_all)
        connection, good = load.kept[0], soak.KINDS[0]
        for request in (1, 2, 3):
            connection.pending[request] = (good, 0)
        load.sent += 3

        def take(request, run, status):
            load._take(connection, json.dumps({"id": request, "result": {"run_id": run, "status": status}}).encode())
        take(1, "a", "exited")
        self.assertEqual(found.all(), [])
        take(1, "b", "exited")
        take(2, "c", "trapped")
        take(3, "a", "exited")
        self.assertEqual([text.split(":")[0] for text in found.all()], [
            "an answer to no run, or a second one", "a good run ended as trapped", "one run is the answer to two requests"])


if __name__ == "__main__":
    harness.main()
