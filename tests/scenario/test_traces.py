"""That the check of harness.Hostile finds what is left: the other hostile tests rely on it."""

import os

import harness


class Traces(harness.Hostile):
    ROUNDS = 2
    options = (*harness.Hostile.options, "--templates-max", "0")  # what is kept ready comes and goes by itself

    def assert_found(self, leave, tidy, what):
        """The check fails when `leave` leaves something behind each time; `tidy` then takes it away."""
        before = self.traces
        self.doCleanups()
        leave()
        with self.assertRaises(AssertionError) as caught:
            self._assert_nothing_left(leave, patience=1)
        tidy()
        type(self).traces = before
        self.assertIn(what, str(caught.exception))

    def test_descriptor_is_found(self):
        if not harness.IS_ROOT:
            self.skipTest("the kernel shows the descriptors of brigd to root only")
        kept = []
        self.assert_found(lambda: kept.append(self.brigd.client()), lambda: [c.close() for c in kept],
                          "descriptors in brigd")

    def test_file_is_found(self):
        kept = []

        def leave():
            kept.append(os.path.join(self.brigd.state, "left%d" % len(kept)))
            with open(kept[-1], "w", encoding="ascii"):
                pass
        self.assert_found(leave, lambda: [os.unlink(path) for path in kept], "the file ")

    def test_process_is_found(self):
        kept = []

        def leave():
            kept.append(self.brigd.client())
            kept[-1].start("run", self.params("sleep", 60000, stream=True, limits={"wall_ms": 60000}))
            kept[-1].wait_output(b"sleeping")
        self.assert_found(leave, lambda: [c.close() for c in kept], "more brig-worker")


if __name__ == "__main__":
    harness.main()
